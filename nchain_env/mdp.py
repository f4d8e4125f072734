"""A finite Markov decision process as arrays: the table of outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from nchain_env.checks import index
from nchain_env.representation import html_table, text_table

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
# Toy-text's `P`: P[state][action] = [(probability, next_state, reward, terminated), ...]
TransitionDict = dict[int, dict[int, list[tuple[float, int, float, bool]]]]

# The sum of 100 million such rewards is still finite.
LARGEST_REWARD = 1e300
_SUM_TOLERANCE = 1e-9
# A table of at most so many states and actions is shown as one.
_SHOWN_PAIRS = 64


@dataclass(frozen=True, eq=False, repr=False)
class TabularMDP:
    """A finite Markov decision process, as the outcomes of every action in every state.

    S is the number of states, A the number of actions, and K the largest number of outcomes of a
    state and action. The arrays are copied and made read-only.

    Args:
        next_state: (S, A, K) the state after outcome k, in [0, S).
        probability: (S, A, K) the probability of outcome k. Each row sums to 1; entries that are
            not used are 0.
        reward: (S, A, K) the reward of outcome k, in [-1e300, 1e300], so that the return of an
            episode is finite.
        terminated: (S, A, K) whether outcome k terminates the episode.
        initial: (S,) the distribution of the state after a reset. It sums to 1.

    Raises:
        ValueError: An array has the wrong shape or a value that is not allowed.

    The order of the outcomes matters for simulation: a step draws one uniform number u and takes
    the first outcome whose cumulative probability exceeds u, as Gymnasium's toy-text does.
    """

    next_state: IntArray
    probability: FloatArray
    reward: FloatArray
    terminated: BoolArray
    initial: FloatArray

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            object.__setattr__(self, name, _read_only(name, getattr(self, name), dtype))
        shape = self.next_state.shape
        if len(shape) != 3 or 0 in shape:
            raise ValueError(f"next_state must have shape (S, A, K), none of them 0, got {shape}")
        for name in ("probability", "reward", "terminated"):
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"{name} must have the shape of next_state, {shape}, "
                    f"got {getattr(self, name).shape}"
                )
        states = shape[0]
        if self.initial.shape != (states,):
            raise ValueError(f"initial must have shape ({states},), got {self.initial.shape}")
        if self.next_state.min() < 0 or self.next_state.max() >= states:
            raise ValueError(f"next_state must lie in [0, {states}), got values outside")
        if not np.isfinite(self.reward).all():
            raise ValueError("reward must be finite, got NaN or infinity")
        largest = float(np.abs(self.reward).max())
        if largest > LARGEST_REWARD:
            raise ValueError(
                f"reward must be at most {LARGEST_REWARD:g} in size, or the rewards of an episode "
                f"could not be added up; got {largest:g}"
            )
        for name in ("probability", "initial"):
            array = getattr(self, name)
            if not (array >= 0).all():  # NaN fails this too
                raise ValueError(f"{name} must be at least 0, got negative values or NaN")
            worst = np.abs(array.sum(axis=-1) - 1).max()
            if worst > _SUM_TOLERANCE:
                raise ValueError(f"{name} must sum to 1 over its last axis, off by {worst:g}")

    # Pickling does not keep the read-only flag, so unpickling calls the constructor.
    def __reduce__(self) -> tuple[type[TabularMDP], tuple[npt.NDArray[Any], ...]]:
        return TabularMDP, tuple(getattr(self, name) for name in _DTYPES)

    def __repr__(self) -> str:
        states, actions, outcomes = self.next_state.shape
        sizes = ((states, "state"), (actions, "action"), (outcomes, "outcome"))
        counts = (f"{size:,} {what}{'s' if size > 1 else ''}" for size, what in sizes)
        return f"<TabularMDP: {', '.join(counts)}>"

    def __str__(self) -> str:
        shown = self._shown()
        return repr(self) if shown is None else f"{self!r}\n{text_table(shown)}"

    def _repr_html_(self) -> str | None:
        shown = self._shown()
        caption = f"{repr(self)[1:-1]}; probability -> next state"
        return None if shown is None else html_table(shown, caption)

    def _shown(self) -> TransitionDict | None:
        """Return the outcomes that have a probability; None where there are too many to show."""
        if self.num_states * self.num_actions > _SHOWN_PAIRS:
            return None
        return {
            state: {
                action: [outcome for outcome in outcomes if outcome[0] > 0]
                for action, outcomes in actions.items()
            }
            for state, actions in self.P.items()
        }

    @property
    def num_states(self) -> int:
        """The number of states, S."""
        return int(self.next_state.shape[0])

    @property
    def num_actions(self) -> int:
        """The number of actions, A."""
        return int(self.next_state.shape[1])

    @cached_property
    def cumulative(self) -> FloatArray:
        """The cumulative probabilities of the outcomes, of shape (S, A, K), read-only."""
        return _read_only("cumulative", np.cumsum(self.probability, axis=-1), np.float64)

    @cached_property
    def cumulative_initial(self) -> FloatArray:
        """The cumulative probabilities of the start states, of shape (S,), read-only."""
        return _read_only("cumulative_initial", np.cumsum(self.initial), np.float64)

    @cached_property
    def P(self) -> TransitionDict:  # noqa: N802
        """Toy-text's dictionary: P[s][a] = [(probability, next_state, reward, terminated), ...]."""
        columns = (self.probability, self.next_state, self.reward, self.terminated)
        used = self._used().tolist()
        tables = [column.tolist() for column in columns]
        return {
            s: {
                a: list(zip(*(table[s][a][: used[s][a]] for table in tables), strict=True))
                for a in range(self.num_actions)
            }
            for s in range(self.num_states)
        }

    def _used(self) -> IntArray:
        """Return the number of outcomes, of shape (S, A), without the padding of `from_P`."""
        states, _, outcomes = self.next_state.shape
        padding = (
            (self.probability == 0)
            & (self.next_state == np.arange(states)[:, None, None])
            & (self.reward == 0)
            & self.terminated
        )
        padding[:, :, 0] = False
        trailing = np.logical_and.accumulate(padding[:, :, ::-1], axis=-1).sum(axis=-1)
        return np.asarray(outcomes - trailing, dtype=np.int64)

    @classmethod
    def from_P(cls, P: TransitionDict, initial: npt.ArrayLike) -> TabularMDP:  # noqa: N802
        """Read toy-text's dictionary; the inverse of `P`.

        Rows with fewer than K outcomes are padded with outcomes of probability 0, which stay in the
        state with reward 0 and terminate.

        Args:
            P: P[state][action] = [(probability, next_state, reward, terminated), ...], with states
                and actions numbered from 0.
            initial: (S,) the distribution of the state after a reset.

        Raises:
            ValueError: States or actions are not numbered from 0, a row is empty or malformed, or
                a value is not allowed in a `TabularMDP`.
        """
        shape = states, _, _ = _shape(P)
        next_state = np.broadcast_to(np.arange(states)[:, None, None], shape).copy()
        probability, reward = np.zeros(shape), np.zeros(shape)
        terminated = np.ones(shape, dtype=np.bool_)
        for s, rows in P.items():
            for a, row in rows.items():
                for k, outcome in enumerate(row):
                    try:
                        p, s_next, r, end = outcome
                        # An array would convert None to NaN, and 0.5 to state 0.
                        probability[s, a, k], reward[s, a, k] = float(p), float(r)
                        next_state[s, a, k], terminated[s, a, k] = index(s_next), end
                    except (TypeError, ValueError, OverflowError):
                        raise ValueError(
                            f"P[{s}][{a}][{k}] must be (probability, next_state, reward, "
                            f"terminated), got {outcome!r}"
                        ) from None
        return cls(next_state, probability, reward, terminated, np.asarray(initial))

    @classmethod
    def from_env(cls, env: gym.Env[Any, Any]) -> TabularMDP:
        """Read the model of an environment that has toy-text's `P` and `initial_state_distrib`.

        The model is that of the unwrapped environment. It does not include what wrappers change.

        Args:
            env: An environment such as NChain-v0, FrozenLake-v1, Taxi-v4 or CliffWalking-v1.

        Raises:
            ValueError: The environment has no such model. The message states what is missing.
        """
        model: Any = getattr(env, "unwrapped", env)
        mdp = getattr(model, "mdp", None)
        if isinstance(mdp, TabularMDP):
            return mdp
        for name, meaning in _MODEL.items():
            if not hasattr(model, name):
                raise ValueError(
                    f"env must have a model, toy-text's `P` and `initial_state_distrib`; "
                    f"{type(model).__name__} has no `{name}`, {meaning}"
                )
        return cls.from_P(model.P, model.initial_state_distrib)


