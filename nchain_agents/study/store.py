"""The finished runs of a study in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nchain_agents.study.plan import RunKey, Study, every_seed
from nchain_agents.study.run import Run

_FORMAT = 2

_TABLES = """
create table if not exists study (format integer, text text);
create table if not exists runs (
    env text, agent text, seed integer, text text, primary key (env, agent, seed)
) without rowid;
"""


class Store:
    """The runs of one study.

    Args:
        path: The file; it is made if there is none.
        study: The study. Runs of another are refused.
        adds: The study may have agents, environments or seeds that the runs there do not have.

    Raises:
        ValueError: The file is of another study, or no store.
        OSError: It cannot be written.
    """

    def __init__(self, path: Path, study: Study, adds: bool = False) -> None:
        wanted: dict[str, Any] = json.loads(json.dumps(study.as_data()))
        self._path = path
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            # a written run survives a crash of this process, and no write waits for the disk
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = normal")
            self._db.executescript(_TABLES)
            self._claim(wanted, adds)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise _failure(error, path) from None
        except ValueError:
            self._db.close()
            raise

    def _claim(self, wanted: dict[str, Any], adds: bool) -> None:
        found = self._db.execute("select format, text from study").fetchone()
        if found is None:
            self._db.execute("insert into study values (?, ?)", (_FORMAT, json.dumps(wanted)))
            return
        if found[0] != _FORMAT:
            raise ValueError(f"out has runs in format {found[0]}; this version reads {_FORMAT}")
        there = {"keras_backend": None, **json.loads(found[1])}
        if there == wanted:
            return
        extends = _extends(wanted, there)
        if not (adds and extends) and self._has_results():
            differing = ", ".join(name for name in wanted if there.get(name) != wanted[name])
            raise ValueError(
                f"out has the runs of another study (with other {differing}): {self._path.parent}; "
                f"take another folder{self._adding(wanted, there, extends)}"
            )
        if not extends:  # nothing but failures is there
            self._db.execute("delete from runs")
        self._db.execute("update study set text = ?", (json.dumps(wanted),))

    def _adding(self, wanted: dict[str, Any], there: dict[str, Any], extends: bool) -> str:
        """Say how something is added to the runs that are there, where that is near."""
        if extends:
            return ", or add to this one by resume=True (--resume)"
        if _extends({**wanted, "seeds": there["seeds"]}, there):
            return f", or name the seeds that are there, too: {_shown(there['seeds'])}"
        return ""

    def _has_results(self) -> bool:
        return any(run.failure is None for run in self.runs().values())

    def add(self, run: Run) -> None:
        """Keep a finished run.

        Raises:
            OSError: It cannot be written; what was there before is intact.
        """
        try:
            self._db.execute(
                "insert or replace into runs values (?, ?, ?, ?)", (*run.key, run.as_text())
            )
        except sqlite3.DatabaseError as error:
            raise _failure(error, self._path) from None

    def runs(self) -> dict[RunKey, Run]:
        """Return all runs that are kept."""
        rows = self._db.execute("select text from runs")
        found = (Run.from_text(text) for (text,) in rows)
        return {run.key: run for run in found}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()


def _extends(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    """Whether a study has all of another's runs, made in the same way."""
    return (
        all(wanted[name].items() >= there[name].items() for name in ("agents", "envs"))
        and set(every_seed(wanted["seeds"])) >= set(every_seed(there["seeds"]))
        and all(wanted[name] == there[name] for name in ("steps", "episodes", "looks"))
        # where none of the runs needed Keras, those that do may be added
        and there.get("keras_backend") in (None, wanted["keras_backend"])
    )


def _shown(seeds: Any) -> str:
    """Return seeds as they are given: their number, from 100 to 119, or each."""
    found = every_seed(seeds)
    if found == list(range(found[0], found[-1] + 1)):
        return f"{found[0]} to {found[-1]}"
    return f"0 to {seeds - 1}" if isinstance(seeds, int) else ", ".join(map(str, found))


def _failure(error: sqlite3.DatabaseError, path: Path) -> Exception:
    if isinstance(error, sqlite3.OperationalError):  # the disk is full, the folder read-only, ...
        return OSError(f"{path} cannot be written: {error}; the runs in it are intact")
    return ValueError(f"out has a file {path.name} that is no store of runs: {error}")
