"""The picture of performance profiles: which share of an agent's runs has more than a score."""

from __future__ import annotations

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from nchain_agents.report.pictures import COLOURS, DASHES, STYLE, Picture, add_legend, legend_label
from nchain_agents.study.comparison import Comparison
from nchain_agents.study.uncertainty import performance_profile

CAPTION = "Performance profiles: the fraction of the runs whose final score is larger."


def profiles(comparison: Comparison) -> Picture | None:
    """Draw the profile of each agent that has a score everywhere. Return None if none has."""
    scores = {
        agent.name: [results.final("score") for results in everywhere]
        for agent in comparison.study.agents
        if (everywhere := comparison.everywhere(agent.name))
    }
    if not scores:
        return None
    names = [agent.name for agent in comparison.study.agents]
    lowest = min(0.0, *(min(map(min, strata)) for strata in scores.values()))
    texts = []
    with style.context(STYLE):
        figure = Figure(layout="constrained")
        axes = figure.subplots()
        for k, (agent, strata) in enumerate(scores.items()):
            i = names.index(agent)
            levels = np.unique(np.concatenate([[lowest], *strata, [100.0]]))
            axes.plot(
                levels,
                performance_profile(strata, levels),
                drawstyle="steps-post",
                linestyle=DASHES[i % len(DASHES)],
                color=COLOURS[i % len(COLOURS)],
                label=legend_label(agent),
                linewidth=2.6 - 1.4 * k / max(1, len(scores) - 1),
                clip_on=False,
            )
            half, most = performance_profile(strata, [50, 95])
            texts.append(f"{agent}: {half:.0%} of the runs above 50, {most:.0%} above 95.")
        axes.set(xlabel="score", ylabel="fraction of runs above", ylim=(0, 1))
        axes.set_xlim(lowest, 100)
        rows = add_legend(figure, [axes], width=60)
        figure.set_size_inches(4.4, 2.7 + 0.19 * rows)
    return Picture(figure, "Performance profiles", " ".join(texts))
