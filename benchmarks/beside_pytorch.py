"""Training steps, windows and crops, by PyTorch's, MONAI's and torchio's in their own processes."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from inference import predictor_of, volume_of
from measuring import NotHereError, Pair, entry
from reading import read_crops
from workers import Action, worker

from tfadv import methods
from tfadv.adversarial import AdversarialModel

FOLDER = Path(__file__).parent
PYTHON = FOLDER / ".venv" / "bin" / "python"


@contextmanager
def _pytorch(task: str) -> Iterator[Action]:
    """A task of `torch_worker.py`, done once whenever it is called."""
    if not PYTHON.is_file():
        raise NotHereError(
            f"{PYTHON}: no such file; expected an environment with PyTorch, MONAI and torchio. "
            "Make it with python3 -m venv benchmarks/.venv && "
            "benchmarks/.venv/bin/pip install -r benchmarks/requirements.txt"
        )
    with worker([PYTHON, FOLDER / "torch_worker.py", task]) as done:
        yield done


@contextmanager
def _steps(
    method: str, task: str, shape: list[int], label: list[int], *values: str
) -> Iterator[Pair]:
    """A training step of a baseline in bfloat16, by PyTorch's of the same network and minibatch."""
    configured = methods.get(method).configure("paper", ["precision=mixed_bfloat16", *values])
    outputs = ("a", "b", "c", "d", "e", "f", "g")[: 7 if "moeskops" in method else 4]
    if method.startswith("reciprocal"):
        outputs = outputs[:3]  # Regions.
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.utils.set_random_seed(1)
    model = AdversarialModel(configured.players(shape[-1], outputs))
    model.compile()
    random = np.random.default_rng(0)
    if method.startswith("reciprocal"):
        label = [*label, len(outputs)]
    batch = {
        "image": tf.constant(random.normal(size=shape), tf.float32),
        "label": tf.constant(random.integers(0, 2, label), tf.uint8),
    }
    step = tf.function(model.train_step)
    with _pytorch(task) as theirs:
        yield Pair(lambda: next(iter(step(batch).values())).numpy(), theirs)


@entry("a step on 100 x 87x87, by PyTorch's (Moeskops, dilated, bfloat16)", 0.75)
def dilated_by_pytorch() -> AbstractContextManager[Pair]:
    return _steps("moeskops_dilated", "dilated:bfloat16", [100, 87, 87, 1], [100, 21, 21])


@entry("a step on 100 x 87x87 in bfloat16, by PyTorch's in float32 (Moeskops, dilated)", 0.30)
def dilated_by_pytorch_float32() -> AbstractContextManager[Pair]:
    return _steps("moeskops_dilated", "dilated:float32", [100, 87, 87, 1], [100, 21, 21])


@entry("a step on 100 x 51x51, by PyTorch's (Moeskops, fully convolutional, bfloat16)", 0.80)
def fcn_by_pytorch() -> AbstractContextManager[Pair]:
    return _steps("moeskops_fcn", "fcn:bfloat16", [100, 51, 51, 1], [100, 21, 21])


@entry("a step on 16 x 160x160x3, by PyTorch's (SegAN's segmentor, width 16, bfloat16)", 0.90)
def segan_by_pytorch() -> AbstractContextManager[Pair]:
    return _steps(
        "segan_unet_softmax", "segan:bfloat16", [16, 160, 160, 3], [16, 160, 160], "width=16"
    )


@entry("a step on 5 x 208x208x3, by PyTorch's (Kohl's U-Net, width 16, bfloat16)", 0.72)
def unet_by_pytorch() -> AbstractContextManager[Pair]:
    return _steps(
        "kohl_cross_entropy", "unet:bfloat16", [5, 208, 208, 3], [5, 208, 208], "width=16"
    )


@entry("a step on 2 x 64^3 x 4, by PyTorch's (Peiris' 3D U-Net, width 8, bfloat16)", 0.50)
def unet3d_by_pytorch() -> AbstractContextManager[Pair]:
    return _steps(
        "reciprocal_dice", "unet3d:bfloat16", [2, 64, 64, 64, 4], [2, 64, 64, 64], "width=8"
    )


@entry("240x240x155 x 4 in windows of 128^3, by MONAI's sliding window (Peiris, width 8)", 0.75)
@contextmanager
def windows_by_monai() -> Iterator[Pair]:
    predictor = predictor_of("reciprocal_dice", 4, "width=8", "whole_volume=false")
    volume = volume_of(155, 240, 240, 4)
    with _pytorch("monai") as theirs:
        yield Pair(lambda: predictor.predict(volume)["label"].numpy(), theirs)


@entry("16 crops of 64^3 x 4 of BraTS' bodies read and normalised, by torchio's queue", 1)
@contextmanager
def crops_by_torchio() -> Iterator[Pair]:
    with read_crops() as crops, _pytorch("torchio") as theirs:
        yield Pair(crops.measured, theirs)
