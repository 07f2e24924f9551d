"""Words that charts and pages share: limits and axes as a buyer calls them."""

from __future__ import annotations

from solver.domain.language import say


def limit_name(limit: str, part: str = "") -> str:
    """A limit in a buyer's words; one without words of its own goes by its name."""
    words = {
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
    name = words.get(limit, limit)
    return f"{name} ({part})" if part else name


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
