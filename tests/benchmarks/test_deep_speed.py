"""KerasDQN beside the tutorial's Keras loop and the DQNs of stable-baselines3 and SBX.

Each learner is a process that keeps to one core, and they take turns; a ratio is the median of 5
rounds, in brackets the medians of our speed and of theirs. "Online" learns from each step once, by
one gradient step, with the tutorial's network; "full" is DQN with a replay buffer, batches of 64
and a gradient step on every step. On CartPole, ours learns Gymnasium's `phys2d/CartPole-v1`, which
has no table, and stable-baselines3 learns `CartPole-v1`. Our processes call
`nchain_agents.deep.fast_cpu`, except those "without fast_cpu". By itself:

    pytest tests/benchmarks/test_deep_speed.py -m slow -s

Nothing here fails for being slow.

Aims that are not reached, and what limits them. Stepped on JAX, most of a step is the compiled
call, whose arithmetic cannot be shortened, and the rest is Python and NumPy. Of 64 networks
together, each step updates all on one core.

Not measured: the DQN of purejaxrl (github.com/luchris429/purejaxrl, purejaxrl/dqn.py), which also
compiles the whole training. It is not on PyPI, and gymnax 1.0.1, which it needs, does not start
with these versions of JAX. Its settings are another problem, too: on CartPole-v1 in 10
environments, a network of 120 and 84 units takes one gradient step in 10 steps, with batches of
128. Not measured either: anything on a GPU, as this machine has none.
"""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

pytestmark = pytest.mark.slow

Table = list[tuple[str, str, str]]
ROUNDS = 5
ONLINE: dict[str, Any] = {
    "gamma": 0.95,
    "learning_rate": 1e-3,
    "buffer_size": 1,
    "batch_size": 1,
    "learning_starts": 0,
    "train_freq": 1,
    "target_update_interval": 1,
    "exploration_initial_eps": 0.5,
    "exploration_final_eps": 0.5,
    "exploration_decay": 0.999,
    "loss": "mse",
    "net_arch": [10],
    "activation": "sigmoid",
}
FULL: dict[str, Any] = {
    "gamma": 0.95,
    "learning_rate": 1e-3,
    "buffer_size": 100_000,
    "batch_size": 64,
    "learning_starts": 100,
    "train_freq": 1,
    "target_update_interval": 500,
}
PACKAGES = {
    "tutorial": "tensorflow",
    "sb3": "stable_baselines3",
    "sb3 on CartPole": "stable_baselines3",
    "sbx": "sbx",
}
# A learner of steps: what makes it, its backend, and how many steps are measured at a time.
Learn = Callable[[int], Any]


def tutorial() -> Learn:
    """The tutorial's learner: on every step two predictions and a fit, through Keras's front."""
    import gymnasium as gym
    import keras
    import numpy as np

    import nchain_env  # noqa: F401  (registers NChain-v0)

    env = gym.make("NChain-v0")
    network = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(10, activation="sigmoid"),
            keras.layers.Dense(2, activation="linear"),
        ]
    )
    network.compile(loss="mse", optimizer="adam")
    rng, epsilon, one_hot = np.random.default_rng(0), 0.5, np.identity(5)
    state, _ = env.reset(seed=0)

    def learn(steps: int) -> None:
        nonlocal state
        for _ in range(steps):
            present = one_hot[state : state + 1]
            if rng.random() < epsilon:
                action = int(rng.integers(2))
            else:
                action = int(network.predict(present, verbose=0).argmax())
            next_state, reward, _, truncated, _ = env.step(action)
            next_values = network.predict(one_hot[next_state : next_state + 1], verbose=0)
            target = network.predict(present, verbose=0)
            target[0, action] = reward + 0.95 * next_values.max()
            network.fit(present, target, epochs=1, verbose=0)
            state = env.reset()[0] if truncated else next_state

    return learn


def sb3(env: str = "NChain-v0") -> Learn:
    import torch
    from stable_baselines3 import DQN

    import nchain_env  # noqa: F401  (registers NChain-v0)

    torch.set_num_threads(1)
    model = DQN("MlpPolicy", env, seed=0, device="cpu", **FULL)
    return lambda steps: model.learn(steps, reset_num_timesteps=False)


def sbx() -> Learn:
    # Where it finds TensorFlow, the TensorFlow Probability that SBX imports asks for Keras 2, too.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    from sbx import DQN

    import nchain_env  # noqa: F401  (registers NChain-v0)

    # as large a network as that of the others: SBX's own default is larger
    model = DQN("MlpPolicy", "NChain-v0", seed=0, policy_kwargs={"net_arch": [64, 64]}, **FULL)
    return lambda steps: model.learn(steps, reset_num_timesteps=False)


def ours(env: str = "NChain-v0", **parameters: Any) -> Learn:
    from nchain_agents import KerasDQN
    from nchain_agents.deep import fast_cpu

    fast_cpu()
    return KerasDQN(env, seed=0, **parameters).learn


def plain(**parameters: Any) -> Learn:
    """The same in a process that has not called `fast_cpu`."""
    from nchain_agents import KerasDQN

    return KerasDQN("NChain-v0", seed=0, **parameters).learn


