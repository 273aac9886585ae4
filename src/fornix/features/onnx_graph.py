"""ONNX graphs, read and edited: which tensors are layers, float32, batches of any size."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from fornix.errors import FornixError

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

NO_LAYERS = frozenset({"Constant", "Shape", "Size", "Range"})
"""Operations whose outputs can't be asked for: they aren't about a stimulus."""

ONE_LAYER = frozenset({"Dropout", "MaxPool", "BatchNormalization"})
"""Operations whose further outputs are masks, positions and statistics of training."""


@dataclass(frozen=True)
class Tensor:
    """What a node of the graph gives.

    Attributes
    ----------
    name
        Its name in the graph.
    node
        The node that gives it.
    """

    name: str
    node: Any


def load_graph(path: Path, where: str) -> Any:
    """Read a graph, its weights included; constants become weights, as some exporters have them.

    Raises
    ------
    FornixError
        If it is no ONNX graph, or its weights lie outside of its folder.
    """
    try:
        # onnx itself refuses weights that lie outside of the graph's folder.
        model = onnx.load(str(path))
        onnx.checker.check_model(str(path))
    except Exception as error:  # it raises what protobuf and its C++ checker raise
        raise _unreadable(path, error, where) from None
    _fix_weights(model)
    return model


def files_of(path: Path, where: str) -> list[Path]:
    """Return the files that a graph consists of: its own, and those of weights kept beside it.

    Raises
    ------
    FornixError
        If it is no ONNX graph, or one of the files isn't in its folder.
    """
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception as error:  # protobuf's
        raise _unreadable(path, error, where) from None
    held = [one.t for node in graph.node for one in node.attribute if one.HasField("t")]
    external = [one for one in (*graph.initializer, *held) if uses_external_data(one)]
    names = sorted({str(ExternalDataInfo(one).location) for one in external})
    for name in names:
        outside = Path(name).is_absolute() or ".." in Path(name).parts
        if outside or not (path.parent / name).is_file():
            problem = f"{path.name} keeps weights in {name}, which isn't in its folder"
            mend = "bring all files of the export into one folder"
            raise FornixError(problem, where=where, mend=mend)
    return [path, *(path.parent / name for name in names)]


def _unreadable(path: Path, error: Exception, where: str) -> FornixError:
    first = " ".join(str(error).split())[:200]
    problem = f"{path.name} can't be read as an ONNX graph: {first}"
    return FornixError(problem, where=where, mend="export the model to ONNX anew")


def _fix_weights(model: Any) -> None:
    """Make constants weights, and weights no inputs."""
    graph, kept = model.graph, []
    for node in graph.node:
        values = [one.t for one in node.attribute if one.name == "value"]
        if node.op_type == "Constant" and values:
            weight = graph.initializer.add()
            weight.CopyFrom(values[0])
            weight.name = node.output[0]
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    # Before version 4 every weight had to be an input too; since then such a weight isn't fixed,
    # and slower.
    weights = {one.name for one in graph.initializer}
    inputs = [one for one in graph.input if one.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, 4)


def inputs_of(model: Any) -> dict[str, list[int | None]]:
    """Return the graph's inputs -> their shapes; None: any length."""
    return {
        one.name: [dim.dim_value or None for dim in one.type.tensor_type.shape.dim]
        for one in model.graph.input
    }


def clean(name: str) -> str:
    """Return a tensor's name as a layer's: without what a path or a variable can't hold.

    Examples
    --------
    >>> clean("/fire2/relu:0")
    'fire2.relu.0'
    """
    dotted = name.strip("/").replace("/", ".").replace(":", ".")
    return re.sub(r"[^\w.+-]+", "_", dotted).lstrip("._") or "tensor"


def tensors(model: Any) -> dict[str, Tensor]:
    """Return the tensors of a graph that can be asked for, in its order, by their layers' names.

    Of tensors whose cleaned names are the same, the later ones get a number.
    """
    found: dict[str, Tensor] = {}
    for node in model.graph.node:
        most = 0 if node.op_type in NO_LAYERS else 1 if node.op_type in ONE_LAYER else None
        for output in filter(None, node.output[:most]):
            name, count = clean(output), 1
            while name in found:
                count += 1
                name = f"{clean(output)}_{count}"
            found[name] = Tensor(output, node)
    return found


def standard(model: Any) -> list[str]:
    """Return the layers that ``all`` stands for."""
    readers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    weights = {one.name for one in model.graph.initializer}
    kept = []
    for name, tensor in tensors(model).items():
        node, following = tensor.node, readers.get(tensor.name, [])
        ops = [one.op_type for one in following]
        unfinished = len(ops) == 1 and ops[0] in AFTER
        branch = set(ops) == {"Concat"} and node.op_type != "Concat"
        biased = ops == ["Add"] and node.op_type in ("MatMul", "Conv")
        biased = biased and any(one in weights for one in following[0].input)
        first = tensor.name == node.output[0]
        if first and node.op_type not in PLUMBING and not (unfinished or branch or biased):
            kept.append(name)
    return kept


def expose(model: Any, names: Iterable[str]) -> bytes:
    """Return the graph with these tensors as its only outputs, serialised."""
    edited = onnx.ModelProto()
    edited.CopyFrom(model)
    del edited.graph.output[:]
    for name in names:
        # Its type is left to inference: only what is float can be read.
        edited.graph.output.append(onnx.ValueInfoProto(name=name))
    found: bytes = edited.SerializeToString()
    return found


def to_float32(model: Any) -> None:
    """Turn half precision into single precision: weights, constants, casts, inputs, outputs."""
    graph = model.graph
    for one in graph.initializer:
        _to_single(one)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                _to_single(attribute.t)
            cast = node.op_type == "Cast" and attribute.name == "to"
            if cast and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT


def _to_single(tensor: Any) -> None:
    if tensor.data_type == TensorProto.FLOAT16:
        values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def free_batch(model: Any) -> None:
    """Let the first dimension be of any length, where the export fixed it at one."""
    graph, fixed = model.graph, False
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        if len(dims) and dims[0].dim_value == 1:
            dims[0].dim_param = "batch"
            fixed = True
    if not fixed:
        return  # a 1 in a new shape then isn't the batch
    del graph.value_info[:]
    reshapes = (node for node in graph.node if node.op_type == "Reshape")
    shapes = {
        node.input[1]
        for node in reshapes
        if not any(one.name == "allowzero" and one.i for one in node.attribute)
    }
    for one in graph.initializer:
        if one.name in shapes:
            values = numpy_helper.to_array(one).copy()
            if values.size > 1 and values[0] == 1:
                values[0] = 0  # "as it was"
                one.CopyFrom(numpy_helper.from_array(values, one.name))
