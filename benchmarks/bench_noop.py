"""What a user waits for when nothing is to be done: a no-op rerun, a check, an import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from measure import best, say

BIN = Path(sys.executable).parent
STUDIES = ("demo", "haxby2001", "visual_eeg", "objects92")


def run(*words: str) -> None:
    """Run a command; fail if it fails."""
    subprocess.run(words, check=True, capture_output=True)


def main() -> None:
    """Time the commands; the demo is run once before, in case it hasn't been."""
    snakemake = (str(BIN / "snakemake"), "--cores", "2", "--configfile")
    run(*snakemake, "config/studies/demo.yaml")
    noop = best(lambda: run(*snakemake, "config/studies/demo.yaml"))
    say("noop_rerun_of_demo", noop, "s", 5)
    say("import_fornix", best(lambda: run(sys.executable, "-c", "import fornix")), "s", 0.5)
    for name in STUDIES:
        study = f"config/studies/{name}.yaml"
        say(f"check_{name}", best(lambda s=study: run(str(BIN / "fornix"), "check", s)), "s", 5)


if __name__ == "__main__":
    main()
