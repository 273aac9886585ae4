"""Several processes train what one does, and end together."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch
from test_loop import ROWS, X, Y, network, plan, validate, weights
from torch import nn

from fornix.errors import FornixError
from fornix.study.compute import Compute
from fornix.training.batches import Shuffled
from fornix.training.loop import train
from fornix.training.terms import Hooks, Run

TWO = Compute(devices=2, device="cpu")


class Spare(nn.Module):
    """A network with a head that no step uses: its weights must stay, decay or not."""

    def __init__(self):
        super().__init__()
        self.body, self.unused = network()[:2], nn.Linear(3, 3)
        self.head = nn.Linear(16, 3)

    def forward(self, values):
        return self.head(self.body(values))


def step(net, batch):
    return ((net(X[batch.rows]) - Y[batch.rows]) ** 2).mean(), {}


def spare():
    torch.manual_seed(0)
    return Spare()


def trained(resources, folder=None, use=step, **changes):
    net = spare()
    run = Run(("team",), 3, resources, folder, checkpoint_s=1e6, epoch_checkpoint_s=1e6)
    settings = {"batch_size": 13, "weight_decay": 0.1, "clip": 1.0} | changes
    found = train(
        net, use, Shuffled(ROWS, 13, seed=3), plan(**settings), run=run, hooks=Hooks(validate)
    )
    return net, found


def test_two_processes_train_as_one_does():
    """Batches of 13 and one row: shares of unequal size, and an empty one."""
    one, alone = trained(Compute(device="cpu"))
    two, together = trained(TWO)
    assert len(ROWS) % 13 == 1
    assert torch.allclose(weights(one), weights(two), atol=1e-5)
    assert np.allclose(alone.log["value"], together.log["value"], atol=1e-4)
    assert torch.equal(two.unused.weight, spare().unused.weight)


def test_a_network_comes_back_that_is_larger_than_a_pipe():
    net = nn.Sequential(nn.Linear(X.shape[1], 9000), nn.Linear(9000, 3))
    before = net[0].weight.detach().clone()
    run = Run(("team",), 3, TWO, None)
    train(net, step, Shuffled(ROWS, 13, seed=3), plan(epochs=1), run=run)
    assert not torch.equal(net[0].weight, before)


def test_what_goes_wrong_in_one_is_told_by_all():
    def explode(net, batch):
        loss, logged = step(net, batch)
        return (loss * float("nan") if batch.step == 5 and batch.rank == 1 else loss), logged

    with pytest.raises(FornixError, match="the loss is nan in epoch 1, step 5"):
        trained(TWO, use=explode)


def test_told_to_end_they_save_one_place_and_go_on_from_it(tmp_path):
    expected, whole = trained(TWO, epochs=60)

    def ending(net, batch):
        if batch.step == 7 and batch.rank == 0:
            os.kill(os.getppid(), signal.SIGTERM)  # the job itself, as a scheduler would
        return step(net, batch)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        trained(TWO, tmp_path, use=ending, epochs=60)
    assert end.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    (saved,) = tmp_path.iterdir()
    state = torch.load(saved, weights_only=True)["state"]
    assert 7 <= state["place"]["step"] < 240
    resumed, found = trained(TWO, tmp_path, epochs=60)
    assert torch.equal(weights(resumed), weights(expected))
    assert found.log.equals(whole.log)


def test_a_job_of_a_scheduler_starts_its_processes_itself(monkeypatch):
    for name, value in {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "a", "SLURM_PROCID": "0"}.items():
        monkeypatch.setenv(name, value)
    two, _ = trained(TWO)
    for name in ("SLURM_NTASKS", "SLURM_JOB_NAME", "SLURM_PROCID"):
        monkeypatch.delenv(name)
    assert torch.equal(weights(two), weights(trained(TWO)[0]))
