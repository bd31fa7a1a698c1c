from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from tfrecords.reading.appearance import Appearance, vary
from tfrecords.reading.augmentation import (
    APPEARANCE,
    ELASTIC,
    ZOOM,
    Augmentation,
    augment,
    folded,
    random_crop,
)
from tfrecords.reading.distortion import displacement, zoom_of

RANDOM = np.random.default_rng(0)
SIZE = (12, 15)
IMAGE = RANDOM.normal(size=(*SIZE, 2)).astype(np.float32)
LABEL = RANDOM.choice(np.array([0, 1, 2, 7, 200], np.uint8), SIZE)
BOTH = np.concatenate([IMAGE, LABEL[..., None].astype(np.float32)], axis=-1)


def draw(
    seed: int, size: tuple[int, int] = SIZE, augmentation: Augmentation | None = None
) -> np.ndarray:
    """An augmented example: the image's channels, then the label map."""
    image, label = augment(
        tf.constant(IMAGE),
        tf.constant(LABEL),
        size,
        augmentation or Augmentation(),
        tf.constant([3, seed], tf.int64),
    )
    assert image.shape == (*size, 2)
    assert label.shape == size
    assert (image.dtype, label.dtype) == (tf.float32, tf.uint8)
    return np.concatenate([image, label.numpy()[..., None].astype(np.float32)], axis=-1)


def window(top: int, left: int, size: tuple[int, int]) -> np.ndarray:
    """What a crop from this corner holds, zeros outside."""
    margin = 30
    padded = np.pad(BOTH, ((margin, margin), (margin, margin), (0, 0)))
    return padded[margin + top :, margin + left :][: size[0], : size[1]]


@pytest.mark.parametrize(
    ("size", "top", "left"),
    [
        ((12, 15), 0, 0),
        ((8, 9), 2, 3),
        ((7, 10), 2, 2),  # Of an odd rest, the smaller half comes first.
        ((16, 19), -2, -2),
        ((15, 20), -2, -3),  # Of an odd margin, the larger half comes first.
        ((8, 20), 2, -3),
    ],
)
def test_without_augmentation_it_is_the_central_crop(
    size: tuple[int, int], top: int, left: int
) -> None:
    np.testing.assert_array_equal(draw(0, size), window(top, left, size))


def test_shifts_are_whole_voxels_in_both_axes_and_each_occurs() -> None:
    size = (8, 9)
    crops = {(y, x): window(2 + y, 3 + x, size) for y in range(-4, 5) for x in range(-4, 5)}
    seen = set()
    for seed in range(80):
        example = draw(seed, size, Augmentation(shift=2))
        (shift,) = (s for s, crop in crops.items() if np.array_equal(crop, example))
        seen.add(shift)
    assert {y for y, _ in seen} == {x for _, x in seen} == set(range(-2, 3))
    assert len(seen) > 15


def test_half_of_the_examples_are_mirrored_left_to_right() -> None:
    mirrored = 0
    for seed in range(200):
        example = draw(seed, augmentation=Augmentation(mirror=True))
        mirrored += np.array_equal(example, BOTH[:, ::-1])
        assert np.array_equal(example, BOTH) or np.array_equal(example, BOTH[:, ::-1])
    assert 75 <= mirrored <= 125
    assert Augmentation(mirror=True).mirrored == (2,)
    assert Augmentation().mirrored == ()


def test_mirror_of_a_smaller_crop_is_the_crop_mirrored() -> None:
    crop = window(2, 3, (8, 9))
    examples = [draw(seed, (8, 9), Augmentation(mirror=True)) for seed in range(20)]
    found = {"kept" if np.array_equal(e, crop) else "mirrored" for e in examples}
    assert found == {"kept", "mirrored"}
    for example in examples:
        if not np.array_equal(example, crop):
            np.testing.assert_array_equal(example, crop[:, ::-1])


@pytest.mark.parametrize("size", [(7, 7), (8, 8)])
@pytest.mark.parametrize("turns", [1, 2, -1])
def test_quarter_turns_are_exact_and_counter_clockwise(size: tuple[int, int], turns: int) -> None:
    """As tensorflow-addons' `image.rotate` did."""
    image = RANDOM.normal(size=(*size, 2)).astype(np.float32)
    label = RANDOM.integers(0, 9, size).astype(np.uint8)
    seed = tf.constant([3, 5], tf.int64)
    # Of the range, the draw then is a turn by quarters.
    drawn = float(tf.random.stateless_uniform([4], seed, -1.0, 1.0)[0])
    turning = Augmentation(rotation_rad=turns * np.pi / 2 / drawn)
    found = augment(tf.constant(image), tf.constant(label), size, turning, seed)
    np.testing.assert_allclose(found[0], np.rot90(image, turns), atol=1e-4)
    np.testing.assert_array_equal(found[1], np.rot90(label, turns))


def test_image_and_label_move_together_and_labels_stay_labels() -> None:
    """An image that is its own label map: both turn, and differ at the structures' rims alone."""
    y, x = np.indices((40, 50))
    label = (((y - 15) ** 2 + (x - 28) ** 2 < 81) * 4 + (y > 30)).astype(np.uint8)
    everything = Augmentation(rotation_rad=0.5, shift=6, mirror=True)
    moved = 0
    for seed in range(20):
        image, turned = augment(
            tf.constant(label[..., None].astype(np.float32)),
            tf.constant(label),
            (40, 50),
            everything,
            tf.constant([0, seed], tf.int64),
        )
        assert set(np.unique(turned)) <= {0, 1, 4}
        agreement = np.mean(np.rint(image[..., 0]) == turned.numpy())
        assert agreement > 0.95
        moved += np.mean(turned.numpy() == label) < 0.95
    assert moved > 15


