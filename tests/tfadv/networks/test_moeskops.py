"""The networks against the figures of Moeskops et al. 2017, section 2.2."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv.methods.receptive_field import receptive_field
from tfadv.networks import moeskops
from tfadv.networks.moeskops import DILATED, FCN, Architecture
from tfadv.networks.normalisation import BatchNormalization


def segmentor(architecture: Architecture, classes: int = 7) -> keras.Model:
    return moeskops.segmentor(1, classes, architecture, dropout=0.5, momentum=0.9)


def parameters(network: keras.Model) -> int:
    """Batch normalisation not counted, as in the paper."""
    return sum(
        layer.count_params()
        for layer in network.layers
        if not isinstance(layer, BatchNormalization)
    )


@pytest.mark.parametrize(
    ("architecture", "classes", "expected"),
    [(FCN, 7, 140_039), (FCN, 8, 140_296), (DILATED, 7, 56_039), (DILATED, 8, 56_072)],
)
def test_segmentors_have_the_papers_parameters(
    architecture: Architecture, classes: int, expected: int
) -> None:
    assert parameters(segmentor(architecture, classes)) == expected


def test_discriminator_has_the_parameters_of_its_description() -> None:
    # 320 + 9,248 on the image, 39 maps to 32 (11,264), 4 layers of 9,248, 8,448, 514.
    network = moeskops.discriminator(1, 7, momentum=0.9)
    assert parameters(network) == 66_786
    assert network.output_shape == (None, 2)


@pytest.mark.parametrize(("architecture", "field"), [(FCN, 31), (DILATED, 67)])
def test_one_output_pixel_sees_the_papers_receptive_field(
    architecture: Architecture, field: int
) -> None:
    network = segmentor(architecture)
    assert receptive_field(network) == field
    image = tf.random.stateless_normal([1, 87, 87, 1], [0, 1])
    with tf.GradientTape() as tape:
        tape.watch(image)
        output = network(image, training=False)
        pixel = output[0, output.shape[1] // 2, output.shape[2] // 2]
    seen = np.argwhere(tape.gradient(pixel, image)[0, ..., 0].numpy())
    rim = (87 - field) // 2
    assert seen.min(axis=0).tolist() == [rim, rim]
    assert seen.max(axis=0).tolist() == [86 - rim, 86 - rim]


@pytest.mark.parametrize(("architecture", "size"), [(FCN, 51), (DILATED, 87)])
def test_training_inputs_give_21_and_others_any_size(architecture: Architecture, size: int) -> None:
    network = segmentor(architecture)
    assert network(tf.zeros([1, size, size, 1])).shape == (1, 21, 21, 7)
    assert network(tf.zeros([1, size - 20, size + 9, 1])).shape == (1, 1, 30, 7)


@pytest.mark.parametrize("architecture", [FCN, DILATED])
def test_layers_are_normalised_and_rectified(architecture: Architecture) -> None:
    """Convolution, batch normalisation, ReLU; dropout before 1x1 layers alone."""
    network = segmentor(architecture)
    kinds = [type(layer).__name__ for layer in network.layers[1:]]
    block = ["Conv2D", "BatchNormalization", "ReLU"]
    hidden = ["Dropout", *block] if architecture.hidden else []
    expected = [*block * len(architecture.dilations), *hidden, "Dropout", "Conv2D"]
    assert kinds == expected


def speckle(maps: np.ndarray) -> float:
    """The share of inner voxels whose class none of their four neighbours has; maps [B, H, W]."""
    inner = maps[:, 1:-1, 1:-1]
    neighbours = (maps[:, :-2, 1:-1], maps[:, 2:, 1:-1], maps[:, 1:-1, :-2], maps[:, 1:-1, 2:])
    return float(np.mean(np.all([inner != other for other in neighbours], axis=0)))


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [FCN, DILATED])
def test_dropping_whole_maps_leaves_no_speckle(architecture: Architecture) -> None:
    """Of a smooth image; single voxels speckle what it gives."""
    y, x = np.mgrid[:107, :107] / 12.0
    phases = np.arange(4.0)[:, None, None]
    image = tf.constant(np.sin(x + phases) * np.cos(y - phases), tf.float32)[..., None]
    share = {}
    for kind in ("voxels", "maps"):
        keras.utils.set_random_seed(1)
        network = moeskops.segmentor(1, 7, architecture, 0.5, 0.9, kind)
        for name, dropping in ((kind, True), ("none", False)):
            logits = network(image, training=True, dropping=dropping)
            share[name] = speckle(np.argmax(logits, axis=-1))
    # Untrained networks of many layers speckle by themselves.
    own = share["none"]
    assert share["voxels"] > 2 * own
    assert share["maps"] - own < 0.1 * (share["voxels"] - own)


def test_a_pass_that_does_not_drop_is_one_in_training_all_the_same() -> None:
    network = moeskops.segmentor(1, 7, FCN, dropout=0.5, momentum=0.9)
    image = tf.random.stateless_normal([2, 33, 33, 1], [0, 1])
    before = [variable.numpy() for variable in network.non_trainable_variables]
    first, second = (network(image, training=True, dropping=False) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - network(image, training=False)).max() > 0.01
    assert np.abs(first - network(image, training=True)).max() > 0.01
    after = [variable.numpy() for variable in network.non_trainable_variables]
    assert all((old != new).any() for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("policy", "gradients"),
    [("mixed_bfloat16", "bfloat16"), ("mixed_float16", None), ("float32", None)],
)
def test_discriminator_is_float32_forward(policy: str, gradients: str | None) -> None:
    keras.config.set_dtype_policy(policy)
    layers = moeskops.discriminator(1, 7, momentum=0.9).layers
    assert {layer.compute_dtype for layer in layers} == {"float32"}
    convolutions = [layer for layer in layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.gradient_dtype for layer in convolutions] == [gradients] * 7
    assert keras.config.dtype_policy().name == policy
