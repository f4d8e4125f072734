"""The section of the page about one environment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from markupsafe import Markup

from nchain_agents.evaluation import ExactEvaluator
from nchain_agents.report import pictures, policies, scaling
from nchain_agents.report.overview import HEADER, number, remarks, return_digits
from nchain_agents.report.profiles import CAPTION
from nchain_agents.report.profiles import profiles as profile_picture
from nchain_agents.report.svg import inline
from nchain_agents.report.table import Table
from nchain_agents.report.templates import CSS_COLOURS
from nchain_agents.study.best import LEVEL, telling_seeds
from nchain_agents.study.comparison import Comparison, Results
from nchain_agents.study.environments import EnvChoice
from nchain_env import NChainEnv
from nchain_env.mdp import FloatArray
from nchain_env.planning import policy_iteration

# The largest numbers of states and actions for which values are shown state by state.
_STATES, _ACTIONS = 20, 6
_LAST = ("optimal from", "vs best")  # columns of HEADER
_SIGNS = "○□△◇▽◁▷"  # the markers of `pictures.values`


class Figure(NamedTuple):
    """A picture in the page."""

    picture: Markup
    caption: str
    more: str = ""


def of_all_runs(comparison: Comparison) -> Iterator[Figure]:
    """Return the pictures of all environments together."""
    for i, (picture, caption) in enumerate(scaling.pictures(comparison)):
        yield Figure(inline(picture, f"scaling-{i}", CSS_COLOURS), f"{picture.title}. {caption}")
    profiles = profile_picture(comparison)
    if profiles is not None:
        yield Figure(inline(profiles, "profiles", CSS_COLOURS), CAPTION)


class Section:
    """The section of the page about one environment.

    Args:
        comparison: The comparison.
        env: The environment.
        i: Its index in the study.
        overview: Its overview.
    """

    def __init__(self, comparison: Comparison, env: EnvChoice, i: int, overview: Table) -> None:
        self._comparison, self._env = comparison, env
        self.id, self.label = f"env-{i}", env.label
        self.about: dict[str, Any] = comparison.summary["envs"][i]
        self._overview = overview
        self._entries = [entry for entry in comparison.of_env(env) if entry.runs]
        # A recurrent agent has no policy that depends on the state alone.
        self._acting = [
            entry for entry in self._entries if all(run.policy is not None for run in entry.runs)
        ]

    @property
    def table(self) -> Table:
        """The figures of each agent, without times."""
        expected = [about["expected_regret"]["iqm"] for about in self.about["agents"].values()]
        regret = "realised regret" if None in expected else "expected regret"  # of all agents
        header = (*HEADER[:4], "reward/step", regret, "|Q - Q*|", *_LAST)
        rows = []
        for row, about in zip(self._overview.rows, self.about["agents"].values(), strict=True):
            shown = dict(zip(HEADER, row, strict=True))
            q_error = about["q_error"]["iqm"]
            shown["reward/step"] = number(about["reward_per_step"]["iqm"], ".3f")
            shown[regret] = number(about[regret.replace(" ", "_")]["iqm"], ",.0f")
            shown["|Q - Q*|"] = "-" if q_error is None else pictures.rounded(q_error)
            rows.append([shown[name] for name in header])
        caption = f"Figures of each agent in {self.label}"
        return Table(caption, header, rows, self._overview.references)

    @property
    def remarks(self) -> list[str]:
        """Remarks on the environment, as sentences."""
        sentences = remarks(self._comparison, self._env)
        return [f"{remark[0].upper()}{remark[1:]}." for remark in sentences]

    @property
    def headline(self) -> list[str]:
        """The result of the comparison in a few sentences."""
        best, agents = self.about["best"], self.about["agents"]
        if best is None:
            return ["No run in this environment finished."]
        returns = {name: about["return"]["iqm"] for name, about in agents.items()}
        most, optimal = returns[best["agent"]], self.about["optimal_return"]
        score = agents[best["agent"]]["score"]["iqm"]
        first = [name for name, mean in returns.items() if math.isclose(mean, most)]
        digits = return_digits(self.about)
        has = "has" if len(first) == 1 else "have"
        result = f"{_enumerated(first)} {has} the largest return: {most:{digits}}"
        if optimal is not None:
            goal = "optimal" if self.about["exact"] else "solved from"
            result += f" ({goal}: {optimal:{digits}})"
        if score is not None:
            result += f", a score of {score:.2f}"
        sentences = [f"{result}."]
        others = {name: than for name, than in best["than"].items() if name not in first}
        worse = [name for name, than in others.items() if than["separated"]]
        few = [name for name, than in others.items() if than["too_few_seeds"]]
        unclear = [name for name in others if name not in worse and name not in few]
        if worse:
            sentences.append(
                f"Significantly smaller returns (adjusted p < {LEVEL:g}): {_enumerated(worse)}."
            )
        if unclear:
            sentences.append(
                f"Not separated from {best['agent']} by these seeds: {_enumerated(unclear)}."
            )
        if few:
            needed = telling_seeds(len(agents))
            more = f"; {len(agents)} agents need {needed}" if needed else ""
            sentences.append(
                f"Too few seeds to separate {best['agent']} from {_enumerated(few)}{more}."
            )
        return sentences

    @property
    def failed(self) -> int:
        """The number of runs that failed in this environment."""
        return sum(failure["env"] == self.label for failure in self._comparison.failures)

    @property
    def curves(self) -> Iterator[Figure]:
        """The measures over the steps, a picture each."""
        best = "the optimal policy" if self.exact else "a policy that solves it"
        bands = "Lines: interquartile mean of the seeds. Bands: smallest to largest."
        measures = [
            (pictures.RETURN, bands),
            (pictures.EXPECTED_REGRET, f"What the policies followed lose against {best}. {bands}"),
            (pictures.GAIN_REGRET, f"Against the best long-run reward per step. {bands}"),
            (pictures.REALISED_REGRET, f"The additional return that {best} would have had."),
        ]
        if self.exact and not self._state_by_state:
            measures.append((pictures.Q_ERROR, bands))
        for measure, caption in measures:
            picture = pictures.curves(self._comparison, self._env, measure)
            if picture is not None:
                name = f"{self.id}-{measure.name.replace('_', '-')}"
                yield Figure(inline(picture, name, CSS_COLOURS), f"{measure.title}. {caption}")
        if len(self._comparison.study.envs) == 1:
            yield from of_all_runs(self._comparison)

    @property
    def values(self) -> Iterator[Figure]:
        """Q and Q*, a picture for each agent that has action values."""
        if not self._state_by_state:
            return
        for i, entry in enumerate(self._entries):
            gamma = _gamma_of_values(entry)
            if gamma is None:
                continue
            picture = pictures.values(entry, self._optimal[gamma], self.actions)
            error = self.about["agents"][entry.agent]["q_error"]["iqm"]
            more = f"gamma = {gamma:g}, largest error {pictures.rounded(error)}"
            yield Figure(inline(picture, f"{self.id}-q-{i}", CSS_COLOURS), entry.agent, more)

    @property
    def crowded(self) -> bool:
        """Whether the pictures of values must be wide."""
        return any(map(pictures.crowded, self._optimal.values()))

    @property
    def without_values(self) -> str:
        """The agents without action values, as text."""
        return _enumerated([one.agent for one in self._entries if _gamma_of_values(one) is None])

    @property
    def signs(self) -> list[tuple[int, str, str]]:
        """The colour, the marker and the name of each action in the pictures of values."""
        return [(a, _SIGNS[a % len(_SIGNS)], name) for a, name in enumerate(self.actions)]

    @property
    def policy_rows(self) -> list[policies.Row]:
        """The policy of each agent in each state, if there are few enough states."""
        if self._mdp is None or self._mdp.num_states > policies.SHOWN_STATES:
            return []
        show = policies.arrows if self.is_chain else policies.agreement
        return show(self._acting, self._optimal) if self._acting else []

    @property
    def counted(self) -> Table | None:
        """The number of states in which each agent acts optimally, if there are many states."""
        if self._mdp is None or self._mdp.num_states <= policies.SHOWN_STATES:
            return None
        rows = policies.counted(self._acting, self._optimal)
        return Table(f"Policies in {self.label}", ("agent", "states", "share"), rows)

    @property
    def exact(self) -> bool:
        """Whether returns are computed exactly, from a model."""
        return self._mdp is not None

    @property
    def checked(self) -> bool:
        """Whether the model was checked by stepping the environment."""
        evaluator = self._comparison.evaluators[self.label]
        return isinstance(evaluator, ExactEvaluator) and evaluator.checked > 0

    @cached_property
    def is_chain(self) -> bool:
        """Whether the environment is a chain, whose policies are shown as arrows."""
        return isinstance(self._env.make().unwrapped, NChainEnv)

    @cached_property
    def actions(self) -> list[str]:
        """The names of the actions."""
        assert self._mdp is not None
        names = getattr(self._env.make().unwrapped, "action_names", ())
        return list(names) or [f"action {a}" for a in range(self._mdp.num_actions)]

    @property
    def _mdp(self) -> Any:
        evaluator = self._comparison.evaluators[self.label]
        return evaluator.mdp if isinstance(evaluator, ExactEvaluator) else None

    @property
    def _state_by_state(self) -> bool:
        mdp = self._mdp
        return mdp is not None and mdp.num_states <= _STATES and mdp.num_actions <= _ACTIONS

    @cached_property
    def _optimal(self) -> dict[float, FloatArray]:
        """Q* for each discount factor of the agents."""
        gammas = [entry.runs[0].gamma for entry in self._entries]
        return {
            gamma: policy_iteration(self._mdp, gamma)[1]
            for gamma in sorted({gamma for gamma in gammas if gamma is not None})
        }


def _gamma_of_values(results: Results) -> float | None:
    """Return the discount factor of an agent's values, or None if it has no values."""
    return results.runs[0].gamma if all(run.q is not None for run in results.runs) else None


def _enumerated(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
