"""Load pictures: upright, opaque, 8 bits a channel, square if asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fornix.errors import FornixError
from fornix.features.extractor import Context

BACKGROUND = 128
"""Grey level, 0..255, that shows through transparent places and beside pictures that aren't
square: the mid grey of most stimulus screens."""

Mode = Literal["L", "RGB"]


def load_image(path: Path, mode: Mode = "RGB", side: int | None = None) -> Image.Image:
    """Load one picture.

    It is turned as its EXIF orientation says, laid on mid grey where it is transparent, and
    brought to 8 bits a channel; ``L`` is the luma of ITU-R 601. Of an animation the first frame
    is taken. With ``side`` it is padded with mid grey to a square, so that orientations and
    spatial frequencies stay what they are, and resized with a bicubic filter that widens with
    the shrinkage (antialiasing).

    Parameters
    ----------
    path
        The file.
    mode
        ``L`` for grey, ``RGB`` for colour.
    side
        Side of the square, pixels; None: the picture's own size.

    Raises
    ------
    FornixError
        If the file is missing or can't be decoded.
    """
    try:
        with Image.open(path) as opened:
            if side is not None:
                # JPEG decodes at a half, a quarter or an eighth of its size for less work; twice
                # the side is kept for the filter.
                opened.draft(mode, (2 * side, 2 * side))
            image = _opaque(ImageOps.exif_transpose(_eight_bits(opened)), mode)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        problem = f"the picture can't be read: {error}"
        mend = "restore or replace the file; PNG and JPEG with 8 bits a channel always work"
        raise FornixError(problem, where=str(path), mend=mend) from None
    return image if side is None else square(image, side)


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16-bit grey; Pillow's own conversion would clip it to 255.
        values = np.asarray(image).astype(np.float64)
        if values.size and not 0 <= values.min() <= values.max() <= 65535:
            msg = f"values from {values.min():g} to {values.max():g} aren't 16-bit grey levels"
            raise ValueError(msg)
        return Image.fromarray(np.rint(values / 257).astype(np.uint8))
    if image.mode == "F":
        msg = "floating-point grey levels have no known white"
        raise ValueError(msg)
    return image


def _opaque(image: Image.Image, mode: Mode) -> Image.Image:
    if image.has_transparency_data:
        colour = image.convert("RGBA")
        behind = Image.new("RGBA", colour.size, (BACKGROUND, BACKGROUND, BACKGROUND, 255))
        image = Image.alpha_composite(behind, colour)
    return image.convert(mode)


def square(image: Image.Image, side: int) -> Image.Image:
    """Pad a picture with mid grey to a square, and resize that."""
    width, height = image.size
    if width != height:
        longest = max(width, height)
        grey: int | tuple[int, ...] = BACKGROUND if image.mode == "L" else (BACKGROUND,) * 3
        padded = Image.new(image.mode, (longest, longest), grey)
        padded.paste(image, ((longest - width) // 2, (longest - height) // 2))
        image = padded
    return image.resize((side, side), Image.Resampling.BICUBIC)


def map_images(
    function: Callable[[Path], NDArray[np.float32]], paths: Sequence[Path], threads: int
) -> list[NDArray[np.float32]]:
    """Apply a function to files, in order, in as many threads (Pillow decodes without the GIL)."""
    if threads == 1:
        return [function(path) for path in paths]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, paths))


def squares(rows: pd.DataFrame, context: Context, *, mode: Mode, side: int) -> NDArray[np.float32]:
    """Load pictures as squares.

    Parameters
    ----------
    rows
        Lines of the stimulus table.
    context
        The folder that their paths start from, and the threads that decode.
    mode, side
        As in :func:`load_image`.

    Returns
    -------
    ndarray
        float32 (picture, row, column) for ``L``, (picture, row, column, 3) for ``RGB``; 0 is
        black, 1 white.

    Raises
    ------
    FornixError
        If a picture can't be read.
    """

    def load(path: Path) -> NDArray[np.float32]:
        return np.asarray(load_image(path, mode, side), dtype=np.float32) / np.float32(255)

    paths = [context.root / str(path) for path in rows["path"]]
    return np.stack(map_images(load, paths, context.resources.threads))
