"""A folder of one's own entries, and `catalog list`, `show` and `validate`."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from solver.catalog import default_library
from solver.catalog.library import with_folder
from solver.domain.errors import InvalidProblem
from tests.conftest import RunCli

ROOT = Path(__file__).resolve().parents[1]
OWN = ROOT / "examples" / "my-catalog"
CARD = "id: {id}, name: X, vram_mib: 24576, tdp_w: {tdp}, slot_width: 2, cooling: blower, bf16_dense_tflops: 100"
with (ROOT / "tests" / "data" / "cards.csv").open(encoding="utf-8", newline="") as file:
    ROWS = {row["id"]: row for row in csv.DictReader(file)}


def folder(tmp_path: Path, text: str, name: str = "own.yaml") -> Path:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def card(id: str = "my-card", tdp: int = 300) -> str:
    return "{" + CARD.format(id=id, tdp=tdp) + ", bf16_tensor_cores: true}"


def test_entries_are_added_and_replace(tmp_path: Path, run_cli: RunCli) -> None:
    """Tests that a new id is added, the same id replaces, and offers replace those of the items they name."""
    folder(
        tmp_path, f"cards: [{card()}, {card('rtx-a6000', 200)}]\noffers:\n- {{item_id: my-card, unit_price_cny: 1}}\n"
    )
    folder(tmp_path, "offers:\n- {item_id: guide-base, unit_price_cny: 2}\n", "more.yml")
    library = with_folder(default_library(), tmp_path)
    shipped = default_library().catalog
    assert len(library.catalog.cards) == len(shipped.cards) + 1
    assert library.catalog.card_by_id["rtx-a6000"].tdp_w == 200
    assert library.catalog.offers_by_item["rtx-a6000"] == shipped.offers_by_item["rtx-a6000"]
    assert [offer.unit_price_cny for offer in library.catalog.offers_by_item["guide-base"]] == [2]
    ran = run_cli("optimize", "--catalog", tmp_path, "--goal", "value", "--format", "json")
    assert (ran.json["plan"]["card_id"], ran.json["plan"]["cost_cny"]) == ("my-card", 4 * 1 + 2)


def test_example_folder(run_cli: RunCli) -> None:
    """Tests that the shipped example is valid and its platform can be chosen."""
    assert run_cli("catalog", "validate", OWN).out.strip().endswith("ok: 1 platforms, 1 offers")
    ran = run_cli("optimize", "--catalog", OWN, "--include", "my-workstation", "--format", "json")
    assert ran.json["plan"]["platform_id"] == "my-workstation"


def test_workload_of_ones_own(tmp_path: Path, run_cli: RunCli) -> None:
    """Tests that an added workload is trained with --workload, and an unknown one is refused with the nearest."""
    shipped = (ROOT / "catalog" / "workloads.yaml").read_text(encoding="utf-8")
    folder(
        tmp_path,
        shipped.replace("id: guide-6b", "id: guide-7b").replace("parameters: 6000000000", "parameters: 7000000000"),
    )
    plan = run_cli("optimize", "--catalog", tmp_path, "--workload", "guide-7b", "--format", "json").json["plan"]
    assert plan["host_ram_gb"] > 175
    ran = run_cli("optimize", "--workload", "guide-7b")
    assert ran.code == 2
    assert "--workload" in ran.err
    assert "guide-6b" in ran.err


def test_all_faults_with_file_and_line(tmp_path: Path, run_cli: RunCli) -> None:
    """Tests that validate lists every fault of every file at once, in order, each with file and line."""
    folder(
        tmp_path,
        "cards:\n  - id: my-card\n    name: X\n    tdp_w: -5\n    cooling: water\n    vram_mb: 5\n  - 7\nofers: []\n"
        "offers:\n  - item_id: rtx-a6000\n    unit_price_cny: 1.234\n",
    )
    folder(tmp_path, "a: 1\na: 2\n", "twice.yaml")
    ran = run_cli("catalog", "validate", tmp_path)
    assert ran.code == 2
    assert ran.err == f"Error: {len(ran.out.splitlines())} faults found\n"
    for line in (
        "own.yaml:2: cards[my-card].vram_mib: is required",
        "own.yaml:4: cards[my-card].tdp_w = -5: must be at least 1",
        "own.yaml:5: cards[my-card].cooling",
        "own.yaml:6: cards[my-card].vram_mb: unknown field (did you mean vram_mib",
        "own.yaml:8: unknown key",
        "own.yaml:11: offers[rtx-a6000].unit_price_cny = 1.234: must have at most 2 decimals",
        "twice.yaml:2: key 'a' is given twice",
    ):
        assert any(said.startswith(line) for said in ran.out.splitlines()), line
    numbers = [int(line.split(":")[1]) for line in ran.out.splitlines() if line.startswith("own.yaml")]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"cards: [{card()}, {card()}]", "my-card stands at own.yaml:1 already"),
        (f"cards: [{card('guide-base')}]", "is that of a platform"),
        ("offers: [{item_id: rtx-a600, unit_price_cny: 5}]", "did you mean rtx-a6000"),
        ("cards: []", "holds no entry"),
        ("# nothing", "holds no entry"),
        ("cards: 5", "must be a list"),
        ("[1, 2]", "must hold lists"),
        ("cards: &a [*a]", "anchors"),
        ("[" * 100_000, "nested deeper"),
    ],
)
def test_folder_that_is_refused(tmp_path: Path, run_cli: RunCli, text: str, told: str) -> None:
    """Tests that a folder without a valid entry, or with a faulty one, is an error for every command."""
    own = folder(tmp_path, text)
    with pytest.raises(InvalidProblem, match=r"own\.yaml|holds no entry"):
        with_folder(default_library(), own)
    for command in (["optimize"], ["check", "--card", "rtx-a6000"], ["catalog", "list"]):
        ran = run_cli(*command, "--catalog", own)
        assert (ran.code, ran.out) == (2, "")
        assert told in ran.err


def test_folders_that_are_none(tmp_path: Path, run_cli: RunCli) -> None:
    """Tests that no folder, an empty one and a file are refused."""
    for name, told in (
        (tmp_path / "none", "no such folder"),
        (tmp_path, "no .yaml file"),
        (Path(__file__), "is a file"),
    ):
        ran = run_cli("catalog", "list", "--catalog", name)
        assert ran.code == 2
        assert told in ran.err


def test_list_shows_price_date_source_and_marks(run_cli: RunCli) -> None:
    """Tests that the list has every card, platform and workload, with price, date, source, marks and availability."""
    listed = run_cli("catalog", "list").out
    library = default_library()
    works = [work.id for work in library.workloads]
    for name in (*library.catalog.card_by_id, *library.catalog.platform_by_id, *works):
        assert f"  {name} " in listed
    for text in ("27,500   2023-07-10   the guide", "no price", "since 2022-09", "a40: power_limit_min_w"):
        assert text in listed
    objects = {row["id"]: row for row in run_cli("catalog", "list", "--format", "json").json["cards"]}
    assert objects["rtx-a6000"]["price"]["unit_price_cny"] == 27500
    assert objects["a40"]["price"] is None
    assert objects["a40"]["unverified"] == ["power_limit_min_w"]
    quoted = run_cli("catalog", "list", "--quotes", "tests/data/quotes/two-vendors.csv").out
    assert "27,000   2023-07-05   North, and 2 more offers" in quoted


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: str(row["id"]))
def test_shown_card_equals_its_source_row(run_cli: RunCli, row: dict[str, str]) -> None:
    """Tests that every fact of a card's source row is shown, in the JSON exactly and in the table as printed."""
    entry = run_cli("catalog", "show", row["id"], "--format", "json").json["entry"]
    table = run_cli("catalog", "show", row["id"]).out
    shown: dict[str, str] = {}
    for line in table.splitlines():
        name, _, rest = line.strip().partition(" ")
        shown.setdefault(name, rest.strip())  # the list of unverified figures, folded, comes last
    for name in set(row) & set(entry) - {"bf16_tensor_cores", "unverified", "vendor"}:
        if not row[name]:
            assert entry[name] is None, name
            assert name not in shown
        elif isinstance(entry[name], (int, float)):
            assert entry[name] == float(row[name]), name
            assert float(shown[name].split()[0]) == float(row[name]), name
        else:
            assert entry[name] == row[name], name
            assert shown[name].startswith(row[name].split()[0])
    assert entry["bf16_tensor_cores"] is (row["bf16_tensor_cores"] == "yes")
    assert " ".join(row["spec_source"].split())[:40] in " ".join(table.split())


