"""What a method favours: names of groups, classes and regions, looked up in a manifest."""

from tfrecords.errors import SettingError
from tfrecords.reading.favoured import Favoured
from tfrecords.records.manifest import Manifest


def favoured_of(manifest: Manifest, names: str, share: float) -> Favoured | None:
    """The examples of the named groups, and those that hold one of the named classes or regions.

    Args:
        names: with commas between them; nothing stands for what the record set's dataset favours.
        share: of a batch, expected.

    Returns:
        None where the only group is favoured: that is everything.

    Raises:
        SettingError: the record set has no such name, or two things of one.
    """
    wanted = tuple(names.split(",")) if names else manifest.favoured
    if not wanted:
        first, *others = manifest.groups
        return Favoured(share, (first,), frozenset({first})) if others else None
    classes = {label_class.name: {index} for index, label_class in enumerate(manifest.classes)}
    regions = {
        name: {manifest.class_index(member) for member in members}
        for name, members in manifest.regions.items()
    }
    members = regions | classes
    for name in wanted:
        if name not in members and name not in manifest.groups:
            raise _wrong(
                f"expected names of groups ({', '.join(manifest.groups)}), classes "
                f"({', '.join(classes)}) or regions ({', '.join(regions) or 'none'}), "
                f"received {name!r}"
            )
        if name in members and name in manifest.groups:
            raise _wrong(
                f"expected one thing of a name, received {name!r}, a group's and a class' or "
                "region's. Rename the group in the source, and preprocess it again"
            )
    return Favoured(
        share,
        wanted,
        frozenset(name for name in wanted if name in manifest.groups),
        frozenset(index for name in wanted for index in members.get(name, ())),
    )


def _wrong(reason: str) -> SettingError:
    return SettingError("hp.favoured", reason)
