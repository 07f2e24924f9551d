"""Reports, number by number: all that is shown, marked or in a table, is in the record or follows from it."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from solver.catalog import default_library, resolve
from solver.domain.units import MIB_PER_GB
from solver.report.charts.canvas import FILE_CSS, fitted, spread_out, ticks, width_of
from solver.report.document import Report, answer_report, markdown_text, page
from solver.report.document.record import looked_up
from solver.report.markup import svg_file_text
from solver.report.saved import Saved, layout, load
from solver.report.wording import duration, money, number
from solver.sweep.store import Store
from solver.sweep.summary import summary_of
from tests.builders import card, offer, platform, problem, workload
from tests.conftest import RunCli
from tests.pages import NUMBER, Page, read_page
from tests.saving import HOSTILE, answered

ROOT = Path(__file__).resolve().parents[1]
EPOCH = "1764028800"
DAY = "2025-11-25"
MOST_BYTES = 100_000
QUESTIONS: dict[str, dict[str, Any]] = {
    "batch": {"limits": {"budget_cny": 300000}},
    "epoch": {"goal": "epoch", "limits": {"budget_cny": 100000}},
    "cost": {"goal": "cost", "limits": {"min_batch": 24}},
    "value": {"goal": "value", "limits": {"budget_cny": 150000.5}},
    "none": {"limits": {"budget_cny": 60000, "min_batch": 12}},
}


@pytest.fixture(scope="module", params=QUESTIONS)
def saved(request: pytest.FixtureRequest) -> Saved:
    """Saved answers to questions of every goal, and to one without an answer."""
    return answered(resolve(QUESTIONS[request.param], default_library()))


@pytest.fixture
def store(run_cli: RunCli, tmp_path: Path) -> Path:
    """A run store with two runs, each by the name of its file: of quotes (two axes, and one), and along budgets."""
    path = tmp_path / "w.sqlite"
    for name in ("a800-quotes", "budget-sweep"):
        options = ["--run-id", name, "--store", path, "--executor", "inline", "-q"]
        ran = run_cli("whatif", "run", ROOT / "examples" / f"{name}.yaml", *options)
        assert ran.code == 0, ran.err
    return path


def numbers_of(data: Any) -> Iterator[str]:
    """Every number in data, in all the forms in which it may be shown: money, hours or days, MiB, shares."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from numbers_of(key)
            yield from numbers_of(value)
    elif isinstance(data, (list, tuple)):
        for value in data:
            yield from numbers_of(value)
    elif isinstance(data, str):
        yield from NUMBER.findall(data)
    elif isinstance(data, (int, float)) and not isinstance(data, bool):
        value = abs(data)
        yield from (money(value), money(round(value, 2)), str(value), f"{value:,}")
        yield from (number(value, digits) for digits in (0, 1, 2, 3, 4, 6, 10))
        yield from (form.split()[0] for in_days in (True, False) for form in [duration(value, in_days)])
        yield from (number(value * MIB_PER_GB, 0), f"{value * 100:.1f}")
        yield from (number(value / 24, digits) for digits in (1, 2))
        yield number(value * 1e5, 2)  # samples a CNY, shown for 100,000


def derived(saved: Saved) -> Iterator[float]:
    """Figures that a page tells and the documents hold only the parts of."""
    for point in saved.frontier.points if saved.frontier is not None else ():
        yield point.plan.total_batch * 1e5 / float(point.plan.cost_cny)
    plan = saved.result.plan
    if plan is not None:
        yield from (plan.long_load_w - plan.wall_power_w, plan.socket_w - plan.wall_power_w)


def documents(saved: Saved) -> list[Any]:
    """All that the folder of a saved answer holds, as plain data."""
    from solver.report.saved.artefacts import artefacts

    files = artefacts(saved)
    told = [json.loads(files[name]) for name in (layout.PLAN, layout.EXPLAIN) if name in files]
    told += [json.loads(files[layout.FRONTIER])] if layout.FRONTIER in files else []
    return [*told, saved.problem.model_dump(mode="json"), json.loads(saved.problem.model_dump_json())]


def folder_report(run_cli: RunCli, folder: Path) -> Report:
    ran = run_cli("optimize", "--budget", 300000, "--save", folder)
    assert ran.code == 0, ran.err
    return answer_report(load(folder))


def shown(html: str) -> Page:
    read = read_page(html)
    assert read.figures
    return read


