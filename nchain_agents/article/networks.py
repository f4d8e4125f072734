"""The articles' networks: on the chain, on CartPole, in a grid world; and the same corrected.

Each function here is one run with one seed, to be called in a process of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from nchain_agents.article import published
from nchain_agents.article.wrappers import TerminationAsTruncation, TruncationAsTermination
from nchain_agents.callbacks import StopAtConvergence
from nchain_agents.presets import problem
from nchain_env import chain_mdp
from nchain_env.mdp import FloatArray, TabularMDP
from nchain_env.planning import policy_return

GAMES = 20  # greedy ones, after training on CartPole
SHORTEST = 6  # steps from the start of the grid world to its goal

# The article's learner on CartPole, then with one mistake after the other corrected.
CARTPOLE = (
    "as written",
    "terminal steps not bootstrapped",
    "with exploration",
    "replay buffer and target network",
    "truncation treated as termination",
)
GRID_WORLD = ("table", "network, as written", "replay buffer and target network")


@dataclass(frozen=True)
class Training:
    """The training of a network, and its greedy policy's result in the experiment's own measure."""

    steps: int
    episode_returns: FloatArray  # (E,) of the finished episodes of the training
    q: FloatArray  # (N, A) its values of some observations
    result: float


def _run(agent: Any, q: FloatArray, result: float) -> Training:
    return Training(agent.num_timesteps, np.array(agent.episode_returns), q, result)


def keras_network(
    inputs: int, hidden: tuple[int, ...], activation: str, outputs: int, seed: int
) -> Any:
    """Return a network with Keras's default initializer, seeded."""
    import keras

    seeds = iter(np.random.SeedSequence(seed).generate_state(len(hidden) + 1).tolist())

    def layer(units: int, activation: str) -> Any:
        weights = keras.initializers.GlorotUniform(seed=next(seeds))
        return keras.layers.Dense(units, activation=activation, kernel_initializer=weights)

    layers = [layer(units, activation) for units in hidden]
    return keras.Sequential([keras.Input((inputs,)), *layers, layer(outputs, "linear")])


def online_learner(env: Any, network: Any, seed: int, **changes: Any) -> Any:
    """Return a KerasDQN agent that learns as the tutorial does, but for the changes.

    The tutorial's loss is the mean over both actions, of which one has no error: half of ours. For
    Adam that is the same as an epsilon (by default 1e-7) twice as large.
    """
    import keras

    from nchain_agents.deep.keras_dqn import KerasDQN

    parameters = problem("tutorial").preset("keras-tutorial").parameters | changes
    optimizer = keras.optimizers.Adam(epsilon=2e-7)
    return KerasDQN(env, model=network, optimizer=optimizer, seed=seed, **parameters)


def tutorial_learner(seed: int) -> Any:
    """Return the tutorial's agent."""
    network = keras_network(5, (published.HIDDEN,), published.ACTIVATION, 2, seed)
    return online_learner("NChain-v0", network, seed)


def chain_as_written(seed: int, episodes: int) -> Training:
    """Train the tutorial's network; the result is its greedy policy's expected return."""
    return _chain_run(tutorial_learner(seed), episodes * published.STEPS)


def chain_corrected(seed: int, steps: int) -> Training:
    """Train a network with replay and a target network on the chain, by its preset."""
    return _chain_run(problem("nchain").preset("keras-dqn").make("NChain-v0", seed), steps)


def _chain_run(agent: Any, steps: int) -> Training:
    agent.learn(steps)
    q = agent.q_values(np.arange(5))
    return _run(agent, q, policy_return(chain_mdp(), q.argmax(axis=1), published.STEPS))


def cartpole(seed: int, version: str, steps: int) -> Training:
    """Train the article's 32-32-2 network on CartPole; the result is its mean greedy return.

    The values are those of the pole at rest, upright in the middle. The discount is not given;
    with 0.99 no true value exceeds 100.
    """
    env: Any = gym.make("CartPole-v1")
    if version in CARTPOLE[3:]:
        if version == CARTPOLE[4]:
            env = TruncationAsTermination(env)
        agent = problem("cartpole").preset("keras-dqn").make(env, seed)
    else:
        if version == CARTPOLE[0]:
            env = TerminationAsTruncation(env)
        explores = version == CARTPOLE[2]
        agent = online_learner(
            env,
            keras_network(4, (32, 32), "relu", 2, seed),
            seed,
            gamma=0.99,
            exploration_initial_eps=1.0 if explores else 0.0,
            exploration_final_eps=0.05 if explores else 0.0,
            exploration_fraction=0.5,
            exploration_decay=1.0,
        )
    agent.learn(steps)
    env.close()
    q = agent.q_values(np.zeros((1, 4), dtype=np.float32))
    return _run(agent, q, _greedy_return(agent, seed))


def _greedy_return(agent: Any, seed: int) -> float:
    """Return the mean reward of some greedy games of CartPole, which pays 1 a step."""
    envs = gym.make_vec("CartPole-v1", num_envs=GAMES)
    observations, _ = envs.reset(seed=seed)
    playing = np.ones(GAMES, dtype=np.bool_)
    total = 0
    while playing.any():
        actions, _ = agent.predict(observations, deterministic=True)
        observations, _, terminated, truncated, _ = envs.step(actions)
        total += int(playing.sum())
        playing &= ~(terminated | truncated)
    envs.close()
    return total / GAMES


def grid_world(seed: int, version: str, steps: int) -> Training:
    """Learn the grid world; the result is the number of steps to the goal, infinite if never.

    The table begins with random values and learns until it converges, or for so many steps.
    """
    task = problem("gridworld")
    env = gym.make(task.env, **task.parameters)
    mdp = TabularMDP.from_env(env)
    agent: Any
    if version == GRID_WORLD[0]:
        from nchain_agents.tabular.q_learning import QLearning

        parameters = task.preset("q-learning").parameters
        agent = QLearning(env, seed=seed, **parameters, initial_q=(0.0, 0.01))
    elif version == GRID_WORLD[1]:
        network = keras_network(mdp.num_states, (32,), "relu", mdp.num_actions, seed)
        agent = online_learner(env, network, seed)
    else:
        agent = task.preset("keras-dqn").make(env, seed)
    converged = StopAtConvergence(1e-9, window=1000) if version == GRID_WORLD[0] else None
    agent.learn(steps, callback=converged)
    q = agent.q_values(np.arange(mdp.num_states))
    env.close()
    return _run(agent, q, steps_to_goal(mdp, q.argmax(axis=1)))


def steps_to_goal(mdp: TabularMDP, policy: npt.NDArray[np.int64]) -> float:
    """Return after how many steps a policy is at the goal; infinite if it never gets there.

    The only outcome of a step is the first one. The goal is the terminal state that pays.
    """
    state = int(mdp.initial.argmax())
    for step in range(1, mdp.num_states + 1):
        outcome = (state, policy[state], 0)
        if mdp.terminated[outcome]:
            return float(step) if mdp.reward[outcome] > 0 else float("inf")
        state = int(mdp.next_state[outcome])
    return float("inf")
