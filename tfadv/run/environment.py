"""What a run is computed with: versions and devices."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfrecords.files import file_checksum

PACKAGES = ("tfadv", "tensorflow", "keras", "numpy", "SimpleITK")


def environment() -> dict[str, str]:
    """What stands on each line of a description, by its title."""
    devices = [_named(device) for device in tf.config.list_physical_devices()]
    counts = ", ".join(f"{devices.count(one)} {one}" for one in dict.fromkeys(devices))
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


def _named(device: Any) -> str:
    """A kind of device: "GPU (Tesla T4, compute capability 7.5)", "CPU (4 cores)"."""
    if device.device_type == "CPU":
        return f"CPU ({os.cpu_count()} cores)"
    details = tf.config.experimental.get_device_details(device)
    capability = ".".join(map(str, details.get("compute_capability", ())))
    known = (details.get("device_name", ""), capability and f"compute capability {capability}")
    words = ", ".join(filter(None, known))
    return f"{device.device_type} ({words})" if words else device.device_type


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # Ours, from a clone that is not installed.
        return "not installed"
