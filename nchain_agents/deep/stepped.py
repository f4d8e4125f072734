"""KerasDQN's training loop, a step at a time: for any environment, on any backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nchain_agents.deep.encoding import Float32Array
from nchain_agents.deep.replay import LARGEST_REWARD
from nchain_agents.deep.worlds import Step
from nchain_agents.interrupts import requested
from nchain_agents.schedules import decay_factor

if TYPE_CHECKING:
    from nchain_agents.deep.keras_dqn import KerasDQN


def learn_stepped(
    agent: KerasDQN,
    until: int,
    on_episode: Callable[[], bool] | None,
    progress: Callable[[], None],
) -> None:
    """Learn until `num_timesteps` is `until`, or `on_episode` after an episode returns False.

    `progress` is told of each episode.

    Raises:
        ValueError: A reward or an observation is NaN or infinite.
    """
    num_envs, encoding = agent._world.num_envs, agent._encoding
    schedule = agent._schedule
    rows = encoding.rows(agent._observation, num_envs)
    _check(agent, rows, "observation")
    # the action values of `rows`, where they came with the last update
    values: Float32Array | None = None
    while agent.num_timesteps < until:
        epsilon, decay = schedule.parts(agent.num_timesteps, agent._end)
        agent._epsilon = float(epsilon) * decay_factor(float(decay), len(agent.episode_returns))
        uniform = agent.np_random.random((2, num_envs))
        if values is None and (uniform[0] >= agent._epsilon).any():
            values = agent._learner.values(rows)
        greedy = 0 if values is None else values.argmax(axis=1)
        actions = agent._explore(uniform, agent._epsilon, greedy)
        step = agent._world.step(actions)
        _count(agent, step)
        agent._replay.add(
            rows, step.reached, actions, step.rewards, step.terminated, step.ended, step.valid
        )
        rows, any_ended = step.reached, step.ended.any()
        if any_ended:
            rows = encoding.rows(step.following, num_envs)
            _check(agent, rows, "observation")
        values = _learn(agent, rows)
        if any_ended:
            progress()
            if on_episode is not None:
                agent._learner.release()
                if not on_episode():
                    return
        if requested():
            return


def _count(agent: KerasDQN, step: Step) -> None:
    """Take note of a step."""
    rewards = step.rewards
    _check(agent, rewards, "reward", LARGEST_REWARD)
    _check(agent, step.reached, "observation")
    agent._calls += 1
    if step.valid is None:
        agent.num_timesteps += 1
    else:
        agent.num_timesteps += int(np.count_nonzero(step.valid))
        rewards = np.where(step.valid, rewards, 0.0)
    agent._returns += rewards
    agent._observation = step.following
    if step.ended.any():
        agent.episode_returns.extend(agent._returns[step.ended].tolist())
        agent._returns[step.ended] = 0.0


def _check(
    agent: KerasDQN, numbers: npt.NDArray[Any], what: str, largest: float | None = None
) -> None:
    fine = np.isfinite(numbers) if largest is None else np.abs(numbers) <= largest  # NaN is not
    if not fine.all():
        agent._observation = None  # the next call of `learn` begins new episodes
        allowed = "finite" if largest is None else f"finite, and at most {largest:g}"
        raise ValueError(
            f"env gave the {what} {numbers.squeeze()} at step {agent.num_timesteps + 1}; "
            f"it must be {allowed}, and training has stopped there"
        )


def _learn(agent: KerasDQN, rows: Float32Array) -> Float32Array | None:
    """Learn where it is time to, and return the values of `rows` after that."""
    if not agent._due(agent._calls, agent.num_timesteps):
        return None
    uniform = agent.np_random.random((agent._updates, agent.batch_size))
    batches, share = agent._replay.sample(uniform), agent._target_share(agent._calls)
    values: Float32Array = agent._learner.learn(batches, rows, share)
    return values
