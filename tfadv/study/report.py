"""A study's report: one HTML file that says what was run, what came out, and what of it holds."""

from pathlib import Path

import pandas as pd

from tfadv.study import by_seed, drawings, page, statistics, words
from tfadv.study.material import Material
from tfadv.study.plan import Study
from tfrecords.files import write_file
from tfrecords.reading.record_set import open_record_set


def write_report(study: Study, folder: Path, results: pd.DataFrame) -> Path:
    """Writes report.html, the figures beside it, and statistics.csv.

    Args:
        folder: the study's; its runs are in `runs`.
        results: a row per run, subject and region: line, method, fold, seed, fraction,
            training_subjects, best_epoch, subject, group, region and all measures.

    Returns:
        The report, which needs no other file.
    """
    lines = [line for line in study.lines if line in set(results["line"])]
    tests = statistics.compare_lines(results, lines)
    material = Material(study, folder, open_record_set(study.records), results, tests)
    write_file(folder / "statistics.csv", tests.to_csv(index=False).encode())
    shown = drawings.all_figures(material)
    (folder / "figures").mkdir(exist_ok=True)
    for figure in filter(lambda figure: figure.png, shown):
        write_file(folder / "figures" / f"{figure.name}.png", figure.png)
    foremost, others = words.findings(material)
    html = page.render(
        "report.html.jinja",
        title=study.title,
        alpha=statistics.ALPHA,
        head=words.head(material),
        lines=words.lines(material),
        findings=foremost,
        others=others,
        score_titles=words.score_titles(),
        directions=words.directions(),
        score_tables={region: words.scores(material, region) for region in material.regions},
        seed_titles=by_seed.titles(),
        seed_tables={region: by_seed.rows(material, region) for region in material.regions},
        test_tables={region: words.tests(material, region) for region in material.regions},
        figures=shown,
    )
    write_file(folder / "report.html", html)
    return folder / "report.html"
