"""timm, open_clip and torchvision, in a process of their own.

They need torchvision, whose wheels are built against one build of torch. Where torch is another
(the CPU build), torchvision can't be imported as it is, and transformers, which imports it where
it finds it, couldn't be either. So it lies in a folder of its own, `<environment>/vision`, that
only this process sees.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = [HERE / f"test_{name}.py" for name in ("timm", "open_clip", "torchvision")]


def test_their_layers():
    folder = Path(sys.prefix) / "vision"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: `make test` installs timm, open_clip and torchvision there")
    paths = [str(folder), *filter(None, sys.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "FORNIX_VISION": "1"}
    call = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, FILES)]
    done = subprocess.run(
        call, capture_output=True, text=True, check=False, env=environment, cwd=HERE.parents[1]
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
