"""What an ONNX file answers in onnxruntime, beside what the predictor answers."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf

from tfadv.inference.predictor import Predictor


def session_of(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # Refusals are raised, too.
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def answered(session: onnxruntime.InferenceSession, volume: np.ndarray) -> dict[str, np.ndarray]:
    names = [answer.name for answer in session.get_outputs()]
    return dict(zip(names, session.run(names, {"volume": volume}), strict=True))


def require_same_answers(
    model: onnx.ModelProto,
    predictor: Predictor,
    volumes: Sequence[np.ndarray],
    atol: float = 1e-5,
    ties: float = 0.0,
) -> None:
    """Labels are equal, and probabilities but for the order in which sums are taken.

    Args:
        ties: the share of voxels where two classes may be about as likely, so that the order
            decides: of networks that learned nothing.
    """
    session = session_of(model)
    for volume in volumes:
        expected = {k: v.numpy() for k, v in predictor.predict(tf.constant(volume)).items()}
        found = answered(session, volume)
        assert {name: (each.dtype, each.shape) for name, each in found.items()} == {
            name: (each.dtype, each.shape) for name, each in expected.items()
        }
        np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=atol)
        assert np.mean(found["label"] != expected["label"]) <= ties
        assert len(np.unique(expected["label"])) > 1  # Else it would say nothing.
