"""Models are asked as they can be asked: in batches, one by one, and with what they remember."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from nchain_agents import compare, score
from nchain_agents.evaluation import EpisodeEvaluator, ExactEvaluator, evaluator_of
from nchain_agents.prediction import greedy_policy
from nchain_env import NChainEnv, chain_mdp
from nchain_env.planning import policy_return


class Scalar:
    """Takes one state at a time, as a tutorial writes it."""

    def __init__(self, *actions: int) -> None:
        self.q = np.eye(2)[list(actions)]

    def predict(self, obs: Any, deterministic: bool = False) -> tuple[Any, Any]:
        return int(self.q[obs].argmax()), None


class Listed:
    """Looks its action up in a dictionary, which takes no array."""

    def predict(self, obs: Any, deterministic: bool = False) -> tuple[Any, Any]:
        return {0: 0, 1: 0, 2: 1, 3: 0, 4: 0}[obs], None


def test_a_model_that_takes_one_observation_at_a_time_is_asked_so() -> None:
    assert greedy_policy(Scalar(0, 0, 1, 0, 0), 5).tolist() == [0, 0, 1, 0, 0]  # type: ignore[union-attr]
    assert greedy_policy(Listed(), 5).tolist() == [0, 0, 1, 0, 0]  # type: ignore[union-attr]
    assert score(Scalar(0, 0, 0, 0, 0), "NChain-v0") == pytest.approx(99.91, abs=0.005)
    # 12.40: always backward
    assert score(Scalar(1, 1, 1, 1, 1), "NChain-v0") == pytest.approx(12.40, abs=0.005)
    assert score(Scalar(0), gym.make("NChain-v0", n=1)) == pytest.approx(100)


class Wrong:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def predict(self, obs: Any, deterministic: bool = False) -> Any:
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [None, 0, (0,), (0.5, None), ("left", None), ([0, 1], None), (None, None), (np.nan, None)],
)
def test_what_is_no_action_is_refused(answer: Any) -> None:
    with pytest.raises(ValueError, match=r"^model.predict must take an observation, or a batch"):
        score(Wrong(answer), "NChain-v0")


def test_an_action_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold actions in"):
        score(Wrong((2, None)), "NChain-v0")


def test_a_model_without_the_argument_is_refused_by_what_it_raised() -> None:
    class Old:
        def predict(self, obs: Any) -> Any:
            return 0, None

    with pytest.raises(ValueError, match="unexpected keyword argument 'deterministic'"):
        score(Old(), "NChain-v0")  # type: ignore[call-overload]


class Counting:
    """Goes forward if it has been in this episode for an even number of steps, else backward.

    It works for batches of any size, as stable-baselines3 asks for. In `asked` stands how often
    the episode was said to start.
    """

    def __init__(self, forget: int = 2) -> None:
        self.forget = forget
        self.starts = 0

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        assert deterministic
        count = np.zeros(len(observation), dtype=np.int64) if state is None else state[0]
        count = np.where(episode_start, 0, count)
        self.starts += int(np.sum(episode_start))
        return np.where(count % self.forget == 0, 1, 0), (count + 1,)


class Remembering(Counting):
    """Goes forward always, but only if it gets its state back: without, backward."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        _, state = super().predict(observation, state, episode_start, deterministic)
        return np.where(state[0] > 1, 0, 1), state


def worth_by_time(forward: Any, horizon: int = 1000) -> float:
    """The return of a policy that depends on the time only, by the chain's law."""
    mdp, value = chain_mdp(), np.zeros(5)
    for step in reversed(range(horizon)):
        action = 0 if forward(step) else 1
        p, r, s = mdp.probability[:, action], mdp.reward[:, action], mdp.next_state[:, action]
        value = (p * (r + value[s])).sum(axis=-1)
    return float(value[0])


def test_the_state_of_a_recurrent_policy_is_carried_through_an_episode() -> None:
    measure = evaluator_of(gym.make("NChain-v0"), episodes=100)
    assert greedy_policy(Remembering(), 5) is None
    for model, forward in (
        (Remembering(), lambda step: step > 0),
        (Counting(2), lambda step: step % 2 != 0),
        (Counting(7), lambda step: step % 7 != 0),
    ):
        mean, standard_error = measure.evaluate(model)
        assert 0 < standard_error < 50
        assert abs(mean - worth_by_time(forward)) < 5 * standard_error
        assert measure.evaluate(model) == (mean, standard_error)  # the same episodes again
    assert score(Remembering(), "NChain-v0") > 95
    # of a policy without memory it is known exactly
    assert worth_by_time(lambda step: True) == pytest.approx(
        policy_return(chain_mdp(), np.zeros(5, dtype=np.int64), 1000)
    )


