"""The training loop, a step at a time: for any environment, on any backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nchain_agents.agent import OnEpisode, Progress
from nchain_agents.deep.encoding import Float32Array
from nchain_agents.deep.ensemble import (
    bootstrap_masks,
    next_members,
    numbers_per_step,
    of_members,
)
from nchain_agents.deep.env_adapter import EnvAdapter, Step
from nchain_agents.deep.hyperparameters import Hyperparameters
from nchain_agents.deep.replay import LARGEST_REWARD
from nchain_agents.deep.training_state import TrainingState
from nchain_agents.interrupts import requested
from nchain_agents.schedules import decay_factor
from nchain_env.mdp import FloatArray


def learn_stepped(
    state: TrainingState,
    hyperparameters: Hyperparameters,
    env: EnvAdapter,
    until: int,
    on_episode: OnEpisode,
    progress: Progress,
) -> None:
    """Learn until `num_timesteps` is `until`, or `on_episode` after an episode returns False.

    `progress` is called after each episode.
    """
    schedule, numbers = hyperparameters.schedule, numbers_per_step(hyperparameters)
    rows = env.encoding.rows(state.observation, env.num_envs)
    check_finite(state, rows, "observation")
    # the action values of `rows`, where they came with the last update
    values: Float32Array | None = None
    while state.num_timesteps < until:
        epsilon, decay = schedule.parts(state.num_timesteps, state.end)
        state.epsilon = float(epsilon) * decay_factor(float(decay), len(state.episode_returns))
        uniform = state.np_random.random((numbers, env.num_envs))
        if values is None and (uniform[0] >= state.epsilon).any():
            values = state.learner.values(rows)
        greedy = 0 if values is None else of_members(values, state.members).argmax(axis=1)
        actions = epsilon_greedy(uniform, state.epsilon, greedy, env.num_actions)
        step = env.step(actions)
        _count(state, step)
        state.replay.add(
            rows,
            step.next_observations,
            actions,
            step.rewards,
            step.terminated,
            step.ended,
            step.valid,
            bootstrap_masks(hyperparameters, uniform),
        )
        rows, any_ended = step.next_observations, step.ended.any()
        if any_ended:
            new = next_members(hyperparameters, uniform)
            state.members = np.where(step.ended, new, state.members)
            rows = env.encoding.rows(step.observations, env.num_envs)
            check_finite(state, rows, "observation")
        values = _learn(state, hyperparameters, rows)
        if any_ended:
            progress()
            if on_episode is not None:
                state.learner.release()
                if not on_episode():
                    return
        if requested():
            return


def epsilon_greedy(uniform: FloatArray, epsilon: float, greedy: Any, num_actions: int) -> Any:
    """Return the greedy actions, or random ones where uniform[0] is below epsilon."""
    randomly = (uniform[1] * num_actions).astype(np.int64)
    return np.where(uniform[0] < epsilon, randomly, greedy)


def _count(state: TrainingState, step: Step) -> None:
    """Check and count a step."""
    rewards = step.rewards
    check_finite(state, rewards, "reward", LARGEST_REWARD)
    check_finite(state, step.next_observations, "observation")
    state.calls += 1
    if step.valid is None:
        state.num_timesteps += 1
        state.lengths += 1
    else:
        state.num_timesteps += int(np.count_nonzero(step.valid))
        state.lengths += step.valid
        rewards = np.where(step.valid, rewards, 0.0)
    state.returns += rewards
    state.observation = step.observations
    state.dones = step.ended
    if step.ended.any():
        state.episode_returns.extend(state.returns[step.ended].tolist())
        state.episode_lengths.extend(state.lengths[step.ended].tolist())
        state.returns[step.ended] = 0.0
        state.lengths[step.ended] = 0


def check_finite(
    state: TrainingState, numbers: npt.NDArray[Any], what: str, largest: float | None = None
) -> None:
    """Stop the training with an error where a number cannot be learned from."""
    fine = np.isfinite(numbers) if largest is None else np.abs(numbers) <= largest  # NaN is not
    if not fine.all():
        state.observation = None  # the next call of `learn` begins new episodes
        allowed = "finite" if largest is None else f"finite, and at most {largest:g}"
        raise ValueError(
            f"env gave the {what} {numbers.squeeze()} at step {state.num_timesteps + 1}; "
            f"it must be {allowed}, and training has stopped there"
        )


def _learn(
    state: TrainingState, hyperparameters: Hyperparameters, rows: Float32Array
) -> Float32Array | None:
    """Learn where it is time to, and return the values of `rows` after that."""
    if not hyperparameters.learns(state.calls, state.num_timesteps):
        return None
    num_envs = len(rows)
    updates = hyperparameters.updates(num_envs)
    uniform = state.np_random.random((updates, hyperparameters.batch_size))
    tau = hyperparameters.combined_tau(state.calls, num_envs)
    values: Float32Array = state.learner.learn(state.replay.sample(uniform), rows, tau)
    return values
