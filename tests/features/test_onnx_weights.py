"""The untrained twin of an ONNX graph: what is drawn, what is reset, and what stays."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from fornix.errors import FornixError
from fornix.features.onnx_weights import draw_weights

RNG = np.random.default_rng(0)


def net(nodes, **weights):
    """Return a graph of these nodes and weights; the twin is drawn in place."""
    tensors = [numpy_helper.from_array(np.asarray(one), name) for name, one in weights.items()]
    return helper.make_model(helper.make_graph(nodes, "g", [], [], tensors))


def twin(nodes, *, seed=0, **weights):
    model = net(nodes, **weights)
    draw_weights(model, seed, "features")
    return {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}


def node(op, *inputs, **attributes):
    return helper.make_node(op, list(inputs), ["y"], **attributes)


@pytest.mark.parametrize(
    ("reader", "shape", "fan_in"),
    [
        (node("Conv", "x", "w"), (64, 32, 3, 3), 32 * 9),
        (node("Gemm", "x", "w"), (300, 200), 300),
        (node("Gemm", "x", "w", transB=1), (300, 200), 200),
        (node("MatMul", "x", "w"), (300, 200), 300),
        (node("Transpose", "w"), (300, 200), 200),
    ],
)
def test_weights_are_normal_by_the_number_of_inputs(reader, shape, fan_in):
    drawn = twin([reader], w=np.full(shape, 7, np.float32))["w"]
    assert drawn.dtype == np.float32
    assert drawn.mean() == pytest.approx(0, abs=4 * np.sqrt(2 / fan_in / drawn.size))
    assert drawn.std() == pytest.approx(np.sqrt(2 / fan_in), rel=0.03)


def test_each_weight_has_numbers_of_its_own():
    conv = [node("Conv", "x", "a"), node("Conv", "x", "b")]
    weights = dict.fromkeys("ab", np.zeros((4, 2, 3, 3), np.float32))
    both, alone = twin(conv, **weights), twin(conv[1:], b=weights["b"])
    np.testing.assert_array_equal(both["b"], alone["b"])
    assert (both["a"] != both["b"]).all()
    assert (twin(conv, seed=1, **weights)["a"] != both["a"]).all()


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([node("Conv", "x", "k", "w")], 0),
        ([node("Add", "x", "w")], 0),
        ([node("Mul", "x", "w")], 1),
        ([node("LayerNormalization", "x", "w", "b")], 1),
        ([node("BatchNormalization", "x", "s", "b", "w", "v")], 0),
        ([node("BatchNormalization", "x", "s", "b", "m", "w")], 1),
        ([node("PRelu", "x", "w")], 0.25),
    ],
)
def test_scales_and_biases_start_as_before_training(nodes, expected):
    trained = RNG.standard_normal(8).astype(np.float32)
    np.testing.assert_array_equal(twin(nodes, w=trained)["w"], np.full(8, expected))
    if len(nodes[0].input) == 2:
        maps = twin(nodes, w=trained[:, None, None])["w"]
        np.testing.assert_array_equal(maps, np.full((8, 1, 1), expected))


@pytest.mark.parametrize("op", ["Identity", "Unsqueeze", "Reshape"])
def test_a_weight_is_known_by_what_reads_it_in_the_end(op):
    passed = helper.make_node(op, ["w", "axes"] if op != "Identity" else ["w"], ["same"])
    found = twin([passed, node("Mul", "x", "same")], w=np.full(4, 3, np.float32))
    np.testing.assert_array_equal(found["w"], np.ones(4))


@pytest.mark.parametrize(
    ("reader", "values"),
    [
        (node("Div", "x", "w"), np.sqrt(2)),
        (node("Mul", "x", "w"), [0.5]),
        (node("Sub", "x", "w"), [[[[0.4]], [[0.5]]]]),
        (node("Resize", "x", "", "w"), [1, 1, 2, 2]),
        (node("Add", "x", "w"), np.triu(np.full((4, 4), -1e4), 1)),
    ],
)
def test_what_belongs_to_the_architecture_stays(reader, values):
    values = np.asarray(values, np.float32)
    np.testing.assert_array_equal(twin([reader], w=values)["w"], values)


def test_what_isnt_float_stays_and_what_is_quantised_is_refused():
    assert twin([node("Reshape", "x", "w")], w=np.array([1, 8]))["w"].tolist() == [1, 8]
    quantised = net([node("DequantizeLinear", "w", "s")], w=np.ones((2, 2), np.int8))
    assert quantised.graph.initializer[0].data_type == TensorProto.INT8
    with pytest.raises(FornixError, match="quantised"):
        draw_weights(quantised, 0, "features")
