"""Self-distillation learns what pictures have in common, and says so when it doesn't."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fornix.models import dino
from fornix.seeds import generator
from fornix.stages.tasks import pretraining
from fornix.study.compute import Compute
from fornix.study.fits.dino import DinoFit
from fornix.training import checkpoint, watch
from fornix.training.terms import Run

TINY = {"image_size": 16, "patch_size": 4, "width": 32, "depth": 2, "heads": 2}
HEAD = {"prototypes": 64, "head_width": 64, "bottleneck": 32, "momentum": 0.95}
CROPS = {"n_local": 2, "local_scale": (0.3, 0.6), "global_scale": (0.5, 1.0), "blur": False}
COLOURS = {"jitter": (0.4, 0.4, 0.4, 0.2), "grey": 0.3, "solarize": 0.0}


def section(steps, **settings):
    plan = {"steps": steps, "batch_size": 32, "learning_rate": 3e-3}
    plan |= settings.pop("training", {})
    given = {**TINY, **HEAD, "crops": CROPS | COLOURS, **settings}
    return DinoFit(kind="dino", dataset="d", training=plan, **given)


def textures(n, side=16, seed=0):
    """Return bars, columns, checks and grids at any phase, spacing and in any two colours."""
    rng = generator(seed, "textures")
    rows, columns = np.mgrid[:side, :side]
    pictures, kinds = [], np.arange(n) % 4
    for kind in kinds:
        phases, step = rng.uniform(0, 2 * np.pi, 2), 2 * np.pi / rng.uniform(4, 6)
        across, along = np.sin(step * columns + phases[0]), np.sin(step * rows + phases[1])
        wave = (across, along, across * along, np.maximum(across, along))[kind]
        colours = rng.uniform(0, 255, (2, 3))
        mixed = np.where((wave > 0)[..., None], *colours) + rng.normal(0, 10, (side, side, 3))
        pictures.append(mixed.clip(0, 255).astype(np.uint8).transpose(2, 0, 1))
    return torch.from_numpy(np.stack(pictures)), torch.from_numpy(kinds)


def run(one, pixels, folder, *, scratch=None, labels=None, every_s=60.0):
    about = Run(("dino",), 0, Compute(device="cpu"), scratch, checkpoint_s=every_s)
    return pretraining.pretrain(one, pixels, folder, about, labels)


def watched(log, name):
    rows = log[(log["split"] == "checkpoint") & (log["name"] == name)]
    return rows.set_index("step")["value"]


def test_it_learns_kinds_of_pictures_that_its_untrained_twin_cannot_tell(tmp_path):
    pixels, kinds = textures(512)
    log = run(section(300, teacher_temperature=(0.01, 0.01)), pixels, tmp_path, labels=kinds)
    found = watched(log, "neighbours")
    # Two accuracies over 512 pictures differ by 0.09 at three standard errors.
    assert found[300] > found[0] + 0.09
    assert found[300] > 0.25 + 0.15
    assert watched(log, "dimensions")[300] > watched(log, "dimensions")[0]
    assert watch.collapse(watched(log, "spread")[300], None, 64) is None


def test_a_checkpoint_is_the_teacher_as_transformers_reads_it(tmp_path):
    from transformers import AutoImageProcessor, AutoModel

    pixels, _ = textures(32)
    run(section(2, checkpoints=[1]), pixels, tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["0", "1", "2"]
    models = [AutoModel.from_pretrained(tmp_path / name).eval() for name in "012"]
    assert type(models[0]).__name__ == "DINOv3ViTModel"
    weights = [torch.cat([p.detach().flatten() for p in one.parameters()]) for one in models]
    # The teacher follows slowly: it has moved, a little more each time.
    moved = [float((one - weights[0]).norm()) for one in weights[1:]]
    assert 0 < moved[0] < moved[1]
    processor = AutoImageProcessor.from_pretrained(tmp_path / "2", backend="pil")
    picture = pixels[0].permute(1, 2, 0).numpy()
    given = processor(images=[picture], return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(given[0], pixels[0] / 127.5 - 1, atol=1e-5, rtol=0)


def test_the_same_seed_gives_the_same_bytes_and_another_doesnt(tmp_path):
    pixels, _ = textures(64)
    one = section(3)
    for name in ("first", "second"):
        run(one, pixels, tmp_path / name)
    files = [tmp_path / name / "3" / "model.safetensors" for name in ("first", "second")]
    assert files[0].read_bytes() == files[1].read_bytes()
    about = Run(("dino",), 1, Compute(device="cpu"))
    pretraining.pretrain(one, pixels, tmp_path / "third", about)
    assert files[0].read_bytes() != (tmp_path / "third/3/model.safetensors").read_bytes()


class Killed(Exception):  # noqa: N818 - not an error of ours
    pass


def test_resumed_is_uninterrupted_bit_for_bit(tmp_path, monkeypatch):
    pixels, kinds = textures(64)
    one = section(7, checkpoints=[2, 5])
    whole = run(one, pixels, tmp_path / "whole", labels=kinds)
    follow, done = dino.Distillation.follow, []

    def broken(self, share):
        done.append(share)
        if len(done) == 5:
            raise Killed
        follow(self, share)

    with monkeypatch.context() as patch:
        patch.setattr(dino.Distillation, "follow", broken)
        with pytest.raises(Killed):
            run(one, pixels, tmp_path / "cut", scratch=tmp_path / "s", labels=kinds, every_s=0)
    steps, load = [], checkpoint.Checkpoints.load

    def noted(self):
        found = load(self)
        steps.append(found["place"]["step"])
        return found

    monkeypatch.setattr(checkpoint.Checkpoints, "load", noted)
    again = run(one, pixels, tmp_path / "cut", scratch=tmp_path / "s", labels=kinds, every_s=0)
    assert steps == [4]
    for at in (0, 2, 5, 7):
        files = [tmp_path / name / str(at) / "model.safetensors" for name in ("whole", "cut")]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert again.equals(whole)


def test_without_centring_and_sharpening_it_collapses_and_says_so(tmp_path):
    pixels, _ = textures(256)
    soft = {"student_temperature": 1.0, "teacher_temperature": (1.0, 1.0)}
    one = section(60, koleo=0.0, centring="mean", centre_momentum=1.0, **soft)
    log = run(one, pixels, tmp_path)
    entropy = log.loc[log["name"] == "entropy", "value"].iloc[-1]
    assert entropy > 0.98 * math.log(64)
    assert "nothing is learnt" in watch.collapse(watched(log, "spread")[60], entropy, 64)


def test_collapse_to_one_point_is_seen():
    tokens = torch.ones(100, 8) + 1e-4 * torch.randn(100, 8, generator=torch.manual_seed(0))
    assert "collapsed" in watch.collapse(watch.spread(tokens), 1.0, 64)
    around = torch.randn(4000, 8, generator=torch.manual_seed(0))
    assert watch.spread(around) == pytest.approx(1, abs=0.01)
    # Marchenko-Pastur: a sample of n has a participation ratio of d / (1 + d / n).
    assert watch.dimensions(around) == pytest.approx(8, rel=0.02)


def test_neighbours_agree_with_scikit_learn():
    from sklearn.neighbors import KNeighborsClassifier

    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    tokens = rng.normal(size=(120, 6)) + 0.9 * np.eye(3, 6)[labels]
    unit = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
    votes = []
    for i in range(120):
        rest = np.arange(120) != i
        model = KNeighborsClassifier(10).fit(unit[rest], labels[rest])
        shares = model.predict_proba(unit[i : i + 1])[0]
        votes.append((shares[labels[i]] == shares.max(), (shares == shares.max()).sum() > 1))
    right, tied = np.array(votes).T
    found = watch.neighbours(torch.from_numpy(tokens), torch.from_numpy(labels))
    # Ties are broken another way there.
    assert (right & ~tied).mean() <= found <= right.mean()


def test_the_loss_is_the_cross_entropy_of_every_pair_of_views(tmp_path):
    torch.manual_seed(0)
    one = section(10, koleo=0.0, centring="mean")
    network = dino.Distillation(one)
    views = [torch.randn(5, 3, side, side) for side in (16, 16, 8)]
    with torch.no_grad():
        loss, told = network(views, 0.0)
        taught = [(network.teacher(view) / 0.04).softmax(1) for view in views[:2]]
        answers = [(network.student(view) / 0.1).log_softmax(1) for view in views]
    pairs = [(t, s) for t in range(2) for s in range(3) if t != s]
    expected = np.mean([-(taught[t] * answers[s]).sum(1).mean().item() for t, s in pairs])
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    means = [network.teacher(view).mean(0) for view in views[:2]]
    torch.testing.assert_close(network.centre, 0.1 * (means[0] + means[1]) / 2)
    assert float(told["entropy_of_mean"]) >= float(told["entropy"])


def test_sinkhorn_uses_every_prototype_alike():
    scores = torch.randn(64, 16, generator=torch.manual_seed(0)) * 5
    found = dino.sinkhorn(scores, rounds=50).exp()
    torch.testing.assert_close(found.sum(1), torch.ones(64))
    torch.testing.assert_close(found.sum(0), torch.full((16,), 4.0), rtol=1e-3, atol=1e-3)


def test_koleo_is_small_where_tokens_are_apart():
    near = torch.nn.functional.normalize(torch.eye(4) + 1.0)
    assert dino.koleo(torch.eye(4)) < dino.koleo(near)
    assert float(dino.koleo(torch.eye(4))) == pytest.approx(-math.log(math.sqrt(2)), abs=1e-6)


def test_prototypes_are_held_at_first():
    network = dino.Distillation(section(10, freeze=0.5))
    optimizer = torch.optim.AdamW(network.groups(1e-3), lr=1e-3)
    network.hold(optimizer, 0.4)
    assert [group["lr"] for group in optimizer.param_groups] == [1e-3, 1e-3, 0.0]
    held = optimizer.param_groups[-1]["params"]
    assert [tuple(one.shape) for one in held] == [(64, 32)]
