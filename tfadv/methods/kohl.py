"""Kohl et al. 2017, Adversarial Networks for the Detection of Aggressive Prostate Cancer.

Paper symbols: S is the segmentor, D the discriminator, x the image, y the reference label map.
D takes k minibatches for each one of S. S minimises the weighted sum of -log D(S(x)) (eq. 4) and
the multi-class cross entropy (eq. 2): (1, 0) is the purely adversarial training, (0, 1) the
baseline, (1, 1/2) the hybrid of Table 1.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import keras
import tensorflow as tf

from tfadv.inference.judges import SliceJudge
from tfadv.losses.adversarial import discriminator_loss, non_saturating_segmentor_loss
from tfadv.losses.annotated import shown
from tfadv.losses.cross_entropy import cross_entropy
from tfadv.methods.checks import (
    ANY,
    COUNT,
    NAMES,
    POSITIVE,
    SHARE,
    at_least,
    between,
    multiple_of,
)
from tfadv.methods.controls import Judged, over_unlabelled, signal_without_off, unlabelled_too
from tfadv.methods.favoured import favoured_of
from tfadv.methods.method import hyperparameter, round_up
from tfadv.methods.optimizers import Adam
from tfadv.methods.variation import Varied
from tfadv.methods.verdicts import Verdicts, observed, swapped
from tfadv.networks import kohl as networks
from tfadv.players import Batch, Networks, Players, Scene, Term, Update
from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.recipe import Recipe
from tfrecords.records.manifest import Manifest
from tfrecords.records.views import Slices

DOWNSAMPLING = 16  # Of the segmentor: slices are multiples of it.
# Slices of a subject. Of 160 subjects that are seen 70 or 190 times, slices that are not mirrored
# and turned less end at a higher Dice; of 18 that are seen 530 times, at a lower one, and of 2 that
# are seen 4000 times at an equal one (docs/results/system.md, one seed each).
FEW = 300
# Slices of a subject, too. Of 2 that are seen 4000 times what varies in nnU-Net's ways ends at a
# higher Dice, of 18 that are seen 530 times at a lower one.
MANY = 2000
VARIED = {
    "scale": 0.4,
    "elastic": 1.0,
    "noise": 0.3,
    "brightness": 0.25,
    "contrast": 0.25,
    "gamma": 0.5,
}


@dataclass(frozen=True, kw_only=True)
class Kohl(Varied):
    """Values of the paper's section "Training" and "Network Architectures", or ours."""

    paper = (
        "Kohl et al. 2017, Adversarial Networks for the Detection of Aggressive Prostate Cancer, "
        "arXiv:1702.08014"
    )
    view = Slices()
    departures: ClassVar[Sequence[str]] = (
        "down- and upsampling are not stated: 2x2 max-pooling, 2x nearest-neighbour upsampling",
        "leaky slope not stated: 0.2, as in Isola et al. 2017, whom the paper follows",
        "Adam's beta_1 not stated: 0.9",
        "intensity normalisation not stated: z-score over non-zero voxels",
        "the slices beside the aggressive set's are all others, those without any label as well "
        "unless preprocessing left them out (--foreground_slices)",
    )
    # With width 8 the synthetic tumours were not found at all in 1700 steps, with 16 in 500.
    sizes = (
        {"width": 16, "batch_size": 4},
        {"width": 16, "batch_size": 8},
        {"width": 32, "batch_size": 8},
        {"width": 64, "batch_size": 8},
    )

    epochs: int = hyperparameter(225, "Training", COUNT, small=30)
    steps_per_epoch: int = hyperparameter(80, "Training: batches of S per epoch", COUNT)
    batch_size: int = hyperparameter(5, "Training: of one minibatch, per replica", COUNT, small=8)
    crop_size: int = hyperparameter(
        416,
        "MRI dataset: slice size; 0 takes the largest slice of the record set",
        multiple_of(DOWNSAMPLING, or_zero=True),
        small=0,
    )
    rotation_rad: float = hyperparameter(math.pi / 8, "Training", between(0, math.pi))
    shift: float = hyperparameter(50.0, "Training: voxels", at_least(0), small=4.0)
    mirror: bool = hyperparameter(True, "Training", ANY)
    favoured: str = hyperparameter(
        "",
        "Training: the aggressive set, slices with lesions: groups, and classes or regions that a "
        "slice holds; nothing takes the dataset's own, tumour in prostate, else the first group",
        NAMES,
    )
    favoured_share: float = hyperparameter(0.7, "Training: 3.5 of 5 from the aggressive set", SHARE)
    width: int = hyperparameter(64, "Network Architectures", COUNT, small=16)
    convolutions: int = hyperparameter(1, "Network Architectures: per level", COUNT, small=2)
    learning_rate: float = hyperparameter(1e-5, "Training: Adam, S", POSITIVE, small=1e-3)
    halve_every: int = hyperparameter(
        75, "Training: epochs after which S's rate is halved", COUNT, small=10
    )
    beta_1: float = hyperparameter(
        0.9, "ours: not stated, Adam's default", between(0, 0.9999), small=0.5
    )

    def recipe(self, manifest: Manifest) -> Recipe:
        _, height, width = manifest.largest_shape
        size = tuple(self.crop_size or round_up(side, DOWNSAMPLING) for side in (height, width))
        return Recipe(
            self.view,
            size,
            self.batch_size,
            self.normalisation,
            self.varied(Augmentation(self.rotation_rad, self.shift, self.mirror)),
            favoured=favoured_of(manifest, self.favoured, self.favoured_share),
        )

    def paced(self, epochs: int, of_subject: float) -> Iterator[tuple[Mapping[str, float], str]]:
        """The rate is halved twice, as in the paper."""
        yield {"halve_every": math.ceil(epochs / 3)}, "the rate is halved twice, as in the paper"
        if of_subject < FEW:
            yield (
                {"mirror": False, "rotation_rad": 0.15},
                f"fewer than {FEW}: other views of a subject would take steps to learn",
            )
        if of_subject > MANY:
            yield VARIED, f"more than {MANY}: subjects are soon known by heart, unless they vary"

    def rate(self, optimizer: str, epoch: int = 0) -> float:
        return self.learning_rate * 0.5 ** (epoch // self.halve_every)

    def segmentor(self, channels: int, outputs: Sequence[str]) -> keras.Model:
        return networks.segmentor(channels, len(outputs), self.width, self.convolutions)

    def adam(self, optimizer: str) -> keras.optimizers.Optimizer:
        return Adam(self.rate(optimizer), beta_1=self.beta_1)


@dataclass(frozen=True, kw_only=True)
class KohlCrossEntropy(Kohl):
    name = "kohl_cross_entropy"
    partner = "kohl_hybrid"
    summary = "the baseline: cross entropy alone (eq. 2)"

    def build(self, channels: int, outputs: Sequence[str]) -> Players:
        networks = {"segmentor": self.segmentor(channels, outputs)}
        schedule = (segmentor_update(0, cross_entropy_term(1.0)),)
        return Players(networks, {"segmentor": self.adam("segmentor")}, schedule)


@dataclass(frozen=True, kw_only=True)
class _KohlAdversarial(Kohl, Judged):
    """What the methods with a discriminator have beside the baseline's."""

    discriminator_width: int = hyperparameter(64, "Network Architectures", COUNT, small=16)
    discriminator_poolings: int = hyperparameter(
        5,
        "ours: not stated; 416 becomes 13, and fewer keep the last maps of small slices large",
        between(0, 5),
        small=2,
    )
    discriminator_last_normalised: bool = hyperparameter(
        False,
        "Network Architectures: no instance normalisation in the first and last layers of S and D; "
        "false: D's last layer is its last convolution, true: its output node. Ours: false, since "
        "with D alone learning its loss falls to 0.07 in 100 steps (else 1.1 to 1.3), and its "
        "gradient at the map is 7 to 17 times larger; small: true, since at its rates S's Dice "
        "is no better without, and the demonstration's worse (docs/results/kohl2017.md)",
        ANY,
        small=True,
    )
    label_noise: float = hyperparameter(
        0.0,
        "ours: standard deviation of Gaussian noise on D's label maps (instance noise, Sonderby et "
        "al. 2017), so that D judges shapes and not how sharp a map is",
        at_least(0),
        small=0.5,
    )
    adversarial_weight: float = hyperparameter(1.0, "Table 1, eq. 4", POSITIVE)
    discriminator_steps: int = hyperparameter(
        3, "Training: k, minibatches of D for one of S", COUNT
    )
    discriminator_learning_rate: float = hyperparameter(
        1e-5, "Training: Adam, D, fixed", POSITIVE, small=2e-5
    )
    unlabelled: bool = unlabelled_too()
    discriminator_warmup: int = hyperparameter(
        0, "ours: first epochs in which D alone learns (S's rate is 0)", at_least(0)
    )

    def build(self, channels: int, outputs: Sequence[str]) -> Players:
        segmentor = self.segmentor(channels, outputs)
        discriminator = networks.discriminator(
            channels,
            len(outputs),
            self.discriminator_width,
            self.discriminator_poolings,
            self.label_noise,
            last_normalised=self.discriminator_last_normalised,
        )
        k = self.discriminator_steps
        schedule = (
            *(discriminator_update(number) for number in range(k)),
            segmentor_update(k, *self.segmentor_terms()),
        )
        return Players(
            {"segmentor": segmentor, "discriminator": discriminator},
            {name: self.adam(name) for name in ("segmentor", "discriminator")},
            schedule,
        )

    def recipe(self, manifest: Manifest) -> Recipe:
        return replace(super().recipe(manifest), unlabelled=self.unlabelled)

    def segmentor_terms(self) -> tuple[Term, ...]:
        """Of S's loss."""
        return (adversarial_term(self.adversarial_weight),)

    def judge(self, discriminator: keras.Model) -> SliceJudge:
        return SliceJudge(discriminator, lambda logits: logits[:, 0])

    def rate(self, optimizer: str, epoch: int = 0) -> float:
        if optimizer == "discriminator":
            return self.discriminator_learning_rate
        return 0.0 if epoch < self.discriminator_warmup else super().rate(optimizer, epoch)


@dataclass(frozen=True, kw_only=True)
class KohlPurelyAdversarial(_KohlAdversarial):
    name = "kohl_purely_adversarial"
    summary = "S learns from the discriminator alone (eq. 3 and 4)"

    signal: str = signal_without_off()


@dataclass(frozen=True, kw_only=True)
class KohlHybrid(_KohlAdversarial):
    name = "kohl_hybrid"
    summary = "the discriminator and half the cross entropy (Table 1)"

    adversarial_weight: float = hyperparameter(
        1.0,
        "Table 1, eq. 4; small: with 1 the hybrid's Dice is below cross entropy's in equal steps, "
        "with a tenth it is not (docs/results/kohl2017.md, three seeds)",
        POSITIVE,
        small=0.1,
    )
    cross_entropy_weight: float = hyperparameter(0.5, "Table 1, eq. 2", POSITIVE)

    def segmentor_terms(self) -> tuple[Term, ...]:
        return (*super().segmentor_terms(), cross_entropy_term(self.cross_entropy_weight))


def discriminator_update(minibatch: int) -> Update:
    """D descends eq. 3."""

    def judge(networks: Networks, batch: Batch) -> Verdicts:
        logits = networks["segmentor"](batch["image"], training=True)
        truth = tf.one_hot(batch["label"], logits.shape[-1])
        return Verdicts(
            *(_judged(networks, batch, maps) for maps in (truth, tf.nn.softmax(logits)))
        )

    loss = Term(
        "discriminator_loss",
        lambda scene: discriminator_loss(*scene.shared),
        "-mean[log D(y) + log(1 - D(S(x)))] (eq. 3)",
    )
    return Update(
        "discriminator",
        {"discriminator": "discriminator"},
        (loss,),
        judge,
        observed("discriminator"),
        minibatch=minibatch,
        by="D descends",
        shuffle=swapped,
    )


def segmentor_update(minibatch: int, *terms: Term) -> Update:
    """S descends terms of its logits."""
    return Update(
        "segmentor",
        {"segmentor": "segmentor"},
        terms,
        lambda networks, batch: networks["segmentor"](batch["image"], training=True),
        minibatch=minibatch,
        by="S descends",
    )


def adversarial_term(weight: float) -> Term:
    def of_unlabelled(networks: Networks, image: tf.Tensor) -> tf.Tensor:
        maps = tf.nn.softmax(networks["segmentor"](image, training=True))
        return non_saturating_segmentor_loss(_judged(networks, {"image": image}, maps))

    def value(scene: Scene) -> tf.Tensor:
        networks, batch = scene.networks, scene.batch
        loss = non_saturating_segmentor_loss(_judged(networks, batch, tf.nn.softmax(scene.shared)))
        return over_unlabelled(loss, batch, partial(of_unlabelled, networks))

    words = "-mean log D(S(x)) (eq. 4)"
    return Term("segmentor_adversarial", value, words, weight, verdict=True)


def _judged(networks: Networks, batch: Batch, maps: tf.Tensor) -> tf.Tensor:
    """D's logits [B, 1] of the images with these maps."""
    pair = [batch["image"], shown(maps, batch.get("annotated"))]
    return networks["discriminator"](pair, training=True)


def cross_entropy_term(weight: float) -> Term:
    return Term(
        "segmentor_cross_entropy",
        lambda scene: cross_entropy(
            scene.batch["label"], scene.shared, scene.batch.get("annotated")
        ),
        "cross entropy (eq. 2)",
        weight,
    )


METHODS = (KohlPurelyAdversarial, KohlCrossEntropy, KohlHybrid)
