"""The numbers that the page of the reproduction shows, as text where they stand in its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

import numpy as np

from nchain_agents.article import networks, published
from nchain_agents.article.chance import binomial_interval, next_value_interval, same_source
from nchain_agents.article.networks import Training
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
        "truncation": _truncation(result),
    }
    if result.backend is not None:
        found["network"] = _network(result)
        found["cartpole"] = _by_version(
            result.cartpole,
            lambda runs: f"{runs[0].steps:,}",
            lambda runs: _range((run.episode_returns[-20:].mean() for run in runs), 0),
            lambda runs: _range((run.result for run in runs), 0),
            lambda runs: _range((run.q.max() for run in runs), 1),
        )
        found["grid_world"] = _by_version(
            result.grid_world,
            lambda runs: _range((run.steps for run in runs), 0),
            lambda runs: _count(run.result == networks.SHORTEST for run in runs),
            lambda runs: _range((run.q[0].max() for run in runs), 3),
        )
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
                *_numbers(row, digits),
                *(_spread_where_learned(q[:, s, a], min(digits, 1)) for a in range(2)),
                *_numbers(exact[s], digits),
            )
            for s, row in enumerate(printed)
        ]
        for s, a in np.argwhere(printed):
            learned = q[:, s, a][q[:, s, a] != 0]
            if len(learned):
                printed_values += 1
                inside += bool(learned.min() <= printed[s][a] <= learned.max())
    rounds = len(tournament.q)
    return {"rows": tables, "inside": inside, "printed": printed_values, "rounds": rounds}


def _tournament(result: Reproduction) -> dict[str, Any]:
    tournament = result.tournaments["as written"]
    rounds, wins = len(tournament.q), tournament.wins
    rows: list[Row] = []
    for i, name in enumerate(tournament.names):
        low, high = (100 * limit for limit in binomial_interval(wins[i], rounds))
        counts = str(published.WINS[i]), str(wins[i])
        expected_return = f"{tournament.returns[:, i].mean():,.0f}"
        optimal = str(tournament.forward[i])
        rows.append((name, *counts, f"{low:.0f} to {high:.0f} %", expected_return, optimal))
    return {
        "rows": rows,
        "rounds": rounds,
        "wins": list(wins),
        "p_value": same_source(wins, published.WINS),
        "optimal_return": optimal_return(chain_mdp(), published.STEPS),
    }


def _corrected(result: Reproduction) -> dict[str, Any]:
    exact = value_iteration(chain_mdp(), published.GAMMA)
    rows: list[Row] = []
    values: dict[str, list[Row]] = {}
    for version, tournament in result.tournaments.items():
        wins = ", ".join(map(str, tournament.wins))
        optimal = f"{tournament.forward[2]} of {len(tournament.q)}"
        rows.append((version, wins, optimal, f"{tournament.returns[:, 2].mean():,.0f}"))
        if version != "as written":
            spread = [[_spread(q) for q in state] for state in tournament.q[:, 2].T.swapaxes(0, 1)]
            values[version] = [
                (str(s), *spread[s], *_numbers(exact[s], 2)) for s in range(len(exact))
            ]
    return {"rows": rows, "values": values}


def _truncation(result: Reproduction) -> dict[str, Any]:
    limit = result.truncation
    lost = (limit.terminated - limit.bootstrapped).mean(axis=0)
    exact = limit.exact_terminated - limit.exact_bootstrapped
    columns = np.concatenate([limit.exact_bootstrapped, lost, exact], axis=1)
    return {"rows": [(str(s), *_numbers(row, 2)) for s, row in enumerate(columns)]}


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
            *_numbers(printed[s], 2),
            *(_mean_and_range(q[:, s, a], 1) for a in range(2)),
            *_numbers(exact[s], 2),
        )
        for s in range(len(exact))
    ]
    versions = _by_version(
        result.chain,
        lambda runs: f"{runs[0].steps:,}",
        lambda runs: _count((run.q.argmax(axis=-1) == 0).all() for run in runs),
        lambda runs: f"{median(run.result for run in runs):,.1f}",
    )
    return {
        "rows": rows,
        "versions": versions["rows"],
        "seeds": len(runs),
        "episodes": result.scale.network_episodes,
        "printed": printed.size,
        "within": int(((q.min(axis=0) <= printed) & (printed <= q.max(axis=0))).sum()),
        "predicted": int(((low <= printed) & (printed <= high)).sum()),
        "first": _mean_and_range(curves[:, :FIRST].mean(axis=1), 2),
        "last": _mean_and_range(curves[:, -LAST:].mean(axis=1), 2),
    }


def _by_version(
    versions: dict[str, tuple[Training, ...]], *columns: Callable[[Sequence[Training]], str]
) -> dict[str, Any]:
    """Return a row for each version, with what each column says of its runs."""
    rows = [(version, *(say(runs) for say in columns)) for version, runs in versions.items()]
    return {"rows": rows, "seeds": len(next(iter(versions.values())))}


def _numbers(values: Iterable[float], digits: int) -> Row:
    return tuple(f"{value:,.{digits}f}" for value in values)


def _count(true: Iterable[Any]) -> str:
    each = [bool(one) for one in true]
    return f"{sum(each)} of {len(each)}"


def _spread_where_learned(values: FloatArray, digits: int) -> str:
    """Return the spread of the values that are not 0, and their number if these are not all."""
    learned = values[values != 0]
    if not len(learned):
        return "0"
    number = "" if len(learned) == len(values) else f", {len(learned)}"
    return _spread(learned, digits) + number


def _spread(values: FloatArray, digits: int = 1) -> str:
    """Return the median and the middle 90 %."""
    low, middle, high = _numbers(np.percentile(values, (5, 50, 95)), digits)
    return f"{middle} ({low} to {high})"


def _mean_and_range(values: FloatArray, digits: int) -> str:
    """Return the mean, the smallest and the largest."""
    mean, low, high = _numbers((values.mean(), values.min(), values.max()), digits)
    return f"{mean} ({low} to {high})"


def _range(values: Iterable[float], digits: int) -> str:
    """Return the median, and the smallest and the largest where they differ."""
    known = sorted(float(value) for value in values)
    middle, low, high = (
        f"{value:.2g}" if abs(value) >= 1e6 else f"{value:,.{digits}f}"
        for value in (median(known), known[0], known[-1])
    )
    return middle if low == high else f"{middle} ({low} to {high})"
