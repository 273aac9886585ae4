"""The world ``scenes``: pictures alone, as a BIDS root without recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from fornix.simulate.bids import write_json, write_tsv
from fornix.simulate.scenery import draw
from fornix.study.worlds.scenes import ScenesWorld


def write(world: ScenesWorld, folder: Path) -> dict[str, Any]:
    """Write the pictures and their table.

    Parameters
    ----------
    world
        The world's settings.
    folder
        The BIDS root to make.
    """
    scenes = draw(world.kind, world.n_images, world.image_size, world.seed)
    place = folder / "stimuli"
    place.mkdir(parents=True)
    for scene in scenes:
        Image.fromarray(scene.pixels).save(place / scene.name)
    table = pd.DataFrame(
        [{"stim_file": one.name, "kind": one.kind, **one.content} for one in scenes]
    )
    write_tsv(place / "stimuli.tsv", table)
    about = {"Name": f"scenes: simulated pictures of {world.kind}", "BIDSVersion": "1.9.0"}
    maker = [{"Name": "fornix", "Description": "simulated: the world 'scenes'"}]
    write_json(folder / "dataset_description.json",
               {**about, "DatasetType": "raw", "License": "CC0", "GeneratedBy": maker})  # fmt: skip
    return {"kind": world.kind, "n_images": len(scenes)}
