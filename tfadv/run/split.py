"""Which subjects train, validate and test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfrecords.errors import SettingError
from tfrecords.records.manifest import Manifest
from tfrecords.sources.subject import UNLABELLED


@dataclass(frozen=True)
class HeldOut:
    """Folds that choose the epoch, and folds that test it; see `choose_split`."""

    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


def rotated(folds: Sequence[str], test: tuple[str, ...] = ()) -> list[HeldOut]:
    """Of cross-validation: every fold tests once, and the next one validates.

    Args:
        test: folds that test each time; then every other one validates once.

    Raises:
        SettingError: there are fewer than two of those.
    """
    if test:
        others = [fold for fold in folds if fold not in test]
        if len(others) < 2:
            raise SettingError(
                "test_folds",
                "expected two folds at least besides those that always test, among "
                f"{list(folds)}, received {list(test)}",
            )
        return [HeldOut((fold,), test) for fold in others]
    following = [*folds[1:], *folds[:1]]
    return [HeldOut((after,), (fold,)) for fold, after in zip(folds, following, strict=True)]


@dataclass(frozen=True)
class Split:
    """Folds by use; see `choose_split`."""

    training: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def choose_split(manifest: Manifest, held_out: HeldOut) -> Split:
    """By default the last fold tests, the one before validates, and the others train.

    Validation and test may be given the same folds, where the true test is elsewhere (BraTS keeps
    its labels on a server). The fold of groups that only train is in neither.

    Raises:
        SettingError: an unknown fold, validation and test that overlap otherwise, or none left to
            train on.
    """
    folds = manifest.held_out_folds
    test = held_out.test or folds[-1:]
    validation = held_out.validation or tuple(fold for fold in folds if fold not in test)[-1:]
    unknown = sorted({*validation, *test} - set(folds))
    both = sorted(set(validation) & set(test))
    training = tuple(fold for fold in manifest.folds if fold not in (*validation, *test))
    overlapping = both and set(validation) != set(test)
    if unknown or overlapping or not training or not validation:
        raise SettingError(
            "validation_folds, test_folds",
            "expected different folds, or twice the same, and others left for training, among "
            f"{list(folds)}. Received: {list(validation)} and {list(test)}",
        )
    return Split(training, validation, test)


def to_measure(manifest: Manifest) -> HeldOut:
    """What costs are measured with: as by default; of two folds, which leave none, one twice."""
    folds = manifest.held_out_folds
    return HeldOut() if len(manifest.folds) > 2 else HeldOut(folds[-1:], folds[-1:])


def positive_subjects(manifest: Manifest, folds: tuple[str, ...]) -> list[str]:
    """Names of the subjects in these folds that are of the dataset's first group."""
    positive = manifest.groups[0]
    return sorted(s.name for s in manifest.subjects if s.fold in folds and s.group == positive)


def training_subjects(
    manifest: Manifest, folds: tuple[str, ...], positive_fraction: float, seed: int
) -> frozenset[str]:
    """The subjects that train: of the positive ones a fraction, drawn by the seed, of others all.

    For one seed a smaller fraction's subjects are among a larger one's, as where training data are
    taken away bit by bit (Kohl et al. 2017, Fig. 3).

    Args:
        positive_fraction: in (0, 1]; of the first group's subjects, rounded up.
    """
    positive = positive_subjects(manifest, folds)
    kept = math.ceil(round(positive_fraction * len(positive), 6))
    dropped = np.random.default_rng(seed).permutation(positive)[kept:]
    training = {s.name for s in manifest.subjects if s.fold in folds and s.fold != UNLABELLED}
    return frozenset(training - set(map(str, dropped)))


def unlabelled_subjects(
    manifest: Manifest, folds: tuple[str, ...], training: frozenset[str], seed: int, number: int
) -> frozenset[str]:
    """The subjects whose images alone train: a number of candidates, drawn by the seed.

    Candidates have no label map, or are left out of these folds' training, and then nobody looks at
    theirs. For one seed a smaller number's subjects are among a larger one's.

    Args:
        training: `training_subjects` of the folds.

    Raises:
        SettingError: there are fewer candidates.
    """
    candidates = sorted(
        subject.name
        for subject in manifest.subjects
        if subject.fold in (*folds, UNLABELLED) and subject.name not in training
    )
    if number > len(candidates):
        raise SettingError(
            "unlabelled_subjects",
            f"expected at most {len(candidates)}, as many as have no label map or are left out by "
            f"the fraction of those that train, received {number}",
        )
    drawn = np.random.default_rng([seed, 1]).permutation(candidates)[:number]
    return frozenset(map(str, drawn))
