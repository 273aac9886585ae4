"""What tells two runs of a study apart: settings, inputs, code, versions, and the scores.

A side is a folder of results, or a study file: then what the cache holds of it is compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fornix.dag.graph import Graph
from fornix.dag.leaves import leaves
from fornix.errors import FornixError
from fornix.store.artifact import MANIFEST, open_artifact
from fornix.study.load import load_study

if TYPE_CHECKING:
    import pandas as pd

KEYS = ["fit", "subject", "session", "target", "unit", "time", "metric"]
"""Columns of the score table that name a row."""

SCORE_PARTS = ("missing", "changed", "p_changed", "only_in_a", "only_in_b")
SHORT = 12
MAX_VALUE = 40
MAX_ROWS = 20
"""Lines shown of a part; ``--json`` has them all."""

ROUNDING = 1e-9
"""Share of a score by which two that differ by rounding alone may be apart."""

OUTSIDE = frozenset({"root", "recordings", "events", "companions", "stimuli", "weights"})
"""Inputs that no job has made; the others differ because something above them does."""


@dataclass(frozen=True)
class Side:
    """One of two runs.

    Attributes
    ----------
    title
        What was given on the command line.
    settings
        Dotted key -> value of the study, defaults filled in.
    digests
        Artifact, such as ``fit/encoding/01`` -> digest of its contents; ``""``: not made yet.
    manifests
        Artifact -> its manifest, as far as it is still in the cache.
    scores
        Where the table of scores is; None: not made yet.
    """

    title: str
    settings: Mapping[str, Any]
    digests: Mapping[str, str]
    manifests: Mapping[str, Mapping[str, Any]]
    scores: Path | None


def diff(a: Path, b: Path, *, variant: str | None = None, top: int = 10) -> dict[str, Any]:
    """Compare two runs.

    Parameters
    ----------
    a, b
        Folders of results (or of report artifacts), or study files.
    variant
        Variant of those that are study files.
    top
        How many rows of scores to give, those that changed most.

    Returns
    -------
    dict
        JSON-like: ``a``, ``b``, ``study``, ``artifacts``, ``inputs``, ``versions``, ``code``,
        ``scores``.

    Raises
    ------
    FornixError
        If one of them is neither.
    """
    one, two = _side(a, variant), _side(b, variant)
    return {
        "a": one.title,
        "b": two.title,
        "study": _changes(one.settings, two.settings),
        "artifacts": list(_artifacts(one, two)),
        "inputs": list(_inputs(one, two)),
        "versions": _changes(_versions(one, two), _versions(two, one)),
        "code": list(_code(one, two)),
        "scores": _scores(one.scores, two.scores, top),
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield a comparison as people read it."""
    yield f"A  {found['a']}"
    yield f"B  {found['b']}"
    if _equal(found):
        yield "no difference"
        return
    rows = [[one["key"], _value(one["a"]), "->", _value(one["b"])] for one in found["study"]]
    yield from _block("study: settings that differ", rows)
    rows = [[one["artifact"], one["state"], one["because"]] for one in found["artifacts"]]
    yield from _block("artifacts that differ, and in what", rows)
    rows = [
        [
            one["artifact"],
            one["input"],
            one["a"][:SHORT] or "none",
            "->",
            one["b"][:SHORT] or "none",
        ]
        for one in found["inputs"]
        if one["input"] in OUTSIDE
    ]
    yield from _block("data and weights whose contents differ", rows)
    rows = [[one["key"], _value(one["a"]), "->", _value(one["b"])] for one in found["versions"]]
    yield from _block("versions that differ", rows)
    rows = [[one["stage"], ", ".join(one["modules"])] for one in found["code"]]
    yield from _block("code that differs, by stage", rows)
    yield from _score_lines(found["scores"])


def _equal(found: Mapping[str, Any]) -> bool:
    """Tell whether a comparison found nothing."""
    parts = ("study", "artifacts", "inputs", "versions", "code")
    scores = found["scores"]
    same = not any(scores.get(key) for key in SCORE_PARTS)
    return same and not any(found[part] for part in parts)


def _side(path: Path, variant: str | None) -> Side:
    if path.is_dir():
        return _of_results(path)
    if path.suffix in (".yaml", ".yml"):
        return _of_study(path, variant)
    problem = "this is neither a folder of results nor a study file"
    if not path.exists():
        problem = "there is nothing here"
    mend = "give results/<study>, or config/studies/<study>.yaml"
    raise FornixError(problem, where=str(path), mend=mend)


