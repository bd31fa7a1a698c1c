"""What a model's card says, and of which tfadv."""

import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from tfadv.inference import maker as maker_module
from tfadv.inference.calibration import Calibration
from tfadv.inference.card import CARD, card
from tfadv.inference.description import ComponentNote, Description, MemberNote, ScoreNote
from tfadv.inference.maker import maker
from tfadv.inference.model import read_description
from tfrecords.sources.subject import LabelClass

ROOT = Path(__file__).parents[3]


@pytest.fixture
def made() -> Description:
    member = MemberNote("kohl_hybrid", {"width": 32, "optimizer": "a|b"}, 3, ("0",), ("1",), ("2",))
    return Description(
        dataset="decathlon",
        modalities=("t1", "t2"),
        classes=(LabelClass("background", (0,)), LabelClass("lesion", (4, 5))),
        regions={},
        maps=("background", "lesion"),
        exclusive=True,
        orientation="RAS",
        spacing_mm=(1.0, 1.0, 2.5),
        wanted_spacing_mm=None,
        crop=None,
        image_dtype="int16",
        normalisation="z_score",
        licence="",
        members=(member,),
        maker="tfadv 9",
    )


def test_the_card_tells_the_data_and_for_what_it_is_not(made: Description) -> None:
    text = card(made)
    assert text.startswith("# kohl_hybrid on decathlon\n\n**For research only. This is no medical")
    for row in (
        "| licence of the data | not stated |",
        "| modalities, in this order | t1, t2 |",
        "| classes and their label values | background (0), lesion (4, 5) |",
        "| regions | none |",
        "| spacing (x, y, z) | 1.0 x 1.0 x 2.5 mm, the median |",
        "| kept about the centre | everything |",
        "| optimizer | a\\|b |",
        "| seed | 3 |",
    ):
        assert f"\n{row}\n" in text
    assert "Test subjects: not measured." in text
    assert "Made by tfadv 9." in text
    assert "\n\n\n" not in text
    assert text.endswith(".\n")


def test_the_card_tells_scores_and_choices(made: Description) -> None:
    text = card(
        replace(
            made,
            licence="CC-BY-SA 4.0",
            regions={"WT": ("lesion",)},
            wanted_spacing_mm=(1.0, 1.0, 0.0),
            crop=(64, 48, 32),
            scores=(
                ScoreNote("validation", "lesion", 12, 0.81239, 0.05),
                ScoreNote("test", "mean", 7, 0.7, 0.12345),
            ),
            components=(ComponentNote("lesion", 4, 0.8, 0.9, kept=True),),
            quality=("entropy", "judge"),
            calibration=Calibration("judge", (0.0, 1.0), (0.4, 0.8), 0.1, 0.9, 0.7, 5, 50),
        )
    )
    for row in (
        "| licence of the data | CC-BY-SA 4.0 |",
        "| regions | WT (lesion) |",
        "| kept about the centre | 64 x 48 x 32 voxels (x, y, z) |",
        "| validation | lesion | 12 | 0.812 ± 0.050 |",
        "| test | mean | 7 | 0.700 ± 0.123 |",
        "| lesion | 0.8000 | 0.9000 | largest |",
    ):
        assert f"\n{row}\n" in text
    assert "resampled to 1.0 x 1.0 x 0.0 mm" in text
    assert "not measured" not in text
    assert "float32 `[2]`, of entropy, judge" in text
    assert "by judge (rho 0.70), was within 0.10\nfor 90 % of 50 images of 5 validation" in text


def test_a_model_has_its_card(model_dir: Path) -> None:
    """And vouches for it, as for all its files."""
    description = read_description(model_dir)
    text = (model_dir / CARD).read_text()
    assert text == card(replace(description, files={}))
    assert CARD in description.files
    (member,) = description.members
    assert member.subjects == {"training": 2, "validation": 2, "test": 2}
    assert "| subjects | training 2, validation 2, test 2 |" in text


def test_the_maker_is_this_version_and_commit() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert maker().startswith(f"tfadv {version}")
    if (ROOT / ".git").exists():
        git = ("git", "-C", str(ROOT), "rev-parse", "HEAD")
        head = subprocess.run(git, capture_output=True, text=True, check=True).stdout
        assert f"commit {head[:12]}" in maker()


def test_the_commit_of_another_project_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment may lie in a clone of whatever."""
    git = ("git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run((*git, "init", "--quiet"), check=True)
    subprocess.run((*git, "commit", "--quiet", "--allow-empty", "-m", "x"), check=True)
    (tmp_path / "site-packages").mkdir()
    monkeypatch.setattr(maker_module, "ROOT", tmp_path / "site-packages")
    assert "commit" not in maker()
    monkeypatch.setattr(maker_module, "ROOT", tmp_path)
    assert ", commit " in maker()
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: (_ for _ in ()).throw(OSError("none")))
    assert "commit" not in maker()
