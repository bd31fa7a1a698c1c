"""What every named method's ONNX file answers in onnxruntime is what its model answers."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.tfadv.inference.answers import require_same_answers
from tests.tfadv.methods.conforming import slow_except, tiny
from tfadv.inference.onnx_conversion import convert
from tfadv.methods.method import Method
from tfadv.run.run import Run
from tfrecords.reading.record_set import RecordSet

# Of probabilities, two to three times what was seen: both add in float32, each in its order, and
# normalisation within small windows divides what that leaves by small deviations.
ATOL = {"volumes": 1e-3, "slices": 3e-5, "patches": 3e-5}

pytestmark = pytest.mark.usefixtures("seeded")


# Discriminators are in no file: Moeskops' dilated network is its adversarial partner's.
@slow_except({"moeskops_dilated"}, standing={"kohl_hybrid", "segan_s3_1c", "reciprocal_critic"})
def test_onnx_answers_as_the_model_does(
    method: type[Method], records_of: Callable[[str], RecordSet]
) -> None:
    """Windows, whole slices or whole volumes, of one that fits no window and of a smaller one."""
    run = Run.new(tiny(method), records_of(method.view.kind))
    predictor = run.predictor(run.build_model())
    body = np.random.default_rng(0).gamma(4, 100, (5, 45, 37, 2)).astype(np.float32)
    body[1:-1, 1:20, 1:20] = 0
    volumes = [body, body[1:4, 15:25, 12:30]]
    atol = ATOL[method.view.kind]
    require_same_answers(convert(predictor), predictor, volumes, atol=atol, ties=2 * atol)
