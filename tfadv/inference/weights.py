"""A network's variables by names that are the same in every process, also in a SavedModel."""

import re
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

# What the checkpoint in a model calls those of its first member; see `Member`.
KEY = re.compile(r"members/0/named/(.*)/\.ATTRIBUTES/VARIABLE_VALUE")


def named_weights(network: keras.Model) -> dict[str, keras.Variable]:
    """Each as LAYER/NUMBER_NAME.

    A layer has its own name if somebody gave it one, else its kind and its number among those:
    what Keras calls it depends on the networks that were built before.
    """
    numbers: Counter[str] = Counter()
    found: dict[str, keras.Variable] = {}
    for layer in network.layers:
        kind = type(layer).__name__
        given = re.sub(r"_\d+$", "", layer.name).replace("_", "") != kind.lower()
        name = layer.name if given else f"{kind}_{numbers[kind]}"
        numbers[kind] += not given
        for number, variable in enumerate(layer.weights):
            found[f"{name}/{number}_{variable.name}"] = variable
    return found


def saved_weights(model_dir: Path) -> dict[str, np.ndarray]:
    """Those of an exported model's first segmentor. Nothing of its program runs."""
    reader = tf.train.load_checkpoint(str(model_dir / "variables" / "variables"))
    keys = {key: KEY.fullmatch(key) for key in reader.get_variable_to_shape_map()}
    # TensorFlow writes a slash within a name so.
    return {
        match[1].replace(".S", "/"): reader.get_tensor(key) for key, match in keys.items() if match
    }
