"""Reports of studies whose runs are written by hand."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tfadv.evaluation import measures
from tfadv.run.settings import Settings
from tfadv.run.work_dir import VERSION, Progress, WorkDir
from tfadv.study import report
from tfadv.study.plan import Line, Study, all_trials
from tfrecords.files import write_json
from tfrecords.geometry.nifti import write_label
from tfrecords.reading.record_set import open_record_set

pytestmark = pytest.mark.filterwarnings("error")


class Text(HTMLParser):
    """What a reader sees of a page, and its pictures."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.pictures: list[bytes] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            kind, content = str(dict(attrs)["src"]).split(",")
            assert kind == "data:image/png;base64"
            self.pictures.append(base64.b64decode(content))

    def __str__(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


LINES = {
    "plain": Line("kohl_cross_entropy"),
    "adversarial": Line("kohl_hybrid", {"discriminator_steps": 2}),
}


def written(
    records: tuple[Any, Path],
    folder: Path,
    gain: float,
    lines: dict[str, Line] = LINES,
    seeds: tuple[int, ...] = (0, 1),
    fractions: tuple[float, ...] = (1.0, 0.5),
) -> tuple[Study, pd.DataFrame]:
    """A finished study in which every line but the first gains this much Dice over it, or so."""
    dataset, place = records
    manifest = open_record_set(place).manifest
    score = manifest.classes[1].name
    study = Study("A <b> & c", place, lines, score=score, seeds=seeds, fractions=fractions)
    random = np.random.default_rng(0)
    rows = []
    for run in all_trials(study, manifest.held_out_folds):
        work_dir = WorkDir(folder / "runs" / run.name)
        later = run.line != next(iter(lines))
        logged = {"val_dice": 0.5, f"val_dice_{score}": 0.4}
        if later:
            logged |= {"discriminator_true": 0.6, "discriminator_generated": 0.4}
        history = [{"epoch": epoch + 1} | logged for epoch in range(3)]
        folds = (("training",), run.split.validation, run.split.test)
        work_dir.begin(Settings("m", {"steps_per_epoch": 50}, str(place), *folds, run.seed))
        read: dict[str, int | float] = {"step": 100, "gradients/adversarial/norm": 0.123}
        read |= {"gradients/adversarial/cosine": 0.456, "verdicts/discriminator/auc": 0.789}
        progress = Progress(3, 2, 0.5, history, readings=[read] if later else [])
        progress.seconds = {1: 70.0 + 10 * run.seed, 2: 30.0, 3: 30.0}
        write_json(work_dir.folder / "progress.json", progress, VERSION)
        for subject in (s for s in manifest.subjects if s.fold in run.split.test):
            dice = 0.3 + 0.02 * int(subject.name[1:]) + later * gain * random.uniform(0.9, 1.1)
            label = dataset.array(subject.name, "label")
            path = work_dir.predictions / f"{subject.name}.nii.gz"
            write_label(path, label, dataset.path(subject.name, "t1"))
            about = {"line": run.line, "method": "m", "fold": subject.fold, "seed": run.seed}
            about |= {"fraction": run.fraction, "training_subjects": round(4 * run.fraction)}
            about |= {"best_epoch": 2, "subject": subject.name, "group": "all"}
            scores = dict.fromkeys(measures.names(), 0.5) | {"dice": dice}
            rows += [about | {"region": region} | scores for region in ("mean", score)]
    return study, pd.DataFrame(rows)


@pytest.mark.slow
def test_a_whole_report(small_records: tuple[Any, Path], tmp_path: Path) -> None:
    study, results = written(small_records, tmp_path, gain=0.1)
    path = report.write_report(study, tmp_path, results)
    assert path == tmp_path / "report.html"
    content = path.read_text()
    page = Text(content)
    # On a phone: every table but the one of names and texts, which wraps, scrolls by itself.
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in content
    scrolling = re.findall(r'<div class="wide [^"]*">\s*<table>', content)
    assert len(scrolling) == content.count("<table>") - 1 > 3
    assert str(page).startswith(" A <b> & c")  # Escaped.
    assert "runs 24 of 24 finished" in str(page)
    assert "4 (100 %), 2 (50 %)" in str(page)
    assert "adversarial kohl_hybrid discriminator_steps=2 12 2 2.2 to 2.3" in str(page)
    # Six subjects, two tests (fractions) in a family: p = 2 * 2 / 2^6 is not enough.
    found = r"Dice, 100 %: no difference holds between plain and adversarial: 0\.\d+ in favour of "
    assert re.search(
        rf"{found}adversarial \(95 % interval 0\.\d+ to 0\.\d+, 6 subjects, ", str(page)
    )
    assert "corrected Wilcoxon p = 0.062; over 2 seeds and subjects" in str(page)
    assert "No difference between lines holds after correction (4 tested). None could" in str(page)
    assert "adversarial adversarial 0.12 0.456" in str(page)
    assert "adversarial discriminator 0.789" in str(page)
    assert re.search(r"100 % plain 2 0\.3\d\d \(0\.3\d\d to 0\.3\d\d\) 0\.500 \(", str(page))
    names = ["amounts", "discriminators", "gradients", "pictures", "regions", "validation"]
    files = sorted((tmp_path / "figures").iterdir())
    assert [file.stem for file in files] == names
    assert {file.read_bytes() for file in files} == set(page.pictures)
    tests = pd.read_csv(tmp_path / "statistics.csv")
    assert len(tests) == 2 * 3 * 2
    assert tests["wilcoxon_p"].count() == 2 * 2  # All but Dice is the same in both lines.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gain", "ahead", "behind"),
    [(0.1, "new", "old"), pytest.param(-0.1, "old", "new", marks=pytest.mark.variants)],
)
def test_what_holds_is_said(
    gain: float, ahead: str, behind: str, small_records: tuple[Any, Path], tmp_path: Path
) -> None:
    """One fraction: p = 2 / 2^6."""
    lines = {"old": LINES["plain"], "new": LINES["adversarial"]}
    study, results = written(small_records, tmp_path, gain, lines, (0,), (1.0,))
    page = str(Text(report.write_report(study, tmp_path, results).read_text()))
    assert f"{ahead} is better than {behind} by 0." in page
    assert "corrected Wilcoxon p = 0.031)" in page
    assert "Of 2 differences tested, 2 hold after correction." in page
    assert "What else holds: 1" in page  # The mean of the regions.
    assert not (tmp_path / "figures" / "amounts.png").exists()


