"""Two runs compared: what was planted between them is named, and nothing else."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest

from fornix.cli import main
from fornix.dag.diff import diff, lines
from fornix.errors import FornixError
from fornix.store import Recipe, Target, create

SECTION = {
    "name": "small",
    "features": {"gabor": {"layers": "all", "size": 32}},
    "claims": [{"text": "a"}, {"text": "b"}],
}
CODE, VERSIONS = {"fornix.models.ridge": "1", "fornix.errors": "1"}, {"numpy": "2.4"}


def scores(**changes: float) -> pd.DataFrame:
    """Return four scores of two targets; a keyword gives a target of subject 01 another value."""
    rows = [
        {"fit": "encoding", "subject": subject, "session": "all", "target": target, "unit": "V1"}
        | {"time": math.nan, "metric": "pearson_r", "value": value, "p": 0.5}
        for target, value in (("gabor", 0.5), ("pixels", math.nan))
        for subject in ("01", "02")
    ]
    table = pd.DataFrame(rows)
    for target, value in changes.items():
        table.loc[(table["target"] == target) & (table["subject"] == "01"), "value"] = value
    return table


def run(root, *, section=None, code=None, versions=None, data="d", table=None):
    """Leave the results of a run and the one artifact that it rests on; return the results."""
    target = Target(root / "cache/fits/encoding-0/sub-01", code or CODE, versions or VERSIONS)
    with create(target, Recipe("fit", {"alpha": 1}, {"responses": data})) as draft:
        draft.write_json("fit.json", data)
    (root / "cache/reports").mkdir()
    digest = json.loads((target.path / "manifest.json").read_text())["digest"]
    recipe = Recipe("report", section or SECTION, {"fit/encoding/01": digest})
    with create(Target(root / "results/small"), recipe) as draft:
        draft.write_table("scores", scores() if table is None else table)
    return root / "results/small"


@pytest.fixture
def before(tmp_path):
    return run(tmp_path / "a")


def test_equal_runs_have_no_difference(before, tmp_path):
    found = diff(before, run(tmp_path / "b"))
    assert not any(found[key] for key in ("study", "artifacts", "inputs", "versions", "code"))
    assert (found["scores"]["rows"], found["scores"]["changed"]) == (4, 0)
    assert list(lines(found))[-1] == "no difference"


def test_settings_are_named_by_their_keys(before, tmp_path):
    features = {"gabor": {"layers": ["level1"], "size": 32}, "pixels": {"size": 8}}
    section = SECTION | {"features": features, "claims": [{"text": "a"}, {"text": "c"}]}
    assert diff(before, run(tmp_path / "b", section=section))["study"] == [
        {"key": "claims.1.text", "a": "b", "b": "c"},
        {"key": "features.gabor.layers", "a": "all", "b": ["level1"]},
        {"key": "features.pixels.size", "a": None, "b": 8},
    ]


def test_code_versions_and_inputs_are_told_apart(before, tmp_path):
    code = CODE | {"fornix.models.ridge": "2"}
    found = diff(before, run(tmp_path / "b", code=code))
    assert found["code"] == [{"stage": "fit", "modules": ["fornix.models.ridge"]}]
    (row,) = found["artifacts"]
    assert (row["state"], row["because"]) == ("same contents", "code")
    found = diff(before, run(tmp_path / "c", versions={"numpy": "2.5"}, data="e"))
    assert found["versions"] == [{"key": "numpy", "a": "2.4", "b": "2.5"}]
    assert [(one["input"], one["a"], one["b"]) for one in found["inputs"]] == [
        ("responses", "d", "e")
    ]
    (row,) = found["artifacts"]
    assert (row["state"], row["because"]) == ("other contents", "inputs, versions")


def test_scores_differ_where_they_were_changed(before, tmp_path):
    table = pd.concat([scores(gabor=0.3, pixels=0.1), scores().head(1).assign(target="new")])
    found = diff(before, run(tmp_path / "b", table=table), top=1)["scores"]
    assert (found["rows"], found["changed"], found["only_in_a"]) == (4, 2, [])
    assert found["only_in_b"] == [{"fit": "encoding", "target": "new", "rows": 1}]
    by_target = {one["target"]: one for one in found["groups"]}
    assert by_target["gabor"]["difference"] == pytest.approx(-0.2)
    assert (by_target["pixels"]["a"], by_target["pixels"]["b"]) == (None, 0.1)
    assert [one["target"] for one in found["largest"]] == ["pixels"], "a number where none was"


def test_rounding_and_p_are_told_from_other_differences(before, tmp_path):
    table = scores(gabor=0.5 + 1e-13)
    table["p"] = [0.5, math.nan, 0.4, 0.5]
    after = run(tmp_path / "b", table=table)
    found = diff(before, after)
    assert [found["scores"][key] for key in ("changed", "by_rounding", "p_changed")] == [1, 1, 2]
    title = next(line for line in lines(found) if line.startswith("scores: "))
    assert title.startswith("scores: 1 of 4 rows differ, 1 of them by rounding; p differs in 2;")


def test_the_table_is_read_by_people_and_the_json_by_programs(before, tmp_path, capsys):
    after = run(tmp_path / "b", table=scores(gabor=0.3))
    main(["diff", str(before), str(after)])
    out = capsys.readouterr().out
    assert "scores: 1 of 4 rows differ" in out
    (row,) = [line.split() for line in out.splitlines() if "pearson_r" in line]
    assert row == ["encoding", "gabor", "pearson_r", "0.5", "->", "0.3", "-0.2", "sub-01", "V1"]
    main(["diff", str(before), str(after), "--json"])
    assert json.loads(capsys.readouterr().out)["scores"]["changed"] == 1


def test_what_is_no_run_is_refused(before, tmp_path):
    with pytest.raises(FornixError, match="nothing here"):
        diff(before, tmp_path / "nowhere")
    with pytest.raises(FornixError, match="no artifact here"):
        diff(before, tmp_path)
    with pytest.raises(FornixError, match="artifact of the stage fit"):
        diff(tmp_path / "a/cache/fits/encoding-0/sub-01", before)
    with pytest.raises(FornixError, match="neither a folder of results nor a study"):
        diff(before, before / "scores.parquet")


def test_an_artifact_that_has_gone_is_said_to_have(before, tmp_path):
    after = run(tmp_path / "b", data="e")
    (tmp_path / "b/cache/fits/encoding-0/sub-01/manifest.json").unlink()
    (row,) = diff(before, after)["artifacts"]
    assert row["because"] == "its recipe isn't in the cache any more"
