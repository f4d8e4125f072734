"""The habits of stable-baselines3 with our agents, and its own DQN for comparison."""

import csv
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import nchain_agents
from nchain_agents import EveryNTimesteps, QLearning, StopAfterEpisodes

pytest.importorskip("stable_baselines3", reason="needs the sb3 extra")

from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CheckpointCallback,
    EvalCallback,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnNoModelImprovement,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.callbacks import (
    EveryNTimesteps as SB3EveryNTimesteps,
)
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor

# SB3 asks for silence about this when it is imported, and pytest listens all the same
pytestmark = pytest.mark.filterwarnings("ignore:rich is experimental")


def short() -> gym.Env[Any, Any]:
    return gym.make("NChain-v0", max_episode_steps=25)


def dqn(**parameters: Any) -> DQN:
    """Return a model that learns after each step, like ours."""
    sizes: dict[str, Any] = {"buffer_size": 1000, "policy_kwargs": {"net_arch": [4]}}
    return DQN("MlpPolicy", short(), train_freq=1, device="cpu", seed=0, **sizes, **parameters)


def keras_dqn() -> Any:
    pytest.importorskip("keras", reason="needs the keras or the jax extra")
    return nchain_agents.KerasDQN(short(), net_arch=[4], batch_size=4, compiled=False, seed=0)


def q_learning(compiled: bool) -> QLearning:
    return QLearning(short(), seed=0, compiled=compiled)


class Improving(gym.Env[Any, Any]):
    """An environment of one step, whose k-th episode pays k, whatever is done."""

    def __init__(self) -> None:
        self.observation_space = gym.spaces.Discrete(5)
        self.action_space = gym.spaces.Discrete(2)
        self.episodes = 0

    def reset(self, **_: Any) -> tuple[int, dict[str, Any]]:
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self.episodes += 1
        return 0, float(self.episodes), True, False, {}


class Recorder(BaseCallback):
    """Notes what is called, and what it is told; it may stop the training."""

    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__()
        self.stop_at, self.noted = stop_at, list[tuple[Any, ...]]()

    def note(self, what: str) -> None:
        self.noted.append((what, self.model.num_timesteps, self.num_timesteps, self.n_calls))

    def _on_training_start(self) -> None:
        self.note("training start")
        self.noted.append((self.locals["total_timesteps"], self.training_env.num_envs))

    def _on_rollout_start(self) -> None:
        self.note("rollout start")

    def _on_step(self) -> bool:
        self.note("step")
        self.noted.append(tuple(self.locals["dones"]))
        return self.n_calls != self.stop_at

    def _on_rollout_end(self) -> None:
        self.note("rollout end")

    def _on_training_end(self) -> None:
        self.note("training end")


@pytest.mark.parametrize("stop_at", [None, 30])
def test_callbacks_are_called_as_sb3_calls_them(stop_at: int | None) -> None:
    recorders = []
    agents: list[Any] = [dqn(), q_learning(True), q_learning(False), keras_dqn()]
    for agent in agents:
        agent.learn(52, recorder := Recorder(stop_at))
        recorders.append(recorder)
        agent.learn(5, again := Recorder(), reset_num_timesteps=False)
        recorder.noted += again.noted
        agent.learn(5, again := Recorder(), reset_num_timesteps=True)
        recorder.noted += again.noted
    for recorder in recorders[1:]:
        assert recorder.noted == recorders[0].noted


