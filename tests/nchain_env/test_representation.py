"""What environments and tables show of themselves."""

import xml.etree.ElementTree as ET

import gymnasium as gym
import pytest

from nchain_env import (
    DeepSeaEnv,
    NChainEnv,
    NChainVectorEnv,
    RiverSwimEnv,
    TabularEnv,
    TabularVectorEnv,
    chain_mdp,
    deep_sea_mdp,
)

SMALL = "<TabularMDP: 2 states, 2 actions, 2 outcomes>"


@pytest.mark.parametrize(
    ("env", "shown"),
    [
        (NChainEnv(), "NChainEnv()"),
        (NChainEnv(7, slip=0.0), "NChainEnv(n=7, slip=0.0)"),
        (NChainEnv(render_mode="ansi"), "NChainEnv(render_mode='ansi')"),
        (RiverSwimEnv(6, up=0.4), "RiverSwimEnv(up=0.4)"),
        (DeepSeaEnv(20, deterministic=False), "DeepSeaEnv(size=20, deterministic=False)"),
        (TabularEnv(chain_mdp(2)), f"TabularEnv({SMALL})"),
        (TabularVectorEnv(chain_mdp(2), 3), f"TabularVectorEnv({SMALL}, num_envs=3)"),
        (
            NChainVectorEnv(8, autoreset_mode="SameStep", large=5),
            "NChainVectorEnv(num_envs=8, autoreset_mode='SameStep', large=5.0)",
        ),
    ],
)
def test_an_environment_shows_the_arguments_that_differ_from_the_defaults(
    env: object, shown: str
) -> None:
    assert repr(env) == shown


def test_wrappers_show_the_arguments_of_the_environment() -> None:
    assert "NChainEnv(n=8)" in repr(gym.make("NChain-v0", n=8))


def test_an_environment_shows_the_table_that_it_was_given_later() -> None:
    env = NChainEnv()
    env.mdp = chain_mdp(slip=0.5)
    assert repr(env) == "NChainEnv(slip=0.5)"


def test_a_small_table_shows_each_outcome() -> None:
    assert str(chain_mdp(2)).splitlines() == [
        SMALL,
        "state  action  outcomes: probability -> next state",
        "    0       0  0.2 -> 0, reward 2; 0.8 -> 1",
        "    0       1  0.2 -> 1; 0.8 -> 0, reward 2",
        "    1       0  0.2 -> 0, reward 2; 0.8 -> 1, reward 10",
        "    1       1  0.2 -> 1, reward 10; 0.8 -> 0, reward 2",
    ]
    html = chain_mdp(2)._repr_html_()
    assert html is not None
    table = ET.fromstring(html.replace("<br>", "; "))
    rows = [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
    assert rows == [
        ["state", "action 0", "action 1"],
        ["0", "0.2 -> 0, reward 2; 0.8 -> 1", "0.2 -> 1; 0.8 -> 0, reward 2"],
        ["1", "0.2 -> 0, reward 2; 0.8 -> 1, reward 10", "0.2 -> 1, reward 10; 0.8 -> 0, reward 2"],
    ]


def test_a_table_shows_where_episodes_end_and_not_what_never_happens() -> None:
    ends = ["    0       0  1 -> 0, ends", "    0       1  1 -> 0, reward 0.99, ends"]
    assert str(deep_sea_mdp(1)).splitlines()[2:] == ends
    never_slips = str(chain_mdp(2, slip=0.0)).splitlines()
    assert never_slips[2:4] == ["    0       0  1 -> 1", "    0       1  1 -> 0, reward 2"]


def test_a_large_table_shows_its_size() -> None:
    mdp = deep_sea_mdp(10)
    assert repr(mdp) == str(mdp) == "<TabularMDP: 100 states, 2 actions, 1 outcome>"
    assert mdp._repr_html_() is None
