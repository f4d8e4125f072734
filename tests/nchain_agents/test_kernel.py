"""Agents and studies in the kernel of a notebook: what cells show, and what interrupting keeps."""

import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import pytest

pytest.importorskip("ipykernel", reason="needs the dev extra")
pytest.importorskip("keras", reason="needs the keras extra")
from jupyter_client.manager import start_new_kernel

ROOT = Path(__file__).parents[2]
LIMIT = 120  # seconds for a cell

pytestmark = pytest.mark.slow


class Kernel:
    """A kernel, which runs cells and can be interrupted."""

    def __init__(self, manager: Any, client: Any) -> None:
        self._manager, self._client = manager, client

    def run(self, code: str, interrupt_after: str = "") -> list[dict[str, Any]]:
        """Run a cell; return its outputs, which are replaced as a notebook replaces them.

        The kernel is interrupted a second after this line is printed.
        """
        message = self._client.execute(code)
        outputs: list[dict[str, Any]] = []
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            try:
                got = self._client.get_iopub_msg(timeout=1)
            except Empty:
                continue
            if got["parent_header"].get("msg_id") != message:
                continue
            kind, content = got["msg_type"], got["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return outputs
            if kind == "update_display_data":
                outputs[:] = [
                    {**one, **content} if one.get("transient") == content["transient"] else one
                    for one in outputs
                ]
            elif kind in ("stream", "display_data", "execute_result", "error"):
                outputs.append({"kind": kind, **content})
            if interrupt_after and kind == "stream" and interrupt_after in content["text"]:
                interrupt_after = ""
                time.sleep(1)
                self._manager.interrupt_kernel()
        raise TimeoutError(code)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("kernel")
    manager, client = start_new_kernel(cwd=str(folder), extra_arguments=["--log-level=ERROR"])
    try:
        made = Kernel(manager, client)
        made.run(f"import sys; sys.path.insert(0, {str(ROOT)!r}); import nchain_agents as na")
        yield made
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def printed(outputs: list[dict[str, Any]]) -> str:
    assert all(one["kind"] == "stream" and one["name"] == "stdout" for one in outputs), outputs
    return "".join(one["text"] for one in outputs).strip()


LEARN = """
agent = {agent}
before = agent.knowledge().copy()
print("learning", flush=True)
agent.learn(10**11{more})
"""
GOES_ON = """
steps = agent.num_timesteps
assert 0 < steps < 10**10 and (agent.knowledge() != before).any()
assert agent.learn(100).num_timesteps == steps + 100
print("kept")
"""


@pytest.mark.parametrize(
    "agent",
    [
        'na.QLearning("NChain-v0", seed=0, compiled=True)',
        'na.PosteriorSampling("NChain-v0", seed=0, compiled=False)',
        'na.KerasDQN("NChain-v0", seed=0, learning_starts=10, net_arch=[8], compiled=True)',
        'na.BootstrappedDQN("NChain-v0", seed=0, ensemble_size=2, net_arch=[8], compiled=False)',
    ],
)
def test_interrupting_the_kernel_keeps_what_was_learned(kernel: Kernel, agent: str) -> None:
    *shown, error = kernel.run(LEARN.format(agent=agent, more=""), interrupt_after="learning")
    assert printed(shown) == "learning"
    assert error["ename"] == "KeyboardInterrupt"
    assert printed(kernel.run(GOES_ON)) == "kept"


def test_an_interrupted_comparison_keeps_its_finished_runs(kernel: Kernel) -> None:
    study = 'na.compare(["q-learning"], seeds={seeds}, steps={steps}, out="study", jobs=2)'
    kernel.run(study.format(seeds=2, steps=10**6))
    more = study.replace(")", ", resume=True)")
    *_, error = kernel.run(
        f'print("comparing", flush=True)\n{more.format(seeds=2000, steps=10**6)}', "comparing"
    )
    assert error["ename"] == "KeyboardInterrupt"
    count = "connect('study/runs.sqlite').execute('select count(*) from runs').fetchone()[0]"
    found = kernel.run(f"from sqlite3 import connect; print({count})")
    assert 2 <= int(printed(found)) < 2000


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ('na.QLearning("NChain-v0").learn(200_000, progress_bar=True)', "200000/200000 "),
        ('na.KerasDQN("NChain-v0").learn(500, progress_bar=True)', "500/500 "),
        (
            'na.compare("q-learning", seeds=2, steps=500, jobs=1)',  # shown in a notebook
            "100% 0:00:00 ",
        ),
    ],
)
def test_a_progress_bar_is_one_line_that_ends_at_the_end(
    kernel: Kernel, code: str, end: str
) -> None:
    bar, _ = kernel.run(code)  # and the result
    assert bar["kind"] == "display_data"
    assert set(bar["data"]) == {"text/plain"}
    assert end in bar["data"]["text/plain"]
    assert "\n" not in bar["data"]["text/plain"]


def test_an_interrupted_progress_bar_stays_where_it_is(kernel: Kernel) -> None:
    agent = 'na.QLearning("NChain-v0", seed=0)'
    code = LEARN.format(agent=agent, more=", progress_bar=True")
    said, bar, error = kernel.run(code, interrupt_after="learning")
    assert said["text"].strip() == "learning"
    assert error["ename"] == "KeyboardInterrupt"
    assert "/100000000000 " in bar["data"]["text/plain"]
    assert "100000000000/100000000000" not in bar["data"]["text/plain"]
