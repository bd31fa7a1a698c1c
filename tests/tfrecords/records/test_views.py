from collections import Counter

import numpy as np
import pytest

from tfrecords.records.views import Cut, View, body_box, cut, places, volume

RANDOM = np.random.default_rng(0)
# [Z, Y, X]: the body lies off the centre and touches no border but the last of x.
BODY = (slice(2, 6), slice(3, 9), slice(4, 12))
# Of patches and their labels; some are larger than the volume.
SIZES = [(1, 1), (5, 3), (5, 5), (15, 7), (31, 31)]


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Two modalities; the body's box is spanned by both of them together."""
    image = np.zeros((8, 10, 12, 2), np.int16)
    image[2:6, 3:9, 4:8, 0] = RANDOM.integers(1, 100, (4, 6, 4))
    image[2:6, 3:9, 7:12, 1] = RANDOM.integers(1, 100, (4, 6, 5))
    image[3, 4, 5] = 0  # A hole inside does not count.
    return image


@pytest.fixture(scope="module")
def label() -> np.ndarray:
    label = np.zeros((8, 10, 12), np.uint8)
    label[3:5, 4:8, 5:9] = 1
    label[4, 6, 11] = 3  # A class of one voxel; there is no class 2.
    return label


def examples(kind: str, image: np.ndarray, label: np.ndarray, **settings: int) -> list[Cut]:
    view = View(kind, **settings)
    found = places(view, image, label, np.random.default_rng(1))
    return [cut(view, image, label, (z, y, x)) for z, y, x in found.tolist()]


def test_box_is_the_smallest_around_all_modalities(image: np.ndarray) -> None:
    assert body_box(image) == BODY
    alone = np.zeros((4, 5, 6, 1))
    alone[3, 0, 5] = -1
    assert body_box(alone) == (slice(3, 4), slice(0, 1), slice(5, 6))


def test_volume_is_the_box_at_its_position(image: np.ndarray, label: np.ndarray) -> None:
    whole = volume(image, label)
    np.testing.assert_array_equal(whole.image, image[BODY])
    np.testing.assert_array_equal(whole.label, label[BODY])
    assert whole.position == (2, 3, 4)


def test_slices_are_whole_and_cover_the_bodys_extent(image: np.ndarray, label: np.ndarray) -> None:
    found = examples("slices", image, label)
    assert [example.position for example in found] == [(z, 0, 0) for z in range(2, 6)]
    for example in found:
        np.testing.assert_array_equal(example.image, image[example.position[0]])
        np.testing.assert_array_equal(example.label, label[example.position[0]])


def test_slices_of_foreground_are_those_of_the_body_that_have_some(
    image: np.ndarray, label: np.ndarray
) -> None:
    label = label.copy()
    label[7, 0, 0] = 1  # Beside the body.
    found = examples("slices", image, label, foreground_slices=True)
    assert [example.position for example in found] == [(3, 0, 0), (4, 0, 0)]
    np.testing.assert_array_equal(found[1].image, image[4])
    view, random = View(foreground_slices=True), np.random.default_rng(0)
    assert places(view, image, np.zeros_like(label), random).shape == (0, 3)


@pytest.mark.parametrize(
    ("view", "name", "flags"),
    [
        (View(), "slices", "--view slices"),
        (
            View(foreground_slices=True),
            "slices with foreground",
            "--view slices --foreground_slices",
        ),
        (View("volumes"), "volumes", "--view volumes"),
        (
            View("patches", 31, 15),
            "patches of 31x31 with labels of 15x15",
            "--view patches --patch_size 31 --label_size 15",
        ),
    ],
)
def test_a_view_names_itself_and_its_flags(view: View, name: str, flags: str) -> None:
    assert (str(view), view.flags) == (name, flags)


def test_an_empty_image_still_has_one_voxel_of_box() -> None:
    assert body_box(np.zeros((4, 5, 6, 1))) == (slice(0, 1),) * 3


@pytest.mark.parametrize(("size", "labelled"), SIZES)
def test_patches_balance_the_classes_of_their_centres(
    image: np.ndarray, label: np.ndarray, size: int, labelled: int
) -> None:
    settings = {"patch_size": size, "label_size": labelled, "patches_per_class": 7}
    found = examples("patches", image, label, **settings)
    centres = Counter(int(example.label[labelled // 2, labelled // 2]) for example in found)
    assert centres == {0: 7, 1: 7, 3: 7}


@pytest.mark.parametrize(("size", "labelled"), SIZES)
def test_patches_are_windows_of_the_padded_slice(
    image: np.ndarray, label: np.ndarray, size: int, labelled: int
) -> None:
    """Position (z, y, x) is the first voxel's, which may lie outside the volume; labels are of the
    centre."""
    margin = 20
    around = ((0, 0), (margin, margin), (margin, margin))
    wide_image, wide_label = np.pad(image, (*around, (0, 0))), np.pad(label, around)
    settings = {"patch_size": size, "label_size": labelled, "patches_per_class": 40}
    for example in examples("patches", image, label, **settings):
        z, y, x = example.position
        window = (z, slice(y + margin, y + margin + size), slice(x + margin, x + margin + size))
        np.testing.assert_array_equal(example.image, wide_image[window])
        rim = (size - labelled) // 2
        centre = (slice(rim, size - rim), slice(rim, size - rim))
        np.testing.assert_array_equal(example.label, wide_label[window][centre])


def test_patches_centre_on_the_body_everywhere_in_it(image: np.ndarray, label: np.ndarray) -> None:
    settings = {"patch_size": 5, "label_size": 3, "patches_per_class": 2000}
    found = examples("patches", image, label, **settings)
    centres = {
        (z, y + 2, x + 2) for z, y, x in (e.position for e in found) if label[z, y + 2, x + 2] == 0
    }
    background = np.argwhere(label[BODY] == 0) + [axis.start for axis in BODY]
    assert centres == set(map(tuple, background.tolist()))


def test_patches_depend_on_the_random_generator_alone(image: np.ndarray, label: np.ndarray) -> None:
    view = View("patches", patch_size=5, patches_per_class=20)
    found = [places(view, image, label, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
