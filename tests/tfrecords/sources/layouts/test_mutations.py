"""Tables and JSON with random faults give a consistent dataset or one line, never a traceback."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfrecords.errors import UserError
from tfrecords.names import name_fault
from tfrecords.sources import layouts
from tfrecords.sources.subject import Dataset

ROUNDS = 400
# Of any kind, and what the entries themselves hold.
ODD: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 255, 256, 1.5, 1e400, 10**30, "", " ", "1", "0", ".", ".."),
    *("../../x", "/x", "a/b", "a\\b", "a\0b", "-a", ".a", 300 * "a", "mean", "MEAN", "a:b", "a,b"),
    *("\ud800", "ä", "²", "٣", [], {}, [1, 2], [0], [[1]], ["a"], {"0": "a"}, {"a": 0}, {"a": [1]}),
    *("imagesTr/a.nii.gz", "labelsTr/a.nii.gz", "$HOME/a", ".nii", "*", "[", "background", "a"),
)

CONTENTS: tuple[dict[str, Any], ...] = (
    {
        "modality": {"0": "T1", "1": "T2"},
        "labels": {"0": "background", "1": "a", "2": "b"},
        "numTraining": 2,
        "training": [
            {"image": f"imagesTr/{name}.nii.gz", "label": f"labelsTr/{name}.nii.gz"}
            for name in "ab"
        ],
        "test": ["imagesTs/c.nii.gz"],
    },
    {
        "channel_names": {"0": "T1"},
        "labels": {"background": 0, "whole": [1, 2], "core": 2},
        "regions_class_order": [1, 2],
        "file_ending": ".nii.gz",
    },
    {
        "channel_names": {"0": "T1", "1": "T2"},
        "labels": {"background": 0, "a": 1, "b": 2},
        "dataset": {
            "a": {"images": ["imagesTr/a.nii.gz"], "label": "labelsTr/a.nii.gz"},
            "b": {"images": ["../b_0.nii.gz", "../b_1.nii.gz"], "label": "../b.nii.gz"},
        },
    },
)
CSVS = (
    "subject,t1,t2,label\ns0,a.nii,b.nii,c.nii\ns1,d.nii,e.nii,f.nii\n",
    "subject;t1;label;group;fold\ns0;a.nii;b.nii;high;0\ns1;c.nii;d.nii;low;1\n",
)
PROSTATE = "subject,t2w,adc,hbv,zones,fold\ns0,a,b,c,d,0\ns1,e,f,g,h,1\n"


def mutated(content: Any, random: np.random.Generator) -> Any:
    """With an entry deleted, repeated, renamed or replaced, anywhere inside."""
    content = copy.deepcopy(content)
    place = content
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return content
        key = keys[random.integers(len(keys))]
        if isinstance(place[key], dict | list) and random.random() < 0.8:
            place = place[key]
            continue
        odd = ODD[random.integers(len(ODD))]
        kind = random.integers(4)
        if kind == 0:
            del place[key]
        elif kind == 1:
            place[key] = odd
        elif isinstance(place, dict):
            place[str(odd) if kind == 2 else str(keys[-1])] = place[key]
        else:
            place.append(place[key])
        return content


def damaged(text: str, random: np.random.Generator) -> str:
    """With a piece of text deleted, repeated or replaced."""
    start, length = random.integers(len(text)), random.integers(1, 12)
    piece = text[start : start + length]
    others = ("", 2 * piece, *'",;[]{}\n\t\r\ufeff', 5000 * "1", *map(str, ODD))
    return text[:start] + others[random.integers(len(others))] + text[start + length :]


def written(path: Path, text: str) -> None:
    path.write_bytes(text.encode(errors="surrogatepass"))


def require_consistent(dataset: Dataset) -> None:
    names = [one.name for one in dataset.classes]
    values = [value for one in dataset.classes for value in one.labels]
    assert dataset.modalities
    assert len(set(values)) == len(values)
    assert set(values) <= set(range(256))
    assert not dataset.classes or dataset.classes[0].labels[0] == 0 < len(values) - 1
    assert len({*names, *dataset.regions, "mean"}) == len(names) + len(dataset.regions) + 1
    assert all(members and set(members) <= set(names[1:]) for members in dataset.regions.values())
    for subject in dataset.subjects:
        assert name_fault(subject.name) is name_fault(subject.fold or "0") is None
        assert name_fault(subject.group) is None
        assert subject.group in dataset.groups
        assert len(set(subject.files)) == len(subject.files)


def outcomes(find: Callable[[], Dataset], mutate: Callable[[], None]) -> tuple[int, int]:
    """How many mutations were taken and refused."""
    refused = 0
    for _ in range(ROUNDS):
        mutate()
        message = ""
        try:
            require_consistent(find())
        except UserError as error:
            message = str(error)
            refused += 1
        assert message.isprintable()
        assert len(message) < 1000
    return ROUNDS - refused, refused


@pytest.mark.parametrize("number", range(len(CONTENTS)))
@pytest.mark.parametrize("unlabelled", [False, True])
def test_dataset_json(tmp_path: Path, number: int, unlabelled: bool) -> None:
    random = np.random.default_rng(number)
    for file in ("imagesTr/a_0000", "labelsTr/a", "imagesTr/d_0000", "imagesTs/c_0000"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / f"{file}.nii.gz").touch()

    def mutate() -> None:
        content = CONTENTS[number]
        for _ in range(random.integers(1, 3)):
            content = mutated(content, random)
        text = json.dumps(content)
        if random.random() < 0.2:
            text = damaged(text, random)
        written(tmp_path / "dataset.json", text)

    found = outcomes(lambda: layouts.find("decathlon", tmp_path, unlabelled), mutate)
    assert min(found) > ROUNDS / 20


@pytest.mark.parametrize("number", range(len(CSVS)))
@pytest.mark.parametrize("unlabelled", [False, True])
def test_a_table(tmp_path: Path, number: int, unlabelled: bool) -> None:
    random = np.random.default_rng(number)
    text = CSVS[number] + ("", ("s2,g.nii,h.nii,\n", "s2;e.nii;;low;\n")[number])[unlabelled]

    def mutate() -> None:
        written(tmp_path / "a.csv", damaged(text, random))

    found = outcomes(lambda: layouts.find("table", tmp_path, unlabelled), mutate)
    assert min(found) > ROUNDS / 20


def test_patients(tmp_path: Path) -> None:
    random = np.random.default_rng(0)

    def mutate() -> None:
        written(tmp_path / "a.csv", damaged(PROSTATE, random))

    found = outcomes(lambda: layouts.find("prostate", tmp_path), mutate)
    assert min(found) > ROUNDS / 20
