"""The notebooks' cells run, on little data instead of the demonstration's."""

import json
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest

from tfrecords.reading.record_set import RecordSet

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
ROOT = Path(__file__).parents[2]


def executed(name: str, **parameters: object) -> dict[str, object]:
    """What a notebook's cells name, its parameters replaced."""
    mpl.use("Agg")
    names: dict[str, object] = {}
    for cell in json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
            if "parameters" in cell["metadata"].get("tags", ()):
                assert parameters.keys() <= names.keys()
                names |= parameters
    plt.close("all")
    return names


@pytest.mark.slow
def test_what_the_network_is_shown(sources: Path, tmp_path: Path) -> None:
    names = executed(
        "1_what_the_network_is_shown",
        DATASET="table",
        SOURCES=sources,
        RECORDS=tmp_path / "records",
    )
    assert set(names["shown"]) == {"true", "made", "true, with noise", "made, with noise"}


@pytest.mark.slow
def test_two_players(records: RecordSet, tmp_path: Path) -> None:
    values = ["epochs=1", "steps_per_epoch=1", "batch_size=2", "width=4", "discriminator_width=2"]
    names = executed("2_two_players", RECORDS=records.folder, RUN=tmp_path / "run", VALUES=values)
    assert isinstance(names["history"], pd.DataFrame)
    assert len(names["true"]) == len(names["made"]) > 0


@pytest.mark.slow
@pytest.mark.variants  # A minute; studies have tests of their own.
def test_does_the_adversary_help(
    records: RecordSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    names = executed(
        "3_does_the_adversary_help",
        RECORDS=records.folder,
        FOLDER=tmp_path / "study",
        STEPS=1,
        SEEDS=[0],
    )
    assert set(names["mean"]["line"]) == {"baseline", "hybrid"}
    assert (tmp_path / "study" / "report.html").is_file()
