"""What is proposed for a record set, when steps cost what a table says."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tfadv import methods
from tfadv.methods.kohl import VARIED
from tfadv.run.run import Run
from tfadv.run.split import HeldOut
from tfadv.study import proposal
from tfadv.study.plan import read_study
from tfadv.study.proposal import Limits, propose, write
from tfadv.training.cost import Cost
from tfrecords.errors import SettingError
from tfrecords.reading.record_set import RecordSet

MINUTES = (20 + 1000) / 60  # 800 s for steps, 150 s for validation.


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Makes a step cost `step_s` and `peak` bytes by width; tells which runs were measured."""
    measured: list[str] = []

    def set_costs(
        step_s: dict[int, float], peak: dict[int, int], volume_s: float = 1.0
    ) -> list[str]:
        def step(run: Run, repetitions: int) -> Cost:
            width = run.method.values.get("width", 8)
            measured.append(f"{run.method.name} {width} {run.method.precision}")
            slower = 1.0 if run.method.precision == "float32" else 0.5
            return Cost(step_s[width] * slower, peak[width])

        monkeypatch.setattr(proposal, "step_cost", step)
        monkeypatch.setattr(
            proposal, "inference_cost", lambda run, repetitions: (Cost(volume_s, 0), (6, 30, 32))
        )
        return measured

    return set_costs


def test_the_largest_that_leaves_enough_steps(
    records: RecordSet, costs: Callable[..., list[str]]
) -> None:
    measured = costs({8: 0.1, 16: 0.2, 32: 1.0, 64: 9.0}, dict.fromkeys((8, 16, 32, 64), 1))
    found = propose(records, Limits(MINUTES, 1e9))
    assert list(found.lines) == ["baseline", "adversarial"]
    baseline = found.lines["baseline"]
    assert baseline.method == "kohl_cross_entropy"
    # In bfloat16, which is faster: 8000 steps of width 16, and 1600 of width 32.
    assert baseline.hp == {
        "width": 32,
        "batch_size": 8,
        "precision": "mixed_bfloat16",
        "epochs": 20,
        "steps_per_epoch": 80,
        "halve_every": 7,
        **VARIED,  # Two subjects, each seen 6400 times.
    }
    assert found.lines["adversarial"].method == "kohl_hybrid"
    assert measured[:5] == [
        "kohl_cross_entropy 16 float32",
        "kohl_cross_entropy 16 mixed_bfloat16",
        "kohl_cross_entropy 16 mixed_bfloat16",
        "kohl_cross_entropy 32 mixed_bfloat16",
        "kohl_cross_entropy 64 mixed_bfloat16",
    ]


def test_memory_bounds_the_size_before_it_is_tried(
    records: RecordSet, costs: Callable[..., list[str]]
) -> None:
    measured = costs(dict.fromkeys((8, 16, 32, 64), 0.1), {8: 100, 16: 200, 32: 400, 64: 9999})
    found = propose(records, Limits(MINUTES, 1100), "kohl_cross_entropy")
    # At 32 it has grown by 200, so that 64 may take 800 more.
    assert found.lines["baseline"].hp["width"] == 32
    assert "kohl_cross_entropy 64 mixed_bfloat16" not in measured
    with pytest.raises(SettingError, match=r"expected at least 0\.0, which the smallest"):
        propose(records, Limits(MINUTES, 99), "kohl_cross_entropy")


def test_slow_validation_leaves_fewer_epochs(
    records: RecordSet, costs: Callable[..., list[str]]
) -> None:
    costs(dict.fromkeys((8, 16, 32, 64), 1.0), dict.fromkeys((8, 16, 32, 64), 1), volume_s=15.0)
    found = propose(records, Limits(MINUTES, 1e9), "kohl_cross_entropy")
    # Two subjects of 15 s, and 150 s for them.
    assert found.lines["baseline"].hp["epochs"] == 5
    assert found.lines["baseline"].hp["halve_every"] == 2


