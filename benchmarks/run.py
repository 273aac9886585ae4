"""Run the benchmarks beside this file, all or those named, and write their results to RESULTS.md.

Each script prints lines ``bench <what> <value> <unit> goal <goal> ok|short``; all values are
ratios or seconds measured side by side in one process on this machine. A script's results replace
its own section as soon as it ends: ``run.py encoding rsa`` measures two and keeps the others.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
TITLE = "# Results\n\nMade by `make bench`; each section says when.\n"


def main() -> None:
    """Run benchmarks one after the other; exit with 1 if one breaks."""
    names = sorted(one.stem.removeprefix("bench_") for one in HERE.glob("bench_*.py"))
    parser = argparse.ArgumentParser(description="Run benchmarks and write RESULTS.md.")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(names)}; default: all")
    wanted = parser.parse_args().names
    if unknown := sorted(set(wanted) - set(names)):
        parser.error(f"there is no benchmark '{unknown[0]}'; there are {', '.join(names)}")
    broken = False
    for name in wanted or names:
        print(f"== {name}", flush=True)
        call = [sys.executable, str(HERE / f"bench_{name}.py")]
        done = subprocess.run(call, capture_output=True, text=True, check=False, cwd=HERE.parent)
        print(done.stdout, end="", flush=True)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            broken = True
        else:
            keep(name, done.stdout)
    sys.exit(broken)


def keep(name: str, said: str) -> None:
    """Replace the section of a benchmark in RESULTS.md by what it said."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    lines = [line.split() for line in said.splitlines() if line.startswith("bench ")]
    section = [
        f"{datetime.now(UTC):%Y-%m-%d}, {machine}.",
        "",
        "| what | measured | goal | verdict |",
        "|---|---|---|---|",
        *(f"| {w[1]} | {w[2]} {w[3]} | {w[5]} | {w[6]} |" for w in lines),
    ]
    sections = {}
    if RESULTS.exists():
        for text in RESULTS.read_text(encoding="utf-8").split("\n## ")[1:]:
            title, _, rest = text.partition("\n")
            sections[title] = rest.strip()
    sections[name] = "\n".join(section)
    body = [f"\n## {title}\n\n{text}\n" for title, text in sorted(sections.items())]
    RESULTS.write_text(TITLE + "".join(body), encoding="utf-8")


if __name__ == "__main__":
    main()
