import copy
import itertools
import pickle
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import Error, ResetNeeded
from gymnasium.spaces import Discrete, MultiDiscrete
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import TimeLimit
from hypothesis import given, settings
from hypothesis import strategies as st

from nchain_env import NChainEnv, NChainVectorEnv
from nchain_env.rendering import Renderer, Snapshot
from nchain_env.vector_env import AutoresetMode

MODES = list(AutoresetMode)
# Gymnasium 1.0 knows neither other modes nor resets of some environments only.
GYMNASIUM_HAS_MODES = hasattr(gym.vector, "AutoresetMode")
SETTINGS = settings(deadline=None, derandomize=True, max_examples=100)


class Share:
    """Stands in for the generator of one environment of several that share one stream."""

    def __init__(self) -> None:
        self.numbers: deque[float] = deque()
        self.rest: deque[float] = deque()

    def random(self) -> float:
        return self.numbers.popleft() if self.numbers else self.rest.popleft()


class Twin:
    """SyncVectorEnv over NChainEnvs that take the numbers of one generator in turn."""

    def __init__(
        self, num_envs: int, max_episode_steps: int | None, mode: AutoresetMode, **game: Any
    ) -> None:
        def make() -> gym.Env[Any, Any]:
            env = NChainEnv(**game)
            return env if max_episode_steps is None else TimeLimit(env, max_episode_steps)

        options: dict[str, Any] = {"autoreset_mode": mode} if GYMNASIUM_HAS_MODES else {}
        self.envs = SyncVectorEnv([make] * num_envs, **options)
        self.shares = [Share() for _ in range(num_envs)]
        for env, share in zip(self.envs.envs, self.shares, strict=True):
            env.unwrapped.np_random = share  # type: ignore[assignment]

    def seed(self, seed: int) -> None:
        """Begin the stream anew; what a call takes beyond one number each comes after these."""
        self.stream = np.random.default_rng(seed)

    def feed(self, which: list[bool] | None = None) -> None:
        chosen = [s for s, yes in zip(self.shares, which or itertools.repeat(True)) if yes]  # noqa: B905
        for share, number in zip(chosen, self.stream.random(len(chosen)), strict=True):
            share.numbers.append(float(number))
        ahead = copy.deepcopy(self.stream)
        rest = deque(ahead.random(len(self.shares)).tolist())
        self.before = len(rest)
        for share in self.shares:
            share.rest = rest

    def taken(self) -> None:
        rest = self.shares[0].rest
        self.stream.random(self.before - len(rest))
        assert not any(share.numbers for share in self.shares)

    def reset(self, **arguments: Any) -> Any:
        options = dict(arguments.pop("options", None) or {})
        mask = options.get("reset_mask")
        self.feed(None if mask is None else mask.tolist())
        result = self.envs.reset(options=options, **arguments)
        self.taken()
        return result

    def step(self, actions: Any) -> Any:
        self.feed()
        result = self.envs.step(actions)
        self.taken()
        return result


def assert_same(ours: Any, theirs: Any) -> None:
    """Compare to the last type: tuples, infos and arrays, and what object arrays hold."""
    assert type(ours) is type(theirs)
    if isinstance(theirs, tuple):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    elif isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key in theirs:
            assert_same(ours[key], theirs[key])
    elif isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        assert_same(ours.tolist(), theirs.tolist())
    elif isinstance(theirs, list):
        assert ours == theirs
        assert [type(item) for item in ours] == [type(item) for item in theirs]
    else:
        assert ours == theirs


def rollout(env: NChainVectorEnv, steps: int, seed: int = 7) -> list[Any]:
    actions = np.random.default_rng(seed).integers(0, 2, (steps, env.num_envs))
    return [env.step(row) for row in actions]


def snapshot(env: NChainVectorEnv) -> Any:
    """Everything a refused call must leave alone, as the next steps show it."""
    results: list[Any] = [env.np_random.bit_generator.state]
    twin = copy.deepcopy(env)
    for _ in range(6):
        try:
            results += rollout(twin, 1)
        except ResetNeeded:
            results.append(twin.reset())
    return tuple(results)


