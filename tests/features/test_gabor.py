"""Gratings drive the level and orientation that they were drawn for, and no other."""

from __future__ import annotations

import numpy as np
import pytest
from extracting import extract
from PIL import Image
from scipy.signal import fftconvolve
from skimage.filters import gabor_kernel

from fornix.errors import FornixError
from fornix.features import gabor
from fornix.features.gabor import energy, filter_bank
from fornix.study.features.gabor import GaborFeatures

SIZE, LEVELS, ORIENTATIONS, GRID = 64, 4, 4, 8
ROWS, COLUMNS = np.mgrid[:SIZE, :SIZE]


def bank(size=SIZE, levels=LEVELS, orientations=ORIENTATIONS, grid=GRID):
    return filter_bank(size, levels, orientations, grid)


def grating(frequency, angle, phase=0.0, amplitude=0.3):
    """Return (1, row, column): a grating in cycles/pixel, its wave vector at ``angle`` rad."""
    along = COLUMNS * np.cos(angle) + ROWS * np.sin(angle)
    wave = 0.5 + amplitude * np.cos(2 * np.pi * frequency * along + phase)
    return wave[None].astype(np.float32)


def by_place(found, orientations=ORIENTATIONS, grid=GRID):
    """Return (level, orientation, row, column) of the first picture."""
    return np.stack([one[0].reshape(orientations, grid, grid) for one in found.values()])


@pytest.mark.parametrize("level", range(LEVELS))
@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_a_grating_drives_its_own_filter(level, orientation):
    image = grating(0.25 / 2**level, np.pi * orientation / ORIENTATIONS)
    middle = by_place(energy(image, bank()))[:, :, 2:6, 2:6].mean((2, 3))
    assert np.unravel_index(middle.argmax(), middle.shape) == (level, orientation)
    # its amplitude is what was planted; the mirror at the borders costs the coarse ones some
    assert middle.max() == pytest.approx(0.3, rel=0.02 if level < 3 else 0.2)


def test_energy_is_blind_to_phase_and_sees_contrast():
    images = [grating(0.125, 0.0, phase) for phase in np.linspace(0, np.pi, 5)]
    middle = [by_place(energy(one, bank()))[1, 0, 2:6, 2:6].mean() for one in images]
    np.testing.assert_allclose(middle, 0.3, rtol=0.01)
    half = by_place(energy(grating(0.125, 0.0, amplitude=0.15), bank()))
    np.testing.assert_allclose(half, 0.5 * by_place(energy(images[0], bank())), atol=1e-6)


def test_uniform_light_has_none():
    found = energy(np.full((1, 64, 64), 0.8, np.float32), bank())
    assert max(one.max() for one in found.values()) < 1e-6


def test_energy_is_where_the_grating_is():
    image = grating(0.25, 0.0)
    image[:, :, SIZE // 2 :] = 0.5
    level1 = by_place(energy(image, bank()))[0, 0]
    assert level1[:, :3].mean() > 20 * level1[:, 5:].mean()


@pytest.mark.parametrize("level", range(LEVELS))
def test_agrees_with_gabor_kernels_in_space(level):
    rng = np.random.default_rng(0)
    image = rng.random((1, SIZE, SIZE)).astype(np.float32)
    found = by_place(energy(image, bank()))[level]
    padded = np.pad(image[0] - image.mean(), SIZE, mode="symmetric")
    for orientation in range(ORIENTATIONS):
        angle = np.pi * orientation / ORIENTATIONS
        kernel = gabor_kernel(0.25 / 2**level, angle, bandwidth=gabor.BANDWIDTH, n_stds=4)
        # skimage's kernel answers a grating of amplitude a with a / 2
        answer = 2 * np.abs(fftconvolve(padded, kernel, mode="same"))[SIZE:-SIZE, SIZE:-SIZE]
        reference = answer.reshape(GRID, 8, GRID, 8).mean((1, 3))
        # skimage's kernel is a little blind to nothing: it keeps a response to uniform light
        assert np.corrcoef(found[orientation].ravel(), reference.ravel())[0, 1] > 0.999
        np.testing.assert_allclose(found[orientation].mean(), reference.mean(), rtol=0.02)


@pytest.mark.parametrize(("size", "grid"), [(64, 5), (50, 8), (33, 33), (64, 1)])
def test_any_size_and_grid(size, grid):
    rng = np.random.default_rng(0)
    images = rng.random((3, size, size)).astype(np.float32)
    fine = energy(images, bank(size, 3, 2, size))
    coarse = energy(images, bank(size, 3, 2, grid))
    for name, values in coarse.items():
        assert values.shape == (3, 2 * grid * grid)
        # places tile the picture: their mean is the picture's
        np.testing.assert_allclose(values.mean(1), fine[name].mean(1), rtol=0.03)


def test_threads_and_batches_change_no_number():
    images = np.random.default_rng(0).random((7, SIZE, SIZE)).astype(np.float32)
    alone = [energy(one[None], bank()) for one in images]
    for threads in (1, 2):
        together = energy(images, bank(), threads)
        for name, values in together.items():
            expected = np.concatenate([one[name] for one in alone])
            np.testing.assert_allclose(values, expected, atol=1e-6)
    one, two = energy(images, bank(), 1), energy(images, bank(), 2)
    np.testing.assert_array_equal(one["level2"], two["level2"])


def test_layers_of_files(images):
    stimuli, root = images
    section = GaborFeatures(kind="gabor", dataset="d", size=32, n_levels=3, layers=["level[12]"])
    found = extract(gabor, section, stimuli, root)
    assert {name: one.shape for name, one in found.items()} == {
        "level1": (5, 4 * 64),
        "level2": (5, 4 * 64),
    }
    picture = Image.open(root / stimuli["path"][0]).convert("L").resize((32, 32), Image.BICUBIC)
    alone = energy(np.asarray(picture, np.float32)[None] / 255, bank(32, 3))
    np.testing.assert_allclose(found["level2"][0], alone["level2"][0], atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"n_levels": 6}, "needs size 128 or more"),
        ({"size": 16, "n_levels": 3, "grid": 20}, "grid"),
    ],
)
def test_scales_that_do_not_fit_the_picture(settings, problem):
    with pytest.raises(ValueError, match=problem):
        GaborFeatures(kind="gabor", dataset="d", **settings)
    GaborFeatures(kind="gabor", dataset="d", n_levels=5)


def test_texts_have_no_energy(images):
    stimuli = images[0].assign(modality="text")
    section = GaborFeatures(kind="gabor", dataset="d")
    with pytest.raises(FornixError, match="gabor needs image stimuli, but 5 of 5 are text"):
        extract(gabor, section, stimuli, images[1])
