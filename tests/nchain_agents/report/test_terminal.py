"""No number is cut in the tables of a terminal of any width, nor in a pipe."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from nchain_agents.presets import Preset
from nchain_agents.report.markdown import show_markdown
from nchain_agents.report.outputs import as_markdown, tables
from nchain_agents.report.table import Table
from nchain_agents.report.terminal import show
from nchain_agents.study.comparison import Comparison
from nchain_agents.study.environments import environments
from nchain_agents.study.plan import Study
from nchain_agents.study.run import Run, train

Capture = pytest.CaptureFixture[str]
OVERVIEW = Table(
    "NChain-v0",
    ("agent", "return", "score", "95 % interval", "optimal from", "steps/s", "vs best"),
    [
        ("posterior-sampling", "3,663.7", "99.91", "99.9 to 99.9", "1,200", "15.3k", "best"),
        ("q-learning", "-12,821.1", "64.12", "-19.1 to 99.9", "never", "159.6k", "p=0.00012"),
    ],
    [("optimal policy", "3,665.8", "100.00")],
    note="score: 100 = optimal",
    droppable=("steps/s", "95 % interval", "return"),
)


def printed(table: Table, width: int) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table.rich(width, "--markdown"))
    text = capture.get()
    assert max(map(len, text.splitlines())) <= width
    return text


NAMES = st.text("abc -", min_size=1, max_size=30).map(str.strip).filter(bool)
NUMBERS = st.integers(-(10**9), 10**9).map(lambda number: f"{number:,}") | st.floats(
    -1e5, 1e5, allow_nan=False
).map(lambda number: f"{number:.2f}")


@settings(max_examples=60, deadline=None)
@given(data=st.data(), width=st.integers(40, 120))
def test_each_number_is_printed_whole_or_its_column_is_named(data: Any, width: int) -> None:
    count = data.draw(st.integers(1, 9))
    columns = [f"c{i}{data.draw(NAMES)}".replace(" ", "x") for i in range(count)]
    rows = data.draw(
        st.lists(st.tuples(NAMES, *[NUMBERS] * count), min_size=1, max_size=4).map(list)
    )
    droppable = data.draw(st.lists(st.sampled_from(columns), unique=True))
    table = Table("a caption", ("agent", *columns), rows, droppable=droppable)
    body, _, said = printed(table, width).partition("left out: ")
    dropped = " ".join(said.partition(";")[0].split()).split(", ") if said else []
    assert dropped == sorted(droppable[: len(dropped)], key=columns.index)  # in the stated order
    found = sorted(re.findall(r"(?<=[ \n])-?[\d,]+(?:\.\d+)?(?= )", body))
    kept = [i for i, name in enumerate(columns, 1) if name not in dropped]
    assert found == sorted(row[i] for row in rows for i in kept)


@pytest.mark.parametrize(
    ("width", "dropped"),
    [
        (120, ""),
        # 18 + 9 + 6 + 13 + 7 + 7 + 9 letters, a space before each, and one at the end
        (77, ""),
        (76, "steps/s"),
        (69, "steps/s"),
        (68, "95 % interval, steps/s"),
        (55, "95 % interval, steps/s"),
        (54, "return, 95 % interval, steps/s"),
    ],
)
def test_columns_are_left_out_in_the_stated_order_which_a_line_says(
    width: int, dropped: str
) -> None:
    text = printed(OVERVIEW, width)
    assert text.rstrip().splitlines()[-1] == "score: 100 = optimal"
    said = f"left out: {dropped}; --markdown or a width of 77 shows them"
    if dropped:
        assert said in " ".join(text.split())
    else:
        assert "left out" not in text
    assert "99.91" in text
    assert "p=0.00012" in text


def test_a_pipe_has_no_width_unless_it_is_given_one(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    wide = Table("wide", ("agent", *(f"column-{i}" for i in range(30))), [("a", *["1234.5"] * 30)])
    monkeypatch.delenv("COLUMNS", raising=False)
    show(wide)
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "1234.5" in line]
    assert row.split() == ["a", *["1234.5"] * 30]
    monkeypatch.setenv("COLUMNS", "60")
    show(wide)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 60
    assert shown.count("1234.5") == 30


def test_the_tables_of_a_page_have_whole_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    rows = [["agent", *(f"published {i}" for i in range(5))], ["---"] * 6, [r"a \| b", *"12345"]]
    rows[2][2] = "194,571 ± 100,390"
    markdown = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    show_markdown(Console(), f"# Title\n\nText\n\n{markdown}\n\n![a picture](a.png)\n\nMore")
    shown = capsys.readouterr().out
    assert "194,571 ± 100,390" in shown
    assert "a | b" in shown
    assert "picture" not in shown
    assert shown.index("Text") < shown.index("194,571") < shown.index("More")


@pytest.fixture(scope="module")
def run() -> Run:
    return train(study("NChain-v0", {}).tasks[0])


def study(env: str, sweep: dict[str, list[Any]]) -> Study:
    agents = (Preset("learner", "nchain_agents:QLearning"),)
    return Study(agents, environments(env, {}, sweep), 1, 40)


def test_the_tables_of_a_sweep_have_one_footnote(run: Run) -> None:
    swept = study("NChain-v0", {"n": [4, 5]})
    comparison = Comparison.of(
        swept, {task.key: type(run)(**{**vars(run), "key": task.key}) for task in swept.tasks}
    )
    scores, steps = tables(comparison)
    assert scores.note == ""
    assert "score: 100 = optimal policy" in steps.note
    assert "steps: the step from which on the policy is optimal" in steps.note
    text = as_markdown(comparison)
    assert text.rstrip().endswith("median of the seeds.")
    assert text.count("100 = optimal policy") == 1
