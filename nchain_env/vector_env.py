"""The vector environment of NChain-v0."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Discrete
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import batch_space

from nchain_env.chain import chain_mdp
from nchain_env.checks import integer, size
from nchain_env.env import NChainEnv, checked_render_mode, checked_start_state
from nchain_env.mdp import BoolArray, FloatArray, IntArray, TransitionDict

if TYPE_CHECKING:
    from nchain_env.rendering import Renderer

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


class NChainVectorEnv(VectorEnv[IntArray, npt.ArrayLike, npt.NDArray[Any]]):
    """`num_envs` chains, stepped together by array operations.

    It behaves like Gymnasium's SyncVectorEnv of NChainEnv with a time limit, in every autoreset
    mode. Only the random numbers differ: all environments share one generator. A step draws one
    number for each environment, in order. Under NEXT_STEP, an environment that begins a new episode
    in this step uses its number for the start state. Under SAME_STEP, the environments whose
    episode ends draw one more number each, after all others. A reset draws one number for each
    environment that is reset. A single environment therefore has the trajectory of NChainEnv with
    the same seed.

    Args:
        num_envs: The number of environments, at least 1.
        max_episode_steps: The number of steps after which an episode is truncated; None for never.
        autoreset_mode: What happens at the end of an episode: Gymnasium's AutoresetMode or its
            value, "NextStep", "SameStep" or "Disabled" (Gymnasium 1.0 has no AutoresetMode).
        n: The number of states, at least 1.
        slip: The probability of a slip, in [0, 1].
        small: The reward of going backward, in [-1e300, 1e300].
        large: The reward of going forward in the last state, in [-1e300, 1e300].
        render_mode: None, "ansi" or "rgb_array". For a window, wrap an "rgb_array" environment in
            `gymnasium.wrappers.vector.HumanRendering`.

    Raises:
        ValueError: An argument is not allowed.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": ["ansi", "rgb_array"],
        "render_fps": NChainEnv.metadata["render_fps"],
    }
    # Set here because Gymnasium up to 1.2 closes a deleted env, even if its constructor raised.
    _renderer: Renderer | None = None

    def __init__(
        self,
        num_envs: int = 1,
        *,
        max_episode_steps: int | None = 1000,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        n: int = 5,
        slip: float = 0.2,
        small: float = 2.0,
        large: float = 10.0,
        render_mode: str | None = None,
    ) -> None:
        self.num_envs = size("num_envs", num_envs, _BYTES_PER_ENV)
        self.max_episode_steps = (
            None
            if max_episode_steps is None
            else integer("max_episode_steps", max_episode_steps, 1)
        )
        self.autoreset_mode = _checked_autoreset_mode(autoreset_mode)
        self.mdp = chain_mdp(n, slip, small, large)
        self.render_mode = checked_render_mode(render_mode, self.metadata["render_modes"])
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = Discrete(self.mdp.num_states)
        self.single_action_space = Discrete(self.mdp.num_actions)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

        # The flat outcomes: that of an action in a state is at 4 * state + 2 * action + slipped.
        self._next_state = self.mdp.next_state[:, :, ::-1].ravel()
        self._reward = self.mdp.reward[:, :, ::-1].ravel()
        self._probability = self.mdp.probability[:, :, ::-1].ravel()
        # A slip is the first outcome, with the same probability in all states and actions.
        (self._slip,) = np.unique(self.mdp.cumulative[:, :, 0]).tolist()
        # The states, in the smallest type that holds an index: adding small integers is fast.
        self._state = np.zeros(self.num_envs, np.min_scalar_type(self._reward.size - 1))
        self._uniform = np.empty(self.num_envs)
        self._everywhere = np.ones(self.num_envs, np.bool_)

        # The steps since the first reset (-1 before it), the value of this clock at the beginning
        # of each episode, and its value when the next episode ends. Until then a step only
        # increments the clock.
        self._clock = -1
        self._began = np.zeros(self.num_envs, np.int64)
        self._next_end = math.inf
        # The environments whose episode has ended and which are not reset yet; None if there are
        # none.
        self._ended: BoolArray | None = None
        # The last actions, slips and rewards, for pictures; kept only with a render mode.
        self._last: tuple[npt.NDArray[Any], BoolArray, FloatArray] | None = None
        self._return = np.zeros(self.num_envs if self.render_mode else 0)

    @property
    def P(self) -> TransitionDict:  # noqa: N802
        """Toy-text's dictionary: P[s][a] = [(probability, next_state, reward, terminated), ...]."""
        return self.mdp.P

    @property
    def initial_state_distrib(self) -> FloatArray:
        """The distribution of the state after a reset, of shape (n,)."""
        return self.mdp.initial

    def step(
        self, actions: npt.ArrayLike
    ) -> tuple[IntArray, FloatArray, BoolArray, BoolArray, dict[str, Any]]:
        """Take one step in every environment.

        Args:
            actions: Integers of shape (num_envs,): 0 (forward) or 1 (backward). The action of an
                environment that begins a new episode in this step is checked, and then ignored.

        Returns:
            Arrays of shape (num_envs,), which later steps do not change: the states; the rewards;
            False, as the chain never terminates; whether the episode was truncated; and infos.
            Infos are `prob` and `slipped` as in NChainEnv, with their masks `_prob` and `_slipped`.
            Under SAME_STEP there are also `final_obs` and `final_info` of the episodes that ended,
            with their masks.

        Raises:
            ResetNeeded: There was no reset yet.
            EpisodeOverError: Autoreset is disabled, and an episode has ended and was not reset.
            TypeError: The actions are not integers.
            ValueError: The actions have another shape, or some are neither 0 nor 1.

        After an error the states, the steps of the episodes and the generator are as before.
        """
        chosen = self._checked_actions(actions)
        if self._clock < 0:
            raise ResetNeeded(_RESET_FIRST)
        begin = self._ended
        if begin is not None and self.autoreset_mode is AutoresetMode.DISABLED:
            raise EpisodeOverError(
                "call reset(options={'reset_mask': ...}) before the next step: the episodes of "
                f"environments {np.flatnonzero(begin).tolist()} have ended"
            )

        uniform = self.np_random.random(out=self._uniform)
        slipped = uniform < self._slip
        index = chosen.astype(self._state.dtype)
        index += self._state
        index += self._state
        index += index
        index += slipped.view(np.uint8)
        first = uniform[:0] if begin is None else uniform[begin]
        outcome = uniform.view(np.int64)  # the numbers are not needed any more; reuse their memory
        outcome[:] = index
        observations = self._next_state.take(outcome)
        rewards = self._reward.take(outcome)
        infos = {
            "prob": self._probability.take(outcome),
            "_prob": self._everywhere.copy(),
            "slipped": slipped,
            "_slipped": self._everywhere.copy(),
        }
        self._clock += 1

        if begin is not None:
            self._ended = None
            rewards[begin] = 0
            self._begin(begin, first, observations, infos)
        if self._clock < self._next_end:
            truncations = np.zeros(self.num_envs, np.bool_)
        else:
            truncations = self._clock - self._began == self.max_episode_steps
            if self.autoreset_mode is AutoresetMode.SAME_STEP:
                final = _final(truncations, observations, infos)
                fresh = self.np_random.random(np.count_nonzero(truncations))
                self._begin(truncations, fresh, observations, infos)
                infos.update(final)
            else:
                self._ended = truncations.copy()
        self._state = observations.astype(self._state.dtype)
        if self.render_mode is not None:
            self._last = chosen.copy(), slipped.copy(), rewards.copy()
            self._return += rewards
            self._return[self._began == self._clock] = 0
        return observations, rewards, np.zeros(self.num_envs, np.bool_), truncations, infos

    def _begin(
        self, begin: BoolArray, uniform: FloatArray, observations: IntArray, infos: dict[str, Any]
    ) -> None:
        """Begin new episodes, and write their start states and infos over the outcomes."""
        observations[begin], infos["prob"][begin] = self._start(uniform)
        infos["slipped"][begin] = False
        self._set_clock(begin)

    def _start(self, uniform: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return the start states for uniform numbers, and their probabilities."""
        state = np.searchsorted(self.mdp.cumulative_initial, uniform, side="right")
        return state, self.mdp.initial[state]

    def _set_clock(self, begin: BoolArray) -> None:
        self._began[begin] = self._clock
        if self.max_episode_steps is not None:
            self._next_end = int(self._began.min()) + self.max_episode_steps

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[IntArray, dict[str, Any]]:
        """Begin new episodes, in state 0 or in `options["state"]`.

        Args:
            seed: The seed of a new generator for all environments, even if only some are reset.
                With None, the current generator is used further.
            options: `{"state": k}` starts in state k, in [0, n). `{"reset_mask": mask}`, an array
                of booleans of shape (num_envs,), resets the environments where it is True. There
                are no other options. The dictionary is not changed.

        Returns:
            The states of all environments, of shape (num_envs,), and infos: `prob`, the
            probability of the starting state, and `slipped`, False. Their masks `_prob` and
            `_slipped` are True where an environment was reset.

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
        state, probability = self._start(self.np_random.random(np.count_nonzero(begin)))
        self._state[begin] = state if start is None else start
        prob = np.zeros(self.num_envs)
        prob[begin] = probability if start is None else 1.0
        self._clock = max(self._clock, 0)
        self._set_clock(begin)
        if self._ended is not None:
            self._ended &= ~begin
            if not self._ended.any():
                self._ended = None
        if self.render_mode is not None:
            self._return[begin] = 0
        infos = {
            "prob": prob,
            "_prob": begin.copy(),
            "slipped": np.zeros(self.num_envs, np.bool_),
            "_slipped": begin.copy(),
        }
        return self._state.astype(np.int64), infos

    def render(self) -> tuple[Any, ...] | None:
        """Show each environment as NChainEnv does.

        Returns:
            A tuple of one string ("ansi") or image of shape (H, W, 3) ("rgb_array") for each
            environment; None without a render mode.

        Raises:
            ResetNeeded: There was no reset yet.
            DependencyNotInstalled: pygame is not installed, and the mode is "rgb_array". The extra
                `nchain-env[render]` installs it.
        """
        if self.render_mode is None:
            gym.logger.warn(
                "render() does nothing without a render mode: "
                'gym.make_vec("NChain-v0", render_mode="rgb_array")'
            )
            return None
        if self._clock < 0:
            raise ResetNeeded(_RESET_FIRST)
        from nchain_env.rendering import Renderer, Snapshot

        if self._renderer is None:
            self._renderer = Renderer(self.render_mode, self.metadata["render_fps"])
        frames = []
        for i, steps in enumerate((self._clock - self._began).tolist()):
            action, slipped, reward = None, False, 0.0
            if self._last is not None and steps > 0:
                action, slipped, reward = (column[i].item() for column in self._last)
            frames.append(
                self._renderer.draw(
                    Snapshot(
                        n=self.mdp.num_states,
                        state=int(self._state[i]),
                        action=action,
                        slipped=slipped,
                        reward=reward,
                        steps=steps,
                        total=float(self._return[i]),
                    )
                )
            )
        return tuple(frames)

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
        # The bitwise or of all actions is 0 or 1 only if each of them is.
        if int(np.bitwise_or.reduce(given)) not in (0, 1):
            wrong = given[(given != 0) & (given != 1)]
            raise ValueError(f"actions must be 0 (forward) or 1 (backward), got {wrong[0]}")
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


def _final(ended: BoolArray, observations: IntArray, infos: dict[str, Any]) -> dict[str, Any]:
    """Return `final_obs` and `final_info` of the episodes that ended, with their masks."""
    final_obs = np.full(ended.shape, None)
    final_obs[ended] = observations[ended]
    final_info = {
        "prob": np.where(ended, infos["prob"], 0.0),
        "_prob": ended.copy(),
        "slipped": ended & infos["slipped"],
        "_slipped": ended.copy(),
    }
    return {
        "final_obs": final_obs,
        "_final_obs": ended.copy(),
        "final_info": final_info,
        "_final_info": ended.copy(),
    }


_BYTES_PER_ENV = 128  # the state that is kept, and the arrays that a step returns

_RESET_FIRST = "call reset() before the first step() or render()"


def _checked_autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    for member in AutoresetMode:
        if mode is member or (isinstance(mode, str) and mode == member.value):
            return member
    allowed = ", ".join(repr(member.value) for member in AutoresetMode)
    raise ValueError(f"autoreset_mode must be an AutoresetMode or one of {allowed}, got {mode!r}")
