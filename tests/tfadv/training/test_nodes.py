"""Who trains together: TF_CONFIG and SLURM's variables."""

import json
from typing import Any

import pytest

from tfadv.training.nodes import SLURM, TF_CONFIG, VARIABLE, Nodes, nodes_of
from tfrecords.errors import SettingError, UserError

CLUSTER = {"worker": ["a:1", "b:2", "c:3"]}


def config(cluster: Any, kind: str = "worker", index: Any = 1) -> dict[str, str]:
    return {VARIABLE: json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def step(tasks: int, hosts: str, index: int = 0) -> dict[str, str]:
    return {
        "SLURM_JOB_ID": "41",
        "SLURM_PROCID": str(index),
        "SLURM_STEP_NUM_TASKS": str(tasks),
        "SLURM_STEP_NODELIST": hosts,
    }


def test_a_process_that_is_told_nothing_is_alone() -> None:
    assert nodes_of(None, {}) is None
    # Under srun without --nodes, too: its tasks may be runs of their own.
    assert nodes_of(None, step(2, "a,b")) is None


@pytest.mark.parametrize("source", [None, TF_CONFIG])
def test_tf_config_names_the_workers(source: str | None) -> None:
    assert nodes_of(source, config(CLUSTER)) == Nodes(("a:1", "b:2", "c:3"), 1)


def test_a_chief_is_the_first_worker() -> None:
    cluster = {"chief": ["x:9"], **CLUSTER}
    assert nodes_of(None, config(cluster, "chief", 0)) == Nodes(("x:9", "a:1", "b:2", "c:3"), 0)
    assert nodes_of(None, config(cluster, "worker", 2)) == Nodes(("x:9", "a:1", "b:2", "c:3"), 3)


def test_one_worker_is_alone() -> None:
    assert nodes_of(None, config({"worker": ["a:1"]}, index=0)) is None
    assert nodes_of(SLURM, step(1, "a")) is None


@pytest.mark.parametrize(
    "environment",
    [
        {VARIABLE: "not JSON"},
        {VARIABLE: "[]"},
        {VARIABLE: "{}"},
        config(CLUSTER, index=3),
        config(CLUSTER, index=-1),
        config(CLUSTER, index="x"),
        config(CLUSTER, "evaluator", 0),
        config({**CLUSTER, "ps": ["d:4"]}),
        config({**CLUSTER, "chief": ["d:4", "e:5"]}),
        config({"worker": ["a:1", "a:1"]}),
        config({"worker": ["a:1", "b"]}),
        config({"worker": [1, 2]}),
        config({"worker": "a:1"}, index=0),
    ],
)
def test_another_tf_config_is_refused_with_an_example(environment: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"^TF_CONFIG: expected workers as host:port.*received"):
        nodes_of(None, environment)


def test_srun_names_the_nodes_in_its_own_order() -> None:
    """node9 is before node10. A port for each job and, for trials on one machine, each task."""
    nodes = nodes_of(SLURM, step(3, "node[9-10],gpu01", index=2))
    assert nodes == Nodes(("node9:12287", "node10:12288", "gpu01:12289"), 2)


def test_what_srun_did_not_set_is_named() -> None:
    with pytest.raises(SettingError, match="as srun sets them; SLURM_PROCID, SLURM_STEP_NUM"):
        nodes_of(SLURM, {"SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "a"})


def test_tasks_that_share_a_node_are_refused() -> None:
    with pytest.raises(SettingError, match=r"one task on each node.*received 8 on 2"):
        nodes_of(SLURM, step(8, "node[1-2]"))


def test_tf_config_that_is_asked_for_must_be_there() -> None:
    with pytest.raises(SettingError, match=r"the variable TF_CONFIG as .*received none"):
        nodes_of(TF_CONFIG, {})
