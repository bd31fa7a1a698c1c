"""Which files are images, and whose they are by their names."""

from pathlib import Path

import pytest

from tests.tfadv.inference.laid import MODALITIES, laid
from tfadv.inference.listing import Image, layout_of, listed, named, numbered, stem_of, whole


def image(name: str) -> Image:
    folder, _, stem = name.rpartition("/")
    return Image(Path(name), folder, stem)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.nii", "a"),
        ("a.b.NII.gz", "a.b"),
        ("a.mha", "a"),
        ("a.mhd", "a"),
        ("a.nrrd", "a"),
        ("a.nhdr", "a"),
        ("a.png", ""),
        ("a.gz", ""),
        ("nii", ""),
        ("._a.nii.gz", ""),
    ],
)
def test_images_are_known_by_their_endings(name: str, stem: str, tmp_path: Path) -> None:
    assert stem_of(laid(tmp_path, name) / name) == stem


def test_what_is_not_there_is_no_image(tmp_path: Path) -> None:
    assert stem_of(tmp_path / "a.nii") == ""
    (tmp_path / "b.nii").mkdir()
    assert stem_of(tmp_path / "b.nii") == ""


def test_folders_are_looked_into_once(tmp_path: Path) -> None:
    images, others = listed(laid(tmp_path, "a.nii", "b/c.nii", "b/x", "b/d/e.nii", "y"))
    assert images == [
        Image(tmp_path / "a.nii", "", "a"),
        Image(tmp_path / "b" / "c.nii", "b", "c"),
    ]
    assert others == [tmp_path / name for name in ("b/d", "b/x", "y")]


def test_files_that_hold_an_images_voxels_are_its(tmp_path: Path) -> None:
    laid(tmp_path, "a.raw", "other.raw", "broken.mhd")
    header = "ObjectType = Image\nNDims = 3\nDimSize = 1 1 1\nElementDataFile = a.raw\n"
    (tmp_path / "a.mhd").write_text(header)
    images, others = listed(tmp_path)
    assert [image.stem for image in images] == ["a", "broken"]
    assert others == [tmp_path / "other.raw"]


def test_earlier_predictions_are_not_looked_into(tmp_path: Path) -> None:
    images, others = listed(laid(tmp_path, "a.nii", "out/out.nii", "out/predictions.json"))
    assert ([image.stem for image in images], others) == (["a"], [])


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (("a_0000", "a_t1"), numbered),
        (("a_0001", "a_0002"), whole),
        (("a_0001", "a_t1"), named),
        (("x", "a/T1"), named),
        (("t1", "post_t1x"), whole),
        ((), whole),
    ],
)
def test_a_folder_has_one_layout(names: tuple[str, ...], layout: object) -> None:
    assert layout_of(list(map(image, names)), MODALITIES) is layout


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("a_t1", ("a", 0)),
        ("a_post_t1", ("a", 1)),
        ("a/post_t1", ("a", 1)),
        ("a/a_T1", ("a", 0)),
        ("post_t1", ("post", 0)),
        ("t1", None),
        ("at1", None),
    ],
)
def test_the_longest_modality_names_an_image(name: str, owner: tuple[str, int] | None) -> None:
    assert named(image(name), MODALITIES) == owner
