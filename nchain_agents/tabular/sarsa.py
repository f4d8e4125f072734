"""Sarsa (Rummery & Niranjan 1994; Sutton & Barto 2018, section 6.4)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nchain_agents.exploration import choose
from nchain_agents.tabular.loop import Settings, Transition
from nchain_agents.tabular.temporal_difference import TemporalDifferenceAgent, move
from nchain_env.mdp import FloatArray, IntArray


class SarsaTables(NamedTuple):
    """The action values and the visits, both (S, A), and the action A' that is taken next, (1,).

    A' is -1 where it is not chosen yet: at the beginning of an episode.
    """

    q: FloatArray
    visits: IntArray
    next_action: IntArray


def act(tables: SarsaTables, settings: Settings, state: int, epsilon: float, rng: Any) -> int:
    """Take the action A' of the last update; at the beginning of an episode choose one."""
    action = int(tables.next_action[0])
    tables.next_action[0] = -1
    if action < 0:
        action = choose(tables.q, state, epsilon, settings.temperature, rng)
    return action


def update(
    tables: SarsaTables, settings: Settings, transition: Transition, epsilon: float, rng: Any
) -> None:
    """Choose A' from S'; Q(S, A) <- Q(S, A) + alpha [R + gamma Q(S', A') - Q(S, A)]."""
    bootstrap = 0.0
    if not transition.terminated:
        next_state = transition.next_state
        next_action = choose(tables.q, next_state, epsilon, settings.temperature, rng)
        bootstrap = tables.q[next_state, next_action]
        if not transition.truncated:
            tables.next_action[0] = next_action
    move(tables.q, tables.visits, settings, transition, bootstrap)


class Sarsa(TemporalDifferenceAgent):
    """On-policy control: learn the value of the action that is taken next.

    Its arguments are those of `TemporalDifferenceAgent`. It learns the values of its own exploring
    policy, so epsilon must fall for it to find the optimal one.
    """

    act = staticmethod(act)
    # its values are those of the policy that it follows, exploration included
    on_policy = True
    update = staticmethod(update)

    def _initial_tables(self) -> SarsaTables:
        visits = np.zeros(self._shape, dtype=np.int64)
        return SarsaTables(self._initial_table(), visits, np.full(1, -1))

    def _bounds(self, name: str) -> tuple[int, int]:
        return (-1, self._shape[1] - 1) if name == "next_action" else super()._bounds(name)

    def _leave_episode(self) -> None:
        super()._leave_episode()
        self.tables.next_action[0] = -1
