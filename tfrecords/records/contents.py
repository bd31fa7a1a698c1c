"""What a shard's examples are, in their order: whose, and which classes each holds.

A manifest keeps both as hexadecimal digits, some bits for each example, so that whoever wants
examples of some subjects or classes need not read the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tfrecords.records.views import Volumes

if TYPE_CHECKING:
    from tfrecords.records.manifest import Shard


@dataclass(frozen=True)
class Contents:
    """Of N examples of S subjects with C classes.

    Attributes:
        owners: int [N], numbers among the shard's subjects.
        holds: bool [N, C], whether any voxel of an example's label is of a class.
    """

    owners: np.ndarray
    holds: np.ndarray

    def packed(self, subjects: int) -> tuple[str, tuple[str, ...]]:
        """`Shard.owners` and `Shard.holds`: of each example its owner, of each class its bits."""
        owners = self.owners.astype(_number(subjects)).tobytes().hex()
        rows = np.packbits(self.holds, axis=0).T
        return owners, tuple(row.tobytes().hex() for row in rows)


def contents_of(shard: "Shard") -> Contents:
    """Raises ValueError where the shard's digits are none of as many examples."""
    owners = np.frombuffer(_bytes(shard.owners), _number(len(shard.subjects)))
    if owners.size != shard.examples or not (owners < len(shard.subjects)).all():
        raise ValueError(
            f"owners: expected numbers below {len(shard.subjects)} of {shard.examples} examples, "
            f"received {shard.owners!r:.80}"
        )
    rows = [np.frombuffer(_bytes(row), np.uint8) for row in shard.holds]
    size = -(-shard.examples // 8)
    if any(row.size != size for row in rows):
        raise ValueError(
            f"holds: expected bits of {shard.examples} examples for each class, "
            f"received {shard.holds!r:.80}"
        )
    bits = np.unpackbits(np.reshape(rows, (len(rows), size)).astype(np.uint8), axis=1)
    holds, beyond = np.split(bits.T, [shard.examples])
    if beyond.any():
        raise ValueError(f"holds: expected bits of {shard.examples} examples, received others")
    return Contents(owners.astype(int), holds.astype(bool))


def faults(shard: "Shard", classes: int) -> Iterator[str]:
    """What does not fit: volumes stand in their subjects' order, patches are counted besides."""
    try:
        found = contents_of(shard)
    except ValueError as error:
        yield str(error)
        return
    if len(shard.holds) != classes:
        yield f"holds: expected {classes}, one per class, received {shard.holds}"
    subjects = len(shard.subjects)
    if shard.kind == Volumes.kind and found.owners.tolist() != list(range(subjects)):
        yield "owners: expected the volume of each subject, in their order, received others"
    counted = np.bincount(found.owners, minlength=subjects).tolist()
    if shard.centres and counted != [sum(row) for row in shard.centres]:
        yield f"owners: expected as many patches of each as in centres, received {counted}"


def held(label: np.ndarray, classes: int) -> np.ndarray:
    """bool [classes]: whether a label of class indices, of any shape, has a voxel of each."""
    return np.bincount(label.ravel(), minlength=classes)[:classes] > 0


def _number(subjects: int) -> np.dtype:
    """The least unsigned integers, the highest byte first, that tell the subjects apart."""
    return np.min_scalar_type(max(subjects - 1, 0)).newbyteorder(">")


def _bytes(digits: str) -> bytes:
    """Raises ValueError where these are no pairs of hexadecimal digits."""
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise ValueError(f"owners, holds: expected digits, received {digits!r:.80}") from None
