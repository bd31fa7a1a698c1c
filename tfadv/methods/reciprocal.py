"""Peiris et al. 2021, Reciprocal Adversarial Learning for Brain Tumor Segmentation.

Paper symbols: F is the segmentor, psi the critic, X the image, Y the true maps of the regions. F
descends dice_weight * Dice (eq. 3) + vat_weight * VAT (eq. 4) + critic_weight * -log psi(F(X)); the
critic descends the cross entropy of telling Y from F(X), voxel by voxel (eq. 5). Both on the same
minibatch. Ablations leave out a term; without the critic's there is no critic.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from tfadv.adversarial import Batch, Networks, Outcome, Players, Update
from tfadv.inference.targets import Targets, region_targets
from tfadv.inference.tiling import SlidingWindow, Tiling, WholeVolume
from tfadv.losses.adversarial import discriminator_loss, non_saturating_segmentor_loss
from tfadv.losses.dice import dice_loss
from tfadv.losses.virtual_adversarial import (
    adversarial_perturbation,
    bernoulli_divergence,
)
from tfadv.methods.method import Hyperparameters, Method, hyperparameter
from tfadv.networks import reciprocal as networks
from tfrecords.errors import UserError
from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.batches import Recipe
from tfrecords.records.manifest import Manifest
from tfrecords.records.views import Volumes

DOWNSAMPLING = 16  # Of the segmentor: volumes are padded to multiples of it.
VAT_TARGETS = ("truth", "prediction")


@dataclass(frozen=True)
class ReciprocalHyperparameters(Hyperparameters):
    """Values of the paper's sections 3.4 and 4.1, or ours."""

    epochs: int = hyperparameter(100, "4.1", small=30)
    steps_per_epoch: int = hyperparameter(500, "4.1: 1000 volumes, 2 a step", small=50)
    batch_size: int = hyperparameter(2, "4.1: per replica")
    normalisation: str = hyperparameter(
        "percentile_min_max", "4.1: min-max scaling and clipping; at the percentiles 1 and 99"
    )
    crop_size: int = hyperparameter(128, "4.1: voxels, cubic", small=32)
    width: int = hyperparameter(48, "4.1: feature maps of the first level", small=8)
    critic_width: int = hyperparameter(48, "ours: not stated", small=8)
    dice_weight: float = hyperparameter(1.0, "3.4: lambda_s")
    vat_weight: float = hyperparameter(0.2, "3.4: lambda_v")
    critic_weight: float = hyperparameter(0.3, "3.4: lambda_c")
    vat_target: str = hyperparameter("truth", "eq. 4; prediction: Miyato et al. 2018")
    epsilon: float = hyperparameter(10.0, "ours: not stated; norm of the perturbation")
    xi: float = hyperparameter(10.0, "ours: not stated; norm of the step in the power iteration")
    power_iterations: int = hyperparameter(1, "ours: not stated; Miyato et al. 2018")
    unlabelled: bool = hyperparameter(
        False, "ours: as many examples without label map feed the VAT term"
    )
    whole_volume: bool = hyperparameter(
        True, "4.1: segments volumes at once; false: in windows of crop_size", small=False
    )
    learning_rate: float = hyperparameter(2e-4, "4.1: Adam, F", small=1e-3)
    critic_learning_rate: float = hyperparameter(5e-5, "4.1: RMSprop, critic")


class Reciprocal(Method):
    paper = (
        "Peiris et al. 2021, Reciprocal Adversarial Learning for Brain Tumor Segmentation: A "
        "Solution to BraTS Challenge 2021 Segmentation Task, arXiv:2201.03777"
    )
    view = Volumes()
    hyperparameters = ReciprocalHyperparameters
    departures = (
        "eq. 3 as printed lacks the factor 2: a perfect prediction would cost 0.5",
        "eq. 5 as printed swaps eta; its sum over voxels is a mean, so that the weights of eq. 2 "
        "hold for any crop; the segmentor descends -log psi(F(X)), which does not saturate",
        "the decoder's number of convolutions is not stated: one after the upsampling, then two "
        "after the skip's concatenation, as in the encoder; 8 groups in its normalisation",
        "the critic's feature maps and slope are not stated: as many as the segmentor's first "
        "level, 0.2; its last layer has no normalisation, being the confidence itself",
        "the critic sees truth and prediction of a minibatch in one pass, so that its batch "
        "normalisation is the same function of both",
        "norm and number of iterations of the perturbation are not stated",
        "the epoch with the best validation Dice is evaluated; the paper takes the last",
    )

    def targets(self, manifest: Manifest) -> Targets:
        return region_targets(manifest)

    def build(
        self, hp: ReciprocalHyperparameters, channels: int, outputs: Sequence[str]
    ) -> Players:
        _check(hp)
        players = {"segmentor": networks.segmentor(channels, len(outputs), hp.width)}
        optimizers = {"segmentor": keras.optimizers.Adam(hp.learning_rate)}
        # What a step draws follows its number, which checkpoints hold: a resumed run draws alike.
        game = _Game(hp, lambda: optimizers["segmentor"].iterations.value)
        schedule = [game.segmentor_update()]
        if hp.critic_weight:
            players["critic"] = networks.critic(len(outputs), hp.critic_width)
            optimizers["critic"] = keras.optimizers.RMSprop(hp.critic_learning_rate)
            schedule.insert(0, CRITIC_UPDATE)
        return Players(players, optimizers, tuple(schedule))

    def recipe(self, hp: ReciprocalHyperparameters, manifest: Manifest) -> Recipe:
        return Recipe(
            self.view,
            (hp.crop_size,) * 3,
            hp.batch_size,
            hp.normalisation,
            Augmentation(),
            regions=self.targets(manifest).members,
            unlabelled=hp.unlabelled,
        )

    def tiling(self, hp: ReciprocalHyperparameters, manifest: Manifest) -> Tiling:
        # Group normalisation sees the whole input: windows of another extent than the training's
        # crops, relative to the body, are normalised otherwise (docs/results.md).
        return WholeVolume(DOWNSAMPLING) if hp.whole_volume else SlidingWindow((hp.crop_size,) * 3)

    def learning_rates(self, hp: ReciprocalHyperparameters, epoch: int) -> Mapping[str, float]:
        rates = {"segmentor": hp.learning_rate}
        return rates | ({"critic": hp.critic_learning_rate} if hp.critic_weight else {})


