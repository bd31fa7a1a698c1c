"""Runs that become one model: what they must have in common, and what is noted of each."""

from collections.abc import Sequence
from dataclasses import dataclass

from absl import logging

from tfadv.inference.calibration import Calibration
from tfadv.inference.description import (
    TEST,
    VALIDATION,
    ComponentNote,
    Description,
    MemberNote,
    Seen,
    kind,
)
from tfadv.inference.export import describe
from tfadv.inference.predictor import Predictor
from tfadv.inference.quality import DISCRIMINATOR, JUDGE, Judges
from tfadv.inference.targets import Targets
from tfadv.run.initial import trained_on
from tfadv.run.judge import load_judge
from tfadv.run.run import Run, Trained, load_run
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import SettingError, UserError
from tfrecords.names import differences

AXES = ("z", "y", "x")  # Of [Z, Y, X, C].


@dataclass(frozen=True)
class Ensemble:
    """Runs with the weights of their best epochs, whose probabilities are averaged.

    Attributes:
        mirrored: of each run, axes of [Z, Y, X, C]; see `Member`.
    """

    work_dirs: tuple[WorkDir, ...]
    runs: tuple[Trained, ...]
    mirrored: tuple[tuple[int, ...], ...]

    @property
    def first(self) -> Run:
        """What all runs share, it has."""
        return self.runs[0].run

    @property
    def targets(self) -> Targets:
        return self.first.method.targets(self.first.manifest)

    def predictor(self, components: Sequence[ComponentNote] = ()) -> Predictor:
        """All of them as one.

        Args:
            components: which maps to keep in one piece.
        """
        members = [
            trained.run.member(trained.model, axes)
            for trained, axes in zip(self.runs, self.mirrored, strict=True)
        ]
        names = self.targets.names
        largest = tuple(names.index(note.map) for note in components if note.kept)
        return self.first.predictor_of(members, largest, self._judges())

    def _judges(self) -> Judges:
        """The runs' discriminators, and the judges that learned on after training."""
        trained = list(zip(self.work_dirs, self.runs, strict=True))
        said_by = {
            DISCRIMINATOR: [run.discriminator(model) for _, (run, model, _) in trained],
            JUDGE: [load_judge(work_dir, run) for work_dir, (run, *_) in trained],
        }
        return {
            name: [judge for judge in judges if judge is not None]
            for name, judges in said_by.items()
        }

    def describe(
        self,
        predictor: Predictor,
        components: Sequence[ComponentNote] = (),
        calibration: Calibration | None = None,
    ) -> Description:
        """What a client must know of a predictor that `predictor` made."""
        manifest, notes, seen = self.first.manifest, self._notes(), self._seen()
        return describe(predictor, manifest, notes, components, seen, calibration)

    def alone(self) -> "list[Ensemble]":
        """Each run as an ensemble of its own."""
        parts = zip(self.work_dirs, self.runs, self.mirrored, strict=True)
        return [Ensemble((work_dir,), (run,), (axes,)) for work_dir, run, axes in parts]

    @property
    def unseen(self) -> frozenset[str]:
        """Names of the validation subjects that trained no member."""
        prints = set(self._seen().validation)
        folds = {fold for run, *_ in self.runs for fold in run.settings.validation_folds}
        subjects = self.first.manifest.subjects
        return frozenset(s.name for s in subjects if s.fold in folds and s.fingerprint in prints)

    def _notes(self) -> list[MemberNote]:
        parts = zip(self.work_dirs, self.runs, self.mirrored, strict=True)
        return [_note(work_dir, run, axes) for work_dir, run, axes in parts]

    def _seen(self) -> Seen:
        training: set[str] = set()
        validation: set[str] = set()
        for work_dir, (run, *_) in zip(self.work_dirs, self.runs, strict=True):
            folds = run.settings.validation_folds
            training |= trained_on(work_dir, run)
            validation |= {s.fingerprint for s in run.manifest.subjects if s.fold in folds}
        return Seen(tuple(sorted(training)), tuple(sorted(validation - training)))


def load_ensemble(
    work_dirs: Sequence[WorkDir], mirror: bool = False, axes: Sequence[str] = ()
) -> Ensemble:
    """The runs' best epochs.

    Args:
        mirror: whether members see volumes mirrored, too.
        axes: along which, among AXES; those along which a run's training mirrored if not given: a
            network has no answer to what it never saw.

    Raises:
        UserError: a folder that holds no run, or is given twice; runs that cannot be one model.
        SettingError: an axis along which a run's network does not look, or none given and none that
            training mirrored along.
    """
    folders = [work_dir.folder.resolve() for work_dir in work_dirs]
    if len(set(folders)) < len(folders):
        again = next(folder for folder in folders if folders.count(folder) > 1)
        raise UserError(f"{again}: expected different runs, received this one several times")
    runs = tuple(load_run(work_dir) for work_dir in work_dirs)
    for work_dir, trained in zip(work_dirs, runs, strict=True):
        if differing := differences(_kind(runs[0].run), _kind(trained.run)):
            raise UserError(
                f"{work_dirs[0].folder} and {work_dir.folder}: expected runs that can be one "
                f"model. They differ in {differing}. Train them on one record set, with one "
                "normalisation"
            )
    mirrored = tuple(_axes(trained.run, axes) if mirror else () for trained in runs)
    return Ensemble(tuple(work_dirs), runs, mirrored)


def _axes(run: Run, names: Sequence[str]) -> tuple[int, ...]:
    method, manifest = run.method, run.manifest
    trained = [AXES[axis] for axis in method.recipe(manifest).augmentation.mirrored]
    known = [AXES[axis] for axis in method.tiling(manifest).axes]
    chosen = list(names) or trained
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(known):
        raise SettingError(
            "mirror_axes",
            f"expected some of {','.join(known)}, along which the network of {method.name} looks, "
            f"each once; its training mirrored along {','.join(trained) or 'none'}. Received "
            f"{','.join(chosen) or 'none'}",
        )
    if new := set(chosen) - set(trained):
        logging.warning(
            "%s: training never mirrored along %s; compare by launch/evaluate.py --model",
            method.name,
            ", ".join(sorted(new)),
        )
    return tuple(sorted(AXES.index(name) for name in chosen))


def _kind(run: Run) -> dict[str, object]:
    """What a model has once."""
    targets = run.method.targets(run.manifest)
    return {
        **kind(run.manifest),
        "median spacing": run.manifest.spacing_mm,
        "maps": (targets.names, "classes" if targets.exclusive else "regions"),
        "normalisation": run.method.normalisation,
    }


def _note(work_dir: WorkDir, trained: Trained, mirrored: tuple[int, ...]) -> MemberNote:
    settings, progress = trained.run.settings, work_dir.progress()
    return MemberNote(
        settings.method,
        trained.run.method.values,
        settings.seed,
        settings.training_folds,
        settings.validation_folds,
        settings.test_folds,
        settings.selected_by,
        progress.best_epoch,
        progress.best,
        tuple(AXES[axis] for axis in mirrored),
        {
            "training": len(trained.run.subjects),
            VALIDATION: _count(trained.run, settings.validation_folds),
            TEST: _count(trained.run, settings.test_folds),
        },
    )


def _count(run: Run, folds: Sequence[str]) -> int:
    return sum(subject.fold in folds for subject in run.manifest.subjects)
