from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import pytest
from gymnasium.error import DependencyNotInstalled

from nchain_env import TabularEnv, TabularMDP, TabularVectorEnv
from nchain_env.problems import chain_picture
from nchain_env.problems.chain import BACKWARD, FORWARD
from nchain_env.problems.chain_picture import CHAIN
from nchain_env.rendering import TABLE, Renderer, Snapshot, canvas
from nchain_env.rendering.text import visible_states

Image = npt.NDArray[np.uint8]
LENGTHS = [*range(1, 52), 1000, 10**6]


def snapshot(
    n: int = 5, state: int = 0, action: int | None = None, slipped: bool = False, **other: Any
) -> Snapshot:
    # a step with a reward that ends in the last state began there
    previous = state if state == n - 1 and (n == 1 or other.get("reward")) else state - 1
    last: dict[str, Any] = {}
    if action is not None:
        last = {"previous": previous, "info": {"prob": 0.5, "slipped": slipped}}
    names = ("forward", "backward")
    return Snapshot(n, state, action=action, action_names=names, **(last | other))


def text(*args: Any, **kwargs: Any) -> str:
    drawn = Renderer(CHAIN, "ansi", 4).draw(snapshot(*args, **kwargs))
    assert isinstance(drawn, str)
    return drawn


def image(*args: Any, **kwargs: Any) -> Image:
    pytest.importorskip("pygame", reason="pictures need the extra `render`")
    drawn = Renderer(CHAIN, "rgb_array", 4).draw(snapshot(*args, **kwargs))
    assert isinstance(drawn, np.ndarray)
    return drawn


def differs(one: Image, other: Image) -> npt.NDArray[np.bool_]:
    different: npt.NDArray[np.bool_] = (one != other).any(axis=-1)
    return different


def shows(picture: Image, colour: tuple[int, int, int]) -> bool:
    # Shrinking the picture rounds colours a little.
    return bool((np.abs(picture.astype(int) - colour).max(axis=-1) <= 3).any())


@pytest.fixture
def headless(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pygame = pytest.importorskip("pygame", reason="a window needs the extra `render`")
    pygame.quit()
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    yield pygame
    pygame.quit()


# What happened


@pytest.mark.parametrize(
    ("action", "slipped", "executed"),
    [
        (FORWARD, False, FORWARD),
        (FORWARD, True, BACKWARD),
        (BACKWARD, False, BACKWARD),
        (BACKWARD, True, FORWARD),
        (None, False, None),
    ],
)
def test_a_slip_executes_the_opposite_of_the_chosen_action(
    action: int | None, slipped: bool, executed: int | None
) -> None:
    assert chain_picture.executed(snapshot(action=action, slipped=slipped)) == executed


@pytest.mark.parametrize("slots", [9, 11])
def test_long_chains_show_both_ends_and_the_states_around_the_agent(slots: int) -> None:
    for n in [slots + 1, slots + 2, 60]:
        for state in range(n):
            shown = visible_states(n, state, slots, slots)
            assert len(shown) == slots
            states = [s for s in shown if s is not None]
            assert states == sorted(set(states))
            assert {0, max(state - 1, 0), state, min(state + 1, n - 1), n - 1} <= set(states)
            for before, slot, after in zip(shown, shown[1:], shown[2:], strict=False):
                if slot is None:
                    assert before is not None
                    assert after is not None
                    assert after - before > 2, "a gap hides at least two states"
                elif before is not None:
                    assert slot == before + 1


def test_a_chain_that_fits_is_shown_whole() -> None:
    assert visible_states(9, 4, 9, 9) == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert visible_states(10, 4, 9, 9) == [0, 1, 2, 3, 4, 5, 6, None, 9]


# ansi


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (text(5, 0), "[0] > 1 > 2 > 3 > 4\nstep 0, return 0"),
        (
            text(5, 2, FORWARD, steps=2),
            "0 > 1 > [2] > 3 > 4\nstep 2: forward, reward 0, return 0",
        ),
        (
            text(5, 0, FORWARD, slipped=True, reward=2.0, steps=3, total=12.5),
            "[0] > 1 > 2 > 3 > 4\nstep 3: forward slipped to backward, reward 2, return 12.5",
        ),
        (
            text(2, 1, BACKWARD, slipped=True, reward=10.0, steps=999, total=-0.0),
            "0 > [1]\nstep 999: backward slipped to forward, reward 10, return 0",
        ),
        (
            text(1, 0, BACKWARD, reward=0.1, steps=3, total=0.1 + 0.1 + 0.1),
            "[0]\nstep 3: backward, reward 0.1, return 0.3",
        ),
    ],
)
def test_text_tells_the_state_the_move_the_slip_the_reward_and_the_return(
    drawn: str, expected: str
) -> None:
    assert drawn == expected