def test_how_often_subjects_are_seen_says_how_much_they_vary(
    records: RecordSet, costs: Callable[..., list[str]]
) -> None:
    """Two subjects train, four slices a step: four steps of 50 s in five minutes."""
    costs(dict.fromkeys((8, 16, 32, 64), 100.0), dict.fromkeys((8, 16, 32, 64), 1))
    few = propose(records, Limits(5, 1e9), "kohl_cross_entropy")
    many = propose(records, Limits(500, 1e9), "kohl_cross_entropy")
    most = propose(records, Limits(5000, 1e9), "kohl_cross_entropy")
    assert few.lines["baseline"].hp["mirror"] is False
    assert few.lines["baseline"].hp["rotation_rad"] == 0.15
    assert not {"mirror", "rotation_rad"} & set(many.lines["baseline"].hp)
    epochs, halved, less = few.reasons[-3:]
    assert epochs.endswith("the segmentor sees 8 examples of a subject in all")
    assert halved.startswith("  halve_every 2: ")
    assert less.startswith("  mirror False, rotation_rad 0.15: fewer than 300: ")
    assert many.reasons[-1].startswith("  halve_every 7: ")
    assert most.reasons[-1].startswith("  scale 0.4, elastic 1.0, ")
    assert ": more than 2000: " in most.reasons[-1]
    assert "scale" not in many.lines["baseline"].hp
    assert most.lines["baseline"].hp["scale"] == 0.4


def test_a_plan_is_a_study_file(
    records: RecordSet, costs: Callable[..., list[str]], tmp_path: Path
) -> None:
    costs(dict.fromkeys((8, 16, 32, 64), 1.0), dict.fromkeys((8, 16, 32, 64), 1))
    found = propose(records, Limits(MINUTES, 1e9))
    write(tmp_path / "plan.toml", found)
    study = read_study(tmp_path / "plan.toml")
    assert study.records == records.folder
    assert study.preset == "small"
    assert study.lines == found.lines
    for name, line in study.lines.items():
        methods.get(line.method).configure(study.preset, study.overrides(name))
    head = (tmp_path / "plan.toml").read_text().splitlines()
    assert head[: len(found.reasons)] == [f"# {reason}" for reason in found.reasons]


@pytest.mark.parametrize(
    ("view", "baseline"), [("patches", "moeskops_dilated"), ("volumes", "reciprocal_dice")]
)
def test_each_view_has_its_baseline(
    records_of: Callable[[str], RecordSet],
    costs: Callable[..., list[str]],
    view: str,
    baseline: str,
) -> None:
    costs(dict.fromkeys((8, 16, 48), 1.0), dict.fromkeys((8, 16, 48), 1))
    found = propose(records_of(view), Limits(MINUTES, 1e9))
    assert found.lines["baseline"].method == baseline
    assert found.lines["adversarial"].method == methods.get(baseline).partner


def test_partners_exist_and_sizes_are_legal() -> None:
    for known in methods.all_methods().values():
        if known.partner:
            assert methods.get(known.partner).view == known.view
        for size in known.sizes:
            known.configure("small", [f"{name}={value}" for name, value in size.items()])


def of_two_folds(records: RecordSet) -> RecordSet:
    """All but those of the first fold in one other."""
    manifest = records.manifest
    first, last = manifest.folds[0], manifest.folds[-1]

    def moved(one: Any) -> Any:
        return replace(one, fold=first if one.fold == first else last)

    shards, subjects = (
        [moved(one) for one in all_] for all_ in (manifest.shards, manifest.subjects)
    )
    held = replace(manifest, shards=tuple(shards), subjects=tuple(subjects))
    return replace(records, manifest=held)


def test_two_folds_are_enough_to_plan_with(
    records: RecordSet, costs: Callable[..., list[str]]
) -> None:
    costs({8: 0.1, 16: 0.2, 32: 1.0, 64: 9.0}, dict.fromkeys((8, 16, 32, 64), 1))
    few = of_two_folds(records)
    found = propose(few, Limits(MINUTES, 1e9), "kohl_cross_entropy")
    assert found.lines["baseline"].hp["epochs"] == 20
    with pytest.raises(SettingError, match=r"twice the same"):
        propose(few, Limits(MINUTES, 1e9), "kohl_cross_entropy", HeldOut())
