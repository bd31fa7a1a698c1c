"""Label maps of all subjects of a folder or a table, by a model, in one process.

subjects.find ──► prepared, by workers ──► the model, here ──► predictions, by a thread
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

from absl import logging

from tfadv.inference.description import Description
from tfadv.inference.prediction import ended, intake_of, like, on_source, tell
from tfadv.inference.predictions import Origin, Predictions
from tfadv.inference.prepared import Intake, Prepared, prepared_or_fault
from tfadv.inference.segmented import Model, Segment
from tfadv.inference.subjects import Found, find
from tfadv.inference.trust import TABLE, require_calibrated, write_table
from tfrecords.errors import SettingError, UserError
from tfrecords.files import alone
from tfrecords.geometry.nifti import is_nifti
from tfrecords.geometry.resample import to_source
from tfrecords.names import shortened
from tfrecords.runners import parallel_map
from tfrecords.sources.subject import Subject

# Each holds one subject; the next ones are read while the model is at work.
READERS = 2


class Counts(NamedTuple):
    """Of a folder's label maps: those made now, and those that were there."""

    made: int
    kept: int


def predict_all(
    model: Model,
    images: Path,
    folder: Path,
    *,
    resample: bool = False,
    save_probabilities: bool = False,
    overwrite: bool = False,
    flag_below: float | None = None,
) -> Counts:
    """Writes the label map of each subject of a folder or a table to `folder/SUBJECT.nii.gz`.

    What the model says of them, and the Dice to be expected, go to `folder/predictions.csv`.

    What is there is kept, if this model made it from these images. A subject that fails is told
    of, and the others go on.

    Args:
        images: see `subjects.find`.
        resample: see `predict`.
        save_probabilities: as well, to `folder/SUBJECT_probabilities.nii.gz`.
        overwrite: make all label maps anew.
        flag_below: a Dice; label maps of which less is to be expected are flagged.

    Raises:
        UserError: no subjects; or, at the end, some failed.
        SettingError: see `Predictions`.
    """
    description = model.description
    if folder.is_file() or is_nifti(folder) or folder.resolve() == images.resolve():
        raise SettingError("output", f"expected a folder beside --images, received {folder}")
    require_calibrated(description, flag_below)
    found = find(images, description.modalities)
    failed = _told(found, images)
    origin = Origin(model.checksum, resample)
    predictions = Predictions(folder, origin, probabilities=save_probabilities)
    predictions.require_own_files(found.subjects, found.inputs)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        missing = predictions.begin(found.subjects, overwrite=overwrite)
        if missing:
            segmented = partial(_segmented, model.open(save_probabilities), description)
            intake = intake_of(description, resample=resample)
            failed |= _predict(missing, intake, segmented, predictions)
        flagged = write_table(folder, description, predictions.said(), flag_below)
    if flagged:
        logging.warning(
            "%d of %d label maps have a predicted Dice below %g; see %s: %s",
            len(flagged),
            len(predictions.said()),
            flag_below,
            folder / TABLE,
            shortened(flagged),
        )
    if failed:
        raise UserError(
            f"{len(failed)} of {len(found.subjects) + len(found.faults)} subjects failed, for the "
            f"reasons above: {', '.join(failed)}. The others' label maps are in {folder}; the same "
            "command goes on with what is missing"
        )
    return Counts(len(missing), len(found.subjects) - len(missing))


def _told(found: Found, images: Path) -> dict[str, str]:
    """Tells of files that are left out, and of incomplete subjects, whose faults it gives."""
    if found.left_out:
        left_out = shortened([str(path) for path in found.left_out])
        logging.warning("%s: left out, as they are nobody's images: %s", images, left_out)
    for name, fault in found.faults.items():
        logging.error("%s: %s", name, fault)
    return dict(found.faults)


def _predict(
    subjects: Sequence[Subject],
    intake: Intake,
    segmented: Callable[[Subject, Prepared, Predictions], Callable[[], None]],
    predictions: Predictions,
) -> dict[str, str]:
    """Predicts subjects while the next are read and the last is written.

    So few are in memory at once: each reader's, the model's, and the writer's.

    Returns:
        What is wrong with those that failed, by name.
    """
    failed: dict[str, str] = {}
    read = partial(prepared_or_fault, intake)
    readers = min(READERS, len(subjects))
    all_read = parallel_map(read, subjects, readers, "Predicting", named=_name, lost=_unread)
    written: Future[None] | None = None
    with ThreadPoolExecutor(1) as writer, closing(all_read):
        for index, prepared in all_read:
            name = subjects[index].name
            try:
                if isinstance(prepared, str):
                    raise UserError(prepared)
                write = segmented(subjects[index], prepared, predictions)
            except UserError as error:
                failed[name] = str(error)
                logging.error("%s: %s", name, error)
                continue
            if written:
                written.result()
            written = writer.submit(write)
        if written:
            written.result()
    return failed


def _segmented(
    segment: Segment,
    description: Description,
    subject: Subject,
    prepared: Prepared,
    predictions: Predictions,
) -> Callable[[], None]:
    """What writes a subject's label map. Raises UserError where the model refuses its volume."""
    tell(prepared)
    found = segment(prepared.volume)

    def write() -> None:
        maps = None
        if predictions.probabilities:
            maps = on_source(found.probabilities, description, prepared)
        label = to_source(found.label, prepared.working, prepared.source)
        grid = like(subject, prepared)
        predictions.write(subject.name, prepared.checksums, grid, label, maps, found.quality)

    return write


def _name(subject: Subject) -> str:
    return subject.name


def _unread(subject: Subject, ended_by: str) -> str:
    return f"{', '.join(map(str, subject.images))}: {ended(ended_by)}"
