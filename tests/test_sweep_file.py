"""Scenario files: what each form may say, what comes of it, in which order, and what is refused how."""

from __future__ import annotations

import itertools
import json
import statistics
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from solver.catalog import default_library
from solver.domain.errors import InvalidProblem
from solver.sweep.expand import expand
from solver.sweep.expect import expectation
from solver.sweep.file import ScenarioFile, parse, read
from solver.sweep.questions import Questions
from solver.sweep.rows import read_jsonl
from solver.sweep.scenario import Scenario
from solver.sweep.schema import TEMPLATE, schema


def yaml(text: str) -> ScenarioFile:
    return parse(text.encode(), "plan.yaml")


def scenarios(file: ScenarioFile) -> Iterator[Scenario]:
    return expand(file, Questions(default_library(), file.question))


def changes(text: str) -> list[dict[str, Any]]:
    return [scenario.changes for scenario in scenarios(yaml(text))]


def fault(text: str | bytes, name: str = "plan.yaml") -> str:
    with pytest.raises(InvalidProblem) as found:
        parse(text.encode() if isinstance(text, str) else text, name)
    return str(found.value)


def test_order_and_names_follow_from_the_file() -> None:
    """Tests that written scenarios come first, then sweeps, the last grid path turning fastest, draws innermost."""
    file = yaml(
        """
        sweeps:
          - name: g
            grid: {limits.budget_cny: [1, 2], site.socket_amps: [10, 16]}
            zip: {limits.max_cards: [1, 4], goal: [batch, epoch]}
          - random: {draws: 2, seed: 1, values: {prices.rtx-3090: {uniform: {percent: [0, 0]}}}}
        scenarios:
          - {}
          - name: mine
            set: {limits: {budget_cny: 5}, goal: cost}
        """
    )
    found = list(scenarios(file))
    assert [s.position for s in found] == list(range(1, 13))
    assert file.total == 12
    assert [s.name for s in found[:2]] == ["scenario-1", "mine"]
    assert found[1].changes == {"limits.budget_cny": 5, "goal": "cost"}
    assert found[2].name == "g: budget_cny=1, socket_amps=10, max_cards=1, goal=batch"
    assert found[3].name == "g: budget_cny=1, socket_amps=10, max_cards=4, goal=epoch"
    assert found[4].name == "g: budget_cny=1, socket_amps=16, max_cards=1, goal=batch"
    assert found[6].name == "g: budget_cny=2, socket_amps=10, max_cards=1, goal=batch"
    assert [s.name for s in found[10:]] == ["sweep-2: draw=1", "sweep-2: draw=2"]
    assert [s.changes for s in found[10:]] == [{"prices.rtx-3090": 8500}] * 2
    assert file.paths == (
        "limits.budget_cny", "goal", "site.socket_amps", "limits.max_cards", "prices.rtx-3090",
    )  # fmt: skip
    assert list(scenarios(file)) == found


def test_ranges_are_exact() -> None:
    """Tests that a range meets its end where a step does, goes down too, and never drifts."""
    text = "sweeps: [{grid: {limits.max_epoch_days: {from: 0.1, to: 0.5, step: 0.1}}}]"
    assert [c["limits.max_epoch_days"] for c in changes(text)] == [0.1, 0.2, 0.3, 0.4, 0.5]
    text = "sweeps: [{grid: {limits.budget_cny: {from: 30万, to: 100000, step: -75000}}}]"
    assert [c["limits.budget_cny"] for c in changes(text)] == [300_000, 225_000, 150_000]
    text = "sweeps: [{grid: {limits.budget_cny: {from: 0, to: 1, count: 4}}}]"
    assert [c["limits.budget_cny"] for c in changes(text)] == [0, 0.33, 0.67, 1]


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ("{prices.rtx-a6000: 1.1}", {"prices.rtx-a6000": 30_250}),
        ('{prices.rtx-a6000: "+10 %"}', {"prices.rtx-a6000": 30_250}),
        ('{prices.rtx-a6000: "-0.00001%"}', {"prices.rtx-a6000": 27_500}),
        ("{prices.rtx-a6000: 0.333333}", {"prices.rtx-a6000": 9166.66}),
        ("{prices.rtx-a6000: 0.0000001818182}", {"prices.rtx-a6000": 0.01}),  # half up
        ("{limits.budget_cny: 0.5, limits.max_cards: 0.6}", {"limits.budget_cny": 150_000, "limits.max_cards": 2}),
        ("{site.socket_amps: 1.6, workload.samples: 2}", {"site.socket_amps": 16, "workload.samples": 50_000}),
    ],
)
def test_factors_are_of_what_holds_today(scale: str, expected: dict[str, Any]) -> None:
    """Tests that factors multiply the cheapest offer or the base value, rounded half up to the unit of the field."""
    base = "base: {limits: {budget_cny: 300000}}\n"
    assert changes(f"{base}scenarios: [{{scale: {scale}}}]") == [expected]


