import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from tfrecords.sources import phantom

SEEDS = (0, 1, 2)
MODALITIES = ("t1", "t1ce", "t2", "flair")
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One tissue subject, and for each seed one tumour subject of either grade."""
    folder = tmp_path_factory.mktemp("phantom")
    phantom.make_tissue_subject(folder, "tissue", seed=0)
    for seed in SEEDS:
        phantom.make_tumour_subject(folder, f"high_{seed}", seed, high_grade=True)
        phantom.make_tumour_subject(folder, f"low_{seed}", seed, high_grade=False)
    return folder


def load(folder: Path, name: str) -> Arrays:
    paths = (folder / name).glob("*.nii.gz")
    return {
        path.name.removeprefix(f"{name}_").removesuffix(".nii.gz"): np.asarray(
            nib.Nifti1Image.from_filename(path).dataobj
        )
        for path in paths
    }


@pytest.fixture(scope="module", params=SEEDS)
def high(request: pytest.FixtureRequest, folder: Path) -> Arrays:
    return load(folder, f"high_{request.param}")


@pytest.fixture(scope="module", params=SEEDS)
def grades(request: pytest.FixtureRequest, folder: Path) -> tuple[Arrays, Arrays]:
    return load(folder, f"high_{request.param}"), load(folder, f"low_{request.param}")


def median(arrays: Arrays, modality: str, where: np.ndarray) -> float:
    return float(np.median(arrays[modality][where]))


def contrast(arrays: Arrays, modality: str, where: np.ndarray) -> float:
    """Median intensity relative to the healthy brain's."""
    healthy = (arrays[modality] > 0) & (arrays["seg"] == 0)
    return median(arrays, modality, where) / median(arrays, modality, healthy)


@pytest.mark.slow
def test_files_are_named_as_promised_and_no_temporary_stays(folder: Path) -> None:
    assert sorted(os.listdir(folder / "tissue")) == ["tissue_seg.nii.gz", "tissue_t1.nii.gz"]
    expected = sorted(f"high_0_{kind}.nii.gz" for kind in (*MODALITIES, "seg"))
    assert sorted(os.listdir(folder / "high_0")) == expected


def test_same_seed_gives_same_bytes_and_another_seed_another_brain(
    folder: Path, tmp_path: Path
) -> None:
    phantom.make_tumour_subject(tmp_path, "high_0", seed=0, high_grade=True)
    for path in (tmp_path / "high_0").iterdir():
        assert path.read_bytes() == (folder / "high_0" / path.name).read_bytes(), path.name
    brains = [load(folder, f"high_{seed}")["t1"] > 0 for seed in SEEDS]
    assert (brains[0] != brains[1]).any()
    assert (brains[1] != brains[2]).any()


def test_grid_is_3_mm_ras_in_scanner_coordinates(folder: Path) -> None:
    images = [nib.Nifti1Image.from_filename(path) for path in (folder / "high_0").iterdir()]
    for image in images:
        assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
        assert image.header.get_zooms() == (3.0, 3.0, 3.0)
        assert image.header.get_xyzt_units()[0] == "mm"
        for affine, code in (image.get_qform(coded=True), image.get_sform(coded=True)):
            assert code == 1
            np.testing.assert_array_equal(affine, images[0].affine)
        assert image.shape == images[0].shape
        origin = np.linalg.inv(image.affine)[:3, 3]
        assert ((origin > 0) & (origin < image.shape)).all()


def test_background_is_exactly_zero_and_the_brain_positive(high: Arrays) -> None:
    brain = high["t1"] > 0
    assert 50_000 < brain.sum() < 90_000
    for modality in MODALITIES:
        assert high[modality].dtype == np.int16
        np.testing.assert_array_equal(high[modality] != 0, brain)
        assert high[modality].min() == 0
        assert high[modality].max() < 10_000


def test_tissue_labels_fill_the_brain(folder: Path) -> None:
    arrays = load(folder, "tissue")
    assert arrays["seg"].dtype == np.uint8
    assert set(np.unique(arrays["seg"])) == {0, 1, 2, 3}
    np.testing.assert_array_equal(arrays["seg"] > 0, arrays["t1"] > 0)


