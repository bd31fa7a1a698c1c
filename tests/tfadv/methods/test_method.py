"""Hyperparameters: presets, overrides, and the card that shows them."""

from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import pytest

from tfadv import methods
from tfrecords.errors import UserError


def test_paper_preset_has_the_papers_values() -> None:
    hp = methods.get("kohl_purely_adversarial").configure()
    stated = {
        "epochs": 225,
        "steps_per_epoch": 80,
        "batch_size": 5,
        "crop_size": 416,
        "width": 64,
        "discriminator_steps": 3,
        "learning_rate": 1e-5,
        "discriminator_learning_rate": 1e-5,
        "halve_every": 75,
        "favoured": "",
        "favoured_share": 0.7,
        "shift": 50.0,
    }
    assert {name: getattr(hp, name) for name in stated} == stated
    assert hp.rotation_rad == pytest.approx(0.392699)


@pytest.mark.parametrize(
    ("name", "preset", "weights"),
    [
        ("kohl_purely_adversarial", "paper", {"segmentor_adversarial": 1.0}),
        ("kohl_purely_adversarial", "small", {"segmentor_adversarial": 1.0}),
        ("kohl_cross_entropy", "paper", {"segmentor_cross_entropy": 1.0}),
        (
            "kohl_hybrid",
            "paper",
            {"segmentor_adversarial": 1.0, "segmentor_cross_entropy": 0.5},
        ),
        (
            "kohl_hybrid",
            "small",
            {"segmentor_adversarial": 0.1, "segmentor_cross_entropy": 0.5},
        ),
    ],
)
def test_methods_differ_in_the_weights_of_table_1(
    name: str, preset: str, weights: dict[str, float]
) -> None:
    players = methods.get(name).configure(preset, ["width=2"]).build(1, "ab")
    assert {term.name: term.weight for term in players.schedule[-1].terms} == weights


def test_overrides_are_of_the_fields_type() -> None:
    hp = methods.get("kohl_hybrid").configure(
        "small", ["width=32", "learning_rate=1e-4", "mirror=false"]
    )
    assert (hp.width, hp.learning_rate, hp.mirror) == (32, 1e-4, False)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("widht=32", "no such hyperparameter. It has: .*width"),
        ("width=wide", "expected a whole number, at least 1 .default 64., received 'wide'"),
        ("width=1.5", "expected a whole number"),
        ("width=0", "expected a whole number, at least 1 .default 64., received 0"),
        ("learning_rate=", "expected a number, a positive number .default 1e-05., received ''"),
        ("mirror=perhaps", "expected a switch"),
    ],
)
def test_wrong_overrides_name_the_legal_ones(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        methods.get("kohl_hybrid").configure("paper", [override])


def test_unknown_method_names_the_known_ones() -> None:
    with pytest.raises(UserError, match="expected one of kohl_cross_entropy, kohl_hybrid"):
        methods.get("kohl")


@pytest.mark.parametrize("name", methods.all_methods())
def test_every_hyperparameter_has_a_source(name: str) -> None:
    for field in fields(methods.get(name)):
        assert field.metadata["source"], field.name


@pytest.mark.parametrize(
    ("crop_size", "largest", "expected"),
    [(416, (19, 384, 384), (416, 416)), (0, (35, 59, 43), (64, 48)), (0, (1, 64, 80), (64, 80))],
)
def test_crop_is_stated_or_holds_the_largest_slice(
    crop_size: int, largest: tuple[int, int, int], expected: tuple[int, int]
) -> None:
    method = methods.get("kohl_hybrid").configure("small", [f"crop_size={crop_size}"])
    manifest: Any = SimpleNamespace(largest_shape=largest, groups=("all",), favoured=())
    assert method.recipe(manifest).size == expected
