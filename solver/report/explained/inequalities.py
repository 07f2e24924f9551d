"""The inequalities of the limits, marked for translation: nobody extracts the docstrings of the rules.

A limit that is added gets its line here; a test compares them.
"""

from __future__ import annotations

from solver.domain.language import message

INEQUALITIES = (
    message("Cost of cards, platform and extras <= budget_cny (the max_cost of a target question)."),
    message("Cards <= max_cards."),
    message("Cards * slot width <= expansion slots of the platform."),
    message("Cards <= PCIe x16 slots of the platform."),
    message("DC load / PSU efficiency at that load <= socket amps * volts * derating."),
    message(
        "Host draw * host headroom + cards * power limit * card headroom <= PSU rating; and cables for every card."
    ),
    message("Heat <= airflow of the case; axial cards <= what the case takes; passive cards only in ducted cases."),
    message("Card length <= longest card the case takes, where both are known."),
    message("Wall power <= cooling of the room."),
    message("Parameters * bytes per parameter + per extra card <= host RAM of the platform."),
    message("Cards that no offer covers (stock, minimum quantity) <= 0."),
    message("Used pieces <= 0, unless used ones are allowed."),
    message("Cards and platforms outside the include list <= 0; a list of card ids does not restrict platforms."),
    message("Cards and platforms on the exclude list <= 0."),
    message("Cards without an NVLink partner <= 0, if NVLink is required."),
    message("Cards without BF16 tensor cores <= 0, if the workload is BF16."),
    message("Power limit = power_limit_w, if fixed: as used <= capacity and used >= capacity."),
    message("Weights + buffers + reserve + max(1, micro-batch) * per sample <= memory of a card."),
    message("Total batch >= min_batch."),
    message("Epoch time, expected or at the end of --confidence, <= max_epoch_days."),
)
