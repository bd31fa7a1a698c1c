"""Kohl et al. 2017, Adversarial Networks for the Detection of Aggressive Prostate Cancer.

Paper symbols: S is the segmentor, D the discriminator, x the image, y the reference label map.
D takes k minibatches for each one of S. S minimises the weighted sum of -log D(S(x)) (eq. 4) and
the multi-class cross entropy (eq. 2): (1, 0) is the purely adversarial training, (0, 1) the
baseline, (1, 1/2) the hybrid of Table 1.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from tfadv.adversarial import Batch, Networks, Outcome, Players, Update
from tfadv.losses.adversarial import discriminator_loss, non_saturating_segmentor_loss
from tfadv.losses.cross_entropy import cross_entropy
from tfadv.methods.method import Hyperparameters, Method, hyperparameter
from tfadv.networks import kohl as networks
from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.batches import Recipe
from tfrecords.records.manifest import Manifest
from tfrecords.records.views import Slices

DOWNSAMPLING = 16  # Of the segmentor: slices are multiples of it.


@dataclass(frozen=True)
class KohlHyperparameters(Hyperparameters):
    """Values of the paper's section "Training" and "Network Architectures", or ours."""

    epochs: int = hyperparameter(225, "Training", small=30)
    steps_per_epoch: int = hyperparameter(80, "Training: batches of S per epoch")
    batch_size: int = hyperparameter(5, "Training: of one minibatch, per replica", small=8)
    normalisation: str = hyperparameter("z_score", "ours: not stated")
    crop_size: int = hyperparameter(
        416, "MRI dataset: slice size; 0 takes the largest slice of the record set", small=0
    )
    rotation_rad: float = hyperparameter(math.pi / 8, "Training")
    shift: float = hyperparameter(50.0, "Training: voxels", small=4.0)
    mirror: bool = hyperparameter(True, "Training")
    favoured_share: float = hyperparameter(
        0.7, "Training: 3.5 of 5 from the aggressive set; here the dataset's first group"
    )
    width: int = hyperparameter(64, "Network Architectures", small=16)
    convolutions: int = hyperparameter(1, "Network Architectures: per level", small=2)
    discriminator_width: int = hyperparameter(64, "Network Architectures", small=16)
    discriminator_poolings: int = hyperparameter(
        5,
        "ours: not stated; 416 becomes 13, and fewer keep the last maps of small slices large",
        small=2,
    )
    label_noise: float = hyperparameter(
        0.0,
        "ours: standard deviation of Gaussian noise on D's label maps (instance noise, Sonderby et "
        "al. 2017), so that D judges shapes and not how sharp a map is",
        small=0.5,
    )
    shuffled_kinds: bool = hyperparameter(
        False,
        "ours: a control: of each pair of a true and a generated map, D is told by lot which is "
        "true, so that its verdict says nothing. (Frozen at its random start it is with a "
        "discriminator_learning_rate of 0)",
    )
    adversarial_weight: float = hyperparameter(1.0, "Table 1, eq. 4")
    cross_entropy_weight: float = hyperparameter(0.0, "Table 1, eq. 2")
    discriminator_steps: int = hyperparameter(3, "Training: k, minibatches of D for one of S")
    learning_rate: float = hyperparameter(1e-5, "Training: Adam, S", small=1e-3)
    halve_every: int = hyperparameter(
        75, "Training: epochs after which S's rate is halved", small=10
    )
    discriminator_learning_rate: float = hyperparameter(
        1e-5, "Training: Adam, D, fixed", small=2e-5
    )
    discriminator_warmup: int = hyperparameter(
        0, "ours: first epochs in which D alone learns (S's rate is 0)"
    )
    beta_1: float = hyperparameter(0.9, "ours: not stated, Adam's default", small=0.5)


