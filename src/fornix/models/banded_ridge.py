"""Banded ridge from spaces of features to every unit; multiple-kernel ridge with other kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import linear_kernel, polynomial_kernel, rbf_kernel

from fornix.errors import FornixError, did_you_mean
from fornix.models.interface import Context, EncodingData, Predictions
from fornix.models.ridge import principal_axes
from fornix.progress import track
from fornix.seeds import generator
from fornix.solvers.backend import choose_backend, working_memory
from fornix.solvers.banded import BandedSolution, dirichlet, solve, work
from fornix.solvers.panels import Matrix, moments, scaled
from fornix.solvers.spaces import Features, Floats, Kernels

if TYPE_CHECKING:
    from fornix.study.fits.banded_ridge import BandedRidgeFit


def fit(section: BandedRidgeFit, data: EncodingData, context: Context) -> Predictions:
    """Predict every held-out sample from each target's spaces, and refit on all samples.

    Parameters
    ----------
    section
        Settings.
    data
        Samples, features and folds.
    context
        Notes go here.

    Raises
    ------
    FornixError
        If a kernel is given for a space that isn't there.
    """
    known = {name for names in data.bands.values() for name in names} | {*data.targets}
    for name in section.kernels:
        if name not in known:
            problem = f"kernels names '{name}', which is no space"
            raise FornixError(problem, where="fits: kernels", mend=did_you_mean(name, known))
    found = Predictions()
    everything = np.arange(len(data.responses))
    for target in track(list(data.targets), "banded ridge: targets"):
        mine = Target.of(section, data, target, context)
        names = list(mine.spaces)
        predicted = np.empty(data.responses.shape, dtype=np.float32)
        parts = np.zeros((len(names), *predicted.shape), dtype=np.float32)
        chosen, blind = [], set()
        for train, test in data.folds:
            one = mine.fit(train, data.inner(train), test)
            predicted[test], parts[:, test] = one.predicted, one.parts
            chosen.append(one.alpha)
            blind |= {names[i] for i in np.flatnonzero(~one.used)}
        final = mine.fit(everything, data.inner(everything))
        found.predicted[target] = predicted
        found.alpha[target] = np.stack(chosen).astype(np.float32)
        if target in data.bands:
            found.parts[target] = dict(zip(names, parts, strict=True))
        found.weights |= {f"{target}/{k}": v.astype(np.float32) for k, v in final.weights.items()}
        for name in sorted(blind):
            context.notes.append(
                f"{target}: every feature of {name} is constant in the training samples of some "
                "folds; there it has no part in the predictions"
            )
    return found


@dataclass(frozen=True)
class Fitted:
    """One fit.

    Attributes
    ----------
    alpha
        (unit,).
    used
        Whether each space has features that vary.
    weights
        ``coef`` (feature, unit) for raw features or ``dual`` (sample, unit), ``intercept``,
        ``alpha`` and ``weights`` of the spaces.
    predicted
        (sample, unit).
    parts
        (space, sample, unit).
    """

    alpha: Floats
    used: NDArray[np.bool_]
    weights: dict[str, NDArray[Any]]
    predicted: NDArray[Any] | None
    parts: NDArray[Any] | None


@dataclass(frozen=True)
class Target:
    """Spaces and responses of all samples, and how they are fitted.

    Features are z-scored on the training samples, and each space is scaled so that its samples
    have a mean squared length of 1: equal weights are then equal shares, however wide a space is.

    Attributes
    ----------
    section
        Settings.
    spaces
        Name -> (sample, feature).
    Y
        Responses (sample, unit).
    candidates
        Weights of the spaces to try, (candidate, space).
    solver
        Takes spaces, targets, candidates and inner folds.
    """

    section: BandedRidgeFit
    spaces: dict[str, Matrix]
    Y: NDArray[Any]
    candidates: Floats
    solver: Callable[..., BandedSolution]

    @classmethod
    def of(cls, section: BandedRidgeFit, data: EncodingData, target: str, context: Context) -> Self:
        """Return one target of some data."""
        spaces = data.spaces(target)
        rng = generator(context.seed, "banded ridge", len(spaces))
        candidates = dirichlet(section.n_candidates, len(spaces), rng)
        (n, t), n_fits = data.responses.shape, len(data.folds) + 1
        ahead = n_fits * work(n, data.width(target), t, section.inner_splits, len(candidates))
        low, high, count = section.alphas
        backend = choose_backend(context.resources, ahead)
        solver = partial(
            solve,
            alphas=np.logspace(low, high, count),
            n_steps=section.n_steps,
            backend=backend,
            memory=working_memory(backend, context.resources),
            what=f"banded ridge: candidates for {target}",
        )
        return cls(section, spaces, data.responses, candidates, solver)

    def fit(
        self,
        train: NDArray[np.intp],
        inner_folds: NDArray[np.intp],
        test: NDArray[np.intp] | None = None,
    ) -> Fitted:
        """Fit on some samples, and predict others.

        Parameters
        ----------
        train, inner_folds
            Rows to train on, and the inner fold of each.
        test
            Rows to predict.
        """
        section, Y, names = self.section, self.Y, list(self.spaces)
        matrices = list(self.spaces.values())
        spaces = [_Space.of(X[train], section.pca) for X in matrices]
        used = np.asarray([space.used.any() for space in spaces])
        widths = [X.shape[1] for X in matrices]
        if not used.any():
            return _mean_only(Y[train], sum(widths), len(names), 0 if test is None else len(test))
        kept = np.flatnonzero(used)
        Z = [spaces[i](matrices[i][train]) for i in kept]
        points = None if test is None else [spaces[i](matrices[i][test]) for i in kept]
        kinds = [section.kernels.get(names[i], section.kernel) for i in kept]
        given: Features | Kernels
        if set(kinds) == {"linear"}:
            given = Features(Z, points)
        else:
            given = _kernels(section, kinds, Z, points)
        candidates = self.candidates[:, kept]
        candidates = candidates[candidates.any(1)]
        found = self.solver(
            given,
            Y[train],
            inner_folds=inner_folds,
            candidates=candidates,
            with_coef=test is None,
            with_parts=test is not None,
        )
        shares = np.zeros((len(names), Y.shape[1]))
        shares[kept] = found.weights
        weights = {"intercept": found.intercept, "alpha": found.alpha, "weights": shares}
        if found.coef is not None and isinstance(given, Features):
            fitted = np.split(found.coef, np.cumsum([one.shape[1] for one in Z])[:-1])
            own = dict(zip(kept, fitted, strict=True))
            nothing = np.zeros((0, Y.shape[1]), dtype=found.coef.dtype)
            raw = [space.raw(own.get(i, nothing)) for i, space in enumerate(spaces)]
            coef = np.concatenate(raw)
            mean = np.concatenate([space.mean for space in spaces])
            weights |= {"coef": coef, "intercept": found.intercept - mean @ coef}
        if found.dual is not None:
            weights["dual"] = found.dual
        parts = None
        if found.parts is not None:
            parts = np.zeros((len(names), *found.parts.shape[1:]), dtype=found.parts.dtype)
            parts[kept] = found.parts
        return Fitted(found.alpha, used, weights, found.predicted, parts)


@dataclass(frozen=True)
class _Space:
    """How a space's features become those that are fitted.

    Attributes
    ----------
    mean, scale
        (feature,); the scale is 0 for features that are constant.
    axes
        Principal axes of the others, (feature, component), or None.
    """

    mean: Floats
    scale: Floats
    axes: Floats | None

    @classmethod
    def of(cls, X: Matrix, n_components: int | None) -> _Space:
        """Return the space of training samples (sample, feature)."""
        mean, spread = moments(X)
        # float32 features that differ in their last bits only are constant.
        used = spread > 1e-6 * np.maximum(np.abs(mean), 1e-12)
        scale = np.divide(1.0, spread, out=np.zeros(len(mean)), where=used)
        axes = None
        if n_components is not None and used.any():
            Z = np.asarray(scaled(X, mean, scale))
            axes = principal_axes(Z, np.zeros(Z.shape[1], dtype=np.intp), n_components)
        count = used.sum() if axes is None else axes.shape[1]
        return cls(mean, scale / np.sqrt(max(count, 1)), axes)

    @property
    def used(self) -> NDArray[np.bool_]:
        """Features that vary."""
        return self.scale > 0

    def __call__(self, X: Matrix) -> Matrix:
        """Return the fitted features of some samples."""
        Z = scaled(X, self.mean, self.scale)
        return Z if self.axes is None else np.asarray(Z) @ self.axes

    def raw(self, coef: NDArray[Any]) -> NDArray[Any]:
        """Return coefficients of raw features from those of fitted ones."""
        found = np.zeros((len(self.mean), coef.shape[1]), dtype=coef.dtype)
        whole = coef if self.axes is None else self.axes @ coef
        found[self.used] = whole * self.scale[self.used, None]
        return found


def _kernels(
    section: BandedRidgeFit, kinds: Sequence[str], Z: list[Matrix], points: list[Matrix] | None
) -> Kernels:
    """Return the kernels of spaces, their diagonal about the mean 1 on average."""
    makers = {
        # Of features whose mean square is 1 over their number: scikit-learn's default 1 / features.
        "linear": linear_kernel,
        "polynomial": partial(polynomial_kernel, degree=section.degree, gamma=1.0),
        "gaussian": partial(rbf_kernel, gamma=1 / section.width**2),
    }
    grams, across = [], []
    for i, kind in enumerate(kinds):
        trained = np.asarray(Z[i])
        gram = makers[kind](trained, trained)
        size = gram.diagonal().mean() - gram.mean()
        grams.append(gram / size)
        if points is not None:
            across.append(makers[kind](np.asarray(points[i]), trained) / size)
    return Kernels(grams, across if points is not None else None)


def _mean_only(Y: NDArray[Any], p: int, n_spaces: int, m: int) -> Fitted:
    """Return the fit of features that don't vary: the training mean."""
    centre, t = Y.mean(0, dtype=np.float64), Y.shape[1]
    shares, alpha = np.zeros((n_spaces, t)), np.zeros(t)
    weights = {"coef": np.zeros((p, t)), "intercept": centre, "alpha": alpha, "weights": shares}
    used = np.zeros(n_spaces, dtype=bool)
    return Fitted(alpha, used, weights, np.tile(centre, (m, 1)), np.zeros((n_spaces, m, t)))
