"""Ridge and banded ridge, a penalty for each target: Fornix, himalaya and scikit-learn.

What an encoding study does in each outer fold: choose 20 penalties (and, banded, among weights of
two spaces) by 5 inner folds, fit, and predict 200 further samples. The same float64 numbers, one
thread, each contestant in a process of its own. Times are processor seconds, so that what else the
machine does counts little. scikit-learn has no grouped folds for many targets, and nothing banded:
its leave-one-out is shown for its time only. ``python bench_encoding.py light`` leaves out the rows
that take minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidgeCV, solve_multiple_kernel_ridge_random_search
from himalaya.ridge import RidgeCV, solve_group_ridge_random_search
from measure import best, say
from sklearn.linear_model import RidgeCV as LeaveOneOut
from sklearn.model_selection import PredefinedSplit
from threadpoolctl import threadpool_limits

from fornix.solvers import banded
from fornix.solvers.ridge import solve
from fornix.solvers.spaces import Features

ALPHAS = np.logspace(-1, 6, 20)
N_FOLDS = 5
N_NEW = 200
BATCH = 1000
"""Targets a batch of himalaya's, as its documentation advises where memory counts."""


class Row(NamedTuple):
    """A row of the table.

    Attributes
    ----------
    n, widths, t
        Samples, features of each space, targets.
    candidates
        Weights of the spaces that are tried; 0: ridge.
    repeats
        Runs of each contestant, of which the fastest counts.
    goal
        What Fornix is to be faster than himalaya's best, times.
    light
        Whether the row takes seconds only.
    """

    n: int
    widths: tuple[int, ...]
    t: int
    candidates: int
    repeats: int
    goal: float
    light: bool = True

    @property
    def name(self) -> str:
        """Name of the row in lines of results."""
        kind = f"banded{self.candidates}" if self.candidates else "ridge"
        return f"{kind}_n{self.n}_p{'+'.join(map(str, self.widths))}_t{self.t}"

    @property
    def contestants(self) -> tuple[str, ...]:
        """Who takes part."""
        both = ("fornix", "himalaya_numpy", "himalaya_torch")
        return both if self.candidates else (*both, "sklearn_loo")


GRID = [
    Row(100, (20,), 50, 0, 5, 1.0),
    Row(300, (5000,), 200, 0, 3, 1.0),
    Row(1000, (100,), 10_000, 0, 2, 1.0),
    Row(1000, (768,), 10_000, 0, 2, 2.3, light=False),
    Row(1000, (4096,), 10_000, 0, 1, 2.7, light=False),
    Row(4000, (768,), 10_000, 0, 1, 18.0, light=False),
    Row(150, (30, 20), 100, 20, 3, 1.0),
    Row(300, (2000, 1000), 1000, 20, 2, 1.4),
    Row(1000, (100, 50), 4000, 10, 1, 4.0),
    Row(600, (768, 768), 4000, 20, 1, 1.4, light=False),
    Row(2000, (300, 300), 4000, 10, 1, 4.0, light=False),
]
FLEXIBLE = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that bind NumPy's BLAS to a kernel, and slow it down where set."""


def main(*, light: bool) -> None:
    """Run the grid, print the table, and one line a goal."""
    peaks = {np.float64: gemm(np.float64), np.float32: gemm(np.float32)}
    print(
        f"one thread of this machine: dgemm {peaks[np.float64] / 1e9:.1f} Gflop/s, "
        f"sgemm {peaks[np.float32] / 1e9:.1f} Gflop/s"
    )
    print("| row | contestant: s, MB | difference | penalties alike | of dgemm | of sgemm |")
    print("|---|---|---|---|---|---|")
    for row in GRID:
        if light and not row.light:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = {name: {"s": np.inf, "mb": 0.0} for name in row.contestants}
            for _ in range(row.repeats):
                for name in row.contestants:
                    one = contest(row, name, Path(folder))
                    found[name]["s"] = min(found[name]["s"], one["s"])
                    found[name]["mb"] = max(found[name]["mb"], one["mb"])
            report(row, found, Path(folder), peaks=peaks)