def test_it_is_played_as_sb3_plays_it() -> None:
    evaluation = pytest.importorskip(
        "stable_baselines3.common.evaluation", reason="needs the sb3 extra"
    )
    for model in (Remembering(), Counting(3)):
        env = gym.make("NChain-v0", max_episode_steps=100)
        env.reset(seed=0)
        theirs, _ = evaluation.evaluate_policy(
            model, env, n_eval_episodes=30, return_episode_rewards=True, warn=False
        )
        played = EpisodeEvaluator(gym.make("NChain-v0", max_episode_steps=100), 30).evaluate(model)
        on_table = evaluator_of(gym.make("NChain-v0", max_episode_steps=100), 400).evaluate(model)
        # evaluate_policy resets once more, unseeded, at the start: other draws, the same law
        error = np.hypot(played.standard_error, np.std(theirs) / np.sqrt(30))
        assert abs(np.mean(theirs) - played.mean) < 5 * error
        error = np.hypot(played.standard_error, on_table.standard_error)
        assert abs(on_table.mean - played.mean) < 5 * error


class Balancing:
    """Balances the pole with what it saw one step before, so it must be given its state."""

    def __init__(self) -> None:
        self.starts: list[bool] = []

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        angles = np.atleast_2d(observation)[:, 2]
        self.starts.append(bool(episode_start[0]))
        last = angles if state is None else np.where(episode_start, angles, state)
        return (angles + 20 * (angles - last) > 0).astype(int), angles


def test_episodes_hand_the_state_back_and_say_where_one_starts() -> None:
    model = Balancing()
    worth = EpisodeEvaluator(gym.make("CartPole-v1"), 5).evaluate(model)
    assert worth.mean > 100  # without the angle before it falls after some 40 steps
    assert sum(model.starts) == 1 + 5  # the first question is whether it remembers
    assert len(model.starts) == 1 + worth.mean * 5


class Narrow:
    """Returns a state and takes none."""

    def predict(self, observation: Any, deterministic: bool = False) -> Any:
        return np.zeros(len(observation), dtype=np.int64), "state"


def test_a_state_that_cannot_be_given_back_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^model.predict must take `state`, because it returned"):
        score(Narrow(), "NChain-v0")


def test_a_recurrent_models_actions_are_checked() -> None:
    class Beyond(Counting):
        def predict(
            self,
            observation: Any,
            state: Any = None,
            episode_start: Any = None,
            deterministic: bool = False,
        ) -> tuple[Any, Any]:
            actions, state = super().predict(observation, state, episode_start, deterministic)
            return actions + 2, state

    with pytest.raises(ValueError, match=r"model.predict must return actions in \[0, 2\)"):
        score(Beyond(), "NChain-v0")


class Recurrent(Remembering):
    """Learns nothing."""

    def __init__(self, env: Any, seed: int = 0) -> None:
        super().__init__()
        self.env, self.gamma = env, 0.95

    def learn(self, total_timesteps: int) -> None:
        self.env.reset(seed=0)
        for _ in range(total_timesteps):
            if any(self.env.step(0)[2:4]):
                self.env.reset()


def test_a_recurrent_agent_is_compared_by_episodes_and_it_is_said(tmp_path: Any) -> None:
    from nchain_agents.report.outputs import as_markdown

    found = compare(
        ["q-learning", Recurrent],
        "NChain-v0 max_episode_steps=50",
        seeds=2,
        steps=400,
        episodes=50,
        jobs=1,
        out=tmp_path,
    )
    assert not found.failures
    assert found.summary["envs"][0]["exact"] is True
    ours, recurrent = (
        [run for run in found.runs if run.key.agent == name] for name in ("q-learning", "Recurrent")
    )
    for run in recurrent:
        assert run.policy is None
        assert run.final.optimal is None
        error = run.final.standard_error
        assert abs(run.final.expected_return - worth_by_time(lambda step: step > 0, 50)) < 5 * error
    assert all(run.final.standard_error == 0 for run in ours)
    assert "estimated by 50 episodes, because recurrent: Recurrent" in as_markdown(found)
    page = (tmp_path / "report.html").read_text()
    assert "Estimated by 50 episodes, because recurrent: Recurrent." in page
    assert "Learned policies" in page


@pytest.mark.slow
def test_sb3_contribs_recurrent_ppo_is_worth_what_sb3_says() -> None:
    contrib = pytest.importorskip("sb3_contrib", reason="needs sb3-contrib")
    evaluation = pytest.importorskip("stable_baselines3.common.evaluation")
    env = gym.make("NChain-v0", max_episode_steps=50)
    model = contrib.RecurrentPPO(
        "MlpLstmPolicy", env, seed=1, n_steps=64, learning_rate=1e-3, device="cpu", gamma=0.95
    ).learn(1_024)
    measure = evaluator_of(gym.make("NChain-v0", max_episode_steps=50), episodes=100)
    assert isinstance(measure, ExactEvaluator)
    ours = measure.evaluate(model)
    theirs, _ = evaluation.evaluate_policy(
        model,
        gym.make("NChain-v0", max_episode_steps=50),
        n_eval_episodes=50,
        return_episode_rewards=True,
        warn=False,
    )
    error = np.hypot(ours.standard_error, np.std(theirs) / np.sqrt(50))
    assert abs(ours.mean - np.mean(theirs)) < 5 * error
    played = EpisodeEvaluator(gym.wrappers.TimeLimit(NChainEnv(), 50), 50).evaluate(model)
    error = np.hypot(ours.standard_error, played.standard_error)
    assert abs(ours.mean - played.mean) < 5 * error
