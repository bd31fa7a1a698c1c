"""One wrong request to a server, by HTTP, gRPC or as mere bytes, and what it answered."""

import json
import socket
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import requests
import tensorflow as tf
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from tests.campaign.material import volume
from tests.campaign.mutations import Random, damage, edit_json
from tests.campaign.running import NAME
from tests.campaign.volumes import label_of
from tfrecords.errors import UserError

SHAPE = (2, 9, 11, 2)
PATIENCE_S = 60.0
SAME, OTHER = "same", "other"
ODD_DATATYPES = ("FP16", "FP64", "INT64", "UINT8", "BOOL", "BYTES", "XX", "")
ODD_SHAPES: tuple[list[int], ...] = (
    *([], [0], [-1, *SHAPE[1:]], [*SHAPE, 1], [SHAPE[0] * SHAPE[1], *SHAPE[2:]], [2**62, 2**62]),
    *([2, 9, 11, 3], [2, 9, 11], [0, *SHAPE[1:]], [1], [2**31, 2, 1, 1], list(SHAPE[::-1])),
)
ODD_PATHS = (
    *("", "/", "/v2", "/v2/models", "/v2/models//infer", f"/v2/models/{NAME}/versions/9/infer"),
    *(
        "/v2/models/../../etc/passwd/infer",
        f"/v2/models/{'x' * 5000}/infer",
        "/v2/models/%00/infer",
    ),
    *(f"/v2/models/{NAME}/infer_stream", f"/v2/models/{NAME}/generate", "/metrics", "/x"),
    *(f"/v2/repository/models/{NAME}/unload", f"/v2/repository/models/{NAME}/load"),
)


def asked(model: Path, ports: tuple[int, ...], folder: Path, seed: int) -> str:
    """Whether the answer to a wrong request is the model's own to the volume that stands in it.

    Raises:
        UserError: it was refused, in a line.
        RuntimeError: it was answered otherwise, or a good request afterwards was.
    """
    random = np.random.default_rng(seed)
    good = volume(np.random.default_rng(0), SHAPE)
    ways = (_edited, _damaged, _by_grpc, _by_grpc, _elsewhere, _bytes)
    try:
        return ways[int(random.integers(len(ways)))](model, ports, folder, random, good)
    finally:
        if not np.array_equal(_infer(ports, _request(good)), label_of(model, good)):
            raise RuntimeError("a good request afterwards: other labels")


def _body(array: np.ndarray) -> dict[str, Any]:
    data = array.ravel().tolist()
    given = {"name": "volume", "shape": list(array.shape), "datatype": "FP32", "data": data}
    return {"inputs": [given], "outputs": [{"name": "label"}]}


def _edited(
    model: Path, ports: tuple[int, ...], folder: Path, random: Random, good: np.ndarray
) -> str:
    """An entry of the JSON is odd."""
    path = folder / "request.json"
    path.write_text(json.dumps(_body(good)))
    edit_json(path, random)
    return _posted(model, ports, path.read_bytes())


def _damaged(
    model: Path, ports: tuple[int, ...], folder: Path, random: Random, good: np.ndarray
) -> str:
    """Bytes of the JSON are."""
    path = folder / "request.json"
    path.write_text(json.dumps(_body(good)))
    damage(path, random)
    return _posted(model, ports, path.read_bytes())


def _posted(model: Path, ports: tuple[int, ...], body: bytes) -> str:
    """The request may be another good one: then its volume is read here as well."""
    url = f"http://localhost:{ports[0]}/v2/models/{NAME}/infer"
    answer = requests.post(url, data=body, timeout=PATIENCE_S)
    _require_accepted(answer)
    found = next(output for output in answer.json()["outputs"] if output["name"] == "label")
    label = np.array(found["data"], np.uint8).reshape(found["shape"])
    (given,) = json.loads(body)["inputs"]
    array = np.array(given["data"], np.float32).reshape(given["shape"])
    return _compared(model, array, label)


def _require_accepted(answer: requests.Response) -> None:
    """Raises as `asked`."""
    if answer.ok:
        return
    said = answer.json()
    line = said.get("error") or json.dumps(said["detail"])
    if "\n" in line or "Traceback" in line:
        raise RuntimeError(f"HTTP status {answer.status_code}: {answer.text}")
    raise UserError(line)


