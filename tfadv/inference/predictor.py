"""From raw volumes to label maps, in one graph: what validation, evaluation and servers all run."""

from collections.abc import Callable, Sequence
from functools import partial

import tensorflow as tf

from tfadv.inference.checks import checked, not_empty
from tfadv.inference.components import decide
from tfadv.inference.members import Member, averaged
from tfadv.inference.quality import Judges, measured, names_of
from tfadv.inference.targets import Targets
from tfadv.inference.tiling import pad
from tfrecords.reading.normalisation import as_stored, foreground_statistics, normalise
from tfrecords.records.manifest import Manifest

NOBODY: Judges = {}
Answer = Callable[[tf.Tensor], dict[str, tf.Tensor]]


class Predictor(tf.Module):
    """Raw volume -> checks -> crop -> normalisation -> members' maps -> label map.

    Args:
        members: give probabilities of the targets, which are averaged.
        scheme: of normalisation.
        largest: maps, counted from 0, of which label maps keep the largest component alone.
        judges: the members', by the name of what they say; see `quality`.

    Attributes:
        quality: names of what `serve` says of a label map.
    """

    def __init__(
        self,
        members: Sequence[Member],
        manifest: Manifest,
        targets: Targets,
        scheme: str,
        largest: tuple[int, ...] = (),
        judges: Judges = NOBODY,
    ) -> None:
        super().__init__()
        self.members = list(members)
        self.judges = {name: list(judges[name]) for name in judges}
        self.quality = names_of(len(self.members), judges)
        self.targets = targets
        self.scheme = scheme
        self.largest = largest
        self.image_dtype = manifest.image_dtype
        self.crop = manifest.crop
        self.values = [label_class.labels[0] for label_class in manifest.classes]
        self.channels = len(manifest.modalities)
        self.predict = self._function(self._predict)
        self.serve = self._function(self._serve)

    def _function(self, of_volume: Answer) -> tf.types.experimental.PolymorphicFunction:
        # A partial of its own: TensorFlow would take all predictors for one that is traced anew.
        return tf.function(
            partial(of_volume),
            input_signature=[
                tf.TensorSpec([None, None, None, self.channels], tf.float32, "volume")
            ],
            autograph=False,  # Nothing in it branches on a tensor: traces sooner.
        )

    def _predict(self, volume: tf.Tensor) -> dict[str, tf.Tensor]:
        """A raw volume's label map and probabilities: what `_serve` gives, but for the quality."""
        answer = self._serve(volume)
        return {name: answer[name] for name in ("label", "probabilities")}

    def _serve(self, volume: tf.Tensor) -> dict[str, tf.Tensor]:
        """A raw volume's label map, and what the model says of it.

        Args:
            volume: float32 [Z, Y, X, C], raw intensities on a working grid, cropped or not.

        Returns:
            label: uint8 [Z, Y, X], the dataset's own label values; background outside the crop.
            probabilities: float32 [Z, Y, X, K] of the targets, the members' mean, in which no
                component is missing.
            quality: float32 [len(self.quality)].

        Raises:
            InvalidArgumentError: see `checks`.
        """
        volume = checked(volume, self.channels)
        first, extents = centre_box(volume, self.crop)
        stored = as_stored(self._cut(volume, first, extents), self.image_dtype)
        # Record sets hold the body's box alone; tiles must lie here as they do there. Its place is
        # that of what is stored: half precision makes zeros of tiny numbers.
        inner, size = body_box(stored)
        start = first + inner
        body = not_empty(self._cut(stored, inner, size))
        image = normalise(body, foreground_statistics(body, self.scheme), self.scheme)
        probabilities, by_member = averaged(self.members, image, self.targets)
        decided = decide(probabilities, self.targets, self.largest)
        quality = measured(image, probabilities, decided, by_member, self.judges, self.targets)
        after = tf.shape(volume)[:3] - start - size
        outside = self.targets.background()
        label = tf.pad(
            self._label(decided),
            tf.stack([start, after], axis=1),
            constant_values=self._label(self.targets.decide(outside)),
        )
        if any(0 in members for members in self.targets.members):
            probabilities = pad(probabilities - outside, start, after) + outside
        else:  # All maps are of foreground, and zero outside.
            probabilities = pad(probabilities, start, after)
        return {"label": label, "probabilities": probabilities, "quality": quality}

    def _label(self, indices: tf.Tensor) -> tf.Tensor:
        """The dataset's label values uint8 [...] of class indices [...]."""
        return tf.gather(tf.constant(self.values, tf.uint8), indices)

    def _cut(self, volume: tf.Tensor, start: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        """A box of a volume, both [Z, Y, X, C]."""
        cut = tf.slice(volume, tf.concat([start, [0]], 0), tf.concat([size, [self.channels]], 0))
        return tf.ensure_shape(cut, [None, None, None, self.channels])


def centre_box(volume: tf.Tensor, crop: tuple[int, int, int] | None) -> tuple[tf.Tensor, tf.Tensor]:
    """First voxel and size of the centre that a crop keeps, as `grid.working_grid` places it.

    What was cropped before is kept whole.

    Args:
        volume: [Z, Y, X, C].
        crop: voxels (x, y, z) to keep at most; None keeps all.

    Returns:
        Two int32 [3], (z, y, x).
    """
    shape = tf.shape(volume)[:3]
    # A crop that keeps all may be written as any large number.
    most = [min(extent, tf.int32.max) for extent in (crop or 3 * (tf.int32.max,))[::-1]]
    kept = tf.minimum(shape, most)
    return (shape - kept) // 2, kept


def body_box(volume: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """First voxel and size of the smallest box that holds every non-zero voxel (`views.body_box`).

    A volume of zeros is its own box.

    Args:
        volume: [Z, Y, X, C].

    Returns:
        Two int32 [3].
    """
    body = tf.reduce_any(volume != 0, axis=-1)
    body = body | ~tf.reduce_any(body)
    starts, sizes = [], []
    for axis in range(3):
        others = [other for other in range(3) if other != axis]
        filled = tf.cast(tf.where(tf.reduce_any(body, axis=others))[:, 0], tf.int32)
        starts.append(filled[0])
        sizes.append(filled[-1] - filled[0] + 1)
    return tf.stack(starts), tf.stack(sizes)
