"""`nchain evaluate`: the returns of saved agents."""

from __future__ import annotations

import inspect
import json
import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from nchain_agents.cli.options import one_agent

if TYPE_CHECKING:
    from nchain_agents.env_argument import Env
    from nchain_agents.study.environments import EnvChoice


def evaluate(
    file: Annotated[list[Path], typer.Argument(help="Files of saved agents.")],
    agent: Annotated[
        str | None,
        typer.Option(
            help="The agent that was saved, for files that do not name their class: a preset"
            " (sb3-dqn), or module:Class with a method load. Files of stable-baselines3 can run"
            " code when they are loaded: evaluate only files that you trust."
        ),
    ] = None,
    env: Annotated[
        str | None,
        typer.Option(
            help="The environment, as 'NChain-v0 n=8' or module:Id; by default that of the file, or"
            " NChain-v0 if the file has none."
        ),
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option(help="Number of episodes to play, in place of the exact return."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the returns and scores of the greedy policies of saved agents."""
    from nchain_agents.env_argument import label
    from nchain_agents.evaluation import (
        EpisodeEvaluator,
        ExactEvaluator,
        evaluator_of,
        how_found,
        scaled,
    )
    from nchain_agents.study.environments import environments
    from nchain_env.checks import integer

    if episodes is not None:
        integer("episodes", episodes, 2)
    choice = None if env is None else environments(env, {}, {})[0]
    rows: list[dict[str, Any]] = []
    for path in file:
        model, played = own_agent(path, choice) if agent is None else agent_of(agent, path, choice)
        evaluator = evaluator_of(played, episodes or 100)
        used: ExactEvaluator | EpisodeEvaluator = evaluator
        if episodes is not None:
            used = EpisodeEvaluator(played, episodes, reason="the option --episodes is given")
        mean, standard_error = estimate = used.evaluate(model)
        score = scaled(evaluator, mean)
        rows.append(
            {
                "file": str(path),
                "agent": type(model).__name__,
                "env": label(played),
                "steps": getattr(model, "num_timesteps", None),
                "return": mean,
                "standard_error": standard_error,
                "score": None if math.isnan(score) else score,
                "exact": isinstance(used, ExactEvaluator) and standard_error == 0,
                "how": how_found(used, estimate),
            }
        )
    if as_json:
        print(json.dumps(rows))
        return

    from nchain_agents.report.table import Table
    from nchain_agents.report.terminal import show

    columns = ("file", "agent", "env", "steps", "return", "score")
    texts = [
        (
            row["file"],
            row["agent"],
            row["env"],
            "-" if row["steps"] is None else f"{row['steps']:,}",
            f"{row['return']:,.1f} ({'exact' if row['exact'] else _plus_minus(row)})",
            "-" if row["score"] is None else f"{row['score']:.2f}",
        )
        for row in rows
    ]
    show(Table("", columns, texts, droppable=("agent", "env", "steps")), "--json")
    console = Console()
    for message in dict.fromkeys(f"{row['env']}: {row['how']}" for row in rows):
        console.print(message, markup=False, highlight=False, soft_wrap=True)


def _plus_minus(row: dict[str, Any]) -> str:
    return f"± {row['standard_error']:,.1f}"


def own_agent(path: Path, choice: EnvChoice | None) -> tuple[Any, Env]:
    """Return an agent of this package, and the environment to evaluate it in."""
    from nchain_agents import storage
    from nchain_agents.agent import load
    from nchain_agents.keras_backend import choose_keras_backend
    from nchain_agents.public_names import MODULES
    from nchain_agents.quiet import import_quietly

    if _is_sb3(path):
        raise ValueError(
            f"{path} is a model of stable-baselines3, which does not name its class: give "
            "--agent, as sb3-dqn or module:Class, if you trust the file (loading it can run code)"
        )
    saved = storage.read(path)
    with saved.named_in_errors():
        name = saved.field("class", str)
    if MODULES.get(name, "").startswith("nchain_agents.deep."):
        choose_keras_backend()
        import_quietly(("keras",))
    model = load(path, None if choice is None else choice.make())
    return model, model.env


def _is_sb3(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "_stable_baselines3_version" in archive.namelist()


def agent_of(agent: str, path: Path, choice: EnvChoice | None) -> tuple[Any, Env]:
    """Return a model that the class of an agent loads, and the environment to evaluate it in."""
    from nchain_agents.agent import Agent
    from nchain_agents.study.environments import environments

    (given,) = (choice,) if choice is not None else environments("NChain-v0", {}, {})
    preset = one_agent(agent, given)
    kind = preset.load()
    if not callable(getattr(kind, "load", None)):
        raise ValueError(f"agent must have a method load, got {preset.path}, which has none")
    if isinstance(kind, type) and issubclass(kind, Agent):
        model: Any = kind.load(path, None if choice is None else choice.make())
        return model, model.env
    with path.open("rb"):  # raises an error with a clear message if there is no such file
        pass
    env = given.make()
    takes_env = "env" in inspect.signature(kind.load).parameters
    try:
        return kind.load(path, **({"env": env} if takes_env else {})), env
    except Exception as error:  # the class may raise any exception
        raise ValueError(f"{path} cannot be read as {preset.path}: {error}") from error