def test_every_price_can_be_scaled_at_once() -> None:
    """Tests that `prices` scales every offer, what the scenario itself set included, and a named one by its own."""
    text = "scenarios: [{set: {prices.a800-80gb-pcie: 100}, scale: {prices: 2, prices.rtx-3090: 3}}]"
    found = changes(text)[0]
    assert found["prices.a800-80gb-pcie"] == 200
    assert found["prices.rtx-3090"] == 25_500
    assert found["prices.guide-base"] == 50_000
    assert len(found) == len(default_library().catalog.offers_by_item) + 1


def test_a_factor_of_nothing_is_the_scenarios_fault() -> None:
    """Tests that scaling a price or limit that does not exist fails that scenario, with its line, and no other."""
    text = "  - {name: a, scale: {prices.h100-pcie-80gb: 2}}\n  - {name: b, scale: {limits.budget_cny: 2}}\n  - {}\n"
    found = list(scenarios(yaml(f"scenarios:\n{text}")))
    assert found[0].fault == "plan.yaml:2: scale.prices.h100-pcie-80gb: has no value today to be scaled"
    assert found[1].fault.startswith("plan.yaml:3: scale.limits.budget_cny")
    assert not found[2].fault


def draws(values: str, count: int = 4000, seed: int = 1) -> list[dict[str, Any]]:
    return changes(f"sweeps: [{{random: {{draws: {count}, seed: {seed}, values: {{{values}}}}}}}]")


def test_draws_have_their_distribution() -> None:
    """Tests mean, spread and range of every distribution, in percent of a price and absolute."""
    found = draws(
        "prices.rtx-a6000: {normal: {percent: 10}}, prices.rtx-3090: {uniform: {percent: [-10, 20]}}, "
        "prices.guide-base: {triangular: {percent: [-10, 0, 30]}}, "
        "limits.budget_cny: {uniform: [1e5, 3e5], step: 1000}, "
        "site.socket_amps: {choice: [10, 16]}, limits.max_epoch_days: {normal: {mean: 5, sd: 0.5}}"
    )
    a6000 = [each["prices.rtx-a6000"] for each in found]
    assert statistics.mean(a6000) == pytest.approx(27_500, rel=0.01)
    assert statistics.stdev(a6000) == pytest.approx(2750, rel=0.05)
    r3090 = [each["prices.rtx-3090"] for each in found]
    assert 7650 <= min(r3090) < 7700
    assert 10_150 < max(r3090) <= 10_200
    base = [each["prices.guide-base"] for each in found]
    assert min(base) >= 22_500
    assert max(base) <= 32_500
    assert statistics.mean(base) == pytest.approx(25_000 * (1 + (-0.1 + 0 + 0.3) / 3), rel=0.01)
    budgets = {each["limits.budget_cny"] for each in found}
    assert all(budget % 1000 == 0 for budget in budgets)
    assert len(budgets) > 190
    assert {each["site.socket_amps"] for each in found} == {10, 16}
    assert statistics.mean(each["limits.max_epoch_days"] for each in found) == pytest.approx(5, rel=0.02)
    assert all(round(price, 2) == price for price in a6000)


