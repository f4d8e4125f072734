"""What a learner of values may do: each explanation changes the update of Q-learning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from nchain_agents.check.experience import Experience
from nchain_env.mdp import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Update:
    """An update of Q(state, action) towards reward + discount V(next_state), arrays of shape (T,).

    Args:
        reward: The reward.
        discount: The factor of the next value; 0 where none is added.
        next_state: The state whose value is added.
        next_action: The action whose value is added in place of V; -1 where it is V.
        learned: Whether the transition is learned from.
        value: V, (S,), as a function of Q, (S, A).
        row: (S,) the row of the table that a state is looked up in.
        gamma: The discount factor.
    """

    reward: FloatArray
    discount: FloatArray
    next_state: IntArray
    next_action: IntArray
    learned: BoolArray
    value: Callable[[FloatArray], FloatArray]
    row: IntArray
    gamma: float


def q_learning(x: Experience, gamma: float) -> Update:
    """Return the update of Q-learning from recorded transitions.

    Source: Watkins 1989; Sutton & Barto 2018, section 6.5. At a time limit: Pardo et al. 2018, Time
        Limits in Reinforcement Learning, section 3.
    """
    return Update(
        reward=x.reward,
        discount=np.where(x.terminated, 0.0, gamma),
        next_state=x.next_state,
        next_action=np.full(len(x.state), -1),
        learned=~x.ghost,
        value=lambda q: np.asarray(q.max(axis=1)),
        row=np.arange(x.num_states),
        gamma=gamma,
    )


def _bootstrapping(update: Update, value: Callable[[FloatArray], FloatArray]) -> Update:
    """Return an update with these values of the next states, whatever the next actions are."""
    return replace(update, next_action=np.full_like(update.next_action, -1), value=value)


Change = Callable[..., Update]


@dataclass(frozen=True)
class Explanation:
    """What a learner may do in place of Q-learning.

    Args:
        name: A few words.
        change: The function of the experience, an update and, where there is one, the parameter,
            that returns the changed update.
        says: What the learner does, in one sentence.
        look_for: Where that usually comes from in code.
        source: Where it is described.
        parameter: The name of the parameter that is fitted; "" for none.
        choices: The values that the parameter may have, for S states.
        continuous: The parameter may have values between the choices, too.
    """

    name: str
    change: Change
    says: str
    look_for: str
    source: str
    parameter: str = ""
    choices: Callable[[int], list[Any]] = lambda states: [None]
    continuous: bool = False

    def changed(self, x: Experience, update: Update, parameter: Any) -> Update:
        """Return an update with this change."""
        return self.change(x, update, *([parameter] if self.parameter else []))


EXPLANATIONS: list[Explanation] = []


def explanation(name: str, **about: Any) -> Callable[[Change], Change]:
    """Register a change of the update as an explanation; see `Explanation`."""

    def register(change: Change) -> Change:
        EXPLANATIONS.append(Explanation(name, change, **about))
        return change

    return register


@explanation(
    "on-policy target",
    says="The target has the value of the actions that the agent takes, exploration included.",
    look_for="the next action in the target, as in Sarsa, where Q-learning takes the maximum",
    source="Sutton & Barto 2018, section 6.4",
)
def on_policy(x: Experience, update: Update) -> Update:
    """Return an update with the value of what the agent did next.

    At the end of an episode, it is the mean value of what it did there at other times.
    """
    policy = x.policy
    return replace(
        update,
        next_action=np.where(x.last, -1, np.append(x.action[1:], -1)),
        value=lambda q: np.asarray((policy * q).sum(axis=1)),
    )


@explanation(
    "epsilon-greedy target",
    says="The target has the value of an epsilon-greedy policy with epsilon {epsilon:.3g}.",
    look_for="an expectation over the policy in the target, as in Expected Sarsa, where Q-learning"
    " takes the maximum",
    source="Sutton & Barto 2018, section 6.6",
    parameter="epsilon",
    choices=lambda states: [0.1, 0.3, 0.6, 1.0],
    continuous=True,
)
def _epsilon_greedy(x: Experience, update: Update, epsilon: float) -> Update:
    return _bootstrapping(
        update, lambda q: np.asarray((1 - epsilon) * q.max(axis=1) + epsilon * q.mean(axis=1))
    )


@explanation(
    "truncation as termination",
    says="What follows a truncated step is dropped: the time limit is taken for the end.",
    look_for="`done = terminated or truncated` in the target; it must be `terminated` alone",
    source="Pardo et al. 2018, Time Limits in Reinforcement Learning",
)
def _truncation_as_termination(x: Experience, update: Update) -> Update:
    return replace(update, discount=np.where(x.truncated, 0.0, update.discount))


@explanation(
    "termination ignored",
    says="The target has the value of the next observation even where the episode terminated.",
    look_for="a target without the factor `1 - terminated`",
    source="Sutton & Barto 2018, section 3.4",
)
def _termination_ignored(x: Experience, update: Update) -> Update:
    return replace(update, discount=np.where(x.terminated, update.gamma, update.discount))


@explanation(
    "bootstraps from the reset",
    says="At an episode's end the target has the value of the next episode's first observation.",
    look_for="`next_observation` read after `reset`; a vector environment keeps the final one in"
    " `infos['final_obs']`",
    source="Gymnasium, vector environments' autoreset modes",
)
def _bootstraps_from_the_reset(x: Experience, update: Update) -> Update:
    return replace(update, next_state=np.where(x.ended, x.seen_next, update.next_state))


@explanation(
    "learns from ghost steps",
    says="It learns from the step in which a vector environment resets and ignores the action.",
    look_for="transitions after an episode's end in NEXT_STEP mode that are not left out",
    source="Gymnasium, vector environments' autoreset modes",
)
def _learns_from_ghost_steps(x: Experience, update: Update) -> Update:
    return replace(update, learned=update.learned | x.ghost)


@explanation(
    "previous reward",
    says="The target has the reward of the step before.",
    look_for="a reward that is stored one step late",
    source="Sutton & Barto 2018, section 3.1: R(t+1) follows S(t), A(t)",
)
def _previous_reward(x: Experience, update: Update) -> Update:
    return replace(update, reward=x.previous_reward)


@explanation(
    "reward clipped",
    says="Rewards are clipped to [-1, 1].",
    look_for="`np.clip` or `np.sign` of the reward, as for Atari",
    source="Mnih et al. 2015, Human-level control through deep reinforcement learning, methods",
)
def _reward_clipped(x: Experience, update: Update) -> Update:
    return replace(update, reward=np.clip(update.reward, -1.0, 1.0))


@explanation(
    "reward scaled",
    says="Rewards are multiplied by {scale:.3g}.",
    look_for="a normalisation of rewards; or a learning rate that multiplies only a part of the"
    " update: 1 / 0.8 = 1.25 in the tutorial's rule",
    source="docs/coming-from-gym.md has the tutorial's rule",
    parameter="scale",
    choices=lambda states: [-1.0, 0.01, 0.1, 0.3, 0.6, 0.8, 1.25, 1.6, 3.0, 10.0, 100.0],
    continuous=True,
)
def _reward_scaled(x: Experience, update: Update, scale: float) -> Update:
    return replace(update, reward=scale * update.reward)


@explanation(
    "reward shifted",
    says="Rewards have {shift:+.3g} added.",
    look_for="a bonus or a penalty for each step; a baseline subtracted from rewards",
    source="Ng, Harada & Russell 1999, Policy invariance under reward transformations",
    parameter="shift",
    choices=lambda states: [-10.0, -3.0, -1.0, -0.3, 0.3, 1.0, 3.0, 10.0],
    continuous=True,
)
def _reward_shifted(x: Experience, update: Update, shift: float) -> Update:
    return replace(update, reward=update.reward + shift)


@explanation(
    "gamma squared",
    says="The next value is multiplied by gamma twice.",
    look_for="two places that multiply by gamma",
    source="Sutton & Barto 2018, section 6.5",
)
def _gamma_squared(x: Experience, update: Update) -> Update:
    return replace(update, discount=update.discount * update.gamma, gamma=update.gamma**2)


@explanation(
    "gamma left out",
    says="The next value is not discounted.",
    look_for="a target without the factor gamma",
    source="Sutton & Barto 2018, section 3.3",
)
def _gamma_left_out(x: Experience, update: Update) -> Update:
    return replace(update, discount=np.sign(update.discount), gamma=1.0)


@explanation(
    "no bootstrap",
    says="The target is the reward alone, as with gamma 0.",
    look_for="a target without the next value, or one that is always masked",
    source="Sutton & Barto 2018, section 6.1",
)
def _no_bootstrap(x: Experience, update: Update) -> Update:
    return replace(update, discount=np.zeros_like(update.discount), gamma=0.0)


@explanation(
    "another gamma",
    says="The discount factor in effect is {gamma:.3g}.",
    look_for="a constant in place of the hyperparameter, or another default",
    source="Sutton & Barto 2018, section 3.3",
    parameter="gamma",
    choices=lambda states: [0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99],
    continuous=True,
)
def _another_gamma(x: Experience, update: Update, gamma: float) -> Update:
    return replace(update, discount=np.where(update.discount > 0, gamma, 0.0), gamma=gamma)


@explanation(
    "mean of the next values",
    says="The target has the mean of the next values in place of their maximum.",
    look_for="`.mean()` where `.max()` should be, often over the wrong axis",
    source="Sutton & Barto 2018, section 6.5",
)
def _mean_of_the_next_values(x: Experience, update: Update) -> Update:
    return _bootstrapping(update, lambda q: np.asarray(q.mean(axis=1)))


@explanation(
    "minimum of the next values",
    says="The target has the least of the next values in place of their maximum.",
    look_for="`.min()` in the target, or values whose sign is reversed",
    source="Sutton & Barto 2018, section 6.5",
)
def _minimum_of_the_next_values(x: Experience, update: Update) -> Update:
    return _bootstrapping(update, lambda q: np.asarray(q.min(axis=1)))


@explanation(
    "bootstraps from this state",
    says="The target has the largest value of this observation in place of the next one's.",
    look_for="`q[observation].max()` in the target, or an observation that is overwritten first",
    source="Sutton & Barto 2018, section 6.5",
)
def _bootstraps_from_this_state(x: Experience, update: Update) -> Update:
    return replace(_bootstrapping(update, update.value), next_state=x.state)


@explanation(
    "n-step returns, uncorrected",
    says="The target has {n} rewards of actions that exploration chose, without a correction.",
    look_for="n-step returns from a replay buffer without importance sampling or tree backup",
    source="Sutton & Barto 2018, section 7.3",
    parameter="n",
    choices=lambda states: [2, 3, 4, 5],
)
def _n_step(x: Experience, update: Update, n: int) -> Update:
    total, factor = update.reward.copy(), update.discount.copy()
    next_state, next_action = update.next_state, update.next_action
    at = np.arange(len(total))
    for _ in range(n - 1):
        goes_on = ~x.last[at]
        at = np.where(goes_on, at + 1, at)
        total += np.where(goes_on, factor * update.reward[at], 0.0)
        factor = np.where(goes_on, factor * update.discount[at], factor)
        next_state = np.where(goes_on, update.next_state[at], next_state)
        next_action = np.where(goes_on, update.next_action[at], next_action)
    return replace(
        update, reward=total, discount=factor, next_state=next_state, next_action=next_action
    )


@explanation(
    "last transition never learned",
    says="It does not learn from the last transition of an episode.",
    look_for="a loop that leaves before the update where `terminated or truncated`",
    source="Sutton & Barto 2018, section 6.5",
)
def _last_transition_never_learned(x: Experience, update: Update) -> Update:
    return replace(update, learned=update.learned & ~x.ended)


@explanation(
    "states confused",
    says="States {pair[0]} and {pair[1]} have the same values, as if they were one.",
    look_for="an encoding of observations that gives two of them the same input",
    source="Sutton & Barto 2018, section 17.3",
    parameter="pair",
    choices=lambda states: list(combinations(range(states), 2)),
)
def _states_confused(x: Experience, update: Update, pair: tuple[int, int]) -> Update:
    return replace(update, row=np.where(update.row == pair[1], pair[0], update.row))


ANOTHER_GAMMA = next(one for one in EXPLANATIONS if one.name == "another gamma")
