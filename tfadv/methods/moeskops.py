"""Moeskops et al. 2017, Adversarial Training and Dilated Convolutions for Brain MRI Segmentation.

Three updates, each on a minibatch of its own (section 2.3):

    Ls  cross entropy of S(x): the segmentor S descends
    Ld  discrimination loss on a manual label map: the discriminator D descends
    La  discrimination loss on S(x): D descends and S ascends, in one update

This is a gradient reversal, not the non-saturating loss of Goodfellow et al. The baselines have Ls
alone, on as many samples a step.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import keras
import tensorflow as tf

from tfadv.inference.judges import PatchJudge, SliceJudge
from tfadv.inference.tiling import Tiling, WholeSlices
from tfadv.losses.annotated import shown
from tfadv.losses.cross_entropy import cross_entropy
from tfadv.methods.checks import ANY, COUNT, POSITIVE, between, one_of
from tfadv.methods.controls import Judged, over_unlabelled, unlabelled_too
from tfadv.methods.method import Method, hyperparameter
from tfadv.methods.optimizers import RMSprop
from tfadv.methods.verdicts import GENERATED, TRUE, Verdicts, observed, swapped
from tfadv.networks import moeskops as networks
from tfadv.networks.dropout import KINDS
from tfadv.networks.moeskops import DILATED, FCN, Architecture
from tfadv.players import Batch, Networks, Players, Scene, Term, Update
from tfrecords.errors import SettingError
from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.recipe import Recipe
from tfrecords.records.manifest import Manifest
from tfrecords.records.views import Patches

PATCHES = 50_000  # Of each class and image in an epoch (3.1).
MANUAL, MADE = 0, 1  # The discriminator's output nodes: of manual and of generated maps.


def _patches(architecture: Architecture) -> Patches:
    """Of the size at which all maps of the labels' size are seen whole."""
    return Patches(_size(architecture), networks.LABEL_SIZE)


def _size(architecture: Architecture) -> int:
    return networks.LABEL_SIZE + 2 * architecture.margin


@dataclass(frozen=True, kw_only=True)
class Moeskops(Method):
    """Values of the paper's sections 2.2 and 3.1, or ours."""

    paper = (
        "Moeskops et al. 2017, Adversarial Training and Dilated Convolutions for Brain MRI "
        "Segmentation, arXiv:1707.03195"
    )
    departures: ClassVar[Sequence[str]] = (
        "batch normalisation stands between convolution and ReLU, and not on the output layers",
        "dropout's rate and kind not stated: 0.5 of what each 1x1 layer receives, whole maps; "
        "single voxels show the discriminator speckle",
        "intensity normalisation not stated: z-score over non-zero voxels",
        "slices are axial in both datasets; the paper says so of the elderly subjects alone",
        "patches, those of background as well, are centred in the body's box",
        "patches are cut once, as many as preprocessing was told (--patches_per_class, 500 if "
        "nothing else), and come again; the paper trains on 50,000 per class and image in an epoch",
        "the epoch with the best validation Dice is evaluated; the paper has no validation set and "
        "takes the last",
    )
    architecture: ClassVar[Architecture]
    sizes = ({"batch_size": 35}, {"batch_size": 105}, {"batch_size": 300})

    epochs: int = hyperparameter(5, "3.1", COUNT, small=24)
    steps_per_epoch: int = hyperparameter(
        17500,
        "3.1: 50,000 patches of each of 7 classes from each of 15 adults, 300 a step; of the 8 "
        "classes and 5 elderly subjects of MRBrainS13 it would be 6667",
        COUNT,
        small=60,
    )
    batch_size: int = hyperparameter(300, "3.1: of one minibatch, per replica", COUNT, small=105)
    learning_rate: float = hyperparameter(1e-3, "3.1: RMSprop, Ls", POSITIVE)
    dropout: float = hyperparameter(
        0.5, "ours: 2.2 states dropout for the 1x1 layers, no rate", between(0, 0.99)
    )
    dropout_kind: str = hyperparameter(
        "maps",
        "ours: 2.2 states none; each voxel of a map for itself, or whole maps of a sample, which "
        "end with fewer components at an equal Dice (docs/results/moeskops2017.md, three seeds)",
        one_of(*KINDS),
    )
    momentum: float = hyperparameter(
        0.9,
        "ours: of batch normalisation's moving statistics; Keras' 0.99 lags in short runs",
        between(0, 1),
    )

    def build(self, channels: int, outputs: Sequence[str]) -> Players:
        segmentor = networks.segmentor(
            channels,
            len(outputs),
            self.architecture,
            self.dropout,
            self.momentum,
            self.dropout_kind,
        )
        optimizers = {"segmentor": self.rmsprop("segmentor")}
        return Players({"segmentor": segmentor}, optimizers, (SEGMENTATION_UPDATE,))

    def recipe(self, manifest: Manifest) -> Recipe:
        size = (_size(self.architecture),) * 2
        return Recipe(self.view, size, self.batch_size, self.normalisation, Augmentation())

    def tiling(self, manifest: Manifest) -> Tiling:
        return WholeSlices(self.architecture.margin)

    def remarks(self, manifest: Manifest) -> Iterator[str]:
        stored = manifest.view
        if isinstance(stored, Patches) and stored.per_class < PATCHES:
            yield (
                f"patches: expected {PATCHES:,} of each class and subject, as the paper has in an "
                f"epoch, received {stored.per_class:,}, which come again. "
                f"launch/preprocess.py --patches_per_class {PATCHES} cuts as many"
            )

    def rate(self, optimizer: str, epoch: int = 0) -> float:
        return self.learning_rate

    def rmsprop(self, optimizer: str) -> keras.optimizers.Optimizer:
        return RMSprop(self.rate(optimizer))


