"""A tiny record set, written once, and models small enough to train in seconds."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import keras
import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage
from tensorflow.python.framework.config import disable_op_determinism

from tfadv import methods
from tfadv.inference.export import export
from tfadv.run.ensemble import load_ensemble
from tfadv.run.run import Run
from tfadv.run.work_dir import WorkDir
from tfadv.training.train import train
from tfrecords.reading.record_set import RecordSet, open_record_set
from tfrecords.records.views import VIEWS, Patches
from tfrecords.sources import layouts
from tfrecords.writing.preprocessing import Options, preprocess

# Two logical CPUs stand for two accelerators. Only possible before TensorFlow's first operation.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

# Networks of tests are so small that threads wait for each other more than they compute, and tests
# run side by side. Programs that tests start have all threads.
tf.config.threading.set_intra_op_parallelism_threads(1)

SHAPE = (32, 30, 6)  # (x, y, z)
SUBJECTS = 6


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Ends what a test asks of the whole process: for others, it would be another program.

    That is op determinism, which TensorFlow's public names can only switch on, and the precision of
    the run whose model was built last.
    """
    yield
    disable_op_determinism()
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def mirrored() -> tf.distribute.Strategy:
    """Two replicas. One strategy for all tests: a second one would reuse the first one's keys of
    collective operations, on the same devices."""
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    assert len(devices) == 2
    return tf.distribute.MirroredStrategy(devices)


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `table` of six subjects with two modalities, a bright ball (1) in a larger one (2)."""
    folder = tmp_path_factory.mktemp("sources")
    lines = ["subject,t1,t2,label,group"]
    for number in range(SUBJECTS):
        random = np.random.default_rng(number)
        centre = np.array([16, 15, 3]) + random.uniform(-3, 3, 3) * (1, 1, 0)
        distance = np.linalg.norm((np.indices(SHAPE).T - centre) * (1, 1, 2), axis=-1).T
        label = np.where(distance < 4, 1, np.where(distance < 8, 2, 0)).astype(np.uint8)
        for name, gains in {"t1": (100, 400, 250), "t2": (120, 180, 420)}.items():
            clean = ndimage.gaussian_filter(np.array(gains, float)[label], 0.5)
            image = np.rint(clean + random.normal(0, 20, SHAPE)).clip(1).astype(np.int16)
            nib.save(nib.Nifti1Image(image, np.eye(4)), folder / f"{number}_{name}.nii.gz")
        nib.save(nib.Nifti1Image(label, np.eye(4)), folder / f"{number}_seg.nii.gz")
        group = "high" if number % 2 else "low"
        files = ",".join(f"{number}_{kind}.nii.gz" for kind in ("t1", "t2", "seg"))
        lines.append(f"s{number},{files},{group}")
    (folder / "subjects.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="session")
def records(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> RecordSet:
    """Three folds of two subjects each, as slices and volumes."""
    folder = tmp_path_factory.mktemp("records")
    preprocess(layouts.find("table", sources), folder, Options(folds=3, workers=1))
    return open_record_set(folder)


@pytest.fixture(scope="session")
def records_of(
    records: RecordSet, sources: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], RecordSet]:
    """The same subjects in another view: `records_of("patches")`. Only to be read."""

    @cache
    def cut(kind: str) -> RecordSet:
        if kind == records.manifest.view.kind:
            return records
        folder = tmp_path_factory.mktemp(kind)
        options = Options(
            view=Patches(per_class=4) if kind == "patches" else VIEWS[kind](), folds=3, workers=1
        )
        preprocess(layouts.find("table", sources), folder, options)
        return open_record_set(folder)

    return cut


@pytest.fixture(scope="session")
def run(records: RecordSet, tmp_path_factory: pytest.TempPathFactory) -> WorkDir:
    """A trained run of `kohl_cross_entropy`: good enough that its predictions are not trivial."""
    work_dir = WorkDir(tmp_path_factory.mktemp("runs") / "run")
    small = ["precision=float32", "convolutions=1"]
    values = [*small, "batch_size=6", "epochs=2", "steps_per_epoch=20"]
    method = methods.get("kohl_cross_entropy").configure("small", values)
    train(work_dir, Run.new(method, records))
    return work_dir


@pytest.fixture(scope="session")
def other_run(run: WorkDir, tmp_path_factory: pytest.TempPathFactory) -> WorkDir:
    """One like it of other folds, tested where that trains: its weights, changed at random."""
    settings = replace(
        run.settings(), training_folds=("1",), validation_folds=("2",), test_folds=("0",), seed=1
    )
    model = Run.open(settings).build_model()
    progress = run.restore(model)
    random = np.random.default_rng(0)
    for variable in model.segmentor.trainable_variables:
        variable.assign(variable * random.uniform(0.8, 1.2, variable.shape))
    work_dir = WorkDir(tmp_path_factory.mktemp("runs") / "other")
    work_dir.begin(settings)
    work_dir.save(model, replace(progress, best_epoch=progress.epochs))
    return work_dir


@pytest.fixture(scope="session")
def model_dir(run: WorkDir, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That run, exported."""
    ensemble = load_ensemble([run])
    predictor = ensemble.predictor()
    folder = tmp_path_factory.mktemp("models") / "model"
    return export(predictor, ensemble.describe(predictor), folder)


@pytest.fixture
def seeded() -> None:
    """Equal random numbers for every test that asks for it, in whatever order they run."""
    keras.utils.set_random_seed(1)
