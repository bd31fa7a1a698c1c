"""A study's report: one HTML file that says what was run, what came out, and what of it holds."""

from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np
import pandas as pd

from tfadv.evaluation import write_file
from tfadv.study import figures, pictures, statistics
from tfadv.study.plan import Run, Study, all_runs
from tfadv.work_dir import MEAN, WorkDir
from tfrecords.record_set import RecordSet, open_record_set

DIGITS = {"dice": 3, "sensitivity": 3, "specificity": 3, "hausdorff95_mm": 1}
SMALLEST_PRINTED = 0.001
# What discriminators and critics that judge maps as true or not log in `progress.json`.
JUDGES = ("discriminator", "critic")


class Shown(NamedTuple):
    """A figure: the name of its file, its title, what to know, its PNG (none: only the caption)."""

    name: str
    title: str
    caption: str
    png: bytes

    @property
    def base64(self) -> str:
        return b64encode(self.png).decode()


@dataclass(frozen=True)
class Material:
    """A study, what was measured, and where its runs are.

    Attributes:
        results: a row per run, subject and region.
        tests: `statistics.compare_lines` of them.
    """

    study: Study
    folder: Path
    records: RecordSet
    results: pd.DataFrame
    tests: pd.DataFrame

    @property
    def lines(self) -> list[str]:
        """Those with results, in the study's order."""
        return [line for line in self.study.lines if line in set(self.results["line"])]

    @property
    def regions(self) -> list[str]:
        """The score's first."""
        found = list(dict.fromkeys(self.results["region"]))
        return sorted(found, key=lambda region: region != self.study.score)

    @property
    def fractions(self) -> list[float]:
        """Those with results, the largest first."""
        return sorted(self.results["fraction"].unique(), reverse=True)

    @property
    def planned(self) -> list[Run]:
        return all_runs(self.study, self.records.manifest.held_out_folds)

    @property
    def done(self) -> list[Run]:
        """The runs in the results."""
        columns = ["line", "seed", "fraction", "fold"]
        found = set(self.results[columns].itertuples(index=False, name=None))
        return [
            run
            for run in self.planned
            if (run.line, run.seed, run.fraction, "+".join(run.split.test)) in found
        ]

    def work_dir(self, run: Run) -> WorkDir:
        return WorkDir(self.folder / "runs" / run.name)

    def amounts(self) -> dict[float, str]:
        """By fraction, the least first, its positive training subjects."""
        counts = self.results.groupby("fraction")["training_subjects"].agg(["min", "max"])
        return {
            fraction: f"{_range(row['min'], row['max'])}\n({_percent(fraction)})"
            for fraction, row in counts.iterrows()
        }


def write_report(study: Study, folder: Path, results: pd.DataFrame) -> Path:
    """Writes report.html, the figures beside it, and statistics.csv.

    Args:
        folder: the study's; its runs are in `runs`.
        results: a row per run, subject and region: line, method, fold, seed, fraction,
            training_subjects, best_epoch, subject, group, region and METRICS.

    Returns:
        The report, which needs no other file.
    """
    lines = [line for line in study.lines if line in set(results["line"])]
    tests = statistics.compare_lines(results, lines)
    material = Material(study, folder, open_record_set(study.records), results, tests)
    write_file(folder / "statistics.csv", tests.to_csv(index=False).encode())
    shown = _figures(material)
    (folder / "figures").mkdir(exist_ok=True)
    for figure in filter(lambda figure: figure.png, shown):
        write_file(folder / "figures" / f"{figure.name}.png", figure.png)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tfadv", "study"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    foremost, others = findings(material)
    html = environment.get_template("report.html.jinja").render(
        study=study,
        alpha=statistics.ALPHA,
        head=_head(material),
        lines=_lines(material),
        findings=foremost,
        others=others,
        score_tables={region: _scores(material, region) for region in material.regions},
        test_tables={region: _tests(material, region) for region in material.regions},
        figures=shown,
    )
    write_file(folder / "report.html", html.encode())
    return folder / "report.html"


def findings(material: Material) -> tuple[list[str], list[str]]:
    """What the tests say, in sentences.

    Returns:
        Every line against the baseline, for the score's region and the most data, with a summary;
        and whatever else holds.
    """
    tests = material.tests
    if tests.empty:
        return ["One line: there is nothing to compare."], []
    foremost = (
        (tests["region"] == material.study.score)
        & (tests["first"] == material.lines[0])
        & (tests["fraction"] == material.fractions[0])
    )
    holds = tests.apply(statistics.better, axis=1) != ""
    first = [sentence(test) for _, test in tests[foremost].iterrows()]
    others = [sentence(test) for _, test in tests[holds & ~foremost].iterrows()]
    return [*_summary(tests, int(holds.sum())), *first], others


