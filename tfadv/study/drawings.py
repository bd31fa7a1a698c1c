"""The report's figures, with their titles and captions."""

from pathlib import Path

import pandas as pd

from tfadv.evaluation import label_maps, measures
from tfadv.methods.verdicts import GENERATED, TRUE
from tfadv.study import curves, figures, learning, pictures, readings, statistics
from tfadv.study.material import Material, percent
from tfadv.study.page import Shown
from tfadv.training.microscope import EVERY
from tfrecords.names import MEAN

# Name, title and caption of what a study and a single run show alike.
JUDGEMENTS = (
    "discriminators",
    "What the discriminators say",
    "How likely the discriminator holds maps to be true, on average over an epoch. Where both are "
    "at chance it cannot tell them apart.",
)
GRADIENTS = (
    "gradients",
    "What the adversary teaches",
    f"Every {EVERY} steps, on the same few validation maps. Of each weighted term that moves the "
    "segmentor: the norm of its gradient, of the weights and at the map (before softmax or "
    "sigmoid); its cosine to the gradient of the first supervised term, or where there is none to "
    "that of cross entropy; the cosine of its step at the map to the truth minus the map; of the "
    "wrong voxels that it moves, the share that it moves towards the truth (chance: 0.5). Of "
    "judges, how often a true map is held for truer than a generated one (AUC; chance: 0.5). "
    "Below, means over the second half of the steps.",
)


def all_figures(material: Material) -> list[Shown]:
    made = (_by_amount, _by_region, _pictures, _judgements, _gradients, learning_curves)
    return [shown for make in made if (shown := make(material))]


def _by_amount(material: Material) -> Shown | None:
    if len(material.fractions) == 1:
        return None
    score = material.score
    shown = [measure for measure in measures.MEASURES if measure.by_amount and measure.tested]
    gains = statistics.median_gains(material.results, material.lines)
    gains = gains[
        (gains["region"] == score) & gains["measure"].isin([measure.name for measure in shown])
    ]
    png = figures.by_amount(
        statistics.subject_scores(material.results).loc[score].reset_index(),
        gains,
        material.amounts(),
        shown,
        figures.palette(material.lines),
    )
    undefined = [
        f"{gain['line']}, {measures.named(gain['measure']).title}, {percent(gain['fraction'])}"
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
        scores[scores["fraction"] == most],
        material.regions,
        [measure for measure in measures.MEASURES if measure.reported],
        figures.palette(material.lines),
    )
    title = f"Scores by region, {percent(most)} of the positive training subjects"
    return Shown("regions", title, "A dot is a subject.", png)


def _pictures(material: Material) -> Shown:
    score, most, manifest = material.score, material.fractions[0], material.records.manifest
    results = material.results[material.results["fraction"] == most]
    seed = next(seed for seed in material.study.seeds if seed in set(results["seed"]))
    paths = _predictions(material, most, seed)
    here = results[(results["seed"] == seed) & (results["region"] == score)]
    dice = here.pivot_table("dice", "subject", "line").reindex(columns=material.lines).dropna()
    dice = dice[dice.index.isin(list(paths))]
    title = f"Label maps: {score}, {percent(most)}, seed {seed}"
    if dice.empty:
        return Shown("pictures", title, "No subject has saved label maps of all lines.", b"")
    rows = pictures.rows(material.records, paths, pictures.chosen(dice), score)
    columns = [*manifest.modalities, "reference", *material.lines]
    png = label_maps.draw(rows, columns, [c.name for c in manifest.classes])
    shown = "foreground" if score == MEAN else score
    return Shown("pictures", title, f"The slice with most {shown} in the reference.", png)


def _predictions(material: Material, fraction: float, seed: int) -> dict[str, list[Path]]:
    """By subject of the record set, the label maps of all lines, where all are saved."""
    trials = [t for t in material.done if (t.fraction, t.seed) == (fraction, seed)]
    found = {}
    for subject in material.records.manifest.subjects:
        saved = {
            trial.line: path
            for trial in trials
            if (path := material.work_dir(trial).predictions / f"{subject.name}.nii.gz").is_file()
        }
        if len(saved) == len(material.lines):
            found[subject.name] = [saved[line] for line in material.lines]
    return found


def _judgements(material: Material) -> Shown | None:
    history = learning.of_runs(material)
    parts = [
        history.rename(columns={of_true: "true", of_generated: "generated"})
        for of_true, of_generated in judges(history)
    ]
    if not parts:
        return None
    said = pd.concat([part[["line", "epoch", "true", "generated"]].dropna() for part in parts])
    name, title, caption = JUDGEMENTS
    caption += " Lines are means over runs, bands reach from the lowest run to the highest."
    return Shown(name, title, caption, curves.judgements(said))


def judges(history: pd.DataFrame) -> list[tuple[str, str]]:
    """The columns with what each player that judges maps says of true and of generated ones."""
    players = (name.removesuffix(TRUE) for name in history if name.endswith(TRUE))
    pairs = ((f"{player}{TRUE}", f"{player}{GENERATED}") for player in players)
    return [pair for pair in pairs if pair[1] in history]


def _gradients(material: Material) -> Shown | None:
    read = readings.of_lines(
        (trial.line, material.work_dir(trial).progress().readings) for trial in material.at_most
    )
    if read.empty:
        return None
    name, title, caption = GRADIENTS
    caption += " All are means over runs."
    return Shown(name, title, caption, curves.gradients(read), readings.table(read))


def learning_curves(material: Material) -> Shown | None:
    """What chooses the epoch, in validation, over steps and over minutes; None where nothing is."""
    criterion = material.criterion
    history = learning.of_runs(material)
    if criterion.key not in history:
        return None
    over = {"step": "steps"}
    if history["minutes"].notna().any():
        over["minutes"] = "minutes of steps and validation"
    png = curves.learning_curves(
        history.rename(columns={criterion.key: "value"}),
        criterion.title,
        figures.palette(material.lines),
        over,
    )
    caption = (
        "Of all lines at the most training subjects. Lines are means over runs, bands reach from "
        "the lowest run to the highest. Below, the best so far: a line whose last two numbers "
        "differ still learns, and more epochs would say more."
    )
    return Shown("validation", "Learning curves", caption, png, learning.so_far(history, criterion))
