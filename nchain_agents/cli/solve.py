"""`nchain solve`: the exact solution."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console

from nchain_agents.cli.options import Large, N, Slip, Small


def solve(
    n: N = 5,
    slip: Slip = 0.2,
    small: Small = 2.0,
    large: Large = 10.0,
    gamma: Annotated[float, typer.Option(help="Discount factor, in [0, 1).")] = 0.95,
    horizon: Annotated[int, typer.Option(help="Number of steps of an episode.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the exact solution: Q*, the optimal policy and its return."""
    import numpy as np

    from nchain_env import chain_mdp
    from nchain_env.checks import integer
    from nchain_env.planning import (
        average_reward,
        optimal_return,
        policy_iteration,
        policy_return,
    )

    integer("horizon", horizon, 1)
    mdp = chain_mdp(n, slip, small, large)
    policy, q = policy_iteration(mdp, gamma)
    answer: dict[str, Any] = {
        "n": n,
        "slip": slip,
        "small": small,
        "large": large,
        "gamma": gamma,
        "horizon": horizon,
        "q": q.tolist(),
        "policy": policy.tolist(),
        "optimal_return": optimal_return(mdp, horizon),
        "policy_return": policy_return(mdp, policy, horizon),
        "always_backward_return": policy_return(mdp, np.ones(n, dtype=np.int64), horizon),
        "random_return": policy_return(mdp, np.full((n, 2), 0.5), horizon),
        "average_reward": average_reward(mdp, policy),
    }
    if as_json:
        print(json.dumps(answer))
        return

    from rich.table import Table

    table = Table(title=f"NChain: n={n}, slip={slip:g}, small={small:g}, large={large:g}")
    table.add_column("state", justify="right")
    table.add_column(f"Q*(forward)\ngamma={gamma:g}", justify="right")
    table.add_column(f"Q*(backward)\ngamma={gamma:g}", justify="right")
    table.add_column("optimal action")
    # The middle states of a long chain are not shown.
    shown = range(n) if n <= 40 else [*range(20), None, *range(n - 20, n)]
    for s in shown:
        if s is None:
            table.add_row("...", "...", "...", "... (--json prints all)")
        else:
            forward, backward = (f"{value:.4f}" for value in q[s])
            table.add_row(str(s), forward, backward, ("forward", "backward")[policy[s]])
    console = Console()
    console.print(table)
    facts = Table(box=None, show_header=False)
    facts.add_row(f"optimal return of {horizon:,} steps", f"{answer['optimal_return']:.2f}")
    facts.add_row("return of the policy above", f"{answer['policy_return']:.2f}")
    for name in ("always_backward", "random"):
        facts.add_row(f"return of {name.replace('_', ' ')}", f"{answer[name + '_return']:.2f}")
    facts.add_row("reward per step of the policy above", f"{answer['average_reward']:.4f}")
    console.print(facts)
