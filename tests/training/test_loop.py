"""The training loop: resumed = uninterrupted, the best epoch kept, one clear error."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

from fornix.devices import seeded
from fornix.errors import FornixError
from fornix.study.compute import Compute
from fornix.study.training import Training
from fornix.training.batches import Grouped, Shuffled
from fornix.training.loop import train
from fornix.training.terms import Hooks, Run

RNG = np.random.default_rng(0)
X = torch.from_numpy(RNG.normal(size=(60, 8)).astype(np.float32))
Y = X @ torch.from_numpy(RNG.normal(size=(8, 3)).astype(np.float32))
ROWS = np.arange(40)
TEST = np.arange(40, 60)


def network():
    with seeded(0, "weights"):
        return nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Dropout(0.2), nn.Linear(16, 3))


def step(net, batch):
    noise = torch.from_numpy(batch.rng().normal(size=(len(batch.rows), 8)).astype(np.float32))
    told = net(X[batch.rows] + 0.01 * noise)
    return ((told - Y[batch.rows]) ** 2).mean(), {"spread": told.std()}


def validate(net):
    return {"r": -float(((net(X[TEST]) - Y[TEST]) ** 2).mean())}


def plan(**changes):
    return Training(**({"epochs": 6, "batch_size": 8, "learning_rate": 0.01} | changes))


def run(folder=None, **changes):
    settings = {"checkpoint_s": 0.0, "epoch_checkpoint_s": 0.0} | changes
    return Run(("test",), 3, Compute(), folder, **settings)


def weights(net):
    return torch.cat([one.detach().ravel() for one in net.state_dict().values()])


def trained(folder=None, *, hooks=None, use=step, about=None, **changes):
    net = network()
    sampler = Shuffled(ROWS, 8, seed=3)
    hooks = Hooks(validate=validate) if hooks is None else hooks
    found = train(net, use, sampler, plan(**changes), run=about or run(folder), hooks=hooks)
    return net, found


class KilledError(Exception):
    """Stands for the machine's end."""


def killed_at(n, how):
    """Return a step that ends the process, in a way, when it is called for the n-th time."""
    calls = 0

    def dying(net, batch):
        nonlocal calls
        calls += 1
        if calls == n:
            how()
        return step(net, batch)

    return dying


def crash():
    raise KilledError


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("at", [1, 3, 5, 6, 13, 30])
def test_a_killed_training_ends_with_the_same_bits(tmp_path, at):
    """In mid-epoch, at its end and in the first step; dropout and augmentation go on as well."""
    whole, expected = trained(schedule="cosine", warmup=0.1, clip=1.0)
    with pytest.raises(KilledError):
        trained(tmp_path, use=killed_at(at, crash), schedule="cosine", warmup=0.1, clip=1.0)
    calls = []

    def counted(net, batch):
        calls.append(batch.step)
        return step(net, batch)

    resumed, found = trained(tmp_path, use=counted, schedule="cosine", warmup=0.1, clip=1.0)
    assert torch.equal(weights(whole), weights(resumed))
    assert found.log.equals(expected.log)
    assert found.kept_epoch == expected.kept_epoch
    assert calls == list(range(at - 1, 30))  # nothing is done twice


def test_sigterm_saves_the_place_and_ends(tmp_path):
    whole, expected = trained()
    slow = run(tmp_path, checkpoint_s=1e6, epoch_checkpoint_s=1e6)  # SIGTERM alone saves
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        trained(use=killed_at(8, terminate), about=slow)
    assert end.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    resumed, found = trained(about=slow)
    assert torch.equal(weights(whole), weights(resumed))
    assert found.log.equals(expected.log)


def test_a_finished_training_is_not_done_again(tmp_path):
    whole, expected = trained(tmp_path)
    again, found = trained(tmp_path, use=killed_at(1, crash))
    assert torch.equal(weights(whole), weights(again))
    assert found.log.equals(expected.log)


@pytest.mark.parametrize("change", [{"learning_rate": 0.02}, {"batch_size": 4}, {"epochs": 3}])
def test_another_trainings_checkpoint_is_left_unread(tmp_path, change):
    trained(tmp_path)
    other, _ = trained(tmp_path, **change)
    fresh, _ = trained(**change)
    assert torch.equal(weights(other), weights(fresh))


def test_a_damaged_checkpoint_is_told_of_and_left(tmp_path, capsys):
    whole, _ = trained(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:200])
    again, _ = trained(tmp_path)
    assert torch.equal(weights(whole), weights(again))
    assert "unreadable" in capsys.readouterr().err


