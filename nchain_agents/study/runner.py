"""Making the runs of a study: on this machine's cores or on a cluster, by joblib."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial

import cloudpickle
import joblib

from nchain_agents.study.isolation import call_isolated, close_own
from nchain_agents.study.plan import RunKey, Task
from nchain_agents.study.run import Run, train
from nchain_env.checks import integer, real

BACKENDS = ("loky", "dask", "ray")


@dataclass(frozen=True)
class Workers:
    """Where runs are made.

    Args:
        jobs: How many at a time; 0: as many as there are cores, here or in the cluster.
        backend: "loky" (processes on this machine), "dask" or "ray".
        scheduler: The address of a Dask cluster, or of Ray's; None begins one here.
        time_limit: A run that takes longer, in seconds, fails; None: none does.

    Raises:
        ValueError: A parameter is not allowed.
    """

    jobs: int = 0
    backend: str = "loky"
    scheduler: str | None = None
    time_limit: float | None = None

    def __post_init__(self) -> None:
        integer("jobs", self.jobs, 0)
        if self.backend not in BACKENDS:
            raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {self.backend!r}")
        if self.scheduler is not None and self.backend == "loky":
            raise ValueError(
                f"backend must be dask or ray where there is a scheduler, got {self.backend!r}"
            )
        dask_at = self.scheduler if self.backend == "dask" else None
        if dask_at is not None and not re.fullmatch(r"\w+://.+:\d+", dask_at):
            raise ValueError(f"scheduler must be an address like tcp://HOST:PORT, got {dask_at!r}")
        if self.time_limit is not None:
            real("time_limit", self.time_limit, 0, open_low=True)

    def make(self, tasks: Sequence[Task]) -> Iterator[Run]:
        """Make runs; yield each as it finishes, in whatever order.

        Raises:
            ValueError: There is no cluster at the address.
            ModuleNotFoundError: The backend is not installed.
        """
        with ExitStack() as stack:
            stack.callback(close_own)  # joblib makes the runs of a single job in this process
            if self.backend == "dask":
                cores = _dask(stack, self.scheduler, self.jobs)
            elif self.backend == "ray":
                cores = _ray(stack, self.scheduler)
            else:
                cores = os.cpu_count() or 1
            jobs = self.jobs or cores
            stack.enter_context(joblib.parallel_config(self.backend, n_jobs=jobs))
            make = joblib.delayed(partial(_make, os.getpid(), self.time_limit))
            calls = [make(*_sent(task)) for task in tasks]
            # Each run is handed out and comes back by itself: none waits for others to be kept.
            if self.backend != "ray":
                parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1)
                yield from parallel(calls)
                return
            # Ray's workers give nothing before they have given all, so they get little at a time.
            for first in range(0, len(calls), jobs):
                yield from joblib.Parallel(batch_size=1)(calls[first : first + jobs])


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


def _ray(stack: ExitStack, address: str | None) -> int:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            "backend ray needs ray: pip install ray", name=missing.name
        ) from missing
    ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
    stack.callback(ray.shutdown)
    register_ray()
    cores: float = ray.cluster_resources().get("CPU", 1)
    return int(cores)


def _sent(task: Task) -> tuple[RunKey, bytes]:
    # by cloudpickle, so that an agent may be a class that only this process knows
    return task.key, cloudpickle.dumps(partial(train, task))


def _make(owner: int, time_limit: float | None, key: RunKey, call: bytes) -> Run:
    def failed(reason: str) -> Run:
        return Run(key, (), None, None, reason, 0.0)

    _end_with(owner)
    run: Run = call_isolated(call, time_limit, failed)
    return run


@cache
def _end_with(owner: int) -> None:
    """End this process when its parent does, if that is the owner: loky's would go on for none."""
    if os.getppid() != owner:
        return

    def watch() -> None:
        while os.getppid() == owner:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
