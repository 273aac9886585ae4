"""A fit of all subjects through Snakemake: one job, scores of everybody, one page."""

from __future__ import annotations

import pandas as pd
import pytest

pytestmark = pytest.mark.long

TRUNK = {
    "kind": "shared_trunk", "responses": "betas", "features": ["gabor"], "width": 16,
    "inner_splits": 3, "cv": {"n_splits": 3}, "training": {"epochs": 3},
}  # fmt: skip


def test_one_job_fits_all_subjects_and_everybody_is_scored(finished, tmp_path):
    project = finished.begun(tmp_path / "project", "fits", "scores", "reports")
    project.write({**finished.raw, "fits": {"together": TRUNK}, "claims": []})
    project.snakemake()
    made = [path.parent for path in (project.root / "cache/fits").rglob("manifest.json")]
    assert [path.parent.name for path in made] == ["fits"]
    scores = pd.read_parquet(project.root / "results/small/scores.parquet")
    assert set(scores["subject"]) == {"01", "02"}
    assert set(scores["unit"]) >= {"V1", "control"}
    assert project.plan() == {}
    page = (project.root / "results/small/report.html").read_text()
    assert "hared trunk with a head a subject" in page
    assert "<b>Training.</b>" in page
    wrong = project.fornix("fit", "small.yaml", "together", "--subject", "01", check=False)
    assert wrong.returncode == 2
    assert "fit together has no job for subject 01" in wrong.stderr
