"""What a model may be asked, by the names of its signatures."""

from collections.abc import Callable
from typing import Any, TypeAlias

import tensorflow as tf

from tfadv.inference.predictor import Predictor

Signature: TypeAlias = Any  # A tf.function, which has no type of its own.
FLOAT_BYTES = 4


def signatures(predictor: Predictor) -> dict[str, Signature]:
    """Of a predictor whose description is an asset.

    serving_default(volume: float32 [Z, Y, X, C]) -> all that `Predictor.serve` gives
    without_probabilities(volume) -> the same without these, which are most of an answer's bytes
    integer(volume), integer_without_probabilities(volume): the same of the record set's own type,
        if that is an integer of fewer bytes than float32
    description() -> {description}: the text of the asset
    """
    asked: dict[str, Signature] = {
        "serving_default": predictor.serve,
        "without_probabilities": _of(predictor, tf.float32, probabilities=False),
        "description": _description_of(predictor),
    }
    dtype = tf.as_dtype(predictor.image_dtype)
    if dtype.is_integer and dtype.size < FLOAT_BYTES:
        asked["integer"] = _of(predictor, dtype, probabilities=True)
        asked["integer_without_probabilities"] = _of(predictor, dtype, probabilities=False)
    return asked


def _of(predictor: Predictor, dtype: tf.DType, *, probabilities: bool) -> Signature:
    """What calls the predictor's graph, so that there is one of it."""

    def answer(volume: tf.Tensor) -> dict[str, tf.Tensor]:
        found = predictor.serve(tf.cast(volume, tf.float32))
        return {name: found[name] for name in found if probabilities or name != "probabilities"}

    volume = tf.TensorSpec([None, None, None, predictor.channels], dtype, "volume")
    return _traced(answer, volume)


def _description_of(predictor: Predictor) -> Signature:
    return _traced(lambda: {"description": tf.io.read_file(predictor.description.asset_path)})


def _traced(answer: Callable[..., dict[str, tf.Tensor]], *inputs: tf.TensorSpec) -> Signature:
    return tf.function(answer, input_signature=inputs, autograph=False)
