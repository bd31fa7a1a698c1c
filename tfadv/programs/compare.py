"""Compares two evaluated runs on the same test subjects: a table, box plots and pictures.

python launch/compare.py runs/kohl_cross_entropy runs/kohl_hybrid

The second one is judged against the first, the baseline, by paired t-tests.
"""

from pathlib import Path

from absl import flags

from tfadv.programs import cli, early
from tfadv.programs.start import start_tensorflow
from tfrecords.errors import UserError

OUT_DIR = flags.DEFINE_string("out_dir", None, "Folder to write. [comparisons/BASELINE_vs_OTHER]")


def main(folders: list[str]) -> None:
    if len(folders) != 2 or len(set(map(Path, folders))) != 2:
        raise UserError(
            f"expected two different runs, BASELINE_WORK_DIR OTHER_WORK_DIR, received {folders}"
        )
    early.require_there(early.RUN, *map(Path, folders))
    start_tensorflow()
    # Imported here, so that --help and wrong flags do not wait for TensorFlow.
    from tfadv.evaluation import compare, runs  # noqa: PLC0415
    from tfadv.run.work_dir import WorkDir  # noqa: PLC0415

    baseline, other = (runs.read_run(WorkDir(Path(folder))) for folder in folders)
    table = compare.compare(baseline, other)
    print(compare.describe(table, compare.names(baseline, other), len(baseline.scores)))
    ends = "_vs_".join(Path(folder).resolve().name for folder in folders)
    for path in compare.write(baseline, other, table, Path(OUT_DIR.value or f"comparisons/{ends}")):
        print(path)
    for run in (baseline, other):
        if missing := run.missing_predictions():
            cli.tell(f"no pictures.png: {missing}")