def report(row: Row, found: dict[str, Any], folder: Path, *, peaks: dict[Any, float]) -> None:
    """Print a row of the table and the goals' lines."""
    ours, theirs = (np.load(folder / f"{name}.npz") for name in ("fornix", "himalaya_numpy"))
    apart = np.abs(ours["predicted"] - theirs["predicted"]).max() / theirs["predicted"].std()
    alike = np.isclose(ours["alpha"], theirs["alpha"]).mean()
    times = ", ".join(f"{k} {v['s']:.2f} s {v['mb']:.0f} MB" for k, v in found.items())
    done = flops(row) / found["fornix"]["s"]
    double, single = (done / peaks[kind] for kind in (np.float64, np.float32))
    shares = f"{alike:.2%} | {double:.0%} | {single:.0%}"
    print(f"| {row.name} | {times} | {apart:.1e} | {shares} |", flush=True)
    himalaya = [found[name] for name in row.contestants if name.startswith("himalaya")]
    fastest = min(one["s"] for one in himalaya)
    say(f"{row.name}_speedup", fastest / found["fornix"]["s"], "x", row.goal, at_least=True)
    least = max(min(one["mb"] for one in himalaya), 1.0)
    say(f"{row.name}_memory", max(found["fornix"]["mb"], 1.0) / least, "x", 1.0)
    say(f"{row.name}_difference", apart, "relative", 1e-8)
    say(f"{row.name}_penalties_alike", alike, "share", 1.0, at_least=True)


def contest(row: Row, name: str, folder: Path) -> dict[str, float]:
    """Run one contestant in a process of its own; return processor seconds and MB."""
    environment = {k: v for k, v in os.environ.items() if k not in FLEXIBLE}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    call = [sys.executable, __file__, name, str(GRID.index(row)), str(folder)]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def alone(name: str, row: Row, folder: Path) -> None:
    """Solve as one contestant, and print what it took."""
    rng = np.random.default_rng(0)
    n, p, t = row.n, sum(row.widths), row.t
    decay = np.concatenate([np.logspace(0, -1.5, width) for width in row.widths])
    X = rng.normal(size=(n, p)) * decay
    first = (np.arange(p) < row.widths[0])[:, None]  # other spaces say nothing
    Y = X @ (first * rng.normal(size=(p, t))) / np.sqrt(row.widths[0])
    Y += rng.normal(size=(n, t)) * rng.uniform(0.1, 2, t)
    inner = np.arange(n) % N_FOLDS
    new = rng.normal(size=(N_NEW, p)) * decay
    make = BANDED if row.candidates else RIDGE
    solver = make[name](row, X, Y, inner, new)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
    before, start = memory("VmRSS"), time.process_time()
    predicted, alpha = solver()
    spent = time.process_time() - start
    np.savez(folder / f"{name}.npz", predicted=predicted, alpha=alpha)
    print(json.dumps({"s": spent, "mb": memory("VmHWM") - before}))


def memory(field: str) -> float:
    """Return a field of this process' status, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(field))


def fornix(row: Row, X: Any, Y: Any, inner: Any, new: Any) -> Any:
    """Return the call of Fornix's ridge solver, which gives predictions and penalties."""
    del row

    def call() -> Any:
        primal = X.shape[1] <= len(X)  # as himalaya's two estimators have them
        found = solve(X, Y, ALPHAS, inner, at=new, with_coef=primal)
        return found.predicted, found.alpha

    return call


def himalaya(kind: str) -> Any:
    """Return what makes the call of himalaya's ridge for a backend."""

    def prepare(row: Row, X: Any, Y: Any, inner: Any, new: Any) -> Any:
        del row
        torch.set_num_threads(1)
        set_backend(kind, on_error="raise")
        folds = PredefinedSplit(inner)

        def call() -> Any:
            batch = {"n_targets_batch": BATCH}
            settings = {"alphas": ALPHAS, "fit_intercept": True, "cv": folds}
            if X.shape[1] <= len(X):
                found = RidgeCV(solver_params=batch, **settings).fit(X, Y)
            else:
                found = KernelRidgeCV(kernel="linear", solver_params=batch, **settings).fit(X, Y)
            return np.asarray(found.predict(new)), np.asarray(found.best_alphas_)

        return call

    return prepare


def sklearn_loo(row: Row, X: Any, Y: Any, inner: Any, new: Any) -> Any:
    """Return the call of scikit-learn's leave-one-out."""
    del row, inner

    def call() -> Any:
        found = LeaveOneOut(alphas=ALPHAS, alpha_per_target=True).fit(X, Y)
        return found.predict(new), found.alpha_

    return call


