"""Peiris et al. 2021, Reciprocal Adversarial Learning for Brain Tumor Segmentation.

Paper symbols: F is the segmentor, psi the critic, X the image, Y the true maps of the regions. F
descends dice_weight * Dice (eq. 3) + vat_weight * VAT (eq. 4) + critic_weight * -log psi(F(X)); the
critic descends the cross entropy of telling Y from F(X), voxel by voxel (eq. 5). Both on the same
minibatch. Ablations leave out a term; without the critic's there is no critic.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import tensorflow as tf

from tfadv.inference.targets import Targets, region_targets
from tfadv.inference.tiling import SlidingWindow, Tiling, WholeVolume
from tfadv.losses.adversarial import discriminator_loss, non_saturating_segmentor_loss
from tfadv.losses.annotated import shown
from tfadv.losses.dice import dice_loss
from tfadv.losses.virtual_adversarial import adversarial_perturbation, bernoulli_divergence
from tfadv.methods.checks import ANY, COUNT, POSITIVE, at_least, multiple_of, one_of
from tfadv.methods.controls import Judged, over_unlabelled, unlabelled_too
from tfadv.methods.method import JOINT_DECISION, hyperparameter
from tfadv.methods.optimizers import Adam, torch_rmsprop
from tfadv.methods.variation import Varied
from tfadv.methods.verdicts import Verdicts, observed, swapped
from tfadv.networks import reciprocal as networks
from tfadv.players import LOOKED, Batch, Networks, Players, Scene, Term, Update
from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.normalisation import SCHEMES
from tfrecords.reading.recipe import Recipe
from tfrecords.records.manifest import Manifest
from tfrecords.records.views import Volumes

DOWNSAMPLING = 16  # Of the segmentor: volumes are padded to multiples of it.


@dataclass(frozen=True, kw_only=True)
class ReciprocalDice(Varied):
    """Values of the paper's sections 3.4 and 4.1, or ours: what the ablations share."""

    name = "reciprocal_dice"
    partner = "reciprocal_critic"
    summary = "3D U-Net: Dice alone, the baseline"
    paper = (
        "Peiris et al. 2021, Reciprocal Adversarial Learning for Brain Tumor Segmentation: A "
        "Solution to BraTS Challenge 2021 Segmentation Task, arXiv:2201.03777"
    )
    view = Volumes()
    departures: ClassVar[Sequence[str]] = (
        "eq. 3 as printed lacks the factor 2: a perfect prediction would cost 0.5",
        "the decoder's number of convolutions is not stated: one after the upsampling, then two "
        "after the skip's concatenation, as in the encoder; 8 groups in its normalisation, whose "
        "epsilon is 1e-5, PyTorch's",
        JOINT_DECISION,
        "crops lie anywhere in the body's box, and are padded where it is smaller; where the "
        "paper's lie is not stated, but that they leave background out",
        "whole volumes are cropped to the body's box, not 240x240x155; the groups' statistics are "
        "then those of another extent than the training's crops, and maps differ for it",
        "the epoch with the best validation Dice is evaluated; the paper takes the last",
    )
    sizes = (
        {"crop_size": 32, "width": 8},
        {"crop_size": 48, "width": 8},
        {"crop_size": 64, "width": 8},
        {"crop_size": 64, "width": 16},
        {"crop_size": 96, "width": 16},
        {"crop_size": 128, "width": 16},
        {"crop_size": 128, "width": 48},
    )

    epochs: int = hyperparameter(100, "4.1", COUNT, small=30)
    steps_per_epoch: int = hyperparameter(500, "4.1: 1000 volumes, 2 a step", COUNT, small=50)
    batch_size: int = hyperparameter(2, "4.1: per replica", COUNT)
    normalisation: str = hyperparameter(
        "percentile_min_max",
        "4.1: min-max scaling and clipping; at the percentiles 1 and 99",
        one_of(*SCHEMES),
    )
    crop_size: int = hyperparameter(128, "4.1: voxels, cubic", multiple_of(DOWNSAMPLING), small=32)
    width: int = hyperparameter(48, "4.1: feature maps of the first level", COUNT, small=8)
    recompute: bool = hyperparameter(
        False,
        "ours: whether F's training keeps the convolutions' results alone and computes what lies "
        "between them again for gradients, for less memory and more time; the values are the same",
        ANY,
    )
    dice_weight: float = hyperparameter(1.0, "3.4: lambda_s", POSITIVE)
    whole_volume: bool = hyperparameter(
        True, "4.1: segments volumes at once; false: in windows of crop_size", ANY, small=False
    )
    learning_rate: float = hyperparameter(2e-4, "4.1: Adam, F", POSITIVE, small=1e-3)

    def targets(self, manifest: Manifest) -> Targets:
        return region_targets(manifest)

    def terms(self, step: Callable[[], tf.Tensor]) -> tuple[Term, ...]:
        """Of F's loss.

        Args:
            step: the number of F's steps, which checkpoints hold: what is drawn follows it.
        """
        return (
            Term(
                "segmentor_dice",
                lambda scene: dice_loss(
                    scene.shared, scene.batch["label"], scene.batch.get("annotated")
                ),
                "Dice (eq. 3)",
                self.dice_weight,
            ),
        )

    def build(self, channels: int, outputs: Sequence[str]) -> Players:
        adam = Adam(self.rate("segmentor"))
        update = Update(
            "segmentor",
            {"segmentor": "segmentor"},
            self.terms(lambda: adam.iterations.value),
            _maps,
            by="F descends",
        )
        segmentor = networks.segmentor(channels, len(outputs), self.width, recompute=self.recompute)
        return Players({"segmentor": segmentor}, {"segmentor": adam}, (update,))

    def recipe(self, manifest: Manifest) -> Recipe:
        return Recipe(
            self.view,
            (self.crop_size,) * 3,
            self.batch_size,
            self.normalisation,
            self.varied(Augmentation()),
            regions=self.targets(manifest).members,
        )

    def tiling(self, manifest: Manifest) -> Tiling:
        # Group normalisation sees the whole input: windows of another extent than the training's
        # crops, relative to the body, are normalised otherwise (docs/results/peiris2021.md).
        if self.whole_volume:
            return WholeVolume(DOWNSAMPLING)
        return SlidingWindow((self.crop_size,) * 3)

    def rate(self, optimizer: str, epoch: int = 0) -> float:
        return self.learning_rate


