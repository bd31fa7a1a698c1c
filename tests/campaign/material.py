"""What all trials damage copies of: small datasets, record sets, a run, a model. Made once."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from tests.campaign.outcome import launched
from tests.conftest import MODALITIES, write_small_dataset
from tests.series import write_series

FLAGS = ("--folds", "3", "--workers", "1")
METHOD = ("--method", "kohl_purely_adversarial", "--preset", "small", "--deterministic")
TINY = ("--hp.batch_size=2", "--hp.width=4", "--hp.discriminator_width=4", "--steps_per_epoch", "2")
PATCHES = ("--view", "patches", "--patch_size", "25", "--patches_per_class", "400")
ALL_FOLDS = ("--all_folds", "--test_folds", "2")  # Two runs: each other fold validates one.
EPOCHS = 20
ENDINGS = ("nii.gz", "nii", "mha", "nrrd")


def must(program: str, *arguments: object) -> None:
    """A program that has to succeed."""
    ended = launched(program, *arguments)
    if ended.status != 0:
        raise RuntimeError(f"{program} {arguments}: {ended.stderr}")


@dataclass(frozen=True)
class Material:
    """Everything below `folder`; only to be copied and read."""

    folder: Path

    def make(self) -> None:
        """All of it, two things at once, so that no two trials make the same."""
        self.records()
        _ = self.decathlon
        chains: tuple[Callable[[], object], ...] = (
            lambda: (self.run_whole, self.fold_run),
            lambda: (
                *(self.run, self.judged, self.model, self.label),
                *(self.evaluated, self.predictions),
            ),
            lambda: (self.other_model, self.unlike_run, self.series),
            lambda: (self.decathlon_records, self.many_whole, *map(self.records, ENDINGS)),
        )
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda chain: chain(), chains))

    def table(self, ending: str) -> Path:
        """A dataset of six subjects with volumes of this format; its CSV is subjects.csv."""
        folder = self.folder / "tables" / ending
        if not folder.exists():
            source = write_small_dataset(self.folder / "written" / ending).folder
            if ending != "nii.gz":
                for path in source.rglob("*.nii.gz"):
                    _convert(path, ending)
                table = source / "subjects.csv"
                table.write_text(table.read_text().replace(".nii.gz", f".{ending}"))
            folder.parent.mkdir(exist_ok=True)
            shutil.move(source, folder)
        return folder

    def records(self, ending: str = "nii.gz") -> Path:
        """The record set of `table(ending)`."""
        folder = self.folder / "records" / ending
        if not folder.exists():
            must("preprocess", *preprocess_flags(self.table(ending), folder))
        return folder

    @cached_property
    def decathlon(self) -> Path:
        """nnU-Net's layout of the same subjects."""
        folder = self.folder / "decathlon"
        table = self.table("nii.gz")
        for name in ("imagesTr", "labelsTr"):
            (folder / name).mkdir(parents=True)
        for subject in sorted(path.name for path in table.iterdir() if path.is_dir()):
            for number, modality in enumerate(MODALITIES):
                image = folder / "imagesTr" / f"{subject}_{number:04d}.nii.gz"
                shutil.copy(table / subject / f"{modality}.nii.gz", image)
            shutil.copy(table / subject / "label.nii.gz", folder / "labelsTr" / f"{subject}.nii.gz")
        content = {
            "channel_names": {str(number): name for number, name in enumerate(MODALITIES)},
            "labels": {"background": 0, "organ": 1, "core": 2},
            "numTraining": 6,
            "file_ending": ".nii.gz",
        }
        (folder / "dataset.json").write_text(json.dumps(content))
        return folder

    @cached_property
    def decathlon_records(self) -> Path:
        folder = self.folder / "records" / "decathlon"
        must("preprocess", *preprocess_flags(self.decathlon, folder, "decathlon"))
        return folder

    @cached_property
    def run(self) -> Path:
        """A finished run of two epochs on `records()`."""
        folder = self.folder / "run"
        must("train", *train_flags(self.records(), folder, epochs=2))
        return folder

    @cached_property
    def judged(self) -> Path:
        """The run, for whoever gives it a judge."""
        return copied(self.run, self.folder / "judged")

    @cached_property
    def fold_run(self) -> Path:
        """Beside `run`, the other one of a cross-validation with ALL_FOLDS."""
        folder = self.folder / "fold_run"
        folds = ("--validation_folds", "0", "--test_folds", "2")
        must("train", *train_flags(self.records(), folder, epochs=2), *folds)
        return folder

    @cached_property
    def model(self) -> Path:
        """The run's exported model."""
        folder = self.folder / "model"
        must("export", "--work_dir", self.run, "--out_dir", folder)
        return folder / "1"

    @cached_property
    def label(self) -> Path:
        """What the model predicts of a subject."""
        output = self.folder / "label.nii.gz"
        must("predict", *predict_flags(self.model, self.table("nii.gz") / "s0", output))
        return output

    @cached_property
    def evaluated(self) -> Path:
        """The run, evaluated."""
        folder = copied(self.run, self.folder / "evaluated")
        must("evaluate", "--work_dir", folder)
        return folder

    @cached_property
    def many(self) -> Path:
        """A dataset of 24 subjects."""
        return write_small_dataset(self.folder / "many", subjects=24).folder

    @cached_property
    def many_whole(self) -> Path:
        """Its record set of patches, made without a kill."""
        folder = self.folder / "records" / "many"
        must("preprocess", *preprocess_flags(self.many, folder), *PATCHES)
        return folder

    @cached_property
    def images(self) -> Path:
        """The images of the six subjects in one folder, as nnU-Net numbers them."""
        return self.decathlon / "imagesTr"

    @cached_property
    def predictions(self) -> Path:
        """What the model predicts of them."""
        folder = self.folder / "predictions"
        must("predict", "--model", self.model, "--images", self.images, "--output", folder)
        return folder

    @cached_property
    def series(self) -> Path:
        """The first subject's images as DICOM series, a folder for each modality."""
        folder = self.folder / "series"
        for modality in MODALITIES:
            image = nib.Nifti1Image.from_filename(
                self.table("nii.gz") / "s0" / f"{modality}.nii.gz"
            )
            write_series(folder / modality, np.asarray(image.dataobj))
        return folder

    @cached_property
    def other_run(self) -> Path:
        """A run like `run`, of another seed."""
        folder = self.folder / "other_run"
        must("train", *train_flags(self.records(), folder, epochs=2), "--seed", 1)
        return folder

    @cached_property
    def other_model(self) -> Path:
        """That one's exported model."""
        folder = self.folder / "other_model"
        must("export", "--work_dir", self.other_run, "--out_dir", folder)
        return folder / "1"

    @cached_property
    def unlike_run(self) -> Path:
        """A run that can be no model together with `run`."""
        folder = self.folder / "unlike_run"
        normalised = ("--hp.normalisation=min_max",)
        must("train", *train_flags(self.records(), folder, epochs=2), *normalised)
        return folder

    @cached_property
    def run_whole(self) -> Path:
        """A run of EPOCHS on `records()`, made without a kill."""
        folder = self.folder / "run_whole"
        must("train", *train_flags(self.records(), folder, EPOCHS))
        return folder


def preprocess_flags(data: Path, out_dir: Path, dataset: str = "table") -> tuple[object, ...]:
    return ("--dataset", dataset, "--data_dir", data, "--out_dir", out_dir, *FLAGS)


def train_flags(records: Path, work_dir: Path, epochs: int) -> tuple[object, ...]:
    paths = ("--records", records, "--work_dir", work_dir)
    return (*METHOD, *paths, "--epochs", epochs, *TINY)


def predict_flags(model: Path, subject: Path, output: Path) -> tuple[object, ...]:
    images = sorted(subject.glob("t*"))
    given = [flag for image in images for flag in ("--image", image)]
    return ("--model", model, *given, "--output", output)


def _convert(path: Path, ending: str) -> None:
    image = sitk.ReadImage(str(path))
    for key in image.GetMetaDataKeys():  # NIfTI's own, of which the other formats warn.
        image.EraseMetaData(key)
    target = path.with_name(path.name.replace("nii.gz", ending))
    sitk.WriteImage(image, str(target), useCompression=ending != "nii")
    path.unlink()


def copied(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def volume(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """float32 intensities with a background of zeros."""
    array = random.integers(1, 1000, shape).astype(np.float32)
    array[random.random(shape[:3]) < 0.2] = 0
    return array
