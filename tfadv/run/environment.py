"""What a run is computed with: versions and devices."""

import platform
from importlib import metadata

import tensorflow as tf

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


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # Ours, from a clone that is not installed.
        return "not installed"
