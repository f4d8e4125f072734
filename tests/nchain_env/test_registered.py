"""All environments of the package, as Gymnasium and stable-baselines3 use them."""

import itertools
import subprocess
import sys
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv

import nchain_env
from nchain_env import NChainVectorEnv, TabularEnv, TabularVectorEnv, planning, random_mdp

IDS = ["NChain-v0", "RiverSwim-v0", "DeepSea-v0"]
KINDS: list[Any] = [
    lambda: gym.make("NChain-v0"),
    lambda: gym.make("RiverSwim-v0", variant="osband2013", n=9),
    lambda: gym.make("DeepSea-v0", deterministic=False, mapping_seed=1),
    lambda: TabularEnv(random_mdp(7, 3, 4, seed=2, termination=0.1)),
    lambda: TabularEnv(random_mdp(50, 5, 20, seed=3), render_mode="ansi"),
]


@pytest.mark.parametrize("make", KINDS)
def test_the_checkers_of_gymnasium_and_stable_baselines3_find_nothing(make: Any) -> None:
    env = make()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check=True)
        sb3 = pytest.importorskip("stable_baselines3.common.env_checker")
        sb3.check_env(env.unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_one_of_the_vector_form_is_the_environment(env_id: str) -> None:
    limits: dict[str, Any] = {"max_episode_steps": 25}
    envs: Any = gym.make_vec(env_id, num_envs=1, **limits)
    assert isinstance(envs, NChainVectorEnv if env_id == "NChain-v0" else TabularVectorEnv)
    peer = SyncVectorEnv([lambda: gym.make(env_id, **limits)])
    assert envs.action_names == peer.envs[0].unwrapped.action_names  # type: ignore[attr-defined]
    assert envs.reset(seed=4)[0] == peer.reset(seed=4)[0]
    for action in np.random.default_rng(5).integers(0, 2, (200, 1)):
        ours, theirs = envs.step(action), peer.step(action)
        for one, other in zip(ours[:-1], theirs[:-1], strict=True):
            assert one.tolist() == other.tolist()
        assert {name: values.tolist() for name, values in ours[-1].items()} == {
            name: values.tolist() for name, values in theirs[-1].items()
        }


@pytest.mark.parametrize("env_id", IDS[:2])
def test_only_the_best_policies_reach_the_reward_threshold(env_id: str) -> None:
    env = gym.make(env_id)
    mdp = env.unwrapped.mdp  # type: ignore[attr-defined]
    assert env.spec is not None
    threshold, limit = env.spec.reward_threshold, env.spec.max_episode_steps
    assert threshold is not None
    assert limit is not None
    policies = itertools.product(range(mdp.num_actions), repeat=mdp.num_states)
    returns = {p: planning.policy_return(mdp, np.array(p), limit) for p in policies}
    above = {policy for policy, value in returns.items() if value >= threshold}
    best = (0,) * 5 if env_id == "NChain-v0" else (1,) * 6
    assert above == {best}


def test_only_the_one_path_reaches_deep_seas_reward_threshold() -> None:
    env: Any = gym.make("DeepSea-v0")
    returns = []
    for wrong in (None, *range(10)):  # all to the right but one
        env.reset(seed=0)
        returns.append(sum(env.step(int(i != wrong))[1] for i in range(10)))
    assert [value >= env.spec.reward_threshold for value in returns] == [True] + [False] * 10


@pytest.mark.parametrize("env_id", IDS)
def test_a_spec_survives_as_text_and_needs_no_import_before(env_id: str) -> None:
    spec = gym.spec(env_id)
    assert EnvSpec.from_json(spec.to_json()) == spec
    program = f"import gymnasium; gymnasium.make('nchain_env:{env_id}').reset(seed=0)"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_the_environments_are_registered_as_gymnasium_documents_it() -> None:
    gym.register_envs(nchain_env)
    assert set(IDS) <= set(gym.registry)


def test_deep_sea_of_2500_states_is_stepped_and_solved() -> None:
    envs: Any = gym.make_vec("DeepSea-v0", num_envs=100, size=50, mapping_seed=3)
    states, _ = envs.reset(seed=0)
    policy, _ = planning.policy_iteration(envs.mdp, 0.999)
    total = np.zeros(100)
    for _ in range(50):
        states, rewards, terminations, _, _ = envs.step(policy[states])
        total += rewards
    assert terminations.all()
    np.testing.assert_allclose(total, 0.99, rtol=0, atol=1e-12)