def test_rotation_angles_fill_their_range_and_no_more() -> None:
    """Found from where a far point of the image ends up."""
    image = np.zeros((61, 61, 1), np.float32)
    image[28:33, 53:58] = 1
    angles = []
    for seed in range(100):
        turned, _ = augment(
            tf.constant(image),
            tf.zeros([61, 61], tf.uint8),
            (61, 61),
            Augmentation(rotation_rad=0.3),
            tf.constant([0, seed], tf.int64),
        )
        weights = turned.numpy()[..., 0]
        y, x = (np.sum(weights * axis) / weights.sum() - 30 for axis in np.indices((61, 61)))
        angles.append(np.arctan2(y, x))
    assert np.max(np.abs(angles)) < 0.305
    assert np.min(angles) < -0.25
    assert np.max(angles) > 0.25
    assert abs(np.mean(angles)) < 0.06


def test_a_seed_determines_the_example_also_in_a_graph() -> None:
    everything = Augmentation(rotation_rad=0.5, shift=3, mirror=True)

    @tf.function
    def in_graph(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return augment(tf.constant(IMAGE), tf.constant(LABEL), (8, 9), everything, seed)

    examples = [draw(seed, (8, 9), everything) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(examples[0], examples[1])
    assert not np.array_equal(examples[0], examples[2])
    image, label = in_graph(tf.constant([3, 1], tf.int64))
    np.testing.assert_allclose(image, examples[0][..., :2], atol=1e-6)
    np.testing.assert_array_equal(label, examples[0][..., 2])


def crops(shape: tuple[int, ...], size: tuple[int, ...], number: int) -> list[np.ndarray]:
    """Crops of a volume whose voxels are numbered from 1."""
    label = np.arange(1, np.prod(shape) + 1, dtype=np.uint8).reshape(shape)
    image = tf.constant(np.stack([label, 2.0 * label], -1), tf.float32)
    found = []
    for seed in range(number):
        cut, cropped = random_crop(image, tf.constant(label), size, tf.constant([7, seed]))
        np.testing.assert_array_equal(cut, np.stack([cropped, 2.0 * cropped.numpy()], -1))
        found.append(cropped.numpy())
    return found


def test_crops_of_volumes_lie_everywhere_alike() -> None:
    first = [int(crop[0, 0, 0]) for crop in crops((4, 3, 5), (2, 3, 4), 300)]
    # Starts: z of 3, y of 1, x of 2.
    places, counts = np.unique(first, return_counts=True)
    assert places.tolist() == [1 + 15 * z + x for z in range(3) for x in range(2)]
    assert counts.min() > 25


def test_smaller_volumes_are_padded_alike_at_both_sides() -> None:
    (crop,) = crops((2, 3, 4), (4, 2, 7), 1)
    assert crop.shape == (4, 2, 7)
    filled = np.argwhere(crop)
    np.testing.assert_array_equal(filled.min(axis=0), [1, 0, 1])
    np.testing.assert_array_equal(filled.max(axis=0), [2, 1, 4])


def test_a_scaled_slice_is_a_crop_of_a_slice_that_is_larger() -> None:
    """In whole numbers: where things grow by 2, every second pixel is a voxel."""
    augmentation = Augmentation(scale=0.5)
    seed = tf.constant([3, 1], tf.int64)
    zoom = float(zoom_of(0.5, folded(seed, ZOOM))[0])
    found = draw(1, (9, 12), augmentation)
    y, x = np.meshgrid(np.arange(9) - 4, np.arange(12) - 5.5, indexing="ij")
    where = np.stack([y / zoom + 4 + 1, x / zoom + 5.5 + 1])
    expected = ndimage.map_coordinates(IMAGE[..., 0], where, order=1, mode="grid-constant")
    np.testing.assert_allclose(found[..., 0], expected, atol=1e-4)
    labels = ndimage.map_coordinates(LABEL, where, order=0, mode="grid-constant")
    assert np.mean(found[..., 2] != labels) < 0.02


def test_a_deformed_slice_is_moved_by_its_field_in_one_resampling() -> None:
    """Beside mirroring, rotation and shift: the field comes on top of where these look."""
    turned = Augmentation(rotation_rad=0.5, shift=2, mirror=True)
    seed = tf.constant([3, 7], tf.int64)
    field = displacement(SIZE, 1.5, folded(seed, ELASTIC)).numpy()
    coordinates = np.stack(np.indices(SIZE), axis=-1).astype(np.float32)
    places, _ = augment(tf.constant(coordinates + 1000), tf.constant(LABEL), SIZE, turned, seed)
    where = np.moveaxis(places.numpy() - 1000 + field, -1, 0)
    found = draw(7, SIZE, replace(turned, elastic=1.5))
    expected = ndimage.map_coordinates(IMAGE[..., 1], where, order=1, mode="grid-constant")
    inside = (places.numpy() > 1000).all(-1)  # Elsewhere they are mixed with the zeros beyond.
    assert inside.mean() > 0.4
    np.testing.assert_allclose(found[..., 1][inside], expected[inside], atol=1e-3)


def test_intensities_are_varied_last_and_labels_are_not() -> None:
    appearance = Appearance(noise=0.5, share=1.0)
    turned = Augmentation(rotation_rad=0.5, shift=2, mirror=True)
    before, after = (
        draw(4, augmentation=turned),
        draw(4, augmentation=replace(turned, appearance=appearance)),
    )
    np.testing.assert_array_equal(before[..., 2], after[..., 2])
    expected = vary(
        tf.constant(before[..., :2]), appearance, folded(tf.constant([3, 4], tf.int64), APPEARANCE)
    )
    np.testing.assert_array_equal(after[..., :2], expected)
    assert np.abs(after - before).max() > 0.1
