"""Words that charts and pages share: limits and axes as a buyer calls them."""

from __future__ import annotations

import re

from solver.domain.language import say
from solver.report.charts.canvas import width_of


def _limit_names() -> dict[str, str]:
    return {
        "budget": say("Budget"),
        "card_count": say("Number of cards"),
        "expansion_slots": say("Expansion slots"),
        "pcie_x16_slots": say("PCIe x16 slots"),
        "wall_power": say("Power at the wall"),
        "psu": say("Power supply"),
        "case_cooling": say("Cooling of the case"),
        "card_length": say("Length of the card"),
        "room_cooling": say("Cooling of the room"),
        "host_ram": say("Host memory"),
        "stock": say("Stock"),
        "condition": say("Used cards"),
        "include": say("Include list"),
        "exclude": say("Exclude list"),
        "nvlink": say("NVLink"),
        "precision": say("Precision"),
        "power_limit": say("Power limit"),
        "vram": say("Memory of a card"),
        "min_batch": say("Least batch"),
        "max_epoch": say("Longest epoch"),
    }


def limit_name(limit: str, part: str = "") -> str:
    """A limit in a buyer's words; one without words of its own goes by its name."""
    name = _limit_names().get(limit, limit)
    return f"{name} ({part})" if part else name


def limits_named(text: str) -> str:
    """A text with every id of a limit in it replaced by a buyer's words."""
    names = _limit_names()
    return re.sub(r"[a-z][a-z0-9_]*", lambda found: names.get(found.group(), found.group()), text)


def short_axis_name(axis: str) -> str:
    """An axis of a trade-off curve within a sentence, without its unit."""
    words = {
        "cost": say("cost"),
        "batch": say("total batch"),
        "epoch": say("time of an epoch"),
        "watts": say("watts at the wall"),
        "value": say("samples for the money"),
    }
    return words[axis]


def swept_name(path: str, room: float) -> str:
    """What a scenario file varies, in a buyer's words if any; its path too where the room, in px, is wide enough."""
    words = {
        "limits.budget_cny": say("budget, CNY"),
        "limits.min_batch": say("least batch, samples"),
        "limits.max_epoch_days": say("longest epoch, days"),
        "limits.max_cards": say("cards at most"),
        "site.socket_amps": say("socket, A"),
        "site.socket_volts": say("socket, V"),
        "site.derating": say("share of the socket that may be used"),
        "site.room_cooling_w": say("cooling of the room, W"),
        "workload.reserve_gb": say("memory reserve, GB"),
    }
    name = words.get(path, path)
    if path.startswith("prices.") and path.count(".") == 1:
        name = say("price of {item}, CNY", item=path.partition(".")[2])
    both = f"{name} ({path})"
    return name if name == path or width_of(both) > room - 80 else both


def axis_name(axis: str) -> str:
    """An axis of a trade-off curve, with its unit."""
    words = {
        "cost": say("Cost, CNY"),
        "batch": say("Total batch, samples"),
        "epoch": say("Epoch, hours"),
        "watts": say("At the wall, W"),
        "value": say("Samples for 100,000 CNY"),
    }
    return words[axis]
