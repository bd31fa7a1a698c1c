"""Xue et al. 2018, SegAN: Adversarial Network with Multi-scale L1 Loss for Segmentation.

Paper symbols: S is the segmentor, C the critic, x the image, y the true map of a region. C is
given x masked by S(x) and by y; the loss is the mean absolute error between its features of both,
averaged over scales (eq. 2, 3), the masked image itself being scale 0. On the same minibatch C
first ascends it with S fixed, then S descends it with C fixed. No cross entropy.

Variants of section 3.1: one critic per region (3C) or one for all masked images concatenated (1C),
one segmentor (S3) or one per region (S1), and single scales (s0, s3). "3" is the paper's number of
regions; here it is the dataset's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import keras

from tfadv.inference.targets import Targets, class_targets, region_targets
from tfadv.methods.checks import COUNT, POSITIVE, at_least, multiple_of, one_of, scales_with_critic
from tfadv.methods.controls import Judged, signal_without_off
from tfadv.methods.method import JOINT_DECISION, hyperparameter, round_up
from tfadv.methods.optimizers import torch_rmsprop
from tfadv.methods.segan_updates import (
    SOFTMAX_UPDATE,
    Comparison,
    critic_update,
    dice_term,
    segmentor_update,
)
from tfadv.methods.variation import Varied
from tfadv.networks import segan as networks
from tfadv.players import Players, Term
from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.normalisation import SCHEMES
from tfrecords.reading.recipe import Recipe
from tfrecords.records.manifest import Manifest
from tfrecords.records.views import Slices

DOWNSAMPLING = 16  # Of the segmentor: slices are multiples of it.
MASKED = "S's maps are zero where all modalities are: there the loss never sees them"


@dataclass(frozen=True, kw_only=True)
class Segan(Varied):
    """Values of the paper's sections 2 and 3, or ours: what all variants share."""

    paper = (
        "Xue et al. 2018, SegAN: Adversarial Network with Multi-scale L1 Loss for Medical Image "
        "Segmentation, arXiv:1706.01805"
    )
    view = Slices()
    departures: ClassVar[Sequence[str]] = (
        "leaky slope not stated: 0.2",
        "epsilon of batch normalisation not stated: 1e-5, Torch's",
        "resizing not stated: bilinear; skips are concatenated, as in the U-net that is followed",
        "slices are those of the body's box, not 128 of each subject, unless preprocessing crops "
        "as the paper does (--crop 180,180,128)",
        "epochs not stated: 100; the epoch with the best validation Dice is evaluated",
    )
    sizes = ({"width": 8}, {"width": 16}, {"width": 32}, {"width": 64})

    epochs: int = hyperparameter(100, "ours: not stated", COUNT, small=30)
    steps_per_epoch: int = hyperparameter(
        494, "ours: 247 training subjects with 128 slices, 64 a step", COUNT, small=80
    )
    batch_size: int = hyperparameter(64, "2.3: per replica", COUNT, small=16)
    normalisation: str = hyperparameter("min_max", "2.4, footnote: [0, 1]", one_of(*SCHEMES))
    crop_size: int = hyperparameter(
        160,
        "3: slice size; 0 takes the largest slice of the record set",
        multiple_of(DOWNSAMPLING, or_zero=True),
        small=0,
    )
    shift: float = hyperparameter(
        10.0, "3: voxels, random 160 x 160 of 180 x 180", at_least(0), small=4.0
    )
    width: int = hyperparameter(64, "Fig. 1", COUNT, small=16)
    learning_rate: float = hyperparameter(2e-5, "2.3: RMSprop, S", POSITIVE, small=1e-4)

    def targets(self, manifest: Manifest) -> Targets:
        return region_targets(manifest)

    def recipe(self, manifest: Manifest) -> Recipe:
        _, height, width = manifest.largest_shape
        targets = self.targets(manifest)
        return Recipe(
            self.view,
            tuple(self.crop_size or round_up(side, DOWNSAMPLING) for side in (height, width)),
            self.batch_size,
            self.normalisation,
            self.varied(Augmentation(shift=self.shift)),
            regions=() if targets.exclusive else targets.members,
        )

    def rate(self, optimizer: str, epoch: int = 0) -> float:
        return self.learning_rate

    def segmentor(self, channels: int, maps: int) -> keras.Model:
        return networks.segmentor(channels, maps, self.width, masked=True)


@dataclass(frozen=True, kw_only=True)
class SeganUnetSoftmax(Segan):
    """3.2: "the exact same architecture as our SegAN segmentor", with the softmax loss."""

    name = "segan_unet_softmax"
    partner = "segan_s3_3c"
    summary = "the baseline: the same segmentor with the softmax loss"

    def targets(self, manifest: Manifest) -> Targets:
        return class_targets(manifest)

    def build(self, channels: int, outputs: Sequence[str]) -> Players:
        return Players(
            {"segmentor": networks.segmentor(channels, len(outputs), self.width)},
            {"segmentor": torch_rmsprop(self.rate("segmentor"))},
            (SOFTMAX_UPDATE,),
        )


