"""For every flag of preprocessing, a model gives each voxel the label that evaluation gives it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf

from tfadv.evaluation import evaluate
from tfadv.inference.export import describe, export
from tfadv.inference.members import Member
from tfadv.inference.model import local
from tfadv.inference.prediction import predict
from tfadv.inference.predictor import Predictor
from tfadv.inference.targets import class_targets
from tfadv.inference.tiling import SlidingWindow
from tfadv.run.work_dir import WorkDir
from tfrecords.geometry.grid import working_grid
from tfrecords.geometry.nifti import read
from tfrecords.geometry.resample import to_working
from tfrecords.reading.record_set import RecordSet, open_record_set
from tfrecords.records.manifest import Manifest
from tfrecords.sources.subject import select_modalities

Preprocess = Callable[..., Manifest]
# What preprocessing is told, whether sources are floating, and their axes.
CASES: list[tuple[dict[str, Any], bool, str]] = [
    ({}, False, "RAS"),
    ({"modalities": ("t2", "t1"), "orientation": "PIL"}, True, "LAS"),
    ({"spacing_mm": (0.5, 0.5, 0)}, False, "RAS"),
    ({"spacing_mm": (0.7, 1.3, 3)}, True, "PIR"),
    ({"crop": (5, 40, 3)}, False, "RAS"),
    ({"crop": (6, 7, 5), "orientation": "LSP"}, True, "RAS"),
    ({"crop": (9, 8, 4), "spacing_mm": (0.5, 0, 1.5), "modalities": ("t2",)}, False, "SLP"),
    ({"crop": (10, 11, 6), "spacing_mm": (0, 0.8, 0), "orientation": "AIR"}, True, "RAS"),
]
# The others do one thing each that these do together.
TOGETHER = (1, 3, 6, 7)
ALL = [
    pytest.param(*case, marks=[] if number in TOGETHER else pytest.mark.variants)
    for number, case in enumerate(CASES)
]


def sources(data: Any, *, floating: bool, axes: str) -> None:
    """Brings a small dataset's files to other axes, and its images maybe to huge floats."""
    for name in data.table["subject"]:
        for column in ("t1", "t2", "label"):
            image = nib.Nifti1Image.from_filename(data.path(name, column))
            image = image.as_reoriented(nib.orientations.axcodes2ornt(axes))
            array = np.asarray(image.dataobj)
            if floating and column != "label":
                array = array.astype(np.float32) * 1234.5
            nib.Nifti1Image(array, image.affine).to_filename(data.path(name, column))


def untrained(manifest: Manifest) -> Predictor:
    """A segmentor whose labels depend on a voxel's neighbours."""
    image = keras.Input((None, None, len(manifest.modalities)))
    random = keras.initializers.RandomNormal(seed=1)
    maps = keras.layers.Conv2D(3, 3, padding="same", kernel_initializer=random)(image)
    window = SlidingWindow((8, 8))
    segmentor = keras.Model(image, maps)
    return Predictor([Member(segmentor, window)], manifest, class_targets(manifest), "z_score")


def label_of(path: Path) -> np.ndarray:
    return np.asarray(nib.Nifti1Image.from_filename(path).dataobj)


@pytest.mark.slow
@pytest.mark.parametrize(("options", "floating", "axes"), ALL, ids=str)
def test_the_models_labels_are_evaluations(
    options: dict[str, Any],
    floating: bool,
    axes: str,
    small_dataset: Callable[..., Any],
    preprocess_here: Preprocess,
    tmp_path: Path,
) -> None:
    data = small_dataset(tmp_path / "data", 2)
    sources(data, floating=floating, axes=axes)
    modalities = options.get("modalities", ("t1", "t2"))
    dataset = select_modalities(data.find(), modalities)
    flags = {name: value for name, value in options.items() if name != "modalities"}
    preprocess_here(dataset, tmp_path / "records", **flags)
    records = open_record_set(tmp_path / "records")
    manifest = records.manifest
    predictor = untrained(manifest)
    work_dir = WorkDir(tmp_path / "run")
    work_dir.folder.mkdir()
    evaluate.evaluate(work_dir, predictor, records, manifest.folds, save_predictions=True)
    model_dir = export(predictor, describe(predictor, manifest, []), tmp_path / "model")
    for name in data.table["subject"]:
        images = [data.path(name, modality) for modality in modalities]
        predict(local(model_dir), images, tmp_path / f"{name}.nii.gz")
        expected = label_of(work_dir.predictions / f"{name}.nii.gz")
        assert set(np.unique(expected)) == {0, 1, 2}
        np.testing.assert_array_equal(label_of(tmp_path / f"{name}.nii.gz"), expected)
        if not any(flags.get("spacing_mm", ())):
            of_server = segmented_whole(predictor, images, records)
            np.testing.assert_array_equal(of_server, working_label(expected, images[0], manifest))


def segmented_whole(predictor: Predictor, images: list[Path], records: RecordSet) -> np.ndarray:
    """What a server answers to the whole volume: the crop is in the graph."""
    channels = [read(path) for path in images]
    grid = working_grid(channels[0][1], records.manifest.orientation, None)
    volume = np.stack([to_working(a, g, grid, label=False) for a, g in channels], axis=-1)
    return predictor.predict(tf.constant(volume.astype(np.float32)))["label"].numpy()


def working_label(label: np.ndarray, image: Path, manifest: Manifest) -> np.ndarray:
    source = read(image)[1]
    return to_working(label, source, working_grid(source, manifest.orientation, None), label=True)


def test_what_half_precision_makes_zero_is_outside_the_body(
    small_dataset: Callable[..., Any], preprocess_here: Preprocess, tmp_path: Path
) -> None:
    """As interpolation leaves it beside a body: tiny, but not zero."""
    data = small_dataset(tmp_path / "data", 2)
    sources(data, floating=True, axes="RAS")
    for name in data.table["subject"]:
        image = nib.Nifti1Image.from_filename(data.path(name, "t1"))
        array = np.asarray(image.dataobj).copy()
        assert array[0, 13, 0] == 0
        array[0, 13, 0] = 1e-9
        nib.Nifti1Image(array, image.affine).to_filename(data.path(name, "t1"))
    preprocess_here(data.find(), tmp_path / "records")
    records = open_record_set(tmp_path / "records")
    predictor = untrained(records.manifest)
    images = [data.path("s0", modality) for modality in ("t1", "t2")]
    label = segmented_whole(predictor, images, records)
    assert label.any()
    assert not label[:, 12:].any()
    assert not label[0].any()


def test_the_description_tells_the_crop(small_records: tuple[Any, Path]) -> None:
    manifest = replace(open_record_set(small_records[1]).manifest, crop=(5, 6, 7))
    assert describe(untrained(manifest), manifest, []).crop == (5, 6, 7)
