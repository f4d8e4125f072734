"""The trials of a search in a study of Optuna's, which suggests them and keeps them in one file."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nchain_agents.extras import needed_for
from nchain_agents.search.problem import Problem
from nchain_agents.search.result import Trial
from nchain_agents.search.space import Choices
from nchain_agents.search.trial import Outcome
from nchain_agents.study.failure import Failure

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage

# What is kept beside what Optuna keeps, by name.
_PROBLEM, _TRIAL = "problem", "trial"
# The numbers that are suggested in a range are rounded to so many digits.
_DIGITS = 4


@contextmanager
def opened(problem: Problem, path: Path | None) -> Iterator[Store]:
    """Open the trials of a problem; a file may have those of several agents.

    Args:
        problem: The problem.
        path: The SQLite file; it is made if there is none. None: the trials are not kept.

    Raises:
        ModuleNotFoundError: Optuna is not installed.
        ValueError: The file has trials of another problem of the agent, or is no such file.
        OSError: It cannot be written, then or in the block.
    """
    with needed_for("tuning", "tune"):
        import optuna
        from sqlalchemy import URL
        from sqlalchemy.exc import DatabaseError, OperationalError

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage: BaseStorage | None = None
    try:
        if path is None:
            storage = optuna.storages.InMemoryStorage()
        else:
            url = URL.create("sqlite", database=str(path))
            connecting = {"connect_args": {"factory": _Connection}}
            storage = optuna.storages.RDBStorage(url.render_as_string(), connecting)
        yield Store(problem, storage)
    except optuna.exceptions.StorageInternalError as error:
        raise OSError(f"{path} cannot be written: {error}; the trials in it are intact") from None
    except OperationalError as error:
        raise OSError(f"{path} cannot be written: {error.orig}") from None
    except DatabaseError as error:
        raise ValueError(f"storage: {path} is no file of trials: {error.orig}") from None
    finally:
        if isinstance(storage, optuna.storages.RDBStorage):
            storage.remove_session()
            storage.engine.dispose()
        optuna.logging.set_verbosity(verbosity)


class _Connection(sqlite3.Connection):
    """A connection as that of `study/store.py`: no write waits for the disk, and none is torn."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("pragma journal_mode = wal")
        self.execute("pragma synchronous = normal")


class Store:
    """The trials of a problem.

    Args:
        problem: The problem.
        storage: Where Optuna keeps them.

    Raises:
        ValueError: There are trials of another problem of the agent.
    """

    def __init__(self, problem: Problem, storage: BaseStorage) -> None:
        import optuna

        self._problem, self._storage = problem, storage
        self._study = optuna.create_study(
            storage=storage,
            study_name=problem.agent.name,
            direction="maximize" if problem.objective == "score" else "minimize",
            load_if_exists=True,
        )
        self._begun: dict[int, optuna.trial.Trial] = {}
        self._parameters: dict[int, dict[str, Any]] = {}
        wanted, there = problem.as_data(), self._study.user_attrs.get(_PROBLEM)
        if there is None:
            self._study.set_user_attr(_PROBLEM, wanted)
        elif there != wanted:
            names = [name for name in wanted if there.get(name) != wanted[name]]
            raise ValueError(
                f"storage has trials of {problem.agent.name} with other {', '.join(names)}; "
                "take another file"
            )
        if problem.before is not None and not self._study.get_trials(deepcopy=False):
            self._study.enqueue_trial(
                {
                    name: values.name(problem.before[name])
                    if isinstance(values, Choices)
                    else problem.before[name]
                    for name, values in problem.space.items()
                }
            )

    def finished(self) -> dict[int, Trial]:
        """Return the trials that are not to be made again, by number."""
        return {
            trial.number: Trial(number=trial.number, **trial.user_attrs[_TRIAL])
            for trial in self._study.get_trials(deepcopy=False)
            if trial.state.is_finished()
        }

    def suggested(self, number: int) -> dict[str, Any]:
        """Return the hyperparameters to try; those of a trial that was begun are the same again.

        The first trial has the agent's present ones, where the space contains them.
        """
        begun = self._begun[number] = self._trial(number)
        found: dict[str, Any] = {}
        for name, values in self._problem.space.items():
            if isinstance(values, Choices):
                found[name] = values.values[begun.suggest_categorical(name, list(values.values))]
            elif values.whole:
                found[name] = begun.suggest_int(
                    name, int(values.low), int(values.high), log=values.log
                )
            else:
                raw = begun.suggest_float(name, values.low, values.high, log=values.log)
                rounded = float(f"{raw:.{_DIGITS}g}")
                found[name] = min(max(rounded, values.low), values.high)
        if number == 0 and self._problem.before is not None:
            found = self._problem.before
        self._parameters[number] = found
        return found

    def _trial(self, number: int) -> optuna.trial.Trial:
        """Return the trial of a number, with a sampler of its own.

        So what it suggests depends on its number and the results, not on interruptions.
        """
        import optuna

        seed = int(np.random.SeedSequence(number).generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        running = self._study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING])
        if number not in (trial.number for trial in running):
            return self._study.ask()
        study = self._storage.get_study_id_from_name(self._study.study_name)
        trial = self._storage.get_trial_id_from_study_id_trial_number(study, number)
        return optuna.trial.Trial(self._study, trial)

    def keep(self, number: int, outcome: Outcome | Failure) -> Trial:
        """Keep what came of a trial that was suggested, and return it."""
        from optuna.trial import TrialState

        if isinstance(outcome, Failure):
            outcome = Outcome((), failure=outcome.reason)
        trial = Trial(number, self._parameters[number], **vars(outcome))
        begun = self._begun[number]
        about = {name: value for name, value in vars(trial).items() if name != "number"}
        begun.set_user_attr(_TRIAL, about)
        if trial.value is not None:
            self._study.tell(begun, trial.value)
        elif trial.stopped:
            begun.report(trial.reports[-1], len(trial.reports))
            self._study.tell(begun, state=TrialState.PRUNED)
        else:
            self._study.tell(begun, state=TrialState.FAIL)
        return trial
