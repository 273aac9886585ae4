"""Where on the head a model predicts best: scores of single sensors as topographies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fornix.report.figures.canvas import ALPHA, WIDTH, Picture, colour_bar, panels, picture
from fornix.report.material import Material, words

MAX_TIMES = 5
MANY = 16
"""Sensors of a cap that covers the head; fewer are coloured around themselves only."""
RADII = (0.05, 0.15)
"""Of heads and helmets, m."""
PLACE = ["channel_x", "channel_y", "channel_z"]


def draw(material: Material, fit: str, rows: pd.DataFrame) -> list[Picture]:
    """Return topographies of the best layer around its peak; none where places aren't known.

    Parameters
    ----------
    material
        The study.
    fit
        An encoding fit with times.
    rows
        Its scores of single subjects, by Pearson's r.
    """
    mean = rows.groupby(["target", "time"])["value"].mean()
    target, peak = _place(mean)
    table = scores(material, fit, target)
    if table.empty:
        return []
    times = np.sort(table["time"].unique())
    after = times[times >= 0] if (times >= 0).any() else times
    spread = after[np.linspace(0, len(after) - 1, MAX_TIMES).round().astype(int)]
    spread[np.abs(spread - peak).argmin()] = times[np.abs(times - peak).argmin()]
    chosen = list(dict.fromkeys(spread))
    limit = max(0.02, float(table.loc[table["time"].isin(chosen), "value"].abs().max()))
    figure, axes = panels(len(chosen), columns=len(chosen), width=WIDTH, height=2.4)
    image = None
    found = _above_chance(material, fit, target)
    for axis, time in zip(axes, chosen, strict=True):
        here = table[table["time"] == time]
        image = _topography(axis, here, limit, _marked(here, found))
        marked = " (peak)" if np.isclose(time, peak) else ""
        axis.set_title(f"{1000 * time:.0f} ms{marked}", fontsize=8.5, loc="center")
    colour_bar(figure, image, axes, "Pearson's r", shrink=0.75)
    n = rows["subject"].nunique()
    caption = f"Pearson's r of {target} at each sensor, seen from above with the nose up"
    caption += f"; mean over {n} subjects." if n > 1 else "."
    if not found.empty:
        corrected = material.study.scores.correction
        how = "" if corrected == "none" else f", corrected ({corrected})"
        caption += f" Dots: p < {ALPHA} over subjects{how}."
    best = table.sort_values("value").iloc[-1]
    told = f"Highest: {best['channel']} at {best['time']:.3f} s, r = {best['value']:.2f}."
    return [picture(figure, "Topographies", caption, alt=told, vector=False)]


def scores(material: Material, fit: str, target: str) -> pd.DataFrame:
    """Return channel, time (s), place (m) and r, mean over subjects, of one target.

    Sensors without a place are left out; empty where none has one.
    """
    artifact = material.artifact(f"scores/{fit}")
    found = []
    for subject in material.subjects(fit):
        if f"maps-{subject}.zarr" not in artifact.manifest["parts"]:
            continue
        data = artifact.dataset(f"maps-{subject}").load()
        if not {*PLACE, "channel", "time"} <= set(data.coords):
            continue
        values = data["pearson_r"].values[words(data["target"]).index(target)]
        columns = {name: data[name].values for name in ("time", *PLACE)}
        found.append(pd.DataFrame({"channel": words(data["channel"]), **columns, "value": values}))
    if not found:
        return pd.DataFrame()
    table = pd.concat(found).dropna(subset=[*PLACE, "value"])
    return table.groupby(["channel", "time"], as_index=False, sort=False).mean()


def _above_chance(material: Material, fit: str, target: str) -> pd.DataFrame:
    """Return channel and time (s) of what was tested over subjects and found above chance."""
    artifact = material.artifact(f"scores/{fit}")
    if "maps-group.zarr" not in artifact.manifest["parts"]:
        return pd.DataFrame(columns=["channel", "time"])
    data = artifact.dataset("maps-group").load()
    p = data["p_corrected" if "p_corrected" in data else "p"]
    below = p.values[words(data["target"]).index(target)] < ALPHA
    channels = np.array(words(data["channel"]), dtype=object)
    return pd.DataFrame({"channel": channels[below], "time": data["time"].values[below]})


def _place(scores: pd.Series[float]) -> tuple[str, float]:
    """Return target and time (s) of the highest score."""
    best: Any = scores.idxmax()
    return str(best[0]), float(best[1])


def sphere(places: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return centre and radius (m) of the sphere that sensors lie on.

    The origin of the head frame is between the ears, centimetres below the middle of the head: seen
    from there, all sensors would crowd around the vertex. Where no sphere of a head's size fits, as
    with few sensors or flat ones, its centre is the origin.

    Parameters
    ----------
    places
        (sensor, 3), m.
    """
    radius = float(np.median(np.linalg.norm(places, axis=1)))
    design = np.column_stack([2 * places, np.ones(len(places))])
    found, _, rank, _ = np.linalg.lstsq(design, (places**2).sum(1), rcond=None)
    size = float(np.sqrt(max(0.0, found[3] + (found[:3] ** 2).sum())))
    low, high = RADII
    if rank < design.shape[1] or not low <= size <= high:
        return 0.0, 0.0, 0.0, radius
    return float(found[0]), float(found[1]), float(found[2]), size


def _marked(here: pd.DataFrame, found: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which sensors of one time are among those that were found."""
    now = found[np.isclose(found["time"].astype(float), here["time"].iloc[0])]
    return here["channel"].isin(now["channel"]).to_numpy(bool)


def _topography(
    axis: Any, here: pd.DataFrame, limit: float, marked: NDArray[np.bool_] | None = None
) -> Any:
    import mne  # only here: it takes seconds to import

    places = here[PLACE].to_numpy(float)
    names = [str(name) for name in here["channel"]]
    # The projection is that of electrodes, also for sensors of a helmet: they lie on a sphere too.
    info = mne.create_info(names, 100.0, "eeg", verbose="error")
    montage = mne.channels.make_dig_montage(
        dict(zip(names, places, strict=True)), coord_frame="head"
    )
    info.set_montage(montage, verbose="error")
    beyond = "head" if len(names) >= MANY else "local"
    image, _ = mne.viz.plot_topomap(
        here["value"].to_numpy(), info, axes=axis, show=False, cmap="RdBu_r", contours=0,
        vlim=(-limit, limit), sphere=sphere(places), extrapolate=beyond, mask=marked,
        mask_params={"markersize": 3, "markerfacecolor": "black"},
    )  # fmt: skip
    return image
