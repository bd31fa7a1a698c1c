"""Synthetic brain scans with known label maps, made from the ICBM 152 tissue maps in nilearn.

A subject is the template deformed at random, so that its tissue fractions, and with them its label
map, are known in every voxel. Each modality is the mixture of its tissues' mean intensities by
these fractions, times a smooth bias field, with Rician noise, in an arbitrary gain.

Arrays are [X, Y, Z] as in the files; stacks of maps are [K, X, Y, Z].
"""

import functools
from pathlib import Path

import numpy as np
from numpy.random import Generator
from scipy import ndimage, special

from tfrecords.geometry.grid import make_grid
from tfrecords.geometry.nifti import write_image

SPACING_MM = 3

# All values below are ours, chosen to look like clinical scans at this resolution.
SIZE_SPREAD = 0.04  # Largest relative change of a brain's size along an axis.
WARP_MM = 2.5  # Standard deviation of the displacement along each axis ...
WARP_SCALE_MM = 22.0  # ... and of the Gaussian that smooths it.
FOLDING = 0.6  # Log-odds of tissues, one standard deviation: cortices fold differently ...
FOLDING_SCALE_MM = 2.5  # ... at this scale.
SHARPNESS = 2.0  # Exponent that undoes the blur of a map averaged over many people.
BIAS = 0.07  # Relative change of intensity over the head, one standard deviation.
BIAS_SCALE_MM = 36.0
NOISE = (0.05, 0.08)  # Standard deviation relative to white matter's intensity.
GAIN = (300.0, 900.0)  # White matter's stored intensity.

LESION_RADIUS_MM = (15.0, 28.0)  # Of the whole lesion in white matter.
CORE_PART = (0.55, 0.7)  # Tumour core's radius relative to the whole lesion's.
# The enhancing rim, by high_grade; where negative, hardly any.
RIM_MM = {True: (3.5, 6.0), False: (-12.0, 2.0)}
ELONGATION = 0.2  # Largest relative change of a lesion's radius along an axis.
RAGGEDNESS_MM = 2.2  # How far a lesion's outline leaves its ellipsoid, one standard deviation.
RAGGEDNESS_SCALE_MM = 6.0
GREY_BARRIER_MM = 6.0  # How much less far oedema reaches into grey matter, which it spares.
EDGE_MM = 1.0  # Width of a lesion's edge.
DEPTH_MM = 18.0  # A lesion's centre keeps this distance to the brain's surface ...
FLOOR_MM = 0.0  # ... and lies above this template height, in the cerebrum.
MOTTLING = 0.06  # Relative change of intensity inside lesions, one standard deviation ...
MOTTLING_SCALE_MM = 4.0

# Mean intensities relative to white matter's: CSF, grey matter, white matter ...
TISSUES = {
    "t1": (0.35, 0.72, 1.0),
    "t1ce": (0.37, 0.75, 1.0),
    "t2": (2.1, 1.35, 1.0),
    "flair": (0.35, 1.18, 1.0),
}
# ... and, by high_grade: oedema, enhancing, necrotic and non-enhancing core.
LESIONS = {
    "t1": {True: (0.68, 0.72, 0.42), False: (0.80, 0.70, 0.60)},
    "t1ce": {True: (0.70, 1.65, 0.45), False: (0.80, 1.25, 0.62)},
    "t2": {True: (1.85, 1.60, 2.00), False: (1.55, 1.60, 1.75)},
    "flair": {True: (1.95, 1.60, 1.25), False: (1.60, 1.55, 1.75)},
}
TISSUE_LABELS = (1, 2, 3)  # CSF, grey matter, white matter
LESION_LABELS = (2, 4, 1)  # BraTS: oedema, enhancing, necrotic and non-enhancing core


def make_tissue_subject(folder: Path, name: str, seed: int) -> None:
    """Writes `<folder>/<name>/<name>_{t1,seg}.nii.gz`: 0 background, 1 CSF, 2 grey, 3 white."""
    rng = np.random.default_rng(seed)
    fractions, brain = _brain(rng)
    image = _scan(rng, fractions, TISSUES["t1"], mottling=1.0)
    label = brain * np.array(TISSUE_LABELS, np.uint8)[fractions.argmax(axis=0)]
    _write(folder, name, {"t1": image, "seg": label})


def make_tumour_subject(folder: Path, name: str, seed: int, high_grade: bool) -> None:
    """Writes `<folder>/<name>/<name>_{t1,t1ce,t2,flair,seg}.nii.gz` with one tumour.

    Labels as in BraTS: 1 necrotic and non-enhancing core, 2 oedema, 4 enhancing, else 0. For one
    seed both grades share brain, place and outline; a low grade has a faint rim, if any.
    """
    rng = np.random.default_rng(seed)
    tissues, brain = _brain(rng)
    whole, core, inner = _lesion(rng, tissues, brain, RIM_MM[high_grade])
    fractions = np.stack([*(tissues * (1 - whole)), whole - core, core - inner, inner])
    mottling = 1 + MOTTLING * whole * _smooth_noise(rng, brain.shape, MOTTLING_SCALE_MM)
    images = {
        modality: _scan(rng, fractions, means + LESIONS[modality][high_grade], mottling)
        for modality, means in TISSUES.items()
    }
    label = np.zeros(brain.shape, np.uint8)
    for part, value in zip((whole, core, inner), LESION_LABELS, strict=True):
        label[brain & (part > 0.5)] = value
    _write(folder, name, {**images, "seg": label})


