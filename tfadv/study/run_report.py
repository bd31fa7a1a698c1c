"""An evaluated run's report: one HTML file that says what it is, how it learnt, what it gives."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from matplotlib.colors import to_hex

from tfadv.evaluation import measures
from tfadv.evaluation.criterion import Criterion, log_key
from tfadv.evaluation.evaluate import Tables
from tfadv.evaluation.figures import COLOURS
from tfadv.evaluation.scoring import best_median_worst, segment_image
from tfadv.inference.targets import scored_regions
from tfadv.methods.card import card
from tfadv.methods.verdicts import TRUE
from tfadv.run.environment import environment
from tfadv.run.run import Trained
from tfadv.run.work_dir import Progress, WorkDir
from tfadv.study import curves, figures, page, readings, words
from tfadv.study.drawings import GRADIENTS, JUDGEMENTS, judges
from tfadv.study.page import Shown
from tfadv.study.viewer import Viewer, view
from tfadv.training.tags import VALIDATED, Tags
from tfrecords.files import write_file
from tfrecords.names import MEAN
from tfrecords.reading.record_set import subject_volumes
from tfrecords.records.manifest import Manifest


def write_run_report(
    out: WorkDir, trained: Trained, progress: Progress, tables: Tables, folds: Sequence[str]
) -> Path:
    """Writes report.html, which needs no other file.

    Args:
        out: where the tables are.
        tables: of the subjects of these folds.
    """
    run, manifest = trained.run, trained.run.manifest
    outputs = run.method.targets(manifest).names
    html = page.render(
        "run.html.jinja",
        title=f"{out.folder.resolve().name}: {run.method.summary}",
        head=_head(trained, progress, tables, folds),
        score_titles=["region", *(measure.title for measure in _reported())],
        scores=_scores(tables.regions),
        directions=words.directions(),
        regions=_by_region(tables.regions),
        viewers=_viewers(trained, tables.subjects, folds),
        colours=_colours(manifest),
        subject_titles=list(tables.subjects.columns),
        subjects=_subjects(tables.subjects),
        figures=list(_curves(trained, progress)),
        settings=_settings(trained),
        card=card(run.method, run.method.players(len(manifest.modalities), outputs)),
        environment=environment(),
    )
    path = out.folder / "report.html"
    write_file(path, html)
    return path


def _head(
    trained: Trained, progress: Progress, tables: Tables, folds: Sequence[str]
) -> dict[str, str]:
    run, dice = trained.run, tables.subjects["mean_dice"]
    criterion = Criterion.parse(run.settings.selected_by, run.manifest)
    timed = not math.isnan(progress.minutes)
    return {
        "method": f"{run.method.name} ({run.method.paper})",
        "record set": f"{run.settings.records} ({run.manifest.dataset})",
        "modalities": ", ".join(run.manifest.modalities),
        "training": f"{len(run.subjects)} subjects, folds {', '.join(run.settings.training_folds)}",
        "best epoch": f"{progress.best_epoch} of {progress.epochs}, by {criterion.title} "
        f"{progress.best:.3f}",
        **({"minutes": f"{progress.minutes:.1f}, of steps and validation"} if timed else {}),
        "evaluated": f"{len(dice)} subjects, folds {', '.join(folds)}",
        "mean Dice": f"{dice.mean():.3f} ± {dice.std(ddof=0):.3f}",
    }


def _reported() -> list[measures.Measure]:
    return [measure for measure in measures.MEASURES if measure.reported]


def _scores(regions: pd.DataFrame) -> list[list[str]]:
    """A row per region: mean ± standard deviation of each measure."""
    found = regions.groupby("region", sort=False)[[measure.name for measure in _reported()]]
    means, stds = found.mean(), found.std(ddof=0)
    return [
        [str(region)]
        + [
            f"{means.loc[region, m.name]:.{m.digits}f} ± {stds.loc[region, m.name]:.{m.digits}f}"
            for m in _reported()
        ]
        for region in means.index
    ]


def _by_region(regions: pd.DataFrame) -> Shown:
    names = list(dict.fromkeys(regions["region"]))
    line = "subjects"
    png = figures.by_region(regions.assign(line=line), names, _reported(), figures.palette([line]))
    return Shown("regions", "Scores by region", "A dot is a subject.", png)


def _viewers(trained: Trained, subjects: pd.DataFrame, folds: Sequence[str]) -> list[Viewer]:
    """The best and the worst subject by mean Dice, the worst last."""
    run, _, predictor = trained
    dice = subjects.set_index("subject")["mean_dice"].to_dict()
    words_of = {name: word for word, name in best_median_worst(dice).items() if word != "median"}
    origins = {subject.name: subject for subject in run.manifest.subjects}
    found = {}
    for volume in subject_volumes(run.records, list(folds)):
        if word := words_of.get(volume.subject):
            segmented = segment_image(predictor, volume.image, volume, run.manifest)
            x_mm, y_mm, _ = origins[volume.subject].working.spacing_mm
            title = f"The {word}: {volume.subject}, mean Dice {dice[volume.subject]:.3f}"
            found[word] = view(segmented, title, (x_mm, y_mm))
    return [found[word] for word in ("best", "worst") if word in found]


def _colours(manifest: Manifest) -> dict[str, str]:
    """By class, as in all pictures."""
    names = [one.name for one in manifest.classes[1:]]
    return {name: to_hex(COLOURS(number % COLOURS.N)) for number, name in enumerate(names)}


def _subjects(subjects: pd.DataFrame) -> list[list[str]]:
    """All subjects, the worst first."""
    ordered = subjects.sort_values("mean_dice")
    return [
        [f"{value:.3f}" if isinstance(value, float) else str(value) for value in row]
        for row in ordered.itertuples(index=False)
    ]


def _curves(trained: Trained, progress: Progress) -> Iterator[Shown]:
    run, history = trained.run, pd.DataFrame(progress.history)
    regions = [MEAN, *scored_regions(run.manifest)]
    colours = figures.palette(regions)
    for measure in measures.MEASURES:
        if log_key(measure.name, MEAN) in history:
            parts = [
                history[["epoch"]].assign(value=history[log_key(measure.name, r)], line=r)
                for r in regions
                if log_key(measure.name, r) in history
            ]
            png = curves.learning_curves(pd.concat(parts), measure.title, colours)
            caption = f"After every epoch. The best one was {progress.best_epoch}."
            yield Shown(measure.name, f"Validation: {measure.title}", caption, png)
    yield from _computed(Tags(trained.model.players), history)
    said = [
        history[["epoch", true, generated]]
        .set_axis(["epoch", "true", "generated"], axis=1)
        .assign(line=true.removesuffix(TRUE))
        for true, generated in judges(history)
    ]
    if said:
        yield Shown(*JUDGEMENTS, curves.judgements(pd.concat(said)))
    read = readings.of_lines([(run.method.name, progress.readings)])
    if not read.empty:
        yield Shown(*GRADIENTS, curves.gradients(read), readings.table(read))


def _computed(tags: Tags, history: pd.DataFrame) -> Iterator[Shown]:
    """What training computed, if anything changed."""
    said = {name for pair in judges(history) for name in pair}
    values = {
        tags(name): column
        for name, column in history.items()
        if name != "epoch" and not name.startswith(VALIDATED) and name not in said
    }
    # What never changes, such as a rate, is among the settings.
    values = {tag: v for tag, v in values.items() if len(history) == 1 or v.nunique() > 1}
    caption = "Means over the steps of an epoch."
    if values:
        png = curves.panels(history["epoch"], dict(sorted(values.items())))
        yield Shown("training", "Training", caption, png)


def _settings(trained: Trained) -> dict[str, str]:
    """All that determines the run."""
    values = asdict(trained.run.settings)
    every = {**values.pop("hyperparameters"), **values}
    return {
        name: ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        for name, value in every.items()
    }
