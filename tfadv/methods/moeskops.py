"""Moeskops et al. 2017, Adversarial Training and Dilated Convolutions for Brain MRI Segmentation.

Three updates, each on a minibatch of its own (section 2.3):

    Ls  cross entropy of S(x): the segmentor S descends
    Ld  discrimination loss on a manual label map: the discriminator D descends
    La  discrimination loss on S(x): D descends and S ascends, in one update

This is a gradient reversal, not the non-saturating loss of Goodfellow et al. The baselines have Ls
alone, on as many samples a step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from tfadv.adversarial import Batch, Networks, Outcome, Players, Update
from tfadv.inference.tiling import Tiling, WholeSlices
from tfadv.losses.cross_entropy import cross_entropy
from tfadv.methods.method import Hyperparameters, Method, hyperparameter
from tfadv.networks import moeskops as networks
from tfadv.networks.moeskops import DILATED, FCN, Architecture
from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.batches import Recipe
from tfrecords.records.manifest import Manifest
from tfrecords.records.views import Patches

MANUAL, GENERATED = 0, 1  # The discriminator's output nodes.


@dataclass(frozen=True)
class MoeskopsHyperparameters(Hyperparameters):
    """Values of the paper's sections 2.2 and 3.1, or ours."""

    epochs: int = hyperparameter(5, "3.1", small=24)
    steps_per_epoch: int = hyperparameter(
        17500,
        "3.1: 50,000 patches of each of 7 classes from each of 15 images, 300 a step",
        small=60,
    )
    batch_size: int = hyperparameter(
        300,
        "3.1: of one minibatch, per replica; 300/3 with the adversary's three minibatches",
        small=105,
    )
    normalisation: str = hyperparameter("z_score", "ours: not stated")
    learning_rate: float = hyperparameter(1e-3, "3.1: RMSprop, Ls")
    discriminator_learning_rate: float = hyperparameter(
        1e-5, "3.1: RMSprop, Ld and La, of both networks", small=1e-4
    )
    dropout: float = hyperparameter(0.5, "ours: 2.2 states dropout for the 1x1 layers, no rate")
    momentum: float = hyperparameter(
        0.9, "ours: of batch normalisation's moving statistics; Keras' 0.99 lags in short runs"
    )


class Moeskops(Method):
    paper = (
        "Moeskops et al. 2017, Adversarial Training and Dilated Convolutions for Brain MRI "
        "Segmentation, arXiv:1707.03195"
    )
    hyperparameters = MoeskopsHyperparameters
    departures = (
        "batch normalisation stands between convolution and ReLU, and not on the output layers",
        "the discriminator's batch normalisation sees manual and generated maps together in both "
        "of its updates; with minibatches of one kind it stays at chance (docs/results.md)",
        "dropout's rate not stated: 0.5 of what each 1x1 layer receives",
        "intensity normalisation not stated: z-score over non-zero voxels",
        "slices are axial in both datasets; the paper says so of the elderly subjects alone",
        "the epoch with the best validation Dice is evaluated; the paper has no validation set and "
        "takes the last",
    )

    def __init__(
        self,
        name: str,
        summary: str,
        architecture: Architecture,
        *,
        adversarial: bool = False,
        **values: Any,
    ) -> None:
        super().__init__(name, summary, **values)
        self.architecture = architecture
        self.adversarial = adversarial
        label_size = networks.LABEL_SIZE
        self.view: Patches = Patches(label_size + 2 * architecture.margin, label_size)

    def build(self, hp: MoeskopsHyperparameters, channels: int, outputs: Sequence[str]) -> Players:
        classes = len(outputs)
        players = {
            "segmentor": networks.segmentor(
                channels, classes, self.architecture, hp.dropout, hp.momentum
            )
        }
        optimizers = {"segmentor": keras.optimizers.RMSprop(hp.learning_rate)}
        if not self.adversarial:
            return Players(players, optimizers, (SEGMENTATION_UPDATE,))
        players["discriminator"] = networks.discriminator(channels, classes, hp.momentum)
        for name in ("discriminator", "adversarial"):
            optimizers[name] = keras.optimizers.RMSprop(hp.discriminator_learning_rate)
        schedule = (SEGMENTATION_UPDATE, DISCRIMINATION_UPDATE, ADVERSARIAL_UPDATE)
        return Players(players, optimizers, schedule)

    def recipe(self, hp: MoeskopsHyperparameters, manifest: Manifest) -> Recipe:
        size = (self.view.patch_size, self.view.patch_size)
        return Recipe(self.view, size, hp.batch_size, hp.normalisation, Augmentation())

    def tiling(self, hp: MoeskopsHyperparameters, manifest: Manifest) -> Tiling:
        return WholeSlices(self.architecture.margin)

    def learning_rates(self, hp: MoeskopsHyperparameters, epoch: int) -> Mapping[str, float]:
        rates = {"segmentor": hp.learning_rate}
        if self.adversarial:
            rates |= dict.fromkeys(("discriminator", "adversarial"), hp.discriminator_learning_rate)
        return rates


