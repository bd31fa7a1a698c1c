"""A subject's slices, by the colours of their pixels."""

import io
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from tfadv.evaluation import figures
from tfadv.evaluation.scoring import Segmented
from tfadv.study import viewer
from tfadv.study.viewer import Viewer, view
from tfrecords.reading.record_set import SubjectVolume

SHAPE = (60, 20, 40)


def viewed(reference: np.ndarray, prediction: np.ndarray, image: float = 0.0) -> Viewer:
    volume = SubjectVolume("s", np.full((*SHAPE, 2), image, np.float32), reference, (7, 0, 0))
    return view(Segmented(volume, prediction), "a title", (1.0, 1.0))


def pixels(frame: str) -> np.ndarray:
    picture = Image.open(io.BytesIO(b64decode(frame)))
    assert picture.format == "JPEG"
    return np.asarray(picture, float) / 255


def test_reference_and_prediction_are_in_colours_beside_the_image() -> None:
    """Class 1 in the lower half of the reference, class 2 in the left half of the prediction."""
    reference, prediction = np.zeros((2, *SHAPE), np.uint8)
    reference[30, :10] = 1
    prediction[30, :, :20] = 2
    shown = viewed(reference, prediction)
    assert shown.numbers == tuple(range(35, 40))  # Two more at either end; the box begins at 7.
    assert shown.numbers[shown.first] == 37
    picture = pixels(shown.frames[shown.first])
    height, width = picture.shape[:2]
    assert (height, width // 3) == (128, viewer.PIXELS)  # 20 mm by 40 mm.
    image, left, right = np.split(picture, 3, axis=1)
    assert image.max() < 0.05
    one, two = (0.5 * np.array(figures.COLOURS(index)[:3]) for index in range(2))
    np.testing.assert_allclose(left[100, 128], one, atol=0.05)
    np.testing.assert_allclose(left[28, 128], 0, atol=0.05)
    np.testing.assert_allclose(right[64, 60], two, atol=0.05)
    np.testing.assert_allclose(right[64, 200], 0, atol=0.05)


def test_many_slices_are_thinned_out_from_end_to_end() -> None:
    everywhere = np.ones(SHAPE, np.uint8)
    shown = viewed(everywhere, everywhere)
    assert len(shown.frames) == len(shown.numbers) == viewer.SLICES
    assert (shown.numbers[0], shown.numbers[-1]) == (7, 66)


def test_a_subject_without_foreground_has_slices_as_well() -> None:
    nothing = np.zeros(SHAPE, np.uint8)
    shown = viewed(nothing, nothing, image=3.0)
    assert (shown.numbers[0], shown.numbers[-1]) == (7, 66)
    assert pixels(shown.frames[0]).max() == pytest.approx(0, abs=0.05)
