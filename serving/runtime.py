"""A model of tfadv at MLServer, by the Open Inference Protocol. Needs no code of tfadv.

A request names its inputs, their types and the outputs that it wants; of the SavedModel's
signatures, the one that takes these and gives those, and the least beside them, answers.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from mlserver import MLModel, ModelSettings, raw
from mlserver.codecs import NumpyCodec
from mlserver.codecs.numpy import to_datatype, to_dtype
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput, TensorData
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

WARM_UP = "assets.extra/tf_serving_warmup_requests"
# By gRPC, arrays come and go as bytes. MLServer itself would make a Python number of each voxel in
# between: 20 s of a volume of BraTS.
raw._unpack_tensor = lambda tensor, content: np.frombuffer(content, to_dtype(tensor))
raw.TensorData = TensorData.model_construct  # Which looks at no voxel, either.
raw._pack_tensor = lambda tensor: np.asarray(tensor.data.root, to_dtype(tensor)).tobytes()


def latest(model: Path) -> Path:
    """The version of the largest number in a model's folder."""
    return model / str(max(int(path.name) for path in model.iterdir() if path.name.isdecimal()))


class SavedModel(MLModel):
    """The latest version in the folder of `parameters.uri`, one request at a time.

    Attributes:
        failures: what is wrong with models that could not be loaded, a line each.
    """

    failures: ClassVar[list[str]] = []

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        assert settings.parameters is not None
        self._folder = latest(Path(str(settings.parameters.uri)))
        settings.parameters.version = self._folder.name
        # One volume fills the processors, and memory: others wait.
        self._worker = ThreadPoolExecutor(1)

    async def load(self) -> bool:
        try:
            await self._at_work(self._load)
        # TensorFlow raises dozens of types on damaged models; MLServer ends at any.
        except Exception as error:
            reason = (str(error).splitlines() or [repr(error)])[0]
            self.failures.append(f"{self._folder}: cannot be loaded ({reason}); export it again")
            raise
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        return await self._at_work(self._answer, payload)

    async def _at_work(self, do: Any, *arguments: Any) -> Any:
        """Elsewhere than where the server listens, so that it always does."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, do, *arguments)

    def _load(self) -> None:
        self._model = tf.saved_model.load(str(self._folder))
        for record in tf.data.TFRecordDataset(str(self._folder / WARM_UP)).as_numpy_iterator():
            request = PredictionLog.FromString(record).predict_log.request
            inputs = {n: tf.constant(tf.make_ndarray(v)) for n, v in request.inputs.items()}
            self._model.signatures[request.model_spec.signature_name](**inputs)

    def _answer(self, request: InferenceRequest) -> InferenceResponse:
        arrays = {given.name: NumpyCodec.decode_input(given) for given in request.inputs}
        wanted = [output.name for output in request.outputs or ()]
        signature = self._signature(arrays, wanted)
        try:
            found = signature(**{name: tf.constant(array) for name, array in arrays.items()})
        except tf.errors.OpError as error:  # Of a volume that the graph refuses, or of no memory.
            raise InferenceError(error.message) from error
        in_bytes = any(isinstance(given.data.root, np.ndarray) for given in request.inputs)
        outputs = [_encoded(name, found[name].numpy(), in_bytes) for name in wanted or found]
        return InferenceResponse(
            model_name=self.name, model_version=self._folder.name, outputs=outputs
        )

    def _signature(self, arrays: dict[str, np.ndarray], wanted: list[str]) -> Any:
        given = {name: tf.as_dtype(array.dtype) for name, array in arrays.items()}
        fitting = [
            signature
            for signature in self._model.signatures.values()
            if _taken(signature) == given and signature.structured_outputs.keys() >= set(wanted)
        ]
        if not fitting:
            raise InferenceError(f"no signature takes {_said(given)} and gives {wanted or 'all'}")
        most = not wanted  # Who names no output gets all.
        return sorted(fitting, key=lambda one: len(one.structured_outputs), reverse=most)[0]


def _taken(signature: Any) -> dict[str, tf.DType]:
    return {name: spec.dtype for name, spec in signature.structured_input_signature[1].items()}


def _said(given: dict[str, tf.DType]) -> str:
    return ", ".join(f"{name} of {dtype.name}" for name, dtype in given.items()) or "no input"


def _encoded(name: str, value: Any, in_bytes: bool) -> ResponseOutput:
    if isinstance(value, bytes):
        return ResponseOutput(name=name, shape=[1], datatype="BYTES", data=[value])
    return ResponseOutput(
        name=name,
        shape=list(value.shape),
        datatype=to_datatype(value.dtype),
        data=TensorData.model_construct(value if in_bytes else value.ravel().tolist()),
    )
