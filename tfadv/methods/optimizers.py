"""Optimizers as the papers' frameworks define them."""

import keras
import tensorflow as tf


class Adam(keras.optimizers.Adam):
    """Keras' Adam, whose rule for one variable is one operation instead of twenty.

    It takes half of Keras' time over the 55 variables of Kohl's segmentor, and a third to trace.
    `amsgrad` is not among what it does.
    """

    def _backend_update_step(
        self,
        gradients: list[tf.Tensor],
        variables: list[tf.Variable],
        learning_rate: tf.Tensor,
    ) -> None:
        """Moves all variables, at the rate that makes up for the moments' start at zero."""
        step = tf.cast(self.iterations + 1, learning_rate.dtype)
        of_mean, of_square = (1.0 - tf.pow(beta, step) for beta in (self.beta_1, self.beta_2))
        rate = learning_rate * tf.sqrt(of_square) / of_mean
        constants = (self.beta_1, self.beta_2, self.epsilon, 0.0)
        # One tensor of each for all variables.
        shared = tuple(tf.constant(value, rate.dtype) for value in constants)
        super()._backend_update_step(gradients, variables, (rate, *shared))

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tuple[tf.Tensor, ...]
    ) -> None:
        """Of the rate and Adam's constants, in this order."""
        index = self._get_variable_index(variable)
        rate, beta_1, beta_2, epsilon, zero = learning_rate
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            # Of a rate that makes up for them already.
            beta1_power=zero,
            beta2_power=zero,
            lr=rate,
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            grad=tf.cast(gradient, variable.dtype),
        )


def torch_rmsprop(rate: float) -> keras.optimizers.Optimizer:
    """RMSprop of Torch and PyTorch.

    Keras adds 1e-7 to the mean square of the gradient: against gradients of 1e-6, as losses of rare
    regions and means over many voxels have, that is a brake that stops learning. Torch adds 1e-8 to
    its root.
    """
    return keras.optimizers.RMSprop(rate, rho=0.99, epsilon=1e-16)
