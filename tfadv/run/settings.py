"""What determines a run."""

from dataclasses import asdict, dataclass
from typing import Any

from tfadv import methods
from tfadv.inference.targets import scored_regions
from tfadv.methods.method import Method
from tfadv.run.split import Split
from tfrecords.errors import UserError
from tfrecords.reading.record_set import RecordSet

# Chooses the epoch by the mean Dice of all classes or regions.
MEAN = "mean"


@dataclass(frozen=True)
class Settings:
    """What a run was started with; `hyperparameters.json`.

    Attributes:
        positive_fraction: see `split.training_subjects`.
        selected_by: the class or region whose validation Dice chooses the epoch, or MEAN.
    """

    method: str
    hyperparameters: dict[str, Any]
    records: str
    training_folds: tuple[str, ...]
    validation_folds: tuple[str, ...]
    test_folds: tuple[str, ...]
    precision: str
    seed: int
    positive_fraction: float = 1.0
    selected_by: str = MEAN

    def resolved(self) -> tuple[Method, Any]:
        """The method and its hyperparameters."""
        method = methods.get(self.method)
        return method, method.hyperparameters(**self.hyperparameters)


def settings_of(
    method: Method,
    hp: Any,
    records: RecordSet,
    split: Split,
    precision: str,
    seed: int,
    *,
    positive_fraction: float = 1.0,
    selected_by: str = MEAN,
) -> Settings:
    """What determines a run; see `Settings`.

    Raises:
        UserError: the fraction is not in (0, 1], or nothing is scored under that name.
    """
    if not 0 < positive_fraction <= 1:
        raise UserError(
            "--positive_fraction: expected a share in (0, 1] of the training subjects, received "
            f"{positive_fraction}"
        )
    scored = (MEAN, *scored_regions(records.manifest))
    if selected_by not in scored:
        raise UserError(f"--select_by: expected one of {', '.join(scored)}, received {selected_by}")
    return Settings(
        method.name,
        asdict(hp),
        str(records.folder.resolve()),
        split.training,
        split.validation,
        split.test,
        precision,
        seed,
        positive_fraction,
        selected_by,
    )
