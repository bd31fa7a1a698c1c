"""Preprocessing as users run it: its messages, and what it writes."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tfadv import methods
from tfadv.programs import preprocess
from tfrecords.records.manifest import load_manifest
from tfrecords.records.views import Patches, Slices, View, Volumes

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(launch: Run, tmp_path: Path) -> Run:
    """`run(flags...)` in a folder of its own."""
    return lambda *flags: launch("preprocess", *flags, cwd=tmp_path)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--spacing=1,nan,1"], "--spacing: expected three numbers X,Y,Z in mm, positive, or 0"),
        (["--spacing=0,0,0"], "0 (but not all) for the source's own, received 0,0,0"),
        (["--spacing=1,-1,0"], "received 1,-1,0"),
        (["--view=patches", "--foreground_slices"], "expected the view slices, received patches"),
        (["--patch_size=33"], "error: --patch_size: expected the view patches, received slices"),
        (["--view=volumes", "--label_size=3"], "--label_size: expected the view patches, received"),
        (["--crop=9,9"], "--crop: expected three positive whole numbers X,Y,Z of voxels"),
        (["--crop=9,0,9"], "received 9,0,9"),
        (["--orientation=RAX"], "--orientation: expected three axis codes such as RAS"),
        (["--dataset=decathlon"], "--data_dir: expected a folder for --dataset decathlon"),
        (["--dataset=table", "--data_dir=nowhere"], "--data_dir: expected a CSV"),
        (["--no_such_flag=1"], "no_such_flag"),
        (["--view=cubes"], "<slices|patches|volumes>"),
        (["--view=patches", "--patch_size=32"], "error: --patch_size: expected a positive odd"),
        (["--view=patches", "--patch_size=32"], "received 32"),
        (
            ["--view=patches", "--label_size=20"],
            "--label_size: expected an odd number from 1 to the patch's 87, received 20",
        ),
        (["--view=patches", "--patch_size=15"], "from 1 to the patch's 15, received 21"),
        (["--method=any", "--view=slices"], "--method and --view: expected one of them"),
        (
            ["--dataset=brats", "--unlabelled"],
            "--unlabelled: expected --dataset bids or decathlon or table",
        ),
        (["positional"], "expected flags alone, received ['positional']"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, run: Run, flags: list[str], message: str) -> None:
    result = run(*flags)
    assert result.returncode != 0
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_invalid_subjects_end_with_their_faults(
    tmp_path: Path, run: Run, small_dataset: Callable[..., Any]
) -> None:
    data = small_dataset(tmp_path / "data", 2)
    data.path("s1", "t2").unlink()
    result = run("--dataset=table", f"--data_dir={data.csv}", "--workers=1")
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    error = result.stderr[result.stderr.index("error: ") :].splitlines()
    assert error[0].startswith("error: 1 of 2 subjects are not valid; nothing was written")
    assert error[1:] == [f"  s1: {data.path('s1', 't2')}: no such file"]
    assert not (tmp_path / "records").exists()


@pytest.mark.slow
def test_a_run_tells_what_it_wrote_and_what_comes_next(
    tmp_path: Path, run: Run, small_dataset: Callable[..., Any]
) -> None:
    data = small_dataset(tmp_path / "data", 4)
    flags = ("--dataset=table", f"--data_dir={data.folder}", "--folds=2", "--workers=1")
    flags += ("--seed=3", "--spacing=1,1,2", "--crop=9,20,5", "--modalities=t2,t1")
    result = run(*flags, "--orientation=LPS")
    assert result.returncode == 0, result.stderr
    manifest = load_manifest(tmp_path / "records" / "table")
    assert (manifest.seed, manifest.orientation) == (3, "LPS")
    assert manifest.wanted_spacing_mm == (1, 1, 2)
    assert manifest.folds == ("0", "1")
    assert manifest.modalities == ("t2", "t1")
    assert manifest.largest_shape == (5, 14, 9)
    assert "slices: 20 examples in 3 shards" in result.stdout
    assert "volumes: 4 examples in 3 shards" in result.stdout
    assert "4 subjects in 2 folds, seed 3: records/table" in result.stdout
    next_line = result.stdout.splitlines()[-1]
    assert next_line.startswith("Next: python launch/train.py --method kohl_cross_entropy")
    assert (" --preset small " in next_line) == (not any(Path("/dev").glob("nvidia[0-9]*")))


@pytest.mark.slow
def test_a_run_tells_which_subjects_only_train_and_how_many_slices_are_left(
    tmp_path: Path, run: Run, small_dataset: Callable[..., Any]
) -> None:
    data = small_dataset(tmp_path / "data", 4)
    path = data.path("s0", "label")
    image = nib.Nifti1Image.from_filename(path)
    label = np.asarray(image.dataobj).copy()
    label[..., 3:6] = 0
    nib.Nifti1Image(label, image.affine).to_filename(path)
    flags = ("--dataset=table", f"--data_dir={data.folder}", "--folds=3", "--workers=1")
    flags += ("--spacing=0.5,0.5,0", "--foreground_slices", "--training_only=low")
    result = run(*flags)
    assert result.returncode == 0, result.stderr
    manifest = load_manifest(tmp_path / "records" / "table")
    assert manifest.folds == ("0", "1", "2", "training")
    assert manifest.wanted_spacing_mm == (0.5, 0.5, 0)
    assert manifest.largest_shape == (10, 28, 24)
    # Eight of each subject, three of s0 without a label.
    assert "slices: 29 examples in 4 shards" in result.stdout
    assert "1 subjects only train: fold training\n" in result.stdout


@pytest.mark.slow
def test_a_run_tells_how_many_unlabelled_subjects_it_took(
    tmp_path: Path, run: Run, small_dataset: Callable[..., Any]
) -> None:
    data = small_dataset(tmp_path / "data", 5)
    data.unlabel("s0", "s3")
    data.table.to_csv(data.csv, index=False)
    flags = ("--dataset=table", f"--data_dir={data.folder}", "--folds=2", "--workers=1")
    result = run(*flags, "--unlabelled")
    assert result.returncode == 0, result.stderr
    manifest = load_manifest(tmp_path / "records" / "table")
    assert [s.name for s in manifest.subjects if not s.labelled] == ["s0", "s3"]
    lines = result.stdout.splitlines()
    assert "2 unlabelled subjects, as whole volumes" in lines
    assert "3 subjects in 2 folds, seed 0: records/table" in lines
    assert "slices: 24 examples in 3 shards" in result.stdout
    assert "volumes: 5 examples in 4 shards" in result.stdout


@pytest.mark.slow
def test_a_run_tells_the_patches_of_each_class_and_the_subjects_without_any(
    tmp_path: Path, run: Run, small_dataset: Callable[..., Any]
) -> None:
    data = small_dataset(tmp_path / "data", 8)
    for number in range(7):
        path = data.path(f"s{number}", "label")
        image = nib.Nifti1Image.from_filename(path)
        label = np.asarray(image.dataobj).copy()
        label[label == 2] = 1
        if number == 0:
            label[label == 1] = 0
        nib.Nifti1Image(label, image.affine).to_filename(path)
    flags = ("--dataset=table", f"--data_dir={data.folder}", "--folds=2", "--workers=1")
    result = run(*flags, "--view=patches", "--patches_per_class=3", "--patch_size=25")
    assert result.returncode == 0, result.stderr
    view = load_manifest(tmp_path / "records" / "table").view
    assert view == Patches(25, 21, 3)
    assert "Next: python launch/train.py --method moeskops_dilated " in result.stdout
    assert "class background: 24 patches\n" in result.stdout
    assert "class label_1: 21 patches\n" in result.stdout
    assert "class label_1: no patches of 1 of 8 subjects, which lack it: s0\n" in result.stdout
    assert "class label_2: 3 patches\n" in result.stdout
    named = "s0, s1, s2, s3, s4 and 2 more"
    line = f"class label_2: no patches of 7 of 8 subjects, which lack it: {named}\n"
    assert line in result.stdout
    written = re.search(r"patches: 48 examples in .* shards, (.*) MB", result.stdout)
    volumes = re.search(r"volumes: 8 examples in .* shards, (.*) MB", result.stdout)
    planned = re.search(r"Writing .* shards, at most (.*) MB\.", result.stdout)
    assert written
    assert volumes
    assert planned
    assert float(planned[1]) >= float(written[1]) + float(volumes[1])


@pytest.mark.slow
def test_a_run_tells_which_label_nobody_annotated(tmp_path: Path, run: Run) -> None:
    """nnU-Net's; a case of nothing else is left out."""
    labels = {"background": 0, "A": 1, "ignore": 2}
    content = {"channel_names": {"0": "T2"}, "labels": labels, "file_ending": ".nii.gz"}
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    for number in range(3):
        image = np.random.default_rng(number).integers(1, 99, (4, 5, 6)).astype(np.int16)
        label = np.full((4, 5, 6), 2, np.uint8)
        if number:
            label[:3, 0] = [0, 0, 0, 0, 0, 1]
        for place, array in ((f"imagesTr/c{number}_0000", image), (f"labelsTr/c{number}", label)):
            nib.Nifti1Image(array, np.eye(4)).to_filename(tmp_path / f"{place}.nii.gz")
    flags = ["--dataset=decathlon", "--data_dir=.", "--folds=2", "--workers=1"]
    refused = run(*flags)
    assert refused.returncode == 1
    finding = "labelsTr/c0.nii.gz: every voxel is ignored (label 2), expected some that are"
    assert finding in refused.stderr
    result = run(*flags, "--skip_invalid")
    assert result.returncode == 0, result.stderr
    assert "class background: 83.333 % of voxels\nclass A: 16.667 % of voxels\n" in result.stdout
    assert "\nlabel 2: voxels that nobody annotated, which count nowhere\n" in result.stdout
    assert f"left out: c0: {finding}" in result.stdout
    assert load_manifest(tmp_path / "records" / "decathlon").ignored == (2,)


