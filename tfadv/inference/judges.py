"""Judges of a finished map: networks that say how true it looks beside its image.

They look at slices or patches, and only where the label map has any foreground: elsewhere there is
nothing to judge. Of a label map without any, they look at everything.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from tfadv.inference.tiling import some_at_a_time

AT_ONCE = 16  # Slices or patches.
# The log odds [B] of true, of a network's output.
Odds = Callable[[tf.Tensor], tf.Tensor]


class SliceJudge(tf.Module):
    """Judges axial slices.

    Args:
        network: [image [B, H, W, C], maps [B, H, W, K]] to what `odds` takes.
    """

    def __init__(self, network: keras.Model, odds: Odds) -> None:
        super().__init__()
        self.network = network
        self.odds = odds

    def verdict(self, image: tf.Tensor, maps: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        """The mean log odds of true, a scalar.

        Args:
            image: normalised, [Z, Y, X, C].
            maps: [Z, Y, X, K], as in the network's training.
            found: bool [Z, Y, X], where the label map has foreground.
        """
        return self._mean(tf.concat([image, maps], -1), found, image.shape[-1])

    def _mean(self, pairs: tf.Tensor, found: tf.Tensor, channels: int) -> tf.Tensor:
        """Of images and maps [N, Y, X, C + K], judged where bool [N, Y, X] holds."""
        looked_at = tf.reduce_any(found, [1, 2])
        looked_at |= ~tf.reduce_any(looked_at)

        def odds(some: tf.Tensor) -> tf.Tensor:
            said = self.network([some[..., :channels], self._maps(some[..., channels:])])
            return self.odds(said)[:, None, None, None]

        chosen = tf.ensure_shape(tf.boolean_mask(pairs, looked_at), [None, *pairs.shape[1:]])
        return tf.reduce_mean(some_at_a_time(odds, chosen, 1, AT_ONCE))

    def _maps(self, maps: tf.Tensor) -> tf.Tensor:
        return maps


class PatchJudge(SliceJudge):
    """Judges patches of slices, side by side.

    Args:
        size: voxels in y and x of the network's images.
        inner: of its maps, which lie in their centre.
    """

    def __init__(self, network: keras.Model, odds: Odds, size: int, inner: int) -> None:
        super().__init__(network, odds)
        self.size, self.inner = size, inner
        self.rim = (size - inner) // 2

    def verdict(self, image: tf.Tensor, maps: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        pairs = self._patches(tf.concat([image, maps], -1))
        patches = self._patches(tf.cast(found, tf.float32)[..., None])
        return self._mean(pairs, self._maps(patches)[..., 0] > 0, image.shape[-1])

    def _patches(self, volume: tf.Tensor) -> tf.Tensor:
        """[N, size, size, C] of a volume [Z, Y, X, C], whose centres cover it once."""
        y, x = (-tf.shape(volume)[axis] % self.inner + self.rim for axis in (1, 2))
        padded = tf.pad(volume, [[0, 0], [self.rim, y], [self.rim, x], [0, 0]])
        extents, strides = [1, self.size, self.size, 1], [1, self.inner, self.inner, 1]
        patches = tf.image.extract_patches(padded, extents, strides, [1, 1, 1, 1], "VALID")
        return tf.reshape(patches, [-1, self.size, self.size, volume.shape[-1]])

    def _maps(self, maps: tf.Tensor) -> tf.Tensor:
        """Their centres."""
        return maps[:, self.rim : self.size - self.rim, self.rim : self.size - self.rim]
