"""What a saved model answers by each of its names, as a server asks."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from tfadv.inference.description import DESCRIPTION
from tfadv.inference.signatures import signatures
from tfadv.inference.warm_up import WARM_UP

OF_VOLUMES = {
    "serving_default": np.float32,
    "without_probabilities": np.float32,
    "integer": np.int16,
    "integer_without_probabilities": np.int16,
}


@pytest.fixture(scope="module")
def saved(model_dir: Path) -> Any:
    """The model of int16 images, loaded without code of ours."""
    return tf.saved_model.load(str(model_dir))


def volume() -> np.ndarray:
    """Whole numbers [4, 30, 32, 2] with a margin of background."""
    random = np.random.default_rng(0)
    return np.pad(random.integers(1, 500, (4, 28, 30, 2)), [(0, 0), (1, 1), (1, 1), (0, 0)])


@pytest.mark.slow
def test_all_signatures_give_the_same_labels(saved: Any) -> None:
    whole = volume()
    assert set(saved.signatures) == {*OF_VOLUMES, "description"}
    expected = saved.signatures["serving_default"](volume=tf.constant(whole, tf.float32))
    assert expected["label"].numpy().any()
    for name, dtype in OF_VOLUMES.items():
        found = saved.signatures[name](volume=tf.constant(whole, dtype))
        assert ("probabilities" in found) == ("without" not in name)
        assert found.keys() | {"probabilities"} == expected.keys()
        for output, values in found.items():
            np.testing.assert_array_equal(values, expected[output], err_msg=f"{name}: {output}")


@pytest.mark.parametrize("name", OF_VOLUMES)
def test_every_signature_refuses_what_is_no_volume(saved: Any, name: str) -> None:
    dtype = OF_VOLUMES[name]
    wrong = [
        (volume()[..., :1], r"expected 2 channels, one per modality .*\[4 30 32 1\]"),
        (volume()[..., 0], r"expected 2 channels, one per modality .*\[4 30 32\]"),
        (volume() * [0, 1], r"expected intensities that differ in every channel.*\[0\]"),
    ]
    if dtype == np.float32:
        wrong += [
            (volume() + bad, "expected finite intensities.*NaN or inf") for bad in (np.nan, np.inf)
        ]
    for given, message in wrong:
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            saved.signatures[name](volume=tf.constant(given, dtype))


def test_the_description_is_told(saved: Any, model_dir: Path) -> None:
    """As it is in the folder now: it holds the checksums of what was written before it."""
    told = saved.signatures["description"]()["description"].numpy()
    assert told == (model_dir / "assets" / DESCRIPTION).read_bytes()


@pytest.mark.parametrize(
    ("dtype", "integer"), [("uint8", True), ("uint16", True), ("int32", False), ("float16", False)]
)
def test_integers_are_taken_where_they_are_smaller(dtype: str, integer: bool) -> None:
    predictor: Any = SimpleNamespace(image_dtype=dtype, channels=1, serve=None)
    asked = signatures(predictor)
    assert ("integer" in asked) == ("integer_without_probabilities" in asked) == integer
    if integer:
        (spec,) = asked["integer"].input_signature
        assert spec.dtype == dtype


def test_the_requests_of_the_warm_up_are_answered(saved: Any, model_dir: Path) -> None:
    """A server that gets an error of one does not load the model."""
    asked = {}
    for record in tf.data.TFRecordDataset(str(model_dir / WARM_UP)).as_numpy_iterator():
        request = PredictionLog.FromString(record).predict_log.request
        assert set(request.inputs) == {"volume"}
        asked[request.model_spec.signature_name] = tf.make_ndarray(request.inputs["volume"])
    assert {name: array.dtype for name, array in asked.items()} == OF_VOLUMES
    for name, array in asked.items():
        found = saved.signatures[name](volume=tf.constant(array))
        assert found["label"].shape == array.shape[:3]
