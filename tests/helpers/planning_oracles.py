"""What the exact answers are tested against, and the processes that they are tested on.

Closed forms of the chain, rational arithmetic, SciPy, and enumeration of all that can happen in an
episode.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st

from nchain_env import TabularMDP

Array = npt.NDArray[np.float64]
Rows = list[list[Fraction]]

GAMMAS = st.sampled_from([0.0, 1e-9, 0.3, 0.5, 0.9, 0.95, 0.99])
HAS_LONG_DOUBLES = np.finfo(np.longdouble).eps < np.finfo(np.float64).eps
needs_long_doubles = pytest.mark.skipif(
    not HAS_LONG_DOUBLES, reason="this machine has no numbers finer than doubles"
)


# --- processes ------------------------------------------------------------------------------------


def random_mdp(
    seed: int, states: int, actions: int, outcomes: int, ending: float = 0.0, classes: int = 1
) -> TabularMDP:
    """A process that ends with some outcomes, and mostly stays among every `classes`-th state."""
    rng = np.random.default_rng(seed)
    shape = (states, actions, outcomes)
    next_state = rng.integers(states, size=shape)
    own = np.arange(states)[:, None, None] % classes
    inside = own + classes * (rng.integers(states, size=shape) // classes)
    stays = (rng.random((states, 1, 1)) < 0.8) & (inside < states)
    probability = rng.random(shape) ** 3 * (rng.random(shape) < 0.8)
    probability[:, :, 0] += 1e-3
    initial = rng.random(states) * (rng.random(states) < 0.5)
    initial[rng.integers(states)] += 0.1
    return TabularMDP(
        next_state=np.where(stays, inside, next_state),
        probability=probability / probability.sum(axis=-1, keepdims=True),
        reward=rng.normal(scale=10, size=shape).round(2),
        terminated=rng.random(shape) < ending,
        initial=initial / initial.sum(),
    )


@st.composite
def processes(draw: st.DrawFn, states: int = 4) -> TabularMDP:
    return random_mdp(
        draw(st.integers(0, 2**32 - 1)),
        draw(st.integers(1, states)),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 3)),
        draw(st.sampled_from([0.0, 0.0, 0.2, 1.0])),
        draw(st.integers(1, 3)),
    )


@st.composite
def policies(draw: st.DrawFn, mdp: TabularMDP) -> npt.NDArray[Any]:
    """Actions, or probabilities of the actions, some of them 0."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    actions = rng.integers(mdp.num_actions, size=mdp.num_states)
    if draw(st.booleans()):
        return actions
    weights = rng.random((mdp.num_states, mdp.num_actions)) ** 3
    weights *= rng.random(weights.shape) < 0.7
    weights += np.eye(mdp.num_actions)[actions]
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def one_state(*rewards: float, probability: Sequence[float] = (1.0,)) -> TabularMDP:
    """One state and one action; outcome k pays rewards[k]."""
    shape = (1, 1, len(rewards))
    return TabularMDP(
        np.zeros(shape, dtype=np.int64),
        np.reshape(np.array(probability), shape),
        np.reshape(np.array(rewards), shape),
        np.zeros(shape, dtype=np.bool_),
        np.ones(1),
    )


def markov(P: Sequence[Sequence[float]], reward: Sequence[float], start: int = 0) -> TabularMDP:
    """A process without choice: P[s][s'] and the reward of being in s."""
    states = len(P)
    shape = (states, 1, states)
    return TabularMDP(
        np.broadcast_to(np.arange(states), shape),
        np.array(P)[:, None, :],
        np.broadcast_to(np.array(reward, dtype=np.float64)[:, None, None], shape),
        np.zeros(shape, dtype=np.bool_),
        np.eye(states)[start],
    )


# --- independent answers --------------------------------------------------------------------------


def one_hot(mdp: TabularMDP, policy: npt.NDArray[Any]) -> Array:
    """(S, A) probabilities, of either kind of policy."""
    return policy if policy.ndim == 2 else np.eye(mdp.num_actions)[policy]


def exact_model(mdp: TabularMDP) -> tuple[list[Rows], Rows]:
    """([S][A][S'] chances to go on in s', [S][A] expected rewards) as fractions."""
    chances, rewards = [], []
    for actions in mdp.P.values():
        chance = [[Fraction(0)] * mdp.num_states for _ in actions]
        for a, outcomes in actions.items():
            for p, s_next, _, end in outcomes:
                chance[a][s_next] += 0 if end else Fraction(p)
        chances.append(chance)
        rewards.append(
            [
                sum((Fraction(p) * Fraction(r) for p, _, r, _ in o), Fraction(0))
                for o in actions.values()
            ]
        )
    return chances, rewards


