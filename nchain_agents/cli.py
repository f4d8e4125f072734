"""The `nchain` command."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from nchain_agents.presets import Preset

app = typer.Typer(
    name="nchain",
    help="NChain-v0: the chain's exact answer, and agents compared with it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

N = Annotated[int, typer.Option(help="Number of states, at least 1.")]
Slip = Annotated[float, typer.Option(help="Probability that the opposite action is executed.")]
Small = Annotated[float, typer.Option(help="Reward for going back to the first state.")]
Large = Annotated[float, typer.Option(help="Reward for going forward at the last state.")]


def run() -> None:
    """Run the command line; bad input is one line and exit code 2."""
    try:
        app(standalone_mode=False)
    except typer.Abort:
        sys.exit("nchain: stopped")
    except (ValueError, OSError, typer.TyperException) as error:
        # only the formatted message of a parse error names the option
        said = error.format_message() if isinstance(error, typer.BadParameter) else error
        if str(said):  # empty where no command was given: the help has been printed
            print(f"nchain: {said}", file=sys.stderr)
        sys.exit(2)


@app.command()
def solve(
    n: N = 5,
    slip: Slip = 0.2,
    small: Small = 2.0,
    large: Large = 10.0,
    gamma: Annotated[float, typer.Option(help="Discount factor, in [0, 1).")] = 0.95,
    horizon: Annotated[int, typer.Option(help="Steps of an episode.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the exact answer: Q*, the optimal policy and what it earns."""
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
    # the middle of a long chain is left out: it looks like its ends
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
    facts.add_row(f"best return of a {horizon:,}-step episode", f"{answer['optimal_return']:.2f}")
    facts.add_row("of the policy above", f"{answer['policy_return']:.2f}")
    for name in ("always_backward", "random"):
        facts.add_row(f"of {name.replace('_', ' ')}", f"{answer[name + '_return']:.2f}")
    facts.add_row("long-run reward a step of the policy above", f"{answer['average_reward']:.4f}")
    console.print(facts)


@app.command()
def compare(
    agents: Annotated[
        str | None,
        typer.Option(help="Presets to train, with commas between; by default all installed."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds to train each with.")] = 5,
    steps: Annotated[int, typer.Option(help="How many steps to train for.")] = 20_000,
    jobs: Annotated[int, typer.Option(help="Runs at a time; 0 takes every core.")] = 0,
    n: N = 5,
    slip: Slip = 0.2,
    small: Small = 2.0,
    large: Large = 10.0,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Train agents on NChain-v0 and compare what they learned with the exact answer."""
    from nchain_env.checks import integer

    for name, value, low in (("seeds", seeds, 1), ("steps", steps, 1), ("jobs", jobs, 0)):
        integer(name, value, low)
    chosen, missing = _chosen(agents)

    import gymnasium as gym
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

    import nchain_env  # noqa: F401  (registers NChain-v0)
    from nchain_agents.evaluation import Yardstick
    from nchain_agents.study import report, store
    from nchain_agents.study.run import Study, run_study
    from nchain_agents.study.summary import as_data, by_agent

    chain: dict[str, Any] = {"n": n, "slip": slip, "small": small, "large": large}
    yardstick = Yardstick.of_env(gym.make("NChain-v0", **chain))
    study = Study(chosen, seeds, steps, chain)
    try:
        store.prepare(out)
    except OSError as error:
        raise ValueError(f"out must be a folder to write to, got {out}: {error.strerror}") from None

    console = Console(stderr=True)
    for left_out in missing:
        console.print(
            f"left out: {left_out.name}, which needs {left_out.install_command}",
            markup=False,
            highlight=False,
        )
    runs = []
    columns = (SpinnerColumn(), *Progress.get_default_columns(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("training", total=len(chosen) * seeds)
        for run in run_study(study, jobs or os.cpu_count() or 1):
            runs.append(run)
            progress.update(task, advance=1, description=f"trained {run.agent}, seed {run.seed}")

    summaries = by_agent(study, runs)
    data = as_data(study, yardstick, summaries)
    store.write_results(out / "results.csv", summaries)
    store.write_timing(out / "timing.csv", summaries)
    store.write_summary(out / "summary.json", data)
    report.write_learning_curves(out / "learning_curves.png", study, yardstick, summaries)
    if as_json:
        print(json.dumps(data))
    else:
        Console().print(report.table(study, yardstick, summaries))
        console.print(
            f"written to {out}: results.csv, timing.csv, summary.json, learning_curves.png",
            markup=False,
            highlight=False,
        )


def _chosen(agents: str | None) -> tuple[tuple[Preset, ...], list[Preset]]:
    """Return the presets to train, and those left out because their extra is not installed."""
    from nchain_agents.presets import problem

    chain = problem("nchain")
    if agents is None:
        known = chain.presets.values()
        return tuple(p for p in known if p.installed), [p for p in known if not p.installed]
    names = [name.strip() for name in agents.split(",")]
    chosen = tuple(chain.preset(name) for name in dict.fromkeys(names))
    for wanted in chosen:
        if not wanted.installed:
            raise ValueError(f"agents: {wanted.name} needs {wanted.install_command}")
    return chosen, []
