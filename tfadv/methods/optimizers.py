"""Optimizers as the papers' frameworks define them."""

import keras


def torch_rmsprop(rate: float) -> keras.optimizers.Optimizer:
    """RMSprop of Torch and PyTorch.

    Keras adds 1e-7 to the mean square of the gradient: against gradients of 1e-6, as losses of rare
    regions and means over many voxels have, that is a brake that stops learning. Torch adds 1e-8 to
    its root.
    """
    return keras.optimizers.RMSprop(rate, rho=0.99, epsilon=1e-16)
