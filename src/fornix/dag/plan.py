"""Which jobs would run, and why each one: Snakemake's own reasons, in the words of a study."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fornix.dag.costs import Past, earlier, lines
from fornix.dag.edit import edited
from fornix.dag.graph import STAGES, Graph
from fornix.dag.job import Job
from fornix.dag.records import MADE
from fornix.dag.workflow import study_of
from fornix.errors import FornixError

SNAKEFILE = Path("Snakefile")
MAX_CHANGES = 4
"""Changes named in one reason; more would hide the first ones."""


ABOVE = "a section above it changed"
MAX_VALUE = 60
"""Characters shown of a value that changed."""


@dataclass(frozen=True)
class Planned:
    """A job that would run.

    Attributes
    ----------
    job
        The job.
    cause
        ``missing``, ``section changed``, ``input changed``, ``code changed``, ``made elsewhere``,
        ``interrupted``, ``input reruns`` or Snakemake's own word for something else.
    detail
        What exactly changed.
    """

    job: Job
    cause: str
    detail: str = ""


def plan(
    study: Path, variant: str | None = None, edits: Sequence[str] = (), *, costs: bool = False
) -> Iterator[str]:
    """Yield the lines that ``fornix plan`` prints.

    Parameters
    ----------
    study, variant
        The study.
    edits
        Values to try, as :func:`fornix.dag.edit.edited` takes them.
    costs
        Whether to say what the jobs would cost.
    """
    plain: dict[str, Any] = {"study": str(study)} | ({"variant": variant} if variant else {})
    config = edited(study, variant, edits) if edits else plain
    graph = Graph(*study_of(config))
    planned = reasons(config, graph)
    if not planned:
        yield f"{graph.label}: nothing to do, all {len(graph.jobs)} jobs are done"
        return
    width = max(len(one.job.title) for one in planned)
    for one in planned:
        detail = f": {one.detail}" if one.detail else ""
        yield f"{one.job.title:<{width}}  {one.cause}{detail}"
    yield f"{graph.label}: {len(planned)} of {len(graph.jobs)} jobs would run"
    if costs:
        before = [Graph(*study_of(plain))] if edits else []
        past = Past(graph, [*before, *earlier(graph)])
        yield ""
        yield from lines([one.job for one in planned], past)


def reasons(config: Mapping[str, Any], graph: Graph) -> list[Planned]:
    """Ask Snakemake what it would run, and say why in a study's words.

    Parameters
    ----------
    config
        Snakemake's config: the study's path and the variant.
    graph
        The same study's jobs.

    Returns
    -------
    list of Planned
        In the order of the stages.
    """
    by_manifest = {str(job.manifest): job for job in graph.jobs.values()}
    planned = []
    for rule, output, reason in _dry_run(config):
        if rule not in STAGES:
            continue
        planned.append(_explain(by_manifest[output], reason))
    roots = {one.job.key for one in planned if one.cause in ("section changed", "code changed")}
    named = [
        replace(one, detail=_above(one.job, roots)) if one.detail == ABOVE else one
        for one in planned
    ]
    return sorted(named, key=lambda one: (STAGES.index(one.job.stage), one.job.title))


def _above(job: Job, roots: Collection[tuple[str, str, str | None]]) -> str:
    """Say which of the jobs above it, the nearest ones, have another section."""
    found, queue = set(), list(job.needs.values())
    while queue:
        one = queue.pop()
        if one.key in roots:
            found.add(f"{one.stage} {one.name}")
        else:
            queue += one.needs.values()
    return f"{ABOVE}: {_some(sorted(found))}" if found else ABOVE


def _dry_run(config: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """Return (rule, first output, Snakemake's reason) of every job that would run."""
    from snakemake.api import SnakemakeApi
    from snakemake.exceptions import WorkflowError
    from snakemake.settings.enums import Quietness, RerunTrigger
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        OutputSettings,
        ResourceSettings,
    )

    if not SNAKEFILE.exists():
        problem = "there is no Snakefile here"
        raise FornixError(problem, where=str(Path.cwd()), mend="cd to the project's root")
    quiet = frozenset({Quietness.ALL})
    words = io.StringIO()
    with (
        contextlib.redirect_stderr(words),
        SnakemakeApi(OutputSettings(dryrun=True, quiet=quiet, enable_file_logging=False)) as api,
    ):
        try:
            flow = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(config=dict(config)),
                snakefile=SNAKEFILE,
            )
            triggers = frozenset({RerunTrigger.PARAMS, RerunTrigger.INPUT})
            dag_api = flow.dag(DAGSettings(rerun_triggers=triggers, force_incomplete=True))
            # Snakemake prints its reasons but has no public call that returns them.
            inner = dag_api.workflow_api._workflow
            inner._prepare_dag(
                forceall=False, ignore_incomplete=True, lock_warn_only=True, nolock=True
            )
            inner._build_dag()
            dag = inner.dag
            return [
                (job.rule.name, str(job.output[0]), dag.reason(job))
                for job in dag.needrun_jobs()
                if job.output
            ]
        except WorkflowError as error:
            problem = f"Snakemake can't plan this study: {error}"
            mend = "run `snakemake -n` for its full message"
            raise FornixError(problem, where=str(SNAKEFILE), mend=mend) from error
        finally:
            logging.getLogger("snakemake").handlers.clear()


