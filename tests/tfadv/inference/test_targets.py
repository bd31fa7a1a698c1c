"""Classes and regions as outputs, and the decision between them, against literals."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfadv.inference.targets import Targets, class_targets, region_targets
from tfrecords.sources.subject import LabelClass

CLASSES = tuple(
    LabelClass(name, (value,))
    for name, value in {"background": 0, "necrosis": 1, "oedema": 2, "enhancing": 4}.items()
)
REGIONS = {
    "WT": ("necrosis", "oedema", "enhancing"),
    "TC": ("necrosis", "enhancing"),
    "ET": ("enhancing",),
}


def manifest(regions: dict[str, tuple[str, ...]]) -> Any:
    names = [label_class.name for label_class in CLASSES]
    return SimpleNamespace(
        classes=CLASSES, regions=regions, class_index=lambda name: names.index(name)
    )


@pytest.fixture
def regions() -> Targets:
    return region_targets(manifest(REGIONS))


def test_regions_are_those_of_the_manifest(regions: Targets) -> None:
    assert regions.names == ("WT", "TC", "ET")
    assert regions.members == ((1, 2, 3), (1, 3), (3,))
    assert not regions.exclusive


def test_without_regions_each_foreground_class_is_one() -> None:
    found = region_targets(manifest({}))
    assert found.names == ("necrosis", "oedema", "enhancing")
    assert found.members == ((1,), (2,), (3,))


def test_classes_are_exclusive_and_have_a_background() -> None:
    found = class_targets(manifest(REGIONS))
    assert found.names == ("background", "necrosis", "oedema", "enhancing")
    logits = tf.constant([[0.0, 0.0, np.log(2), 0.0]])
    np.testing.assert_allclose(found.probabilities(logits), [[0.2, 0.2, 0.4, 0.2]], rtol=1e-6)
    np.testing.assert_array_equal(found.background(), [1, 0, 0, 0])
    assert found.decide(found.probabilities(logits)).numpy().tolist() == [2]


def test_regions_have_probabilities_of_their_own(regions: Targets) -> None:
    logits = tf.constant([[0.0, np.log(3), -np.log(3)]])
    np.testing.assert_allclose(regions.probabilities(logits), [[0.5, 0.75, 0.25]], rtol=1e-6)
    np.testing.assert_array_equal(regions.background(), [0, 0, 0])


@pytest.mark.parametrize(
    ("probabilities", "index"),
    [
        # What thresholds at a half give, where that is nested.
        ((0.1, 0.1, 0.1), 0),
        ((0.9, 0.1, 0.1), 2),
        ((0.9, 0.6, 0.4), 1),
        ((0.9, 0.6, 0.6), 3),
        # A core outside the whole tumour: the surer of the two decides.
        ((0.1, 0.6, 0.1), 0),
        ((0.4, 0.9, 0.1), 1),
        # Enhancing outside the core.
        ((0.9, 0.1, 0.6), 2),
        ((0.9, 0.4, 0.9), 3),
        # Certainty does not overflow.
        ((1.0, 1.0, 1.0), 3),
        ((0.0, 0.0, 0.0), 0),
    ],
)
def test_decision_is_the_likeliest_class(
    regions: Targets, probabilities: tuple[float, ...], index: int
) -> None:
    assert int(regions.decide(tf.constant(probabilities))) == index


def test_decided_regions_are_nested_whatever_the_probabilities(regions: Targets) -> None:
    random = np.random.default_rng(0).uniform(size=(3, 4, 5, 3)).astype(np.float32)
    chosen = regions.decide(tf.constant(random)).numpy()
    whole, core, enhancing = (np.isin(chosen, members) for members in regions.members)
    assert (enhancing <= core).all()
    assert (core <= whole).all()
    # And it has the highest likelihood of all classes, voxel by voxel.
    member = regions.membership().T.astype(bool)  # [classes, regions]
    likelihood = np.where(member, random[..., None, :], 1 - random[..., None, :]).prod(-1)
    np.testing.assert_array_equal(chosen, likelihood.argmax(-1))


def test_classes_of_the_same_regions_are_the_first_of_them() -> None:
    """BRATS 2015: necrosis and the non-enhancing core are both in WT and TC alone."""
    found = Targets(("WT", "TC"), ((1, 2), (1, 2)), exclusive=False, classes=3)
    assert int(found.decide(tf.constant([0.9, 0.9]))) == 1
