"""Batches: what they hold, in which order, and from where they start."""

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tfrecords.reading.recipes import (
    EXAMPLES,
    FOLDS,
    LABEL_1,
    PLAIN,
    VARIED,
    Batches,
    Records,
    assert_equal,
    high,
    owners,
)
from tfrecords.errors import SettingError, UserError
from tfrecords.reading import batches as pipeline
from tfrecords.reading.appearance import Appearance
from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.batches import Parts
from tfrecords.reading.favoured import Favoured
from tfrecords.reading.normalisation import normalise, stored_statistics
from tfrecords.reading.recipe import Recipe
from tfrecords.reading.record_set import (
    RecordSet,
    open_record_set,
)
from tfrecords.records.intensities import foreground_statistics
from tfrecords.records.manifest import Manifest
from tfrecords.records.views import Patches, View, Volumes


def test_examples_are_the_normalised_slices_of_the_sources(
    batches: Batches, small_records: Records, records: RecordSet
) -> None:
    data, _ = small_records
    for batch in batches(records, PLAIN, steps=4):
        assert batch["image"].shape == (4, 14, 12, 2)
        assert batch["label"].shape == (4, 14, 12)
        assert (batch["image"].dtype, batch["label"].dtype) == (np.float32, np.uint8)
        for image, label in zip(batch["image"], batch["label"], strict=True):
            name, z = data.owner(label)
            volume = np.stack([data.array(name, m) for m in ("t1", "t2")], axis=-1)
            source = volume[:, :, z].transpose(1, 0, 2)
            statistics = stored_statistics(foreground_statistics(volume), "z_score")
            expected = normalise(source, statistics, "z_score")
            np.testing.assert_allclose(image, expected, atol=1e-6)
            np.testing.assert_array_equal(label, data.array(name, "label")[:, :, z].T)


