"""Single training examples: read, cropped, varied and normalised, in the graph of tf.data."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfrecords.reading.crops import Crop, crop_of, crop_of_volume
from tfrecords.reading.normalisation import normalise, stored_statistics
from tfrecords.reading.owners import Owners
from tfrecords.reading.parsing import parse
from tfrecords.reading.places import Places
from tfrecords.reading.recipe import Recipe
from tfrecords.reading.record_set import RecordSet
from tfrecords.reading.streams import Example
from tfrecords.records.views import Volumes
from tfrecords.sources.subject import IGNORED

Batch = dict[str, tf.Tensor]


class Preparation:
    """Makes of what `Draws` gives an example of a batch.

    Args:
        owners: of all examples.
        places: to read the examples from, where they are drawn by their numbers.
        seed: of the run, which with an example's number determines how it is cropped and varied.
    """

    def __init__(
        self, records: RecordSet, recipe: Recipe, owners: Owners, places: Places | None, seed: int
    ) -> None:
        self._manifest = records.manifest
        self._recipe = recipe
        self._owners = owners
        self._places = places
        self._seed = seed
        size, augmentation = recipe.size, recipe.augmentation
        self._crop = crop_of(recipe.view, records.manifest.view, size, augmentation)
        self._crop_of_volume = crop_of_volume(recipe.view, size, augmentation)

    def prepare(self, number: tf.Tensor, labelled: Example, *unlabelled: Example) -> Batch:
        """An example of a batch; see `training_batches`.

        Args:
            number: of the example, counted over all epochs.
        """
        seed = tf.stack([tf.constant(self._seed, tf.int64), number])
        image, label = self._cropped(labelled, self._recipe.view.axes, self._crop, seed)
        batch = {"image": image}
        if self._manifest.ignored:
            annotated = label != IGNORED
            batch["annotated"] = tf.cast(annotated, tf.uint8)
            label = tf.where(annotated, label, tf.zeros_like(label))
        batch["label"] = _regions(label, self._recipe.regions)
        for volume in unlabelled:
            batch["unlabelled"], _ = self._cropped(volume, Volumes.axes, self._crop_of_volume, seed)
        return batch

    def _cropped(
        self, example: Example, axes: int, crop: Crop, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Image and label of an example, read and checked.

        Args:
            axes: of the example as it is stored.
        """
        content, shard = example
        serialised = self._places.read(content) if self._places else content
        manifest, scheme = self._manifest, self._recipe.scheme
        parsed = parse(serialised, manifest.image_dtype, axes, len(manifest.modalities))
        statistics = stored_statistics(parsed.statistics, scheme)

        def normalised(image: tf.Tensor) -> tf.Tensor:
            return normalise(image, statistics, scheme)

        with tf.control_dependencies([self._owners.checked(parsed.subject, shard)]):
            return crop(parsed.image, parsed.label, normalised, seed)


def _regions(label: tf.Tensor, regions: Sequence[Sequence[int]]) -> tf.Tensor:
    """Class indices [...] as uint8 masks [..., R]; as they are where there are no regions."""
    if not regions:
        return label
    table = np.zeros((256, len(regions)), np.uint8)
    for number, members in enumerate(regions):
        table[list(members), number] = 1
    return tf.gather(tf.constant(table), tf.cast(label, tf.int32))
