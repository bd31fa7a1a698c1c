"""Damage to files and to JSON, drawn by a seeded generator."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Random = np.random.Generator
# Each stands for a class of wrong values that people and programs write.
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 10**30, float("nan"), float("inf"), "", " ", "../../x", "\0"),
    *("x" * 300, [], {}, [[]], [None], {"": None}, "nan", "é\u202e"),
)


def damage(path: Path, random: Random) -> str:
    """Changes a file's bytes in one of the ways in which disks, copies and people do.

    Returns:
        what was done.
    """
    data = bytearray(path.read_bytes())
    before = bytes(data)
    while bytes(data) == before:  # Two equal blocks may be exchanged, for one.
        way = WAYS[int(random.integers(len(WAYS)))]
        done = way(data, random)
    path.write_bytes(data)
    return done


def flip_bits(data: bytearray, random: Random) -> str:
    places = random.integers(0, 8 * len(data), int(random.integers(1, 5)))
    for place in places.tolist():
        data[place // 8] ^= 1 << place % 8
    return f"bits {places.tolist()} flipped"


def truncate(data: bytearray, random: Random) -> str:
    kept = int(random.integers(0, len(data)))
    del data[kept:]
    return f"cut to {kept} bytes"


def zero_block(data: bytearray, random: Random) -> str:
    start, size = _block(data, random)
    data[start : start + size] = bytes(size)
    return f"{size} bytes at {start} are zeros"


def garble_block(data: bytearray, random: Random) -> str:
    start, size = _block(data, random)
    data[start : start + size] = random.bytes(size)
    return f"{size} bytes at {start} are noise"


def repeat_block(data: bytearray, random: Random) -> str:
    start, size = _block(data, random)
    data[start:start] = data[start : start + size]
    return f"{size} bytes at {start} stand twice"


def drop_block(data: bytearray, random: Random) -> str:
    start, size = _block(data, random)
    del data[start : start + size]
    return f"{size} bytes at {start} are gone"


WAYS: tuple[Callable[[bytearray, Random], str], ...] = (
    flip_bits,
    flip_bits,
    truncate,
    zero_block,
    garble_block,
    repeat_block,
    drop_block,
)


def _block(data: bytearray, random: Random) -> tuple[int, int]:
    size = int(random.integers(1, max(2, min(512, len(data)))))
    return int(random.integers(0, max(1, len(data) - size))), size


def edit_json(path: Path, random: Random) -> str:
    """Drops, doubles or replaces one entry of a JSON file, at any depth.

    Returns:
        what was done.
    """
    content = json.loads(path.read_text())
    before = copy.deepcopy(content)
    done = ""
    while _equal(content, before):
        content = copy.deepcopy(before)
        holder, key, where = _entry(content, random)
        way = int(random.integers(4))
        if way == 0:
            del holder[key]
            done = f"{where} is gone"
        elif way == 1 and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
            done = f"{where} stands twice"
        elif way == 2 and isinstance(holder[key], int | float):
            holder[key] = holder[key] * 2 + 1
            done = f"{where} is {holder[key]}"
        else:
            holder[key] = copy.deepcopy(ODD_VALUES[int(random.integers(len(ODD_VALUES)))])
            done = f"{where} is {holder[key]!r:.40}"
    path.write_text(json.dumps(content, indent=1))
    return done


def _equal(one: Any, other: Any) -> bool:
    return json.dumps(one) == json.dumps(other)


def _entry(content: Any, random: Random) -> tuple[Any, Any, str]:
    """A holder and a key in it, at any depth; each level is left with a chance of one in three."""
    where = ""
    while True:
        keys = list(content) if isinstance(content, dict) else list(range(len(content)))
        key = keys[int(random.integers(len(keys)))]
        where += f".{key}"
        inner = content[key]
        if not isinstance(inner, dict | list) or not inner or random.random() < 1 / 3:
            return content, key, where[1:]
        content = inner
