"""Many environments on one outcome table, stepped together by array operations."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Discrete
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import batch_space

from nchain_env.checks import instance, integer, size
from nchain_env.known_tables import known_table, time_limit
from nchain_env.mdp import BoolArray, FloatArray, IntArray, TabularMDP, TransitionDict
from nchain_env.representation import call
from nchain_env.tabular_env import (
    NO_RENDER_MODE,
    RESET,
    RESET_FIRST,
    TabularEnv,
    bad_action,
    checked_render_mode,
    checked_start_state,
)

if TYPE_CHECKING:
    from nchain_env.rendering import Pictures, Renderer

if TYPE_CHECKING or hasattr(gym.vector, "AutoresetMode"):
    from gymnasium.vector import AutoresetMode as AutoresetMode
else:  # Gymnasium 1.0

    class AutoresetMode(Enum):
        """What happens at the end of an episode, as in Gymnasium since 1.1."""

        NEXT_STEP = "NextStep"
        SAME_STEP = "SameStep"
        DISABLED = "Disabled"


class EpisodeOverError(ResetNeeded, AssertionError):
    """`step` was called after the end of an episode, and autoreset is disabled.

    It is a ResetNeeded, as in Gymnasium's environments, and an AssertionError, as in its
    SyncVectorEnv.
    """


class TabularVectorEnv(VectorEnv[IntArray, npt.ArrayLike, npt.NDArray[Any]]):
    """`num_envs` environments on one outcome table, stepped together by array operations.

    It behaves like Gymnasium's SyncVectorEnv of TabularEnv with a time limit, in every autoreset
    mode. Only the random numbers differ: all environments share one generator. A step draws one
    number for each environment, in order. Under NEXT_STEP, an environment that begins a new episode
    in this step uses its number for the start state. Under SAME_STEP, the environments whose
    episode ends draw one more number each, after all others. A reset draws one number for each
    environment that is reset. A single environment therefore has the trajectory of TabularEnv with
    the same seed.

    Args:
        mdp: The table. Observations are the numbers of its states, actions those of its actions.
        num_envs: The number of environments, at least 1.
        max_episode_steps: The number of steps after which an episode is truncated; None for never.
        autoreset_mode: What happens at the end of an episode: Gymnasium's AutoresetMode or its
            value, "NextStep", "SameStep" or "Disabled" (Gymnasium 1.0 has no AutoresetMode).
        render_mode: None, "ansi" or "rgb_array". For a window, wrap an "rgb_array" environment in
            `gymnasium.wrappers.vector.HumanRendering`.

    Raises:
        ValueError: An argument is not allowed.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": ["ansi", "rgb_array"],
        "render_fps": TabularEnv.metadata["render_fps"],
    }
    # As in TabularEnv
    action_names: tuple[str, ...] = ()
    _renderer: Renderer | None = None

    def __init__(
        self,
        mdp: TabularMDP,
        num_envs: int = 1,
        *,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
    ) -> None:
        self.mdp: TabularMDP = instance("mdp", mdp, TabularMDP, "a TabularMDP")
        self.num_envs = size("num_envs", num_envs, _BYTES_PER_ENV)
        self.max_episode_steps = (
            None
            if max_episode_steps is None
            else integer("max_episode_steps", max_episode_steps, 1)
        )
        self.autoreset_mode = _checked_autoreset_mode(autoreset_mode)
        self.render_mode = checked_render_mode(render_mode, self.metadata["render_modes"])
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = Discrete(self.mdp.num_states)
        self.single_action_space = Discrete(self.mdp.num_actions)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

        self._outcomes = _Outcomes(self.mdp)
        self._num_actions = self.mdp.num_actions
        # The row of each state's first action, in the smallest type that holds an index: adding
        # small integers is fast.
        self._row = np.zeros(self.num_envs, self._outcomes.index_type)
        self._uniform = np.empty(self.num_envs)
        # The indices of outcomes, in the memory of the numbers, which are not needed any more then
        self._at = self._uniform.view(np.int64)
        self._everywhere = np.ones(self.num_envs, np.bool_)
        # Infos share this mask where it is True for all.
        self._everywhere.flags.writeable = False

        # The steps since the first reset (-1 before it), the value of this clock at the beginning
        # of each episode, and its value when the next episode is truncated.
        self._clock = -1
        self._began = np.zeros(self.num_envs, np.int64)
        self._next_truncation = math.inf
        # The environments whose episode has ended and which are not reset yet; None if there are
        # none.
        self._ended: BoolArray | None = None
        # The last step as columns of Snapshots, for pictures; kept only with a render mode.
        self._last: dict[str, npt.NDArray[Any]] = {}
        self._last_info: dict[str, npt.NDArray[Any]] = {}
        self._return = np.zeros(self.num_envs if self.render_mode else 0)

    def __repr__(self) -> str:
        return call(self)

    @classmethod
    def from_env(
        cls,
        env: str | EnvSpec | gym.Env[Any, Any],
        num_envs: int = 1,
        *,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **kwargs: Any,
    ) -> TabularVectorEnv:
        """Return `num_envs` environments like one of toy-text, which is known to sample its table.

        Args:
            env: FrozenLake-v1, CliffWalking-v1, Taxi-v4 or a `TabularEnv`: an id or a spec, as
                `gym.make` takes it, or an environment.
            num_envs: The number of environments, at least 1.
            max_episode_steps: The number of steps after which an episode is truncated; by default
                that of the environment.
            autoreset_mode: As for the class.
            render_mode: As for the class.
            **kwargs: The arguments of the environment, passed to `gym.make`.

        Raises:
            ValueError: An argument is not allowed, or a step of the environment is not known to be
                that of its table. The message says why: a wrapper, or Taxi's fickle passenger.

        Infos have `prob`, but not Taxi's `action_mask`.
        """
        if not isinstance(env, gym.Env):
            env = gym.make(env, disable_env_checker=True, **kwargs)
        elif kwargs:
            raise ValueError(f"env must be an id for the arguments {', '.join(kwargs)}")
        envs = TabularVectorEnv(
            known_table(env),
            num_envs,
            max_episode_steps=time_limit(env) if max_episode_steps is None else max_episode_steps,
            autoreset_mode=autoreset_mode,
            render_mode=render_mode,
        )
        like: Any = env.unwrapped
        if isinstance(like, TabularEnv):
            envs.action_names = like.action_names
            envs.outcome_info = like.outcome_info  # type: ignore[method-assign]
            envs.pictures = like.pictures  # type: ignore[method-assign]
        return envs

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
        """Return the info of a step with these outcomes, as in TabularEnv."""
        return TabularEnv.outcome_info(probability, outcome)

    @staticmethod
    def pictures() -> Pictures:
        """Return the functions that draw, as in TabularEnv."""
        return TabularEnv.pictures()

    def step(
        self, actions: npt.ArrayLike
    ) -> tuple[IntArray, FloatArray, BoolArray, BoolArray, dict[str, Any]]:
        """Take one step in every environment.

        Args:
            actions: Integers of shape (num_envs,) in [0, A). The action of an environment that
                begins a new episode in this step is checked, and then ignored.

        Returns:
            Arrays of shape (num_envs,), which later steps do not change: the states; the rewards;
            whether the episode has terminated; whether it was truncated; and infos. Infos are those
            of TabularEnv with their masks, as `prob` and `_prob`; the masks are read-only. Under
            SAME_STEP there are also `final_obs` and `final_info` of the episodes that ended, with
            their masks.

        Raises:
            ResetNeeded: There was no reset yet.
            EpisodeOverError: Autoreset is disabled, and an episode has ended and was not reset.
            TypeError: The actions are not integers.
            ValueError: The actions have another shape, or some are outside their range.

        After an error the states, the steps of the episodes and the generator are as before.
        """
        chosen = self._checked_actions(actions)
        if self._clock < 0:
            raise ResetNeeded(RESET_FIRST)
        begin = self._ended
        if begin is not None and self.autoreset_mode is AutoresetMode.DISABLED:
            raise EpisodeOverError(
                "call reset(options={'reset_mask': ...}) before the next step: the episodes of "
                f"environments {np.flatnonzero(begin).tolist()} have ended"
            )

        uniform, outcomes = self.np_random.random(out=self._uniform), self._outcomes
        row = chosen.astype(outcomes.index_type)
        row += self._row
        index, outcome = outcomes.sample(row, uniform)
        first = uniform[:0] if begin is None else uniform[begin]
        at = self._at
        at[:] = index
        # All indices are valid; "clip" is the fastest mode.
        observations = outcomes.next_state.take(at, mode="clip")
        rewards = outcomes.reward.take(at, mode="clip")
        probability = outcomes.probability.take(at, mode="clip")
        infos: dict[str, Any] = {}
        for name, values in self.outcome_info(probability, outcome).items():
            infos[name], infos["_" + name] = values, self._everywhere
        if outcomes.terminated is None:
            terminations = np.zeros(self.num_envs, np.bool_)
        else:
            terminations = outcomes.terminated.take(at, mode="clip")
        self._clock += 1

        if begin is not None:
            self._ended = None
            rewards[begin], terminations[begin] = 0, False
            self._begin(begin, first, observations, infos)
        truncating = self._clock >= self._next_truncation
        if truncating:
            truncations = self._clock - self._began == self.max_episode_steps
            ended = terminations | truncations
        else:
            truncations, ended = np.zeros(self.num_envs, np.bool_), terminations
        if self.render_mode is not None:
            self._remember(chosen, rewards, terminations, infos)
        if (outcomes.terminated is not None or truncating) and ended.any():
            if self.autoreset_mode is AutoresetMode.SAME_STEP:
                final = _final(ended, observations, infos)
                fresh = self.np_random.random(np.count_nonzero(ended))
                self._begin(ended, fresh, observations, infos)
                infos.update(final)
            else:
                self._ended = ended.copy()
        self._row = observations.astype(outcomes.index_type)
        self._row *= outcomes.num_actions
        return observations, rewards, terminations, truncations, infos

    def _begin(
        self, begin: BoolArray, uniform: FloatArray, observations: IntArray, infos: dict[str, Any]
    ) -> None:
        """Begin new episodes, and write their start states and infos over the outcomes."""
        observations[begin] = self._start(uniform)
        for name, values in self.outcome_info(1.0, RESET).items():
            infos[name][begin] = values
        self._set_clock(begin)

    def _start(self, uniform: FloatArray) -> IntArray:
        """Return the start states for uniform numbers."""
        state = np.searchsorted(self.mdp.cumulative_initial, uniform, side="right")
        state[state == self.mdp.num_states] = 0  # as toy-text, where rounding leaves the last below
        return state

    def _set_clock(self, begin: BoolArray) -> None:
        self._began[begin] = self._clock
        if self.max_episode_steps is not None:
            self._next_truncation = int(self._began.min()) + self.max_episode_steps
        if self.render_mode is not None:
            self._return[begin] = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[IntArray, dict[str, Any]]:
        """Begin new episodes, in random states or in `options["state"]`.

        Args:
            seed: The seed of a new generator for all environments, even if only some are reset.
                With None, the current generator is used further.
            options: `{"state": k}` starts in state k, in [0, S). `{"reset_mask": mask}`, an array
                of booleans of shape (num_envs,), resets the environments where it is True. There
                are no other options. The dictionary is not changed.

        Returns:
            The states of all environments, of shape (num_envs,), and infos: `prob`, which
            is 1.0 as in toy-text. Its mask `_prob` is True where an environment was reset.

        Raises:
            TypeError: The options are not a dictionary, or the reset mask is not an array of
                booleans.
            ValueError: The reset mask has another shape or is False everywhere, or an option is
                unknown or its value is not allowed.
            ResetNeeded: The first reset does not reset all environments.
            gymnasium.error.Error: The seed is not an integer of at least 0. A list of seeds is not
                allowed, as there is one generator.

        After an error the states, the steps of the episodes and the generator are as before.
        """
        if isinstance(options, dict) and "reset_mask" in options:
            begin = self._checked_mask(options["reset_mask"])
            options = {name: value for name, value in options.items() if name != "reset_mask"}
        else:
            begin = self._everywhere
        start = checked_start_state(options, self.mdp.num_states)
        if self._clock < 0 and not begin.all():
            raise ResetNeeded("the first reset() must reset all environments")
        super().reset(seed=seed)

        # Each environment draws one number, so that later steps do not depend on the options.
        drawn = self._start(self.np_random.random(np.count_nonzero(begin)))
        states = self._states().astype(np.int64)
        states[begin] = drawn if start is None else start
        self._row = states.astype(self._outcomes.index_type)
        self._row *= self._outcomes.num_actions
        self._clock = max(self._clock, 0)
        self._set_clock(begin)
        if self._ended is not None:
            self._ended &= ~begin
            if not self._ended.any():
                self._ended = None
        told = self.outcome_info(begin.astype(np.float64), np.full(begin.shape, RESET))
        infos: dict[str, Any] = {}
        for name, values in told.items():
            infos[name], infos["_" + name] = values, begin.copy()
        return states, infos

    def _states(self) -> npt.NDArray[Any]:
        states: npt.NDArray[Any] = self._row // self.mdp.num_actions
        return states

    def render(self) -> tuple[Any, ...] | None:
        """Show each environment as TabularEnv does.

        Returns:
            A tuple of one string ("ansi") or image of shape (H, W, 3) ("rgb_array") for each
            environment; None without a render mode.

        Raises:
            ResetNeeded: There was no reset yet.
            DependencyNotInstalled: pygame is not installed, and the mode is "rgb_array". The extra
                `nchain-env[render]` installs it.
        """
        if self.render_mode is None:
            gym.logger.warn(NO_RENDER_MODE)
            return None
        if self._clock < 0:
            raise ResetNeeded(RESET_FIRST)
        from nchain_env.rendering import Renderer, Snapshot

        if self._renderer is None:
            self._renderer = Renderer(
                self.pictures(), self.render_mode, self.metadata["render_fps"]
            )
        frames = []
        for i, steps in enumerate((self._clock - self._began).tolist()):
            last: dict[str, Any] = {}
            if steps > 0 and self._last:
                last = {name: column[i].item() for name, column in self._last.items()}
                info = {name: column[i].item() for name, column in self._last_info.items()}
                last["info"] = info
            frames.append(
                self._renderer.draw(
                    Snapshot(
                        num_states=self.mdp.num_states,
                        state=int(self._states()[i]),
                        steps=steps,
                        total=float(self._return[i]),
                        action_names=self.action_names,
                        **last,
                    )
                )
            )
        return tuple(frames)

    def _remember(
        self,
        actions: npt.NDArray[Any],
        rewards: FloatArray,
        terminations: BoolArray,
        infos: dict[str, Any],
    ) -> None:
        """Keep the last step, for pictures."""
        self._last = {
            "previous": self._states(),
            "action": actions.copy(),
            "reward": rewards.copy(),
            "terminated": terminations.copy(),
        }
        names = [name for name in infos if not name.startswith("_")]
        self._last_info = {name: infos[name].copy() for name in names}
        self._return += rewards

    def close_extras(self) -> None:
        """Close the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _checked_actions(self, actions: npt.ArrayLike) -> npt.NDArray[Any]:
        try:
            given = np.asarray(actions)
        except ValueError:  # lists of unequal lengths
            given = np.empty(0)
        if given.shape != (self.num_envs,):
            raise ValueError(f"actions must have shape ({self.num_envs},), got {given.shape}")
        if given.dtype.kind not in "iu":
            raise TypeError(f"actions must be integers, got {given.dtype}")
        num_actions = self._num_actions
        # The bitwise or of all actions is at least as large as each, and negative if one is.
        bound = int(np.bitwise_or.reduce(given))
        if bound < 0 or (bound >= num_actions and int(given.max()) >= num_actions):
            wrong = given[(given < 0) | (given >= num_actions)]
            raise ValueError(bad_action(self, wrong[0].item(), "actions must be integers"))
        return given

    def _checked_mask(self, mask: Any) -> BoolArray:
        name = "options['reset_mask']"
        if not isinstance(mask, np.ndarray):
            raise TypeError(f"{name} must be a NumPy array, got {type(mask).__name__}")
        if mask.shape != (self.num_envs,):
            raise ValueError(f"{name} must have shape ({self.num_envs},), got {mask.shape}")
        if mask.dtype != np.bool_:
            raise TypeError(f"{name} must hold booleans, got {mask.dtype}")
        if not mask.any():
            raise ValueError(f"{name} must be True at least once, got False everywhere")
        return mask


def vector_form(kind: Callable[..., TabularEnv]) -> Callable[..., TabularVectorEnv]:
    """Return what `gym.make_vec` calls for the vector form of an environment."""

    def make(
        num_envs: int = 1,
        *,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **kwargs: Any,
    ) -> TabularVectorEnv:
        return TabularVectorEnv.from_env(
            kind(**kwargs),
            num_envs,
            max_episode_steps=max_episode_steps,
            autoreset_mode=autoreset_mode,
            render_mode=render_mode,
        )

    return make


def _final(ended: BoolArray, observations: IntArray, infos: dict[str, Any]) -> dict[str, Any]:
    """Return `final_obs` and `final_info` of the episodes that ended, with their masks."""
    final_obs = np.full(ended.shape, None)
    final_obs[ended] = observations[ended]
    final_info = {
        name: ended.copy() if name.startswith("_") else np.where(ended, values, values.dtype.type())
        for name, values in infos.items()
    }
    return {
        "final_obs": final_obs,
        "_final_obs": ended.copy(),
        "final_info": final_info,
        "_final_info": ended.copy(),
    }


_BYTES_PER_ENV = 128  # the state that is kept, and the arrays that a step returns


class _Outcomes:
    """The outcomes of all states and actions, a row for each, and the search for one of them.

    A row has a power of two of columns: first the outcomes, then copies of the first one, which
    toy-text takes where rounding leaves the last cumulative probability below the number drawn.
    """

    def __init__(self, mdp: TabularMDP) -> None:
        num_outcomes = mdp.next_state.shape[2]
        cumulative = mdp.cumulative.reshape(-1, num_outcomes)
        self._num_outcomes = num_outcomes
        self._wraps = bool((cumulative[:, -1] <= _LARGEST_UNIFORM).any())
        width = 1 << (num_outcomes + self._wraps - 1).bit_length()
        column = np.arange(width)
        column[num_outcomes:] = 0
        self.next_state = mdp.next_state[:, :, column].ravel()
        self.reward = mdp.reward[:, :, column].ravel()
        self.probability = mdp.probability[:, :, column].ravel()
        # None where no outcome terminates
        self.terminated: BoolArray | None = None
        if mdp.terminated.any():
            self.terminated = mdp.terminated[:, :, column].ravel()
        # An unsigned type that holds the index of each outcome. Numbers are 0-d arrays of it, which
        # NumPy multiplies by without a conversion.
        self.index_type = np.min_scalar_type(self.next_state.size - 1)
        self.num_actions = np.array(mdp.num_actions, self.index_type)
        self._width = np.array(width, self.index_type)

        limits = np.full((len(cumulative), width), 2.0)
        limits[:, :num_outcomes] = cumulative
        # The limit of two outcomes, where it is the same in all rows and need not be looked up
        self._limit: FloatArray | None = None
        if width == 2 and (limits[:, 0] == limits[0, 0]).all():
            self._limit = np.array(limits[0, 0])
        # Rounds of a binary search: how far to go on, and the limits from there on
        halves = [width >> k for k in range(1, width.bit_length())]
        self._rounds = [
            (np.array(half, self.index_type), limits.ravel()[half - 1 :]) for half in halves
        ]

    def sample(
        self, row: npt.NDArray[Any], uniform: FloatArray
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return the indices of outcomes, and their numbers in their rows.

        The outcome is the first of the row whose cumulative probability exceeds the number. The
        memory of `row` is used for the indices.
        """
        index = row
        index *= self._width
        if self._limit is not None:
            outcome = (self._limit <= uniform).view(np.uint8)
            index += outcome
            return index, outcome
        outcome = np.zeros(len(index), self.index_type)
        for half, limits in self._rounds:
            step = (limits.take(index, mode="clip") <= uniform) * half
            index += step
            outcome += step
        if self._wraps:
            outcome[outcome == self._num_outcomes] = 0
        return index, outcome


# The largest number that `Generator.random` returns
_LARGEST_UNIFORM = 1 - 2.0**-53


def _checked_autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    for member in AutoresetMode:
        if mode is member or (isinstance(mode, str) and mode == member.value):
            return member
    allowed = ", ".join(repr(member.value) for member in AutoresetMode)
    raise ValueError(f"autoreset_mode must be an AutoresetMode or one of {allowed}, got {mode!r}")
