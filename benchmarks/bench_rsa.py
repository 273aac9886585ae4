"""Dissimilarities of 5,000 stimuli and their comparisons: Fornix against rsatoolbox.

The same float64 patterns, one thread, one after the other in one process. Times are processor
seconds, so that what else the machine does counts little. The fraction of the machine's speed is
that of the products alone that all pairs need, each once, over the whole time: sorting, clipping
and writing 12.5 million numbers included.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from measure import say
from rsatoolbox.data import Dataset
from rsatoolbox.rdm import RDMs, calc_rdm
from rsatoolbox.rdm import compare as toolbox_compare
from threadpoolctl import threadpool_limits

from fornix.evaluation.comparisons import compare
from fornix.models import distances

N, CHANNELS, N_RUNS = 5000, 1000, 3
N_SMALL = 1000
REPEATS = 2
TOOLBOX = {
    "spearman": "spearman",
    "pearson": "corr",
    "cosine": "cosine",
    "whitened_cosine": "cosine_cov",
    "kendall": "tau-a",
}


def main() -> None:
    """Measure, print the table, and one line a goal."""
    rng = np.random.default_rng(0)
    peaks = {kind.__name__: peak(kind) for kind in (np.float32, np.float64)}
    print("; ".join(f"{k}: {v / 1e9:.0f} Gflop/s" for k, v in peaks.items()))
    patterns = rng.normal(size=(N, CHANNELS))
    data = Dataset(patterns)
    flops = N * N * CHANNELS  # half of all products, two operations each
    for name, ours in (
        ("correlation", distances.correlation),
        ("mahalanobis", distances.mahalanobis),
    ):
        theirs = {"correlation": "correlation", "mahalanobis": "euclidean"}[name]
        both = race(
            lambda ours=ours: ours(patterns),
            lambda theirs=theirs: calc_rdm(data, method=theirs).get_vectors()[0],
        )
        report(f"rdm_{name}", both, flops, peaks)
    runs = patterns[:N_SMALL] + rng.normal(size=(N_RUNS, N_SMALL, CHANNELS))
    labels = {"stimulus": np.tile(np.arange(N_SMALL), N_RUNS)}
    labels["run"] = np.repeat(np.arange(N_RUNS), N_SMALL)
    repeated = Dataset(runs.reshape(-1, CHANNELS), obs_descriptors=labels)
    crossed = race(
        lambda: distances.crossnobis(runs),
        lambda: calc_rdm(
            repeated, "crossnobis", descriptor="stimulus", cv_descriptor="run"
        ).get_vectors()[0],
    )
    report("rdm_crossnobis", crossed, (N_RUNS + 1) * N_SMALL**2 * CHANNELS, peaks)
    brain = distances.correlation(patterns)[:, None]
    models = np.stack([brain[:, 0] + 0.05 * rng.normal(size=len(brain)) for _ in range(2)], axis=1)
    for how, method in TOOLBOX.items():
        few = slice(None) if how != "kendall" else slice(0, N_SMALL * (N_SMALL - 1) // 2)
        b, m = brain[few], models[few]
        a, c = RDMs(b.T.copy()), RDMs(m.T.copy())
        both = race(
            lambda b=b, m=m, how=how: compare(b, m, how),
            lambda a=a, c=c, method=method: toolbox_compare(a, c, method=method),
        )
        report(f"compare_{how}", both)


def race(
    ours: Callable[[], Any], theirs: Callable[[], Any]
) -> tuple[float, float, np.ndarray, np.ndarray]:
    """Return both contestants' processor seconds (the best of several) and answers."""
    times, answers = [], []
    for call in (ours, theirs):
        spent = []
        for _ in range(REPEATS):
            start = time.process_time()
            answer = np.asarray(call())
            spent.append(time.process_time() - start)
        times.append(min(spent))
        answers.append(answer)
    return times[0], times[1], answers[0], answers[1]


def report(
    name: str,
    both: tuple[float, float, np.ndarray, np.ndarray],
    flops: float = 0,
    peaks: dict[str, float] | None = None,
) -> None:
    """Print a row of the table and the goals' lines."""
    ours, theirs, a, b = both
    apart = float(np.abs(a - b).max() / np.abs(b).max())
    share = ""
    if peaks:
        each = ", ".join(f"{flops / ours / v:.0%} of {k}'s" for k, v in peaks.items())
        share = f" | {each} peak"
    print(
        f"{name} | fornix {ours:.2f} s, rsatoolbox {theirs:.2f} s | {apart:.1e}{share}", flush=True
    )
    say(f"rsa_{name}_speedup", theirs / ours, "x", 1.0, at_least=True)
    say(f"rsa_{name}_difference", apart, "relative", 1e-9)
    if peaks:
        say(f"rsa_{name}_of_dgemm", flops / ours / peaks["float64"], "share", 0.5, at_least=True)


def peak(kind: type) -> float:
    """Return this machine's speed at products of large matrices, operations a second."""
    n = 2000
    a = np.random.default_rng(0).normal(size=(n, n)).astype(kind)
    a @ a
    spent = []
    for _ in range(3):
        start = time.process_time()
        a @ a
        spent.append(time.process_time() - start)
    return 2 * n**3 / min(spent)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
