"""Scale and elastic deformation, against SciPy and closed forms, in two and three dimensions."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from tfrecords.reading import distortion

SEED = tf.constant([3, 5], tf.int64)
SHAPES = [(9, 12), (6, 7, 8)]


@pytest.mark.parametrize("shape", SHAPES)
def test_interpolation_is_scipys(shape: tuple[int, ...]) -> None:
    """Inside, at the edges and beyond."""
    random = np.random.default_rng(0)
    image = random.normal(size=(*shape, 2)).astype(np.float32)
    label = random.integers(0, 5, shape).astype(np.uint8)
    places = random.uniform(-3, 14, (4, 5, len(shape))).astype(np.float32)
    found = distortion.sampled(tf.constant(image), tf.constant(places))
    nearest = distortion.nearest(tf.constant(label), tf.constant(places))
    where = np.moveaxis(places, -1, 0)
    for channel in range(2):
        # SciPy's "grid-constant" interpolates between the edge and the zeros beyond.
        expected = ndimage.map_coordinates(
            image[..., channel], where, order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(found[..., channel], expected, atol=1e-5)
    expected = ndimage.map_coordinates(label, where, order=0, mode="grid-constant")
    np.testing.assert_array_equal(nearest, expected)


@pytest.mark.parametrize("size", [(40, 60), (30, 40, 50)])
def test_displacements_are_smooth_and_of_the_wanted_size(size: tuple[int, ...]) -> None:
    fields = np.array([distortion.displacement(size, 3.0, SEED + n) for n in range(40)])
    assert fields.shape == (40, *size, len(size))
    assert fields.std() == pytest.approx(3, rel=0.1)
    # The same in every voxel: at a corner as in the middle.
    corner, middle = fields[:, 0, 0], fields[:, size[0] // 2, size[1] // 2]
    assert corner.std() / middle.std() == pytest.approx(1, abs=0.35)
    steps = np.diff(fields, axis=1)
    assert np.abs(steps).max() < 1
    assert np.abs(np.diff(steps, axis=1)).max() < 0.1
    along = [fields[..., axis].ravel() for axis in range(len(size))]
    assert abs(np.corrcoef(along)[0, 1]) < 0.3


def test_a_splines_weights_are_the_cubic_ones() -> None:
    basis = distortion.spline_basis(2 * distortion.NODES + 1)
    at_node = np.array([1 / 6, 2 / 3, 1 / 6])
    expected = at_node / np.linalg.norm(at_node)
    np.testing.assert_allclose(basis[0, :3], expected, rtol=1e-6)
    np.testing.assert_allclose(basis[distortion.NODES, 1:4], expected, rtol=1e-6)
    np.testing.assert_allclose((basis**2).sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("size", [(20, 30), (12, 16, 20)])
def test_a_scaled_crop_is_scipys_about_the_centre(size: tuple[int, ...]) -> None:
    window = distortion.window_of(size, 0.5, 0.0)
    assert all((w - s) % 2 == 0 and w >= 1.5 * s for w, s in zip(window, size, strict=True))
    random = np.random.default_rng(0)
    image = random.normal(size=(*window, 1)).astype(np.float32)
    label = random.integers(0, 5, window).astype(np.uint8)
    found, labels = distortion.distorted(
        tf.constant(image), tf.constant(label), size, 0.5, 0.0, SEED
    )
    own = tf.random.experimental.stateless_fold_in(SEED, 0)
    zoom = float(distortion.zoom_of(0.5, own)[0])
    assert 1 / 1.5 < zoom < 1.5
    centres = [(np.array(extent) - 1) / 2 for extent in (window, size)]
    offset = centres[0] - centres[1] / zoom
    expected = ndimage.affine_transform(
        image[..., 0], np.full(len(size), 1 / zoom), offset, size, order=1, mode="grid-constant"
    )
    np.testing.assert_allclose(found[..., 0], expected, atol=1e-3)
    expected = ndimage.affine_transform(
        label, np.full(len(size), 1 / zoom), offset, size, order=0, mode="grid-constant"
    )
    assert np.mean(labels != expected) < 0.01  # Half-way between two voxels, either is nearest.


def test_zooms_reach_from_one_bound_to_the_other() -> None:
    zooms = np.log([float(distortion.zoom_of(0.4, SEED + n)[0]) for n in range(300)])
    assert zooms.min() == pytest.approx(-np.log(1.4), abs=0.02)
    assert zooms.max() == pytest.approx(np.log(1.4), abs=0.02)
    assert zooms.mean() == pytest.approx(0, abs=0.03)


def test_image_and_label_go_together_and_seeds_decide() -> None:
    label = (np.indices((60, 60)).sum(0) // 20 % 2).astype(np.uint8)
    image = label[..., None].astype(np.float32)

    def both(seed: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
        found = distortion.distorted(
            tf.constant(image), tf.constant(label), (40, 40), 0.2, 2.0, seed
        )
        return found[0].numpy()[..., 0], found[1].numpy()

    moved, labels = both(SEED)
    clear = np.abs(moved - 0.5) > 0.3
    assert clear.mean() > 0.8
    np.testing.assert_array_equal((moved > 0.5)[clear], labels[clear])
    assert (labels != label[10:50, 10:50]).mean() > 0.05
    np.testing.assert_array_equal(both(SEED)[0], moved)
    assert np.abs(both(SEED + 1)[0] - moved).max() > 0.5
