import copy
import math
import pickle
import re
import subprocess
import sys
from enum import IntEnum
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import Error, ResetNeeded
from gymnasium.spaces import Discrete
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import nchain_env
from nchain_env import NChainEnv
from nchain_env.rendering import Renderer, Snapshot

FORWARD, BACKWARD = 0, 1
SETTINGS = settings(deadline=None, derandomize=True, max_examples=50)


class Always:
    """Stands in for a generator: always the same number."""

    def __init__(self, number: float) -> None:
        self.number = number

    def random(self) -> float:
        return self.number


class Action(IntEnum):
    FORWARD = 0
    BACKWARD = 1


def rollout(env: gym.Env[Any, Any], steps: int = 30) -> list[Any]:
    actions = np.random.default_rng(3).integers(0, 2, steps).tolist()
    return [env.step(action) for action in actions]


def seeded(**game: Any) -> NChainEnv:
    env = NChainEnv(**game)
    env.reset(seed=1)
    return env


def test_gymnasiums_checker_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame", reason="pictures need the extra `render`")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    check_env(gym.make("NChain-v0").unwrapped)


@pytest.mark.parametrize("game", [{}, {"n": 1}, {"n": 9, "slip": 1.0, "small": -1, "large": 3}])
def test_stable_baselines3s_checker_finds_nothing(game: dict[str, Any]) -> None:
    checker = pytest.importorskip(
        "stable_baselines3.common.env_checker", reason="needs the extra `sb3`"
    )
    checker.check_env(NChainEnv(**game), skip_render_check=True)


@SETTINGS
@given(
    n=st.integers(1, 12),
    slip=st.floats(0, 1),
    small=st.floats(-100, 100),
    large=st.floats(-100, 100),
)
def test_every_outcome_of_every_state_and_action_is_what_the_rules_say(
    n: int, slip: float, small: float, large: float
) -> None:
    env = NChainEnv(n=n, slip=slip, small=small, large=large)
    # the numbers that a generator can draw next to the probability, and the outermost ones
    above = math.ceil(slip * 2**53)
    for number in (k / 2**53 for k in {0, above - 1, above, 2**53 - 1} - {-1, 2**53}):
        env.np_random = Always(number)  # type: ignore[assignment]
        for state in range(n):
            for action in (FORWARD, BACKWARD):
                slips = number < slip
                back = (action == BACKWARD and not slips) or (action == FORWARD and slips)
                if back:
                    expected = (0, small)
                elif state == n - 1:
                    expected = (n - 1, large)
                else:
                    expected = (state + 1, 0.0)
                env.reset(options={"state": state})
                info = {"prob": slip if slips else 1 - slip, "slipped": slips}
                assert env.step(action) == (*expected, False, False, info)


@pytest.mark.parametrize(("slip", "executed"), [(0.0, FORWARD), (1.0, BACKWARD)])
def test_a_slip_of_0_never_happens_and_one_of_1_always(slip: float, executed: int) -> None:
    env = seeded(slip=slip)
    rewards = [env.step(FORWARD)[1] for _ in range(300)]
    assert rewards == ([0.0] * 4 + [10.0] * 296 if executed == FORWARD else [2.0] * 300)


def test_the_default_game_is_the_five_state_chain() -> None:
    env = NChainEnv()
    assert env.observation_space == Discrete(5)
    assert env.action_space == Discrete(2)
    assert env.initial_state_distrib.tolist() == [1, 0, 0, 0, 0]
    assert env.P[4] == {
        FORWARD: [(0.2, 0, 2.0, False), (0.8, 4, 10.0, False)],
        BACKWARD: [(0.2, 4, 10.0, False), (0.8, 0, 2.0, False)],
    }
    assert env.P[2][FORWARD] == [(0.2, 0, 2.0, False), (0.8, 3, 0.0, False)]


@pytest.mark.parametrize("slip", [0.01, 0.2, 0.5, 0.97])
@pytest.mark.parametrize("action", [FORWARD, BACKWARD])
def test_slips_are_as_frequent_as_asked(slip: float, action: int) -> None:
    stats = pytest.importorskip("scipy.stats", reason="SciPy comes with the extra `agents`")
    env = NChainEnv(slip=slip, small=2.0)
    env.reset(seed=2024)
    went_back = sum(env.step(action)[1] == 2.0 for _ in range(50_000))
    slips = went_back if action == FORWARD else 50_000 - went_back
    assert stats.binomtest(slips, 50_000, slip).pvalue > 1e-6


