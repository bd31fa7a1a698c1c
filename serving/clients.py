"""What clients of a server see: under load, of what is no volume, and how long it takes."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tfadv.inference.segmented import Model, Segment
from tfrecords.errors import UserError


@dataclass
class Load:
    """What clients saw: seconds of each answer, when it came, and what was wrong with any.

    Attributes:
        came_s: by `time.monotonic`.
    """

    seconds: list[float] = field(default_factory=list)
    came_s: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def under_load(
    connect: Callable[[], Model],
    volumes: Sequence[np.ndarray],
    expected: Sequence[np.ndarray],
    clients: int,
    until: Callable[[], bool],
) -> Load:
    """Clients ask until it is time, and compare every voxel of every answer."""
    load = Load()

    def client(number: int) -> None:
        try:
            segment = connect().open(False)
            while not until():
                number = (number + 1) % len(volumes)
                began = time.monotonic()
                label = segment(volumes[number]).label
                now = time.monotonic()
                load.seconds.append(now - began)
                load.came_s.append(now)
                if not np.array_equal(label, expected[number]):
                    load.wrong.append(f"volume {number}: other labels")
        except UserError as error:
            load.wrong.append(str(error))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return load


def refusals(segment: Segment, volume: np.ndarray) -> dict[str, str]:
    """What the server says to volumes that are none."""
    wrong = {
        "NaN": np.where(np.arange(volume.shape[0])[:, None, None, None] == 0, np.nan, volume),
        "one channel more": np.concatenate([volume, volume[..., :1]], axis=-1),
        "an empty channel": volume * np.r_[0, np.ones(volume.shape[-1] - 1)],
    }
    said = {}
    for name, array in wrong.items():
        try:
            segment(array.astype(np.float32))
            said[name] = ""
        except UserError as error:
            said[name] = str(error)
    return said


def medians_ms(ways: Mapping[str, Segment], volumes: Sequence[np.ndarray]) -> dict[str, float]:
    """Of each way, the median over volumes: in turns, after one that does not count."""
    took_ms: dict[str, list[float]] = {name: [] for name in ways}
    for volume in (volumes[0], *volumes):
        for name, segment in ways.items():
            began = time.monotonic()
            segment(volume)
            took_ms[name].append(1000 * (time.monotonic() - began))
    return {name: float(np.median(each[1:])) for name, each in took_ms.items()}