def _summary(tests: pd.DataFrame, holding: int) -> list[str]:
    tested = tests["wilcoxon_p"].count()
    if holding:
        return [f"Of {tested} differences tested, {holding} hold after correction."]
    said = [f"No difference between lines holds after correction ({tested} tested)."]
    family = tests.groupby(["region", "measure"])["wilcoxon_p"].count().max()
    subjects = tests["subjects"].max()
    if family * statistics.smallest_p(subjects) >= statistics.ALPHA:
        said.append(
            f"None could: with {subjects} subjects the Wilcoxon test gives at least p = "
            f"{statistics.smallest_p(subjects):.2g}, and {family} tests are corrected together."
        )
    return said


def sentence(test: pd.Series) -> str:
    """What a row of `statistics.compare_lines` says, and no more."""
    where = f"{test['region']}, {figures.TITLES[test['measure']]}, {_percent(test['fraction'])}: "
    first, second = test["first"], test["second"]
    if np.isnan(test["difference"]):
        return f"{where}{first} and {second} have no subject in common yet."
    difference, size = test["difference"], _size(test, abs(test["difference"]), "")
    if np.isnan(test["wilcoxon_p"]):
        alone = "one subject" if test["subjects"] == 1 else "all subjects differ by the same amount"
        return f"{where}{first} and {second} are {size} apart; no test ({alone})."
    low, high = sorted(test[["low", "high"]].to_numpy(float) * (-1 if difference < 0 else 1))
    evidence = (
        f"(95 % interval {_size(test, low, '')} to {_size(test, high, '')}, {test['subjects']} "
        f"subjects, corrected Wilcoxon p {_p(test['wilcoxon_p_holm'], '= ')})"
    )
    lower = test["measure"] in statistics.LOWER_IS_BETTER
    ahead, behind = (second, first) if (difference > 0) != lower else (first, second)
    if statistics.better(test):
        return f"{where}{ahead} is better than {behind} by {size} {evidence}."
    if test["wilcoxon_p_holm"] < statistics.ALPHA:
        return (
            f"{where}{first} and {second} differ, but the mean, {size} in favour of {ahead}, and "
            f"the ranks point in opposite directions {evidence}."
        )
    in_favour = f"{size} in favour of {ahead}"
    return f"{where}no difference holds between {first} and {second}: {in_favour} {evidence}."


def _head(material: Material) -> dict[str, str]:
    study, results = material.study, material.results
    done, planned = len(material.done), len(material.planned)
    missing = f"; {planned - done} are missing, and what follows is preliminary"
    return {
        "record set": f"{study.records} ({material.records.manifest.dataset})",
        "runs": f"{done} of {planned} finished" + (missing if done < planned else ""),
        "test subjects": str(results["subject"].nunique()),
        "seeds": ", ".join(map(str, sorted(results["seed"].unique()))),
        "positive training subjects": ", ".join(
            text.replace("\n", " ") for text in reversed(material.amounts().values())
        ),
        "preset, precision": f"{study.preset}, {study.precision}",
        "epoch chosen by": f"validation Dice: {study.score}",
    }


def _lines(material: Material) -> list[list[str]]:
    """A row per line: name, method, hyperparameters, finished runs, best epochs."""
    rows = []
    for name, line in material.study.lines.items():
        runs = [run for run in material.done if run.line == name]
        epochs = material.results.loc[material.results["line"] == name, "best_epoch"]
        best = _range(epochs.min(), epochs.max()) if runs else "none"
        overrides = ", ".join(material.study.overrides(name)) or "the preset's"
        rows.append([name, line.method, overrides, str(len(runs)), best])
    return rows


def _scores(material: Material, region: str) -> list[list[str]]:
    """A row per fraction and line: subjects, mean ± standard deviation of each measure."""
    scores = statistics.subject_scores(material.results).loc[region]
    found = scores.groupby(["fraction", "line"])
    means, stds, counts = found.mean(), found.std(ddof=0), found.size()
    return [
        [_percent(fraction), line, str(counts[fraction, line])]
        + [
            f"{means.loc[(fraction, line), name]:.{digits}f} ± "
            f"{stds.loc[(fraction, line), name]:.{digits}f}"
            for name, digits in DIGITS.items()
        ]
        for fraction in material.fractions
        for line in material.lines
        if (fraction, line) in counts.index
    ]


def _tests(material: Material, region: str) -> list[list[str]]:
    rows = []
    for _, test in material.tests[material.tests["region"] == region].iterrows():
        subjects = str(test["subjects"])
        if test["undefined"]:
            subjects += f" ({test['undefined']} undefined)"
        rows.append(
            [
                figures.TITLES[test["measure"]],
                _percent(test["fraction"]),
                f"{test['second']} minus {test['first']}",
                subjects,
                _size(test, test["difference"]),
                f"{_size(test, test['low'])} to {_size(test, test['high'])}",
                *(_p(test[f"{kind}_p{end}"]) for kind in statistics.KINDS for end in ("", "_holm")),
                _number(test["rank_biserial"], 2),
                _number(test["cohens_d"], 2),
                statistics.better(test),
            ]
        )
    return rows


def _figures(material: Material) -> list[Shown]:
    made = (_by_amount, _by_region, _pictures, _judgements, _learning_curves)
    return [shown for make in made if (shown := make(material))]


