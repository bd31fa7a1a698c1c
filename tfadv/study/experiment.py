"""A study on disk: its runs, which of them are finished, its table and its report."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tfadv.run.settings import Settings
from tfadv.run.work_dir import WorkDir
from tfadv.study.plan import Run, Study, all_runs
from tfadv.study.report import write_report
from tfadv.study.results import run_results
from tfadv.study.runner import is_finished, run_folder, run_settings
from tfrecords.errors import UserError
from tfrecords.files import write_file
from tfrecords.reading.record_set import open_record_set
from tfrecords.records.manifest import Manifest


@dataclass(frozen=True)
class Experiment:
    """A study with what determines each of its runs."""

    study: Study
    folder: Path
    manifest: Manifest
    settings: Mapping[Run, Settings]

    def work_dir(self, run: Run) -> WorkDir:
        return WorkDir(run_folder(self.folder, run))

    def pending(self) -> list[Run]:
        """Runs that are not trained and evaluated, in the study's order."""
        return [run for run, s in self.settings.items() if not is_finished(self.work_dir(run), s)]

    def named(self, name: str) -> Run:
        """Raises UserError where no run is called so."""
        for run in self.settings:
            if run.name == name:
                return run
        raise UserError(f"--only: expected one of the runs that --list names, received {name}")

    def write_results(self) -> pd.DataFrame:
        """`results.csv`: `run_results` of all finished runs, with the line's name first."""
        pending = set(self.pending())
        tables = [
            run_results(self.work_dir(run), settings, self.manifest).assign(line=run.line)
            for run, settings in self.settings.items()
            if run not in pending
        ]
        if not tables:
            raise UserError(f"{self.folder}: no run is finished: there is nothing to report yet")
        results = pd.concat(tables, ignore_index=True)
        results.insert(0, "line", results.pop("line"))
        self.folder.mkdir(parents=True, exist_ok=True)
        write_file(self.folder / "results.csv", results.to_csv(index=False).encode())
        return results

    def write_report(self) -> Path:
        """`report.html`, of the runs that are finished."""
        return write_report(self.study, self.folder, self.write_results())


def open_experiment(study: Study, folder: Path) -> Experiment:
    """Raises UserError, before any run begins, where one of them could not."""
    records = open_record_set(study.records)
    runs = all_runs(study, records.manifest.held_out_folds)
    settings = {run: run_settings(study, run, records) for run in runs}
    return Experiment(study, folder, records.manifest, settings)
