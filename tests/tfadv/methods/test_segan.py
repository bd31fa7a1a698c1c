"""Xue et al. 2018: variants, the loss on masked images, and the clamp."""

from dataclasses import fields
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv import methods
from tfadv.adversarial import AdversarialModel
from tfadv.players import Players

OUTPUTS = ("WT", "TC", "ET")


def built(name: str, *overrides: str, outputs: tuple[str, ...] = OUTPUTS) -> Players:
    keras.utils.set_random_seed(1)
    known = {field.name for field in fields(methods.get(name))}
    small = [f"{width}=4" for width in ("width", "critic_width") if width in known]
    method = methods.get(name).configure("small", [*small, *overrides])
    return method.build(2, outputs)


def batch(outputs: int = 3) -> dict[str, tf.Tensor]:
    random = np.random.default_rng(0)
    image = random.uniform(0, 1, (2, 32, 32, 2)).astype(np.float32)
    label = random.integers(0, 2, (2, 32, 32, outputs)).astype(np.uint8)
    return {"image": tf.constant(image), "label": tf.constant(label)}


def test_paper_preset_has_the_papers_values() -> None:
    hp = methods.get("segan_s3_3c").configure()
    stated = {
        "batch_size": 64,
        "learning_rate": 2e-5,
        "critic_learning_rate": 2e-5,
        "crop_size": 160,
        "normalisation": "min_max",
        "width": 64,
        "critic_width": 64,
        "scales": "0123",
    }
    assert {name: getattr(hp, name) for name in stated} == stated


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "networks"),
    [
        ("segan_s3_3c", ["segmentor", "critic_WT", "critic_TC", "critic_ET"]),
        ("segan_s1_1c", ["segmentor", "critic_WT", "critic_TC", "critic_ET"]),
        ("segan_s3_1c", ["segmentor", "critic"]),
        ("segan_s3_3c_s0", ["segmentor"]),
        ("segan_s3_3c_s3", ["segmentor", "critic_WT", "critic_TC", "critic_ET"]),
        ("segan_unet_softmax", ["segmentor"]),
        ("segan_s3_3c_dice", ["segmentor", "critic_WT", "critic_TC", "critic_ET"]),
    ],
)
def test_variants_have_their_players(name: str, networks: list[str]) -> None:
    assert list(built(name).networks) == networks


@pytest.mark.slow
@pytest.mark.parametrize("outputs", [("lesion",), ("a", "b"), ("a", "b", "c", "d", "e")])
def test_any_number_of_regions(outputs: tuple[str, ...]) -> None:
    for name in ("segan_s3_3c", "segan_s3_1c", "segan_s1_1c"):
        players = built(name, outputs=outputs)
        model = AdversarialModel(players)
        model.compile()
        logs = model.train_step(batch(len(outputs)))
        assert all(np.isfinite(float(value)) for value in logs.values()), name


def test_scale_0_is_the_mean_absolute_error_of_masked_images() -> None:
    players = built("segan_s3_3c_s0")
    (update,) = players.schedule
    same = batch()
    found = update.outcome(players.networks, same)
    maps = tf.sigmoid(players.networks["segmentor"](same["image"], training=True)).numpy()
    image, truth = same["image"].numpy(), same["label"].numpy().astype(np.float32)
    # [B, H, W, C, R]
    error = np.abs(image[..., None] * (maps - truth)[..., None, :])
    np.testing.assert_allclose(found.terms["segmentor_multi_scale_l1"], error.mean(), rtol=1e-5)


