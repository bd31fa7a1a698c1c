"""Study files."""

from pathlib import Path

import pytest

from tfadv import methods
from tfadv.study.plan import SplitEntry, Trial, all_trials, read_study
from tfrecords.errors import UserError

ROOT = Path(__file__).parents[3]
SPLIT = '[[splits]]\nvalidation = ["1"]\ntest = ["0"]\n'
SMALLEST = 'title = "x"\nrecords = "r"\n[lines.a]\nmethod = "kohl_hybrid"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text)
    return path


def test_the_smallest_study_has_defaults(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, SMALLEST))
    assert (study.preset, study.score) == ("paper", "mean")
    assert (study.seeds, study.fractions, study.splits) == ((0,), (1.0,), ())
    assert study.overrides("a") == []


def test_a_line_overrides_the_studys_hyperparameters(tmp_path: Path) -> None:
    text = SMALLEST.replace("[lines", "hp = {width = 8, epochs = 3}\n[lines")
    study = read_study(written(tmp_path, text + "hp = {width = 16, mirror = false}\n"))
    assert study.overrides("a") == ["width=16", "epochs=3", "mirror=False"]
    hp = methods.get("kohl_hybrid").configure("paper", study.overrides("a"))
    assert (hp.width, hp.epochs, hp.mirror) == (16, 3, False)


def test_trials_are_all_combinations_with_lines_side_by_side(tmp_path: Path) -> None:
    text = SMALLEST.replace("[lines", "seeds = [0, 7]\nfractions = [1, 0.5]\n[lines", 1)
    study = read_study(written(tmp_path, text + '[lines.b]\nmethod = "kohl_hybrid"\n'))
    trials = all_trials(study, ("0", "1", "2", "3"))
    assert len(trials) == len({trial.name for trial in trials}) == 2 * 2 * 2 * 4
    assert [trial.line for trial in trials[:4]] == ["a", "b", "a", "b"]
    assert trials[0] == Trial("a", SplitEntry(("1",), ("0",)), 0, 1.0)
    assert trials[6] == Trial("a", SplitEntry(("0",), ("3",)), 0, 1.0)
    assert trials[-1].name == "b-test3-seed7-fraction0.5"


def test_each_fold_tests_once_and_selects_once(tmp_path: Path) -> None:
    """Kohl et al. 2017: of four folds two train, one selects, one is held out."""
    trials = all_trials(read_study(written(tmp_path, SMALLEST)), ("0", "1", "2", "3"))
    assert sorted(trial.split.test for trial in trials) == [("0",), ("1",), ("2",), ("3",)]
    assert sorted(trial.split.validation for trial in trials) == [("0",), ("1",), ("2",), ("3",)]
    assert all(trial.split.test != trial.split.validation for trial in trials)


def test_prescribed_splits_take_the_place_of_rotation(tmp_path: Path) -> None:
    text = SMALLEST + '[[splits]]\nvalidation = ["1"]\ntest = ["0", "2"]\n'
    (trial,) = all_trials(read_study(written(tmp_path, text)), ("0", "1", "2", "3"))
    assert trial.name == "a-test0+2-seed0-fraction1"


