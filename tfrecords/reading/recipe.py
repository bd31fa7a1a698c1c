"""What training wants of a record set's examples."""

from dataclasses import dataclass

from tfrecords.errors import SettingError
from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.favoured import Favoured
from tfrecords.records.views import View


@dataclass(frozen=True)
class Recipe:
    """How training examples become batches.

    Attributes:
        view: of the examples. A record set's patches may be larger.
        size: of the crop of a slice (height, width) or of a volume (depth, height, width).
        minibatch: examples of one minibatch of one replica.
        scheme: of normalisation.
        regions: class indices of each region, if labels are to be regions; empty for classes.
        favoured: what is drawn more often; None draws from all examples alike.
        unlabelled: whether every example comes with another one's image, of a subject without label
            map. These are held as whole volumes, each of which is read for one example.
    """

    view: View
    size: tuple[int, ...]
    minibatch: int
    scheme: str
    augmentation: Augmentation
    regions: tuple[tuple[int, ...], ...] = ()
    favoured: Favoured | None = None
    unlabelled: bool = False

    def __post_init__(self) -> None:
        if not self.view.augmentable and self.augmentation.turned:
            raise SettingError(
                "augmentation",
                f"expected none of {self.view}, which cannot be rotated, shifted or mirrored, "
                f"received {self.augmentation}",
            )
        if not self.view.variable and self.augmentation.varied:
            raise SettingError(
                "augmentation",
                f"expected none of {self.view}, which cannot be scaled, deformed or varied in "
                f"intensity, received {self.augmentation}",
            )
