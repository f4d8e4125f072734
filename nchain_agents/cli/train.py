"""`nchain train`: trains one agent and saves it."""

from __future__ import annotations

import inspect
import shlex
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from nchain_agents.cli.options import EnvOption, one_agent


def train(
    agent: Annotated[
        str, typer.Argument(help="The agent: a preset, or module:Class.")
    ] = "q-learning",
    env: EnvOption = "NChain-v0",
    steps: Annotated[int, typer.Option(help="Number of steps.")] = 50_000,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File for the agent; by default AGENT.agent, or AGENT.zip for a model of"
            " stable-baselines3."
        ),
    ] = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option(help="Folder for TensorBoard's logs, in subfolders AGENT_1, AGENT_2, ..."),
    ] = None,
) -> None:
    """Train an agent, save it, and print the return of its policy.

    An agent whose class has no method save is not saved.
    """
    from nchain_env.checks import integer

    integer("steps", steps, 1)
    integer("seed", seed, 0)
    if out is not None and out.is_dir():
        raise ValueError(f"out must be a file, got the folder {out}")
    if out is not None and not out.parent.is_dir():
        raise ValueError(f"out must be in an existing folder, got {out}")

    from nchain_agents.agent import Agent
    from nchain_agents.deep import fast_cpu
    from nchain_agents.evaluation import ExactEvaluator, evaluator_of, how_found, scaled
    from nchain_agents.extras import needed_for
    from nchain_agents.files import whole_file
    from nchain_agents.quiet import import_quietly
    from nchain_agents.study.environments import environments

    (choice,) = environments(env, {}, {})
    preset = one_agent(agent, choice)
    kind = preset.load()
    if "nchain_agents.deep.keras_dqn" in sys.modules:  # KerasDQN or a subclass
        fast_cpu()
    saves = callable(getattr(kind, "save", None))
    if out is not None and not saves:
        raise ValueError(f"out must not be given for {preset.path}, which has no method save")
    path = out or Path(f"{preset.name}.{'zip' if _is_sb3(kind) else 'agent'}")
    if path.is_dir():
        raise ValueError(f"out must be given, as {path} is a folder")

    taken = inspect.signature(kind.learn).parameters
    learning: dict[str, Any] = {}
    if "progress_bar" in taken:
        learning["progress_bar"] = True
    if tensorboard is not None:
        with needed_for("TensorBoard logging", "keras"):
            # TensorBoard imports TensorFlow if it is installed.
            both = ("tensorboard", "tensorflow")
            import_quietly(name for name in both if name == both[0] or find_spec(name))
        if isinstance(kind, type) and issubclass(kind, Agent):
            from nchain_agents.deep.tensorboard import TensorBoard, next_run

            learning["callback"] = TensorBoard(next_run(tensorboard, preset.name))
        elif "tb_log_name" in taken:  # stable-baselines3, which numbers the folders itself
            logs = {"tensorboard_log": str(tensorboard)}
            preset = replace(preset, parameters=preset.parameters | logs)
            learning["tb_log_name"] = preset.name
        else:
            raise ValueError(f"tensorboard must not be given for {preset.path}, which has no logs")
    model = preset.make(choice.make(), seed)
    console = Console()
    try:
        model.learn(total_timesteps=steps, **learning)
    except KeyboardInterrupt:
        done = getattr(model, "num_timesteps", None)
        after = "" if done is None else f" after {done:,} of {steps:,} steps"
        console.print(f"stopped{after}; the agent is kept", highlight=False)
    if hasattr(learning.get("callback"), "close"):
        learning["callback"].close()
    if _is_sb3(kind):
        with whole_file(
            path
        ) as partial:  # the partial file has a suffix; without one, SB3 would add its own
            model.save(partial)
    elif saves:
        model.save(path)
    evaluator = evaluator_of(choice.make())
    mean, standard_error = estimate = evaluator.evaluate(model)
    exact = isinstance(evaluator, ExactEvaluator) and standard_error == 0
    how = "exactly" if exact else f"± {standard_error:,.1f}, by episodes"
    message = f"return of an episode: {mean:,.1f} ({how}), score {scaled(evaluator, mean):.2f}"
    console.print(f"{preset.name} on {choice.label}: {message}", highlight=False)
    if not exact or evaluator.how != "computed exactly":
        message = f"the return is {how_found(evaluator, estimate)}"
        console.print(message, markup=False, highlight=False, soft_wrap=True)
    message = f"saved to {path}" if saves else f"not saved: {preset.path} has no method save"
    if saves and not _says_its_class(kind):
        env_option = () if env == "NChain-v0" else ("--env", env)
        words = ("nchain", "evaluate", str(path), "--agent", agent, *env_option)
        message += f"; to evaluate it: {shlex.join(words)}"
    console.print(message, markup=False, highlight=False, soft_wrap=True)


def _says_its_class(kind: Any) -> bool:
    """Return whether `nchain evaluate` reads files of a class without the option --agent."""
    import nchain_agents

    name = getattr(kind, "__name__", "")
    return name in nchain_agents.__all__ and getattr(nchain_agents, name) is kind


def _is_sb3(kind: Any) -> bool:
    """Return whether a class is an algorithm of stable-baselines3 or a subclass of one."""
    ancestors = getattr(kind, "__mro__", ())  # a function that makes agents has no __mro__
    return any(one.__module__.startswith("stable_baselines3.") for one in ancestors)
