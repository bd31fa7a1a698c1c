"""Prediction of whole volumes, over what its network takes of the same voxels."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from measuring import Pair, entry

from tfadv import methods
from tfadv.inference.members import Member
from tfadv.inference.predictor import Predictor
from tfadv.inference.tiling import SlidingWindow
from tfadv.networks.moeskops import DILATED
from tfrecords.sources.subject import LabelClass

CLASSES = {"background": 0, "necrosis": 1, "edema": 2, "enhancing": 4}
REGIONS = {
    "WT": ("necrosis", "edema", "enhancing"),
    "TC": ("necrosis", "enhancing"),
    "ET": ("enhancing",),
}


def predictor_of(method: str, modalities: int, *hyperparameters: str) -> Predictor:
    """Of an untrained network in float32."""
    configured = methods.get(method).configure("paper", ["precision=float32", *hyperparameters])
    manifest: Any = SimpleNamespace(
        image_dtype="int16",
        crop=None,
        modalities=tuple(map(str, range(modalities))),
        classes=tuple(LabelClass(name, (value,)) for name, value in CLASSES.items()),
        regions=REGIONS,
        class_index=list(CLASSES).index,
    )
    keras.config.set_dtype_policy("float32")
    targets = configured.targets(manifest)
    network = configured.players(modalities, targets.names).networks["segmentor"]
    member = Member(network, configured.tiling(manifest))
    return Predictor([member], manifest, targets, configured.normalisation)


def volume_of(*shape: int) -> tf.Tensor:
    """Raw intensities [*shape], whole numbers, a quarter of them background, its box whole."""
    random = np.random.default_rng(0)
    volume = np.ceil(random.gamma(4, 100, shape)).astype(np.float32)
    volume[1:-1, 1 : shape[1] // 2, 1 : shape[2] // 2] = 0
    return tf.constant(volume)


def _pair(predictor: Predictor, volume: tf.Tensor, shape: list[int], passes: int) -> Pair:
    """Prediction, by passes of its network over an input of a shape."""
    network = tf.function(lambda windows: predictor.members[0].segmentor(windows, training=False))
    windows = tf.random.stateless_normal(shape, [0, 1])

    def passed() -> None:
        for _ in range(passes):
            network(windows)[..., 0].numpy()

    return Pair(lambda: predictor.predict(volume)["label"].numpy(), passed)


@entry("a volume of 128^3 x 4 predicted at once, by its network (Peiris, width 8)", 1.1, usual=1.13)
@contextmanager
def predict_over_network() -> Iterator[Pair]:
    predictor = predictor_of("reciprocal_dice", 4, "width=8")
    yield _pair(predictor, volume_of(128, 128, 128, 4), [1, 128, 128, 128, 4], 1)


@entry("240x240x155 x 4 in windows of 128^3, by its network's 18 passes (Peiris, width 8)", 1.08)
@contextmanager
def windows_over_network() -> Iterator[Pair]:
    predictor = predictor_of("reciprocal_dice", 4, "width=8", "whole_volume=false")
    yield _pair(predictor, volume_of(155, 240, 240, 4), [1, 128, 128, 128, 4], 18)


@entry("20 slices of 215x170, by their network, one by one (Moeskops, dilated)", 1.05)
@contextmanager
def slices_over_network() -> Iterator[Pair]:
    rim = 2 * DILATED.margin
    predictor = predictor_of("moeskops_dilated", 1)
    yield _pair(predictor, volume_of(20, 215, 170, 1), [1, 215 + rim, 170 + rim, 1], 20)


@entry("640 windows of 32^3 of 144x144x176 x 4 with a network that does nothing", 1.0)
@contextmanager
def windows_nothing() -> Iterator[Pair]:
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 4])])
    def blended(volume: tf.Tensor) -> tf.Tensor:
        return SlidingWindow((32, 32, 32)).apply(lambda windows: windows[..., :3], volume, 3)

    volume = volume_of(144, 144, 176, 4)
    yield Pair(lambda: blended(volume).numpy())
