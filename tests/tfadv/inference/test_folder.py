"""Many subjects in one process: the same label maps, those kept, and those that fail."""

import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from tfadv.inference import folder, model
from tfadv.inference.folder import Counts, predict_all
from tfadv.inference.model import load, local, read_description
from tfadv.inference.prediction import predict
from tfadv.inference.segmented import Segment, Segmented
from tfrecords.errors import SettingError, UserError
from tfrecords.files import alone

NUMBERS = range(3)


def label_of(path: Path) -> np.ndarray:
    return np.asarray(nib.Nifti1Image.from_filename(path).dataobj)


@pytest.fixture(scope="module")
def cohort(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three subjects in nnU-Net's names. Only to be read."""
    images = tmp_path_factory.mktemp("cohort")
    for number in NUMBERS:
        for place, name in enumerate(("t1", "t2")):
            shutil.copy(
                sources / f"{number}_{name}.nii.gz", images / f"s{number}_000{place}.nii.gz"
            )
    return images


@pytest.fixture(scope="module")
def expected(
    sources: Path, model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, np.ndarray]:
    """Each subject's label map, predicted by itself."""
    made = tmp_path_factory.mktemp("expected")
    for number in NUMBERS:
        images = [sources / f"{number}_{name}.nii.gz" for name in ("t1", "t2")]
        predict(local(model_dir), images, made / f"s{number}.nii.gz")
    return {f"s{number}": label_of(made / f"s{number}.nii.gz") for number in NUMBERS}


@pytest.fixture(scope="module")
def segment(model_dir: Path) -> Segment:
    return load(model_dir, read_description(model_dir))


@pytest.fixture
def here(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading in this process, and the model loaded once for all tests."""

    def map_here(
        function: Callable[[Any], Any], items: Sequence[Any], *_: object, **__: object
    ) -> Iterator[tuple[int, Any]]:
        yield from ((index, function(items[index])) for index in reversed(range(len(items))))

    monkeypatch.setattr(folder, "parallel_map", map_here)
    monkeypatch.setattr(model, "load", lambda *_: segment)


def require_equal(made: Path, expected: dict[str, np.ndarray], names: Iterable[str]) -> None:
    assert {path.name for path in made.glob("*.nii.gz")} == {f"{name}.nii.gz" for name in names}
    for name in names:
        np.testing.assert_array_equal(label_of(made / f"{name}.nii.gz"), expected[name])


@pytest.mark.slow
def test_each_label_map_is_that_of_its_subject_alone(
    cohort: Path, model_dir: Path, expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """In workers, as users have it."""
    assert predict_all(local(model_dir), cohort, tmp_path / "a" / "out") == Counts(3, 0)
    require_equal(tmp_path / "a" / "out", expected, expected)
    written = nib.Nifti1Image.from_filename(tmp_path / "a" / "out" / "s1.nii.gz")
    image = nib.Nifti1Image.from_filename(cohort / "s1_0000.nii.gz")
    np.testing.assert_array_equal(written.affine, image.affine)


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_files_of_other_formats_and_a_table(
    sources: Path, model_dir: Path, expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    images = tmp_path / "images"
    for number, ending in zip(NUMBERS, ("mha", "mhd", "nrrd"), strict=True):
        (images / f"s{number}").mkdir(parents=True)
        for name in ("t1", "t2"):
            image = sitk.ReadImage(str(sources / f"{number}_{name}.nii.gz"))
            for key in image.GetMetaDataKeys():
                image.EraseMetaData(key)
            sitk.WriteImage(image, str(images / f"s{number}" / f"{name}.{ending}"))
    assert predict_all(local(model_dir), images, tmp_path / "of_folder") == Counts(3, 0)
    require_equal(tmp_path / "of_folder", expected, expected)
    rows = [f"s{n},{sources}/{n}_t1.nii.gz,{sources}/{n}_t2.nii.gz" for n in NUMBERS]
    table = tmp_path / "subjects.csv"
    table.write_text("\n".join(("subject,t1,t2", *rows, "x,y,z")))
    with pytest.raises(UserError, match=r"1 of 4 subjects failed, .* above: x\. "):
        predict_all(local(model_dir), table, tmp_path / "of_table")
    require_equal(tmp_path / "of_table", expected, expected)


@pytest.mark.usefixtures("here")
def test_probabilities_lie_on_the_image_and_make_its_labels(
    cohort: Path, model_dir: Path, expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    predict_all(local(model_dir), cohort, tmp_path, save_probabilities=True)
    image = nib.Nifti1Image.from_filename(tmp_path / "s0_probabilities.nii.gz")
    maps = np.asarray(image.dataobj)
    assert maps.dtype == np.float32
    np.testing.assert_array_equal(maps.argmax(axis=-1), expected["s0"])
    np.testing.assert_allclose(maps.sum(axis=-1), 1, atol=1e-5)
    single = tmp_path / "single" / "label.nii.gz"
    images = [cohort / f"s0_000{place}.nii.gz" for place in (0, 1)]
    predict(local(model_dir), images, single, save_probabilities=True)
    np.testing.assert_array_equal(
        label_of(tmp_path / "single" / "label_probabilities.nii.gz"), maps
    )


@pytest.mark.usefixtures("here")
def test_a_subject_that_fails_is_named_and_the_others_go_on(
    cohort: Path,
    model_dir: Path,
    expected: dict[str, np.ndarray],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    images = shutil.copytree(cohort, tmp_path / "images")
    whole = (images / "s1_0001.nii.gz").read_bytes()
    (images / "s1_0001.nii.gz").write_bytes(whole[: len(whole) // 2])
    (images / "s2_0001.nii.gz").unlink()
    (images / "notes.txt").write_text("")
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"2 of 3 subjects failed, .* above: s2, s1\. The others'"):
        predict_all(local(model_dir), images, out)
    left_out, incomplete, damaged = caplog.messages
    assert left_out.endswith(f"nobody's images: {images / 'notes.txt'}")
    assert incomplete.startswith("s2: expected a file for each of 0000, 0001, received")
    assert damaged.startswith(f"s1: {images / 's1_0001.nii.gz'}: cannot be read (its data are dam")
    require_equal(out, expected, ["s0"])
    before = (out / "s0.nii.gz").stat().st_mtime_ns

    shutil.copy(cohort / "s2_0001.nii.gz", images)
    (images / "s1_0001.nii.gz").write_bytes(whole)
    assert predict_all(local(model_dir), images, out) == Counts(2, 1)
    require_equal(out, expected, expected)
    assert (out / "s0.nii.gz").stat().st_mtime_ns == before
    assert predict_all(local(model_dir), images, out) == Counts(0, 3)


@pytest.mark.usefixtures("here")
def test_a_subject_that_the_model_refuses_is_named(
    cohort: Path, model_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    segment = model.load(model_dir, read_description(model_dir))
    refused = iter([False, True, False])

    def picky(volume: np.ndarray) -> Segmented:
        if next(refused):
            raise UserError("no")
        return segment(volume)

    monkeypatch.setattr(model, "load", lambda *_: picky)
    with pytest.raises(UserError, match=r"1 of 3 subjects failed, .*: s1\."):
        predict_all(local(model_dir), cohort, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.gz")) == ["s0.nii.gz", "s2.nii.gz"]


@pytest.mark.usefixtures("here")
def test_a_failure_of_the_disk_ends_it_and_the_same_command_goes_on(
    cohort: Path, model_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("tfadv.inference.predictions.write_label", full)
        with pytest.raises(OSError, match="No space"):
            predict_all(local(model_dir), cohort, tmp_path)
    assert list(tmp_path.glob("*.gz")) == []
    assert predict_all(local(model_dir), cohort, tmp_path) == Counts(3, 0)


@pytest.mark.usefixtures("here")
def test_the_next_subject_is_segmented_while_one_is_written(
    cohort: Path, model_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    segment = model.load(model_dir, read_description(model_dir))
    calls, second = [], threading.Event()

    def counted(volume: np.ndarray) -> Segmented:
        calls.append(volume.shape)
        if len(calls) == 2:
            second.set()
        return segment(volume)

    write = folder.Predictions.write

    def waiting(self: folder.Predictions, *args: Any) -> None:
        assert second.wait(30)
        write(self, *args)

    monkeypatch.setattr(model, "load", lambda *_: counted)
    monkeypatch.setattr(folder.Predictions, "write", waiting)
    assert predict_all(local(model_dir), cohort, tmp_path) == Counts(3, 0)


@pytest.mark.slow
def test_an_image_that_ends_its_reader_costs_its_subject_alone(
    cohort: Path, model_dir: Path, segment: Segment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """ITK's, by a line of 5000 bytes in a header."""
    monkeypatch.setattr(model, "load", lambda *_: segment)
    images = shutil.copytree(cohort, tmp_path / "images")
    for number in (0, 1):
        (images / f"s{number}_0001.nii.gz").unlink()
    sitk.WriteImage(sitk.Image(4, 4, 4, sitk.sitkInt16), str(images / "s0_0001.nrrd"))
    content = (images / "s0_0001.nrrd").read_bytes()
    (images / "s0_0001.nrrd").write_bytes(content.replace(b"encoding", b"x" * 5000, 1))
    with pytest.raises(UserError, match=r"2 of 3 subjects failed, .*: s1, s0\."):
        predict_all(local(model_dir), images, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").glob("*.gz")] == ["s2.nii.gz"]


@pytest.mark.usefixtures("here")
def test_a_folder_is_written_by_one_process_and_holds_no_image(
    cohort: Path, model_dir: Path, tmp_path: Path
) -> None:
    for output in (tmp_path / "x.nii.gz", cohort / "s0_0000.nii.gz", cohort / ".." / cohort.name):
        with pytest.raises(SettingError, match="output: expected a folder beside --images"):
            predict_all(local(model_dir), cohort, output)
    with alone(tmp_path), pytest.raises(UserError, match="another process writes there"):
        predict_all(local(model_dir), cohort, tmp_path)
    assert not (cohort / ".lock").exists()
