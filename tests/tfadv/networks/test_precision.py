"""A network of its own precision, and the policy as it was after it."""

import keras
import pytest
from keras import layers

from tfadv.networks.precision import in_float32


def test_layers_inside_compute_in_float32_and_others_by_the_policy() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    with in_float32():
        inside = layers.Dense(1)
    assert inside.compute_dtype == "float32"
    assert layers.Dense(1).compute_dtype == "bfloat16"


def test_a_failure_leaves_the_policy_as_it_was() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    with pytest.raises(ZeroDivisionError), in_float32():
        _ = 1 / 0
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
