"""Members' maps: averaged, mirrored, and the names of their variables."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv.inference.members import Member, mirrorings
from tfadv.inference.predictor import Predictor
from tfadv.inference.targets import class_targets
from tfadv.inference.tiling import SlidingWindow, Tiling, WholeSlices, WholeVolume
from tfrecords.sources.subject import LabelClass

Answer = dict[str, np.ndarray]
MANIFEST: Any = SimpleNamespace(
    image_dtype="int16",
    crop=None,
    modalities=("t1", "t2"),
    classes=tuple(LabelClass(name, (value,)) for name, value in (("none", 0), ("a", 1), ("b", 4))),
)
WINDOW, WINDOW_3D = SlidingWindow((8, 8)), SlidingWindow((4, 8, 8))


def segmentor(seed: int, axes: int = 2) -> keras.Model:
    """Not the same along any direction."""
    image = keras.Input((*axes * (None,), 2))
    kind = keras.layers.Conv2D if axes == 2 else keras.layers.Conv3D
    random = keras.initializers.RandomNormal(seed=seed)
    return keras.Model(image, kind(3, 3, padding="same", kernel_initializer=random)(image))


def volume() -> np.ndarray:
    """A body that is no multiple of a window, in a margin of zeros."""
    body = np.random.default_rng(0).integers(1, 900, (5, 11, 9, 2))
    return np.pad(body, ((1, 1), (2, 2), (1, 1), (0, 0))).astype(np.float32)


def predictor(*members: Member) -> Predictor:
    return Predictor(members, MANIFEST, class_targets(MANIFEST), "z_score")


def answer(asked: Predictor, given: np.ndarray) -> Answer:
    return {name: found.numpy() for name, found in asked.predict(tf.constant(given)).items()}


def decided(probabilities: np.ndarray) -> np.ndarray:
    return np.array([0, 1, 4], np.uint8)[probabilities.argmax(-1)]


@pytest.mark.slow
def test_members_count_alike_and_decide_together() -> None:
    """Be they of slices or of volumes."""
    members = [Member(segmentor(1), WINDOW), Member(segmentor(2, axes=3), WINDOW_3D)]
    alone = [answer(predictor(member), volume()) for member in members]
    together = answer(predictor(*members), volume())
    expected = np.mean([each["probabilities"] for each in alone], axis=0)
    np.testing.assert_allclose(together["probabilities"], expected, atol=1e-6)
    np.testing.assert_array_equal(together["label"], decided(together["probabilities"]))
    assert all((together["label"] != each["label"]).any() for each in alone)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tiling", "mirrored"),
    [
        (WINDOW, (1, 2)),
        (WINDOW, (2,)),
        (WholeSlices(1), (1,)),
        (WINDOW_3D, (0, 1, 2)),
        (WholeVolume(4), (0, 2)),
    ],
    ids=str,
)
def test_mirrored_is_the_mean_over_flips(tiling: Tiling, mirrored: tuple[int, ...]) -> None:
    network = segmentor(1, len(tiling.axes))
    if isinstance(tiling, WholeSlices):
        network = valid(network)
    flips = [np.flatnonzero(along).tolist() for along in mirrorings(mirrored)]
    assert len(flips) == 2 ** len(mirrored)
    single = predictor(Member(network, tiling))
    seen = [
        np.flip(answer(single, np.flip(volume(), axes))["probabilities"], axes) for axes in flips
    ]
    found = answer(predictor(Member(network, tiling, mirrored)), volume())
    np.testing.assert_allclose(found["probabilities"], np.mean(seen, axis=0), atol=2e-6)
    np.testing.assert_array_equal(found["label"], decided(found["probabilities"]))
    assert np.abs(seen[1] - seen[0]).max() > 0.1


def valid(network: keras.Model) -> keras.Model:
    """Without padding, as `WholeSlices` wants."""
    image = keras.Input((None, None, 2))
    layer = keras.layers.Conv2D(3, 3)
    model = keras.Model(image, layer(image))
    layer.set_weights(network.get_weights())
    return model


def test_networks_of_slices_look_within_slices() -> None:
    assert [t.axes for t in (WINDOW, WholeSlices(2), WINDOW_3D, WholeVolume(2))] == [
        *((1, 2), (1, 2)),
        *((0, 1, 2), (0, 1, 2)),
    ]


def test_mirrorings_begin_with_the_volume_as_it_is() -> None:
    assert mirrorings((0, 2)).astype(int).tolist() == [
        [0, 0, 0, 0],
        [0, 0, 1, 0],
        [1, 0, 0, 0],
        [1, 0, 1, 0],
    ]


@pytest.mark.slow
def test_a_saved_ensemble_answers_alike(tmp_path: Path) -> None:
    members = [Member(segmentor(seed), WINDOW, (1, 2)) for seed in range(2)]
    asked = Predictor(members, MANIFEST, class_targets(MANIFEST), "z_score", (1,))
    tf.saved_model.save(asked, str(tmp_path), {"serving_default": asked.predict})
    serve: Callable[..., Any] = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    expected, served = asked.predict(volume()), serve(volume=tf.constant(volume()))
    for name in ("label", "probabilities"):
        np.testing.assert_array_equal(expected[name], served[name])
