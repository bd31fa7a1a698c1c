"""Which figures a report has, and what they are made of."""

import pandas as pd

from tfadv.study.drawings import judges


def test_judges_are_the_players_that_say_both() -> None:
    """Whatever they are called."""
    logged = ["epoch", "critic_true", "discriminator_generated", "critic_generated", "val_dice"]
    history = pd.DataFrame(columns=[*logged, "discriminator_true", "second_critic_true"])
    assert judges(history) == [
        ("critic_true", "critic_generated"),
        ("discriminator_true", "discriminator_generated"),
    ]
    assert judges(pd.DataFrame(columns=["epoch", "val_dice"])) == []
