"""What an ONNX file answers in onnxruntime, beside what the predictor answers."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf

from tfadv.inference.predictor import Predictor
from tfadv.inference.targets import Targets


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
        atol: the most by which a probability may differ.
        ties: labels may differ where the probabilities of the model's two likeliest classes differ
            by less than this, and nowhere else: there, the order of sums decides. With 2 * `atol`,
            no label differs that the probabilities do not explain.
    """
    session = session_of(model)
    for volume in volumes:
        expected = {k: v.numpy() for k, v in predictor.predict(tf.constant(volume)).items()}
        found = answered(session, volume)
        assert {name: (each.dtype, each.shape) for name, each in found.items()} == {
            name: (each.dtype, each.shape) for name, each in expected.items()
        }
        np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=atol)
        differing = found["label"] != expected["label"]
        lead = _lead(expected["probabilities"], predictor.targets)[differing]
        assert (lead < ties).all(), f"labels of {lead.size} voxels differ, with leads of {lead}"
        assert len(np.unique(expected["label"])) > 1  # Else it would say nothing.


def _lead(probabilities: np.ndarray, targets: Targets) -> np.ndarray:
    """By how much the likeliest class of each voxel [...] is likelier than the next one.

    A class is as likely as that a voxel belongs to exactly its regions.
    """
    covered = targets.membership().astype(bool)[:, :, None]
    maps = probabilities.astype(float).reshape(-1, len(targets.names)).T[:, None]
    likely = maps[:, 0] if targets.exclusive else np.where(covered, maps, 1 - maps).prod(axis=0)
    second, first = np.sort(likely / likely.sum(axis=0), axis=0)[-2:]
    return (first - second).reshape(probabilities.shape[:-1])
