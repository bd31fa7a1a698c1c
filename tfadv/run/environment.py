"""What a run is computed with: versions and devices."""

import platform
from importlib import metadata
from pathlib import Path

import tensorflow as tf

from tfrecords.files import file_checksum

PACKAGES = ("tfadv", "tensorflow", "keras", "numpy", "SimpleITK")


def environment() -> dict[str, str]:
    """What stands on each line of a description, by its title."""
    devices = [device.device_type for device in tf.config.list_logical_devices()]
    counts = ", ".join(f"{devices.count(kind)} {kind}" for kind in dict.fromkeys(devices))
    versions = {name: _version(name) for name in PACKAGES}
    return (
        {"system": platform.platform(), "Python": platform.python_version()}
        | versions
        | {"devices": counts}
    )


def code() -> str:
    """A checksum of this program's files, and the versions of what it computes with."""
    root = Path(__file__).parents[2]
    files = (path for package in ("tfadv", "tfrecords") for path in (root / package).rglob("*.py"))
    return f"{file_checksum(*sorted(files))} {[_version(name) for name in PACKAGES[1:]]}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # Ours, from a clone that is not installed.
        return "not installed"