def test_show_names_basis_and_source_of_every_figure(run_cli: RunCli) -> None:
    """Tests that each figure is shown with its basis, each source once, and every offer."""
    table = run_cli("catalog", "show", "rtx-a6000").out
    assert "power_limit_min_w       100                                                     unverified   3" in table
    assert table.count("servethehome.com rtx-a6000") == 1
    assert "27,500" in table
    assert "no price: never chosen" in run_cli("catalog", "show", "a40").out
    assert "| psu.rated\\_w | 2000 | assumed |" in run_cli("catalog", "show", "guide-base", "--format", "markdown").out
    assert "micro_batch 7, seconds 60" in run_cli("catalog", "show", "guide-6b").out.replace("\n", " ")
    ran = run_cli("catalog", "show", "rtx-a600")
    assert (ran.code, "did you mean rtx-a6000" in ran.err) == (2, True)


def test_validate_takes_quotes_and_questions(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that quotes and question files are validated too, against the folders named before them."""
    quote = tmp_path / "quote.csv"
    quote.write_text("card,unit_price_cny\nmy-workstation,17000\n")
    assert run_cli("catalog", "validate", quote).code == 2
    ran = run_cli("catalog", "validate", OWN, quote, ROOT / "examples" / "question.yaml")
    assert ran.code == 0
    assert [line.rpartition(": ")[2] for line in ran.out.splitlines()] == ["1 platforms, 1 offers", "1", "a question"]
