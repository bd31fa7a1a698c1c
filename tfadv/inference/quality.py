"""What a model says of its own label map, one number each: is it to be trusted?

entropy         of the probabilities in nats, summed over the body, by the label map's
                foreground voxels; high where the model is in doubt
pairwise_dice   mean Dice of every two members' label maps, over classes or regions (Zenk et al.
                2024, arXiv:2406.03323); low where members differ
discriminator   the training discriminator's log odds that the maps are true
judge           the same of a judge that learned on after training; see `training.judge`
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import tensorflow as tf

from tfadv.inference.judges import SliceJudge
from tfadv.inference.targets import Targets

ENTROPY, PAIRWISE_DICE = "entropy", "pairwise_dice"
DISCRIMINATOR, JUDGE = "discriminator", "judge"
LOW_IS_GOOD = (ENTROPY,)
SHOWN_MASKS = (JUDGE,)  # Who sees the label map instead of the probabilities.
Judges = Mapping[str, Sequence[SliceJudge]]


def names_of(members: int, judges: Judges) -> tuple[str, ...]:
    """What is measured of a model of so many members, in the order of its numbers."""
    return (ENTROPY, *([PAIRWISE_DICE] if members > 1 else []), *(n for n in judges if judges[n]))


def measured(
    image: tf.Tensor,
    probabilities: tf.Tensor,
    decided: tf.Tensor,
    by_member: Sequence[tf.Tensor],
    judges: Judges,
    targets: Targets,
) -> tf.Tensor:
    """The numbers, float32 [N], in the order of `names_of`.

    Args:
        image: normalised, [Z, Y, X, C].
        probabilities: [Z, Y, X, K] of the targets.
        decided: class indices [Z, Y, X].
        by_member: each member's own.
        judges: those of all members that have one, by name; the mean of what they say counts.
    """
    found = decided > 0
    values = [entropy(probabilities, targets) / tf.maximum(_count(found), 1.0)]
    if len(by_member) > 1:
        pairs = [dice(*pair, targets) for pair in combinations(by_member, 2)]
        values.append(tf.reduce_mean(pairs))
    for name, of_members in judges.items():
        if of_members:
            maps = targets.masks(decided) if name in SHOWN_MASKS else probabilities
            said = [judge.verdict(image, maps, found) for judge in of_members]
            values.append(tf.reduce_mean(said))
    return tf.stack(values)


def entropy(probabilities: tf.Tensor, targets: Targets) -> tf.Tensor:
    """The sum over voxels, in nats: of the classes together, of regions the mean of each one's."""
    if targets.exclusive:
        return tf.reduce_sum(_surprise(probabilities))
    both = _surprise(probabilities) + _surprise(1 - probabilities)
    return tf.reduce_sum(both) / len(targets.names)


def dice(one: tf.Tensor, other: tf.Tensor, targets: Targets) -> tf.Tensor:
    """The mean over maps of foreground of the Dice of two label maps of class indices [Z, Y, X].

    It is 1 where both have nothing.
    """
    scores = []
    for members in targets.members:
        if 0 not in members:
            a, b = (tf.reduce_any([each == m for m in members], 0) for each in (one, other))
            total = _count(a) + _count(b)
            scores.append(tf.math.divide_no_nan(2 * _count(a & b), total) + _is(total == 0))
    return tf.reduce_mean(scores)


def _surprise(probabilities: tf.Tensor) -> tf.Tensor:
    """-p log p, zero at zero."""
    return -tf.math.xlogy(probabilities, probabilities)


def _count(mask: tf.Tensor) -> tf.Tensor:
    return tf.math.count_nonzero(mask, dtype=tf.float32)


def _is(condition: tf.Tensor) -> tf.Tensor:
    return tf.cast(condition, tf.float32)
