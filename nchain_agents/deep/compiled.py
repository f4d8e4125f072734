"""KerasDQN's whole training loop as one compiled program, on an outcome table.

It uses the same random numbers as stepping, in the same order: they are drawn in advance by NumPy,
and afterwards the generators are set to the state in which stepping leaves them. So both learn the
same, up to the rounding of single precision.
"""

from __future__ import annotations

import time
from functools import cache, cached_property, partial
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from keras import ops

from nchain_agents.agent import OnEpisode, Progress
from nchain_agents.deep.backend import backend
from nchain_agents.deep.hyperparameters import Hyperparameters
from nchain_agents.deep.replay import LARGEST_REWARD, n_step_return
from nchain_agents.deep.training_state import TrainingState
from nchain_agents.interrupts import Pace, requested
from nchain_agents.model_env import model_env
from nchain_agents.schedules import decay_factor
from nchain_env.mdp import FloatArray
from nchain_env.uniform import split

# At most so many steps are taken, and about so many random numbers drawn, at a time.
_STEPS, _NUMBERS = 50_000, 150_000


class OutcomeArrays(NamedTuple):
    """The outcome table and the time limit, as the compiled program reads them."""

    next_state: Any  # (S A K,)
    reward: Any  # (S A K,)
    terminated: Any  # (S A K,)
    cumulative: Any  # (S A, K), split
    initial: Any  # (S,) cumulative, split
    limit: Any


class Numbers(NamedTuple):
    """The random numbers of up to n steps."""

    env: Any  # (2 n,), split: one a step and one a reset
    explore: Any  # (n,) compared with epsilon
    action: Any  # (n,) the action taken then
    index: Any  # (U, G, B) the transitions that each of U updates learns from


class Plan(NamedTuple):
    """What does not depend on the outcomes of the next n steps."""

    count: Any  # how many steps are taken
    row: Any  # (n,) where the transition is kept
    epsilon: Any  # (n,) before the decay by episodes
    decay: Any  # (n,) the factor for each episode
    due: Any  # (n,) whether the network learns after the step
    tau: Any  # (n,) the share of the network that goes into the target network before that


class Carry(NamedTuple):
    """The state of the program."""

    step: Any  # since the program began
    learner: Any  # the state of the learner
    rows: Any  # (T, 1, W) the replay buffer
    state: Any  # of the process
    elapsed: Any  # steps since the last reset
    episodes: Any  # finished in all
    used: Any  # how many of the numbers for the environment
    updates: Any  # how many of the updates' rows of indices
    loss: Any
    ended: Any  # whether the last step ended an episode
    outcomes: Any  # (n,) which of the S A K outcomes each step had
    ends: Any  # (n,) whether it ended an episode


