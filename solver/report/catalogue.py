"""The catalogue as people and programs read it: a list with prices, and every figure of one entry with its source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from solver.domain.base import Provenance, Record
from solver.domain.catalog import Card, Catalog, Offer, Platform
from solver.domain.language import listed, message, say, say_many
from solver.domain.workload import Workload
from solver.report import markdown
from solver.report.facts import BASIS_WORDS, CONDITION_WORDS
from solver.report.json_form import SCHEMA_VERSION
from solver.report.prose import Prose
from solver.report.wording import money

Entry = Card | Platform | Workload
Rows = list[tuple[str, ...]]

CARD_COLUMNS = (
    message("card"),
    message("memory GB"),
    message("TDP W"),
    message("price CNY"),
    message("dated"),
    message("price from"),
    message("unverified"),
)
PLATFORM_COLUMNS = (
    message("platform"),
    message("slots"),
    message("PSU W"),
    message("price CNY"),
    message("dated"),
    message("price from"),
    message("unverified"),
)
_RIGHT = (1, 2, 3)


_WORKLOAD_COLUMNS = (message("workload"), message("what it trains"))
_FIGURE_COLUMNS = (message("field"), message("value"), message("basis"), message("source"))
_KINDS = {"Card": message("card"), "Platform": message("platform"), "Workload": message("workload")}


def _title(entry: Entry) -> str:
    return say("{name} ({kind} {id})", name=entry.name, kind=say(_KINDS[type(entry).__name__]), id=entry.id)


def _heading(title: str) -> str:
    said = say(title)
    return say("{title}:", title=said.capitalize())


def cheapest(catalog: Catalog, item_id: str) -> Offer | None:
    """The offer of the lowest unit price, new before used; None without a price."""
    offers = catalog.offers_by_item.get(item_id, ())
    return min(offers, key=lambda offer: (offer.unit_price_cny, offer.condition == "used"), default=None)


def _price(catalog: Catalog, item_id: str) -> tuple[str, str, str]:
    offer = cheapest(catalog, item_id)
    if offer is None:
        return say("no price"), "", ""
    others = len(catalog.offers_by_item[item_id]) - 1
    whose = offer.vendor or offer.source or say(BASIS_WORDS[offer.basis])
    parts = [say(whose), say("used") if offer.condition == "used" else ""]
    parts.append(say_many("and {count} more offer", "and {count} more offers", others) if others else "")
    dated = offer.quote_date.isoformat() if offer.quote_date else say("no date")
    return money(offer.unit_price_cny), dated, listed(part for part in parts if part)


def _count(names: Sequence[str]) -> str:
    return say_many("{count} figure", "{count} figures", len(names)) if names else ""


def card_rows(catalog: Catalog) -> Rows:
    """A row for each card: id, memory, TDP, cheapest price with date and source, unverified figures."""
    return [
        (c.id, f"{c.vram_mib / 1024:.1f}", str(c.tdp_w), *_price(catalog, c.id), _count(c.unverified))
        for c in catalog.cards
    ]


def platform_rows(catalog: Catalog) -> Rows:
    """A row for each platform."""
    return [
        (p.id, str(p.expansion_slots), str(p.psu.rated_w), *_price(catalog, p.id), _count(p.unverified))
        for p in catalog.platforms
    ]


def availability(catalog: Catalog) -> Rows:
    """(id, what is known of its availability) for the entries that say something."""
    return [(e.id, say(e.availability)) for e in _both(catalog) if e.availability]


def unverified(catalog: Catalog) -> Rows:
    """(id, the figures that no public source confirms) for the entries that have such."""
    return [(e.id, listed(e.unverified)) for e in _both(catalog) if e.unverified]


def _both(catalog: Catalog) -> tuple[Card | Platform, ...]:
    return (*catalog.cards, *catalog.platforms)


_NOTES = (
    (message("availability"), availability),
    (message("unverified: no public source confirms these figures"), unverified),
)


def list_object(catalog: Catalog, workloads: Sequence[Workload]) -> dict[str, Any]:
    """The JSON object of `catalog list`."""

    def row(entry: Card | Platform, **figures: Any) -> dict[str, Any]:
        offer = cheapest(catalog, entry.id)
        return {
            "id": entry.id,
            "name": entry.name,
            **figures,
            "price": None if offer is None else offer.model_dump(mode="json", exclude={"item_id"}),
            "offers": len(catalog.offers_by_item.get(entry.id, ())),
            "unverified": list(entry.unverified),
            "availability": entry.availability,
        }

    return {
        "schema_version": SCHEMA_VERSION,
        "cards": [row(card, vram_mib=card.vram_mib, tdp_w=card.tdp_w) for card in catalog.cards],
        "platforms": [
            row(platform, expansion_slots=platform.expansion_slots, psu_rated_w=platform.psu.rated_w)
            for platform in catalog.platforms
        ],
        "workloads": [{"id": work.id, "name": work.name} for work in workloads],
    }


def print_list(catalog: Catalog, workloads: Sequence[Workload], console: Console) -> None:
    """The whole catalogue as tables, then what is known of availability."""
    for columns, rows in ((CARD_COLUMNS, card_rows(catalog)), (PLATFORM_COLUMNS, platform_rows(catalog))):
        console.print(_table(columns, rows, right=_RIGHT))
    console.print(_table(_WORKLOAD_COLUMNS, [(work.id, work.name) for work in workloads]))
    for title, told in _NOTES:
        notes = told(catalog)
        if notes:
            console.print(Prose(say(title), style="bold"))
            for item, text in notes:
                console.print(Prose("  " + say("{item}: {text}", item=item, text=text)))
            console.print()
    console.print(Prose(say("prices are those of the day named; what has no price is never chosen"), style="dim"))


def list_markdown(catalog: Catalog, workloads: Sequence[Workload]) -> str:
    """The whole catalogue as Markdown."""
    lines: list[str] = []
    for columns, rows in ((CARD_COLUMNS, card_rows(catalog)), (PLATFORM_COLUMNS, platform_rows(catalog))):
        lines += [
            *markdown.table([say(name) for name in columns], (map_escaped(row) for row in rows), right=_RIGHT),
            "",
        ]
    lines += markdown.table([say(name) for name in _WORKLOAD_COLUMNS], (map_escaped((w.id, w.name)) for w in workloads))
    for title, told in _NOTES:
        notes = [
            "- " + say("{item}: {text}", item=markdown.escaped(item), text=markdown.escaped(text))
            for item, text in told(catalog)
        ]
        lines += ["", _heading(title), "", *notes] if notes else []
    return "\n".join(lines) + "\n"


def map_escaped(row: Sequence[str]) -> list[str]:
    """The cells of a row as Markdown."""
    return [markdown.escaped(cell) for cell in row]


def sources_of(entry: Entry) -> list[str]:
    """The sources of an entry's figures, with their dates, each once."""
    return list(dict.fromkeys(_source(origin) for origin in entry.provenance))


