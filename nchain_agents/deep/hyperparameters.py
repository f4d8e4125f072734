"""The hyperparameters of KerasDQN: name, default, range and meaning, each stated once.

The constructor's arguments, their documentation and what a file holds follow from the fields here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from functools import partial
from itertools import pairwise
from textwrap import indent, wrap
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

import gymnasium as gym
import numpy as np

from nchain_agents.schedules import EpsilonSchedule
from nchain_env.checks import count, fits, instance, integer, one_of, real

A = TypeVar("A")
S = TypeVar("S")
P = ParamSpec("P")
Check = Callable[[str, Any], Any]

# what single precision can hold
_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


def _learning_rate(name: str, value: Any) -> float:
    number = real(name, value, 0, open_low=True)
    if not _SMALLEST <= number <= _LARGEST:
        raise ValueError(f"{name} must be a number of single precision, got {value!r}")
    return number


def _gradient_steps(name: str, value: Any) -> int:
    return -1 if integer(name, value, -1) == -1 else count(f"{name} (unless -1)", value)


def _widths(name: str, value: Any) -> list[int]:
    if not isinstance(value, list | tuple | np.ndarray) or np.ndim(value) == 0:
        raise ValueError(f"{name} must be a list of integers, got {value!r}")
    return [count(name, width) for width in value]


_share = partial(real, low=0, high=1)
_positive = partial(real, low=0, open_low=True)


def _choice(*allowed: Any) -> Check:
    return partial(one_of, allowed=allowed)


def _argument(default: Any, doc: str, check: Check | None = None) -> Any:
    """Declare an argument: its default, what it means, and the check that returns its value."""
    return field(default=default, metadata={"doc": doc, "check": check})


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The hyperparameters of `KerasDQN`, which says what each means, checked.

    Raises:
        ValueError: One is outside its range.
    """

    gamma: float = _argument(0.99, "The discount factor, in [0, 1].", _share)
    learning_rate: float = _argument(1e-4, "Adam's step size, positive.", _learning_rate)
    buffer_size: int = _argument(100_000, "How many transitions are kept for replay.", count)
    learning_starts: int = _argument(
        100, "How many steps are taken at random before the first update.", partial(count, low=0)
    )
    batch_size: int = _argument(32, "How many transitions an update learns from.", count)
    train_freq: int = _argument(
        4, "The number of calls of the environment's `step` between updates.", count
    )
    gradient_steps: int = _argument(
        1,
        "The number of updates each time; -1: one for each step since the last time.",
        _gradient_steps,
    )
    tau: float = _argument(
        1.0,
        "The share of the network that goes into the target network at an update of the latter, "
        "in (0, 1].",
        partial(_share, open_low=True),
    )
    target_update_interval: int = _argument(
        10_000, "The number of steps between updates of the target network.", count
    )
    exploration_fraction: float = _argument(
        0.1, "The share of the steps over which epsilon falls, in [0, 1].", _share
    )
    exploration_initial_eps: float = _argument(1.0, "Epsilon at the start, in [0, 1].", _share)
    exploration_final_eps: float = _argument(0.05, "Epsilon at the end, in [0, 1].", _share)
    exploration_decay: float = _argument(
        1.0, "Epsilon is multiplied by it at the start of each episode, in [0, 1].", _share
    )
    max_grad_norm: float = _argument(
        10.0, "The norm to which gradients are clipped, positive.", _positive
    )
    n_steps: int = _argument(1, "How many steps the return in a target spans.", count)
    double_q: bool = _argument(
        False,
        "Let the network choose the next action, and the target network value it.",
        _choice(False, True),
    )
    loss: str = _argument(
        "huber",
        '"huber" or "mse", of the differences between targets and values.',
        _choice("huber", "mse"),
    )
    net_arch: Sequence[int] = _argument((64, 64), "The widths of the hidden layers.", _widths)
    activation: str = _argument(
        "relu",
        "The hidden layers' activation, by its Keras name.",
        partial(instance, kinds=str, what="a name that Keras knows"),
    )
    compiled: bool | Literal["auto"] = _argument(
        "auto",
        "Run the whole training loop compiled, on the table that the environment is known to "
        'sample (see `TableAgent`): True, False, or "auto" for where that is possible.',
        _choice(False, True, "auto"),
    )

    def __post_init__(self) -> None:
        for each in fields(Hyperparameters):
            value = each.metadata["check"](each.name, getattr(self, each.name))
            object.__setattr__(self, each.name, value)

    @property
    def schedule(self) -> EpsilonSchedule:
        """Epsilon over steps and episodes."""
        return EpsilonSchedule(
            self.exploration_initial_eps,
            self.exploration_final_eps,
            self.exploration_fraction,
            self.exploration_decay,
            self.learning_starts,
        )

    def updates(self, num_envs: int) -> int:
        """Return how many gradient steps are taken at a time."""
        return self.gradient_steps if self.gradient_steps > 0 else self.train_freq * num_envs

    def learns(self, calls: Any, steps: Any) -> Any:
        """Whether the network learns after so many calls and steps; for arrays of them, too."""
        return (calls % self.train_freq == 0) & (steps > self.learning_starts)

    def combined_tau(self, calls: Any, num_envs: int) -> Any:
        """Return the share of the network that goes into the target network before learning.

        The target network is updated every so many calls, but only read when the network learns,
        and does so before it. So the updates since the last time are made now, as one.
        """
        interval = max(self.target_update_interval // num_envs, 1)
        updates = calls // interval - (calls - self.train_freq) // interval
        return 1.0 - (1.0 - self.tau) ** updates

    def check_fits(self, width: int, inputs: int, actions: int, num_envs: int) -> None:
        """Refuse what memory cannot hold: the replay buffer, the networks, what a batch needs.

        Args:
            width: The numbers in an observation.
            inputs: The numbers that a network takes for it.
            actions: The number of actions.
            num_envs: The number of environments.

        Raises:
            ValueError: The message names the parameter.
        """
        number, row = 4, 4 * (2 * width + 4)
        widths = [inputs, *self.net_arch, actions]
        weights = sum((a + 1) * b for a, b in pairwise(widths))
        # two networks, the two moments of Adam and the gradient
        fits("net_arch", widths, 5 * number * weights)
        fits("buffer_size", self.buffer_size, row * self.buffer_size)
        sample = row + number * sum(widths)
        fits("batch_size", self.batch_size, sample * self.batch_size)
        fits("n_steps", self.n_steps, row * self.batch_size * self.n_steps)
        of_updates = "gradient_steps" if self.gradient_steps > 0 else "train_freq"
        updates = row * self.batch_size * self.updates(num_envs)
        fits(of_updates, getattr(self, of_updates), updates)


NAMES = tuple(each.name for each in fields(Hyperparameters))


@dataclass(frozen=True)
class Arguments(Hyperparameters):
    """What KerasDQN is constructed from."""

    env: gym.Env[Any, Any] | str | gym.vector.VectorEnv[Any, Any, Any] = field(
        metadata={
            "doc": "An environment with discrete actions, the id of one, or a vector environment "
            "in any autoreset mode, whose environments' steps are all counted."
        }
    )
    _: KW_ONLY
    model: Any = _argument(  # noqa: RUF009
        None,
        "A Keras model to learn with, in place of the one that net_arch and activation describe. "
        "It must give one value an action.",
    )
    optimizer: Any = _argument(  # noqa: RUF009
        None, "A Keras optimizer to learn with, in place of Adam with learning_rate."
    )
    seed: int | None = _argument(None, "Makes everything that follows repeatable.")

    @property
    def hyperparameters(self) -> Hyperparameters:
        """Those among the arguments."""
        return Hyperparameters(**{name: getattr(self, name) for name in NAMES})


def taking(
    arguments: Callable[P, A],
) -> Callable[[Callable[[S, A], None]], Callable[Concatenate[S, P], None]]:
    """Let a constructor of one value take the arguments that the value is made from."""

    def decorate(construct: Callable[[S, A], None]) -> Callable[Concatenate[S, P], None]:
        def __init__(self: S, /, *args: P.args, **kwargs: P.kwargs) -> None:  # noqa: N807
            construct(self, arguments(*args, **kwargs))

        signature = inspect.signature(arguments)
        self = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        given = [self, *signature.parameters.values()]
        vars(__init__)["__signature__"] = signature.replace(parameters=given)
        return __init__

    return decorate


def documented(text: str | None) -> str:
    """Return a docstring of what takes the `Arguments`, with them, before what it raises."""
    text, raises = inspect.cleandoc(text or "").split("Raises:")
    docs = {each.name: each.metadata["doc"] for each in fields(Arguments)}
    lines = [
        line
        for name in inspect.signature(Arguments).parameters
        for line in wrap(f"{name}: {docs[name]}", 94, subsequent_indent="    ")
    ]
    return f"{text}Args:\n{indent(chr(10).join(lines), '    ')}\n\nRaises:{raises}"
