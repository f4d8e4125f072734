"""What the report shows, in a browser."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from nchain_agents.presets import Preset, problem
from nchain_agents.report import outputs
from nchain_agents.report.page import write_page
from nchain_agents.study import results
from nchain_agents.study.comparison import Comparison
from nchain_agents.study.environments import environments
from nchain_agents.study.plan import Study
from nchain_agents.study.run import Run, train
from nchain_agents.study.study_file import text_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NAMES = ("chain", "sweep", "lake", "failing", "played")
NASTY = "<script>document.title = 0</script>"
PHONE = 360


class Reported(NamedTuple):
    comparison: Comparison
    path: Path


class Fails:
    """Learns nothing with the first seed, and fails with the others."""

    gamma = 0.9

    def __init__(self, env: Any, seed: int) -> None:
        self.env, self.seed = env, seed

    def learn(self, total_timesteps: int) -> None:
        self.env.reset(seed=self.seed)
        for step in range(total_timesteps):
            if self.seed > 0 and step == total_timesteps // 2:
                raise RuntimeError("the <b>network</b> is " + 60 * "very" + " far away")
            _, _, terminated, truncated, _ = self.env.step(0)
            if terminated or truncated:
                self.env.reset()

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        states = np.asarray(observation)
        return (np.ones_like(states) if states.dtype.kind == "i" else 1), None


def preset(name: str) -> Preset:
    one = problem("nchain").preset(name)
    return replace(one, parameters={**one.parameters, "compiled": False})


def compared(agents: list[Preset], env: str, steps: int, sweep: dict[str, Any]) -> Comparison:
    study = Study(tuple(agents), environments(env, {}, sweep), 2, steps, 3)
    return Comparison.of(study, {task.key: train(task) for task in study.tasks})


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reported]:
    some = [preset("q-learning"), preset("posterior-sampling")]
    fails, nasty = Preset("fails", Fails), replace(preset("reward-sum"), name=NASTY)
    made = {
        "chain": compared([preset("reward-sum"), *some], "NChain-v0", 1500, {}),
        "sweep": compared(some, "NChain-v0", 200, {"n": [3, 40]}),
        "lake": compared(some, "FrozenLake-v1", 300, {}),
        "failing": compared([fails, nasty], "NChain-v0", 200, {"slip": [0.1]}),
        "played": compared([fails], "CartPole-v1", 60, {}),
    }
    found = {}
    for name, comparison in made.items():
        path = tmp_path_factory.mktemp(name) / "report.html"
        write_page(path, comparison)
        found[name] = Reported(comparison, path)
    return found


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium, as .ci/run does")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


Opener = Callable[..., "Page"]


@pytest.fixture
def opened(browser: "Browser", reports: dict[str, Reported]) -> Iterator[Opener]:
    """Return what opens a report, and see that it asks for nothing and complains of nothing."""
    pages: list[Page] = []
    heard: list[str] = []
    asked: list[str] = []

    def open_report(name: str, width: int = 1280, scheme: Any = "light") -> "Page":
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        pages.append(page)
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(reports[name].path.as_uri())
        return page

    yield open_report
    assert heard == []
    assert len(asked) == len(pages)  # each page itself, and nothing more
    for page in pages:
        page.close()


def cells(page: "Page", selector: str) -> dict[str, list[str]]:
    """Return the rows of a table as text, by their head."""
    rows = page.locator(f"{selector} tbody tr").all()
    return {
        row.locator("th").inner_text(): [cell.inner_text() for cell in row.locator("td").all()]
        for row in rows
    }


def test_the_table_has_the_figures_of_the_summary(
    opened: Opener, reports: dict[str, Reported]
) -> None:
    page = opened("chain")
    (summary,) = reports["chain"].comparison.summary["envs"]
    header = page.locator(".figures thead th").all_inner_texts()
    rows = cells(page, ".figures")
    assert list(rows) == [*summary["agents"], "optimal policy", "uniformly random"]
    for agent, about in summary["agents"].items():
        shown = dict(zip(header[1:], rows[agent], strict=True))
        for name, measure, error in (
            ("return", "return", 0.05),
            ("score", "score", 0.005),
            ("reward/step", "reward_per_step", 0.0005),
            ("expected regret", "expected_regret", 0.5),
        ):
            value = about[measure]["iqm"]
            assert float(shown[name].replace(",", "")) == pytest.approx(value, abs=error)
        q_error = float(shown["|Q - Q*|"].replace(",", ""))
        assert q_error == pytest.approx(about["q_error"]["iqm"], rel=1e-3)
    assert rows["optimal policy"][:2] == ["3,665.8", "100.00"]
    assert rows["uniformly random"][:2] == ["1,311.3", "0.00"]
    assert page.title() == "3 agents on NChain-v0"


def test_the_answer_stands_at_the_top(opened: Opener) -> None:
    said = opened("chain").locator(".answer").inner_text()
    assert said.startswith(
        "posterior-sampling has the largest return: 3,663.7 (optimal: 3,665.8), a score of 99.91."
    )
    # three pairs: 3 x 2 / 70 is more than 0.05, 3 x 2 / 252 is less
    assert "Too few seeds to separate posterior-sampling from reward-sum and q-learning" in said
    assert said.endswith("; 3 agents need 5.")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_scrolls_sideways_on_a_phone(name: str, opened: Opener) -> None:
    page = opened(name, width=PHONE)
    for summary in page.locator("summary").all():
        summary.click()
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= page.evaluate("document.documentElement.clientWidth") == PHONE
    # what is wider scrolls by itself, and can be scrolled with the keyboard too
    for box in page.locator(".scroll").all():
        assert box.get_attribute("tabindex") == "0"
        assert box.get_attribute("aria-label")


LETTERS = """
() => [...document.querySelectorAll("svg text")].map(text =>
    parseFloat(getComputedStyle(text).fontSize) * Math.hypot(
        text.getScreenCTM().a, text.getScreenCTM().b))
