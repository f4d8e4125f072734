"""DeepSea: a grid in which only one sequence of actions finds the reward; DeepSea-v0."""

from __future__ import annotations

from typing import Any

import numpy as np

from nchain_env.checks import fits, integer, one_of, real
from nchain_env.mdp import LARGEST_REWARD, TabularMDP
from nchain_env.tabular_env import TabularEnv
from nchain_env.vector_env import vector_form

_BYTES_PER_CELL = 600  # eight outcomes of 25 bytes, and the arrays used to make them


def deep_sea_mdp(
    size: int = 10,
    deterministic: bool = True,
    unscaled_move_cost: float = 0.01,
    mapping_seed: int | None = None,
) -> TabularMDP:
    """Return DeepSea as a table of outcomes of shape (size * size, 2, K), with K = 1 or 4.

    The state is the number of a cell of the grid, row * size + column. An episode starts in cell 0,
    in the upper left corner. Each step goes one row down, and one column to the left or to the
    right; at the sides of the grid, the column stays the same. A step to the right has the reward
    -unscaled_move_cost / size, and 1 in addition if it is taken in the last column. An episode
    terminates with the step taken in the last row, after `size` steps. The last column is reached
    only by steps to the right, so that one sequence of actions has the return
    1 - unscaled_move_cost. A terminated outcome's next state is the cell of the last row in the
    column it leads to; bsuite's observation is all zeros there.

    In the stochastic version, a step to the right stays in its column with probability 1 / size,
    and the rewards of the first and the last cell of the last row are noisy. A table holds finitely
    many outcomes, so that the noise is +1 or -1 with equal probability: it has the mean 0 and the
    variance 1 of the normal noise of bsuite.

    Args:
        size: The number of rows and columns, N in the papers, at least 1.
        deterministic: Whether the problem is deterministic, or the stochastic version.
        unscaled_move_cost: The cost of `size` steps to the right, in [-1e300, 1e300].
        mapping_seed: Which action goes to the right is drawn for every cell with this seed, in
            [0, 2^32), as bsuite draws it. None: action 1 goes to the right in every cell.

    Raises:
        ValueError: A parameter is outside its range.

    Sources: Osband et al. 2020, Behaviour Suite for Reinforcement Learning, appendix A.6 (ICLR);
        bsuite.environments.deep_sea. Osband et al. 2019, Deep Exploration via Randomized Value
        Functions, section 4 (JMLR 20).
    """
    size = integer("size", size, 1)
    fits("size", size, size * size * _BYTES_PER_CELL)
    deterministic = one_of("deterministic", deterministic, (True, False))
    cost = real("unscaled_move_cost", unscaled_move_cost, -LARGEST_REWARD, LARGEST_REWARD)
    right_action = np.ones(size * size, dtype=np.int64)
    if mapping_seed is not None:
        seed = integer("mapping_seed", mapping_seed, 0, 2**32)
        mapping = np.random.RandomState(seed).binomial(1, 0.5, [size, size])
        right_action = mapping.astype(np.int64).ravel()

    last = size - 1
    row, column = np.divmod(np.arange(size * size), size)
    # What the steps to the left and to the right may do, (2, M), and how probable that is, (M,).
    moves, chances, noise = np.array([[-1], [1]]), np.ones(1), np.zeros(1)
    if not deterministic:
        moves = np.array([[-1, -1], [1, 0]])
        chances, noise = np.array([1 - 1 / size, 1 / size]), np.array([1.0, -1.0])
    below = np.minimum(row + 1, last) * size
    next_state = below[:, None, None] + np.clip(column[:, None, None] + moves, 0, last)
    noisy = (row == last) & ((column == 0) | (column == last))
    reward = np.stack([np.zeros(size * size), (column == last) - cost / size], axis=1)
    # Each move is an outcome with every value of the noise.
    next_state = np.repeat(next_state, len(noise), axis=2)
    probability = np.repeat(chances, len(noise)) / len(noise)
    added = noisy[:, None] * np.tile(noise, len(chances))

    cell = np.arange(size * size)[:, None]
    executed = np.stack([1 - right_action, right_action], axis=1)  # by actions 0 and 1
    shape = next_state.shape
    return TabularMDP(
        next_state=next_state[cell, executed],
        probability=np.broadcast_to(probability, shape),
        reward=reward[cell, executed][:, :, None] + added[:, None, :],
        terminated=np.broadcast_to((row == last)[:, None, None], shape),
        initial=(np.arange(size * size) == 0).astype(np.float64),
    )


