"""Check a study against its data before anything is run: names, headers, events, folds.

Reads headers and tables, never a recording's samples, and imports no heavy library. A study that
passed isn't checked again until it, its data or the code of the checks change.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from fornix.dag.code import code_of
from fornix.dag.graph import Graph
from fornix.errors import FornixError, did_you_mean
from fornix.study.base import digest_of
from fornix.study.features.huggingface import trained_by
from fornix.study.fits.classifier import ClassifierFit
from fornix.study.fits.encoding import EncodingSection
from fornix.study.fits.rsa import BrainDistance
from fornix.study.fits.searchlight import SearchlightFit
from fornix.study.responses import RdmResponses, suffix_of

if TYPE_CHECKING:
    import pandas as pd

    from fornix.ingest.index import Index
    from fornix.study.features.union import Features


def check_cached(graph: Graph) -> None:
    """Check a study unless this very study, with these data and checks, has passed before."""
    found = {name: graph.sources.listing(name) for name in graph.study.datasets}
    listings = {name: listing.digest for name, listing in found.items() if listing}
    done = [job.identity for job in graph.of("ingest") if job.manifest.exists()]
    code = code_of("fornix.dag.check").words
    digest = digest_of([graph.study.identity(), listings, done, code])
    stamp = graph.cache / "checks" / digest
    if stamp.exists():
        return
    for _ in check(graph):
        pass
    with suppress(OSError):  # where nothing can be written, it is checked again next time
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()


def check(graph: Graph) -> Iterator[str]:
    """Check a study against its data; yield a line for everything that was looked at.

    Raises
    ------
    FornixError
        At the first thing that is wrong.
    """
    indexes: dict[str, Index] = {}
    for name in graph.study.datasets:
        index = _index(graph, name)
        if index is None:
            yield f"datasets.{name}: not made yet; it is checked when it is"
            continue
        indexes[name] = index
        yield f"datasets.{name}: {_summary(index)}"
        for note in index.checks:
            yield f"datasets.{name}: {note['level']}: {note['where']}: {note['text']}"
    for name, features in graph.study.features.items():
        if fit := trained_by(features):
            yield f"features.{name}: its model is trained by fits.{fit}"
        elif getattr(features, "model", None) is not None:
            yield f"features.{name}: {_loadable(features)}"
    for name, responses in graph.study.responses.items():
        if responses.dataset in indexes:
            yield from _check_responses(graph, name, indexes[responses.dataset])


def _loadable(features: Features) -> str:
    """Say that a model can be loaded, or that it is left out; raise if it is needed."""
    from fornix.features.available import available

    try:
        return f"{available(features)} can be loaded"
    except FornixError as error:
        if not features.optional:
            raise
        return f"left out: {error.problem}"


def _index(graph: Graph, name: str) -> Index | None:
    """Return a dataset's index: the artifact if it is current, else made anew without digests."""
    from fornix.ingest.index import Index, build_index
    from fornix.store import open_artifact

    job = graph.find("ingest", name)
    root = graph.root(name)
    if graph.sources.listing(name) is None:
        return Index.read(open_artifact(job.folder)) if job.manifest.exists() else None
    return build_index(graph.study.datasets[name], root, digests=False)


def _summary(index: Index) -> str:
    recordings = index.recordings
    stimuli = f"{len(index.stimuli)} stimuli"
    if recordings.empty:
        return f"{stimuli}, no recordings"
    subjects = f"{recordings['subject'].nunique()} subjects"
    return f"{subjects}, {len(recordings)} recordings, {len(index.events)} events, {stimuli}"


def _check_responses(graph: Graph, name: str, index: Index) -> Iterator[str]:
    from fornix.ingest.select import select_events, select_recordings

    section = graph.study.responses[name]
    fits = {key: fit for key, fit in graph.study.brain_fits.items() if fit.responses == name}
    where = f"responses.{name}"
    if isinstance(section, RdmResponses):
        return
    suffix = suffix_of(section.kind)
    recordings = select_recordings(
        index.recordings, section.select, suffix=suffix, where=f"{where}.select"
    )
    events = index.events[index.events["recording"].isin(recordings["recording"])]
    if getattr(section, "continuous", False):
        yield f"{where}: {len(recordings)} recordings, every volume a sample, {len(events)} events"
        return
    events = select_events(events, section.events, where=f"{where}.events")
    conditions = events["trial_type"].nunique()
    yield f"{where}: {len(recordings)} recordings, {len(events)} events, {conditions} conditions"
    entities = recordings.set_index("recording")[["subject", "session", "run"]]
    samples = events.join(entities, on="recording")
    alike: set[str] = set()  # of hundreds of fits most are held out alike
    for key, fit in fits.items():
        # These hold nothing out of the samples.
        if not isinstance(fit, BrainDistance | SearchlightFit):
            how = digest_of([fit.cv.identity(), fit.task, _label(fit)])
            if how not in alike:
                _check_folds(fit, samples, graph.study.seed, f"fits.{key}")
            alike.add(how)
            yield f"fits.{key}: folds can be made in every subject"


def _label(fit: ClassifierFit | EncodingSection) -> str | None:
    """Return the column whose values are told apart, if there is one."""
    return fit.label if isinstance(fit, ClassifierFit) and fit.baseline is None else None


def _check_folds(
    fit: ClassifierFit | EncodingSection, samples: pd.DataFrame, seed: int, where: str
) -> None:
    from fornix.training.splits import plan_folds

    label = _label(fit)
    if label is not None and label not in samples:
        problem = f"the events have no column '{label}' to decode"
        mend = did_you_mean(label, samples.columns)
        raise FornixError(problem, where=f"{where}.label", mend=mend)
    for subject, table in samples.groupby("subject", sort=True):
        place = f"{where} (sub-{subject})" + (f", label {label}" if label else "")
        plan_folds(table.reset_index(drop=True), fit.cv, fit.task, label, seed=seed, where=place)