def _explain(job: Job, reason: Any) -> Planned:
    planned = Planned(job, str(reason))
    if reason.forced:
        planned = Planned(job, "forced")
    elif reason.incomplete_output:
        planned = Planned(job, "interrupted", "its last run didn't finish")
    elif reason.missing_output:
        planned = _explain_missing(job)
    elif reason.params_changed:
        planned = _explain_params(job, reason.params_changed)
    elif reason.input_changed:
        planned = Planned(job, "input changed", "another set of input files")
    elif reason.updated_input:  # made again by hand, or taken from elsewhere
        makers = sorted({str(Path(str(name)).parent) for name in reason.updated_input})
        planned = Planned(job, "input changed", f"other contents of {_some(makers)}")
    elif reason.updated_input_run:
        makers = sorted({str(Path(str(name)).parent) for name in reason.updated_input_run})
        planned = Planned(job, "input reruns", _some(makers))
    return planned


def _explain_params(job: Job, change: Any) -> Planned:
    old, new = _words(change.only_old), _words(change.only_new)
    if MADE in old:
        return Planned(
            job, "made elsewhere", "from other data or code, or without a record of them"
        )
    for kind, cause in (("code", "code changed"), ("inputs", "input changed")):
        if kind in old or kind in new:
            return Planned(job, cause, _difference(old.get(kind, {}), new.get(kind, {})))
    return Planned(job, "section changed")


def _explain_missing(job: Job) -> Planned:
    """Tell a first run from a changed section: the same name under another digest."""
    above = job.folder.parent if job.subject else job.folder
    name = above.name.rpartition("-")[0]
    siblings = []
    for folder in above.parent.glob(f"{name}-*"):
        manifest = (folder / job.folder.name if job.subject else folder) / ".manifest.json"
        if folder != above and manifest.exists():
            siblings.append(manifest)
    if not siblings:
        return Planned(job, "missing", str(job.folder))
    latest = max(siblings, key=lambda path: path.stat().st_mtime_ns)
    old = json.loads(latest.read_text(encoding="utf-8"))["recipe"]["section"]
    changes = list(_changes(old, job.section.identity()))
    if changes:
        return Planned(job, "section changed", _some(changes))
    return Planned(job, "input changed", ABOVE)


def _changes(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Yield ``key: old -> new`` for every value that differs."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        # Here a recipe may note more or less than the section: a subject, or no names of others.
        whole = path not in ("", "fit")
        keys = [*old, *(key for key in new if key not in old)] if whole else [*old.keys() & new]
        for key in sorted(keys):
            yield from _changes(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield f"{path} {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 3] + "..."


def _words(params: set[Any]) -> dict[str, dict[str, str]]:
    """Read ``code: a=1 b=2`` back from what Snakemake noted: kind -> word -> its digest."""
    found: dict[str, dict[str, str]] = {}
    for text in params:
        kind, _, rest = str(text).strip("'\"").partition(": ")
        pairs = (word.replace("==", "=").replace("@", "=").split("=", 1) for word in rest.split())
        found[kind] = {pair[0]: pair[-1] for pair in pairs}
    return found


def _difference(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return _some(changed)


def _some(words: list[str]) -> str:
    more = f", and {len(words) - MAX_CHANGES} more" if len(words) > MAX_CHANGES else ""
    return ", ".join(words[:MAX_CHANGES]) + more