def test_draws_are_the_same_everywhere() -> None:
    """Tests that a seed gives these very prices: a change here would change every run made again."""
    found = draws("prices.rtx-a6000: {normal: {percent: 10}}", count=3, seed=42)
    assert [each["prices.rtx-a6000"] for each in found] == PINNED
    more = draws("prices.rtx-3090: {uniform: {percent: [0, 1]}}, prices.rtx-a6000: {normal: {percent: 10}}", 3, 42)
    assert [each["prices.rtx-a6000"] for each in more] == PINNED, "another path drawn changes nothing"
    assert draws("prices.rtx-a6000: {normal: {percent: 10}}", 3, 43) != found


PINNED = [30_402.48, 30_248.43, 25_193.32]


def test_every_grid_point_meets_the_same_draws() -> None:
    """Tests that grid points differ by their own values only, not by chance."""
    found = changes(
        "sweeps: [{grid: {limits.budget_cny: [1, 2]}, "
        "random: {draws: 3, seed: 5, values: {prices.rtx-3090: {normal: {percent: 5}}}}}]"
    )
    assert [f["prices.rtx-3090"] for f in found[:3]] == [f["prices.rtx-3090"] for f in found[3:]]


def test_a_price_is_never_drawn_below_zero() -> None:
    """Tests that even an absurd spread gives prices above zero."""
    found = draws("prices.rtx-3090: {normal: {percent: 300}}", 500)
    assert min(each["prices.rtx-3090"] for each in found) > 0


@pytest.mark.parametrize("spec", ["{normal: {mean: 10000, sd: 20000}}", "{uniform: [-5000, 5000]}"])
def test_a_price_drawn_absolutely_is_never_zero_or_below(spec: str) -> None:
    text = f"sweeps: [{{random: {{draws: 300, seed: 2, values: {{prices.rtx-a6000: {spec}}}}}}}]"
    assert all(made["prices.rtx-a6000"] > 0 for made in changes(text))


def test_a_price_that_cannot_be_above_zero_is_a_fault_and_no_endless_loop() -> None:
    text = "sweeps: [{random: {draws: 2, seed: 2, values: {prices.rtx-a6000: {uniform: [-9, -1]}}}}]"
    assert [s.fault.partition(": ")[2] for s in scenarios(yaml(text))] == [
        "prices.rtx-a6000: no price above 0 came of 1,000 draws"
    ] * 2


def test_millions_stay_lazy() -> None:
    """Tests that a file of ten million scenarios is read and its first ones made in little memory."""
    text = (
        "sweeps: [{grid: {limits.budget_cny: {from: 1, to: 100000, step: 1}, site.socket_amps: [10, 16]}, "
        "random: {draws: 50, seed: 1, values: {prices.rtx-3090: {normal: {percent: 1}}}}}]"
    )
    tracemalloc.start()
    file = yaml(text)
    first = list(itertools.islice(scenarios(file), 100))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert file.total == 10_000_000
    assert first[99].name == "sweep-1: budget_cny=1, socket_amps=16, draw=50"
    assert peak < 20 * 2**20


def test_scenarios_that_share_all_but_one_limit_are_marked_for_a_frontier() -> None:
    """Tests which sweeps and tables are answered along a limit, and that prices, short lists and factors are not."""

    def marks(text: str) -> set[str]:
        return {scenario.frontier for scenario in scenarios(yaml(text))}

    budget = "limits.budget_cny: {from: 1000, to: 20000, step: 1000}"
    assert marks(f"sweeps: [{{grid: {{{budget}}}}}]") == {"limits.budget_cny"}
    assert marks(f"sweeps: [{{grid: {{{budget}, goal: [batch, epoch]}}}}]") == {"limits.budget_cny"}
    assert marks("sweeps: [{grid: {limits.budget_cny: [1, 2, 3]}}]") == {""}
    assert marks(f"sweeps: [{{grid: {{{budget}}}, scale: {{limits.budget_cny: 2}}}}]") == {""}
    draw = "random: {draws: 20, seed: 1, values: {%s}}"
    assert marks(f"sweeps: [{{{draw % 'limits.budget_cny: {uniform: [1, 1000]}'}}}]") == {"limits.budget_cny"}
    assert marks(f"sweeps: [{{{draw % 'prices.rtx-3090: {uniform: [1, 1000]}'}}}]") == {""}
    assert marks(f"sweeps: [{{grid: {{{budget}}}, {draw % 'prices.rtx-3090: {uniform: [1, 9]}'}}}]") == {""}
    lines = "name,limits.budget_cny,goal\n" + "".join(
        f"s{n},{n}000,{'epoch' if n % 2 else 'cost'}\n" for n in range(40)
    )
    assert {s.frontier for s in scenarios(parse(lines.encode(), "t.csv"))} == {"limits.budget_cny"}
    lines = "limits.budget_cny,prices.rtx-3090\n" + "".join(f"{n},{n}\n" for n in range(40))
    assert {s.frontier for s in scenarios(parse(lines.encode(), "t.csv"))} == {""}


