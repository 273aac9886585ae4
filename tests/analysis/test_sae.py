"""Sparse autoencoders find a planted dictionary, and none in its shuffle."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fornix.analysis import sae
from fornix.analysis.material import Material
from fornix.errors import FornixError
from fornix.study.analyses import Sae

TRUE, WIDTH, ON = 24, 16, 2


def section(**changes):
    settings = {"n_latents": 32, "k": ON, "epochs": 60, "batch_size": 128, "learning_rate": 3e-3}
    return Sae(**{"kind": "sae", "features": ["f"], **settings, **changes})


def planted(n=2000, seed=0):
    """Sparse sums of more directions than there are features."""
    rng = np.random.default_rng(seed)
    dictionary = rng.normal(size=(TRUE, WIDTH))
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    which = rng.random((n, TRUE)).argsort(1)[:, :ON]
    latents = np.zeros((n, TRUE))
    np.put_along_axis(latents, which, rng.uniform(0.5, 1.5, (n, ON)), 1)
    return dictionary, (latents @ dictionary).astype(np.float32)


def shuffled(values, seed=1):
    """Each feature's values in another order: the same margins, no directions."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(column) for column in values.T], axis=1)


def table(n):
    return pd.DataFrame({"stimulus": [f"s{i}" for i in range(n)]})


def recovery(dictionary, model):
    return float((dictionary @ model.decoder.numpy().T).max(1).mean())


@pytest.mark.parametrize("changes", [{}, {"activation": "l1", "l1": 0.3, "learning_rate": 1e-2}])
def test_a_planted_dictionary_is_recovered_and_a_shuffled_one_is_not(changes):
    dictionary, values = planted()
    told = recovery(dictionary, sae.train(values, section(**changes)))
    control = recovery(dictionary, sae.train(shuffled(values), section(**changes)))
    assert told > 0.9
    assert control < 0.7


def test_held_out_stimuli_are_explained_by_few_latents():
    _, values = planted(1000)
    layers = {"f/planted": values, "f/shuffled": shuffled(values)}
    found = sae.analyse(section(), Material(layers, table(1000)))
    rows = {(row["target"], row["metric"]): row for row in found.rows}
    assert rows["f/planted", "explained_variance"]["value"] > 0.75
    assert rows["f/planted", "explained_variance"]["n"] == 200
    gap = [rows[f"f/{k}", "explained_variance"]["value"] for k in ("planted", "shuffled")]
    assert gap[0] > gap[1] + 0.2
    assert rows["f/planted", "l0"]["value"] <= ON
    assert rows["f/planted", "dead_fraction"]["value"] < 0.3
    alike = rows["f/planted", "monosemanticity"]
    assert alike["value"] > alike["chance"] + 0.3
    assert found.weights["f/planted/decoder"].shape == (32, WIDTH)
    assert found.arrays["density"].shape == (2, 32)


def test_silent_latents_are_brought_back():
    _, values = planted(600)
    dead = [
        (sae._encoded(sae.train(values, section(resample=times, epochs=40)), values, 600) <= 0)
        .all(0).mean()
        for times in (0, 3)
    ]  # fmt: skip
    assert dead[1] < max(dead[0], 0.1)


def test_the_same_seed_gives_the_same_weights():
    _, values = planted(300)
    one, two, other = (sae.train(values, section(epochs=3), seed=seed) for seed in (0, 0, 1))
    assert (one.decoder == two.decoder).all()
    assert (one.decoder != other.decoder).any()


def test_monosemanticity_is_the_weighted_mean_cosine_of_pairs():
    rng = np.random.default_rng(0)
    latents, features = np.maximum(rng.normal(size=(12, 3)), 0), rng.normal(size=(12, 5))
    latents[:, 2] = 0
    latents[4, 2] = 1
    found, chance = sae.monosemanticity(latents, features)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    pairs = np.triu_indices(12, 1)
    cosines = (unit @ unit.T)[pairs]
    scaled = latents / latents.max(0)
    for k in range(2):
        weights = np.outer(scaled[:, k], scaled[:, k])[pairs]
        assert found[k] == pytest.approx(np.average(cosines, weights=weights))
    assert np.isnan(found[2])
    assert chance == pytest.approx(cosines.mean())


def test_rows_of_a_stimulus_are_held_out_together():
    stimuli = pd.DataFrame({"stimulus": np.repeat([f"s{i}" for i in range(20)], 5)})
    held_out = sae._held_out(section(), Material({}, stimuli))
    assert pd.Series(held_out).groupby(stimuli["stimulus"]).nunique().eq(1).all()
    assert held_out.sum() == 20


def test_too_few_stimuli_are_said():
    with pytest.raises(FornixError, match="of 4 stimuli leaves too few"):
        sae.analyse(section(), Material({"f/a": np.ones((4, 3), np.float32)}, table(4)))