@pytest.mark.slow
def test_an_unfinished_study(small_records: tuple[Any, Path], tmp_path: Path) -> None:
    """The second line lacks the fold 0 at the most data, and the rest altogether."""
    study, results = written(small_records, tmp_path, gain=0.1)
    first = (results["line"] == "plain") | (
        (results["fraction"] == 1) & (results["seed"] == 0) & (results["fold"] != "0")
    )
    page = str(Text(report.write_report(study, tmp_path, results[first]).read_text()))
    assert "14 of 24 finished; 10 are missing, and what follows is preliminary" in page
    assert "100 % plain 6 0.3" in page
    assert "100 % adversarial 4 0.4" in page
    assert "50 % adversarial 0" not in page
    assert "50 % adversarial minus plain 0 nan nan to nan nan" in page
    assert "4 subjects, corrected Wilcoxon p = 0.12)" in page
    tests = pd.read_csv(tmp_path / "statistics.csv")
    assert set(tests.loc[tests["fraction"] == 0.5, "subjects"]) == {0}


def test_one_line_has_no_tests(small_records: tuple[Any, Path], tmp_path: Path) -> None:
    study, results = written(small_records, tmp_path, 0.1, {"plain": LINES["plain"]})
    page = Text(report.write_report(study, tmp_path, results).read_text())
    assert "there is nothing to compare" in str(page)
    assert "there is nothing to test" in str(page)
    for absent in ("discriminators", "gradients"):
        assert not (tmp_path / "figures" / f"{absent}.png").exists()
    assert len(page.pictures) == 4


@pytest.mark.slow
def test_one_subject_has_no_tests(small_records: tuple[Any, Path], tmp_path: Path) -> None:
    study, results = written(small_records, tmp_path, 0.1)
    alone = results[results["subject"] == "s1"]
    page = str(Text(report.write_report(study, tmp_path, alone).read_text()))
    assert re.search(r"plain and adversarial are 0\.\d+ apart; no test \(one subject\)", page)
    assert "No difference between lines holds after correction (0 tested)." in page
    assert "is better than" not in page


@pytest.mark.slow
def test_without_label_maps_there_are_no_pictures(
    small_records: tuple[Any, Path], tmp_path: Path
) -> None:
    study, results = written(small_records, tmp_path, 0.1, seeds=(0,), fractions=(1.0,))
    for path in (tmp_path / "runs").rglob("adversarial*/predictions/*"):
        path.unlink()
    page = str(Text(report.write_report(study, tmp_path, results).read_text()))
    assert "No subject has saved label maps of all lines." in page
    assert not (tmp_path / "figures" / "pictures.png").exists()