def exact_solve(matrix: Rows, right: list[Fraction]) -> list[Fraction]:
    """Gauss and Jordan, without rounding."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for i in range(len(rows)):
        pivot = next(k for k in range(i, len(rows)) if rows[k][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for k in range(len(rows)):
            if k != i:
                rows[k] = [x - rows[k][i] * y for x, y in zip(rows[k], rows[i], strict=True)]
    return [row[-1] for row in rows]


def exact_values(mdp: TabularMDP, policy: npt.NDArray[Any], gamma: float) -> list[Fraction]:
    chances, rewards = exact_model(mdp)
    weights = [[Fraction(w) for w in row] for row in one_hot(mdp, policy).tolist()]
    S, A = range(mdp.num_states), range(mdp.num_actions)
    matrix = [
        [(s == t) - Fraction(gamma) * sum(weights[s][a] * chances[s][a][t] for a in A) for t in S]
        for s in S
    ]
    return exact_solve(
        matrix, [sum((weights[s][a] * rewards[s][a] for a in A), Fraction(0)) for s in S]
    )


def exact_q(mdp: TabularMDP, gamma: float) -> Rows:
    """q* as fractions: the best of all deterministic policies is the best in every state."""
    S, A = range(mdp.num_states), range(mdp.num_actions)
    every = (np.array(p) for p in itertools.product(A, repeat=mdp.num_states))
    v = [max(values) for values in zip(*(exact_values(mdp, p, gamma) for p in every), strict=True)]
    chances, rewards = exact_model(mdp)
    return [
        [rewards[s][a] + Fraction(gamma) * sum(chances[s][a][t] * v[t] for t in S) for a in A]
        for s in S
    ]


def exact_error(q: Array, exact: Rows) -> Fraction:
    assert q.shape == (len(exact), len(exact[0]))
    return max(
        abs(Fraction(x) - y)
        for row, exact_row in zip(q.tolist(), exact, strict=True)
        for x, y in zip(row, exact_row, strict=True)
    )


def scipy(module: str) -> Any:
    """Return a module of SciPy; without SciPy the test is skipped."""
    return pytest.importorskip(f"scipy.{module}", reason="SciPy comes with the extra `agents`")


def sparse_model(mdp: TabularMDP, policy: npt.NDArray[Any]) -> tuple[Any, Array]:
    """(the S x S chances to go on as a SciPy matrix, the expected rewards) under a policy."""
    chosen = one_hot(mdp, policy)[:, :, None] * mdp.probability
    s = np.broadcast_to(np.arange(mdp.num_states)[:, None, None], chosen.shape)
    chances = scipy("sparse").coo_array(
        ((chosen * ~mdp.terminated).ravel(), (s.ravel(), mdp.next_state.ravel())),
        shape=(mdp.num_states, mdp.num_states),
    )
    return chances.tocsc(), (chosen * mdp.reward).sum(axis=(1, 2))


def sparse_values(mdp: TabularMDP, policy: npt.NDArray[Any], gamma: float) -> Array:
    chances, rewards = sparse_model(mdp, policy)
    identity = scipy("sparse").eye_array(mdp.num_states, format="csc")
    return np.asarray(scipy("sparse.linalg").spsolve(identity - gamma * chances, rewards))


def backed_up(mdp: TabularMDP, v: Array, gamma: float) -> Array:
    """(S, A) the Bellman backup, written a second time."""
    after = np.where(mdp.terminated, 0.0, v[mdp.next_state])
    return np.asarray((mdp.probability * (mdp.reward + gamma * after)).sum(axis=-1))


def always(n: int, action: int) -> npt.NDArray[np.int64]:
    return np.full(n, action)


def always_forward_value(n: int, slip: float, small: float, large: float, gamma: float) -> Array:
    """v(s) = c / (1 - a) + a^(n-1-s) (1 - slip) large / (1 - a), a = gamma (1 - slip).

    c = slip (small + gamma v(0)) is what a slip is worth; solved for v(0) with 1 - a - gamma slip
    = 1 - gamma.
    """
    a = gamma * (1 - slip)
    start = (slip * small + a ** (n - 1) * (1 - slip) * large) / (1 - gamma)
    to_go = n - 1 - np.arange(n)
    return np.asarray((slip * (small + gamma * start) + a**to_go * (1 - slip) * large) / (1 - a))


def always_forward_gain(n: int, slip: float, small: float, large: float) -> float:
    """The last state is where the chain is after n - 1 or more steps without a slip."""
    return slip * small + (1 - slip) ** (n - 1) * (1 - slip) * large


def limiting_gain(mdp: TabularMDP, policy: npt.NDArray[Any]) -> float:
    """Gain by squaring the matrix of the lazy chain 2^100 steps ahead; the end is a state."""
    chances, rewards = sparse_model(mdp, policy)
    states = mdp.num_states
    matrix = np.zeros((states + 1, states + 1))
    matrix[:states, :states] = chances.toarray()
    matrix[:, -1] = 1 - matrix.sum(axis=1)
    matrix[np.abs(matrix) < 1e-12] = 0
    matrix = (matrix + np.eye(states + 1)) / 2
    for _ in range(100):
        matrix = matrix @ matrix
        matrix /= matrix.sum(axis=1, keepdims=True)
    return float(np.append(mdp.initial, 0) @ matrix @ np.append(rewards, 0))


def exact_limit(P: Rows) -> Rows:
    """The limiting matrix P* of a Markov chain: its classes, their stationary distributions."""
    S = range(len(P))
    leads = [[i == j or P[i][j] > 0 for j in S] for i in S]
    for k, i, j in itertools.product(S, S, S):
        leads[i][j] = leads[i][j] or (leads[i][k] and leads[k][j])
    recurrent = [all(leads[j][i] for j in S if leads[i][j]) for i in S]
    transient = [i for i in S if not recurrent[i]]
    limit = [[Fraction(0)] * len(P) for _ in S]
    for first in {min(j for j in S if leads[i][j]) for i in S if recurrent[i]}:
        members = [j for j in S if leads[first][j]]
        rows = [[P[i][j] - (i == j) for i in members] for j in members]
        rows[-1] = [Fraction(1)] * len(members)
        stationary = exact_solve(rows, [Fraction(int(j == members[-1])) for j in members])
        flow = [[(i == j) - P[i][j] for j in transient] for i in transient]
        entering = [sum((P[i][j] for j in members), Fraction(0)) for i in transient]
        reached = dict(zip(transient, exact_solve(flow, entering), strict=True))
        for i in S:
            weight = reached[i] if i in reached else Fraction(int(i in members))
            for j, p in zip(members, stationary, strict=True):
                limit[i][j] += weight * p
    return limit


def exact_gain_and_bias(
    mdp: TabularMDP, policy: Sequence[int]
) -> tuple[list[Fraction], list[Fraction]]:
    """g = P* r and h = (I - P + P*)^-1 (I - P*) r; the end is a state more."""
    chances, rewards = exact_model(mdp)
    P, r = [], []
    for s, a in enumerate(policy):
        ends = sum((Fraction(p) for p, _, _, end in mdp.P[s][a] if end), Fraction(0))
        total = sum(chances[s][a]) + ends  # 1, but for rounding
        P.append([chance / total for chance in (*chances[s][a], ends)])
        r.append(rewards[s][a])
    n = len(P) + 1
    P.append([Fraction(int(j == n - 1)) for j in range(n)])
    r.append(Fraction(0))
    limit = exact_limit(P)
    gain = [sum((p * x for p, x in zip(row, r, strict=True)), Fraction(0)) for row in limit]
    matrix = [[(i == j) - P[i][j] + limit[i][j] for j in range(n)] for i in range(n)]
    bias = exact_solve(matrix, [x - g for x, g in zip(r, gain, strict=True)])
    return gain[:-1], bias[:-1]


def exact_times(mdp: TabularMDP, policy: Sequence[int], target: int) -> list[float]:
    """The expected steps to `target` from every state; infinite where it may be missed."""
    chances, _ = exact_model(mdp)
    S = [s for s in range(mdp.num_states) if s != target]
    P = {s: chances[s][a] for s, a in enumerate(policy) if s != target}
    ends = {s: any(p and end for p, _, _, end in mdp.P[s][policy[s]]) for s in S}
    may = {target}
    for _ in S:
        may |= {s for s in S if any(P[s][t] for t in may)}
    misses = {s for s in S if ends[s] or s not in may}
    for _ in S:
        misses |= {s for s in S if any(P[s][t] for t in misses)}
    sure = [s for s in S if s not in misses]
    total = {s: sum(P[s]) for s in sure}  # 1, but for rounding
    flow = [[(s == t) - P[s][t] / total[s] for t in sure] for s in sure]
    times = dict(zip(sure, exact_solve(flow, [Fraction(1)] * len(sure)), strict=True))
    return [float(times.get(s, 0 if s == target else math.inf)) for s in range(mdp.num_states)]


def outcomes_of_an_episode(
    mdp: TabularMDP, policy: npt.NDArray[Any], horizon: int
) -> Iterator[tuple[Fraction, Fraction]]:
    """(chance, return) of everything that can happen in one episode."""
    choice = [[Fraction(w) for w in row] for row in one_hot(mdp, policy).tolist()]
    episodes = [(Fraction(p), Fraction(0), s) for s, p in enumerate(mdp.initial.tolist()) if p]
    for _ in range(horizon):
        longer = []
        for chance, total, s in episodes:
            for a, weight in enumerate(choice[s]):
                for p, s_next, r, end in mdp.P[s][a] if weight else []:
                    after = (chance * weight * Fraction(p), total + Fraction(r))
                    if end:
                        yield after
                    elif p:
                        longer.append((*after, s_next))
        episodes = longer
    yield from ((chance, total) for chance, total, _ in episodes)
