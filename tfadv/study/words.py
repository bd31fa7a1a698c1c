"""The report's sentences and tables: what the tests say, and no more."""

import numpy as np
import pandas as pd

from tfadv.evaluation import measures
from tfadv.study import statistics
from tfadv.study.material import Material, percent, span
from tfadv.study.plan import Trial

SMALLEST_PRINTED = 0.001


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
        (tests["region"] == material.score)
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
    where = (
        f"{test['region']}, {measures.named(test['measure']).title}, {percent(test['fraction'])}: "
    )
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
        f"subjects, corrected Wilcoxon p {_p(test['wilcoxon_p_holm'], '= ')}"
        f"{_over_seeds(test)})"
    )
    ahead, behind = statistics.ahead(test)
    if statistics.better(test):
        return f"{where}{ahead} is better than {behind} by {size} {evidence}."
    surely = test["wilcoxon_p_holm"] < statistics.ALPHA
    if surely and statistics.agree(test):
        return (
            f"{where}{ahead} is better than {behind} by {size} with these seeds, but others may "
            f"say the opposite {evidence}."
        )
    if surely:
        return (
            f"{where}{first} and {second} differ, but the mean, {size} in favour of {ahead}, and "
            f"the ranks point in opposite directions {evidence}."
        )
    in_favour = f"{size} in favour of {ahead}"
    return f"{where}no difference holds between {first} and {second}: {in_favour} {evidence}."


def _over_seeds(test: pd.Series) -> str:
    """The interval over seeds, in the direction of the difference; nothing of one seed."""
    if np.isnan(test["seeds_low"]):
        return ""
    ends = test[["seeds_low", "seeds_high"]].to_numpy(float)
    low, high = sorted(ends * (-1 if test["difference"] < 0 else 1))
    return (
        f"; over {test['seeds']:.0f} seeds and subjects {_size(test, low, '')} to "
        f"{_size(test, high, '')}"
    )


def head(material: Material) -> dict[str, str]:
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
        "preset": study.preset,
        "epoch chosen by": material.criterion.title,
    }


def lines(material: Material) -> list[list[str]]:
    """A row per line: name, method, hyperparameters, finished runs, best epochs, minutes."""
    rows = []
    for name, line in material.study.lines.items():
        done = [trial for trial in material.done if trial.line == name]
        epochs = material.results.loc[material.results["line"] == name, "best_epoch"]
        best = span(epochs.min(), epochs.max()) if done else "none"
        overrides = ", ".join(material.study.overrides(name)) or "the preset's"
        rows.append([name, line.method, overrides, str(len(done)), best, _minutes(material, done)])
    return rows


def _minutes(material: Material, done: list[Trial]) -> str:
    """Of a run's steps and validation, the least and the most; nothing where none was timed."""
    found = [material.work_dir(trial).progress().minutes for trial in done]
    timed = [round(minutes, 1) for minutes in found if not np.isnan(minutes)]
    return span(min(timed), max(timed)) if timed else ""


def score_titles() -> list[str]:
    """Of the columns of `scores`."""
    measured = [measure.title for measure in measures.MEASURES if measure.reported]
    return ["training subjects", "line", "test subjects", *measured]


def directions() -> str:
    """Which numbers of the measures are better, in a sentence."""
    shown = [measure for measure in measures.MEASURES if measure.reported or measure.tested]
    titles = {
        better: [measure.title for measure in shown if measure.better == better]
        for better in ("higher", "lower")
    }
    said = [f"{better} is better for {', '.join(of)}" for better, of in titles.items() if of]
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."


def scores(material: Material, region: str) -> list[list[str]]:
    """A row per fraction and line: subjects, mean ± standard deviation of each measure."""
    scores = statistics.subject_scores(material.results).loc[region]
    found = scores.groupby(["fraction", "line"])
    means, stds, counts = found.mean(), found.std(ddof=0), found.size()
    return [
        [percent(fraction), line, str(counts[fraction, line])]
        + [
            f"{means.loc[(fraction, line), m.name]:.{m.digits}f} ± "
            f"{stds.loc[(fraction, line), m.name]:.{m.digits}f}"
            for m in measures.MEASURES
            if m.reported
        ]
        for fraction in material.fractions
        for line in material.lines
        if (fraction, line) in counts.index
    ]


def tests(material: Material, region: str) -> list[list[str]]:
    rows = []
    for _, test in material.tests[material.tests["region"] == region].iterrows():
        subjects = str(test["subjects"])
        if test["undefined"]:
            subjects += f" ({test['undefined']} undefined)"
        rows.append(
            [
                measures.named(test["measure"]).title,
                percent(test["fraction"]),
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


def _size(test: pd.Series, value: float, sign: str = "+") -> str:
    return _number(value, measures.named(test["measure"]).digits, sign)


def _number(value: float, digits: int, sign: str = "+") -> str:
    return "nan" if np.isnan(value) else f"{value:{sign}.{digits}f}"


def _p(p: float, equals: str = "") -> str:
    return f"< {SMALLEST_PRINTED}" if p < SMALLEST_PRINTED else f"{equals}{p:.2g}"