def test_what_comes_back_are_plain_python_values() -> None:
    env = NChainEnv(small=2, large=np.float32(3))  # type: ignore[arg-type]
    state, info = env.reset(seed=0)
    assert [type(state), type(info["prob"]), type(info["slipped"])] == [int, float, bool]
    for _ in range(20):
        state, reward, terminated, truncated, info = env.step(FORWARD)
        values = (state, reward, terminated, truncated, info["prob"], info["slipped"])
        assert [type(value) for value in values] == [int, float, bool, bool, float, bool]


INTEGERS = [np.dtype(code).type for code in np.typecodes["AllInteger"]]


@pytest.mark.parametrize("kind", [*INTEGERS, np.array, Action])
def test_actions_may_be_any_integers(kind: Any) -> None:
    env, other = seeded(), seeded()
    for action in (0, 1, 1, 0, 0, 0):
        assert env.step(kind(action)) == other.step(action)


@pytest.mark.parametrize("options", [None, {"state": 2}])
def test_infos_have_the_same_keys_after_a_reset_and_a_step(options: Any) -> None:
    # Minari's DataCollector(record_infos=True) puts both into one array by key.
    env = NChainEnv(slip=1.0)
    _, of_reset = env.reset(seed=0, options=options)
    assert of_reset == {"prob": 1.0, "slipped": False}
    of_step = env.step(FORWARD)[4]
    assert list(of_step) == list(of_reset)
    of_step.clear()  # the caller's own
    assert env.step(FORWARD)[4] == {"prob": 1.0, "slipped": True}


def test_the_parameters_and_the_state_can_be_read_as_in_the_old_gym() -> None:
    env: Any = gym.make("NChain-v0", n=7, slip=0.25, small=-1.5, large=3).unwrapped
    assert (env.n, env.slip, env.small, env.large) == (7, 0.25, -1.5, 3.0)
    assert [type(value) for value in (env.n, env.slip)] == [int, float]
    assert env.state is None
    assert env.reset(seed=3)[0] == env.state == 0
    assert [env.step(0)[0] == env.state for _ in range(5)] == [True] * 5
    for name in ("n", "slip", "small", "large", "state"):  # they would change nothing
        with pytest.raises(AttributeError):
            setattr(env, name, 1)


@pytest.mark.parametrize(("n", "slip"), [(1, 0.0), (1, 1.0), (2, 1.0), (6, 0.0)])
def test_the_parameters_are_right_at_their_limits(n: int, slip: float) -> None:
    env = NChainEnv(n, slip, 4.0, -2.0)
    assert (env.n, env.slip, env.small, env.large) == (n, slip, 4.0, -2.0)


def test_episodes_end_after_a_thousand_steps_by_truncation() -> None:
    env = gym.make("NChain-v0")
    env.reset(seed=0)
    steps = [env.step(0) for _ in range(1000)]
    assert not any(terminated for _, _, terminated, _, _ in steps)
    assert [truncated for *_, truncated, _ in steps] == [False] * 999 + [True]


def test_gym_make_hands_the_arguments_on() -> None:
    env = gym.make("NChain-v0", n=3, slip=0.0, small=-1.0, large=7.0)
    env.reset(seed=0)
    assert [env.step(action)[:2] for action in (0, 0, 0, 1)] == [(1, 0), (2, 0), (2, 7), (0, -1)]


def test_options_start_anywhere_and_take_as_many_numbers() -> None:
    env, other = seeded(n=6), seeded(n=6)
    for state in (5, np.int64(2), 0):
        assert env.reset(options={"state": state}) == (
            state,
            {"prob": 1.0, "slipped": False},
        )
        assert other.reset(options={}) == (0, {"prob": 1.0, "slipped": False})
    assert env.np_random.bit_generator.state == other.np_random.bit_generator.state
    assert env.reset(seed=4, options={"state": 3})[0] == 3
    assert env.step(1)[0] in (0, 4)


def test_the_same_seed_gives_the_same_trajectory_and_another_another() -> None:
    env = NChainEnv()
    env.reset(seed=5)
    first = rollout(env)
    env.reset()
    assert rollout(env) != first
    env.reset(seed=5)
    assert rollout(env) == first
    env.reset(seed=6)
    assert rollout(env) != first
    assert env.np_random_seed == 6


