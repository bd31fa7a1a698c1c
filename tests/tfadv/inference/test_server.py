"""A client against a server of the protocol that is not ours, and misbehaves."""

import hashlib
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from serving.process import free_ports
from tfadv.inference import server
from tfadv.inference.address import Address
from tfadv.inference.description import DESCRIPTION
from tfadv.inference.model import checksum_of, read_description
from tfadv.inference.server import remote
from tfrecords.errors import UserError

ROOT = Path(__file__).parents[3]
REFUSED = """\
Graph execution error:
assertion failed: [volume: expected finite intensities. Received NaN or infinity. Shape:] [3 4 5 2]
\t [[{{node Assert_2/Assert}}]] [Op:__inference_signature_wrapper_123]"""
Abort = tuple[grpc.StatusCode, str]


class Fake(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Answers zeros, or what `faults` holds first."""

    def __init__(self, description: bytes) -> None:
        self.description = description
        self.version = "1"
        self.faults: list[Abort] = []
        self.asked: list[Any] = []
        self.maps = 3
        self.outputs: set[str] = {"description", "label", "quality", "probabilities"}

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.asked.append(request)
        if self.faults:
            context.abort(*self.faults.pop(0))
        answer = service_pb2.ModelInferResponse(
            model_name=request.model_name, model_version=self.version
        )
        for wanted in request.outputs:
            if wanted.name in self.outputs:
                self._add(answer, wanted.name, request)
        return answer

    def _add(self, answer: Any, name: str, request: Any) -> None:
        if name == "description":
            text = self.description
            shape, kind = [1], "BYTES"
            raw = len(text).to_bytes(4, "little") + text
        else:
            voxels = list(request.inputs[0].shape)[:3]
            shapes = {"label": voxels, "quality": [1], "probabilities": [*voxels, self.maps]}
            shape = shapes[name]
            kind, dtype = ("UINT8", np.uint8) if name == "label" else ("FP32", np.float32)
            raw = np.zeros(shape, dtype).tobytes()
        answer.outputs.add(name=name, datatype=kind, shape=shape)
        answer.raw_output_contents.append(raw)


Start = Callable[[], None]


@pytest.fixture
def fake(model_dir: Path) -> Fake:
    return Fake((model_dir / "assets" / DESCRIPTION).read_bytes())


@pytest.fixture
def address() -> Address:
    return Address("grpc", f"localhost:{free_ports(1)[0]}", "tumour")


@pytest.fixture
def start(fake: Fake, address: Address) -> Iterator[Start]:
    """Starts the server. It ends with the test."""
    started = []

    def begin() -> None:
        found = grpc.server(futures.ThreadPoolExecutor(2))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(fake, found)
        assert found.add_insecure_port(address.host)
        found.start()
        started.append(found)

    yield begin
    for each in started:
        each.stop(0)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "AWAY_S", 3.0)
    monkeypatch.setattr(server, "UNKNOWN_S", 0.5)


def volume() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 9, (3, 4, 5, 2)).astype(np.float32)


def test_the_server_says_what_the_model_is(
    start: Start, fake: Fake, address: Address, model_dir: Path
) -> None:
    start()
    model = remote(address)
    assert model.description == read_description(model_dir)
    assert model.checksum == checksum_of(model_dir) == hashlib.sha256(fake.description).hexdigest()
    (asked,) = fake.asked
    assert (asked.model_name, asked.model_version, list(asked.inputs)) == ("tumour", "", [])


def test_probabilities_come_only_where_they_are_wanted(
    start: Start, fake: Fake, address: Address
) -> None:
    start()
    model = remote(address)
    for wanted, maps in ((False, 0), (True, 3)):
        found = model.open(wanted)(volume())
        assert found.label.shape == (3, 4, 5)
        assert found.label.dtype == np.uint8
        assert found.probabilities.shape == (3, 4, 5, maps)
        outputs = [output.name for output in fake.asked[-1].outputs]
        assert outputs == ["label", "quality", "probabilities"][: 2 + wanted]
        np.testing.assert_array_equal(found.quality, [0])


def test_volumes_are_compressed_on_a_wire(
    start: Start, fake: Fake, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And arrive as they were."""
    start()
    monkeypatch.setattr(Address, "near", False)
    remote(address).open(False)(volume())
    received = np.frombuffer(fake.asked[-1].raw_input_contents[0], np.int16)
    np.testing.assert_array_equal(received, volume().ravel())


@pytest.mark.parametrize(
    ("change", "sent"), [(0.0, "INT16"), (0.5, "FP32"), (1e6, "FP32"), (np.nan, "FP32")]
)
def test_whole_numbers_travel_as_the_record_sets_integers(
    start: Start, fake: Fake, address: Address, change: float, sent: str
) -> None:
    start()
    given = volume()
    given[1, 2, 3, 0] += change
    remote(address).open(False)(given)
    (tensor,) = fake.asked[-1].inputs
    assert (tensor.name, tensor.datatype, list(tensor.shape)) == ("volume", sent, [3, 4, 5, 2])
    dtype = {"INT16": np.int16, "FP32": np.float32}[sent]
    received = np.frombuffer(fake.asked[-1].raw_input_contents[0], dtype)
    np.testing.assert_array_equal(received, given.ravel())


def test_what_the_graph_refuses_is_one_line_at_once(
    start: Start, fake: Fake, address: Address
) -> None:
    start()
    segment = remote(address).open(False)
    for code, said, expected in (
        (grpc.StatusCode.INVALID_ARGUMENT, REFUSED, r"volume: expected finite .*: \[3 4 5 2\]"),
        (grpc.StatusCode.INTERNAL, "out of\n memory", "out of memory"),
    ):
        fake.faults = [(code, said)]
        before = len(fake.asked)
        with pytest.raises(UserError, match=rf"^{re.escape(str(address))}: {expected}$"):
            segment(volume())
        assert len(fake.asked) == before + 1


@pytest.mark.parametrize(
    "fault",
    [
        (grpc.StatusCode.UNAVAILABLE, "Socket closed"),
        (grpc.StatusCode.INVALID_ARGUMENT, "Model tumour is not ready yet."),
    ],
)
def test_a_server_that_restarts_is_asked_again(
    start: Start, fake: Fake, address: Address, fault: Abort, caplog: pytest.LogCaptureFixture
) -> None:
    start()
    segment = remote(address).open(False)
    fake.faults = [fault]
    assert segment(volume()).label.shape == (3, 4, 5)
    (told,) = caplog.messages
    assert told.startswith(f"{address}: {fault[1]}; trying again for ")


@pytest.mark.slow
def test_a_server_that_is_not_there_yet_is_waited_for(start: Start, address: Address) -> None:
    threading.Timer(0.7, start).start()
    began = time.monotonic()
    remote(address)
    assert time.monotonic() - began > 0.6


@pytest.mark.slow
def test_patience_ends_in_a_line(start: Start, fake: Fake, address: Address) -> None:
    with pytest.raises(UserError, match=rf"^{address}: expected an answer, received none for 3 s"):
        remote(address)
    start()
    fake.faults = 20 * [(grpc.StatusCode.INVALID_ARGUMENT, "Model tumour not found")]
    with pytest.raises(UserError, match=r"received none for 0 s \(Model tumour not found\)\. Look"):
        remote(address)


def test_another_version_does_not_answer_in_the_middle(
    start: Start, fake: Fake, address: Address
) -> None:
    start()
    segment = remote(address).open(False)
    fake.version = "2"
    with pytest.raises(UserError, match=r"expected version 1, .* received an answer of version 2"):
        segment(volume())


def test_other_models_are_refused(start: Start, fake: Fake, address: Address) -> None:
    start()
    segment = remote(address).open(True)
    fake.maps = 2
    with pytest.raises(UserError, match=r"expected outputs \(\(3, 4, 5\), .* received"):
        segment(volume())
    fake.outputs = {"label"}
    with pytest.raises(UserError, match="expected the output description, received none: this is"):
        remote(address)
    fake.outputs = {"description"}
    for text, message in (
        (b"{", "expected a JSON object"),
        (fake.description.replace(b"RAS", b"LPS"), "their checksum"),
        (b'{"format_version": 1}', "expected format version"),
    ):
        fake.description = text
        with pytest.raises(UserError, match=rf"^{address}: .*{message}"):
            remote(address)


def test_http_knows_the_same_faults(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "AWAY_S", 0.3)
    away = Address("http", address.host, address.name)
    with pytest.raises(UserError, match=rf"^{away}: expected an answer, received none for 0 s"):
        remote(away)


@pytest.fixture
def said() -> list[tuple[int, bytes]]:
    """What a server answers by HTTP: statuses and bodies."""
    return []


@pytest.fixture
def by_http(said: list[tuple[int, bytes]]) -> Iterator[Address]:
    """Where that server is, whose requests are none of ours."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = said.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("localhost", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield Address("http", f"localhost:{found.server_port}", "tumour", "2")
        found.shutdown()
        thread.join()


def as_json(name: str, array: np.ndarray, datatype: str) -> dict[str, Any]:
    data = array.ravel().tolist()
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "data": data}


@pytest.mark.slow
def test_http_answers_are_read_and_faults_told_apart(
    by_http: Address, said: list[tuple[int, bytes]], fake: Fake
) -> None:
    text = fake.description.decode()
    described = {"name": "description", "shape": [1], "datatype": "BYTES", "data": [text]}
    whole = json.dumps({"model_version": "2", "outputs": [described]}).encode()
    said += [(503, b"<html>"), (400, b'{"error": "Model tumour is not ready yet."}'), (200, whole)]
    segment = remote(by_http).open(False)
    label = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    quality = as_json("quality", np.ones(1, np.float32), "FP32")
    outputs = [as_json("label", label, "UINT8"), quality]
    said.append((200, json.dumps({"model_version": "2", "outputs": outputs}).encode()))
    found = segment(volume())
    np.testing.assert_array_equal(found.label, label)
    assert (found.label.dtype, found.quality.tolist()) == (np.uint8, [1.0])
    for status, body, message in (
        (400, json.dumps({"error": REFUSED}).encode(), r"volume: expected finite .*\[3 4 5 2\]"),
        (
            404,
            b"<html>\n no",
            "expected an answer of the Open .*, received HTTP status 404: <html> no",
        ),
        (200, b"[]", "expected an answer of the Open .* HTTP status 200"),
    ):
        said.append((status, body))
        with pytest.raises(UserError, match=rf"^{by_http}: {message}"):
            segment(volume())
    with pytest.raises(UserError, match=rf"^{by_http}: volume: expected finite intensities\. Rec"):
        segment(volume() * np.nan)


CLIENT = """
import sys
sys.argv[0] = "launch/predict.py"
from tfadv.programs import cli, predict
try:
    cli.run(predict, sys.argv[1:])
finally:
    print({"tensorflow", "keras"} & set(sys.modules))
"""


def test_a_client_does_without_tensorflow(
    start: Start, address: Address, sources: Path, tmp_path: Path
) -> None:
    start()
    images = [f"--image={sources}/0_{name}.nii.gz" for name in ("t1", "t2")]
    flags = [f"--server={address}", *images, f"--output={tmp_path}/label.nii.gz"]
    command = [sys.executable, "-c", CLIENT, *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout == f"label map: {tmp_path}/label.nii.gz\nentropy 0\nset()\n", done.stderr
