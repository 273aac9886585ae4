"""What all tests share: the real recordings, and numeric threads that stay at one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples every time: a run that fails must fail again when it is looked into.
settings.register_profile("fornix", derandomize=True, deadline=None)
settings.load_profile("fornix")

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

PROJECT = Path(__file__).parents[1]
REAL_DATA = Path(os.environ.get("FORNIX_REAL_DATA", "../shared/data"))
if not REAL_DATA.is_absolute():
    REAL_DATA = PROJECT / REAL_DATA


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that no worker waits for them at the end."""
    long = {item.path for item in items if item.get_closest_marker("long")}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def real_data():
    """Return the folder of one real dataset, or skip with the reason."""

    def folder(name: str) -> Path:
        path = REAL_DATA / name
        if not path.exists():
            pytest.skip(f"no real recordings at {path} (set FORNIX_REAL_DATA)")
        return path

    return folder
