"""A model of tfadv at MLServer, by the Open Inference Protocol. Needs no code of tfadv.

A request names its inputs, their types and the outputs that it wants; of the SavedModel's
signatures, the one that takes these and gives those, and the least beside them, answers.
"""

import asyncio
import hashlib
import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from mlserver import MLModel, ModelSettings, raw
from mlserver.codecs.numpy import to_datatype, to_dtype
from mlserver.errors import InferenceError
from mlserver.types import (
    InferenceRequest,
    InferenceResponse,
    RequestInput,
    ResponseOutput,
    TensorData,
)
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

# How TensorFlow tells what the graph's checks say, whatever it has to add.
REFUSED = re.compile(r"assertion failed: \[(.*?):\] (\[.*?\])", re.DOTALL)
DESCRIPTION = "assets/description.json"
WARM_UP = "assets.extra/tf_serving_warmup_requests"
# By gRPC, arrays come and go as bytes. MLServer itself would make a Python number of each voxel in
# between: 20 s of a volume of BraTS.
raw._unpack_tensor = lambda tensor, content: np.frombuffer(content, to_dtype(tensor))
raw.TensorData = TensorData.model_construct  # Which looks at no voxel, either.
raw._pack_tensor = lambda tensor: np.asarray(tensor.data.root, to_dtype(tensor)).tobytes()


def latest(model: Path) -> Path:
    """The version of the largest number in a model's folder."""
    return model / str(max(int(path.name) for path in model.iterdir() if path.name.isdecimal()))


def failure(version: Path, error: Exception) -> str:
    """Why a version cannot be served, in a line."""
    reason = (str(error).splitlines() or [repr(error)])[0]
    return f"{version}: cannot be loaded ({reason}); export it again"


def require_whole(version: Path) -> None:
    """Raises ValueError, which names it, where a file is not the one that was exported."""
    files = json.loads((version / DESCRIPTION).read_text())["files"]
    for name, sha256 in files.items():
        with (version / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise ValueError(f"{name} changed since it was exported")


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
            self.failures.append(failure(self._folder, error))
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
        arrays = {name: _decoded(given) for name, given in _by_name(request).items()}
        wanted = [output.name for output in request.outputs or ()]
        signature = self._signature(arrays, wanted)
        _require_axes(signature, arrays)
        try:
            found = signature(**{name: tf.constant(array) for name, array in arrays.items()})
        except tf.errors.OpError as error:  # Of a volume that the graph refuses, or of no memory.
            raise InferenceError(_line(error.message)) from error
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


def _by_name(request: InferenceRequest) -> dict[str, RequestInput]:
    counts = Counter(given.name for given in request.inputs)
    if again := [name for name, count in counts.items() if count > 1]:
        raise InferenceError(f"{again[0]}: expected one input of this name, received several")
    return {given.name: given for given in request.inputs}


def _decoded(given: RequestInput) -> np.ndarray:
    """Raises InferenceError where an input's data are not of its type and shape."""
    try:
        return np.asarray(given.data.root, to_dtype(given)).reshape(_shape(given))
    except (ValueError, TypeError, OverflowError, IndexError) as error:
        raise InferenceError(
            f"{given.name}: expected numbers of its datatype, as many as its shape {given.shape} "
            f"says, received others ({_line(str(error))})"
        ) from error


def _shape(given: RequestInput) -> list[int]:
    """NumPy would find an extent of -1 by itself."""
    if any(extent < 0 for extent in given.shape):
        raise ValueError("an extent is below 0")
    return given.shape


def _line(message: str) -> str:
    """What the graph refuses, or whatever is said, in one line."""
    refused = REFUSED.search(message)
    return f"{refused[1]}: {refused[2]}" if refused else " ".join(message.split())


def _require_axes(signature: Any, arrays: dict[str, np.ndarray]) -> None:
    """Raises InferenceError where there are other axes, at which a graph's own checks stumble."""
    for name, spec in signature.structured_input_signature[1].items():
        if arrays[name].ndim != len(spec.shape):
            raise InferenceError(
                f"{name}: expected {len(spec.shape)} axes, received shape "
                f"{list(arrays[name].shape)}"
            )


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
