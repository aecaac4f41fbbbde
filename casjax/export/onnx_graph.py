"""A network as an ONNX graph, written by hand: few operators, all sizes dynamic.

Inside, features are [batch, channels, height, width] and kernels [channels out, channels in,
height, width], as in ONNX.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from casjax.export.function import input_shapes, white
from casjax.models.arcnn import ARCNN
from casjax.models.cascnn import CASCNN
from casjax.models.svoboda import L4, L8
from casjax.networks import colour

OPSET, IR_VERSION = 17, 8  # from 2022: old enough for everything that runs ONNX today
INPUT, TABLES, OUTPUT = "degraded", "tables", "restored"
BATCH_NORM_EPSILON = 1e-5  # flax's

Tree = Mapping[str, Any]


def export_onnx(model: nn.Module, variables: Tree, *, metadata: Mapping[str, str]) -> bytes:
    """Return the function of `casjax.export` as an ONNX file, weights included.

    Args:
      model: the network.
      variables: the variables that its `apply` takes.
      metadata: what the file says about itself.

    Raises:
      ValueError: there is no graph for this kind of network.
    """
    require_graph(model)
    graph = Graph(input_shapes(model, "batch", "height", "width"))
    add_network = partial(GRAPHS[type(model)], graph, model, jax.device_get(variables))
    degraded = graph.add("Transpose", INPUT, perm=[0, 3, 1, 2])
    if colour.is_for_colour(model):
        gain, zero = (graph.constant(v.reshape(-1, 1, 1)) for v in (colour.GAIN, colour.ZERO))
        seen = graph.add("Mul", graph.add("Sub", degraded, zero), gain)
        restored = graph.add("Add", graph.add("Div", add_network(seen), gain), zero)
    else:
        restored = add_network(degraded)
    peak = graph.constant(float(white(model)))
    clipped = graph.add("Clip", restored, graph.constant(0.0), peak)
    graph.add("Transpose", clipped, perm=[0, 2, 3, 1], result=OUTPUT)
    return graph.serialize(metadata)


def require_graph(model: nn.Module) -> None:
    """Refuse a kind of network that has no graph here.

    Raises:
      ValueError: it has none; the message says what to do.
    """
    if type(model) not in GRAPHS:
        raise ValueError(
            f"{type(model).__name__} has no graph in casjax/export/onnx_graph.py: leave ONNX out "
            "with --formats stablehlo"
        )


class Graph:
    """An ONNX graph under construction. Values are referred to by name; `add` returns its result's.

    Attributes:
      shapes: of the inputs, `INPUT` and, with a second one, `TABLES`. The output has the first.
    """

    def __init__(self, shapes: Sequence[Sequence[int | str]]) -> None:
        self.shapes = shapes
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, result: str = "", **attributes: Any) -> str:
        """Add an operator, as the ONNX standard describes it."""
        result = result or f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [result], **attributes))
        return result

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """Add an array of weights or options."""
        name = f"constant_{len(self._constants)}"
        array = np.ascontiguousarray(value, dtype)
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def serialize(self, metadata: Mapping[str, str]) -> bytes:
        """Return the file."""
        inputs = zip((INPUT, TABLES), self.shapes, strict=False)
        graph = helper.make_graph(
            self._nodes,
            "casjax",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, self.shapes[0])],
            self._constants,
        )
        model = helper.make_model(
            graph,
            producer_name="casjax",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()


def _arcnn(graph: Graph, model: ARCNN, variables: Tree, degraded: str) -> str:
    return _chain(graph, variables["params"], ["conv1", "conv2", "conv3", "conv4"], degraded)


def _l4(graph: Graph, model: L4, variables: Tree, degraded: str) -> str:
    layers = ["conv1", "conv2", "conv3", "conv4"]
    return graph.add("Add", degraded, _chain(graph, variables["params"], layers, degraded))


def _l8(graph: Graph, model: L8, variables: Tree, degraded: str) -> str:
    layers = variables["params"]
    first = _hidden(graph, layers["conv1"], degraded)
    x = first
    for name in ("conv2", "conv3", "conv4"):
        x = _hidden(graph, layers[name], x)
    x = _hidden(graph, layers["conv5"], graph.add("Concat", first, x, axis=1))
    x = _hidden(graph, layers["conv6"], x)
    x = graph.add("Concat", first, x, axis=1)
    return graph.add("Add", degraded, _chain(graph, layers, ["conv7", "conv8"], x))


def _chain(graph: Graph, layers: Tree, names: Sequence[str], x: str) -> str:
    """Add layers in sequence, with ReLU after all but the last."""
    *hidden, last = names
    for name in hidden:
        x = _hidden(graph, layers[name], x)
    return _convolution(graph, layers[last], x, padding="edge")


def _hidden(graph: Graph, weights: Tree, x: str) -> str:
    return graph.add("Relu", _convolution(graph, weights, x, padding="edge"))


def _cascnn(graph: Graph, model: CASCNN, variables: Tree, degraded: str) -> str:
    def layer(name: str, inputs: Sequence[str]) -> str:
        x = graph.add("Concat", *inputs, axis=1) if len(inputs) > 1 else inputs[0]
        weights = _without_batch_norm(variables, name)
        convolve = _full_convolution if name.endswith("up") else _convolution
        y = convolve(graph, weights, x, padding=model.padding)
        if "slope" not in weights:
            return y
        slope = weights["slope"].reshape(-1, 1, 1)
        if name.endswith("out") and model.channels > 1:  # increments of chroma are linear
            slope = np.concatenate([slope, np.ones((model.channels - 1, 1, 1), np.float32)])
        return graph.add("PRelu", y, graph.constant(slope))

    def pool(x: str) -> str:
        return graph.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])

    is_increment = [model.residual, *[True] * (model.channels - 1)]

    def completed(image: str, scale: str) -> str:
        if not any(is_increment):
            return image
        if not all(is_increment):
            mask = np.array(is_increment, np.float32).reshape(-1, 1, 1)
            scale = graph.add("Mul", scale, graph.constant(mask))
        return graph.add("Add", image, scale)

    scale = degraded
    inputs = [degraded, _condition_everywhere(graph, degraded)] if model.condition else [degraded]
    blocks, scales = {}, {}
    for name in "ABCD":
        blocks[name] = layer(f"{name}2", [layer(f"{name}1", inputs)])
        scales[name] = scale
        inputs, scale = [pool(blocks[name])], pool(scale)

    inputs = [blocks["D"]]
    for name, finer in zip("DCB", "CBA", strict=True):
        image = completed(layer(f"{name}_out", inputs), scales[name])
        below = [layer(f"{name}_up", inputs), _upsample(graph, image)]
        inputs = [blocks[finer], *below] if model.skip_connections else below
    return completed(layer("A_out", inputs), scales["A"])


def _condition_everywhere(graph: Graph, degraded: str) -> str:
    """Spread each number of `colour.condition_of` over a plane: [batch, 2, height, width]."""
    mean = graph.add("ReduceMean", graph.add("Log", TABLES), axes=[2, 3], keepdims=1)
    condition = graph.add("Div", mean, graph.constant(np.log(255)))
    size = graph.add("Shape", degraded, start=2, end=4)
    shape = graph.add("Concat", graph.constant([1, 1], np.int64), size, axis=0)
    return graph.add("Expand", condition, shape)


def _without_batch_norm(variables: Tree, name: str) -> dict[str, npt.NDArray[np.float32]]:
    """Return a layer's weights, with batch normalisation by running statistics merged in."""
    layer = dict(variables["params"][name])
    scale = layer.pop("BatchNorm_0", {}).get("scale")
    if scale is None:
        return layer
    statistics = variables["batch_stats"][name]["BatchNorm_0"]
    factor = scale / np.sqrt(statistics["var"] + BATCH_NORM_EPSILON)
    layer["kernel"] = layer["kernel"] * factor
    layer["bias"] = layer["bias"] - statistics["mean"] * factor
    return layer


