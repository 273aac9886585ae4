"""What can be known of a model before torch is imported: is it there, and is it what it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import tiny
import torch
import transformers
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError

from fornix.errors import FornixError
from fornix.features import hub


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return a Hugging Face cache of our own, offline."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def in_cache(cache, name, make):
    """Put a model into the cache, as a download does; return its snapshot."""
    repository = cache / f"models--{name.replace('/', '--')}"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    return make(repository / "snapshots" / commit)


def test_a_model_that_is_nowhere(cache):
    with pytest.raises(FornixError) as caught:
        hub.available(tiny.section("nobody/nothing", revision="v1"))
    assert "nobody/nothing isn't here" in caught.value.problem
    assert str(cache) in caught.value.where
    assert "`hf download nobody/nothing --revision v1`" in caught.value.mend
    with pytest.raises(FornixError, match="there is no model folder"):
        hub.available(tiny.section(cache / "nowhere"))
    with pytest.raises(FornixError, match="Repo id"):
        hub.available(tiny.section("no such!name"))


def test_online_a_missing_model_is_left_to_its_job(cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.available(tiny.section("nobody/nothing"))


def test_a_model_in_the_cache_is_taken_without_a_network(cache):
    snapshot = in_cache(cache, "org/tiny", tiny.bert)
    section = tiny.section("org/tiny")
    hub.available(section)
    assert hub.locate(section) == snapshot
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(FornixError, match="org/tiny isn't here"):
        hub.available(section)
    hub.available(tiny.section("org/tiny", init="random"))


def test_a_folder_by_variable(checkpoint, monkeypatch):
    monkeypatch.setenv("MODELS", str(checkpoint("vit").parent))
    assert hub.locate(tiny.section("${MODELS}/vit")) == checkpoint("vit")


def test_pickled_weights_are_refused(checkpoint, tmp_path):
    folder = tiny.vit(tmp_path / "old")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(FornixError, match=r"only pytorch_model\.bin, which could run code") as one:
        hub.available(tiny.section(folder))
    assert "save_pretrained" in one.value.mend
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(FornixError, match="no weights as safetensors"):
        hub.locate(tiny.section(folder))
    (folder / "config.json").unlink()
    with pytest.raises(FornixError, match=r"has no config\.json"):
        hub.available(tiny.section(folder))


def test_weights_in_several_files(tmp_path):
    folder = tiny.vit(tmp_path / "large")
    whole = hub.fingerprint(tiny.section(folder))
    model = transformers.AutoModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    parts = sorted(set(json.loads((folder / hub.SHARDS).read_text())["weight_map"].values()))
    assert len(parts) > 1
    hub.available(tiny.section(folder))
    assert hub.fingerprint(tiny.section(folder)) != whole
    (folder / parts[0]).unlink()
    with pytest.raises(FornixError, match=f"lacks 1 parts of its weights: {parts[0]}"):
        hub.available(tiny.section(folder))


def test_architectures_by_name(tmp_path):
    hub.available(tiny.section("vit", init="random"))
    with pytest.raises(FornixError, match="no architecture named 'vitt'") as caught:
        hub.available(tiny.section("vitt", init="random"))
    assert "did you mean 'vit'?" in caught.value.mend
    with pytest.raises(FornixError, match="has no tokenizer"):
        hub.available(tiny.section("bert", init="random", modality="text"))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_the_fingerprint_is_that_of_the_files(tmp_path, name):
    one, other = tiny.vit(tmp_path / "one"), tiny.vit(tmp_path / "other")
    assert hub.fingerprint(tiny.section(one)) == hub.fingerprint(tiny.section(other))
    (other / "README.md").write_text("Says more.")
    assert hub.fingerprint(tiny.section(one)) == hub.fingerprint(tiny.section(other))
    (other / name).write_bytes((other / name).read_bytes() + b" ")
    assert hub.fingerprint(tiny.section(one)) != hub.fingerprint(tiny.section(other))


def test_the_fingerprint_of_a_random_init(checkpoint):
    def of(model, **settings):
        return hub.fingerprint(tiny.section(model, init="random", **settings))

    assert of("vit") == of("vit", readouts=["cls"])
    assert (
        len({of("vit"), of("vit", seed=1), of("deit"), of("vit", config={"image_size": 64})}) == 4
    )
    assert of(checkpoint("vit")) != hub.fingerprint(tiny.section(checkpoint("vit")))


def test_the_check_imports_no_heavy_library(checkpoint):
    code = f"""
import sys
from fornix.features.hub import available, fingerprint
from fornix.study.features.huggingface import HuggingFaceFeatures
for model, init in (({str(checkpoint("vit"))!r}, "pretrained"), ("vit", "random")):
    section = HuggingFaceFeatures(kind="huggingface", dataset="d", model=model, init=init)
    available(section)
    fingerprint(section)
print([name for name in ("torch", "transformers", "numpy") if name in sys.modules])
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    call = [sys.executable, "-c", code]
    done = subprocess.run(call, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


def test_a_model_that_is_not_in_the_cache_is_fetched(cache, monkeypatch, tmp_path):
    asked = []

    def fetch(name, revision, allow_patterns):
        asked.append((name, revision, allow_patterns))
        return str(tiny.vit(tmp_path / "fetched"))

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert hub.locate(tiny.section("org/tiny", revision="v1")) == tmp_path / "fetched"
    ((name, revision, patterns),) = asked
    assert (name, revision) == ("org/tiny", "v1")
    assert "model.safetensors" in patterns
    assert not any(one.endswith((".bin", ".py")) for one in patterns)
    hub.locate(tiny.section("org/tiny", init="random"))
    assert not any(one.endswith(".safetensors") for one in asked[-1][2])


def test_a_model_that_cannot_be_fetched(cache, monkeypatch):
    def refuse(*args, **kwargs):
        msg = "the hub can't be reached"
        raise LocalEntryNotFoundError(msg)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(FornixError, match=r"org/tiny can't be fetched .*: the hub"):
        hub.locate(tiny.section("org/tiny"))