@functools.lru_cache(maxsize=1)
def _template() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fractions of CSF, grey and white matter [3, X, Y, Z], the brain's mask, the affine."""
    from nilearn import datasets  # noqa: PLC0415 (takes seconds, and only this function needs it)

    mask = datasets.load_mni152_brain_mask(SPACING_MM)
    brain = np.asarray(mask.dataobj, np.float32)
    grey = brain * datasets.load_mni152_gm_template(SPACING_MM).get_fdata(dtype=np.float32)
    white = brain * datasets.load_mni152_wm_template(SPACING_MM).get_fdata(dtype=np.float32)
    fluid = np.clip(brain - grey - white, 0, 1)
    return np.stack([fluid, grey, white]), brain, mask.affine


def _brain(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """A new brain: fractions of CSF, grey and white matter, summing to 1 inside its mask."""
    fractions, mask, _ = _template()
    size = _stretch(rng, SIZE_SPREAD)
    centre = np.array(mask.shape, np.float32).reshape(3, 1, 1, 1) / 2
    source = centre + (np.indices(mask.shape, np.float32) - centre) * size
    source += [_smooth_noise(rng, mask.shape, WARP_SCALE_MM) * WARP_MM / SPACING_MM for _ in "xyz"]
    brain = ndimage.map_coordinates(mask, source, order=1) > 0.5
    warped = np.stack([ndimage.map_coordinates(part, source, order=1) for part in fractions])
    folds = np.stack([_smooth_noise(rng, mask.shape, FOLDING_SCALE_MM) for _ in fractions])
    odds = np.maximum(warped, 1e-6) ** SHARPNESS * np.exp(FOLDING * folds)
    return brain * odds / odds.sum(axis=0), brain


def _lesion(
    rng: Generator, tissues: np.ndarray, brain: np.ndarray, rim_mm: tuple[float, float]
) -> np.ndarray:
    """Nested fractions of the whole lesion, its core, and the core inside the rim [3, X, Y, Z]."""
    centre = _lesion_centre(rng, tissues[2], brain)
    whole_mm = rng.uniform(*LESION_RADIUS_MM)
    core_mm = whole_mm * rng.uniform(*CORE_PART)
    radii_mm = np.array([whole_mm, core_mm, core_mm - rng.uniform(*rim_mm)], np.float32)
    offset_mm = (np.indices(brain.shape, np.float32) - centre.reshape(3, 1, 1, 1)) * SPACING_MM
    distance_mm = np.linalg.norm(offset_mm / _stretch(rng, ELONGATION), axis=0)
    ragged = np.stack([_smooth_noise(rng, brain.shape, RAGGEDNESS_SCALE_MM) for _ in radii_mm])
    depth_mm = radii_mm.reshape(3, 1, 1, 1) - distance_mm + RAGGEDNESS_MM * ragged
    depth_mm[0] -= GREY_BARRIER_MM * (1 - tissues[2])
    depth_mm[0] = np.maximum(depth_mm[0], depth_mm[1])
    depth_mm[2] = np.minimum(depth_mm[2], depth_mm[1])
    return brain * special.expit(depth_mm / EDGE_MM)


def _lesion_centre(rng: Generator, white: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """A voxel in deep white matter of the cerebrum."""
    affine = _template()[2]
    deep = ndimage.distance_transform_edt(brain, sampling=SPACING_MM) > DEPTH_MM
    height_mm = affine[2, 3] + affine[2, 2] * np.arange(brain.shape[2])
    return rng.choice(np.argwhere(deep & (white > 0.7) & (height_mm > FLOOR_MM))).astype(np.float32)


def _stretch(rng: Generator, spread: float) -> np.ndarray:
    """A random factor per axis [3, 1, 1, 1]."""
    return rng.uniform(1 - spread, 1 + spread, (3, 1, 1, 1)).astype(np.float32)


def _scan(
    rng: Generator, fractions: np.ndarray, means: tuple[float, ...], mottling: np.ndarray | float
) -> np.ndarray:
    """One modality (int16): positive in the brain, exactly zero outside."""
    brain = fractions.any(axis=0)
    bias = np.exp(BIAS * _smooth_noise(rng, brain.shape, BIAS_SCALE_MM))
    signal = np.tensordot(np.array(means, np.float32), fractions, axes=1) * mottling * bias
    noise = rng.uniform(*NOISE) * rng.standard_normal((2, *brain.shape), np.float32)
    stored = rng.uniform(*GAIN) * np.hypot(signal + noise[0], noise[1])
    return np.where(brain, np.maximum(np.rint(stored), 1), 0).astype(np.int16)


def _smooth_noise(rng: Generator, shape: tuple[int, ...], scale_mm: float) -> np.ndarray:
    """A random field of mean 0 and variance 1: white noise under a Gaussian of this width."""
    noise = rng.standard_normal(shape, np.float32)
    field = ndimage.gaussian_filter(noise, scale_mm / SPACING_MM, mode="wrap", truncate=3)
    return (field - field.mean()) / field.std()


def _write(folder: Path, name: str, arrays: dict[str, np.ndarray]) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    for kind, array in arrays.items():
        path = folder / name / f"{name}_{kind}.nii.gz"
        write_image(path, array, make_grid(array.shape, _template()[2]))