def _check(hp: ReciprocalHyperparameters) -> None:
    if hp.crop_size % DOWNSAMPLING:
        raise UserError(
            f"--hp.crop_size: expected a multiple of {DOWNSAMPLING}, received {hp.crop_size}"
        )
    if hp.vat_target not in VAT_TARGETS:
        raise UserError(
            f"--hp.vat_target: expected one of {', '.join(VAT_TARGETS)}, received {hp.vat_target}"
        )
    if hp.unlabelled and not hp.vat_weight:
        raise UserError("--hp.unlabelled: expected a method with a VAT term, which alone uses it")


def _critic_loss(players: Networks, batch: Batch) -> Outcome:
    """Eq. 5, of the critic."""
    of_truth, of_maps = _judged(players, batch, tf.sigmoid(players["segmentor"](batch["image"])))
    observed = {
        "critic_true": tf.reduce_mean(tf.sigmoid(of_truth)),
        "critic_generated": tf.reduce_mean(tf.sigmoid(of_maps)),
    }
    return Outcome({"critic_cross_entropy": discriminator_loss(of_truth, of_maps)}, observed)


def _judged(players: Networks, batch: Batch, maps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The critic's logits of the true and of the predicted maps, seen together."""
    truth = tf.cast(batch["label"], maps.dtype)
    logits = players["critic"](tf.concat([truth, maps], 0), training=True)
    of_truth, of_maps = tf.split(logits, 2)
    return of_truth, of_maps


CRITIC_UPDATE = Update(
    name="critic",
    loss=_critic_loss,
    trains={"critic": "critic"},
    terms=("critic_cross_entropy",),
    observes=("critic_true", "critic_generated"),
    words="psi descends the cross entropy of truth against prediction, per voxel (eq. 5)",
)


@dataclass(frozen=True)
class _Game:
    """The segmentor's update with the terms that have a weight; `step` is the step's number."""

    hp: ReciprocalHyperparameters
    step: Callable[[], tf.Tensor]

    def segmentor_update(self) -> Update:
        hp = self.hp
        weights = {
            "dice": (hp.dice_weight, "Dice (eq. 3)"),
            "vat": (hp.vat_weight, f"VAT (eq. 4, target: {hp.vat_target})"),
            "adversarial": (hp.critic_weight, "-log psi(F(X))"),
        }
        used = {name: words for name, words in weights.items() if words[0]}
        return Update(
            name="segmentor",
            loss=self._loss,
            trains={"segmentor": "segmentor"},
            terms=tuple(f"segmentor_{name}" for name in used),
            words="F descends " + " + ".join(f"{w:g} * {words}" for w, words in used.values()),
        )

    def _loss(self, players: Networks, batch: Batch) -> Outcome:
        hp = self.hp
        maps = tf.sigmoid(players["segmentor"](batch["image"], training=True))
        terms = {}
        if hp.dice_weight:
            terms["segmentor_dice"] = hp.dice_weight * dice_loss(maps, batch["label"])
        if hp.vat_weight:
            terms["segmentor_vat"] = hp.vat_weight * self._vat(players["segmentor"], batch, maps)
        if hp.critic_weight:
            _, of_maps = _judged(players, batch, maps)
            adversarial = non_saturating_segmentor_loss(of_maps)
            terms["segmentor_adversarial"] = hp.critic_weight * adversarial
        return Outcome(terms, {})

    def _vat(self, segmentor: keras.Model, batch: Batch, maps: tf.Tensor) -> tf.Tensor:
        """The mean over labelled and unlabelled samples alike; their numbers are equal."""
        truth = tf.cast(batch["label"], maps.dtype)
        target = truth if self.hp.vat_target == "truth" else tf.stop_gradient(maps)
        image = batch["image"]
        if self.hp.unlabelled:
            unlabelled = batch["unlabelled"]
            answer = tf.stop_gradient(tf.sigmoid(segmentor(unlabelled, training=False)))
            image, target = tf.concat([image, unlabelled], 0), tf.concat([target, answer], 0)
        seed = tf.stack([tf.cast(self.step(), tf.int64), 0])
        perturbation = adversarial_perturbation(
            lambda moved: bernoulli_divergence(target, segmentor(moved, training=False)),
            image,
            tf.random.stateless_normal(tf.shape(image), seed),
            epsilon=self.hp.epsilon,
            xi=self.hp.xi,
            iterations=self.hp.power_iterations,
        )
        logits = segmentor(image + perturbation, training=True)
        return tf.reduce_mean(bernoulli_divergence(target, logits))


METHODS = (
    Reciprocal(
        "reciprocal", "3D U-Net: Dice, virtual adversarial training and a voxel-wise critic"
    ),
    Reciprocal(
        "reciprocal_dice", "3D U-Net: Dice alone, the baseline", vat_weight=0.0, critic_weight=0.0
    ),
    Reciprocal(
        "reciprocal_vat", "3D U-Net: Dice and virtual adversarial training", critic_weight=0.0
    ),
    Reciprocal("reciprocal_critic", "3D U-Net: Dice and a voxel-wise critic", vat_weight=0.0),
)
