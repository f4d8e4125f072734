"""Making the runs of a study: on this machine's cores or on a cluster, by joblib."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import cloudpickle
import joblib

from nchain_agents.study.isolation import call_isolated
from nchain_agents.study.plan import RunKey, Task
from nchain_agents.study.run import Run, train
from nchain_env.checks import integer, real

BACKENDS = ("loky", "dask", "ray")


@contextmanager
def workers(backend: str, jobs: int, scheduler: str | None) -> Iterator[joblib.Parallel]:
    """Give joblib's workers.

    Args:
        backend: "loky" (processes on this machine), "dask" or "ray".
        jobs: How many runs at a time; 0: as many as there are cores, here or in the cluster.
        scheduler: The address of a Dask cluster, or of Ray's; None begins one here.

    Raises:
        ValueError: The backend is not known, or there is no cluster at the address.
        ModuleNotFoundError: The backend is not installed.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    if scheduler is not None and backend == "loky":
        raise ValueError(f"scheduler must be given with backend dask or ray, got {scheduler!r}")
    integer("jobs", jobs, 0)
    with ExitStack() as stack:
        parameters: dict[str, Any] = {}
        if backend == "dask":
            cores = _dask(stack, scheduler, jobs)
        elif backend == "ray":
            cores = _ray(scheduler)
        else:
            cores = os.cpu_count() or 1
        stack.enter_context(joblib.parallel_config(backend, n_jobs=jobs or cores, **parameters))
        # Each run is handed out and comes back by itself: none waits for others to be kept.
        yield stack.enter_context(
            joblib.Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs")
        )


def _dask(stack: ExitStack, scheduler: str | None, jobs: int) -> int:
    try:
        from distributed import Client
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            "backend dask needs distributed: pip install 'nchain-env[distributed]'",
            name=missing.name,
        ) from missing
    try:
        if scheduler is None:
            client = Client(n_workers=jobs or None, threads_per_worker=1, dashboard_address=None)
        else:
            client = Client(scheduler, timeout=10)
    except OSError as error:
        raise ValueError(f"scheduler must be a Dask scheduler's address: {error}") from None
    stack.enter_context(client)
    threads: dict[str, int] = client.nthreads()
    return max(sum(threads.values()), 1)


def _ray(address: str | None) -> int:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            "backend ray needs ray: pip install ray", name=missing.name
        ) from missing
    ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
    register_ray()
    cores: float = ray.cluster_resources().get("CPU", 1)
    return int(cores)


def run_tasks(
    tasks: Sequence[Task],
    *,
    jobs: int = 0,
    backend: str = "loky",
    scheduler: str | None = None,
    time_limit: float | None = None,
) -> Iterator[Run]:
    """Make runs; yield each as it finishes, in whatever order.

    Args:
        tasks: The runs to make.
        jobs: How many at a time; 0: as many as there are cores.
        backend: "loky", "dask" or "ray".
        scheduler: The address of a cluster.
        time_limit: A run that takes longer, in seconds, fails.

    Raises:
        ValueError: A parameter is not allowed.
        ModuleNotFoundError: The backend is not installed.
    """
    if time_limit is not None:
        real("time_limit", time_limit, 0, open_low=True)
    with workers(backend, jobs, scheduler) as parallel:
        yield from parallel(joblib.delayed(_make)(*_sent(task), time_limit) for task in tasks)


def _sent(task: Task) -> tuple[RunKey, bytes]:
    # by cloudpickle, so that an agent may be a class that only this process knows
    return task.key, cloudpickle.dumps(partial(train, task))


def _make(key: RunKey, call: bytes, time_limit: float | None) -> Run:
    def failed(reason: str) -> Run:
        return Run(key, (), None, None, reason, 0.0)

    run: Run = call_isolated(call, time_limit, failed)
    return run
