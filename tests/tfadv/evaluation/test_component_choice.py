"""Which classes keep their largest component alone, measured again by SciPy."""

import numpy as np
import pytest
from scipy import ndimage

from tfadv.evaluation import component_choice
from tfadv.evaluation.component_choice import choose, sentence
from tfadv.evaluation.scoring import segment
from tfadv.inference.description import ComponentNote
from tfadv.run.ensemble import load_ensemble
from tfadv.run.work_dir import WorkDir
from tfrecords.geometry.overlap import dice


def in_one_piece(mask: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    return labels == 1 + np.argmax([np.count_nonzero(labels == n + 1) for n in range(count)])


@pytest.mark.slow
def test_each_run_measures_on_its_own_validation_subjects(
    run: WorkDir, other_run: WorkDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensemble = load_ensemble([run, other_run])
    looked_at = []
    read = component_choice.subject_volumes
    monkeypatch.setattr(
        component_choice,
        "subject_volumes",
        lambda records, folds: looked_at.append(folds) or read(records, folds),
    )
    notes = choose(ensemble)
    assert looked_at == [("1",), ("2",)]
    without, of_largest = [], []
    for part in ensemble.alone():
        folds = part.first.settings.validation_folds
        for segmented in segment(part.predictor(), part.first.records, folds):
            label, found = segmented.volume.label, segmented.prediction
            scores = np.array([dice(label == c, found == c) for c in (1, 2)])
            pieces = np.array([dice(label == c, in_one_piece(found == c)) for c in (1, 2)])
            without.append(scores.mean())
            of_largest.append([(pieces[0] + scores[1]) / 2, (scores[0] + pieces[1]) / 2])
    assert [note.map for note in notes] == ["label_1", "label_2"]
    for note, expected in zip(notes, np.mean(of_largest, axis=0), strict=True):
        assert note.subjects == 4
        assert note.dice == pytest.approx(np.mean(without))
        assert note.dice_of_largest == pytest.approx(expected)
        assert note.kept == (expected > np.mean(without))
    assert any(note.dice_of_largest != note.dice for note in notes)


def test_a_note_in_words() -> None:
    said = sentence(ComponentNote("edema", 3, 0.5, 0.25, kept=False))
    assert said == (
        "edema: not only its largest component; mean Dice of 3 validation subjects 0.2500 with "
        "that alone, 0.5000 with all"
    )
