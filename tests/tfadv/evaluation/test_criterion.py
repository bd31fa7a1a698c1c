"""What chooses the epoch."""

import math
from dataclasses import replace

import pytest

from tfadv.evaluation.criterion import MEAN_DICE, Criterion, log_key
from tfrecords.errors import SettingError
from tfrecords.reading.record_set import RecordSet


@pytest.mark.parametrize(
    ("text", "measure", "region", "key"),
    [
        ("mean", "dice", "mean", "val_dice"),
        ("label_2", "dice", "label_2", "val_dice_label_2"),
        ("dice:label_2", "dice", "label_2", "val_dice_label_2"),
        ("sensitivity:mean", "sensitivity", "mean", "val_sensitivity"),
        ("hausdorff95_mm:label_1", "hausdorff95_mm", "label_1", "val_hausdorff95_mm_label_1"),
    ],
)
def test_what_a_text_means(
    text: str, measure: str, region: str, key: str, records: RecordSet
) -> None:
    criterion = Criterion.parse(text, records.manifest)
    assert (criterion.measure, criterion.region, criterion.key) == (measure, region, key)


def test_a_regions_name_may_hold_a_colon(records: RecordSet) -> None:
    manifest = replace(records.manifest, regions={"dice:label_1": ("label_2",)})
    assert Criterion.parse("dice:label_1", manifest) == Criterion("dice", "dice:label_1")
    found = Criterion.parse("sensitivity:dice:label_1", manifest)
    assert found == Criterion("sensitivity", "dice:label_1")


@pytest.mark.parametrize("text", ["tumour", "sensitivity", "dice:tumour", "volume_ml:mean", ""])
def test_what_is_not_scored_is_refused(text: str, records: RecordSet) -> None:
    """A volume alone is neither good nor bad."""
    with pytest.raises(SettingError) as refusal:
        Criterion.parse(text, records.manifest)
    assert refusal.value.setting == "select_by"
    assert refusal.value.reason.startswith("expected one of mean, label_1, label_2, or one of dice")
    assert refusal.value.reason.endswith(f"as in dice:label_2, received {text}")


def test_shares_improve_upwards_and_distances_downwards() -> None:
    assert MEAN_DICE.improves(0.6, best=0.5)
    assert not MEAN_DICE.improves(0.5, best=0.5)
    distance = Criterion("hausdorff95_mm", "mean")
    assert distance.improves(3.0, best=4.0)
    assert not distance.improves(4.0, best=3.0)


def test_any_number_is_better_than_none() -> None:
    assert MEAN_DICE.improves(0.1, best=math.nan)
    assert not MEAN_DICE.improves(math.nan, best=0.1)
    assert not MEAN_DICE.improves(math.nan, best=math.nan)


def test_titles_and_keys() -> None:
    assert MEAN_DICE.title == "validation Dice: mean"
    assert log_key("dice", "WT") == "val_dice_WT"
