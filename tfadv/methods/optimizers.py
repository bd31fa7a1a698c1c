"""Optimizers as the papers' frameworks define them."""

import keras
import tensorflow as tf


class _FewOperations(keras.optimizers.Optimizer):
    """A rule whose constants are one tensor each for all variables of an update.

    `update_step` is handed them in the rate's place.
    """

    def tensors(self, learning_rate: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The rate, and the rule's constants."""
        raise NotImplementedError

    def _backend_update_step(
        self,
        gradients: list[tf.Tensor],
        variables: list[tf.Variable],
        learning_rate: tf.Tensor,
    ) -> None:
        super()._backend_update_step(gradients, variables, self.tensors(learning_rate))


class Adam(_FewOperations, keras.optimizers.Adam):
    """Keras' Adam, whose rule for one variable is one operation instead of twenty.

    It takes half of Keras' time over the 55 variables of Kohl's segmentor, and a third to trace.
    `amsgrad` is not among what it does.
    """

    def tensors(self, learning_rate: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The rate makes up for the moments' start at zero."""
        step = tf.cast(self.iterations + 1, learning_rate.dtype)
        of_mean, of_square = (1.0 - tf.pow(beta, step) for beta in (self.beta_1, self.beta_2))
        rate = learning_rate * tf.sqrt(of_square) / of_mean
        return rate, *_constants(self.beta_1, self.beta_2, self.epsilon, 0.0)

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tuple[tf.Tensor, ...]
    ) -> None:
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


class RMSprop(_FewOperations, keras.optimizers.RMSprop):
    """Keras' RMSprop, whose rule for one variable is eleven operations instead of eighteen.

    Neither `centered` nor `momentum` is among what it does.
    """

    def tensors(self, learning_rate: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return learning_rate, *_constants(self.rho, 1 - self.rho, self.epsilon)

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tuple[tf.Tensor, ...]
    ) -> None:
        rate, rho, rest, epsilon = learning_rate
        mean_square = self._velocities[self._get_variable_index(variable)].value
        found = rho * mean_square + rest * tf.square(gradient)
        mean_square.assign(found, read_value=False)
        variable.assign_sub(rate * gradient / tf.sqrt(found + epsilon), read_value=False)


def _constants(*values: float) -> list[tf.Tensor]:
    return [tf.constant(value, tf.float32) for value in values]


def torch_rmsprop(rate: float) -> keras.optimizers.Optimizer:
    """RMSprop of Torch and PyTorch.

    Keras adds 1e-7 to the mean square of the gradient: against gradients of 1e-6, as losses of rare
    regions and means over many voxels have, that is a brake that stops learning. Torch adds 1e-8 to
    its root.
    """
    return RMSprop(rate, rho=0.99, epsilon=1e-16)
