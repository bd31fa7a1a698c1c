"""Xue et al. 2018, SegAN: Adversarial Network with Multi-scale L1 Loss for Segmentation.

Paper symbols: S is the segmentor, C the critic, x the image, y the true map of a region. C is
given x masked by S(x) and by y; the loss is the mean absolute error between its features of both,
averaged over scales (eq. 2, 3), the masked image itself being scale 0. On the same minibatch C
first ascends it with S fixed, then S descends it with C fixed. No cross entropy.

Variants of section 3.1: one critic per region (3C) or one for all masked images concatenated (1C),
one segmentor (S3) or one per region (S1), and single scales (s0, s3). "3" is the paper's number of
regions; here it is the dataset's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from tfadv.adversarial import Batch, Networks, Outcome, Players, Update
from tfadv.inference.targets import Targets, class_targets, region_targets
from tfadv.losses.cross_entropy import cross_entropy
from tfadv.losses.dice import dice_loss
from tfadv.losses.multi_scale import scale_distances
from tfadv.methods.method import Hyperparameters, Method, hyperparameter
from tfadv.networks import segan as networks
from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.batches import Recipe
from tfrecords.records.manifest import Manifest
from tfrecords.records.views import Slices

DOWNSAMPLING = 16  # Of the segmentor: slices are multiples of it.


@dataclass(frozen=True)
class SeganHyperparameters(Hyperparameters):
    """Values of the paper's sections 2 and 3, or ours."""

    epochs: int = hyperparameter(100, "ours: not stated", small=30)
    steps_per_epoch: int = hyperparameter(
        494, "ours: 247 training subjects with 128 slices, 64 a step", small=80
    )
    batch_size: int = hyperparameter(64, "2.3: per replica", small=16)
    normalisation: str = hyperparameter("min_max", "2.4, footnote: [0, 1]")
    crop_size: int = hyperparameter(
        160, "3: slice size; 0 takes the largest slice of the record set", small=0
    )
    shift: float = hyperparameter(10.0, "3: voxels, random 160 x 160 of 180 x 180", small=4.0)
    width: int = hyperparameter(64, "Fig. 1", small=16)
    critic_width: int = hyperparameter(64, "Fig. 1", small=16)
    clamp: float = hyperparameter(
        0.05, "the authors' code; 2.4 gives 0.01 as an example, for all parameters of C"
    )
    scales: str = hyperparameter("0123", "eq. 3 and 3.1: digits of the scales that are averaged")
    critic_per_region: bool = hyperparameter(True, "3.1: 3C, or 1C")
    segmentor_per_region: bool = hyperparameter(False, "3.1: S1, or S3")
    dice_weight: float = hyperparameter(0.0, "ours: not in the paper, but in its authors' code")
    learning_rate: float = hyperparameter(2e-5, "2.3: RMSprop, S", small=1e-4)
    critic_learning_rate: float = hyperparameter(2e-5, "2.3: RMSprop, C", small=1e-4)


