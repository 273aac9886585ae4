"""Views of pictures: where they are cut, and what happens to their colours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from fornix.training.crops import LUMA, View, crop, smoothers, views_of

PLAIN = {"jitter": (0.0, 0.0, 0.0, 0.0), "grey": 0.0, "blur": 0.0}


def pictures(n=6, side=16):
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (n, 3, side, side), dtype=np.uint8))


def test_the_whole_picture_is_itself_or_its_mirror():
    given = pictures(40)
    (found,) = views_of(given, [View(16, (1.0, 1.0), **PLAIN)], np.random.default_rng(1))
    plain = given / 127.5 - 1
    # A crop of the whole area that isn't square is cut to the picture's sides.
    exact = torch.stack([(found - one).abs().amax((1, 2, 3)) for one in (plain, plain.flip(3))])
    same, mirrored = (exact < 1e-4).sum(1).tolist()
    assert same + mirrored < 40
    windows = torch.tensor([[0.0, 0, 1, 1]] * 40)
    torch.testing.assert_close(crop(given / 1.0, windows, 16), given / 1.0, atol=1e-3, rtol=0)
    windows[:, 2] = -1
    mirror = crop(given / 1.0, windows, 16)
    torch.testing.assert_close(mirror, given.flip(3) / 1.0, atol=1e-3, rtol=0)


def test_a_window_shows_its_part():
    given = pictures(2) / 1.0
    corner = crop(given, torch.tensor([[-0.5, -0.5, 0.5, 0.5]] * 2), 8)
    torch.testing.assert_close(corner, given[:, :, :8, :8], atol=1e-3, rtol=0)


def test_the_same_generator_gives_the_same_views():
    kinds = [View(16, (0.4, 1.0)), View(8, (0.1, 0.4), solarize=0.5)]
    first, second = (views_of(pictures(), kinds, np.random.default_rng(3)) for _ in range(2))
    assert [tuple(one.shape) for one in first] == [(6, 3, 16, 16), (6, 3, 8, 8)]
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)
        assert one.min() >= -1
        assert one.max() <= 1
    third = views_of(pictures(), kinds, np.random.default_rng(4))
    assert not torch.equal(first[0], third[0])


def test_grey_views_have_no_colours_and_keep_their_luma():
    given = pictures(1).expand(50, -1, -1, -1)
    kind = View(16, (1.0, 1.0), **PLAIN | {"grey": 1.0})
    (found,) = views_of(given, [kind], np.random.default_rng(0))
    assert (found.amax(1) - found.amin(1)).max() < 1e-5
    coloured = views_of(given, [View(16, (1.0, 1.0), **PLAIN)], np.random.default_rng(0))[0]
    luma = torch.einsum("nchw,c->nhw", coloured, torch.tensor(LUMA))
    torch.testing.assert_close(found[:, 0], luma, atol=1e-4, rtol=0)


def test_hue_keeps_grey_grey_and_luma():
    grey = pictures(30)[:, :1].expand(-1, 3, -1, -1)
    kind = View(16, (1.0, 1.0), **PLAIN | {"jitter": (0.0, 0.0, 0.0, 0.5)})
    (found,) = views_of(grey, [kind], np.random.default_rng(0))
    assert (found.amax(1) - found.amin(1)).max() < 1e-3


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_blur_is_scipys_far_from_the_edges(sigma):
    kernel = smoothers(32, np.array([sigma]))[0]
    np.testing.assert_allclose(kernel.sum(1), 1)
    image = np.random.default_rng(0).normal(size=(32, 32))
    expected = ndimage.gaussian_filter(image, sigma, truncate=12)
    inside = (slice(10, 22),) * 2
    np.testing.assert_allclose((kernel @ image @ kernel.T)[inside], expected[inside], atol=5e-4)


def test_solarize_turns_what_is_light():
    given = pictures(20)
    turned = View(16, (1.0, 1.0), **PLAIN, solarize=1.0)
    (found,) = views_of(given, [turned], np.random.default_rng(0))
    assert found.max() <= 1e-5  # nothing is lighter than half, which is 0
