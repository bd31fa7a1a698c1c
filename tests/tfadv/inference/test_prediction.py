"""From image files to label maps that lie exactly on them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tensorflow as tf

from tfadv.evaluation import evaluate
from tfadv.inference.description import DESCRIPTION
from tfadv.inference.export import describe
from tfadv.inference.model import local
from tfadv.inference.prediction import predict
from tfadv.run.run import load_run
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import SettingError, UserError
from tfrecords.reading.record_set import subject_volumes


def label_of(path: Path) -> np.ndarray:
    return np.asarray(nib.Nifti1Image.from_filename(path).dataobj)


def rewrite(source: Path, target: Path, axes: str, rotation_deg: float = 0.0) -> None:
    """The same voxels, stored along other axes, in a world turned about z."""
    image = nib.Nifti1Image.from_filename(source)
    orientation = nib.orientations.axcodes2ornt(axes)
    image = image.as_reoriented(orientation)
    angle = np.deg2rad(rotation_deg)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine = turn @ image.affine
    turned = nib.Nifti1Image(np.asarray(image.dataobj), affine)
    turned.set_qform(affine, code=1)
    turned.set_sform(affine, code=4)
    turned.header.set_xyzt_units("mm", "sec")
    nib.save(turned, target)


@pytest.mark.slow
def test_images_of_another_spacing_are_segmented_with_a_warning(
    sources: Path, model_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = [sources / f"0_{name}.nii.gz" for name in ("t1", "t2")]
    predict(local(model_dir), plain, tmp_path / "label.nii.gz")
    assert caplog.messages == []
    coarse = [tmp_path / path.name for path in plain]
    for source, target in zip(plain, coarse, strict=True):
        array = np.asarray(nib.Nifti1Image.from_filename(source).dataobj)
        nib.save(nib.Nifti1Image(array, np.diag([1, 1, 1.5, 1])), target)
    predict(local(model_dir), coarse, tmp_path / "coarse.nii.gz")
    (message,) = caplog.messages
    assert message.startswith("the model was trained at (1.0, 1.0, 1.0) mm; ")
    assert str(coarse[0]) in message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("axes", "rotation_deg"),
    [
        pytest.param("RAS", 0.0, marks=pytest.mark.variants),
        pytest.param("LAS", 0.0, marks=pytest.mark.variants),
        ("PIR", 0.0),
        pytest.param("RAS", 12.0, marks=pytest.mark.variants),
        ("SLP", 9.0),
    ],
)
def test_label_map_lies_on_its_image(
    axes: str, rotation_deg: float, sources: Path, model_dir: Path, tmp_path: Path
) -> None:
    """The same labels in the same places of the anatomy, whatever the file's axes."""
    plain = [sources / f"0_{name}.nii.gz" for name in ("t1", "t2")]
    predict(local(model_dir), plain, tmp_path / "plain.nii.gz")
    expected = nib.Nifti1Image.from_filename(tmp_path / "plain.nii.gz")
    assert set(np.unique(np.asarray(expected.dataobj))) == {0, 1, 2}

    images = [tmp_path / f"{name}.nii.gz" for name in ("t1", "t2")]
    for source, target in zip(plain, images, strict=True):
        rewrite(source, target, axes, rotation_deg)
    predict(local(model_dir), images, tmp_path / "label.nii.gz")
    written = nib.Nifti1Image.from_filename(tmp_path / "label.nii.gz")
    image = nib.Nifti1Image.from_filename(images[0])
    assert written.shape == image.shape
    np.testing.assert_array_equal(written.affine, image.affine)
    for field in ("qform_code", "sform_code", "pixdim", "xyzt_units"):
        np.testing.assert_array_equal(written.header[field], image.header[field])
    assert written.get_data_dtype() == np.uint8
    reoriented = expected.as_reoriented(nib.orientations.axcodes2ornt(axes))
    np.testing.assert_array_equal(np.asarray(written.dataobj), np.asarray(reoriented.dataobj))


