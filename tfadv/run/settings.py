"""What determines a run: `hyperparameters.json`."""

from dataclasses import dataclass

from tfrecords.errors import SettingError
from tfrecords.names import MEAN

Value = bool | int | float | str


@dataclass(frozen=True)
class Settings:
    """What a run was started with.

    Attributes:
        records: folder of the record set, absolute.
        positive_fraction: see `split.training_subjects`.
        selected_by: what chooses the epoch; see `evaluation.criterion`.

    Raises:
        SettingError: a fraction that is not in (0, 1], or a negative seed.
    """

    method: str
    hyperparameters: dict[str, Value]
    records: str
    training_folds: tuple[str, ...]
    validation_folds: tuple[str, ...]
    test_folds: tuple[str, ...]
    seed: int = 0
    positive_fraction: float = 1.0
    selected_by: str = MEAN

    def __post_init__(self) -> None:
        if not 0 < self.positive_fraction <= 1:
            raise SettingError(
                "positive_fraction",
                "expected a share in (0, 1] of the training subjects, received "
                f"{self.positive_fraction}",
            )
        if self.seed < 0:
            raise SettingError("seed", f"expected at least 0, received {self.seed}")
