"""From a DICOM series to a DICOM segmentation, read back by pydicom and NumPy alone."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from tests.series import save, write_series
from tfadv.inference.dicom import write_segmentation
from tfadv.inference.folder import Counts, predict_all
from tfadv.inference.model import local, read_description
from tfadv.inference.prediction import predict
from tfrecords.errors import SettingError, UserError
from tfrecords.sources.subject import LabelClass


def arrays_of(sources: Path, number: int) -> list[np.ndarray]:
    """A subject's two images [X, Y, Z]."""
    paths = [sources / f"{number}_{name}.nii.gz" for name in ("t1", "t2")]
    return [np.asarray(nib.Nifti1Image.from_filename(path).dataobj) for path in paths]


def series_of(array: np.ndarray, folder: Path) -> list[pydicom.Dataset]:
    """The image of RAS voxels of 1 mm as slices, downwards, whose rows run to the back."""
    _, rows, slices = array.shape
    return write_series(
        folder,
        array[:, ::-1, ::-1],
        row=(-1, 0, 0),
        column=(0, 1, 0),
        spacing_mm=(1, 1, 1),
        first_mm=(0, 1 - rows, slices - 1),
    )


def segments_of(path: Path, written: list[pydicom.Dataset]) -> dict[str, np.ndarray]:
    """Each segment's mask [columns, rows, slices], its frames put where they say they lie."""
    found = pydicom.dcmread(path)
    labels = {int(one.SegmentNumber): one.SegmentLabel for one in found.SegmentSequence}
    places = [np.array(one.ImagePositionPatient, float) for one in written]
    rows, columns = int(found.Rows), int(found.Columns)
    bits = np.unpackbits(np.frombuffer(found.PixelData, np.uint8), bitorder="little")
    frames = bits[: rows * columns * int(found.NumberOfFrames)].reshape(-1, rows, columns)
    shared = found.SharedFunctionalGroupsSequence[0]
    masks = {label: np.zeros((columns, rows, len(written)), bool) for label in labels.values()}
    for frame, group in zip(frames, found.PerFrameFunctionalGroupsSequence, strict=True):
        place = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        distances = [np.linalg.norm(place - other) for other in places]
        slice_ = int(np.argmin(distances))
        assert distances[slice_] < 1e-4
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert source.ReferencedSOPInstanceUID == written[slice_].SOPInstanceUID
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        masks[labels[number]][:, :, slice_] = frame.T
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    np.testing.assert_allclose(orientation, written[0].ImageOrientationPatient)
    measures = shared.PixelMeasuresSequence[0]
    np.testing.assert_allclose(measures.PixelSpacing, written[0].PixelSpacing)
    for name in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID"):
        assert found[name].value == written[0][name].value
    return masks


@pytest.fixture(scope="module")
def expected(
    sources: Path, model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> np.ndarray:
    """The label map [X, Y, Z] of the first subject as NIfTI."""
    path = tmp_path_factory.mktemp("plain") / "label.nii.gz"
    predict(local(model_dir), [sources / f"0_{name}.nii.gz" for name in ("t1", "t2")], path)
    return np.asarray(nib.Nifti1Image.from_filename(path).dataobj)


@pytest.mark.slow
def test_a_segmentation_lies_on_its_series(
    sources: Path, model_dir: Path, expected: np.ndarray, tmp_path: Path
) -> None:
    """Each class in the voxels that the same image as NIfTI gives it."""
    folders = [tmp_path / "t1", tmp_path / "t2"]
    written = [series_of(*pair) for pair in zip(arrays_of(sources, 0), folders, strict=True)]
    predict(local(model_dir), folders, tmp_path / "label.dcm", save_probabilities=True)
    masks = segments_of(tmp_path / "label.dcm", written[0])
    assert list(masks) == ["label_1", "label_2"]
    for value, mask in enumerate(masks.values(), 1):
        assert mask.any()
        np.testing.assert_array_equal(mask[:, ::-1, ::-1], expected == value)
    maps = nib.Nifti1Image.from_filename(tmp_path / "label_probabilities.nii.gz")
    np.testing.assert_array_equal(np.asarray(maps.dataobj).argmax(-1)[:, ::-1, ::-1], expected)


CLASSES = (
    LabelClass("background", (0,)),
    LabelClass("necrosis", (1,)),
    LabelClass("Ödem " + 60 * "x", (2, 3)),
    LabelClass("enhancing", (4,)),
)


@pytest.mark.slow
@pytest.mark.parametrize("values", [(0, 1, 2, 4), (0, 4), (0,)])
def test_segments_are_the_classes_whatever_their_values(
    values: tuple[int, ...], model_dir: Path, tmp_path: Path
) -> None:
    """All of them, although some or all may be empty."""
    label = np.random.default_rng(0).choice(np.array(values, np.uint8), (5, 4, 6))
    written = write_series(tmp_path / "series", label.astype(np.int16))
    description = replace(read_description(model_dir), classes=CLASSES, dataset="x" * 30)
    write_segmentation(tmp_path / "a.dcm", label, tmp_path / "series", description, "v" * 64)
    masks = segments_of(tmp_path / "a.dcm", written)
    assert list(masks) == ["necrosis", f"Ödem {59 * 'x'}", "enhancing"]
    for one, mask in zip(CLASSES[1:], masks.values(), strict=True):
        np.testing.assert_array_equal(mask, np.isin(label, one.labels))


@pytest.mark.slow
def test_folders_of_series_are_subjects(
    sources: Path, model_dir: Path, expected: np.ndarray, tmp_path: Path
) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    for array, name in zip(arrays_of(sources, 0), ("t1", "t2"), strict=True):
        series_of(array, images / "s0" / name)
    assert predict_all(local(model_dir), images, out) == Counts(1, 0)
    found = nib.Nifti1Image.from_filename(out / "s0.nii.gz")
    np.testing.assert_array_equal(np.asarray(found.dataobj)[:, ::-1, ::-1], expected)
    np.testing.assert_allclose(found.affine @ (0, 29, 5, 1), (0, 0, 0, 1), atol=1e-5)
    assert predict_all(local(model_dir), images, out) == Counts(0, 1)
    with pytest.raises(SettingError, match="output: expected a folder without images"):
        predict_all(local(model_dir), images, images / "s0" / "t1")


@pytest.mark.slow
def test_what_cannot_be_a_segmentation_is_one_line(
    sources: Path, model_dir: Path, tmp_path: Path
) -> None:
    plain = [sources / f"0_{name}.nii.gz" for name in ("t1", "t2")]
    with pytest.raises(SettingError, match=r"output: expected .* DICOM series .*0_t1.nii.gz"):
        predict(local(model_dir), plain, tmp_path / "label.dcm")
    folders = [tmp_path / "t1", tmp_path / "t2"]
    for array, folder in zip(arrays_of(sources, 0), folders, strict=True):
        series_of(array, folder)
    for output in (folders[0] / "label.dcm", folders[1] / "x" / "label.nii.gz"):
        with pytest.raises(SettingError, match=r"output: expected a file that is none of the imag"):
            predict(local(model_dir), folders, output)
    for slice_ in series_of(arrays_of(sources, 0)[0], folders[0]):
        save(slice_, PatientID=None)
    with pytest.raises(UserError, match=r"expected a series that a DICOM segmentation can refer"):
        predict(local(model_dir), folders, tmp_path / "label.dcm")
    assert not (tmp_path / "label.dcm").exists()