def _source(origin: Provenance) -> str:
    return origin.source + (f" ({origin.date})" if origin.date else "")


def figure_rows(entry: Entry) -> Rows:
    """(field, value, basis, number of its source) for every field that is known; groups part by part."""
    origins = {field: origin for origin in entry.provenance for field in origin.fields}
    numbers = {source: number for number, source in enumerate(sources_of(entry), start=1)}
    rows: Rows = []
    for name, value in _fields(entry):
        if isinstance(entry, Workload) and name in ("spreads", "estimated"):  # told beside each figure
            continue
        origin = origins.get(name) or origins.get(name.partition(".")[0])
        said = ("", "") if origin is None else (say(BASIS_WORDS[origin.basis]), str(numbers[_source(origin)]))
        if isinstance(entry, Workload):
            value, said = value + _ends(entry, name), said if origin is not None else (_basis(entry, name), "")
        rows.append((name, value, *said))
    return rows


def _ends(work: Workload, name: str) -> str:
    """The low and high end of a figure that has a spread: ' (2.5 to 5.8)'."""
    if not work.has_spread(name):
        return ""
    return f" ({work.figure(name, 'low')} to {work.figure(name, 'high')})"


def _basis(work: Workload, name: str) -> str:
    return work.tag_of(name) if name.partition(".")[0] in work.estimated else ""