def test_evaluations_and_their_stop_are_those_of_sb3(tmp_path: Path) -> None:
    seen = []
    agents: list[Any] = [dqn(), q_learning(True), keras_dqn()]
    for i, agent in enumerate(agents):
        # the returns are 1 and 2, 3 and 4, ...: their means 1.5, 3.5, 5.5
        stop = StopTrainingOnRewardThreshold(5.0)
        callback = EvalCallback(
            Monitor(Improving()),
            callback_on_new_best=stop,
            n_eval_episodes=2,
            eval_freq=30,
            verbose=0,
            log_path=str(tmp_path / str(i)),
            best_model_save_path=str(tmp_path / str(i)),
        )
        agent.learn(200, [callback])
        with np.load(tmp_path / str(i) / "evaluations.npz") as file:
            results = file["results"].tolist()
        assert callback.last_mean_reward == 5.5
        seen.append((agent.num_timesteps, callback.evaluations_timesteps, results))
    assert seen[0] == (90, [30, 60, 90], [[1, 2], [3, 4], [5, 6]])
    assert seen[1] == seen[2] == seen[0]
    best = nchain_agents.load(tmp_path / "1" / "best_model")
    assert best.num_timesteps == 90


def test_other_stops_and_lists_are_those_of_sb3(tmp_path: Path) -> None:
    seen = []
    agents: list[Any] = [dqn(), q_learning(True)]
    for i, agent in enumerate(agents):
        agent.learn(500, StopTrainingOnMaxEpisodes(3))
        steps = [agent.num_timesteps]
        evaluation = EvalCallback(
            Monitor(gym.make("NChain-v0", max_episode_steps=1, slip=0.0, small=0.0)),
            callback_after_eval=StopTrainingOnNoModelImprovement(2),  # all pay 0
            n_eval_episodes=1,
            eval_freq=10,
            verbose=0,
        )
        folder = tmp_path / str(i)
        saves = CheckpointCallback(25, str(folder), name_prefix="x")
        counts = Recorder()
        agent.learn(
            500, [saves, evaluation, SB3EveryNTimesteps(20, counts)], reset_num_timesteps=False
        )
        steps.append(agent.num_timesteps)
        calls = [note[1] for note in counts.noted if note[0] == "step"]
        seen.append((steps, sorted(path.name for path in folder.iterdir()), calls))
    # evaluated after 10, 20, 30 and 40 steps: the first is the best, and three are no better
    assert seen[0] == ([75, 115], ["x_100_steps.zip"], [75 + 1, 96])
    assert seen[1] == seen[0]
    checkpoint = nchain_agents.load(tmp_path / "1" / "x_100_steps.zip")
    assert checkpoint.num_timesteps == 100


@pytest.mark.parametrize("compiled", [True, False])
def test_a_callback_of_sb3_changes_nothing_that_is_learned(compiled: bool) -> None:
    # epsilon falls over the whole training
    parameters: dict[str, Any] = {"epsilon": {"initial": 1.0, "final": 0.1, "fraction": 0.7}}
    parameters |= {"seed": 3, "compiled": compiled}
    agent = QLearning(short(), **parameters).learn(310, [Recorder()]).learn(200)
    plain = QLearning(short(), **parameters).learn(310).learn(200)
    assert agent.q.tobytes() == plain.q.tobytes()
    assert agent.episode_returns == plain.episode_returns


