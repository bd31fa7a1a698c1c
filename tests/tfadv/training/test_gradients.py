"""What the microscope's numbers are, held against losses written out by hand."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv import methods
from tfadv.inference.targets import Targets
from tfadv.methods.verdicts import Verdicts
from tfadv.training.gradients import Map, auc, cosine, judgements, readings
from tfrecords.records.views import Patches
from tfrecords.sources.subject import LabelClass

NAMES = ("rest", "tumour", "core")
MANIFEST: Any = SimpleNamespace(
    classes=[LabelClass(name, (0,)) for name in NAMES], regions={}, class_index=NAMES.index
)
CLASSES = Targets(NAMES, ((0,), (1,), (2,)), exclusive=True, classes=3)
REGIONS = Targets(NAMES[1:], ((1,), (2,)), exclusive=False, classes=3)
TINY = {
    "kohl_purely_adversarial": ["width=2", "discriminator_width=2", "label_noise=0"],
    "moeskops_fcn_adversarial": ["dropout=0"],
    "segan_s3_3c": ["width=2", "critic_width=2"],
    "reciprocal_critic": ["width=8", "critic_width=2"],
}


def softplus(x: tf.Tensor) -> tf.Tensor:
    return tf.math.log(1 + tf.exp(x))


def kohl(d: Any, image: tf.Tensor, logits: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
    """-log D(S(x))."""
    said = d["discriminator"]([image, tf.nn.softmax(logits)], training=True)
    return tf.reduce_mean(softplus(-said))


def moeskops(d: Any, image: tf.Tensor, logits: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
    """S climbs the discrimination loss: it descends log P(made)."""
    maps = tf.concat([truth, tf.nn.softmax(logits)], 0)
    rim = (image.shape[1] - 25) // 2
    seen = tf.concat([image[:, rim : rim + 25, rim : rim + 25]] * 2, 0)
    said = d["discriminator"]([seen, maps], training=True)[len(truth) :]
    return tf.reduce_mean(tf.nn.log_softmax(said)[:, 1])


def segan(d: Any, image: tf.Tensor, logits: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
    """The mean over regions and scales of the features' absolute differences."""
    maps, found = tf.sigmoid(logits), []
    for region, name in enumerate(NAMES[1:]):
        masked = [image * kind[..., region, None] for kind in (maps, truth)]
        features = d[f"critic_{name}"](tf.concat(masked, 0), training=True)
        for scale in (tf.concat(masked, 0), *features):
            one, other = tf.split(scale, 2)
            found.append(tf.reduce_mean(tf.abs(one - other)))
    return tf.reduce_mean(tf.stack(found))


