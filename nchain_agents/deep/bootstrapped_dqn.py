"""Bootstrapped DQN with randomized prior functions (Osband, Aslanides & Cassirer 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy.typing as npt
from gymnasium.vector import VectorEnv

from nchain_agents.deep.hyperparameters import BootstrappedHyperparameters, Hyperparameters
from nchain_agents.deep.keras_dqn import KerasDQN, declare
from nchain_agents.env_argument import EnvLike
from nchain_agents.training_log import LogFolder
from nchain_env.mdp import FloatArray

if TYPE_CHECKING:  # the hyperparameters are attributes, which are added at the end of the file
    _Attributes = BootstrappedHyperparameters
else:
    _Attributes = object


class BootstrappedDQN(KerasDQN, _Attributes):
    """Deep Q-learning by an ensemble, whose members explore by being different.

    Each of the K members values actions by f(s, a) + prior_scale p(s, a). The network f learns,
    with a target network of its own; the prior p keeps its random initial weights. At the beginning
    of an episode one member is drawn, and acts greedily until the end. Where there is no evidence
    yet, its prior decides, and the agent follows one plan for a whole episode. All members learn
    from the one replay buffer, each from the transitions in its bootstrap mask.

    `predict` without `deterministic` acts as the member of the present episode does, and with it
    greedily by the mean of the members' values.

    Args:
        env: As for `KerasDQN`. In a vector environment each environment has a member of its own.
        **hyperparameters
        optimizer: A Keras optimizer to learn with, in place of Adam with learning_rate. It should
            treat each weight for itself, as Adam does, so that no member depends on another.
        seed: The seed of the agent and of its environment.
        tensorboard_log: A folder for TensorBoard's files; see `Agent`.

    Raises:
        ModuleNotFoundError: Keras or its backend is not installed.
        ValueError: A space is not supported, or a parameter is outside its range.

    Sources: Osband, Aslanides & Cassirer 2018, Randomized Prior Functions for Deep Reinforcement
        Learning, section 3 (NeurIPS 31); Osband, Blundell, Pritzel & Van Roy 2016, Deep
        Exploration via Bootstrapped DQN, section 3 (NeurIPS 29).
    """

    hyperparameters_type: ClassVar[type[Hyperparameters]] = BootstrappedHyperparameters

    def __init__(
        self,
        env: EnvLike | VectorEnv[Any, Any, Any],
        *,
        optimizer: Any = None,
        seed: int | None = None,
        tensorboard_log: LogFolder = None,
        **hyperparameters: Any,
    ) -> None:
        super().__init__(
            env, optimizer=optimizer, seed=seed, tensorboard_log=tensorboard_log, **hyperparameters
        )

    def q_values(self, observation: npt.ArrayLike) -> FloatArray:
        """Return the mean of the members' values, (A,) for one observation and (N, A) for a batch.

        Raises:
            ValueError: The observation does not fit the environment's space.
        """
        mean: FloatArray = self.member_values(observation).mean(axis=-2)
        return mean

    def member_values(self, observation: npt.ArrayLike) -> FloatArray:
        """Return each member's values, (K, A) for one observation and (N, K, A) for a batch.

        Raises:
            ValueError: The observation does not fit the environment's space.
        """
        return super().q_values(observation)

    def _exploring_values(self, observation: npt.ArrayLike) -> FloatArray:
        values = self.member_values(observation)
        acting: FloatArray = values[..., self.training_state.members[0], :]
        return acting


declare(BootstrappedDQN)