def _fields(record: Record, prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name in type(record).model_fields:
        value = getattr(record, name)
        if name == "provenance" or value is None or value == () or value == {}:
            continue
        if isinstance(value, Record):
            found += _fields(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, _plain(value)))
    return found


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return say("yes") if value else say("no")
    if isinstance(value, Record):
        return ", ".join(f"{name} {_plain(getattr(value, name))}" for name in type(value).model_fields)
    if isinstance(value, dict):
        return " + ".join(f"{_plain(count)} x {kind}" for kind, count in value.items())
    if isinstance(value, tuple):
        if value and isinstance(value[0], dict):
            return say(" or ").join(_plain(part) for part in value)
        return ", ".join(": ".join(map(_plain, part)) if isinstance(part, tuple) else _plain(part) for part in value)
    return str(value)


OFFER_COLUMNS = (
    message("price CNY"),
    message("condition"),
    message("from"),
    message("stock"),
    message("vendor"),
    message("dated"),
    message("valid until"),
    message("tax"),
    message("delivery"),
    message("source"),
)


def offer_rows(offers: Sequence[Offer]) -> Rows:
    """A row for each offer."""
    return [
        (
            money(o.unit_price_cny),
            say(CONDITION_WORDS[o.condition]),
            say("{n} up", n=o.min_quantity),
            "" if o.stock is None else str(o.stock),
            o.vendor,
            o.quote_date.isoformat() if o.quote_date else "",
            o.valid_until.isoformat() if o.valid_until else "",
            "" if o.tax_included is None else say("included") if o.tax_included else say("without"),
            "" if o.lead_time_days is None else say("{n} days", n=o.lead_time_days),
            listed(part for part in (say(BASIS_WORDS[o.basis]), o.source) if part),
        )
        for o in offers
    ]


def show_object(entry: Entry, offers: Sequence[Offer]) -> dict[str, Any]:
    """The JSON object of `catalog show`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": type(entry).__name__.lower(),
        "entry": entry.model_dump(mode="json"),
        "offers": [offer.model_dump(mode="json") for offer in offers],
    }


def print_entry(entry: Entry, offers: Sequence[Offer], console: Console) -> None:
    """Every figure of an entry with its basis and source, then its offers."""
    console.print(Prose(_title(entry), style="bold"))
    console.print(_table(_FIGURE_COLUMNS, figure_rows(entry)))
    for number, source in enumerate(sources_of(entry), start=1):
        console.print(Prose("  " + say("source {number}: {source}", number=number, source=source)))
    if isinstance(entry, Workload):
        return
    if not offers:
        console.print(Prose(say("no price: never chosen"), style="yellow"))
        return
    rows = offer_rows(offers)
    filled = [i for i in range(len(OFFER_COLUMNS)) if any(row[i] for row in rows)]
    console.print(_table([OFFER_COLUMNS[i] for i in filled], [tuple(row[i] for i in filled) for row in rows], (0,)))


def entry_markdown(entry: Entry, offers: Sequence[Offer]) -> str:
    """One entry as Markdown."""
    lines = [f"## {markdown.escaped(_title(entry))}", ""]
    lines += markdown.table([say(name) for name in _FIGURE_COLUMNS], (map_escaped(row) for row in figure_rows(entry)))
    lines += ["", *(f"{i}. {markdown.escaped(source)}" for i, source in enumerate(sources_of(entry), start=1))]
    if offers:
        lines += [
            "",
            *markdown.table(
                [say(name) for name in OFFER_COLUMNS], (map_escaped(row) for row in offer_rows(offers)), right=(0,)
            ),
        ]
    elif not isinstance(entry, Workload):
        lines += ["", say("No price: never chosen.")]
    return "\n".join(lines) + "\n"


def _table(columns: Sequence[str], rows: Rows, right: Sequence[int] = ()) -> Table:
    made = Table(box=box.SIMPLE_HEAD)
    for position, name in enumerate(columns):
        last = position == len(columns) - 1
        made.add_column(
            say(name), justify="right" if position in right else "left", overflow="fold", no_wrap=position == 0
        )
        if last:
            made.columns[-1].ratio = 1
    for row in rows:
        made.add_row(*(Prose(cell) for cell in row))
    return made