@pytest.mark.slow
def test_images_of_other_grids_are_brought_onto_the_first(
    sources: Path, model_dir: Path, tmp_path: Path
) -> None:
    """A second modality with margins of zeros, along other axes, gives the same label map."""
    first = sources / "0_t1.nii.gz"
    image = nib.Nifti1Image.from_filename(sources / "0_t2.nii.gz")
    wide = np.pad(np.asarray(image.dataobj), [(3, 2), (0, 4), (1, 0)])
    affine = image.affine @ nib.affines.from_matvec(np.eye(3), [-3, 0, -1])
    nib.save(nib.Nifti1Image(wide, affine), tmp_path / "wide.nii.gz")
    rewrite(tmp_path / "wide.nii.gz", tmp_path / "other.nii.gz", "PIR")
    images = [first, tmp_path / "other.nii.gz"]
    with pytest.raises(UserError, match=r"grid .* differs from"):
        predict(local(model_dir), images, tmp_path / "label.nii.gz")
    predict(local(model_dir), images, tmp_path / "label.nii.gz", resample=True)
    predict(local(model_dir), [first, sources / "0_t2.nii.gz"], tmp_path / "plain.nii.gz")
    np.testing.assert_array_equal(
        label_of(tmp_path / "label.nii.gz"), label_of(tmp_path / "plain.nii.gz")
    )


@pytest.mark.slow
def test_prediction_equals_evaluation(
    sources: Path, run: WorkDir, model_dir: Path, tmp_path: Path
) -> None:
    trained, _, predictor = load_run(run)
    settings, records = trained.settings, trained.records
    evaluate.evaluate(run, predictor, records, settings.test_folds, save_predictions=True)
    saved = sorted(run.predictions.glob("*.nii.gz"))
    assert len(saved) == 2
    for path in saved:
        number = path.name[1]
        images = [sources / f"{number}_{name}.nii.gz" for name in ("t1", "t2")]
        predict(local(model_dir), images, tmp_path / path.name)
        np.testing.assert_array_equal(label_of(tmp_path / path.name), label_of(path))


@pytest.mark.slow
def test_image_is_resampled_as_in_preprocessing(
    sources: Path,
    model_dir: Path,
    tmp_path: Path,
    rewrite_json: Callable[[Path, dict[str, Any]], None],
) -> None:
    """Within slices alone: of 2 mm, each voxel is the place of two by two of the image."""
    folder = shutil.copytree(model_dir, tmp_path / "model")
    path = folder / "assets" / DESCRIPTION
    assert json.loads(path.read_text())["wanted_spacing_mm"] is None
    rewrite_json(path, {"wanted_spacing_mm": [2.0, 2.0, 0.0]})
    images = [sources / f"0_{name}.nii.gz" for name in ("t1", "t2")]
    predict(local(folder), images, tmp_path / "label.nii.gz")
    label = label_of(tmp_path / "label.nii.gz")
    assert label.shape == label_of(images[0]).shape
    np.testing.assert_array_equal(label, label[::2, ::2].repeat(2, 0).repeat(2, 1))
    assert all((label[..., z] != label[..., z + 1]).any() for z in range(label.shape[2] - 1))


@pytest.mark.slow
def test_beyond_a_crop_is_background(
    sources: Path,
    model_dir: Path,
    tmp_path: Path,
    rewrite_json: Callable[[Path, dict[str, Any]], None],
) -> None:
    folder = shutil.copytree(model_dir, tmp_path / "model")
    rewrite_json(folder / "assets" / DESCRIPTION, {"crop": [16, 10, 6]})
    images = [sources / f"0_{name}.nii.gz" for name in ("t1", "t2")]
    predict(local(folder), images, tmp_path / "label.nii.gz", save_probabilities=True)
    label, maps = (label_of(tmp_path / f"label{name}.nii.gz") for name in ("", "_probabilities"))
    np.testing.assert_array_equal(maps.argmax(axis=-1), label)
    beyond = np.ones(label.shape, bool)
    beyond[8:24, 10:20] = False  # Of 32x30x6 voxels.
    assert not label[beyond].any()
    assert label[~beyond].any()
    np.testing.assert_array_equal(np.unique(maps[beyond], axis=0), [[1, 0, 0]])


