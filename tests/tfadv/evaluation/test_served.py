"""Models scored as a server answers, and on whom they may be."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from tfadv.evaluation.evaluate import evaluate
from tfadv.evaluation.served import Served
from tfadv.inference.description import ComponentNote
from tfadv.inference.export import export
from tfadv.inference.model import local
from tfadv.inference.prediction import predict
from tfadv.run.ensemble import load_ensemble
from tfadv.run.run import load_run
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import UserError
from tfrecords.reading.record_set import RecordSet, open_record_set


@pytest.mark.slow
def test_a_models_scores_are_its_runs(run: WorkDir, model_dir: Path, tmp_path: Path) -> None:
    trained, _, predictor = load_run(run)
    records, folds = trained.records, trained.settings.test_folds
    served = Served(model_dir)
    served.require_unseen(records, folds)
    assert served.targets == predictor.targets
    found = evaluate(WorkDir(tmp_path / "model"), served, records, folds)
    expected = evaluate(WorkDir(tmp_path / "run"), predictor, records, folds)
    pd.testing.assert_frame_equal(found.regions, expected.regions)
    pd.testing.assert_frame_equal(found.subjects, expected.subjects)


def test_subjects_that_trained_a_model_are_refused(
    model_dir: Path, records: RecordSet, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever folds another record set has them in."""
    served = Served(model_dir)
    with pytest.raises(UserError, match=r"received folds 0 with .*that no member trained on"):
        served.require_unseen(records, ("0", "2"))
    manifest = records.manifest
    moved = tuple(replace(s, fold="2", name=f"x{s.name}") for s in manifest.subjects)
    with pytest.raises(UserError, match="received folds 2 with x"):
        served.require_unseen(replace(records, manifest=replace(manifest, subjects=moved)), ("2",))
    with caplog.at_level(logging.WARNING, logger="absl"):
        served.require_unseen(records, ("2",))
        assert not caplog.messages
        served.require_unseen(records, ("1", "2"))
    (told,) = caplog.messages
    assert told.endswith("2 of 4 subjects chose its members' epochs: the scores will be optimistic")


def test_a_record_set_of_another_kind_is_refused(
    model_dir: Path, small_records: tuple[object, Path]
) -> None:
    other = open_record_set(small_records[1])
    changed = replace(other.manifest, crop=(3, 4, 5), orientation="LPS")
    message = r"They differ in orientation: RAS and LPS; crop: None and \(3, 4, 5\)\. Preprocess"
    with pytest.raises(UserError, match=message):
        Served(model_dir).require_unseen(RecordSet(other.folder, changed), ("0",))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mirror", "largest"), [pytest.param(False, False, marks=pytest.mark.variants), (True, True)]
)
def test_prediction_gives_what_evaluation_gives(
    mirror: bool,
    largest: bool,
    run: WorkDir,
    other_run: WorkDir,
    sources: Path,
    records: RecordSet,
    tmp_path: Path,
) -> None:
    """Of an ensemble with every option: voxel for voxel, from files and from the record set."""
    ensemble = load_ensemble([run, other_run], mirror=mirror)
    components = [ComponentNote(name, 1, 0, 1, largest) for name in ("label_1", "label_2")]
    predictor = ensemble.predictor(components)
    description = ensemble.describe(predictor, components)
    model_dir = export(predictor, description, tmp_path / "model")
    out = WorkDir(tmp_path / "scores")
    tables = evaluate(out, Served(model_dir), records, ("0",), save_predictions=True)
    for name in tables.subjects["subject"]:
        images = [sources / f"{name[1:]}_{modality}.nii.gz" for modality in ("t1", "t2")]
        predict(local(model_dir), images, tmp_path / f"{name}.nii.gz")
        np.testing.assert_array_equal(
            label_of(tmp_path / f"{name}.nii.gz"), label_of(out.predictions / f"{name}.nii.gz")
        )
    assert (tables.subjects["components"] == 3).all() or not largest


label_of: Callable[[Path], np.ndarray] = lambda path: np.asarray(  # noqa: E731
    nib.Nifti1Image.from_filename(path).dataobj
)
