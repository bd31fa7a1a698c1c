"""What training sees of stored examples."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfrecords.reading.appearance import Appearance
from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.crops import crop_of
from tfrecords.reading.normalisation import normalise
from tfrecords.reading.recipe import Recipe
from tfrecords.reading.record_set import RecordSet, open_record_set, subject_volumes
from tfrecords.records.manifest import Manifest
from tfrecords.records.views import VIEWS, Patches, Slices, View, Volumes

Records = tuple[Any, Path]
Batches = Callable[..., list[dict[str, np.ndarray]]]
FOLDS = ("0", "1", "2")
PLAIN = Recipe(Slices(), (14, 12), 4, "z_score", Augmentation())


CASES = pytest.mark.parametrize(
    ("view", "stored", "size"),
    [
        (Slices(), Slices(), (6, 4)),
        (Patches(5, 3), Patches(9, 3), (5, 5)),
        (Volumes(), Slices(), (3, 6, 4)),
        (Volumes(), Slices(), (12, 6, 14)),
    ],
    ids=str,
)


@CASES
def test_every_view_is_cropped_to_a_size_that_is_known_beforehand(
    view: View, stored: View, size: tuple[int, ...]
) -> None:
    """Of image and label, in the graph, whatever the stored example's size."""
    assert {type(view) for view in (Slices(), Patches(), Volumes())} == set(VIEWS.values())
    crop = crop_of(view, stored, size, Augmentation())
    axes = [None] * view.axes
    signature = (
        tf.TensorSpec([*axes, 2], tf.int16),
        tf.TensorSpec(axes, tf.uint8),
        tf.TensorSpec([2], tf.int64),
    )

    def half(image: tf.Tensor, label: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return crop(image, label, lambda image: tf.cast(image, tf.float32) / 2, seed)

    image, label = (
        tf.function(half, autograph=False, input_signature=signature)
        .get_concrete_function()
        .outputs
    )
    assert image.shape == (*size, 2)
    assert label.shape == ((3, 3) if isinstance(view, Patches) else size)


@CASES
@pytest.mark.parametrize("dtype", ["int16", "uint16", "uint8", "float16"])
def test_a_crop_is_that_of_the_normalised_whole_to_the_bit(
    view: View, stored: View, size: tuple[int, ...], dtype: str
) -> None:
    """And no more of volumes and patches is normalised than is seen."""
    crop = crop_of(view, stored, size, Augmentation(shift=2, mirror=True))
    random = np.random.default_rng(0)
    shape = (9,) * view.axes if isinstance(view, Patches) else (8, 13, 10)[-view.axes :]
    source = random.integers(0, 200, (*shape, 2)) * (random.random((*shape, 1)) > 0.3)
    image, label = tf.constant(source.astype(dtype)), random.integers(0, 9, shape, np.uint8)
    label = label[:3, :3] if isinstance(view, Patches) else label
    seen = []

    def normalised(image: tf.Tensor) -> tf.Tensor:
        seen.append(tuple(image.shape))
        return normalise(image, tf.constant([[90.0, 13.0], [-7.0, 3.7]]), "z_score")

    whole = normalised(image)
    for number in range(5):
        seed = tf.constant([0, number], tf.int64)
        found = crop(image, tf.constant(label), normalised, seed)
        expected = crop(whole, tf.constant(label), lambda image: image, seed)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    assert set(seen[1:]) == {(*shape, 2) if isinstance(view, Slices) else (*size, 2)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("view", "size"), [(Slices(), (14, 12)), (Volumes(), (4, 14, 12))], ids=str
)
def test_slices_and_volumes_are_varied_alike(view: View, size: tuple[int, ...]) -> None:
    """Scaled, deformed and made noisy, by the seed, to a size that is known beforehand."""
    every = Augmentation(scale=0.3, elastic=1.0, appearance=Appearance(noise=0.3, share=1.0))
    shape = (8, 40, 30)[-view.axes :]
    random = np.random.default_rng(0)
    image, label = random.uniform(1, 9, (*shape, 2)), random.integers(0, 9, shape, np.uint8)
    given = tf.constant(image, tf.float32), tf.constant(label)

    def crops(augmentation: Augmentation, *numbers: int) -> list[tuple[tf.Tensor, tf.Tensor]]:
        varied = crop_of(view, view, size, augmentation)
        draw = tf.function(lambda seed: varied(*given, lambda image: image, seed), autograph=False)
        found = [draw(tf.constant([0, number], tf.int64)) for number in numbers]
        assert all((i.shape, lab.shape) == ((*size, 2), size) for i, lab in found)
        return found

    once, again, other = crops(every, 1, 1, 2)
    for one, two in zip(once, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert np.abs(once[0] - other[0]).max() > 1
    scaled = replace(every, appearance=Appearance())
    np.testing.assert_array_equal(crops(scaled, 1)[0][1], once[1])
    plain = crops(Augmentation(), 1)[0][1]
    assert np.mean(plain != once[1]) > 0.3
    assert set(np.unique(once[1])) <= set(range(9))


def test_larger_patches_are_cropped_to_their_centres(
    batches: Batches,
    small_records: Records,
    tmp_path: Path,
    preprocess_here: Callable[..., Manifest],
) -> None:
    view = Patches(7, 3, 10)
    preprocess_here(small_records[0].find(), tmp_path / "records", view=view)
    records = open_record_set(tmp_path / "records")
    whole, cropped = (
        batches(
            records,
            Recipe(replace(view, patch_size=n), (n, n), 9, "min_max", PLAIN.augmentation),
            ("0",),
        )
        for n in (7, 3)
    )
    for large, small in zip(whole, cropped, strict=True):
        np.testing.assert_array_equal(large["image"][:, 2:-2, 2:-2], small["image"])
        np.testing.assert_array_equal(large["label"], small["label"])


def test_volumes_are_cropped_from_the_normalised_bodies(
    batches: Batches, small_records: Records, records: RecordSet
) -> None:
    """A crop larger than the body holds it whole, in its middle; every record set has volumes."""
    recipe = replace(PLAIN, view=Volumes(), size=(12, 14, 16), minibatch=2)
    bodies = {body.subject: body for body in subject_volumes(records, FOLDS)}
    owner_of = {body.label.tobytes(): name for name, body in bodies.items()}
    seen = set()
    for batch in batches(records, recipe):
        assert batch["image"].shape == (2, 12, 14, 16, 2)
        for image, label in zip(batch["image"], batch["label"], strict=True):
            # Bodies are [8, 12, 12] (z, y, x).
            inside = label[2:10, 1:13, 2:14]
            name = owner_of[inside.tobytes()]
            assert label.sum() == inside.sum()
            expected = bodies[name].image.astype(float)
            for modality in range(2):
                values = expected[..., modality]
                found = image[2:10, 1:13, 2:14, modality]
                z = (values - values.mean()) / values.std()
                np.testing.assert_allclose(found, z, atol=1e-3)
            assert not image[:2].any()
            seen.add(name)
    assert seen == set(bodies)


def test_crops_of_volumes_depend_on_seed_and_epoch(batches: Batches, records: RecordSet) -> None:
    recipe = replace(PLAIN, view=Volumes(), size=(4, 4, 4), minibatch=6)
    whole = batches(records, recipe, epochs=range(2), steps=1)
    (later,) = batches(records, recipe, epochs=range(1, 2), steps=1)
    for name, values in later.items():
        np.testing.assert_array_equal(values, whole[1][name])
    images = [batch["image"].tobytes() for batch in whole]
    images += [batches(records, recipe, seed=1, steps=1)[0]["image"].tobytes()]
    assert len(set(images)) == 3
