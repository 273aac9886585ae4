"""A searchlight's map is that of the best layer, on slices and through glass."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from fornix.report.figures import maps, searchlight


def study_of(space, *, corrected=True):
    """Return a finished searchlight of 6 x 6 x 3 voxels: layer b is the better one."""
    voxels = np.argwhere(np.ones((6, 6, 3)))
    value = np.stack([np.full(len(voxels), 0.1), np.linspace(-0.2, 0.6, len(voxels))])
    value[:, 0] = np.nan
    p = np.where(value > 0.4, 0.01, 0.5)
    coords = {axis: ("unit", voxels[:, k]) for k, axis in enumerate("ijk")}
    coords["roi"] = ("unit", np.where(voxels[:, 0] < 3, "V1", "").astype(object))
    coords["target"] = np.array(["content/a", "content/b"], dtype=object)
    variables = {"spearman_rho": (("target", "unit"), value)}
    if corrected:
        variables["p_corrected"] = (("target", "unit"), p)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -30, -60, 0
    attrs = {"volume_shape": [6, 6, 3], "affine": affine.tolist(), "space": space}
    maps = xr.Dataset(variables, coords=coords, attrs=attrs)
    artifact = SimpleNamespace(
        manifest={"parts": ["maps-01.zarr", "maps-02.zarr"]}, dataset=lambda _: maps
    )
    return SimpleNamespace(
        artifact=lambda _: artifact,
        metric=lambda _: "spearman_rho",
        subjects=lambda _: ["01", "02"],
        targets=lambda _: ["content/a", "content/b"],
        study=SimpleNamespace(scores=SimpleNamespace(correction="max")),
    )


@pytest.mark.filterwarnings("ignore")  # nilearn's own, of so small a volume
def test_the_best_layer_is_on_slices_and_in_standard_space_through_glass(monkeypatch):
    for name in ("_on_surface", "_surface"):  # takes seconds
        monkeypatch.setattr(searchlight.brain, name, lambda *_, **__: None)
    pictures = searchlight.draw(study_of("MNI152NLin6Asym"), "light")
    assert [one.title for one in pictures[:2]] == ["Brain slices", "Glass brain"]
    # 0.4 is passed by a quarter of the 107 voxels with a score, those without a region included.
    assert "content/b in the sphere around each voxel; p < 0.05" in pictures[0].caption
    assert "corrected (max) at 25.2% of the voxels" in pictures[0].caption
    assert "Spearman's \N{GREEK SMALL LETTER RHO} of content/b" in pictures[1].caption


def test_the_group_is_shown_where_it_is_above_chance():
    study = study_of("")
    whole = study.artifact("").dataset("").assign_attrs(n_subjects=8)
    parts = {"parts": ["maps-01.zarr", "maps-group.zarr"]}
    artifact = SimpleNamespace(manifest=parts, dataset=lambda _: whole)
    pictures = searchlight.draw(
        SimpleNamespace(**{**vars(study), "artifact": lambda _: artifact}), "light"
    )
    assert [one.title for one in pictures] == ["Brain slices", "Voxels above chance"]
    caption = pictures[1].caption
    assert "content/b, mean over 8 subjects, where p < 0.05 (max): 27 of 108 voxels" in caption
    assert maps.above_chance(study, "light", "content/b", "r") == []


@pytest.mark.parametrize("space", ["", "T1w"])
def test_elsewhere_there_are_slices_alone(space):
    (picture,) = searchlight.draw(study_of(space, corrected=False), "light")
    assert picture.title == "Brain slices"
    assert "p <" not in picture.caption