def _of_results(folder: Path) -> Side:
    report = open_artifact(folder)
    if report.manifest["recipe"]["stage"] != "report":
        problem = f"this is an artifact of the stage {report.manifest['recipe']['stage']}"
        mend = "give a folder of results; `fornix show` prints a single artifact"
        raise FornixError(problem, where=str(folder), mend=mend)
    digests = dict(report.manifest["recipe"]["inputs"])
    places = (folder.absolute().parents[1] / "cache", folder.absolute().parents[1], Path("cache"))
    cached = _cached(next((one for one in places if (one / "reports").is_dir()), places[-1]))
    manifests = {}
    for key, digest in digests.items():
        name = key.split("/")[1]
        if (digest, name) in cached:
            manifests[key] = cached[digest, name]
    manifests["report"] = report.manifest
    settings = dict(leaves(report.manifest["recipe"]["section"]))
    scores = folder / "scores.parquet"
    return Side(str(folder), settings, digests, manifests, scores if scores.exists() else None)


def _of_study(path: Path, variant: str | None) -> Side:
    study = load_study(path, variant)
    graph = Graph(study, f"{study.name}-{variant}" if variant else study.name)
    manifests: dict[str, Mapping[str, Any]] = {}
    for key, job in {**graph.report.needs, "report": graph.report}.items():
        if job.manifest.exists():
            manifests[key] = open_artifact(job.folder).manifest
    digests = {
        key: str(manifests[key]["digest"]) if key in manifests else "" for key in graph.report.needs
    }
    scores = graph.report.folder / "scores.parquet" if "report" in manifests else None
    title = f"{path}, variant {variant}" if variant else str(path)
    return Side(title, dict(leaves(study.identity())), digests, manifests, scores)


def _cached(cache: Path) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return (digest, name of the section) -> manifest of all that a cache holds."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for pattern in ("*/*/", "*/*/sub-*/"):
        for path in cache.glob(f"{pattern}{MANIFEST}"):
            parent = path.parent.parent if path.parent.name.startswith("sub-") else path.parent
            if parent.name.startswith("."):  # a draft
                continue
            try:
                manifest = json.loads(path.read_text(encoding="utf-8"))
                found[str(manifest["digest"]), parent.name.rpartition("-")[0]] = manifest
            except (OSError, ValueError, KeyError):
                continue
    return found


def _changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, Any]]:
    keys = [*a, *(key for key in b if key not in a)]
    return [
        {"key": key, "a": a.get(key), "b": b.get(key)} for key in keys if a.get(key) != b.get(key)
    ]


def _artifacts(a: Side, b: Side) -> Iterator[dict[str, Any]]:
    for key in dict.fromkeys([*a.digests, *b.digests]):
        here, there = a.digests.get(key), b.digests.get(key)
        because = _because(a.manifests.get(key), b.manifests.get(key))
        if here is None or there is None:
            yield {
                "artifact": key,
                "state": f"only in {'B' if here is None else 'A'}",
                "because": "",
            }
        elif not here or not there:
            which = " and ".join(name for name, one in (("A", here), ("B", there)) if not one)
            yield {"artifact": key, "state": f"not made in {which}", "because": ""}
        elif here != there:
            because = because or "its recipe isn't in the cache any more"
            yield {"artifact": key, "state": "other contents", "because": because}
        elif because:
            yield {"artifact": key, "state": "same contents", "because": because}


