"""The notebook's cells run, on a tiny run instead of the demonstration's."""

import json
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest

from tfadv.run.work_dir import WorkDir
from tfrecords.reading.record_set import RecordSet

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "first_look.ipynb"


@pytest.mark.slow
def test_first_look(run: WorkDir, records: RecordSet) -> None:
    mpl.use("Agg")
    names: dict[str, object] = {}
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code" or "IPython" in source:
            continue
        exec(source, names)
        if "parameters" in cell["metadata"].get("tags", ()):
            names |= {"RECORDS": records.folder, "RUN": run.folder}
    assert isinstance(names["history"], pd.DataFrame)
    assert isinstance(names["picture"], bytes)
