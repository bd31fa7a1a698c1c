"""The updates of SegAN's variants: what is compared, and by which critics (eq. 2, 3)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import tensorflow as tf

from tfadv.losses.annotated import shown
from tfadv.losses.cross_entropy import cross_entropy
from tfadv.losses.dice import dice_loss
from tfadv.losses.multi_scale import scale_distances
from tfadv.players import Batch, Networks, Scene, Term, Update, Value

DEAD = (
    "the critic is dead and teaches the segmentor nothing. Raise clamp or lower "
    "critic_learning_rate, and look whether the record set's images and regions are empty"
)


class Compared:
    """What a pass gives.

    Args:
        maps: S's probabilities [B, H, W, R].
        compare: gives the distances, by passes of the critics; who asks for none needs no critic.
    """

    def __init__(self, maps: tf.Tensor, compare: Callable[[], tf.Tensor]) -> None:
        self.maps = maps
        self.compare = compare
        self._distances: tf.Tensor | None = None

    @property
    def distances(self) -> tf.Tensor:
        """Of each pair at each scale and sample, float32 [pairs, scales, B].

        Kept by hand: Python 3.11's cached_property holds a lock that all replicas would share.
        """
        if self._distances is None:
            self._distances = self.compare()
        return self._distances


@dataclass(frozen=True)
class Comparison:
    """Images masked by predicted and by true maps, compared at some scales.

    Attributes:
        outputs: names of the maps.
        critics: one for each output, one for all masked images concatenated, or none.
        scales: digits; 0 is the masked image itself.
    """

    outputs: tuple[str, ...]
    critics: tuple[str, ...]
    scales: str

    @property
    def together(self) -> bool:
        """Whether one critic sees all masked images concatenated (1C)."""
        return len(self.critics) == 1 and self.critics != (f"critic_{self.outputs[0]}",)

    @property
    def regions_together(self) -> int:
        return len(self.outputs) if self.together else 1

    @property
    def pairs(self) -> tuple[str, ...]:
        """Names of what is compared: each region, or all together."""
        return ("all",) if self.together else self.outputs

    def compare(self, networks: Networks, batch: Batch, *, training: bool) -> Compared:
        """The pass of an update; S answers as in training or as in inference."""
        image = batch["image"]
        maps = tf.sigmoid(networks["segmentor"](image, training=training))
        return Compared(maps, lambda: self._distances(networks, batch, maps))

    def _distances(self, networks: Networks, batch: Batch, maps: tf.Tensor) -> tf.Tensor:
        image, annotated = batch["image"], batch.get("annotated")
        image = shown(image, annotated)
        truth = tf.cast(batch["label"], image.dtype)
        masked = [
            (image * maps[..., region, None], image * truth[..., region, None])
            for region in range(len(self.outputs))
        ]
        if self.together:
            masked = [tuple(tf.concat(kind, axis=-1) for kind in zip(*masked, strict=True))]
        rows = tf.stack([self._row(networks, number, pair) for number, pair in enumerate(masked)])
        if annotated is None:
            return rows
        # Means over all places, of which the annotated ones alone have a distance.
        return tf.math.divide_no_nan(rows, tf.reduce_mean(tf.cast(annotated, rows.dtype)))

    def _row(self, networks: Networks, number: int, pair: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Distances [scales, B] of one pair."""
        features = [tf.concat(pair, axis=0)]
        if self.critics:
            features += networks[self.critics[number]](features[0], training=True)
        chosen = [tf.split(features[int(scale)], 2) for scale in self.scales]
        return scale_distances(*zip(*chosen, strict=True))

    def clamped_share(self, clamp: float, scene: Scene) -> tf.Tensor:
        """The share of the critics' parameters that stand at the clamp."""
        weights = [v for critic in self.critics for v in scene.networks[critic].trainable_variables]
        flat = tf.concat([tf.reshape(variable, [-1]) for variable in weights], axis=0)
        return tf.reduce_mean(tf.cast(tf.abs(flat) >= clamp, tf.float32))


def critic_update(compared: Comparison, clamp: float) -> Update:
    """The critics ascend, S fixed."""
    loss = Term("critic_multi_scale_l1", _mean, "the multi-scale L1 loss (eq. 2, 3)")
    observes: dict[str, Value] = {
        f"distance_{pair}": partial(_mean_of_pair, number)
        for number, pair in enumerate(compared.pairs)
    }
    return Update(
        "critic",
        {critic: critic for critic in compared.critics},
        (loss,),
        partial(compared.compare, training=False),
        {**observes, "clamped_share": partial(compared.clamped_share, clamp)},
        ascends=frozenset(compared.critics),
        by=f"C, clamped to {clamp:g}, ascends",
        shuffle=with_signs,
        dies=DEAD,
    )


def segmentor_update(compared: Comparison, *terms: Term) -> Update:
    """S descends, the critics fixed."""
    # Without a critic there is no verdict: the masked images are compared themselves.
    loss = Term(
        "segmentor_multi_scale_l1",
        _mean,
        "the multi-scale L1 loss (eq. 2, 3)",
        verdict=bool(compared.critics),
    )
    observes: dict[str, Value] = {
        f"scale_{scale}": partial(_mean_of_scale, number)
        for number, scale in enumerate(compared.scales)
    }
    return Update(
        "segmentor",
        {"segmentor": "segmentor"},
        (loss, *terms),
        partial(compared.compare, training=True),
        observes,
        by="S descends",
    )


def dice_term(weight: float) -> Term:
    return Term(
        "segmentor_dice",
        lambda scene: dice_loss(
            scene.shared.maps, scene.batch["label"], scene.batch.get("annotated")
        ),
        "soft Dice loss",
        weight,
    )


def with_signs(compared: Compared, seed: tf.Tensor) -> Compared:
    """Distances of about half of the samples are negative: C is told by lot to lower them.

    A distance is the same whichever map is called true: to exchange both would change nothing.

    Args:
        seed: int64 [2].
    """
    lots = tf.random.stateless_uniform(tf.shape(compared.distances)[-1:], seed) < 0.5
    signs = tf.where(lots, -1.0, 1.0)
    return Compared(compared.maps, lambda: compared.distances * signs)


def _mean(scene: Scene) -> tf.Tensor:
    return tf.reduce_mean(scene.shared.distances)


def _mean_of_pair(number: int, scene: Scene) -> tf.Tensor:
    return tf.reduce_mean(scene.shared.distances[number])


def _mean_of_scale(number: int, scene: Scene) -> tf.Tensor:
    return tf.reduce_mean(scene.shared.distances[:, number])


SOFTMAX_UPDATE = Update(
    "segmentor",
    {"segmentor": "segmentor"},
    (
        Term(
            "segmentor_cross_entropy",
            lambda scene: cross_entropy(
                scene.batch["label"], scene.shared, scene.batch.get("annotated")
            ),
            "the softmax loss (3.2)",
        ),
    ),
    lambda networks, batch: networks["segmentor"](batch["image"], training=True),
    by="S descends",
)
