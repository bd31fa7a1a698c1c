"""Losses of the two players of Goodfellow et al. 2014, from the discriminator's logits."""

import tensorflow as tf

from tfadv.losses.annotated import annotated_mean


def discriminator_loss(
    true_logits: tf.Tensor, generated_logits: tf.Tensor, annotated: tf.Tensor | None = None
) -> tf.Tensor:
    """-mean[log D(y) + log(1 - D(S(x)))] (Kohl 2017, eq. 3); 2 log 2 where D knows nothing.

    Args:
        true_logits: of pairs with the reference, any shape.
        generated_logits: of pairs with the prediction, any shape.
        annotated: of their shape, 0 where they count nothing; None where all count.

    Returns:
        float32 scalar in [0, inf).
    """
    return annotated_mean(tf.nn.softplus(-true_logits), annotated) + annotated_mean(
        tf.nn.softplus(generated_logits), annotated
    )


def non_saturating_segmentor_loss(
    generated_logits: tf.Tensor, annotated: tf.Tensor | None = None
) -> tf.Tensor:
    """-mean log D(S(x)) (Kohl 2017, eq. 4); 0 where the discriminator takes all for true.

    Args:
        generated_logits: any shape.
        annotated: of the same shape, 0 where they count nothing; None where all count.

    Returns:
        float32 scalar in [0, inf).
    """
    return annotated_mean(tf.nn.softplus(-generated_logits), annotated)
