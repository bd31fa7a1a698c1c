"""A plan, and a training by it, as a user runs them."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tfadv.run.work_dir import WorkDir
from tfadv.study.plan import read_study
from tfrecords.reading.record_set import RecordSet

Launch = Callable[..., subprocess.CompletedProcess[str]]

PLAN = """
title = "a plan"
records = "{records}"
preset = "small"

[lines.baseline]
method = "kohl_cross_entropy"
hp = {{width = 4, convolutions = 1, epochs = 1, steps_per_epoch = 1, batch_size = 2}}

[lines.adversarial]
method = "kohl_hybrid"
hp = {{width = 4, convolutions = 1, epochs = 1, steps_per_epoch = 1, batch_size = 2}}
"""


@pytest.mark.slow
def test_a_plan_is_trained_line_by_line(records: RecordSet, tmp_path: Path, launch: Launch) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN.format(records=records.folder))
    result = launch("train", "--plan", plan, "--hp.width=2", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    values = WorkDir(tmp_path / "runs" / "kohl_cross_entropy").settings().hyperparameters
    assert (values["width"], values["batch_size"], values["crop_size"]) == (2, 2, 0)


@pytest.mark.slow
def test_a_plan_of_its_own_is_trained_and_kept(
    records: RecordSet, tmp_path: Path, launch: Launch
) -> None:
    few = ("--minutes=0.5", "--epochs=1", "--steps_per_epoch=1", "--method=kohl_cross_entropy")
    result = launch("train", "--preset=auto", f"--records={records.folder}", *few, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "runs" / "kohl_cross_entropy_auto"
    (line,) = read_study(folder / "plan.toml").lines.values()
    values = WorkDir(folder).settings().hyperparameters
    assert values["width"] == line.hp["width"]
    assert (values["epochs"], values["steps_per_epoch"]) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "--method: expected this, --plan or --preset auto, received none"),
        (["--line=baseline", "--method=segan_s3_3c"], "--line: expected --plan as well"),
        (["--plan=p.toml", "--preset=small"], "--plan: expected neither --method nor --preset"),
        (
            ["--plan=p.toml"],
            "p.toml: no such file or folder; expected a plan made by",
        ),
    ],
)
def test_what_contradicts_is_one_line(
    arguments: list[str], error: str, tmp_path: Path, launch: Launch
) -> None:
    result = launch("train", *arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert error in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("limit", ["--minutes=0", "--minutes=nan", "--memory_gb=inf"])
def test_a_limit_out_of_bounds_is_one_line(limit: str, tmp_path: Path, launch: Launch) -> None:
    result = launch("plan", limit, cwd=tmp_path)
    assert result.returncode == 1
    assert limit.partition("=")[0] in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_folder_in_the_plans_place_is_told_at_once(
    records: RecordSet, tmp_path: Path, launch: Launch
) -> None:
    result = launch("plan", "--records", records.folder, "--out", tmp_path)
    assert result.stderr == (
        f"error: --out: expected a file to write, received the folder {tmp_path}\n"
    )


@pytest.mark.slow
def test_an_unknown_line_is_told(records: RecordSet, tmp_path: Path, launch: Launch) -> None:
    (tmp_path / "plan.toml").write_text(PLAN.format(records=records.folder))
    result = launch("train", "--plan=plan.toml", "--line=other", cwd=tmp_path)
    assert "--line: expected one of baseline, adversarial, received other" in result.stderr
