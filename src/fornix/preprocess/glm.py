"""Single-trial GLMs: least squares, all (LSA) and least squares, separate (LSS).

Both estimates of a trial are linear in the run: beta = w @ signal, with one row ``w`` a trial
that depends on the design alone. So the small regressions are solved once, over volumes, and
applied to all voxels in one matrix product. With an AR(1) model the rows are those of the
whitened design, one set for each of nilearn's bins of the autocorrelation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from nilearn.glm.first_level import compute_regressor, make_first_level_design_matrix, run_glm
from nilearn.glm.first_level.hemodynamic_models import (
    glover_hrf,
    glover_time_derivative,
    spm_hrf,
    spm_time_derivative,
)

from fornix.errors import FornixError

Array = npt.NDArray[np.float64]
RESPONSES = {"glover": glover_hrf, "spm": spm_hrf}
DERIVATIVES = {"glover": glover_time_derivative, "spm": spm_time_derivative}
TOLERANCE = 1e-8
BLOCK = 8192


@dataclass(frozen=True)
class Design:
    """The regressors of one run.

    Attributes
    ----------
    main : array (volume, trial)
        Predicted response of each trial.
    derivative : array (volume, trial) or None
        Its temporal derivative, where the response model has one.
    nuisance : array (volume, column)
        Drift, constant, confounds and other conditions.
    condition : array (trial,)
        Condition of each trial, for LSS.
    """

    main: Array
    derivative: Array | None
    nuisance: Array
    condition: npt.NDArray[np.str_]

    def whiten(self, rho: float) -> Design:
        """Return the design as an AR(1) model with coefficient ``rho`` sees it."""
        derivative = None if self.derivative is None else whiten(self.derivative, rho)
        return Design(
            whiten(self.main, rho), derivative, whiten(self.nuisance, rho), self.condition
        )


def make_design(
    events: pd.DataFrame,
    condition: Sequence[str],
    others: pd.DataFrame,
    others_condition: Sequence[str],
    times: Array,
    *,
    hrf: str,
    detrend: bool,
    high_pass: float | None,
    confounds: Array | None,
) -> Design:
    """Build the regressors of a run with nilearn.

    Parameters
    ----------
    events, others
        Trials to estimate, and further events that are modelled by condition (``onset``,
        ``duration``).
    condition, others_condition
        Their conditions.
    times : array (volume,)
        Acquisition times, s.
    hrf
        nilearn's name: glover or spm, with or without ``+ derivative``.
    detrend
        Add a linear trend.
    high_pass
        Cut-off of the discrete cosine drift, Hz.
    confounds : array (volume, confound) or None
        Further nuisance columns.
    """
    family, _, derivative = hrf.partition(" + ")
    names = np.array([f"trial{i:06d}" for i in range(len(events))])
    main = _convolve(events, names, times, RESPONSES[family])
    slope = _convolve(events, names, times, DERIVATIVES[family]) if derivative else None
    drift = make_first_level_design_matrix(
        times, drift_model="cosine" if high_pass else None, high_pass=high_pass or 0.0
    ).to_numpy()
    nuisance = [drift]
    if detrend:
        nuisance.append(np.linspace(-1.0, 1.0, len(times))[:, None])
    if confounds is not None:
        spread = confounds.std(axis=0)
        nuisance.append((confounds - confounds.mean(axis=0)) / np.where(spread > 0, spread, 1.0))
    if len(others):
        labels = np.asarray(others_condition, dtype=np.str_)
        nuisance.append(_convolve(others, labels, times, RESPONSES[family]))
        if derivative:
            nuisance.append(_convolve(others, labels, times, DERIVATIVES[family]))
    columns = np.concatenate(nuisance, axis=1)
    return Design(main, slope, columns, np.asarray(condition, dtype=np.str_))


def _convolve(
    events: pd.DataFrame, names: npt.NDArray[np.str_], times: Array, response: object
) -> Array:
    """Return one convolved regressor a name, in the order of the sorted names."""
    onset = events["onset"].to_numpy(np.float64)
    duration = events["duration"].fillna(0.0).to_numpy(np.float64)
    columns = []
    for name in np.unique(names):
        mine = names == name
        condition = onset[mine], duration[mine], np.ones(int(mine.sum()))
        columns.append(compute_regressor(condition, response, times)[0])
    return np.concatenate(columns, axis=1, dtype=np.float64)


def whiten(values: Array, rho: float) -> Array:
    """Return ``x[t] - rho x[t-1]`` along the first axis; the first row stays, as in nilearn."""
    out = values.copy()
    out[1:] -= rho * values[:-1]
    return out


def trial_betas(
    signals: npt.NDArray[np.float32],
    design: Design,
    *,
    method: Literal["lsa", "lss"],
    noise: Literal["ols", "ar1"],
    where: str,
) -> npt.NDArray[np.float32]:
    """Estimate one response a trial and voxel.

    With ``ar1`` the autocorrelation of each voxel is nilearn's estimate (Yule-Walker on the
    residuals, in bins of 0.01): of the LSA model for ``lsa``, and of the model with one
    regressor a condition for ``lss``, once for all its trials, since it belongs to the voxel.

    Parameters
    ----------
    signals : array (volume, voxel)
        One run.
    design
        Its regressors.
    method
        ``lsa``: all trials in one model. ``lss``: one model a trial, with its own regressor
        and, for each condition, the sum of the other trials (Mumford et al. 2012, NeuroImage
        59).
    noise
        Ordinary least squares, or first-order autocorrelation.
    where
        The recording, for messages.

    Returns
    -------
    array (trial, voxel)
        Coefficients of the trials' (main) regressors, in the signals' units.

    Raises
    ------
    FornixError
        If the trials can't be told apart.
    """
    estimate = lsa_rows if method == "lsa" else lss_rows
    out = np.empty((design.main.shape[1], signals.shape[1]), dtype=np.float32)
    rows = {0.0: estimate(design, where)}
    for start in range(0, signals.shape[1], BLOCK):
        block = signals[:, start : start + BLOCK].astype(np.float64)
        rho = np.zeros(block.shape[1])
        if noise == "ar1":
            labels, _ = run_glm(block, _noise_model(design, method), noise_model="ar1", n_jobs=1)
            rho = np.asarray(labels, dtype=np.float64)
        for value in np.unique(rho):
            if value not in rows:
                rows[value] = estimate(design.whiten(value), where)
            mine = rho == value
            out[:, start : start + BLOCK][:, mine] = rows[value] @ whiten(block[:, mine], value)
    return out


def _noise_model(design: Design, method: str) -> Array:
    parts = [design.main] if design.derivative is None else [design.main, design.derivative]
    if method == "lss":
        member = _members(design.condition)
        parts = [part @ member for part in parts]
    return np.concatenate([*parts, _basis(design.nuisance)], axis=1)


def lsa_rows(design: Design, where: str = "") -> Array:
    """Return the rows ``w`` (trial, volume) of the model with all trials."""
    own, _, rank = _without_nuisance(design)
    columns = np.concatenate(own, axis=1)
    n_volumes, n_trials = design.main.shape
    if columns.shape[1] > n_volumes - rank or not _independent(columns):
        problem = f"the {n_trials} trials can't be told apart in one model of {n_volumes} volumes"
        mend = "use `method: lss`, drop trials that share an onset, or fewer confounds"
        raise FornixError(problem, where=f"responses: samples.method lsa ({where})", mend=mend)
    return np.asarray(np.linalg.pinv(columns)[:n_trials])


def lss_rows(design: Design, where: str = "") -> Array:
    """Return the rows ``w`` (trial, volume) of the models with one trial each.

    The nuisance columns are projected out of everything once (Frisch and Waugh), so each
    trial's model has no more columns than one, or two, for it and for each condition.
    """
    own, rest, _ = _without_nuisance(design)
    member = _members(design.condition)
    sums = [part @ member for part in rest]
    out = np.empty(design.main.T.shape)
    for trial in range(len(out)):
        others = member.sum(axis=0) - member[trial] > 0
        columns = [part[:, [trial]] for part in own]
        for part, total in zip(rest, sums, strict=True):
            columns.append((total - np.outer(part[:, trial], member[trial]))[:, others])
        model = np.concatenate(columns, axis=1)
        if not _independent(model):
            problem = f"trial {trial + 1} of {len(out)} can't be told from the others"
            mend = "drop events that share an onset, or that the run's end cuts off"
            raise FornixError(problem, where=f"responses: samples.method lss ({where})", mend=mend)
        out[trial] = np.linalg.pinv(model)[0]
    return out


def _without_nuisance(design: Design) -> tuple[list[Array], list[Array], int]:
    """Project the nuisance out of the trials' regressors.

    Returns
    -------
    own
        Main regressors and derivatives for a trial's own columns. As nilearn does, a derivative
        is first made orthogonal to its main regressor.
    rest
        The same for sums over trials: a sum's derivative is the sum of the plain derivatives.
    rank
        Dimensions that the nuisance takes.
    """
    basis = _basis(design.nuisance)

    def project(part: Array) -> Array:
        return np.asarray(part - basis @ (basis.T @ part))

    main, slope = design.main, design.derivative
    if slope is None:
        return [project(main)], [project(main)], basis.shape[1]
    tiny = np.finfo(np.float64).tiny
    share = (main * slope).sum(axis=0) / np.maximum((main**2).sum(axis=0), tiny)
    own = [project(main), project(slope - share * main)]
    return own, [own[0], project(slope)], basis.shape[1]


def _independent(columns: Array) -> bool:
    """Return whether no column follows from the others, whatever their scales."""
    norms = np.linalg.norm(columns, axis=0)
    if norms.min() <= TOLERANCE * norms.max():
        return False
    strength = np.linalg.svd(columns / norms, compute_uv=False)
    return bool(strength[-1] > TOLERANCE * strength[0])


def _basis(columns: Array) -> Array:
    """Return orthonormal columns that span the same space."""
    scale = np.linalg.norm(columns, axis=0)
    left, strength, _ = np.linalg.svd(
        columns / np.where(scale > 0, scale, 1.0), full_matrices=False
    )
    return np.asarray(left[:, strength > TOLERANCE * strength[0]])


def _members(condition: npt.NDArray[np.str_]) -> Array:
    """Return which trial belongs to which condition, (trial, condition)."""
    member = condition[:, None] == np.unique(condition)[None, :]
    return np.asarray(member, dtype=np.float64)


def nuisance_spread(signals: npt.NDArray[np.float32], design: Design) -> npt.NDArray[np.float32]:
    """Return each voxel's sample standard deviation without the nuisance, (voxel,)."""
    basis = _basis(design.nuisance)
    out = np.empty(signals.shape[1], dtype=np.float32)
    for start in range(0, signals.shape[1], BLOCK):
        block = signals[:, start : start + BLOCK].astype(np.float64)
        out[start : start + BLOCK] = (block - basis @ (basis.T @ block)).std(axis=0, ddof=1)
    return out
