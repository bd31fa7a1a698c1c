"""What steps of each paper's method cost on a GPU, in every precision, with the papers' sizes.

python benchmarks/gpu.py METHOD PRECISION [name=value ...]    # a row of the table
python benchmarks/gpu.py --list                               # a line for each row
python benchmarks/gpu.py --replicas METHOD                    # two GPUs against one

benchmarks/gpu.sh calls it for each row: a process' peak of memory never falls.
"""

import sys
import time
from dataclasses import replace
from statistics import median

import keras
import numpy as np
import tensorflow as tf

from tfadv import methods
from tfadv.adversarial import AdversarialModel
from tfadv.loss_scaling import scales
from tfadv.methods.method import Method
from tfadv.players import Batch
from tfadv.training.cost import peak_bytes

STEPS = 10  # Timed, after as many others as are left out.
WARM_STEPS = 3
# Shapes of a minibatch [B, ..., C] and of its labels, and the number of maps.
SHAPES: dict[str, tuple[list[int], list[int], int]] = {
    "kohl_hybrid": ([5, 416, 416, 3], [5, 416, 416], 2),
    "moeskops_dilated_adversarial": ([100, 87, 87, 1], [100, 21, 21], 7),
    "segan_s3_3c": ([64, 160, 160, 4], [64, 160, 160, 3], 3),
    "reciprocal_critic": ([2, 128, 128, 128, 4], [2, 128, 128, 128, 3], 3),
}
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
# What saves memory, beside the row without it.
SAVING = (
    ("kohl_hybrid", "accumulation=5"),
    ("segan_s3_3c", "accumulation=4"),
    ("reciprocal_critic", "accumulation=2"),
    ("reciprocal_critic", "recompute=true"),
)


def rows() -> list[list[str]]:
    """The arguments of each."""
    plain = [[name, precision] for precision in PRECISIONS for name in SHAPES]
    return [*plain, *([name, "mixed_bfloat16", value] for name, value in SAVING)]


def model_of(method: Method, rate: float | None = None) -> AdversarialModel:
    """In the current strategy.

    Args:
        rate: of plain gradient descent; the method's own optimizers if not given.
    """
    image, _, maps = SHAPES[method.name]
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(method.precision)
    players = method.players(image[-1], tuple("abcdefg"[:maps]))
    if rate is not None:
        descent = {name: keras.optimizers.SGD(rate) for name in players.optimizers}
        players = replace(players, optimizers=descent)
    model = AdversarialModel(players, method.accumulation)
    model.compile()
    return model


def batch_of(name: str, minibatches: int) -> Batch:
    """Smooth enough to be learned: labels are where the first channel is positive."""
    image, label, _ = SHAPES[name]
    random = np.random.default_rng(0)
    count = minibatches * image[0]
    images = random.normal(size=[count, *image[1:]]).astype(np.float32)
    rims = [(whole - inner) // 2 for whole, inner in zip(image[1:], label[1:], strict=False)]
    inner = tuple(slice(rim, -rim or None) for rim in rims[: len(image) - 2])
    positive = (images[(slice(None), *inner, 0)] > 0).astype(np.uint8)
    if len(label) == len(image):
        positive = np.repeat(positive[..., None], label[-1], axis=-1)
    return {"image": tf.constant(images), "label": tf.constant(positive)}


def row(name: str, precision: str, *values: str) -> str:
    method = methods.get(name).configure("paper", [f"precision={precision}", *values])
    start = f"| `{name}` | {'x'.join(map(str, SHAPES[name][0]))} | {precision} | {' '.join(values)}"
    try:
        model = model_of(method)
        batch = batch_of(name, model.players.minibatches)
        step = tf.function(model.train_step, autograph=False)
        seconds = []
        for _ in range(WARM_STEPS + STEPS):
            for tracker in model.trackers.values():
                tracker.reset_state()
            begin = time.perf_counter()
            logs = {key: float(value) for key, value in step(batch).items()}
            seconds.append(time.perf_counter() - begin)
    except tf.errors.ResourceExhaustedError:
        return f"{start} | does not fit into this device's memory | | | |"
    terms = {term.name for update in model.players.schedule for term in update.terms}
    wrong = [key for key, value in logs.items() if not np.isfinite(value)]
    if wrong:
        raise ValueError(f"{name} in {precision}: {', '.join(wrong)} NaN or infinite")
    losses = ", ".join(f"{key} {logs[key]:.4g}" for key in logs if key in terms)
    found = ", ".join(f"{s.numpy():g}" for s in scales(model.players.optimizers).values())
    return (
        f"{start} | {median(seconds[WARM_STEPS:]):.4f} | {peak_bytes() / 1e9:.2f} | {losses} | "
        f"{found} |"
    )


def replicas(name: str) -> str:
    """How far the weights of two GPUs are from those of one that sees the same minibatch."""
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    if len(gpus) < 2:
        return f"{name}: one GPU here: replicas were not compared"
    kind = methods.get(name)
    # Replicas draw numbers of their own.
    drawn = [f"{word}=0" for word in ("label_noise", "dropout") if word in kind.configure().values]
    method = kind.configure("small", ["precision=float32", *drawn])
    ends = []
    for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(gpus[:2])):
        with strategy.scope():
            model = model_of(method, 1e-2)
        batch = batch_of(name, model.players.minibatches)
        count = strategy.num_replicas_in_sync
        whole = {key: tf.concat([tensor] * count, 0) for key, tensor in batch.items()}
        data = tf.data.Dataset.from_tensors(whole).repeat(3)
        model.fit(data, steps_per_epoch=3, verbose=0, shuffle=False)
        ends.append([v.numpy() for network in model.network_list for v in network.weights])
    largest = max(float(np.abs(a - b).max()) for a, b in zip(*ends, strict=True))
    return f"{name}: weights of two replicas differ from those of one by {largest:.2g} at most"


def main() -> None:
    first, *others = sys.argv[1:]
    if first == "--list":
        print("\n".join(" ".join(arguments) for arguments in rows()))
    elif first == "--replicas":
        print(replicas(*others))
    else:
        print(row(first, *others))


if __name__ == "__main__":
    main()