class Kohl(Method):
    paper = (
        "Kohl et al. 2017, Adversarial Networks for the Detection of Aggressive Prostate Cancer, "
        "arXiv:1702.08014"
    )
    view = Slices()
    hyperparameters = KohlHyperparameters
    departures = (
        "down- and upsampling are not stated: 2x2 max-pooling, 2x nearest-neighbour upsampling",
        "leaky slope not stated: 0.2, as in Isola et al. 2017, whom the paper follows",
        "Adam's beta_1 not stated: 0.9",
        "intensity normalisation not stated: z-score over non-zero voxels",
        "the aggressive set is the dataset's first group; slices are drawn with and without "
        "lesion, those without any label as well unless preprocessing left them out "
        "(--foreground_slices)",
    )

    def build(self, hp: KohlHyperparameters, channels: int, outputs: Sequence[str]) -> Players:
        classes = len(outputs)
        players = {"segmentor": networks.segmentor(channels, classes, hp.width, hp.convolutions)}
        optimizers = {"segmentor": keras.optimizers.Adam(hp.learning_rate, beta_1=hp.beta_1)}
        if not hp.adversarial_weight:
            return Players(players, optimizers, (_segmentor_update(hp, 0),))
        players["discriminator"] = networks.discriminator(
            channels, classes, hp.discriminator_width, hp.discriminator_poolings, hp.label_noise
        )
        optimizers["discriminator"] = keras.optimizers.Adam(
            hp.discriminator_learning_rate, beta_1=hp.beta_1
        )
        # What a step draws follows its number, which checkpoints hold: a resumed run draws alike.
        steps = optimizers["discriminator"].iterations
        lots = _Lots(lambda: steps.value) if hp.shuffled_kinds else None
        k = hp.discriminator_steps
        schedule = (
            *(_discriminator_update(number, lots) for number in range(k)),
            _segmentor_update(hp, k),
        )
        return Players(players, optimizers, schedule)

    def recipe(self, hp: KohlHyperparameters, manifest: Manifest) -> Recipe:
        _, height, width = manifest.largest_shape
        size = (hp.crop_size or _round_up(height), hp.crop_size or _round_up(width))
        augmentation = Augmentation(hp.rotation_rad, hp.shift, hp.mirror)
        return Recipe(
            self.view,
            size,
            hp.batch_size,
            hp.normalisation,
            augmentation,
            favoured_share=hp.favoured_share,
        )

    def learning_rates(self, hp: KohlHyperparameters, epoch: int) -> Mapping[str, float]:
        rate = hp.learning_rate * 0.5 ** (epoch // hp.halve_every)
        if not hp.adversarial_weight:
            return {"segmentor": rate}
        return {
            "segmentor": 0.0 if epoch < hp.discriminator_warmup else rate,
            "discriminator": hp.discriminator_learning_rate,
        }


def _round_up(extent: int) -> int:
    return -(-extent // DOWNSAMPLING) * DOWNSAMPLING


@dataclass(frozen=True)
class _Lots:
    """Swaps what D said of the true and of the generated map, in about half of the pairs."""

    step: Callable[[], tf.Tensor]

    def swap(self, true: tf.Tensor, generated: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seed = tf.stack([tf.cast(self.step(), tf.int64), 0])
        swapped = tf.random.stateless_uniform(tf.shape(true), seed) < 0.5
        return tf.where(swapped, generated, true), tf.where(swapped, true, generated)


def _discriminator_update(minibatch: int, lots: _Lots | None) -> Update:
    """D descends eq. 3."""

    def loss(networks: Networks, batch: Batch) -> Outcome:
        segmentor, discriminator = networks["segmentor"], networks["discriminator"]
        logits = segmentor(batch["image"], training=True)
        truth = tf.one_hot(batch["label"], logits.shape[-1])
        true = discriminator([batch["image"], truth], training=True)
        generated = discriminator([batch["image"], tf.nn.softmax(logits)], training=True)
        observed = {
            "discriminator_true": tf.reduce_mean(tf.sigmoid(true)),
            "discriminator_generated": tf.reduce_mean(tf.sigmoid(generated)),
        }
        if lots:
            true, generated = lots.swap(true, generated)
        return Outcome({"discriminator_loss": discriminator_loss(true, generated)}, observed)

    return Update(
        name="discriminator",
        loss=loss,
        trains={"discriminator": "discriminator"},
        terms=("discriminator_loss",),
        observes=("discriminator_true", "discriminator_generated"),
        minibatch=minibatch,
        words="D descends -mean[log D(y) + log(1 - D(S(x)))] (eq. 3)"
        + (", y and S(x) swapped by lot" if lots else ""),
    )


def _segmentor_update(hp: KohlHyperparameters, minibatch: int) -> Update:
    """S descends the weighted sum of eq. 4 and eq. 2."""
    weights = {
        "segmentor_adversarial": hp.adversarial_weight,
        "segmentor_cross_entropy": hp.cross_entropy_weight,
    }
    formulas = {
        "segmentor_adversarial": "-mean log D(S(x)) (eq. 4)",
        "segmentor_cross_entropy": "cross entropy (eq. 2)",
    }
    terms = tuple(name for name, weight in weights.items() if weight)

    def loss(networks: Networks, batch: Batch) -> Outcome:
        logits = networks["segmentor"](batch["image"], training=True)
        values = {}
        if hp.adversarial_weight:
            pair = [batch["image"], tf.nn.softmax(logits)]
            generated = networks["discriminator"](pair, training=True)
            values["segmentor_adversarial"] = non_saturating_segmentor_loss(generated)
        if hp.cross_entropy_weight:
            values["segmentor_cross_entropy"] = cross_entropy(batch["label"], logits)
        return Outcome({name: weights[name] * value for name, value in values.items()}, {})

    return Update(
        name="segmentor",
        loss=loss,
        trains={"segmentor": "segmentor"},
        terms=terms,
        minibatch=minibatch,
        words="S descends " + " + ".join(f"{weights[name]:g} * {formulas[name]}" for name in terms),
    )


METHODS = (
    Kohl("kohl_purely_adversarial", "S learns from the discriminator alone (eq. 3 and 4)"),
    Kohl(
        "kohl_cross_entropy",
        "the baseline: cross entropy alone (eq. 2)",
        adversarial_weight=0.0,
        cross_entropy_weight=1.0,
    ),
    Kohl(
        "kohl_hybrid",
        "the discriminator and half the cross entropy (Table 1)",
        cross_entropy_weight=0.5,
    ),
)