def test_one_number_a_step_and_one_a_reset() -> None:
    env, stream = NChainEnv(), np.random.default_rng(12)
    env.reset(seed=12)
    rollout(env, 30)
    env.reset()
    stream.random(32)
    assert env.np_random.bit_generator.state == stream.bit_generator.state


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("make", [NChainEnv, lambda: gym.make("NChain-v0")])
def test_a_copy_goes_on_as_the_original(make: Any, clone: Any) -> None:
    fresh, env = make(), make()
    env.reset(seed=3)
    rollout(env, 7)
    other = clone(env)
    assert rollout(other) == rollout(env)
    copied = clone(fresh)
    assert copied.reset(seed=3) == fresh.reset(seed=3)
    assert rollout(copied) == rollout(fresh)


BAD_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "n": (0, -3, 2.5, 5.0, "5", None, True, [5]),
    "slip": (-0.01, 1.01, float("nan"), float("inf"), "0.2", None, [0.2]),
    "small": (float("inf"), float("nan"), "2", None, 1j),
    "large": (float("-inf"), float("nan"), "10", None, 1j),
    "render_mode": ("rgb", "RGB_ARRAY", "depth_array"),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in BAD_ARGUMENTS for value in BAD_ARGUMENTS[name]]
)
@pytest.mark.filterwarnings("ignore:.*render_mode:UserWarning")  # gym.make's own, before ours
def test_a_bad_argument_is_named_with_its_value(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be ") as direct:
        NChainEnv(**{name: value})
    assert repr(value) in str(direct.value)
    with pytest.raises(ValueError, match=f"^{name} must be "):
        gym.make("NChain-v0", **{name: value})


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(TypeError, match="lenght"):
        gym.make("NChain-v0", lenght=3)


BAD_OPTIONS: list[tuple[Any, str]] = [
    ({"state": -1}, r"options\['state'\] .*\[0, 5\), got -1"),
    ({"state": 5}, r"options\['state'\] .*\[0, 5\), got 5"),
    ({"state": 1.0}, r"options\['state'\] .*got 1\.0"),
    ({"state": "1"}, r"options\['state'\] .*got '1'"),
    ({"state": None}, r"options\['state'\] .*got None"),
    ({"state": True}, r"options\['state'\] .*got True"),
    ({"start": 1}, "options .*'state', got .*start"),
    ({"state": 1, 2: 3}, "options .*'state', got .*2"),
]
BAD_ACTIONS: list[Any] = [
    *(2, -1, 0.5, 1.0, 1j, True, False, "0", None, [0], (), {}),
    *(np.int8(-1), np.uint64(2), np.float64(1), np.True_),
    *(np.array([0]), np.array(2), np.array(0.5), np.array(1.0), np.array(True)),
]


def test_refused_calls_leave_the_state_and_the_generator_as_they_were() -> None:
    env = seeded()
    env.reset(options={"state": 4})
    state, generator = env.s, env.np_random.bit_generator.state
    for action in BAD_ACTIONS:
        with pytest.raises(ValueError, match=r"^action must be 0 \(forward\) or 1 \(backward\)"):
            env.step(action)
    for options, message in BAD_OPTIONS:
        with pytest.raises(ValueError, match=f"^{message}"):
            env.reset(seed=2, options=options)
    for no_options in (5, [("state", 1)], "state"):
        with pytest.raises(TypeError, match=r"^options must be a dictionary or None, got "):
            env.reset(seed=2, options=no_options)  # type: ignore[arg-type]
    for seed in (-1, "1", 1.5):
        with pytest.raises(Error, match="Seed"):
            env.reset(seed=seed, options={"state": 1})  # type: ignore[arg-type]
    assert (env.s, env.np_random.bit_generator.state) == (state, generator)


@pytest.mark.parametrize("action", BAD_ACTIONS, ids=repr)
def test_what_is_no_action_is_refused_on_every_visit_of_a_state(action: Any) -> None:
    env, other = seeded(slip=0.0), seeded(slip=0.0)
    for _ in range(3):
        for state in range(5):
            assert env.s == state
            with pytest.raises(ValueError, match=r"^action must be 0 .*, got "):
                env.step(action)
            assert env.step(FORWARD) == other.step(FORWARD)
        env.reset()
        other.reset()


@pytest.mark.parametrize("render_mode", [None, "ansi"])
def test_there_is_no_step_before_the_first_reset(render_mode: str | None) -> None:
    env = NChainEnv(render_mode=render_mode)
    message = r"^call reset\(\) before the first step\(\) or render\(\)$"
    with pytest.raises(ResetNeeded, match=message):
        env.step(0)
    if render_mode is not None:
        with pytest.raises(ResetNeeded, match=message):
            env.render()
    env.reset(seed=0)
    env.step(0)


def test_rendering_changes_nothing_about_the_game() -> None:
    plain, drawn = seeded(), seeded(render_mode="ansi")
    for action in (0, 0, 1, 0, 1, 0, 0, 0):
        assert drawn.step(action) == plain.step(action)
        assert isinstance(drawn.render(), str)
    assert drawn.reset() == plain.reset()


def test_what_is_drawn_is_what_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Snapshot] = []
    monkeypatch.setattr(Renderer, "draw", lambda _, snapshot: drawn.append(snapshot))
    env = NChainEnv(n=3, slip=1.0, render_mode="ansi")
    for options in ({}, {"state": 2}):
        env.reset(seed=0, options=options)
        env.render()
        for action in (BACKWARD, np.array(FORWARD)):
            env.step(action)  # type: ignore[arg-type]
            env.render()
    # every action slips: backward goes forward, and forward goes back for 2
    game: dict[str, Any] = {"num_states": 3, "action_names": ("forward", "backward")}
    step: dict[str, Any] = game | {"info": {"prob": 1.0, "slipped": True}}
    assert drawn == [
        Snapshot(state=0, **game),
        Snapshot(state=1, previous=0, action=BACKWARD, steps=1, **step),
        Snapshot(state=0, previous=1, action=FORWARD, reward=2.0, steps=2, total=2.0, **step),
        Snapshot(state=2, **game),
        Snapshot(state=2, previous=2, action=BACKWARD, reward=10.0, steps=1, total=10.0, **step),
        Snapshot(state=0, previous=2, action=FORWARD, reward=2.0, steps=2, total=12.0, **step),
    ]