def told_forms(value: Any) -> set[str]:
    return set(numbers_of(float(value))) | set(numbers_of(json.loads(str(value))))


def test_every_number_comes_from_the_record(saved: Saved) -> None:
    """Tests that no number on the page or in the Markdown is missing in the saved documents or follows from nothing."""
    report = answer_report(saved)
    known = set(numbers_of(documents(saved))) | set(numbers_of([*derived(saved)]))
    known |= set(numbers_of([DAY, saved.as_of.isoformat(), len(saved.problem.catalog.cards)]))
    stray = read_page(page(report, DAY)).numbers() - known
    # The document's own words: quantiles and the share of a scale that ends at twice today's price.
    assert stray <= {"100,000"}
    plain = re.sub(r"\\([\\`*_{}\[\]<>|#~=+@-])", r"\1", markdown_text(report, DAY))
    assert set(NUMBER.findall(plain)) - known <= {"100,000"}


def test_figures_say_where_they_stand(saved: Saved) -> None:
    """Tests that each marked figure has the value that stands at its place in the record the page carries."""
    read = read_page(page(answer_report(saved), DAY))
    assert saved.result.plan is None or len(read.figures) > 25
    for at, value, words in read.figures:
        assert float(looked_up(read.record, at)) == pytest.approx(float(value)), at
        if words and not set(NUMBER.findall(words)) & told_forms(value):
            pytest.fail(f"{at} is {value}, but {words!r} is shown")