@dataclass(frozen=True, kw_only=True)
class MoeskopsAdversarial(Moeskops, Judged):
    """What the methods with a discriminator have beside the baselines'."""

    departures: ClassVar[Sequence[str]] = (
        *Moeskops.departures,
        "the discriminator's batch normalisation sees manual and generated maps together in both "
        "of its updates; with minibatches of one kind it stays at chance "
        "(docs/results/moeskops2017.md)",
    )

    batch_size: int = hyperparameter(
        100, "3.1: of one minibatch, per replica: a third of 300", COUNT, small=35
    )
    discriminator_learning_rate: float = hyperparameter(
        1e-5, "3.1: RMSprop, Ld and La, of both networks", POSITIVE, small=1e-4
    )
    unlabelled: bool = unlabelled_too()
    adversarial_dropout: bool = hyperparameter(
        True,
        "ours: not stated; whether S drops in update 3, where D judges its maps; of three seeds "
        "without, Dice is lower with voxels, and as good with maps (docs/results/moeskops2017.md)",
        ANY,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unlabelled and self.signal == "shuffled":
            raise SettingError(
                "hp.signal",
                "expected on, off or frozen with hp.unlabelled=true, received 'shuffled': of "
                "images without label map there is no true one to exchange",
            )

    def build(self, channels: int, outputs: Sequence[str]) -> Players:
        alone = super().build(channels, outputs)
        discriminator = networks.discriminator(channels, len(outputs), self.momentum)
        return Players(
            {**alone.networks, "discriminator": discriminator},
            {
                **alone.optimizers,
                **{name: self.rmsprop(name) for name in ("discriminator", "adversarial")},
            },
            (
                *alone.schedule,
                DISCRIMINATION_UPDATE,
                adversarial_update(dropping=self.adversarial_dropout),
            ),
        )

    def recipe(self, manifest: Manifest) -> Recipe:
        return replace(super().recipe(manifest), unlabelled=self.unlabelled)

    def judge(self, discriminator: keras.Model) -> SliceJudge:
        size, inner = networks.DISCRIMINATOR_SIZE, networks.LABEL_SIZE
        return PatchJudge(discriminator, odds_of_manual, size, inner)

    def rate(self, optimizer: str, epoch: int = 0) -> float:
        return self.learning_rate if optimizer == "segmentor" else self.discriminator_learning_rate


@dataclass(frozen=True, kw_only=True)
class MoeskopsFcn(Moeskops):
    name = "moeskops_fcn"
    partner = "moeskops_fcn_adversarial"
    summary = "the fully convolutional network, cross entropy alone"
    architecture = FCN
    view = _patches(FCN)


@dataclass(frozen=True, kw_only=True)
class MoeskopsDilated(Moeskops):
    name = "moeskops_dilated"
    partner = "moeskops_dilated_adversarial"
    summary = "the dilated network, cross entropy alone"
    architecture = DILATED
    view = _patches(DILATED)


@dataclass(frozen=True, kw_only=True)
class MoeskopsFcnAdversarial(MoeskopsAdversarial):
    name = "moeskops_fcn_adversarial"
    summary = "the fully convolutional network and the discriminator, alternating"
    architecture = FCN
    view = _patches(FCN)


@dataclass(frozen=True, kw_only=True)
class MoeskopsDilatedAdversarial(MoeskopsAdversarial):
    name = "moeskops_dilated_adversarial"
    summary = "the dilated network and the discriminator, alternating"
    architecture = DILATED
    view = _patches(DILATED)


def _segmented(players: Networks, batch: Batch) -> tf.Tensor:
    """S's logits."""
    return players["segmentor"](batch["image"], training=True)


def _judged(
    players: Networks, batch: Batch, others: tf.Tensor | None = None, **options: bool
) -> Verdicts:
    """D's logits [B, 2] of a minibatch's manual and of its generated label maps.

    Each loss uses one of them. D still sees both together, because its batch normalisation would
    remove what tells them apart from a minibatch of one kind: then it stays at chance.

    Args:
        others: unlabelled images, whose maps are the generated ones instead.
        options: of S's pass: training, dropping.
    """
    segmentor, discriminator = players["segmentor"], players["discriminator"]
    made_of = batch["image"] if others is None else others
    generated = tf.nn.softmax(segmentor(made_of, **options))
    manual = tf.one_hot(batch["label"], generated.shape[-1])
    annotated = batch.get("annotated")
    maps = [shown(manual, annotated), shown(generated, annotated if others is None else None)]
    images = tf.concat([_central_image(image) for image in (batch["image"], made_of)], 0)
    logits = discriminator([images, tf.concat(maps, 0)], training=True)
    return Verdicts(*tf.split(logits, 2))


def _discrimination(logits: tf.Tensor, node: int) -> tf.Tensor:
    """Cross entropy of the discriminator's logits [B, 2] with one node for all samples."""
    return cross_entropy(tf.fill(tf.shape(logits)[:1], node), logits)


def _manual_loss(scene: Scene) -> tf.Tensor:
    return _discrimination(scene.shared.true, MANUAL)


def _generated_loss(judged: Callable[..., Verdicts], scene: Scene) -> tf.Tensor:
    """Args: judged: the update's pass, for unlabelled images."""
    networks, batch = scene.networks, scene.batch
    return over_unlabelled(
        _discrimination(scene.shared.generated, MADE),
        batch,
        lambda others: _discrimination(judged(networks, batch, others).generated, MADE),
    )


def odds_of_manual(logits: tf.Tensor) -> tf.Tensor:
    """Log odds [B] of the discriminator's logits [B, 2]."""
    return logits[:, MANUAL] - logits[:, MADE]


def _central_image(patches: tf.Tensor) -> tf.Tensor:
    """The patches' centres [B, 25, 25, C], which the discriminator sees."""
    rim = (patches.shape[1] - networks.DISCRIMINATOR_SIZE) // 2
    return patches[:, rim:-rim, rim:-rim]


SEGMENTATION = Term(
    "segmentor_cross_entropy",
    lambda scene: cross_entropy(scene.batch["label"], scene.shared, scene.batch.get("annotated")),
    "Ls, the cross entropy (2.3, update 1)",
)
MANUAL_MAPS = Term(
    "discriminator_manual",
    _manual_loss,
    "Ld, the discrimination loss on manual label maps (2.3, update 2)",
)
OBSERVED = observed("discriminator", odds_of_manual)

SEGMENTATION_UPDATE = Update(
    "segmentation", {"segmentor": "segmentor"}, (SEGMENTATION,), _segmented, by="S descends"
)
DISCRIMINATION_UPDATE = Update(
    "discrimination",
    {"discriminator": "discriminator"},
    (MANUAL_MAPS,),
    # The segmentor only looks on: its moving statistics stay.
    partial(_judged, training=False),
    {name: value for name, value in OBSERVED.items() if name.endswith(TRUE)},
    minibatch=1,
    by="D descends",
    shuffle=swapped,
)


def adversarial_update(*, dropping: bool) -> Update:
    """La.

    Args:
        dropping: whether S drops.
    """
    judged = partial(_judged, training=True, dropping=dropping)
    generated_maps = Term(
        "adversarial",
        partial(_generated_loss, judged),
        "La, the discrimination loss on S(x) (2.3, update 3)",
        verdict=True,
    )
    return Update(
        "adversarial",
        {"discriminator": "discriminator", "segmentor": "adversarial"},
        (generated_maps,),
        judged,
        {name: value for name, value in OBSERVED.items() if name.endswith(GENERATED)},
        ascends=frozenset({"segmentor"}),
        minibatch=2,
        by="D descends and S ascends",
        shuffle=swapped,
    )


METHODS = (MoeskopsFcn, MoeskopsDilated, MoeskopsFcnAdversarial, MoeskopsDilatedAdversarial)
