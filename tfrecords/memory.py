"""How much memory processes can still take: of the machine, and of the share that they have."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# Of a control group, in version 2 and 1: its limit, what it holds, and how memory.stat begins.
UNIFIED = ("memory.max", "memory.current", "")
MEMORY = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")


def free_memory(system: Path = Path("/")) -> int | None:
    """Bytes that processes can still take without swapping; None where Linux does not say.

    A container, or a job of a cluster, is ended where it takes more than its control group's limit,
    however much the machine has.

    Args:
        system: where `proc` and `sys` are.
    """
    free = [*_of_machine(system), *_of_groups(system)]
    return max(0, min(free)) if free else None


def _of_machine(system: Path) -> Iterator[int]:
    with suppress(OSError, ValueError):
        for line in (system / "proc/meminfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key == "MemAvailable":
                yield int(value.split()[0]) * 1024  # It says kB, and means KiB.


def _of_groups(system: Path) -> Iterator[int]:
    """What each control group that holds this process leaves of its limit."""
    with suppress(OSError):
        for line in (system / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                root, names = system / "sys/fs/cgroup", UNIFIED
            elif "memory" in controllers.split(","):
                root, names = system / "sys/fs/cgroup/memory", MEMORY
            else:
                continue
            # In a container the path may be the host's, and then only the root is there.
            group = root / path.lstrip("/")
            for folder in (group, *group.parents):
                if folder.is_relative_to(root):
                    yield from _of_group(folder, *names)


def _of_group(folder: Path, limit: str, used: str, prefix: str) -> Iterator[int]:
    # Without the files, or with "max" in the first, there is no limit.
    with suppress(OSError, ValueError):
        left = int((folder / limit).read_text()) - int((folder / used).read_text())
        lines = (folder / "memory.stat").read_text().splitlines()
        held = dict(line.split(" ", 1) for line in lines)
        # Files' content is what the kernel gives up first.
        yield left + sum(
            int(held.get(f"{prefix}{kind}_file", 0)) for kind in ("active", "inactive")
        )
