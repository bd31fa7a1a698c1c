"""The names under which TensorBoard and trackers see what a run logs."""

import re

import pytest

from tfadv import methods
from tfadv.adversarial import AdversarialModel
from tfadv.players import Players
from tfadv.training.tags import Tags

OUTPUTS = ("WT", "TC")


def players_of(name: str, *values: str) -> Players:
    return methods.get(name).configure("small", values).players(2, OUTPUTS)


@pytest.fixture(scope="module")
def hybrid() -> Players:
    return players_of("kohl_hybrid", "width=2", "discriminator_width=2")


def test_numbers_of_one_player_share_its_group(hybrid: Players) -> None:
    tags = Tags(hybrid)
    assert {name: tags(name) for name in AdversarialModel(hybrid).trackers} == {
        "discriminator_loss": "discriminator/loss",
        "discriminator_true": "discriminator/true",
        "discriminator_generated": "discriminator/generated",
        "discriminator_gradient_norm": "gradient_norm/discriminator",
        "segmentor_cross_entropy": "segmentor/cross_entropy",
        "segmentor_adversarial": "segmentor/adversarial",
        "segmentor_gradient_norm": "gradient_norm/segmentor",
    }
    assert tags("segmentor_learning_rate") == "learning_rate/segmentor"


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("val_dice", "dice/mean"),
        ("val_dice_WT", "dice/WT"),
        ("val_hausdorff95_mm", "hausdorff95_mm/mean"),
        ("val_average_surface_distance_mm_a_b", "average_surface_distance_mm/a_b"),
    ],
)
def test_a_measure_has_a_group_with_its_regions(hybrid: Players, name: str, tag: str) -> None:
    assert Tags(hybrid)(name) == tag


@pytest.mark.slow
def test_what_several_critics_share_is_the_updates(hybrid: Players) -> None:
    tags = Tags(players_of("segan_s3_3c", "width=2", "critic_width=2"))
    assert tags("distance_WT") == "critic/distance_WT"
    assert tags("critic_WT_gradient_norm") == "gradient_norm/critic_WT"
    assert tags("scale_0") == "segmentor/scale_0"


def test_an_update_that_moves_the_segmentor_is_the_segmentors() -> None:
    tags = Tags(players_of("moeskops_fcn_adversarial"))
    assert tags("adversarial") == "segmentor/adversarial"
    assert tags("discriminator_manual") == "discriminator/manual"


def test_both_players_are_on_one_chart(hybrid: Players) -> None:
    tags = Tags(hybrid)
    found = list(tags.of(dict.fromkeys(AdversarialModel(hybrid).trackers, 0.0)))
    shown = {
        chart.title: [tag for tag in found if any(re.match(t, tag) for t in chart.tags)]
        for charts in tags.charts().values()
        for chart in charts
    }
    assert shown["losses of all players"] == [
        "discriminator/loss",
        "segmentor/adversarial",
        "segmentor/cross_entropy",
    ]
    assert shown["what judges say: true"] == ["discriminator/true", "discriminator/generated"]
    assert shown["gradient norm"] == ["gradient_norm/discriminator", "gradient_norm/segmentor"]
    alone = Tags(players_of("kohl_cross_entropy", "width=2")).charts()
    assert "what judges say: true" not in [chart.title for chart in alone["players"]]
