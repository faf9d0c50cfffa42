"""The ONNX graph of a BERT encoder that gives one vector per text, written straight from its weights.

Quantised, products with weights are of 8-bit integers. Weights are scaled per column and use 7 bits, so that the
pairwise sums of processors without VNNI cannot overflow and every processor gives the same. Activations are scaled per
token, and not per batch as ready-made dynamic quantisation does: so a text's vector does not depend on what else is in
its batch. Before that, channels of activations that are large are made smaller at the cost of the weights, whose
rows grow likewise (SmoothQuant: Xiao and others, arXiv 2211.10438, with an alpha of 0.5).

There are few nodes, since on one short text each of them takes about as much as it computes: attention is one of
onnxruntime's own (``com.microsoft``), and where a bias can be part of the next operator it is.

Inputs: ``ids`` and ``mask``, int64 of (texts, tokens), 0 in the mask for padding. Output: ``vectors``, float32 of
(texts, dimensions), each of length 1.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fastgate.semantic.weights import BertConfig, Tensors

OPSET: Final = 21
IR_VERSION: Final = 10
WEIGHT_MOST: Final = 63
"""7 bits with a sign."""
_ACTIVATION_MOST: Final = 127
_MIDDLE: Final = 128
"""Zero, in the unsigned bytes that processors multiply fastest with signed ones."""
_MICROSOFT: Final = "com.microsoft"
_MASKED: Final = -10_000.0
"""Added to the score of padding: its share is then exactly 0 in single precision."""

Array = NDArray[Any]


class _Graph:
    """Nodes and constants; each method gives the name of a value."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: Array | np.generic) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        return self.several(kind, 1, *inputs, domain=domain, **attributes)[0]

    def several(self, kind: str, count: int, *inputs: str, domain: str = "", **attributes: Any) -> list[str]:
        names = [f"n{len(self.nodes)}_{number}" for number in range(count)]
        self.nodes.append(helper.make_node(kind, inputs, names, domain=domain, **attributes))
        return names