class Segan(Method):
    paper = (
        "Xue et al. 2018, SegAN: Adversarial Network with Multi-scale L1 Loss for Medical Image "
        "Segmentation, arXiv:1706.01805"
    )
    view = Slices()
    hyperparameters = SeganHyperparameters
    departures = (
        "leaky slope not stated: 0.2",
        "resizing not stated: bilinear; skips are concatenated, as in the U-net that is followed",
        "C sees both masked images of a minibatch in one pass, so that its batch normalisation is "
        "the same function of both",
        "where C alone learns, S answers as in inference, so that its moving statistics stay",
        "variant s0 has no critic: no parameter of it is part of the loss",
        "S's maps are zero where all modalities are: there the loss never sees them",
        "epochs not stated: 100; the epoch with the best validation Dice is evaluated",
    )

    def targets(self, manifest: Manifest) -> Targets:
        return region_targets(manifest)

    def build(self, hp: SeganHyperparameters, channels: int, outputs: Sequence[str]) -> Players:
        maps = len(outputs)
        segmentor = (
            networks.segmentors(channels, maps, hp.width)
            if hp.segmentor_per_region
            else networks.segmentor(channels, maps, hp.width, masked=True)
        )
        players = {"segmentor": segmentor}
        optimizers = {"segmentor": rmsprop(hp.learning_rate)}
        for critic in _critics(hp, outputs):
            seen = channels if hp.critic_per_region else channels * len(outputs)
            players[critic] = networks.critic(seen, hp.critic_width, hp.clamp, critic)
            optimizers[critic] = rmsprop(hp.critic_learning_rate)
        game = _Game(hp, tuple(outputs))
        schedule = (game.critic_update(), game.segmentor_update())
        return Players(players, optimizers, schedule if game.critics else schedule[1:])

    def recipe(self, hp: SeganHyperparameters, manifest: Manifest) -> Recipe:
        _, height, width = manifest.largest_shape
        size = (hp.crop_size or _round_up(height), hp.crop_size or _round_up(width))
        targets = self.targets(manifest)
        return Recipe(
            self.view,
            size,
            hp.batch_size,
            hp.normalisation,
            Augmentation(shift=hp.shift),
            regions=() if targets.exclusive else targets.members,
        )

    def learning_rates(self, hp: SeganHyperparameters, epoch: int) -> Mapping[str, float]:
        return {"segmentor": hp.learning_rate}


class SeganUnet(Segan):
    """3.2: "the exact same architecture as our SegAN segmentor", with the softmax loss."""

    def targets(self, manifest: Manifest) -> Targets:
        return class_targets(manifest)

    def build(self, hp: SeganHyperparameters, channels: int, outputs: Sequence[str]) -> Players:
        return Players(
            {"segmentor": networks.segmentor(channels, len(outputs), hp.width)},
            {"segmentor": rmsprop(hp.learning_rate)},
            (SOFTMAX_UPDATE,),
        )


def _softmax_loss(players: Networks, batch: Batch) -> Outcome:
    logits = players["segmentor"](batch["image"], training=True)
    return Outcome({"segmentor_cross_entropy": cross_entropy(batch["label"], logits)}, {})


SOFTMAX_UPDATE = Update(
    name="segmentor",
    loss=_softmax_loss,
    trains={"segmentor": "segmentor"},
    terms=("segmentor_cross_entropy",),
    words="S descends the softmax loss (3.2)",
)


def rmsprop(rate: float) -> keras.optimizers.Optimizer:
    """As the paper's framework, Torch, defines it.

    Keras adds 1e-7 to the mean square of the gradient: against gradients of 1e-6, as these losses
    of rare regions have, that is a brake that stops learning. Torch adds 1e-8 to its root.
    """
    return keras.optimizers.RMSprop(rate, rho=0.99, epsilon=1e-16)


