"""A finished study in one archive, and back elsewhere: nothing to do there, nothing amiss."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from fornix.dag import export as exporting
from fornix.dag import unpack as unpacking
from fornix.dag.export import export
from fornix.dag.unpack import unpack
from fornix.errors import FornixError
from fornix.store import open_artifact

pytestmark = pytest.mark.long

METADATA = "ro-crate-metadata.json"
STUDY = Path("config/studies/small.yaml")


@pytest.fixture(scope="session")
def archive(finished, tmp_path_factory):
    """Return the archive of the finished study, artifacts included."""
    path = tmp_path_factory.mktemp("archives") / "small.zip"
    out = finished.fornix("export", "small.yaml", "--caches", "--output", str(path)).stdout
    assert out.startswith(f"wrote {path} (")
    return path


@pytest.fixture(scope="session")
def slim(archive):
    """Return an archive with one artifact of some stages, which is as good and quicker to read."""

    def change(members):
        metadata = json.loads(members[METADATA])
        kept = {}
        for one in metadata["@graph"]:
            if one["@id"].startswith("cache/"):
                kept.setdefault(one["@id"].split("/")[1], one["@id"])
        kept = {kept[kind] for kind in ("responses", "features", "fits", "scores")}
        for name in [name for name in members if name.startswith("cache/")]:
            if not name.startswith(tuple(kept)):
                del members[name]
        metadata["@graph"] = [
            one
            for one in metadata["@graph"]
            if not one["@id"].startswith("cache/") or one["@id"] in kept
        ]
        members[METADATA] = json.dumps(metadata).encode()

    return rewritten(archive, archive.with_name("slim.zip"), change)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty project."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    Path("Snakefile").touch()
    monkeypatch.setattr(unpacking, "sync", lambda _: None)  # nobody pulls the plug on a test
    return root


def read(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(source: Path, target: Path, change) -> Path:
    """Write an archive anew, after ``change`` has had its members."""
    members = read(source)
    change(members)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target


def artifacts(root: Path = Path()) -> set[Path]:
    paths = [*root.glob("cache/*/*/manifest.json"), *root.glob("cache/*/*/sub-*/manifest.json")]
    return {path.parent.relative_to(root) for path in paths}


def test_an_export_elsewhere_has_nothing_to_do(finished, archive, project_factory, tmp_path):
    root = tmp_path / "at" / "another" / "place"
    root.mkdir(parents=True)
    other = project_factory(root)
    other.file.unlink()
    count = len(artifacts(finished.root))
    out = other.fornix("import", str(archive)).stdout
    assert f"{count} artifacts put in place, 0 were here already" in out
    assert artifacts(other.root) == artifacts(finished.root)
    for name in ("scores.csv", "report.html", "study.yaml"):
        mine, theirs = (one.root / "results/small" / name for one in (other, finished))
        assert mine.read_bytes() == theirs.read_bytes()
    shutil.copy(other.root / STUDY, other.file)
    assert "Nothing to be done" in other.snakemake("-n").stdout
    # What has come from elsewhere is known by its code as well.
    path = other.root / "src/fornix/features/gabor.py"
    path.write_text(path.read_text() + "\nEDITED = True\n")
    plan = other.plan()
    assert plan["features gabor"] == "code changed: fornix.features.gabor"
    assert "features pixels" not in plan
    assert not any(job.startswith("preprocess") for job in plan)


def exported(finished, monkeypatch, path, **settings) -> Path:
    """Export without asking Snakemake again whether the study is finished."""
    with monkeypatch.context() as patch:
        patch.chdir(finished.root)
        patch.setattr(exporting, "reasons", lambda *_: [])
        return export(Path("small.yaml"), output=path, **settings)


def test_equal_studies_give_equal_archives(finished, archive, tmp_path, monkeypatch):
    """Whatever the folder of results shows just now: perhaps the study with another setting."""
    for name in ("manifest.json", "scores.csv"):
        (finished.root / "results/small" / name).write_text("{}")
    again = exported(finished, monkeypatch, tmp_path / "again.zip", caches=True)
    assert again.read_bytes() == archive.read_bytes()


def test_the_metadata_are_those_of_a_research_object(archive):
    members = read(archive)
    metadata = json.loads(members[METADATA])
    assert metadata["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
    entities = {one["@id"]: one for one in metadata["@graph"]}
    assert len(entities) == len(metadata["@graph"]), "an identifier is there once"
    about = entities[METADATA]
    assert about["@type"] == "CreativeWork"
    assert about["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    root = entities[about["about"]["@id"]]
    assert root["@type"] == "Dataset"
    assert {"name", "description", "datePublished", "license", "hasPart"} <= set(root)
    assert all(one.get("@type") for one in metadata["@graph"])
    # Every part is described, is in the archive, and is what it is said to be.
    parts = [entities[one["@id"]] for one in root["hasPart"]]
    files = [one for one in parts if "File" in one["@type"]]
    for one in files:
        content = members.pop(one["@id"])
        assert one["contentSize"] == str(len(content))
        assert one["sha256"] == hashlib.sha256(content).hexdigest()
    folders = [one["@id"] for one in parts if one["@type"] == "Dataset"]
    assert {folder.split("/")[1] for folder in folders} >= {"ingest", "features", "fits", "reports"}
    del members[METADATA]
    rest = [name for name in members if not name.startswith(tuple(folders))]
    assert not rest, "nothing is in the archive without a description"
    # Provenance: an action a job, all of whose ends are there.
    actions = [one for one in metadata["@graph"] if one["@type"] == "CreateAction"]
    assert len(actions) == len(folders)
    for one in actions:
        ends = [one["instrument"], one["result"], *one["object"]]
        assert all(end["@id"] in entities for end in ends)
        assert one["startTime"] <= one["endTime"]
    fit = next(one for one in actions if one["name"] == "fit of_gabor sub-01")
    assert {end["@id"].split("/")[1] for end in fit["object"]} == {"responses", "features"}
    assert entities[root["mainEntity"]["@id"]]["@id"] == "config/studies/small.yaml"


def test_without_caches_the_results_come_alone(finished, here, tmp_path, monkeypatch):
    path = exported(finished, monkeypatch, tmp_path / "small.zip")
    names = set(read(path))
    assert not [name for name in names if name.startswith("cache/")]
    assert "environment/installed.txt" in names
    found = unpack(path)
    assert (found.made, found.there, found.study) == (0, 0, STUDY)
    assert artifacts() == set()
    assert Path("results/small/report.html").exists()
    assert list(Path("results/small/crate/provenance").rglob("*.json"))


def a_path(name):
    def change(members):
        members[name] = b"x"

    return change


def changed(beginning, end):
    """Return a change of one byte in a member."""

    def change(members):
        name = next(n for n in members if n.startswith(beginning) and n.endswith(end))
        content = members[name]
        members[name] = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]

    return change


def lost(beginning, end):
    def change(members):
        del members[next(n for n in members if n.startswith(beginning) and n.endswith(end))]

    return change


def edited_json(name, edit):
    def change(members):
        value = json.loads(members[name])
        edit(value)
        members[name] = json.dumps(value).encode()

    return change


def foreign_part(members):
    """Let the results' manifest name a part outside of them, with the right digests."""
    from fornix.store.digests import combine

    name = "results/small/manifest.json"
    manifest = json.loads(members[name])
    manifest["parts"]["../../small.txt"] = hashlib.blake2b(b"x", digest_size=16).hexdigest()
    manifest["digest"] = combine(manifest["parts"].items())
    members[name] = json.dumps(manifest).encode()
    metadata = json.loads(members[METADATA])
    entity = next(one for one in metadata["@graph"] if one["@id"] == name)
    entity["sha256"] = hashlib.sha256(members[name]).hexdigest()
    members[METADATA] = json.dumps(metadata).encode()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (a_path("../outside.txt"), "leads out of its folder"),
        (a_path("results/../../outside.txt"), "leads out of its folder"),
        (a_path("/tmp/outside.txt"), "leads out of its folder"),  # noqa: S108
        (a_path("results//x"), "isn't plain"),
        (a_path("results\\x"), "isn't plain"),
        (a_path("src/fornix/cli.py"), "no place in a project"),
        (a_path("results/small/more.txt"), "aren't those that the metadata give"),
        (a_path("cache/fits/evil-0/x.pkl"), "belongs to no artifact"),
        (a_path("cache/studies/.small.lock"), "belongs to no artifact"),
        (a_path(f"{STUDY}/x"), "a file and a folder"),
        (changed("results/small", "scores.csv"), "aren't those that the metadata give"),
        (changed("config", ".yaml"), "aren't those that the metadata give"),
        (changed("cache/fits", "fit.json"), "changed or lost: fit.json"),
        (changed("cache/features", "/manifest.json"), "changed or lost: manifest.json"),
        (changed("cache/features", "/.manifest.json"), "changed or lost: manifest.json"),
        (lost("cache/responses", "/manifest.json"), "changed or lost"),
        (lost("cache/scores", "scores.parquet"), "changed or lost: scores.parquet"),
        (lost("results", "report.html"), "changed or lost: report.html"),
        (lost("jobs", ".json"), "has no jobs.json"),
        (lost("ro-crate", ".json"), "has no ro-crate-metadata.json"),
        (edited_json(METADATA, lambda it: it.pop("@graph")), "aren't the metadata of an RO-Crate"),
        (edited_json("jobs.json", lambda it: it.update(format=9)), "its format is 9"),
        (edited_json("jobs.json", lambda it: it.update(label="../x")), "isn't a list of jobs"),
        (edited_json("jobs.json", lambda it: it.update(study="../x.yaml")), "isn't a list of jobs"),
        (foreign_part, "changed or lost: manifest.json"),
    ],
)
def test_an_archive_that_was_tampered_with_leaves_nothing(slim, here, tmp_path, change, complaint):
    path = rewritten(slim, tmp_path / "bad.zip", change)
    with pytest.raises(FornixError) as caught:
        unpack(path)
    message = str(caught.value)
    assert complaint in message
    assert str(path) in message
    left = {one.relative_to(here).as_posix() for one in here.rglob("*") if one.is_file()}
    assert left <= {"Snakefile", "cache/studies/.small.lock"}
    assert not any(one.suffix in (".txt", ".partial") for one in tmp_path.rglob("*"))