def candidates(row: Row) -> Any:
    """Return the weights that all contestants try; himalaya takes none of 0."""
    drawn = banded.dirichlet(row.candidates, len(row.widths), np.random.default_rng(1))
    return np.maximum(drawn, 1e-6)


def fornix_banded(row: Row, X: Any, Y: Any, inner: Any, new: Any) -> Any:
    """Return the call of Fornix's banded ridge."""
    cuts = np.cumsum(row.widths)[:-1]
    given = Features(np.split(X, cuts, axis=1), np.split(new, cuts, axis=1))

    def call() -> Any:
        primal = X.shape[1] <= len(X)
        found = banded.solve(given, Y, candidates(row), ALPHAS, inner, with_coef=primal)
        return found.predicted, found.alpha / found.weights

    return call


def himalaya_banded(kind: str) -> Any:
    """Return what makes the call of himalaya's random search for a backend, by the shape."""

    def prepare(row: Row, X: Any, Y: Any, inner: Any, new: Any) -> Any:
        torch.set_num_threads(1)
        backend = set_backend(kind, on_error="raise")
        cuts, mean = np.cumsum(row.widths)[:-1], X.mean(0)
        settings = {
            "n_iter": backend.asarray(candidates(row)),
            "alphas": backend.asarray(ALPHAS),
            "cv": PredefinedSplit(inner),
            "fit_intercept": True,
            "n_targets_batch": BATCH,
            "progress_bar": False,
        }

        def call() -> Any:
            spaces = np.split(X - mean, cuts, axis=1)
            others = np.split(new - mean, cuts, axis=1)
            if X.shape[1] <= len(X):
                deltas, coef, _, intercept = solve_group_ridge_random_search(
                    [backend.asarray(one) for one in spaces], backend.asarray(Y),
                    return_weights=True, **settings,
                )  # fmt: skip
                predicted = np.hstack(others) @ np.asarray(coef) + np.asarray(intercept)
                return predicted, np.exp(-np.asarray(deltas))
            grams = backend.asarray(np.stack([one @ one.T for one in spaces]))
            found = solve_multiple_kernel_ridge_random_search(
                grams, backend.asarray(Y), return_weights="dual", **settings
            )
            deltas, dual, _, intercept = map(np.asarray, found)
            parts = zip(others, spaces, deltas, strict=True)
            predicted = sum(new @ one.T @ (dual * np.exp(delta)) for new, one, delta in parts)
            return predicted + intercept, np.exp(-deltas)

        return call

    return prepare


RIDGE = {
    "fornix": fornix,
    "himalaya_numpy": himalaya("numpy"),
    "himalaya_torch": himalaya("torch"),
    "sklearn_loo": sklearn_loo,
}
BANDED = {
    "fornix": fornix_banded,
    "himalaya_numpy": himalaya_banded("numpy"),
    "himalaya_torch": himalaya_banded("torch"),
}


def flops(row: Row) -> float:
    """Return the floating-point operations of Fornix's solution.

    Of an eigendecomposition of r by r 9 r³ are counted, as is usual, and one fit on all samples,
    though banded ridge makes one for each candidate that is some target's best.
    """
    n, p, t = row.n, sum(row.widths), row.t
    k, count = n / N_FOLDS, max(row.candidates, 1)
    if p > n:
        m = n - k
        once, whole = 2.0 * n * n * (p + N_NEW), 9.0 * n**3 + 4.0 * n * n * t
        products = 2 * k * m * t + 4 * k * m * m
    else:
        m = p
        once, whole = 4.0 * n * p * p + 2.0 * n * p * t, 9.0 * p**3 + 4.0 * p * p * t
        products = 2 * min(k, p) * p * t + 4 * min(k, p) * p * p
    fold = 9 * m**3 + products + 4 * m * m * t + 4 * len(ALPHAS) * m * t
    return once + whole + count * N_FOLDS * fold


def gemm(kind: Any) -> float:
    """Return the floating-point operations a second of a large product, one thread."""
    a = np.random.default_rng(0).normal(size=(1500, 1500)).astype(kind)
    with threadpool_limits(1):
        return 2 * 1500**3 / best(lambda: a @ a, 5)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        alone(sys.argv[1], GRID[int(sys.argv[2])], Path(sys.argv[3]))
    else:
        main(light="light" in sys.argv[1:])
