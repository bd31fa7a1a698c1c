"""Writes tensorflow_addons.npz: what tensorflow-addons 0.23.0 computes, kept as a reference.

tensorflow-addons, long the usual source of instance normalisation and of rotation in the graph, is
no longer maintained and cannot be imported beside Keras 3. Its outputs on seeded inputs are stored
instead, and test_tensorflow_addons.py compares what takes its place against them. Run it from the
repository's root, in an environment of its own, with Python 3.9 to 3.11:

    python3.10 -m venv addons
    addons/bin/pip install 'tensorflow-cpu==2.15.*' 'tensorflow-addons==0.23.0' 'numpy<2'
    addons/bin/python tests/golden/make_tensorflow_addons.py
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

SEED = 20190513
PATH = Path(__file__).with_name("tensorflow_addons.npz")


def instance_normalisation(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The output, and the gradient of sum(output * weights) with respect to the inputs.

    The channels differ in mean and spread. In the first the variance is about 1e-3, the default
    epsilon, so that an epsilon put elsewhere would show.
    """
    spread = np.array([0.03, 0.3, 1.0, 2.0, 5.0])
    mean = np.array([0.0, -1.0, 0.5, 3.0, -4.0])
    inputs = (mean + spread * rng.standard_normal((2, 7, 6, 5))).astype(np.float32)
    weights = rng.standard_normal(inputs.shape).astype(np.float32)
    gamma = rng.uniform(0.5, 2.0, 5).astype(np.float32)
    beta = rng.uniform(-1.0, 1.0, 5).astype(np.float32)

    layer = tfa.layers.InstanceNormalization(
        gamma_initializer=tf.constant_initializer(gamma),
        beta_initializer=tf.constant_initializer(beta),
    )
    variable = tf.Variable(inputs)
    with tf.GradientTape() as tape:
        outputs = layer(variable)
        loss = tf.reduce_sum(outputs * weights)
    return {
        "inputs": inputs,
        "weights": weights,
        "gamma": gamma,
        "beta": beta,
        "epsilon": np.float64(layer.epsilon),
        "outputs": outputs.numpy(),
        "gradient": tape.gradient(loss, variable).numpy(),
    }


def rotation(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Images rotated bilinearly and labels by the nearest voxel, each example by its own angle.

    Height and width differ, so that mixing them up would show. The labels are noise: a voxel taken
    from one place beside the right one seldom has the same value.
    """
    angles = np.array([0.0, np.pi / 8, -np.pi / 8, 0.1, 2.5], np.float32)
    noise = rng.uniform(0.0, 1.0, (5, 17, 23, 2))
    steps = (-1, 0, 1)
    images = np.mean([np.roll(noise, (dy, dx), (1, 2)) for dy in steps for dx in steps], axis=0)
    images = images.astype(np.float32)
    labels = rng.integers(0, 5, (5, 17, 23, 1), dtype=np.uint8)
    return {
        "angles": angles,
        "images": images,
        "labels": labels,
        "rotated_images": tfa.image.rotate(images, angles, "bilinear", "constant").numpy(),
        "rotated_labels": tfa.image.rotate(labels, angles, "nearest", "constant").numpy(),
    }


def main() -> None:
    """Stores the inputs beside the outputs: the tests then do not hang on how NumPy draws."""
    parts = {
        "instance": instance_normalisation(np.random.default_rng(SEED)),
        "rotation": rotation(np.random.default_rng(SEED + 1)),
        "version": {library.__name__: np.array(library.__version__) for library in (np, tf, tfa)},
    }
    arrays = {f"{part}/{key}": array for part, of in parts.items() for key, array in of.items()}
    np.savez_compressed(PATH, **arrays)


if __name__ == "__main__":
    main()
