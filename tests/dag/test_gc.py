"""What nobody needs goes; what a study, a result or a run needs, or a user put there, stays."""

from __future__ import annotations

import fcntl
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from fornix.cli import main
from fornix.dag.gc import find, remove
from fornix.dag.graph import Graph
from fornix.dag.workflow import study_of, write_resolved
from fornix.errors import FornixError
from fornix.store import Recipe, Target, create, open_artifact
from fornix.study.load import load_study

CACHE, RESULTS = Path("cache"), Path("results")
ENDS = ("partial", "download")


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Return a study in an empty project, all of whose artifacts are stand-ins."""
    from fornix.study.starter import write_starter

    monkeypatch.chdir(tmp_path)
    path = write_starter("small", Path("config/studies"))
    fill(Graph(load_study(path)))
    return path


def fill(graph) -> set[Path]:
    """Make an artifact for every job; return their folders."""
    for job in graph.jobs.values():
        make(job.folder)
    return folders(graph)


def make(folder: Path) -> None:
    with create(Target(folder), Recipe("any", {}, {})) as draft:
        draft.write_json("a.json", 1)


def folders(graph) -> set[Path]:
    return {job.folder.parent if job.subject else job.folder for job in graph.jobs.values()}


def another(file: Path, old: str = "n_images: 48", new: str = "n_images: 50"):
    """Return the graph of the study with another setting."""
    raw = file.read_text()
    assert old in raw
    other = file.parents[2] / "other.yaml"
    other.write_text(raw.replace(old, new))
    return Graph(load_study(other))


def there() -> set[Path]:
    return {path for path in CACHE.glob("*/*") if path.is_dir()} - {CACHE / "studies"}


def collect(file):
    garbage = find(CACHE, [file], RESULTS)
    return garbage, remove(garbage, CACHE, [file], RESULTS)


@contextmanager
def held(lock: Path):
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as open_file:
        fcntl.flock(open_file, fcntl.LOCK_EX)
        yield


def test_what_the_study_needs_stays_and_another_setting_goes(file):
    needed = folders(Graph(load_study(file)))
    gone = fill(another(file)) - needed
    assert gone
    garbage, (removed, left) = collect(file)
    assert {item.path for item in garbage.items} == {item.path for item in removed} == gone
    assert (there(), left, garbage.kept) == (needed, [], [])
    fits = [item for item in garbage.items if item.kind == "fits"]
    assert {item.artifacts for item in fits} == {2}, "one a subject"
    assert all(item.size > 100 for item in garbage.items)


def test_variants_results_and_other_studies_are_needed(file):
    other = another(file)
    kept = fill(other)
    variant = "variants:\n  more:\n    datasets: {data: {world: {n_images: 50}}}\n"
    text = file.read_text()
    file.write_text(text + variant)
    # All but the report, whose folder has the name of the results.
    assert {item.kind for item in find(CACHE, [file], RESULTS).items} == {"reports"}
    file.write_text(text)
    assert len(find(CACHE, [file], RESULTS).items) > 5
    (RESULTS / "small").mkdir(parents=True)
    shutil.copy(write_resolved(*study_of({"study": "other.yaml"})), RESULTS / "small/study.yaml")
    assert not find(CACHE, [file], RESULTS).items
    shutil.rmtree(RESULTS)
    assert not find(CACHE, [file, Path("other.yaml")], RESULTS).items
    assert kept <= there()


def test_data_that_are_away_make_nothing_superfluous(file):
    """The folder's name comes from settings, so that the subjects needn't be known."""
    text = file.read_text().replace("source: simulate", "source: local")
    line = next(line for line in text.splitlines() if "world:" in line)
    local = file.with_name("local.yaml")
    local.write_text(text.replace(line, "    path: /mnt/not_mounted"))
    study = load_study(local)
    with pytest.raises(FornixError, match="doesn't exist"):
        assert Graph(study).jobs
    dataset = study.datasets["data"].model_copy(update={"path": "data"})
    Path("data/sub-01/func").mkdir(parents=True)
    Path("data/sub-01/func/sub-01_task-a_bold.nii").touch()
    here = Graph(study.model_copy(update={"datasets": {"data": dataset}}))
    for name in ("fits", "responses"):
        assert any(name in path.parts for path in folders(here))
    local.write_text(local.read_text().replace("/mnt/not_mounted", "data"))
    kept = fill(Graph(load_study(local)))
    shutil.rmtree("data")
    assert not {item.path for item in find(CACHE, [file, local], RESULTS).items} & kept


def test_what_a_run_works_on_stays(file):
    other = another(file)
    made = fill(other)
    write_resolved(*study_of({"study": "other.yaml"}))
    lock = CACHE / "studies/.small.lock"
    garbage = find(CACHE, [file], RESULTS)
    assert garbage.items
    with held(lock):
        assert not find(CACHE, [file], RESULTS).items
        removed, left = remove(garbage, CACHE, [file], RESULTS)
    assert (removed, set(left)) == ([], {item.path for item in garbage.items})
    assert made <= there()
    (other.report.folder / ".manifest.json").unlink()
    now = find(CACHE, [file], RESULTS)
    assert (now.items, now.unfinished) == ([], ["small"]), "it was begun, and never finished"
    make(other.report.folder)
    removed, _ = remove(garbage, CACHE, [file], RESULTS)
    assert len(removed) == len(garbage.items), "it has finished, and its results are gone"


def test_what_a_process_makes_stays(file):
    other = another(file)
    fill(other)
    single = other.find("features", "gabor").folder
    subject = other.find("fit", "encoding", "01").folder
    locks = [path.with_name(f".{path.name}.lock") for path in (single, subject)]
    garbage = find(CACHE, [file], RESULTS)
    for lock in locks:
        with held(lock):
            now = find(CACHE, [file], RESULTS)
            assert len(now.items) == len(garbage.items) - 1
            assert [why for _, why in now.kept] == ["is being made"]
            _, left = remove(garbage, CACHE, [file], RESULTS)
            assert len(left) == 1
            fill(other)
    assert single.exists()
    assert subject.exists()


def test_drafts_go_with_what_they_are_drafts_of(file):
    needed = next(iter(Graph(load_study(file)).of("features"))).folder
    lost = another(file).find("features", "gabor").folder
    drafts = [path.with_name(f".{path.name}.{end}") for path in (needed, lost) for end in ENDS]
    for draft in drafts:
        draft.mkdir()
        (draft / "block").write_bytes(bytes(10))
    with held(lost.with_name(f".{lost.name}.lock")):
        assert not find(CACHE, [file], RESULTS).items
    _, (removed, _) = collect(file)
    assert {item.path for item in removed} == set(drafts[2:])
    assert [draft.exists() for draft in drafts] == [True, True, False, False]


def test_the_draft_of_a_killed_import_goes(file):
    draft = CACHE / ".import-other-mini.partial"
    (draft / "results").mkdir(parents=True)
    with held(CACHE / "studies/.other-mini.lock"):
        garbage, (removed, _) = collect(file)
        assert (garbage.items, removed) == ([], []), "it is going on"
    _, (removed, _) = collect(file)
    assert [item.path for item in removed] == [draft]
    assert not list(CACHE.glob(".*"))


def test_what_a_user_put_there_stays(file):
    other = another(file)
    fill(other)
    notes = other.find("features", "gabor").folder / "notes.txt"
    mine = other.find("fit", "encoding", "01").folder / "mine.txt"
    folder = CACHE / "features/backup"
    folder.mkdir()
    for path in (notes, mine, folder / "x"):
        path.touch()
    Path("far").mkdir()
    (CACHE / "features/link-0").symlink_to(Path("far").absolute())
    garbage, _ = collect(file)
    assert notes.exists()
    assert mine.exists()
    assert (folder / "x").exists()
    assert (CACHE / "features/link-0").is_symlink()
    whys = dict(garbage.kept)
    assert set(whys) == {notes.parent, mine.parent.parent, folder}
    assert "sub-01/mine.txt" in whys[mine.parent.parent]


@pytest.mark.parametrize("moment", ["renaming", "deleting"])
def test_a_kill_leaves_nothing_half_and_the_next_call_ends_the_work(file, monkeypatch, moment):
    needed = folders(Graph(load_study(file)))
    gone = fill(another(file)) - needed
    garbage = find(CACHE, [file], RESULTS)
    rename, done = Path.rename, []

    def killed_in_rename(path, target):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(path)
        return rename(path, target)

    def killed_in_rmtree(path, **_):
        if Path(path).exists():
            next(Path(path).rglob("manifest.json")).unlink()
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if moment == "renaming":
            patch.setattr(Path, "rename", killed_in_rename)
        else:
            patch.setattr(shutil, "rmtree", killed_in_rmtree)
        remove(garbage, CACHE, [file], RESULTS)
    named = gone & there()
    assert len(named) == (len(gone) - 3 if moment == "renaming" else 0)
    for path in named:
        whole = [path] if (path / "manifest.json").exists() else sorted(path.glob("sub-*"))
        assert whole
        assert not any(open_artifact(one).damage() for one in whole)
    assert there() > needed, "something is left to do"
    collect(file)
    assert there() == needed


def test_what_cannot_be_read_stops_it(file):
    with pytest.raises(FornixError, match="everything would go"):
        find(CACHE, [], RESULTS)
    with pytest.raises(FornixError, match="no cache here"):
        find(Path("nowhere"), [file], RESULTS)
    (RESULTS / "old").mkdir(parents=True)
    (RESULTS / "old/study.yaml").write_text("name: old\nfitz: {}\n")
    with pytest.raises(FornixError, match="what results/old needs isn't known"):
        find(CACHE, [file], RESULTS)


def test_the_command_shows_asks_and_removes(file, monkeypatch, capsys):
    other = another(file)
    fill(other)
    count = len(other.jobs)
    before = there()
    main(["gc", "--dry-run"])
    shown = capsys.readouterr().out
    assert "features: 2 artifacts" in shown
    assert f"nobody needs: {count} artifacts" in shown
    with pytest.raises(SystemExit):
        main(["gc"])
    assert "nobody to ask here" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    main(["gc"])
    assert "nothing was removed" in capsys.readouterr().out
    assert there() == before
    main(["gc", "--yes"])
    assert f"removed {count} artifacts" in capsys.readouterr().out
    main(["gc", "--yes"])
    assert "nobody needs: 0 artifacts" in capsys.readouterr().out
    assert there() == folders(Graph(load_study(file)))
