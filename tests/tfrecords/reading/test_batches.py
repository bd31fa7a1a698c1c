import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfrecords.errors import SettingError, UserError
from tfrecords.reading import batches as pipeline
from tfrecords.reading.appearance import Appearance
from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.batches import Parts, Recipe
from tfrecords.reading.favoured import Favoured
from tfrecords.reading.normalisation import normalise, stored_statistics
from tfrecords.reading.record_set import (
    RecordSet,
    open_record_set,
)
from tfrecords.records.intensities import foreground_statistics
from tfrecords.records.manifest import Manifest
from tfrecords.records.views import Patches, Slices, View, Volumes

Records = tuple[Any, Path]
Batches = Callable[..., list[dict[str, np.ndarray]]]
FOLDS = ("0", "1", "2")
PLAIN = Recipe(Slices(), (14, 12), 4, "z_score", Augmentation())
VARIED = replace(PLAIN, augmentation=Augmentation(rotation_rad=0.3, shift=3, mirror=True))
LABEL_1 = Favoured(0.2, ("label_1",), classes=frozenset({1}))  # Of 36 slices: z is from 2 to 7.
EXAMPLES = 48  # Six subjects with eight slices each.


def high(share: float) -> Favoured:
    return Favoured(share, ("high",), groups=frozenset({"high"}))


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


def test_a_favoured_group_keeps_its_share_with_few_subjects(
    batches: Batches, small_records: Records, records: RecordSet
) -> None:
    """Importance sampling does not fade when positive subjects are taken away."""
    data, _ = small_records
    low = {s.name for s in records.manifest.subjects if s.group == "low"}
    recipe = replace(PLAIN, favoured=high(0.7))
    found = owners(data, batches(records, recipe, steps=50, subjects=frozenset({"s0", *low})))
    assert np.mean([name == "s0" for name, _ in found]) == pytest.approx(0.7, abs=0.1)


def test_starting_later_gives_what_running_through_gives(
    batches: Batches, records: RecordSet
) -> None:
    through = batches(records, VARIED, epochs=range(4))
    assert len(through) == 12
    assert_equal(batches(records, VARIED, epochs=range(2, 4)), through[6:])
    assert_equal(batches(records, VARIED, epochs=range(3, 4)), through[9:])