class DeepSeaEnv(TabularEnv):
    """A grid to be crossed from the upper left to the lower right corner, where the reward is.

    ## Description
    A diver sinks one row with each step, and moves one column to the left or to the right. Each
    step to the right costs a little, and only the diver who always goes to the right finds the
    treasure. Random actions find it with probability 2^-size, so that the number of episodes that
    an agent without deep exploration needs grows exponentially in `size`. The optimal return is
    0.99. That of random actions is -0.0040 for size 10, and that of any other sequence of actions
    is at most 0 (`nchain solve --env DeepSea-v0`).

    ## Action Space
    `Discrete(2)`:
    - 0: left
    - 1: right

    With a `mapping_seed`, action 1 is left in about half of the cells.

    ## Observation Space
    `Discrete(size * size)`: the number of the cell, row * size + column.

    ## Starting State
    Cell 0, the upper left corner. `reset(options={"state": k})` starts in cell k.

    ## Transitions
    Each step goes one row down, and one column to the left or to the right. At the sides, the
    column stays the same. In the stochastic version, a step to the right stays in its column with
    probability 1 / size.

    ## Rewards
    `-unscaled_move_cost / size` for a step to the right, and 1 for one in the last column. The
    stochastic version adds 1 or -1 with equal probability in the first and the last cell of the
    last row, where bsuite adds normal noise.

    ## Episode End
    The episode terminates with the step taken in the last row, after `size` steps. The time limit
    of `gym.make("DeepSea-v0")` is 1,000 steps.

    ## Information
    `step` returns `{"prob": ...}`, the probability of the outcome; `reset` returns 1.0. The
    attribute `mdp` is the whole model.

    ## Arguments
    ```python
    import gymnasium as gym
    import nchain_env

    gym.make("DeepSea-v0", size=20, mapping_seed=42)
    ```

    - `size`: the number of rows and columns, at least 1; 10 by default.
    - `deterministic`: True (the default), or False for the stochastic version.
    - `unscaled_move_cost`: the cost of `size` steps to the right, 0.01.
    - `mapping_seed`: None (the default), or the seed that decides which action is right in each
      cell, as in bsuite.
    - `render_mode`: None, "human", "rgb_array" or "ansi".

    An argument outside its range raises a ValueError.

    ## Vectorized Environment
    `gym.make_vec("DeepSea-v0", num_envs=N)` makes a `TabularVectorEnv`.

    ## References
    - Osband, I., et al. (2020). Behaviour Suite for Reinforcement Learning. ICLR. Appendix A.6.
    - Osband, I., Van Roy, B., Russo, D., Wen, Z. (2019). Deep Exploration via Randomized Value
      Functions. Journal of Machine Learning Research 20. Section 4.

    ## Version History
    - v0: the first version.
    """

    def __init__(
        self,
        size: int = 10,
        deterministic: bool = True,
        unscaled_move_cost: float = 0.01,
        mapping_seed: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        given: dict[str, Any] = {
            "size": size,
            "deterministic": deterministic,
            "unscaled_move_cost": unscaled_move_cost,
            "mapping_seed": mapping_seed,
        }
        if mapping_seed is None:
            self.action_names = ("left", "right")
        super().__init__(deep_sea_mdp(**given), render_mode)
        self._given = {**given, "render_mode": render_mode}


vector_env = vector_form(DeepSeaEnv)
