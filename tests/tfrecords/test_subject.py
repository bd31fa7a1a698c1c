from pathlib import Path

import numpy as np
import pytest

from tfrecords.errors import UserError
from tfrecords.subject import LabelClass, class_indices, require_dir


def test_source_labels_become_class_indices() -> None:
    classes = (LabelClass("none", (0,)), LabelClass("grey", (4, 200)), LabelClass("white", (1,)))
    label = np.array([[0, 1], [4, 200]], np.int64)
    indices = class_indices(label, classes)
    assert indices.dtype == np.uint8
    assert indices.tolist() == [[0, 2], [1, 1]]


def test_a_missing_folder_is_refused_with_the_flags(tmp_path: Path) -> None:
    assert require_dir(tmp_path, "decathlon") == tmp_path
    for wrong in (None, tmp_path / "nowhere"):
        with pytest.raises(
            UserError, match="--data_dir: expected a folder for --dataset decathlon"
        ):
            require_dir(wrong, "decathlon")
