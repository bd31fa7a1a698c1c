"""Parts of a minibatch move players as the whole one does, where no layer sees it as a whole."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.tfadv.methods.conforming import (
    CHANNELS,
    OUTPUTS,
    batch_for,
    same,
    slow_except,
    tiny,
    weights,
    without_noise,
)
from tfadv import methods
from tfadv.adversarial import AdversarialModel
from tfadv.methods.method import Method
from tfadv.networks.normalisation import BatchNormalization
from tfrecords.errors import SettingError

pytestmark = pytest.mark.usefixtures("seeded")
# Their updates draw by the number of the step and the place in a batch, which parts change.
DRAWING = "power_iterations"


@slow_except({"kohl_hybrid"})
def test_two_parts_equal_the_whole(method: type[Method]) -> None:
    """With SGD, since Adam would hide gradients of another scale (one step)."""
    if DRAWING in method.configure().values:
        pytest.skip("draws for each sample")
    whole, parts = (_trained_weights(method, number) for number in (1, 2))
    if whole is None or parts is None:
        pytest.skip("has batch normalisation, which sees parts")
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=5e-6)


def _trained_weights(method: type[Method], parts: int) -> list[np.ndarray] | None:
    """None where a network has batch normalisation."""
    keras.utils.set_random_seed(1)
    players = without_noise(tiny(method).players(CHANNELS, OUTPUTS))
    networks = players.networks.values()
    layers = [layer for network in networks for layer in network._flatten_layers()]
    if any(isinstance(layer, BatchNormalization) for layer in layers):
        return None
    rates = {name: keras.optimizers.SGD(1e-2) for name in players.optimizers}
    model = AdversarialModel(replace(players, optimizers=rates), parts)
    model.compile()
    before = [values for network in networks for values in weights(network)]
    model.train_step(batch_for(tiny(method), players))
    after = [values for network in networks for values in weights(network)]
    assert not same(before, after)
    return after


def test_parts_that_are_not_equal_are_refused() -> None:
    method = methods.get("kohl_hybrid")
    assert method.configure("small", ["batch_size=6", "accumulation=3"]).accumulation == 3
    with pytest.raises(
        SettingError, match=r"^hp.accumulation: expected a divisor .* 8, received 3"
    ):
        method.configure("small", ["batch_size=8", "accumulation=3"])
