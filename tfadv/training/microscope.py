"""The gradient microscope: every so many steps, what each term teaches, read on validation maps."""

from collections.abc import Iterator
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tfadv.loss_scaling import scale_of_pass
from tfadv.players import Batch
from tfadv.run.run import Run
from tfadv.run.work_dir import Progress
from tfadv.training.callbacks import Logs, set_random_states
from tfadv.training.gradients import auc, judgements, readings, teachers
from tfrecords.reading.batches import training_batches

# Steps. A reading takes as long as one or two, the first one's tracing as long as ten to thirty.
EVERY = 200
JUDGED = 4  # Minibatches, whose maps the judges rank; gradients are read on the first.


def microscopes(run: Run, progress: Progress) -> Iterator["Microscope"]:
    """One, where the run's steps reach a reading and its validation folds have examples."""
    steps = run.method.steps_per_epoch
    if run.method.epochs * steps // EVERY <= progress.epochs * steps // EVERY:
        return
    view, folds = run.method.recipe(run.manifest).view, run.settings.validation_folds
    if sum(shard.examples for shard in run.manifest.select(view.kind, folds)):
        yield Microscope(run, progress)
    else:
        logging.warning(
            "no gradients are read: the validation folds %s hold no %s", ", ".join(folds), view
        )


class Microscope(keras.callbacks.Callback):
    """Adds a reading to `Progress.readings` every EVERY steps.

    It reads on the same few validation minibatches each time, on networks of its own that it gives
    the model's weights: training's weights, moving statistics and random states stay as they are.
    Noise and dropout draw the same each time. It works on one device, whatever the replicas.
    """

    def __init__(self, run: Run, progress: Progress) -> None:
        super().__init__()
        self.progress = progress
        self.seed = run.settings.seed
        self.steps_per_epoch = run.method.steps_per_epoch
        self.first = 0
        self.verdicts: list[tuple[int, str, np.ndarray]] = []
        built = run.build_players()
        trained = run.method.trained(built)
        self.networks = trained.networks
        self.batches = validation_batches(run)
        targets = run.method.targets(run.manifest)
        # Nothing in them branches on a tensor: without AutoGraph they are traced sooner.
        self.gradients = tf.function(
            lambda batch, scale: readings(
                self.networks, trained.schedule, batch, targets, self._same_noise, scale
            ),
            autograph=False,
        )
        # Those of frozen judges, too.
        self.judgements = tf.function(
            lambda batch: judgements(self.networks, built.schedule, batch), autograph=False
        )

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.first = epoch * self.steps_per_epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        step = self.first + batch + 1
        if step % EVERY == 0:
            self.progress.readings.append({"step": step, **self.read()})
            self.verdicts += [(step, tag, odds) for tag, odds in self.said.items()]

    def take_verdicts(self) -> list[tuple[int, str, np.ndarray]]:
        """Since the last call: step, verdicts/JUDGE/true or generated, and log odds of true."""
        taken, self.verdicts = self.verdicts, []
        return taken

    def read(self) -> dict[str, float]:
        """Scalars by name: those of `gradients.readings`, and verdicts/JUDGE/auc."""
        for name, network in self.networks.items():
            network.set_weights(self.model.players.networks[name].get_weights())
        self._same_noise()
        # First, for the passes of gradients move statistics.
        said = [self.judgements(batch) for batch in self.batches]
        self.said = {
            f"verdicts/{judge}/{kind}": np.concatenate([odds[judge][place] for odds in said])
            for judge in said[0]
            for place, kind in enumerate(("true", "generated"))
        }
        found = {
            f"verdicts/{judge}/auc": auc(
                *(self.said[f"verdicts/{judge}/{kind}"] for kind in ("true", "generated"))
            )
            for judge in said[0]
        }
        scalars = self.gradients(self.batches[0], self._scale())
        return {name: float(value) for name, value in scalars.items()} | found

    def _scale(self) -> tf.Tensor:
        """That of the passes which teach the segmentor."""
        players = self.model.players
        names = {by for update in teachers(players.schedule) for by in update.trains.values()}
        scale = scale_of_pass(players.optimizers[name] for name in names)
        return tf.constant(1.0) if scale is None else scale

    def _same_noise(self) -> None:
        set_random_states(self.networks.values(), self.seed, 0)


def validation_batches(run: Run) -> list[Batch]:
    """Minibatches of one replica, cropped and drawn like the training's, by the run's seed.

    Where training's pass in parts, they are as large as a part: there is no room for more.
    """
    parts = run.method.accumulation
    recipe, settings = run.method.recipe(run.manifest), run.settings
    recipe = replace(recipe, minibatch=recipe.minibatch // parts)
    folds, seed = settings.validation_folds, settings.seed
    batches = training_batches(
        run.records,
        folds,
        recipe,
        seed,
        range(1),
        JUDGED * parts,
        unlabelled_subjects=run.unlabelled_subjects,
    )
    return list(batches.take(JUDGED * parts))
