"""All that the training of a network changes, as one value."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nchain_agents.deep.replay import Replay
from nchain_env.mdp import BoolArray, FloatArray, IntArray


@dataclass
class TrainingState:
    """The state of a training; all else that the loops read is constant.

    The environment keeps its own state and generator.
    """

    # the networks and the optimizer; see the `Learner` of each backend
    learner: Any = field(init=False)
    replay: Replay = field(init=False)
    # the agent's generator
    np_random: np.random.Generator = field(init=False)
    # (N,) the rewards of the present episodes
    returns: FloatArray = field(init=False)
    # (N,) the numbers of their steps
    lengths: IntArray = field(init=False)
    # (N,) which of them the last step ended
    dones: BoolArray = field(init=False)
    # the return of every finished episode, and the number of its steps
    episode_returns: array[float] = field(default_factory=lambda: array("d"))
    episode_lengths: array[int] = field(default_factory=lambda: array("q"))
    # (N,) by which member of an ensemble the actions of the present episodes are chosen
    members: IntArray = field(init=False)
    # the last observations; None where the next step begins new episodes
    observation: Any = None
    # of the last step
    epsilon: float = 1.0
    num_timesteps: int = 0
    # of the environment's `step`, each of which may take several steps
    calls: int = 0
    # the number of steps at the end of the training, for epsilon's schedule
    end: int = 1
