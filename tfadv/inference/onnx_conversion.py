"""A predictor's graph as ONNX, by tf2onnx and what that does not know."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf
from tf2onnx import tf_loader
from tf2onnx.onnx_opset.nn import Pad
from tf2onnx.onnx_opset.reduction import ReduceOpBase
from tf2onnx.optimizer import optimize_graph
from tf2onnx.optimizer.identity_optimizer import IdentityOptimizer
from tf2onnx.tfonnx import process_tf_graph
from tf2onnx.utils import make_name

from tfadv.inference.checks import CHECKED
from tfadv.inference.members import Member
from tfadv.inference.predictor import Predictor

OPSET = 18  # tf2onnx's last, and the first whose ScatterElements takes maxima.
FAR = 2**31 - 1  # Beyond the end of any axis.
AXES = "ZYX"


def convert(predictor: Predictor) -> onnx.ModelProto:
    """The graph of `Predictor.predict`, with the names of its input and of its answers.

    Networks compute in float32, whatever their precision: few runtimes have bfloat16.
    """
    asked = predictor.predict
    with _as_constants(predictor.members), _without_judges(predictor):
        # Another function of the same: that one may be traced already.
        function = tf.function(
            asked.python_function, input_signature=asked.input_signature, autograph=False
        ).get_concrete_function()
    (volume,) = function.inputs
    answers = {answer.name: name for name, answer in function.structured_outputs.items()}
    frozen = tf_loader.from_function(function, [volume.name], list(answers))
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen, name="")
        converted = process_tf_graph(
            graph,
            opset=OPSET,
            custom_op_handlers=HANDLERS,
            input_names=[volume.name],
            output_names=list(answers),
            use_default=[CHECKED],
            tensors_to_rename={volume.name: "volume", **answers},
        )
    # Nothing more: tf2onnx moves transpositions over slices and loops' ends, wrongly, and runtimes
    # optimise what they load.
    identities = {"remove_identity": IdentityOptimizer}
    model = optimize_graph(converted, catch_errors=False, optimizers=identities).make_model("tfadv")
    for value in (*model.graph.input, *model.graph.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim, AXES, strict=False):
            dimension.dim_param = name
    onnx.checker.check_model(model)
    return model


class _Constants:
    """A network whose weights are constants, where it is called: within loops, tf2onnx does not see
    of which shape the weights are that lie outside. It computes in float32."""

    def __init__(self, network: keras.Model) -> None:
        self.network = network
        self.weights = [
            [weight.numpy() for weight in weights]
            for weights in (network.trainable_variables, network.non_trainable_variables)
        ]

    def __call__(self, windows: tf.Tensor, training: bool) -> tf.Tensor:
        constants = [[tf.constant(weight) for weight in weights] for weights in self.weights]
        answer, _ = self.network.stateless_call(*constants, windows, training=training)
        return answer


@contextmanager
def _as_constants(members: Sequence[Member]) -> Iterator[None]:
    """Members' networks are `_Constants` meanwhile."""
    networks = [member.segmentor for member in members]
    layers = [layer for network in networks for layer in network._flatten_layers()]
    policies = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = "float32"
        for member, network in zip(members, networks, strict=True):
            member.segmentor = _Constants(network)
        yield
    finally:
        for member, network in zip(members, networks, strict=True):
            member.segmentor = network
        for layer, policy in zip(layers, policies, strict=True):
            layer.dtype_policy = policy


@contextmanager
def _without_judges(predictor: Predictor) -> Iterator[None]:
    """Their variables are no inputs of the graph meanwhile, of which they give no answer."""
    judges, predictor.judges = predictor.judges, {}
    try:
        yield
    finally:
        predictor.judges = judges


class _Maker:
    """Makes what a node becomes, before it."""

    def __init__(self, graph: Any, node: Any) -> None:
        self._graph = graph
        self._name = node.name

    def __call__(self, kind: str, *inputs: str, **attributes: int) -> str:
        """The output of a new node."""
        return self._graph.make_node(kind, list(inputs), attr=attributes).output[0]

    def constant(self, value: object, kind: type = np.int64) -> str:
        return self._graph.make_const(make_name(self._name), np.array(value, kind)).output[0]


def _pad(graph: Any, node: Any, *_: Any) -> None:
    """tf2onnx pads integers of one byte as floats, but by a value that is none."""
    Pad.version_11(graph, node)
    kind = graph.get_dtype(node.input[0])
    if graph.get_dtype(node.input[2]) != kind:
        graph.insert_new_node_on_input(node, "Cast", node.input[2], to=kind)


def _mean(graph: Any, node: Any, *_: Any) -> None:
    """In double precision: onnxruntime adds a volume's voxels one after another."""
    ReduceOpBase.version_18(graph, node)
    kind = graph.get_dtype(node.output[0])
    graph.insert_new_node_on_input(node, "Cast", node.input[0], to=onnx.TensorProto.DOUBLE)
    graph.insert_new_node_on_output("Cast", node.output[0], to=kind)
    graph.set_dtype(node.output[0], onnx.TensorProto.DOUBLE)


def _log1p(graph: Any, node: Any, *_: Any) -> None:
    """The logarithm of 1 + x."""
    make = _Maker(graph, node)
    graph.replace_inputs(node, [make("Add", node.input[0], make.constant(1, np.float32))])


def _reverse(graph: Any, node: Any, *_: Any) -> None:
    """Reverse(tensor, dims bool) as Slice(data, starts, ends, axes, steps), from the end by -1."""
    make = _Maker(graph, node)
    tensor, dims = node.input
    mirrored = make("Cast", dims, to=onnx.TensorProto.INT64)
    starts = make("Neg", mirrored)
    steps = make("Sub", make.constant(1), make("Add", mirrored, mirrored))
    ends = make("Mul", steps, make.constant(FAR))
    axes = make.constant(range(len(graph.get_shape(tensor))))
    graph.replace_inputs(node, [tensor, starts, ends, axes, steps])


def _segments(graph: Any, node: Any, reduction: str) -> None:
    """UnsortedSegment*(values [N], segments [N], count) as ScatterElements; lowest where none is.

    tf2onnx lays each segment's values beside each other, padded to the largest: N of N voxels.
    """
    make = _Maker(graph, node)
    values, segments, count = node.input
    lowest = 0 if reduction == "add" else np.iinfo(np.int32).min
    shape = make("Reshape", make("Cast", count, to=onnx.TensorProto.INT64), make.constant([1]))
    empty = make("Expand", make.constant(lowest, np.int32), shape)
    graph.replace_inputs(node, [empty, segments, values])
    node.set_attr("reduction", reduction)
    node.set_attr("axis", 0)


def _segment_sum(graph: Any, node: Any, *_: Any) -> None:
    _segments(graph, node, "add")


def _segment_max(graph: Any, node: Any, *_: Any) -> None:
    _segments(graph, node, "max")


# What tf2onnx does not convert, or wrongly, and the operation that it becomes.
HANDLERS = {
    "PadV2": (_pad, ["Pad"]),
    "Mean": (_mean, ["ReduceMean"]),
    "Log1p": (_log1p, ["Log"]),
    "Reverse": (_reverse, ["Slice"]),
    "UnsortedSegmentSum": (_segment_sum, ["ScatterElements"]),
    "UnsortedSegmentMax": (_segment_max, ["ScatterElements"]),
}