@pytest.mark.parametrize(
    ("n", "state", "chain"),
    [
        (15, 7, "0 > 1 > 2 > 3 > 4 > 5 > 6 > [7] > 8 > 9 > 10 > 11 > 12 > 13 > 14"),
        (16, 0, "[0] > 1 > 2 > 3 > 4 > 5 > 6 > 7 > 8 > ... > 15"),
        (50, 26, "0 > ... > 23 > 24 > 25 > [26] > 27 > 28 > 29 > ... > 49"),
        (
            10**6,
            10**6 - 1,
            "0 > ... > 999991 > 999992 > 999993 > 999994 > 999995 > 999996 > 999997 > 999998"
            " > [999999]",
        ),
    ],
)
def test_text_abbreviates_long_chains(n: int, state: int, chain: str) -> None:
    assert text(n, state).splitlines()[0] == chain


def test_text_needs_no_pygame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    env = gym.make("NChain-v0", render_mode="ansi", slip=0.0)
    env.reset(seed=0)
    env.step(FORWARD)
    assert env.render() == "0 > [1] > 2 > 3 > 4\nstep 1: forward, reward 0, return 0"


def test_pygame_is_not_imported_before_something_is_drawn_with_it() -> None:
    program = (
        "import sys, gymnasium, nchain_env.rendering\n"
        "env = gymnasium.make('NChain-v0', render_mode='ansi')\n"
        "env.reset()\n"
        "env.render()\n"
        "sys.exit('pygame' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("render_mode", ["rgb_array", "human"])
def test_without_pygame_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, render_mode: str
) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(DependencyNotInstalled, match=r"run `pip install .*\[render\]'`"):
        Renderer(CHAIN, render_mode, 4).draw(snapshot())


# rgb_array


@pytest.mark.parametrize("n", LENGTHS)
def test_pictures_of_one_chain_have_one_even_size_and_free_margins(n: int) -> None:
    first = image(n, 0)
    assert first.dtype == np.uint8
    assert first.shape[0] % 2 == first.shape[1] % 2 == 0
    long_numbers = {"reward": -1e-7 / 3, "total": -1e300 / 7, "steps": 10**12}
    for picture in (
        first,
        image(n, n - 1, BACKWARD, slipped=True, **long_numbers),
        image(n, 0, FORWARD, slipped=True, **long_numbers),
    ):
        assert picture.shape == first.shape
        inner = np.zeros(picture.shape[:2], dtype=bool)
        inner[16:-16, 24:-24] = True
        assert (picture[~inner] == picture[0, 0]).all()


def test_only_the_old_and_the_new_state_change_when_the_agent_moves() -> None:
    columns = np.flatnonzero(differs(image(5, 1), image(5, 3)).any(axis=0))
    gap = int(np.argmax(np.diff(columns)))
    left, right = columns[: gap + 1], columns[gap + 1 :]
    diameter = 2 * canvas.RADIUS
    assert diameter - 2 <= np.ptp(left) <= diameter + 2
    assert diameter - 2 <= np.ptp(right) <= diameter + 2
    assert right.mean() - left.mean() == pytest.approx(2 * chain_picture.PITCH, abs=1)