def test_description_tells_the_wanted_spacing(run: WorkDir) -> None:
    trained, _, predictor = load_run(run)
    manifest = replace(trained.manifest, wanted_spacing_mm=(0.25, 0.25, 0))
    assert describe(predictor, manifest, []).wanted_spacing_mm == (0.25, 0.25, 0)


SERVE = """
import sys, numpy as np, tensorflow as tf
sys.modules["tfadv"] = sys.modules["tfrecords"] = None  # Importing them fails.
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
volume = np.load(sys.argv[2])
np.save(sys.argv[3], serve(volume=tf.constant(volume))["label"].numpy())
"""


@pytest.mark.slow
def test_a_server_needs_no_code_of_ours(run: WorkDir, model_dir: Path, tmp_path: Path) -> None:
    trained, _, predictor = load_run(run)
    records = trained.records
    volume = next(subject_volumes(records, records.manifest.folds)).image.astype(np.float32)
    np.save(tmp_path / "volume.npy", volume)
    command = [sys.executable, "-c", SERVE, model_dir, tmp_path / "volume.npy", tmp_path / "l.npy"]
    subprocess.run(list(map(str, command)), check=True, cwd=tmp_path, capture_output=True)
    expected = predictor.predict(tf.constant(volume))["label"].numpy()
    assert expected.any()
    np.testing.assert_array_equal(np.load(tmp_path / "l.npy"), expected)


def spoil(source: Path, target: Path, change: Callable[[np.ndarray], object]) -> Path:
    """The same image with changed voxels, float64."""
    array = np.asarray(nib.Nifti1Image.from_filename(source).dataobj).astype(np.float64)
    change(array)
    nib.save(nib.Nifti1Image(array, np.eye(4)), target)
    return target


def put(value: float) -> Callable[[np.ndarray], None]:
    return lambda array: array.__setitem__((3, 4, 2), value)


@pytest.mark.parametrize("resample", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put(np.nan), "1 voxels are NaN or infinite"),
        (put(-np.inf), "1 voxels are NaN or infinite"),
        (put(1e39), "1 voxels are beyond float32"),
        (lambda array: array.fill(0), "the image is empty"),
        (lambda array: array.fill(7), "the image is empty"),
        (lambda array: np.multiply(array, 1e-300, out=array), "become zero, which is background"),
    ],
)
def test_what_preprocessing_refuses_is_refused(
    sources: Path, model_dir: Path, tmp_path: Path, change: Any, message: str, resample: bool
) -> None:
    spoilt = spoil(sources / "0_t2.nii.gz", tmp_path / "spoilt.nii.gz", change)
    images = [sources / "0_t1.nii.gz", spoilt]
    with pytest.raises(UserError, match=f"^{spoilt}: .*{message}"):
        predict(local(model_dir), images, tmp_path / "label.nii.gz", resample=resample)
    assert not (tmp_path / "label.nii.gz").exists()


def test_damaged_images_are_refused(sources: Path, model_dir: Path, tmp_path: Path) -> None:
    content = bytearray((sources / "0_t2.nii.gz").read_bytes())
    content[-20] ^= 4
    damaged = tmp_path / "damaged.nii.gz"
    damaged.write_bytes(content)
    with pytest.raises(UserError, match=f"^{damaged}: cannot be read .its data are damaged"):
        predict(local(model_dir), [sources / "0_t1.nii.gz", damaged], tmp_path / "label.nii.gz")


