"""Peiris et al. 2021: what the released code fails at, and the terms by hand."""

from dataclasses import fields, replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv import methods
from tfadv.adversarial import AdversarialModel
from tfadv.inference.tiling import SlidingWindow, WholeVolume
from tfadv.players import Players
from tfrecords.errors import UserError

OUTPUTS = ("WT", "TC")


def built(name: str, *overrides: str) -> Players:
    keras.utils.set_random_seed(1)
    known = {field.name for field in fields(methods.get(name))}
    small = [f"{width}=4" for width in ("width", "critic_width") if width in known]
    method = methods.get(name).configure("small", [*small, *overrides])
    return method.build(2, OUTPUTS)


def batch(unlabelled: bool = False) -> dict[str, tf.Tensor]:
    random = np.random.default_rng(0)
    image, other = random.uniform(0, 1, (2, 2, 16, 16, 16, 2)).astype(np.float32)
    label = random.integers(0, 2, (2, 16, 16, 16, 2)).astype(np.uint8)
    found = {"image": tf.constant(image), "label": tf.constant(label)}
    return found | ({"unlabelled": tf.constant(other)} if unlabelled else {})


def segmentor_terms(players: Players, found: dict[str, tf.Tensor]) -> dict[str, float]:
    outcome = players.schedule[-1].outcome(players.networks, found)
    return {name: float(value) for name, value in outcome.terms.items()}


def test_paper_preset_has_the_papers_values() -> None:
    hp = methods.get("reciprocal").configure()
    stated = {
        "epochs": 100,
        "steps_per_epoch": 500,
        "batch_size": 2,
        "normalisation": "percentile_min_max",
        "crop_size": 128,
        "width": 48,
        "dice_weight": 1.0,
        "vat_weight": 0.2,
        "critic_weight": 0.3,
        "vat_target": "truth",
        "learning_rate": 2e-4,
        "critic_learning_rate": 5e-5,
    }
    assert {name: getattr(hp, name) for name in stated} == stated


def test_preset_small_has_the_papers_rate_of_the_critic() -> None:
    """At a quarter of its segmentor's rate, the paper's ratio, the critic wins."""
    assert methods.get("reciprocal").configure("small").values["critic_learning_rate"] == 5e-5


@pytest.mark.parametrize(
    ("name", "networks", "terms"),
    [
        ("reciprocal", ["segmentor", "critic"], ["dice", "vat", "adversarial"]),
        ("reciprocal_dice", ["segmentor"], ["dice"]),
        ("reciprocal_vat", ["segmentor"], ["dice", "vat"]),
        ("reciprocal_critic", ["segmentor", "critic"], ["dice", "adversarial"]),
    ],
)
def test_ablations_leave_out_a_term(name: str, networks: list[str], terms: list[str]) -> None:
    players = built(name)
    assert list(players.networks) == networks
    assert [term.name for term in players.schedule[-1].terms] == [
        f"segmentor_{term}" for term in terms
    ]


@pytest.mark.slow
def test_adversarial_term_falls_when_the_critic_is_fooled() -> None:
    players = built("reciprocal")
    bias = players.networks["critic"].get_layer("logits").bias
    found = {}
    for logit in (-10.0, 0.0, 10.0):
        bias.assign([logit])
        found[logit] = segmentor_terms(players, batch())["segmentor_adversarial"]
    assert found[-10.0] > found[0.0] > found[10.0]
    # 0.3 * -log(sigmoid(logit)), but for what the critic's other weights add.
    np.testing.assert_allclose(found[-10.0] - found[10.0], 0.3 * 10, rtol=0.2)


@pytest.mark.slow
def test_terms_are_weighted_as_in_eq_2() -> None:
    plain = built("reciprocal", "dice_weight=1", "vat_weight=1", "critic_weight=1")
    weighted = built("reciprocal")
    for network, other in zip(plain.networks.values(), weighted.networks.values(), strict=True):
        network.set_weights(other.get_weights())
    expected, found = segmentor_terms(plain, batch()), segmentor_terms(weighted, batch())
    for name, weight in {"dice": 1.0, "vat": 0.2, "adversarial": 0.3}.items():
        name = f"segmentor_{name}"
        np.testing.assert_allclose(found[name], weight * expected[name], rtol=1e-3)


def test_dice_term_is_eq_3_with_its_factor_2() -> None:
    players = built("reciprocal_dice")
    same = batch()
    maps = tf.sigmoid(players.networks["segmentor"](same["image"])).numpy().astype(float)
    truth = same["label"].numpy().astype(float)
    axes = (1, 2, 3)
    dice = (2 * (maps * truth).sum(axes) + 1) / (maps.sum(axes) + truth.sum(axes) + 1)
    np.testing.assert_allclose(
        segmentor_terms(players, same)["segmentor_dice"], 1 - dice.mean(), rtol=1e-5
    )


@pytest.mark.slow
def test_vat_raises_the_divergence_from_the_truth() -> None:
    """Of epsilon almost 0 the term is the cross entropy of eq. 4 without perturbation."""
    clean, moved = built("reciprocal_vat", "epsilon=1e-6"), built("reciprocal_vat", "epsilon=0.1")
    moved.networks["segmentor"].set_weights(clean.networks["segmentor"].get_weights())
    same = batch()
    maps = clean.networks["segmentor"](same["image"])
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(same["label"], tf.float32), maps)
    expected = 0.2 * float(tf.reduce_mean(tf.reduce_sum(entropy, -1)))
    terms = [segmentor_terms(players, same)["segmentor_vat"] for players in (clean, moved)]
    np.testing.assert_allclose(terms[0], expected, rtol=1e-4)
    assert terms[1] > 1.005 * expected


