"""Three labelled cases of a decathlon and one without a label map."""

import json
from collections.abc import Callable
from pathlib import Path


def write(folder: Path, image: Callable[..., None], label: Callable[..., None]) -> Path:
    names = [f"case_{number}.nii.gz" for number in range(3)]
    for number, name in enumerate(names):
        image(folder / "imagesTr" / name, number, (2,))
        label(folder / "labelsTr" / name, number, 0, 1, 2)
    image(folder / "imagesTs" / "case_9.nii.gz", 9, (2,))
    content = {
        "modality": {"0": "T2", "1": "ADC"},
        "labels": {"0": "background", "1": "PZ", "2": "TZ"},
        "training": [{"image": f"imagesTr/{n}", "label": f"labelsTr/{n}"} for n in names],
        "test": ["imagesTs/case_9.nii.gz"],
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder
