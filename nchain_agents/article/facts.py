"""The numbers that the page of the reproduction shows, as text where they stand in its tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

from nchain_agents.article import networks, published
from nchain_agents.article.chance import binomial_interval, next_value_interval, same_source
from nchain_agents.article.networks import Run
from nchain_agents.article.run import Reproduction
from nchain_agents.article.tables import exact_table
from nchain_env import chain_mdp
from nchain_env.mdp import FloatArray
from nchain_env.planning import optimal_return, value_iteration

FIRST, LAST = 10, 50  # so many episodes are averaged at the beginning and the end of a curve

Row = tuple[str, ...]


def facts(result: Reproduction) -> dict[str, Any]:
    """Return what `page.md.j2` shows of a reproduction, a dictionary for each experiment."""
    found = {
        "tables": _tables(result),
        "tournament": _tournament(result),
        "corrected": _corrected(result),
        "time_limit": _time_limit(result),
    }
    if result.backend is not None:
        found |= {
            "network": _network(result),
            "cartpole": _cartpole(result),
            "grid_world": _grid_world(result),
        }
    return found


def _tables(result: Reproduction) -> dict[str, Any]:
    tournament = result.tournaments["as written"]
    tables: dict[str, list[Row]] = {}
    inside = printed_values = 0
    for i, (name, printed) in enumerate(published.TABLES.items()):
        q, exact = tournament.q[:, i], exact_table(name)
        digits = 0 if name == "reward-sum" else 2
        tables[name] = [
            (
                str(s),
                *(f"{value:,.{digits}f}" for value in row),
                *(_spread_where_learned(q[:, s, a], min(digits, 1)) for a in range(2)),
                *(f"{value:,.{digits}f}" for value in exact[s]),
            )
            for s, row in enumerate(printed)
        ]
        for s, a in np.argwhere(printed):
            learned = q[:, s, a][q[:, s, a] != 0]
            if len(learned):
                printed_values += 1
                inside += bool(learned.min() <= printed[s][a] <= learned.max())
    return {
        "rows": tables,
        "inside": inside,
        "printed": printed_values,
        "rounds": len(tournament.q),
    }


def _tournament(result: Reproduction) -> dict[str, Any]:
    tournament = result.tournaments["as written"]
    rounds, wins = len(tournament.q), tournament.wins
    rows: list[Row] = []
    for i, name in enumerate(tournament.names):
        low, high = binomial_interval(wins[i], rounds)
        rows.append(
            (
                name,
                str(published.WINS[i]),
                str(wins[i]),
                f"{100 * low:.0f} to {100 * high:.0f} %",
                f"{tournament.returns[:, i].mean():,.0f}",
                str(tournament.forward[i]),
            )
        )
    return {
        "rows": rows,
        "rounds": rounds,
        "wins": list(wins),
        "p_value": same_source(wins, published.WINS),
        "optimal_return": optimal_return(chain_mdp(), published.STEPS),
    }


def _corrected(result: Reproduction) -> dict[str, Any]:
    exact = value_iteration(chain_mdp(), published.GAMMA)
    rows: list[Row] = [
        (
            version,
            ", ".join(map(str, tournament.wins)),
            f"{tournament.forward[2]} of {len(tournament.q)}",
            f"{tournament.returns[:, 2].mean():,.0f}",
        )
        for version, tournament in result.tournaments.items()
    ]
    values = {
        version: [
            (
                str(s),
                *(_spread(tournament.q[:, 2, s, a]) for a in range(2)),
                *(f"{value:.2f}" for value in exact[s]),
            )
            for s in range(len(exact))
        ]
        for version, tournament in result.tournaments.items()
        if version != "as written"
    }
    return {"rows": rows, "values": values}


def _time_limit(result: Reproduction) -> dict[str, Any]:
    limit = result.time_limit
    lost = (limit.terminated - limit.bootstrapped).mean(axis=0)
    exact = limit.exact_terminated - limit.exact_bootstrapped
    columns = np.concatenate([limit.exact_bootstrapped, lost, exact], axis=1)
    rows: list[Row] = [
        (str(s), *(f"{value:.2f}" for value in row)) for s, row in enumerate(columns)
    ]
    return {"rows": rows}


def _network(result: Reproduction) -> dict[str, Any]:
    runs = result.chain["as written"]
    q = np.array([run.q for run in runs])
    printed = np.array(published.NETWORK_Q)
    exact = value_iteration(chain_mdp(), published.GAMMA)
    low, high = next_value_interval(q)
    curves = np.array([run.episode_returns for run in runs]) / published.STEPS
    rows: list[Row] = [
        (
            str(s),
            *(f"{value:.2f}" for value in printed[s]),
            *(_mean_and_range(q[:, s, a], 1) for a in range(2)),
            *(f"{value:.2f}" for value in exact[s]),
        )
        for s in range(len(exact))
    ]
    versions: list[Row] = [
        (
            version,
            f"{trained[0].steps:,}",
            f"{sum((run.q.argmax(axis=-1) == 0).all() for run in trained)} of {len(trained)}",
            f"{median(run.result for run in trained):,.1f}",
        )
        for version, trained in result.chain.items()
    ]
    return {
        "rows": rows,
        "versions": versions,
        "seeds": len(runs),
        "episodes": result.scale.network_episodes,
        "printed": printed.size,
        "within": int(((q.min(axis=0) <= printed) & (printed <= q.max(axis=0))).sum()),
        "predicted": int(((low <= printed) & (printed <= high)).sum()),
        "first": _mean_and_range(curves[:, :FIRST].mean(axis=1), 2),
        "last": _mean_and_range(curves[:, -LAST:].mean(axis=1), 2),
    }


def _cartpole(result: Reproduction) -> dict[str, Any]:
    rows: list[Row] = [
        (
            version,
            f"{runs[0].steps:,}",
            _median_and_range(runs, lambda run: run.episode_returns[-20:].mean(), 0),
            _median_and_range(runs, lambda run: run.result, 0),
            _median_and_range(runs, lambda run: run.q.max(), 1),
        )
        for version, runs in result.cartpole.items()
    ]
    return {"rows": rows, "seeds": _seeds(result.cartpole)}


def _grid_world(result: Reproduction) -> dict[str, Any]:
    rows: list[Row] = [
        (
            version,
            _median_and_range(runs, lambda run: run.steps, 0),
            f"{sum(run.result == networks.SHORTEST for run in runs)} of {len(runs)}",
            _median_and_range(runs, lambda run: run.q[0].max(), 3),
        )
        for version, runs in result.grid_world.items()
    ]
    return {"rows": rows, "seeds": _seeds(result.grid_world)}


def _seeds(versions: dict[str, tuple[Run, ...]]) -> int:
    return len(next(iter(versions.values())))


def _spread_where_learned(values: FloatArray, digits: int) -> str:
    """Return the spread of the values that are not 0, and their number if these are not all."""
    learned = values[values != 0]
    if not len(learned):
        return "0"
    number = "" if len(learned) == len(values) else f", {len(learned)}"
    return _spread(learned, digits) + number


def _spread(values: FloatArray, digits: int = 1) -> str:
    """Return the median and the middle 90 %."""
    low, middle, high = (f"{x:,.{digits}f}" for x in np.percentile(values, (5, 50, 95)))
    return f"{middle} ({low} to {high})"


def _mean_and_range(values: FloatArray, digits: int) -> str:
    """Return the mean, the smallest and the largest."""
    mean, low, high = (f"{x:.{digits}f}" for x in (values.mean(), values.min(), values.max()))
    return f"{mean} ({low} to {high})"


def _median_and_range(runs: Sequence[Run], measure: Callable[[Run], float], digits: int) -> str:
    """Return the median, the smallest and the largest of what is measured on each run."""
    values = sorted(float(measure(run)) for run in runs)
    texts = [_number(value, digits) for value in (median(values), values[0], values[-1])]
    return texts[0] if texts[1] == texts[2] else f"{texts[0]} ({texts[1]} to {texts[2]})"


def _number(value: float, digits: int) -> str:
    return f"{value:.2g}" if abs(value) >= 1e6 else f"{value:,.{digits}f}"
