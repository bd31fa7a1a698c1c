"""The card shows everything."""

from tfadv import methods
from tfadv.methods.card import card


def test_card_tells_everything() -> None:
    method = methods.get("kohl_hybrid").configure("small", ["width=4"])
    text = card(method, channels=3, maps=4)
    for line in (
        "  3x D descends -mean[log D(y) + log(1 - D(S(x)))] (eq. 3)",
        "  1x S descends -mean log D(S(x)) (eq. 4) + 0.5 * cross entropy (eq. 2)",
        "  width = 4   (default 64; at least 1; Network Architectures)",
        "segmentor receptive field: 188",
    ):
        assert line in text.splitlines(), line
    assert "discriminator parameters: " in text
    assert all(departure in text for departure in method.departures)


def test_card_offers_no_value_that_the_method_does_not_use() -> None:
    text = card(methods.get("segan_unet_softmax").configure("small"), channels=1, maps=2)
    assert "critic" not in text
    assert "clamp" not in text
