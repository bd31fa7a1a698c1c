"""Three rows with a label map, and a CSV that has a fourth without."""

from collections.abc import Callable
from pathlib import Path


def write(folder: Path, image: Callable[..., None], label: Callable[..., None]) -> Path:
    rows = ["subject,t1,t2,label,group"]
    for number in range(4):
        for channel, kind in enumerate(("t1", "t2")):
            image(folder / f"{number}_{kind}.nii", 10 * number + channel)
        label(folder / f"{number}_label.nii", number, 0, 3, 9)
        named = f"{number}_label.nii" if number < 3 else ""
        rows.append(f"s {number},{number}_t1.nii,{number}_t2.nii,{named},{'ab'[number % 2]}")
    (folder / "all.csv").write_text("\n".join(rows))
    (folder / "labelled.csv").write_text("\n".join(rows[:-1]))
    return folder / "labelled.csv"


def with_unlabelled(data_dir: Path) -> Path:
    return data_dir.with_name("all.csv")