@pytest.mark.parametrize("favoured", [high(0.6), LABEL_1])
def test_starting_later_is_the_same_when_some_are_favoured(
    batches: Batches, records: RecordSet, favoured: Favoured
) -> None:
    recipe = replace(VARIED, favoured=favoured)
    through = batches(records, recipe, epochs=range(3))
    assert_equal(batches(records, recipe, epochs=range(1, 3)), through[3:])


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


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_favoured_share_is_kept(
    batches: Batches, small_records: Records, records: RecordSet, share: float
) -> None:
    """Over 1600 draws: four standard deviations are 0.05 at most."""
    data, _ = small_records
    assert records.manifest.groups == ("high", "low")
    group_of = dict(zip(data.table["subject"], data.table["group"], strict=True))
    recipe = replace(PLAIN, favoured=high(share))
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
    batches: Batches, small_records: Records, records: RecordSet
) -> None:
    data, _ = small_records
    found = owners(data, batches(records, PLAIN, steps=EXAMPLES // 4))
    low = sum(name in ("s2", "s5") for name, _ in found)
    assert low == EXAMPLES // 3


def test_slices_that_hold_a_favoured_class_have_its_share(
    batches: Batches, small_records: Records, records: RecordSet
) -> None:
    """And each of them is as likely as another, as are those that do not."""
    data, _ = small_records
    found = owners(data, batches(records, replace(PLAIN, favoured=LABEL_1), steps=400))
    inside = Counter((name, z) for name, z in found if 2 <= z <= 7)
    outside = Counter((name, z) for name, z in found if not 2 <= z <= 7)
    assert (len(inside), len(outside)) == (36, 12)
    assert inside.total() / len(found) == pytest.approx(0.2, abs=0.04)
    for counts in (inside, outside):
        assert max(counts.values()) - min(counts.values()) <= 2


def test_favoured_slices_are_those_of_the_chosen_subjects(
    batches: Batches, small_records: Records, records: RecordSet
) -> None:
    data, _ = small_records
    recipe = replace(PLAIN, favoured=replace(LABEL_1, share=0.5))
    found = set(owners(data, batches(records, recipe, steps=30, subjects=frozenset({"s0", "s5"}))))
    assert found == {(name, z) for name in ("s0", "s5") for z in range(1, 9)}


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


def test_unlabelled_images_need_subjects_without_label_map(
    batches: Batches, records: RecordSet
) -> None:
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


@pytest.mark.parametrize("view", [Slices(), Patches(5, 3, 2)])
def test_unlabelled_images_are_cut_from_volumes(
    small_dataset: Callable[..., Any],
    preprocess_here: Callable[..., Manifest],
    tmp_path: Path,
    view: View,
) -> None:
    data = small_dataset(tmp_path / "data", 6)
    data.unlabel("s4", "s5")
    preprocess_here(data.find(unlabelled=True), tmp_path / "records", view=view)
    records = open_record_set(tmp_path / "records")
    size = (8, 8) if view.kind == "slices" else (5, 5)
    recipe = replace(PLAIN, view=view, size=size, minibatch=3, unlabelled=True)
    folds = records.manifest.folds
    batches = list(pipeline.training_batches(records, folds, recipe, 0, range(2), 4))
    unlabelled = np.concatenate([batch["unlabelled"] for batch in batches])
    labelled = np.concatenate([batch["image"] for batch in batches])
    assert unlabelled.shape == labelled.shape == (24, *size, labelled.shape[-1])
    # Other places each time, and the same ones for the same seed.
    assert len(np.unique(unlabelled.reshape(24, -1), axis=0)) > 8
    # A worker's are read from where they lie.
    own = pipeline.training_batches(records, folds, recipe, 0, range(2), 4, parts=Parts(1, 1, 3))
    for batch, part in zip(batches, own, strict=True):
        np.testing.assert_array_equal(batch["unlabelled"][1:2], part["unlabelled"])
        np.testing.assert_array_equal(batch["image"][1:2], part["image"])
    again = pipeline.training_batches(records, folds, recipe, 0, range(2), 4)
    for batch, same in zip(batches, again, strict=True):
        np.testing.assert_array_equal(batch["unlabelled"], same["unlabelled"])


@pytest.mark.parametrize("view", [Slices(), Volumes()], ids=str)
def test_images_of_labelled_subjects_come_without_labels(
    small_dataset: Callable[..., Any],
    preprocess_here: Callable[..., Manifest],
    tmp_path: Path,
    view: View,
) -> None:
    """Of those that are named, whatever their fold, and of nobody else."""
    data = small_dataset(tmp_path / "data", 6)
    data.unlabel("s5")
    preprocess_here(data.find(unlabelled=True), tmp_path / "records", view=view)
    records = open_record_set(tmp_path / "records")
    size = (12, 12) if view.kind == "slices" else (8, 12, 12)
    recipe = replace(PLAIN, view=view, size=size, minibatch=2, unlabelled=True)
    labelled, unlabelled = frozenset({"s0"}), frozenset({"s3", "s5"})
    found = pipeline.training_batches(
        records, records.manifest.folds, recipe, 0, range(1), 8, labelled, unlabelled
    )
    seen = np.concatenate([batch["unlabelled"] for batch in found.as_numpy_iterator()])
    expected = {name: _body(data, name) for name in ("s3", "s5")}
    whose = [[name for name, body in expected.items() if _holds(body, image)] for image in seen]
    assert all(len(names) == 1 for names in whose)
    assert {names[0] for names in whose} == unlabelled


def _body(data: Any, name: str) -> np.ndarray:
    """[Z, Y, X, modalities], normalised."""
    image = np.stack([data.array(name, m) for m in ("t1", "t2")], axis=-1)
    statistics = stored_statistics(foreground_statistics(image), PLAIN.scheme)
    body = image[:, 0:12, 1:9].transpose(2, 1, 0, 3).astype(np.float32)
    return np.asarray(normalise(body, statistics, PLAIN.scheme))


def _holds(volume: np.ndarray, image: np.ndarray) -> bool:
    """Whether an image is a volume or one of its slices."""
    parts = [volume] if image.ndim == volume.ndim else list(volume)
    return any(np.allclose(part, image, atol=1e-5) for part in parts)


@pytest.fixture(scope="module")
def ignoring(
    small_records: Records,
    tmp_path_factory: pytest.TempPathFactory,
    preprocess_here: Callable[..., Manifest],
) -> RecordSet:
    """The small record set whose label 2 nobody annotated."""
    folder = tmp_path_factory.mktemp("ignoring")
    preprocess_here(replace(small_records[0].find(), ignored=(2,)), folder, folds=3)
    return open_record_set(folder)


@pytest.mark.parametrize("recipe", [PLAIN, VARIED], ids=["plain", "varied"])
def test_batches_say_what_is_annotated(
    batches: Batches, records: RecordSet, ignoring: RecordSet, recipe: Recipe
) -> None:
    """What a crop adds around a slice is background, and annotated."""
    wide = replace(recipe, size=(20, 20))
    for batch, other in zip(batches(ignoring, wide), batches(records, wide), strict=True):
        np.testing.assert_array_equal(batch["image"], other["image"])
        assert batch["annotated"].dtype == np.uint8
        np.testing.assert_array_equal(batch["annotated"], other["label"] != 2)
        np.testing.assert_array_equal(batch["label"], other["label"] == 1)
        assert not batch["annotated"].all()


def test_no_region_holds_what_nobody_annotated(
    batches: Batches, records: RecordSet, ignoring: RecordSet
) -> None:
    recipe = replace(PLAIN, regions=((0,), (1,)))
    (found,), (plain,) = batches(ignoring, recipe, steps=1), batches(records, PLAIN, steps=1)
    expected = [plain["label"] == 0, plain["label"] == 1]
    # Zeros in no class' place: a loss must look at what is annotated.
    expected[0] |= plain["label"] == 2
    np.testing.assert_array_equal(found["label"], np.stack(expected, axis=-1))
    np.testing.assert_array_equal(found["annotated"], plain["label"] != 2)
