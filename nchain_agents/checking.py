"""`check_agent`: what is wrong with an agent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from nchain_agents.check.behaviour import NO_EXPLORATION, behaviour
from nchain_agents.check.choices import agreement, agreements
from nchain_agents.check.explanations import ANOTHER_GAMMA
from nchain_agents.check.finding import Finding
from nchain_agents.check.judge import SMALL, judge
from nchain_agents.check.lesson import Lesson, Vector, learn
from nchain_agents.check.problems import CHOICES, CONTINUING, ENDING, Problem
from nchain_agents.check.values import Explainer
from nchain_agents.check.verdict import of_choices, of_values
from nchain_agents.keras_backend import keras_backend
from nchain_agents.presets import Preset, problem
from nchain_agents.presets.custom import AgentLike, agents_of, check_complete
from nchain_agents.progress import progress, wanted
from nchain_agents.quiet import import_quietly
from nchain_agents.report.reports import CheckReport
from nchain_agents.study.failure import Failure
from nchain_agents.study.pool import Pool
from nchain_env.checks import instance, integer, one_of, real, whole_steps

# An agent learns for this part of the steps first; that is enough where nothing is wrong.
_FIRST = 4
# The problems whose values are looked at.
_WITH_VALUES = (ENDING, CONTINUING)
# The discount factor of an agent that does not say its own.
_GAMMA = 0.95
# The steps of each test of behaviour.
_BEHAVIOUR_STEPS = 1_000
FAILED = "does not learn"

Make = Callable[[Any, int], Any]
_Results = tuple[list[Lesson], list[Finding]]


def check_agent(
    make: Make | AgentLike,
    *,
    gamma: float | None = None,
    steps: float = 20_000,
    seeds: int = 3,
    q_values: Callable[[Any, Any], Any] | None = None,
    num_envs: int | None = None,
    autoreset_mode: str = "NextStep",
    out: Path | str | None = None,
    jobs: int = 0,
    time_limit: float | None = 600.0,
    progress_bar: bool | None = None,
) -> CheckReport:
    """Find out what is wrong with an agent.

    It learns in small problems in which each usual mistake leads to other values and choices. The
    transitions are recorded. If its values are not those of the correct update on these, the report
    names the mistake that explains them.

    Args:
        make: A function of an environment and a seed that returns the agent, which must have
            stable-baselines3's `learn` and `predict`; or its class, a pair (class, {parameters}), a
            `Preset`, the name of one, or `module:Class`.
        gamma: The discount factor that the agent is to have; None: its attribute `gamma`.
        steps: The largest number of steps for which it learns in each problem, at least 2,000. It
            learns for a quarter of them first, which is enough where nothing is wrong.
        seeds: How many seeds it learns with, at least 1.
        q_values: A function of the agent and of observations, (N,), that returns its action values,
            (N, A); None: its method `q_values`, or the networks of stable-baselines3's DQN and
            QR-DQN. An agent without values is judged by its choices.
        num_envs: `make` gets a Gymnasium vector environment of so many environments; None: a
            single environment.
        autoreset_mode: How the vector environment resets: "NextStep", "SameStep" or "Disabled".
        out: The folder that gets `check.json` and `check.html`; None writes nothing.
        jobs: How many agents learn at a time; 0: as many as there are cores.
        time_limit: An agent that takes longer for a problem, in seconds, is stopped; None: none is.
        progress_bar: Show the progress, and a line for each problem. None: in a terminal and in a
            notebook.

    Returns:
        The report: `ok`, `findings`, and the verdict in words by `str`. `assert_ok()` raises an
        AssertionError where a mistake was found.

    Raises:
        ValueError: A parameter is not allowed.
        OSError: A file cannot be written.
    """
    name, made, requires = _maker(make)
    if gamma is not None:
        gamma = real("gamma", gamma, 0, 1)
    most = integer("steps", whole_steps("steps", steps), 2_000)
    seeds = integer("seeds", seeds, 1)
    if q_values is not None and not callable(q_values):
        raise ValueError(f"q_values must be a function of agent and observations, got {q_values!r}")
    vector = None
    if num_envs is not None:
        one_of("autoreset_mode", autoreset_mode, ("NextStep", "SameStep", "Disabled"))
        vector = Vector(integer("num_envs", num_envs, 1), autoreset_mode)
    folder = None if out is None else Path(instance("out", out, (str, PathLike), "a path or None"))
    backend = keras_backend() if "keras" in requires else None
    pool = Pool(jobs, time_limit, environment={} if backend is None else {"KERAS_BACKEND": backend})
    with _progress(wanted(progress_bar)) as show:
        lessons = partial(_lessons, made, seeds, q_values, vector, pool, show)
        # a single environment shows how an agent behaves
        tests = None if vector else partial(behaviour, made, 0, _BEHAVIOUR_STEPS)
        report = _checked(CheckReport(name, seeds, most // _FIRST), tests, lessons, gamma, most)
    if folder is not None:
        from nchain_agents.report import check_page

        check_page.write(folder, report)
    return report


def _maker(make: Any) -> tuple[str, Make, tuple[str, ...]]:
    """Return the name of an agent, the function that makes it, and the modules that it needs."""
    if not isinstance(make, str | type | Preset | tuple):
        if not callable(make):
            raise ValueError(
                "make must be a function of an environment and a seed, a class, a Preset, or the "
                f"name of one, got {make!r}"
            )
        named = make.func if isinstance(make, partial) else make
        return getattr(named, "__name__", type(named).__name__), make, ()
    preset, *others = agents_of(make, problem("nchain").presets)
    if others:
        raise ValueError(f"make must be one agent, got {1 + len(others)} in {make}")
    check_complete(preset)
    return preset.name, partial(_made, preset), preset.requires


def _made(preset: Preset, env: Any, seed: int) -> Any:
    import_quietly(preset.requires)
    return preset.make(env, seed)


def _checked(
    report: CheckReport,
    tests: Callable[[], list[Finding]] | None,
    learned: Callable[..., _Results],
    gamma: float | None,
    most: int,
) -> CheckReport:
    """Let an agent learn for fewer steps, and for all where something may be wrong."""
    lessons, found = learned(_WITH_VALUES, report.steps, gamma, tests)
    report = replace(report, findings=_ordered(found), lessons=tuple(lessons))
    if _has_failed(found):
        return report
    gamma, on_policy = _gamma(lessons, gamma), lessons[0].on_policy
    report = replace(report, gamma=gamma)
    valued = all(lesson.values is not None for lesson in lessons)
    if valued:
        explainer = Explainer(lessons, gamma, on_policy)
        if explainer.complete and explainer.fit().distance <= SMALL:
            return replace(report, judgement=judge(lessons, gamma, on_policy))

    problems = _WITH_VALUES if valued else (*_WITH_VALUES, *CHOICES)
    lessons, more = learned(problems, most, gamma)
    found = [*more, *found]
    report = replace(report, steps=most, lessons=tuple(lessons), findings=_ordered(found))
    if _has_failed(more) or any(lesson.actions is None for lesson in lessons):
        return report
    if valued:
        judgement = judge(lessons, gamma, on_policy)
        findings = _ordered([*of_values(judgement, most), *found])
        return replace(report, findings=findings, judgement=judgement)
    agree = tuple(agreements(lessons, gamma))
    # what an agent never tried says nothing about its update
    explored = all(finding.name != NO_EXPLORATION for finding in found)
    more = of_choices(agree) if explored else []
    return replace(report, findings=_ordered([*more, *found]), agreements=agree)


def _has_failed(findings: Sequence[Finding]) -> bool:
    return any(finding.name == FAILED for finding in findings)


def _gamma(lessons: Sequence[Lesson], given: float | None) -> float:
    """Return the discount factor of an agent: given, its own, or the one that its values have."""
    if given is not None:
        return given
    if lessons[0].gamma is not None:
        return lessons[0].gamma
    if all(lesson.values is not None for lesson in lessons):
        fit = Explainer(lessons, _GAMMA, lessons[0].on_policy).fit(ANOTHER_GAMMA)
        if fit.distance <= SMALL:
            return float(fit.parameters[0])
    return _GAMMA


def _lessons(
    make: Make,
    seeds: int,
    q_values: Callable[[Any, Any], Any] | None,
    vector: Vector | None,
    pool: Pool,
    show: _Progress,
    problems: Sequence[Problem],
    steps: int,
    gamma: float | None = None,
    tests: Callable[[], list[Finding]] | None = None,
) -> _Results:
    """Let agents learn in problems, one for each seed; return what they learned, and failures."""
    tasks = [(one, seed) for one in problems for seed in range(seeds)]
    calls: list[Callable[[], Any]] = [] if tests is None else [tests]
    first = len(calls)
    calls += [partial(learn, make, one, seed, steps, q_values, vector) for one, seed in tasks]
    lessons: dict[int, Lesson] = {}
    found: list[Finding] = []
    testing = tests is not None
    show.begin(len(calls))
    with closing(pool.map_unordered(calls)) as results:
        for i, result in results:
            show.advance()
            if i < first:
                testing = False
            if isinstance(result, Failure):
                where = "its behaviour is tested" if i < first else _where(*tasks[i - first])
                says = f"It stops where {where}: {result.reason}."
                found.append(Finding(FAILED, says, traceback=result.traceback))
            elif isinstance(result, Lesson):
                lessons[i] = result
                here = [one for one in lessons.values() if one.problem == result.problem]
                if len(here) == seeds:
                    show.say(_told(here, steps, gamma))
            else:
                found += result
            if _has_failed(found) and not testing:
                break  # the others would fail alike, or take as long
    return [lessons[i] for i in sorted(lessons)], found


def _where(problem: Problem, seed: int) -> str:
    return f"it learns the problem {problem.name!r} with seed {seed}"


def _ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings, the first one of each name, mistakes before remarks."""
    first = {finding.name: finding for finding in reversed(findings)}
    unique = (finding for finding in findings if first[finding.name] is finding)
    return tuple(sorted(unique, key=lambda finding: not finding.mistake))