@dataclass(frozen=True, kw_only=True)
class ReciprocalVat(ReciprocalDice):
    """With virtual adversarial training."""

    name = "reciprocal_vat"
    summary = "3D U-Net: Dice and virtual adversarial training"
    departures: ClassVar[Sequence[str]] = (
        *ReciprocalDice.departures,
        "size and number of iterations of the perturbation are not stated",
    )

    vat_weight: float = hyperparameter(0.2, "3.4: lambda_v", POSITIVE)
    vat_target: str = hyperparameter(
        "truth", "eq. 4; prediction: Miyato et al. 2018", one_of("truth", "prediction")
    )
    epsilon: float = hyperparameter(
        0.055,
        "ours: not stated; root mean square of the perturbation, in units of the normalised "
        "intensity",
        POSITIVE,
    )
    xi: float = hyperparameter(
        0.055, "ours: not stated; that of the step in the power iteration", POSITIVE
    )
    power_iterations: int = hyperparameter(1, "ours: not stated; Miyato et al. 2018", at_least(0))
    unlabelled: bool = hyperparameter(
        False, "ours: as many examples without label map feed the VAT term", ANY
    )

    def terms(self, step: Callable[[], tf.Tensor]) -> tuple[Term, ...]:
        words = f"VAT (eq. 4, target: {self.vat_target})"
        vat = Term("segmentor_vat", lambda scene: self._vat(scene, step()), words, self.vat_weight)
        return (*super().terms(step), vat)

    def recipe(self, manifest: Manifest) -> Recipe:
        return replace(super().recipe(manifest), unlabelled=self.unlabelled)

    def _vat(self, scene: Scene, step: tf.Tensor) -> tf.Tensor:
        """The mean over labelled and unlabelled samples alike; their numbers are equal.

        F's own answers need no annotation: where they are the target, all voxels count.
        """
        segmentor, batch, maps = scene.networks["segmentor"], scene.batch, scene.shared
        image, annotated = batch["image"], None
        if self.vat_target == "truth":
            target, annotated = tf.cast(batch["label"], maps.dtype), batch.get("annotated")
        else:
            target = tf.stop_gradient(maps)
        if self.unlabelled:
            unlabelled = batch["unlabelled"]
            answer = tf.stop_gradient(tf.sigmoid(segmentor(unlabelled, training=False)))
            image, target = tf.concat([image, unlabelled], 0), tf.concat([target, answer], 0)
            if annotated is not None:
                annotated = tf.concat([annotated, tf.ones_like(annotated)], 0)
        seed = tf.stack([tf.cast(step, tf.int64), 0])
        perturbation = adversarial_perturbation(
            lambda moved: bernoulli_divergence(target, segmentor(moved, training=False), annotated),
            image,
            tf.random.stateless_normal(tf.shape(image), seed),
            epsilon=self.epsilon,
            xi=self.xi,
            iterations=self.power_iterations,
        )
        logits = segmentor(image + perturbation, training=True)
        return tf.reduce_mean(bernoulli_divergence(target, logits, annotated))


