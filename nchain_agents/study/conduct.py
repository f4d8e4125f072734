"""Makes the missing runs of a study, and keeps all results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from nchain_agents.evaluation import needed_limit
from nchain_agents.files import prepare_folder, write_text
from nchain_agents.progress import progress
from nchain_agents.study import results, study_file
from nchain_agents.study.comparison import Comparison, pending
from nchain_agents.study.environments import EnvChoice
from nchain_agents.study.plan import Study
from nchain_agents.study.pool import Pool
from nchain_agents.study.run import Run, train
from nchain_agents.study.store import Store
from nchain_env import TabularEnv


def conduct(
    study: Study,
    pool: Pool,
    out: Path | None = None,
    adds: bool = False,
    progress_bar: bool = False,
) -> Comparison:
    """Make the runs of a study that are missing or have failed, and return all of them.

    Args:
        study: The study.
        pool: What makes the runs.
        out: The folder that keeps the runs as they finish, and gets `study.toml` and
            `results.FILES`; None keeps nothing.
        adds: The study may have agents, environments or seeds that the runs in the folder do not
            have.
        progress_bar: Print the remarks of the study, and show how many runs are finished.

    Raises:
        ValueError: The folder has the runs of another study, or a parameter cannot be kept, or an
            environment with a table has no time limit.
        OSError: A file cannot be written; the finished runs are kept.
        ModuleNotFoundError: The pool has a scheduler, and distributed is not installed.
        TimeoutError: The pool's cluster could not be used.
    """
    for env in study.envs:
        _check_time_limit(env)
    if study.keras_backend is not None:
        pool = replace(pool, environment={"KERAS_BACKEND": study.keras_backend})
    done: dict[Any, Run] = {}
    with ExitStack() as stack:
        store = None
        if out is not None:
            text = study_file.text_of(study)
            prepare_folder(out)
            store = stack.enter_context(Store(out / "runs.sqlite", study, adds=adds))
            done = store.runs()
        left = set(pending(study, done.values()))
        tasks = [task for task in study.tasks if task.key in left]
        # Where nothing is left to be made, the file keeps the versions that made it.
        if out is not None and (tasks or not (out / study_file.NAME).exists()):
            write_text(out / study_file.NAME, text)
        # Slow agents are listed last. They start first, so that no core is idle at the end.
        tasks.sort(key=lambda task: -study.agents.index(task.agent))
        show = stack.enter_context(_progress(study, len(tasks), progress_bar))
        calls = [partial(train, task) for task in tasks]
        finished = stack.enter_context(closing(pool.map_unordered(calls)))
        for i, result in finished:
            run = result if isinstance(result, Run) else Run.failed(tasks[i].key, result)
            done[run.key] = run
            if store is not None:
                store.add(run)
            show(run)
    comparison = Comparison.of(study, done)
    if out is not None:
        results.write(out, comparison)
    return comparison


def _check_time_limit(env: EnvChoice) -> None:
    """Check that an environment has a time limit if its returns are computed on a table."""
    made = env.make()
    if isinstance(made.unwrapped, TabularEnv) or hasattr(made.unwrapped, "P"):
        needed_limit(made)
    made.close()


@contextmanager
def _progress(study: Study, left: int, shown: bool) -> Iterator[Any]:
    """Print the remarks of a study; yield a function that shows a finished run."""
    if not shown:
        yield lambda run: None
        return
    bar, total = progress(disable=left == 0), len(study.tasks)
    said = list(study.remarks)
    if left < total:
        kept = f"{total - left} of {total} runs were there already"
        said.append(f"{kept}; another --out makes all of them again")
    for line in said:
        bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
    with bar:
        task = bar.add_task("training", total=left)

        def show(run: Run) -> None:
            verb = "trained" if run.failure is None else "FAILED"
            said = f"{verb} {run.key.agent}, seed {run.key.seed}"
            bar.update(task, advance=1, description=said)

        yield show
        bar.update(task, description="finished")
