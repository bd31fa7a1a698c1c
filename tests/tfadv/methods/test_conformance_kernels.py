"""Every operation of a training step has a kernel for GPUs, in every precision.

TensorFlow's package for Linux has them compiled in, whether or not there is a GPU. An operation
without one would run on the CPU, and its maps be copied there and back in every step.
"""

from collections.abc import Iterator
from typing import Any

import keras
import pytest
import tensorflow as tf
from tensorflow.python.framework import kernels

from tests.tfadv.methods.conforming import CHANNELS, OUTPUTS, batch_for, slow_except, tiny
from tfadv.adversarial import AdversarialModel
from tfadv.methods.method import Method

DEVICES = {"GPU", "DEFAULT"}  # The second: of any device.
# Labels come from the host, and are split there.
ON_THE_HOST = {"Split {'T': 'uint8'}"}
# GPUs have no kernel of them that gives equal bits each time: --deterministic would end there.
UNDETERMINED = {
    "AdjustContrastv2",
    "CropAndResizeGradBoxes",
    "CropAndResizeGradImage",
    "ResizeNearestNeighborGrad",
    "SparseTensorDenseMatMul",
}
# Of graphs, not of devices: TensorFlow puts in their place what they call.
STRUCTURE = {"NoOp", "Placeholder", "PartitionedCall", "StatefulPartitionedCall", "While", "If"}


@slow_except(())
@pytest.mark.parametrize(
    "precision",
    [
        "float32",
        pytest.param("mixed_bfloat16", marks=pytest.mark.variants),
        pytest.param("mixed_float16", marks=pytest.mark.variants),
    ],
)
def test_every_operation_has_a_kernel_for_gpus(method: type[Method], precision: str) -> None:
    if not tf.test.is_built_with_cuda():
        pytest.skip("TensorFlow is built without CUDA")
    keras.config.set_dtype_policy(precision)
    players = tiny(method).players(CHANNELS, OUTPUTS)
    model = AdversarialModel(players)
    model.compile()
    step = tf.function(model.train_step, autograph=False)
    graph = step.get_concrete_function(batch_for(tiny(method), players)).graph
    assert set(without_kernel(graph)) <= ON_THE_HOST
    assert not {node.op for node in nodes(graph)} & UNDETERMINED


def nodes(graph: tf.Graph) -> list[Any]:
    definition = graph.as_graph_def()
    functions = (node for function in definition.library.function for node in function.node_def)
    return [*definition.node, *functions]


def without_kernel(graph: tf.Graph) -> Iterator[str]:
    """Kinds of operations that no kernel for GPUs computes, with their types."""
    for node in nodes(graph):
        if node.op in STRUCTURE:
            continue
        types = {name: value.type for name, value in node.attr.items() if value.type}
        known = kernels.get_registered_kernels_for_op(node.op).kernel
        if not any(_computes(kernel, types) for kernel in known if kernel.device_type in DEVICES):
            named = {name: tf.as_dtype(kind).name for name, kind in sorted(types.items())}
            yield f"{node.op} {named}"


def _computes(kernel: Any, types: dict[str, int]) -> bool:
    return all(
        types.get(constraint.name) in (None, *constraint.allowed_values.list.type)
        for constraint in kernel.constraint
    )
