"""What a training step computes and moves, by the peak of this machine.

python benchmarks/roofline.py [METHOD ...]

Operations are those of convolutions and matrix products in the step's graph, by their shapes.
Bytes are what all operations of the graph give, written once and read once: what a machine would
move that keeps nothing in its caches. The peaks are measured: a product of large matrices in the
method's precision, and a sum over an array that no cache holds.
"""

import math
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfadv import methods
from tfadv.adversarial import AdversarialModel

# Of a forward convolution or its gradients: which of the operation's tensors is its output, and
# which its kernel: ("in", N) or ("out", N).
CONVOLUTIONS = {
    "Conv2D": (("out", 0), ("in", 1)),
    "Conv3D": (("out", 0), ("in", 1)),
    "Conv2DBackpropInput": (("in", 2), ("in", 1)),
    "Conv3DBackpropInputV2": (("in", 2), ("in", 1)),
    "Conv2DBackpropFilter": (("in", 2), ("out", 0)),
    "Conv3DBackpropFilterV2": (("in", 2), ("out", 0)),
}
# Shapes of a minibatch [B, ..., C] and of its label maps, classes, and values, by method.
STEPS: dict[str, tuple[list[int], list[int], int, list[str]]] = {
    "moeskops_dilated": ([100, 87, 87, 1], [100, 21, 21], 7, []),
    "moeskops_fcn": ([100, 51, 51, 1], [100, 21, 21], 7, []),
    "segan_unet_softmax": ([16, 160, 160, 3], [16, 160, 160], 4, ["width=16"]),
    "kohl_cross_entropy": ([5, 208, 208, 3], [5, 208, 208], 4, ["width=16"]),
    "reciprocal_dice": ([2, 64, 64, 64, 4], [2, 64, 64, 64, 3], 3, ["width=8"]),
}


class Work(NamedTuple):
    """Of one step."""

    operations: float
    moved_bytes: float


def work_of(graph: tf.Graph) -> Work:
    """What a graph whose shapes are known computes and moves."""
    operations, moved = 0.0, 0.0
    for operation in graph.get_operations():
        tensors = {"in": operation.inputs, "out": operation.outputs}
        moved += 2 * sum(map(_bytes, operation.outputs))
        if operation.type in CONVOLUTIONS:
            (of, number), (kernel_of, kernel) = CONVOLUTIONS[operation.type]
            shape = _shape(tensors[kernel_of][kernel], operation)
            given = _shape(tensors[of][number], operation)
            operations += 2.0 * math.prod(given) * math.prod(shape[:-1])
        elif operation.type == "MatMul":
            inner = operation.inputs[0].shape[0 if operation.get_attr("transpose_a") else 1]
            operations += 2.0 * math.prod(operation.outputs[0].shape) * inner
    return Work(operations, moved)


def _shape(tensor: tf.Tensor, operation: tf.Operation) -> list[int]:
    """A kernel's gradient may not know its own: then its third input's forward kernel does."""
    if tensor.shape.is_fully_defined():
        return list(tensor.shape)
    sizes = tf.get_static_value(operation.inputs[1])
    if sizes is None:
        raise ValueError(f"{operation.name}: a shape that is not known")
    return [int(size) for size in sizes]


def _bytes(tensor: tf.Tensor) -> float:
    if not tensor.shape.is_fully_defined() or not tensor.dtype.size:
        return 0.0
    return math.prod(tensor.shape) * tensor.dtype.size


def seconds_of(action: Callable[[], object], repetitions: int = 5) -> float:
    """The least."""
    action()
    found = []
    for _ in range(repetitions):
        start = time.perf_counter()
        action()
        found.append(time.perf_counter() - start)
    return min(found)


def peaks(precision: str) -> tuple[float, float]:
    """Operations and bytes a second."""
    size = 3072
    dtype = tf.bfloat16 if precision == "mixed_bfloat16" else tf.float32
    matrix = tf.cast(tf.random.normal([size, size]), dtype)
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(matrix, matrix)))
    long = np.ones(2**28, np.float32)
    return (
        2 * size**3 / seconds_of(lambda: product().numpy()),
        long.nbytes / seconds_of(long.sum),
    )


def row(name: str, precision: str, peak: tuple[float, float]) -> str:
    """Of the table."""
    image, label, maps, values = STEPS[name]
    method = methods.get(name).configure("paper", [f"precision={precision}", *values])
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(1)
    outputs = tuple("abcdefg"[:maps])
    model = AdversarialModel(method.build(image[-1], outputs))
    model.compile()
    random = np.random.default_rng(0)
    batch = {
        "image": tf.constant(random.normal(size=image), tf.float32),
        "label": tf.constant(random.integers(0, 2, label), tf.uint8),
    }
    step = tf.function(model.train_step, autograph=False)
    work = work_of(step.get_concrete_function(batch).graph)
    seconds = seconds_of(lambda: next(iter(step(batch).values())).numpy())
    computed, moved = work.operations / peak[0], work.moved_bytes / peak[1]
    return (
        f"| `{name}` | {'x'.join(map(str, image))} | {precision} | {work.operations / 1e9:.0f} | "
        f"{work.moved_bytes / 1e9:.1f} | {work.operations / work.moved_bytes:.0f} | "
        f"{seconds:.3f} | {computed:.3f} | {moved:.3f} | {computed / seconds:.0%} |"
    )


def main() -> None:
    names = sys.argv[1:] or list(STEPS)
    print(
        "| method | minibatch | precision | Gop | GB | op by byte | step s | operations alone s | "
        "bytes alone s | of peak |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for precision in ("mixed_bfloat16", "float32"):
        peak = peaks(precision)
        print(
            f"| *peak* | | {precision} | {peak[0] / 1e9:.0f} a second | {peak[1] / 1e9:.1f} a "
            f"second | {peak[0] / peak[1]:.0f} | | | | |"
        )
        for name in names:
            print(row(name, precision, peak), flush=True)


if __name__ == "__main__":
    main()
