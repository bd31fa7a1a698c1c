"""Which subjects train, validate and test."""

import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from tfadv.run.split import (
    HeldOut,
    choose_split,
    positive_subjects,
    rotated,
    to_measure,
    training_subjects,
    unlabelled_subjects,
)
from tfrecords.errors import SettingError, UserError
from tfrecords.sources.subject import TRAINING, UNLABELLED


def manifest(*folds: str, subjects: Any = ()) -> Any:
    held_out = tuple(fold for fold in folds if fold != TRAINING)
    return SimpleNamespace(
        folds=folds, held_out_folds=held_out, groups=("sick", "well"), subjects=subjects
    )


def test_last_fold_tests_and_the_one_before_validates() -> None:
    split = choose_split(manifest("0", "1", "2", "3"), HeldOut())
    assert (split.training, split.validation, split.test) == (("0", "1"), ("2",), ("3",))


def test_chosen_folds_leave_the_others_for_training() -> None:
    split = choose_split(manifest("0", "1", "2", "3"), HeldOut(("0",), ("1", "3")))
    assert split.training == ("2",)


def test_the_same_folds_may_choose_the_epoch_and_test_it() -> None:
    split = choose_split(manifest("0", "1"), HeldOut(("1",), ("1",)))
    assert (split.training, split.validation, split.test) == (("0",), ("1",), ("1",))


def test_of_two_folds_one_is_held_out_twice_to_measure_costs() -> None:
    held = to_measure(manifest("0", "1"))
    assert held == HeldOut(("1",), ("1",))
    for three in (manifest("0", "1", "2"), manifest("0", "1", TRAINING)):
        assert to_measure(three) == HeldOut()


def test_the_fold_of_groups_that_only_train_always_trains() -> None:
    split = choose_split(manifest("0", "1", TRAINING), HeldOut())
    assert (split.training, split.validation, split.test) == ((TRAINING,), ("0",), ("1",))
    with pytest.raises(UserError, match=r"among \['0', '1'\]"):
        choose_split(manifest("0", "1", TRAINING), HeldOut(("0",), (TRAINING,)))


@pytest.mark.parametrize(
    ("validation", "test"),
    [(("9",), ()), (("1",), ("1", "2")), (("0", "1"), ("2",)), (("0", "1", "2"),) * 2],
)
def test_impossible_splits_are_refused(validation: tuple[str, ...], test: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="expected different folds, or twice"):
        choose_split(manifest("0", "1", "2"), HeldOut(validation, test))


def clinic() -> Any:
    """Ten sick and four well subjects in folds 0 and 1, one sick in fold 2, one unlabelled."""
    sick = [SimpleNamespace(name=f"s{n}", group="sick", fold=str(n % 2)) for n in range(10)]
    well = [SimpleNamespace(name=f"w{n}", group="well", fold=str(n % 2)) for n in range(4)]
    others = [
        SimpleNamespace(name="tested", group="sick", fold="2"),
        SimpleNamespace(name="unread", group="sick", fold=UNLABELLED),
    ]
    return manifest("0", "1", "2", subjects=[*sick, *well, *others])


def test_positive_subjects_are_of_the_first_group() -> None:
    assert positive_subjects(clinic(), ("0",)) == ["s0", "s2", "s4", "s6", "s8"]


def test_a_fraction_takes_positive_subjects_away_and_no_others() -> None:
    found = {
        fraction: training_subjects(clinic(), ("0", "1"), fraction, seed=3)
        for fraction in (1.0, 0.5, 0.25, 0.1, 0.01)
    }
    well = {"w0", "w1", "w2", "w3"}
    assert found[1.0] == well | {f"s{n}" for n in range(10)}
    assert all(well <= names for names in found.values())
    # 10, 5, 2.5, 1 and 0.1 of ten, rounded up.
    assert [len(names - well) for names in found.values()] == [10, 5, 3, 1, 1]
    assert all(smaller <= larger for larger, smaller in itertools.pairwise(found.values()))


def test_the_seed_draws_who_stays() -> None:
    drawn = {training_subjects(clinic(), ("0", "1"), 0.3, seed) for seed in range(8)}
    assert len(drawn) > 4
    assert training_subjects(clinic(), ("0", "1"), 0.3, 5) == training_subjects(
        clinic(), ("0", "1"), 0.3, 5
    )


def test_an_exact_share_is_not_rounded_up() -> None:
    """0.07 * 100 is 7.000000000000001 in floating point."""
    subjects = [SimpleNamespace(name=f"s{n}", group="sick", fold="0") for n in range(100)]
    assert len(training_subjects(manifest("0", subjects=subjects), ("0",), 0.07, 0)) == 7


def test_images_without_labels_are_drawn_from_those_left_out_and_those_nobody_labelled() -> None:
    training = training_subjects(clinic(), ("0", "1"), 0.3, seed=3)
    left_out = {f"s{n}" for n in range(10)} - training
    drawn = [
        unlabelled_subjects(clinic(), ("0", "1"), training, 3, number) for number in (1, 4, 7, 8)
    ]
    assert [len(names) for names in drawn] == [1, 4, 7, 8]
    assert all(smaller < larger for smaller, larger in itertools.pairwise(drawn))
    assert drawn[-1] == left_out | {"unread"}
    others = {unlabelled_subjects(clinic(), ("0", "1"), training, seed, 4) for seed in range(8)}
    assert len(others) > 4
    with pytest.raises(
        SettingError, match=r"unlabelled_subjects: expected at most 8, .* received 9"
    ):
        unlabelled_subjects(clinic(), ("0", "1"), training, 3, 9)


def test_every_fold_tests_once_and_the_next_one_validates() -> None:
    assert rotated(("0", "1", "2")) == [
        HeldOut(("1",), ("0",)),
        HeldOut(("2",), ("1",)),
        HeldOut(("0",), ("2",)),
    ]


def test_with_folds_that_always_test_every_other_one_validates() -> None:
    expected = [HeldOut(("0",), ("2", "3")), HeldOut(("1",), ("2", "3"))]
    assert rotated(("0", "1", "2", "3"), ("2", "3")) == expected
    with pytest.raises(SettingError, match=r"test_folds: expected two folds at least besides"):
        rotated(("0", "1"), ("1",))
