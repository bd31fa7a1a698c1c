"""Requests that a server makes of a model before it answers others, so that none waits for tracing.

TensorFlow Serving reads them from the model's own folder; it refuses a model that refuses them.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog, PredictLog

from tfadv.inference.signatures import Signature

WARM_UP = "assets.extra/tf_serving_warmup_requests"
# Of a network's windows: what a larger volume takes is more of them.
SHAPE = (4, 32, 32)


def write_warm_up(model_dir: Path, asked: Mapping[str, Signature]) -> None:
    """Writes a request of each signature that takes a volume: noise, [4, 32, 32, C]."""
    path = model_dir / WARM_UP
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as file:
        for name, signature in asked.items():
            for volume in signature.input_signature:
                file.write(_request(name, volume).SerializeToString(deterministic=True))


def _request(signature: str, volume: tf.TensorSpec) -> PredictionLog:
    noise = np.random.default_rng(0).integers(1, 100, (*SHAPE, volume.shape[-1]))
    request = PredictRequest()
    request.model_spec.signature_name = signature
    request.inputs[volume.name].CopyFrom(tf.make_tensor_proto(noise, volume.dtype))
    return PredictionLog(predict_log=PredictLog(request=request))
