"""RiverSwim: a chain whose large reward lies upstream; RiverSwim-v0."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nchain_env.checks import fits, integer, one_of, real
from nchain_env.mdp import LARGEST_REWARD, TabularMDP
from nchain_env.tabular_env import TabularEnv
from nchain_env.vector_env import vector_form

LEFT, RIGHT = 0, 1

_BYTES_PER_STATE = 400  # six outcomes of 25 bytes, and the arrays used to make them


class _Variant(NamedTuple):
    """The default of each parameter in a paper, and what no parameter changes."""

    up: float
    down: float
    ends: float
    small: float
    large: float
    starts: tuple[int, ...]  # equally probable
    large_needs_stay: bool  # whether the last state pays only if the agent is not swept away


_VARIANTS = {
    "strehl2008": _Variant(0.3, 0.1, 0.3, 5.0, 10_000.0, (1, 2), True),
    "osband2013": _Variant(0.35, 0.05, 0.6, 0.005, 1.0, (0,), False),
}


def river_swim_mdp(
    n: int = 6,
    variant: str = "strehl2008",
    *,
    up: float | None = None,
    down: float | None = None,
    ends: float | None = None,
    small: float | None = None,
    large: float | None = None,
) -> TabularMDP:
    """Return RiverSwim as a table of outcomes of shape (n, 2, 3).

    Left (0) goes one state down the river with certainty, and stays in state 0 with reward `small`.
    Right (1) goes one state up with probability `up` and is swept one state down with probability
    `down`; otherwise it stays. In state 0 it goes up with probability `ends` and otherwise stays;
    in the last state it stays with probability `ends`, with reward `large`, and otherwise is swept
    down. All other rewards are 0. Outcomes 0, 1 and 2 are down, stay and up; at the ends of the
    river, the one that would leave it stays. Episodes never terminate.

    The variants differ in two more ways. In "strehl2008", episodes start in state 1 or 2, with
    equal probability. In "osband2013", they start in state 0, and right in the last state has the
    reward `large` whether it stays or is swept down.

    Args:
        n: The number of states, at least 3.
        variant: "strehl2008" or "osband2013", which define what the other arguments leave open.
        up: The probability that right goes up, in [0, 1]; 0.3 or 0.35.
        down: The probability that right is swept down, in [0, 1 - up]; 0.1 or 0.05.
        ends: The probability that right succeeds in state 0 and in the last one, in [0, 1]; 0.3 or
            0.6.
        small: The reward of left in state 0, in [-1e300, 1e300]; 5 or 0.005.
        large: The reward of right in the last state, in [-1e300, 1e300]; 10,000 or 1.

    Raises:
        ValueError: A parameter is outside its range.

    Sources: Strehl & Littman 2008, An analysis of model-based interval estimation for Markov
        decision processes, section 6 (JCSS 74). Osband, Russo & Van Roy 2013, (More) efficient
        reinforcement learning via posterior sampling, section 6 (NeurIPS), with the numbers of
        their program (iosband/psrl_2013).
    """
    n = integer("n", n, 3)
    fits("n", n, n * _BYTES_PER_STATE)
    paper = _VARIANTS[one_of("variant", variant, tuple(_VARIANTS))]
    up = real("up", paper.up if up is None else up, 0, 1)
    down = real("down", paper.down if down is None else down, 0, 1 - up)
    ends = real("ends", paper.ends if ends is None else ends, 0, 1)
    rewards = (-LARGEST_REWARD, LARGEST_REWARD)
    small = real("small", paper.small if small is None else small, *rewards)
    large = real("large", paper.large if large is None else large, *rewards)

    shape = (n, 2, 3)
    last = n - 1
    moved = np.arange(n)[:, None, None] + np.array([-1, 0, 1])
    probability = np.zeros(shape)
    probability[:, LEFT, 0] = 1.0
    probability[1:last, RIGHT] = [down, 1 - up - down, up]
    probability[0, RIGHT] = [0.0, 1 - ends, ends]
    probability[last, RIGHT] = [1 - ends, ends, 0.0]
    reward = np.zeros(shape)
    reward[0, LEFT] = small
    reward[last, RIGHT, 1 if paper.large_needs_stay else slice(None)] = large
    initial = np.zeros(n)
    initial[list(paper.starts)] = 1 / len(paper.starts)
    return TabularMDP(
        next_state=np.broadcast_to(np.clip(moved, 0, last), shape),
        probability=probability,
        reward=reward,
        terminated=np.zeros(shape, dtype=np.bool_),
        initial=initial,
    )


class RiverSwimEnv(TabularEnv):
    """A river with a small reward downstream and a large one upstream, against the current.

    ## Description
    The agent swims in a river. Swimming to the left, with the current, always succeeds and has a
    small reward in the first state. Swimming to the right, against the current, often fails, and
    has a large reward in the last state. An agent without persistent exploration never finds the
    large reward. In an episode of 1,000 steps, the expected return is 661,264 for the optimal
    policy, which is always to swim to the right, 4,992.5 for always to the left, and 2,893.7 for
    random actions (`nchain solve --env RiverSwim-v0`, and the examples below for the left).

    ## Action Space
    `Discrete(2)`:
    - 0: left
    - 1: right

    ## Observation Space
    `Discrete(n)`: the number of the state, 0 the first and n - 1 the last.

    ## Starting State
    State 1 or 2, with equal probability; state 0 for `variant="osband2013"`.
    `reset(options={"state": k})` starts in state k.

    ## Transitions

    | action | in state | probability | next state | reward |
    |---|---|---|---|---|
    | left | 0 | 1 | 0 | `small` (5) |
    | left | s > 0 | 1 | s - 1 | 0 |
    | right | 0 | `ends` (0.3) | 1 | 0 |
    | right | 0 | 1 - `ends` (0.7) | 0 | 0 |
    | right | 0 < s < n - 1 | `up` (0.3) | s + 1 | 0 |
    | right | 0 < s < n - 1 | `down` (0.1) | s - 1 | 0 |
    | right | 0 < s < n - 1 | otherwise (0.6) | s | 0 |
    | right | n - 1 | `ends` (0.3) | n - 1 | `large` (10,000) |
    | right | n - 1 | 1 - `ends` (0.7) | n - 2 | 0 |

    ## Rewards
    0, `small` or `large`, as in the table.

    ## Episode End
    The episode never terminates. `gym.make("RiverSwim-v0")` truncates it after 1,000 steps. A
    learner must bootstrap from the last state of a truncated episode.

    ## Information
    `step` returns `{"prob": ...}`, the probability of the outcome; `reset` returns 1.0. The
    attribute `mdp` is the whole model.

    ## Arguments
    ```python
    import gymnasium as gym
    import nchain_env

    gym.make("RiverSwim-v0", variant="osband2013", max_episode_steps=20)
    ```

    - `n`: the number of states, at least 3; 6 by default.
    - `variant`: "strehl2008" (the default) or "osband2013". The second has the rewards 0.005 and 1,
      `up` 0.35, `down` 0.05 and `ends` 0.6, starts in state 0, and pays `large` for right in the
      last state whether the agent stays or is swept down.
    - `up`, `down`, `ends`: the probabilities.
    - `small`, `large`: the rewards.
    - `render_mode`: None, "human", "rgb_array" or "ansi".

    An argument outside its range raises a ValueError; `river_swim_mdp` describes the ranges.

    ## Vectorized Environment
    `gym.make_vec("RiverSwim-v0", num_envs=N)` makes a `TabularVectorEnv`.

    ## References
    - Strehl, A., Littman, M. (2008). An analysis of model-based interval estimation for Markov
      decision processes. Journal of Computer and System Sciences 74. Section 6.
    - Osband, I., Russo, D., Van Roy, B. (2013). (More) efficient reinforcement learning via
      posterior sampling. NeurIPS. Section 6.

    ## Version History
    - v0: the first version.
    """

    action_names = ("left", "right")

    def __init__(
        self,
        n: int = 6,
        variant: str = "strehl2008",
        *,
        up: float | None = None,
        down: float | None = None,
        ends: float | None = None,
        small: float | None = None,
        large: float | None = None,
        render_mode: str | None = None,
    ) -> None:
        given = {"up": up, "down": down, "ends": ends, "small": small, "large": large}
        super().__init__(river_swim_mdp(n, variant, **given), render_mode)
        self._given = {"n": n, "variant": variant, **given, "render_mode": render_mode}


vector_env = vector_form(RiverSwimEnv)