CSV = """name,limits.budget_cny,site.socket_amps,prices.rtx-a6000,scale:prices.rtx-3090,goal,limits.include,expect
first,"300,000",,,,,,total_batch >= 24; card_id == a100-80gb-pcie
,30万,16,¥2.5万,+10%,epoch,rtx-a6000 guide-base,
third,none,10.125,,,,,
"""


def test_a_table_says_what_the_same_yaml_says() -> None:
    """Tests CSV with money as people write it, empty cells, lists, factors, expectations and lines for messages."""
    found = list(scenarios(parse(CSV.encode(), "t.csv")))
    assert [s.name for s in found] == ["first", "scenario-2", "third"]
    assert [s.where for s in found] == ["t.csv:2", "t.csv:3", "t.csv:4"]
    assert found[0].changes == {"limits.budget_cny": 300_000}
    assert found[0].expect == ("total_batch >= 24", "card_id == a100-80gb-pcie")
    assert found[1].changes == {
        "limits.budget_cny": 300_000, "site.socket_amps": 16, "prices.rtx-a6000": 25_000, "goal": "epoch",
        "limits.include": ["rtx-a6000", "guide-base"], "prices.rtx-3090": 9350,
    }  # fmt: skip
    assert found[2].changes == {"limits.budget_cny": None, "site.socket_amps": 10.125}