def _because(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> str:
    """Name the parts of two recipes that differ."""
    if a is None or b is None:
        return ""
    words = {"section": "settings", "inputs": "inputs", "code": "code", "versions": "versions"}
    changed = [word for part, word in words.items() if a["recipe"][part] != b["recipe"][part]]
    return ", ".join(changed)


def _inputs(a: Side, b: Side) -> Iterator[dict[str, str]]:
    """Yield what artifacts read that has other contents now."""
    for key in dict.fromkeys([*a.manifests, *b.manifests]):
        if key == "report" or key not in a.manifests or key not in b.manifests:
            continue
        one, two = (side.manifests[key]["recipe"]["inputs"] for side in (a, b))
        for change in _changes(one, two):
            values = {side: str(change[side] or "") for side in ("a", "b")}
            yield {"artifact": key, "input": change["key"], **values}


def _versions(side: Side, other: Side) -> dict[str, str]:
    """Return library -> versions of a side, over artifacts that the other has as well."""
    found: dict[str, set[str]] = {}
    for key in side.manifests.keys() & other.manifests.keys():
        manifest = side.manifests[key]
        for name, version in manifest["recipe"]["versions"].items():
            found.setdefault(str(name), set()).add(str(version))
        for name in ("python", "fornix"):
            found.setdefault(name, set()).add(str(manifest["provenance"][name]))
    return {name: ", ".join(sorted(found[name])) for name in sorted(found)}


def _code(a: Side, b: Side) -> Iterator[dict[str, Any]]:
    """Yield, stage by stage, the modules that differ in artifacts that both have."""
    found: dict[str, set[str]] = {}
    for key in a.manifests.keys() & b.manifests.keys():
        one, two = (side.manifests[key]["recipe"] for side in (a, b))
        changed = {change["key"] for change in _changes(one["code"], two["code"])}
        if changed:
            found.setdefault(str(one["stage"]), set()).update(changed)
    for stage in sorted(found):
        yield {"stage": stage, "modules": sorted(found[stage])}


def _scores(a: Path | None, b: Path | None, top: int) -> dict[str, Any]:
    if a is None or b is None:
        return {"missing": [name for name, one in (("A", a), ("B", b)) if one is None]}
    import pandas as pd

    one, two = (_table(pd.read_parquet(path)) for path in (a, b))
    both = one.merge(two, how="outer", on=[*KEYS, "_n"], suffixes=("_a", "_b"), indicator=True)
    shared = both[both["_merge"] == "both"].copy()
    values = shared["value_a"], shared["value_b"]
    same = (values[0] == values[1]) | (values[0].isna() & values[1].isna())
    shared["difference"] = values[1] - values[0]
    # A number against none is the largest difference of all.
    shared["_size"] = shared["difference"].abs().fillna(float("inf"))
    changed = shared[~same].sort_values("_size", ascending=False, kind="stable")
    groups = [
        {"fit": fit, "target": target, "metric": metric, "rows": len(rows), **_row(rows.iloc[0])}
        for (fit, target, metric), rows in changed.groupby(
            ["fit", "target", "metric"], sort=False, dropna=False
        )
    ]
    lonely = {
        name: _count(both[both["_merge"] == which])
        for name, which in (("only_in_a", "left_only"), ("only_in_b", "right_only"))
    }
    largest = [
        {key: row[key] for key in ("fit", "target", "metric")} | _row(row)
        for _, row in changed.head(top).iterrows()
    ]
    scale = shared[["value_a", "value_b"]].abs().max(axis=1)
    rounded = ~same & (shared["difference"].abs() <= ROUNDING * scale)
    p = shared["p_a"], shared["p_b"]
    p_same = (p[0] == p[1]) | (p[0].isna() & p[1].isna())
    counts = {
        "rows": len(shared),
        "changed": len(changed),
        "by_rounding": int(rounded.sum()),
        "p_changed": int((~p_same).sum()),
    }
    return {**counts, **lonely, "largest": largest, "groups": groups}


def _table(scores: pd.DataFrame) -> pd.DataFrame:
    table = scores[[*KEYS, "value", "p"]].copy()
    table["time"] = table["time"].astype(float)
    table["_n"] = table.groupby(KEYS, dropna=False).cumcount()  # rows of one name: in their order
    return table


def _row(row: Any) -> dict[str, Any]:
    names = {key: row[key] for key in ("subject", "session", "unit")}
    numbers = {
        "time": row["time"],
        "a": row["value_a"],
        "b": row["value_b"],
        "difference": row["difference"],
    }
    return names | {k: None if v != v else float(v) for k, v in numbers.items()}  # noqa: PLR0124


def _count(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {"fit": fit, "target": target, "rows": len(some)}
        for (fit, target), some in rows.groupby(["fit", "target"], sort=False, dropna=False)
    ]


def _score_lines(scores: Mapping[str, Any]) -> Iterator[str]:
    if "missing" in scores:
        yield ""
        yield f"scores: none yet in {' and '.join(scores['missing'])}"
        return
    for name in ("a", "b"):
        rows = [
            [one["fit"], one["target"], f"{one['rows']} rows"] for one in scores[f"only_in_{name}"]
        ]
        if rows:
            yield from _block(f"scores only in {name.upper()}", rows)
    rows = [
        [
            *(one["fit"], one["target"], one["metric"]),
            _number(one["a"], ""),
            "->",
            _number(one["b"], ""),
            _number(one["difference"], "+"),
            _place(one),
            f"largest of {one['rows']}" if one["rows"] > 1 else "",
        ]
        for one in scores["groups"]
    ]
    title = f"scores: {scores['changed']} of {scores['rows']} rows differ"
    title += f", {scores['by_rounding']} of them by rounding" if scores["by_rounding"] else ""
    title += f"; p differs in {scores['p_changed']}" if scores["p_changed"] else ""
    title += "; the largest of each target" if rows else ""
    yield from _block(title, rows)


def _place(row: Mapping[str, Any]) -> str:
    subject = row["subject"]
    subject = f"sub-{subject}" if subject not in ("", "group") else subject
    time = "" if row["time"] is None else f"{row['time']:g} s"
    return " ".join(str(one) for one in (subject, row["unit"], time) if one)


def _number(value: float | None, sign: str) -> str:
    return "none" if value is None else f"{value:{sign}.4g}"


def _block(title: str, rows: list[list[str]]) -> Iterator[str]:
    """Yield a title and an indented table; the title alone says that there is nothing."""
    yield ""
    if not rows:
        yield title if title.startswith("scores") else f"{title}: none"
        return
    yield title
    shown = rows[:MAX_ROWS]
    widths = [max(len(row[i]) for row in shown) for i in range(len(shown[0]))]
    for row in shown:
        cells = (f"{text:<{width}}" for text, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells)}".rstrip()
    if len(rows) > len(shown):
        yield f"  ... and {len(rows) - len(shown)} more (--json has them all)"


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 3] + "..."