def test_t1_orders_tissues_and_separates_them_beyond_noise(folder: Path) -> None:
    arrays = load(folder, "tissue")
    fluid, grey, white = (median(arrays, "t1", arrays["seg"] == label) for label in (1, 2, 3))
    noise = phantom.NOISE[1] * white
    assert fluid + 2 * noise < grey
    assert grey + 2 * noise < white


def test_each_modality_orders_healthy_tissues(folder: Path) -> None:
    # Tissue and tumour subjects of one seed share the brain, hence the tissue labels.
    tissue, arrays = load(folder, "tissue")["seg"], load(folder, "high_0")
    np.testing.assert_array_equal(tissue > 0, arrays["t1"] > 0)
    far = ~ndimage.binary_dilation(arrays["seg"] > 0, iterations=2)
    order = {"t1": (1, 2, 3), "t1ce": (1, 2, 3), "t2": (3, 2, 1), "flair": (1, 3, 2)}
    for modality, labels in order.items():
        medians = [median(arrays, modality, far & (tissue == label)) for label in labels]
        assert medians == sorted(medians), modality


def test_lesion_is_nested_and_inside_the_brain(high: Arrays) -> None:
    label, brain = high["seg"], high["t1"] > 0
    assert label.dtype == np.uint8
    assert set(np.unique(label)) == {0, 1, 2, 4}
    assert not (label[~brain] > 0).any()
    core, necrosis = (label == 1) | (label == 4), label == 1
    # Most of the core's neighbours are lesion; no necrosis touches what lies outside the core.
    shell = ndimage.binary_dilation(core) & brain & ~core
    assert np.mean(label[shell] == 2) > 0.4
    assert np.mean(core[ndimage.binary_dilation(necrosis)]) > 0.8
    parts, _ = ndimage.label(label > 0)
    assert np.bincount(parts[parts > 0]).max() > 0.95 * (label > 0).sum()


def test_lesion_has_a_believable_size_and_centre(high: Arrays) -> None:
    lesion, brain = high["seg"] > 0, high["t1"] > 0
    radius_mm = (lesion.sum() * phantom.SPACING_MM**3 * 3 / (4 * np.pi)) ** (1 / 3)
    assert 12 < radius_mm < 30
    depth_mm = ndimage.distance_transform_edt(brain, sampling=phantom.SPACING_MM)
    centre = tuple(np.rint(ndimage.center_of_mass(lesion)).astype(int))
    assert depth_mm[centre] > 10


def test_high_grade_lesion_stands_out_in_the_modality_that_shows_it(high: Arrays) -> None:
    oedema, rim, necrosis = (high["seg"] == label for label in (2, 4, 1))
    assert contrast(high, "flair", oedema) > 1.4
    assert contrast(high, "t2", oedema) > 1.2
    assert contrast(high, "t1", oedema) < 0.95
    assert contrast(high, "t1ce", rim) > 1.4
    assert contrast(high, "t1", necrosis) < 0.75
    assert contrast(high, "t1ce", necrosis) < contrast(high, "t1ce", rim) / 2


def test_low_grade_shares_the_outline_but_hardly_enhances(grades: tuple[Arrays, Arrays]) -> None:
    high, low = grades
    lesion = high["seg"] > 0
    np.testing.assert_array_equal(low["seg"] > 0, lesion)
    np.testing.assert_array_equal(low["seg"] == 2, high["seg"] == 2)
    assert np.sum(low["seg"] == 4) < 0.5 * np.sum(high["seg"] == 4)
    assert contrast(low, "t1ce", low["seg"] == 1) < 1
    oedema = low["seg"] == 2
    assert 1.2 < contrast(low, "flair", oedema) < contrast(high, "flair", oedema)
    assert np.percentile(low["t1ce"][lesion] / median(low, "t1ce", low["t1ce"] > 0), 90) < 1.3
    assert np.percentile(high["t1ce"][lesion] / median(high, "t1ce", high["t1ce"] > 0), 90) > 1.3
