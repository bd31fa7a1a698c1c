"""nnU-Net's label `ignore`, from a dataset on disk to measures, in every view."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.tfadv.methods.conforming import tiny
from tfadv import methods
from tfadv.evaluation import label_maps, measures
from tfadv.evaluation.evaluate import evaluate
from tfadv.evaluation.scoring import Segmented, score
from tfadv.run.run import Run, load_run
from tfadv.run.work_dir import WorkDir
from tfadv.training.train import train
from tfrecords.reading.record_set import RecordSet, open_record_set, subject_volumes
from tfrecords.records.views import VIEWS, Patches
from tfrecords.sources import layouts
from tfrecords.sources.subject import IGNORED
from tfrecords.writing.preprocessing import Options, preprocess

LABELS = {"background": 0, "inner": 1, "outer": 2, "ignore": 3}
BLOCK = (slice(18, 28), slice(5, 30), slice(2, 6))  # Of [X, Y, Z]: a part of every ball.
SPARSE = 5  # A slice that nobody annotated.
SUBJECTS = 6
# Terms of all methods are held against such voxels by a conformance suite.
METHODS = {
    "slices": "kohl_cross_entropy",
    "patches": "moeskops_dilated_adversarial",
    "volumes": "reciprocal_dice",
}


def read(path: Path) -> np.ndarray:
    return np.asarray(nib.Nifti1Image.from_filename(path).dataobj)


@pytest.fixture(scope="module")
def dataset(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The subjects of `sources` as nnU-Net keeps them, with a block and a slice of `ignore`."""
    folder = tmp_path_factory.mktemp("nnunet")
    (folder / "imagesTr").mkdir()
    (folder / "labelsTr").mkdir()
    content = {"channel_names": {"0": "t1", "1": "t2"}, "labels": LABELS, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(content))
    for number in range(SUBJECTS):
        for place, name in enumerate(("t1", "t2")):
            image = folder / "imagesTr" / f"s{number}_{place:04d}.nii.gz"
            shutil.copy(sources / f"{number}_{name}.nii.gz", image)
        label = read(sources / f"{number}_seg.nii.gz").copy()
        label[BLOCK] = label[:, :, SPARSE] = LABELS["ignore"]
        image = nib.Nifti1Image(label, np.eye(4))
        image.to_filename(folder / "labelsTr" / f"s{number}.nii.gz")
    return folder


@pytest.fixture(scope="module")
def records_of(
    dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], RecordSet]:
    @cache
    def cut(kind: str) -> RecordSet:
        folder = tmp_path_factory.mktemp(kind)
        view = Patches(per_class=4) if kind == "patches" else VIEWS[kind]()
        found = layouts.find("decathlon", dataset)
        preprocess(found, folder, Options(view=view, folds=3, workers=1))
        return open_record_set(folder)

    return cut


def source(dataset: Path, subject: str) -> np.ndarray:
    """The label map's own values [Z, Y, X]."""
    return read(dataset / "labelsTr" / f"{subject}.nii.gz").T


@pytest.mark.slow
@pytest.mark.parametrize("kind", METHODS)
def test_ignored_voxels_are_stored_as_such(
    kind: str, dataset: Path, records_of: Callable[[str], RecordSet]
) -> None:
    records = records_of(kind)
    manifest = records.manifest
    assert [c.name for c in manifest.classes] == ["background", "inner", "outer"]
    assert manifest.ignored == (3,)
    sums = np.zeros(3, int)
    for volume in subject_volumes(records, manifest.folds):
        label = source(dataset, volume.subject)
        np.testing.assert_array_equal(volume.label, np.where(label == 3, IGNORED, label))
        sums += np.bincount(label.ravel(), minlength=4)[:3]
    assert manifest.class_voxels == tuple(sums.tolist())
    if kind == "patches":
        assert set(manifest.patches().values()) == {(4, 4, 4)}
    if kind == "slices":
        examples = sum(shard.examples for shard in manifest.shards if shard.kind == kind)
        assert examples == 5 * SUBJECTS


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.slow
def test_training_and_evaluation_leave_ignored_voxels_out(
    kind: str, dataset: Path, records_of: Callable[[str], RecordSet], tmp_path: Path
) -> None:
    """Scores are those of NumPy without the ignored voxels; saved label maps have none of them."""
    work_dir = WorkDir(tmp_path / "run")
    method = tiny(methods.get(METHODS[kind]), epochs=1, steps_per_epoch=3)
    train(work_dir, Run.new(method, records_of(kind)))
    (row,) = work_dir.progress().history
    assert all(np.isfinite(value) for value in row.values())
    run, _, predictor = load_run(work_dir)
    folds = run.settings.test_folds
    tables = evaluate(work_dir, predictor, run.records, folds, save_predictions=True)
    scores = tables.regions.set_index(["subject", "region"])
    for subject in tables.subjects["subject"]:
        path = work_dir.predictions / f"{subject}.nii.gz"
        prediction = read(path).T
        assert set(np.unique(prediction)) <= {0, 1, 2}
        label = source(dataset, subject)
        p, y = prediction[label != 3], label[label != 3]
        for region, value in (("inner", 1), ("outer", 2)):
            found = scores.loc[(subject, region)]
            found_there, true_there = p == value, y == value
            total = found_there.sum() + true_there.sum()
            dice = 2 * (found_there & true_there).sum() / total if total else 1
            np.testing.assert_allclose(found["dice"], dice)
            specificity = (~found_there & ~true_there).sum() / (~true_there).sum()
            np.testing.assert_allclose(found["specificity"], specificity)
        (shown,) = label_maps.read_rows(run.records, {subject: subject}, {subject: [path]})
        for labels in shown.maps:
            np.testing.assert_array_equal(labels == IGNORED, shown.maps[0] == IGNORED)
            assert (labels == IGNORED).any()


def test_a_prediction_that_is_perfect_elsewhere_is_perfect(
    records_of: Callable[[str], RecordSet],
) -> None:
    """Whatever it says where nobody annotated."""
    records = records_of("volumes")
    origins = {subject.name: subject for subject in records.manifest.subjects}
    for volume in subject_volumes(records, records.manifest.folds):
        for value in range(3):
            prediction = np.where(volume.label == IGNORED, value, volume.label)
            segmented = Segmented(volume, prediction)
            found = score(segmented, origins[volume.subject], records.manifest, measures.MEASURES)
            for scores in found.values():
                assert scores["dice"] == scores["specificity"] == 1
                assert scores["hausdorff95_mm"] == 0
                assert scores["components"] == scores["reference_components"]
