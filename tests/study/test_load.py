"""A study file that is wrong is refused with the line, what was found, and what to write."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fornix.errors import FornixError
from fornix.study.load import MAX_REPORTED, load_study, parse_study

PROJECT = Path(__file__).parents[2]
BETAS = "betas: {kind: fmri,"
GABOR = "gabor: {kind: gabor,"


@pytest.mark.parametrize("path", sorted((PROJECT / "config" / "studies").glob("*.yaml")), ids=str)
def test_the_studies_of_the_project_load(path):
    study = load_study(path)
    assert study.name == path.stem
    for variant in study.variants:
        load_study(path, variant)


def test_defaults_are_filled_in(small, study_file):
    study = load_study(study_file(small))
    assert study.seed == 0
    assert study.fits["encoding"].cv.n_splits == 5
    assert study.responses["betas"].samples.method == "lsa"
    assert study.scores.permutations == 1000


@pytest.mark.parametrize(
    ("edit", "line", "words"),
    [
        (("", "feature: {}\n"), 10, ["feature: unknown key", "did you mean 'features'?"]),
        ((BETAS, f"{BETAS} high_pas: 1,"), 5, ["responses.betas.high_pas", "'high_pass'?"]),
        ((BETAS, f"{BETAS} samples: {{windw: 1}},"), 5, ["betas.samples.windw", "'window'?"]),
        ((BETAS, f"{BETAS} zzz: 1,"), 5, ["betas.zzz: unknown key; allowed: confounds, dataset,"]),
        ((GABOR, f"{GABOR} grid: many,"), 7, ["features.gabor.grid: should be", "found 'many'"]),
        ((GABOR, f"{GABOR} grid: 0,"), 7, ["gabor.grid: should be greater than or equal to 1"]),
        ((GABOR, f"{GABOR} grid: 2.5,"), 7, ["gabor.grid: should be a valid integer", "2.5"]),
        ((GABOR, f"{GABOR} layers: 3,"), 7, ["gabor.layers: should be 'all' or should be a"]),
        (
            (GABOR, "gabor: {kind: gabr,"),
            7,
            ["features.gabor: kind 'gabr'", "did you mean 'gabor'?"],
        ),
        ((GABOR, "gabor: {"), 7, ["features.gabor: missing the key 'kind'"]),
        (("source: local", "source: zenodo"), 3, ["source 'zenodo' isn't known; allowed: local,"]),
        (("source: local, ", ""), 3, ["datasets.data: missing the key 'source'"]),
        ((", path: /nowhere", ""), 3, ["datasets.data.path: missing", "(BIDS root. ${VARIABLE}"]),
        (("{source: local, path: /nowhere}", "/nowhere"), 3, ["data: should be a mapping of keys"]),
        (("{kind: gabor, dataset: data}", ""), 7, ["gabor: should be a mapping", "found None"]),
        (("name: small", "name: my-study"), 1, ["name: should be letters, digits and underscores"]),
        (("name: small", "name: 7"), 1, ["name: should be text: put it in quotes; found 7"]),
        (("  data: {", "  my-data: {"), 3, ["datasets.my-data: should be letters, digits"]),
        ((BETAS, f"{BETAS} select: {{subject: [01]}},"), 5, ["select.subject.0: should be text:"]),
        ((BETAS, f"{BETAS} select: {{subject: [sub-1]}},"), 5, ["a BIDS label", "without 'sub-'"]),
        ((BETAS, f"{BETAS} high_pass: .nan,"), 5, ["high_pass: should be a finite number"]),
        (
            (BETAS, f"{BETAS} samples: {{method: lsx}},"),
            5,
            ["'block', 'trial', 'lsa', 'lss' or 'volumes'"],
        ),
        ((BETAS, "betas: {kind: eeg, tmin: 1,"), 5, ["betas: tmin (1.0 s) must come before tmax"]),
        (("dataset: data}\nfits", "dataset: dta}\nfits"), 7, ["no dataset named 'dta'", "'data'?"]),
        (("responses: betas", "responses: beta"), 9, ["fits.encoding.responses: there is no"]),
        (("[gabor]", "[gabor, vit]"), 9, ["fits.encoding.features.1", "named 'vit'", "gabor"]),
        (("source: local", "source: rdms"), 5, ["kind fmri and dataset 'data' don't fit"]),
    ],
)
def test_what_is_wrong_is_named_with_its_line(small, complaint, edit, line, words):
    old, new = edit
    text = small.replace(old, new) if old else small + new
    assert text != small
    message = complaint(text)
    assert "one problem" in message
    assert f"small.yaml:{line}: " in message
    for word in words:
        assert word in message


def test_a_tag_that_is_also_a_key_of_its_section_is_told_apart(small, complaint):
    text = small.replace("{source: local, path: /nowhere}", "{source: rdms, path: /a, rdms: 5}")
    assert "small.yaml:3: datasets.data.rdms: should be text" in complaint(text)


def test_a_missing_key_says_what_it_is_for(small, complaint):
    message = complaint(small.replace("name: small\n", ""))
    assert "name: missing: this key is required (name of the study; results go to" in message


def test_claims_are_checked_too(small, complaint):
    claims = "claims:\n- text: it works\n  test: near\n  scores: {fit: encodin, metrc: r}\n"
    message = complaint(small + claims + "  tolerance: 0\n")
    assert "4 problems" in message
    assert "small.yaml:13: claims.0.scores.metric: missing" in message
    assert "small.yaml:13: claims.0.scores.metrc: unknown key; did you mean 'metric'?" in message
    assert "small.yaml:11: claims.0.expected: missing" in message
    assert "small.yaml:14: claims.0.tolerance: should be greater than 0" in message
    right = claims.replace("metrc: r", "metric: r").replace("near", "above_chance")
    message = complaint(small + right)
    assert "small.yaml:13: claims.0.scores.fit: there is no fit named 'encodin'" in message


def test_many_problems_are_cut_short(small, complaint):
    text = small + "".join(f"key{i}: 1\n" for i in range(MAX_REPORTED + 3))
    message = complaint(text)
    assert f"{MAX_REPORTED + 3} problems" in message
    assert "... and 3 more" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a study is a mapping of sections, but the file is empty"),
        ("- name\n", "but this is a list"),
        ("just words\n", "but this is a str"),
        ("name: [small\n", "not valid YAML"),
        ("name: small\n\tseed: 1\n", "not valid YAML: found"),
        ('title: "\x01"\n', "not valid YAML"),
        ("title: 2001-99-99\n", "not valid YAML: month must be in"),
        ("title: !!python/object:os.system x\n", "not valid YAML"),
        ("title: *unknown\n", "not valid YAML: found undefined alias"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_study_is_refused(complaint, text, words):
    assert words in complaint(text)


def test_bad_yaml_is_located(small, complaint):
    assert "where: small.yaml:10" in complaint(small + "\tseed: 1\n")


def test_a_key_that_is_there_twice_is_refused(small, complaint):
    """YAML would take the last one without a word."""
    message = complaint(small + "seed: 1\nseed: 2\n")
    assert "the key 'seed' is there twice; the first is on line 10" in message
    assert "small.yaml:11" in message


def test_a_file_that_is_missing_or_binary_is_refused(tmp_path):
    with pytest.raises(FornixError, match="can't read the study file") as caught:
        load_study(tmp_path / "nothing.yaml")
    assert caught.value.where.endswith("nothing.yaml")
    (tmp_path / "image.yaml").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(FornixError, match="can't read the study file"):
        load_study(tmp_path / "image.yaml")
    with pytest.raises(FornixError, match="can't read the study file"):
        load_study(tmp_path)


def test_anchors_and_merge_keys_work_and_keep_their_lines(small, study_file, complaint):
    anchored = small.replace("encoding: {", "encoding: &e {")
    study = load_study(study_file(anchored + "  control: {<<: *e, shuffle: true}\n"))
    assert study.fits["control"].shuffle
    assert study.fits["control"].features == ["gabor"]
    message = complaint(anchored + "  control:\n    <<: *e\n    shuffl: true\n")
    assert "small.yaml:12: fits.control.shuffl: unknown key; did you mean 'shuffle'?" in message
    # What came in by the merge is wrong where it was written.
    message = complaint(anchored.replace("kind: ridge", "kind: ridge, cv: 3") + "  b: {<<: [*e]}\n")
    assert message.count("small.yaml:9: ") == 2


VARIANTS = """\
variants:
  fast:
    seed: 5
    responses:
      betas: {high_pass: null}
    fits:
      second: {kind: ridge, responses: betas, features: [gabor]}
  waves:
    responses:
      betas: {kind: eeg, dataset: data}
