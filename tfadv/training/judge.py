"""A judge of finished label maps: what a discriminator learns once the segmentor stands still.

At the end of adversarial training the two players are in balance, and the discriminator's verdict
tells little. The judge starts anew and learns to tell the true label maps of training subjects from
those that the run makes: of the images as they are, by the best and by the last epoch, and of
degraded images. Both kinds come with the same images, so that it cannot go by the images alone, and
as label maps, so that it cannot go by how sharp they are.
"""

from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfadv.evaluation.degradations import CLEAN, variants
from tfadv.evaluation.masks import where_annotated
from tfadv.evaluation.scoring import segment_image
from tfadv.inference.judges import SliceJudge
from tfadv.inference.predictor import Predictor
from tfadv.inference.targets import Targets
from tfadv.losses.adversarial import discriminator_loss
from tfadv.methods.optimizers import Adam
from tfadv.run.judge import build_judge, save_judge
from tfadv.run.run import Run, load_run
from tfadv.run.work_dir import WorkDir
from tfadv.training.gradients import auc
from tfrecords.errors import UserError
from tfrecords.reading.normalisation import foreground_statistics, normalise
from tfrecords.reading.record_set import SubjectVolume, subject_volumes
from tfrecords.sources.subject import IGNORED

SUBJECTS = 100  # Training subjects whose maps it sees, at most.
DEGRADED = 3  # Degraded images of each, drawn by lot.
SLICES = 8  # Of each label map.
BATCH = 8  # Slices, each with its true and its made map.
RATE = 3e-4


class Pairs(NamedTuple):
    """Slices of images [N, Y, X, C] with their true and made class indices [N, Y, X]."""

    image: np.ndarray
    true: np.ndarray
    made: np.ndarray


class Judged(NamedTuple):
    """What a judge has become.

    Attributes:
        auc: see `JudgeNote`.
    """

    auc: float
    images: int


def train_judge(work_dir: WorkDir, steps: int) -> Judged:
    """Trains a run's judge and writes it into the run's folder.

    Raises:
        UserError: there is no run, it is damaged, or no epoch is finished.
    """
    run, _, best = load_run(work_dir)
    last = run.build_model()
    work_dir.restore(last)
    random = np.random.default_rng(run.settings.seed)
    keras.utils.set_random_seed(run.settings.seed)
    pairs = _slices_of(run, [best, run.predictor(last)], random)
    judge = build_judge(run)
    _learn(judge, pairs, run.method.targets(run.manifest), steps, random)
    judged = _validated(judge, run, best)
    save_judge(work_dir, judge, steps, *judged)
    return judged


def _slices_of(run: Run, predictors: list[Predictor], random: np.random.Generator) -> Pairs:
    """Slices of training subjects with true and made maps, as large as the largest."""
    names = sorted(run.subjects)
    chosen = set(random.permutation(names)[:SUBJECTS].tolist())
    best, last = predictors
    parts: list[Pairs] = []
    volumes = subject_volumes(run.records, run.settings.training_folds)
    seen = (volume for volume in volumes if volume.subject in chosen)
    for volume in tqdm(seen, "Segmenting", total=len(chosen), dynamic_ncols=True):
        clean, *degraded = _images(run, volume)
        drawn = random.permutation(len(degraded))[:DEGRADED]
        images = [(best, clean), (last, clean), *((best, degraded[index]) for index in drawn)]
        parts += [_slices(_pairs(run, by, image, volume), random) for by, image in images]
    if not parts:
        raise UserError(f"{run.records.folder}: expected whole volumes of training subjects")
    largest = np.max([part.true.shape[1:] for part in parts], axis=0)
    return Pairs(
        *(
            np.concatenate([_filled(field, largest) for field in fields])
            for fields in zip(*parts, strict=True)
        )
    )


def _images(run: Run, volume: SubjectVolume) -> list[np.ndarray]:
    """The subject's image as it is stored, and degraded in every way."""
    origin = next(one for one in run.manifest.subjects if one.name == volume.subject)
    x_mm, y_mm, z_mm = origin.working.spacing_mm
    found = list(variants(volume, (z_mm, y_mm, x_mm)))
    assert found[0][0] == CLEAN
    return [image for *_, image in found]


