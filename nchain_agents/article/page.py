"""The page of the reproduction: its numbers as JSON, its text as Markdown."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nchain_agents.article import networks, published
from nchain_agents.article.chance import binomial_interval, next_value_interval, same_source
from nchain_agents.article.facts import FIRST, LAST, facts
from nchain_agents.article.networks import Training
from nchain_agents.article.run import Reproduction
from nchain_agents.article.tables import Tournament, exact_table
from nchain_agents.report.markdown import markdown_page


def as_data(result: Reproduction) -> dict[str, Any]:
    """Return all numbers as JSON-ready data; nothing in it depends on clocks."""
    played = result.tournaments["as written"]
    data: dict[str, Any] = {
        "source": published.SOURCE,
        "seed": result.seed,
        "backend": result.backend,
        "tables": {
            name: {
                "article": published.TABLES[name],
                "exact": exact_table(name).tolist(),
                "by_round": played.q[:, i].tolist(),
            }
            for i, name in enumerate(played.names)
        },
        "article_wins": published.WINS,
        "tournaments": {
            version: _tournament(tournament) for version, tournament in result.tournaments.items()
        },
        "time_limit": {name: array.tolist() for name, array in vars(result.truncation).items()},
    }
    if result.backend is not None:
        q = np.array([run.q for run in result.chain["as written"]])
        low, high = next_value_interval(q)
        data["network"] = {
            "article": published.NETWORK_Q,
            "next_value_interval": {"low": low.tolist(), "high": high.tolist()},
            "runs": _runs(result.chain),
        }
        data["cartpole"] = _runs(result.cartpole)
        data["grid_world"] = _runs(result.grid_world)
        for runs in data["grid_world"].values():
            for run in runs:
                del run["episode_returns"]  # thousands of zeros and ones
    return data


def _tournament(played: Tournament) -> dict[str, Any]:
    rounds = len(played.q)
    return {
        "learners": played.names,
        "rounds": rounds,
        "wins": played.wins,
        "interval": [binomial_interval(wins, rounds) for wins in played.wins],
        "p_value_beside_article": same_source(played.wins, published.WINS),
        "mean_return": played.returns.mean(axis=0).tolist(),
        "optimal_policies": played.forward,
    }


def _runs(versions: dict[str, tuple[Training, ...]]) -> dict[str, Any]:
    return {
        version: [
            {
                "steps": run.steps,
                # JSON has no infinity: a goal that is never reached
                "result": run.result if math.isfinite(run.result) else None,
                "q": run.q.tolist(),
                "episode_returns": run.episode_returns.tolist(),
            }
            for run in runs
        ]
        for version, runs in versions.items()
    }


def as_markdown(result: Reproduction, command: str) -> str:
    """Return the page as Markdown, with links to pictures beside it."""
    return markdown_page(
        __package__,
        "page.md.j2",
        command=command,
        backend=result.backend,
        whole=result.scale.whole,
        published=published,
        FIRST=FIRST,
        LAST=LAST,
        GAMES=networks.GAMES,
        SHORTEST=networks.SHORTEST,
        **facts(result),
    )
