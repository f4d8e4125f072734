"""The options and arguments that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from nchain_agents.presets import Preset
    from nchain_agents.study.environments import EnvChoice

N = Annotated[int | None, typer.Option(help="Number of states of the chain.")]
Slip = Annotated[
    float | None, typer.Option(help="Probability that the opposite action is executed.")
]
Small = Annotated[float | None, typer.Option(help="Reward of going backward.")]
Large = Annotated[float | None, typer.Option(help="Reward of going forward in the last state.")]
EnvOption = Annotated[
    str,
    typer.Option(
        "--env",
        help="Id of the environment and its parameters, as in 'NChain-v0 n=8'; module:Id for one"
        " that a module registers.",
    ),
]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the results only, no progress.")]


@contextmanager
def going_on(kept: str, folder: Path) -> Iterator[None]:
    """Say after Ctrl-C what is kept in a folder or a file, and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        said = f"{kept} are kept in {folder}; the same command goes on"
        print(said, file=sys.stderr)
        raise


def one_agent(agent: str, env: EnvChoice) -> Preset:
    """Return the agent of a name for an environment, after importing its dependencies.

    Raises:
        ValueError: The name is unknown, or stands for several agents.
    """
    from nchain_agents.keras_backend import choose_keras_backend
    from nchain_agents.quiet import import_quietly
    from nchain_agents.study.plan import chosen

    preset, *others = chosen([agent], [env])
    if others:
        raise ValueError(f"agent must be one, got {1 + len(others)} in {agent}")
    if "keras" in preset.requires:
        choose_keras_backend()
    import_quietly(preset.requires)
    return preset


def seeds_of(text: str) -> int | range | list[int]:
    """Return the number of seeds that a text says, or the seeds of `100:120` or `1,5,7`.

    Raises:
        ValueError: It is neither.
    """
    first, colon, end = text.partition(":")
    try:
        if "," in text:
            return [int(seed) for seed in text.split(",")]
        return range(int(first), int(end)) if colon else int(first)
    except ValueError:
        raise ValueError(
            f"seeds must be a number, the first and the end as in 100:120, or seeds as in 1,5,7, "
            f"got {text!r}"
        ) from None


def key_values(option: str, given: Iterable[str]) -> dict[str, list[Any]]:
    """Return the values of each name in texts such as `n=5,10` and `map_name=4x4`.

    Raises:
        ValueError: A text has another form, or a name occurs twice.
    """
    from nchain_agents.env_argument import from_text

    found: dict[str, list[Any]] = {}
    for text in (part for texts in given for part in texts.split()):
        name, equals, values = text.partition("=")
        if not name or not equals or "" in values.split(","):
            raise ValueError(f"{option} must have the form n=5,10 or slip=0.2, got {text!r}")
        if name in found:
            raise ValueError(f"{option} must have {name} only once, got it again in {text!r}")
        found[name] = [from_text(value) for value in values.split(",")]
    return found
