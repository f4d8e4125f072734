"""The whole training loop as one compiled program, the environment included.

The environment is an outcome table (`table_env.py`) or functions of JAX (`functional_env.py`).

It uses the same random numbers as stepping, in the same order: NumPy's are drawn in advance, and
afterwards the generators are set to the state in which stepping leaves them. So both learn the
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
from nchain_agents.deep.ensemble import bootstrap_masks, next_members, numbers_per_step
from nchain_agents.deep.hyperparameters import Hyperparameters
from nchain_agents.deep.replay import LARGEST_REWARD, Batch, n_step_return
from nchain_agents.deep.stepped import check_finite
from nchain_agents.deep.table_env import TableEnv, at, first
from nchain_agents.deep.training_state import TrainingState
from nchain_agents.interrupts import Pace, requested
from nchain_agents.schedules import decay_factor
from nchain_env.mdp import FloatArray

# At most so many steps are taken, and about so many random numbers drawn, at a time.
_STEPS, _NUMBERS = 50_000, 150_000


class Numbers(NamedTuple):
    """The random numbers of up to n steps."""

    env: Any  # what the environment needs
    explore: Any  # (n,) compared with epsilon
    action: Any  # (n,) the action taken then
    index: Any  # (U, G, B) the transitions that each of U updates learns from
    member: Any  # (n,) the member of an ensemble that acts from the next episode on
    masks: Any  # (n, K) the members that learn from the transition


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
    position: Any  # of the environment
    elapsed: Any  # steps since the last reset
    member: Any  # of an ensemble, that acts in this episode
    episodes: Any  # finished in all
    used: Any  # how many of the numbers for the environment
    updates: Any  # how many of the updates' rows of indices
    loss: Any
    ended: Any  # whether the last step ended an episode
    invalid: Any  # whether it gave what cannot be learned from
    records: Any  # (n,) from which the environment tells the rewards
    ends: Any  # (n,) whether it ended an episode


class Program:
    """The training loop on one environment, which must be known to do what is compiled."""

    def __init__(
        self, env: gym.Env[Any, Any], hyperparameters: Hyperparameters, learner: Any
    ) -> None:
        self.env = _compilable(env)
        self._hyperparameters, self._learner = hyperparameters, learner
        batch = hyperparameters.updates(1) * hyperparameters.batch_size
        per_step = numbers_per_step(hyperparameters) + batch / hyperparameters.train_freq
        self.chunk = max(min(_STEPS, int(_NUMBERS / per_step)), 1)
        self._pace = Pace(100)
        self.compiled_run = cache(lambda stop: backend().jit(partial(self.run, stop=stop)))

    @property
    def constants(self) -> tuple[Any, Any]:
        """What the program reads of the environment: its arrays, and the time limit."""
        return self.env.arrays, np.int32(min(self.env.max_episode_steps, 2**31 - 1))

    def learn(
        self, state: TrainingState, until: int, on_episode: OnEpisode, progress: Progress
    ) -> None:
        """Learn until `num_timesteps` is `until`, or `on_episode` returns False after an episode.

        `progress` is called after each chunk of steps.
        """
        stop = on_episode is not None
        # a program that stops after an episode gets few more steps than that
        limit = max(self.env.max_episode_steps, 100)
        chunk = min(self.chunk, limit) if stop else self.chunk
        carry = self.begin(state, chunk)
        while state.num_timesteps < until:
            start = time.perf_counter()
            # arrays have the shape of a whole chunk, so that the program is compiled once
            count = min(chunk, self._pace.steps, until - state.num_timesteps)
            try:
                plan = self.plan(state, count, chunk)
                numbers = self.numbers(state, plan)
                run = partial(self.compiled_run(stop), carry, self.constants, numbers)
                after = run(plan)
                invalid = self.invalid(after, plan)  # waits for it
                if invalid is not None:  # take the steps before that one
                    plan = plan._replace(count=np.int32(after.step - 1))
                    after = run(plan)
            except BaseException:  # undo the chunk
                self.rewind(state, 0, 0)
                self.finish(state, carry)
                raise
            carry = after
            self.take_note(state, carry, plan)
            self._pace.took(int(carry.step), time.perf_counter() - start)
            progress()
            stops = requested()
            finished = state.num_timesteps >= until or invalid is not None
            if (stop and carry.ended) or stops or finished:
                self.finish(state, carry)
            if invalid is not None:
                refuse(state, invalid)
            if on_episode is not None and carry.ended:
                if not on_episode():
                    return
                carry = self.begin(state, chunk)
            if stops:
                return

    def run(self, carry: Carry, constants: Any, numbers: Numbers, plan: Plan, stop: bool) -> Carry:
        """Take the planned steps, or those to the end of an episode: a pure function.

        It ends early after a step that gave what cannot be learned from.
        """
        hyperparameters, learner, env = self._hyperparameters, self._learner, self.env
        (arrays, limit), members = constants, hyperparameters.ensemble_size

        def goes_on(carry: Carry) -> Any:
            more = (carry.step < plan.count) & ~carry.invalid
            return more & ~carry.ended if stop else more

        def update(carry: Carry) -> Carry:
            index, newest = at(numbers.index, carry.updates), at(plan.row, carry.step)
            envs = ops.zeros_like(index)
            batches = n_step_return(
                carry.rows,
                index,
                envs,
                newest[None],
                hyperparameters.gamma,
                hyperparameters.n_steps,
                ops,
                members,
            )
            learned, _, loss = learner.pure_learn(
                carry.learner, batches, env.row(carry.position), at(plan.tau, carry.step)
            )
            return carry._replace(learner=learned, loss=loss, updates=carry.updates + 1)

        def step(carry: Carry) -> Carry:
            i, row = carry.step, env.row(carry.position)
            epsilon = at(plan.epsilon, i)
            if hyperparameters.exploration_decay != 1.0:
                epsilon *= at(plan.decay, i) ** ops.cast(carry.episodes + 1, "float32")
            values = learner.pure_values(carry.learner, row)[0]
            if members:
                values = at(values, carry.member)
            greedy = first(values == ops.max(values))
            explores = at(numbers.explore, i) < epsilon
            a = ops.where(explores, at(numbers.action, i), greedy)
            after = env.step(arrays, numbers.env, carry.used, carry.position, a)
            ended = after.terminated | (carry.elapsed + 1 >= limit)
            discount = ops.where(after.terminated, 0.0, hyperparameters.gamma)
            rest = [ops.cast(number, "float32") for number in (a, after.reward, discount, ended)]
            parts = [row[0], env.row(after.position)[0], ops.stack(rest)]
            if members:
                parts.insert(0, at(numbers.masks, i))
            transition = ops.concatenate(parts)
            one = ops.cast(ended, "int32")
            carry = carry._replace(
                rows=ops.slice_update(carry.rows, (at(plan.row, i), 0, 0), transition[None, None]),
                position=env.restarted(arrays, numbers.env, carry.used + 1, after.position, ended),
                elapsed=ops.where(ended, 0, carry.elapsed + 1),
                member=ops.where(ended, at(numbers.member, i), carry.member),
                episodes=carry.episodes + one,
                used=carry.used + 1 + one,
                ended=ended,
                invalid=carry.invalid if after.valid is True else ~after.valid,
                records=ops.slice_update(carry.records, (i,), after.record[None]),
                ends=ops.slice_update(carry.ends, (i,), ended[None]),
            )
            carry = ops.cond(at(plan.due, i), lambda: update(carry), lambda: carry)
            return carry._replace(step=i + 1)

        zero = ops.zeros((), "int32")
        no = zero > 0
        carry = carry._replace(step=zero, used=zero, updates=zero, ended=no, invalid=no)
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
        position, elapsed = self.env.begin(state.observation)
        return Carry(
            step=np.int32(0),
            learner=self._learner.state,
            rows=state.replay.rows,
            position=position,
            elapsed=np.int32(elapsed),
            member=np.int32(state.members[0]),
            episodes=np.int32(len(state.episode_returns)),
            used=np.int32(0),
            updates=np.int32(0),
            loss=np.float32(self._learner.loss),
            ended=np.bool_(False),
            invalid=np.bool_(False),
            records=np.zeros(chunk, self.env.record_type),
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
        count, replay, num_actions = int(plan.count), state.replay, self.env.num_actions
        chunk, due = len(plan.due), plan.due[:count]
        gradient_steps = self._hyperparameters.updates(1)
        batch = gradient_steps * self._hyperparameters.batch_size
        per_step = numbers_per_step(self._hyperparameters)
        self._offsets = np.concatenate([[0], np.cumsum(per_step + batch * due)])
        flat = state.np_random.random(int(self._offsets[-1]))
        at = self._offsets[:-1]
        uniform = flat[at + np.arange(per_step)[:, None]]
        (updates,) = np.nonzero(due)
        # each update learns from what is kept by then
        kept = np.minimum(replay.added[0] + updates + 1, len(replay.rows))
        of_updates = flat[at[updates, None] + per_step + np.arange(batch)]
        index = np.zeros((chunk // self._hyperparameters.train_freq + 1, batch), np.int32)
        index[: len(updates)] = of_updates * kept[:, None]
        return Numbers(
            self.env.draw(count, chunk),
            _padded(uniform[0].astype(np.float32), chunk),
            _padded((uniform[1] * num_actions).astype(np.int32), chunk),
            index.reshape(len(index), gradient_steps, self._hyperparameters.batch_size),
            _padded(next_members(self._hyperparameters, uniform).astype(np.int32), chunk),
            _padded(bootstrap_masks(self._hyperparameters, uniform), chunk),
        )

    def invalid(self, carry: Carry, plan: Plan) -> Batch | None:
        """Return the last transition where it cannot be learned from."""
        if not carry.invalid:
            return None
        last = plan.row[int(carry.step) - 1]
        return Batch.of(np.asarray(carry.rows)[last], self._hyperparameters.ensemble_size)

    def take_note(self, state: TrainingState, carry: Carry, plan: Plan) -> None:
        """Count the steps that were taken, and set the generators accordingly."""
        count, returns, lengths = int(carry.step), state.returns, state.lengths
        self.rewind(state, int(self._offsets[count]), int(carry.used))
        if count == 0:
            return
        state.num_timesteps += count
        state.calls += count
        state.replay.added += count
        rewards = self.env.rewards(np.asarray(carry.records)[:count])
        begin = 0
        for end in (np.flatnonzero(np.asarray(carry.ends)[:count]) + 1).tolist():
            state.episode_returns.append(_added(returns[0], rewards[begin:end]))
            state.episode_lengths.append(int(lengths[0]) + end - begin)
            returns[0], lengths[0], begin = 0.0, 0, end
        returns[0] = _added(returns[0], rewards[begin:])
        lengths[0] += count - begin
        state.dones = np.array([bool(carry.ended)])
        # the last step's: an episode that ended with it does not count yet
        episodes = len(state.episode_returns) - int(carry.ended)
        decay = decay_factor(float(plan.decay[count - 1]), episodes)
        state.epsilon = decay * float(plan.epsilon[count - 1])

    def rewind(self, state: TrainingState, agent_numbers: int, env_numbers: int) -> None:
        """Put back all but so many of the random numbers drawn since the last mark."""
        state.np_random.bit_generator.state = self._state_before
        state.np_random.random(agent_numbers)
        self._mark(state)
        self.env.rewind(env_numbers)

    def _mark(self, state: TrainingState) -> None:
        self._state_before = state.np_random.bit_generator.state

    def finish(self, state: TrainingState, carry: Carry) -> None:
        """Write the results to the training state and the environment."""
        self._learner.state = carry.learner
        self._learner.last_loss = carry.loss
        state.replay.rows = np.array(carry.rows)
        state.members = np.array([carry.member], dtype=np.int64)
        state.observation = self.env.finish(carry.position, int(carry.elapsed))
        self._learner.release()


def _compilable(env: gym.Env[Any, Any]) -> Any:
    """Return the environment as the program steps it, NotKnown if it must be stepped itself."""
    if backend().__name__.endswith(".jax"):
        from gymnasium.envs.functional_jax_env import FunctionalJaxEnv

        from nchain_agents.deep.functional_env import FunctionalEnv

        if isinstance(env.unwrapped, FunctionalJaxEnv):
            return FunctionalEnv(env)
    return TableEnv(env)


def refuse(state: TrainingState, transition: Batch) -> None:
    """Stop the training with an error that says what of a transition cannot be learned from."""
    check_finite(state, transition.rewards, "reward", LARGEST_REWARD)
    for observations in (transition.observations, transition.next_observations):
        check_finite(state, observations, "observation")


def _added(total: float, rewards: FloatArray) -> float:
    """Return the sum, added in order: the rounding of `sum` depends on where a chunk ends."""
    return float(np.add.accumulate(np.concatenate([[total], rewards]))[-1])


def _padded(values: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    padded = np.zeros((length, *values.shape[1:]), values.dtype)
    padded[: len(values)] = values
    return padded
