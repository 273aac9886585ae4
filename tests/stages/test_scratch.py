from __future__ import annotations

import pytest

from fornix.errors import FornixError
from fornix.stages.scratch import scratch
from fornix.store import Recipe, Target, create, open_artifact

RECIPE = Recipe("fit", {"a": 1}, {})


def work(target, *, fail=None, recipe=RECIPE):
    """Write a checkpoint, perhaps fail; return the checkpoints that were found."""
    with create(target, recipe) as draft, scratch(draft) as folder:
        found = sorted(path.name for path in folder.glob("*")) if folder.exists() else []
        folder.mkdir(exist_ok=True)
        (folder / "one.pt").write_text("x")
        if fail is not None:
            raise fail
        draft.write_json("fit.json", {})
    return found


@pytest.mark.parametrize("end", [SystemExit(143), RuntimeError("out of memory")])
def test_checkpoints_outlive_a_kill_and_not_the_artifact(tmp_path, end):
    target = Target(tmp_path / "fit")
    with pytest.raises(type(end)):
        work(target, fail=end)
    assert work(target) == ["one.pt"]
    assert set(open_artifact(target.path).manifest["parts"]) == {"fit.json"}
    assert not list(tmp_path.rglob("*.pt"))


def test_another_recipe_and_a_users_error_start_anew(tmp_path):
    target = Target(tmp_path / "fit")
    with pytest.raises(SystemExit):
        work(target, fail=SystemExit(143))
    assert work(target, recipe=Recipe("fit", {"a": 2}, {})) == []
    with pytest.raises(FornixError):
        work(Target(tmp_path / "other"), fail=FornixError("NaN"))
    assert [path.name for path in tmp_path.iterdir()] == ["fit"]


def test_fits_that_need_none_get_none(tmp_path):
    with create(Target(tmp_path / "fit"), RECIPE) as draft:
        with scratch(draft, needed=False) as folder:
            assert folder is None
        draft.write_json("fit.json", {})