def _by_amount(material: Material) -> Shown | None:
    if len(material.fractions) == 1:
        return None
    score, measures = material.study.score, ("dice", "sensitivity")
    gains = statistics.median_gains(material.results, material.lines)
    gains = gains[(gains["region"] == score) & gains["measure"].isin(measures)]
    png = figures.by_amount(
        statistics.subject_scores(material.results).loc[score].reset_index(),
        gains,
        material.amounts(),
        measures,
        figures.palette(material.lines),
    )
    undefined = [
        f"{gain['line']}, {figures.TITLES[gain['measure']]}, {_percent(gain['fraction'])}"
        for _, gain in gains[gains["gain"].isna()].iterrows()
    ]
    caption = "Above, a dot is a subject. Below, the gain of each line's median, in percent."
    if undefined:
        caption += f" Undefined, for the baseline's median is 0: {'; '.join(undefined)}."
    return Shown("amounts", f"Fewer and fewer training subjects: {score}", caption, png)


def _by_region(material: Material) -> Shown:
    scores = statistics.subject_scores(material.results).reset_index()
    most = material.fractions[0]
    png = figures.by_region(
        scores[scores["fraction"] == most], material.regions, figures.palette(material.lines)
    )
    title = f"Scores by region, {_percent(most)} of the positive training subjects"
    return Shown("regions", title, "A dot is a subject.", png)


def _pictures(material: Material) -> Shown:
    score, most, manifest = material.study.score, material.fractions[0], material.records.manifest
    results = material.results[material.results["fraction"] == most]
    seed = next(seed for seed in material.study.seeds if seed in set(results["seed"]))
    paths = _predictions(material, most, seed)
    here = results[(results["seed"] == seed) & (results["region"] == score)]
    dice = here.pivot_table("dice", "subject", "line").reindex(columns=material.lines).dropna()
    dice = dice[dice.index.isin(list(paths))]
    title = f"Label maps: {score}, {_percent(most)}, seed {seed}"
    if dice.empty:
        return Shown("pictures", title, "No subject has saved label maps of all lines.", b"")
    rows = pictures.rows(material.records, paths, pictures.chosen(dice), score)
    columns = [*manifest.modalities, "reference", *material.lines]
    png = pictures.draw(rows, columns, [c.name for c in manifest.classes])
    return Shown("pictures", title, f"The slice with most {score} in the reference.", png)


def _predictions(material: Material, fraction: float, seed: int) -> dict[str, list[Path]]:
    """By subject of the record set, the label maps of all lines, where all are saved."""
    runs = [r for r in material.done if (r.fraction, r.seed) == (fraction, seed)]
    found = {}
    for subject in material.records.manifest.subjects:
        saved = {
            run.line: path
            for run in runs
            if (path := material.work_dir(run).predictions / f"{subject.name}.nii.gz").is_file()
        }
        if len(saved) == len(material.lines):
            found[subject.name] = [saved[line] for line in material.lines]
    return found


def _judgements(material: Material) -> Shown | None:
    history = _history(material)
    parts = [
        history.rename(columns={f"{judge}_true": "true", f"{judge}_generated": "generated"})
        for judge in JUDGES
        if f"{judge}_true" in history
    ]
    if not parts:
        return None
    said = pd.concat([part[["line", "epoch", "true", "generated"]].dropna() for part in parts])
    caption = (
        "How likely the discriminator holds maps to be true, on average over an epoch. Where both "
        "are at chance it cannot tell them apart. Lines are means over runs, bands reach from the "
        "lowest run to the highest."
    )
    title = "What the discriminators say"
    return Shown("discriminators", title, caption, figures.judgements(said))


def _learning_curves(material: Material) -> Shown | None:
    score = material.study.score
    name = "val_dice" if score == MEAN else f"val_dice_{score}"
    history = _history(material)
    if name not in history:
        return None
    png = figures.learning_curves(
        history.rename(columns={name: "dice"}),
        f"validation Dice: {score}",
        figures.palette(material.lines),
    )
    caption = (
        "Of all lines at the most training subjects. Lines are means over runs, bands reach from "
        "the lowest run to the highest."
    )
    return Shown("validation", "Learning curves", caption, png)


def _history(material: Material) -> pd.DataFrame:
    """A row per finished run at the largest fraction and epoch: line, epoch and what was logged."""
    tables = [
        pd.DataFrame(material.work_dir(run).progress().history).assign(line=run.line)
        for run in material.done
        if run.fraction == material.fractions[0]
    ]
    return pd.concat(tables, ignore_index=True)


def _size(test: pd.Series, value: float, sign: str = "+") -> str:
    return _number(value, DIGITS[test["measure"]], sign)


def _number(value: float, digits: int, sign: str = "+") -> str:
    return "nan" if np.isnan(value) else f"{value:{sign}.{digits}f}"


def _p(p: float, equals: str = "") -> str:
    return f"< {SMALLEST_PRINTED}" if p < SMALLEST_PRINTED else f"{equals}{p:.2g}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:g} %"


def _range(least: float, most: float) -> str:
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"