def _pairs(run: Run, by: Predictor, image: np.ndarray, volume: SubjectVolume) -> Pairs:
    """An image as the judge sees it, with its maps."""
    made = segment_image(by, image, volume, run.manifest).prediction
    scheme = run.method.normalisation
    raw = tf.constant(image.astype(np.float32))
    normalised = normalise(raw, foreground_statistics(raw, scheme), scheme).numpy()
    return Pairs(normalised.astype(np.float16), volume.label, where_annotated(made, volume.label))


def _slices(pairs: Pairs, random: np.random.Generator) -> Pairs:
    """Some slices with foreground; of a volume without, some of all."""
    holds = (_foreground(pairs.true) | _foreground(pairs.made)).any(axis=(1, 2))
    places = np.flatnonzero(holds if holds.any() else ~holds)
    chosen = np.sort(random.permutation(places)[:SLICES])
    return Pairs(*(field[chosen] for field in pairs))


def _foreground(labels: np.ndarray) -> np.ndarray:
    return (labels > 0) & (labels != IGNORED)


def _filled(field: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Zeros, the background, after the ends of [N, y, x, ...]."""
    missing = [(0, int(a - b)) for a, b in zip(largest, field.shape[1:3], strict=True)]
    return np.pad(field, [(0, 0), *missing, *[(0, 0)] * (field.ndim - 3)])


def _learn(
    judge: SliceJudge, pairs: Pairs, targets: Targets, steps: int, random: np.random.Generator
) -> None:
    optimizer = Adam(RATE)
    variables = judge.network.trainable_variables
    optimizer.build(variables)

    @tf.function(autograph=False)
    def step(image: tf.Tensor, true: tf.Tensor, made: tf.Tensor) -> tf.Tensor:
        maps = tf.concat([_masks(true, targets), _masks(made, targets)], 0)
        with tf.GradientTape() as tape:
            logits = judge.network([tf.tile(image, [2, 1, 1, 1]), maps], training=True)
            loss = discriminator_loss(*tf.split(judge.odds(logits), 2))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    with tqdm(_batches(pairs, steps, random), "Judging", total=steps, dynamic_ncols=True) as bar:
        for number, batch in enumerate(bar):
            loss = step(*batch)
            if number % 50 == 0:
                bar.set_postfix(loss=f"{float(loss):.3f}")


def _batches(pairs: Pairs, steps: int, random: np.random.Generator) -> Iterator[list[tf.Tensor]]:
    for _ in range(steps):
        chosen = random.integers(0, len(pairs.true), BATCH)
        image, true, made = (field[chosen] for field in pairs)
        yield [tf.constant(image.astype(np.float32)), tf.constant(true), tf.constant(made)]


def _masks(indices: tf.Tensor, targets: Targets) -> tf.Tensor:
    """Maps [..., K] of class indices [...], zero where nobody annotated."""
    annotated = indices != IGNORED
    masks = targets.masks(tf.where(annotated, tf.cast(indices, tf.int32), 0))
    return masks * tf.cast(annotated, masks.dtype)[..., None]


def _validated(judge: SliceJudge, run: Run, best: Predictor) -> Judged:
    """What the judge says of validation subjects' maps."""
    targets = run.method.targets(run.manifest)
    folds = run.settings.validation_folds

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, len(run.manifest.modalities)]),
            tf.TensorSpec([None, None, None], tf.int32),
        ],
        autograph=False,
    )
    def verdict(image: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        found = (indices > 0) & (indices != IGNORED)
        return judge.verdict(image, _masks(indices, targets), found)

    said = []
    total = sum(subject.fold in folds for subject in run.manifest.subjects)
    volumes = subject_volumes(run.records, folds)
    for volume in tqdm(volumes, "Validating", total=total, dynamic_ncols=True):
        for image in _images(run, volume):
            pairs = _pairs(run, best, image, volume)
            said.append(
                [
                    float(verdict(pairs.image.astype(np.float32), labels.astype(np.int32)))
                    for labels in (pairs.true, pairs.made)
                ]
            )
    true, made = np.transpose(said)
    return Judged(auc(true, made), len(said))
