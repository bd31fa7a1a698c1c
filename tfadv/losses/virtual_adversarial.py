"""Virtual adversarial training (Peiris et al. 2021, eq. 4, after Miyato et al. 2018).

The term is the mean over samples of D(target || F(X + r_adv)). r_adv is the perturbation of size
epsilon that raises D most, found by power iteration on D's gradient (Miyato 2018, algorithm 1).

Paper symbols: F is the segmentor, X the image, D the Kullback-Leibler divergence. The target is
Y, the truth (Peiris 2021, as printed), or F(X), the prediction on the clean image, taken as a
constant (Miyato 2018).

The two targets differ in what the power iteration finds. D's gradient at r = 0 is not zero for the
truth: one iteration is a normalised gradient step. It is zero for the prediction, where D is least;
at r = xi * d it is xi times the Hessian times d, so iterations turn d towards the Hessian's top
eigenvector. xi must then be large enough to be seen in the network's precision: bfloat16 has 8 bits
and rounds away most changes below 1/512 of an intensity. float16 has 11, but no numbers below 6e-8,
where the gradient of a mean over voxels lies: the power iteration takes it of about the sum.

A perturbation's size is its root mean square over a sample's voxels and channels, not its norm: so
it means the same for crops of any extent.
"""

import math
from collections.abc import Callable

import tensorflow as tf

from tfadv.losses.annotated import annotated_mean


def bernoulli_divergence(
    target: tf.Tensor, logits: tf.Tensor, annotated: tf.Tensor | None = None
) -> tf.Tensor:
    """KL(target || sigmoid(logits)), the sum over maps, the mean over voxels.

    Args:
        target: masks or probabilities [B, ..., R] in [0, 1].
        logits: float32 of the same shape.
        annotated: [B, ...], 0 at voxels that count nothing; None where all count.

    Returns:
        float32 [B] in [0, inf), up to rounding; 0 where both are equal.
    """
    target = tf.cast(target, logits.dtype)
    present = tf.math.xlogy(target, target) + target * tf.nn.softplus(-logits)
    absent = tf.math.xlogy(1 - target, 1 - target) + (1 - target) * tf.nn.softplus(logits)
    voxels = list(range(1, len(logits.shape) - 1))
    return annotated_mean(tf.reduce_sum(present + absent, -1), annotated, voxels)


def adversarial_perturbation(
    divergence: Callable[[tf.Tensor], tf.Tensor],
    image: tf.Tensor,
    start: tf.Tensor,
    *,
    epsilon: float,
    xi: float,
    iterations: int,
) -> tf.Tensor:
    """r_adv: where the divergence grows most, by power iteration from a random direction.

    A sample whose gradient is zero keeps its last direction.

    Args:
        divergence: image [B, ..., C] -> [B], each sample's a function of that sample alone.
            Networks answer as in inference: no running statistic moves, no sample sees another.
        image: float32 [B, ..., C].
        start: random numbers of the same shape, of which no sample's are all zero.
        epsilon: the size of each sample's perturbation, in units of the image.
        xi: the size at which the gradient is taken, in units of the image.
        iterations: gradients to take; 0 gives the start's direction.

    Returns:
        float32 [B, ..., C], a constant to any gradient.
    """
    direction = _normalised(start, otherwise=start)
    # The largest power of two that is no more than the voxels: it rounds nothing, and the direction
    # is the same.
    voxels = tf.cast(tf.size(image[0, ..., 0]), tf.float32)
    scale = tf.pow(2.0, tf.floor(tf.math.log(voxels) / math.log(2.0)))
    for _ in range(iterations):
        perturbation = xi * direction
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(perturbation)
            total = tf.reduce_sum(divergence(image + perturbation)) * scale
        direction = _normalised(tape.gradient(total, perturbation), otherwise=direction)
    return tf.stop_gradient(epsilon * direction)


def _normalised(values: tf.Tensor, otherwise: tf.Tensor) -> tf.Tensor:
    """Each sample of [B, ...] divided by its root mean square; `otherwise` where all is zero."""
    axes = list(range(1, len(values.shape)))
    # The largest value becomes 1 first: squares of 1e-25 would underflow.
    peak = tf.reduce_max(tf.abs(values), axes, keepdims=True)
    values = tf.math.divide_no_nan(values, peak)
    size = tf.sqrt(tf.reduce_mean(tf.square(values), axes, keepdims=True))
    return tf.where(size == 0, otherwise, tf.math.divide_no_nan(values, size))
