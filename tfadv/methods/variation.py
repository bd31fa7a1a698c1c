"""What nnU-Net's users expect of training examples, as hyperparameters; no paper here has it."""

from dataclasses import dataclass, replace

from tfadv.methods.checks import SHARE, at_least, between
from tfadv.methods.method import Method, hyperparameter
from tfrecords.reading.appearance import Appearance
from tfrecords.reading.augmentation import Augmentation

OFF = "ours, off as in the paper: "


@dataclass(frozen=True, kw_only=True)
class Varied(Method):
    """Training examples of slices and volumes may be scaled, deformed, and vary in intensity."""

    scale: float = hyperparameter(
        0.0, f"{OFF}things grow by 1/(1 + scale) to 1 + scale; nnU-Net: 0.4", between(0, 3)
    )
    elastic: float = hyperparameter(
        0.0, f"{OFF}voxels, standard deviation of a smooth deformation", between(0, 20)
    )
    low_resolution: float = hyperparameter(
        0.0, f"{OFF}voxels are larger by 1 to 1 + this; nnU-Net: 1", between(0, 7)
    )
    blur: float = hyperparameter(
        0.0, f"{OFF}voxels, at most, of a Gaussian; nnU-Net: 1", between(0, 5)
    )
    noise: float = hyperparameter(
        0.0, f"{OFF}largest standard deviation, normalised; nnU-Net: 0.3", at_least(0)
    )
    brightness: float = hyperparameter(
        0.0, f"{OFF}a factor from 1 - this to 1 + this; nnU-Net: 0.25", between(0, 0.9)
    )
    contrast: float = hyperparameter(
        0.0, f"{OFF}of distances to the mean, as brightness; nnU-Net: 0.25", between(0, 0.9)
    )
    gamma: float = hyperparameter(
        0.0, f"{OFF}a power from 1/(1 + gamma) to 1 + gamma; nnU-Net: 0.5", between(0, 3)
    )
    varied_share: float = hyperparameter(
        0.2, "ours: of examples that each of the six above varies; nnU-Net: 0.1 to 0.3", SHARE
    )

    def varied(self, augmentation: Augmentation) -> Augmentation:
        """The method's own augmentation, and these."""
        return replace(
            augmentation,
            scale=self.scale,
            elastic=self.elastic,
            appearance=Appearance(
                self.low_resolution,
                self.blur,
                self.noise,
                self.brightness,
                self.contrast,
                self.gamma,
                self.varied_share,
            ),
        )
