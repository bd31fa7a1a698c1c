"""The leaky ReLU whose gradient looks at its result."""

import keras
import tensorflow as tf
from keras import layers


@keras.saving.register_keras_serializable("tfadv")
class LeakyReLU(layers.LeakyReLU):
    """Keras' values and gradients, any shape to the same one.

    A result has the sign of what it came from, so that the gradient can do without the latter. Its
    only reader is then the activation, and TensorFlow's graph optimizer makes one operation of
    convolution, bias and activation. Keras' layer made it fail instead, at the start of every
    training ("remapper failed ... fanout ... LeakyReluGrad exist for missing node ... BiasAdd").
    """

    def call(self, x: tf.Tensor) -> tf.Tensor:
        slope = float(self.negative_slope)

        @tf.custom_gradient
        def activated(x: tf.Tensor) -> tuple[tf.Tensor, object]:
            y = tf.nn.leaky_relu(x, slope)
            return y, lambda dy: tf.raw_ops.LeakyReluGrad(gradients=dy, features=y, alpha=slope)

        return activated(x)