@pytest.mark.slow
def test_an_image_that_ends_its_reader_is_named(
    sources: Path, model_dir: Path, tmp_path: Path
) -> None:
    """ITK's, by a line of 5000 bytes in a header; of the others it reads what nibabel reads."""
    plain = [sources / f"0_{name}.nii.gz" for name in ("t1", "t2")]
    images = [tmp_path / f"{name}.nrrd" for name in ("t1", "t2")]
    for source, target in zip(plain, images, strict=True):
        image = sitk.ReadImage(str(source))
        for key in image.GetMetaDataKeys():
            image.EraseMetaData(key)
        sitk.WriteImage(image, str(target))
    predict(local(model_dir), plain, tmp_path / "plain.nii.gz")
    predict(local(model_dir), images, tmp_path / "label.nii.gz")
    np.testing.assert_array_equal(
        label_of(tmp_path / "label.nii.gz"), label_of(tmp_path / "plain.nii.gz")
    )
    long = images[1].read_bytes().replace(b"encoding", b"x" * 5000, 1)
    images[1].write_bytes(long)
    with pytest.raises(UserError) as error:
        predict(local(model_dir), images, tmp_path / "none.nii.gz")
    assert str(error.value) == (
        f"{images[1]}: reading it ended the process by SIGSEGV; fetch or write it anew"
    )
    assert not (tmp_path / "none.nii.gz").exists()


def test_headers_that_leave_places_open_are_warned_of(
    sources: Path, model_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = []
    for name in ("t1", "t2"):
        image = nib.Nifti1Image.from_filename(sources / f"0_{name}.nii.gz")
        image.set_qform(None, 0)
        image.set_sform(None, 0)
        image.to_filename(tmp_path / f"{name}.nii.gz")
        images.append(tmp_path / f"{name}.nii.gz")
    predict(local(model_dir), images, tmp_path / "label.nii.gz")
    starts = [f"{path}: its header has neither a qform nor an sform" for path in images]
    assert all(m.startswith(s) for m, s in zip(caplog.messages, starts, strict=True))


def test_probabilities_are_not_written_over_an_image(
    sources: Path, model_dir: Path, tmp_path: Path
) -> None:
    images = [tmp_path / "a_probabilities.nii.gz", sources / "0_t2.nii.gz"]
    shutil.copy(sources / "0_t1.nii.gz", images[0])
    with pytest.raises(SettingError, match="output: expected a file that is none of the images"):
        predict(local(model_dir), images, tmp_path / "a.nii.gz", save_probabilities=True)


@pytest.mark.parametrize("link", [None, os.link, os.symlink])
def test_an_image_is_never_written_over(
    sources: Path, model_dir: Path, tmp_path: Path, link: Callable[[Path, Path], None] | None
) -> None:
    images = [tmp_path / f"{name}.nii.gz" for name in ("t1", "t2")]
    for image in images:
        shutil.copy(sources / f"0_{image.name}", image)
    output = tmp_path / "folder" / ".." / "t2.nii.gz"
    (tmp_path / "folder").mkdir()
    if link:
        output = tmp_path / "label.nii.gz"
        link(images[1], output)
    before = images[1].read_bytes()
    with pytest.raises(SettingError, match="output: expected a file that is none of the images"):
        predict(local(model_dir), images, output)
    assert images[1].read_bytes() == before


def test_errors_say_what_to_do(sources: Path, model_dir: Path, tmp_path: Path) -> None:
    image = sources / "0_t1.nii.gz"
    with pytest.raises(UserError, match=r"no such file; expected a model made by launch/export"):
        predict(local(tmp_path), [image], tmp_path / "label.nii.gz")
    with pytest.raises(UserError, match=r"0_t1.nii.gz: expected 2 modalities, received 1"):
        predict(local(model_dir), [image], tmp_path / "label.nii.gz")
    with pytest.raises(UserError, match=r"ending in .nii or .nii.gz, or in .dcm"):
        predict(local(model_dir), [image, image], tmp_path / "label.png")
    rewrite(image, tmp_path / "turned.nii.gz", "LAS")
    with pytest.raises(UserError, match=r"turned.nii.gz: grid .*LAS.* differs from .*0_t1"):
        predict(local(model_dir), [image, tmp_path / "turned.nii.gz"], tmp_path / "label.nii.gz")
    with pytest.raises(UserError, match=r"missing.nii.gz: no such file"):
        predict(local(model_dir), [image, tmp_path / "missing.nii.gz"], tmp_path / "label.nii.gz")
