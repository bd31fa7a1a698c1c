from collections import Counter

import numpy as np
import pytest

from tfrecords.errors import SettingError
from tfrecords.records.views import VIEWS, Cut, Patches, Slices, View, Volumes, body_box
from tfrecords.sources.subject import IGNORED

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


def examples(view: View, image: np.ndarray, label: np.ndarray) -> list[Cut]:
    found = view.places(image, label, np.random.default_rng(1))
    return [view.cut(image, label, (z, y, x)) for z, y, x in found.tolist()]


def test_box_is_the_smallest_around_all_modalities(image: np.ndarray) -> None:
    assert body_box(image) == BODY
    alone = np.zeros((4, 5, 6, 1))
    alone[3, 0, 5] = -1
    assert body_box(alone) == (slice(3, 4), slice(0, 1), slice(5, 6))


def test_volume_is_the_box_at_its_position(image: np.ndarray, label: np.ndarray) -> None:
    (whole,) = examples(Volumes(), image, label)
    np.testing.assert_array_equal(whole.image, image[BODY])
    np.testing.assert_array_equal(whole.label, label[BODY])
    assert whole.position == (2, 3, 4)


def test_slices_are_whole_and_cover_the_bodys_extent(image: np.ndarray, label: np.ndarray) -> None:
    found = examples(Slices(), image, label)
    assert [example.position for example in found] == [(z, 0, 0) for z in range(2, 6)]
    for example in found:
        np.testing.assert_array_equal(example.image, image[example.position[0]])
        np.testing.assert_array_equal(example.label, label[example.position[0]])


def test_slices_of_foreground_are_those_of_the_body_that_have_some(
    image: np.ndarray, label: np.ndarray
) -> None:
    label = label.copy()
    label[7, 0, 0] = 1  # Beside the body.
    found = examples(Slices(foreground=True), image, label)
    assert [example.position for example in found] == [(3, 0, 0), (4, 0, 0)]
    np.testing.assert_array_equal(found[1].image, image[4])
    random = np.random.default_rng(0)
    assert Slices(foreground=True).places(image, np.zeros_like(label), random).shape == (0, 3)


def test_slices_that_nobody_annotated_are_left_out(image: np.ndarray, label: np.ndarray) -> None:
    label = label.copy()
    label[2] = IGNORED
    label[3][label[3] > 0] = IGNORED  # Without annotated foreground.
    found = {
        foreground: [example.position[0] for example in examples(Slices(foreground), image, label)]
        for foreground in (False, True)
    }
    assert found == {False: [3, 4, 5], True: [4]}


def test_no_patch_is_drawn_where_nobody_annotated(image: np.ndarray, label: np.ndarray) -> None:
    label = label.copy()
    label[:, :, 6:8] = IGNORED
    found = examples(Patches(5, 3, 50), image, label)
    centres = Counter(int(example.label[1, 1]) for example in found)
    assert centres == {0: 50, 1: 50, 3: 50}
    assert any((example.label == IGNORED).any() for example in found)
    nothing = np.full_like(label, IGNORED)
    for view in (Patches(5, 3, 50), Slices(), Slices(foreground=True)):
        places = view.places(image, nothing, np.random.default_rng(0))
        assert (places.shape, places.dtype) == ((0, 3), np.int32)


@pytest.mark.parametrize(
    ("view", "name", "flags"),
    [
        (Slices(), "slices", "--view slices"),
        (
            Slices(foreground=True),
            "slices with foreground",
            "--view slices --foreground_slices",
        ),
        (Volumes(), "volumes", "--view volumes"),
        (
            Patches(31, 15),
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
    found = examples(Patches(size, labelled, 7), image, label)
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
    for example in examples(Patches(size, labelled, 40), image, label):
        z, y, x = example.position
        window = (z, slice(y + margin, y + margin + size), slice(x + margin, x + margin + size))
        np.testing.assert_array_equal(example.image, wide_image[window])
        rim = (size - labelled) // 2
        centre = (slice(rim, size - rim), slice(rim, size - rim))
        np.testing.assert_array_equal(example.label, wide_label[window][centre])


def test_patches_centre_on_the_body_everywhere_in_it(image: np.ndarray, label: np.ndarray) -> None:
    found = examples(Patches(5, 3, 2000), image, label)
    centres = {
        (z, y + 2, x + 2) for z, y, x in (e.position for e in found) if label[z, y + 2, x + 2] == 0
    }
    background = np.argwhere(label[BODY] == 0) + [axis.start for axis in BODY]
    assert centres == set(map(tuple, background.tolist()))


def test_patches_depend_on_the_random_generator_alone(image: np.ndarray, label: np.ndarray) -> None:
    view = Patches(5, 3, per_class=20)
    found = [view.places(image, label, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


@pytest.mark.parametrize("view", [Slices(), Slices(True), Patches(5, 3, 7), Volumes()], ids=str)
def test_a_subject_holds_no_more_than_its_view_says(
    image: np.ndarray, label: np.ndarray, view: View
) -> None:
    found = examples(view, image, label)
    assert 0 < len(found) <= view.examples(label.shape, classes=4)
    image_voxels, label_voxels = view.voxels(label.shape)
    for example in found:
        assert example.image.ndim == view.axes + 1
        assert example.image[..., 0].size <= image_voxels
        assert example.label.size <= label_voxels
    # Of the body alone, a volume: where it fills the grid, the bound is reached.
    full = examples(view, np.ones_like(image), label)
    assert full[0].label.size == label_voxels


@pytest.mark.parametrize(
    ("wanted", "found", "serves"),
    [
        (Slices(), Slices(foreground=True), True),
        (Slices(), Patches(), False),
        (Slices(), Volumes(), False),
        (Patches(5, 3), Patches(7, 3, 10), True),
        (Patches(5, 3), Patches(3, 3), False),
        (Patches(5, 3), Patches(7, 1), False),
        (Patches(5, 3), Slices(), False),
        *((Volumes(), found, True) for found in (Slices(), Patches(), Volumes())),
    ],
    ids=str,
)
def test_which_record_sets_serve_a_view(wanted: View, found: View, serves: bool) -> None:
    assert wanted.served_by(found) == serves


@pytest.mark.parametrize(
    ("sizes", "setting"),
    [
        ((4, 3, 1), "patch_size"),
        ((-1, 1, 1), "patch_size"),
        ((5, 4, 1), "label_size"),
        ((5, 7, 1), "label_size"),
        ((5, -1, 1), "label_size"),
        ((5, 3, 0), "patches_per_class"),
    ],
)
def test_sizes_that_patches_cannot_have_are_refused(
    sizes: tuple[int, int, int], setting: str
) -> None:
    with pytest.raises(SettingError, match=rf"^{setting}: expected .* received -?\d+$") as raised:
        Patches(*sizes)
    assert raised.value.setting == setting


def test_views_are_known_by_their_kinds() -> None:
    assert {"slices": Slices, "patches": Patches, "volumes": Volumes} == VIEWS
    assert all(str(view()).startswith(kind) for kind, view in VIEWS.items())
