"""A study on disk: its runs, which of them are finished, its table and its report."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tfadv.run.settings import Settings
from tfadv.run.work_dir import WorkDir
from tfadv.study.naming import naming_entries
from tfadv.study.plan import Study, Trial, all_trials, trial_folder
from tfadv.study.report import write_report
from tfadv.study.results import run_results
from tfadv.study.runner import is_finished, trial_settings
from tfrecords.errors import UserError
from tfrecords.files import write_file
from tfrecords.reading.record_set import open_record_set
from tfrecords.records.manifest import Manifest


@dataclass(frozen=True)
class Experiment:
    """A study with what determines each of its trials."""

    study: Study
    folder: Path
    manifest: Manifest
    settings: Mapping[Trial, Settings]

    def work_dir(self, trial: Trial) -> WorkDir:
        return WorkDir(trial_folder(self.folder, trial))

    def pending(self) -> list[Trial]:
        """Those not trained and evaluated, in the study's order."""
        return [t for t, s in self.settings.items() if not is_finished(self.work_dir(t), s)]

    def named(self, name: str) -> Trial:
        """Raises UserError where no trial is called so."""
        for trial in self.settings:
            if trial.name == name:
                return trial
        raise UserError(f"--only: expected one of the runs that --list names, received {name}")

    def write_results(self) -> pd.DataFrame:
        """`results.csv`: `run_results` of all finished trials, with the line's name first."""
        pending = set(self.pending())
        tables = [
            run_results(self.work_dir(trial), settings, self.manifest).assign(line=trial.line)
            for trial, settings in self.settings.items()
            if trial not in pending
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


def open_experiment(study: Study, folder: Path, file: Path) -> Experiment:
    """A study's trials with their settings.

    Args:
        folder: of trials and report.
        file: of the study, for errors.

    Raises:
        UserError: before any trial begins, where one of them could not.
    """
    records = open_record_set(study.records)
    trials = all_trials(study, records.manifest.held_out_folds)
    settings = {}
    for trial in trials:
        with naming_entries(file, study, trial):
            settings[trial] = trial_settings(study, trial, records)
    return Experiment(study, folder, records.manifest, settings)
