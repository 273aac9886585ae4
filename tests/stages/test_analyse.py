"""The stage reads stored features, whatever their shape, and writes a score table."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from safetensors.numpy import load_file

from fornix.errors import FornixError
from fornix.evaluation.table import COLUMNS
from fornix.stages import analyse
from fornix.store import Recipe, Target, create, open_artifact
from fornix.study.analyses import (
    ActivationCodes,
    Cka,
    EffectiveDimension,
    ManifoldCapacity,
    Probe,
    Sae,
)
from fornix.study.compute import Compute

NAMES = [f"im{i:02d}.png" for i in range(40)]
KIND = np.arange(40) % 2


def write_features(path, layers, stimuli=NAMES, **coords):
    """Write a features artifact; later dimensions of a layer are places or tokens."""
    first = "frame" if coords else "stimulus"
    variables = {
        name: ((first, *(f"d{i}:{name}" for i in range(values.ndim - 1))), values)
        for name, values in layers.items()
    }
    named = {"stimulus": (first, np.array(stimuli, dtype=object))}
    named |= {key: (first, values) for key, values in coords.items()}
    dataset = xr.Dataset(variables, coords=named, attrs={"layers": json.dumps([*layers])})
    with create(Target(path), Recipe("features", {}, {})) as draft:
        draft.write_dataset("features", dataset.astype(np.float32), along=first)
    return path


@pytest.fixture
def inputs(tmp_path):
    rng = np.random.default_rng(0)
    told = rng.normal(size=(40, 3, 2))
    told[:, 0, 0] += 6 * KIND
    stimuli = pd.DataFrame({"stimulus": NAMES, "modality": "image", "kind": list("ab") * 20})
    with create(Target(tmp_path / "ingest"), Recipe("ingest", {}, {})) as draft:
        draft.write_table("stimuli", stimuli)
    layers = {"noise": rng.normal(size=(40, 5)), "told": told}
    return {
        "ingest": tmp_path / "ingest",
        "features/net": write_features(tmp_path / "net", layers),
    }


def run(tmp_path, inputs, section, name="mine"):
    path = tmp_path / f"{name}-0123"
    analyse.run(section, inputs, Target(path), Compute(), seed=1)
    return open_artifact(path)


SECTIONS = [
    EffectiveDimension(kind="effective_dimension", features=["net"]),
    Cka(kind="cka", features=["net"]),
    Probe(kind="probe", features=["net"], label="kind", permutations=100),
    ActivationCodes(kind="activation_codes", features=["net"], label="kind", permutations=50),
    Sae(kind="sae", features=["net"], n_latents=8, k=2, epochs=2),
    ManifoldCapacity(kind="manifold_capacity", features=["net"], label="kind", directions=20,
                     permutations=20),
]  # fmt: skip


@pytest.mark.parametrize("section", SECTIONS, ids=lambda one: one.kind)
def test_every_kind_writes_the_columns_of_the_score_table(tmp_path, inputs, section):
    found = run(tmp_path, inputs, section)
    table = found.table("scores")
    assert tuple(table) == COLUMNS
    assert set(table["fit"]) == {"mine"}
    assert set(table["subject"]) == {""}
    assert set(table["target"]) <= {"net/noise", "net/told"}
    assert np.isfinite(table["value"]).all()
    assert set(found.json("details.json")["how"]) >= set(table["metric"])


def test_a_probe_finds_the_layer_that_tells_through_its_grid(tmp_path, inputs):
    table = run(tmp_path, inputs, SECTIONS[2]).table("scores").set_index("target")
    assert table.loc["net/told", "value"] > 0.9
    assert table.loc["net/told", "p"] < 0.05
    assert table.loc["net/noise", "p"] > 0.05


def test_layers_are_chosen(tmp_path, inputs):
    for layers in (["tol*"], [-1]):
        section = SECTIONS[0].model_copy(update={"layers": layers})
        found = run(tmp_path, inputs, section, name=f"l{len(str(layers))}")
        assert set(found.table("scores")["target"]) == {"net/told"}
    with pytest.raises(FornixError, match="no layer matches 'tld'"):
        run(tmp_path, inputs, SECTIONS[0].model_copy(update={"layers": ["tld"]}))


def test_a_pattern_needs_a_layer_of_one_of_the_features(tmp_path, inputs):
    other = {"told": np.random.default_rng(1).normal(size=(40, 4))}
    inputs["features/other"] = write_features(tmp_path / "other", other)
    cases = {
        ("noise",): {"net/noise"},
        ("told",): {"net/told", "other/told"},
        ("other/*", "noi*"): {"net/noise", "other/told"},
        (0,): {"net/noise", "other/told"},
    }
    for at, (layers, expected) in enumerate(cases.items()):
        changes = {"layers": list(layers), "features": ["net", "other"]}
        found = run(tmp_path, inputs, SECTIONS[0].model_copy(update=changes), name=f"c{at}")
        assert set(found.table("scores")["target"]) == expected
    changes = {"layers": ["told", "tld"], "features": ["net", "other"]}
    with pytest.raises(FornixError, match="no layer matches 'tld'"):
        run(tmp_path, inputs, SECTIONS[0].model_copy(update=changes))


def test_the_matrix_and_the_weights_are_kept(tmp_path, inputs):
    assert run(tmp_path, inputs, SECTIONS[1]).dataset("arrays")["cka"].shape == (2, 2)
    trained = run(tmp_path, inputs, SECTIONS[4], name="sae")
    weights = load_file(trained.part("weights.safetensors"))
    assert weights["net/told/decoder"].shape == (8, 6)


def test_sections_are_compared_on_their_common_stimuli_in_one_order(tmp_path, inputs):
    net = open_artifact(inputs["features/net"]).dataset("features").load()
    order = np.random.default_rng(1).permutation(40)[:30]
    twin = write_features(
        tmp_path / "twin", {"same": net["told"].values[order]}, [NAMES[i] for i in order]
    )
    section = Cka(kind="cka", features=["net", "twin"])
    found = run(tmp_path, {**inputs, "features/twin": twin}, section)
    table = found.table("scores").set_index(["target", "unit"])
    assert table.loc[("net/told", "twin/same"), "value"] == pytest.approx(1)
    assert set(table["n"]) == {30}
    assert found.json("details.json")["notes"] == [
        "10 rows that not all features have were left out."
    ]


def test_frames_are_rows_and_a_stimulus_is_never_split(tmp_path, inputs):
    rng = np.random.default_rng(2)
    values = np.repeat(rng.normal(size=(40, 30)), 3, axis=0) + 0.01 * rng.normal(size=(120, 30))
    film = write_features(
        tmp_path / "film", {"a": values}, np.repeat(NAMES, 3), time=np.tile([0.0, 0.5, 1.0], 40)
    )
    section = Probe(kind="probe", features=["film"], label="kind", permutations=50)
    row = run(tmp_path, {**inputs, "features/film": film}, section).table("scores").iloc[0]
    assert row["n"] == 120
    assert row["value"] < 0.8  # frames of a stimulus in both halves would give 1
    both = Cka(kind="cka", features=["net", "film"])
    with pytest.raises(FornixError, match="in time have no rows in common"):
        run(tmp_path, {**inputs, "features/film": film}, both, name="both")


def test_values_that_are_not_finite_are_refused(tmp_path, inputs):
    bad = write_features(tmp_path / "bad", {"a": np.full((40, 2), np.nan)})
    section = EffectiveDimension(kind="effective_dimension", features=["bad"])
    with pytest.raises(FornixError, match="bad/a has values that aren't finite for 40"):
        run(tmp_path, {**inputs, "features/bad": bad}, section)


def test_the_same_inputs_are_not_analysed_twice(tmp_path, inputs):
    first = run(tmp_path, inputs, SECTIONS[2]).manifest
    assert run(tmp_path, inputs, SECTIONS[2]).manifest == first
