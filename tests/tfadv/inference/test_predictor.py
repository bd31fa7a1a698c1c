"""The predictor, on networks whose answer is known."""

from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv.inference.members import Member
from tfadv.inference.predictor import Predictor, body_box
from tfadv.inference.targets import class_targets
from tfadv.inference.tiling import SlidingWindow
from tfrecords.records.views import body_box as numpy_body_box
from tfrecords.sources.subject import LabelClass


@pytest.mark.parametrize("filled", [[(1, 2, 3)], [(0, 0, 0), (3, 4, 5)], [(2, 1, 1), (2, 3, 0)]])
def test_body_box_equals_that_of_preprocessing(filled: list[tuple[int, int, int]]) -> None:
    volume = np.zeros((4, 5, 6, 2), np.float32)
    for position in filled:
        volume[(*position, 1)] = -1
    start, size = body_box(tf.constant(volume))
    box = numpy_body_box(volume)
    assert [(int(a), int(a + n)) for a, n in zip(start, size, strict=True)] == [
        (axis.start, axis.stop) for axis in box
    ]


def test_body_box_of_nothing_is_everything() -> None:
    start, size = body_box(tf.zeros([4, 5, 6, 1]))
    assert start.numpy().tolist() == [0, 0, 0]
    assert size.numpy().tolist() == [4, 5, 6]


@pytest.fixture
def predictor() -> Predictor:
    """Class 1 (label 4) where the first modality's z-score is positive."""
    image = keras.Input((None, None, 1))
    convolution = keras.layers.Conv2D(2, 1, use_bias=False)
    segmentor = keras.Model(image, convolution(image))
    convolution.kernel.assign([[[[-1.0, 1.0]]]])
    manifest: Any = SimpleNamespace(
        image_dtype="float16",
        crop=None,
        modalities=("t1",),
        classes=(LabelClass("background", (0,)), LabelClass("lesion", (4, 7))),
    )
    return Predictor(
        [Member(segmentor, SlidingWindow((16, 16)))], manifest, class_targets(manifest), "z_score"
    )


def test_predictor_gives_the_datasets_labels(predictor: Predictor) -> None:
    volume = np.full((3, 6, 6, 1), 100.0, np.float32)
    volume[:, 2:4, 2:4] = 900.0
    result = predictor.predict(tf.constant(volume))
    np.testing.assert_array_equal(result["label"], np.where(volume[..., 0] > 500, 4, 0))
    np.testing.assert_allclose(np.sum(result["probabilities"], -1), 1, atol=1e-6)


def test_zeros_around_the_body_change_nothing(predictor: Predictor) -> None:
    body = np.random.default_rng(0).uniform(1, 1000, (3, 6, 7, 1)).astype(np.float32)
    margin = ((2, 1), (3, 5), (4, 0))
    inner = tuple(slice(a, a + n) for (a, _), n in zip(margin, body.shape, strict=False))
    alone = predictor.predict(tf.constant(body))
    padded = predictor.predict(tf.constant(np.pad(body, (*margin, (0, 0)))))
    for name in ("label", "probabilities"):
        np.testing.assert_array_equal(padded[name].numpy()[inner], alone[name])
    outside = np.ones(padded["label"].shape, bool)
    outside[inner] = False
    assert not padded["label"].numpy()[outside].any()


def test_gain_beyond_half_precision_changes_no_label(predictor: Predictor) -> None:
    volume = np.random.default_rng(1).uniform(1, 60000, (2, 8, 8, 1)).astype(np.float32)
    label = predictor.predict(tf.constant(volume))["label"]
    np.testing.assert_array_equal(predictor.predict(tf.constant(volume * 32))["label"], label)
