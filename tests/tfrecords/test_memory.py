"""What is free, of the machine and of control groups."""

import os
from pathlib import Path

import pytest

from tfrecords.memory import free_memory

KIB = 1024


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A machine with 1000 KiB free, whose process is in the group /jobs/one."""
    write(tmp_path / "proc/meminfo", "MemTotal: 4000 kB\nMemAvailable: 1000 kB\n")
    write(tmp_path / "proc/self/cgroup", "0::/jobs/one\n")
    return tmp_path


def limit(folder: Path, most: str, used: int, cached: int) -> None:
    write(folder / "memory.max", f"{most}\n")
    write(folder / "memory.current", f"{used}\n")
    write(folder / "memory.stat", f"anon 5\ninactive_file {cached - 20}\nactive_file 20\n")


def test_without_limits_it_is_the_machines(system: Path) -> None:
    limit(system / "sys/fs/cgroup/jobs/one", "max", 100, 50)
    assert free_memory(system) == 1000 * KIB


def test_a_group_leaves_its_limit_less_what_it_holds_but_for_files(system: Path) -> None:
    limit(system / "sys/fs/cgroup/jobs/one", "5000", 1000, 300)
    assert free_memory(system) == 4300


def test_the_tightest_group_above_counts(system: Path) -> None:
    limit(system / "sys/fs/cgroup/jobs/one", "5000", 1000, 300)
    limit(system / "sys/fs/cgroup/jobs", "3000", 1000, 0)
    limit(system / "sys/fs/cgroup/other", "1", 0, 0)
    assert free_memory(system) == 2000


def test_in_a_container_the_root_is_the_group(system: Path) -> None:
    limit(system / "sys/fs/cgroup", "3000", 2999, 0)
    assert free_memory(system) == 1


def test_version_1(system: Path) -> None:
    write(system / "proc/self/cgroup", "3:cpu:/x\n2:memory:/jobs/one\n1:name=systemd:/\n")
    folder = system / "sys/fs/cgroup/memory/jobs/one"
    write(folder / "memory.limit_in_bytes", "5000\n")
    write(folder / "memory.usage_in_bytes", "6000\n")
    write(folder / "memory.stat", "total_inactive_file 200\ninactive_file 100\n")
    assert free_memory(system) == 0


def test_nothing_is_known_without_linux(tmp_path: Path) -> None:
    assert free_memory(tmp_path) is None


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="reads /proc")
def test_free_memory_is_some_of_all() -> None:
    free = free_memory()
    assert free is not None
    assert 0 < free < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