def _by_grpc(model: Path, ports: tuple[int, ...], _: Path, random: Random, good: np.ndarray) -> str:
    """A field of the message is odd, or the bytes of its volume are."""
    request = _request(good)
    (given,) = request.inputs
    raw = good.tobytes()
    way = int(random.integers(8))
    if way == 0:
        given.datatype = ODD_DATATYPES[int(random.integers(len(ODD_DATATYPES)))]
    elif way == 1:
        del given.shape[:]
        given.shape.extend(ODD_SHAPES[int(random.integers(len(ODD_SHAPES)))])
    elif way == 2:
        raw = raw[: int(random.integers(len(raw)))]
    elif way == 3:
        raw += random.bytes(int(random.integers(1, 99)))
    elif way == 4:
        raw = random.bytes(len(raw))
    elif way == 5:
        name = ("", "x", "volume ", "label", "\0")[int(random.integers(5))]
        holder, field = ((request, "model_name"), (given, "name"), (request.outputs[0], "name"))[
            int(random.integers(3))
        ]
        setattr(holder, field, name)
    elif way == 6:
        request.inputs.add().CopyFrom(given)
    else:
        request.model_version = ("0", "2", "x", "1 ", "-1")[int(random.integers(5))]
    request.raw_input_contents[0] = raw
    label = _infer(ports, request)
    array = np.frombuffer(raw, np.float32).reshape(given.shape)
    return _compared(model, array, label)


def _compared(model: Path, array: np.ndarray, label: np.ndarray) -> str:
    try:
        expected = label_of(model, array)
    except tf.errors.InvalidArgumentError as error:
        raise RuntimeError(f"answered, where the model refuses: {error.message}") from None
    return SAME if np.array_equal(label, expected) else OTHER


def _request(array: np.ndarray) -> Any:
    request = pb.ModelInferRequest(model_name=NAME, raw_input_contents=[array.tobytes()])
    request.inputs.add(name="volume", datatype="FP32", shape=array.shape)
    request.outputs.add(name="label")
    return request


def _infer(ports: tuple[int, ...], request: Any) -> np.ndarray:
    """The label map. Raises as `asked`."""
    with grpc.insecure_channel(f"localhost:{ports[1]}") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        try:
            answer = stub.ModelInfer(request, timeout=PATIENCE_S)
        except grpc.RpcError as error:
            line = error.details() or ""
            if not line or "\n" in line or error.code() is grpc.StatusCode.UNAVAILABLE:
                raise RuntimeError(f"{error.code()}: {line}") from None
            raise UserError(line) from None
    (label,) = answer.outputs
    return np.frombuffer(answer.raw_output_contents[0], np.uint8).reshape(label.shape)


def _elsewhere(_: Path, ports: tuple[int, ...], __: Path, random: Random, good: np.ndarray) -> str:
    """A good request to an address or by a verb that takes none."""
    path = ODD_PATHS[int(random.integers(len(ODD_PATHS)))]
    verb = ("POST", "POST", "PUT", "DELETE", "GET")[int(random.integers(5))]
    port = ports[int(random.integers(2)) * 2]
    url = f"http://localhost:{port}{path}"
    answer = requests.request(verb, url, json=_body(good), timeout=PATIENCE_S)
    if answer.status_code >= 500 or "Traceback" in answer.text:
        raise RuntimeError(f"{verb} {path}: HTTP status {answer.status_code}: {answer.text}")
    if answer.ok:  # What it has to say of itself.
        return SAME
    raise UserError(answer.text.splitlines()[0])


def _bytes(_: Path, ports: tuple[int, ...], __: Path, random: Random, ___: np.ndarray) -> str:
    """Noise, or a request that ends too early."""
    sent = random.bytes(int(random.integers(1, 4096)))
    if random.random() < 0.5:
        sent = (
            f"POST /v2/models/{NAME}/infer HTTP/1.1\r\nContent-Length: 99\r\n\r\n".encode() + b"{"
        )
    with socket.create_connection(("localhost", ports[int(random.integers(3))])) as connection:
        connection.sendall(sent)
    raise UserError("hung up")
