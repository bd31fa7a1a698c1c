"""Moeskops et al. 2017: values, views and the directions of the three updates."""

from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv import methods
from tfadv.adversarial import AdversarialModel
from tfadv.inference.tiling import WholeSlices
from tfadv.methods.moeskops import _central_image
from tfadv.methods.optimizers import RMSprop
from tfadv.players import Players, Update
from tfrecords.records.views import Patches, View

ADVERSARIAL = ("moeskops_fcn_adversarial", "moeskops_dilated_adversarial")
BASELINES = ("moeskops_fcn", "moeskops_dilated")
CLASSES = 7


@pytest.mark.parametrize("name", [*BASELINES, *ADVERSARIAL])
def test_paper_preset_has_the_papers_values(name: str) -> None:
    hp = methods.get(name).configure()
    assert (hp.epochs, hp.rate("segmentor")) == (5, 1e-3)
    # An epoch is 50,000 patches of each of 7 classes from each of 15 images.
    samples = hp.batch_size * (3 if name in ADVERSARIAL else 1)
    assert samples == 300
    assert hp.steps_per_epoch * samples == 50_000 * 7 * 15


@pytest.mark.parametrize("preset", ["paper", "small"])
@pytest.mark.parametrize("name", BASELINES)
def test_baseline_and_adversarial_steps_take_equally_many_samples(name: str, preset: str) -> None:
    baseline = methods.get(name).configure(preset)
    adversarial = methods.get(f"{name}_adversarial").configure(preset)
    assert baseline.batch_size == 3 * adversarial.batch_size
    assert baseline.epochs == adversarial.epochs
    assert baseline.steps_per_epoch == adversarial.steps_per_epoch


@pytest.mark.parametrize(("network", "patch", "margin"), [("fcn", 51, 15), ("dilated", 87, 33)])
@pytest.mark.parametrize("ending", ["", "_adversarial"])
def test_patches_and_margins(network: str, ending: str, patch: int, margin: int) -> None:
    method = methods.get(f"moeskops_{network}{ending}").configure()
    assert method.view == Patches(patch, 21)
    manifest: Any = None
    assert method.recipe(manifest).size == (patch, patch)
    assert method.tiling(manifest) == WholeSlices(margin)


@pytest.mark.parametrize("size", [51, 87])
def test_discriminator_sees_the_25_central_pixels(size: int) -> None:
    image = np.zeros((1, size, size, 1), np.float32)
    middle = size // 2
    image[0, middle - 12 : middle + 13, middle - 12 : middle + 13] = 1
    seen = _central_image(tf.constant(image))
    assert seen.shape == (1, 25, 25, 1)
    assert np.sum(seen) == np.sum(image)


def built(name: str) -> tuple[Players, AdversarialModel]:
    """Without dropout, whose noise would differ between two looks at one batch."""
    keras.utils.set_random_seed(1)
    players = methods.get(name).configure("small", ["dropout=0"]).build(1, "abcdefg")
    model = AdversarialModel(players)
    model.compile()
    return players, model


def batch(name: str) -> dict[str, tf.Tensor]:
    """Images whose manual segmentations are what segmentors are not yet: right."""
    size = methods.get(name).view.patch_size
    random = np.random.default_rng(0)
    label = np.repeat(np.repeat(random.integers(0, CLASSES, (6, 7, 7)), 3, 1), 3, 2)
    rim = (size - 21) // 2
    image = np.pad(label, ((0, 0), (rim, rim), (rim, rim)))[..., None].astype(np.float32)
    return {"image": tf.constant(image / CLASSES), "label": tf.constant(label, tf.uint8)}


@pytest.mark.slow
@pytest.mark.parametrize("name", ADVERSARIAL)
def test_adversarial_update_lowers_la_for_the_discriminator_and_raises_it_for_the_segmentor(
    name: str,
) -> None:
    """With the method's own optimizers, on the same batch."""
    players, model = built(name)
    *_, update = players.schedule
    assert update.name == "adversarial"
    same = batch(name)
    segmentor, discriminator = players.networks.values()
    old = {network.name: network.get_weights() for network in (segmentor, discriminator)}

    def la() -> float:
        return float(update.outcome(players.networks, same).terms["adversarial"])

    before = la()
    model._perform(update, same)
    new_segmentor = segmentor.get_weights()
    segmentor.set_weights(old[segmentor.name])
    assert la() < before  # The new discriminator alone.
    segmentor.set_weights(new_segmentor)
    discriminator.set_weights(old[discriminator.name])
    assert la() > before  # The new segmentor alone.


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_separate_optimizers_move_the_segmentor_by_ls_and_la(name: str) -> None:
    players, _ = built(name)
    segmentation, discrimination, adversarial = players.schedule
    assert segmentation.trains == {"segmentor": "segmentor"}
    assert discrimination.trains == {"discriminator": "discriminator"}
    assert adversarial.trains == {"discriminator": "discriminator", "segmentor": "adversarial"}
    assert [u.minibatch for u in players.schedule] == [0, 1, 2]
    kinds = {type(optimizer) for optimizer in players.optimizers.values()}
    assert kinds == {RMSprop}
    rates = {
        optimizer: methods.get(name).configure().rate(optimizer) for optimizer in players.optimizers
    }
    assert rates == {"segmentor": 1e-3, "discriminator": 1e-5, "adversarial": 1e-5}


@pytest.mark.slow
def test_discriminator_tells_manual_from_generated_maps() -> None:
    """Its two updates alone, the segmentor untrained: above chance after a few steps."""
    players, model = built("moeskops_fcn_adversarial")
    players.optimizers["discriminator"].learning_rate = 1e-3
    players.optimizers["adversarial"].learning_rate = 0.0
    _, discrimination, adversarial = players.schedule
    same = batch("moeskops_fcn_adversarial")
    for _ in range(10):
        model._perform(discrimination, same)
        model._perform(adversarial, same)
    true = discrimination.outcome(players.networks, same).observed["discriminator_true"]
    generated = adversarial.outcome(players.networks, same).observed["discriminator_generated"]
    assert float(true) > 0.8
    assert float(generated) < 0.2


@pytest.mark.parametrize("name", [*BASELINES, *ADVERSARIAL])
def test_fewer_patches_than_the_papers_are_told(name: str) -> None:
    """50,000 per class and image (3.1)."""
    method = methods.get(name).configure("small")

    def remarks(view: View) -> list[str]:
        manifest: Any = SimpleNamespace(view=view)
        return list(method.remarks(manifest))

    assert remarks(Patches(per_class=50_000)) == []
    (remark,) = remarks(Patches(per_class=1000))
    assert "expected 50,000 of each class and subject, as the paper has in an epoch" in remark
    assert "received 1,000, which come again" in remark
    assert "--patches_per_class 50000" in remark


@pytest.mark.parametrize("drops", [True, False])
def test_segmentor_drops_in_the_adversarial_update_or_not(drops: bool) -> None:
    """Where it does not, equal minibatches give equal verdicts; in Ls it drops all the same."""
    name = "moeskops_fcn_adversarial"
    overrides = [f"adversarial_dropout={drops}", "dropout_kind=maps", "precision=float32"]
    players = methods.get(name).configure("small", overrides).build(1, "abcdefg")
    segmentation, _, adversarial = players.schedule

    def twice_equal(update: Update) -> bool:
        one, two = (update.outcome(players.networks, batch(name)).terms for _ in range(2))
        return one == two

    assert twice_equal(adversarial) == (not drops)
    assert not twice_equal(segmentation)
