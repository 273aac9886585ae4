"""Copy a finished artifact to where people look.

The artifact stays in the cache under its digest, so that switching a setting back and forth
makes nothing anew; the published folder holds a copy of the one that a study now means.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from fornix.store.artifact import MANIFEST, Artifact, open_artifact
from fornix.store.locks import NoLocksError, open_lock, take


def publish(source: Path, folder: Path) -> bool:
    """Make ``folder`` hold the parts of an artifact, beside whatever else is in it.

    Parameters
    ----------
    source
        A whole artifact whose parts are files, or folders of files.
    folder
        Where they are wanted. A folder that is a part takes the place of the one before.

    Returns
    -------
    bool
        Whether anything had to be copied.
    """
    artifact = open_artifact(source)
    shown = folder / MANIFEST
    same = shown.exists() and shown.read_bytes() == (artifact.path / MANIFEST).read_bytes()
    if same and all((folder / name).exists() for name in artifact.manifest["parts"]):
        return False
    with open_lock(folder.with_name(f".{folder.name}.lock")) as lock:
        with suppress(NoLocksError):
            take(lock, wait=True)
        _copy(artifact, folder)
    return True


def _copy(artifact: Artifact, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    for name in [*artifact.manifest["parts"], MANIFEST]:
        draft = folder / f".{name}.tmp"
        if (artifact.path / name).is_dir():
            shutil.rmtree(draft, ignore_errors=True)
            shutil.copytree(artifact.path / name, draft)
            shutil.rmtree(folder / name, ignore_errors=True)
        else:
            shutil.copyfile(artifact.path / name, draft)
        draft.replace(folder / name)
