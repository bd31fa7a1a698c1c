"""Kohl et al. 2017: which terms and players its methods have."""

import pytest

from tfadv import methods
from tfrecords.errors import SettingError

TINY = ["width=2", "convolutions=1"]


@pytest.mark.parametrize(
    ("name", "networks", "updates"),
    [
        ("kohl_cross_entropy", ["segmentor"], 1),
        ("kohl_purely_adversarial", ["segmentor", "discriminator"], 4),
        ("kohl_hybrid", ["segmentor", "discriminator"], 4),
    ],
)
def test_players_and_updates(name: str, networks: list[str], updates: int) -> None:
    players = methods.get(name).configure("small", TINY).players(1, "ab")
    assert list(players.networks) == networks
    assert [update.minibatch for update in players.schedule] == list(range(updates))


@pytest.mark.parametrize("name", ["kohl_purely_adversarial", "kohl_hybrid"])
def test_normalisation_of_the_last_convolution_is_chosen(name: str) -> None:
    def counted(value: str) -> int:
        values = [*TINY, "discriminator_width=2", f"discriminator_last_normalised={value}"]
        players = methods.get(name).configure("small", values).players(1, "ab")
        return int(players.networks["discriminator"].count_params())

    # Scale and shift of 32 maps, or their bias.
    assert counted("true") - counted("false") == 32


def test_the_baseline_has_no_value_of_a_discriminator() -> None:
    for name in (
        "discriminator_width",
        "label_noise",
        "discriminator_last_normalised",
        "adversarial_weight",
        "signal",
    ):
        with pytest.raises(SettingError, match=rf"^hp\.{name}: kohl_cross_entropy has no such"):
            methods.get("kohl_cross_entropy").configure("small", [f"{name}=1"])


def test_purely_adversarial_training_cannot_do_without_the_verdict() -> None:
    with pytest.raises(SettingError, match=r"hp\.signal: .*one of on, frozen, shuffled"):
        methods.get("kohl_purely_adversarial").configure("small", ["signal=off"])
