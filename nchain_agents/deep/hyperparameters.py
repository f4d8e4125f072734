"""The hyperparameters of the learners: name, default, range and meaning of each, stated once.

The constructor's arguments, their documentation and the contents of a file derive from the fields.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from itertools import pairwise
from textwrap import wrap
from typing import Any, ClassVar, Literal

import numpy as np

from nchain_agents.schedules import EpsilonSchedule
from nchain_env.checks import count, fits, instance, integer, one_of, real

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


def _hyperparameter(default: Any, doc: str, check: Check) -> Any:
    """Declare a field: its default, its meaning, and the check that returns its value."""
    return field(default=default, metadata={"doc": doc, "check": check})


def _with_default(name: str, default: Any) -> Any:
    """Declare a field of KerasDQN again, with another default."""
    (declared,) = (each for each in fields(Hyperparameters) if each.name == name)
    return field(default=default, metadata=declared.metadata)


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The hyperparameters of `KerasDQN`, checked; they are documented there.

    Raises:
        ValueError: One is outside its range.
    """

    # those that cannot be assigned, because the network is made for them
    fixed: ClassVar[tuple[str, ...]] = ()

    gamma: float = _hyperparameter(0.99, "The discount factor, in [0, 1].", _share)
    learning_rate: float = _hyperparameter(1e-4, "Adam's step size, positive.", _learning_rate)
    buffer_size: int = _hyperparameter(100_000, "How many transitions are kept for replay.", count)
    learning_starts: int = _hyperparameter(
        100, "How many steps are taken at random before the first update.", partial(count, low=0)
    )
    batch_size: int = _hyperparameter(32, "How many transitions an update learns from.", count)
    train_freq: int = _hyperparameter(
        4, "The number of calls of the environment's `step` between updates.", count
    )
    gradient_steps: int = _hyperparameter(
        1,
        "The number of updates each time; -1: one for each step since the last time.",
        _gradient_steps,
    )
    tau: float = _hyperparameter(
        1.0,
        "The share of the network that goes into the target network at an update of the latter, "
        "in (0, 1].",
        partial(_share, open_low=True),
    )
    target_update_interval: int = _hyperparameter(
        10_000, "The number of steps between updates of the target network.", count
    )
    exploration_fraction: float = _hyperparameter(
        0.1, "The share of the steps over which epsilon falls, in [0, 1].", _share
    )
    exploration_initial_eps: float = _hyperparameter(
        1.0, "Epsilon at the start, in [0, 1].", _share
    )
    exploration_final_eps: float = _hyperparameter(0.05, "Epsilon at the end, in [0, 1].", _share)
    exploration_decay: float = _hyperparameter(
        1.0, "Epsilon is multiplied by it at the start of each episode, in [0, 1].", _share
    )
    max_grad_norm: float = _hyperparameter(
        10.0, "The norm to which gradients are clipped, positive.", _positive
    )
    n_steps: int = _hyperparameter(1, "How many steps the return in a target spans.", count)
    double_q: bool = _hyperparameter(
        False,
        "Let the network choose the next action, and the target network value it.",
        _choice(False, True),
    )
    loss: str = _hyperparameter(
        "huber",
        '"huber" or "mse", of the differences between targets and values.',
        _choice("huber", "mse"),
    )
    net_arch: Sequence[int] = _hyperparameter((64, 64), "The widths of the hidden layers.", _widths)
    activation: str = _hyperparameter(
        "relu",
        "The hidden layers' activation, by its Keras name.",
        partial(instance, kinds=str, what="a name that Keras knows"),
    )
    compiled: bool | Literal["auto"] = _hyperparameter(
        "auto",
        "Run the whole training loop compiled, with the table that the environment is known to "
        "sample (see `TableAgent`), or on JAX with the functions of Gymnasium's "
        '`FunctionalJaxEnv`: True, False, or "auto" for where that is possible.',
        _choice(False, True, "auto"),
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            value = each.metadata["check"](each.name, getattr(self, each.name))
            object.__setattr__(self, each.name, value)

    @property
    def ensemble_size(self) -> int:
        """The number of members of an ensemble; 0: the network is none, and has no such axis."""
        return 0

    @property
    def mask_probability(self) -> float:
        """The probability with which a member learns from a transition."""
        return 1.0

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
        """Return tau of all updates of the target network since the last time, as one.

        The target network is only read when the network learns, so it is updated just before.
        """
        interval = max(self.target_update_interval // num_envs, 1)
        updates = calls // interval - (calls - self.train_freq) // interval
        return 1.0 - (1.0 - self.tau) ** updates

    def check_fits(self, width: int, inputs: int, actions: int, num_envs: int) -> None:
        """Refuse, by its name, a parameter that needs more memory than there is.

        An observation has `width` numbers, and the network takes `inputs` numbers for it.
        """
        members = max(self.ensemble_size, 1)
        number, row = 4, 4 * (2 * width + 4 + self.ensemble_size)
        widths = [inputs, *self.net_arch, actions]
        weights = sum((a + 1) * b for a, b in pairwise(widths))
        # two networks, the two moments of Adam and the gradient
        fits("net_arch", widths, 5 * number * weights)
        # and two priors
        fits("ensemble_size", self.ensemble_size, 7 * number * weights * self.ensemble_size)
        fits("buffer_size", self.buffer_size, row * self.buffer_size)
        sample = row + number * members * sum(widths)
        fits("batch_size", self.batch_size, sample * self.batch_size)
        fits("n_steps", self.n_steps, row * self.batch_size * self.n_steps)
        of_updates = "gradient_steps" if self.gradient_steps > 0 else "train_freq"
        updates = row * self.batch_size * self.updates(num_envs)
        fits(of_updates, getattr(self, of_updates), updates)


@dataclass(frozen=True, kw_only=True)
class BootstrappedHyperparameters(Hyperparameters):
    """The hyperparameters of `BootstrappedDQN`, checked; they are documented there.

    Raises:
        ValueError: One is outside its range.
    """

    fixed: ClassVar[tuple[str, ...]] = ("ensemble_size", "prior_scale")

    # The members explore by being different; random actions would break off their plans.
    learning_starts: int = _with_default("learning_starts", 0)
    exploration_initial_eps: float = _with_default("exploration_initial_eps", 0.0)
    exploration_final_eps: float = _with_default("exploration_final_eps", 0.0)
    ensemble_size: int = _hyperparameter(20, "The number of members, K in the papers.", count)
    prior_scale: float = _hyperparameter(
        3.0,
        "The factor of the priors, in [0, inf): how far the members' values lie apart before there "
        "is evidence.",
        partial(real, low=0),
    )
    mask_probability: float = _hyperparameter(
        1.0,
        "The probability, in (0, 1], with which a member learns from a transition, drawn once for "
        "each of both. 1: all learn from all, and differ by their weights and priors alone.",
        partial(_share, open_low=True),
    )


def names_of(kind: type[Hyperparameters]) -> tuple[str, ...]:
    """Return the names of all hyperparameters."""
    return tuple(each.name for each in fields(kind))


def with_hyperparameters(
    constructor: Callable[..., None], kind: type[Hyperparameters]
) -> inspect.Signature:
    """Return a constructor's signature with the hyperparameters in place of `**hyperparameters`."""
    given = dict(inspect.signature(constructor).parameters)
    self, env = given.pop("self"), given.pop("env")
    del given["hyperparameters"]
    ours = inspect.signature(kind).parameters.values()
    return inspect.Signature([self, env, *ours, *given.values()])


def documented(text: str | None, kind: type[Hyperparameters]) -> str:
    """Return a docstring with the hyperparameters in place of the line `**hyperparameters`."""
    lines = [
        line
        for each in fields(kind)
        for line in wrap(f"{each.name}: {each.metadata['doc']}", 94, subsequent_indent="    ")
    ]
    return inspect.cleandoc(text or "").replace("**hyperparameters", "\n    ".join(lines))
