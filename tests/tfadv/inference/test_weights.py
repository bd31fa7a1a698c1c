"""Names of variables."""

from pathlib import Path

import keras
import numpy as np

from tfadv.inference.weights import named_weights, saved_weights
from tfadv.run.run import load_run
from tfadv.run.work_dir import WorkDir


def test_names_of_variables_do_not_depend_on_other_networks() -> None:
    def network() -> keras.Model:
        image = keras.Input((None, None, 2))
        x = keras.layers.Conv2D(4, 3)(keras.layers.Conv2D(4, 3, use_bias=False)(image))
        x = keras.layers.GroupNormalization(2)(x)
        return keras.Model(image, keras.layers.Conv2D(3, 1, name="logits")(x))

    first, second = network(), network()
    assert [layer.name for layer in first.layers] != [layer.name for layer in second.layers]
    assert list(named_weights(first)) == list(named_weights(second))
    assert {name: tuple(v.shape) for name, v in named_weights(second).items()} == {
        "Conv2D_0/0_kernel": (3, 3, 2, 4),
        "Conv2D_1/0_kernel": (3, 3, 4, 4),
        "Conv2D_1/1_bias": (4,),
        "GroupNormalization_0/0_gamma": (4,),
        "GroupNormalization_0/1_beta": (4,),
        "logits/0_kernel": (1, 1, 4, 3),
        "logits/1_bias": (3,),
    }


def test_a_model_holds_its_runs_weights_by_name(run: WorkDir, model_dir: Path) -> None:
    wanted = named_weights(load_run(run).model.segmentor)
    found = saved_weights(model_dir)
    assert found.keys() == wanted.keys()
    for name, variable in wanted.items():
        np.testing.assert_array_equal(found[name], variable.numpy(), err_msg=name)
