"""Which subject belongs to which fold."""

from collections import defaultdict
from collections.abc import Collection, Sequence

import numpy as np

from tfrecords.errors import SettingError, UserError
from tfrecords.sources.subject import TRAINING, UNLABELLED, Subject


def assign_folds(
    subjects: Sequence[Subject], folds: int, seed: int, training_only: Collection[str] = ()
) -> dict[str, str]:
    """Fold of each subject by name: the source's own if it prescribes them, else drawn.

    Drawn folds share every group as evenly as they can, and do not depend on the order in which
    subjects were found. Subjects of one patient share a fold, and count once. Two kinds of subjects
    have a fold of their own, whatever is prescribed, and do not change the others' folds:
    unlabelled ones UNLABELLED, and labelled ones of the groups `training_only` TRAINING.

    Raises:
        UserError: only some of the other subjects have a prescribed fold, it is UNLABELLED, or
            there are too few of them.
    """
    assigned, others = {}, []
    for subject in subjects:
        if subject.label is None:
            assigned[subject.name] = UNLABELLED
        elif subject.group in training_only:
            assigned[subject.name] = TRAINING
        else:
            others.append(subject)
    return assigned | _other_folds(others, folds, seed)


def _other_folds(subjects: Sequence[Subject], folds: int, seed: int) -> dict[str, str]:
    prescribed = {s.name: s.fold for s in subjects if s.fold}
    if prescribed and len(prescribed) < len(subjects):
        missing = next(s.name for s in subjects if not s.fold)
        raise UserError(f"fold: expected one for every subject or for none, {missing} has none")
    if UNLABELLED in prescribed.values():
        raise UserError(
            f"fold: expected another name than {UNLABELLED}, which is the fold of subjects without "
            f"a label map, received it for {[n for n, f in prescribed.items() if f == UNLABELLED]}"
        )
    if prescribed:
        return prescribed
    # Of patients whose subjects are in several groups, the least of them.
    by_group = sorted(subjects, key=lambda subject: subject.group, reverse=True)
    groups_of = {_patient(subject): subject.group for subject in by_group}
    if len(groups_of) < folds:
        what = "patients" if len(groups_of) < len(subjects) else "subjects"
        raise SettingError(
            "folds",
            f"expected at most {len(groups_of)} ({what} that may be held out), received {folds}",
        )
    groups = defaultdict(list)
    for patient, group in groups_of.items():
        groups[group].append(patient)
    random = np.random.default_rng(seed)
    # One running counter over all groups, so that small groups do not all fill the first folds.
    names = [n for group in sorted(groups) for n in random.permutation(sorted(groups[group]))]
    drawn = {str(name): str(i % folds) for i, name in enumerate(names)}
    return {subject.name: drawn[_patient(subject)] for subject in subjects}


def _patient(subject: Subject) -> str:
    return subject.patient or subject.name
