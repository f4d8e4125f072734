import numpy as np
import pytest

from nchain_agents.presets import Preset, preset, presets
from nchain_agents.study.run import train

# Expected return of always going backward for 1,000 steps, from the known values of the chain
ALWAYS_BACKWARD = 1603.19

# These two are there to show what fails: neither looks ahead and explores
NAIVE = ("reward-sum", "greedy-q")


LEARNING = [
    pytest.param(
        one,
        id=one.name,
        marks=pytest.mark.skipif(not one.installed, reason=f"needs {one.install_command}"),
    )
    for one in presets().values()
    if one.name not in NAIVE
]


@pytest.mark.parametrize("one", LEARNING)
def test_each_preset_that_explores_beats_always_going_backward(one: Preset) -> None:
    run = train(one, seed=0, steps=20_000, chain={})
    assert run.final.expected_return > ALWAYS_BACKWARD + 100
    assert run.final.score > 99


@pytest.mark.parametrize("name", NAIVE)
def test_the_naive_presets_lock_in_to_the_near_reward(name: str) -> None:
    scores = [train(preset(name), seed, 5000, {}).final.score for seed in range(10)]
    assert np.median(scores) < 20


def test_an_unknown_name_is_refused_with_the_closest_known() -> None:
    with pytest.raises(ValueError, match="unknown agent 'sb-dqn'; did you mean sb3-dqn"):
        preset("sb-dqn")
    with pytest.raises(ValueError, match="unknown agent 'xyz'; known: reward-sum, "):
        preset("xyz")
