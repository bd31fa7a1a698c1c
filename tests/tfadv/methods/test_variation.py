"""Hyperparameters of augmentation that no paper here has."""

import pytest

from tfadv import methods
from tfrecords.reading.appearance import Appearance
from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.record_set import RecordSet

VALUES = {"scale": 0.4, "elastic": 3.0, "low_resolution": 1.0, "blur": 1.5, "noise": 0.3}
VALUES |= {"brightness": 0.25, "contrast": 0.2, "gamma": 0.5, "varied_share": 0.15}


@pytest.mark.parametrize("name", ["kohl_hybrid", "segan_s3_3c", "reciprocal"])
def test_they_come_on_top_of_the_methods_own(name: str, records: RecordSet) -> None:
    method = methods.get(name)
    own = method.configure().recipe(records.manifest).augmentation
    assert (own.scale, own.elastic, own.appearance) == (0, 0, Appearance())
    values = [f"{key}={value}" for key, value in VALUES.items()]
    found = method.configure("paper", values).recipe(records.manifest).augmentation
    assert found == Augmentation(
        own.rotation_rad,
        own.shift,
        own.mirror,
        0.4,
        3.0,
        Appearance(1.0, 1.5, 0.3, 0.25, 0.2, 0.5, share=0.15),
    )
