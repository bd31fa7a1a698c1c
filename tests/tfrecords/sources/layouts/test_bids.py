"""What is meant of the many files that a BIDS dataset may hold. They are only looked at by name."""

from pathlib import Path

import pytest

from tfrecords.errors import UserError
from tfrecords.sources import layouts
from tfrecords.sources.subject import Dataset, LabelClass
from tfrecords.writing.folds import assign_folds


def find(folder: Path, *names: str, unlabelled: bool = False, inside: str = "") -> Dataset:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return layouts.find("bids", folder / inside, unlabelled=unlabelled)


def t1w(*participants: str) -> list[str]:
    return [f"sub-{name}/anat/sub-{name}_T1w.nii.gz" for name in participants]


def dseg(*participants: str, of: str = "manual", kind: str = "dseg") -> list[str]:
    return [f"derivatives/{of}/sub-{n}/anat/sub-{n}_{kind}.nii.gz" for n in participants]


def test_a_session_is_a_subject_with_its_images_and_its_label_map(tmp_path: Path) -> None:
    place = "sub-01/ses-pre/anat/sub-01_ses-pre"
    images = [f"{place}_T2w.nii", f"{place}_T1w.nii.gz", f"{place}_T1w.json"]
    others = ["sub-01/ses-pre/func/sub-01_ses-pre_bold.nii.gz", f"{place}_defacemask.nii.gz"]
    dataset = find(tmp_path, *images, *others, f"derivatives/a/{place}_dseg.nii.gz")
    (subject,) = dataset.subjects
    assert (subject.name, subject.patient, subject.group) == ("sub-01_ses-pre", "sub-01", "all")
    assert dataset.modalities == ("T1w", "T2w")
    assert subject.images == (tmp_path / f"{place}_T1w.nii.gz", tmp_path / f"{place}_T2w.nii")
    assert subject.label == tmp_path / f"derivatives/a/{place}_dseg.nii.gz"
    assert dataset.classes == ()


def test_images_of_one_suffix_are_told_apart_by_their_other_entities(tmp_path: Path) -> None:
    """Where no session has two, entities may differ from site to site."""
    folder = "sub-01/anat/sub-01"
    enhanced = [f"{folder}_ce-gadolinium_T1w.nii.gz", f"{folder}_acq-tse_T2w.nii.gz"]
    other = "sub-02/anat/sub-02_acq-space_T2w.nii.gz"
    dataset = find(tmp_path, *t1w("01", "02"), *enhanced, other, *dseg("01", "02"))
    assert dataset.modalities == ("T1w", "T2w", "ce-gadolinium_T1w")
    first, second = dataset.subjects
    assert first.images == tuple(tmp_path / n for n in (*t1w("01"), enhanced[1], enhanced[0]))
    # Preprocessing will say that there is no such file.
    assert second.images[2] == tmp_path / "sub-02/anat/sub-02_ce-gadolinium_T1w.nii.gz"
    with pytest.raises(UserError, match=r"T1w\.nii\.gz: expected one image of each name"):
        find(tmp_path, "sub-01/anat/sub-01_T1w.nii")


def test_what_some_sessions_lack_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    find(tmp_path, *t1w("01", "02"), "sub-01/anat/sub-01_FLAIR.nii.gz", *dseg("01", "02"))
    (told,) = caplog.messages
    assert "not all of 2 sessions have FLAIR (1). --modalities=T1w takes those that all" in told


def test_sessions_without_a_label_map_are_told_or_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    later = "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz"
    names = (*t1w("01", "02"), later, *dseg("01"))
    assert [s.name for s in find(tmp_path, *names).subjects] == ["sub-01"]
    assert "2 sessions without a label map are left out: sub-01_ses-2, sub-02. " in caplog.text
    caplog.clear()
    taken = find(tmp_path, unlabelled=True).subjects
    assert [(s.name, s.label is None) for s in taken] == [("sub-01", False), ("sub-02", True)]
    assert "1 sessions without a label map are left out: sub-01_ses-2. Other" in caplog.text


def test_groups_are_those_of_participants_tsv_in_its_order(tmp_path: Path) -> None:
    table = tmp_path / "participants.tsv"
    table.write_text("participant_id\tgroup\nsub-03\tn/a\nsub-02\tpatient\n01\tcontrol\n")
    dataset = find(tmp_path, *t1w("01", "02", "03", "04"), *dseg("01", "02", "03", "04"))
    assert [s.group for s in dataset.subjects] == ["control", "patient", "unknown", "unknown"]
    assert dataset.groups == ("unknown", "patient", "control")
    table.write_text("participant_id\tsex\nsub-01\tF\n")
    assert find(tmp_path).groups == ("all",)
    table.write_text("name\tgroup\nsub-01\tF\n")
    with pytest.raises(UserError, match=r"tsv: expected the column participant_id, received \['n"):
        find(tmp_path)