# The attributes that `from_env` reads, and their meaning.
_MODEL = {
    "P": "P[state][action] = [(probability, next_state, reward, terminated), ...]",
    "initial_state_distrib": "the (S,) probabilities of the state after a reset",
}
_DTYPES: dict[str, type[np.generic]] = {
    "next_state": np.int64,
    "probability": np.float64,
    "reward": np.float64,
    "terminated": np.bool_,
    "initial": np.float64,
}


def _shape(P: Any) -> tuple[int, int, int]:
    """Return (S, A, K) of toy-text's dictionary, whose form is checked here."""
    if not isinstance(P, dict) or not P or set(P) != set(range(len(P))):
        raise ValueError("P must be a dictionary with the states 0, 1, ..., S - 1 as keys")
    actions = [set(rows) if isinstance(rows, dict) else set() for rows in P.values()]
    if not actions[0] or any(keys != set(range(len(actions[0]))) for keys in actions):
        raise ValueError("P must have the same actions 0, 1, ..., A - 1 in every state")
    for s, rows in P.items():
        for a, row in rows.items():
            if not isinstance(row, list | tuple) or not row:
                raise ValueError(f"P[{s}][{a}] must be a list of outcomes, got {row!r}")
    outcomes = max(len(row) for rows in P.values() for row in rows.values())
    return len(P), len(actions[0]), outcomes


def _read_only(name: str, values: npt.ArrayLike, dtype: type[np.generic]) -> npt.NDArray[Any]:
    try:
        given = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be an array, not rows of different lengths") from error
    if not np.can_cast(given.dtype, dtype, casting="same_kind"):
        raise ValueError(f"{name} must hold {np.dtype(dtype).name} values, got {given.dtype}")
    with np.errstate(over="ignore"):  # a long double may become infinite, which is refused
        array = given.astype(dtype, order="C")
    array.flags.writeable = False
    return array
