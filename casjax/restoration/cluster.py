"""The command's jobs on many machines: Ray Data, with workers that load their network once.

A task is a few pictures. If a worker dies, Ray starts another one and gives it the same task;
pictures with results are skipped, as with --resume, so that each is restored only once. All
machines need the package and must see the same files under the same paths.
"""

import dataclasses
import logging
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray
import ray.data
import ray.exceptions

from casjax.networks.manifest import manifest
from casjax.restoration.jobs import ClusterError, Job
from casjax.restoration.options import Options
from casjax.restoration.running import Outcome, prepare, run_job

TASK = 32  # pictures at most: outcomes arrive, and work is assigned, by the task
DEATHS = 3  # of workers on one task, until its pictures are tried one by one
OBJECT_STORE = 200 * 2**20  # bytes, of a local cluster: it only transfers paths and outcomes


def run_jobs(
    jobs: Sequence[Job], options: Options, *, address: str, workers: int | None
) -> Iterator[Outcome]:
    """Run jobs on a Ray cluster, and yield their outcomes as they arrive.

    Every job gets an outcome, even one that kills every worker that takes it.

    Args:
      jobs: with files as sources and destinations.
      options: of all jobs; existing results are always skipped.
      address: of the cluster; `local` starts one on this machine.
      workers: how many; None is one for each GPU or, without any, for each machine.

    Raises:
      ClusterError: there is no such cluster, or its workers cannot start.
    """
    try:
        workers = _connect(address, workers)
        pending = {job.name: job for job in map(_absolute, jobs)}
        for task in (min(TASK, math.ceil(len(jobs) / workers)), 1):
            if pending:
                for outcome in _outcomes([*pending.values()], options, workers=workers, task=task):
                    del pending[outcome.name]
                    yield outcome
        for name in pending:
            yield Outcome("failed", name, f"{name}: its worker died {DEATHS} times")
    except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError) as error:
        *_, reason = [type(error).__name__, *filter(str.strip, str(error).splitlines())]
        # Before the last line there is a worker's whole traceback.
        raise ClusterError(f"--ray {address}: {reason.strip()}") from error
    finally:
        ray.shutdown()


class Worker:
    """A process of the cluster that restores pictures."""

    def __init__(self, options: Options) -> None:
        """Load the network, if it is already known."""
        self._options = options
        prepare(options)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Run a task's jobs, which are rows made by `_row`."""
        names = zip(batch["source"], batch["destination"], batch["format"], strict=True)
        outcomes = [self.run(Job(_path(s), _path(d), str(f))) for s, d, f in names]
        return {
            "kind": [outcome.kind for outcome in outcomes],
            "name": [os.fsencode(outcome.name) for outcome in outcomes],
            "message": [os.fsencode(outcome.message) for outcome in outcomes],
            "pixels": [outcome.pixels for outcome in outcomes],
        }

    def run(self, job: Job) -> Outcome:
        """Run one job."""
        return run_job(job, self._options)


def _connect(address: str, workers: int | None) -> int:
    """Connect to the cluster, or start one on this machine; return its number of workers."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address == "local":
        ray.init(
            address="local",
            num_cpus=workers or 1,
            object_store_memory=OBJECT_STORE,
            include_dashboard=False,
            **quiet,
        )
    else:
        ray.init(address=address, **quiet)
    # A worker's death is reported by the outcome of its pictures, not by Ray's traceback.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1  # the pictures of such a task are tried again
    machines = sum(node["Alive"] for node in ray.nodes())
    return workers or int(ray.cluster_resources().get("GPU", 0)) or machines


def _absolute(job: Job) -> Job:
    assert job.source
    assert job.destination
    return Job(job.source.absolute(), job.destination.absolute(), job.file_format)


def _outcomes(
    jobs: Sequence[Job], options: Options, *, workers: int, task: int
) -> Iterator[Outcome]:
    """Run jobs in tasks of this many pictures; yield outcomes from workers that survived."""
    sent = dataclasses.replace(options, resume=True)
    if sent.model and sent.model not in manifest() and Path(sent.model).exists():
        sent = dataclasses.replace(sent, model=str(Path(sent.model).absolute()))
    tasks = math.ceil(len(jobs) / task)
    rows = ray.data.from_items([_row(job) for job in jobs], override_num_blocks=tasks)
    results = rows.map_batches(
        Worker,
        fn_constructor_args=[sent],
        batch_size=None,
        compute=ray.data.ActorPoolStrategy(size=min(workers, tasks)),
        num_gpus=1 if "GPU" in ray.cluster_resources() else None,
        ray_remote_args_fn=lambda: {
            "scheduling_strategy": "SPREAD",
            "max_task_retries": DEATHS - 1,
        },
    )
    for row in results.iter_rows():
        name, message = os.fsdecode(row["name"]), os.fsdecode(row["message"])
        yield Outcome(row["kind"], name, message, row["pixels"])


def _row(job: Job) -> dict[str, Any]:
    """Return a job as Arrow stores it: paths as bytes, because they need not be UTF-8."""
    return {
        "source": os.fsencode(str(job.source)),
        "destination": os.fsencode(str(job.destination)),
        "format": job.file_format,
    }


def _path(name: bytes) -> Path:
    return Path(os.fsdecode(name))
