"""What each process of a study computes on."""

import os

import tensorflow as tf


def environments(jobs: int | None) -> list[dict[str, str]]:
    """For each run at a time, an environment that gives it a GPU, or its share of the CPU's cores.

    Args:
        jobs: runs at a time; by default as many as there are GPUs, or one.
    """
    gpus = len(tf.config.list_physical_devices("GPU"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")
    count = jobs or max(1, gpus)
    if gpus:
        bound = [{"CUDA_VISIBLE_DEVICES": visible[job % gpus]} for job in range(count)]
    else:
        threads = str(max(1, len(os.sched_getaffinity(0)) // count))
        bound = [{"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}] * count
    return [{**os.environ, **binding} for binding in bound]
