"""The one loop that trains every network.

A module of ``fornix.models`` brings a network, a step (batch -> loss and numbers to log), a sampler
of rows and, as it needs them, hooks (:mod:`fornix.training.terms`); the loop does the rest:
devices and precision (Lightning Fabric), the optimiser and its rate, checkpoints, early stopping,
the log. It is read in this order: :func:`train`, ``_Loop.run``, ``_Loop._epoch``, ``_Loop._step``.

A training that was killed goes on from its last checkpoint and ends, on a CPU, with the same bits
as one that wasn't: samplers, the learning rate and torch's random numbers are functions of the
step; weights, the optimiser's state, the log and the place are in the checkpoint.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from fornix import torchrun
from fornix.devices import seeded, settings, torch_device
from fornix.errors import FornixError
from fornix.progress import Bar
from fornix.study.base import digest_of
from fornix.training.batches import Sampler
from fornix.training.checkpoint import STOPPED, Checkpoints
from fornix.training.log import Log
from fornix.training.optimiser import make_optimizer, rate, set_rate
from fornix.training.team import agree, fabric_of, run_all, share
from fornix.training.terms import Batch, Hooks, Run, Step, Trained

if TYPE_CHECKING:
    from fornix.study.training import Training


def train(
    network: nn.Module,
    step: Step,
    sampler: Sampler,
    plan: Training,
    *,
    run: Run,
    hooks: Hooks | None = None,
) -> Trained:
    """Train a network in place.

    Parameters
    ----------
    network
        All that has weights, in one module; already initialised (see
        :func:`fornix.devices.seeded`). It stays on the device that it is trained on.
    step
        What a batch does.
    sampler
        Which rows.
    plan
        The study's settings.
    run
        Which training, and where.
    hooks
        What else.

    Raises
    ------
    FornixError
        If there is nothing to train on, or the loss or its gradient isn't finite.
    """
    if not len(sampler):
        problem = "there is no sample to train on"
        raise FornixError(problem, where=run.where, mend="hold out fewer samples")
    device, n = torch_device(run.resources, run.resources.devices), run.resources.devices
    fabric = fabric_of(device, n, plan.precision)
    forks = n > 1 and not torchrun.started()

    if forks and bool(torch.cuda.is_initialized()):  # type: ignore[no-untyped-call]
        problem = "this process uses a GPU already, and can't be split into several now"
        mend = "set compute.devices: 1; several GPUs serve jobs that train one network"
        raise FornixError(problem, where="compute.devices", mend=mend)

    def work(fabric: Fabric) -> Trained:
        return _Loop(fabric, network, step, sampler, plan, run=run, hooks=hooks or Hooks()).run()

    with (
        settings(run.resources.threads),
        # A process that has touched its GPU can't be forked.
        seeded(run.seed, "training", *run.purpose, device=device if n == 1 else None),
    ):
        return run_all(fabric, network, work)


@dataclass
class _Place:
    """How far a training is."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    ended: bool = False


@dataclass
class _Best:
    """The epoch to keep."""

    epoch: int = -1
    value: float = -math.inf
    weights: dict[str, Tensor] = field(default_factory=dict)


