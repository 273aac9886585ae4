"""Let torchvision be imported where its compiled operators can't be loaded.

Its wheels are built against one build of torch. On machines whose torch has no matching one (CPU
test machines with the wheel of PyPI) models and transforms, which are Python, still work once the
operators' names are known; an operator that is called fails.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import torch

NAMES = re.compile(r'register_meta\("(\w+)"|torchvision::(\w+)')


def need_torchvision() -> None:
    """Import torchvision; skip the tests of a module where it isn't installed."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        pytest.skip("torchvision isn't installed", allow_module_level=True)
    try:
        import torchvision
    except RuntimeError:  # "operator torchvision::nms does not exist"
        source = Path(spec.origin).with_name("_meta_registrations.py").read_text(encoding="utf-8")
        for name in {first or second for first, second in NAMES.findall(source)}:
            torch.library.define(f"torchvision::{name}", "(Tensor x) -> Tensor")
        import torchvision  # noqa: F401
