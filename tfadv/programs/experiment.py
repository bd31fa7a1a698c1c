"""Performs a study: many runs that differ in method, fold, seed and amount of data; reports them.

python launch/experiment.py studies/kohl_prostate.toml

A study that was stopped goes on when the same command is given again. A run that fails does not
stop the others. The table results.csv grows with every run; report.html is written at the end.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from absl import flags

from tfadv.programs import early
from tfadv.programs.start import start_tensorflow
from tfrecords.errors import SettingError, UserError

OUT_DIR = flags.DEFINE_string("out_dir", None, "Folder of runs and report. [experiments/STUDY]")
JOBS = flags.DEFINE_integer(
    "jobs", None, "Runs at a time; on a CPU they share its cores. [one per GPU, or one]", 1
)
CLUSTER = flags.DEFINE_string(
    "cluster",
    None,
    "Address of a Dask scheduler, such as tcp://host:8786, whose workers perform the runs, one "
    "each at a time; they share the file system. [none: --jobs processes here]",
)
LIST = flags.DEFINE_bool("list", False, "Name the runs, and which are finished; perform none.")
REPORT = flags.DEFINE_bool("report", False, "Report the runs that are finished; perform none.")
ONLY = flags.DEFINE_string(
    "only", None, "Perform this run alone, in this process. [all that are to do]"
)


def main(names: list[str]) -> None:
    if len(names) != 1:
        raise UserError(f"expected one study file, received {names}")
    path = Path(names[0])
    early.require_there("a study file (TOML)", path)
    start_tensorflow()
    # Imported here, so that --help and wrong flags do not wait for TensorFlow.
    from tfadv.study import plan, processes, runner  # noqa: PLC0415
    from tfadv.study.experiment import open_experiment  # noqa: PLC0415

    study = plan.read_study(path)
    experiment = open_experiment(study, Path(OUT_DIR.value or f"experiments/{path.stem}"), path)
    if ONLY.value is not None:
        trial = experiment.named(ONLY.value)
        runner.perform(experiment.work_dir(trial), experiment.settings[trial])
        return
    pending = experiment.pending()
    total = len(experiment.settings)
    print(f"{study.title}: {total - len(pending)} of {total} runs are finished")
    if LIST.value:
        for trial in experiment.settings:
            print(f"{'to do   ' if trial in pending else 'finished'} {trial.name}")
        return
    failures: dict[Path, str] = {}
    if pending and not REPORT.value:
        log = experiment.work_dir(pending[0]).folder / processes.LOG
        print(f"What each run prints: {log} ...")
        failures = _perform(
            {
                experiment.work_dir(t).folder: [sys.executable, *sys.argv, f"--only={t.name}"]
                for t in pending
            },
            lambda _: experiment.write_results(),
            study.records,
            experiment.folder,
        )
    if len(failures) < total:  # Else there is nothing to report but the failures.
        print(f"report: {experiment.write_report()}")
    processes.require_success(failures)


def _perform(
    commands: dict[Path, list[str]],
    finished: Callable[[Path], object],
    records: Path,
    folder: Path,
) -> dict[Path, str]:
    from tfadv.study import devices, processes  # noqa: PLC0415
    from tfadv.study.cluster import perform_on  # noqa: PLC0415
    from tfrecords.cluster import connected  # noqa: PLC0415
    from tfrecords.records.manifest import FILE_NAME  # noqa: PLC0415

    if not CLUSTER.value:
        return processes.perform_all(commands, devices.environments(JOBS.value), finished)
    if JOBS.value:
        raise SettingError("jobs", "expected none with --cluster, whose workers have one run each")
    with connected(CLUSTER.value) as cluster:
        cluster.require([records / FILE_NAME], folder)
        return perform_on(cluster, commands, finished)
