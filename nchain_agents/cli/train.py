"""`nchain train`: one agent, saved."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from nchain_agents.cli.options import EnvOption


def train(
    agent: Annotated[
        str, typer.Argument(help="Who learns: a preset, or module:Class.")
    ] = "q-learning",
    env: EnvOption = "NChain-v0",
    steps: Annotated[int, typer.Option(help="How many steps to train for.")] = 50_000,
    seed: Annotated[int, typer.Option(help="Makes the training repeatable.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="The file to save it in; by default AGENT.agent.")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder for TensorBoard's logs (KerasDQN and SB3).")
    ] = None,
) -> None:
    """Train an agent, save it, and say what its policy is worth."""
    from nchain_env.checks import integer

    integer("steps", steps, 1)
    integer("seed", seed, 0)

    from nchain_agents.agent import Agent
    from nchain_agents.evaluation import scaled, yardstick
    from nchain_agents.files import whole_file
    from nchain_agents.presets import presets_for
    from nchain_agents.quiet import import_quietly
    from nchain_agents.study.environments import environments, parsed
    from nchain_agents.study.plan import chosen

    env_id, parameters = parsed(env)
    (choice,) = environments(env_id, parameters, {})
    preset, *others = chosen([agent], presets_for(env_id, choice.parameters))
    if others:
        raise ValueError(f"agent must be one, got {1 + len(others)} in {agent}")
    path = out or Path(f"{preset.name}.agent")
    if not path.parent.is_dir():
        raise ValueError(f"out must be in a folder that is there, got {path}")
    import_quietly(preset.requires)
    kind = preset.load()
    if not callable(getattr(kind, "save", None)):
        raise ValueError(f"agent must have a method save, which {preset.path} has not")

    learning: dict[str, Any] = {}
    if tensorboard is not None:
        taken = inspect.signature(kind).parameters
        if isinstance(kind, type) and issubclass(kind, Agent):
            from nchain_agents.deep.tensorboard import TensorBoard

            learning["callback"] = TensorBoard(tensorboard)
        elif "tensorboard_log" in taken:
            preset.parameters["tensorboard_log"] = str(tensorboard)
        else:
            raise ValueError(f"tensorboard must not be given for {preset.path}, which writes none")
    if "progress_bar" in inspect.signature(kind.learn).parameters:
        learning["progress_bar"] = True
    model = preset.make(choice.make(), seed)
    console = Console()
    try:
        model.learn(total_timesteps=steps, **learning)
    except KeyboardInterrupt:
        console.print("stopped; what was learned is kept", highlight=False)
    if hasattr(learning.get("callback"), "close"):
        learning["callback"].close()
    with whole_file(path) as partial:
        model.save(partial)
    measure = yardstick(choice.make())
    mean, standard_error = measure.worth(model)
    how = "exactly" if standard_error == 0 else f"± {standard_error:,.1f}, by episodes"
    said = f"return of an episode: {mean:,.1f} ({how}), score {scaled(measure, mean):.2f}"
    console.print(f"{preset.name} on {choice.label}: {said}", highlight=False)
    console.print(f"saved to {path}", markup=False, highlight=False, soft_wrap=True)