def test_links_twins_and_halves_are_refused(archive, here, tmp_path):
    link = tmp_path / "link.zip"
    info = zipfile.ZipInfo("results/link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(link, "w") as made:
        made.writestr(info, "/etc/passwd")
    with pytest.raises(FornixError, match="is a link"):
        unpack(link)
    twice = tmp_path / "twice.zip"
    with zipfile.ZipFile(twice, "w") as made:
        made.writestr("jobs.json", "1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            made.writestr("jobs.json", "2")
    with pytest.raises(FornixError, match="is there twice"):
        unpack(twice)
    half = tmp_path / "half.zip"
    half.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(FornixError, match="isn't a whole archive"):
        unpack(half)
    rotten = tmp_path / "rotten.zip"
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0xFF
    rotten.write_bytes(content)
    with pytest.raises(FornixError):
        unpack(rotten)
    with pytest.raises(FornixError, match="no such file"):
        unpack(tmp_path / "nowhere.zip")
    assert {one.name for one in here.rglob("*") if one.is_file()} <= {"Snakefile", ".small.lock"}


def test_a_kill_while_importing_leaves_whole_pieces(slim, here, monkeypatch):
    install, done = unpacking._install, []

    def killed(*words):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(words[1])
        return install(*words)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(unpacking, "_install", killed)
        unpack(slim)
    assert artifacts() == set(done)
    assert not any(open_artifact(one).damage() for one in done)
    assert not STUDY.exists()
    assert not Path("results").exists()
    found = unpack(slim)
    assert (found.there, found.made) == (2, 2)
    assert unpack(slim).made == 0


def test_what_is_here_already_is_replaced_only_when_asked(slim, here):
    unpack(slim)
    text = STUDY.read_text()
    STUDY.write_text(f"{text}title: Mine\n")
    with pytest.raises(FornixError, match=f"others of these names are here: {STUDY}"):
        unpack(slim)
    assert STUDY.read_text() == f"{text}title: Mine\n"
    unpack(slim, replace=True)
    assert STUDY.read_text() == text
    folder = sorted(artifacts())[0]
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"digest": "0"}))
    with pytest.raises(FornixError, match="others of these names are here"):
        unpack(slim)
    assert unpack(slim, replace=True).made == 1
    assert not open_artifact(folder).damage()


def test_an_unfinished_study_is_not_exported(finished):
    finished.write(finished.raw | {"title": "Another"})
    try:
        done = finished.fornix("export", "small.yaml", check=False)
    finally:
        finished.write()
    assert (done.returncode, done.stdout) == (2, "")
    assert "isn't finished: 1 of" in done.stderr
    assert not list(finished.root.glob("*.zip*"))


def test_a_kill_while_exporting_leaves_no_archive(finished, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    path = tmp_path / "small.zip"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(exporting, "record_of", killed)
        exported(finished, monkeypatch, path)
    assert not list(tmp_path.iterdir())
    path.touch()
    with pytest.raises(FornixError, match="a file of this name"):
        exported(finished, monkeypatch, path)
    with pytest.raises(FornixError, match="folder doesn't exist"):
        exported(finished, monkeypatch, tmp_path / "no" / "x.zip")


def test_names_in_an_archive_are_plain(archive):
    for name in read(archive):
        path = PurePosixPath(name)
        assert not path.is_absolute()
        assert ".." not in path.parts
