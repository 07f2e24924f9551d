"""Seconds of a training step from the model's shape: compute, transfers, the optimizer on the host.

`step = accumulation * (g + c * b) + A`. Modify this module when one of the three follows from something new.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from solver.domain.shape import Assumptions, Range
from solver.estimate.ends import Ends, ends_of, exactly, over, times
from solver.estimate.memory import Offload

RATE_GENERATION = 4
"""The PCIe generation of the default `assumptions.pcie_gb_s`."""
HOST_SHARE = Range(low=Decimal("0.3"), expected=Decimal("0.43"), high=Decimal("0.8"))
"""Share of the host's memory bandwidth that Adam on all its cores reaches. ZeRO-Offload (arXiv 2101.06840, table 4)
took 2.57 s for 10e9 parameters, 109 GB/s of the 256 of a DGX-2 (12 channels of DDR4-2666: unverified). Ends assumed."""


def per_sample_seconds(
    parameters: int, seq_len: int, checkpointing: bool, tflops: Decimal, assumptions: Assumptions
) -> Ends:
    """c: seconds of one sample, `8 P s` FLOPs with recomputation or `6 P s` without, over efficiency * dense TFLOPS.

    Forward 2, backward 4, recomputed forward 2 per parameter and token (Korthikanti et al. 2022). The FLOPs of the
    attention scores, `s / (6 h)` of the rest, are left out.
    """
    flops = (8 if checkpointing else 6) * parameters * seq_len
    return over(exactly(flops), times(ends_of(assumptions.compute_efficiency), exactly(Fraction(tflops) * 10**12)))


def transfer_bytes_per_parameter(zero_stage: int, offload: Offload, checkpointing: bool, accumulation: int) -> Ends:
    """Bytes per parameter that cross a card's PCIe slot in a micro-step.

    Stage 3 with parameters offloaded: fetched for the forward and the backward pass, gradients out, 2 bytes each: 6;
    with checkpointing they may be fetched once more (high end: 8). With only the optimizer offloaded: gradients out and
    parameters back (4 with one card) up to gathering and reducing everything (6 with many). Stage 2 offloaded: reduced
    and sent out 2, back and gathered 2; the latter only once a step (low end, with accumulation: 2). Nothing
    offloaded: what the cards exchange, 6 or 4, of which `(n - 1) / n` with n cards (`card_scaling`); less with NVLink
    (low end: 0).
    """
    if zero_stage == 2:
        low = 0 if offload == "none" else 2 if accumulation > 1 else 4
        return Ends(Fraction(low), Fraction(4), Fraction(4))
    again = 8 if checkpointing else 6
    if offload == "optimizer_and_parameters":
        return Ends(Fraction(6), Fraction(6), Fraction(again))
    if offload == "optimizer":
        return Ends(Fraction(4), Fraction(5), Fraction(again))
    return Ends(Fraction(0), Fraction(6), Fraction(again))


def exchange_scaling(most_cards: int) -> tuple[Decimal, ...]:
    """Factor on the transfers with 1, 2, ... cards where nothing is offloaded: (n - 1) / n, three decimals."""
    return tuple(round(Decimal(n - 1) / n, 3) for n in range(1, most_cards + 1))


def fixed_seconds(moved: Ends, parameters: int, assumptions: Assumptions, stated: bool, generation: int) -> Ends:
    """g: seconds of a micro-step's transfers over PCIe x16, as if nothing of them went on during the computing.

    Args:
        moved: bytes per parameter.
        parameters: of the model.
        assumptions: has the rate; for PCIe 4 unless `stated`.
        stated: the question gives the assumptions itself, for its own generation.
        generation: `reference_pcie_gen`; each moves twice what the one before does.
    """
    rate = times(ends_of(assumptions.pcie_gb_s), exactly(10**9))
    if not stated:
        rate = times(rate, exactly(Fraction(2) ** (generation - RATE_GENERATION)))
    return over(times(moved, exactly(parameters)), rate)


def optimizer_seconds(
    parameters: int, offload: Offload, assumptions: Assumptions, stated: bool, host_bandwidth: Decimal | None
) -> Ends:
    """A: seconds of Adam on the host, the bytes it moves over the bandwidth it reaches; 0 where nothing is offloaded.

    Reads gradient, parameter and two moments, writes three of them and a 16-bit copy: 28 to 30 bytes a parameter. The
    bandwidth is one core's (10 to 12 GB/s, the guide's case) unless the host's is given: then a share of that.
    """
    if offload == "none":
        return exactly(0)
    moved = times(ends_of(assumptions.adam_bytes_per_parameter), exactly(parameters))
    if host_bandwidth is not None and not stated:
        return over(moved, times(ends_of(HOST_SHARE), exactly(Fraction(host_bandwidth) * 10**9)))
    return over(moved, times(ends_of(assumptions.host_bandwidth_gb_s), exactly(10**9)))
