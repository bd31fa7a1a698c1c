"""An example's features and their names, which `reading.parsing` reads back."""

import numpy as np

from tfrecords.records.views import Cut
from tfrecords.records.wire import encode_example


def encode(subject: str, example: Cut, statistics: np.ndarray) -> bytes:
    """A serialised tf.train.Example."""
    return encode_example(
        {
            "image": example.image.tobytes(),
            "label": example.label.tobytes(),
            "shape": example.image.shape,
            "label_shape": example.label.shape,
            "position": example.position,
            "statistics": statistics,
            "subject": subject.encode(),
        }
    )