class _Loop:
    def __init__(
        self,
        fabric: Fabric,
        network: nn.Module,
        step: Step,
        sampler: Sampler,
        plan: Training,
        *,
        run: Run,
        hooks: Hooks,
    ) -> None:
        self.compute_step, self.sampler, self.plan = step, sampler, plan
        self.about, self.hooks, self.fabric = run, hooks, fabric
        self.network = network.to(fabric.device)
        self.learning = [one for one in network.parameters() if one.requires_grad]
        self.optimizer = make_optimizer(hooks.groups or [{"params": self.learning}], plan)
        self.total = plan.epochs * len(sampler)
        self.total = min(self.total, plan.steps or self.total)
        self.place, self.best, self.log = _Place(), _Best(), Log()
        self.loss = math.nan
        self.checkpoints = Checkpoints(
            self._file(),
            self._identity(),
            every_s=run.checkpoint_s,
            least_s=run.epoch_checkpoint_s,
            write=fabric.is_global_zero,
        )

    def run(self) -> Trained:
        self._restore()
        with self.checkpoints.watching(), Bar(self._name(), self.total) as bar:
            bar.begin(self.place.step)
            if not self.place.step:
                self._snapshot()
            while not self.place.ended:
                self._epoch(bar)
        self.checkpoints.stop_if_asked()  # in the last validation, say
        if self.hooks.validate is not None:
            self.network.load_state_dict(self.best.weights)
        self.network.eval()
        kept = self.best.epoch if self.hooks.validate else self.place.epoch - 1
        return Trained(self.log.table(), self.place.step, self.place.epoch, kept)

    def _epoch(self, bar: Bar) -> None:
        place = self.place
        self.network.train()
        for rows in self.sampler.batches(place.epoch)[place.batch :]:
            if place.step >= self.total:
                break
            self._step(rows)
            if self.fabric.is_global_zero:
                bar.what = self._name()
                bar.advance(1)
            if self.checkpoints.due():
                self._save()
        self.log.flush(place.step, place.epoch)
        self._judge()
        place.epoch, place.batch = place.epoch + 1, 0
        patience = self.plan.patience or math.inf
        waited = place.epoch - 1 - self.best.epoch if self.hooks.validate else 0
        place.ended = place.step >= self.total or waited >= patience
        if place.ended or self.checkpoints.due(epoch_ended=True):
            self._save()

    def _step(self, rows: NDArray[np.intp]) -> None:
        place, hooks, about = self.place, self.hooks, self.about
        set_rate(self.optimizer, rate(self.plan, place.step, self.total))
        if hooks.before_step is not None:
            hooks.before_step(self.optimizer, place.step)
        mine, rank = share(rows, self.fabric), self.fabric.global_rank
        batch = Batch(
            mine, place.epoch, place.step, self.fabric.device, about.seed, about.purpose, rank
        )
        torch.manual_seed(int(batch.rng().integers(2**63)))
        self.optimizer.zero_grad()
        loss, logged = self._forward_and_back(batch, len(mine) / len(rows))
        agreed = agree(self.fabric, self.learning, loss, stop=self.checkpoints.asked_to_stop)
        self.checkpoints.stop = agreed.stop
        self._must_be_finite("loss", agreed.loss)
        if self.plan.clip is not None:
            norm = nn.utils.clip_grad_norm_(self.learning, self.plan.clip)
            self._must_be_finite("gradient's norm", norm.item())
        self.optimizer.step()
        place.step, place.batch = place.step + 1, place.batch + 1
        if hooks.after_step is not None:
            with torch.no_grad():
                hooks.after_step(self.network, place.step)
        self.loss = agreed.loss
        numbers = {k: v.item() if isinstance(v, Tensor) else v for k, v in logged.items()}
        self.log.count({"loss": self.loss} | numbers)
        if about.log_every and place.step % about.log_every == 0:
            self.log.flush(place.step, place.epoch)
        self._snapshot()

    def _forward_and_back(
        self, batch: Batch, weight: float
    ) -> tuple[Tensor | None, Mapping[str, Tensor | float]]:
        """Compute the gradient of this process' share of a batch, which may be empty."""
        if not len(batch.rows):
            return None, {}
        with self.fabric.autocast():
            mean, logged = self.compute_step(self.network, batch)
        loss = mean * weight
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), logged

    def _judge(self) -> None:
        """Validate, and keep the weights if they are the best so far."""
        if self.hooks.validate is None:
            return
        self.network.eval()
        with torch.no_grad(), self.fabric.autocast():
            found = self.hooks.validate(self.network)
        self.log.add(self.place.step, self.place.epoch, "validation", found)
        value = float(found[self.hooks.monitor]) * (1 if self.hooks.higher else -1)
        # What can't be judged (a constant prediction has no correlation) is the worst.
        if self.best.epoch < 0 or value > self.best.value:
            worth = -math.inf if math.isnan(value) else value
            weights = {k: v.detach().cpu().clone() for k, v in self.network.state_dict().items()}
            self.best = _Best(self.place.epoch, worth, weights)

    def _snapshot(self) -> None:
        wanted = self.place.step in self.hooks.snapshots and self.fabric.is_global_zero
        if self.hooks.snapshot is not None and wanted:
            training = self.network.training
            self.network.eval()
            with torch.no_grad():
                self.hooks.snapshot(self.place.step, self.network)
            self.network.train(training)

    def _must_be_finite(self, what: str, value: float) -> None:
        if math.isfinite(value):
            return
        place = self.place
        problem = f"the {what} is {value} in epoch {place.epoch}, step {place.step}"
        mend = "lower training.learning_rate or set training.clip; look for extreme features"
        raise FornixError(problem, where=self.about.where, mend=mend)

    def _name(self) -> str:
        about = " ".join(self.about.purpose)
        return f"{about}, epoch {self.place.epoch + 1}, loss {self.loss:.4g}: steps"

    def _file(self) -> Path | None:
        folder = self.about.scratch
        return folder and folder / f"{digest_of(list(self.about.purpose))}.pt"

    def _identity(self) -> str:
        shapes = [[name, list(one.shape)] for name, one in self.network.state_dict().items()]
        first = [rows.tolist() for rows in self.sampler.batches(0)]
        plan, seed = self.plan.identity(), self.about.seed
        return digest_of([shapes, first, plan, seed, list(self.about.purpose)], length=32)

    def _save(self) -> None:
        """Save all that decides what follows; then end, if the job was told to."""
        place, best = self.place, self.best
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "place": vars(place).copy(),
            "best": vars(best).copy(),
            "log": self.log.state(),
        }
        self.checkpoints.save(state)
        if self.checkpoints.stop:
            raise SystemExit(STOPPED)

    def _restore(self) -> None:
        state = self.checkpoints.load() if self.fabric.is_global_zero else None
        state = self.fabric.broadcast(state)  # the others may see other files, or see them late
        if state is None:
            return
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.place, self.best = _Place(**state["place"]), _Best(**state["best"])
        self.log.restore(state["log"])
        if self.fabric.is_global_zero:
            name, step = " ".join(self.about.purpose), self.place.step
            print(f"{name}: goes on from step {step} of {self.total}", file=sys.stderr, flush=True)