@pytest.mark.parametrize("name", ["segan_s3_3c", "segan_s3_1c"])
def test_loss_is_the_mean_over_scales_and_critics(name: str) -> None:
    """Of a true map of zeros C is given zeros, of S(x) the masked image: by hand."""
    players = built(name)
    same = batch() | {"label": tf.zeros([2, 32, 32, 3], tf.uint8)}
    found = players.schedule[1].outcome(players.networks, same)
    maps = tf.sigmoid(players.networks["segmentor"](same["image"], training=True))
    masked = [same["image"] * maps[..., region, None] for region in range(3)]
    if name == "segan_s3_1c":
        masked = [tf.concat(masked, -1)]
    critics = [network for key, network in players.networks.items() if key != "segmentor"]
    by_scale = []
    for critic, image in zip(critics, masked, strict=True):
        both = tf.concat([image, tf.zeros_like(image)], 0)
        features = [both, *critic(both, training=True)]
        by_scale.append([float(tf.reduce_mean(tf.abs(f[:2] - f[2:]))) for f in features])
    expected = np.mean(by_scale, axis=0)
    for scale in range(4):
        np.testing.assert_allclose(found.observed[f"scale_{scale}"], expected[scale], rtol=1e-4)
    np.testing.assert_allclose(found.terms["segmentor_multi_scale_l1"], expected.mean(), rtol=1e-4)


def test_equal_maps_cost_nothing() -> None:
    players = built("segan_s3_3c")
    segmentor = players.networks["segmentor"]
    segmentor.get_layer("logits").kernel.assign(tf.zeros([3, 3, 8, 3]))
    segmentor.get_layer("logits").bias.assign([-100.0] * 3)
    same = batch() | {"label": tf.zeros([2, 32, 32, 3], tf.uint8)}
    for update in players.schedule:
        (value,) = update.outcome(players.networks, same).terms.values()
        np.testing.assert_allclose(value, 0.0, atol=1e-7)


@pytest.mark.slow
def test_clamp_holds_on_every_replica_after_every_update(
    mirrored: tf.distribute.Strategy,
) -> None:
    """A rate that would carry every weight far beyond it."""
    with mirrored.scope():
        players = built("segan_s3_3c", "clamp=0.03", "critic_learning_rate=1.0")
        model = AdversarialModel(players)
        model.compile()
    data = tf.data.Dataset.from_tensor_slices(batch()).repeat(4).batch(4, drop_remainder=True)
    history = model.fit(data, verbose=0, shuffle=False).history
    critics = [network for key, network in players.networks.items() if key != "segmentor"]
    for variable in (v for critic in critics for v in critic.trainable_variables):
        copies: Any = mirrored.experimental_local_results(variable.value)
        assert len(copies) == 2
        for copy in copies:
            assert np.abs(copy.numpy()).max() <= np.float32(0.03), variable.path
    assert history["clamped_share"][0] > 0.3


def test_clamped_share_counts_parameters_at_the_bound() -> None:
    players = built("segan_s3_1c", "clamp=0.5")
    critic = players.networks["critic"]
    variables = critic.trainable_variables
    for variable in variables:
        variable.assign(tf.zeros_like(variable))
    variables[0].assign(tf.fill(variables[0].shape, -0.5))
    share = players.schedule[0].outcome(players.networks, batch()).observed["clamped_share"]
    sizes = [int(np.prod(v.shape)) for v in variables]
    np.testing.assert_allclose(share, sizes[0] / sum(sizes), rtol=1e-6)


def test_maps_of_the_softmax_baseline_are_learnt_everywhere() -> None:
    """Its loss sees voxels where the image is zero, so it is not masked by the image."""
    image = tf.zeros([1, 32, 32, 2])
    baseline = built("segan_unet_softmax", outputs=("background", *OUTPUTS))
    assert np.abs(baseline.networks["segmentor"](image)).max() < 1
    np.testing.assert_array_equal(built("segan_s3_3c").networks["segmentor"](image), -20.0)


def test_tensorboard_is_given_scales_clamped_share_and_regions() -> None:
    observed = [name for update in built("segan_s3_3c").schedule for name in update.observes]
    assert observed == [
        *(f"distance_{region}" for region in OUTPUTS),
        "clamped_share",
        *(f"scale_{scale}" for scale in range(4)),
    ]
