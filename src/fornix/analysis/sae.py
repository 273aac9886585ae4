"""Sparse autoencoders of stored features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from fornix.analysis.material import Analysed, Material, score
from fornix.devices import settings, torch_device
from fornix.errors import FornixError
from fornix.progress import track
from fornix.seeds import generator
from fornix.study.analyses import Sae

Floats32 = NDArray[np.float32]

REVIVED = 0.2
"""Length of a resampled latent's encoder, of the others' mean (Bricken et al. 2023)."""

HOW = {
    "explained_variance": "1 - squared error over that of the training mean, held-out stimuli",
    "l0": "latents on per held-out stimulus",
    "dead_fraction": "share of latents that no stimulus switches on",
    "monosemanticity": "mean cosine of the features of held-out stimuli that switch a latent on, "
    "weighted by how much, over latents (Pach et al. 2025); chance: of all pairs of stimuli",
}


@dataclass
class Autoencoder:
    """A sparse autoencoder.

    Attributes
    ----------
    encoder, decoder
        (latent, feature); rows of the decoder have length 1.
    bias
        Of the latents, (latent,).
    mean
        Training mean, (feature,); the decoder's bias.
    scale
        What centred features are divided by: their root mean squared length.
    k
        Latents on at once; 0: as many as are above zero.
    """

    encoder: Tensor
    decoder: Tensor
    bias: Tensor
    mean: Tensor
    scale: float
    k: int = 0

    def encode(self, values: Tensor) -> Tensor:
        """Return the latents (stimulus, latent) of scaled features (stimulus, feature)."""
        latents = torch.relu(values @ self.encoder.T + self.bias)
        if not self.k:
            return latents
        top = latents.topk(self.k, dim=1)
        return torch.zeros_like(latents).scatter(1, top.indices, top.values)

    def scaled(self, values: Floats32) -> Tensor:
        """Return features as the encoder takes them."""
        return (torch.from_numpy(values).to(self.mean) - self.mean) / self.scale


def analyse(section: Sae, material: Material) -> Analysed:
    """Train one autoencoder a layer, and judge it on stimuli that it hasn't seen.

    Raises
    ------
    FornixError
        If there are too few stimuli to hold some out.
    """
    with settings(material.resources.threads):
        return _analyse(section, material, torch_device(material.resources))


def _analyse(section: Sae, material: Material, device: torch.device) -> Analysed:
    found = Analysed(how=HOW)
    held_out = _held_out(section, material)
    latents: dict[str, list[NDArray[np.float64]]] = {"density": [], "monosemanticity": []}
    for target, values in material.layers.items():
        layer = np.ascontiguousarray(values, dtype=np.float32)
        model = train(layer[~held_out], section, seed=material.seed, device=device)
        on = _encoded(model, layer, section.batch_size)
        mono, chance = monosemanticity(on[held_out], layer[held_out] - model.mean.cpu().numpy())
        errors = _squared_errors(model, layer[held_out], on[held_out])
        spread = ((layer[held_out] - model.mean.cpu().numpy()) ** 2).sum()
        measured = {
            "explained_variance": 1 - errors / spread if spread > 0 else float("nan"),
            "l0": float((on[held_out] > 0).sum(1).mean()),
            "dead_fraction": float((on <= 0).all(0).mean()),
            "monosemanticity": float(np.nanmean(mono)) if np.isfinite(mono).any() else np.nan,
        }
        n = int(held_out.sum())
        chances = {"explained_variance": 0.0, "monosemanticity": chance}
        found.rows += [
            score(target, key, value, n, chance=chances.get(key, float("nan")))
            for key, value in measured.items()
        ]
        latents["density"].append((on > 0).mean(0))
        latents["monosemanticity"].append(mono)
        found.weights |= {
            f"{target}/encoder": model.encoder.cpu().numpy(),
            f"{target}/decoder": model.decoder.cpu().numpy(),
            f"{target}/bias": model.bias.cpu().numpy(),
            f"{target}/mean": model.mean.cpu().numpy(),
            f"{target}/scale": np.array([model.scale], dtype=np.float32),
        }
    found.arrays = xr.Dataset(
        {name: (("target", "latent"), np.stack(each)) for name, each in latents.items()},
        coords={"target": np.array(list(material.layers), dtype=object)},
    )
    return found


def train(
    values: Floats32, section: Sae, *, seed: int = 0, device: torch.device | None = None
) -> Autoencoder:
    """Train an autoencoder.

    Parameters
    ----------
    values
        float32 (stimulus, feature), C-contiguous; batches of it go to the device.
    section
        The settings.
    seed
        Of the first weights, the order of the stimuli and resampling.
    device
        Of torch; the CPU by default.
    """
    rng = generator(seed, "analysis", "sae")
    mean = values.mean(0, dtype=np.float64).astype(np.float32)
    # Lengths of one on average, so that penalties and rates mean the same for every layer.
    scale = float(np.sqrt(((values - mean) ** 2).sum(1, dtype=np.float64).mean())) or 1.0
    directions = _unit(rng.normal(size=(section.n_latents, values.shape[1])).astype(np.float32))
    decoder = torch.from_numpy(directions).to(device)
    model = Autoencoder(
        encoder=decoder.clone().requires_grad_(),
        decoder=decoder.clone().requires_grad_(),
        bias=torch.zeros(section.n_latents, device=device, requires_grad=True),
        mean=torch.from_numpy(mean).to(device),
        scale=scale,
        k=section.k if section.activation == "topk" else 0,
    )
    optimizer = torch.optim.Adam(
        [model.encoder, model.decoder, model.bias], lr=section.learning_rate
    )
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, section.epochs)
    turns = {(i + 1) * section.epochs // (2 * section.resample + 2) for i in
             range(section.resample)}  # fmt: skip
    penalty = section.l1 if section.activation == "l1" else 0.0
    for epoch in track(range(section.epochs), "epochs"):
        alive = torch.zeros(section.n_latents, dtype=torch.bool, device=device)
        order = rng.permutation(len(values))
        for start in range(0, len(order), section.batch_size):
            batch = model.scaled(values[order[start : start + section.batch_size]])
            alive |= _step(model, optimizer, batch, penalty)
        schedule.step()
        if epoch in turns and not alive.all():
            _resample(model, optimizer, values, ~alive, rng)
    for weight in (model.encoder, model.decoder, model.bias):
        weight.requires_grad_(False)
    return model


def _step(
    model: Autoencoder, optimizer: torch.optim.Optimizer, batch: Tensor, penalty: float
) -> Tensor:
    """Take one step; return which latents were on."""
    latents = model.encode(batch)
    loss = ((latents @ model.decoder - batch) ** 2).sum(1).mean()
    if penalty:
        loss = loss + penalty * latents.sum(1).mean()
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    with torch.no_grad():
        # Without this, the penalty is escaped by small latents and a long decoder.
        model.decoder /= model.decoder.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return (latents > 0).any(0)


@torch.no_grad()
def _resample(
    model: Autoencoder,
    optimizer: torch.optim.Optimizer,
    values: Floats32,
    dead: Tensor,
    rng: np.random.Generator,
) -> None:
    """Point silent latents at what the others leave over of badly explained stimuli."""
    places = np.flatnonzero(dead.cpu().numpy())
    some = rng.permutation(len(values))[: max(4096, 2 * len(places))]
    batch = model.scaled(values[some])
    rest = batch - model.encode(batch) @ model.decoder
    weight = (rest**2).sum(1).double().cpu().numpy() ** 2
    if not weight.sum() > 0:
        return
    chosen = rng.choice(len(some), len(places), p=weight / weight.sum())
    directions = rest[torch.from_numpy(chosen).to(rest.device)]
    directions /= directions.norm(dim=1, keepdim=True).clamp_min(1e-12)
    length = model.encoder[~dead].norm(dim=1).mean() if bool((~dead).any()) else torch.tensor(1.0)
    model.decoder[dead] = directions
    model.encoder[dead] = directions * (length if model.k else REVIVED * length)
    model.bias[dead] = 0
    for weights in (model.encoder, model.decoder, model.bias):
        for moment in ("exp_avg", "exp_avg_sq"):
            optimizer.state[weights][moment][dead] = 0


@torch.no_grad()
def _encoded(model: Autoencoder, values: Floats32, batch_size: int) -> Floats32:
    parts = [
        model.encode(model.scaled(values[start : start + batch_size])).cpu().numpy()
        for start in range(0, len(values), batch_size)
    ]
    return np.concatenate(parts)


def _squared_errors(model: Autoencoder, values: Floats32, latents: Floats32) -> float:
    told = latents @ model.decoder.cpu().numpy() * model.scale + model.mean.cpu().numpy()
    return float(((told - values) ** 2).sum(dtype=np.float64))


def monosemanticity(
    latents: NDArray[np.floating], features: NDArray[np.floating]
) -> tuple[NDArray[np.float64], float]:
    """Return how alike the stimuli are that switch each latent on (Pach et al. 2025).

    The mean cosine of all pairs of stimuli, each pair weighted by the product of the latent's
    values, scaled to run from 0 to 1.

    Parameters
    ----------
    latents
        (stimulus, latent).
    features
        (stimulus, feature), centred.

    Returns
    -------
    scores
        float64 (latent,); NaN for a latent that fewer than two stimuli switch on.
    chance
        The score of a latent that all stimuli switch on alike.
    """
    on = np.asarray(latents, dtype=np.float64)
    low, high = on.min(0), on.max(0)
    on = (on - low) / np.where(high > low, high - low, 1)
    directions = _unit(np.asarray(features, dtype=np.float64))
    on = np.concatenate([on, np.ones((len(on), 1))], axis=1)
    # A sum over pairs is the square of a sum, less the pairs of a stimulus with itself.
    own = (directions**2).sum(1)
    alike = ((on.T @ directions) ** 2).sum(1) - (on**2).T @ own
    pairs = on.sum(0) ** 2 - (on**2).sum(0)
    scores = np.where(pairs > 1e-12, alike / np.where(pairs > 1e-12, pairs, 1), np.nan)
    return scores[:-1], float(scores[-1])


def _unit(rows: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def _held_out(section: Sae, material: Material) -> NDArray[np.bool_]:
    """Return which rows are held out: all rows of a stimulus, or none."""
    names, codes = np.unique(
        material.stimuli["stimulus"].to_numpy(object).astype(str), return_inverse=True
    )
    count = round(section.held_out * len(names))
    if count < 2 or count > len(names) - 2:
        problem = f"holding out {section.held_out:g} of {len(names)} stimuli leaves too few"
        raise FornixError(problem, where=f"{material.where}: held_out", mend="use more stimuli")
    chosen = generator(material.seed, "analysis", "sae", "held out").permutation(len(names))[:count]
    return np.isin(codes, chosen)
