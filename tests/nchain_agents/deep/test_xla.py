"""XLA is asked to compile small loops as one kernel."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("keras", reason="needs the keras or the jax extra")

from nchain_agents.deep.xla import with_small_loops

FLAG = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=65536"
OTHER = "--xla_backend_extra_options=xla_cpu_disable_loop_unrolling=true"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", FLAG),
        ("--xla_dump_to=here", f"{FLAG} --xla_dump_to=here"),
        # set already, by the user or by a parent process
        (FLAG, FLAG),
        (OTHER, OTHER),
        # a file that has the flags
        ("flags.txt", "flags.txt"),
    ],
)
def test_flags_of_the_user_stay_what_they_are(flags: str, expected: str) -> None:
    assert with_small_loops(flags) == expected


LOOP = """
from nchain_agents import KerasDQN
from nchain_agents.deep import fast_cpu
from nchain_agents.deep.compiled import Program

fast_cpu()
agent = KerasDQN("NChain-v0", buffer_size=1, batch_size=1, net_arch=[10], seed=0)
agent.env.reset(seed=0)
state = agent.training_state
program = Program(agent.env, agent.hyperparameters, state.learner)
plan = program.plan(state, 100, 100)
numbers = program.numbers(state, plan)
arguments = (program.begin(state, 100), program.constants, numbers, plan)
print(program.compiled_run(False).lower(*arguments).compile().as_text())
"""


@pytest.mark.slow
def test_importing_changes_no_setting() -> None:
    pytest.importorskip("jax", reason="needs the jax extra")
    code = (
        "import os, jax, keras; dispatch = 'jax_cpu_enable_async_dispatch'\n"
        "before = jax.config.read(dispatch)\n"
        "from nchain_agents import KerasDQN; from nchain_agents.deep import fast_cpu\n"
        "assert before and jax.config.read(dispatch)\n"
        "assert 'XLA_FLAGS' not in os.environ\n"
        "fast_cpu()\n"
        "assert not jax.config.read(dispatch)\n"
        "assert 'XLA_FLAGS' in os.environ\n"
    )
    env = {**os.environ, "KERAS_BACKEND": "jax"}
    env.pop("XLA_FLAGS", None)
    subprocess.run([sys.executable, "-c", code], env=env, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("flags", ["", OTHER])
def test_the_tutorials_training_loop_is_one_kernel(flags: str) -> None:
    pytest.importorskip("jax", reason="needs the jax extra")
    env = {**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": flags}
    run = subprocess.run(
        [sys.executable, "-c", LOOP], env=env, check=True, capture_output=True, text=True
    )
    assert ("xla_cpu_small_call" in run.stdout) == (flags == "")
