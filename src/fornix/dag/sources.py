"""What a study reads that none of its jobs makes: folders of datasets, and weights.

Everything is looked at when it is asked for, and once: a job that is told what to do needn't walk
through a dataset that others have indexed.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from fornix.ingest.listing import Listing, scan
from fornix.study.base import Section, Select
from fornix.study.datasets import LocalDataset, OpenNeuroDataset, RdmDataset, SimulatedDataset
from fornix.study.features.huggingface import trained_by
from fornix.study.paths import expand
from fornix.study.study import Study

Contents = tuple[tuple[str, str], ...]
"""Names, and digests of what they hold."""


class Sources:
    """What the jobs of a study read from outside.

    Parameters
    ----------
    study
        The study.
    cache
        Folder of the artifacts; digests of what was read are kept there.
    """

    def __init__(self, study: Study, cache: Path) -> None:
        self.study, self.cache = study, cache
        self._listings: dict[str, Listing] = {}

    def listing(self, name: str) -> Listing | None:
        """Return the files of a dataset that lies in a folder of its own; None: a job makes it.

        Raises
        ------
        FornixError
            If the folder isn't there, or a file in it can't be read.
        """
        dataset = self.study.datasets[name]
        if isinstance(dataset, SimulatedDataset | OpenNeuroDataset):
            return None
        if name not in self._listings:
            select = Select() if isinstance(dataset, RdmDataset) else dataset.select
            self._listings[name] = self._listing(self.root(name), select.subject)
        return self._listings[name]

    def root(self, name: str) -> Path:
        """Return the folder of a dataset that lies in one of its own."""
        dataset = self.study.datasets[name]
        assert isinstance(dataset, LocalDataset | RdmDataset)  # noqa: S101 - others are made
        return expand(dataset.path, where=f"datasets.{name}.path")

    def contents(self, name: str) -> Contents:
        """Return the digest of a dataset; nothing of one that a job makes."""
        listing = self.listing(name)
        return ((f"dataset:{name}", listing.digest[:12]),) if listing else ()

    def subjects(self, name: str, suffix: str, select: Select) -> list[str]:
        """Return the subjects of a dataset that have recordings to use."""
        dataset = self.study.datasets[name]
        if isinstance(dataset, LocalDataset):
            listing = self.listing(name)
            assert listing is not None  # noqa: S101 - no job makes it
            chosen = [_criteria(dataset.select), _criteria(select)]
            found = {
                one["sub"]
                for one in listing.recordings(suffix)
                if all(one.get(key) in allowed for some in chosen for key, allowed in some)
            }
        else:
            found = self._labels(name)
        return sorted(self._kept(found, name, select))

    def has(self, name: str, select: Select, subject: str) -> bool:
        """Return whether there should be a subject, as far as is seen without reading files."""
        if isinstance(self.study.datasets[name], LocalDataset):
            found = {subject} if (self.root(name) / f"sub-{subject}").is_dir() else set()
        else:
            found = self._labels(name)
        return subject in self._kept(found, name, select)

    def weights(self, section: Section, where: str) -> Contents:
        """Return the digests of the local files that a section names."""
        found = []
        for key in ("model", "weights"):
            written = getattr(section, key, None)
            if not isinstance(written, str) or trained_by(section):
                continue
            path = _package(written) or expand(written, where=f"{where}.{key}")
            if path.is_dir():
                found.append((f"{key}:{path.name}", self._listing(path).digest[:12]))
            elif path.is_file():  # and what lies beside it under its name, such as net.onnx_data
                names = [one.name for one in path.parent.iterdir() if one.is_file()]
                for one in sorted(name for name in names if name.startswith(path.stem)):
                    files = self._listing(path.parent, only=one).files
                    found.append((f"{key}:{one}", files[one][:12]))
        return tuple(found)

    def _labels(self, name: str) -> set[str]:
        """Return the subjects of a dataset whose files needn't be looked at for them."""
        dataset = self.study.datasets[name]
        if isinstance(dataset, SimulatedDataset):
            return set(dataset.world.subjects())
        if isinstance(dataset, OpenNeuroDataset):
            return set(dataset.subjects)
        assert isinstance(dataset, RdmDataset)  # noqa: S101 - there is no other
        return set(_rdm_subjects(self.root(name), dataset.rdms))

    def _kept(self, subjects: set[str], name: str, select: Select) -> set[str]:
        """Return those subjects that neither the dataset's section nor the selection leaves out."""
        for one in (getattr(self.study.datasets[name], "select", Select()), select):
            subjects = subjects if one.subject is None else subjects & set(one.subject)
        return subjects

    def _listing(
        self, folder: Path, subjects: Sequence[str] | None = None, *, only: str | None = None
    ) -> Listing:
        return scan(folder, self.cache / "listings", subjects, only=only)


def _package(written: str) -> Path | None:
    """Return the folder of weights that an installed Python package brings."""
    name, _, inside = written.removeprefix("package:").partition("/")
    if not written.startswith("package:") or not name.isidentifier():
        return None
    spec = find_spec(name)
    return Path(spec.origin).parent / inside if spec and spec.origin else None


def _criteria(select: Select) -> list[tuple[str, list[str]]]:
    """Return (key in a file name, allowed labels) for every entity that is chosen."""
    keys = {"subject": "sub", "session": "ses", "task": "task", "run": "run"}
    keys |= {"acquisition": "acq", "space": "space", "description": "desc"}
    chosen = ((key, getattr(select, name)) for name, key in keys.items())
    return [(key, labels) for key, labels in chosen if labels is not None]


def _rdm_subjects(root: Path, pattern: str) -> list[str]:
    """Return the labels 01, 02, ... of the subjects in an RDM archive, from its header alone."""
    from fornix.ingest.rdms import rdm_shape

    return [f"{i + 1:02d}" for i in range(rdm_shape(root, pattern)[0])]
