"""`dataset.json`, as the Medical Segmentation Decathlon and nnU-Net write it."""

import json
import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

from annotated_types import MinLen
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from tfrecords.errors import UserError
from tfrecords.files import first_fault
from tfrecords.names import repeated
from tfrecords.sources.subject import LabelClass

IGNORE = "ignore"
Regions = dict[str, tuple[str, ...]]


class ListedCase(BaseModel):
    """Of the decathlon's list: a file of all modalities and its label map."""

    model_config = ConfigDict(strict=True)

    image: str
    label: str


class NamedCase(BaseModel):
    """Of nnU-Net's `dataset`: a file for each modality and the label map."""

    model_config = ConfigDict(strict=True)

    images: Annotated[list[str], MinLen(1)]
    label: str


class Content(BaseModel):
    """The entries that are read; others mean nothing here. Paths are relative to the file."""

    model_config = ConfigDict(strict=True)

    labels: Annotated[dict[str, Any], MinLen(1)]
    channel_names: dict[str, str] = {}
    modality: dict[str, str] = {}
    file_ending: Annotated[str, Field(pattern=r"^\.[\w.-]+$")] = ".nii.gz"
    training: list[ListedCase] | None = None
    dataset: dict[str, NamedCase] | None = None
    test: Any = None
    licence: Annotated[Any, Field(validation_alias=AliasChoices("licence", "license"))] = None
    training_cases: Any = Field(None, alias="numTraining")

    @field_validator("training", mode="before")
    @classmethod
    def _with_labels(cls, cases: Any) -> Any:
        """Of images that are listed alone, the label maps have their names, in labelsTr."""
        if not isinstance(cases, list):
            return cases
        return [
            {"image": case, "label": f"labelsTr/{Path(case).name}"}
            if isinstance(case, str)
            else case
            for case in cases
        ]

    def modalities(self) -> tuple[str, ...]:
        """Raises UserError where they are not numbered from 0, each once."""
        channels = self.channel_names or self.modality
        numbers = [str(number) for number in range(len(channels))]
        if not channels or set(channels) != set(numbers):
            raise UserError(
                "channel_names (or modality): expected the modalities by number, "
                '{"0": ..., "1": ...}, without gaps, received ' + json.dumps(channels)
            )
        return tuple(channels[number] for number in numbers)

    def classes(self) -> tuple[tuple[LabelClass, ...], Regions]:
        """Classes in the order of their values, and regions where there are lists of values.

        Raises:
            UserError: a value is no whole number, or a name is there twice.
        """
        labels = {name: v for name, v in _by_name(self.labels).items() if name != IGNORE}
        if not any(isinstance(value, list) for value in labels.values()):
            ordered = sorted(labels.items(), key=lambda item: item[1])
            return tuple(LabelClass(name, (value,)) for name, value in ordered), {}
        unions = {name: v if isinstance(v, list) else [v] for name, v in labels.items()}
        values = sorted({value for union in unions.values() for value in union} | {0})
        names = {value: "background" if value == 0 else f"label_{value}" for value in values}
        regions = {n: tuple(names[v] for v in union) for n, union in unions.items() if union != [0]}
        return tuple(LabelClass(names[value], (value,)) for value in values), regions

    def ignored(self) -> tuple[int, ...]:
        """The value of voxels that nobody annotated, if there is one: nnU-Net's label `ignore`.

        Raises:
            UserError: it is not one value, higher than all others.
        """
        labels = _by_name(self.labels)
        if IGNORE not in labels:
            return ()
        ignored = labels.pop(IGNORE)
        unions = (value if isinstance(value, list) else [value] for value in labels.values())
        if isinstance(ignored, list) or ignored <= max(chain.from_iterable(unions), default=0):
            raise UserError(
                f"labels: expected one value of {IGNORE!r}, higher than all others, as nnU-Net has "
                f"it, received {json.dumps(self.labels):.200}. Give the label another name if it "
                "is a class"
            )
        return (ignored,)

    def tests(self) -> list[str]:
        """The images of the test cases that are listed. Raises UserError where it is no list."""
        try:
            return TypeAdapter(list[str]).validate_python(self.test or [], strict=True)
        except ValidationError as error:
            raise UserError(
                f"test: expected the image of every test case, {first_fault(error)}"
            ) from None


def read_dataset_json(path: Path) -> Content:
    """Raises UserError, without the file's name, where it is not what it should be."""
    if not path.is_file():
        raise UserError("no such file; --dataset decathlon expects one in --data_dir")
    try:
        found = json.loads(path.read_text("utf-8-sig"), object_pairs_hook=_without_repetition)
        return Content.model_validate(found)
    except ValidationError as error:
        raise UserError(first_fault(error)) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"expected JSON in UTF-8, received: {error}") from None


def _without_repetition(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Of two entries of one name, Python would silently take the last."""
    if again := repeated(name for name, _ in pairs):
        raise UserError(f"{again[0]!r:.80}: expected one entry of this name, received several")
    return dict(pairs)


def _by_name(labels: dict[str, Any]) -> dict[str, Any]:
    """Values, or lists of values, by name, of {"1": "liver"}, {"liver": 1} or {"whole": [1, 2]}."""
    if all(isinstance(value, str) for value in labels.values()):
        if again := repeated(labels.values()):
            raise UserError(
                f"labels: expected a name for each value, received {again[0]!r:.80} several times"
            )
        for value in labels:
            if not re.fullmatch("[0-9]{1,3}", value):
                raise UserError(
                    'labels: expected names by value, {"0": "background", "1": ...}, with whole '
                    f"numbers from 0 to 255, received {value!r:.80}"
                )
        return {name: int(value) for value, name in labels.items()}
    labels = dict(labels)
    for name, value in labels.items():
        values = value if isinstance(value, list) else [value]
        # In Python, true is a whole number, too.
        if not values or any(type(one) is not int for one in values):
            raise UserError(
                f"labels: {name!r:.80}: expected a whole number from 0 to 255, or a list of "
                f"such for a region, received {json.dumps(value):.80}"
            )
    return labels
