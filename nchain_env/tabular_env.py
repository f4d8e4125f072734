"""One environment on any outcome table."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Discrete

from nchain_env.checks import index, instance, integer
from nchain_env.mdp import FloatArray, TabularMDP, TransitionDict
from nchain_env.representation import call
from nchain_env.uniform import raw_uniform, thresholds

if TYPE_CHECKING:
    from nchain_env.rendering import Pictures, Renderer


class TabularEnv(gym.Env[Any, Any]):
    """An environment that samples an outcome table.

    It behaves as Gymnasium's toy-text environments do: a step draws one random number and takes the
    first outcome whose cumulative probability exceeds it; a reset draws one number for the start
    state. The time limit is that of a wrapper, as `gym.make` adds it. The attribute `mdp` can be
    assigned.

    Args:
        mdp: The table. Observations are the numbers of its states, actions those of its actions.
        render_mode: None, "human", "rgb_array" or "ansi". "human" and "rgb_array" need pygame-ce,
            which `nchain-env[render]` installs.

    Raises:
        ValueError: An argument is not allowed.
    """

    metadata = {"render_modes": ["human", "ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012
    # The names of the actions, if they have any, for errors and pictures.
    action_names: tuple[str, ...] = ()
    # The generator that `_random_raw` draws from: none yet.
    _generator: object = object()
    _random_raw: Callable[[], int]
    # Set here because Gymnasium up to 1.2 closes a deleted env, even if its constructor raised.
    _renderer: Renderer | None = None
    # The constructor's arguments, where they are not attributes by the same names.
    _given: dict[str, Any] | None = None

    def __init__(self, mdp: TabularMDP, render_mode: str | None = None) -> None:
        self.mdp = mdp
        self.render_mode = checked_render_mode(render_mode, self.metadata["render_modes"])
        self.observation_space = Discrete(self.mdp.num_states)
        self.action_space = Discrete(self.mdp.num_actions)
        self.s: int | None = None
        # The last step, for pictures; kept only with a render mode.
        self._last: dict[str, Any] = {}
        self._steps, self._return = 0, 0.0

    def __repr__(self) -> str:
        return call(self, self._given)

    def __str__(self) -> str:  # which the wrappers of `gym.make` show
        return f"<{self!r}>"

    def __getstate__(self) -> dict[str, Any]:
        # A copy must draw from its own generator.
        own = ("_generator", "_random_raw")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    @property
    def mdp(self) -> TabularMDP:
        """The outcome table that steps and resets sample."""
        return self._mdp

    @mdp.setter
    def mdp(self, mdp: TabularMDP) -> None:
        self._mdp: TabularMDP = instance("mdp", mdp, TabularMDP, "a TabularMDP")
        self._outcomes = _OutcomesByState(mdp, self.outcome_info)

    @property
    def P(self) -> TransitionDict:  # noqa: N802
        """Toy-text's dictionary: P[s][a] = [(probability, next_state, reward, terminated), ...]."""
        return self.mdp.P

    @property
    def initial_state_distrib(self) -> FloatArray:
        """The distribution of the state after a reset, of shape (S,)."""
        return self.mdp.initial

    @staticmethod
    def outcome_info(probability: Any, outcome: Any) -> dict[str, Any]:
        """Return the info of a step with this outcome; subclasses may add to it.

        Args:
            probability: The probability of the outcome, or an array of them.
            outcome: The number of the outcome in [0, K), or an array of them; -1 for a reset.
        """
        return {"prob": probability}

    @staticmethod
    def pictures() -> Pictures:
        """Return the functions that draw; subclasses may have their own."""
        from nchain_env.rendering import TABLE

        return TABLE

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Take an action.

        Args:
            action: An action in [0, A): a Python int, a NumPy integer or a 0-d array of integers.
                Bools and floats are not allowed.

        Returns:
            The state; the reward; whether the episode has terminated; False, as the wrapper that
            `gym.make` adds truncates; and `{"prob": ...}`, the probability of the outcome.

        Raises:
            ResetNeeded: There was no reset yet.
            ValueError: The action is outside its range, or not an integer. The state and the
                generator are not changed.
        """
        # As keys of a dictionary, 1.0 and True equal 1.
        if type(action) not in _INTEGERS:
            action = self._action_number(action)
        state = self.s
        try:
            limit, first, outcome, more = self._outcomes[state][action]
        except KeyError:
            raise ValueError(bad_action(self, action)) from None
        if self._np_random is not self._generator:  # another one, by reset or by assignment
            self._generator = self.np_random
            self._random_raw = raw_uniform(self._generator)
        number = self._random_raw()
        if number < limit:
            outcome = first
        elif more is not None:
            limits, outcomes = more
            outcome = outcomes[bisect_right(limits, number)]
        self.s, reward, terminated, info = outcome
        if self.render_mode is not None:
            self._steps += 1
            self._return += reward
            self._last = {
                "previous": state,
                "action": int(action),
                "reward": reward,
                "terminated": terminated,
                "info": info,
            }
            if self.render_mode == "human":
                self.render()
        return self.s, reward, terminated, False, info.copy()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Begin a new episode, in a random state or in `options["state"]`.

        Args:
            seed: The seed of a new generator. With None, the current generator is used further.
            options: `{"state": k}` starts in state k, in [0, S). There are no other options.

        Returns:
            The state, and `{"prob": 1.0}`, as in toy-text.

        Raises:
            ValueError: An option is unknown or its value is not allowed.
            TypeError: The options are not a dictionary.

        After an error the state and the generator are as before.
        """
        state = checked_start_state(options, self.mdp.num_states)
        super().reset(seed=seed)
        # Each reset draws one number, so that later steps do not depend on the options.
        drawn = int(np.argmax(self.mdp.cumulative_initial > self.np_random.random()))
        self.s = drawn if state is None else state
        self._last, self._steps, self._return = {}, 0, 0.0
        if self.render_mode == "human":
            self.render()
        return self.s, self.outcome_info(1.0, RESET)

    def render(self) -> str | npt.NDArray[np.uint8] | None:
        """Show the states, the last transition, its reward and the return so far.

        Returns:
            A string for "ansi"; an image of shape (H, W, 3) for "rgb_array"; None for "human" and
            without a render mode.

        Raises:
            ResetNeeded: There was no reset yet.
            DependencyNotInstalled: pygame is not installed, and the mode is not "ansi". The extra
                `nchain-env[render]` installs it.
        """
        if self.render_mode is None:
            gym.logger.warn(NO_RENDER_MODE)
            return None
        if self.s is None:
            raise ResetNeeded(RESET_FIRST)
        from nchain_env.rendering import Renderer, Snapshot

        if self._renderer is None:
            caption = self.spec.id if self.spec else type(self).__name__
            self._renderer = Renderer(
                self.pictures(), self.render_mode, self.metadata["render_fps"], caption
            )
        return self._renderer.draw(
            Snapshot(
                num_states=self.mdp.num_states,
                state=self.s,
                steps=self._steps,
                total=self._return,
                action_names=self.action_names,
                **self._last,
            )
        )

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _action_number(self, action: Any) -> int:
        """Return an action of another type, such as a 0-d array from SB3's `predict`, as an int.

        Raises:
            ValueError: It is not an integer. Bools and floats are not integers.
        """
        try:
            return index(action)
        except TypeError:
            raise ValueError(bad_action(self, action)) from None


