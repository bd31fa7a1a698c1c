"""A model at a server: the same as one in a folder, for prediction."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from absl import logging

from tfadv.inference.address import Address
from tfadv.inference.description import REMEDY, VERSION, Description, require_possible
from tfadv.inference.segmented import Model, Segment, Segmented, refusal
from tfadv.inference.transport import Answer, Refused, Transport, Unanswered, transport_to
from tfrecords.errors import UserError
from tfrecords.files import parse_json

# For so long a server may be away, or load the model; for so long it may not know the name yet.
AWAY_S, UNKNOWN_S = 300.0, 10.0
PAUSE_S, LONGEST_PAUSE_S = 0.25, 4.0
FLOAT_BYTES = 4


def remote(address: Address) -> Model:
    """A model that a server has, which says itself what a client must know of it.

    Raises:
        UserError: the server is away, knows no such model, or has one of another kind; so does
            what is opened, of a volume that the model refuses, or if another version answers.
    """
    server = _Server(address, transport_to(address))
    text = server.ask({}, ["description"])["description"].reshape(-1)[0]
    description = parse_json(text, str(address), Description, VERSION, REMEDY)
    require_possible(description, str(address))
    checksum = hashlib.sha256(text).hexdigest()
    return Model(description, checksum, partial(_opened, server, description))


class _Server:
    """Asks until there is an answer, or too long there was none; always the same version."""

    def __init__(self, address: Address, transport: Transport) -> None:
        self.address = address
        self._transport = transport
        self._version = ""

    def ask(
        self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """The outputs of a request, by their names. Raises UserError as `remote`."""
        began, pause_s = time.monotonic(), PAUSE_S
        while True:
            try:
                return self._checked(self._transport(inputs, outputs), outputs)
            except Refused as error:
                said = refusal(str(error)) or " ".join(str(error).split())
                raise UserError(f"{self.address}: {said}") from None
            except Unanswered as error:
                patience_s = UNKNOWN_S if error.unknown else AWAY_S
                if time.monotonic() - began > patience_s:
                    raise UserError(
                        f"{self.address}: expected an answer, received none for {patience_s:.0f} s "
                        f"({error}). Look whether the server runs and has this model"
                    ) from None
                if pause_s == PAUSE_S:
                    logging.warning(
                        "%s: %s; trying again for %.0f s", self.address, error, patience_s
                    )
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _checked(self, answer: Answer, outputs: Sequence[str]) -> dict[str, np.ndarray]:
        if missing := [name for name in outputs if name not in answer.outputs]:
            raise UserError(
                f"{self.address}: expected the output {missing[0]}, received "
                f"{', '.join(answer.outputs) or 'none'}: this is no model of launch/export.py"
            )
        self._version = self._version or answer.version
        if answer.version != self._version:
            raise UserError(
                f"{self.address}: expected version {self._version}, with which this prediction "
                f"began, received an answer of version {answer.version}. Give /{self._version} or "
                f"/{answer.version} after the name, or the same command again"
            )
        return answer.outputs


def _opened(server: _Server, description: Description, probabilities: bool) -> Segment:
    """What asks for label maps, and only if wanted for probabilities: most of an answer's bytes."""
    outputs = ("label", "quality", "probabilities")[: 2 + probabilities]

    def segment(volume: np.ndarray) -> Segmented:
        found = server.ask({"volume": _sent(volume, description.image_dtype)}, outputs)
        maps = found.get("probabilities", np.zeros((*volume.shape[:3], 0), np.float32))
        answer = Segmented(found["label"], maps, found["quality"])
        shape = volume.shape[:3]
        wanted = shape, (*shape, len(description.maps) * probabilities), (len(description.quality),)
        if (received := tuple(array.shape for array in answer)) != wanted:
            raise UserError(f"{server.address}: expected outputs {wanted}, received {received}")
        return answer

    return segment


def _sent(volume: np.ndarray, dtype: str) -> np.ndarray:
    """The volume as the record set's integers, if it is of these: half the bytes, equal labels."""
    if np.issubdtype(dtype, np.integer) and np.dtype(dtype).itemsize < FLOAT_BYTES:
        with np.errstate(invalid="ignore"):  # Of what is beyond them; it differs then.
            whole = volume.astype(dtype)
        if np.array_equal(whole, volume):
            return whole
    return volume.astype(np.float32, copy=False)