class Program:
    """The training loop on one environment, which must be known to sample its outcome table."""

    def __init__(
        self, env: gym.Env[Any, Any], hyperparameters: Hyperparameters, learner: Any
    ) -> None:
        self._wrapped, self._hyperparameters, self._learner = env, hyperparameters, learner
        self.read_table()
        batch = hyperparameters.updates(1) * hyperparameters.batch_size
        per_step = 2 + batch / hyperparameters.train_freq
        self.chunk = max(min(_STEPS, int(_NUMBERS / per_step)), 1)
        self._pace = Pace(100)
        self.compiled_run = cache(lambda stop: backend().jit(partial(self.run, stop=stop)))

    def read_table(self) -> None:
        """Read the environment's table, which may have been changed since the last training."""
        self._env = model_env(self._wrapped)
        mdp = self._env.mdp
        self._rewards = mdp.reward.ravel()
        if np.abs(self._rewards).max() > LARGEST_REWARD:
            raise ValueError(f"env must have rewards of at most {LARGEST_REWARD:g} in its table")
        self.table = OutcomeArrays(
            mdp.next_state.ravel().astype(np.int32),
            self._rewards.astype(np.float32),
            mdp.terminated.ravel(),
            split(mdp.cumulative.reshape(-1, mdp.cumulative.shape[-1])),
            split(mdp.cumulative_initial),
            np.int32(min(self._env.max_episode_steps, 2**31 - 1)),
        )

    def learn(
        self, state: TrainingState, until: int, on_episode: OnEpisode, progress: Progress
    ) -> None:
        """Learn until `num_timesteps` is `until`, or `on_episode` returns False after an episode.

        `progress` is called after each chunk of steps.
        """
        stop = on_episode is not None
        # a program that stops after an episode gets few more steps than that
        chunk = min(self.chunk, max(int(self.table.limit), 100)) if stop else self.chunk
        carry = self.begin(state, chunk)
        while state.num_timesteps < until:
            start = time.perf_counter()
            # arrays have the shape of a whole chunk, so that the program is compiled once
            count = min(chunk, self._pace.steps, until - state.num_timesteps)
            try:
                plan = self.plan(state, count, chunk)
                numbers = self.numbers(state, plan)
                after = self.compiled_run(stop)(carry, self.table, numbers, plan)
                np.asarray(after.step)  # waits for it
            except BaseException:  # undo the chunk
                self.rewind(state, 0, 0)
                self.finish(state, carry)
                raise
            carry = after
            self.take_note(state, carry, plan)
            self._pace.took(int(carry.step), time.perf_counter() - start)
            progress()
            stops = requested()
            if (stop and carry.ended) or stops or state.num_timesteps >= until:
                self.finish(state, carry)
            if on_episode is not None and carry.ended:
                if not on_episode():
                    return
                carry = self.begin(state, chunk)
            if stops:
                return

    def run(
        self, carry: Carry, table: OutcomeArrays, numbers: Numbers, plan: Plan, stop: bool
    ) -> Carry:
        """Take the planned steps, or those to the end of an episode: a pure function."""
        hyperparameters, learner = self._hyperparameters, self._learner
        num_actions = self._env.mdp.num_actions

        def goes_on(carry: Carry) -> Any:
            more = carry.step < plan.count
            return more & ~carry.ended if stop else more

        def row_of(state: Any) -> Any:
            return ops.reshape(ops.cast(state, "float32"), (1, 1))

        def update(carry: Carry) -> Carry:
            index, newest = _at(numbers.index, carry.updates), _at(plan.row, carry.step)
            envs = ops.zeros_like(index)
            batches = n_step_return(
                carry.rows,
                index,
                envs,
                newest[None],
                hyperparameters.gamma,
                hyperparameters.n_steps,
                ops,
            )
            learned, _, loss = learner.pure_learn(
                carry.learner, batches, row_of(carry.state), _at(plan.tau, carry.step)
            )
            return carry._replace(learner=learned, loss=loss, updates=carry.updates + 1)

        def step(carry: Carry) -> Carry:
            i, s = carry.step, carry.state
            epsilon = _at(plan.epsilon, i)
            if hyperparameters.exploration_decay != 1.0:
                epsilon *= _at(plan.decay, i) ** ops.cast(carry.episodes + 1, "float32")
            values = learner.pure_values(carry.learner, row_of(s))[0]
            greedy = _first(values == ops.max(values))
            explores = _at(numbers.explore, i) < epsilon
            a = ops.where(explores, _at(numbers.action, i), greedy)
            pair = s * num_actions + a
            k = first_above(_both_at(table.cumulative, pair), _both_at(numbers.env, carry.used))
            outcome = pair * table.cumulative[0].shape[1] + k
            next_state = _at(table.next_state, outcome)
            terminated = _at(table.terminated, outcome)
            ended = terminated | (carry.elapsed + 1 >= table.limit)
            discount = ops.where(terminated, 0.0, hyperparameters.gamma)
            row = ops.stack(
                [
                    ops.cast(number, "float32")
                    for number in (s, next_state, a, _at(table.reward, outcome), discount, ended)
                ]
            )
            start = first_above(table.initial, _both_at(numbers.env, carry.used + 1))
            one = ops.cast(ended, "int32")
            carry = carry._replace(
                rows=ops.slice_update(carry.rows, (_at(plan.row, i), 0, 0), row[None, None]),
                state=ops.where(ended, start, next_state),
                elapsed=ops.where(ended, 0, carry.elapsed + 1),
                episodes=carry.episodes + one,
                used=carry.used + 1 + one,
                ended=ended,
                outcomes=ops.slice_update(carry.outcomes, (i,), outcome[None]),
                ends=ops.slice_update(carry.ends, (i,), ended[None]),
            )
            carry = ops.cond(_at(plan.due, i), lambda: update(carry), lambda: carry)
            return carry._replace(step=i + 1)

        zero = ops.zeros((), "int32")
        carry = carry._replace(step=zero, used=zero, updates=zero, ended=zero > 0)
        last: Carry = ops.while_loop(goes_on, lambda carry: (step(carry),), (carry,))[0]
        return last

    @cached_property
    def run_together(self) -> Any:
        """The same for several agents, vectorised over all but the plan; on JAX."""
        import jax

        return jax.jit(jax.vmap(partial(self.run, stop=False), in_axes=(0, 0, 0, None)))

    def begin(self, state: TrainingState, chunk: int) -> Carry:
        """Return the state of the program at the first step."""
        self._mark(state)
        env_state, elapsed = self._env.position
        return Carry(
            step=np.int32(0),
            learner=self._learner.state,
            rows=state.replay.rows,
            state=np.int32(env_state),
            elapsed=np.int32(elapsed),
            episodes=np.int32(len(state.episode_returns)),
            used=np.int32(0),
            updates=np.int32(0),
            loss=np.float32(self._learner.loss),
            ended=np.bool_(False),
            outcomes=np.zeros(chunk, np.int32),
            ends=np.zeros(chunk, np.bool_),
        )

    def plan(self, state: TrainingState, count: int, chunk: int) -> Plan:
        """Return the plan of the next `count` steps, padded to `chunk`."""
        hyperparameters, replay = self._hyperparameters, state.replay
        before = state.num_timesteps + np.arange(count)  # steps before each step
        calls = state.calls + 1 + np.arange(count)
        due = hyperparameters.learns(calls, before + 1)
        epsilon, decay = hyperparameters.schedule.parts(before, state.end)
        row = (replay.added[0] + np.arange(count)) % len(replay.rows)
        tau = np.where(due, hyperparameters.combined_tau(calls, 1), 0.0)
        return Plan(
            np.int32(count),
            _padded(row.astype(np.int32), chunk),
            _padded(epsilon.astype(np.float32), chunk),
            _padded(decay.astype(np.float32), chunk),
            _padded(due, chunk),
            _padded(tau.astype(np.float32), chunk),
        )

    def numbers(self, state: TrainingState, plan: Plan) -> Numbers:
        """Draw the random numbers for the planned steps."""
        count, replay, num_actions = int(plan.count), state.replay, self._env.mdp.num_actions
        chunk, due = len(plan.due), plan.due[:count]
        gradient_steps = self._hyperparameters.updates(1)
        batch = gradient_steps * self._hyperparameters.batch_size
        self._offsets = np.concatenate([[0], np.cumsum(2 + batch * due)])
        flat = state.np_random.random(int(self._offsets[-1]))
        at = self._offsets[:-1]
        (updates,) = np.nonzero(due)
        # each update learns from what is kept by then
        kept = np.minimum(replay.added[0] + updates + 1, len(replay.rows))
        uniform = flat[at[updates, None] + 2 + np.arange(batch)]
        index = np.zeros((chunk // self._hyperparameters.train_freq + 1, batch), np.int32)
        index[: len(updates)] = uniform * kept[:, None]
        return Numbers(
            tuple(
                _padded(part, 2 * chunk) for part in split(self._env.np_random.random(2 * count))
            ),
            _padded(flat[at].astype(np.float32), chunk),
            _padded((flat[at + 1] * num_actions).astype(np.int32), chunk),
            index.reshape(len(index), gradient_steps, self._hyperparameters.batch_size),
        )

    def take_note(self, state: TrainingState, carry: Carry, plan: Plan) -> None:
        """Count the steps that were taken, and set the generators accordingly."""
        count, returns = int(carry.step), state.returns
        self.rewind(state, int(self._offsets[count]), int(carry.used))
        state.num_timesteps += count
        state.calls += count
        state.replay.added += count
        rewards = self._rewards[np.asarray(carry.outcomes)[:count]]
        begin = 0
        for end in (np.flatnonzero(np.asarray(carry.ends)[:count]) + 1).tolist():
            state.episode_returns.append(_added(returns[0], rewards[begin:end]))
            returns[0], begin = 0.0, end
        returns[0] = _added(returns[0], rewards[begin:])
        # the last step's: an episode that ended with it does not count yet
        episodes = len(state.episode_returns) - int(carry.ended)
        decay = decay_factor(float(plan.decay[count - 1]), episodes)
        state.epsilon = decay * float(plan.epsilon[count - 1])

    def rewind(self, state: TrainingState, agent_numbers: int, env_numbers: int) -> None:
        """Put back all but so many of the random numbers drawn since the last mark."""
        generators = (state.np_random, self._env.np_random)
        drawn = zip(generators, self._marks, (agent_numbers, env_numbers), strict=True)
        for generator, mark, used in drawn:
            generator.bit_generator.state = mark
            generator.random(used)
        self._mark(state)

    def _mark(self, state: TrainingState) -> None:
        generators = (state.np_random, self._env.np_random)
        self._marks = [generator.bit_generator.state for generator in generators]

    def finish(self, state: TrainingState, carry: Carry) -> None:
        """Write the results to the training state and the environment."""
        self._learner.state = carry.learner
        self._learner.last_loss = carry.loss
        state.replay.rows = np.array(carry.rows)
        self._env.position = int(carry.state), int(carry.elapsed)
        state.observation = int(carry.state)
        self._learner.release()


def _at(array: Any, index: Any) -> Any:
    # TensorFlow compiles array[index] anew whenever what the index is computed from has changed
    return ops.take(array, index, axis=0)


def _both_at(pair: tuple[Any, ...], index: Any) -> tuple[Any, ...]:
    return tuple(_at(part, index) for part in pair)


def first_above(thresholds: tuple[Any, ...], number: tuple[Any, ...]) -> Any:
    """Return the index of the first threshold above the number, as `categorical_sample` does."""
    (high, low), (number_high, number_low) = thresholds, number
    return _first((high > number_high) | ((high == number_high) & (low > number_low)))


def _first(mask: Any) -> Any:
    """Return the first index where the mask is true, 0 if it is nowhere."""
    return ops.argmax(ops.cast(mask, "int32"))


def _added(total: float, rewards: FloatArray) -> float:
    """Return the sum, added in order: the rounding of `sum` depends on where a chunk ends."""
    return float(np.add.accumulate(np.concatenate([[total], rewards]))[-1])


def _padded(values: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    padded = np.zeros(length, values.dtype)
    padded[: len(values)] = values
    return padded
