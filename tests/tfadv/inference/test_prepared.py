"""Images as a model takes them, in processes without TensorFlow."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tfadv.inference import prepared
from tfadv.inference.prepared import Intake, Prepared, prepared_or_fault
from tfrecords.files import file_checksum
from tfrecords.sources.subject import Subject

INTAKE = Intake(2, "LPS", (1.0, 1.0, 2.0), None, (5, 6, 7), "int16", False)


@pytest.fixture
def subject(tmp_path: Path, small_dataset: Callable[..., Any]) -> Subject:
    (found,) = small_dataset(tmp_path / "data", 1).find().subjects
    return found


def test_workers_do_without_tensorflow() -> None:
    code = "import sys, tfadv.inference.prepared; print('tensorflow' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_volumes_are_oriented_and_cropped_float32(subject: Subject) -> None:
    found = prepared_or_fault(INTAKE, subject)
    assert isinstance(found, Prepared)
    assert found.volume.dtype == np.float32
    both = [np.asarray(nib.Nifti1Image.from_filename(p).dataobj) for p in subject.images]
    whole = np.stack(both, axis=-1)[::-1, ::-1]  # Of 12x14x10 voxels, the centre is kept.
    np.testing.assert_array_equal(found.volume, whole[3:8, 4:10, 1:8].transpose(2, 1, 0, 3))
    assert (found.source.orientation, found.working.orientation) == ("RAS", "LPS")
    assert found.checksums == tuple(map(file_checksum, subject.images))
    assert found.remarks == ()


def test_another_spacing_than_the_models_is_remarked(subject: Subject) -> None:
    intake = Intake(2, "RAS", (1.0, 1.0, 1.0), None, None, "int16", False)
    found = prepared_or_fault(intake, subject)
    assert isinstance(found, Prepared)
    (remark,) = found.remarks
    assert remark.startswith(f"the model was trained at (1.0, 1.0, 1.0) mm; {subject.images[0]} is")


def test_a_fault_is_a_line(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*_: object) -> None:
        raise MemoryError("8 GiB")

    with monkeypatch.context() as patch:
        patch.setattr(prepared, "prepare", too_large)
        assert prepared_or_fault(INTAKE, subject) == "not enough memory (8 GiB)"
    subject.images[1].unlink()
    assert prepared_or_fault(INTAKE, subject) == f"{subject.images[1]}: no such file"
