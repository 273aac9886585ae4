"""ONNX graphs, read and edited: which tensors are layers, float32, batches, weights drawn anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fornix.errors import FornixError
from fornix.seeds import generator

AFTER = frozenset(
    {
        *("Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "Sigmoid", "HardSigmoid"),
        *("Tanh", "Softplus", "Softsign", "HardSwish", "Mish", "Clip", "ThresholdedRelu"),
        *("BatchNormalization", "InstanceNormalization", "LRN"),
    }
)
"""Operations that finish a layer: what enters them alone is no layer of its own."""

PLUMBING = frozenset(
    {
        *("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Cast", "Pad"),
        *("Constant", "ConstantOfShape", "Shape", "Gather", "Slice", "Split", "Expand", "Tile"),
        *("Range", "Size", "Where", "Equal", "Not", "And", "Or", "Less", "Greater"),
        *("QuantizeLinear", "DequantizeLinear"),
    }
)
"""Operations that move values, or reckon with shapes."""

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
NORMS = ("BatchNormalization", "InstanceNormalization", "LayerNormalization")


def load_graph(path: Path, where: str) -> Any:
    """Read a graph, its weights included.

    Raises
    ------
    FornixError
        If it is no ONNX graph.
    """
    try:
        # onnx itself refuses weights that lie outside of the graph's folder.
        model = onnx.load(str(path))
        onnx.checker.check_model(str(path))
    except Exception as error:  # it raises what protobuf and its C++ checker raise
        first = " ".join(str(error).split())[:200]
        problem = f"{path.name} can't be read as an ONNX graph: {first}"
        raise FornixError(problem, where=where, mend="export the model to ONNX anew") from None
    return model


def inputs_of(model: Any) -> dict[str, list[int | None]]:
    """Return the graph's inputs -> their shapes; None: any length."""
    weights = {one.name for one in model.graph.initializer}
    return {
        one.name: [dim.dim_value or None for dim in one.type.tensor_type.shape.dim]
        for one in model.graph.input
        if one.name not in weights
    }


def clean(name: str) -> str:
    """Return a tensor's name as a layer's: without what a path or a variable can't hold."""
    return name.strip("/").replace("/", ".").replace(":", ".")


def tensors(model: Any) -> dict[str, Any]:
    """Return the layers of a graph, in its order: cleaned name -> the node that gives it."""
    found: dict[str, Any] = {}
    for node in model.graph.node:
        for output in node.output[:1]:
            if output and node.op_type not in ("Constant", "Shape", "Size", "Range"):
                found.setdefault(clean(output), node)
    return found


def standard(model: Any) -> list[str]:
    """Return the layers that ``all`` stands for."""
    readers: dict[str, list[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.op_type)
    kept = []
    for name, node in tensors(model).items():
        following = readers.get(node.output[0], [])
        unfinished = len(following) == 1 and following[0] in AFTER
        branch = bool(following) and set(following) == {"Concat"} and node.op_type != "Concat"
        bias = following == ["Add"] and node.op_type in ("MatMul", "Conv") and _is_bias(model, node)
        if node.op_type not in PLUMBING and not (unfinished or branch or bias):
            kept.append(name)
    return kept


def _is_bias(model: Any, node: Any) -> bool:
    weights = {one.name for one in model.graph.initializer}
    return any(
        node.output[0] in other.input and any(name in weights for name in other.input)
        for other in model.graph.node
        if other.op_type == "Add"
    )


def expose(model: Any, layers: Iterable[str]) -> bytes:
    """Return the graph with these layers as its only outputs, serialised."""
    edited = onnx.ModelProto()
    edited.CopyFrom(model)
    nodes = tensors(model)
    del edited.graph.output[:]
    for name in layers:
        # Its type is left to inference: only what is float can be read.
        edited.graph.output.append(onnx.ValueInfoProto(name=nodes[name].output[0]))
    found: bytes = edited.SerializeToString()
    return found


def to_float32(model: Any) -> None:
    """Turn half precision into single precision: weights, constants, casts, inputs, outputs."""
    graph = model.graph
    for at, one in enumerate(graph.initializer):
        if one.data_type == TensorProto.FLOAT16:
            values = numpy_helper.to_array(one).astype(np.float32)
            graph.initializer[at].CopyFrom(numpy_helper.from_array(values, one.name))
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in graph.node:
        for attribute in node.attribute:
            half = attribute.type == onnx.AttributeProto.TENSOR
            if half and attribute.t.data_type == TensorProto.FLOAT16:
                values = numpy_helper.to_array(attribute.t).astype(np.float32)
                attribute.t.CopyFrom(numpy_helper.from_array(values, attribute.t.name))
            if node.op_type == "Cast" and attribute.name == "to":
                attribute.i = (
                    TensorProto.FLOAT if attribute.i == TensorProto.FLOAT16 else attribute.i
                )


def free_batch(model: Any) -> None:
    """Let the first dimension be of any length, where the export fixed it at one."""
    graph = model.graph
    weights = {one.name for one in graph.initializer}
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name not in weights and len(dims) and dims[0].dim_value == 1:
            dims[0].dim_param = "batch"
    del graph.value_info[:]
    shapes = {name for node in graph.node if node.op_type == "Reshape" for name in node.input[1:]}
    for at, one in enumerate(graph.initializer):
        if one.name in shapes:
            values = numpy_helper.to_array(one).copy()
            if values.size > 1 and values[0] == 1:
                values[0] = 0  # "as it was"
                graph.initializer[at].CopyFrom(numpy_helper.from_array(values, one.name))


def draw_weights(model: Any, seed: int) -> None:
    """Draw all weights anew: normal after He et al. (2015, ICCV), by the number of inputs.

    Biases become 0; scales of normalisations 1, their means 0 and variances 1. Each tensor has
    random numbers of its own, whatever the others are.
    """
    fixed = _normalisations(model)
    inputs = _fan_in(model)
    for at, one in enumerate(model.graph.initializer):
        if one.data_type not in FLOATS:
            continue
        shape = tuple(one.dims)
        if one.name in fixed:
            values = np.full(shape, fixed[one.name])
        elif len(shape) < 2:
            values = np.zeros(shape)
        else:
            n = inputs.get(one.name, int(np.prod(shape[1:])))
            rng = generator(seed, "features", "onnx", one.name)
            values = rng.standard_normal(shape) * np.sqrt(2 / max(1, n))
        drawn = values.astype(helper.tensor_dtype_to_np_dtype(one.data_type))
        model.graph.initializer[at].CopyFrom(numpy_helper.from_array(drawn, one.name))


def _normalisations(model: Any) -> Mapping[str, float]:
    """Return the weights of normalisations -> their value before any training."""
    found: dict[str, float] = {}
    for node in model.graph.node:
        if node.op_type in NORMS:
            values = (None, 1.0, 0.0, 0.0, 1.0)
            found |= {k: v for k, v in zip(node.input, values, strict=False) if v is not None}
    return found


def _fan_in(model: Any) -> dict[str, int]:
    """Return the weights of matrix products -> how many inputs each output has."""
    shapes = {one.name: tuple(one.dims) for one in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type in ("MatMul", "Gemm") and len(node.input) > 1 and node.input[1] in shapes:
            turned = any(one.name == "transB" and one.i for one in node.attribute)
            found[node.input[1]] = shapes[node.input[1]][-1 if turned else -2]
    return found