def test_the_names_in_the_files_of_tensorboard_are_those_of_sb3(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model, agent = dqn(learning_starts=30, tensorboard_log=str(tmp_path)), keras_dqn()
    agent.tensorboard_log = tmp_path
    agent.learning_starts = 30
    found = []
    for learner in (model, agent):
        learner.learn(250)
        learner.learn(110, reset_num_timesteps=False)
        events: Any = EventAccumulator(str(tmp_path / f"{type(learner).__name__}_1"))
        events.Reload()
        tags = events.Tags()["scalars"]
        found.append({tag: [one.step for one in events.Scalars(tag)] for tag in tags})
    assert found[0]["train/loss"] == [100, 200, 300]
    assert found[1] == found[0]


def test_a_logger_of_sb3_can_be_used(tmp_path: Path) -> None:
    agent = q_learning(True)
    agent.set_logger(configure(str(tmp_path), ["csv"]))
    agent.learn(210)
    agent.logger.close()
    with (tmp_path / "progress.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["time/total_timesteps"] for row in rows] == ["100", "200"]
    assert [row["rollout/ep_len_mean"] for row in rows] == ["25.0", "25.0"]


def test_the_environment_is_given_as_sb3_has_it() -> None:
    agent: Any = q_learning(True).learn(60)
    vec_env = agent.get_env()
    assert vec_env is agent.get_env()
    assert vec_env.envs[0].unwrapped is agent.env.unwrapped
    observations = vec_env.reset()
    for _ in range(25):
        actions, _ = agent.predict(observations, deterministic=True)
        observations, _, dones, infos = vec_env.step(actions)
    assert dones.tolist() == [True]
    assert infos[0]["episode"]["l"] == 25
    mean, _ = evaluate_policy(agent, agent.get_env(), n_eval_episodes=2)  # warns of nothing
    assert float(np.mean(mean)) > 0
    other = short()
    agent.set_env(other)
    assert agent.env is other
    assert agent.get_env().envs[0].unwrapped is other.unwrapped
    assert agent.learn(60).num_timesteps == 120
    with pytest.raises(ValueError, match=r"env must have the observation_space Discrete\(5\)"):
        agent.set_env("NChain-v0 n=6")


def test_functions_and_callbacks_of_sb3_may_be_mixed() -> None:
    called: list[tuple[str, int]] = []
    agent = q_learning(True)

    def each_hundred(agent: Any) -> None:
        called.append(("hundred", agent.num_timesteps))

    def episode(agent: Any) -> None:
        called.append(("episode", agent.num_timesteps))

    recorder = Recorder()
    callbacks = [EveryNTimesteps(100, each_hundred), episode, recorder, StopAfterEpisodes(5)]
    agent.learn(1000, callbacks)
    # stopped at 125, which is the end of the training
    assert called == [
        *(("episode", step) for step in (25, 50, 75, 100)),
        ("hundred", 100),
        ("episode", 125),
        ("hundred", 125),
    ]
    assert recorder.n_calls == agent.num_timesteps == 125
    assert recorder.noted[-1][0] == "training end"


@pytest.mark.parametrize("compiled", [True, False])
def test_counting_from_zero_keeps_what_was_learned_and_begins_epsilon_anew(compiled: bool) -> None:
    schedule = {"initial": 1.0, "final": 0.0, "fraction": 1.0}
    agent = QLearning(short(), epsilon=schedule, seed=0, compiled=compiled).learn(110)
    assert agent.action_probabilities(0).max() == 1.0  # epsilon is 0 at the end
    before, least, learned = agent.q.copy(), list[float](), list[np.ndarray[Any, Any]]()

    def look(agent: Any) -> None:
        least.append(agent.action_probabilities(0).min())
        learned.append(agent.q.copy())

    agent.learn(100, EveryNTimesteps(50, look), reset_num_timesteps=True)
    assert least == pytest.approx([0.25, 0.0])  # half of epsilon, which is 0.5 and 0
    assert agent.num_timesteps == 100
    assert agent.episode_lengths.tolist() == [25] * 4
    assert (learned[0] != before).any()
    assert learned[0].max() > 0.5 * before.max()  # it did not begin with zeros


def test_vector_environments_report_the_lengths_of_their_episodes() -> None:
    keras_dqn()  # or skip
    envs = gym.make_vec("FrozenLake-v1", num_envs=3, vectorization_mode="sync")
    wrapped = gym.wrappers.vector.RecordEpisodeStatistics(envs, buffer_length=1000)
    agent = nchain_agents.KerasDQN(wrapped, net_arch=[4], learning_starts=10**6, seed=0)
    recorder = Recorder()
    agent.learn(300, recorder)
    assert sorted(agent.episode_lengths) == sorted(wrapped.length_queue)
    ended = sum(sum(note) for note in recorder.noted if all(type(x) is np.bool_ for x in note))
    assert ended == len(agent.episode_lengths) > 20
    assert agent.get_env() is agent.env
