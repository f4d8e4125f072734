"""The chain: NChain-v0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nchain_env.checks import real, size
from nchain_env.mdp import LARGEST_REWARD, TabularMDP
from nchain_env.tabular_env import TabularEnv
from nchain_env.vector_env import AutoresetMode, TabularVectorEnv

if TYPE_CHECKING:
    from nchain_env.rendering import Pictures

FORWARD, BACKWARD = 0, 1
_ACTION_NAMES = ("forward", "backward")

_BYTES_PER_STATE = 200  # four outcomes of 25 bytes, and the arrays used to make them


def chain_mdp(n: int = 5, slip: float = 0.2, small: float = 2.0, large: float = 10.0) -> TabularMDP:
    """Return the chain as a table of outcomes of shape (n, 2, 2).

    With probability `slip` the opposite of the chosen action is executed. The executed action
    determines the next state and the reward. Forward (0) goes one state up with reward 0; in the
    last state it stays there with reward `large`. Backward (1) goes to state 0 with reward
    `small`. Outcome 0 is the slip, outcome 1 the chosen action. Episodes start in state 0 and
    never terminate.

    Args:
        n: The number of states, at least 1.
        slip: The probability of a slip, in [0, 1].
        small: The reward of going backward, in [-1e300, 1e300].
        large: The reward of going forward in the last state, in [-1e300, 1e300].

    Raises:
        ValueError: A parameter is outside its range.

    Source: Strens 2000, A Bayesian Framework for Reinforcement Learning, section 6.1 (ICML).
    """
    n = size("n", n, _BYTES_PER_STATE)
    slip = real("slip", slip, 0, 1)
    small = real("small", small, -LARGEST_REWARD, LARGEST_REWARD)
    large = real("large", large, -LARGEST_REWARD, LARGEST_REWARD)

    states = np.arange(n)
    last = n - 1
    executed_next = np.stack([np.minimum(states + 1, last), np.zeros_like(states)], axis=1)
    executed_reward = np.stack([np.where(states == last, large, 0.0), np.full(n, small)], axis=1)
    # (A, K): the executed action for each chosen one, after a slip (first) and without (second)
    executed = np.array([[BACKWARD, FORWARD], [FORWARD, BACKWARD]])
    shape = (n, 2, 2)
    return TabularMDP(
        next_state=executed_next[:, executed],
        probability=np.broadcast_to(np.array([slip, 1 - slip]), shape),
        reward=executed_reward[:, executed],
        terminated=np.zeros(shape, dtype=np.bool_),
        initial=(states == 0).astype(np.float64),
    )


def _pictures() -> Pictures:
    from nchain_env.problems.chain_picture import CHAIN

    return CHAIN


class _Parameters:
    """The parameters of a chain, as its table has them."""

    mdp: TabularMDP

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


class NChainEnv(_Parameters, TabularEnv):
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
    opposite action was executed. `reset` returns the same keys, with 1.0 and False. The attribute
    `mdp` is the whole model; `P` and `initial_state_distrib` are the model in toy-text's form. As
    in OpenAI gym, `n`, `slip`, `small`, `large` and the current `state` can be read. A step and a
    reset draw one random number each, as in toy-text.

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

    action_names = _ACTION_NAMES
    pictures = staticmethod(_pictures)

    def __init__(
        self,
        n: int = 5,
        slip: float = 0.2,
        small: float = 2.0,
        large: float = 10.0,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(chain_mdp(n, slip, small, large), render_mode)

    @staticmethod
    def outcome_info(probability: Any, outcome: Any) -> dict[str, Any]:
        """Return the probability of an outcome, and whether it is the slip."""
        return {"prob": probability, "slipped": outcome == 0}

    @property
    def state(self) -> int | None:
        """The current state; None before the first reset."""
        return self.s

    def get_keys_to_action(self) -> dict[tuple[int, ...], int]:
        """Return the keys for `gymnasium.utils.play`: f goes forward, b backward.

        The keys are tuples of key codes, which both `play` and `PlayableGame` accept.
        """
        return {(ord("f"),): FORWARD, (ord("b"),): BACKWARD}


class NChainVectorEnv(_Parameters, TabularVectorEnv):
    """`num_envs` chains, stepped together by array operations.

    It is a TabularVectorEnv of the chain; its infos have `slipped` as those of NChainEnv.

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

    action_names = _ACTION_NAMES
    pictures = staticmethod(_pictures)

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
        super().__init__(
            chain_mdp(n, slip, small, large),
            num_envs,
            max_episode_steps=max_episode_steps,
            autoreset_mode=autoreset_mode,
            render_mode=render_mode,
        )

    @staticmethod
    def outcome_info(probability: Any, outcome: Any) -> dict[str, Any]:
        """Return the probabilities of outcomes, and whether they are slips."""
        # faster for an array than a comparison with 0
        return {"prob": probability, "slipped": np.logical_not(outcome)}
