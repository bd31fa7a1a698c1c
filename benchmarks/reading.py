"""Preprocessing, over reading its sources; reading of examples, over the steps that eat them."""

import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import keras
import nibabel as nib
import numpy as np
import tensorflow as tf
from measuring import Pair, entry

from tfadv import methods
from tfadv.adversarial import AdversarialModel as Model
from tfadv.players import Batch
from tfadv.run.run import Run
from tfrecords.reading.record_set import RecordSet, open_record_set
from tfrecords.records.views import Volumes
from tfrecords.sources import layouts
from tfrecords.writing.preprocessing import Options, preprocess, preprocess_by

SHAPE = (240, 240, 155)  # (x, y, z) of BraTS.
BODY = (slice(50, 190), slice(35, 205), slice(5, 145))
MODALITIES = ("t1", "t1ce", "t2", "flair")


def _records(folder: Path, subjects: int) -> RecordSet:
    """Whole volumes of subjects as large as those of BraTS, of noise."""
    random = np.random.default_rng(0)
    lines = [",".join(("subject", *MODALITIES, "label"))]
    for number in range(subjects):
        images = {name: np.zeros(SHAPE, np.int16) for name in MODALITIES}
        for image in images.values():
            image[BODY] = random.integers(1, 1000, image[BODY].shape)
        label = np.zeros(SHAPE, np.uint8)
        label[100:130, 100:130, 60:90] = 1
        for name, array in {**images, "label": label}.items():
            nib.Nifti1Image(array, np.eye(4)).to_filename(folder / f"{number}_{name}.nii")
        files = (f"{number}_{name}.nii" for name in (*MODALITIES, "label"))
        lines.append(",".join((f"s{number}", *files)))
    (folder / "subjects.csv").write_text("\n".join(lines))
    options = Options(view=Volumes(), folds=subjects, workers=1)
    preprocess(layouts.find("table", folder), folder / "records", options)
    return open_record_set(folder / "records")


@contextmanager
def run_like_brats(name: str, steps: int, *values: str) -> Iterator[tuple[Run, Model, Batch]]:
    """A run on such volumes, crops of 64^3, its model, and a batch.

    The batch is read to its end, so that nothing is read ahead while steps are measured.
    """
    small = ["width=8", "crop_size=64", "batch_size=2", f"steps_per_epoch={steps}"]
    method = methods.get(name).configure("paper", [*small, *values])
    with tempfile.TemporaryDirectory() as folder:
        run = Run.new(method, _records(Path(folder), 3))
        keras.utils.set_random_seed(1)
        model = run.build_model()
        (batch,) = run.batches(model, range(1)).take(1)
        yield run, model, batch


def _here(
    function: Callable[[Any], Any], items: Sequence[Any], description: str, **_: Any
) -> Generator[tuple[int, Any], None, None]:
    """A `runners.Mapper` without processes, whose start is not what is measured."""
    yield from enumerate(map(function, items))


@entry(
    "100 subjects of 36x50x35 and their label maps preprocessed, by their files read with nibabel, "
    "in processors' seconds",
    1.5,
    time.process_time,
)
@contextmanager
def preprocessing() -> Iterator[Pair]:
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder, files = Path(name), []
        lines = ["subject,image,label"]
        for number in range(100):
            for kind, most in (("image", 1000), ("label", 3)):
                files.append(folder / f"{number}_{kind}.nii.gz")
                array = random.integers(0, most, (36, 50, 35)).astype(np.uint16)
                nib.Nifti1Image(array, np.eye(4)).to_filename(files[-1])
            lines.append(f"s{number},{number}_image.nii.gz,{number}_label.nii.gz")
        (folder / "subjects.csv").write_text("\n".join(lines))
        numbers = iter(range(1000))

        def preprocessed() -> None:
            out = folder / f"records{next(numbers)}"
            preprocess_by(_here, layouts.find("table", folder), out, Options())

        yield Pair(preprocessed, lambda: [nib.nifti1.load(file).get_fdata() for file in files])


@contextmanager
def read_crops() -> Iterator[Pair]:
    """16 crops read, and the steps that eat them."""
    with run_like_brats("reciprocal_dice", 8, "precision=float32") as (run, model, batch):
        train_step = tf.function(model.train_step)

        def read() -> None:
            for _ in run.batches(model, range(1)):
                pass

        def step() -> None:
            for _ in range(run.method.steps_per_epoch):
                train_step(batch)

        yield Pair(read, step)


@entry(
    "16 crops of 64^3 x 4 read of BraTS' volumes, by the steps that eat them (Peiris, width 8), "
    "in processors' seconds",
    1 / 20,
    time.process_time,
)
def reading_crops() -> AbstractContextManager[Pair]:
    return read_crops()
