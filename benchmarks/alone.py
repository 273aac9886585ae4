"""One job's stage and nothing else, in a process of its own: what Fornix adds is added to this.

``python alone.py JSON``: the stage, its settings and paths, as ``bench_scale.py`` writes them.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from fornix.store import Target
from fornix.study.compute import Compute

SECTIONS = {"fit": ("fits.ridge", "RidgeFit"), "evaluate": ("scores", "Evaluation")}


def main(job: dict[str, Any]) -> None:
    """Run it."""
    module, name = SECTIONS[job["stage"]]
    section = getattr(import_module(f"fornix.study.{module}"), name)(**job["section"])
    import_module(f"fornix.stages.{job['stage']}").run(
        section,
        {key: Path(path) for key, path in job["inputs"].items()},
        Target(Path(job["target"])),
        Compute(device="cpu"),
        subject=job["subject"],
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
