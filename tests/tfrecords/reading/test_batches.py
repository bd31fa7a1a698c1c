import itertools
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf

from tfrecords.errors import SettingError, UserError
from tfrecords.reading import batches as pipeline
from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.batches import Recipe
from tfrecords.reading.normalisation import normalise
from tfrecords.reading.record_set import (
    RecordSet,
    damage_named,
    open_record_set,
    subject_volumes,
)
from tfrecords.records.intensities import foreground_statistics, halve
from tfrecords.records.manifest import Manifest
from tfrecords.records.views import Patches, Slices, View, Volumes

Records = tuple[Any, Path]
FOLDS = ("0", "1", "2")
PLAIN = Recipe(Slices(), (14, 12), 4, "z_score", Augmentation())
VARIED = replace(PLAIN, augmentation=Augmentation(rotation_rad=0.3, shift=3, mirror=True))
EXAMPLES = 48  # Six subjects with eight slices each.


@pytest.fixture(scope="module")
def records(small_records: Records) -> RecordSet:
    return open_record_set(small_records[1])


@pytest.fixture
def copy(small_records: Records, tmp_path: Path) -> Path:
    """A record set to damage."""
    return Path(shutil.copytree(small_records[1], tmp_path / "records"))


def batches(
    records: RecordSet,
    recipe: Recipe = PLAIN,
    folds: tuple[str, ...] = FOLDS,
    seed: int = 0,
    epochs: range = range(1),
    steps: int = 3,
    subjects: frozenset[str] | None = None,
) -> list[dict[str, np.ndarray]]:
    dataset = pipeline.training_batches(records, folds, recipe, seed, epochs, steps, subjects)
    return list(dataset.as_numpy_iterator())


def owners(data: Any, found: list[dict[str, np.ndarray]]) -> list[tuple[str, int]]:
    """Subject and z of every example, in order."""
    return [data.owner(label) for batch in found for label in batch["label"]]


def assert_equal(found: list[dict[str, np.ndarray]], expected: list[dict[str, np.ndarray]]) -> None:
    assert len(found) == len(expected)
    for batch, other in zip(found, expected, strict=True):
        assert batch.keys() == other.keys() == {"image", "label"}
        for name in batch:
            np.testing.assert_array_equal(batch[name], other[name])


def test_examples_are_the_normalised_slices_of_the_sources(
    small_records: Records, records: RecordSet
) -> None:
    data, _ = small_records
    for batch in batches(records, steps=4):
        assert batch["image"].shape == (4, 14, 12, 2)
        assert batch["label"].shape == (4, 14, 12)
        assert (batch["image"].dtype, batch["label"].dtype) == (np.float32, np.uint8)
        for image, label in zip(batch["image"], batch["label"], strict=True):
            name, z = data.owner(label)
            volume = np.stack([data.array(name, m) for m in ("t1", "t2")], axis=-1)
            source = volume[:, :, z].transpose(1, 0, 2)
            expected = normalise(source, foreground_statistics(volume), "z_score")
            np.testing.assert_allclose(image, expected, atol=1e-6)
            np.testing.assert_array_equal(label, data.array(name, "label")[:, :, z].T)


