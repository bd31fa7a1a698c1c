"""What a record set is like, and what another preprocessing would do better."""

from dataclasses import replace

import numpy as np
import pytest

from tfadv.study.fingerprint import Fingerprint
from tfrecords.reading.record_set import RecordSet
from tfrecords.records.views import Patches, Slices, Volumes


@pytest.fixture
def fingerprint(records: RecordSet) -> Fingerprint:
    return Fingerprint.of(records.manifest)


def test_words_count_what_there_is(fingerprint: Fingerprint) -> None:
    assert fingerprint.words == (
        "6 labelled subjects, 0 unlabelled, 2 modalities, 3 classes, 0 regions, up to 32x30x6 "
        "voxels of 1x1x1 mm, as slices"
    )


def test_few_subjects_are_told_of(fingerprint: Fingerprint) -> None:
    assert [remark[:17] for remark in fingerprint.remarks] == ["6 subjects are fe"]
    assert not list(replace(fingerprint, subjects=12).remarks)


@pytest.mark.parametrize(
    ("spacings_mm", "wanted"),
    [([[1, 1, 3], [1.1, 1, 3]], None), ([[1, 1, 3], [1.3, 1, 3]], "--spacing 1.15,1,3")],
)
def test_spacings_that_differ_ask_for_resampling(
    fingerprint: Fingerprint, spacings_mm: list[list[float]], wanted: str | None
) -> None:
    remarks = " ".join(
        replace(fingerprint, spacings_mm=np.array(spacings_mm, float), subjects=20).remarks
    )
    assert ("--spacing" in remarks) == (wanted is not None)
    assert (wanted or "") in remarks


def test_thick_slices_ask_for_networks_of_slices(fingerprint: Fingerprint) -> None:
    thick = replace(fingerprint, spacings_mm=np.array([[1.0, 1.0, 3.0]]), subjects=20)
    assert not list(thick.remarks)
    assert "networks of slices suit" in " ".join(replace(thick, view=Volumes()).remarks)
    cubes = replace(fingerprint, subjects=20, shape=(32, 30, 30), view=Slices())
    assert "networks of volumes may suit" in " ".join(cubes.remarks)
    assert "see as much as a patch" in " ".join(replace(cubes, view=Patches()).remarks)
