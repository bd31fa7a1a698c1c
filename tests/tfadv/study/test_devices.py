"""What the processes of a study compute on."""

import os

import pytest

from tfadv.study import devices


@pytest.mark.parametrize(
    ("visible", "jobs", "expected"),
    [
        (None, None, ["0", "1"]),
        ("3,5", None, ["3", "5"]),
        ("3,5", 1, ["3"]),
        (None, 3, ["0", "1", "0"]),
    ],
)
def test_each_process_has_a_gpu(
    visible: str | None, jobs: int | None, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices.tf.config, "list_physical_devices", lambda kind: [kind] * 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = devices.environments(jobs)
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in found] == expected
    assert all(environment["PATH"] == os.environ["PATH"] for environment in found)


@pytest.mark.parametrize(("jobs", "threads"), [(None, "8"), (2, "4"), (3, "2"), (20, "1")])
def test_without_gpus_processes_share_the_cores(
    jobs: int | None, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices.tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    found = devices.environments(jobs)
    assert len(found) == (jobs or 1)
    assert {environment["TF_NUM_INTRAOP_THREADS"] for environment in found} == {threads}
