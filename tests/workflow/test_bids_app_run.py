"""A BIDS App, installed as a wheel would install it, called from anywhere; and what it writes
down holds nothing secret."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

PROJECT = Path(__file__).parents[2]
SECRETS = {
    "HF_TOKEN": "hf_Zq7secretSecretsecret",
    "AWS_SECRET_ACCESS_KEY": "wJalrSecretSecret/EXAMPLEKEY",
    "OPENNEURO_API_KEY": "eyJsecret.Secret.secret",
    "DB_URL": "postgres://me:hunter2secret@db/brains",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory, project_factory):
    """Return a folder with a dataset, a study, and a Fornix installed beside them."""
    root = tmp_path_factory.mktemp("app")
    for name in ("project", "site"):
        (root / name).mkdir()
    project = project_factory(root / "project")
    shutil.move(project.root / "data/shapes", root / "data")
    shutil.move(project.file, root / "small.yaml")
    shutil.move(project.root / "src/fornix", root / "site/fornix")
    shutil.rmtree(project.root)
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    for source, target in settings["targets"]["wheel"]["force-include"].items():
        path = root / "site" / target
        path.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (PROJECT / source).is_dir() else shutil.copy2
        copy(PROJECT / source, path)
    return root


def call(place, level, *words, data="data"):
    line = [sys.executable, "-m", "fornix", data, "out", level, "--study", "small.yaml"]
    environment = {**os.environ, **SECRETS, "PYTHONPATH": str(place / "site")}
    done = subprocess.run(
        [*line, "--nprocs", "2", *words],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def stamps(place, pattern):
    return {path: path.stat().st_mtime_ns for path in place.glob(pattern)}


@pytest.fixture(scope="module")
def after_participant(place):
    """Work on one participant; return what is there then, with its times."""
    call(place, "participant", "--participant-label", "sub-01", "--mem-mb", "8000")
    return stamps(place, "work/cache/*/*/**/manifest.json")


@pytest.fixture(scope="module")
def of_group(place, after_participant):
    """Run the group after that; return what it said."""
    return call(place, "group").stdout.splitlines()


def test_a_participant_is_worked_on_alone(place, after_participant):
    names = {path.relative_to(place / "work/cache").parts[0] for path in after_participant}
    assert names == {"ingest", "responses", "features", "fits"}
    assert {path.parent.name for path in after_participant if "fits" in path.parts} == {"sub-01"}
    about = json.loads((place / "out/dataset_description.json").read_text())
    assert (about["DatasetType"], about["GeneratedBy"][0]["Name"]) == ("derivative", "Fornix")


def test_the_group_takes_over_what_participants_have_made(place, after_participant, of_group):
    assert of_group[-1] == f"report: {place / 'out/small/report.html'}"
    shown = {path.name for path in (place / "out/small").iterdir()}
    assert {"report.html", "scores.csv", "claims.json"} <= shown
    now = stamps(place, "work/cache/*/*/**/manifest.json")
    assert after_participant.items() <= now.items()


def test_a_dataset_that_was_moved_makes_nothing_anew(place, of_group):
    (place / "data").rename(place / "moved")
    try:
        done = call(place, "group", "--dry-run", data="moved")
    finally:
        (place / "moved").rename(place / "data")
    assert "Nothing to be done" in done.stdout + done.stderr


@pytest.mark.parametrize("name", SECRETS)
def test_nothing_that_was_written_holds_a_secret_of_the_environment(place, of_group, name):
    files = [path for folder in ("work", "out") for path in (place / folder).rglob("*")]
    texts = {path: path.read_bytes() for path in files if path.is_file()}
    assert {".log", ".json", ".html", ".csv", ".yaml"} <= {path.suffix for path in texts}
    assert not [path for path, text in texts.items() if SECRETS[name].encode() in text]
