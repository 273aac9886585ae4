"""``fornix new``: what it writes runs as it is."""

from __future__ import annotations

import jsonschema
import pytest
import yaml

from fornix.errors import FornixError
from fornix.study.load import load_study
from fornix.study.schema import schema
from fornix.study.starter import write_starter


def test_the_starter_is_a_study_that_runs_anywhere(tmp_path):
    path = write_starter("my_study", tmp_path / "config" / "studies")
    assert path == tmp_path / "config" / "studies" / "my_study.yaml"
    study = load_study(path)
    assert study.name == "my_study"
    assert {dataset.source for dataset in study.datasets.values()} == {"simulate"}
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), schema())


def test_the_starter_says_what_to_type(tmp_path):
    path = write_starter("my_study", tmp_path)
    text = path.read_text(encoding="utf-8")
    assert f"fornix check {path}" in text
    assert f"snakemake --cores 2 --configfile {path}" in text
    assert "path: /data/my_bids_dataset     # ${VARIABLES} are expanded" in text
    assert "{name}" not in text
    assert "{{" not in text


def test_the_starter_has_a_control_and_claims_about_both(tmp_path):
    study = load_study(write_starter("my_study", tmp_path))
    assert study.fits["control"].shuffle
    assert {claim.scores.fit for claim in study.claims} == {"encoding", "control"}


def test_the_examples_in_its_comments_are_right(tmp_path):
    """What is commented out works when the marks are taken away."""
    path = write_starter("my_study", tmp_path)
    text = path.read_text(encoding="utf-8")
    head, _, tail = text.partition("#  vit:\n")
    vit, _, rest = tail.partition("\n\n")
    body = "\n".join(line.removeprefix("#") for line in vit.splitlines())
    path.write_text(f"{head}  vit:\n{body}\n\n{rest}", encoding="utf-8")
    assert load_study(path).features["vit"].readouts == ["cls"]
    comments = [line.removeprefix("#     ") for line in text.splitlines()]
    local = comments[comments.index("source: local") :][:3]
    remote = comments[comments.index("source: openneuro") :][:4]
    for number, lines in enumerate((local, remote)):
        raw = yaml.safe_load(text)
        raw["datasets"]["data"] = yaml.safe_load("\n".join(lines))
        other = tmp_path / f"other{number}.yaml"
        other.write_text(yaml.safe_dump(raw), encoding="utf-8")
        assert load_study(other).datasets["data"].source in ("local", "openneuro")


@pytest.mark.parametrize("name", ["my-study", "7days", "", "a b", "../up", "étude", "x\n"])
def test_a_name_that_no_study_can_have_is_refused(tmp_path, name):
    with pytest.raises(FornixError, match="can't name a study"):
        write_starter(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_study_is_never_overwritten(tmp_path):
    path = write_starter("my_study", tmp_path)
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(FornixError, match="there already"):
        write_starter("my_study", tmp_path)
    assert path.read_text(encoding="utf-8") == "mine"
