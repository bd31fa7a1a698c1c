"""The list of methods and their cards, as a user asks for them."""

import subprocess
from collections.abc import Callable

import pytest

Launch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_lists_methods_and_prints_cards(launch: Launch) -> None:
    listed = launch("methods")
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    assert {"kohl_purely_adversarial", "kohl_cross_entropy", "kohl_hybrid"} <= set(names)
    shown = launch("methods", "kohl_hybrid", "--channels", 3, "--classes", 4)
    assert "segmentor parameters: 15,675,012, without normalisation 15,669,252" in shown.stdout
