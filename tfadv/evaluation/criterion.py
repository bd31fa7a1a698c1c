"""What chooses a run's epoch: a measure of a region, or of the mean of all, in validation."""

import math
from dataclasses import dataclass

from tfadv.evaluation import measures
from tfadv.evaluation.measures import Measure
from tfadv.inference.targets import scored_regions
from tfrecords.errors import SettingError
from tfrecords.names import MEAN
from tfrecords.records.manifest import Manifest


def log_key(measure: str, region: str) -> str:
    """What a run's history calls a measure in validation; of MEAN it is the measure alone."""
    return f"val_{measure}" if region == MEAN else f"val_{measure}_{region}"


@dataclass(frozen=True)
class Criterion:
    """A measure, by its name, of a class or region, or of MEAN."""

    measure: str
    region: str

    @classmethod
    def parse(cls, text: str, manifest: Manifest) -> "Criterion":
        """Reads "WT", "mean" (of Dice), or measure and region as in "sensitivity:WT".

        Raises:
            SettingError: no such measure or region, or a measure of which no number is better.
        """
        regions = (MEAN, *scored_regions(manifest))
        if text in regions:
            return cls("dice", text)
        name, _, region = text.partition(":")
        ranked = [measure.name for measure in measures.MEASURES if measure.better != "neither"]
        if name not in ranked or region not in regions:
            raise SettingError(
                "select_by",
                f"expected one of {', '.join(regions)}, or one of {', '.join(ranked)} with one of "
                f"them, as in {ranked[0]}:{regions[-1]}, received {text}",
            )
        return cls(name, region)

    @property
    def definition(self) -> Measure:
        return measures.named(self.measure)

    @property
    def key(self) -> str:
        """Its number in what an epoch logs."""
        return log_key(self.measure, self.region)

    @property
    def title(self) -> str:
        return f"validation {self.definition.title}: {self.region}"

    def improves(self, value: float, best: float) -> bool:
        """Whether a value is better than the best so far. Any number is better than nan."""
        if math.isnan(best):
            return not math.isnan(value)
        return value < best if self.definition.better == "lower" else value > best


MEAN_DICE = Criterion("dice", MEAN)
