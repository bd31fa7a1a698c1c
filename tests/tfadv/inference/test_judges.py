"""Judges of slices and of patches, whose networks' answers are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv import methods
from tfadv.inference.judges import PatchJudge, SliceJudge


def network_of(size: int | None = None, inner: int | None = None) -> keras.Model:
    """One whose logit is the image's mean plus ten times the maps' mean."""
    image = keras.Input((size, size, 1))
    maps = keras.Input((inner, inner, 1))
    mean = keras.layers.GlobalAveragePooling2D()
    return keras.Model([image, maps], mean(image) + 10 * mean(maps))


@pytest.fixture
def volume() -> np.ndarray:
    """An image and a map, [2, 5, 7, 6, 1]."""
    random = np.random.default_rng(0)
    return random.normal(size=(2, 5, 7, 6, 1)).astype(np.float32)


def test_slices_with_foreground_are_judged(volume: np.ndarray) -> None:
    image, maps = map(tf.constant, volume)
    judge = SliceJudge(network_of(), lambda said: said[:, 0])
    found = np.zeros((5, 7, 6), bool)
    of_slices = (volume[0] + 10 * volume[1]).mean((1, 2, 3))
    # Without foreground, all.
    assert float(judge.verdict(image, maps, found)) == pytest.approx(of_slices.mean(), 1e-5)
    found[1, 2, 3] = found[4, 0, 0] = True
    expected = of_slices[[1, 4]].mean()
    assert float(judge.verdict(image, maps, found)) == pytest.approx(expected, 1e-5)


def test_patches_cover_each_voxel_once(volume: np.ndarray) -> None:
    image, maps = map(tf.constant, volume)
    network = network_of(5, 3)
    judge = PatchJudge(network, lambda said: said[:, 0], 5, 3)
    found = np.zeros((5, 7, 6), bool)
    padded = np.pad(image, ((0, 0), (1, 3), (1, 1), (0, 0)))
    centres = np.pad(maps, ((0, 0), (0, 2), (0, 0), (0, 0)))
    of_patches = np.array(
        [
            [
                [
                    padded[z, y : y + 5, x : x + 5].mean()
                    + 10 * centres[z, y : y + 3, x : x + 3].mean()
                    for x in (0, 3)
                ]
                for y in (0, 3, 6)
            ]
            for z in range(5)
        ]
    )
    said = judge.verdict(image, maps, found)
    assert float(said) == pytest.approx(of_patches.mean(), 1e-4)
    found[2, 6, 5] = True
    said = judge.verdict(image, maps, found)
    assert float(said) == pytest.approx(of_patches[2, 2, 1], 1e-4)


@pytest.fixture
def maps() -> tf.Tensor:
    """Of two classes, [3, 40, 40, 2]."""
    return tf.one_hot(np.random.default_rng(0).integers(0, 2, (3, 40, 40)), 2)


@pytest.fixture
def image() -> tf.Tensor:
    """[3, 40, 40, 2]."""
    return tf.constant(np.random.default_rng(1).normal(size=(3, 40, 40, 2)), tf.float32)


@pytest.mark.slow
def test_kohls_discriminator_judges_slices(image: tf.Tensor, maps: tf.Tensor) -> None:
    method = methods.get("kohl_hybrid").configure("small")
    network = method.build(2, ("background", "a")).networks["discriminator"]
    judge = method.judge(network)
    assert judge is not None
    said = judge.verdict(image, maps, np.zeros((3, 40, 40), bool))
    assert float(said) == pytest.approx(float(tf.reduce_mean(network([image, maps]))), abs=1e-4)


@pytest.mark.slow
def test_moeskops_discriminator_judges_patches(image: tf.Tensor, maps: tf.Tensor) -> None:
    method = methods.get("moeskops_fcn_adversarial").configure("small")
    network = method.build(2, ("background", "a")).networks["discriminator"]
    judge = method.judge(network)
    assert judge is not None
    found = np.zeros((3, 40, 40), bool)
    found[1, 3, 3] = True  # In the first of two by two patches.
    patch = np.pad(image[1, :23, :23], ((2, 0), (2, 0), (0, 0)))[None]
    manual, made = network([tf.constant(patch), maps[1:2, :21, :21]])[0].numpy()
    assert float(judge.verdict(image, maps, found)) == pytest.approx(manual - made, abs=1e-4)


def test_who_cannot_tell_of_a_map_alone_is_no_judge() -> None:
    configured = methods.get("reciprocal_critic").configure("small")
    assert configured.judge(keras.Sequential()) is None