def ours_together(number: int, **parameters: Any) -> Learn:
    from nchain_agents import KerasDQN, learn_many
    from nchain_agents.deep import fast_cpu

    fast_cpu()
    agents = [KerasDQN("NChain-v0", seed=seed, **parameters) for seed in range(number)]
    return lambda steps: learn_many(agents, steps // number)


LEARNERS: dict[str, tuple[str, int, Callable[[], Learn]]] = {
    "tutorial": ("tensorflow", 10, tutorial),
    "sb3": ("", 1_000, sb3),
    "sb3 on CartPole": ("", 1_000, lambda: sb3("CartPole-v1")),
    "sbx": ("", 1_000, sbx),
    "online, tensorflow, compiled": ("tensorflow", 100_000, lambda: ours(**ONLINE)),
    "online, tensorflow, compiled, without fast_cpu": (
        "tensorflow",
        20_000,
        lambda: plain(**ONLINE),
    ),
    "online, jax, compiled": ("jax", 100_000, lambda: ours(**ONLINE)),
    "online, jax, compiled, without fast_cpu": ("jax", 20_000, lambda: plain(**ONLINE)),
    "online, jax, 64 seeds together": ("jax", 640_000, lambda: ours_together(64, **ONLINE)),
    "full, tensorflow, stepped": ("tensorflow", 1_000, lambda: ours(**FULL, compiled=False)),
    "full, tensorflow, compiled": ("tensorflow", 20_000, lambda: ours(**FULL)),
    "full, jax, stepped": ("jax", 5_000, lambda: ours(**FULL, compiled=False)),
    "full, jax, stepped, without fast_cpu": (
        "jax",
        2_000,
        lambda: plain(**FULL, compiled=False),
    ),
    "full, jax, compiled": ("jax", 20_000, lambda: ours(**FULL)),
    "full, jax, compiled, functional CartPole": (
        "jax",
        20_000,
        lambda: ours("phys2d/CartPole-v1", **FULL, compiled=True),
    ),
    "full, jax, 16 seeds together": ("jax", 32_000, lambda: ours_together(16, **FULL)),
}


class Worker:
    """A process that learns some steps each time it is asked to, and says how fast."""

    def __init__(self, name: str) -> None:
        backend, self.steps, _ = LEARNERS[name]
        one_core = {
            "KERAS_BACKEND": backend or "tensorflow",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TF_NUM_INTRAOP_THREADS": "1",
            "TF_NUM_INTEROP_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
        }
        self.process = subprocess.Popen(
            [sys.executable, __file__, name],
            env=os.environ | one_core,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.ask()  # compiles

    def ask(self) -> tuple[float, float]:
        """Return the steps a second, and the largest size of the process in MiB."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(self.steps, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        assert answer, f"the learner ended; to see why, enter 1 after: {self.process.args!r}"
        rate, size = answer.split()
        return float(rate), float(size)

    def close(self) -> None:
        self.process.communicate()


def work(name: str) -> None:
    """What the process does."""
    if hasattr(os, "sched_setaffinity"):  # the flags alone leave pools of threads
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    learn = LEARNERS[name][2]()
    for line in sys.stdin:
        begin = time.perf_counter()
        learn(int(line))
        rate = int(line) / (time.perf_counter() - begin)
        print(rate, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)


def modules(name: str) -> list[str]:
    """Return what a learner of ours needs."""
    return ["keras", LEARNERS[name][0], *(["flax"] if "functional" in name else [])]


def skip_without(*names: str) -> None:
    for name in names:
        if find_spec(name) is None:
            pytest.skip(f"needs {name}")


@pytest.mark.parametrize(
    ("peer", "name", "wanted"),
    [
        ("tutorial", "online, tensorflow, compiled", ">= 1,000x"),
        ("tutorial", "online, tensorflow, compiled, without fast_cpu", ""),
        ("tutorial", "online, jax, compiled", ">= 50,000x"),
        ("tutorial", "online, jax, compiled, without fast_cpu", ""),
        ("tutorial", "online, jax, 64 seeds together", ">= 100,000x"),
        ("sb3", "full, tensorflow, stepped", ">= 2x"),
        ("sb3", "full, tensorflow, compiled", ">= 25x"),
        ("sb3", "full, jax, stepped", ">= 8x"),
        ("sb3", "full, jax, stepped, without fast_cpu", ""),
        ("sb3", "full, jax, compiled", ">= 25x"),
        ("sb3", "full, jax, 16 seeds together", ""),
        ("sb3 on CartPole", "full, jax, compiled, functional CartPole", ">= 15x"),
        ("sbx", "full, jax, stepped", ""),
        ("sbx", "full, jax, compiled", ""),
    ],
)
def test_steps_beside_the_peers(table: Table, peer: str, name: str, wanted: str) -> None:
    skip_without(PACKAGES[peer], *modules(name))
    theirs, mine = Worker(peer), Worker(name)
    pairs = [(mine.ask()[0], theirs.ask()[0]) for _ in range(ROUNDS)]
    theirs.close()
    mine.close()
    ratio = statistics.median(own / other for own, other in pairs)
    rates = [statistics.median(column) for column in zip(*pairs, strict=True)]
    table.append(
        (
            f"{name}, beside {peer}",
            f"{ratio:,.{0 if ratio >= 100 else 2}f}x ({rates[0]:,.0f} and {rates[1]:,.4g} steps/s)",
            wanted,
        )
    )


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in LEARNERS
        if name.startswith("full") and "together" not in name and "without" not in name
    ],
)
def test_memory_over_100_000_steps(table: Table, name: str) -> None:
    skip_without(*modules(name))
    worker, calls = Worker(name), 100_000 // LEARNERS[name][1]
    # the first 100,000 fill the replay buffer
    sizes = [worker.ask()[1] for _ in range(2 * calls)]
    worker.close()
    table.append(
        (
            f"{name}, growth of its largest size over the second 100,000 steps",
            f"{sizes[-1] - sizes[calls - 1]:.1f} MiB of {sizes[-1]:.0f}",
            "flat",
        )
    )


if __name__ == "__main__":
    work(sys.argv[1])