def test_the_best_epoch_is_kept_and_patience_ends_training():
    values = iter([0.1, 0.5, float("nan"), 0.4, 0.3, 0.9])
    seen = []

    def judge(net):
        seen.append(weights(net).clone())
        return {"r": next(values)}

    net, found = trained(hooks=Hooks(validate=judge), patience=3)
    assert found.kept_epoch == 1
    assert found.epochs == 5
    assert torch.equal(weights(net), seen[1])


def test_an_undefined_first_validation_gives_way_to_any_other():
    values = iter([float("nan"), -3.0, float("nan")])
    _, found = trained(hooks=Hooks(validate=lambda _: {"r": next(values)}), epochs=3)
    assert found.kept_epoch == 1


def test_lower_can_be_better():
    values = iter([3.0, 1.0, 2.0])
    hooks = Hooks(validate=lambda _: {"loss": next(values)}, monitor="loss", higher=False)
    assert trained(hooks=hooks, epochs=3)[1].kept_epoch == 1


def test_it_learns_and_says_so():
    _, found = trained(epochs=40)
    log = found.log
    assert list(log.columns) == ["step", "epoch", "split", "name", "value"]
    losses = log.query("split == 'train' and name == 'loss'")["value"].to_numpy()
    assert losses[-1] < losses[0] / 3
    assert set(log["name"]) == {"loss", "spread", "r"}
    assert len(log.query("split == 'validation'")) == 40


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_one_clear_error(bad):
    def explode(net, batch):
        loss, logged = step(net, batch)
        return (loss * bad if batch.step == 7 else loss), logged

    with pytest.raises(FornixError, match=r"the loss is (nan|inf) in epoch 1, step 7"):
        trained(use=explode)


def test_snapshots_are_taken_at_their_steps_and_hooks_change_the_network(tmp_path):
    shots = {}

    def shot(steps, net):
        assert not net.training
        shots[steps] = weights(net).clone()

    hooks = Hooks(snapshots=(0, 7, 18), snapshot=shot)
    net, found = trained(hooks=hooks, steps=18)
    assert list(shots) == [0, 7, 18]
    assert torch.equal(shots[0], weights(network()))
    assert torch.equal(shots[18], weights(net))
    assert (found.steps, found.epochs) == (18, 4)

    def halve(net, steps):
        net[3].bias *= 0.5

    moved, _ = trained(hooks=Hooks(after_step=halve), steps=18)
    assert not torch.equal(weights(moved), weights(net))


def test_groups_have_rates_of_their_own():
    net = network()
    groups = [{"params": net[0].parameters(), "lr": 0.0}, {"params": net[3].parameters()}]
    first, last = net[0].weight.clone(), net[3].weight.clone()
    train(net, step, Shuffled(ROWS, 8), plan(), run=run(), hooks=Hooks(groups=groups))
    assert torch.equal(net[0].weight, first)
    assert not torch.equal(net[3].weight, last)


def test_threads_of_the_process_change_nothing():
    """The loop takes its threads from the study, whatever it finds."""
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(weights(trained()[0]))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


def test_the_global_random_state_is_left_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    trained()
    assert torch.equal(torch.rand(3), expected)


def test_nothing_to_train_on_is_said():
    with pytest.raises(FornixError, match="no sample to train on"):
        train(network(), step, Shuffled(ROWS[:0], 8), plan(), run=run())


def test_samplers_show_every_row_once_an_epoch():
    sampler = Shuffled(ROWS, 12, seed=1)
    one, two = sampler.batches(0), sampler.batches(1)
    assert [len(rows) for rows in one] == [12, 12, 12, 4]
    assert sorted(np.concatenate(one)) == list(ROWS)
    assert not np.array_equal(np.concatenate(one), np.concatenate(two))
    assert all(map(np.array_equal, one, Shuffled(ROWS, 12, seed=1).batches(0)))
    assert [len(rows) for rows in Shuffled(ROWS, 12, drop_last=True).batches(0)] == [12] * 3
    assert len(Shuffled(ROWS[:5], 12, drop_last=True).batches(0)) == 1


def test_grouped_batches_never_mix():
    groups = (np.arange(10), np.arange(10, 33))
    batches = Grouped(groups, 4, seed=2).batches(3)
    assert len(batches) == len(Grouped(groups, 4)) == 3 + 6
    assert sorted(np.concatenate(batches)) == list(range(33))
    assert all((rows < 10).all() or (rows >= 10).all() for rows in batches)
