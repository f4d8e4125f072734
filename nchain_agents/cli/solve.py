"""`nchain solve`: the exact solution."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from nchain_agents.cli.options import EnvOption, Large, N, Slip, Small

if TYPE_CHECKING:
    from nchain_env import TabularMDP

_CHAIN = "NChain-v0"
# The largest number of states for which the diameter is computed, which takes seconds.
_DIAMETER_STATES = 200
# Tables of more states are shown by their ends, and those of more actions without their values.
_SHOWN_STATES = 40
_SHOWN_ACTIONS = 3


def solve(
    env: EnvOption = _CHAIN,
    n: N = None,
    slip: Slip = None,
    small: Small = None,
    large: Large = None,
    gamma: Annotated[float, typer.Option(help="Discount factor, in [0, 1).")] = 0.95,
    horizon: Annotated[
        int | None,
        typer.Option(
            help="Number of steps of an episode; by default the environment's time limit."
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print JSON, with all states: null for what is not computed, the string Infinity"
            " for a diameter without a limit.",
        ),
    ] = False,
) -> None:
    """Print the exact solution of an environment that has a table of its outcomes.

    For the discount factor: Q*, the optimal policy, and the gap to the second-best action. For
    episodes: the optimal return. For the long run: the optimal reward per step (gain), the bias and
    the diameter.
    """
    from nchain_agents.evaluation import max_episode_steps
    from nchain_agents.study.environments import EnvChoice, environments
    from nchain_env import TabularMDP
    from nchain_env.checks import integer

    if horizon is not None:
        integer("horizon", horizon, 1)
    chain = {"n": n, "slip": slip, "small": small, "large": large}
    parameters = {name: value for name, value in chain.items() if value is not None}
    (choice,) = environments(env, parameters, {})
    made = choice.make()
    mdp = TabularMDP.from_env(made)
    if horizon is None:
        horizon = max_episode_steps(made)
    if horizon is None:
        raise ValueError(f"horizon must be given for {choice.label}, which has no time limit")
    if choice.id == _CHAIN:
        parameters = {name: getattr(made.unwrapped, name) for name in chain}
        choice = EnvChoice(_CHAIN, parameters)
    made.close()
    answer = {
        "env": choice.label,
        **choice.parameters,
        "states": mdp.num_states,
        "actions": mdp.num_actions,
        **_answers(mdp, gamma, horizon),
    }
    if choice.id == _CHAIN:
        answer["always_backward_return"] = _always_backward(mdp, horizon)
    if as_json:
        if answer["diameter"] == math.inf:
            answer["diameter"] = "Infinity"
        print(json.dumps(answer))
    else:
        names = getattr(made.unwrapped, "action_names", ())
        _show(answer, names or tuple(map(str, range(mdp.num_actions))))


def _answers(mdp: TabularMDP, gamma: float, horizon: int) -> dict[str, Any]:
    """Return all exact answers by name; None for those that are not found for so many states."""
    import numpy as np

    from nchain_env import planning

    policy, q = planning.policy_iteration(mdp, gamma)
    uniform = np.full(q.shape, 1 / mdp.num_actions)
    bias = _if_found(lambda: planning.optimal_bias(mdp).tolist())
    return {
        "gamma": gamma,
        "horizon": horizon,
        "q": q.tolist(),
        "values": q.max(axis=1).tolist(),
        "gaps": (q.max(axis=1, keepdims=True) - q).tolist(),
        "policy": policy.tolist(),
        "optimal_return": planning.optimal_return(mdp, horizon),
        "policy_return": planning.policy_return(mdp, policy, horizon),
        "random_return": planning.policy_return(mdp, uniform, horizon),
        "average_reward": _if_found(lambda: planning.average_reward(mdp, policy)),
        "optimal_gain": _if_found(lambda: planning.optimal_gain(mdp)),
        "optimal_bias": bias,
        "bias_span": None if bias is None else max(bias) - min(bias),
        "diameter": _if_found(lambda: _diameter(mdp)),
    }


def _if_found(answer: Callable[[], Any]) -> Any:
    """Return an answer; None if there are too many states for it."""
    try:
        return answer()
    except (ValueError, RuntimeError):
        return None


def _diameter(mdp: TabularMDP) -> float | None:
    from nchain_env.planning import diameter

    ends = bool((mdp.probability * mdp.terminated).any())
    return diameter(mdp) if ends or mdp.num_states <= _DIAMETER_STATES else None


def _always_backward(mdp: TabularMDP, horizon: int) -> float:
    import numpy as np

    from nchain_env.planning import policy_return
    from nchain_env.problems.chain import BACKWARD

    return policy_return(mdp, np.full(mdp.num_states, BACKWARD), horizon)


def _show(answer: dict[str, Any], names: tuple[str, ...]) -> None:
    """Print the answers as tables, of at most 80 columns for numbers of usual size."""
    from rich.table import Table as Facts

    from nchain_agents.report.table import Table
    from nchain_agents.report.terminal import show

    many = len(names) > _SHOWN_ACTIONS
    headings = ["V*"] if many else [f"Q*({name})" for name in names]
    with_gamma = [f"{heading} gamma={answer['gamma']:g}" for heading in headings]
    columns = ("state", *with_gamma, "optimal action", "gap", "bias")
    rows: list[tuple[str, ...]] = []
    states, ends = answer["states"], _SHOWN_STATES // 2
    for s in range(states):
        if states <= _SHOWN_STATES or s < ends or s >= states - ends:
            best = answer["policy"][s]
            others = [gap for a, gap in enumerate(answer["gaps"][s]) if a != best]
            values = [answer["values"][s]] if many else answer["q"][s]
            bias = None if answer["optimal_bias"] is None else answer["optimal_bias"][s]
            gap = min(others, default=None)
            rows.append((str(s), *map(_text, values), names[best], _text(gap), _text(bias)))
        elif s == ends:
            rows.append(("...",) * len(columns))
    show(Table(answer["env"], columns, rows, droppable=("bias", "gap")), "--json")
    console = Console()
    if states > _SHOWN_STATES:
        console.print(f" {states:,} states; --json prints all of them", highlight=False)
    facts = Facts(box=None, show_header=False)
    for text, name in (
        (f"optimal return of {answer['horizon']:,} steps", "optimal_return"),
        ("return of the policy above", "policy_return"),
        ("return of always backward", "always_backward_return"),
        ("return of random", "random_return"),
        ("reward per step of the policy above", "average_reward"),
        ("optimal reward per step (gain)", "optimal_gain"),
        ("span of the bias", "bias_span"),
        ("diameter", "diameter"),
    ):
        if name in answer:
            facts.add_row(text, _text(answer[name]))
    console.print(facts)


def _text(number: float | None) -> str:
    """Return a number with four decimals, and fewer if it is large; "-" for None."""
    if number is None:
        return "-"
    if number == math.inf:
        return "infinite"
    size = abs(number)
    return f"{number:.4f}" if size < 1e3 else f"{number:.2f}" if size < 1e9 else f"{number:.6g}"