def _convolution(graph: Graph, weights: Tree, x: str, *, padding: str) -> str:
    """Add a convolution that keeps height and width."""
    kernel = weights["kernel"]
    rim = len(kernel) // 2
    if padding == "edge" and rim:
        x, rim = _continued(graph, x, rim), 0
    flat = graph.constant(kernel.transpose(3, 2, 0, 1))
    return graph.add("Conv", x, flat, graph.constant(weights["bias"]), pads=[rim] * 4)


def _full_convolution(graph: Graph, weights: Tree, x: str, *, padding: str) -> str:
    """Add a 4x4 convolution that doubles height and width; ONNX wants its kernel flipped."""
    crop = 1
    if padding == "edge":
        x, crop = _continued(graph, x, 1), 3
    flipped = graph.constant(weights["kernel"][::-1, ::-1].transpose(2, 3, 0, 1))
    bias = graph.constant(weights["bias"])
    return graph.add("ConvTranspose", x, flipped, bias, strides=[2, 2], pads=[crop] * 4)


def _continued(graph: Graph, x: str, rim: int) -> str:
    pads = graph.constant([0, 0, rim, rim] * 2, np.int64)
    return graph.add("Pad", x, pads, mode="edge")


def _upsample(graph: Graph, x: str) -> str:
    """Repeat each pixel in both directions."""
    return graph.add(
        "Resize",
        x,
        "",
        graph.constant([1, 1, 2, 2]),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


# The function that adds each kind of network to a graph.
GRAPHS: dict[type[nn.Module], Callable[[Graph, Any, Tree, str], str]] = {
    ARCNN: _arcnn,
    CASCNN: _cascnn,
    L4: _l4,
    L8: _l8,
}