@pytest.mark.parametrize("n", [3, 10, 11, 23, 50])
def test_every_state_has_its_own_place(n: int) -> None:
    pictures = np.stack([image(n, state) for state in range(n)])
    without_agent = np.median(pictures, axis=0).astype(np.uint8)
    middles = []
    for picture in pictures:
        rows, columns = np.nonzero(differs(picture, without_agent))
        middles.append(complex(columns.mean(), rows.mean()))
        assert max(np.ptp(rows), np.ptp(columns)) <= 2 * canvas.RADIUS + 2
    for i, middle in enumerate(middles):
        for other in middles[:i]:
            assert abs(middle - other) >= 2 * canvas.RADIUS + 20


def test_the_return_changes_nothing_but_the_panel() -> None:
    changed = differs(image(5, 2, FORWARD, total=1.0), image(5, 2, FORWARD, total=2.0))
    assert changed.any()
    assert not changed[: -canvas.PANEL].any()


@pytest.mark.parametrize("changed", [{"reward": 2.0}, {"steps": 7}, {"total": 2.0}])
def test_the_panel_shows_reward_steps_and_return(changed: dict[str, Any]) -> None:
    assert differs(image(5, 2, FORWARD), image(5, 2, FORWARD, **changed)).any()


@pytest.mark.parametrize("n", [1, 50, 51])
@pytest.mark.parametrize("action", [FORWARD, BACKWARD])
def test_the_columns_of_the_panel_never_touch(n: int, action: int) -> None:
    state = n - 1 if action == BACKWARD else 0  # the opposite is executed
    picture = image(
        n, state, action, slipped=True, reward=-1e-7 / 3, total=-1e300 / 7, steps=10**12
    )
    below_the_line = picture[-canvas.PANEL + 4 :]
    inked = np.flatnonzero(differs(below_the_line, below_the_line[:1, :1]).any(axis=0))
    assert (np.diff(inked) > 10).sum() == 4


def test_the_chain_shows_the_executed_action_and_the_panel_the_chosen_one() -> None:
    meant = image(5, 0, BACKWARD, reward=2.0)
    slipped = image(5, 0, FORWARD, slipped=True, reward=2.0)
    changed = differs(meant, slipped)
    assert not changed[: -canvas.PANEL].any()
    assert changed[-canvas.PANEL :].any()


@pytest.mark.parametrize(
    ("state", "action", "slipped", "in_chain", "in_panel"),
    [
        (0, None, False, set(), set()),
        (1, FORWARD, False, {FORWARD}, {FORWARD}),
        (0, BACKWARD, False, {BACKWARD}, {BACKWARD}),
        (0, FORWARD, True, {BACKWARD}, {FORWARD, BACKWARD}),
        (1, BACKWARD, True, {FORWARD}, {FORWARD, BACKWARD}),
    ],
)
def test_each_action_has_its_colour(
    state: int, action: int | None, slipped: bool, in_chain: set[int], in_panel: set[int]
) -> None:
    picture = image(5, state, action, slipped=slipped)
    for part, expected in (
        (picture[: -canvas.PANEL], in_chain),
        (picture[-canvas.PANEL :], in_panel),
    ):
        assert {a for a, colour in chain_picture.TAKEN.items() if shows(part, colour)} == expected


@pytest.mark.parametrize("slipped", [False, True])
def test_a_slip_is_marked_beside_the_captions(slipped: bool) -> None:
    picture = image(5, 0, FORWARD if slipped else BACKWARD, slipped=slipped)
    captions = picture[-canvas.PANEL + 10 : -canvas.PANEL + 42]
    assert shows(captions, canvas.INK) == slipped


def test_staying_at_the_last_state_is_told_from_arriving_there() -> None:
    arrived = image(5, 4, FORWARD, reward=0.0)[: -canvas.PANEL]
    stayed = image(5, 4, FORWARD, reward=10.0)[: -canvas.PANEL]
    reset = image(5, 4)[: -canvas.PANEL]
    arrow, loop = (np.flatnonzero(differs(p, reset).any(axis=0)) for p in (arrived, stayed))
    assert arrow.max() < loop.min() - canvas.RADIUS