def test_page_shows_the_record_and_computes_nothing(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that another cost and another wattage in the record are the ones that the report shows."""
    folder = tmp_path / "rig"
    folder_report(run_cli, folder)
    for name in (layout.PLAN, layout.EXPLAIN):
        document = json.loads((folder / name).read_text("utf-8"))
        plan = (document if name == layout.PLAN else document["result"])["plan"]
        plan["cost_cny"], plan["wall_power_w"], plan["total_batch"] = 232_777, 1_313.5, 4_711
        (folder / name).write_text(json.dumps(document), "utf-8")
    report = answer_report(load(folder))
    assert "232,777 CNY for a total batch of 4711" in report.headline
    facts = {fact.at.rpartition(".")[2]: fact.told for fact in report.facts}
    assert (facts["cost_cny"], facts["wall_power_w"], facts["total_batch"]) == ("232,777 CNY", "1,314 W", "4711")
    charts = {chart.get("data-chart"): "".join(chart.itertext()) for chart in report.charts}
    assert "Money: 232,777 CNY" in charts["money"]
    assert "Watts: 1,314 W" in charts["watts"]
    assert "Batch: 4711" in charts["batch"]


def hostile() -> Saved:
    """A saved answer in which every name and vendor is meant ill."""
    evil = "\u202egnp\u202c\x00\x1b[31m\ud800"
    cards = [card("card-a", name=HOSTILE[0], vram_mib=49152), card("card-b", name=HOSTILE[1])]
    offers = [
        offer("card-a", 10_000, vendor=HOSTILE[1], source=HOSTILE[3], stock=1),
        offer("card-a", 11_000, vendor=HOSTILE[2], source=HOSTILE[4]),
        offer("card-b", 9_000, vendor="</script><img src=x onerror=alert(1)>", source=evil[:-1]),
        offer("base", 25_000, vendor=HOSTILE[4], source="javascript:alert(1) ]]> --> </style>"),
    ]
    work = workload(name='"><svg onload=alert(1)>')
    return answered(
        problem(
            cards=cards, platforms=[platform("base", name=HOSTILE[3])], offers=offers, work=work, budget_cny=200_000
        )
    )


@pytest.mark.parametrize("interactive", [False, True])
def test_hostile_names_are_text(interactive: bool) -> None:
    """Tests that no name becomes markup, leaves the record's block or turns the writing around, and all are shown."""
    report = answer_report(hostile())
    html = page(report, DAY, interactive)
    read = read_page(html)
    allowed = {"html", "head", "meta", "title", "style", "body", "div", "main", "header", "footer", "section", "nav"}
    allowed |= {"h1", "h2", "h3", "p", "ul", "li", "dl", "dt", "dd", "a", "data", "figure", "script", "table", "thead"}
    allowed |= {"tbody", "tr", "th", "td", "svg", "desc", "text", "rect", "line", "path"}
    assert set(read.tags) <= allowed
    assert read.tags.count("script") == 1 + interactive
    assert not [name for _, name, _ in read.attributes if name.startswith("on") or name in ("src", "style")]
    assert all(value.startswith("#") for _, name, value in read.attributes if name == "href")
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", html)
    for name in (HOSTILE[0], HOSTILE[1], HOSTILE[2], "卡🚀卡"):
        assert name in read.text, name
    assert read.record["result"]["plan"]["card_name"] == HOSTILE[0]
    for chart in report.charts:
        ET.fromstring(svg_file_text(chart, FILE_CSS))


@pytest.mark.parametrize("name", ["a800-quotes", "budget-sweep"])
def test_every_number_of_a_run(run_cli: RunCli, store: Path, tmp_path: Path, name: str) -> None:
    """Tests that all numbers in a report of a run are in its record, and the record's summary is the store's."""
    ran = run_cli("report", name, "--store", store, "-o", tmp_path / "r.html", "-o", tmp_path / "r.md")
    assert ran.code == 0, ran.err
    html = (tmp_path / "r.html").read_text("utf-8")
    assert len(html.encode()) < MOST_BYTES
    read = shown(html)
    with Store(store, must_exist=True) as opened:
        summary = summary_of(opened, opened.run(name))
    assert read.record["summary"] == json.loads(json.dumps(summary))
    cells = [cell for each in read.record["maps"] for row in each["cells"] for cell in row]
    counts = [
        sum(each == rig for row in one["cells"] for each in row) for one in read.record["maps"] for rig in {*cells}
    ]
    known = set(numbers_of([read.record, counts]))
    for text in (*(row["error"] for row in read.record["summary"]["failed"]),):
        known |= set(NUMBER.findall(text))
    # "5 %" and "95 %": which quantiles; the day it was written.
    known |= set(NUMBER.findall(html[html.rindex("<footer>") :])) | {"5", "95"}
    assert read.numbers() - known == set()
    for at, value, words in read.figures:
        assert float(looked_up(read.record, at)) == pytest.approx(float(value)), at
        assert not words or set(NUMBER.findall(words)) & told_forms(value), (at, value, words)


def test_map_draws_the_cells(run_cli: RunCli, store: Path, tmp_path: Path) -> None:
    """Tests that the map's areas, measured off the drawing, are the cells of the store's matrix."""
    options = ["-o", tmp_path / "r.html", "--charts", tmp_path / "svg"]
    assert run_cli("report", "a800-quotes", "--store", store, *options).code == 0
    record = read_page((tmp_path / "r.html").read_text("utf-8")).record
    drawing = ET.parse(tmp_path / "svg" / "map-1.svg").getroot()
    left, top, wide, high = (float(drawing.attrib[f"data-{name}"]) for name in ("left", "top", "wide", "high"))
    first = record["maps"][0]
    drawn: dict[tuple[int, int], str] = {}
    for area in drawing.iter("{http://www.w3.org/2000/svg}path"):
        for x, y, w in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)", area.attrib["d"]):
            row, start = round((float(y) - top) / high), round((float(x) - left) / wide)
            for column in range(start, start + round(float(w) / wide)):
                drawn[row, column] = area.attrib.get("data-rig", "")
    wanted = {
        (r, c): record["rigs"][rig] if rig >= 0 else ""
        for r, row in enumerate(first["cells"])
        for c, rig in enumerate(row)
    }
    assert drawn == wanted
    assert len(set(wanted.values())) > 3


def test_ticks_are_round_and_inside() -> None:
    """Tests ticks at edges: no range, a tiny one, a huge one."""
    assert ticks(3, 3) == [3]
    for low, high in ((0, 1), (0, 33_500), (0.001, 0.0042), (-5, 7), (1e9, 1.00001e9)):
        found = ticks(low, high)
        assert 2 <= len(found) <= 11
        assert low <= found[0]
        assert found[-1] <= high * (1 + 1e-9)


def test_labels_are_spread_out() -> None:
    """Tests that labels keep their order and distance, and stay inside where they fit."""
    for wanted in ([0, 0, 0, 0], [10, 11, 12, 90], [95, 96, 97, 98], [0, 50, 100]):
        found = spread_out(wanted, 17, 0, 100)
        assert all(b - a >= 17 - 1e-9 for a, b in pairwise(found)), wanted
        assert found[0] >= 0
        assert found[-1] <= 100 + 1e-9
    assert fitted("RTX", 1000) == "RTX"
    assert width_of(fitted("卡" * 50, 100)) <= 100