def _segmentation_loss(players: Networks, batch: Batch) -> Outcome:
    """Ls."""
    logits = players["segmentor"](batch["image"], training=True)
    return Outcome({"segmentor_cross_entropy": cross_entropy(batch["label"], logits)}, {})


def _discrimination_loss(players: Networks, batch: Batch) -> Outcome:
    """Ld."""
    # The segmentor only looks on: its moving statistics stay.
    manual, _ = _discriminated(players, batch, segmentor_training=False)
    observed = {"discriminator_true": tf.reduce_mean(tf.nn.softmax(manual)[:, MANUAL])}
    return Outcome({"discriminator_manual": _discrimination(manual, MANUAL)}, observed)


def _adversarial_loss(players: Networks, batch: Batch) -> Outcome:
    """La."""
    _, generated = _discriminated(players, batch, segmentor_training=True)
    observed = {"discriminator_generated": tf.reduce_mean(tf.nn.softmax(generated)[:, MANUAL])}
    return Outcome({"adversarial": _discrimination(generated, GENERATED)}, observed)


def _discriminated(
    players: Networks, batch: Batch, *, segmentor_training: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    """D's logits [B, 2] of a minibatch's manual and of its generated label maps.

    Each loss uses one of them. D still sees both together, because its batch normalisation would
    remove what tells them apart from a minibatch of one kind: then it stays at chance.
    """
    segmentor, discriminator = players["segmentor"], players["discriminator"]
    generated = tf.nn.softmax(segmentor(batch["image"], training=segmentor_training))
    manual = tf.one_hot(batch["label"], generated.shape[-1])
    images = tf.tile(_central_image(batch["image"]), [2, 1, 1, 1])
    logits = discriminator([images, tf.concat([manual, generated], 0)], training=True)
    of_manual, of_generated = tf.split(logits, 2)
    return of_manual, of_generated


def _discrimination(logits: tf.Tensor, node: int) -> tf.Tensor:
    """Cross entropy of the discriminator's logits [B, 2] with one node for all samples."""
    return cross_entropy(tf.fill(tf.shape(logits)[:1], node), logits)


def _central_image(patches: tf.Tensor) -> tf.Tensor:
    """The patches' centres [B, 25, 25, C], which the discriminator sees."""
    rim = (patches.shape[1] - networks.DISCRIMINATOR_SIZE) // 2
    return patches[:, rim:-rim, rim:-rim]


SEGMENTATION_UPDATE = Update(
    name="segmentation",
    loss=_segmentation_loss,
    trains={"segmentor": "segmentor"},
    terms=("segmentor_cross_entropy",),
    minibatch=0,
    words="S descends Ls, the cross entropy (2.3, update 1)",
)
DISCRIMINATION_UPDATE = Update(
    name="discrimination",
    loss=_discrimination_loss,
    trains={"discriminator": "discriminator"},
    terms=("discriminator_manual",),
    observes=("discriminator_true",),
    minibatch=1,
    words="D descends Ld, the discrimination loss on manual label maps (2.3, update 2)",
)
ADVERSARIAL_UPDATE = Update(
    name="adversarial",
    loss=_adversarial_loss,
    trains={"discriminator": "discriminator", "segmentor": "adversarial"},
    terms=("adversarial",),
    observes=("discriminator_generated",),
    ascends=frozenset({"segmentor"}),
    minibatch=2,
    words="D descends and S ascends La, the discrimination loss on S(x) (2.3, update 3)",
)

METHODS = (
    Moeskops("moeskops_fcn", "the fully convolutional network, cross entropy alone", FCN),
    Moeskops("moeskops_dilated", "the dilated network, cross entropy alone", DILATED),
    Moeskops(
        "moeskops_fcn_adversarial",
        "the fully convolutional network and the discriminator, alternating",
        FCN,
        adversarial=True,
        batch_size=100,
        small={"batch_size": 35},
    ),
    Moeskops(
        "moeskops_dilated_adversarial",
        "the dilated network and the discriminator, alternating",
        DILATED,
        adversarial=True,
        batch_size=100,
        small={"batch_size": 35},
    ),
)
