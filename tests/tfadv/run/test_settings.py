"""What determines a run, and its file where it is damaged."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tfadv.run.settings import Settings
from tfadv.run.work_dir import VERSION, Progress, WorkDir
from tfrecords.errors import SettingError, UserError
from tfrecords.files import write_json

SETTINGS = Settings("kohl_hybrid", {"epochs": 3, "width": 8}, "r", ("0",), ("1",), ("2",))


@pytest.mark.parametrize("fraction", [0.0, -1.0, 1.5, float("nan")])
def test_shares_beyond_their_bounds_are_refused(fraction: float) -> None:
    with pytest.raises(SettingError, match="positive_fraction: expected a share in"):
        Settings("m", {}, "r", ("0",), ("1",), ("2",), positive_fraction=fraction)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "expected a JSON object"),
        (lambda text: "[]", "expected a JSON object"),
        (lambda text: text.replace('"format_version": 3', '"format_version": 0'), "version 3"),
        (lambda text: text.replace('"seed": 0', '"seed": 1'), "edited or damaged"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, damage, message: str) -> None:  # type: ignore[no-untyped-def]
    WorkDir(tmp_path).begin(SETTINGS)
    path = tmp_path / "hyperparameters.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(UserError, match=message) as caught:
        WorkDir(tmp_path).settings()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", ["many", -4])
def test_a_wrong_entry_of_settings_is_one_line(tmp_path: Path, seed: object) -> None:
    path = tmp_path / "hyperparameters.json"
    write_json(path, {**asdict(SETTINGS), "seed": seed}, VERSION)
    with pytest.raises(UserError, match=r"hyperparameters\.json: seed") as caught:
        WorkDir(tmp_path).settings()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("entry", ["epochs", "best_epoch", "history"])
def test_a_damaged_progress_is_one_line(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "progress.json"
    history = [{"epoch": 1, "val_dice": 0.5}]
    content = {"epochs": 1, "best_epoch": 1, "best": 0.5, "history": history}
    write_json(path, {**content, entry: "odd"}, VERSION)
    with pytest.raises(UserError, match=rf"progress\.json: {entry}.*another --work_dir"):
        WorkDir(tmp_path).progress()
    write_json(path, content, VERSION)
    assert WorkDir(tmp_path).progress() == Progress(1, 1, 0.5, history)


@pytest.mark.parametrize("seed", [-1, 2**32 - 1, 10**40])
def test_seeds_that_nothing_can_be_drawn_by_are_refused(seed: int) -> None:
    with pytest.raises(SettingError, match=f"seed: expected a number from 0 to .* received {seed}"):
        replace(SETTINGS, seed=seed)


@pytest.mark.parametrize(
    "folds",
    [
        {"training_folds": ()},
        {"training_folds": ("0", "2")},
        {"training_folds": ("1",)},
        {"training_folds": ("0", "0")},
        {"validation_folds": ()},
        {"test_folds": ("2", "2")},
    ],
    ids=str,
)
def test_folds_that_train_are_not_held_out(folds: dict[str, tuple[str, ...]]) -> None:
    (name,) = folds
    with pytest.raises(SettingError, match=f"{name}: expected at least one, each once"):
        replace(SETTINGS, **folds)  # type: ignore[arg-type]
    assert replace(SETTINGS, test_folds=("1",)).test_folds == SETTINGS.validation_folds


@pytest.mark.parametrize(
    ("epochs", "best", "rows", "entry"),
    [(2, 1, 1, "history"), (1, 0, 1, "best_epoch"), (1, 2, 1, "best_epoch"), (-1, 0, 0, "history")],
)
def test_a_progress_that_contradicts_itself_is_refused(
    epochs: int, best: int, rows: int, entry: str
) -> None:
    with pytest.raises(SettingError, match=f"{entry}: expected"):
        Progress(epochs, best, 0.5, [{"epoch": row + 1} for row in range(rows)])