def test_one_pass_holds_every_example_once(small_records: Records, records: RecordSet) -> None:
    data, _ = small_records
    everything = {(f"s{number}", z) for number in range(6) for z in range(1, 9)}
    for seed in range(3):
        found = owners(data, batches(records, seed=seed, steps=EXAMPLES // 4))
        assert len(found) == EXAMPLES
        assert set(found) == everything


def test_examples_are_mixed_over_subjects(small_records: Records, records: RecordSet) -> None:
    data, _ = small_records
    found = [name for name, _ in owners(data, batches(records, steps=EXAMPLES // 4))]
    neighbours = sum(a == b for a, b in itertools.pairwise(found))
    assert neighbours < EXAMPLES / 3  # In source order it would be 42 of 47, at random 7.


def test_only_the_chosen_folds_are_read(small_records: Records, records: RecordSet) -> None:
    data, _ = small_records
    fold_of = {s.name: s.fold for s in records.manifest.subjects}
    found = owners(data, batches(records, folds=("0", "2"), steps=8))
    assert {fold_of[name] for name, _ in found} == {"0", "2"}
    assert len(set(found)) == 32


def test_only_the_chosen_subjects_are_drawn(small_records: Records, records: RecordSet) -> None:
    """Folds and groups share shards; within them names decide."""
    data, _ = small_records
    found = owners(data, batches(records, steps=6, subjects=frozenset({"s0", "s3", "s5"})))
    assert set(found) == {(name, z) for name in ("s0", "s3", "s5") for z in range(1, 9)}
    assert len(found) == 24  # Each once, before any comes again.


def test_all_subjects_chosen_is_the_same_as_none_named(records: RecordSet) -> None:
    everyone = frozenset(s.name for s in records.manifest.subjects)
    assert_equal(batches(records, VARIED, subjects=everyone), batches(records, VARIED))


def test_a_favoured_group_keeps_its_share_with_few_subjects(
    small_records: Records, records: RecordSet
) -> None:
    """Importance sampling does not fade when positive subjects are taken away."""
    data, _ = small_records
    low = {s.name for s in records.manifest.subjects if s.group == "low"}
    recipe = replace(PLAIN, favoured_share=0.7)
    found = owners(data, batches(records, recipe, steps=50, subjects=frozenset({"s0", *low})))
    assert np.mean([name == "s0" for name, _ in found]) == pytest.approx(0.7, abs=0.1)


def test_starting_later_gives_what_running_through_gives(records: RecordSet) -> None:
    through = batches(records, VARIED, epochs=range(4))
    assert len(through) == 12
    assert_equal(batches(records, VARIED, epochs=range(2, 4)), through[6:])
    assert_equal(batches(records, VARIED, epochs=range(3, 4)), through[9:])


def test_starting_later_is_the_same_when_groups_are_favoured(records: RecordSet) -> None:
    recipe = replace(VARIED, favoured_share=0.6)
    through = batches(records, recipe, epochs=range(3))
    assert_equal(batches(records, recipe, epochs=range(1, 3)), through[3:])


def test_epochs_longer_than_the_set_go_on_in_another_order(
    small_records: Records, records: RecordSet
) -> None:
    data, _ = small_records
    found = owners(data, batches(records, steps=EXAMPLES // 2))
    assert set(Counter(found).values()) == {2}
    assert found[:EXAMPLES] != found[EXAMPLES:]


def test_seeds_and_epochs_differ_in_order_also_within_a_shard(
    small_records: Records, records: RecordSet
) -> None:
    data, _ = small_records
    shard = records.manifest.select("slices", FOLDS)[0].subjects
    orders = [
        owners(data, batches(records, seed=seed, epochs=range(epoch, epoch + 1), steps=12))
        for seed, epoch in ((0, 0), (1, 0), (0, 1))
    ]
    assert len({tuple(order) for order in orders}) == 3
    of_one_shard = [[o for o in order if o[0] in shard] for order in orders]
    assert len({tuple(order) for order in of_one_shard}) == 3


def test_seeds_and_epochs_differ_in_augmentation(records: RecordSet) -> None:
    """The examples at one place of the order are moved differently."""
    recipe = replace(PLAIN, augmentation=Augmentation(shift=3))
    corners = []
    for seed, epoch in ((0, 0), (1, 0), (0, 1)):
        found = batches(records, recipe, seed=seed, epochs=range(epoch, epoch + 1), steps=12)
        labels = [label for batch in found for label in batch["label"]]
        # Most slices have a block of class 1, at the same place before it is moved.
        corners.append([tuple(np.argwhere(label == 1).min(axis=0, initial=99)) for label in labels])
    for others in corners[1:]:
        pairs = [(a, b) for a, b in zip(corners[0], others, strict=True) if 99 not in (*a, *b)]
        assert len(pairs) > 12
        assert sum(a == b for a, b in pairs) < len(pairs) / 3


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_favoured_share_is_kept(small_records: Records, records: RecordSet, share: float) -> None:
    """Over 1600 draws: four standard deviations are 0.05 at most."""
    data, _ = small_records
    assert records.manifest.groups == ("high", "low")
    group_of = dict(zip(data.table["subject"], data.table["group"], strict=True))
    recipe = replace(PLAIN, favoured_share=share)
    found = owners(data, batches(records, recipe, epochs=range(2), steps=200))
    favoured = [group_of[name] == "high" for name, _ in found]
    assert abs(np.mean(favoured) - share) < 0.05
    # Within a group every example is as likely as another.
    counts = Counter(found)
    for group, examples in (("high", 32), ("low", 16)):
        draws = [count for (name, _), count in counts.items() if group_of[name] == group]
        assert len(draws) == examples
        assert max(draws) - min(draws) <= 2


def test_without_a_share_groups_are_as_frequent_as_they_are(
    small_records: Records, records: RecordSet
) -> None:
    data, _ = small_records
    found = owners(data, batches(records, steps=EXAMPLES // 4))
    low = sum(name in ("s2", "s5") for name, _ in found)
    assert low == EXAMPLES // 3


def test_a_favoured_group_that_the_folds_lack_is_no_obstacle(records: RecordSet) -> None:
    manifest = replace(records.manifest, groups=("absent", "high", "low"))
    recipe = replace(PLAIN, favoured_share=0.5)
    assert len(batches(replace(records, manifest=manifest), recipe)) == 3


def test_another_view_than_the_record_sets_is_refused(records: RecordSet) -> None:
    with pytest.raises(
        UserError, match=r"expected patches .* a record set of slices.*--view patches"
    ):
        batches(records, replace(PLAIN, view=Patches()))


def test_unknown_folds_are_refused(records: RecordSet) -> None:
    with pytest.raises(UserError, match="folds: expected among"):
        batches(records, folds=("0", "5"))


def test_patches_are_read_in_balance(
    small_records: Records, tmp_path: Path, preprocess_here: Callable[..., Manifest]
) -> None:
    view = Patches(7, 3, 10)
    preprocess_here(small_records[0].find(), tmp_path / "records", view=view)
    recipe = Recipe(replace(view, patch_size=5), (5, 5), 9, "min_max", Augmentation())
    found = batches(open_record_set(tmp_path / "records"), recipe, ("0", "1"), steps=20)
    centres = Counter(int(label[1, 1]) for batch in found for label in batch["label"])
    assert centres == {0: 60, 1: 60, 2: 60}


def test_larger_patches_are_cropped_to_their_centres(
    small_records: Records, tmp_path: Path, preprocess_here: Callable[..., Manifest]
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


@pytest.mark.parametrize("wanted", [{"patch_size": 9}, {"label_size": 1}])
def test_patches_of_another_size_are_refused(
    wanted: dict[str, int],
    small_records: Records,
    tmp_path: Path,
    preprocess_here: Callable[..., Manifest],
) -> None:
    view = Patches(7, 3, 2)
    preprocess_here(small_records[0].find(), tmp_path / "records", view=view)
    recipe = Recipe(replace(view, **wanted), (5, 5), 9, "min_max", Augmentation())
    with pytest.raises(UserError, match="received a record set of patches of 7x7 with labels of 3"):
        batches(open_record_set(tmp_path / "records"), recipe)


@pytest.mark.parametrize("floating", [False, True])
def test_subject_volumes_are_the_sources_bodies(
    small_dataset: Callable[..., Any],
    tmp_path: Path,
    preprocess_here: Callable[..., Manifest],
    floating: bool,
) -> None:
    """In RAS+, whatever the source's orientation."""
    data = small_dataset(tmp_path / "data", 4)
    for name in ("s1", "s2"):
        for column in ("t1", "t2", "label"):
            image = nib.Nifti1Image.from_filename(data.path(name, column))
            turn = nib.orientations.axcodes2ornt("PIL")
            array = np.asarray(image.as_reoriented(turn).dataobj)
            if floating and column != "label":
                array = array.astype(np.float32) * 50.5
            turned = image.as_reoriented(turn)
            nib.Nifti1Image(array, turned.affine).to_filename(data.path(name, column))
    preprocess_here(data.find(), tmp_path / "records")
    records = open_record_set(tmp_path / "records")
    found = {volume.subject: volume for volume in subject_volumes(records, ("0", "1"))}
    assert set(found) == {"s0", "s1", "s2", "s3"}
    body = (slice(1, 9), slice(0, 12), slice(0, 12))
    for name, volume in found.items():
        assert volume.position == (1, 0, 0)
        assert volume.image.dtype == (np.float16 if floating else np.int16)
        files = [nib.Nifti1Image.from_filename(data.path(name, m)) for m in ("t1", "t2")]
        channels = [nib.as_closest_canonical(file).get_fdata().T[body] for file in files]
        expected = np.stack(channels, axis=-1)
        if floating:
            expected = halve(expected)
        np.testing.assert_array_equal(volume.image, expected)
        label = nib.as_closest_canonical(nib.Nifti1Image.from_filename(data.path(name, "label")))
        np.testing.assert_array_equal(volume.label, np.asarray(label.dataobj).T[body])


def test_subject_volumes_of_a_fold_are_its_subjects_alone(records: RecordSet) -> None:
    for fold in FOLDS:
        found = [volume.subject for volume in subject_volumes(records, (fold,))]
        assert sorted(found) == [s.name for s in records.manifest.subjects if s.fold == fold]
    assert list(subject_volumes(records, ())) == []


def flip_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_flipped_byte_is_found_while_reading_and_the_shard_named(copy: Path) -> None:
    records = open_record_set(copy)
    shard = records.manifest.select("slices", ("1",))[0]
    flip_byte(copy / shard.file)
    with pytest.raises(UserError) as error, damage_named(records):
        batches(records, steps=EXAMPLES // 4)
    assert str(error.value).startswith(f"{copy / shard.file}: checksum differs")
    assert "launch/preprocess.py again" in str(error.value)


def test_a_flipped_byte_in_a_volume_is_found(copy: Path) -> None:
    records = open_record_set(copy)
    shard = records.manifest.select("volumes", ("0",))[0]
    flip_byte(copy / shard.file)
    with pytest.raises(UserError, match=shard.file):
        list(subject_volumes(records, FOLDS))


def test_errors_of_another_cause_pass_through(records: RecordSet) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError), damage_named(records):
        tf.debugging.assert_equal(1, 2)


def test_what_is_no_whole_record_set_is_refused(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a record set"):
        open_record_set(tmp_path)
    shard = open_record_set(copy).manifest.shards[0]
    path = copy / shard.file
    path.write_bytes(path.read_bytes()[: shard.bytes // 2])
    with pytest.raises(UserError, match=f"{shard.file}: expected {shard.bytes} bytes"):
        open_record_set(copy)
    manifest = copy / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format_version": 99}))
    with pytest.raises(UserError, match="expected format version"):
        open_record_set(copy)


def test_labels_become_masks_of_regions(records: RecordSet) -> None:
    """Regions overlap: 1 and 2, and 2 alone."""
    (plain,) = batches(records, steps=1)
    (masks,) = batches(records, replace(PLAIN, regions=((1, 2), (2,))), steps=1)
    np.testing.assert_array_equal(plain["image"], masks["image"])
    expected = np.stack([plain["label"] > 0, plain["label"] == 2], axis=-1)
    assert expected.any()
    np.testing.assert_array_equal(masks["label"], expected)


def test_volumes_are_cropped_from_the_normalised_bodies(
    small_records: Records, records: RecordSet
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


def test_crops_of_volumes_depend_on_seed_and_epoch(records: RecordSet) -> None:
    recipe = replace(PLAIN, view=Volumes(), size=(4, 4, 4), minibatch=6)
    whole = batches(records, recipe, epochs=range(2), steps=1)
    assert_equal(whole[1:], batches(records, recipe, epochs=range(1, 2), steps=1))
    images = [batch["image"].tobytes() for batch in whole]
    images += [batches(records, recipe, seed=1, steps=1)[0]["image"].tobytes()]
    assert len(set(images)) == 3


def test_unlabelled_images_need_subjects_without_label_map(records: RecordSet) -> None:
    recipe = replace(PLAIN, view=Volumes(), size=(4, 4, 4), unlabelled=True)
    with pytest.raises(UserError, match=r"found none\. Run launch/preprocess.py --unlabelled"):
        batches(records, recipe)


@pytest.mark.parametrize("view", [Patches(7, 3), Volumes()], ids=str)
@pytest.mark.parametrize(
    "augmentation",
    [Augmentation(rotation_rad=0.1), Augmentation(shift=1), Augmentation(mirror=True)],
)
def test_augmentation_that_a_view_cannot_do_is_refused(
    view: View, augmentation: Augmentation
) -> None:
    with pytest.raises(SettingError, match=f"augmentation: expected none of {view}.*Augmentation"):
        replace(PLAIN, view=view, augmentation=augmentation)


def test_a_batch_holds_the_minibatches_of_a_step(records: RecordSet) -> None:
    """The same examples in the same order, dealt otherwise."""
    arguments: Any = (records, FOLDS, VARIED, 0, range(1, 3), 2)
    whole = list(pipeline.training_batches(*arguments, minibatches=3).as_numpy_iterator())
    assert [batch["image"].shape[0] for batch in whole] == [12] * 4
    single = batches(records, VARIED, epochs=range(1, 3), steps=6)
    for number, batch in enumerate(whole):
        parts = single[3 * number : 3 * number + 3]
        np.testing.assert_array_equal(batch["image"], np.concatenate([p["image"] for p in parts]))


def test_unlabelled_images_want_volumes() -> None:
    with pytest.raises(SettingError, match=r"unlabelled: expected the view volumes.*slices"):
        replace(PLAIN, unlabelled=True)