def test_pictures_need_no_display_and_survive_pygame_quit() -> None:
    pygame = pytest.importorskip("pygame", reason="pictures need the extra `render`")
    pygame.quit()
    renderer = Renderer(CHAIN, "rgb_array", 4)
    before = renderer.draw(snapshot())
    assert not pygame.display.get_init()
    pygame.quit()
    np.testing.assert_array_equal(renderer.draw(snapshot()), before)
    renderer.close()
    renderer.close()


def test_two_chains_drawn_in_turn_do_not_mix() -> None:
    short, long = image(5, 2), image(50, 2)
    np.testing.assert_array_equal(image(5, 2), short)
    np.testing.assert_array_equal(image(50, 2), long)


def test_the_env_draws_what_happened() -> None:
    pytest.importorskip("pygame", reason="pictures need the extra `render`")
    env = gym.make("NChain-v0", render_mode="rgb_array", slip=1.0)
    env.reset(seed=0)
    np.testing.assert_array_equal(env.render(), image(5, 0))
    env.step(BACKWARD)
    expected = image(5, 1, BACKWARD, slipped=True, steps=1)
    np.testing.assert_array_equal(env.render(), expected)
    env.step(FORWARD)
    expected = image(5, 0, FORWARD, slipped=True, reward=2.0, steps=2, total=2.0)
    np.testing.assert_array_equal(env.render(), expected)
    env.close()


def test_record_video_writes_a_film(tmp_path: Path) -> None:
    pytest.importorskip("pygame", reason="pictures need the extra `render`")
    pytest.importorskip("moviepy", reason="RecordVideo writes with moviepy")
    folder = tmp_path / "films"
    env: Any = gym.make("NChain-v0", render_mode="rgb_array")
    env = gym.wrappers.RecordVideo(env, str(folder))
    env.reset(seed=0)
    for _ in range(5):
        env.step(FORWARD)
    assert len({frame.shape for frame in env.recorded_frames}) == 1
    env.close()
    films = list(folder.glob("*.mp4"))
    assert len(films) == 1
    assert films[0].stat().st_size > 0


# Gymnasium asks matplotlib for a window to plot in, and warns where there is no screen.
@pytest.mark.filterwarnings("ignore:.*matplotlib is not installed")
def test_the_game_can_be_played(headless: Any) -> None:
    from gymnasium.utils.play import play

    states = []

    def stop_after_three(before: Any, after: Any, *rest: Any) -> None:
        states.append(after)
        if len(states) == 3:
            headless.event.post(headless.event.Event(headless.QUIT))

    env = gym.make("NChain-v0", render_mode="rgb_array", slip=0.0)
    play(env, fps=100, callback=stop_after_three)
    assert states == [1, 2, 3]
    expected = image(5, 3, FORWARD, steps=3)
    np.testing.assert_array_equal(env.render(), expected)  # play() has called pygame.quit()
    env.close()


# human


def window(pygame: Any) -> Image:
    seen: Image = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    return seen


def test_the_window_shows_the_picture_until_it_is_closed(headless: Any) -> None:
    renderer = Renderer(CHAIN, "human", 1000)
    assert renderer.draw(snapshot(5, 2, FORWARD)) is None
    np.testing.assert_array_equal(window(headless), image(5, 2, FORWARD))
    renderer.draw(snapshot(5, 3, FORWARD))
    np.testing.assert_array_equal(window(headless), image(5, 3, FORWARD))
    renderer.close()
    assert not headless.display.get_init()
    renderer.close()


def test_several_envs_take_turns_in_the_window(headless: Any) -> None:
    one, other = Renderer(CHAIN, "human", 1000), Renderer(CHAIN, "human", 1000)
    one.draw(snapshot(5, 2))
    other.draw(snapshot(50, 7))
    np.testing.assert_array_equal(window(headless), image(50, 7))
    one.draw(snapshot(5, 3))
    np.testing.assert_array_equal(window(headless), image(5, 3))
    one.close()
    other.draw(snapshot(50, 8))
    np.testing.assert_array_equal(window(headless), image(50, 8))
    other.close()