"""


def test_the_arrows_of_the_chain_fit_a_phone(opened: Opener) -> None:
    box = opened("chain", width=PHONE).get_by_label("Policies in NChain-v0")
    assert box.evaluate("box => box.scrollWidth <= box.clientWidth")


@pytest.mark.parametrize("name", ["chain", "lake"])
def test_the_letters_in_pictures_can_be_read_on_a_phone(name: str, opened: Opener) -> None:
    sizes = opened(name, width=PHONE).evaluate(LETTERS)
    assert len(sizes) > 50
    assert min(sizes) > 8


# The browser itself mixes the colours: it paints all backgrounds that lie behind a text, from the
# outermost on, then the text's colour.
CONTRASTS = """
() => {
  const pen = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const paint = colour => { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); };
  const luminance = () => [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3)
    .map(x => x / 255).map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
    .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const written = [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    const drawn = element.namespaceURI.endsWith("svg");
    if (!written || element.closest("[aria-hidden], title, desc")) continue;
    const behind = [];
    for (let e = element; e; e = e.parentElement) behind.unshift(getComputedStyle(e));
    behind.forEach(style => paint(style.backgroundColor));
    const back = luminance();
    paint(drawn ? getComputedStyle(element).fill : getComputedStyle(element).color);
    const front = luminance();
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    found.push([ratio, back, element.textContent.trim()]);
  }
  return found;
}
"""


@pytest.mark.parametrize(("scheme", "bright"), [("light", True), ("dark", False)])
@pytest.mark.parametrize("name", ["chain", "failing"])
def test_all_text_stands_out_by_day_and_by_night(
    name: str, scheme: str, bright: bool, opened: Opener
) -> None:
    page = opened(name, scheme=scheme)
    for summary in page.locator("summary").all():
        summary.click()
    found = page.evaluate(CONTRASTS)
    assert len(found) > 80
    assert all((back > 0.4) == bright for _, back, _ in found)
    assert [(ratio, text) for ratio, _, text in found if ratio < 4.5] == []


@pytest.mark.parametrize("name", NAMES)
def test_each_picture_has_a_name_and_says_in_words_what_it_shows(name: str, opened: Opener) -> None:
    page = opened(name)
    pictures = page.locator("svg").count()
    assert pictures >= 2
    assert page.get_by_role("img", name=re.compile(".{10}")).count() == pictures
    said = page.locator("svg > desc").all_text_contents()
    assert len(said) == pictures
    assert all(re.search(r"\d", text) for text in said)


def test_a_picture_tells_its_figures(opened: Opener, reports: dict[str, Reported]) -> None:
    page = opened("chain")
    curves = page.get_by_role("img", name="Return of the greedy policy while learning, NChain-v0")
    said = curves.locator("desc").text_content() or ""
    assert "Optimal: 3,665.8. Random: 1,311.3." in said
    assert "posterior-sampling reaches 3,663.7 after 1,500 steps." in said
    # its own picture of the values: Q* of the chain for gamma 0.95, by `nchain solve`
    values = page.get_by_role("img", name="Q of posterior-sampling against Q*")
    said = values.locator("desc").text_content() or ""
    assert "forward: 61.38, 64.89, 69.51, 75.59, 83.59; learned " in said
    runs = reports["chain"].comparison.runs
    learned = np.median([run.q for run in runs if run.key.agent == "posterior-sampling"], axis=0)
    assert f"learned {learned[0, 0]:.4g}, " in said


def test_curves_differ_by_more_than_colour(opened: Opener) -> None:
    curves = opened("chain").get_by_role("img", name=re.compile("^Return"))
    styles = [
        line.get_attribute("style") or ""
        for line in curves.locator("g[clip-path] > path, path[clip-path]").all()
    ]
    found = [
        (re.findall(r"stroke: var\(--c(\d)\)", style), re.findall("dasharray: ([^;]+)", style))
        for style in styles
    ]
    dashes = {colour[0]: dash for colour, dash in found if colour}
    assert sorted(dashes) == ["0", "1", "2"]
    assert len(set(map(tuple, dashes.values()))) == 3


def test_policies_are_arrows_along_the_chain(opened: Opener, reports: dict[str, Reported]) -> None:
    rows = cells(opened("chain"), ".arrows")
    assert list(rows) == [
        "optimal (gamma = 0.95)",
        "reward-sum",
        "q-learning",
        "posterior-sampling",
    ]
    assert rows["optimal (gamma = 0.95)"] == 5 * ["→"]
    for agent in list(rows)[1:]:
        runs = [run for run in reports["chain"].comparison.runs if run.key.agent == agent]
        for state, shown in enumerate(rows[agent]):
            arrow, share = shown.split()
            does = [(run.policy or [])[state] for run in runs]
            most = max(does.count(0), does.count(1))
            assert share == f"{most}/2"
            assert does.count({"→": 0, "←": 1}[arrow]) == most


def test_other_policies_are_shown_by_how_often_they_are_optimal(opened: Opener) -> None:
    rows = cells(opened("lake"), ".arrows")
    assert list(rows) == ["q-learning", "posterior-sampling"]
    for row in rows.values():
        assert len(row) == 16
        assert set(row) <= {"0/2", "1/2", "2/2"}
        assert row[5] == "2/2"  # a hole, where all actions are as good


def test_a_sweep_has_a_table_of_all_and_a_section_for_each(
    opened: Opener, reports: dict[str, Reported]
) -> None:
    page, summary = opened("sweep"), reports["sweep"].comparison.summary
    table = page.get_by_label("Scores, NChain-v0, 200 steps, 2 seeds")
    agents = ["q-learning", "posterior-sampling"]
    assert table.locator("th[scope=col]").all_inner_texts() == ["n", *agents]
    assert table.locator("th[scope=row]").all_inner_texts() == ["3", "40", "all", "95 % from", "to"]
    shown = [
        [float(cell) for cell in row.locator("td").all_inner_texts()]
        for row in table.locator("tbody tr").all()
    ]
    everywhere = [summary["agents"][agent]["score"] for agent in agents]
    assert shown[0] == pytest.approx(
        [summary["envs"][0]["agents"][agent]["score"]["iqm"] for agent in agents], abs=0.005
    )
    assert shown[2] == pytest.approx([score["iqm"] for score in everywhere], abs=0.005)
    for i in range(2):
        ends = [score["interval"][i] for score in everywhere]
        assert shown[3 + i] == pytest.approx(ends, abs=0.005)
    assert page.locator("section.env").count() == 2
    # many states are counted: no picture of each
    long = page.locator("section.env").nth(1)
    assert long.locator(".arrows").count() == 0
    assert "of 40" in long.get_by_label("Policies in NChain-v0 n=40").inner_text()
    distance = long.get_by_role("img", name=re.compile("^Distance from Q"))
    assert "100" in distance.locator("text").all_text_contents()  # of a logarithmic axis


def test_links_and_ids_are_sound(opened: Opener) -> None:
    page = opened("sweep")
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    text = page.content()
    named = re.findall(r'(?:href="#|url\(#|labelledby="|describedby=")([\w-]+)', text)
    assert len(named) > 50
    assert set(named) <= set(ids)


def test_failures_are_told(opened: Opener) -> None:
    page = opened("failing")
    rows = page.locator(".failures tbody tr").all()
    assert len(rows) == 1
    told = [rows[0].locator("th").inner_text(), *rows[0].locator("td").all_inner_texts()]
    assert told[2].startswith("RuntimeError: the <b>network</b> is very")
    assert re.search(r"very far away \(test_page\.py:\d+\)\s+Traceback$", told[2])
    traceback = rows[0].locator("pre")
    assert not traceback.is_visible()
    rows[0].locator("summary").click()
    assert traceback.is_visible()
    assert traceback.inner_text().startswith("Traceback (most recent call last):")
    assert 'raise RuntimeError("the <b>network</b> is "' in traceback.inner_text()
    assert [*told[:2], *told[3:]] == ["fails", "1", "100", "NChain-v0 slip=0.1"]
    assert page.get_by_role("link", name="1 failed").get_attribute("href") == "#failures"
    assert "1 of the runs here failed and are left out" in page.locator("main").inner_text()


def test_names_are_only_text(opened: Opener) -> None:
    page = opened("failing")
    assert page.title() == "2 agents on NChain-v0 slip=0.1"
    assert page.locator("script").count() == 0
    assert page.get_by_role("rowheader", name=NASTY).count() >= 2  # figures, policies
    assert page.locator("svg text", has_text=NASTY).count() == 5  # legends


def test_without_a_model_it_says_so_and_shows_no_exact_answers(opened: Opener) -> None:
    page = opened("played")
    said = page.locator("main").inner_text()
    assert "estimated by 3 episodes, as the environment has no model" in said
    assert "Learned policies" not in said
    assert page.locator("svg text", has_text="solved").count() == 1
    row = cells(page, ".figures")["fails"]
    header = page.locator(".figures thead th").all_inner_texts()[1:]
    shown = dict(zip(header, row, strict=True))
    assert shown["|Q - Q*|"] == shown["optimal from"] == "-"


def test_it_says_how_to_get_it_again(opened: Opener, reports: dict[str, Reported]) -> None:
    page = opened("failing")
    assert page.locator("#command").inner_text() == "nchain compare study.toml"
    comparison, _ = reports["failing"]
    assert page.locator("#study-file").text_content() == text_of(comparison.study)
    assert f'numpy = "{np.__version__}"' in text_of(comparison.study)
    assert "Seeds: 0, 1." in page.locator("main").inner_text()


@pytest.mark.parametrize("name", ["chain", "failing"])
def test_equal_studies_give_equal_bytes(
    name: str, reports: dict[str, Reported], tmp_path: Path
) -> None:
    comparison, path = reports[name]
    # as after an interruption: the runs were kept, and came in another order, at other speeds
    runs = [replace(Run.from_text(run.as_text()), seconds=1e9) for run in comparison.runs]
    later = Comparison.of(comparison.study, {run.key: run for run in reversed(runs)})
    write_page(tmp_path / "report.html", later)
    assert (tmp_path / "report.html").read_bytes() == path.read_bytes()
    assert path.stat().st_size < 500_000


def test_the_readers_own_settings_of_matplotlib_change_nothing(
    reports: dict[str, Reported], tmp_path: Path
) -> None:
    import matplotlib as mpl

    own: dict[Any, Any] = {"axes.facecolor": "#123456", "font.size": 20, "savefig.bbox": "tight"}
    comparison, path = reports["chain"]
    with mpl.rc_context(own):
        write_page(tmp_path / "report.html", comparison)
    assert (tmp_path / "report.html").read_bytes() == path.read_bytes()


def test_a_study_of_which_nothing_is_left_has_a_report(tmp_path: Path) -> None:
    study = Study((Preset("fails", Fails),), environments("NChain-v0", {}, {}), 1, 10)
    run = replace(train(study.tasks[0]), checkpoints=(), failure="it was too late")
    comparison = Comparison.of(study, {run.key: run})
    results.write(tmp_path, comparison)
    outputs.write(tmp_path, comparison)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(results.FILES + outputs.FILES)
    page = (tmp_path / "report.html").read_text()
    assert "No run in this environment finished." in page
    assert "it was too late" in page
