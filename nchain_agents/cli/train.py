"""`nchain train`: trains one agent and saves it."""

from __future__ import annotations

import inspect
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from nchain_agents.cli.evaluate import agent_of, own_agent
from nchain_agents.cli.options import Quiet, one_agent


def train(
    agent: Annotated[
        str,
        typer.Argument(
            help="The agent: a preset, or module:Class; or the file of a saved agent, which goes on"
            " learning."
        ),
    ] = "q-learning",
    env: Annotated[
        str | None,
        typer.Option(
            help="Id of the environment and its parameters, as in 'NChain-v0 n=8'; module:Id for"
            " one that a module registers; by default NChain-v0, or that of the file."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Number of steps.")] = 50_000,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the random numbers, by default 0; a file has its own."),
    ] = None,
    agent_of_file: Annotated[
        str | None,
        typer.Option(
            "--agent",
            help="The agent of a file that does not name its class: a preset (sb3-dqn), or"
            " module:Class with a method load.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File for the agent; by default AGENT.agent, or AGENT.zip for a model of"
            " stable-baselines3, or the file that was read."
        ),
    ] = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option(help="Folder for TensorBoard's logs, in subfolders AGENT_1, AGENT_2, ..."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train an agent, save it, and print the return of its policy.

    An agent whose class has no method save is not saved.
    """
    from nchain_env.checks import integer

    integer("steps", steps, 1)
    integer("seed", seed or 0, 0)
    saved = _saved(agent)
    if saved is not None and seed is not None:
        raise ValueError(f"seed must not be given for {saved}, which has its own")
    if saved is None and agent_of_file is not None:
        raise ValueError(f"--agent must be given with a file only, got it with {agent}")
    if out is not None and out.is_dir():
        raise ValueError(f"out must be a file, got the folder {out}")
    if out is not None and not out.parent.is_dir():
        raise ValueError(f"out must be in an existing folder, got {out}")

    from nchain_agents.deep import fast_cpu
    from nchain_agents.env_argument import label
    from nchain_agents.evaluation import ExactEvaluator, evaluator_of, how_found, scaled
    from nchain_agents.extras import needed_for
    from nchain_agents.files import whole_file
    from nchain_agents.presets import Preset
    from nchain_agents.quiet import import_quietly
    from nchain_agents.study.environments import environments

    loaded: Any = None
    if saved is None:
        (choice,) = environments(env or "NChain-v0", {}, {})
        preset = one_agent(agent, choice)
    else:
        given = None if env is None else environments(env, {}, {})[0]
        if agent_of_file is None:
            loaded, played = own_agent(saved, given)
        else:
            loaded, played = agent_of(agent_of_file, saved, given)
        choice = given or environments(label(played), {}, {})[0]
        preset = Preset(saved.stem, type(loaded))
    kind = preset.load()
    if "nchain_agents.deep.keras_dqn" in sys.modules:  # KerasDQN or a subclass
        fast_cpu()
    saves = callable(getattr(kind, "save", None))
    if out is not None and not saves:
        raise ValueError(f"out must not be given for {preset.path}, which has no method save")
    path = out or saved or Path(f"{preset.name}.{'zip' if _is_sb3(kind) else 'agent'}")
    if path.is_dir():
        raise ValueError(f"out must be given, as {path} is a folder")

    taken = inspect.signature(kind.learn).parameters
    learning: dict[str, Any] = {}
    if "progress_bar" in taken:
        learning["progress_bar"] = not quiet
    if loaded is not None and "reset_num_timesteps" in taken:
        learning["reset_num_timesteps"] = False
    if tensorboard is not None:
        with needed_for("TensorBoard logging", "keras"):
            # TensorBoard imports TensorFlow if it is installed.
            both = ("tensorboard", "tensorflow")
            import_quietly(name for name in both if name == both[0] or find_spec(name))
        if "tb_log_name" not in taken:  # which ours and stable-baselines3's have
            raise ValueError(f"tensorboard must not be given for {preset.path}, which has no logs")
        learning |= {"tb_log_name": preset.name, "log_interval": 1}
    model = preset.make(choice.make(), seed or 0) if loaded is None else loaded
    before = getattr(model, "num_timesteps", 0)
    if tensorboard is not None:
        model.tensorboard_log = str(tensorboard)
    console = Console()
    try:
        model.learn(total_timesteps=steps, **learning)
    except KeyboardInterrupt:
        done = getattr(model, "num_timesteps", None)
        after = "" if done is None else f" after {done - before:,} of {steps:,} steps"
        console.print(f"stopped{after}; the agent is kept", highlight=False)
    if _is_sb3(kind):
        # the partial file has a suffix; without one, stable-baselines3 would add its own
        with whole_file(path) as partial:
            model.save(partial)
    elif saves:
        model.save(path)
    evaluator = evaluator_of(choice.make())
    mean, standard_error = estimate = evaluator.evaluate(model)
    exact = isinstance(evaluator, ExactEvaluator) and standard_error == 0
    how = "exactly" if exact else f"± {standard_error:,.1f}, by episodes"
    message = f"return of an episode: {mean:,.1f} ({how}), score {scaled(evaluator, mean):.2f}"
    message = f"{preset.name} on {choice.label}: {message}"
    console.print(message, markup=False, highlight=False, soft_wrap=True)
    if before:
        message = f"{preset.name} has learned for {model.num_timesteps:,} steps in all"
        console.print(message, markup=False, highlight=False, soft_wrap=True)
    if not exact or evaluator.how != "computed exactly":
        message = f"the return is {how_found(evaluator, estimate)}"
        console.print(message, markup=False, highlight=False, soft_wrap=True)
    message = f"saved to {path}" if saves else f"not saved: {preset.path} has no method save"
    if saves and not _says_its_class(kind):
        env_option = () if env is None or env == "NChain-v0" else ("--env", env)
        words = ("nchain", "evaluate", str(path), "--agent", agent_of_file or agent, *env_option)
        message += f"; to evaluate it: {shlex.join(words)}"
    console.print(message, markup=False, highlight=False, soft_wrap=True)


def _saved(agent: str) -> Path | None:
    """Return the file that an agent is read from; None if it is the name of an agent."""
    path = Path(agent)
    is_file = path.is_file() and path.suffix != ".toml" and path.stem != agent
    return path if is_file or path.suffix in (".agent", ".zip") else None


def _says_its_class(kind: Any) -> bool:
    """Return whether `nchain evaluate` reads files of a class without the option --agent."""
    import nchain_agents

    name = getattr(kind, "__name__", "")
    return name in nchain_agents.__all__ and getattr(nchain_agents, name) is kind


def _is_sb3(kind: Any) -> bool:
    """Return whether a class is an algorithm of stable-baselines3 or a subclass of one."""
    ancestors = getattr(kind, "__mro__", ())  # a function that makes agents has no __mro__
    return any(one.__module__.startswith("stable_baselines3.") for one in ancestors)
