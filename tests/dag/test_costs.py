"""What jobs would cost: planted records give their numbers back, scaled, or none at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fornix.dag import costs
from fornix.dag.costs import Past, earlier, lines
from fornix.dag.edit import edited
from fornix.dag.graph import Graph
from fornix.dag.workflow import study_of
from fornix.study.load import load_study


@pytest.fixture
def file(tmp_path, monkeypatch):
    from fornix.study.starter import write_starter

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(costs, "DRIVER", tmp_path / "no_driver")
    return write_starter("small", Path())


@pytest.fixture
def graph(file):
    return Graph(load_study(file))


def record(job, cpu_s, size, *, versions=(), notes=None, gpus=None, started="2026-01-01"):
    """Write what a run leaves: a part of some bytes and the manifest; return the bytes of all."""
    job.folder.mkdir(parents=True)
    (job.folder / "part").write_bytes(bytes(size))
    recipe = {"stage": job.stage, "section": {}, "versions": dict.fromkeys(versions, "1")}
    spent = {"cpu_s": cpu_s, "wall_s": 2 * cpu_s, "started": started}
    spent |= {} if gpus is None else {"gpus": gpus}
    manifest = {"recipe": recipe, "provenance": spent, "notes": notes or {}}
    job.manifest.write_text(json.dumps(manifest))
    return size + job.manifest.stat().st_size


def with_edits(file, *edits):
    return Graph(*study_of(edited(file, None, edits)))


def test_a_job_that_ran_costs_what_it_cost(graph):
    job = graph.find("features", "gabor")
    size = record(job, 5.0, 1000)
    found = Past(graph).estimate(job)
    assert (found.cpu_s, found.wall_s, found.gpu_s) == (5.0, 10.0, 0.0)
    assert (found.size, found.grounds) == (size, "its own run")


def test_nothing_is_invented_where_nothing_ran(graph):
    past = Past(graph)
    assert {past.estimate(job).grounds for job in graph.jobs.values()} == {"unknown"}
    text = "\n".join(lines(list(graph.jobs.values()), past))
    assert "one after another" not in text
    assert "nothing like it has run here: simulate data, ingest data" in text
    assert text.count("fit encoding") == 1, "not once a subject"
    assert [row.split()[2:5] for row in text.splitlines()[1:3]] == [["unknown"] * 3] * 2


def test_counts_scale_the_cost_of_the_job_itself(file, graph):
    for job in graph.jobs.values():
        record(job, 3.0, 1000)
    after = with_edits(file, "scores.permutations=1500")
    past = Past(after, [graph])
    assert past.estimate(after.find("evaluate", "encoding")).cpu_s == pytest.approx(9.0)
    assert past.estimate(after.find("fit", "encoding", "01")).grounds == "its own run"
    assert past.estimate(after.report).cpu_s == pytest.approx(3.0), "others do that work"


def test_what_is_read_scales_the_cost_of_what_reads_it(file, graph):
    notes = {"layers": ["a", "b"], "dims": {"a": 300, "b": 100}}
    sizes = {}
    for job in graph.jobs.values():
        own = notes if job.key[:2] == ("features", "gabor") else {}
        sizes[job.key] = record(job, 4.0, 10_000, notes=own)
    after = with_edits(file, "features.gabor.layers=[a]")
    past = Past(after, [graph])
    features = past.estimate(after.find("features", "gabor"))
    assert (features.grounds, features.cpu_s) == ("scaled", 4.0), "one pass, whatever is kept"
    assert features.size == pytest.approx(0.75 * sizes["features", "gabor", None])
    inputs = [sizes[job.key] for job in graph.find("fit", "encoding", "01").needs.values()]
    less = 0.25 * sizes["features", "gabor", None]
    fit = past.estimate(after.find("fit", "encoding", "01"))
    assert fit.cpu_s == pytest.approx(4.0 * (sum(inputs) - less) / sum(inputs))


def test_another_fit_of_the_kind_gives_the_price_of_a_byte(file, graph):
    for job in graph.jobs.values():
        if job.stage != "fit":
            record(job, 1.0, 10_000)
    record(graph.find("fit", "encoding", "01"), 8.0, 500)
    fit = "{kind: ridge, responses: betas, features: [pixels]}"
    after = with_edits(
        file, f"fits.fewer={fit}", "fits.another={kind: rsa, responses: betas, features: [gabor]}"
    )
    past = Past(after, [graph])
    found = past.estimate(after.find("fit", "fewer", "02"))
    assert found.grounds == "alike"
    assert found.cpu_s == pytest.approx(8.0 * 2 / 3, rel=0.05), "two inputs instead of three"
    other = past.estimate(after.find("fit", "another", "02"))
    assert (other.grounds, other.cpu_s, other.size) == ("unknown", None, None)


def test_gpus_count_where_they_were_noted(graph, tmp_path, monkeypatch):
    driver = tmp_path / "driver"
    driver.touch()
    monkeypatch.setattr(costs, "DRIVER", driver)
    gabor, pixels = graph.find("features", "gabor"), graph.find("features", "pixels")
    fit, ingest = graph.find("fit", "encoding", "01"), graph.find("ingest", "data")
    record(gabor, 1800.0, 10, versions=["torch"], gpus=2)
    record(pixels, 60.0, 10, versions=["torch"], gpus=0)
    record(fit, 60.0, 10, versions=["torch"])
    record(ingest, 60.0, 10)
    past = Past(graph)
    assert [past.estimate(one).gpu_s for one in (gabor, pixels, ingest)] == [7200.0, 0.0, 0.0]
    assert past.estimate(fit).gpu_s is None, "nobody noted it"
    table = [row.split() for row in lines([gabor, pixels, fit], past)]
    assert table[1][:4] == ["features", "2", "0.52", "2"]
    assert table[2][:5] == [
        "fit",
        "1",
        "0.017",
        "unknown",
        str(Path(fit.folder, "part").stat().st_size + fit.manifest.stat().st_size),
    ]


def test_the_last_finished_run_counts_and_what_cannot_be_read_does_not(graph, file):
    results = Path("results")
    for name, text in (("small", file.read_text()), ("small-x", "name: small\n"), ("smaller", "")):
        (results / name).mkdir(parents=True)
        (results / name / "study.yaml").write_text(text)
    assert [one.label for one in earlier(graph)] == ["small"]