games = st.fixed_dictionaries(
    {
        "n": st.integers(1, 9) | st.sampled_from([64, 65, 200, 300]),
        "slip": st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]),
        "small": st.sampled_from([2.0, -1.5]),
        "large": st.sampled_from([10.0, 0.1]),
    }
)


@SETTINGS
@given(
    num_envs=st.integers(1, 5),
    limit=st.none() | st.integers(1, 6),
    mode=st.sampled_from(MODES if GYMNASIUM_HAS_MODES else [AutoresetMode.NEXT_STEP]),
    game=games,
    seed=st.integers(0, 2**32),
)
def test_it_does_event_for_event_what_sync_vector_env_does(
    num_envs: int, limit: int | None, mode: AutoresetMode, game: dict[str, Any], seed: int
) -> None:
    env = NChainVectorEnv(num_envs, max_episode_steps=limit, autoreset_mode=mode, **game)
    twin = Twin(num_envs, limit, mode, **game)
    twin.seed(seed)
    assert_same(env.reset(seed=seed), twin.reset())
    choose = np.random.default_rng(seed)
    ended = np.zeros(num_envs, np.bool_)
    for _ in range(40):
        options: dict[str, Any] = {}
        if mode is AutoresetMode.DISABLED and ended.any():
            with pytest.raises(AssertionError):
                env.step(np.zeros(num_envs, np.int64))
            options["reset_mask"] = ended
        elif choose.random() < 0.8:
            actions = (choose.random(num_envs) < 0.3).astype(np.int64)
            result = env.step(actions)
            assert_same(result, twin.step(actions))
            ended = result[3]
            continue
        else:
            mask = choose.random(num_envs) < 0.5
            if mask.any() and GYMNASIUM_HAS_MODES:
                options["reset_mask"] = mask
            if choose.random() < 0.7:
                options["state"] = choose.integers(game["n"] // 2, game["n"])
        assert_same(env.reset(options=options), twin.reset(options=options))
        ended = ended & ~options.get("reset_mask", np.ones(num_envs, np.bool_))
    assert env.np_random.bit_generator.state == twin.stream.bit_generator.state


@pytest.mark.parametrize("limit", [None, 1, 3])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_one_environment_gives_the_trajectory_of_the_scalar_one(
    mode: AutoresetMode, limit: int | None
) -> None:
    env = NChainVectorEnv(1, max_episode_steps=limit, autoreset_mode=mode, slip=0.4)
    scalar = NChainEnv(slip=0.4)
    assert env.reset(seed=11)[0].tolist() == [scalar.reset(seed=11)[0]]
    elapsed = 0
    for action in np.random.default_rng(0).integers(0, 2, 50):
        observations, rewards, terminations, truncations, infos = env.step([action])
        assert not terminations[0]
        if mode is AutoresetMode.NEXT_STEP and elapsed == limit:
            elapsed = 0
            assert observations[0] == scalar.reset()[0]
            assert (rewards[0], truncations[0]) == (0.0, False)
            assert (infos["prob"][0], infos["slipped"][0]) == (1.0, False)
            continue
        state, reward, _, _, info = scalar.step(int(action))
        elapsed += 1
        assert (rewards[0], truncations[0]) == (reward, elapsed == limit)
        if mode is AutoresetMode.SAME_STEP and elapsed == limit:
            elapsed = 0
            assert infos["final_obs"][0] == state
            assert infos["final_info"]["slipped"][0] == info["slipped"]
            state = scalar.reset()[0]
        else:
            assert infos["slipped"][0] == info["slipped"]
            assert infos["prob"][0] == info["prob"]
        assert observations[0] == state
    assert env.np_random.bit_generator.state == scalar.np_random.bit_generator.state


def test_a_step_takes_one_number_of_each_environment_in_order() -> None:
    env = NChainVectorEnv(6, n=4, slip=0.3, small=2.0, large=10.0)
    stream = np.random.default_rng(5)
    env.reset(seed=5, options={"state": 3})
    stream.random(6)
    slips = stream.random(6) < 0.3
    observations, rewards, _, _, infos = env.step([0, 0, 0, 1, 1, 1])
    executed = np.array([0, 0, 0, 1, 1, 1]) ^ slips
    assert observations.tolist() == [0 if back else 3 for back in executed]
    assert rewards.tolist() == [2.0 if back else 10.0 for back in executed]
    assert infos["slipped"].tolist() == slips.tolist()
    assert infos["prob"].tolist() == [0.3 if slip else 0.7 for slip in slips]
    assert 0 < slips.sum() < 6


def test_a_number_equal_to_the_probability_of_a_slip_is_no_slip() -> None:
    stream = np.random.default_rng(5)
    slip = float(stream.random(12)[9])
    env = NChainVectorEnv(6, slip=slip)
    env.reset(seed=5)
    slips = np.random.default_rng(5).random(12)[6:] < slip
    assert env.step([0] * 6)[4]["slipped"].tolist() == slips.tolist()
    assert not slips[3]
    assert slips.any()


def test_episodes_are_truncated_after_a_thousand_steps_each_by_its_own_count() -> None:
    env = gym.make_vec("NChain-v0", num_envs=3, autoreset_mode=AutoresetMode.DISABLED)
    assert isinstance(env, NChainVectorEnv)
    env.reset(seed=0)
    actions = np.zeros(3, np.int64)
    for _ in range(600):
        assert not env.step(actions)[3].any()
    env.reset(options={"reset_mask": np.array([False, True, False])})
    for _ in range(399):
        assert not env.step(actions)[3].any()
    assert env.step(actions)[3].tolist() == [True, False, True]
    env.reset(options={"reset_mask": np.array([True, False, True])})
    for _ in range(599):
        assert not env.step(actions)[3].any()
    assert env.step(actions)[3].tolist() == [False, True, False]


def test_without_arguments_it_is_one_default_chain_for_a_thousand_steps() -> None:
    env, scalar = NChainVectorEnv(), NChainEnv()
    assert env.num_envs == 1
    assert env.P == scalar.P
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    env.reset(seed=0)
    assert [env.step([0])[3].item() for _ in range(1001)] == [False] * 999 + [True, False]


def test_without_a_time_limit_nothing_is_truncated() -> None:
    env = NChainVectorEnv(2, max_episode_steps=None)
    env.reset(seed=0)
    assert not any(env.step([0, 1])[3].any() for _ in range(2500))


def test_make_vec_builds_it_and_the_sync_form_of_it() -> None:
    env = gym.make_vec(
        "NChain-v0", num_envs=4, autoreset_mode="SameStep", n=7, slip=0.1, max_episode_steps=2
    )
    assert isinstance(env, NChainVectorEnv)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert NChainVectorEnv.metadata.get("autoreset_mode") is None
    assert env.spec is not None
    assert env.spec.id == "NChain-v0"
    env.reset(seed=0)
    assert [env.step([0] * 4)[3].all() for _ in range(4)] == [False, True, False, True]
    sync = gym.make_vec("NChain-v0", num_envs=2, vectorization_mode="sync", n=7)
    assert isinstance(sync, SyncVectorEnv)
    assert sync.single_observation_space == Discrete(7)
    again = gym.make_vec(env.spec)
    assert isinstance(again, NChainVectorEnv)
    assert (again.num_envs, again.mdp.num_states) == (4, 7)


def test_the_spaces_and_the_model_are_those_of_the_scalar_environment() -> None:
    env, scalar = NChainVectorEnv(3, n=4, slip=0.25), NChainEnv(n=4, slip=0.25)
    assert env.single_observation_space == scalar.observation_space
    assert env.single_action_space == scalar.action_space
    assert env.observation_space == MultiDiscrete([4, 4, 4])
    assert env.action_space == MultiDiscrete([2, 2, 2])
    assert env.P == scalar.P
    assert env.initial_state_distrib.tolist() == [1, 0, 0, 0]
    observations, _ = env.reset(seed=0)
    assert env.observation_space.contains(observations)
    assert env.observation_space.contains(env.step(env.action_space.sample())[0])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64", ">i4"])
def test_actions_may_be_any_integers(dtype: str) -> None:
    env, other = NChainVectorEnv(5), NChainVectorEnv(5)
    env.reset(seed=2)
    other.reset(seed=2)
    actions = [0, 1, 1, 0, 0]
    assert_same(env.step(np.array(actions, dtype)), other.step(actions))


@pytest.mark.parametrize("spoil", [0, 1])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_nothing_handed_out_is_used_or_changed_later(mode: AutoresetMode, spoil: int) -> None:
    env, spoiled = (
        NChainVectorEnv(4, max_episode_steps=3, autoreset_mode=mode, render_mode="ansi")
        for _ in range(2)
    )
    options = {"reset_mask": np.array([True, False, True, False])}
    actions = np.array([0, 1, 0, 0])
    calls: list[Callable[[NChainVectorEnv], Any]]
    calls = [lambda env: env.reset(seed=3), *[lambda env: env.step(actions.copy())] * 12]
    calls.insert(2, lambda env: env.reset(options=options))
    kept: list[tuple[Any, Any]] = []
    for call in calls:
        result, other = call(env), call(spoiled)
        assert_same(other, result)
        kept.append((result, copy.deepcopy(result)))
        found = [array for array in arrays_in(other) if array.flags.writeable]
        assert not any(np.shares_memory(a, b) for a, b in itertools.combinations(found, 2))
        for array in found:
            array[...] = spoil
        assert spoiled.render() == env.render()
    for result, as_it_was in kept:
        assert_same(result, as_it_was)


def test_the_callers_actions_may_change_and_are_not_changed() -> None:
    env = NChainVectorEnv(3, n=2, slip=0.0, render_mode="ansi")
    env.reset(seed=0)
    actions = np.array([0, 1, 0], np.uint8)
    env.step(actions)
    assert actions.tolist() == [0, 1, 0]
    pictures = env.render()
    actions[:] = 1
    assert env.render() == pictures


def arrays_in(values: Any) -> list[Any]:
    if isinstance(values, np.ndarray):
        return [values]
    inner = values.values() if isinstance(values, dict) else values
    return [array for value in inner for array in arrays_in(value)]


def test_the_callers_options_and_mask_are_left_alone() -> None:
    env = NChainVectorEnv(2)
    env.reset(seed=0)
    mask = np.array([True, False])
    options = {"reset_mask": mask, "state": 1}
    infos = env.reset(options=options)[1]
    infos["_prob"][:] = True
    assert options.keys() == {"reset_mask", "state"}
    assert mask.tolist() == [True, False]


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("mode", MODES)
def test_a_copy_goes_on_as_the_original(mode: AutoresetMode, clone: Any) -> None:
    env = NChainVectorEnv(3, max_episode_steps=5, autoreset_mode=mode)
    env.reset(seed=1)
    rollout(env, 2)
    env.reset(options={"reset_mask": np.array([True, False, False])})
    rollout(env, 3)
    other = clone(env)
    if mode is AutoresetMode.DISABLED:
        for each in (env, other):
            with pytest.raises(ResetNeeded):
                rollout(each, 1)
            each.reset()
    steps = 4 if mode is AutoresetMode.DISABLED else 20
    assert_same(tuple(rollout(env, steps)), tuple(rollout(other, steps)))
    assert other.metadata["autoreset_mode"] is mode


def test_the_same_seed_gives_the_same_trajectory() -> None:
    env = NChainVectorEnv(3, max_episode_steps=4)
    first = env.reset(seed=9), *rollout(env, 10)
    rollout(env, 3)
    assert_same((env.reset(seed=9), *rollout(env, 10)), first)
    assert env.np_random_seed == 9
    env.reset(seed=10)
    with pytest.raises(AssertionError):
        assert_same(tuple(rollout(env, 10)), first[1:])


BAD_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "num_envs": (0, -1, 1.5, "2", None, True),
    "max_episode_steps": (0, -1, 2.0, "5", True),
    "autoreset_mode": ("next", None, 1, []),
    "n": (0, 2.5, "5", None),
    "slip": (-0.1, 1.1, float("nan"), "0.2", None),
    "small": (float("inf"), "1", None),
    "large": (float("-inf"), "1", None),
    "render_mode": ("human", "rgb", 1),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in BAD_ARGUMENTS for value in BAD_ARGUMENTS[name]]
)
def test_a_bad_argument_is_named_with_its_value(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be ") as direct:
        NChainVectorEnv(**{name: value})
    assert repr(value) in str(direct.value)
    with pytest.raises(ValueError, match=f"^{name} must be "):
        gym.make_vec("NChain-v0", **{name: value})


def test_an_unknown_autoreset_mode_is_refused_with_the_known_ones() -> None:
    message = (
        "autoreset_mode must be an AutoresetMode or one of 'NextStep', 'SameStep', 'Disabled', "
        "got 'never'"
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        NChainVectorEnv(autoreset_mode="never")


def test_lists_of_unequal_lengths_are_no_actions_of_one_environment() -> None:
    env = NChainVectorEnv(1)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"^actions must have shape \(1,\), got "):
        env.step([[0], [0, 1]])


def test_an_environment_whose_arguments_were_refused_can_be_closed() -> None:
    # Gymnasium up to 1.2 does it when the environment is deleted.
    NChainVectorEnv.__new__(NChainVectorEnv).close()


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(TypeError, match="lenght"):
        gym.make_vec("NChain-v0", lenght=3)


BAD_ACTIONS: list[tuple[Any, type[Exception], str]] = [
    ([0, 1], ValueError, r"shape \(3,\), got \(2,\)"),
    ([[0, 1, 0]], ValueError, r"shape \(3,\), got \(1, 3\)"),
    ([[0], [0, 1], [0]], ValueError, "shape"),
    (0, ValueError, r"shape \(3,\), got \(\)"),
    (None, ValueError, "shape"),
    ([0.0, 1.0, 0.0], TypeError, "integers, got float64"),
    ([True, False, True], TypeError, "integers, got bool"),
    (["0", "1", "0"], TypeError, "integers, got <U1"),
    ([0, 1, None], TypeError, "integers, got object"),
    ([0, 1, 2], ValueError, "0 .* or 1 .*, got 2$"),
    ([0, 255, 1], ValueError, "got 255$"),
    ([0, -1, 1], ValueError, "0 .* or 1 .*, got -1$"),
    ([0, 256, 1], ValueError, "got 256$"),
    (np.array([0, 2**63, 1], np.uint64), ValueError, "got 9223372036854775808$"),
    (np.array([0, 1, -(2**63)]), ValueError, "got -9223372036854775808$"),
]
BAD_RESETS: list[tuple[Any, type[Exception], str]] = [
    ({"reset_mask": [True, False, True]}, TypeError, "reset_mask.*NumPy array, got list"),
    ({"reset_mask": None}, TypeError, "reset_mask.*NumPy array, got NoneType"),
    ({"reset_mask": np.ones(2, np.bool_)}, ValueError, r"reset_mask.*shape \(3,\), got \(2,\)"),
    ({"reset_mask": np.ones((3, 1), np.bool_)}, ValueError, "reset_mask.*shape"),
    ({"reset_mask": np.ones(3, np.int64)}, TypeError, "reset_mask.*booleans, got int64"),
    ({"reset_mask": np.zeros(3, np.bool_)}, ValueError, "reset_mask.*at least once"),
    ({"reset_mask": np.ones(3, np.bool_), "state": 5}, ValueError, "state.*got 5"),
    ({"state": 5}, ValueError, "state.*got 5"),
    ({"state": -1}, ValueError, "state.*got -1"),
    ({"state": [0, 1, 2]}, ValueError, r"state.*got \[0, 1, 2\]"),
    ({"stat": 1}, ValueError, "may hold only 'state', got stat$"),
    ([("state", 1)], TypeError, "must be a dictionary"),
]


@pytest.mark.parametrize("mode", MODES)
def test_refused_calls_leave_everything_as_it_was(mode: AutoresetMode) -> None:
    env = NChainVectorEnv(3, max_episode_steps=4, autoreset_mode=mode)
    env.reset(seed=8)
    for _ in range(4):
        before = snapshot(env)
        for actions, error, message in BAD_ACTIONS:
            with pytest.raises(error, match=f"^actions must .*{message}"):
                env.step(actions)
        for options, error, message in BAD_RESETS:
            with pytest.raises(error, match=f"^options.*{message}"):
                env.reset(seed=1, options=options)
        for seed in (-1, 1.5, "1", [1, 2, 3]):
            with pytest.raises(Error, match="Seed"):
                env.reset(seed=seed, options={"state": 2})  # type: ignore[arg-type]
        assert_same(snapshot(env), before)
        env.step([0, 1, 0])


@pytest.mark.skipif(
    tuple(map(int, gym.__version__.split(".")[:2])) < (1, 4),
    reason="before Gymnasium 1.4 every refusal was an AssertionError",
)
def test_sync_vector_env_refuses_the_same_masks_with_the_same_errors() -> None:
    sync = SyncVectorEnv([NChainEnv] * 3)
    env = NChainVectorEnv(3)
    for each in (sync, env):
        each.reset(seed=0)
    for options, error, _ in BAD_RESETS[:6]:
        for each in (sync, env):
            with pytest.raises(error):
                each.reset(options=dict(options))


def test_stepping_an_ended_environment_without_autoreset_is_an_error_of_both_kinds() -> None:
    env = NChainVectorEnv(3, max_episode_steps=2, autoreset_mode="Disabled")
    env.reset(seed=0)
    env.step([0, 0, 0])
    env.reset(options={"reset_mask": np.array([False, True, False])})
    assert env.step([0, 0, 0])[3].tolist() == [True, False, True]
    before = snapshot(env)
    for error in (AssertionError, ResetNeeded):
        message = (
            "call reset(options={'reset_mask': ...}) before the next step: "
            "the episodes of environments [0, 2] have ended"
        )
        with pytest.raises(error, match=f"^{re.escape(message)}$"):
            env.step([0, 0, 0])
    assert_same(snapshot(env), before)
    env.reset(options={"reset_mask": np.array([True, False, False])})
    with pytest.raises(ResetNeeded, match=r"\[2\]"):
        env.step([0, 0, 0])
    env.reset(options={"reset_mask": np.array([False, False, True])})
    assert env.step([0, 0, 0])[3].tolist() == [False, True, False]


def test_there_is_no_step_before_the_first_reset_and_that_resets_all() -> None:
    env = NChainVectorEnv(2, render_mode="ansi")
    some, every = np.array([True, False]), np.array([True, True])
    message = r"^call reset\(\) before the first step\(\) or render\(\)$"
    with pytest.raises(ResetNeeded, match=message):
        env.step([0, 0])
    with pytest.raises(ResetNeeded, match=message):
        env.render()
    with pytest.raises(ResetNeeded, match=r"^the first reset\(\) must reset all environments$"):
        env.reset(seed=0, options={"reset_mask": some})
    with pytest.raises(ResetNeeded, match=message):
        env.step([0, 0])
    env.reset(seed=0, options={"reset_mask": every})
    env.step([0, 0])


def test_each_environment_is_drawn_as_the_scalar_one() -> None:
    env = NChainVectorEnv(3, render_mode="ansi", max_episode_steps=3)
    scalars = [NChainEnv(render_mode="ansi") for _ in range(3)]
    shares = [Share() for _ in scalars]
    stream = np.random.default_rng(4)
    env.reset(seed=4)
    calls = ["reset", *["step"] * 3, "begin", *["step"] * 2, "reset", *["step"] * 2, "mask", "step"]
    for step, call in enumerate(calls):
        which = [True, call != "mask", True]
        numbers = iter(stream.random(sum(which)).tolist())
        for i in np.flatnonzero(which).tolist():
            shares[i].numbers.append(next(numbers))
            scalars[i].np_random = shares[i]  # type: ignore[assignment]
            scalars[i].step(step % 2) if call == "step" else scalars[i].reset()
        if call in ("step", "begin"):
            env.step([step % 2] * 3)
        elif step:
            env.reset(options={"reset_mask": np.array(which)})
        pictures = env.render()
        assert pictures == tuple(scalar.render() for scalar in scalars)
        assert pictures is not None
        assert all(isinstance(picture, str) for picture in pictures)


def test_pictures_can_be_recorded_and_a_drawn_environment_copied(tmp_path: Path) -> None:
    pytest.importorskip("pygame", reason="pictures need the extra `render`")
    pytest.importorskip("moviepy", reason="RecordVideo writes with moviepy")
    env = NChainVectorEnv(4, render_mode="rgb_array")
    video = gym.wrappers.vector.RecordVideo(env, str(tmp_path / "video"), video_length=5)
    video.reset(seed=0)
    for _ in range(6):
        video.step(np.zeros(4, np.int64))
    other = copy.deepcopy(env)
    ours, theirs = env.render(), other.render()
    assert ours is not None
    assert theirs is not None
    assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))
    assert {picture.shape[2] for picture in ours} == {3}
    assert len({id(picture) for picture in ours}) == 4
    video.close()
    assert len(list(tmp_path.glob("video/*.mp4"))) == 1


