"""The report of a trained run."""

import json
import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from tfadv.evaluation.evaluate import evaluate
from tfadv.run.run import load_run
from tfadv.run.work_dir import WorkDir
from tfadv.study.run_report import write_run_report

LIMIT_BYTES = 5_000_000


class Page(HTMLParser):
    """A page's text, and what each kind of tag says of itself."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [about for name, about in self.tags if name == tag]

    def __str__(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def written(run: WorkDir, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """The report, and the table of subjects, of three: those of the test and a validation fold."""
    out, trained = WorkDir(tmp_path_factory.mktemp("out")), load_run(run)
    folds = ("1", "2")
    tables = evaluate(out, trained.predictor, trained.run.records, folds)
    readings = [{"step": 200, "gradients/a/norm": 0.12, "gradients/a/cosine": 0.3}]
    progress = replace(run.progress(), readings=readings, seconds={1: 90.0, 2: 60.0})
    return write_run_report(out, trained, progress, tables, folds), tables.subjects


@pytest.mark.slow
def test_it_says_what_the_run_is_how_it_learnt_and_what_it_gives(
    written: tuple[Path, pd.DataFrame], run: WorkDir
) -> None:
    path, subjects = written
    page, progress = Page(path.read_text()), run.progress()
    text = str(page)
    assert f"best epoch {progress.best_epoch} of 2, by validation Dice: mean" in text
    assert "minutes 2.5, of steps and validation" in text
    dice = subjects["mean_dice"]
    assert f"mean Dice {dice.mean():.3f} ± {dice.std(ddof=0):.3f}" in text
    assert "batch_size 6" in text
    assert "updates of one step: 1x S descends cross entropy" in text
    assert "Python 3." in text
    worst, best = dice.idxmin(), dice.idxmax()
    for word, place in (("best", best), ("worst", worst)):
        assert f"The {word}: {subjects['subject'][place]}, mean Dice {dice[place]:.3f}" in text
    assert all(f" {name} " in text for name in subjects["subject"])
    titles = ("Scores by region", "Validation: Dice", "Training", "What the adversary teaches")
    assert [title for title in titles if title not in text] == []


def test_it_needs_nothing_else_and_fits_a_phone(written: tuple[Path, pd.DataFrame]) -> None:
    content = written[0].read_text()
    assert len(content) < LIMIT_BYTES
    page = Page(content)
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.named(
        "meta"
    )
    assert page.named("img")
    assert all(str(about["src"]).startswith("data:image/") for about in page.named("img"))
    assert not re.search(r"https?://(?!arxiv)[^\s\"]*\.(?:js|css|png)", content)
    assert page.named("link") + page.named("iframe") == []


def test_each_slider_has_a_frame_for_each_of_its_places(
    written: tuple[Path, pd.DataFrame],
) -> None:
    content = written[0].read_text()
    sliders = Page(content).named("input")
    data = re.findall(r'<script type="application/json">(.*?)</script>', content, re.DOTALL)
    assert len(sliders) == len(data) == 2
    for slider, text in zip(sliders, data, strict=True):
        shown = json.loads(text)
        assert len(shown["frames"]) == len(shown["numbers"]) == int(str(slider["max"])) + 1
        assert all(b64decode(frame).startswith(b"\xff\xd8") for frame in shown["frames"])
        first = shown["frames"][int(str(slider["value"]))]
        assert f'src="data:image/jpeg;base64,{first}"' in content