# The outcome that stands for a reset.
RESET = -1

RESET_FIRST = "call reset() before the first step() or render()"
NO_RENDER_MODE = "render() does nothing without a render mode, such as render_mode='rgb_array'"

# The types of actions that need no conversion.
_INTEGERS = frozenset({int, *(np.dtype(code).type for code in np.typecodes["AllInteger"])})


def bad_action(env: Any, action: Any, one: str = "action must be an integer") -> str:
    """Return the message that an action is not one of those of an environment."""
    allowed = f"{one} in [0, {env.mdp.num_actions})"
    if env.action_names:
        named = " or ".join(f"{number} ({name})" for number, name in enumerate(env.action_names))
        allowed = f"{one.split()[0]} must be {named}"
    return f"{allowed}, got {action!r}"


# next state, reward, terminated, info
_Outcome = tuple[int, float, bool, dict[str, Any]]
# For each action: the threshold of the first outcome, the first and the second one, and where there
# are more, which must be searched, the thresholds and the outcomes
_More = tuple[list[int], list[_Outcome]] | None
_Outcomes = dict[int, tuple[int, _Outcome, _Outcome, _More]]


class _OutcomesByState(dict[int | None, _Outcomes]):
    """The outcomes of each state as Python numbers, which are faster to read than arrays.

    A state's outcomes are added when it is first visited; those of a large table need much memory.
    """

    def __init__(
        self, mdp: TabularMDP, outcome_info: Callable[[float, int], dict[str, Any]]
    ) -> None:
        super().__init__()
        self._mdp, self._outcome_info = mdp, outcome_info

    def __missing__(self, state: int | None) -> _Outcomes:
        if state is None:
            raise ResetNeeded(RESET_FIRST)
        mdp = self._mdp
        columns = (mdp.next_state, mdp.reward, mdp.terminated, mdp.probability)
        rows = [column[state].tolist() for column in columns]
        outcomes: _Outcomes = {}
        for action in range(mdp.num_actions):
            of_action = [
                (next_state, reward, terminated, self._outcome_info(probability, k))
                for k, (next_state, reward, terminated, probability) in enumerate(
                    zip(*(row[action] for row in rows), strict=True)
                )
            ]
            # Where rounding leaves the last threshold below the number, toy-text takes the first.
            of_action.append(of_action[0])
            limits = thresholds(mdp.cumulative[state, action])
            searched = len(limits) > 2 or limits[-1] < 2**64
            more = (limits, of_action) if searched else None
            outcomes[action] = limits[0], of_action[0], of_action[1], more
        self[state] = outcomes
        return outcomes


def checked_render_mode(render_mode: Any, allowed: list[str]) -> str | None:
    """Return `render_mode`, or raise a ValueError that lists the allowed modes."""
    if render_mode is None:
        return None
    if not isinstance(render_mode, str) or render_mode not in allowed:
        raise ValueError(
            f"render_mode must be None or one of {', '.join(allowed)}, got {render_mode!r}"
        )
    return render_mode


def checked_start_state(options: dict[str, Any] | None, num_states: int) -> int | None:
    """Return the start state in the options of `reset`, or None if they have none."""
    if options is None:
        return None
    if not isinstance(options, dict):
        raise TypeError(f"options must be a dictionary or None, got {options!r}")
    if not options:
        return None
    unknown = sorted(str(name) for name in options if name != "state")
    if unknown:
        raise ValueError(f"options may hold only 'state', got {', '.join(unknown)}")
    return integer("options['state']", options["state"], 0, num_states)
