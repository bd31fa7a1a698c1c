"""Batch normalisation: one operation where one replica trains, shared moments where several do."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers

IMAGE_AXES = 4  # [B, Y, X, C], of which TensorFlow's operation knows.
# With other numbers of channels the CPU's kernel of 16 bits takes ten times as long as float32.
CHANNELS_OF_16_BITS = 16


@keras.saving.register_keras_serializable("tfadv")
class BatchNormalization(layers.Layer):
    """[B, ..., C] normalised over all axes but the last, as by Keras' layer and with its weights.

    Keras never uses TensorFlow's fused operation. Its statistics are float32, what is normalised
    keeps its dtype. Several replicas share the moments of all their minibatches, which are equally
    large: moving statistics are the same on each, and replica 0's are those that are saved.

    Moving statistics follow the minibatch's own variance, as in Keras. The fused operation's and
    PyTorch's, N / (N - 1) of it, would be another where replicas see the same minibatch twice.

    Args:
        momentum: the share of the moving statistics that a pass in training leaves.
        epsilon: what is added to variances.
    """

    def __init__(self, momentum: float, epsilon: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        def weight(name: str, initializer: str, *, trainable: bool) -> keras.Variable:
            return self.add_weight(
                input_shape[-1:], initializer, name=name, trainable=trainable, autocast=False
            )

        self.gamma = weight("gamma", "ones", trainable=True)
        self.beta = weight("beta", "zeros", trainable=True)
        self.moving_mean = weight("moving_mean", "zeros", trainable=False)
        self.moving_variance = weight("moving_variance", "ones", trainable=False)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if x.dtype.size == 2 and x.shape[-1] % CHANNELS_OF_16_BITS:
            return tf.cast(self._normalised(tf.cast(x, tf.float32), training), x.dtype)
        return self._normalised(x, training)

    def _normalised(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        normalised = self._by_minibatch if training else self._by_moving_statistics
        # Images as they are: a ReLU that follows is fused with the operation.
        if len(x.shape) == IMAGE_AXES:
            return normalised(x)
        image = tf.reshape(x, [tf.shape(x)[0], -1, 1, x.shape[-1]])
        return tf.reshape(normalised(image), tf.shape(x))

    def _by_moving_statistics(self, x: tf.Tensor) -> tf.Tensor:
        moving = {"mean": self.moving_mean.value, "variance": self.moving_variance.value}
        return fused(x, self.gamma.value, self.beta.value, self.epsilon, **moving)[0]

    def _by_minibatch(self, x: tf.Tensor) -> tf.Tensor:
        replica = tf.distribute.get_replica_context()
        if replica and replica.num_replicas_in_sync > 1:
            y, mean, variance = shared(x, self.gamma.value, self.beta.value, self.epsilon, replica)
        else:
            y, mean, variance, *_ = fused(x, self.gamma.value, self.beta.value, self.epsilon)
        for statistic, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            statistic.assign(self.momentum * statistic + (1.0 - self.momentum) * value)
        return y

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"momentum": self.momentum, "epsilon": self.epsilon}


def fused(
    x: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    epsilon: float,
    mean: tf.Tensor | tuple[()] = (),
    variance: tf.Tensor | tuple[()] = (),
) -> tuple[tf.Tensor, ...]:
    """Images [B, Y, X, C] normalised by the given moments [C], or by their own.

    Returns:
        The images, float32 moments, and what the operation's gradient asks for.
    """
    own = isinstance(mean, tuple)
    y, mean, variance, *reserved = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=gamma,
        offset=beta,
        mean=mean,
        variance=variance,
        epsilon=epsilon,
        is_training=own,
    )
    if own:
        count = values_per_channel(x)
        variance *= tf.maximum(count - 1.0, 1.0) / count
    return y, mean, variance, *reserved


def shared(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float, replica: Any
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """This replica's images normalised by the moments of all replicas', which are returned as well.

    What is normalised by its own moments is so by all replicas' after a change of scale and offset;
    the gradient follows likewise. Where all replicas see the same minibatch these changes are
    nothing, exactly, and each does what one alone would.
    """

    def over_replicas(value: tf.Tensor) -> tf.Tensor:
        return replica.all_reduce(tf.distribute.ReduceOp.MEAN, value)

    @tf.custom_gradient
    def normalised(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tuple[Any, Any]:
        own_y, own_mean, own_variance, *reserved = fused(x, gamma, beta, epsilon)
        mean = over_replicas(own_mean)
        variance = over_replicas(own_variance + tf.square(own_mean - mean))
        deviation = tf.sqrt(variance + epsilon)
        # Of x normalised by its own moments, n: n * ratio + shift is x normalised by all.
        ratio = tf.sqrt((own_variance + epsilon) / (variance + epsilon))
        shift = (own_mean - mean) / deviation
        y = changed(own_y, ratio, beta * (1.0 - ratio) + gamma * shift)

        def gradient(dy: tf.Tensor, *_: tf.Tensor) -> tuple[tf.Tensor, ...]:
            own_dx, dgamma, dbeta, *_ = tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=dy,
                x=x,
                scale=gamma,
                **{f"reserve_space_{n}": kept for n, kept in enumerate(reserved, 1)},
                epsilon=epsilon,
                is_training=True,
            )
            count = values_per_channel(x)
            # Means over values of dy, and of dy times normalised x: this replica's, and all.
            own_means = dbeta / count, dgamma / count
            dgamma = ratio * dgamma + shift * dbeta
            means = [over_replicas(total / count) for total in (dbeta, dgamma)]
            # In terms of n, with which n's own gradient and that of all moments differ.
            slope = own_means[1] - ratio * means[1]
            level = own_means[0] - means[0] - shift * means[1]
            own_deviation = tf.sqrt(own_variance + epsilon)
            centred = changed(x, 1.0 / own_deviation, -own_mean / own_deviation, tf.float32)
            correction = (gamma / deviation) * (slope * centred + level)
            return changed(own_dx, ratio, correction), dgamma, dbeta

        return (y, mean, variance), gradient

    return normalised(x, gamma, beta)


def changed(
    x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, dtype: tf.DType | None = None
) -> tf.Tensor:
    """x * scale + offset, computed in float32, in x's own dtype if no other is named."""
    return tf.cast(tf.cast(x, tf.float32) * scale + offset, dtype or x.dtype)


def values_per_channel(x: tf.Tensor) -> tf.Tensor:
    """How many values a channel has, float32."""
    return tf.cast(tf.size(x) // x.shape[-1], tf.float32)
