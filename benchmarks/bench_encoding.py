"""Ridge with a penalty for each target: Fornix against himalaya and scikit-learn.

What an encoding study does in each outer fold: choose 20 penalties by 5 inner folds, fit,
and predict 200 further samples. The same float64 numbers, one thread, each contestant in a process
of its own. Times are processor seconds, so that what else the machine does counts little.
scikit-learn has no grouped folds for many targets: its leave-one-out is shown for its time only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidgeCV
from himalaya.ridge import RidgeCV
from measure import best, say
from sklearn.linear_model import RidgeCV as LeaveOneOut
from sklearn.model_selection import PredefinedSplit
from threadpoolctl import threadpool_limits

from fornix.solvers.ridge import solve, work

ALPHAS = np.logspace(-1, 6, 20)
N_FOLDS = 5
N_NEW = 200
CONTESTANTS = ("fornix", "himalaya_numpy", "himalaya_torch", "sklearn_loo")
GRID = [
    # samples, features, targets, repeats, goal over himalaya's best
    (100, 20, 50, 5, 1.0),
    (300, 5000, 200, 3, 1.0),
    (1000, 100, 10_000, 2, 1.0),
    (1000, 768, 10_000, 2, 2.3),
    (1000, 4096, 10_000, 1, 2.7),
    (4000, 768, 10_000, 1, 18.0),
]
FLEXIBLE = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that bind NumPy's BLAS to a kernel, and slow it down where set."""


def main() -> None:
    """Run the grid, print the table, and one line a goal."""
    peak = dgemm()
    print(f"dgemm of this machine, one thread: {peak / 1e9:.1f} Gflop/s")
    print("n p t | contestant: s, MB | largest difference of predictions, penalties alike")
    for n, p, t, repeats, goal in GRID:
        with tempfile.TemporaryDirectory() as folder:
            found = {name: {"s": np.inf, "mb": 0.0} for name in CONTESTANTS}
            for _ in range(repeats):
                for name in CONTESTANTS:
                    one = contest(name, n, p, t, Path(folder))
                    found[name]["s"] = min(found[name]["s"], one["s"])
                    found[name]["mb"] = max(found[name]["mb"], one["mb"])
            report((n, p, t), found, Path(folder), goal=goal, peak=peak)


def report(
    shape: tuple[int, int, int], found: dict[str, Any], folder: Path, *, goal: float, peak: float
) -> None:
    """Print a row of the table and the goals' lines."""
    n, p, t = shape
    ours, theirs = (np.load(folder / f"{name}.npz") for name in ("fornix", "himalaya_numpy"))
    apart = np.abs(ours["predicted"] - theirs["predicted"]).max() / theirs["predicted"].std()
    alike = np.isclose(ours["alpha"], theirs["alpha"]).mean()
    times = ", ".join(f"{k} {v['s']:.2f} s {v['mb']:.0f} MB" for k, v in found.items())
    share = work(n, p, t, N_FOLDS) / found["fornix"]["s"] / peak
    print(f"{n} {p} {t} | {times} | {apart:.1e}, {alike:.2%} | {share:.0%} of dgemm", flush=True)
    himalaya = [found[name] for name in CONTESTANTS if name.startswith("himalaya")]
    name = f"ridge_n{n}_p{p}_t{t}"
    fastest = min(one["s"] for one in himalaya)
    say(f"{name}_speedup", fastest / found["fornix"]["s"], "x", goal, at_least=True)
    least = max(min(one["mb"] for one in himalaya), 1.0)
    say(f"{name}_memory", max(found["fornix"]["mb"], 1.0) / least, "x", 1.0)
    say(f"{name}_difference", apart, "relative", 1e-8)
    say(f"{name}_penalties_alike", alike, "share", 1.0, at_least=True)


def contest(name: str, n: int, p: int, t: int, folder: Path) -> dict[str, float]:
    """Run one contestant in a process of its own; return processor seconds and MB."""
    environment = {k: v for k, v in os.environ.items() if k not in FLEXIBLE}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    call = [sys.executable, __file__, name, str(n), str(p), str(t), str(folder)]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def alone(name: str, n: int, p: int, t: int, folder: Path) -> None:
    """Solve as one contestant, and print what it took."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p)) * np.logspace(0, -1.5, p)
    Y = X @ rng.normal(size=(p, t)) / np.sqrt(p) + rng.normal(size=(n, t)) * rng.uniform(0.1, 2, t)
    inner = np.arange(n) % N_FOLDS
    new = rng.normal(size=(N_NEW, p)) * np.logspace(0, -1.5, p)
    solver = SOLVERS[name](X, Y, inner, new)
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


def fornix(X: Any, Y: Any, inner: Any, new: Any) -> Any:
    """Return the call of Fornix's solver, which gives predictions and penalties."""

    def call() -> Any:
        primal = X.shape[1] <= len(X)  # as himalaya's two estimators have them
        found = solve(X, Y, ALPHAS, inner, at=new, with_coef=primal)
        return found.predicted, found.alpha

    return call


def himalaya(kind: str) -> Any:
    """Return what makes the call of himalaya's solver for a backend."""

    def prepare(X: Any, Y: Any, inner: Any, new: Any) -> Any:
        torch.set_num_threads(1)
        set_backend(kind, on_error="raise")
        folds = PredefinedSplit(inner)

        def call() -> Any:
            # Targets in batches, as its documentation advises where memory counts.
            batch = {"n_targets_batch": 1000}
            settings = {"alphas": ALPHAS, "fit_intercept": True, "cv": folds}
            if X.shape[1] <= len(X):
                found = RidgeCV(solver_params=batch, **settings).fit(X, Y)
            else:
                found = KernelRidgeCV(kernel="linear", solver_params=batch, **settings).fit(X, Y)
            return np.asarray(found.predict(new)), np.asarray(found.best_alphas_)

        return call

    return prepare


def sklearn_loo(X: Any, Y: Any, inner: Any, new: Any) -> Any:
    """Return the call of scikit-learn's leave-one-out."""

    def call() -> Any:
        found = LeaveOneOut(alphas=ALPHAS, alpha_per_target=True).fit(X, Y)
        return found.predict(new), found.alpha_

    return call


SOLVERS = {
    "fornix": fornix,
    "himalaya_numpy": himalaya("numpy"),
    "himalaya_torch": himalaya("torch"),
    "sklearn_loo": sklearn_loo,
}


def dgemm() -> float:
    """Return the floating-point operations a second of a large product, one thread, float64."""
    a = np.random.default_rng(0).normal(size=(1500, 1500))
    with threadpool_limits(1):
        return 2 * 1500**3 / best(lambda: a @ a, 5)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        alone(sys.argv[1], *map(int, sys.argv[2:5]), Path(sys.argv[5]))
    else:
        main()
