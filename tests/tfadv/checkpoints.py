"""What a checkpoint holds, for tests that compare runs."""

from pathlib import Path

import h5py
import numpy as np


def last_checkpoint(work_dir: Path) -> dict[str, np.ndarray]:
    """Everything in a run's last one by its place, optimizers included."""
    found: dict[str, np.ndarray] = {}
    with h5py.File(sorted(work_dir.glob("checkpoints/*.h5"))[-1]) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found
