"""The environment NChain-v0."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Discrete

from nchain_env.chain import BACKWARD, FORWARD, chain_mdp
from nchain_env.checks import index, integer
from nchain_env.mdp import FloatArray, TabularMDP, TransitionDict
from nchain_env.uniform import raw_uniform, threshold

if TYPE_CHECKING:
    from nchain_env.rendering import Renderer


class NChainEnv(gym.Env[Any, Any]):
    """A chain of states with a small reward for going back and a large one at its end.

    ## Description
    Going forward leads one state up the chain, without a reward. In the last state, each further
    step forward has the large reward. Going backward leads to the first state and has the small
    reward. Sometimes the agent slips, and the opposite of the chosen action is executed. An agent
    that follows the first rewards always goes backward. On the default chain, the expected return
    of an episode of 1,000 steps is 1603.19 for always going backward, 3663.69 for always going
    forward, and 3665.83 for the optimal policy (`nchain solve`).

    ## Action Space
    `Discrete(2)`:
    - 0: forward
    - 1: backward

    ## Observation Space
    `Discrete(n)`: the number of the state, 0 the first and n - 1 the last.

    ## Starting State
    State 0, or the one that `reset(options={"state": k})` asks for.

    ## Transitions
    With probability `slip` the opposite of the chosen action is executed. The executed action
    determines the next state and the reward:

    | executed | in state | next state | reward |
    |---|---|---|---|
    | forward | s < n - 1 | s + 1 | 0 |
    | forward | n - 1 | n - 1 | `large` (10) |
    | backward | any | 0 | `small` (2) |

    Each action therefore has two outcomes. The slip is the first one:

    | chosen | probability | executed |
    |---|---|---|
    | forward | `slip` (0.2) | backward |
    | forward | 1 - `slip` (0.8) | forward |
    | backward | `slip` (0.2) | forward |
    | backward | 1 - `slip` (0.8) | backward |

    ## Rewards
    0, `small` or `large`, as in the table.

    ## Episode End
    The episode never terminates. `gym.make("NChain-v0")` truncates it after 1,000 steps. A learner
    must bootstrap from the last state of a truncated episode.

    ## Information
    `step` returns `{"prob": ..., "slipped": ...}`: the probability of the outcome, and whether the
    opposite action was executed. `reset` returns the same keys: the probability of the starting
    state, and False. The attribute `mdp` is the whole model; `P` and `initial_state_distrib` are
    the model in toy-text's form. As in OpenAI gym, `n`, `slip`, `small`, `large` and the current
    `state` can be read. A step and a reset draw one random number each, as in toy-text.

    ## Arguments
    ```python
    import gymnasium as gym
    import nchain_env

    gym.make("NChain-v0", n=5, slip=0.2, small=2.0, large=10.0)
    ```

    - `n`: the number of states, at least 1.
    - `slip`: the probability of a slip, in [0, 1].
    - `small`, `large`: the rewards, in [-1e300, 1e300].
    - `render_mode`: None, "human", "rgb_array" or "ansi". "human" and "rgb_array" need pygame-ce,
      which `nchain-env[render]` installs.

    An argument outside its range raises a ValueError.

    ## Vectorized Environment
    `gym.make_vec("NChain-v0", num_envs=N)` makes a `NChainVectorEnv`. Its arguments are keyword
    arguments of `make_vec`, not `vector_kwargs`.

    ## References
    - Dearden, R., Friedman, N., Russell, S. (1998). Bayesian Q-learning. AAAI.
    - Strens, M. (2000). A Bayesian Framework for Reinforcement Learning. ICML. Section 6.1.

    ## Version History
    - v0: as in OpenAI gym from 2016 to 2021, with Gymnasium's interface: `reset` takes the seed,
      the information has `slipped`, and the time limit truncates.
    """

    metadata = {"render_modes": ["human", "ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012
    # The generator that `_random_raw` draws from: none yet.
    _generator: object = object()
    _random_raw: Callable[[], int]

    def __init__(
        self,
        n: int = 5,
        slip: float = 0.2,
        small: float = 2.0,
        large: float = 10.0,
        render_mode: str | None = None,
    ) -> None:
        self.mdp = chain_mdp(n, slip, small, large)
        self.render_mode = checked_render_mode(render_mode, self.metadata["render_modes"])
        self.observation_space = Discrete(self.mdp.num_states)
        self.action_space = Discrete(self.mdp.num_actions)
        self.s: int | None = None
        # The last action, slip and reward, for pictures; kept only with a render mode.
        self._last: tuple[int, bool, float] | None = None
        self._steps, self._return = 0, 0.0
        self._renderer: Renderer | None = None

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
        self._mdp = mdp
        self._outcomes = _OutcomesByState(mdp)

    @property
    def n(self) -> int:
        """The number of states."""
        return self.mdp.num_states

    @property
    def slip(self) -> float:
        """The probability of a slip."""
        return float(self.mdp.probability[0, FORWARD, 0])

    @property
    def small(self) -> float:
        """The reward of going backward."""
        return float(self.mdp.reward[0, BACKWARD, 1])

    @property
    def large(self) -> float:
        """The reward of going forward in the last state."""
        return float(self.mdp.reward[-1, FORWARD, 1])

    @property
    def state(self) -> int | None:
        """The current state; None before the first reset."""
        return self.s

    @property
    def P(self) -> TransitionDict:  # noqa: N802
        """Toy-text's dictionary: P[s][a] = [(probability, next_state, reward, terminated), ...]."""
        return self.mdp.P

    @property
    def initial_state_distrib(self) -> FloatArray:
        """The distribution of the state after a reset, of shape (n,)."""
        return self.mdp.initial

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Execute `action`, or its opposite when the agent slips.

        Args:
            action: 0 (forward) or 1 (backward): a Python int, a NumPy integer or a 0-d array of
                integers. Bools and floats are not allowed.

        Returns:
            The state; the reward; False, as the chain never terminates; False, as the wrapper that
            `gym.make` adds truncates; and `{"prob": ..., "slipped": ...}`, the probability of the
            outcome and whether the opposite action was executed.

        Raises:
            ResetNeeded: There was no reset yet.
            ValueError: The action is neither 0 nor 1, or not an integer. The state and the
                generator are not changed.
        """
        # As keys of a dictionary, 1.0 and True equal 1.
        if type(action) not in _INTEGERS:
            action = _action_number(action)
        try:
            slip, slipped_outcome, outcome = self._outcomes[self.s][action]
        except KeyError:
            raise ValueError(_BAD_ACTION.format(action)) from None
        if self._np_random is not self._generator:  # another one, by reset or by assignment
            self._generator = self.np_random
            self._random_raw = raw_uniform(self._generator)
        if self._random_raw() < slip:
            outcome = slipped_outcome
        self.s, reward, terminated, info = outcome
        if self.render_mode is not None:
            self._last = int(action), info["slipped"], reward
            self._steps += 1
            self._return += reward
            if self.render_mode == "human":
                self.render()
        return self.s, reward, terminated, False, info.copy()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Go back to state 0, or to `options["state"]`.

        Args:
            seed: The seed of a new generator. With None, the current generator is used further.
            options: `{"state": k}` starts in state k, in [0, n). There are no other options.

        Returns:
            The state, and `{"prob": ..., "slipped": False}`: the probability of this starting
            state, and False, so that `reset` and `step` have the same keys.

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
        self._last = None
        self._steps, self._return = 0, 0.0
        if self.render_mode == "human":
            self.render()
        probability = float(self.mdp.initial[drawn]) if state is None else 1.0
        return self.s, {"prob": probability, "slipped": False}

    def render(self) -> str | npt.NDArray[np.uint8] | None:
        """Show the chain, the agent, the last action, a slip, the reward and the return so far.

        Returns:
            A string for "ansi"; an image of shape (H, W, 3) for "rgb_array"; None for "human" and
            without a render mode.

        Raises:
            ResetNeeded: There was no reset yet.
            DependencyNotInstalled: pygame is not installed, and the mode is not "ansi". The extra
                `nchain-env[render]` installs it.
        """
        if self.render_mode is None:
            gym.logger.warn(
                "render() does nothing without a render mode: "
                'gym.make("NChain-v0", render_mode="rgb_array")'
            )
            return None
        if self.s is None:
            raise ResetNeeded(_RESET_FIRST)
        from nchain_env.rendering import Renderer, Snapshot

        if self._renderer is None:
            self._renderer = Renderer(self.render_mode, self.metadata["render_fps"])
        action, slipped, reward = self._last or (None, False, 0.0)
        return self._renderer.draw(
            Snapshot(
                n=self.mdp.num_states,
                state=self.s,
                action=action,
                slipped=slipped,
                reward=reward,
                steps=self._steps,
                total=self._return,
            )
        )

    def get_keys_to_action(self) -> dict[tuple[int, ...], int]:
        """Return the keys for `gymnasium.utils.play`: f goes forward, b backward.

        The keys are tuples of key codes, which both `play` and `PlayableGame` accept.
        """
        return {(ord("f"),): FORWARD, (ord("b"),): BACKWARD}

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


_RESET_FIRST = "call reset() before the first step() or render()"

_BAD_ACTION = "action must be 0 (forward) or 1 (backward), got {!r}"

# The types of actions that need no conversion.
_INTEGERS = frozenset({int, *(np.dtype(code).type for code in np.typecodes["AllInteger"])})


def _action_number(action: Any) -> int:
    """Return an action of another type, such as a 0-d array from SB3's `predict`, as an int.

    Raises:
        ValueError: It is not an integer. Bools and floats are not integers.
    """
    try:
        return index(action)
    except TypeError:
        raise ValueError(_BAD_ACTION.format(action)) from None


# next state, reward, terminated, info
_Outcome = tuple[int, float, bool, dict[str, Any]]
# For each action: the threshold of a slip, the slipped outcome, the other outcome
_Outcomes = dict[int, tuple[int, _Outcome, _Outcome]]


class _OutcomesByState(dict[int | None, _Outcomes]):
    """The outcomes of each state as Python numbers, which are faster to read than arrays.

    A state's outcomes are added when it is first visited; those of a long chain need much memory.
    """

    def __init__(self, mdp: TabularMDP) -> None:
        super().__init__()
        self._mdp = mdp

    def __missing__(self, state: int | None) -> _Outcomes:
        if state is None:
            raise ResetNeeded(_RESET_FIRST)
        mdp = self._mdp
        columns = (mdp.next_state, mdp.reward, mdp.terminated, mdp.probability)
        rows = [column[state].tolist() for column in columns]
        outcomes: _Outcomes = {}
        for action in range(mdp.num_actions):
            slipped, not_slipped = (
                (next_state, reward, terminated, {"prob": probability, "slipped": slips})
                for next_state, reward, terminated, probability, slips in zip(
                    *(row[action] for row in rows), (True, False), strict=True
                )
            )
            slip = threshold(float(mdp.cumulative[state, action, 0]))
            outcomes[action] = slip, slipped, not_slipped
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
