"""What a saved model refuses, called as a server calls it."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv.inference.members import Member
from tfadv.inference.predictor import Predictor, centre_box
from tfadv.inference.targets import class_targets
from tfadv.inference.tiling import SlidingWindow
from tfrecords.geometry.grid import make_grid, working_grid
from tfrecords.sources.subject import LabelClass

Serve = Callable[[np.ndarray], np.ndarray]
CROP = (4, 6, 2)


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Two channels, saved and loaded."""
    image = keras.Input((None, None, 2))
    segmentor = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    manifest: Any = SimpleNamespace(
        image_dtype="float16",
        crop=CROP,
        modalities=("t1", "t2"),
        classes=(LabelClass("background", (0,)), LabelClass("lesion", (4,))),
    )
    targets, window = class_targets(manifest), SlidingWindow((8, 8))
    predictor = Predictor([Member(segmentor, window)], manifest, targets, "z_score")
    folder = tmp_path_factory.mktemp("model")
    tf.saved_model.save(predictor, str(folder), {"serving_default": predictor.predict})
    loaded = tf.saved_model.load(str(folder))

    def answer(volume: np.ndarray) -> np.ndarray:
        return loaded.signatures["serving_default"](volume=tf.constant(volume))["label"].numpy()

    return answer


def volume() -> np.ndarray:
    return np.random.default_rng(0).uniform(1, 9, (4, 8, 7, 2)).astype(np.float32)


def changed(value: float, where: tuple[Any, ...]) -> np.ndarray:
    array = volume()
    array[where] = value
    return array


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (volume()[..., 0], r"expected 2 channels, one per modality .*\[4 8 7\]"),
        (volume()[..., :1], r"expected 2 channels, one per modality .*\[4 8 7 1\]"),
        (np.concatenate([volume(), volume()], -1), r"expected 2 channels.*\[4 8 7 4\]"),
        (volume()[:0], r"at least one voxel along each axis.*\[0 8 7 2\]"),
        (volume()[:, :, :0], r"at least one voxel along each axis.*\[4 8 0 2\]"),
        (changed(np.nan, (3, 7, 6, 1)), r"expected finite intensities.*NaN or infinity"),
        (changed(-np.inf, (0, 0)), r"expected finite intensities.*NaN or infinity"),
        (changed(0, (...,)), r"expected intensities that differ in every channel.*\[0 1\]"),
        (changed(5, (..., 1)), r"expected intensities that differ in every channel.*\[1\]"),
        # Within the crop, there is nothing.
        (changed(0, (slice(1, 3), ..., 0)), r"expected intensities that differ .*\[0\]"),
    ],
)
def test_what_is_no_volume_is_refused(serve: Serve, given: np.ndarray, message: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        serve(given)


def test_a_volume_is_answered_and_background_outside_the_crop(serve: Serve) -> None:
    label = serve(volume())
    assert label.shape == (4, 8, 7)
    inside = np.zeros(label.shape, bool)
    inside[1:3, 1:7, 1:5] = True
    assert label[inside].any()
    assert not label[~inside].any()


@pytest.mark.parametrize("shape", [(9, 8, 7), (4, 5, 1), (3, 6, 2)])
def test_the_crop_lies_where_preprocessing_cuts(shape: tuple[int, int, int]) -> None:
    first, size = centre_box(tf.zeros([*shape[::-1], 1]), CROP)
    whole = make_grid(shape, np.eye(4))
    cropped = working_grid(whole, "RAS", None, CROP)
    assert tuple(size.numpy()) == cropped.shape[::-1]
    np.testing.assert_array_equal(first, cropped.matrix[:3, 3][::-1])