"""


def test_a_variant_is_merged_key_by_key(small, study_file):
    path = study_file(small.replace(BETAS, f"{BETAS} detrend: false,") + VARIANTS)
    plain, fast = load_study(path), load_study(path, "fast")
    assert (plain.seed, fast.seed) == (0, 5)
    assert plain.responses["betas"].high_pass == pytest.approx(1 / 128, rel=0.01)
    assert fast.responses["betas"].high_pass is None
    assert fast.responses["betas"].detrend is False
    assert set(fast.fits) == {"encoding", "second"}


def test_a_variant_of_another_kind_replaces_the_section_whole(small, study_file):
    path = study_file(small.replace(BETAS, f"{BETAS} detrend: false,") + VARIANTS)
    assert load_study(path, "waves").responses["betas"].kind == "eeg"


def test_null_takes_a_section_away(small, study_file):
    text = f"{small}variants:\n  bare: {{features: {{extra: null}}}}\n"
    text = text.replace("features:\n", "features:\n  extra: {kind: pixels, dataset: data}\n", 1)
    path = study_file(text)
    assert "extra" in load_study(path).features
    assert "extra" not in load_study(path, "bare").features


def test_a_bad_variant_is_located_in_the_variant(small, complaint):
    text = small + VARIANTS.replace("high_pass", "hig_pass")
    message = complaint(text, "fast")
    assert "small.yaml:14: responses.betas.hig_pass: unknown key" in message
    assert "did you mean 'fast'?" in complaint(small + VARIANTS, "fats")
    assert "define it under `variants`" in complaint(small, "fast")


RSA = "  geometry: {kind: rsa, responses: betas, features: [gabor], window: 0.05}\n"
EPOCHS = "betas: {kind: eeg, dataset: data, tmin: 0.0, tmax: 0.04}"


def test_a_window_needs_epochs_that_are_longer(small, complaint):
    message = complaint(small + RSA)
    assert "small.yaml:10: fits.geometry.window: window slides over epochs" in message
    message = complaint((small + RSA).replace("betas: {kind: fmri, dataset: data}", EPOCHS))
    assert "a window of 0.05 s is longer than the epochs of 'betas' (0.04 s)" in message


def test_windows_of_scores_need_epochs_that_have_their_times(small, complaint):
    windows = "scores: {windows: {early: [0.08, 0.15]}}\n"
    message = complaint(small + windows)
    assert "small.yaml:10: scores.windows: windows are of epochs" in message
    message = complaint((small + windows).replace("betas: {kind: fmri, dataset: data}", EPOCHS))
    assert "scores.windows.early: no epoch has times from 0.08 to 0.15 s (betas 0 to 0.04 s)" in (
        message
    )
    message = complaint(small + windows.replace("[0.08, 0.15]", "[0.2, 0.1]"))
    assert "early ends (0.1 s) before it begins (0.2 s)" in message


def test_maps_need_a_fit_that_has_some(small, complaint):
    rsa = small.replace("kind: ridge", "kind: rsa")
    message = complaint(rsa + "scores: {maps: true}\n")
    assert "small.yaml:10: scores.maps: maps are of encoding fits and searchlights" in message


def test_a_searchlight_needs_voxels(small, complaint):
    light = "  light: {kind: searchlight, responses: betas, features: [gabor]}\n"
    fmri = "betas: {kind: fmri, dataset: data}"
    message = complaint((small + light).replace(fmri, EPOCHS))
    assert "small.yaml:10: fits.light.responses: a searchlight needs voxels" in message
    volumes = "betas: {kind: fmri, dataset: data, samples: {method: volumes}}"
    assert "of blocks or trials" in complaint((small + light).replace(fmri, volumes))


@pytest.mark.parametrize("value", ["null", "[seed]", "5"])
def test_a_variant_that_is_no_mapping_is_refused(small, complaint, value):
    message = complaint(f"{small}variants: {{fast: {value}}}\n", "fast")
    assert "a variant is a mapping of overrides" in message
    assert "variants.fast" in message


def test_variants_that_are_no_mapping_are_refused(small, complaint):
    assert "no variant 'fast'" in complaint(f"{small}variants: [fast]\n", "fast")
    assert "variants: should be a mapping" in complaint(f"{small}variants: [fast]\n")


def test_a_study_in_memory_is_checked_without_lines(small):
    raw = yaml.safe_load(small)
    assert parse_study(raw).name == "small"
    raw["fits"]["encoding"]["shuffl"] = True
    with pytest.raises(FornixError, match=r"- fits\.encoding\.shuffl: unknown key"):
        parse_study(raw, source="the config")


def test_reading_a_study_changes_nothing_in_memory(small):
    raw = yaml.safe_load(small + VARIANTS)
    parse_study(raw, variant="fast")
    assert raw == yaml.safe_load(small + VARIANTS)
