"""Which subject belongs to which fold."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tfrecords.errors import UserError
from tfrecords.subject import Subject

# Of the subjects without a label map: nothing chooses it for training with labels or for a test.
UNLABELLED = "unlabelled"


def assign_folds(subjects: Sequence[Subject], folds: int, seed: int) -> dict[str, str]:
    """Fold of each subject by name: the source's own if it prescribes them, else drawn.

    Drawn folds share every group as evenly as they can, and do not depend on the order in which
    subjects were found. Unlabelled subjects are in the fold UNLABELLED, whatever is prescribed, and
    do not change the others' folds.

    Raises:
        UserError: only some labelled subjects have a prescribed fold, it is UNLABELLED, or there
            are too few subjects.
    """
    unlabelled = {s.name: UNLABELLED for s in subjects if s.label is None}
    return unlabelled | _labelled_folds([s for s in subjects if s.label is not None], folds, seed)


def _labelled_folds(subjects: Sequence[Subject], folds: int, seed: int) -> dict[str, str]:
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
    if len(subjects) < folds:
        raise UserError(f"--folds: expected at most {len(subjects)} (subjects), received {folds}")
    groups = defaultdict(list)
    for subject in subjects:
        groups[subject.group].append(subject.name)
    random = np.random.default_rng(seed)
    # One running counter over all groups, so that small groups do not all fill the first folds.
    names = [n for group in sorted(groups) for n in random.permutation(sorted(groups[group]))]
    return {str(name): str(i % folds) for i, name in enumerate(names)}