def test_xlsx_and_jsonl_say_the_same_as_csv(tmp_path: Path) -> None:
    """Tests that typed cells of a workbook and lines of JSON give the scenarios of the same CSV."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.append(["name", "limits.budget_cny", "site.socket_amps", "limits.allow_used"])
    sheet.append(["a", 300_000, 10.125, True])
    sheet.append(["b", None, None, False])
    book.save(tmp_path / "t.xlsx")
    lines = (
        '{"name": "a", "set": {"limits.budget_cny": 300000, "site.socket_amps": 10.125, "limits.allow_used": true}}\n'
        '\n{"name": "b", "limits.allow_used": false}\n'
    )
    table = "name,limits.budget_cny,site.socket_amps,limits.allow_used\na,300000,10.125,true\nb,,,false\n"
    of_book, _ = read(tmp_path / "t.xlsx")
    of_lines, of_table = parse(lines.encode(), "t.jsonl"), parse(table.encode(), "t.csv")
    for other in (of_book, of_lines):
        assert [s._replace(where="") for s in scenarios(other)] == [s._replace(where="") for s in scenarios(of_table)]


def workbook(tmp_path: Path, *lines: list[Any], percent: str = "") -> ScenarioFile:
    book = Workbook()
    sheet = book.worksheets[0]
    for line in lines:
        sheet.append(line)
    if percent:
        sheet[percent].number_format = "0%"
    path = tmp_path / "plan.xlsx"
    book.save(path)
    return read(path)[0]


def test_a_formula_nobody_computed_is_a_fault_not_an_empty_cell(tmp_path: Path) -> None:
    file = workbook(tmp_path, ["name", "limits.budget_cny"], ["a", "=150000*2"], ["b", 100000])
    first, second = scenarios(file)
    assert first.fault.startswith('plan.xlsx:2: limits.budget_cny = "formula without a value": must be an amount')
    assert not second.fault


def test_ten_percent_typed_into_a_workbook_is_what_it_is_in_csv(tmp_path: Path) -> None:
    lines = (["name", "scale:prices.rtx-a6000", "site.derating"], ["a", 0.1, 0.8])
    csv = parse(b"name,scale:prices.rtx-a6000,site.derating\na,10%,80%\n", "plan.csv")
    file = workbook(tmp_path, *lines, percent="B2")
    assert [s.changes for s in scenarios(file)] == [s.changes for s in scenarios(csv)]
    assert [s.changes for s in scenarios(file)] == [{"prices.rtx-a6000": 30250, "site.derating": 0.8}]


def test_a_table_scales_every_price_at_once() -> None:
    table = list(scenarios(parse(b"name,scale:prices\na,+10 %\n", "plan.csv")))
    assert [s.changes for s in table] == changes("scenarios: [{name: a, scale: {prices: 1.1}}]")


def test_expectations_in_a_cell_lose_the_blanks_between_them() -> None:
    (entry,) = parse(b"name,expect\na,total_batch >= 1 ; card_count == 2\n", "plan.csv").entries
    assert entry.expect == ("total_batch >= 1", "card_count == 2")


def test_an_unknown_column_is_told_whatever_the_separator() -> None:
    assert fault(b"name;budget\na;1\n", "plan.csv").startswith('plan.csv:1: column = "budget": is no path')


def test_jsonl_may_begin_with_the_base() -> None:
    """Tests that a first line with `base` alone is the base question and no scenario."""
    file = parse(b'{"base": {"limits": {"budget_cny": 100000}}}\n{"name": "a"}\n', "t.jsonl")
    assert file.question == {"limits": {"budget_cny": 100_000}}
    assert file.total == 1


def test_the_base_may_be_a_file_beside_it(tmp_path: Path) -> None:
    """Tests that a problem file of the same folder is read, laid over, and no file outside it, by name or by link."""
    (tmp_path / "ask.yaml").write_text("goal: epoch\nlimits: {budget_cny: 100000, max_cards: 2}\n")
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "mine.yaml").write_text("goal: cost\n")
    (inside / "link.yaml").symlink_to(tmp_path / "ask.yaml")
    path = tmp_path / "plan.yaml"
    path.write_text("base: {file: ask.yaml, limits: {max_cards: 3}}\nscenarios: [{}]\n")
    assert read(path)[0].question == {"goal": "epoch", "limits": {"budget_cny": 100_000, "max_cards": 3}}
    for name in ("../ask.yaml", str(tmp_path / "ask.yaml"), "link.yaml", "gone.yaml"):
        path = inside / "plan.yaml"
        path.write_text(f"base: {{file: {name}}}\nscenarios: [{{}}]\n")
        with pytest.raises(InvalidProblem, match=r"base\.file|no such file"):
            read(path)


BAD_FILES = [
    ("[]", "must have scenarios: or sweeps:"),
    ("scenarios: []", "has no scenarios"),
    ("scenario: [{}]", "plan.yaml:1: scenario: unknown key (did you mean scenarios"),
    ("version: 2\nscenarios: [{}]", "plan.yaml:1: version = 2: must be 1"),
    ("scenarios: 5", "must be a list"),
    ("a: &x 1\nb: *x", "anchors and aliases"),
    ("scenarios: [{set: {goal: !!python/name:os.system }}]", "tags (!) are not allowed"),
    ("[" * 100, "nested deeper"),
    ("scenarios: [{}]\nexpect: batch > 3", "no such column (did you mean"),
    ("scenarios: [{}]\nexpect: total_batch is 3", "must be COLUMN OPERATOR VALUE"),
    ("scenarios: [{}]\nexpect: total_batch > many", "must be compared with a number"),
    ("scenarios: [{}]\nexpect: card_id > a", "compare it with == or !="),
    ("sweeps: [{name: a}]", "plan.yaml:1: sweep: must have grid, zip or random"),
    ("sweeps:\n  - grid: {workload.layers: [24]}", "plan.yaml:2: workload.layers: a model's shape is no value"),
    ("sweeps:\n  - grid: {workload.model.hidden: [24]}", "workload.model.hidden: a model's shape is no value"),
    ("sweeps:\n  - grid: {limits.budget: [1]}", "plan.yaml:2: limits.budget: no such path (did you mean"),
    ("sweeps: [{grid: {offers: [1]}}]", "put it into the base question"),
    ("sweeps: [{grid: {goal: []}}]", "must be a list of values, or a range"),
    ("sweeps: [{grid: {goal: [batch, batch]}}]", "has a value twice"),
    ("sweeps: [{grid: {limits.budget_cny: {from: 1, to: 5}}}]", "a range has from, to and step"),
    ("sweeps: [{grid: {limits.budget_cny: {from: 1, to: 5, step: -1}}}]", "must lead from"),
    ("sweeps: [{grid: {limits.budget_cny: {from: 0, to: 1e9, step: 0.01}}}]", "has more than 10,000,000 values"),
    ("sweeps: [{grid: {goal: {from: a, to: b, step: c}}}]", "must be a number"),
    ("sweeps: [{zip: {goal: [batch], limits.max_cards: [1, 2]}}]", "lists of one length"),
    ("sweeps: [{grid: {goal: [batch]}, set: {goal: cost}}]", "is changed twice"),
    ("sweeps: [{grid: {goal: [batch]}}, {name: sweep-1, grid: {goal: [cost]}}]", "the name of two sweeps"),
    ("sweeps: [{random: {draws: 3, values: {prices.rtx-3090: {normal: {percent: 1}}}}}]", "seed"),
    ("sweeps: [{random: {draws: 0, seed: 1, values: {goal: {choice: [cost]}}}}]", "random.draws = 0"),
    ("sweeps: [{random: {draws: 3, seed: 1, values: {prices.rtx-3090: {norml: 1}}}}]", "did you mean normal"),
    ("sweeps: [{random: {draws: 3, seed: 1, values: {prices.rtx-3090: {normal: {percent: -1}}}}}]", "at least 0"),
    ("sweeps: [{random: {draws: 3, seed: 1, values: {prices.rtx-3090: {uniform: [5, 1]}}}}]", "low <= high"),
    ("sweeps: [{random: {draws: 3, seed: 1, values: {prices.x: {uniform: {percent: [-100, 1]}}}}}]", "above -100"),
    ("sweeps: [{random: {draws: 3, seed: 1, values: {goal: {uniform: [1, 2]}}}}]", "is not a number"),
    ("sweeps: [{grid: {limits.budget_cny: {from: 1, to: 9e6, step: 1}, site.derating: {from: 0, to: 1, step: 0.01}}}]",
     "at most 100,000,000 scenarios"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD_FILES)
def test_a_wrong_file_is_refused_in_one_line(text: str, message: str) -> None:
    """Tests that what is wrong with a file as a whole names file, line, field and what is allowed."""
    told = fault(text)
    assert message in told
    assert "\n" not in told
    assert told.startswith("plan.yaml")


BAD_SCENARIOS = [
    ("{name: x, set: {limits.budget_cny: 100000.00000000000001}}", "has more digits than any figure here"),
    ("{name: x, sett: {}}", "unknown key (did you mean set"),
    ("{name: x, set: {limits.budget: 1}}", "limits.budget: no such path (did you mean limits.budget_cny"),
    ("{name: x, set: {prices: 5}}", "prices: no such path"),
    ("{name: x, set: {limits.budget_cny: a lot}}", "must be an amount in CNY"),
    ("{name: x, scale: {prices.rtx-3090: 0}}", "must be a factor above 0"),
    ("{name: x, expect: nonsense}", "must be COLUMN OPERATOR VALUE"),
    ("{name: x, set: {workload.power_curve: {tdp_w: 1}}}", "must be a value or a list"),
    ("7", "must be a group with name, set, scale or expect"),
]


@pytest.mark.parametrize(("item", "message"), BAD_SCENARIOS)
def test_a_wrong_scenario_keeps_its_fault_to_itself(item: str, message: str) -> None:
    """Tests that a bad scenario is told by name, file and line, and its neighbours are as they would be without it."""
    found = list(
        scenarios(yaml(f"scenarios:\n  - {{name: before}}\n  - {item}\n  - {{name: after, set: {{goal: cost}}}}\n"))
    )
    assert message in found[1].fault
    assert found[1].fault.startswith("plan.yaml")
    assert found[1].name == ("x" if "name: x" in item else "scenario-2")
    assert not found[0].fault
    assert found[2].changes == {"goal": "cost"}


def test_a_name_given_twice_is_the_fault_of_the_second() -> None:
    """Tests that two scenarios of one name are told apart by their lines."""
    found = list(scenarios(yaml("scenarios:\n  - {name: a}\n  - {name: a}\n")))
    assert not found[0].fault
    assert found[1].fault == "plan.yaml:3: name: has been given already (plan.yaml:2)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,limits.budgt\na,1\n", "limits.budgt"),
        ("limits.budget_cny,limits.budget_cny\n1,2\n", "stands twice"),
        ("", "has no scenarios"),
        ("name\n", "has no scenarios"),
        ("\0\0", "neither text nor"),
    ],
)
def test_a_wrong_table_is_refused(text: str, message: str) -> None:
    """Tests that a header that is no path, or none at all, stops the file."""
    assert message in fault(text, "t.csv")


def test_bad_cells_and_lines_are_told_by_line() -> None:
    """Tests that cells and JSON lines that cannot be read fail alone, with file and line."""
    table = "a,much,,\nb,1,two,\nc,1,2,perhaps\nd,1,2,yes,5\ne,1,2,yes\n"
    header = "name,limits.budget_cny,limits.max_cards,limits.allow_used\n"
    found = list(scenarios(parse((header + table).encode(), "t.csv")))
    assert [s.fault.partition(": ")[0] for s in found] == ["t.csv:2", "t.csv:3", "t.csv:4", "t.csv:5", ""]
    assert found[4].changes == {"limits.budget_cny": 1, "limits.max_cards": 2, "limits.allow_used": True}
    lines = [
        '{"name": "a", "name": "b"}', '{"limits.budget_cny": NaN}', '{"limits.budget_cny": 1e999}', "[1]", "{",
        "[" * 9999,
        '{"limits.budget_cny": ' + "9" * 50 + "}", '{"name": "ok"}',
    ]  # fmt: skip
    records = read_jsonl("\n".join(lines).encode(), "t.jsonl")
    assert [bool(record.fault) for record in records] == [True] * 7 + [False]
    assert [record.where for record in records] == [f"t.jsonl:{n}" for n in range(1, 9)]


def test_an_export_can_be_asked_again() -> None:
    """Tests that `set.` columns, as results have them, are read as the paths they are."""
    found = list(scenarios(parse(b"name,set.limits.budget_cny\na,5\n", "t.csv")))
    assert found[0].changes == {"limits.budget_cny": 5}


def test_expectations_compare_numbers_and_words() -> None:
    """Tests every operator, numbers with separators, flags, and that nothing compares with a plan that is not there."""
    values = {"total_batch": 24, "card_id": "rtx-a6000", "with_used": False, "cost_cny": None}
    for text, holds in (
        ("total_batch >= 24", True), ("total_batch>24", False), ("total_batch < 1,000", True),
        ("total_batch <= 23", False), ("total_batch == 24.0", True), ("total_batch != 24", False),
        ("card_id == rtx-a6000", True),
        ("card_id != 'rtx-a6000'", False), ("with_used == false", True), ("cost_cny <= 1", False),
        ("cost_cny != 1", False),
    ):  # fmt: skip
        assert expectation(text).holds(values) is holds, text


def test_the_template_and_the_schema_agree_with_the_reader() -> None:
    """Tests that what `init` writes is read without a fault, and the schema knows its keys and every path."""
    file = parse(TEMPLATE.encode(), "t.yaml")
    assert all(not s.fault for s in scenarios(file))
    made = schema()
    assert json.loads(json.dumps(made)) == made
    paths = made["properties"]["scenarios"]["items"]["properties"]["set"]["properties"]
    assert {path for path in file.paths if not path.startswith("prices.")} <= set(paths)
    assert "limits.max_epoch_days" in paths
    assert "workload.id" not in paths
    assert set(made["properties"]) == {"version", "name", "description", "base", "scenarios", "sweeps", "expect"}