def test_one_pass_holds_every_example_once(
    batches: Batches, small_records: Records, records: RecordSet
) -> None:
    data, _ = small_records
    everything = {(f"s{number}", z) for number in range(6) for z in range(1, 9)}
    for seed in range(3):
        found = owners(data, batches(records, PLAIN, seed=seed, steps=EXAMPLES // 4))
        assert len(found) == EXAMPLES
        assert set(found) == everything


def test_examples_are_mixed_over_subjects(
    batches: Batches, small_records: Records, records: RecordSet
) -> None:
    data, _ = small_records
    found = [name for name, _ in owners(data, batches(records, PLAIN, steps=EXAMPLES // 4))]
    neighbours = sum(a == b for a, b in itertools.pairwise(found))
    assert neighbours < EXAMPLES / 3  # In source order it would be 42 of 47, at random 7.


def test_only_the_chosen_folds_are_read(
    batches: Batches, small_records: Records, records: RecordSet
) -> None:
    data, _ = small_records
    fold_of = {s.name: s.fold for s in records.manifest.subjects}
    found = owners(data, batches(records, PLAIN, folds=("0", "2"), steps=8))
    assert {fold_of[name] for name, _ in found} == {"0", "2"}
    assert len(set(found)) == 32


def test_only_the_chosen_subjects_are_drawn(
    batches: Batches, small_records: Records, records: RecordSet
) -> None:
    """Folds and groups share shards; within them names decide."""
    data, _ = small_records
    found = owners(data, batches(records, PLAIN, steps=6, subjects=frozenset({"s0", "s3", "s5"})))
    assert set(found) == {(name, z) for name in ("s0", "s3", "s5") for z in range(1, 9)}
    assert len(found) == 24  # Each once, before any comes again.


def test_all_subjects_chosen_is_the_same_as_none_named(
    batches: Batches, records: RecordSet
) -> None:
    everyone = frozenset(s.name for s in records.manifest.subjects)
    assert_equal(batches(records, VARIED, subjects=everyone), batches(records, VARIED))


def test_starting_later_gives_what_running_through_gives(
    batches: Batches, records: RecordSet
) -> None:
    through = batches(records, VARIED, epochs=range(4))
    assert len(through) == 12
    assert_equal(batches(records, VARIED, epochs=range(2, 4)), through[6:])
    assert_equal(batches(records, VARIED, epochs=range(3, 4)), through[9:])


def test_epochs_longer_than_the_set_go_on_in_another_order(
    batches: Batches, small_records: Records, records: RecordSet
) -> None:
    data, _ = small_records
    found = owners(data, batches(records, PLAIN, steps=EXAMPLES // 2))
    assert set(Counter(found).values()) == {2}
    assert found[:EXAMPLES] != found[EXAMPLES:]


def test_seeds_and_epochs_differ_in_order_also_within_a_shard(
    batches: Batches, small_records: Records, records: RecordSet
) -> None:
    data, _ = small_records
    shard = records.manifest.select("slices", FOLDS)[0].subjects
    orders = [
        owners(data, batches(records, PLAIN, seed=seed, epochs=range(epoch, epoch + 1), steps=12))
        for seed, epoch in ((0, 0), (1, 0), (0, 1))
    ]
    assert len({tuple(order) for order in orders}) == 3
    of_one_shard = [[o for o in order if o[0] in shard] for order in orders]
    assert len({tuple(order) for order in of_one_shard}) == 3


def test_seeds_and_epochs_differ_in_augmentation(batches: Batches, records: RecordSet) -> None:
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


def test_another_view_than_the_record_sets_is_refused(batches: Batches, records: RecordSet) -> None:
    with pytest.raises(
        UserError, match=r"expected patches .* a record set of slices.*--view patches"
    ):
        batches(records, replace(PLAIN, view=Patches()))


def test_unknown_folds_are_refused(batches: Batches, records: RecordSet) -> None:
    with pytest.raises(UserError, match="folds: expected among"):
        batches(records, PLAIN, folds=("0", "5"))


def test_patches_are_read_in_balance(
    batches: Batches,
    small_records: Records,
    tmp_path: Path,
    preprocess_here: Callable[..., Manifest],
) -> None:
    view = Patches(7, 3, 10)
    preprocess_here(small_records[0].find(), tmp_path / "records", view=view)
    recipe = Recipe(replace(view, patch_size=5), (5, 5), 9, "min_max", Augmentation())
    found = batches(open_record_set(tmp_path / "records"), recipe, ("0", "1"), steps=20)
    centres = Counter(int(label[1, 1]) for batch in found for label in batch["label"])
    assert centres == {0: 60, 1: 60, 2: 60}


@pytest.mark.parametrize("wanted", [{"patch_size": 9}, {"label_size": 1}])
def test_patches_of_another_size_are_refused(
    batches: Batches,
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


def test_labels_become_masks_of_regions(batches: Batches, records: RecordSet) -> None:
    """Regions overlap: 1 and 2, and 2 alone."""
    (plain,) = batches(records, PLAIN, steps=1)
    (masks,) = batches(records, replace(PLAIN, regions=((1, 2), (2,))), steps=1)
    np.testing.assert_array_equal(plain["image"], masks["image"])
    expected = np.stack([plain["label"] > 0, plain["label"] == 2], axis=-1)
    assert expected.any()
    np.testing.assert_array_equal(masks["label"], expected)


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


@pytest.mark.parametrize(
    "augmentation",
    [Augmentation(scale=0.1), Augmentation(elastic=1), Augmentation(appearance=Appearance(blur=1))],
)
def test_patches_are_not_varied_for_only_their_centres_are_labelled(
    augmentation: Augmentation,
) -> None:
    with pytest.raises(SettingError, match="which cannot be scaled, deformed or varied in"):
        replace(PLAIN, view=Patches(7, 3), augmentation=augmentation)
    assert replace(PLAIN, view=Volumes(), augmentation=augmentation).view.axes == 3


@pytest.mark.parametrize("favoured", [None, high(0.6), LABEL_1])
def test_a_batch_holds_the_minibatches_of_a_step(
    batches: Batches, records: RecordSet, favoured: Favoured | None
) -> None:
    """The same examples in the same order, dealt otherwise: to replicas as well."""
    recipe = replace(VARIED, favoured=favoured)
    arguments: Any = (records, FOLDS, recipe, 0, range(1, 3), 2)
    whole = list(pipeline.training_batches(*arguments, minibatches=3).as_numpy_iterator())
    assert [batch["image"].shape[0] for batch in whole] == [12] * 4
    single = batches(records, recipe, epochs=range(1, 3), steps=6)
    for number, batch in enumerate(whole):
        parts = single[3 * number : 3 * number + 3]
        np.testing.assert_array_equal(batch["image"], np.concatenate([p["image"] for p in parts]))


@pytest.mark.slow
@pytest.mark.parametrize("favoured", [None, LABEL_1])
def test_workers_prepare_the_parts_of_every_batch(
    records: RecordSet, favoured: Favoured | None
) -> None:
    """Two workers with two replicas each, to which whole batches are dealt in their order."""
    recipe = replace(VARIED, favoured=favoured)
    arguments: Any = (records, FOLDS, recipe, 0, range(1, 3), 2)
    whole = list(pipeline.training_batches(*arguments, minibatches=8).as_numpy_iterator())
    of_workers = [
        list(
            pipeline.training_batches(
                *arguments, minibatches=8, parts=Parts(first, 2, 4)
            ).as_numpy_iterator()
        )
        for first in (0, 2)
    ]
    for number, batch in enumerate(whole):
        dealt = [part for own in of_workers for part in own[2 * number : 2 * number + 2]]
        assert [part["image"].shape[0] for part in dealt] == [8] * 4
        for name, values in batch.items():
            np.testing.assert_array_equal(values, np.concatenate([part[name] for part in dealt]))
    assert [len(own) for own in of_workers] == [8, 8]


def test_nobody_waits_for_a_tuner_at_the_end(records: RecordSet) -> None:
    """Its thread looks up seldom, and an iterator ends when it has."""
    drawn = pipeline.training_batches(records, ("0",), PLAIN, 0, range(1), 1)
    assert drawn.options().autotune.enabled is False