def test_label_maps_are_segmentations_in_the_images_own_space(tmp_path: Path) -> None:
    others = (*dseg("01", kind="desc-brain_mask"), *dseg("01", kind="space-MNI_dseg"))
    (subject,) = find(tmp_path, *t1w("01"), *others, *dseg("01")).subjects
    assert subject.label == tmp_path / dseg("01")[0]


@pytest.mark.parametrize(
    "names", [dseg("01", of="other"), dseg("02", of="other"), dseg("01", kind="desc-b_dseg")]
)
def test_label_maps_of_several_kinds_are_refused(tmp_path: Path, names: list[str]) -> None:
    """In different sessions, too: experts' and a program's are no one dataset."""
    with pytest.raises(UserError, match=r"expected label maps of one kind, .* received ") as error:
        find(tmp_path, *t1w("01", "02"), *dseg("01"), *names)
    assert str(tmp_path / names[0]) in str(error.value)
    assert str(tmp_path / dseg("01")[0]) in str(error.value)


def test_two_label_maps_of_one_session_are_refused(tmp_path: Path) -> None:
    twin = dseg("01")[0].removesuffix(".gz")
    with pytest.raises(UserError, match="expected one label map of a session, received "):
        find(tmp_path, *t1w("01"), *dseg("01"), twin)


def test_a_derivatives_folder_says_which_label_maps_are_meant(tmp_path: Path) -> None:
    names = (*t1w("01"), *dseg("01"), *dseg("01", of="other"))
    (subject,) = find(tmp_path, *names, inside="derivatives/other").subjects
    assert subject.files == tuple(tmp_path / n for n in (*t1w("01"), *dseg("01", of="other")))


def test_classes_are_those_of_the_table_that_fits_most(tmp_path: Path) -> None:
    folder = tmp_path / "derivatives" / "manual"
    folder.mkdir(parents=True)
    (folder / "dseg.tsv").write_text("index\tname\n7\tone\n")
    (folder / "desc-other_dseg.tsv").write_text("index\tname\n8\ttwo\n")
    names = (*t1w("01"), *dseg("01", kind="desc-lesion_dseg"))
    assert find(tmp_path, *names).classes == (
        LabelClass("background", (0,)),
        LabelClass("one", (7,)),
    )
    own = folder / "desc-lesion_dseg.tsv"
    own.write_text("index\tname\tcolor\n0\tair\tn/a\n3\tcore\n2\tedge\n")
    assert [(c.name, c.labels) for c in find(tmp_path).classes] == [
        ("air", (0,)),
        ("edge", (2,)),
        ("core", (3,)),
    ]
    own.write_text("index\tname\n3\tcore\nx\ty\n")
    with pytest.raises(UserError, match=r"lesion_dseg\.tsv: line 3: expected a whole number and a"):
        find(tmp_path)
    own.write_text("value\tname\n3\tcore\n")
    with pytest.raises(UserError, match=r"lesion_dseg\.tsv: expected the columns index and name"):
        find(tmp_path)


def test_a_mask_says_in_its_name_of_what_it_is(tmp_path: Path) -> None:
    dataset = find(tmp_path, *t1w("01"), *dseg("01", kind="label-lesion_mask"))
    assert dataset.classes[1] == LabelClass("lesion", (1,))


def test_sessions_of_a_participant_share_a_fold(tmp_path: Path) -> None:
    names = [
        f"sub-{participant}/ses-{session}/anat/sub-{participant}_ses-{session}"
        for participant in "abcdef"
        for session in range(3)
    ]
    labels = (f"derivatives/manual/{name}_dseg.nii.gz" for name in names)
    dataset = find(tmp_path, *(f"{name}_T1w.nii.gz" for name in names), *labels)
    folds = assign_folds(dataset.subjects, 3, seed=0)
    owners = {(subject.patient, folds[subject.name]) for subject in dataset.subjects}
    assert len(owners) == 6
    assert sorted(fold for _, fold in owners) == ["0", "0", "1", "1", "2", "2"]
    with pytest.raises(UserError, match=r"expected at most 6 \(patients that may be held out\)"):
        assign_folds(dataset.subjects, 7, seed=0)


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected images such as sub-01/anat/sub-01_T1w\.nii"):
        find(tmp_path, "sub-01/func/sub-01_bold.nii.gz")
    with pytest.raises(UserError, match=r"derivatives: expected label maps of one kind, .* none"):
        find(tmp_path, *t1w("01"))
