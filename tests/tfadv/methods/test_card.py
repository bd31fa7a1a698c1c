"""The card shows everything."""

from types import SimpleNamespace
from typing import Any

import keras
import pytest
from keras import layers

from tfadv import methods
from tfadv.methods.card import card, counted
from tfadv.methods.method import JOINT_DECISION, Method
from tfrecords.sources.subject import LabelClass

MANIFEST: Any = SimpleNamespace(
    classes=[LabelClass(name, (0,)) for name in "ab"], regions={}, class_index="ab".index
)


def card_of(method: Method, channels: int, maps: int) -> str:
    return card(method, method.players(channels, [f"map_{number}" for number in range(maps)]))


def test_card_tells_everything() -> None:
    method = methods.get("kohl_hybrid").configure("small", ["width=4"])
    text = card_of(method, channels=3, maps=4)
    for line in (
        "  3x D descends -mean[log D(y) + log(1 - D(S(x)))] (eq. 3)",
        "  1x S descends 0.1 * -mean log D(S(x)) (eq. 4) + 0.5 * cross entropy (eq. 2)",
        "  width = 4   (default 64; at least 1; Network Architectures)",
        "segmentor receptive field: 188",
    ):
        assert line in text.splitlines(), line
    assert "discriminator parameters: " in text
    assert all(departure in text for departure in method.departures)


def test_card_offers_no_value_that_the_method_does_not_use() -> None:
    text = card_of(methods.get("segan_unet_softmax").configure("small"), channels=1, maps=2)
    assert "critic" not in text
    assert "clamp" not in text


@pytest.mark.parametrize(
    ("network", "classes", "papers"),
    [
        ("fcn", 7, "140,039"),
        ("fcn", 8, "140,296"),
        ("dilated", 7, "56,039"),
        ("dilated", 8, "56,072"),
    ],
)
def test_parameters_are_counted_as_moeskops_count_them(
    network: str, classes: int, papers: str
) -> None:
    """2.2, of one modality. The discriminator's 66,786 are counted from its description."""
    method = methods.get(f"moeskops_{network}_adversarial").configure()
    lines = card_of(method, channels=1, maps=classes).splitlines()
    (segmentor,) = (line for line in lines if line.startswith("segmentor parameters: "))
    assert segmentor.endswith(f", without normalisation {papers}")
    if classes == 7:
        assert "discriminator parameters: 68,706, without normalisation 66,786" in lines


def test_the_total_stands_beside_it() -> None:
    text = card_of(methods.get("moeskops_fcn").configure(), channels=1, maps=7)
    assert "segmentor parameters: 142,983, without normalisation 140,039" in text.splitlines()


def test_networks_without_normalisation_have_one_number() -> None:
    network = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(2, 3)])
    assert counted(network) == "20"


def test_a_batch_is_of_one_replica() -> None:
    text = card_of(methods.get("moeskops_fcn_adversarial").configure(), channels=1, maps=7)
    assert "minibatches a step: 3, each of 100 on every replica" in text


def test_steps_are_told_for_both_of_moeskops_datasets() -> None:
    """3.1: 50,000 patches per class and image, 300 a step."""
    text = card_of(methods.get("moeskops_dilated").configure(), channels=1, maps=8)
    (line,) = (line for line in text.splitlines() if line.startswith("  steps_per_epoch = "))
    assert line.startswith(f"  steps_per_epoch = {50_000 * 7 * 15 // 300} ")
    elderly = round(50_000 * 8 * 5 / 300)
    assert f"of the 8 classes and 5 elderly subjects of MRBrainS13 it would be {elderly})" in line
    methods.get("moeskops_dilated").configure("paper", [f"steps_per_epoch={elderly}"])


@pytest.mark.parametrize("name", methods.all_methods())
def test_a_joint_decision_is_told_where_maps_are_regions(name: str) -> None:
    """And by no method of exclusive classes."""
    method = methods.get(name)
    exclusive = method.configure().targets(MANIFEST).exclusive
    assert (JOINT_DECISION in method.departures) is not exclusive
    assert len(set(method.departures)) == len(method.departures)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("reciprocal", "crops lie anywhere in the body's box"),
        ("reciprocal_dice", "statistics are then those of another extent than the training's"),
        ("segan_s3_3c", "--crop 180,180,128"),
        ("moeskops_fcn_adversarial", "centred in the body's box"),
        ("moeskops_dilated", "--patches_per_class"),
    ],
)
def test_what_stands_in_no_paper_is_told(name: str, words: str) -> None:
    assert words in card_of(methods.get(name).configure("small", ["batch_size=1"]), 1, 3)
