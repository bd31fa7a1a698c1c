"""Components in a graph, against SciPy's."""

from collections.abc import Sequence

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from tfadv.inference.components import decide, largest_component
from tfadv.inference.targets import Targets

CORNERS = np.ones((3, 3, 3))
graph = tf.function(largest_component, input_signature=[tf.TensorSpec([None, None, None], tf.bool)])


def largest(mask: np.ndarray) -> np.ndarray:
    """Of equally large ones, that whose last voxel comes first."""
    labels, count = ndimage.label(mask, CORNERS)
    if not count:
        return mask
    flat = labels.ravel()
    sizes = {
        n: (np.count_nonzero(flat == n), -np.flatnonzero(flat == n)[-1])
        for n in range(1, count + 1)
    }
    return labels == max(sizes, key=lambda n: sizes[n])


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 0.2, 0.5])
def test_the_largest_is_scipys(share: float) -> None:
    random = np.random.default_rng(0)
    for shape in ((1, 1, 1), (1, 9, 30), (12, 13, 14), (20, 4, 25), (31, 30, 29)):
        for _ in range(4):
            mask = random.random(shape) < share
            np.testing.assert_array_equal(graph(mask), largest(mask), err_msg=str(shape))


def test_however_it_winds() -> None:
    """A path through all rows, there and back."""
    mask = np.zeros((3, 41, 40), bool)
    mask[1, ::2] = True
    mask[1, 1::4, -1] = mask[1, 3::4, 0] = True
    assert ndimage.label(mask, CORNERS)[1] == 1
    np.testing.assert_array_equal(graph(mask), mask)
    mask[:, 20] = False
    np.testing.assert_array_equal(graph(mask), largest(mask))


def test_corners_connect() -> None:
    mask = np.eye(4, dtype=bool)[None] & np.ones((1, 4, 4), bool)
    np.testing.assert_array_equal(graph(mask), mask)


def test_of_nothing_nothing_is_kept() -> None:
    assert not graph(np.zeros((2, 3, 4), bool)).numpy().any()


CLASSES = Targets(("none", "a", "b"), ((0,), (1,), (2,)), exclusive=True, classes=3)
# BraTS': ET in TC in WT.
REGIONS = Targets(("WT", "TC", "ET"), ((1, 2, 3), (1, 3), (3,)), exclusive=False, classes=4)


def row(*voxels: Sequence[float]) -> tf.Tensor:
    """Probabilities [1, 1, N, K]."""
    return tf.constant([[voxels]], tf.float32)


def decided(probabilities: tf.Tensor, targets: Targets, *largest: int) -> list[int]:
    return decide(probabilities, targets, largest).numpy().ravel().tolist()


def test_classes_drop_to_the_background() -> None:
    a, b, none = (0.2, 0.6, 0.2), (0.0, 0.2, 0.8), (0.8, 0.1, 0.1)
    likelier_b = (0.1, 0.5, 0.4)
    voxels = row(a, a, none, likelier_b, none, b, a, b, b)
    assert decided(voxels, CLASSES) == [1, 1, 0, 1, 0, 2, 1, 2, 2]
    assert decided(voxels, CLASSES, 1) == [1, 1, 0, 0, 0, 2, 0, 2, 2]
    assert decided(voxels, CLASSES, 2) == [1, 1, 0, 1, 0, 0, 1, 2, 2]
    assert decided(voxels, CLASSES, 1, 2) == decided(voxels, CLASSES, 2, 1)
    assert decided(voxels, CLASSES, 1, 2) == [1, 1, 0, 0, 0, 0, 0, 2, 2]


def test_a_region_goes_with_those_within_it() -> None:
    whole, core, enhancing = (0.9, 0.1, 0.1), (0.9, 0.8, 0.1), (0.99, 0.99, 0.99)
    none = (0.01, 0.01, 0.01)
    voxels = row(whole, whole, core, whole, enhancing, none, enhancing, none)
    assert decided(voxels, REGIONS) == [2, 2, 1, 2, 3, 0, 3, 0]
    # Of the three pieces of the core, the first is kept.
    assert decided(voxels, REGIONS, 1) == [2, 2, 1, 2, 2, 0, 2, 0]
    # Of the tumour itself, what lies apart goes with all that it holds.
    assert decided(voxels, REGIONS, 0) == [2, 2, 1, 2, 3, 0, 0, 0]
    assert decided(voxels, REGIONS, 2) == [2, 2, 1, 2, 3, 0, 1, 0]
