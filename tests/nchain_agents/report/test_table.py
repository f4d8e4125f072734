"""A table in its three views."""

from rich.console import Console

from nchain_agents.report.table import Folded, Table

TABLE = Table(
    "Returns | of two",
    ("agent", "return of one"),
    [("[b]bold[/b] | a", "1,311.3"), ("<b>", "2.0")],
    references=[("optimal",)],
    note="what [/it] means",
)
WORDS = Table(
    "Failures",
    ("agent", "reason"),
    [("a", Folded("it is <late>", "line 1 & more", "Traceback"))],
    align="left",
    long=("reason",),
)


def shown(table: Table, width: int = 80) -> list[str]:
    console = Console(width=width, record=True)
    with console.capture() as capture:
        console.print(table.rich())
    return [line.strip() for line in capture.get().splitlines() if line.strip()]


def test_markdown_aligns_fills_and_escapes() -> None:
    assert TABLE.markdown().splitlines() == [
        "| agent | return of one |",
        "| --- | ---: |",
        r"| [b]bold[/b] \| a | 1,311.3 |",
        "| <b> | 2.0 |",
        "| optimal |  |",
    ]
    assert WORDS.markdown().splitlines()[1:] == ["| --- | --- |", "| a | it is <late> |"]


def test_the_terminal_shows_every_text_as_it_is() -> None:
    lines = shown(TABLE)
    assert lines[0] == "Returns | of two"
    assert lines[-1] == "what [/it] means"
    assert "[b]bold[/b] | a  1,311.3" in lines
    assert lines.index("optimal") > lines.index("<b>                  2.0")


def test_long_text_is_broken_and_never_cut_in_the_terminal() -> None:
    said = " ".join(str(i) for i in range(60))
    table = Table("x", ("agent", "reason"), [("a", said)], align="left", long=("reason",))
    lines = shown(table, width=40)
    assert " ".join(line.removeprefix("a").strip() for line in lines[3:]) == said


def test_html_is_escaped_and_labelled() -> None:
    assert TABLE.html("figures") == (
        '<div class="scroll" role="region" aria-label="Returns | of two" tabindex="0">\n'
        '<table class="figures">\n'
        '<thead><tr><th scope="col">agent</th><th scope="col">return of one</th></tr></thead>\n'
        "<tbody>\n"
        '<tr><th scope="row">[b]bold[/b] | a</th><td>1,311.3</td></tr>\n'
        '<tr><th scope="row">&lt;b&gt;</th><td>2.0</td></tr>\n'
        '<tr class="reference"><th scope="row">optimal</th><td></td></tr>\n'
        "</tbody>\n</table>\n</div>"
    )


def test_only_a_page_shows_what_is_folded() -> None:
    page = WORDS.html("failures")
    assert '<table class="words failures">' in page
    assert (
        '<td class="long">it is &lt;late&gt;<details><summary>Traceback</summary>'
        "<pre>line 1 &amp; more</pre></details></td>"
    ) in page
    assert not any("line 1" in line for line in shown(WORDS))


def test_columns_that_do_not_fit_come_closer_and_then_are_continued_below() -> None:
    names = [f"agent-{i}" for i in range(6)]
    table = Table("Scores", ("n", *names), [("5", *"123456")], note="a note")

    def lines(width: int) -> list[str]:
        console = Console(width=width, record=True)
        with console.capture() as capture:
            console.print(table.rich(width))
        return [line.strip() for line in capture.get().splitlines() if line.strip()]

    assert "n  agent-0  agent-1  agent-2  agent-3  agent-4  agent-5" in lines(57)
    assert "n agent-0 agent-1 agent-2 agent-3 agent-4 agent-5" in lines(51)
    parts = lines(50)
    assert parts[1] == "n  agent-0  agent-1  agent-2  agent-3  agent-4"
    assert [line.split() for line in parts if line.startswith("5")] == [list("512345"), list("56")]
    assert parts[-1] == "a note"
    assert not any("…" in line or len(line) > 50 for line in parts)


def test_a_long_name_takes_two_lines() -> None:
    lines = shown(Table("x", ("n", "posterior-sampling"), [("5", "1")]))
    assert "posterior-" in lines
    assert lines[lines.index("posterior-") + 1].split() == ["n", "sampling"]
