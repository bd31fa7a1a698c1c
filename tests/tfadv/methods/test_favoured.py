"""Names of what is favoured, looked up in a manifest."""

from types import SimpleNamespace
from typing import Any

import pytest

from tfadv import methods
from tfadv.methods.favoured import favoured_of
from tfrecords.errors import SettingError
from tfrecords.reading.favoured import Favoured
from tfrecords.reading.record_set import RecordSet
from tfrecords.sources.subject import LabelClass

NAMES = ("background", "tumour", "oedema", "cyst")


def manifest(**changes: Any) -> Any:
    classes = [LabelClass(name, (value,)) for value, name in enumerate(NAMES)]
    known = {
        "groups": ("high", "low"),
        "classes": classes,
        "regions": {"WT": ("tumour", "oedema")},
        "favoured": (),
        "class_index": NAMES.index,
    }
    return SimpleNamespace(**known | changes)


@pytest.mark.parametrize(
    ("names", "groups", "classes"),
    [
        ("tumour", set(), {1}),
        ("WT", set(), {1, 2}),
        ("low", {"low"}, set()),
        ("low,WT,cyst", {"low"}, {1, 2, 3}),
    ],
)
def test_names_are_groups_classes_and_regions(
    names: str, groups: set[str], classes: set[int]
) -> None:
    wanted = tuple(names.split(","))
    expected = Favoured(0.7, wanted, frozenset(groups), frozenset(classes))
    assert favoured_of(manifest(), names, 0.7) == expected
    # What a dataset says is meant where nobody else says anything.
    assert favoured_of(manifest(favoured=wanted), "", 0.7) == expected
    assert favoured_of(manifest(favoured=("cyst",)), names, 0.7) == expected


def test_without_any_name_it_is_the_first_of_several_groups() -> None:
    assert favoured_of(manifest(), "", 0.7) == Favoured(0.7, ("high",), frozenset({"high"}))
    assert favoured_of(manifest(groups=("all",)), "", 0.7) is None


def test_an_unknown_name_is_told_with_the_known_ones() -> None:
    message = (
        r"^hp\.favoured: expected names of groups \(high, low\), classes \(background, tumour, "
        r"oedema, cyst\) or regions \(WT\), received 'lesion'$"
    )
    with pytest.raises(SettingError, match=message):
        favoured_of(manifest(), "tumour,lesion", 0.7)


@pytest.mark.parametrize("name", ["tumour", "WT"])
def test_a_name_of_two_things_is_refused(name: str) -> None:
    both = manifest(groups=("high", name))
    with pytest.raises(SettingError, match=rf"^hp\.favoured: expected one thing of .*'{name}'"):
        favoured_of(both, name, 0.7)
    assert favoured_of(both, "high", 0.7) is not None
    # The first group needs no name.
    assert favoured_of(manifest(groups=(name, "low")), "", 0.7) is not None


@pytest.mark.parametrize("name", ["kohl_cross_entropy", "kohl_hybrid"])
def test_methods_of_kohl_favour_what_they_are_told(name: str, records: RecordSet) -> None:
    configured = methods.get(name).configure("small", ["favoured=label_1", "favoured_share=0.4"])
    expected = Favoured(0.4, ("label_1",), classes=frozenset({1}))
    assert configured.recipe(records.manifest).favoured == expected