def with_entry(entry: str) -> str:
    """The smallest study with an entry more, of all lines."""
    return SMALLEST.replace("[lines", f"{entry}\n[lines")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = ", "TOML"),
        (SMALLEST.replace("records", "record"), "records: Field required; record: Unexpected"),
        (SMALLEST + "hps = {}\n", "lines.a.hps: Unexpected"),
        (SMALLEST.replace("[lines", "fractions = [0]\n[lines"), "fractions.0: .*greater than 0"),
        (SMALLEST.replace("[lines", "fractions = [1.5]\n[lines"), "fractions.0: .*equal to 1"),
        (SMALLEST.replace("[lines", "seeds = []\n[lines"), "seeds: .*at least 1"),
        (SMALLEST.replace("[lines", 'preset = "big"\n[lines'), "preset: "),
        ('title = "x"\nrecords = "r"\nlines = {}\n', "lines: .*at least 1"),
        (with_entry('precision = "float32"'), "precision: Unexpected"),  # A hyperparameter.
        (with_entry("hp = {epochs = 0}"), "hp: epochs: .*at least 1, received 0"),
        (with_entry("hp = {epochs = 1.5}"), "hp: epochs: expected a whole number"),
        (SMALLEST + "hp = {epochs = -1}\n", "lines.a.hp: epochs: .*received -1"),
        (with_entry("seeds = [0, 1, 0]"), "seeds: expected different ones, received 0 several"),
        (SMALLEST.replace('"x"', '" "'), "title: expected a line of text, received ' '$"),
        (
            SMALLEST + '[[splits]]\nvalidation = ["1"]\ntest = ["../x"]\n',
            r"splits.0.test.0: expected a name .* received '../x'$",
        ),
        (
            SMALLEST + f'[[splits]]\nvalidation = ["1"]\ntest = ["{90 * "a"}", "{90 * "b"}", '
            f'"{90 * "c"}"]\n',
            "splits, lines: expected folders of at most 255 bytes, received a-testaaa",
        ),
        (SMALLEST + "unlabelled = 0\n", "lines.a.unlabelled: .*greater than or equal to 1"),
        (SMALLEST + "unlabelled = true\n", "lines.a.unlabelled: .*valid integer"),
        (with_entry("seeds = [-1]"), "seeds.0: .*greater than or equal to 0"),
        (with_entry("seeds = [4294967295]"), "seeds.0: .*less than 4294967295"),
        (with_entry("fractions = [1, 1.0]"), "fractions: expected numbers that differ in"),
        (with_entry("fractions = [0.1234567, 0.1234568]"), "received 0.123457 several times"),
        (SMALLEST + '[lines.a]\nmethod = "kohl_hybrid"\n', "TOML"),
        (SMALLEST + '[[splits]]\nvalidation = ["1"]\ntest = []\n', "splits.0.test: .*at least 1"),
        (SMALLEST + '[[splits]]\nvalidation = ["1"]\n', "splits.0.test: .*at least 1"),
        (SMALLEST + "[[splits]]\n" + SPLIT, "splits.0.validation: .*at least 1"),
        (SMALLEST + 2 * SPLIT, "folders of their own, .* called a-test0-seed0-fraction1"),
        (
            SMALLEST.replace("[lines.a]", "[lines.a-test0]")
            + SMALLEST[SMALLEST.index("[lines") :]
            + SPLIT
            + SPLIT.replace('"0"', '"0-test0"'),
            "folders of their own",
        ),
    ],
)
def test_a_wrong_study_is_one_message(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as error:
        read_study(written(tmp_path, text))
    assert "study.toml: expected " in str(error.value) or "study.toml: splits" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "../../x",
        "/tmp/x",
        "a\\\\b",
        "a\\u0000b",
        "a\\nb",
        ".a",
        "-a",
        " a",
        101 * "a",
        51 * "ä",
    ],
)
def test_a_lines_name_is_fit_for_a_folder(name: str, tmp_path: Path) -> None:
    text = SMALLEST.replace("lines.a", f'lines."{name}"')
    with pytest.raises(UserError, match=r"study\.toml: .*lines\..*expected"):
        read_study(written(tmp_path, text))
    longest = SMALLEST.replace("lines.a", f'lines."{100 * "a"}"')
    assert list(read_study(written(tmp_path, longest)).lines) == [100 * "a"]


def test_a_missing_study_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.toml: expected a study file"):
        read_study(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.toml")), ids=lambda p: p.stem)
def test_the_studies_at_hand_can_be_read_and_resolved(path: Path) -> None:
    study = read_study(path)
    for name, line in study.lines.items():
        hp = methods.get(line.method).configure(study.preset, study.overrides(name))
        assert {key: getattr(hp, key) for key in study.hp} == study.hp | {
            key: value for key, value in line.hp.items() if key in study.hp
        }
