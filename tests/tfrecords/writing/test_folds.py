from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tfrecords.errors import UserError
from tfrecords.sources.subject import TRAINING, UNLABELLED, Subject
from tfrecords.writing.folds import assign_folds


def subjects_of(groups: dict[str, int], label: Path | None = Path("l.nii")) -> list[Subject]:
    return [
        Subject(f"{group}{number}", (Path("i.nii"),), label, group)
        for group, count in groups.items()
        for number in range(count)
    ]


@pytest.mark.parametrize("groups", [{"all": 23}, {"high": 17, "low": 6}, {"a": 2, "b": 2, "c": 3}])
@pytest.mark.parametrize("folds", [2, 5])
def test_folds_share_all_subjects_and_every_group_evenly(
    groups: dict[str, int], folds: int
) -> None:
    subjects = subjects_of(groups)
    assigned = assign_folds(subjects, folds, seed=3)
    assert set(assigned) == {s.name for s in subjects}
    assert set(assigned.values()) == {str(fold) for fold in range(folds)}
    for chosen in [subjects, *([s for s in subjects if s.group == g] for g in groups)]:
        sizes = Counter(assigned[s.name] for s in chosen)
        counts = [sizes[str(fold)] for fold in range(folds)]
        assert max(counts) - min(counts) <= 1


def test_folds_do_not_depend_on_the_order_of_subjects_but_on_the_seed() -> None:
    subjects = subjects_of({"high": 17, "low": 6})
    shuffled = [subjects[index] for index in np.random.default_rng(0).permutation(len(subjects))]
    assert assign_folds(shuffled, 5, seed=3) == assign_folds(subjects, 5, seed=3)
    assert assign_folds(subjects, 5, seed=4) != assign_folds(subjects, 5, seed=3)


def test_prescribed_folds_are_kept() -> None:
    prescribed = [
        Subject(name, (Path("i.nii"),), Path("l.nii"), fold=fold)
        for name, fold in (("a", "train"), ("b", "test"), ("c", "train"))
    ]
    assert assign_folds(prescribed, 5, seed=0) == {"a": "train", "b": "test", "c": "train"}


def test_folds_for_some_subjects_alone_are_refused() -> None:
    some = [*subjects_of({"all": 2}), Subject("c", (Path("i.nii"),), Path("l.nii"), fold="0")]
    with pytest.raises(UserError, match="fold: expected one for every subject or for none, all0"):
        assign_folds(some, 2, seed=0)


def test_more_folds_than_subjects_are_refused() -> None:
    subjects = subjects_of({"all": 3, "free": 4})
    message = r"folds: expected at most 3 \(subjects that may be held out\), received 5"
    with pytest.raises(UserError, match=message):
        assign_folds(subjects[:3], 5, seed=0)
    with pytest.raises(UserError, match=message):
        assign_folds(subjects, 5, seed=0, training_only=["free"])


def test_groups_that_only_train_are_a_fold_of_their_own_and_move_no_other() -> None:
    held_out = subjects_of({"b": 7, "d": 4})
    training = subjects_of({"a": 5, "c": 2})
    unlabelled = [Subject("u", (Path("i.nii"),), None, "a")]
    assigned = assign_folds([*training, *held_out, *unlabelled], 3, 2, ["c", "a"])
    others = {subject.name: TRAINING for subject in training} | {"u": UNLABELLED}
    assert assigned == assign_folds(held_out, 3, seed=2) | others
    some = assign_folds([*training, *held_out], 3, 2, ["c"])
    assert {name for name, fold in some.items() if fold == TRAINING} == {"c0", "c1"}


def test_the_fold_of_training_can_be_prescribed_and_counts_before_what_is_prescribed() -> None:
    subjects = [
        Subject(name, (Path("i.nii"),), Path("l.nii"), group, fold)
        for name, group, fold in (
            ("a", "all", "0"),
            ("b", "all", "training"),
            ("c", "free", "1"),
            ("d", "free", ""),
        )
    ]
    expected = {"a": "0", "b": TRAINING, "c": TRAINING, "d": TRAINING}
    assert assign_folds(subjects, 5, seed=0, training_only=["free"]) == expected


def test_unlabelled_subjects_are_a_fold_of_their_own_and_move_no_other() -> None:
    labelled = subjects_of({"b": 7, "d": 4})
    unlabelled = subjects_of({"a": 5, "c": 2}, label=None)
    assigned = assign_folds([*unlabelled, *labelled], 3, seed=2)
    others = {subject.name: UNLABELLED for subject in unlabelled}
    assert assigned == assign_folds(labelled, 3, seed=2) | others
    with pytest.raises(UserError, match=r"folds: expected at most 11 \(subj.*, received 12"):
        assign_folds([*unlabelled, *labelled], 12, seed=2)


def test_prescribed_folds_do_not_count_for_unlabelled_subjects() -> None:
    subjects = [
        Subject(name, (Path("i.nii"),), label, fold=fold)
        for name, label, fold in (
            ("a", Path("l.nii"), "train"),
            ("b", None, "train"),
            ("c", None, ""),
            ("d", None, UNLABELLED),
        )
    ]
    expected = {"a": "train", "b": UNLABELLED, "c": UNLABELLED, "d": UNLABELLED}
    assert assign_folds(subjects, 5, seed=0) == expected


def test_the_unlabelled_fold_cannot_be_prescribed_with_a_label_map() -> None:
    subject = Subject("a", (Path("i.nii"),), Path("l.nii"), fold="unlabelled")
    with pytest.raises(UserError, match=r"fold: expected another name than unlabelled.* \['a'\]"):
        assign_folds([subject], 5, seed=0)