def _told(lessons: Sequence[Lesson], steps: int, gamma: float | None) -> str:
    """Return a line about the agents that learned in one problem."""
    problem = lessons[0].problem.name
    begun = f"{problem}, {steps:,} steps: "
    gamma = _gamma(lessons, gamma)
    if all(lesson.values is not None for lesson in lessons):
        distance = Explainer(lessons, gamma, lessons[0].on_policy).fit().distance
        return f"{begun}values {distance:.1%} from the correct targets"
    if all(lesson.actions is not None for lesson in lessons):
        correct = agreement(lessons, gamma)
        agreed = correct.compared - correct.contradicted
        return f"{begun}choices right in {agreed} of {correct.compared} states"
    return f"{begun}learned"


class _Progress:
    """Shows how many agents have learned, and lines about them."""

    def __init__(self, bar: Any = None) -> None:
        self._bar = bar
        self._task = None if bar is None else bar.add_task("checking", total=None)

    def begin(self, total: int) -> None:
        """Begin a number of calls."""
        if self._bar is not None:
            self._bar.reset(self._task, total=total)

    def advance(self) -> None:
        """Count a call that is done."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def say(self, line: str) -> None:
        """Print a line."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _progress(shown: bool) -> Iterator[_Progress]:
    if not shown:
        yield _Progress()
        return
    with progress() as bar:
        yield _Progress(bar)
