"""Weights of an ONNX graph, drawn anew: its untrained twin."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fornix.errors import FornixError
from fornix.seeds import generator

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)

PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})

STARTS = {
    "BatchNormalization": (0.0, 1.0, 0.0, 0.0, 1.0),
    "InstanceNormalization": (0.0, 1.0, 0.0),
    "GroupNormalization": (0.0, 1.0, 0.0),
    "LayerNormalization": (0.0, 1.0, 0.0),
    "RMSNormalization": (0.0, 1.0),
    "SimplifiedLayerNormalization": (0.0, 1.0),
    "PRelu": (0.0, 0.25),
    "Mul": (1.0, 1.0),
}
"""Operation -> what its inputs are before any training: data, scale, bias, mean, variance."""

FORMULAS = frozenset(
    {
        *("Sub", "Div", "Pow", "Clip", "Min", "Max", "Mod", "Where", "Equal", "Less", "Greater"),
        *("Resize", "Upsample", "Pad", "Range", "OneHot"),
    }
)
"""Operations whose constants belong to the architecture: sizes, limits, a picture's mean."""

QUANTISED = frozenset({"DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger"})

PASSING = frozenset({"Identity", "Cast", "Unsqueeze", "Squeeze", "Reshape", "Expand"})
"""Operations that hand a weight on: exporters share equal weights so, and align vectors."""

Reader = tuple[Any, int]
"""A node, and which of its inputs a tensor is."""


def draw_weights(model: Any, seed: int, where: str) -> None:
    """Draw all weights anew: normal after He et al. (2015, ICCV), by the number of inputs.

    Biases become 0; scales of normalisations 1, their means 0 and variances 1, also where an
    exporter wrote a normalisation as products and sums. Each tensor has random numbers of its
    own, whatever the others are. Single numbers and masks aren't weights and stay.

    Parameters
    ----------
    model
        The graph, whose weights are replaced.
    seed
        Of the random numbers.
    where
        The section, for the message of an error.

    Raises
    ------
    FornixError
        If weights are integers: what an untrained network of that kind would be isn't defined.
    """
    if any(node.op_type in QUANTISED for node in model.graph.node):
        problem = "the graph is quantised, and integer weights can't be drawn anew"
        raise FornixError(problem, where=f"{where}: init", mend="export it in float32")
    readers = _readers(model.graph)
    for one in model.graph.initializer:
        if one.data_type not in FLOATS or one.name not in readers:
            continue
        node, at = readers[one.name]
        trained = numpy_helper.to_array(one)
        if _is_formula(trained, node):
            continue
        if _is_drawn(trained, node):
            rng = generator(seed, "features", "onnx", one.name)
            scale = np.sqrt(2 / max(1, _fan_in(node, at, trained.shape)))
            values = rng.standard_normal(trained.shape) * scale
        else:
            values = np.full(trained.shape, _start(node, at))
        drawn = values.astype(helper.tensor_dtype_to_np_dtype(one.data_type))
        one.CopyFrom(numpy_helper.from_array(drawn, one.name))


def _readers(graph: Any) -> dict[str, Reader]:
    """Return the tensors -> the first node that does more with them than hand them on."""
    found: dict[str, Reader] = {}
    # Nodes are in the order in which they run: backwards, what reads a node's output is known.
    for node in reversed(graph.node):
        for at, name in enumerate(node.input):
            onward = found.get(node.output[0]) if node.op_type in PASSING and at == 0 else None
            found[name] = onward or (node, at)
    return found


def _is_vector(values: NDArray[Any]) -> bool:
    return bool(sum(length > 1 for length in values.shape) < 2)


def _is_formula(trained: NDArray[Any], node: Any) -> bool:
    """Tell whether a constant belongs to the architecture: no training changes it."""
    if node.op_type in PRODUCTS or (node.op_type in STARTS and node.op_type != "Mul"):
        return False
    if node.op_type in FORMULAS or trained.size == 1:
        return True
    mask = not _is_vector(trained) and np.unique(trained).size < 3
    return mask and node.op_type in ("Mul", "Add")


def _is_drawn(trained: NDArray[Any], node: Any) -> bool:
    if node.op_type in ("Mul", "Add"):
        return not _is_vector(trained)
    return trained.ndim > 1 and node.op_type not in STARTS


def _start(node: Any, at: int) -> float:
    known = STARTS.get(node.op_type, ())
    return known[at] if at < len(known) else 0.0


def _fan_in(node: Any, at: int, shape: tuple[int, ...]) -> int:
    """Return how many inputs each output of a product has."""
    if node.op_type not in ("Gemm", "MatMul") or at != 1:
        return int(np.prod(shape[1:]))
    turned = any(one.name == "transB" and one.i for one in node.attribute)
    return shape[-1 if turned else -2]