class BertGraph:
    """Builds the graph. ``largest``: of each product with weights, in their order, the largest activation of each
    channel; None: it is in single precision, and these are its further outputs.
    """

    def __init__(
        self, config: BertConfig, tensors: Mapping[str, Array], *, first: bool, largest: Sequence[Array] | None
    ) -> None:
        self._config = config
        self._tensors = tensors
        self._first = first
        self._largest = None if largest is None else list(largest)
        self._measured: list[str] = []
        self._middles = "", ""
        """The zero of quantised activations, by itself and for each row."""
        self._shaped, self._flat = "", ""
        """Shapes of values: (texts, tokens, width), and (texts * tokens, width), which products take."""
        self._graph = _Graph()
        self._width = config.hidden_size

    def model(self) -> onnx.ModelProto:
        """The whole model. Raises KeyError where a tensor is missing."""
        graph = self._graph
        shape = graph.node("Shape", "ids")
        middle = graph.constant(np.uint8(_MIDDLE))
        rows = graph.node("ReduceProd", shape, graph.constant(np.array([0])))
        self._middles = middle, graph.node("Expand", middle, rows)
        self._shaped = graph.node("Concat", shape, graph.constant(np.array([self._width])), axis=0)
        self._flat = graph.constant(np.array([-1, self._width]))
        hidden = self._embeddings(shape)
        mask = graph.node("Cast", "mask", to=TensorProto.INT32)
        for number in range(self._config.num_hidden_layers):
            hidden = self._layer(f"encoder.layer.{number}.", hidden, mask)
        vectors = self._pooled(hidden)
        graph.nodes.append(helper.make_node("LpNormalization", [vectors], ["vectors"], axis=-1, p=2))
        axes = ["texts", "tokens"]
        built = helper.make_graph(
            graph.nodes,
            "bert",
            [helper.make_tensor_value_info(name, TensorProto.INT64, axes) for name in ("ids", "mask")],
            [
                helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", self._width]),
                *(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in self._measured),
            ],
            initializer=graph.constants,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(_MICROSOFT, 1)]
        return helper.make_model(built, opset_imports=opsets, ir_version=IR_VERSION, producer_name="fastgate")

    def _embeddings(self, shape: str) -> str:
        """(texts * tokens, width): words, places and the one kind of text, normalised."""
        graph, tensors = self._graph, self._tensors
        words = tensors["embeddings.word_embeddings.weight"]
        if self._largest is not None:
            scales = _scales(words, axis=1, most=_ACTIVATION_MOST)
            table = np.rint(words / scales).astype(np.int8)
            rows = graph.node("Cast", graph.node("Gather", graph.constant(table), "ids"), to=TensorProto.FLOAT)
            found = graph.node("Mul", rows, graph.node("Gather", graph.constant(scales), "ids"))
        else:
            found = graph.node("Gather", graph.constant(words), "ids")
        kinds = tensors["embeddings.token_type_embeddings.weight"]
        places = tensors["embeddings.position_embeddings.weight"] + kinds[0]
        tokens = graph.node("Gather", shape, graph.constant(np.array([1])))
        used = graph.node("Slice", graph.constant(places), graph.constant(np.array([0])), tokens)
        summed = self._normalised(graph.node("Add", found, used), "embeddings.LayerNorm")
        return graph.node("Reshape", summed, self._flat)

    def _layer(self, name: str, hidden: str, mask: str) -> str:
        """One layer of the encoder, from (texts * tokens, width) to the same."""
        graph = self._graph
        attended = self._attention(f"{name}attention.", hidden, mask)
        hidden = self._normalised(graph.node("Add", attended, hidden), f"{name}attention.output.LayerNorm")
        weight, bias = self._weights(f"{name}intermediate.dense")
        wide = graph.node("BiasGelu", self._product(hidden, weight), graph.constant(bias), domain=_MICROSOFT)
        weight, bias = self._weights(f"{name}output.dense")
        narrow = graph.node("Add", self._product(wide, weight), graph.constant(bias))
        return self._normalised(graph.node("Add", narrow, hidden), f"{name}output.LayerNorm")

    def _attention(self, name: str, hidden: str, mask: str) -> str:
        graph = self._graph
        parts = [self._weights(f"{name}self.{part}") for part in ("query", "key", "value")]
        output, output_bias = self._weights(f"{name}output.dense")
        channels = None
        if self._largest is not None:
            # What is mixed is as large as the values are, which can be made smaller beforehand, in their own weights.
            channels = _channels(self._largest[1], output)
            parts[2] = parts[2][0] / channels, parts[2][1] / channels
        weight, bias = (np.concatenate(each, axis=-1) for each in zip(*parts, strict=True))
        cut = graph.several("Split", 3, self._product(hidden, weight), axis=1, num_outputs=3)
        mixed = graph.node(
            "MultiHeadAttention",
            *(graph.node("Reshape", each, self._shaped) for each in cut),
            graph.constant(bias),
            mask,
            domain=_MICROSOFT,
            num_heads=self._config.num_attention_heads,
            mask_filter_value=_MASKED,
        )
        product = self._product(graph.node("Reshape", mixed, self._flat), output, channels)
        return graph.node("Add", product, graph.constant(output_bias))

    def _product(self, hidden: str, weight: Array, channels: NDArray[np.float32] | None = None) -> str:
        """``hidden @ weight``; weight is (inputs, outputs). ``channels``: by which ``hidden`` was divided already."""
        graph = self._graph
        if self._largest is None:
            over_rows = graph.constant(np.array([0]))
            self._measured.append(graph.node("ReduceMax", graph.node("Abs", hidden), over_rows, keepdims=0))
            return graph.node("MatMul", hidden, graph.constant(weight))
        largest_each = self._largest.pop(0)
        if channels is None:
            channels = _channels(largest_each, weight)
            hidden = graph.node("Mul", hidden, graph.constant(1 / channels))
        weight = weight * channels[:, None]
        scales = _scales(weight, axis=0, most=WEIGHT_MOST)
        table = graph.constant(np.rint(weight / scales).astype(np.int8))
        largest = graph.node("ReduceMax", graph.node("Abs", hidden), graph.constant(np.array([1])))
        step = graph.node("Mul", largest, graph.constant(np.float32(1 / _ACTIVATION_MOST)))
        by_row = graph.node("Squeeze", step, graph.constant(np.array([1])))
        middle, middles = self._middles
        small = graph.node("QuantizeLinear", hidden, by_row, middles, axis=0)
        columns = graph.constant(scales.reshape(-1))
        return graph.node("MatMulIntegerToFloat", small, table, step, columns, middle, domain=_MICROSOFT)

    def _normalised(self, hidden: str, name: str) -> str:
        graph, tensors = self._graph, self._tensors
        scale, bias = (graph.constant(tensors[f"{name}.{part}"]) for part in ("weight", "bias"))
        return graph.node("LayerNormalization", hidden, scale, bias, axis=-1, epsilon=self._config.layer_norm_eps)

    def _pooled(self, hidden: str) -> str:
        """(texts, width): the first token's, or the sum of all that are no padding; the length is set later."""
        graph = self._graph
        rows = graph.node("Reshape", hidden, self._shaped)
        if self._first:
            return graph.node("Gather", rows, graph.constant(np.int64(0)), axis=1)
        present = graph.node("Cast", "mask", to=TensorProto.FLOAT)
        summed = graph.node("MatMul", graph.node("Unsqueeze", present, graph.constant(np.array([1]))), rows)
        return graph.node("Squeeze", summed, graph.constant(np.array([1])))

    def _weights(self, name: str) -> tuple[Array, Array]:
        """Weight, as (inputs, outputs), and bias of a layer."""
        return self._tensors[f"{name}.weight"].T, self._tensors[f"{name}.bias"]


def build(config: BertConfig, tensors: Tensors, *, first: bool, largest: Sequence[Array] | None) -> bytes:
    """The model's file. ``first``: a text's vector is that of its first token. ``largest``: see BertGraph.

    Raises KeyError where a tensor is missing.
    """
    model = BertGraph(config, tensors, first=first, largest=largest).model()
    data: bytes = model.SerializeToString()
    return data


def _channels(largest: Array, weight: Array) -> NDArray[np.float32]:
    """By what each channel of activations is divided, and the row of weights for it multiplied."""
    activations = np.maximum(largest, 1e-5)
    weights = np.maximum(np.abs(weight).max(axis=1), 1e-5)
    channels: NDArray[np.float32] = np.sqrt(activations / weights).astype(np.float32)
    return channels


def _scales(weight: Array, *, axis: int, most: int) -> NDArray[np.float32]:
    """What one step of an integer is worth along ``axis``, which is kept with length 1."""
    scales: NDArray[np.float32] = np.maximum(np.abs(weight).max(axis=axis, keepdims=True) / most, 1e-9)
    return scales.astype(np.float32)
