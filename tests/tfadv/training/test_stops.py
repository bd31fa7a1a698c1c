"""Early ends: divergence and dead players."""

import pytest

from tfadv.players import Batch, Networks, Players, Term, Update
from tfadv.training.stops import StopAtDeadPlayer, StopAtDivergence
from tfrecords.errors import UserError


def test_divergence_names_the_first_bad_step() -> None:
    callback = StopAtDivergence()
    callback.on_epoch_begin(6)
    callback.on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(UserError, match="epoch 7, step 2: loss is NaN"):
        callback.on_train_batch_end(1, {"loss": float("nan"), "fine": 1.0})


def test_a_loss_beyond_all_bounds_is_divergence() -> None:
    callback = StopAtDivergence()
    callback.on_epoch_begin(0)
    callback.on_train_batch_end(0, {"loss": 1e8})
    with pytest.raises(UserError, match=r"epoch 1, step 2: loss diverges, beyond 1e\+09. .*--hp"):
        callback.on_train_batch_end(1, {"loss": -1e10, "fine": 1.0})


def update(term: str, dies: str) -> Update:
    def forward(networks: Networks, batch: Batch) -> None:
        return None

    return Update("u", {"c": "c"}, (Term(term, lambda scene: scene.shared),), forward, dies=dies)


def test_a_loss_that_stays_at_zero_ends_the_run_where_its_update_says_so() -> None:
    """A Wasserstein critic's loss is negative: that is no zero."""
    schedule = (update("critic", "it is dead. Raise clamp"), update("other", ""))
    callback = StopAtDeadPlayer(Players({}, {}, schedule))
    callback.on_epoch_begin(2)
    for step in range(19):
        callback.on_train_batch_end(step, {"critic": 0.0, "other": 0.0})
    callback.on_train_batch_end(30, {"critic": 1e-6, "other": 0.0})
    callback.on_train_batch_end(30, {"critic": -2.0, "other": 0.0})
    with pytest.raises(UserError, match="epoch 3: critic has been zero for 20 steps: it is dead"):
        callback.on_train_batch_end(19, {"critic": 0.0, "other": 0.0})
