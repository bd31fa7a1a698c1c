"""A run: what determines it, and what comes from it."""

from pathlib import Path

import numpy as np
import pytest

from tfadv import methods
from tfadv.run.initial import trained_on
from tfadv.run.run import Run
from tfadv.run.split import HeldOut, training_subjects
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import SettingError
from tfrecords.reading.record_set import RecordSet

TINY = ["precision=float32", "width=2", "discriminator_width=2", "batch_size=2"]


def hybrid(records: RecordSet, *overrides: str, **values: float) -> Run:
    method = methods.get("kohl_hybrid").configure("small", [*TINY, *overrides])
    return Run.new(method, records, HeldOut(("2",), ("2",)), **values)  # type: ignore[arg-type]


def test_settings_open_the_same_run(records: RecordSet) -> None:
    run = hybrid(records, "shift=2", seed=3, positive_fraction=0.5)
    again = Run.open(run.settings)
    assert (again.settings, again.method) == (run.settings, run.method)
    assert again.method.shift == 2.0
    assert Path(again.settings.records).is_absolute()


@pytest.mark.parametrize("fraction", [0.0, 1.5, float("nan")])
def test_shares_beyond_their_bounds_are_refused(records: RecordSet, fraction: float) -> None:
    with pytest.raises(SettingError, match="positive_fraction: expected a share in"):
        hybrid(records, positive_fraction=fraction)


def test_what_the_record_set_does_not_have_is_not_favoured(records: RecordSet) -> None:
    """Before anything is written."""
    message = r"^hp\.favoured: expected .* groups \(low, high\), classes .*, received 'lesion'"
    with pytest.raises(SettingError, match=message):
        hybrid(records, "favoured=lesion")
    assert hybrid(records, "favoured=label_1").method.favoured == "label_1"


def test_negative_seeds_are_refused(records: RecordSet) -> None:
    with pytest.raises(SettingError, match="seed: expected a number from 0 to 4294967294"):
        hybrid(records, seed=-1)


def test_batches_that_memory_cannot_hold_are_refused(records: RecordSet) -> None:
    """TensorFlow would end the process by SIGABRT."""
    needed = 10**9 * 32 * 32 * 2 * 4
    with pytest.raises(SettingError, match=rf"hp\.batch_size: .* 1000000000 .* {needed} bytes"):
        hybrid(records, "batch_size=1000000000")


def test_the_chosen_fraction_trains(records: RecordSet) -> None:
    run = hybrid(records, positive_fraction=0.4)
    assert run.subjects == training_subjects(records.manifest, ("0", "1"), 0.4, 0)
    assert len(run.subjects) == 3  # Of two subjects in each group, one positive is left out.


@pytest.mark.slow
def test_subjects_left_out_may_train_without_their_label_maps(records: RecordSet) -> None:
    run = hybrid(records, "unlabelled=true", positive_fraction=0.4, unlabelled_subjects=1)
    everyone = {s.name for s in records.manifest.subjects if s.fold in ("0", "1")}
    assert run.unlabelled_subjects == everyone - run.subjects
    assert Run.open(run.settings).unlabelled_subjects == run.unlabelled_subjects
    (left_out,) = [s for s in records.manifest.subjects if s.name in everyone - run.subjects]
    assert left_out.fingerprint in trained_on(WorkDir(Path("none")), run)
    batch = next(iter(run.batches(run.build_model(), range(1))))
    assert batch["unlabelled"].shape == batch["image"].shape


@pytest.mark.parametrize(
    ("overrides", "number", "message"),
    [
        (("unlabelled=true",), 2, "expected at most 1, .* received 2"),
        (("unlabelled=true",), -1, "expected a number of subjects, or 0 for .* received -1"),
        ((), 1, "expected none without hp.unlabelled=true.* received 1 for kohl_hybrid"),
    ],
)
def test_images_without_labels_that_there_are_not_are_refused(
    records: RecordSet, overrides: tuple[str, ...], number: int, message: str
) -> None:
    with pytest.raises(SettingError, match=f"unlabelled_subjects: {message}"):
        hybrid(records, *overrides, positive_fraction=0.4, unlabelled_subjects=number)


def test_a_batch_holds_the_minibatches_of_a_step(records: RecordSet) -> None:
    run = hybrid(records, "discriminator_steps=2")
    model = run.build_model()
    batch = next(iter(run.batches(model, range(1))))
    assert model.players.minibatches == 3
    assert batch["image"].shape == (6, 32, 32, 2)


@pytest.mark.slow
def test_the_predictor_segments_with_the_models_segmentor(records: RecordSet) -> None:
    run = hybrid(records)
    model = run.build_model()
    volume = np.random.default_rng(0).integers(1, 500, (6, 30, 32, 2)).astype(np.float32)
    answer = run.predictor(model).predict(volume)
    assert answer["label"].shape == (6, 30, 32)
    assert answer["probabilities"].shape == (6, 30, 32, 3)
