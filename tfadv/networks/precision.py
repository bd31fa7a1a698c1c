"""Networks that compute in float32 whatever the policy is."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def in_float32() -> Iterator[None]:
    """Layers that are built inside, or by a function that this decorates, compute in float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
