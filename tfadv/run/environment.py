"""What a run is computed with: versions and devices."""

import os
import platform
from importlib import metadata
from typing import Any

import tensorflow as tf

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