def test_rendering_without_a_render_mode_warns() -> None:
    env = NChainVectorEnv(2)
    env.reset(seed=0)
    advice = "WARN: render() does nothing without a render mode, such as render_mode='rgb_array'"
    with pytest.warns(UserWarning, match=re.escape(advice)):
        assert env.render() is None
    env.close()


def test_what_is_drawn_is_what_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Snapshot] = []
    monkeypatch.setattr(Renderer, "draw", lambda _, snapshot: drawn.append(snapshot))
    env = NChainVectorEnv(2, n=3, slip=1.0, render_mode="ansi")
    env.reset(seed=0)
    env.render()
    env.step([1, 0])
    env.render()
    env.reset(options={"reset_mask": np.array([False, True])})
    env.render()
    # every action slips: backward goes forward, and forward goes back for 2
    game: dict[str, Any] = {"num_states": 3, "action_names": ("forward", "backward")}
    step: dict[str, Any] = game | {"previous": 0, "info": {"prob": 1.0, "slipped": True}}
    fresh = Snapshot(state=0, **game)
    ahead = Snapshot(state=1, action=1, steps=1, **step)
    back = Snapshot(state=0, action=0, reward=2.0, steps=1, total=2.0, **step)
    assert drawn == [fresh, fresh, ahead, back, ahead, fresh]


def test_an_environment_may_be_drawn_again_after_its_drawing_was_released() -> None:
    env = NChainVectorEnv(2, render_mode="ansi")
    env.reset(seed=0)
    pictures = env.render()
    for _ in range(2):
        env.close_extras()
    assert env.render() == pictures


@pytest.mark.skipif(not GYMNASIUM_HAS_MODES, reason="Gymnasium 1.0 has no resets of some")
def test_episode_statistics_follow_masked_resets() -> None:
    base = NChainVectorEnv(2, slip=0.0, max_episode_steps=4, autoreset_mode="Disabled")
    env = gym.wrappers.vector.RecordEpisodeStatistics(base)
    env.reset(seed=0)
    env.step(np.array([1, 1]))
    env.step(np.array([1, 1]))
    env.reset(options={"reset_mask": np.array([False, True])})
    env.step(np.array([1, 1]))
    infos = env.step(np.array([1, 1]))[4]
    assert infos["episode"]["r"].tolist() == [8.0, 0.0]
    assert infos["episode"]["l"].tolist() == [4, 0]