def _round_up(extent: int) -> int:
    return -(-extent // DOWNSAMPLING) * DOWNSAMPLING


def _critics(hp: SeganHyperparameters, outputs: Sequence[str]) -> tuple[str, ...]:
    """Names of the critics; none where the masked image alone is compared."""
    if hp.scales == "0":
        return ()
    return tuple(f"critic_{name}" for name in outputs) if hp.critic_per_region else ("critic",)


@dataclass(frozen=True)
class _Game:
    """The updates of one variant on the maps called `outputs`."""

    hp: SeganHyperparameters
    outputs: tuple[str, ...]

    @property
    def critics(self) -> tuple[str, ...]:
        return _critics(self.hp, self.outputs)

    @property
    def pairs(self) -> tuple[str, ...]:
        """What is compared: each region, or all together."""
        return self.outputs if self.hp.critic_per_region else ("all",)

    def critic_update(self) -> Update:
        def loss(players: Networks, batch: Batch) -> Outcome:
            maps = tf.sigmoid(players["segmentor"](batch["image"], training=False))
            distances = self._distances(players, batch, maps)
            observed = {
                f"distance_{pair}": tf.reduce_mean(by_scale)
                for pair, by_scale in zip(self.pairs, tf.unstack(distances), strict=True)
            }
            observed["clamped_share"] = self._clamped_share(players)
            return Outcome({"critic_multi_scale_l1": tf.reduce_mean(distances)}, observed)

        return Update(
            name="critic",
            loss=loss,
            trains={critic: critic for critic in self.critics},
            terms=("critic_multi_scale_l1",),
            observes=(*(f"distance_{pair}" for pair in self.pairs), "clamped_share"),
            ascends=frozenset(self.critics),
            words=f"C ascends the multi-scale L1 loss (eq. 2, 3), clamped to {self.hp.clamp:g}",
        )

    def segmentor_update(self) -> Update:
        scales = tuple(f"scale_{scale}" for scale in self.hp.scales)
        terms = ["segmentor_multi_scale_l1"]
        words = "S descends the multi-scale L1 loss (eq. 2, 3)"
        if self.hp.dice_weight:
            terms.append("segmentor_dice")
            words += f" + {self.hp.dice_weight:g} * soft Dice loss"

        def loss(players: Networks, batch: Batch) -> Outcome:
            maps = tf.sigmoid(players["segmentor"](batch["image"], training=True))
            distances = self._distances(players, batch, maps)
            values = {"segmentor_multi_scale_l1": tf.reduce_mean(distances)}
            if self.hp.dice_weight:
                values["segmentor_dice"] = self.hp.dice_weight * dice_loss(maps, batch["label"])
            by_scale = tf.unstack(tf.reduce_mean(distances, axis=0))
            return Outcome(values, dict(zip(scales, by_scale, strict=True)))

        return Update(
            name="segmentor",
            loss=loss,
            trains={"segmentor": "segmentor"},
            terms=tuple(terms),
            observes=scales,
            words=words,
        )

    def _distances(self, players: Networks, batch: Batch, maps: tf.Tensor) -> tf.Tensor:
        """The distance of each pair at each scale, [pairs, scales]."""
        image = batch["image"]
        truth = tf.cast(batch["label"], image.dtype)
        masked = [
            (image * maps[..., region, None], image * truth[..., region, None])
            for region in range(len(self.outputs))
        ]
        if not self.hp.critic_per_region:
            masked = [tuple(tf.concat(kind, axis=-1) for kind in zip(*masked, strict=True))]
        rows = []
        for number, (predicted, true) in enumerate(masked):
            features = [tf.concat([predicted, true], axis=0)]
            if self.critics:
                features += players[self.critics[number]](features[0], training=True)
            chosen = [tf.split(features[int(scale)], 2) for scale in self.hp.scales]
            rows.append(scale_distances(*zip(*chosen, strict=True)))
        return tf.convert_to_tensor(rows)

    def _clamped_share(self, players: Networks) -> tf.Tensor:
        """The share of the critics' parameters that stand at the clamp."""
        weights = [v for critic in self.critics for v in players[critic].trainable_variables]
        flat = tf.concat([tf.reshape(variable, [-1]) for variable in weights], axis=0)
        return tf.reduce_mean(tf.cast(tf.abs(flat) >= self.hp.clamp, tf.float32))


METHODS = (
    Segan("segan_s3_3c", "one segmentor, a critic for each region: the paper's choice"),
    Segan(
        "segan_s1_1c",
        "a segmentor and a critic for each region",
        segmentor_per_region=True,
    ),
    Segan(
        "segan_s3_1c",
        "one segmentor, one critic of all masked images together",
        critic_per_region=False,
    ),
    Segan("segan_s3_3c_s0", "S3-3C with the masked images alone (scale 0)", scales="0"),
    Segan("segan_s3_3c_s3", "S3-3C with the critics' last features alone (scale 3)", scales="3"),
    SeganUnet("segan_unet_softmax", "the baseline: the same segmentor with the softmax loss"),
    Segan("segan_s3_3c_dice", "multi-scale L1 and soft Dice", dice_weight=1.0),
)
