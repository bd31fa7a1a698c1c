"""Which subjects are drawn, and what of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfadv.evaluation import label_maps
from tfadv.study import pictures
from tfrecords.geometry.nifti import write_label
from tfrecords.reading.record_set import open_record_set, subject_volumes


def dice(baseline: list[float], other: list[float]) -> pd.DataFrame:
    names = [f"s{n}" for n in range(len(baseline))]
    return pd.DataFrame({"old": baseline, "new": other}, index=names)


def test_chosen_by_what_the_second_line_gains() -> None:
    """Gains 0.1, 0.4, -0.2, 0.05 and 0; the fifth is the lowest in both."""
    scores = dice([0.5, 0.3, 0.6, 0.5, 0.1], [0.6, 0.7, 0.4, 0.55, 0.1])
    assert pictures.chosen(scores) == {
        "s1": "s1: largest gain of new over old, +0.40",
        "s3": "s3: median difference of new over old, +0.05",
        "s2": "s2: largest loss of new over old, -0.20",
        "s4": "s4: old and new both do worst",
    }


def test_a_subject_chosen_twice_is_drawn_once() -> None:
    """Both gain, so that there is no loss."""
    assert pictures.chosen(dice([0.2, 0.5], [0.3, 0.9])) == {
        "s1": "s1: largest gain of new over old, +0.40",
        "s0": "s0: median difference of new over old, +0.10; "
        "smallest gain of new over old, +0.10; old and new both do worst",
    }


def test_a_single_line_shows_its_range() -> None:
    chosen = pictures.chosen(dice([0.2, 0.9, 0.5], [0.0] * 3)[["old"]])
    assert list(chosen) == ["s1", "s2", "s0"]
    assert chosen["s0"] == "s0: the lowest Dice"


def test_the_slice_with_most_of_the_region() -> None:
    labels = np.zeros((4, 8, 8), np.uint8)
    labels[1] = 1
    labels[2, :2] = 2
    labels[3, :3] = 2
    assert pictures.slice_of_most(labels, (2,)) == 3
    assert pictures.slice_of_most(labels, (1, 2)) == 1
    # Without the region, or with none asked for: what shows most of all classes.
    assert pictures.slice_of_most(labels, (3,)) == label_maps.slice_of_most_classes(labels)
    assert pictures.slice_of_most(labels, None) == label_maps.slice_of_most_classes(labels)


def test_rows_hold_all_modalities_and_maps(small_records: tuple[Any, Path], tmp_path: Path) -> None:
    dataset, folder = small_records
    records = open_record_set(folder)
    paths = {}
    for subject in ("s0", "s4"):
        label = dataset.array(subject, "label")
        paths[subject] = [tmp_path / subject / f"{line}.nii.gz" for line in ("old", "new")]
        for path, found in zip(paths[subject], (label, label * (label == 1)), strict=True):
            write_label(path, found, dataset.path(subject, "t1"))
    titles = {"s4": "s4: why", "s0": "s0: why"}
    score = records.manifest.classes[2].name
    rows = pictures.rows(records, paths, titles, score)
    assert [row.title for row in rows] == ["s4: why", "s0: why"]
    volumes = {v.subject: v for v in subject_volumes(records, records.manifest.folds)}
    for row, subject in zip(rows, ("s4", "s0"), strict=True):
        volume = volumes[subject]
        z = int(np.argmax((volume.label == 2).sum(axis=(1, 2))))
        reference, old, new = row.maps
        np.testing.assert_array_equal(reference, volume.label[z])
        np.testing.assert_array_equal(old, reference)
        np.testing.assert_array_equal(new, reference * (reference == 1))
        np.testing.assert_array_equal(np.stack(row.images, axis=-1), volume.image[z])
