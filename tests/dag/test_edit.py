"""Edits that are tried: the value lands where the path says, or the nearest key is named."""

from __future__ import annotations

import pytest
import yaml

from fornix.dag.edit import edited
from fornix.dag.workflow import study_of
from fornix.errors import FornixError
from fornix.study.load import load_study


@pytest.fixture
def path(tmp_path):
    from fornix.study.starter import write_starter

    file = write_starter("small", tmp_path)
    raw = yaml.safe_load(file.read_text())
    raw["variants"] = {"tiny": {"features": {"gabor": {"n_levels": 2}}, "seed": 3}}
    file.write_text(yaml.safe_dump(raw, sort_keys=False))
    return file


def changed(path, *edits, variant=None):
    return study_of(edited(path, variant, edits))


def test_an_edit_gives_the_study_that_a_change_of_the_file_gives(path):
    study, label = changed(path, "features.gabor.layers=[level1, 2]", "scores.permutations=7")
    raw = yaml.safe_load(path.read_text())
    raw["features"]["gabor"]["layers"] = ["level1", 2]
    raw.setdefault("scores", {})["permutations"] = 7
    path.write_text(yaml.safe_dump(raw))
    assert study.identity() == load_study(path).identity()
    assert label == "small"


def test_edits_come_after_the_variant_and_keep_its_label(path):
    study, label = changed(path, "features.gabor.n_levels=3", variant="tiny")
    assert (study.features["gabor"].n_levels, study.seed, label) == (3, 3, "small-tiny")


def test_a_mapping_is_merged_and_null_takes_it_away(path):
    before = load_study(path)
    study, _ = changed(path, "responses.betas={high_pass: 0.02}")
    assert study.responses["betas"].high_pass == 0.02
    assert study.responses["betas"].dataset == before.responses["betas"].dataset
    study, _ = changed(path, "scores=null")
    assert study.scores.permutations != before.scores.permutations


def test_a_new_section_and_an_item_of_a_list(path):
    study, _ = changed(path, "features.small={kind: pixels, dataset: data}", "claims.0.text=So?")
    assert study.features["small"].kind == "pixels"
    assert study.claims[0].text == "So?"


@pytest.mark.parametrize(
    ("edit", "problem", "mend"),
    [
        ("featurs.gabor.layers=[1]", "no key 'featurs' in the study", "did you mean 'features'?"),
        ("features.gabr.layers=[1]", "no key 'gabr' in features", "did you mean 'gabor'?"),
        ("features.gabor.layer=[1]", "no key 'layer' in features.gabor", "mean 'layers'?"),
        ("claims.9.text=x", "has no item '9'", "items are 0 to"),
        ("seed.value=1", "seed is the value", "edit seed itself"),
        ("variants.tiny.seed=1", "through the study that it makes", "--variant NAME"),
        ("seed", "an edit is KEY=VALUE", "features.vit.layers=[3,6]"),
        (".seed=1", "an edit is KEY=VALUE", ""),
        ("seed=", "the value is empty", "write null"),
        ("seed=[1", "isn't valid YAML", "quote it"),
        ("seed=-1", "greater than or equal to 0", "mend"),
        ("features.gabor=5", "should be a mapping", ""),
    ],
)
def test_what_cannot_be_edited_is_said(path, edit, problem, mend):
    before = path.read_bytes()
    with pytest.raises(FornixError) as caught:
        edited(path, None, [edit])
    assert problem in caught.value.problem
    assert mend in caught.value.mend
    assert edit in caught.value.where
    assert path.read_bytes() == before
