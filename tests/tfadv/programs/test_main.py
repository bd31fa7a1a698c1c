"""The doors to the programs, and what is the same of all of them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tfadv.programs.main import NAMES

ROOT = Path(__file__).parents[3]
Launch = Callable[..., subprocess.CompletedProcess[str]]
HELPERS = {"__init__", "cli", "early", "failures", "help", "main", "start"}
needs_proc = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads /proc")


def test_every_program_has_its_name_and_its_door() -> None:
    programs = {path.stem for path in (ROOT / "tfadv" / "programs").glob("*.py")} - HELPERS
    doors = {path.stem for path in (ROOT / "launch").glob("*.py")}
    assert set(NAMES) == programs == doors
    assert len(NAMES) == len(programs)


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_the_programs_are_listed_with_a_line_each(arguments: list[str], tfadv: Launch) -> None:
    result = tfadv(*arguments)
    assert result.returncode == 0
    assert (
        "    export      Exports a trained run's best epoch, or those of several runs"
        in result.stdout
    )
    listed = [line.split()[0] for line in result.stdout.splitlines() if line.startswith("    ")]
    assert listed == list(NAMES)


def test_an_unknown_program_is_one_line_with_the_known_ones(tfadv: Launch) -> None:
    result = tfadv("trian", "--help")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line == f"error: expected one of {', '.join(NAMES)}, received trian"


def test_nothing_is_said_of_a_reader_that_has_read_enough() -> None:
    read, write = os.pipe()
    os.close(read)
    door = [sys.executable, "launch/preprocess.py", "--help"]
    with os.fdopen(write) as gone:
        result = subprocess.run(door, cwd=ROOT, stdout=gone, stderr=subprocess.PIPE, check=False)
    assert (result.returncode, result.stderr) == (1, b"")


@pytest.mark.parametrize("program", NAMES)
def test_help_comes_at_once_from_both_doors(program: str, launch: Launch, tfadv: Launch) -> None:
    before = os.times()
    results = launch(program, "--help"), tfadv(program, "-h")
    after = os.times()
    used_s = after.children_user + after.children_system
    used_s -= before.children_user + before.children_system
    assert used_s < 2 * 1.0
    shown, by_name = (result.stdout for result in results)
    assert [result.returncode for result in results] == [0, 0]
    assert [result.stderr for result in results] == ["", ""]
    assert f"python launch/{program}.py" in shown
    assert f"tfadv {program}" in by_name
    assert "launch/" not in by_name
    # Every flag says its default, in words or as a value.
    flags = shown.partition("Flags:\n")[2]
    paragraphs = flags.split("\n  --")
    assert all(paragraph.rstrip().endswith("]") for paragraph in paragraphs), paragraphs


@pytest.mark.parametrize("program", NAMES)
def test_help_and_wrong_flags_do_not_wait_for_tensorflow(program: str) -> None:
    code = (
        "import sys, importlib\n"
        "import tfadv.programs.cli\n"
        f"importlib.import_module('tfadv.programs.{program}')\n"
        "print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "set()\n", result.stderr


@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        ("train", [], "--method: expected this, --plan or --preset auto, received none"),
        ("train", ["--method", "kohl_hybrid", "--epochs", "none"], "flag --epochs=none: "),
        ("train", ["--epoch=3"], "'epoch'. Did you mean: epochs? See python launch/train.py"),
        ("evaluate", [], "--work_dir"),
        ("experiment", [], "expected one study file"),
        ("measure", [], "--method"),
        ("predict", ["--model", "m", "--image", "i", "stray"], "--output"),
        ("predict", ["--output=o", "--image=i"], "--model: expected this or --server, received no"),
        (
            "predict",
            ["--output=o", "--image=i", "--server=x"],
            "--server: expected grpc://HOST:PORT",
        ),
        ("train", ["--method=kohl_hybrid", "stray"], "expected flags alone, received ['stray']"),
        (
            "evaluate",
            ["--work_dir=a", "--model=m"],
            "--work_dir: expected runs, or instead of them",
        ),
        ("evaluate", ["--model=m"], "--model: expected --records and --folds as well"),
        ("export", ["--work_dir=a", "--mirror_axes=x"], "--mirror_axes: expected --mirror as well"),
    ],
)
def test_wrong_flags_are_one_line(
    program: str, arguments: list[str], message: str, launch: Launch
) -> None:
    result = launch(program, *arguments)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line


@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        ("train", ["--method=kohl_hybird"], "received kohl_hybird. Did you mean kohl_hybrid?"),
        ("train", ["--method=kohl_hybrid", "--records=no"], "expected a record set made by tfadv"),
        ("evaluate", ["--work_dir", "nowhere"], "nowhere: no such file or folder; expected a run "),
        ("export", ["--work_dir", "nowhere"], "expected a run made by tfadv train"),
        ("experiment", ["nowhere.toml"], "expected a study file (TOML)"),
        ("predict", ["--model=m", "--image=i", "--output=o.nii"], "made by tfadv export"),
        ("methods", ["nothing"], "--method: expected one of kohl_cross_entropy, "),
    ],
)
def test_wrong_values_are_one_line_that_does_not_wait_for_tensorflow(
    program: str, arguments: list[str], message: str, tfadv: Launch
) -> None:
    before = os.times()
    result = tfadv(program, *arguments)
    after = os.times()
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    used_s = after.children_user + after.children_system
    used_s -= before.children_user + before.children_system
    assert used_s < 1.0


@needs_proc
def test_ctrl_c_during_the_first_imports_is_one_line(command: Callable[..., list[str]]) -> None:
    with subprocess.Popen(
        command("preprocess", "--dataset=table"),
        stderr=subprocess.PIPE,
        text=True,
        # A suite that a shell runs in the background ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        maps = Path(f"/proc/{process.pid}/maps")
        while process.poll() is None and "numpy" not in maps.read_text():
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    (line,) = stderr.splitlines()
    assert line.startswith("error: stopped by Ctrl-C; the same command goes on")
