"""What determines a run: `hyperparameters.json`."""

from dataclasses import dataclass
from typing import NamedTuple

from tfrecords.errors import SettingError
from tfrecords.names import MEAN

LARGEST_SEED = 2**32 - 2  # Keras takes the one above it at most.
Value = bool | int | float | str


class Initial(NamedTuple):
    """Where a run's first weights are from; random ones if empty.

    Attributes:
        source: folder of a run or a model, absolute.
        sha256: of the weights there.
    """

    source: str = ""
    sha256: str = ""


RANDOM = Initial()


@dataclass(frozen=True)
class Settings:
    """What a run was started with.

    Attributes:
        records: folder of the record set, absolute.
        positive_fraction: see `split.training_subjects`.
        unlabelled_subjects: see `split.unlabelled_subjects`; 0 takes all without a label map.
        selected_by: what chooses the epoch; see `evaluation.criterion`.
        init_from, init_sha256: see `Initial`.

    Raises:
        SettingError: a fraction that is not in (0, 1], a negative number of unlabelled subjects, a
            seed that is negative or too large, or folds that train and are held out, or of which
            there are none.
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
    init_from: str = ""
    init_sha256: str = ""
    unlabelled_subjects: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.positive_fraction <= 1:
            raise SettingError(
                "positive_fraction",
                "expected a share in (0, 1] of the training subjects, received "
                f"{self.positive_fraction}",
            )
        if self.unlabelled_subjects < 0:
            raise SettingError(
                "unlabelled_subjects",
                "expected a number of subjects, or 0 for all without a label map, received "
                f"{self.unlabelled_subjects}",
            )
        if not 0 <= self.seed <= LARGEST_SEED:
            raise SettingError(
                "seed", f"expected a number from 0 to {LARGEST_SEED}, received {self.seed}"
            )
        held_out = {*self.validation_folds, *self.test_folds}
        for name in ("training_folds", "validation_folds", "test_folds"):
            folds = getattr(self, name)
            wrong = not folds or len(set(folds)) < len(folds)
            if wrong or (name == "training_folds" and held_out & set(folds)):
                raise SettingError(
                    name,
                    "expected at least one, each once, and those that train not among the others, "
                    f"received {list(folds)}",
                )
