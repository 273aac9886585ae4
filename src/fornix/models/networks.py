"""What encoding models that are networks share: scaling, folds, training and prediction.

A network predicts z-scored responses from z-scored features; means and spreads are those of the
samples that it is trained on. All choices are made on inner folds of the training samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fornix.devices import seeded, settings, torch_device
from fornix.errors import FornixError
from fornix.models.interface import Attention, Context, EncodingData, Predictions
from fornix.training.batches import Grouped, Rows
from fornix.training.loop import train
from fornix.training.terms import Batch, Hooks, Run, Trained

if TYPE_CHECKING:
    from fornix.study.fits.network import NetworkSection

FEWEST_VALIDATION = 3
"""Samples that a correlation needs."""

PREDICTED_AT_ONCE = 256
"""Samples of a batch where nothing is learnt."""

Call = Callable[[nn.Module, Tensor, int], Tensor]
"""Network, z-scored inputs of some samples, number of the part -> (sample, unit)."""


@dataclass(frozen=True)
class Scale:
    """Means and spreads; what is constant has a spread of one."""

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]

    @staticmethod
    def of(samples: Sequence[tuple[NDArray[Any], Rows]]) -> Scale:
        """Return those of the last axis, over rows of arrays and everything between."""
        total = np.zeros(samples[0][0].shape[-1])
        squares, count = total.copy(), 0
        for values, rows in samples:
            for start in range(0, len(rows), PREDICTED_AT_ONCE):
                some = values[rows[start : start + PREDICTED_AT_ONCE]]
                some = some.reshape(-1, values.shape[-1]).astype(np.float64)
                total, squares = total + some.sum(0), squares + (some**2).sum(0)
                count += len(some)
        mean = total / count
        spread = np.sqrt(np.maximum(squares / count - mean**2, 0))
        constant = spread <= 1e-6 * np.maximum(np.abs(mean), 1e-12)
        spread = np.where(constant, 1, spread)
        return Scale(mean.astype(np.float32), spread.astype(np.float32))


@dataclass(frozen=True)
class Part:
    """Samples of one subject: what goes in, what should come out, and who chooses the epoch.

    Attributes
    ----------
    inputs
        (sample, ..., feature).
    responses
        float32 (sample, unit).
    train, validation
        Rows; nothing else is looked at in training.
    """

    inputs: NDArray[Any]
    responses: NDArray[np.float32]
    train: Rows
    validation: Rows

    def check(self, where: str) -> Part:
        """Return the part, if it has enough samples.

        Raises
        ------
        FornixError
            If there are too few to train on, or to choose the epoch.
        """
        if len(self.validation) >= FEWEST_VALIDATION and len(self.train):
            return self
        problem = f"{len(self.validation)} samples would choose the epoch, and "
        problem += f"{len(self.train)} train: too few"
        mend = "make fits.<name>.inner_splits smaller (2 at least), or use more samples"
        raise FornixError(problem, where=where, mend=mend)


class Learner:
    """A network, and the samples that it learns from.

    Parameters
    ----------
    network
        The network.
    parts
        One a subject.
    call
        How it is called.
    scale
        Of the inputs; None: that of all parts' training samples together.
    """

    def __init__(
        self,
        network: nn.Module,
        parts: Sequence[Part],
        call: Call | None = None,
        *,
        scale: Scale | None = None,
    ) -> None:
        self.network = network
        self.parts = list(parts)
        self.call: Call = call or (lambda net, inputs, _: net(inputs))
        self.scale = scale or Scale.of([(part.inputs, part.train) for part in parts])
        self.scales = [Scale.of([(part.responses, part.train)]) for part in parts]
        lengths = [len(part.inputs) for part in parts]
        self.first = np.concatenate([[0], np.cumsum(lengths)])

    def inputs(self, number: int, rows: Rows, device: torch.device) -> Tensor:
        """Return z-scored inputs of some samples of a part."""
        return _scaled(self.parts[number].inputs[rows], self.scale, device)

    def fit(self, section: NetworkSection, run: Run) -> Trained:
        """Train the network; it keeps the weights of the epoch that the validation samples chose.

        Raises
        ------
        FornixError
            If training diverges.
        """
        plan = section.training
        rows = tuple(
            part.train + start for part, start in zip(self.parts, self.first, strict=False)
        )
        sampler = Grouped(rows, plan.batch_size, run.seed, run.purpose)
        own = getattr(self.network, "groups", None)
        groups = list(own(plan.learning_rate)) if own is not None else None
        hooks = Hooks(validate=self._validate, groups=groups)
        return train(self.network, self._step, sampler, plan, run=run, hooks=hooks)

    def predict(self, number: int, rows: Rows, device: torch.device) -> NDArray[np.float32]:
        """Return predictions of some samples of a part, in the units of the responses."""
        return self._units(number, partial(self._told, number), rows, device)

    def _told(self, number: int, inputs: Tensor) -> Tensor:
        return self.call(self.network, inputs, number)

    def _units(
        self, number: int, tell: Callable[[Tensor], Tensor], rows: Rows, device: torch.device
    ) -> NDArray[np.float32]:
        told = self.each(number, tell, rows, device)
        scale = self.scales[number]
        return np.asarray(told * scale.spread + scale.mean, dtype=np.float32)

    def each(
        self, number: int, tell: Callable[[Tensor], Tensor], rows: Rows, device: torch.device
    ) -> NDArray[np.float32]:
        """Return what a function makes of the inputs of some samples, batch by batch."""
        self.network.eval()
        found = []
        with torch.no_grad():
            for start in range(0, len(rows), PREDICTED_AT_ONCE):
                some = rows[start : start + PREDICTED_AT_ONCE]
                found.append(tell(self.inputs(number, some, device)).float().cpu().numpy())
        return np.concatenate(found)

    def _step(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        number = int(np.searchsorted(self.first, batch.rows[0], side="right")) - 1
        part, rows = self.parts[number], batch.rows - self.first[number]
        told = self.call(network, self.inputs(number, rows, batch.device), number)
        wanted = _scaled(part.responses[rows], self.scales[number], batch.device)
        return torch.nn.functional.mse_loss(told.float(), wanted), {}

    def _validate(self, network: nn.Module) -> dict[str, float]:
        """Return the mean correlation over units (and parts), and the mean squared error."""
        device = next(network.parameters()).device
        correlations, errors = [], []
        for number, part in enumerate(self.parts):
            told = self.each(number, partial(self._told, number), part.validation, device)
            scale = self.scales[number]
            wanted = (part.responses[part.validation] - scale.mean) / scale.spread
            correlations.append(column_correlation(told, wanted).mean())
            errors.append(((told - wanted) ** 2).mean(dtype=np.float64))
        return {"r": float(np.mean(correlations)), "loss": float(np.mean(errors))}


def fit_networks(
    section: NetworkSection,
    data: EncodingData,
    context: Context,
    *,
    view: Callable[[str, NDArray[Any]], NDArray[Any]],
    build: Callable[[NDArray[Any]], nn.Module],
    scale: Scale | None = None,
) -> Predictions:
    """Train networks fold by fold and layer by layer, and predict every held-out sample.

    Parameters
    ----------
    section, data, context
        As every encoding model gets them.
    view
        Name of a layer and its features (sample, ...) -> (sample, ..., feature), as the network
        takes them; raises where it can't.
    build
        These features -> a network, drawn anew. It may have ``attend``, as
        :class:`fornix.models.attention.RegionQueries` does.
    scale
        Of the features; None: that of the training samples.
    """
    with settings(context.resources.threads):
        # All layers are looked at before the first is trained.
        views = {target: view(target, one_layer(data, target)) for target in data.targets}
        jobs_of = partial(_Jobs, section, context, build, scale)
        return _fit_views(section, data, views, jobs_of)


def _fit_views(
    section: NetworkSection,
    data: EncodingData,
    views: dict[str, NDArray[Any]],
    jobs_of: Callable[..., _Jobs],
) -> Predictions:
    found = Predictions()
    everything = np.arange(len(data.responses))
    for target, inputs in views.items():
        jobs = jobs_of(inputs, data.responses, target)
        predicted = np.full_like(data.responses, np.nan)
        maps: NDArray[np.float32] | None = None
        for number, (train_rows, test) in enumerate(data.folds):
            learners = jobs.learn(f"fold{number}", train_rows, data.inner(train_rows), found)
            each = [one.predict(0, test, jobs.device) for one in learners]
            predicted[test] = np.mean(each, axis=0, dtype=np.float64)
            if hasattr(learners[0].network, "attend") and getattr(section, "attention", True):
                attended = np.mean([_attended(one, test, jobs.device) for one in learners], axis=0)
                if maps is None:
                    maps = np.full((len(inputs), *attended.shape[1:]), np.nan, dtype=np.float32)
                maps[test] = attended
        if section.refit:
            jobs.learn("all", everything, data.inner(everything), found)
        found.predicted[target] = predicted
        if maps is not None:
            found.attention[target] = Attention(maps, *_grid(inputs))
    return found


@dataclass
class _Jobs:
    """The trainings of one layer."""

    section: NetworkSection
    context: Context
    build: Callable[[NDArray[Any]], nn.Module]
    scale: Scale | None
    inputs: NDArray[Any]
    responses: NDArray[np.float32]
    target: str

    @property
    def device(self) -> torch.device:
        return torch_device(self.context.resources, self.context.resources.devices)

    def learn(
        self, name: str, rows: Rows, inner: NDArray[np.intp], found: Predictions
    ) -> list[Learner]:
        """Train the networks of one fold; weights and logs are added to what was found."""
        learners = []
        for number in range(resamples(self.section, inner, self.context.notes)):
            purpose = ("fit", self.context.subject, self.target, name, str(number))
            with seeded(self.context.seed, "weights", *purpose):
                network = self.build(self.inputs)
            left_out = inner == number
            run = run_of(self.context, purpose)
            part = Part(self.inputs, self.responses, rows[~left_out], rows[left_out])
            learner = Learner(network, [part.check(run.where)], scale=self.scale)
            trained = learner.fit(self.section, run)
            log = trained.log.assign(target=self.target, fold=name, network=number)
            found.logs.append(log)
            if (name == "all") == self.section.refit:
                found.weights |= weights_of(learner, f"{self.target}/{name}/{number}")
            learners.append(learner)
        return learners


def resamples(section: NetworkSection, inner: NDArray[np.intp], notes: list[str]) -> int:
    """Return how many networks a fold has: no more than inner folds."""
    there = len(np.unique(inner))
    if section.resamples > there:
        note = f"{section.resamples} networks a fold were asked for; there are {there} inner folds"
        if note not in notes:
            notes.append(note)
    return min(section.resamples, there)


def run_of(context: Context, purpose: tuple[str, ...]) -> Run:
    """Return which training it is, for the loop."""
    where = f"fit of sub-{context.subject}" if context.subject else "fit of all subjects"
    return Run(purpose, context.seed, context.resources, context.scratch, f"{where}, {purpose[2]}")


def one_layer(data: EncodingData, target: str) -> NDArray[Any]:
    """Return the features of a target that is one layer."""
    (name,) = data.targets[target]
    return np.asarray(data.features[name])


def tokens(target: str, values: NDArray[Any], *, kind: str) -> NDArray[Any]:
    """Return features with their tokens, (sample, token, feature) or (sample, row, column, ...).

    Raises
    ------
    FornixError
        If the layer has one vector a stimulus, or no token.
    """
    features = target.partition("/")[0]
    if values.ndim not in (3, 4):
        problem = f"layer {target} has one vector a stimulus, and {kind} reads tokens"
        mend = f"set readouts: [tokens] in features.{features}"
        raise FornixError(problem, where=f"fits: features {features}", mend=mend)
    if not values.shape[1] or not values.shape[-2]:
        problem = f"layer {target} has no token"
        raise FornixError(problem, where=f"fits: features {features}", mend="take another layer")
    return values


def weights_of(learner: Learner, name: str) -> dict[str, NDArray[np.float32]]:
    """Return a network's weights (those that learnt), and the scales that go with them."""
    frozen = {key for key, one in learner.network.named_parameters() if not one.requires_grad}
    state = {key: one for key, one in learner.network.state_dict().items() if key not in frozen}
    found = {f"{name}/{key}": one.detach().float().cpu().numpy() for key, one in state.items()}
    scales = {"features": learner.scale}
    scales |= {f"responses{number}": one for number, one in enumerate(learner.scales)}
    for what, scale in scales.items():
        found |= {f"{name}/scale/{what}/mean": scale.mean}
        found |= {f"{name}/scale/{what}/spread": scale.spread}
    return found


def column_correlation(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """Return Pearson's r of each column; 0 where one of the two is constant."""
    a, b = (np.asarray(x, dtype=np.float64) - x.mean(0, dtype=np.float64) for x in (one, other))
    scale = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    return np.asarray(np.where(scale > 1e-12, (a * b).sum(0) / np.where(scale > 0, scale, 1), 0))


def _attended(learner: Learner, rows: Rows, device: torch.device) -> NDArray[np.float32]:
    network: Any = learner.network
    return learner.each(0, lambda inputs: network.attend(inputs)[1], rows, device)


def _grid(inputs: NDArray[Any]) -> tuple[int, int]:
    rows, columns = inputs.shape[1:3] if inputs.ndim == 4 else (1, inputs.shape[1])
    return int(rows), int(columns)


def _scaled(values: NDArray[Any], scale: Scale, device: torch.device) -> Tensor:
    mean, spread = (torch.from_numpy(one).to(device) for one in (scale.mean, scale.spread))
    return (torch.from_numpy(np.asarray(values, dtype=np.float32)).to(device) - mean) / spread
