"""The verdict on an agent, in words and as data."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from nchain_agents.check.choices import Agreement
from nchain_agents.check.explanations import Explanation
from nchain_agents.check.finding import Finding
from nchain_agents.check.judge import SMALL, Judgement
from nchain_agents.check.lesson import Lesson
from nchain_agents.check.values import Fit
from nchain_agents.report.table import Table

UNEXPLAINED = "none of the explanations"
MOVING = "not converged yet"


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Args:
        agent: The name of the agent.
        seeds: How many seeds it learned with in each problem.
        steps: How many steps it learned for in each problem and seed, at last.
        gamma: The discount factor that its values were held against; None where nothing was.
        findings: What was found, mistakes before remarks.
        judgement: What its values say, where it has any.
        agreements: How the explanations agree with its choices, where it has no values.
        lessons: What it did and learned, at last.
    """

    agent: str
    seeds: int
    steps: int
    gamma: float | None = None
    findings: tuple[Finding, ...] = ()
    judgement: Judgement | None = None
    agreements: tuple[Agreement, ...] = ()
    lessons: tuple[Lesson, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no mistake was found."""
        return not any(finding.mistake for finding in self.findings)

    def assert_ok(self) -> None:
        """Raise an AssertionError that says what is wrong, unless nothing is."""
        if not self.ok:
            raise AssertionError(str(self))

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        mistakes = [finding.name for finding in self.findings if finding.mistake]
        if not mistakes:
            return f"{self.agent}: no mistake found"
        return f"{self.agent}: {', '.join(dict.fromkeys(mistakes))}"

    @property
    def evidence(self) -> str:
        """What the verdict rests on, in a sentence; empty where the agent learned nothing."""
        problems = len({lesson.problem.name for lesson in self.lessons})
        learned = (
            f"{self.seeds} {'seed' if self.seeds == 1 else 'seeds'}, {self.steps:,} steps in each "
            f"of {problems} problems"
        )
        if self.judgement is not None:
            distance = self.judgement.correct.distance
            update = "on-policy update" if self.lessons[0].on_policy else "update"
            return (
                f"Its values are {distance:.1%} from the targets of the correct {update} with "
                f"gamma {self.gamma:.3g}; up to {SMALL:.0%} is agreement ({learned})."
            )
        if self.agreements:
            correct = self.agreements[0]
            right = correct.contradicted == 0
            same = [one.name for one in self.agreements[1:] if right and one.contradicted == 0]
            return (
                f"Its choices are worse than those of the correct update in {correct.contradicted} "
                f"of {correct.compared} states ({learned}). Choices say less than values, and may "
                "mislead: a method q_values(observations), or q_values=, gives a firmer verdict. "
                + (f"They also agree with: {', '.join(same)}." if same else "")
            ).strip()
        return ""

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int = 79) -> str:
        """Return the verdict as text in lines of at most so many characters."""
        wrapped = partial(textwrap.fill, width=width, break_on_hyphens=False)
        lines = [self.headline, *([wrapped(self.evidence)] if self.evidence else [])]
        for one in self.findings:
            said = f"- {one.name}{'' if one.mistake else ' (a remark)'}: {one.says}"
            lines.append(wrapped(said, subsequent_indent="  "))
            if one.look_for:
                said = f"In the code, look for {one.look_for}."
                lines.append(wrapped(said, initial_indent="  ", subsequent_indent="  "))
        return "\n".join(lines)

    @property
    def judged(self) -> bool:
        """Whether values or choices were judged."""
        return self.judgement is not None or bool(self.agreements)

    def table(self) -> Table:
        """Return the table of the explanations, nearest first."""
        if self.judgement is not None:
            fits = sorted(_fits(self.judgement), key=lambda fit: fit.distance)
            rows = [(fit.name, _parameters(fit), f"{fit.distance:.1%}") for fit in fits]
            return Table(
                "Explanations of the values",
                ("explanation", "fitted", "distance"),
                rows,
                note="Distance: the root mean square of Q minus the explanation's mean targets,"
                " relative to the size of values and rewards; the largest over the problems.",
            )
        agreed = sorted(self.agreements, key=lambda one: one.contradicted)
        return Table(
            "Explanations of the choices",
            ("explanation", "fitted", "disagrees in"),
            [
                (one.name, _shown(one.parameter), f"{one.contradicted} of {one.compared} states")
                for one in agreed
            ],
            note="An explanation disagrees where the agent's action is worse by its values.",
        )

    def markdown(self) -> str:
        """Return the verdict and the table of explanations as Markdown."""
        lines = [f"## {self.headline}", "", self.evidence, ""]
        for finding in self.findings:
            lines += [
                f"**{finding.name}**{'' if finding.mistake else ' (a remark)'}: {finding.says}"
            ]
            lines += [f"In the code, look for {finding.look_for}."] if finding.look_for else []
            lines.append("")
        return "\n".join([*lines, self.table().markdown() if self.judged else ""]).rstrip() + "\n"

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "agent": self.agent,
            "ok": self.ok,
            "seeds": self.seeds,
            "steps": self.steps,
            "gamma": self.gamma,
            "evidence": self.evidence,
            "findings": [asdict(finding) for finding in self.findings],
            "explanations": [*map(_fit_data, _fits(self.judgement))]
            or [
                {
                    "name": one.name,
                    "parameter": _plain(one.parameter),
                    "contradicted": one.contradicted,
                    "compared": one.compared,
                }
                for one in self.agreements
            ],
        }


def _fits(judgement: Judgement | None) -> Sequence[Fit]:
    if judgement is None:
        return ()
    return (judgement.correct, *judgement.named, *judgement.others)


def _fit_data(fit: Fit) -> dict[str, Any]:
    return {
        "name": fit.name,
        "parameters": [_plain(parameter) for parameter in fit.parameters],
        "distance": fit.distance,
        "noise": fit.noise,
    }


def _parameters(fit: Fit) -> str:
    return ", ".join(_shown(value) for value in fit.parameters if value is not None)


def _shown(parameter: Any) -> str:
    if parameter is None:
        return ""
    return f"{parameter:.3g}" if isinstance(parameter, float) else str(parameter)


def _plain(parameter: Any) -> Any:
    """Return a parameter as JSON has it."""
    return list(parameter) if isinstance(parameter, tuple) else parameter


def of_values(judgement: Judgement, steps: int) -> list[Finding]:
    """Return what values say as findings."""
    correct = judgement.correct.distance
    if judgement.kind == "correct":
        return []
    if judgement.kind == "explained":
        nearest = judgement.named[0].distance
        rest = [fit for fit in judgement.others if fit.distance >= nearest]
        beside = (
            f"; the next explanation, {rest[0].name}, is {rest[0].distance:.1%}" if rest else ""
        )
        figures = (
            f"Its values are {nearest:.1%} from the targets of this, and {correct:.1%} from the "
            f"correct ones{beside}."
        )
        if len(judgement.named) > 1:
            names = " or ".join(fit.name for fit in judgement.named)
            figures = f"These are not told apart here: {names}. {figures}"
        return [
            _of_explanations(fit.explanations, fit.parameters, figures) for fit in judgement.named
        ]
    if judgement.kind == "moving":
        more = judgement.more_steps(steps)
        after = (
            f"They come nearer, and may be there after about {more:.2g} more steps."
            if more
            else "They do not come nearer: they may grow without end, as sums do."
        )
        says = (
            f"The values still moved by {judgement.drift:.1%} in the last quarter of {steps:,} "
            f"steps, and are {correct:.1%} from the correct targets. {after}"
        )
        return [Finding(MOVING, says, "a learning rate that is too small or too large")]
    says = (
        f"The values are at rest, {correct:.1%} from the correct targets, and no explanation is "
        f"near; the nearest is {judgement.others[0].name}, {judgement.others[0].distance:.1%}."
        if judgement.others
        else f"The values are at rest, {correct:.1%} from the correct targets."
    )
    return [Finding(UNEXPLAINED, says, "a mistake that is not on the list")]


def _of_explanations(
    explanations: Sequence[Explanation], parameters: Sequence[Any], figures: str
) -> Finding:
    says = " ".join(
        one.says.format(**{one.parameter: value}) if one.parameter else one.says
        for one, value in zip(explanations, parameters, strict=True)
    )
    return Finding(
        " and ".join(one.name for one in explanations),
        f"{says} {figures}",
        "; and for ".join(one.look_for for one in explanations),
        "; ".join(one.source for one in explanations),
    )


def of_choices(agreements: Sequence[Agreement]) -> list[Finding]:
    """Return what choices say as findings; the agreement of the correct update comes first."""
    correct, *others = agreements
    if correct.contradicted == 0:
        return []
    agree = [one for one in others if one.contradicted == 0]
    if not agree:
        nearest = min(others, key=lambda one: one.contradicted)
        says = (
            f"Its action is worse than the best one in {correct.contradicted} of "
            f"{correct.compared} states, and no explanation agrees with all of its choices; "
            f"{nearest.name} disagrees in {nearest.contradicted}."
        )
        return [Finding(UNEXPLAINED, says, "too few steps, or a mistake that is not on the list")]
    figures = (
        f"Its choices agree with this in all of {correct.compared} states, and with the correct "
        f"update in {correct.compared - correct.contradicted}."
    )
    return [
        _of_explanations([one.explanation], [one.parameter], figures)
        for one in agree
        if one.explanation is not None
    ]
