"""Random views of pictures: crops, flips, colours, blur, all of a batch at once.

The views of multi-crop self-distillation (Caron et al. 2021): a few global crops, which show most
of a picture, and several local ones of a smaller size, which show a part. A crop is one bilinear
resampling, a change of colours one matrix a picture, a blur two; nothing loops over pictures.

The changes of colour are those of torchvision's ``ColorJitter``, always in the order brightness,
contrast, saturation, hue, and cut off to 0..1 once, at the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from fornix.study.fits.dino import DinoFit

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R 601)."""

YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
"""RGB to luma and two axes of colour (NTSC): hue is the angle in their plane."""

RATIO = (3 / 4, 4 / 3)
"""Narrowest and widest crop, width over height."""

MEAN, SD = 0.5, 0.5
"""Of pixel values 0..1, in every channel: networks are given -1 (black) to 1 (white)."""


@dataclass(frozen=True)
class View:
    """How one view of each picture is drawn.

    Attributes
    ----------
    side
        Its side, pixels.
    scale
        Smallest and largest share of the picture's area that it shows.
    jitter
        Largest change of brightness, contrast and saturation (each a factor 1 - x to 1 + x) and
        of hue (in turns).
    grey
        Probability that its colours are taken away.
    blur
        Probability of a Gaussian blur.
    solarize
        Probability that what is lighter than half is turned over.
    """

    side: int
    scale: tuple[float, float]
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.2, 0.1)
    grey: float = 0.2
    blur: float = 0.5
    solarize: float = 0.0


def kinds_of(section: DinoFit) -> list[View]:
    """Return the views of a section: two global ones, then the local ones."""
    crops, small = section.crops, section.side_of_local
    first_blur, second_blur, local_blur = (1.0, 0.1, 0.5) if crops.blur else (0.0, 0.0, 0.0)
    first = View(section.image_size, crops.global_scale, crops.jitter, crops.grey, blur=first_blur)
    second = replace(first, blur=second_blur, solarize=crops.solarize)
    local = replace(first, side=small, scale=crops.local_scale, blur=local_blur)
    return [first, second, *[local] * crops.n_local]


JITTERED = 0.8
"""Probability that a view's colours are changed at all."""

BLUR = (0.1, 2.0)
"""Standard deviation of the blur, pixels of a view whose side is 224; smaller views, less."""

BLUR_SIDE = 224


def views_of(pictures: Tensor, kinds: list[View], rng: np.random.Generator) -> list[Tensor]:
    """Draw one view of every picture of each kind.

    Parameters
    ----------
    pictures
        uint8 (picture, channel, row, column), three channels.
    kinds
        The views.
    rng
        Of everything random: the same generator gives the same views on any device.

    Returns
    -------
    list of Tensor
        float32 (picture, channel, side, side) for each kind, -1 black, 1 white.
    """
    pixels = pictures.float().div_(255)
    return [_view(pixels, kind, rng) for kind in kinds]


def _view(pixels: Tensor, kind: View, rng: np.random.Generator) -> Tensor:
    n = len(pixels)

    def tensor(values: NDArray[np.floating]) -> Tensor:
        return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(pixels.device)

    found = crop(pixels, tensor(_windows(n, kind.scale, rng)), kind.side)
    matrix, offset = _colours(n, kind, rng)
    # What contrast adds is the same for every pixel: the mean grey of the view.
    shift = tensor(offset)[:, None] * (found.mean((2, 3)) @ found.new_tensor(LUMA))[:, None]
    found = torch.einsum("ncd,ndhw->nchw", tensor(matrix), found) + shift[..., None, None]
    found = found.clamp_(0, 1)
    blurred, turned = rng.random(n) < kind.blur, rng.random(n) < kind.solarize
    sigma = rng.uniform(*BLUR, n) * kind.side / BLUR_SIDE
    if blurred.any():
        rows = torch.from_numpy(np.flatnonzero(blurred)).to(found.device)
        kernel = tensor(smoothers(kind.side, sigma[blurred]))
        found[rows] = torch.einsum("nij,ncjk,nlk->ncil", kernel, found[rows], kernel)
    if turned.any():
        rows = torch.from_numpy(np.flatnonzero(turned)).to(found.device)
        found[rows] = torch.where(found[rows] >= 0.5, 1 - found[rows], found[rows])
    return found.sub_(MEAN).div_(SD)


def crop(pixels: Tensor, windows: Tensor, side: int) -> Tensor:
    """Cut a window out of each picture and resize it bilinearly.

    Parameters
    ----------
    pixels
        (picture, channel, row, column).
    windows
        (picture, 4): centre x and y, half width and half height, the picture being -1..1; a
        negative half width mirrors.
    side
        Side of the result, pixels.

    Returns
    -------
    Tensor
        (picture, channel, side, side).
    """
    x, y, width, height = windows.unbind(1)
    zero = torch.zeros_like(x)
    maps = torch.stack([width, zero, x, zero, height, y], dim=1).view(-1, 2, 3)
    size = (len(pixels), pixels.shape[1], side, side)
    grid = functional.affine_grid(maps, list(size), align_corners=False)
    return functional.grid_sample(
        pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def _windows(n: int, scale: tuple[float, float], rng: np.random.Generator) -> NDArray[np.floating]:
    """Return windows of random area, shape and place; half of them mirrored."""
    area = rng.uniform(*scale, n)
    ratio = np.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1]), n))
    width, height = (np.minimum(1.0, np.sqrt(one)) for one in (area * ratio, area / ratio))
    x, y = ((1 - one) * rng.uniform(-1, 1, n) for one in (width, height))
    mirrored = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    return np.stack([x, y, width * mirrored, height], axis=1)


def _colours(
    n: int, kind: View, rng: np.random.Generator
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return matrices (picture, channel, channel), and what is added of each mean grey."""
    brightness, contrast, saturation = (rng.uniform(1 - x, 1 + x, n) for x in kind.jitter[:3])
    angle = 2 * np.pi * rng.uniform(-kind.jitter[3], kind.jitter[3], n)
    still = rng.random(n) >= JITTERED
    for values in (brightness, contrast, saturation):
        values[still] = 1.0
    angle[still] = 0.0
    saturation[rng.random(n) < kind.grey] = 0.0
    forth, luma = np.array(YIQ), np.array(LUMA)
    turn = np.zeros((n, 3, 3))
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = np.cos(angle)
    turn[:, 1, 2], turn[:, 2, 1] = -np.sin(angle), np.sin(angle)
    hue = np.linalg.inv(forth) @ turn @ forth
    # Saturation moves every colour towards its own grey, contrast towards the mean grey.
    pale = saturation[:, None, None] * np.eye(3) + (1 - saturation)[:, None, None] * luma
    return (brightness * contrast)[:, None, None] * (hue @ pale), brightness * (1 - contrast)


def smoothers(side: int, sigma: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return matrices (picture, side, side) that blur along an axis by multiplication.

    Each row sums to one, also at the edges.
    """
    distance = np.arange(side)[:, None] - np.arange(side)
    weights = np.exp(-0.5 * (distance / sigma[:, None, None]) ** 2)
    return np.asarray(weights / weights.sum(2, keepdims=True))
