"""Predictors as ONNX, held against themselves in onnxruntime."""

from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument

from tests.tfadv.inference.answers import answered, require_same_answers, session_of
from tfadv.inference.judges import SliceJudge
from tfadv.inference.members import Member
from tfadv.inference.onnx_conversion import convert
from tfadv.inference.predictor import Predictor
from tfadv.inference.targets import class_targets, region_targets
from tfadv.inference.tiling import SlidingWindow, WholeSlices, WholeVolume
from tfrecords.sources.subject import LabelClass

REFUSALS = (Fail, InvalidArgument)
NAMES = ("none", "a", "b")
WINDOW, WINDOW_3D, WHOLE = SlidingWindow((8, 8)), SlidingWindow((4, 8, 8)), WholeVolume(4)


def predictor(
    *members: Member, scheme: str = "z_score", largest: tuple[int, ...] = (), **changes: Any
) -> Predictor:
    """Of classes, or of regions where the networks have two maps."""
    manifest: Any = SimpleNamespace(
        image_dtype=changes.get("image_dtype", "int16"),
        crop=changes.get("crop"),
        modalities=("t1", "t2"),
        classes=tuple(LabelClass(n, (v,)) for n, v in zip(NAMES, (0, 1, 4), strict=True)),
        regions={"whole": ("a", "b"), "core": ("b",)},
        class_index=NAMES.index,
    )
    exclusive = members[0].segmentor.output_shape[-1] == len(NAMES)
    targets = class_targets(manifest) if exclusive else region_targets(manifest)
    return Predictor(members, manifest, targets, scheme, largest, changes.get("judges", {}))


def segmentor(seed: int, axes: int = 2, outputs: int = 3, padding: str = "same") -> keras.Model:
    image = keras.Input((*axes * (None,), 2))
    kind = keras.layers.Conv2D if axes == 2 else keras.layers.Conv3D
    random = keras.initializers.RandomNormal(seed=seed)
    return keras.Model(image, kind(outputs, 3, padding=padding, kernel_initializer=random)(image))


def volume(*shape: int) -> np.ndarray:
    """A body in a margin of zeros."""
    body = np.random.default_rng(0).integers(1, 900, (*shape, 2))
    return np.pad(body, ((1, 1), (2, 2), (1, 1), (0, 0))).astype(np.float32)


def test_a_whole_volume_of_regions_mirrored() -> None:
    asked = predictor(Member(segmentor(1, axes=3, outputs=2), WHOLE, (0, 2)), crop=(9, 9, 9))
    require_same_answers(convert(asked), asked, [volume(5, 11, 9), volume(3, 4, 8)])


CASES = {
    "windows": lambda: predictor(Member(segmentor(1), WINDOW)),
    "windows mirrored": lambda: predictor(Member(segmentor(1), WINDOW, (1, 2))),
    "whole slices": lambda: predictor(Member(segmentor(1, padding="valid"), WholeSlices(1), (2,))),
    "halves": lambda: predictor(
        Member(segmentor(1), WINDOW), scheme="percentile_min_max", image_dtype="float16"
    ),
    "an ensemble": lambda: predictor(
        *(Member(segmentor(1), WINDOW), Member(segmentor(2, axes=3), WINDOW_3D)), scheme="min_max"
    ),
    "largest components": lambda: predictor(Member(segmentor(1, axes=3), WHOLE), largest=(1, 2)),
    "largest regions": lambda: predictor(
        Member(segmentor(1, axes=3, outputs=2), WHOLE), largest=(0, 1)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_answers_are_the_predictors(name: str) -> None:
    asked = CASES[name]()
    # More than half precision holds, and a body that is smaller than a window.
    volumes = [volume(5, 11, 9), 1e4 * volume(5, 11, 9), volume(2, 5, 6)]
    require_same_answers(convert(asked), asked, volumes)


def test_judges_are_left_out_and_stay_the_predictors() -> None:
    pair = [keras.Input((None, None, 2)), keras.Input((None, None, 3))]
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Concatenate()(pair))
    judge = SliceJudge(keras.Model(pair, keras.layers.Dense(1)(pooled)), lambda said: said[:, 0])
    asked = predictor(Member(segmentor(1, axes=3), WHOLE), judges={"discriminator": [judge]})
    model = convert(asked)
    assert [answer.name for answer in model.graph.output] == ["label", "probabilities"]
    assert asked.judges == {"discriminator": [judge]}
    require_same_answers(model, asked, [volume(5, 11, 9)])


def test_what_is_no_volume_is_refused_by_a_node_that_says_why() -> None:
    session = session_of(convert(predictor(Member(segmentor(1, axes=3), WHOLE))))
    good = volume(3, 5, 6)
    assert answered(session, good)["label"].shape == good.shape[:3]
    for wrong, message in (
        (good * 0, "expected_intensities_that_differ_in_every_channel"),
        (np.where(good > 800, np.inf, good), "expected_finite_intensities"),
        (good[:0], "expected_at_least_one_voxel"),
        (good[..., :1], "Got: 1 Expected: 2"),
        (good[..., 0], "Got: 3 Expected: 4"),
    ):
        with pytest.raises(REFUSALS, match=message):
            answered(session, wrong)


def test_networks_compute_in_float32_while_they_are_converted() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = segmentor(1, axes=3)
    rounded = predictor(Member(network, WHOLE))
    model = convert(rounded)
    assert rounded.members[0].segmentor is network
    assert {layer.compute_dtype for layer in network.layers} == {"bfloat16"}
    keras.config.set_dtype_policy("float32")
    exact = segmentor(1, axes=3)
    exact.set_weights(network.get_weights())
    require_same_answers(model, predictor(Member(exact, WHOLE)), [volume(5, 11, 9)])
