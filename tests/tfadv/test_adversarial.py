"""The machinery, on players small enough to compute by hand."""

from collections.abc import Mapping

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.tfadv.scalars import scalar_network
from tfadv.adversarial import AdversarialModel
from tfadv.players import Batch, Networks, Players, Term, Update


def product(networks: Networks, batch: Batch) -> tf.Tensor:
    """mean of d(s(x)) = d * s * x."""
    return tf.reduce_mean(networks["discriminator"](networks["segmentor"](batch["image"])))


def players(*updates: Update, rates: Mapping[str, float] | None = None) -> Players:
    rates = rates or {"segmentor": 0.1, "discriminator": 0.5}
    return Players(
        {"segmentor": scalar_network("s", 2.0), "discriminator": scalar_network("d", 3.0)},
        {name: keras.optimizers.SGD(rate) for name, rate in rates.items()},
        updates,
    )


def kernels(model: AdversarialModel) -> list[float]:
    return [float(n.trainable_variables[0].numpy().item()) for n in model.network_list]


def step(
    chosen: Players, *images: float, parts: int = 1
) -> tuple[AdversarialModel, dict[str, float]]:
    model = AdversarialModel(chosen, parts)
    model.compile()
    logs = model.train_step({"image": tf.constant([[image] for image in images])})
    return model, {name: float(value) for name, value in logs.items()}


def update(minibatch: int = 0, ascends: frozenset[str] = frozenset(), **trains: str) -> Update:
    term = Term("product", lambda scene: scene.shared)
    observed = {"twice": lambda scene: 2 * scene.shared}
    return Update("u", trains, (term,), product, observed, ascends, minibatch)


def test_one_update_descends_the_gradient() -> None:
    model, logs = step(players(update(segmentor="segmentor")), 5.0)
    # d(d * s * x)/ds = 3 * 5; s = 2 - 0.1 * 15.
    assert kernels(model) == pytest.approx([0.5, 3.0])
    assert logs == pytest.approx({"product": 30, "twice": 60, "segmentor_gradient_norm": 15})


def test_updates_follow_each_other_on_their_minibatches() -> None:
    schedule = (
        update(0, segmentor="segmentor"),
        update(1, discriminator="discriminator"),
    )
    model, _ = step(players(*schedule), 1.0, 4.0)
    # s = 2 - 0.1 * 3 = 1.7 on the first; then d = 3 - 0.5 * 1.7 * 4 on the second.
    assert kernels(model) == pytest.approx([1.7, -0.4])


def test_gradient_reversal_moves_both_players_in_one_update() -> None:
    """Moeskops 2017: the discriminator descends, the segmentor ascends the same loss."""
    reversal = update(
        ascends=frozenset({"segmentor"}), segmentor="adversarial", discriminator="discriminator"
    )
    own = update(1, segmentor="segmentor")
    rates = {"segmentor": 0.1, "discriminator": 0.5, "adversarial": 0.01}
    model, _ = step(players(reversal, own, rates=rates), 1.0, 0.0)
    assert kernels(model) == pytest.approx([2.0 + 0.01 * 3, 3.0 - 0.5 * 2])


def test_weighted_terms_of_one_pass_are_summed() -> None:
    passes = []

    def forward(networks: Networks, batch: Batch) -> tf.Tensor:
        passes.append(batch)
        return tf.reduce_mean(networks["segmentor"](batch["image"]))

    terms = (
        Term("one", lambda scene: scene.shared, "s(x)"),
        Term("three", lambda scene: scene.shared, "s(x) again", weight=3.0),
    )
    summed = Update("u", {"segmentor": "segmentor"}, terms, forward, by="S descends")
    model, logs = step(players(summed), 1.0)
    assert kernels(model) == pytest.approx([2 - 0.1 * 4, 3.0])
    assert logs["three"] == pytest.approx(6)
    assert len(passes) == 1
    assert str(summed) == "S descends s(x) + 3 * s(x) again"


def test_logs_are_means_over_repeated_updates() -> None:
    _, logs = step(
        players(*(update(number, segmentor="segmentor") for number in range(2))), 0.0, 1.0
    )
    assert logs["segmentor_gradient_norm"] == pytest.approx(1.5)


def test_parts_of_a_minibatch_move_a_player_once_by_their_mean() -> None:
    """d(d * s * x)/ds = 3 x, whose mean over 1, 2, 3 and 6 is 9; then d's, by the new s."""
    schedule = (update(0, segmentor="segmentor"), update(1, discriminator="discriminator"))
    images = (1.0, 2.0, 3.0, 6.0, 4.0, 4.0, 0.0, 0.0)
    for parts in (1, 2, 4):
        model, logs = step(players(*schedule), *images, parts=parts)
        assert kernels(model) == pytest.approx([2.0 - 0.1 * 9, 3.0 - 0.5 * 1.1 * 2])
        assert logs["product"] == pytest.approx((3 * 2.0 * 3 + 3 * 1.1 * 2) / 2)
        assert logs["segmentor_gradient_norm"] == pytest.approx(9)
        assert [int(o.iterations) for o in model.optimizer_list] == [1, 1]


def test_a_part_waits_for_the_gradients_of_the_one_before() -> None:
    """Else memory would hold the layers of all."""
    model = AdversarialModel(players(update(segmentor="segmentor")), 3)
    model.compile()
    traced = tf.function(model.train_step).get_concrete_function({"image": tf.ones([6, 1])})
    operations = traced.graph.get_operations()
    (_, split) = (operation for operation in operations if operation.type == "Split")
    first, *others = (set(out.consumers()) for out in split.outputs)
    assert not any(user.control_inputs for user in first)
    for consumers in others:
        assert consumers
        assert all(user.type == "Identity" and user.control_inputs for user in consumers)


def test_an_optimizer_serves_one_network() -> None:
    model = AdversarialModel(players(update(segmentor="segmentor", discriminator="segmentor")))
    with pytest.raises(ValueError, match="segmentor for segmentor and discriminator"):
        model.compile()


def test_weights_file_holds_all_networks_and_optimizers(tmp_path) -> None:
    def made(seed: int) -> AdversarialModel:
        keras.utils.set_random_seed(seed)
        chosen = players(update(segmentor="segmentor", discriminator="discriminator"))
        adam = {name: keras.optimizers.Adam(0.1) for name in chosen.optimizers}
        model = AdversarialModel(Players(chosen.networks, adam, chosen.schedule))
        model.compile()
        return model

    model = made(0)
    for _ in range(3):
        model.train_step({"image": tf.constant([[1.0]])})
    model.save_weights(tmp_path / "run.weights.h5")
    other = made(1)
    other.load_weights(tmp_path / "run.weights.h5")
    assert kernels(other) == kernels(model)
    for before, after in zip(model.optimizer_list, other.optimizer_list, strict=True):
        assert len(before.variables) == 4
        assert int(after.iterations) == 3
        for one, two in zip(before.variables, after.variables, strict=True):
            np.testing.assert_array_equal(one, two)


def test_call_is_the_segmentor() -> None:
    model = AdversarialModel(players(update(segmentor="segmentor")))
    assert model(tf.constant([[4.0]])).numpy().item() == pytest.approx(8.0)
