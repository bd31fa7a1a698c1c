"""One request to a server of the Open Inference Protocol, by gRPC or HTTP."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import requests
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import (
    InferenceServerException,
    np_to_triton_dtype,
    triton_to_np_dtype,
)

from tfadv.inference.address import Address

# A large volume of a large ensemble takes minutes on a CPU; a server that hangs must not hang us.
CALL_S = 3600
CONNECT_S = 10
LARGEST_MESSAGE = 2**31 - 1
CHANNEL = (
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    # A server that comes back is seen soon, however long it was away.
    ("grpc.max_reconnect_backoff_ms", 2000),
)
# What a server says while it loads the model, or where it has none of this name.
_LOADING, _UNKNOWN = "not ready", "not found"
_AWAY = (502, 503, 504)  # Said by what stands before a server.
# JSON has no such numbers, so that the graph cannot say it.
_NOT_FINITE = "volume: expected finite intensities. Received NaN or infinity"


class Refused(Exception):  # noqa: N818
    """The server will not answer this request, whenever it is asked."""


class Unanswered(Exception):  # noqa: N818
    """There is no answer now.

    Attributes:
        unknown: the server is there and does not know the model, unless it just started.
    """

    def __init__(self, reason: str, *, unknown: bool = False) -> None:
        super().__init__(" ".join(reason.split()))
        self.unknown = unknown


class Answer(NamedTuple):
    """Outputs by their names, and the version of the model that gave them."""

    outputs: dict[str, np.ndarray]
    version: str


Transport = Callable[[Mapping[str, np.ndarray], Sequence[str]], Answer]


def transport_to(address: Address) -> Transport:
    """What sends named arrays to a model and asks for outputs by their names.

    It raises Refused or Unanswered.
    """
    return _by_grpc(address) if address.scheme.startswith("grpc") else _by_http(address)


def _by_grpc(address: Address) -> Transport:
    client = InferenceServerClient(address.host, ssl=address.encrypted, channel_args=CHANNEL)

    def ask(inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> Answer:
        given = [_given(*item) for item in inputs.items()]
        wanted = [InferRequestedOutput(name) for name in outputs]
        try:
            found = client.infer(
                address.name,
                given,
                address.version,
                wanted,
                client_timeout=CALL_S,
                compression_algorithm=None if address.near else "gzip",
            )
        except InferenceServerException as error:
            raise _of_grpc(error) from None
        arrays = {name: found.as_numpy(name) for name in outputs}
        there = {name: array for name, array in arrays.items() if array is not None}
        return Answer(there, found.get_response().model_version)

    return ask


def _given(name: str, array: np.ndarray) -> InferInput:
    given = InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    return given.set_data_from_numpy(array)


def _by_http(address: Address) -> Transport:
    scheme = "https" if address.encrypted else "http"
    version = f"/versions/{address.version}" if address.version else ""
    url = f"{scheme}://{address.host}/v2/models/{quote(address.name)}{version}/infer"

    def ask(inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> Answer:
        given = [_as_json(*item) for item in inputs.items()]
        body: Any = {"inputs": given, "outputs": [{"name": name} for name in outputs]}
        try:
            found = requests.post(url, json=body, timeout=(CONNECT_S, CALL_S))
        except requests.exceptions.InvalidJSONError:
            raise Refused(_NOT_FINITE) from None
        except requests.exceptions.ReadTimeout as error:
            raise Refused(str(error)) from None
        except requests.exceptions.RequestException as error:
            raise Unanswered(_cause(error)) from None
        if found.status_code in _AWAY:
            raise Unanswered(f"HTTP status {found.status_code}")
        content = _content(found)
        if not found.ok:
            raise _of_server(str(content.get("error", found.reason)))
        arrays = {output["name"]: _from_json(**output) for output in content["outputs"]}
        return Answer(arrays, content.get("model_version") or "")

    return ask


def _content(answer: requests.Response) -> dict[str, Any]:
    """Raises Refused where it is not of the protocol: another server, or a wrong address."""
    try:
        content = answer.json()
    except requests.exceptions.JSONDecodeError:
        content = None
    if isinstance(content, dict) and (not answer.ok or "outputs" in content):
        return content
    said = " ".join(answer.text.split())
    raise Refused(
        f"expected an answer of the Open Inference Protocol, received HTTP status "
        f"{answer.status_code}: {said:.100}"
    )


def _as_json(name: str, array: np.ndarray) -> dict[str, object]:
    datatype = np_to_triton_dtype(array.dtype)
    shape = list(array.shape)
    return {"name": name, "shape": shape, "datatype": datatype, "data": array.ravel().tolist()}


def _from_json(datatype: str, shape: list[int], data: list[Any], **_: object) -> np.ndarray:
    if datatype == "BYTES":
        return np.array([text.encode() for text in data], object)
    return np.array(data, triton_to_np_dtype(datatype)).reshape(shape)


def _cause(error: BaseException) -> str:
    """What the system says, without the ways that it took through libraries."""
    reason = error.__cause__ or error.__context__
    return _cause(reason) if reason else str(error) or type(error).__name__


def _of_grpc(error: InferenceServerException) -> Exception:
    if error.status() in ("StatusCode.UNAVAILABLE", "StatusCode.CANCELLED"):
        return Unanswered(error.message())
    return _of_server(error.message() or "")


def _of_server(message: str) -> Exception:
    if _LOADING in message or _UNKNOWN in message:
        return Unanswered(message, unknown=_UNKNOWN in message)
    return Refused(message)
