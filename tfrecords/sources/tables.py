"""Tables that a user writes: finding and reading a CSV."""

from pathlib import Path

import pandas as pd

from tfrecords.errors import SettingError, UserError


def find_csv(data_dir: Path | None, dataset: str, otherwise: str = "") -> Path:
    """`data_dir`, if it is a file, or the single CSV in it.

    Args:
        otherwise: what else `--data_dir` may be, for the message.

    Raises:
        UserError: neither.
    """
    if data_dir is not None and data_dir.is_file():
        return data_dir
    found = sorted(data_dir.glob("*.csv")) if data_dir is not None else []
    if len(found) != 1:
        raise SettingError(
            "data_dir",
            f"expected {otherwise}a CSV, or a folder with a single one, for --dataset "
            f"{dataset}, received {data_dir} with {[path.name for path in found]}",
        )
    return found[0]


def read_rows(path: Path) -> pd.DataFrame:
    """All values as text. Only an empty field is missing: a subject may be called NA.

    Raises:
        UserError: not to be read as CSV.
    """
    try:
        return pd.read_csv(
            path, dtype=str, skipinitialspace=True, keep_default_na=False, na_values=[""]
        )
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error})") from error