def reciprocal(d: Any, image: tf.Tensor, logits: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
    """0.3 * -log psi(F(X))."""
    said = d["critic"](tf.concat([truth, tf.sigmoid(logits)], 0), training=True)[len(truth) :]
    return 0.3 * tf.reduce_mean(softplus(-said))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "term", "loss"),
    [
        ("kohl_purely_adversarial", "segmentor_adversarial", kohl),
        ("moeskops_fcn_adversarial", "adversarial", moeskops),
        ("segan_s3_3c", "segmentor_multi_scale_l1", segan),
        ("reciprocal_critic", "segmentor_adversarial", reciprocal),
    ],
)
def test_an_adversarial_reading_is_that_of_the_papers_formula(
    name: str, term: str, loss: Callable[..., tf.Tensor]
) -> None:
    keras.utils.set_random_seed(2)
    method = methods.get(name).configure("small", ["precision=float32", *TINY[name]])
    targets = method.targets(MANIFEST)
    players = method.build(2, targets.names)
    networks: Any = players.networks
    size = label_size = (16, 16, 16) if method.view.kind == "volumes" else (32, 32)
    if isinstance(method.view, Patches):
        size, label_size = (method.view.patch_size,) * 2, (method.view.label_size,) * 2
    random = np.random.default_rng(0)
    image = tf.constant(random.normal(size=(2, *size, 2)).astype(np.float32))
    label = random.integers(0, 3, (2, *label_size))
    truth = np.stack([np.isin(label, members) for members in targets.members], -1)
    batch = {"image": image, "label": tf.constant(label if targets.exclusive else truth)}
    read = readings(networks, players.schedule, batch, targets)
    # As in float16; a power of two rounds nothing.
    scaled = readings(networks, players.schedule, batch, targets, scale=2.0**15)
    for key, value in read.items():
        assert float(scaled[key]) == pytest.approx(float(value), rel=1e-5), key

    weights = [v.value for v in networks["segmentor"].trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
        logits = networks["segmentor"](image, training=True)
        value = loss(networks, image, logits, tf.constant(truth, tf.float32))
        kinds = truth.astype(np.float32)
        if targets.exclusive:
            entropy = -tf.reduce_mean(tf.reduce_sum(kinds * tf.nn.log_softmax(logits), -1))
        else:
            entropy = tf.reduce_mean(softplus(logits) - kinds * logits)
    found, reference = (
        np.concatenate([np.ravel(g) for g in tape.gradient(scalar, weights)]).astype(float)
        for scalar in (value, entropy)
    )
    at_map = tape.gradient(value, logits).numpy().astype(float)
    assert float(read[f"gradients/{term}/norm"]) == pytest.approx(np.linalg.norm(found), rel=1e-3)
    assert float(read[f"gradients/{term}/map_norm"]) == pytest.approx(
        np.linalg.norm(at_map), rel=1e-3
    )
    if name == "reciprocal_critic":
        return  # Its supervised term is Dice: the conformance suite has it.
    lengths = np.linalg.norm(found) * np.linalg.norm(reference)
    assert float(read[f"gradients/{term}/cosine"]) == pytest.approx(
        found @ reference / lengths, abs=1e-3
    )


def classes(*logits: tuple[float, ...], label: list[int], **more: tf.Tensor) -> Map:
    return Map.of(tf.constant([logits]), {"label": tf.constant([label]), **more}, CLASSES)


def test_the_share_counts_wrong_voxels_that_move() -> None:
    """Five voxels: right; wrong and helped; wrong and hurt; wrong, helped by the third class
    falling; wrong and left alone."""
    wrong = (0.0, 3.0, 0.0)
    seen = classes((5.0, 0.0, 0.0), wrong, wrong, wrong, wrong, label=[0, 0, 0, 0, 0])
    step = [[9.0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 0]]
    assert float(seen.towards_truth(-tf.constant([step]))) == pytest.approx(3 / 3 - 1 / 3)
    assert np.isnan(float(seen.towards_truth(tf.zeros([1, 5, 3]))))


def test_what_nobody_annotated_is_not_wrong() -> None:
    annotated = tf.constant([[1, 0]], tf.uint8)
    seen = classes((0.0, 3.0, 0.0), (0.0, 3.0, 0.0), label=[0, 0], annotated=annotated)
    step = tf.constant([[[1.0, 0, 0], [-1, 0, 0]]])
    assert float(seen.towards_truth(-step)) == 1
    assert not seen.missing.numpy()[0, 1].any()
    alone = classes((0.0, 3.0, 0.0), label=[0])
    assert float(seen.cross_entropy()) == pytest.approx(float(alone.cross_entropy()))


def test_regions_count_each_for_itself() -> None:
    logits = tf.constant([[[2.0, 2.0], [-2.0, 2.0]]])
    label = tf.constant([[[0, 1], [1, 0]]], tf.uint8)
    seen = Map.of(logits, {"label": label}, REGIONS)
    step = tf.constant([[[-1.0, -1.0], [1.0, 1.0]]])
    assert float(seen.towards_truth(-step)) == pytest.approx(2 / 3)
    probabilities = 1 / (1 + np.exp(-logits.numpy()))
    np.testing.assert_allclose(seen.missing, label.numpy() - probabilities, rtol=1e-5)


def test_a_doubt_is_what_lacks_of_the_decision_right_or_wrong() -> None:
    logits = tf.math.log([[[0.6, 0.3, 0.1], [0.2, 0.8, 0.0 + 1e-9]]])
    annotated = tf.constant([[1, 0]], tf.uint8)
    seen = Map.of(logits, {"label": tf.constant([[1, 1]]), "annotated": annotated}, CLASSES)
    np.testing.assert_allclose(seen.doubt, [[[0.4, -0.3, -0.1], [0, 0, 0]]], atol=1e-6)
    regions = Map.of(
        tf.constant([[[np.log(3.0), -np.log(4.0)]]], tf.float32),
        {"label": tf.constant([[[0, 0]]], tf.uint8)},
        REGIONS,
    )
    np.testing.assert_allclose(regions.doubt, [[[0.25, -0.2]]], atol=1e-6)


def test_cosines() -> None:
    one = tf.constant([1.0, 0.0])
    assert float(cosine(one, tf.constant([3.0, 3.0]))) == pytest.approx(np.sqrt(0.5))
    assert np.isnan(float(cosine(one, tf.zeros(2))))


@pytest.mark.parametrize(
    ("true", "generated", "expected"),
    [([2, 3], [0, 1], 1.0), ([0], [1], 0.0), ([1, 1], [1], 0.5), ([3, 1], [2, 0], 0.75)],
)
def test_auc_is_the_share_of_pairs_in_order(
    true: list[int], generated: list[int], expected: float
) -> None:
    assert auc(np.array(true), np.array(generated)) == expected


@pytest.mark.parametrize("name", list(TINY))
def test_judges_say_how_likely_each_map_is_true(name: str) -> None:
    """The mean of the odds' probabilities is what training logs, where a map has one verdict."""
    players = methods.get(name).configure("small", TINY[name]).build(2, NAMES)
    given = Verdicts(tf.constant([[1.0, 3.0], [0.5, 0.0]]), tf.constant([[0.0, 1.0], [2.0, 2.0]]))
    schedule: Any = [
        SimpleNamespace(trains=u.trains, observes=u.observes, forward=lambda networks, batch: given)
        for u in players.schedule
    ]
    said = judgements(players.networks, schedule, {})
    if name == "segan_s3_3c":
        assert not said  # Its critics give features.
        return
    (odds,) = said.values()
    manual = name.startswith("moeskops")
    wanted = [[-2.0, 0.5], [-1.0, 0.0]] if manual else [[2.0, 0.25], [0.5, 2.0]]
    np.testing.assert_allclose(odds, wanted)
    assert not judgements({"segmentor": None}, schedule, {})  # type: ignore[dict-item]
