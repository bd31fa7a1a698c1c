"""Performs a study: many runs that differ in method, fold, seed and amount of data; reports them.

python launch/experiment.py studies/kohl_prostate.toml

A study that was stopped goes on when the same command is given again. A run that fails does not
stop the others. The table results.csv grows with every run; report.html is written at the end.
"""

import sys
from pathlib import Path

from absl import flags

from tfrecords.errors import UserError

OUT_DIR = flags.DEFINE_string("out_dir", None, "Folder of runs and report. [experiments/STUDY]")
JOBS = flags.DEFINE_integer(
    "jobs", None, "Runs at a time; on a CPU they share its cores. [one per GPU, or one]", 1
)
LIST = flags.DEFINE_bool("list", False, "Name the runs, and which are finished; perform none.")
REPORT = flags.DEFINE_bool("report", False, "Report the runs that are finished; perform none.")
ONLY = flags.DEFINE_string(
    "only", None, "Perform this run alone, in this process. [all that are to do]"
)


def main(names: list[str]) -> None:
    if len(names) != 1:
        raise UserError(f"expected one study file, received {names}")
    # Imported here, so that --help and wrong flags do not wait for TensorFlow.
    from tfadv.study import plan, runner  # noqa: PLC0415
    from tfadv.study.experiment import open_experiment  # noqa: PLC0415

    path = Path(names[0])
    study = plan.read_study(path)
    experiment = open_experiment(study, Path(OUT_DIR.value or f"experiments/{path.stem}"))
    if ONLY.value is not None:
        runner.perform(study, experiment.named(ONLY.value), experiment.folder)
        return
    pending = experiment.pending()
    total = len(experiment.settings)
    print(f"{study.title}: {total - len(pending)} of {total} runs are finished")
    if LIST.value:
        for run in experiment.settings:
            print(f"{'to do   ' if run in pending else 'finished'} {run.name}")
        return
    failures = {}
    if pending and not REPORT.value:
        print(
            f"What each run prints: {runner.run_folder(experiment.folder, pending[0])}/log.txt ..."
        )
        failures = runner.perform_all(
            {run: [sys.executable, *sys.argv, f"--only={run.name}"] for run in pending},
            experiment.folder,
            runner.environments(JOBS.value),
            lambda run: experiment.write_results(),
        )
    if len(failures) < total:  # Else there is nothing to report but the failures.
        print(f"report: {experiment.write_report()}")
    if failures:
        raise UserError(
            f"{len(failures)} runs failed; the same command tries them again. First: "
            f"{next(iter(failures)).name}: {next(iter(failures.values()))}"
        )
