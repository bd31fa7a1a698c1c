"""A run's judge on disk: a discriminator that learned on after training, the segmentor still."""

from dataclasses import dataclass
from pathlib import Path

import keras
from absl import logging

from tfadv.inference.judges import SliceJudge
from tfadv.networks.kohl import discriminator
from tfadv.run.run import Run
from tfadv.run.work_dir import WorkDir, load_weights
from tfrecords.errors import UserError
from tfrecords.files import file_checksum, read_json, write_json, writing

WIDTH, POOLINGS = 16, 3
VERSION = 1  # Of the note.
REMEDY = "Make the judge again: launch/judge.py"


@dataclass(frozen=True)
class JudgeNote:
    """What is noted of a judge.

    Attributes:
        of: SHA-256 of the checkpoint whose maps it judges.
        sha256: of its weights' file.
        steps: that it learned.
        auc: the share of pairs of a true and a made map of validation subjects that it ranks
            rightly; 0.5 is chance.
        images: of validation subjects, as they are and degraded.
    """

    of: str
    sha256: str
    steps: int
    auc: float
    images: int


def build_judge(run: Run) -> SliceJudge:
    """One that knows nothing yet.

    It has the layers of Kohl et al. 2017, fewer and narrower, and looks at slices, whatever the
    run's method: so it serves those whose critics need the truth beside, and those without any.
    """
    keras.config.set_dtype_policy("float32")
    outputs = run.method.targets(run.manifest).names
    network = discriminator(len(run.manifest.modalities), len(outputs), WIDTH, POOLINGS)
    return SliceJudge(network, lambda logits: logits[:, 0])


def save_judge(work_dir: WorkDir, judge: SliceJudge, steps: int, auc: float, images: int) -> None:
    """Writes its weights, then the note that vouches for them."""
    with writing(_weights(work_dir)) as temporary:
        judge.network.save_weights(temporary)
        checksum = file_checksum(temporary)
    note = JudgeNote(_judged(work_dir), checksum, steps, auc, images)
    write_json(_note(work_dir), note, VERSION)


def load_judge(work_dir: WorkDir, run: Run) -> SliceJudge | None:
    """The run's judge; None where none was made, or the run has a better epoch since.

    Raises:
        UserError: it is damaged.
    """
    if not _note(work_dir).is_file():
        return None
    note = read_json(_note(work_dir), JudgeNote, VERSION, REMEDY)
    if note.of != _judged(work_dir):
        logging.warning(
            "%s: left out, as it judges an epoch that is no more the best. %s",
            _note(work_dir),
            REMEDY,
        )
        return None
    path = _weights(work_dir)
    if path.is_file() and file_checksum(path) != note.sha256:
        raise UserError(f"{path}: changed since it was made. {REMEDY}")
    judge = build_judge(run)
    load_weights(judge.network, path)
    return judge


def _judged(work_dir: WorkDir) -> str:
    """The checksum of the best epoch's weights."""
    progress = work_dir.progress()
    return progress.weights[progress.best_epoch]


def _weights(work_dir: WorkDir) -> Path:
    return work_dir.folder / "judge.weights.h5"


def _note(work_dir: WorkDir) -> Path:
    return work_dir.folder / "judge.json"
