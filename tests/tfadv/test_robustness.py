"""Degradations against closed forms and SciPy, and trained runs on degraded subjects."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import ndimage

from tfadv import evaluation, robustness
from tfadv.robustness import CLEAN, DEGRADATIONS, Scores, degrade
from tfadv.training import load_run
from tfadv.work_dir import Settings, WorkDir
from tfrecords.errors import UserError
from tfrecords.normalisation import as_stored
from tfrecords.record_set import SubjectVolume, open_record_set

SPACING_MM = (2.0, 1.0, 0.5)
SETTINGS = Settings("kohl_cross_entropy", {}, "records", ("0",), ("1",), ("2",), "float32", 0)


def random_image(shape: tuple[int, ...] = (10, 40, 36), dtype: type = np.int16) -> np.ndarray:
    """Two modalities of different spread [Z, Y, X, 2], half of their voxels zero."""
    random = np.random.default_rng(0)
    image = random.normal((1000, 2000), (40, 400), (*shape, 2)) * (random.random((*shape, 1)) < 0.5)
    return image.astype(dtype)


def generator() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.mark.parametrize("strength", [0.1, 0.4])
def test_noise_is_a_share_of_each_modalitys_standard_deviation(strength: float) -> None:
    image = random_image((20, 60, 60), np.float64)
    added = robustness.noise(image, strength, generator(), SPACING_MM) - image
    for modality, std in enumerate((40, 400)):
        assert added[..., modality].std() == pytest.approx(strength * std, rel=0.02)
        assert abs(added[..., modality].mean()) < 0.02 * strength * std
    assert abs(np.corrcoef(added[..., 0].ravel(), added[..., 1].ravel())[0, 1]) < 0.02


def test_noise_of_a_modality_of_zeros_is_none() -> None:
    image = random_image(dtype=np.float64) * (0, 1)
    noisy = robustness.noise(image, 0.4, generator(), SPACING_MM)
    assert not noisy[..., 0].any()
    assert np.isfinite(noisy).all()


@pytest.mark.parametrize("strength", [0.2, 0.8])
def test_bias_field_is_a_gain_whose_logarithm_is_a_cubic(strength: float) -> None:
    image = np.full((9, 14, 11, 2), 250.0)
    gain = robustness.bias_field(image, strength, generator(), SPACING_MM) / 250
    for modality in (0, 1):
        assert gain[..., modality].max() == pytest.approx(math.exp(strength))
        assert gain[..., modality].min() == pytest.approx(math.exp(-strength))
    for axis in range(3):
        assert np.abs(np.diff(np.log(gain), 3, axis=axis)).max() > 1e-4 * strength
        np.testing.assert_allclose(np.diff(np.log(gain), 4, axis=axis), 0, atol=1e-12)
    assert np.ptp(gain[..., 0] - gain[..., 1]) > 0.1 * strength


def test_mixed_terms_of_the_field_end_at_order_three() -> None:
    """Two differences along each of two axes would leave a term of order four."""
    field = robustness.polynomial_field((9, 14, 11), generator())
    for first, second in ((0, 1), (0, 2), (1, 2)):
        mixed = np.diff(np.diff(field, 2, axis=first), 1, axis=second)
        assert np.abs(mixed).max() > 1e-5
        np.testing.assert_allclose(np.diff(mixed, 1, axis=second), 0, atol=1e-12)


def test_blur_is_scipys_with_sigma_in_voxels_of_each_axis() -> None:
    image = random_image(dtype=np.float64)
    blurred = robustness.blur(image, 1.5, generator(), SPACING_MM)
    for modality in (0, 1):
        expected = image[..., modality]
        for axis, sigma in enumerate((0.75, 1.5, 3.0)):
            expected = ndimage.gaussian_filter1d(expected, sigma, axis, mode="nearest")
        np.testing.assert_allclose(blurred[..., modality], expected)


def test_blurs_width_is_in_millimetres() -> None:
    """The variance of a blurred point is sigma squared along each axis."""
    point = np.zeros((21, 31, 61, 1))
    point[10, 15, 30] = 1
    blurred = robustness.blur(point, 2.0, generator(), SPACING_MM)[..., 0]
    for axis, (extent, size_mm) in enumerate(zip(blurred.shape, SPACING_MM, strict=True)):
        offset_mm = (np.arange(extent) - extent // 2) * size_mm
        profile = blurred.sum(axis=tuple({0, 1, 2} - {axis}))
        assert (profile * offset_mm**2).sum() == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float16])
def test_zeros_stay_and_others_stay_off_zero(name: str, dtype: type) -> None:
    """Values so small that noise, gain and blur would round or clip many to zero."""
    least = 1 if np.issubdtype(dtype, np.integer) else 1e-5
    signs = [1] if dtype is np.uint8 else [-1, 1]
    random = np.random.default_rng(0)
    image = random.choice(
        [0, *(sign * least * n for sign in signs for n in (1, 2))], (8, 20, 20, 2)
    )
    image = image.astype(dtype)
    degradation = DEGRADATIONS[name]
    for strength in degradation.strengths:
        found = degrade(image, degradation.apply, strength, generator(), SPACING_MM)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found == 0, image == 0)
    assert (found != image).any()  # The strongest.


def test_what_would_be_zero_becomes_the_least_number_of_its_sign() -> None:
    for dtype, least in ((np.int16, 1), (np.float16, 2.0**-14)):
        image = np.array([[[[5], [-5], [0]]]], dtype)
        found = degrade(image, lambda exact, *_: exact * 1e-6, 0.1, generator(), SPACING_MM)
        np.testing.assert_array_equal(found.ravel(), [least, -least, 0])


def test_least_numbers_survive_what_the_predictor_stores() -> None:
    """Beside the largest half, which makes it halve the image."""
    image = np.array([[[[6e-8], [6e4]]]], np.float16)
    found = degrade(image, lambda exact, *_: exact, 0.1, generator(), SPACING_MM)
    assert (as_stored(tf.constant(found.astype(np.float32)), "float16").numpy() != 0).all()


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.int16, [3, 4, -3, 30000, -30000], [5, 6, -5, 32767, -32768]),
        (np.uint8, [1, 3, 100, 200, 255], [2, 5, 160, 255, 255]),
        (np.float16, [0.5, 3, 1024, 60000, -60000], [0.8, 4.8, 1638.4, 65504, -65504]),
    ],
)
def test_values_are_rounded_and_clipped_to_the_stored_type(
    dtype: type, values: list[float], expected: list[float]
) -> None:
    image = np.array(values, dtype).reshape(1, 1, -1, 1)
    found = degrade(image, lambda exact, *_: exact * 1.6, 0.1, generator(), SPACING_MM)
    np.testing.assert_array_equal(found.ravel(), np.array(expected, dtype))


def variants(name: str) -> dict[tuple[str, float], np.ndarray]:
    image = random_image()
    volume = SubjectVolume(name, image, image[..., 0] > 0, (0, 0, 0))
    return {(kind, s): found for kind, s, found in robustness.variants(volume, SPACING_MM)}


def test_every_strength_follows_the_clean_image() -> None:
    found = variants("s0")
    np.testing.assert_array_equal(found[CLEAN, 0.0], random_image())
    assert list(found) == [
        ("clean", 0.0),
        *(("noise", strength) for strength in (0.1, 0.2, 0.4)),
        *(("bias_field", strength) for strength in (0.2, 0.4, 0.8)),
        *(("blur", strength) for strength in (0.5, 1.0, 2.0)),
    ]


def test_the_subjects_name_alone_seeds() -> None:
    """In this process and in any other: 1662126182 is the CRC-32 of s0."""
    first, again, other = variants("s0"), variants("s0"), variants("s1")
    for key, image in first.items():
        np.testing.assert_array_equal(image, again[key])
        is_random = key[0] in ("noise", "bias_field")
        assert (image != other[key]).any() == is_random
    seeded = np.random.default_rng(np.random.SeedSequence(1662126182))
    drawn = seeded.standard_normal(random_image().shape)
    body = random_image() != 0
    for strength in (0.1, 0.2, 0.4):
        added = first["noise", strength] - random_image().astype(float)
        for modality, std in enumerate((40, 400)):
            wanted = strength * std * drawn[..., modality]
            here = body[..., modality]
            np.testing.assert_allclose(added[here, modality], wanted[here], rtol=0.05, atol=0.6)


@pytest.fixture(scope="module")
def pair(run: WorkDir, tmp_path_factory: pytest.TempPathFactory) -> tuple[WorkDir, WorkDir]:
    """The trained run, and a copy of it."""
    folder = tmp_path_factory.mktemp("pair") / "copy"
    shutil.copytree(run.folder, folder)
    return run, WorkDir(folder)


@pytest.fixture(scope="module")
def scores(pair: tuple[WorkDir, WorkDir]) -> Scores:
    return robustness.measure(pair)


def test_a_row_per_run_image_subject_and_region(
    scores: Scores, pair: tuple[WorkDir, WorkDir], tmp_path: Path
) -> None:
    """Undegraded, the scores are those of the evaluation; equal runs see equal images."""
    settings, records, _, predictor = load_run(pair[0])
    tables = evaluation.evaluate(WorkDir(tmp_path), predictor, records, settings.test_folds)
    assert scores.averaged == ("label_1", "label_2")
    table = scores.table
    assert len(table) == 2 * 10 * 2 * 2
    one, two = (table[table["run"] == str(work_dir.folder)] for work_dir in pair)
    pd.testing.assert_frame_equal(
        one.drop(columns="run").reset_index(drop=True),
        two.drop(columns="run").reset_index(drop=True),
    )
    clean = one[one["degradation"] == CLEAN].set_index(["subject", "region"])["dice"]
    expected = tables.regions.set_index(["subject", "region"])["dice"]
    pd.testing.assert_series_equal(clean, expected)


def test_what_destroys_the_image_costs_dice(scores: Scores) -> None:
    """Two millimetres of blur mix the inner ball of 4 mm with the outer one."""
    by_image = scores.mean_dice().groupby(["degradation", "strength"]).mean()
    assert by_image["blur", 2.0] < by_image[CLEAN, 0.0] - 0.1
    assert by_image["noise", 0.4] < by_image[CLEAN, 0.0]
    assert by_image.nunique() > 5


def test_files(scores: Scores, tmp_path: Path) -> None:
    table, picture = robustness.write(scores, tmp_path / "new" / "out")
    pd.testing.assert_frame_equal(pd.read_csv(table), scores.table)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in table.parent.iterdir()) == [
        "robustness.csv",
        "robustness.png",
    ]


def by_hand() -> Scores:
    rows = [
        (run, degradation, strength, subject, region, dice - loss * strength)
        for degradation, strength in (("clean", 0.0), ("noise", 0.1), ("blur", 0.5))
        for subject, dice in (("a", 0.9), ("b", 0.7))
        for run, loss in (("plain", 1.0), ("both", 0.2))
        for region in ("x", "y", "other")
    ]
    columns = ["run", "degradation", "strength", "subject", "region", "dice"]
    table = pd.DataFrame(rows, columns=columns)
    table.loc[table["region"] == "y", "dice"] -= 0.02
    return Scores(table, ("x", "y"))


def test_the_table_in_words() -> None:
    first, second, *rows = robustness.describe(by_hand()).splitlines()
    assert first.split() == ["plain", "both"]
    assert second.split() == ["degradation", "strength"]
    assert [" ".join(row.split()) for row in rows] == [
        "clean 0.0 0.790 ± 0.100 0.790 ± 0.100",
        "noise 0.1 0.690 ± 0.100 0.770 ± 0.100",
        "blur 0.5 0.290 ± 0.100 0.690 ± 0.100",
        "Dice, mean of x, y",
        "mean ± standard deviation of 2 subjects",
    ]


def test_curves_start_at_the_clean_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    monkeypatch.setattr(robustness.figures, "curves", lambda panels, _: drawn.update(panels) or b"")
    kept = {
        name: replace(DEGRADATIONS[name], strengths=(strength,), axis=f"{name} in mm")
        for name, strength in (("noise", 0.1), ("blur", 0.5))
    }
    monkeypatch.setattr(robustness, "DEGRADATIONS", kept)
    robustness.write(by_hand(), tmp_path)
    assert {axis: list(lines) for axis, lines in drawn.items()} == {
        "noise in mm": ["plain", "both"],
        "blur in mm": ["plain", "both"],
    }
    for axis, run, strengths, means in (
        ("noise in mm", "plain", [0, 0.1], [0.79, 0.69]),
        ("noise in mm", "both", [0, 0.1], [0.79, 0.77]),
        ("blur in mm", "plain", [0, 0.5], [0.79, 0.29]),
    ):
        np.testing.assert_allclose(drawn[axis][run], [strengths, means])


def begin(folder: Path, **settings: object) -> WorkDir:
    work_dir = WorkDir(folder)
    work_dir.begin(replace(SETTINGS, **settings))
    return work_dir


@pytest.mark.parametrize(
    ("settings", "received"),
    [
        ({"records": "others"}, "records (test folds 2) and others (test folds 2)"),
        ({"test_folds": ("2", "3")}, "records (test folds 2) and records (test folds 2,3)"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(
    settings: dict[str, object], received: str, tmp_path: Path
) -> None:
    same, other = begin(tmp_path / "a"), begin(tmp_path / "b", **settings)
    with pytest.raises(UserError) as refusal:
        robustness.measure([same, begin(tmp_path / "c"), other])
    (line,) = str(refusal.value).splitlines()
    assert line.startswith(f"{same.folder} and {other.folder}: expected runs on one record set")
    assert received in line


class Nowhere:
    """A predictor that finds background alone."""

    def predict(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"label": tf.zeros(image.shape[:3], tf.uint8)}


def test_runs_have_names_and_degradations_the_working_spacing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_records: tuple[object, Path]
) -> None:
    records = open_record_set(small_records[1])
    monkeypatch.setattr(robustness, "load_run", lambda _: (None, records, None, Nowhere()))
    spacings_mm = set()

    def look(image: np.ndarray, _: float, __: object, spacing_mm: robustness.Spacing) -> np.ndarray:
        spacings_mm.add(spacing_mm)
        return image

    looking = {"look": robustness.Degradation(look, (1.0,), "")}
    monkeypatch.setattr(robustness, "DEGRADATIONS", looking)

    def make(folder: str, method: str) -> WorkDir:
        return begin(tmp_path / folder, method=method, test_folds=("1",))

    one, two, three = make("1", "kohl_hybrid"), make("2", "kohl_hybrid"), make("3", "segan")
    found = robustness.measure([one, three]).table["run"].unique()
    assert list(found) == ["kohl_hybrid", "segan"]
    found = robustness.measure([one, two]).table["run"].unique()
    assert list(found) == [str(one.folder), str(two.folder)]
    assert spacings_mm == {(2.0, 1.0, 1.0)}  # Along z, y and x.
