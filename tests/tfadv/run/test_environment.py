"""What a run says it was computed with."""

import os
from types import SimpleNamespace

import pytest
import tensorflow as tf

from tfadv.run.environment import environment


def test_devices_are_named_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = [SimpleNamespace(device_type=kind) for kind in ("CPU", "GPU", "GPU")]
    details = {"device_name": "Tesla T4", "compute_capability": (7, 5)}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda: devices)
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _: details)
    expected = f"1 CPU ({os.cpu_count()} cores), 2 GPU (Tesla T4, compute capability 7.5)"
    assert environment()["devices"] == expected
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _: {})
    assert environment()["devices"].endswith(", 2 GPU")
