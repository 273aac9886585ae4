"""The stage writes everything that a study ends in, once."""

from __future__ import annotations

import pandas as pd

from fornix.evaluation.table import COLUMNS
from fornix.stages import report
from fornix.store import Target, open_artifact
from fornix.study.compute import Compute


def run(tmp_path, inputs, section):
    (tmp_path / "study.yaml").write_text("name: fake\n")
    everything = {**inputs, "study": tmp_path / "study.yaml"}
    report.run(section, everything, Target(tmp_path / "report"), Compute())
    return open_artifact(tmp_path / "report")


def test_the_parts_are_there_and_agree(tmp_path, inputs, study_of):
    artifact = run(tmp_path, inputs, study_of())
    table = pd.read_parquet(artifact.part("scores.parquet"))
    text = pd.read_csv(artifact.part("scores.csv"), dtype={"subject": str})
    assert list(table.columns) == list(text.columns) == list(COLUMNS)
    assert len(table) == len(text) == artifact.manifest["notes"]["n_scores"]
    verdicts = [claim["verdict"] for claim in artifact.json("claims.json")]
    assert verdicts == ["supported", "not supported", "not testable here"]
    assert artifact.part("study.yaml").read_text() == "name: fake\n"
    figures = sorted(path.name for path in artifact.part("figures").iterdir())
    assert "encoding-1-regions-under-the-ceiling.svg" in figures
    assert artifact.part("report.html").read_text().startswith("<!DOCTYPE html>")


def test_the_same_scores_make_no_new_page(tmp_path, inputs, study_of):
    first = run(tmp_path, inputs, study_of()).manifest
    assert run(tmp_path, inputs, study_of()).manifest == first
    assert run(tmp_path, inputs, study_of(title="Another")).manifest != first
