"""Who trains a run on several nodes: by TF_CONFIG, or by what SLURM's srun tells its tasks."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver import expand_hostlist

from tfrecords.errors import SettingError, UserError

TF_CONFIG, SLURM = "tf_config", "slurm"
VARIABLE = "TF_CONFIG"
EXAMPLE = (
    '{"cluster": {"worker": ["node1:2222", "node2:2222"]}, "task": {"type": "worker", "index": 0}}'
)
ADDRESS = re.compile(r"[^\s:]+:\d+")
# Tasks of different jobs may share a node: a port for each job, below those that systems hand out.
PORTS = range(12_000, 32_000)


@dataclass(frozen=True)
class Nodes:
    """The addresses of all workers, one on each node, and which of them this process is."""

    addresses: tuple[str, ...]
    index: int


def nodes_of(source: str | None, environment: Mapping[str, str] = os.environ) -> Nodes | None:
    """Those that train together; None where one process trains alone.

    Args:
        source: SLURM; TF_CONFIG, which is also taken if it is there and nothing is named.

    Raises:
        SettingError: the named variables are not there.
        UserError: they do not hold what they should.
    """
    if source == SLURM:
        nodes = _of_slurm(environment)
    elif VARIABLE in environment:
        nodes = _of_tf_config(environment[VARIABLE])
    elif source == TF_CONFIG:
        raise SettingError("nodes", f"expected the variable {VARIABLE} as {EXAMPLE}, received none")
    else:
        return None
    return nodes if len(nodes.addresses) > 1 else None


def _of_tf_config(text: str) -> Nodes:
    try:
        config = json.loads(text)
        jobs: dict[str, list[str]] = {"chief": [], "worker": [], **config["cluster"]}
        kind, index = config["task"]["type"], int(config["task"]["index"])
        tasks = {name: len(addresses) for name, addresses in jobs.items()}
        addresses = tuple(address for job in jobs.values() for address in job)
        usable = all(ADDRESS.fullmatch(address) for address in addresses)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _refused(text, f"{type(error).__name__}: {error}") from None
    if set(tasks) != {"chief", "worker"} or tasks["chief"] > 1:
        raise _refused(text, f"tasks: {tasks}")
    if not usable or len(set(addresses)) < len(addresses):
        raise _refused(text, f"addresses: {', '.join(addresses)}")
    if index not in range(tasks.get(kind, 0)):
        raise _refused(text, f"own task: {kind} {index}")
    return Nodes(addresses, index + (tasks["chief"] if kind == "worker" else 0))


def _refused(text: str, reason: str) -> UserError:
    return UserError(
        f"{VARIABLE}: expected workers as host:port, each once, at most one chief and no other "
        f"task, as in {EXAMPLE}, received {text:.300} ({reason})"
    )


def _of_slurm(environment: Mapping[str, str]) -> Nodes:
    """A task on each node. `SlurmClusterResolver` takes node10 for an earlier one than node9."""
    names = ("SLURM_JOB_ID", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST")
    missing = [name for name in names if name not in environment]
    if missing:
        raise SettingError(
            "nodes", f"expected SLURM's variables, as srun sets them; {', '.join(missing)} are not"
        )
    job, index, tasks, listed = (environment[name] for name in names)
    hosts = expand_hostlist(listed)
    if int(tasks) != len(hosts):
        raise SettingError(
            "nodes",
            "expected one task on each node, which trains on all its GPUs (srun "
            f"--ntasks-per-node=1), received {tasks} on {len(hosts)}",
        )
    port = PORTS[int(job) * 7 % len(PORTS)]
    return Nodes(tuple(f"{host}:{port + number}" for number, host in enumerate(hosts)), int(index))
