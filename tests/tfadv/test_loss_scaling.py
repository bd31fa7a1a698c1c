"""Loss scaling of several players, on products in float16 that are computed by hand."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.tfadv.scalars import scalar_network
from tfadv.adversarial import AdversarialModel
from tfadv.loss_scaling import scales
from tfadv.players import Batch, Networks, Players, Term, Update
from tfadv.training.loss_scales import LossScales
from tfadv.training.tags import Tags
from tfrecords.errors import UserError

START = 2.0**15  # Keras' first scale.
LARGEST = 65504  # Of float16.


@pytest.fixture(autouse=True)
def _float16() -> None:
    keras.config.set_dtype_policy("mixed_float16")


def product(networks: Networks, batch: Batch) -> tf.Tensor:
    """mean of d(s(x)) = d * s * x, in float32."""
    found = networks["discriminator"](networks["segmentor"](batch["image"]))
    return tf.reduce_mean(tf.cast(found, tf.float32))


def update(weight: float = 1.0, **trains: str) -> Update:
    return Update("u", trains, (Term("product", lambda s: s.shared, weight=weight),), product)


BOTH = update(segmentor="segmentor", discriminator="discriminator")


def made(*updates: Update, s: float = 0.5, d: float = 3.0, growth: int = 2000) -> AdversarialModel:
    rates = {"segmentor": 0.1, "discriminator": 0.5}
    networks = {"segmentor": scalar_network("s", s), "discriminator": scalar_network("d", d)}
    optimizers = {name: keras.optimizers.SGD(rate) for name, rate in rates.items()}
    model = AdversarialModel(Players(networks, optimizers, updates))
    for optimizer in model.optimizer_list:
        optimizer.dynamic_growth_steps = growth
    model.compile()
    return model


def step(model: AdversarialModel, *images: float) -> dict[str, float]:
    logs = model.train_step({"image": tf.constant([[image] for image in images])})
    return {name: float(value) for name, value in logs.items()}


def kernels(model: AdversarialModel) -> list[float]:
    return [float(n.trainable_variables[0].numpy().item()) for n in model.network_list]


def scales_of(model: AdversarialModel) -> list[float]:
    return [float(scale.numpy()) for scale in scales(model.players.optimizers).values()]


def test_a_gradient_below_float16_arrives() -> None:
    """3e-8 and 0.5e-8: without a scale both are zero in float16."""
    assert np.float16(3e-8 / 2) == 0
    model = made(update(1e-8, segmentor="segmentor"))
    model.players.optimizers["segmentor"].learning_rate = 1e7
    logs = step(model, 1.0)
    assert kernels(model) == pytest.approx([0.5 - 0.3, 3.0], rel=2e-3)
    # Logs know no scale.
    assert logs == pytest.approx({"product": 1.5e-8, "segmentor_gradient_norm": 3e-8}, rel=1e-3)


def test_an_overflow_leaves_out_that_players_step_alone() -> None:
    model = made(BOTH)
    assert 3 * START > LARGEST > 0.5 * START  # The gradients of s and d.
    logs = step(model, 1.0)
    assert kernels(model) == [0.5, 3.0 - 0.5 * 0.5]
    assert scales_of(model) == [START / 2, START]
    steps = [int(o.iterations.numpy()) for o in model.optimizer_list]
    assert steps == [0, 1]
    assert logs["product"] == 1.5  # No step is a loss of its own.
    assert logs["discriminator_gradient_norm"] == 0.5
    # The next pass has the lesser scale, by which 2.75 fits, and d is handed its own.
    logs = step(model, 1.0)
    assert kernels(model) == pytest.approx([0.5 - 0.1 * 2.75, 2.75 - 0.5 * 0.5])
    assert scales_of(model) == [START / 2, START]
    assert logs["segmentor_gradient_norm"] == 2.75  # The mean over steps that were done.


def test_a_scale_grows_and_shrinks_as_that_of_one_optimizer_does() -> None:
    """Twice as large after two steps, half after an overflow; counted for each player alone."""
    model = made(
        update(segmentor="segmentor"), update(discriminator="discriminator"), d=0.0, growth=2
    )
    variable = keras.Variable([0.5])
    alone = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), dynamic_growth_steps=2)
    alone.build([variable])
    for scale in (alone.dynamic_scale, *scales(model.players.optimizers).values()):
        scale.assign(32.0)
    seen = []
    for image in (0, 0, 0, 0, 4096, 0):  # d's gradient is 0.5 * image, s's is zero.
        step(model, image)
        gradient = tf.constant(0.5 * image * float(alone.dynamic_scale.numpy()), tf.float16)
        alone.apply([tf.cast(gradient, tf.float32)[None]], [variable])
        seen.append(scales_of(model))
        assert seen[-1][1] == float(alone.dynamic_scale.numpy())
    assert [s for s, _ in seen] == [32, 64, 64, 128, 128, 256]
    assert [d for _, d in seen] == [32, 64, 64, 128, 64, 64]


def test_terms_of_a_pass_are_scaled_once() -> None:
    """And their sum is differentiated: in float16 each for itself would be zero."""
    terms = tuple(
        Term(name, lambda scene: scene.shared, weight=weight)
        for name, weight in (("one", 1e-8), ("other", 2e-8))
    )
    model = made(Update("u", {"segmentor": "segmentor"}, terms, product))
    logs = step(model, 1.0)
    found = logs["segmentor_gradient_norm"], logs["one"], logs["other"]
    assert found == pytest.approx((9e-8, 1.5e-8, 3e-8), rel=1e-3)


@pytest.mark.slow
def test_an_overflow_of_one_replica_leaves_out_the_step_of_all(
    mirrored: tf.distribute.Strategy,
) -> None:
    """Keras asks the first replica alone: an infinity on the second one made weights infinite."""
    with mirrored.scope():
        model = made(BOTH)
    batch = {"image": np.array([[0.25], [1.0]], np.float32)}
    data = tf.data.Dataset.from_tensor_slices(batch).batch(2)
    history = model.fit(data, verbose=0, shuffle=False).history
    # Means over both: s's gradient would be 0.375 and 1.5, times the scale 12288 and 49152.
    assert kernels(model) == pytest.approx([0.5 - 0.1 * 1.875, 3.0 - 0.5 * 0.3125])
    assert history["segmentor_gradient_norm"] == pytest.approx([1.875])
    before = kernels(model)
    batch = {"image": np.array([[0.25], [40.0]], np.float32)}
    model.fit(tf.data.Dataset.from_tensor_slices(batch).batch(2), verbose=0, shuffle=False)
    assert kernels(model) == before
    assert scales_of(model) == [START / 2, START / 2]


def test_a_resumed_model_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def of_adam(seed: int) -> AdversarialModel:
        networks = {"segmentor": scalar_network("s", seed), "discriminator": scalar_network("d", 1)}
        optimizers = {name: keras.optimizers.Adam(0.1) for name in networks}
        model = AdversarialModel(Players(networks, optimizers, (BOTH,)))
        model.compile()
        return model

    model = of_adam(1)
    for image in (1.0, 3.0, 0.5):  # The second one overflows.
        step(model, image)
    path = tmp_path / "run.weights.h5"
    model.save_weights(path)
    other = of_adam(0)
    other.load_weights(path)
    for trained in (model, other):
        step(trained, 0.7)
    assert START / 2 in scales_of(model)
    for one, two in zip(model.saved_variables, other.saved_variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    # Keras writes the wrapped optimizers twice, which room is asked for.
    assert len(model.saved_variables) >= sum(
        1 + len(o.variables) + len(o.inner_optimizer.variables) for o in model.optimizer_list
    )


def test_scales_are_logged_and_one_below_one_ends_the_run() -> None:
    model = made(BOTH)
    callback = LossScales(model.players)
    step(model, 1.0)
    callback.on_epoch_begin(1)
    callback.on_train_batch_end(0)
    logs: dict[str, float] = {}
    callback.on_epoch_end(1, logs)
    assert logs == {"segmentor_loss_scale": START / 2, "discriminator_loss_scale": START}
    tags = Tags(model.players)
    assert tags("segmentor_loss_scale") == "loss_scale/segmentor"
    assert "loss scale" in [chart.title for chart in tags.charts()["players"]]
    for number in range(14):
        step(model, float("inf"))
        callback.on_train_batch_end(number)
    step(model, float("inf"))
    assert scales_of(model) == [0.5, 1.0]
    with pytest.raises(UserError, match=r"epoch 2, step 16: the gradients of segmentor are NaN"):
        callback.on_train_batch_end(15)


def test_float32_has_no_scale() -> None:
    keras.config.set_dtype_policy("float32")
    model = AdversarialModel(Players({"segmentor": scalar_network("s", 1.0)}, {}, (BOTH,)))
    assert scales(model.players.optimizers) == {}
    assert "loss scale" not in [chart.title for chart in Tags(model.players).charts()["players"]]
