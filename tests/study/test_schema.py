"""The JSON schema for editors: current, valid, and of one mind with the reader of studies."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from fornix.errors import FornixError
from fornix.study.load import parse_study
from fornix.study.schema import SCHEMA_FILE, schema, write_schema

PROJECT = Path(__file__).parents[2]
STUDIES = sorted((PROJECT / "config" / "studies").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


def test_the_schema_in_the_project_is_current():
    text = (PROJECT / SCHEMA_FILE).read_text(encoding="utf-8")
    assert json.loads(text) == schema(), "run `fornix schema`"
    assert not write_schema(PROJECT / SCHEMA_FILE, dry=True)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_studies_of_the_project_agree_with_the_schema(validator, path):
    text = path.read_text(encoding="utf-8")
    validator.validate(yaml.safe_load(text))
    first = text.splitlines()[0]
    assert first == f"# yaml-language-server: $schema=../../{SCHEMA_FILE.as_posix()}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "feature: {}\n"),
        ("", "seed: -1\n"),
        ("", "report: {figures: 3}\n"),
        ("name: small\n", ""),
        ("name: small", "name: my-study"),
        ("source: local", "source: lokal"),
        ("source: local, ", ""),
        ("kind: gabor", "kind: gabor, grid: 0"),
        ("kind: gabor", "kind: gabor, layers: 3"),
        ("kind: ridge", "kind: ridge, cv: {n_splits: 1}"),
        ("[gabor]", "[]"),
        ("kind: fmri", "kind: fmri, samples: {methd: lss}"),
    ],
)
def test_editor_and_reader_refuse_the_same(validator, small, old, new):
    raw = yaml.safe_load(small.replace(old, new) if old else small + new)
    assert not validator.is_valid(raw)
    with pytest.raises(FornixError):
        parse_study(raw)


def test_editors_can_show_what_every_setting_means():
    found = schema()
    for name, part in found["$defs"].items():
        for key, value in part["properties"].items():
            assert "description" in value, f"{name}.{key}"
    assert set(found["required"]) == {"name", "datasets", "responses", "fits"}


def test_the_file_is_written_only_when_it_differs(tmp_path):
    path = tmp_path / "schemas" / "study.schema.json"
    assert write_schema(path, dry=True)
    assert not path.exists()
    assert write_schema(path)
    before = path.stat().st_mtime_ns
    assert not write_schema(path)
    assert path.stat().st_mtime_ns == before
    path.write_text("{}", encoding="utf-8")
    assert write_schema(path, dry=True)
    assert path.read_text(encoding="utf-8") == "{}"