@pytest.mark.slow
def test_unlabelled_images_feed_the_terms_without_labels_alone() -> None:
    players = built("reciprocal", "unlabelled=true")
    first = batch(unlabelled=True)
    second = first | {"unlabelled": 1 - first["unlabelled"]}
    before, after = (segmentor_terms(players, found) for found in (first, second))
    differing = {name for name in before if before[name] != after[name]}
    assert differing == {"segmentor_adversarial", "segmentor_vat"}
    critic = players.schedule[0]
    values = [critic.outcome(players.networks, found).terms for found in (first, second)]
    assert values[0] == values[1]


@pytest.mark.slow
def test_directions_follow_the_number_of_the_step() -> None:
    """They are drawn anew in every step, and equal steps draw alike."""
    players = built("reciprocal_vat", "vat_target=prediction")
    model = AdversarialModel(players)
    model.compile()
    same = batch()
    at_0 = [segmentor_terms(players, same)["segmentor_vat"] for _ in range(2)]
    players.optimizers["segmentor"].iterations.assign(1)
    assert at_0[0] == at_0[1] != segmentor_terms(players, same)["segmentor_vat"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "crop_size=40",
            "hp.crop_size: expected a whole number, a multiple of 16 .default 128., received 40",
        ),
        ("vat_target=labels", "hp.vat_target: expected a word, one of truth, prediction"),
    ],
)
def test_bad_values_are_refused(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        built("reciprocal", override)


def test_unlabelled_subjects_need_a_term_without_labels() -> None:
    with pytest.raises(
        UserError, match=r"hp\.unlabelled: reciprocal_dice has no such hyperparameter"
    ):
        built("reciprocal_dice", "unlabelled=true")


def test_volumes_are_segmented_whole_or_in_windows() -> None:
    method = methods.get("reciprocal")
    manifest: Any = None
    assert method.configure().tiling(manifest) == WholeVolume(16)
    assert method.configure("small").tiling(manifest) == SlidingWindow((32, 32, 32))


def half_annotated() -> np.ndarray:
    annotated = np.ones((2, 16, 16, 16), np.uint8)
    annotated[:, 8:] = 0
    return annotated


def test_the_critics_verdicts_count_where_somebody_annotated() -> None:
    """Eq. 5 by hand, over the annotated voxels' logits of maps that are zero elsewhere."""
    players, found, annotated = built("reciprocal_critic"), batch(), half_annotated()
    critic, segmentor = players.networks["critic"], players.networks["segmentor"]
    maps = [found["label"].numpy(), tf.sigmoid(segmentor(found["image"])).numpy()]
    pair = np.concatenate([kind * annotated[..., None] for kind in maps])
    true, generated = np.split(critic(pair, training=True).numpy().astype(float)[..., 0], 2)
    inside = annotated == 1
    expected = np.logaddexp(0, -true[inside]).mean() + np.logaddexp(0, generated[inside]).mean()
    given = {**found, "annotated": tf.constant(annotated)}
    (value,) = players.schedule[0].outcome(players.networks, given).terms.values()
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    adversarial = segmentor_terms(players, given)["segmentor_adversarial"]
    expected = 0.3 * np.logaddexp(0, -generated[inside]).mean()
    np.testing.assert_allclose(adversarial, expected, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["truth", "prediction"])
def test_virtual_adversarial_training_needs_annotation_for_the_truth_alone(target: str) -> None:
    """F's own answers are compared everywhere; unlabelled images as well."""
    players = built("reciprocal_vat", f"vat_target={target}", "unlabelled=true")
    found = batch(unlabelled=True)
    whole = segmentor_terms(players, found)["segmentor_vat"]
    half = {**found, "annotated": tf.constant(half_annotated())}
    nothing = {**found, "annotated": tf.zeros([2, 16, 16, 16], tf.uint8)}
    values = [segmentor_terms(players, given)["segmentor_vat"] for given in (half, nothing)]
    if target == "prediction":
        np.testing.assert_allclose(values, whole, rtol=1e-5)
    else:
        assert np.ptp([whole, *values]) > 1e-3
        # The unlabelled images' share of the mean stays.
        assert 0 < values[1] < whole


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "reciprocal_critic",
        pytest.param("reciprocal", marks=[pytest.mark.slow, pytest.mark.variants]),
    ],
)
def test_the_critic_looks_at_the_pass_from_which_the_segmentor_learns(name: str) -> None:
    """And all move as where it makes a pass of its own, of which the graph then has one more."""

    def stepped(looks: str) -> tuple[list[np.ndarray], int]:
        players = built(name)
        critic, segmentor = players.schedule
        passes = []

        def forward(*scene: Any) -> Any:
            passes.append(scene)
            return segmentor.forward(*scene)

        schedule = (replace(critic, looks=looks), replace(segmentor, forward=forward))
        model = AdversarialModel(replace(players, schedule=schedule))
        model.compile()
        step = tf.function(model.train_step)
        for _ in range(3):
            step(batch())
        operations = [o.type for o in step.get_concrete_function(batch()).graph.get_operations()]
        assert len(passes) == 1
        return model.get_weights(), operations.count("Conv3D")

    (shared, fewer), (alone, more) = map(stepped, ("segmentor", ""))
    for one, other in zip(shared, alone, strict=True):
        np.testing.assert_array_equal(one, other)
    once = list(built(name).networks["segmentor"]._flatten_layers())
    assert more - fewer == sum(isinstance(layer, keras.layers.Conv3D) for layer in once)