@dataclass(frozen=True, kw_only=True)
class SeganScale0(Segan):
    """3.1: the masked images alone. It has no critic, of whose parameters none would be seen."""

    name = "segan_s3_3c_s0"
    summary = "S3-3C with the masked images alone (scale 0)"
    departures: ClassVar[Sequence[str]] = (*Segan.departures, JOINT_DECISION, MASKED)

    def build(self, channels: int, outputs: Sequence[str]) -> Players:
        return Players(
            {"segmentor": self.segmentor(channels, len(outputs))},
            {"segmentor": torch_rmsprop(self.rate("segmentor"))},
            (segmentor_update(Comparison(tuple(outputs), (), "0")),),
        )


@dataclass(frozen=True, kw_only=True)
class _WithCritics(Segan, Judged):
    """What the variants with critics have beside the others'."""

    departures: ClassVar[Sequence[str]] = (
        *Segan.departures,
        JOINT_DECISION,
        MASKED,
        "with Keras' epsilon of batch normalisation, 1e-3, the features of a clamped critic would "
        "differ two to three times less at the start",
        "C sees both masked images of a minibatch in one pass, so that its batch normalisation is "
        "the same function of both",
        "where C alone learns, S answers as in inference, so that its moving statistics stay",
    )

    critic_width: int = hyperparameter(64, "Fig. 1", COUNT, small=16)
    clamp: float = hyperparameter(
        0.05,
        "the authors' code; 2.4 gives 0.01 as an example, for all parameters of C",
        POSITIVE,
    )
    scales: str = hyperparameter(
        "0123",
        "eq. 3 and 3.1: digits of the scales that are averaged, 0 the masked image itself",
        scales_with_critic("0123"),
    )
    critic_learning_rate: float = hyperparameter(2e-5, "2.3: RMSprop, C", POSITIVE, small=1e-4)

    def compared(self, outputs: Sequence[str]) -> Comparison:
        """3C: each region by a critic of its own."""
        return Comparison(tuple(outputs), tuple(f"critic_{name}" for name in outputs), self.scales)

    def terms(self) -> tuple[Term, ...]:
        """Of S's loss, beside the multi-scale L1."""
        return ()

    def build(self, channels: int, outputs: Sequence[str]) -> Players:
        segmentor = self.segmentor(channels, len(outputs))
        compared = self.compared(outputs)
        seen = channels * compared.regions_together
        critics = {
            name: networks.critic(seen, self.critic_width, self.clamp, name)
            for name in compared.critics
        }
        return Players(
            {"segmentor": segmentor, **critics},
            {name: torch_rmsprop(self.rate(name)) for name in ("segmentor", *critics)},
            (critic_update(compared, self.clamp), segmentor_update(compared, *self.terms())),
        )

    def rate(self, optimizer: str, epoch: int = 0) -> float:
        return self.learning_rate if optimizer == "segmentor" else self.critic_learning_rate


@dataclass(frozen=True, kw_only=True)
class SeganS33C(_WithCritics):
    name = "segan_s3_3c"
    summary = "one segmentor, a critic for each region: the paper's choice"

    signal: str = signal_without_off()


@dataclass(frozen=True, kw_only=True)
class SeganS11C(_WithCritics):
    name = "segan_s1_1c"
    summary = "a segmentor and a critic for each region"

    signal: str = signal_without_off()

    def segmentor(self, channels: int, maps: int) -> keras.Model:
        return networks.segmentors(channels, maps, self.width)


@dataclass(frozen=True, kw_only=True)
class SeganS31C(_WithCritics):
    name = "segan_s3_1c"
    summary = "one segmentor, one critic of all masked images together"

    signal: str = signal_without_off()

    def compared(self, outputs: Sequence[str]) -> Comparison:
        return Comparison(tuple(outputs), ("critic",), self.scales)


@dataclass(frozen=True, kw_only=True)
class SeganScale3(_WithCritics):
    name = "segan_s3_3c_s3"
    summary = "S3-3C with the critics' last features alone (scale 3)"

    signal: str = signal_without_off()
    scales: str = hyperparameter("3", "3.1: S3-3C-s3", scales_with_critic("0123"))


@dataclass(frozen=True, kw_only=True)
class SeganDice(_WithCritics):
    name = "segan_s3_3c_dice"
    summary = "multi-scale L1 and soft Dice"

    dice_weight: float = hyperparameter(
        1.0, "ours: not in the paper, but in its authors' code", POSITIVE
    )

    def terms(self) -> tuple[Term, ...]:
        return (dice_term(self.dice_weight),)


METHODS = (
    SeganS33C,
    SeganS11C,
    SeganS31C,
    SeganScale0,
    SeganScale3,
    SeganUnetSoftmax,
    SeganDice,
)
