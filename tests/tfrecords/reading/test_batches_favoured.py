"""Examples that a share of every batch is drawn from."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.tfrecords.reading.recipes import (
    EXAMPLES,
    LABEL_1,
    PLAIN,
    VARIED,
    Batches,
    Records,
    assert_equal,
    high,
    owners,
)
from tfrecords.reading.favoured import Favoured
from tfrecords.reading.record_set import (
    RecordSet,
)


def test_a_favoured_group_keeps_its_share_with_few_subjects(
    batches: Batches, small_records: Records, records: RecordSet
) -> None:
    """Importance sampling does not fade when positive subjects are taken away."""
    data, _ = small_records
    low = {s.name for s in records.manifest.subjects if s.group == "low"}
    recipe = replace(PLAIN, favoured=high(0.7))
    found = owners(data, batches(records, recipe, steps=50, subjects=frozenset({"s0", *low})))
    assert np.mean([name == "s0" for name, _ in found]) == pytest.approx(0.7, abs=0.1)


@pytest.mark.parametrize("favoured", [high(0.6), LABEL_1])
def test_starting_later_is_the_same_when_some_are_favoured(
    batches: Batches, records: RecordSet, favoured: Favoured
) -> None:
    recipe = replace(VARIED, favoured=favoured)
    through = batches(records, recipe, epochs=range(3))
    assert_equal(batches(records, recipe, epochs=range(1, 3)), through[3:])


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
