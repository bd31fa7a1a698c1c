"""What one test switches on, the next one does not find."""

import pytest
from tensorflow.python.framework.config import is_op_determinism_enabled

from tfadv.training.train import make_deterministic


@pytest.mark.parametrize("turn", ["first", "second"])
def test_determinism_does_not_leak(turn: str) -> None:
    assert not is_op_determinism_enabled()
    make_deterministic()
    assert is_op_determinism_enabled()
