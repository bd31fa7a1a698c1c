"""The worst of small perturbations of an image: how low can a trained run's Dice be made?

Projected gradient ascent (Madry et al. 2018) from several starts, on the soft Dice loss of a
subject whose truth is known. What is perturbed is the normalised image of the body, zeros apart,
which are background; a perturbation's unit is each modality's standard deviation there, as that of
the degradation `noise`, so that runs that normalise otherwise compare. `norms` says what its size
is. What is found is an upper bound of the worst case's Dice: there may be worse. Among what is
tried are a random perturbation of the whole size and the worst of smaller sizes, so that more of it
never helps.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import tensorflow as tf

from tfadv.evaluation.norms import Norm
from tfadv.inference.predictor import Predictor
from tfadv.inference.targets import Targets, averaged_regions, scored_regions
from tfadv.inference.tiling_gradient import gradient
from tfrecords.geometry.overlap import dice
from tfrecords.reading.normalisation import as_stored, foreground_statistics, normalise
from tfrecords.reading.record_set import SubjectVolume
from tfrecords.records.manifest import Manifest
from tfrecords.sources.subject import IGNORED

REACH: Final = 2.5  # All steps together, by the norm: enough to cross it and turn (Madry et al.).
SMOOTHING: Final = 1.0  # Of the soft Dice: a region that is absent can be made to appear.


class Attacked:
    """A run's predictor, and what its Dice asks of a normalised image.

    Args:
        predictor: of one member that sees volumes as they are.
    """

    def __init__(self, predictor: Predictor, manifest: Manifest) -> None:
        (self.member,) = predictor.members
        self.predictor = predictor
        self.targets = predictor.targets
        scored = scored_regions(manifest)
        self.regions = [scored[name] for name in averaged_regions(manifest)]
        classes = range(len(manifest.classes))
        covers = [[index in region for region in self.regions] for index in classes]
        self.covers = np.array(covers, np.float32)  # [classes, R].
        image = tf.TensorSpec([None, None, None, predictor.channels], tf.float32)
        truth = tf.TensorSpec([None, None, None, len(self.regions)], tf.float32)
        annotated = tf.TensorSpec([None, None, None, 1], tf.float32)
        self.label = tf.function(self._label, input_signature=[image], autograph=False)
        self.look = tf.function(
            self._look, input_signature=[image, truth, annotated], autograph=False
        )

    def normalised(self, image: np.ndarray) -> tf.Tensor:
        """A stored body [Z, Y, X, C] as the predictor normalises it."""
        stored = as_stored(tf.constant(image.astype(np.float32)), self.predictor.image_dtype)
        scheme = self.predictor.scheme
        return normalise(stored, foreground_statistics(stored, scheme), scheme)

    def _label(self, image: tf.Tensor) -> tf.Tensor:
        """Class indices [Z, Y, X] of a normalised image [Z, Y, X, C]."""
        return self.targets.decide(self.member.maps(image, self.targets))

    def _look(
        self, image: tf.Tensor, truth: tf.Tensor, annotated: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Class indices, and the gradient of the soft Dice loss with respect to the image.

        Of voxels that are still right: pushing the others gains nothing (as Gu et al. 2022).
        """
        maps = self.member.maps(image, self.targets)
        with tf.GradientTape() as tape:
            tape.watch(maps)
            loss = soft_dice_loss(
                tf.matmul(maps, tf.constant(_covering(self.targets, self.regions))),
                truth,
                annotated,
            )
        decided = self.targets.decide(maps)
        right = tf.reduce_all(tf.gather(self.covers, decided) == truth, axis=-1, keepdims=True)
        of_maps = tape.gradient(loss, maps) * tf.cast(right, tf.float32)
        return decided, gradient(self.member.tiling, self._backward, image, of_maps)

    def _backward(self, windows: tf.Tensor, of_maps: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(windows)
            maps = self.targets.probabilities(self.member.segmentor(windows, training=False))
        return tape.gradient(maps, windows, of_maps)


def soft_dice_loss(maps: tf.Tensor, truth: tf.Tensor, annotated: tf.Tensor) -> tf.Tensor:
    """1 minus the mean soft Dice of regions [Z, Y, X, R], where `annotated` [Z, Y, X, 1] is 1."""
    maps, truth = maps * annotated, truth * annotated
    common, both = (tf.reduce_sum(each, [0, 1, 2]) for each in (maps * truth, maps + truth))
    return 1 - tf.reduce_mean((2 * common + SMOOTHING) / (both + SMOOTHING))


def _covering(targets: Targets, regions: list[tuple[int, ...]]) -> np.ndarray:
    """float32 [K, R]: 1 where a map is part of a region's probability."""
    return np.array(
        [
            [
                set(members) <= set(region) if targets.exclusive else set(members) == set(region)
                for region in regions
            ]
            for members in targets.members
        ],
        np.float32,
    )


@dataclass
class _Found:
    """The worst so far."""

    label: np.ndarray
    dice: float
    perturbation: np.ndarray


class Subject:
    """A subject under attack: its normalised image, what may be perturbed, and the truth.

    Attributes:
        unit: float32 [N], of each value that may be perturbed: its modality's standard deviation.
    """

    def __init__(self, attacked: Attacked, volume: SubjectVolume) -> None:
        self.attacked = attacked
        self.image = attacked.normalised(volume.image).numpy()
        self.body = volume.image != 0
        std = np.ma.masked_where(~self.body, self.image).std(axis=(0, 1, 2)).filled(0)
        self.unit = np.broadcast_to(std, self.image.shape)[self.body]
        self._annotated = volume.label != IGNORED
        self._truth = [np.isin(volume.label, region) for region in attacked.regions]
        self._given = (
            tf.constant(np.stack(self._truth, axis=-1).astype(np.float32)),
            tf.constant(self._annotated[..., None].astype(np.float32)),
        )

    def perturbed(self, perturbation: np.ndarray) -> tf.Tensor:
        """The image [Z, Y, X, C] with a perturbation [N]."""
        image = self.image.copy()
        image[self.body] += (perturbation * self.unit).astype(np.float32)
        return tf.constant(image)

    def look(self, perturbation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Class indices, and the slope [N] of the loss."""
        label, slope = self.attacked.look(self.perturbed(perturbation), *self._given)
        return label.numpy(), slope.numpy()[self.body].astype(np.float64) * self.unit

    def label(self, perturbation: np.ndarray) -> np.ndarray:
        """Class indices."""
        return self.attacked.label(self.perturbed(perturbation)).numpy()

    def dice(self, label: np.ndarray) -> float:
        """The mean over the averaged regions."""
        found = [
            dice(truth & self._annotated, np.isin(label, region) & self._annotated)
            for truth, region in zip(self._truth, self.attacked.regions, strict=True)
        ]
        return float(np.mean(found))


def worst(
    attacked: Attacked, volume: SubjectVolume, norm: Norm, steps: int
) -> Iterator[tuple[float, np.ndarray]]:
    """(strength, class indices [Z, Y, X]) of the worst perturbation found at each strength.

    Each strength has two starts: the worst of the strength before, enlarged (first the image as it
    is), and a random one that depends on the subject's name alone. A step costs about four
    predictions.

    Args:
        steps: of each ascent.
    """
    subject = Subject(attacked, volume)
    generator = np.random.default_rng(zlib.crc32(volume.subject.encode()))
    nothing = np.zeros(subject.unit.size)
    label = subject.label(nothing)
    found = _Found(label, subject.dice(label), nothing)
    before = norm.strengths[0]
    for strength in norm.strengths:
        enlarged = found.perturbation * (strength / before)
        drawn = strength * norm.drawn(generator, nothing.size)
        for start in (enlarged, drawn):
            _climb(subject, norm, strength, start, steps, found)
        before = strength
        yield strength, found.label


def _climb(
    subject: Subject, norm: Norm, strength: float, start: np.ndarray, steps: int, found: _Found
) -> None:
    """Ascends from a start; what is worse than `found` takes its place."""

    def consider(label: np.ndarray, perturbation: np.ndarray) -> None:
        if (score := subject.dice(label)) < found.dice:
            found.label, found.dice, found.perturbation = label, score, perturbation

    perturbation = norm.within(start, strength)
    for _ in range(steps):
        label, slope = subject.look(perturbation)
        consider(label, perturbation)
        step = REACH * strength / steps * norm.steepest(slope)
        perturbation = norm.within(perturbation + step, strength)
    consider(subject.label(perturbation), perturbation)
