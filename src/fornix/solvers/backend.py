"""Where a solver's matrices live: NumPy's on a CPU, torch's on a GPU.

Solvers are written once, in operations that NumPy's arrays and torch's tensors share (``@``,
``*``, ``.T``, ``.sum(0)``, ...). What the two spell differently is here. On a CPU torch would do as
well: it is a tenth slower than NumPy's BLAS on one core (1000 x 768, 1,000 targets), and its import
costs more than most fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.gpus import lease

if TYPE_CHECKING:
    from fornix.study.compute import Compute

SMALL_FLOPS = 2e11
"""Work that a core does while torch is imported and a GPU wakes (some seconds)."""

MEMORY_SHARE = 0.25
"""Of a job's memory, what a solver takes for its working arrays."""

GPU_SHARE = 0.5
"""Of the GPU's memory that may be taken, what working arrays are planned with."""

LARGEST_KEPT = 31 << 20
"""Bytes of a block that the C library keeps for itself once one was freed (glibc: to 32 MiB)."""

Array = Any
"""A NumPy array or a torch tensor."""


@dataclass(frozen=True)
class Backend:
    """NumPy, or torch on a device; float64 throughout.

    Attributes
    ----------
    device
        Name of a torch device, or None for NumPy.
    """

    device: str | None = None

    def array(self, values: Any) -> Array:
        """Return values as a float64 array of this backend."""
        values = np.asarray(values, dtype=np.float64)
        if self.device is None:
            return values
        import torch

        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    def zeros(self, *shape: int) -> Array:
        """Return zeros."""
        if self.device is None:
            return np.zeros(shape)
        import torch

        return torch.zeros(shape, dtype=torch.float64, device=self.device)

    def numpy(self, values: Array) -> NDArray[np.float64]:
        """Return an array of this backend as NumPy's."""
        return np.asarray(values if self.device is None else values.cpu().numpy())

    def eigh(self, matrix: Array) -> tuple[Array, Array]:
        """Return eigenvalues, ascending, and eigenvectors, as columns."""
        if self.device is None:
            from scipy.linalg import eigh

            values, vectors = eigh(matrix, driver="evd", overwrite_a=True, check_finite=False)
            return values, vectors
        import torch

        values, vectors = torch.linalg.eigh(matrix)
        return values, vectors


def working_memory(backend: Backend, resources: Compute) -> int:
    """Return the bytes that a solver may take for its working arrays.

    On a CPU a share of the job's memory, beside the data; on a GPU ``gpu_memory_mb``, beyond which
    torch refuses to go.
    """
    if backend.device != "cuda":
        return int(MEMORY_SHARE * 1e6 * resources.memory_mb)
    import torch

    most = 1e6 * resources.gpu_memory_mb
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, most / total))
    # What working arrays are made of comes and goes beside them.
    return int(GPU_SHARE * min(most, total))


def keep_freed_memory() -> None:
    """Let the C library reuse what is freed instead of handing it back.

    glibc maps blocks that are larger than any freed before anew each time, and the system then
    clears their pages: that takes 0.6 times the time of the products themselves where these are of
    a few MB. Once a large one has been freed, smaller ones stay.
    """
    np.empty(LARGEST_KEPT, dtype=np.uint8)


def choose_backend(resources: Compute | None, flops: float) -> Backend:
    """Return the backend for some work.

    Parameters
    ----------
    resources
        Says which device; None: NumPy.
    flops
        Floating-point operations that are ahead.

    Raises
    ------
    FornixError
        If a GPU is asked for and there is none.
    """
    wanted = "cpu" if resources is None else resources.device
    if wanted == "cpu" or (wanted == "auto" and flops < SMALL_FLOPS):
        return Backend()
    import torch

    assert resources is not None  # noqa: S101 - without them the processor is wanted
    lease(resources)
    if torch.cuda.is_available():
        return Backend("cuda")
    if wanted == "cuda":
        problem = "device: cuda is asked for, but torch sees no GPU"
        mend = "take device: auto or cpu, or a build of torch for your GPU"
        raise FornixError(problem, where="compute.device", mend=mend)
    return Backend()