@pytest.mark.slow
def test_a_record_set_is_verified(
    tmp_path: Path, run: Run, small_records: tuple[Any, Path]
) -> None:
    """Without TensorFlow, and without any other flag."""
    folder = shutil.copytree(small_records[1], tmp_path / "copy")
    whole = run("--verify", folder)
    assert (whole.returncode, whole.stderr) == (0, "")
    assert re.fullmatch(rf"{folder}: \d+ shards, .* MB, whole as they were written\n", whole.stdout)
    files = sorted(folder.glob("*.tfrecord"))[:2]
    for file in files:
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    damaged = run("--verify", folder)
    assert damaged.returncode == 1
    assert damaged.stdout == ""
    head, *lines = damaged.stderr.splitlines()
    assert head.startswith(f"error: {folder}: 2 files are not as they should be. Run launch/")
    assert sorted(lines) == [f"  {file}: checksum differs from the manifest's" for file in files]
    other = run("--verify", folder, "--folds=3")
    assert other.returncode == 1
    assert other.stderr == "error: --verify: expected no other flag, received --folds\n"


@pytest.mark.slow
def test_a_methods_view_leaves_no_tensorflow_in_the_process() -> None:
    """Its 0.9 GB would stay as long as volumes are read."""
    code = """
import sys
from absl import flags
from tfadv.programs import preprocess
if __name__ == "__main__":
    flags.FLAGS(["preprocess", "--method=moeskops_fcn"])
    print(preprocess._view(), "tensorflow" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{Patches(51, 21)} False\n"


@pytest.mark.parametrize("view", [Slices(), Patches(25, 21, 3), Volumes()])
@pytest.mark.parametrize("regions", [{}, {"WT": (1, 2)}])
def test_a_baseline_comes_first(
    view: View, regions: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the record set's view, with a partner to come second."""
    monkeypatch.setattr(preprocess, "METHOD", SimpleNamespace(value=None))
    manifest: Any = SimpleNamespace(view=view, regions=regions)
    method = methods.get(preprocess._suited(manifest).split()[1])
    assert type(method.view) is type(view)
    assert method.partner
    assert "signal" not in method.configure().values
    assert methods.get(method.partner).configure().values["signal"] == "on"
