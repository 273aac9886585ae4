"""Run every benchmark beside this file and write RESULTS.md.

Each script prints lines ``bench <what> <value> <unit> goal <goal> ok|short``; all values are
ratios or seconds measured side by side in one process on this machine.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Run the benchmarks one after the other; exit with 1 if one breaks."""
    rows, broken = [], []
    for script in sorted(HERE.glob("bench_*.py")):
        print(f"== {script.name}", flush=True)
        call = [sys.executable, str(script)]
        done = subprocess.run(call, capture_output=True, text=True, check=False, cwd=HERE.parent)
        print(done.stdout, end="", flush=True)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            broken.append(script.name)
        lines = [line.split() for line in done.stdout.splitlines() if line.startswith("bench ")]
        rows += [f"| {w[1]} | {w[2]} {w[3]} | {w[5]} | {w[6]} |" for w in lines]
    cores, python = os.cpu_count(), platform.python_version()
    machine = f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {cores} cores, Python {python}"
    head = [
        "# Results",
        "",
        f"{machine}. Made by `make bench`.",
        "",
        "| what | measured | goal | verdict |",
        "|---|---|---|---|",
    ]
    (HERE / "RESULTS.md").write_text("\n".join([*head, *rows, ""]), encoding="utf-8")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
