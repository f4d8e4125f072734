"""Odd values for every parameter of the public names: refused by name, or answered with numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import Error

from nchain_env import NChainEnv, NChainVectorEnv, TabularMDP, chain_mdp, planning

# Of every type and size that an argument may have by mistake; few of them are right anywhere.
ODD: list[Any] = [
    *(None, True, False, 0, -1, 2, 5, 10**12, 2**63, 2**64, 10**400),
    *(0.0, -0.0, 0.5, 1.0, 1e300, 1.1e300, 1e308, -1e308, 5e-324, -5e-324, 1e-310),
    *(math.nan, math.inf, -math.inf, 1 - 2**-53, 1 - 1e-9, 1j),
    *(np.int8(1), np.int64(3), np.uint64(2**64 - 1), np.float16(0.5), np.float32(0.1)),
    *(np.longdouble("1e4000"), np.bool_(True), np.str_("x"), np.datetime64("NaT")),
    *(np.timedelta64(1, "s"), np.array(1), np.array(0.5), np.array([]), np.array([0, 1])),
    *(np.zeros((2, 2)), np.array(None), np.array("a")),
    *("", "x", "1", b"1", [], [1], [0] * 5, (), {}, {"state": 1}, {1: 2}, set(), range(5)),
    *([[0.5, 0.5]] * 5, [[1e308, -1e308]] * 5, [[math.nan] * 2] * 5),
    *(object(), int, math.sqrt, iter([1])),
]
EXTREME = [0.0, -0.0, 5e-324, 1e-310, 1e-160, 1e-17, 0.2, 0.5, 1 - 2**-53, 1.0]
REWARDS = [0.0, -0.0, 5e-324, 1.0, -2.0, 10**12, 1e150, -1e300, 1e300]


def check(
    names: str, value: Any, call: Callable[..., Any], *arguments: Any, **keywords: Any
) -> None:
    """Fail unless the call returns finite numbers or refuses `value` by a name of the parameter.

    NumPy's and Python's own errors would not say which parameter it was.
    """
    try:
        result = call(*arguments, **keywords)
    except Exception as error:
        named = any(name in str(error) for name in names.split())
        if type(error) not in (ValueError, TypeError, Error) or not named:
            raise AssertionError(f"{names} = {value!r} ended in {error!r}") from error
    else:
        assert all(np.isfinite(array).all() for array in numbers(result)), (names, value, result)


def numbers(result: Any) -> Iterator[Any]:
    if isinstance(result, TabularMDP):
        yield from (result.reward, result.probability, result.initial)
    elif isinstance(result, tuple):
        for part in result:
            yield from numbers(part)
    elif isinstance(result, int | float | np.ndarray):
        yield result


def played(**arguments: Any) -> Any:
    env = NChainEnv(**arguments)
    env.reset(seed=0)
    return sum(env.step(action)[1] for action in (0, 1, 0, 0, 1, 0))


def stepped(**arguments: Any) -> Any:
    envs = NChainVectorEnv(**arguments)
    envs.reset(seed=0)
    actions = np.zeros(envs.num_envs, np.int64)
    return sum(envs.step(actions)[1] for _ in range(5))


KINDS: tuple[Callable[..., Any], ...] = (NChainEnv, NChainVectorEnv)
CHAIN = ("n", "slip", "small", "large")
MDP = chain_mdp()
FIELDS = {
    name: getattr(MDP, name)
    for name in ("next_state", "probability", "reward", "terminated", "initial")
}
PLANS: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (planning.value_iteration, {"gamma": 0.9, "tolerance": 1e-9}),
    (planning.policy_iteration, {"gamma": 0.9}),
    (planning.evaluate_policy, {"policy": [0] * 5, "gamma": 0.9}),
    (planning.policy_return, {"policy": [0] * 5, "horizon": 10}),
    (planning.optimal_return, {"horizon": 10}),
    (planning.average_reward, {"policy": [0] * 5}),
    (planning.bias, {"policy": [0] * 5}),
    (planning.gaps, {"gamma": 0.9, "tolerance": 1e-9}),
    (planning.optimal_gain, {}),
    (planning.optimal_bias, {}),
    (planning.diameter, {}),
    (planning.restarting, {}),
]


@pytest.mark.parametrize("value", ODD, ids=range(len(ODD)))
class TestOddValues:
    def test_constructors(self, value: Any) -> None:
        own = ("num_envs", "max_episode_steps", "autoreset_mode", "render_mode")
        for call, names in (
            (chain_mdp, CHAIN),
            (played, (*CHAIN, "render_mode")),
            (stepped, (*CHAIN, *own)),
        ):
            for name in names:
                check(name, value, call, **{name: value})

    def test_steps_and_resets(self, value: Any) -> None:
        env, envs = NChainEnv(), NChainVectorEnv(5)
        env.reset(seed=0)
        envs.reset(seed=0)
        check("action", value, env.step, value)
        check("actions", value, envs.step, value)
        check("actions", value, envs.step, [value] * 5)
        for reset in (env.reset, envs.reset):
            check("Seed seed", value, reset, seed=value)
            check("options", value, reset, options=value)
            check("state", value, reset, options={"state": value})
            check("reset_mask", value, reset, options={"reset_mask": value})

    def test_tables(self, value: Any) -> None:
        for name, array in FIELDS.items():
            check(name, value, TabularMDP, **{**FIELDS, name: value})
            one_odd = array.astype(object)
            one_odd.flat[3] = value
            check(name, value, TabularMDP, **{**FIELDS, name: one_odd.tolist()})
        check("env", value, TabularMDP.from_env, value)

    def test_dictionaries(self, value: Any) -> None:
        for P in (value, {0: value}, {0: {0: value}}, {0: {0: [value]}}):
            check("P", value, TabularMDP.from_P, P, [1.0])
        for k in range(4):
            outcome: list[Any] = [1.0, 0, 0.0, False]
            outcome[k] = value
            names = "P[0][0][0] probability next_state reward"
            check(names, value, TabularMDP.from_P, {0: {0: [tuple(outcome)]}}, [1.0])
        check("initial", value, TabularMDP.from_P, {0: {0: [(1.0, 0, 0.0, False)]}}, value)

    def test_planning(self, value: Any) -> None:
        for plan, good in PLANS:
            check("mdp", value, plan, value, **good)
            for name in good:
                check(name, value, plan, MDP, **{**good, name: value})


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("slip", EXTREME)
def test_extreme_chains_have_finite_answers(n: int, slip: float) -> None:
    for small in REWARDS:
        for large in REWARDS[:: 1 if small else 2]:
            mdp = chain_mdp(n, slip, small, large)
            for policy in ([0] * n, [1] * n, ([0, 1] * n)[:n], [[0.5, 0.5]] * n):
                gain = planning.average_reward(mdp, policy)
                assert min(0, small, large) - 1e-9 <= gain * (1 - 1e-9)
                assert gain * (1 - 1e-9) <= max(0, small, large) + 1e-9
                check("mdp", mdp, planning.bias, mdp, policy)
            best = planning.optimal_gain(mdp)
            for action in (0, 1):
                assert planning.average_reward(mdp, [action] * n) <= best + 1e-9 * abs(best)
            check("mdp", mdp, planning.optimal_bias, mdp)
            assert math.isfinite(planning.policy_return(mdp, [0] * n, 20))
            assert math.isfinite(planning.optimal_return(mdp, 20))
            for gamma in (0.0, 5e-324, 0.9, 1 - 1e-9, 1 - 2**-53):
                check("gamma", gamma, planning.policy_iteration, mdp, gamma)


@pytest.mark.parametrize("reward", [1.1e300, -1.1e300, 1e308, -1.7e308])
def test_rewards_that_could_not_be_added_up_are_refused(reward: float) -> None:
    makers: list[Callable[..., Any]] = [chain_mdp, *KINDS]
    for make in makers:
        for name in ("small", "large"):
            with pytest.raises(ValueError, match=rf"^{name} must be a number in .*1e\+300"):
                make(**{name: reward})
    message = "^reward must be at most 1e\\+300 in size, .* added up; got 1"
    with pytest.raises(ValueError, match=message):
        TabularMDP(**{**FIELDS, "reward": np.full((5, 2, 2), reward)})
    env: Any = gym.make("FrozenLake-v1", is_slippery=False)
    env.unwrapped.P[0][0] = [(1.0, 0, reward, False)]
    with pytest.raises(ValueError, match=message):
        TabularMDP.from_env(env)


@pytest.mark.parametrize("size", [1e300, -1e300])
def test_the_largest_rewards_add_up_over_an_episode(size: float) -> None:
    mdp = chain_mdp(1, 0.0, size, size)
    assert planning.optimal_return(mdp, 1000) == pytest.approx(1000 * size)
    env, envs = (make(n=1, small=size, large=size, render_mode="ansi") for make in KINDS)
    env.reset(seed=0)
    envs.reset(seed=0)
    assert math.fsum(env.step(0)[1] for _ in range(50)) == pytest.approx(50 * size)
    for _ in range(50):
        envs.step([1])  # adds up what a picture shows


def test_values_beyond_all_doubles_are_refused_by_gamma() -> None:
    mdp = chain_mdp(3, 0.2, 1e300, 1e300)
    always_paid = chain_mdp(1, 0.2, 1e300, 1e300)
    assert planning.evaluate_policy(always_paid, [1], 0.9) == pytest.approx(1e301)
    for plan in (
        lambda: planning.evaluate_policy(mdp, [0] * 3, 1 - 1e-9),
        lambda: planning.policy_iteration(mdp, 1 - 1e-9),
        lambda: planning.value_iteration(mdp, 1 - 1e-9),
    ):
        with pytest.raises(
            ValueError, match=r"^gamma must be at most 0\.99999.* for rewards of 1e"
        ):
            plan()


def test_a_gamma_that_rounding_makes_1_is_refused() -> None:
    thirds = np.full((1, 1, 10), 0.1)  # ten times 0.1 * gamma is 1 to a machine
    shape = thirds.shape
    mdp = TabularMDP(
        np.zeros(shape, np.int64), thirds, np.ones(shape), np.zeros(shape, np.bool_), np.ones(1)
    )
    for gamma in (1 - 2**-53, 1 - 2**-52):
        check("gamma", gamma, planning.evaluate_policy, mdp, [0], gamma)
        check("gamma", gamma, planning.policy_iteration, mdp, gamma)


@pytest.mark.skipif(
    np.finfo(np.longdouble).maxexp <= np.finfo(np.float64).maxexp,
    reason="this machine has no numbers of a wider range than doubles",
)
@pytest.mark.parametrize("slip", [1e-18, 1e-100, 1e-200, 1e-300, 1e-310, 5e-324])
def test_two_states_that_are_all_but_never_left_share_the_time(slip: float) -> None:
    # Back in state 0 and forward elsewhere: both ends are left by one slip, so as much time is
    # spent at either, at 2 a step and at 10.
    assert planning.average_reward(chain_mdp(5, slip), [1, 0, 0, 0, 0]) == pytest.approx(6, 1e-12)
