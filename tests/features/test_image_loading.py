"""Pictures of every kind come out upright, opaque, 8 bits a channel, square."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pandas as pd
import pytest
from extracting import extract
from PIL import Image

from fornix.errors import FornixError
from fornix.features import pixels
from fornix.features.images import BACKGROUND, load_image
from fornix.study.compute import Compute
from fornix.study.features.pixels import PixelFeatures


def values(path, **how):
    return np.asarray(load_image(path, **how)).astype(int)


def save(tmp_path, array, name="picture.png", **how):
    path = tmp_path / name
    Image.fromarray(np.asarray(array, dtype=np.uint8)).save(path, **how)
    return path


def test_grey_is_the_luma_of_rec_601(tmp_path):
    path = save(tmp_path, np.full((4, 4, 3), (200, 100, 50)))
    assert np.abs(values(path, mode="L") - (0.299 * 200 + 0.587 * 100 + 0.114 * 50)).max() <= 1
    assert (values(path) == (200, 100, 50)).all()


def test_transparent_places_show_mid_grey(tmp_path):
    array = np.zeros((2, 2, 4))
    array[0, 0] = (255, 0, 0, 255)
    array[0, 1] = (255, 255, 255, 128)
    found = values(save(tmp_path, array))
    assert found[0, 0].tolist() == [255, 0, 0]
    assert np.abs(found[0, 1] - (255 + BACKGROUND) / 2).max() <= 1
    assert (found[1] == BACKGROUND).all()
    palette = tmp_path / "palette.gif"
    image = Image.new("P", (2, 1), 1)
    image.putpalette([10, 20, 30, 250, 250, 250])
    image.putpixel((0, 0), 0)
    image.save(palette, transparency=0)
    assert values(palette)[0].tolist() == [[BACKGROUND] * 3, [250] * 3]


def test_sixteen_bits_become_eight(tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(np.array([[0, 257 * 100], [65535, 257 * 7]], dtype=np.uint16)).save(path)
    assert values(path, mode="L").tolist() == [[0, 100], [255, 7]]


def test_ink_colours_become_light(tmp_path):
    Image.new("CMYK", (4, 4), (255, 0, 0, 0)).save(tmp_path / "a.jpg")
    red, green, blue = np.asarray(load_image(tmp_path / "a.jpg"))[2, 2]
    assert red < 60
    assert green > 150
    assert blue > 150


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P"])
def test_grey_pictures_have_three_equal_channels(tmp_path, mode):
    grey = Image.fromarray(np.repeat([[0, 255]], 2, 0).astype(np.uint8))
    grey.convert(mode).save(tmp_path / "a.png")
    found = values(tmp_path / "a.png")
    assert found.tolist() == [[[0] * 3, [255] * 3]] * 2


def test_sixteen_bits_of_colour_become_eight(tmp_path):
    pixels = struct.pack(">3H", 65535, 257 * 100, 0)
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", 5, 4, 16, 2, 0, 0, 0),
        b"IDAT": zlib.compress((b"\0" + 5 * pixels) * 4),
        b"IEND": b"",
    }
    chunks = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts.items()
    ]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    assert (values(tmp_path / "a.png") == (255, 100, 0)).all()


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_of_any_animation_the_first_frame_is_taken(tmp_path, form):
    frames = [Image.new("RGB", (4, 4), (level,) * 3) for level in (10, 200)]
    path = tmp_path / f"a.{form.lower()}"
    lossless = {"lossless": True} if form == "WEBP" else {}
    frames[0].save(path, form, save_all=True, append_images=frames[1:], **lossless)
    assert (values(path) == 10).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_jpegs_is_upright(tmp_path, orientation):
    upright = np.zeros((16, 32), np.uint8)
    upright[:, :8], upright[:8, :8] = 120, 250  # the brightest corner is top left
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's numbers of transpositions
    stored = Image.fromarray(upright)
    if orientation in undo:
        stored = stored.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.jpg", exif=exif, quality=95)
    found = values(tmp_path / "a.jpg", mode="L")
    assert np.abs(found - upright.astype(int)).max() < 30
    assert np.abs(values(tmp_path / "a.jpg", mode="L", side=8)[2, 0] - 250) < 30


def test_of_an_animation_the_first_frame_is_taken(tmp_path):
    frames = [Image.new("L", (4, 4), level) for level in (10, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=50)
    assert (np.asarray(load_image(tmp_path / "a.gif", "L")) == 10).all()


def test_floating_point_pictures_are_refused(tmp_path):
    path = tmp_path / "float.tiff"
    Image.fromarray(np.ones((2, 2), dtype=np.float32)).save(path)
    with pytest.raises(FornixError, match="no known white") as caught:
        load_image(path)
    assert caught.value.where == str(path)


def test_pictures_are_turned_upright(tmp_path):
    array = np.zeros((20, 40, 3))
    array[:, :20] = 255  # white on the left; as shown: turned by 90 degrees
    exif = Image.Exif()
    exif[0x0112] = 6
    found = values(save(tmp_path, array, "turned.png", exif=exif), mode="L")
    assert found.shape == (40, 20)
    assert found[:15].min() > 240
    assert found[25:].max() < 15


def test_padding_keeps_the_shape_of_things(tmp_path):
    found = values(save(tmp_path, np.full((20, 40, 3), 255)), mode="L", side=16)
    assert found.shape == (16, 16)
    assert (found[6:10] == 255).all()
    assert np.abs(found[[0, 1, 14, 15]] - BACKGROUND).max() == 0


def test_shrinking_averages(tmp_path):
    board = np.indices((64, 64)).sum(0) % 2 * 255
    found = values(save(tmp_path, board), mode="L", side=8)
    assert np.abs(found - 127.5).max() < 3  # without antialiasing: stripes or a plain colour


def test_large_jpegs_look_the_same(tmp_path):
    ramp = np.add.outer(np.linspace(0, 100, 400), np.linspace(0, 100, 400))
    shown = values(save(tmp_path, ramp, "ramp.jpg", quality=95), mode="L", side=32)
    exact = values(save(tmp_path, ramp), mode="L", side=32)
    assert np.abs(shown - exact).max() <= 2


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "gone"])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = save(tmp_path, np.random.default_rng(0).integers(0, 255, (50, 50, 3)))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:2000])
    elif damage == "text":
        path.write_text("not a picture")
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    with pytest.raises(FornixError, match="can't be read") as caught:
        load_image(path, side=8)
    assert caught.value.where == str(path)


def stimuli(*names):
    return pd.DataFrame({"stimulus": names, "modality": "image", "path": names})


def test_pixels_are_luminances_in_reading_order(tmp_path):
    array = np.arange(16).reshape(4, 4) * 17
    save(tmp_path, array, "a.png")
    save(tmp_path, 255 - array, "b.png")
    section = PixelFeatures(kind="pixels", dataset="d", size=4)
    found = extract(pixels, section, stimuli("a.png", "b.png"), tmp_path)
    assert list(found) == ["pixels"]
    assert found["pixels"].dtype == np.float32
    np.testing.assert_allclose(found["pixels"][0], np.arange(16) / 15, atol=1e-6)
    np.testing.assert_allclose(found["pixels"][1], 1 - np.arange(16) / 15, atol=1e-6)


def test_colour_pixels(tmp_path):
    save(tmp_path, np.full((4, 4, 3), (255, 0, 51)), "a.png")
    section = PixelFeatures(kind="pixels", dataset="d", size=2, colour=True)
    found = extract(pixels, section, stimuli("a.png"), tmp_path, resources=Compute(threads=2))
    np.testing.assert_allclose(found["pixels"][0], np.tile([1, 0, 0.2], 4), atol=1e-6)


def test_pixels_keep_their_places_in_a_grid(tmp_path):
    array = np.arange(48).reshape(4, 4, 3) * 5
    save(tmp_path, array, "a.png")
    section = PixelFeatures(kind="pixels", dataset="d", size=4, colour=True, grid=True)
    found = extract(pixels, section, stimuli("a.png"), tmp_path)["pixels"]
    assert found.shape == (1, 4, 4, 3)
    np.testing.assert_allclose(found[0], array / 255, atol=1e-6)


def test_labels_have_no_pixels(tmp_path):
    table = stimuli("face", "house").assign(modality="label")
    section = PixelFeatures(kind="pixels", dataset="d")
    with pytest.raises(FornixError, match="2 of 2 are label stimuli") as caught:
        extract(pixels, section, table, tmp_path)
    assert "kind: columns" in caught.value.mend