def test_an_environment_may_be_closed_twice_and_drawn_again() -> None:
    env = seeded(render_mode="ansi")
    picture = env.render()
    for _ in range(2):
        env.close()
    assert env.render() == picture


def test_rendering_without_a_render_mode_warns() -> None:
    env = seeded()
    advice = "WARN: render() does nothing without a render mode, such as render_mode='rgb_array'"
    with pytest.warns(UserWarning, match=re.escape(advice)):
        assert env.render() is None
    env.close()


def in_a_new_process(program: str) -> str:
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


PLAY = """
import matplotlib  # which play needs, and a display where it is to draw with Tk
matplotlib.use = lambda backend: None
import gymnasium, pygame
from gymnasium.utils.play import PlayableGame, play

env = gymnasium.make("nchain_env:NChain-v0", slip=0.0, render_mode="rgb_array")
env.reset(seed=0)
game = PlayableGame(env)
assert game.relevant_keys == {pygame.K_f, pygame.K_b}, game.relevant_keys
for key in (pygame.K_f, pygame.K_b):
    game.process_event(pygame.event.Event(pygame.KEYDOWN, key=key))
    assert key in game.pressed_keys

keys = [pygame.K_f, pygame.K_b, pygame.K_f, pygame.K_ESCAPE]
actions = []

def press_the_next(state, next_state, action, *_):
    for key in keys[: len(actions)]:
        pygame.event.post(pygame.event.Event(pygame.KEYUP, key=key))
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=keys[len(actions)]))
    actions.append(action)

play(env, callback=press_the_next, fps=1000, noop=1, seed=0)
print(actions)
"""


def test_f_goes_forward_and_b_backward_when_played(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame", reason="pictures need the extra `render`")
    pytest.importorskip("matplotlib", reason="Gymnasium's play warns without it")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    assert in_a_new_process(PLAY) == str([BACKWARD, FORWARD, BACKWARD, FORWARD])


def test_importing_the_env_imports_neither_pygame_nor_the_agents() -> None:
    unwanted = "{'pygame', 'nchain_agents', 'nchain_env.rendering', 'scipy', 'numba'}"
    assert in_a_new_process(f"import sys, nchain_env; print({unwanted} & {{*sys.modules}})") == (
        "set()"
    )


def test_gym_make_imports_the_package_by_the_long_id() -> None:
    program = (
        "import gymnasium; print(gymnasium.make('nchain_env:NChain-v0').unwrapped.mdp.num_states)"
    )
    assert in_a_new_process(program) == "5"


def test_the_module_may_be_imported_twice() -> None:
    program = "import importlib, nchain_env; importlib.reload(nchain_env); print('quiet')"
    assert in_a_new_process(program) == "quiet"


def test_the_registration_can_be_written_down() -> None:
    spec = gym.spec("NChain-v0")
    assert gym.envs.registration.EnvSpec.from_json(spec.to_json()) == spec
    assert spec.max_episode_steps == 1000
    gym.register_envs(nchain_env)