def test_closing_leaves_a_window_alone_that_somebody_else_opened_later(headless: Any) -> None:
    renderer = Renderer(CHAIN, "human", 1000)
    renderer.draw(snapshot())
    headless.quit()
    headless.display.init()
    headless.display.set_mode((64, 64))
    renderer.close()
    assert headless.display.get_surface().get_size() == (64, 64)


def test_the_window_keeps_to_its_frame_rate_and_leaves_events_to_the_user(headless: Any) -> None:
    renderer = Renderer(CHAIN, "human", 20)
    renderer.draw(snapshot(1))
    headless.event.post(headless.event.Event(headless.QUIT))
    start = time.perf_counter()
    for _ in range(4):
        renderer.draw(snapshot(1))
    assert time.perf_counter() - start >= 4 / 20 * 0.9
    assert headless.event.peek(headless.QUIT)
    renderer.close()


def test_a_human_env_draws_at_every_reset_and_step(
    headless: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = gym.make("NChain-v0", render_mode="human", slip=0.0)
    monkeypatch.setitem(env.unwrapped.metadata, "render_fps", 1000)
    env.reset(seed=0)
    np.testing.assert_array_equal(window(headless), image(5, 0))
    env.step(FORWARD)
    np.testing.assert_array_equal(window(headless), image(5, 1, FORWARD, steps=1))
    env.close()
    assert not headless.display.get_init()


# Any outcome table


def lake(render_mode: str, name: str = "FrozenLake-v1", **kwargs: Any) -> TabularEnv:
    env = TabularEnv(TabularMDP.from_env(gym.make(name, **kwargs)), render_mode)
    env.reset(seed=0)
    return env


def test_a_table_as_text() -> None:
    env = lake("ansi", is_slippery=False)
    assert env.render() == "[0] 1 2 3 4 5 6 7 8 ... 15\nstep 0, return 0"
    env.step(2)
    assert env.render() == (
        "0 [1] 2 3 4 5 6 7 8 ... 15\nstep 1: action 2, state 0 to 1, reward 0, return 0"
    )
    env.step(1)
    assert env.render() == (
        "0 1 2 3 4 [5] 6 7 8 ... 15\nstep 2: action 1, state 1 to 5, reward 0, return 0, terminated"
    )


@pytest.mark.parametrize("num_states", [1, 2, 10, 11, 48, 100, 101, 2500, 10_001])
def test_a_table_as_a_picture_shows_the_last_transition(num_states: int) -> None:
    pytest.importorskip("pygame", reason="pictures need the extra `render`")
    renderer = Renderer(TABLE, "rgb_array", 4)
    last = num_states - 1
    names = ("left", "right")
    pictures = [
        renderer.draw(Snapshot(num_states, state, previous, action, action_names=names))
        for state in (0, last)
        for previous, action in ((None, None), (0, 1), (last, 1))
    ]
    shapes = {picture.shape for picture in pictures if isinstance(picture, np.ndarray)}
    assert len(shapes) == 1
    height, width, _ = shapes.pop()
    assert height % 2 == 0
    assert width % 2 == 0
    for picture, arrow in zip(pictures, [False, True, True] * 2, strict=True):
        assert isinstance(picture, np.ndarray)
        drawn = num_states <= 100
        assert shows(picture, canvas.BLUE) == (arrow and drawn)


def test_every_environment_of_a_table_in_a_picture_of_its_own() -> None:
    env = TabularVectorEnv.from_env("FrozenLake-v1", 2, render_mode="ansi", is_slippery=False)
    env.reset(seed=0)
    env.step([2, 1])
    assert env.render() == (
        "0 [1] 2 3 4 5 6 7 8 ... 15\nstep 1: action 2, state 0 to 1, reward 0, return 0",
        "0 1 2 3 [4] 5 6 7 8 ... 15\nstep 1: action 1, state 0 to 4, reward 0, return 0",
    )