@dataclass(frozen=True, kw_only=True)
class ReciprocalCritic(ReciprocalDice, Judged):
    """With a critic."""

    name = "reciprocal_critic"
    summary = "3D U-Net: Dice and a voxel-wise critic"
    departures: ClassVar[Sequence[str]] = (
        *ReciprocalDice.departures,
        "eq. 5 as printed swaps eta; its sum over voxels is a mean, so that the weights of eq. 2 "
        "hold for any crop; the segmentor descends -log psi(F(X)), which does not saturate",
        "the critic's feature maps and slope are not stated: as many as the segmentor's first "
        "level, 0.2; its last layer has no normalisation, being the confidence itself; RMSprop is "
        "PyTorch's (rho 0.99)",
        "the critic sees truth and prediction of a minibatch in one pass, so that its batch "
        "normalisation is the same function of both",
    )

    critic_width: int = hyperparameter(48, "ours: not stated", COUNT, small=8)
    critic_weight: float = hyperparameter(0.3, "3.4: lambda_c", POSITIVE)
    unlabelled: bool = unlabelled_too()
    # The same with preset small, whose F learns five times as fast: at a quarter of that rate, too,
    # the critic wins for most of 1000 steps (docs/results/peiris2021.md).
    critic_learning_rate: float = hyperparameter(5e-5, "4.1: RMSprop, critic", POSITIVE)

    def terms(self, step: Callable[[], tf.Tensor]) -> tuple[Term, ...]:
        words = "-log psi(F(X))"
        adversarial = Term(
            "segmentor_adversarial", _adversarial, words, self.critic_weight, verdict=True
        )
        return (*super().terms(step), adversarial)

    def recipe(self, manifest: Manifest) -> Recipe:
        return replace(super().recipe(manifest), unlabelled=self.unlabelled)

    def build(self, channels: int, outputs: Sequence[str]) -> Players:
        alone = super().build(channels, outputs)
        critic = networks.critic(len(outputs), self.critic_width)
        return Players(
            {**alone.networks, "critic": critic},
            {**alone.optimizers, "critic": torch_rmsprop(self.rate("critic"))},
            (CRITIC_UPDATE, *alone.schedule),
        )

    def rate(self, optimizer: str, epoch: int = 0) -> float:
        return self.critic_learning_rate if optimizer == "critic" else self.learning_rate


@dataclass(frozen=True, kw_only=True)
class Reciprocal(ReciprocalCritic, ReciprocalVat):
    name = "reciprocal"
    summary = "3D U-Net: Dice, virtual adversarial training and a voxel-wise critic"

    unlabelled: bool = unlabelled_too(" and the VAT term")
    departures: ClassVar[Sequence[str]] = (
        *ReciprocalCritic.departures,
        *ReciprocalVat.departures[len(ReciprocalDice.departures) :],
    )


def _maps(networks: Networks, batch: Batch) -> tf.Tensor:
    """F(X), probabilities."""
    return tf.sigmoid(networks["segmentor"](batch["image"], training=True))


def _judged(networks: Networks, batch: Batch, maps: tf.Tensor) -> Verdicts:
    """The critic's logits of the true and of the predicted maps, seen together."""
    truth, annotated = tf.cast(batch["label"], maps.dtype), batch.get("annotated")
    pair = tf.concat([shown(kind, annotated) for kind in (truth, maps)], 0)
    true, generated = tf.split(networks["critic"](pair, training=True), 2)
    return Verdicts(true, generated, annotated if annotated is None else annotated[..., None])


def _adversarial(scene: Scene) -> tf.Tensor:
    networks, batch = scene.networks, scene.batch
    verdicts = _judged(networks, batch, scene.shared)
    loss = non_saturating_segmentor_loss(verdicts.generated, verdicts.annotated)

    def of_unlabelled(image: tf.Tensor) -> tf.Tensor:
        maps = tf.sigmoid(networks["segmentor"](image, training=True))
        # Beside the truth of other images, so that the normalisation is that of all passes.
        beside = {"label": batch["label"]}
        return non_saturating_segmentor_loss(_judged(networks, beside, maps).generated)

    return over_unlabelled(loss, batch, of_unlabelled)


def _look(networks: Networks, batch: Batch) -> Verdicts:
    """The pass of eq. 5: F only looks on."""
    maps = batch.get(LOOKED)
    if maps is None:
        maps = tf.sigmoid(networks["segmentor"](batch["image"]))
    return _judged(networks, batch, maps)


CRITIC_UPDATE = Update(
    "critic",
    {"critic": "critic"},
    (
        Term(
            "critic_cross_entropy",
            lambda scene: discriminator_loss(*scene.shared),
            "the cross entropy of truth against prediction, per voxel (eq. 5)",
        ),
    ),
    _look,
    observed("critic"),
    by="psi descends",
    looks="segmentor",
    shuffle=swapped,
)

METHODS = (Reciprocal, ReciprocalDice, ReciprocalVat, ReciprocalCritic)
