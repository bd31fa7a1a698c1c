"""A record set on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tfrecords.geometry.nifti import read, write_label
from tfrecords.reading.record_set import label_in_body, open_record_set, subject_volumes
from tfrecords.records.manifest import Manifest


@pytest.mark.parametrize(
    "options",
    [{}, {"crop": (9, 13, 10)}, {"spacing_mm": (1.5, 1.0, 2.0)}, {"orientation": "LPS"}],
    ids=str,
)
def test_a_label_file_lies_on_the_body_as_the_stored_label_map_does(
    small_dataset: Callable[..., Any],
    preprocess_here: Callable[..., Manifest],
    tmp_path: Path,
    options: dict[str, Any],
) -> None:
    """Also where the file holds its whole numbers as floats."""
    data = small_dataset(tmp_path / "data", subjects=2)
    preprocess_here(data.find(), tmp_path / "records", **options)
    records = open_record_set(tmp_path / "records")
    origins = {subject.name: subject for subject in records.manifest.subjects}
    for volume in subject_volumes(records, records.manifest.folds):
        image = nib.Nifti1Image.from_filename(data.path(volume.subject, "label"))
        path = tmp_path / "floats.nii.gz"
        nib.Nifti1Image(image.get_fdata(), image.affine).to_filename(path)
        found = label_in_body(path, volume, origins[volume.subject], records.manifest)
        assert found.dtype == np.uint8
        assert volume.position != (0, 0, 0)
        np.testing.assert_array_equal(found, volume.label)


def test_another_label_file_is_in_the_datasets_classes(
    small_records: tuple[Any, Path], tmp_path: Path
) -> None:
    """Values of the source become indices; what lies beside the body is left away."""
    records = open_record_set(small_records[1])
    origin = records.manifest.subjects[0]
    (volume,) = (v for v in subject_volumes(records, [origin.fold]) if v.subject == origin.name)
    source = next(path for path in origin.files if path.endswith("label.nii.gz"))
    label = np.zeros(read(Path(source))[0].shape, np.uint8)
    label[0, 0, 0] = 2
    label[4, 5, 6] = 1
    write_label(tmp_path / "label.nii.gz", label, Path(source))
    found = label_in_body(tmp_path / "label.nii.gz", volume, origin, records.manifest)
    (place,) = np.argwhere(found)
    assert tuple(place + volume.position) == (6, 5, 4)
    assert found[tuple(place)] == 1
