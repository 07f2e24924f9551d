"""Memory of a training job from its model's shape: model states, buffers, activations, host RAM.

Model states are DeepSpeed's own estimator (`estimate_zero2/3_model_states_mem_needs`), activations those of Korthikanti
et al. 2022 (arXiv 2205.05198, section 4). Bytes throughout, GPU figures of one card. Modify this module when a formula
changes; docs/model.md states each with its source and where it holds.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, NamedTuple

from solver.domain.shape import Assumptions, ModelShape
from solver.estimate.counts import largest_layer_parameters, layer_parameters
from solver.estimate.ends import Ends, ends_of, exactly

Offload = Literal["none", "optimizer", "optimizer_and_parameters"]

BUFFER_FACTOR = Fraction(3, 2)
"""DeepSpeed's estimator multiplies every figure of host RAM by this (`additional_buffer_factor`)."""
LIVE_PARAMETERS = 10**9
"""`stage3_max_live_parameters`: gathered parameters that a card holds at a time, by default."""
BUCKET = 5 * 10**8
"""`reduce_bucket_size` and `allgather_bucket_size`, parameters, by default."""
PREFETCH_BUCKET = 5 * 10**7
"""`stage3_prefetch_bucket_size`, parameters, by default."""
OVERLAPPED = Fraction(9, 2)
"""With `overlap_comm` a bucket may take 4.5 times its size (Hugging Face's documentation of DeepSpeed)."""
CONTEXT_GIB = Ends(Fraction(1), Fraction(3, 2), Fraction(2))
"""CUDA context and fragmentation, GiB: the reserve that the guide's six batches allow (docs/model.md, section 2)."""


class States(NamedTuple):
    """Model states as DeepSpeed's estimator counts them, in bytes.

    A card holds `card + sharded / cards`; the host `max(parameters * host_per_parameter, cards * host_per_card)`.
    """

    card: int
    sharded: int
    host_per_parameter: Fraction
    host_per_card: Fraction


def model_states(parameters: int, largest_layer: int, zero_stage: int, offload: Offload, zero_init: bool) -> States:
    """Bytes of parameters, gradients and Adam's states on one node.

    Stage 3 with both offloaded `4 * largest` on the card and `18 * P * 1.5` on the host; with the optimizer
    `4 * largest + 2 * P / n` and `16 * P * 1.5`; with neither `4 * largest + 18 * P / n` and
    `4 * largest * n * 1.5`. Without zero.Init every process holds the whole model while it loads:
    `4 * P * n * 1.5` where that is more. Stage 2 with the optimizer offloaded `2 * P` and
    `max(16, 4 * n) * P * 1.5`, without `4 * P + 16 * P / n` and `4 * P * n * 1.5`.
    """
    loading = 4 * parameters * BUFFER_FACTOR
    if zero_stage == 2:
        if offload == "none":
            return States(4 * parameters, 16 * parameters, Fraction(0), loading)
        return States(2 * parameters, 0, 16 * BUFFER_FACTOR, loading)
    layer = 4 * largest_layer
    if offload == "none":
        return States(layer, 18 * parameters, Fraction(0), layer * BUFFER_FACTOR if zero_init else loading)
    sharded, held = (0, 18) if offload == "optimizer_and_parameters" else (2 * parameters, 16)
    return States(layer, sharded, held * BUFFER_FACTOR, Fraction(0) if zero_init else loading)


def buffer_bytes(shape: ModelShape, parameters: int, zero_stage: int) -> Ends:
    """What DeepSpeed holds on a card beside the model states: gathered parameters and communication buckets.

    Stage 3: live parameters (2 bytes each, at most 1e9) + a bucket of gradients (5e8) + one of prefetched parameters
    (5e7). Stage 2: two buckets. Low: what a tuned configuration takes (two layers live, buckets of hidden ** 2, the
    `auto` of the Hugging Face trainer); high: buckets at 4.5 times their size, as `overlap_comm` may need, and one more
    large layer live. No bucket is larger than the model.
    """
    largest = largest_layer_parameters(shape)
    tuned = min(parameters, shape.hidden**2)
    bucket = min(parameters, BUCKET)
    if zero_stage == 2:
        return Ends(Fraction(2 * 2 * min(tuned, bucket)), Fraction(2 * 2 * bucket), 2 * 2 * bucket * OVERLAPPED)
    live = min(parameters, LIVE_PARAMETERS)
    few = min(live, 2 * layer_parameters(shape))
    prefetch = min(parameters, PREFETCH_BUCKET)
    return Ends(
        Fraction(2 * few + 2 * min(tuned, bucket) + 2 * min(tuned, prefetch)),
        Fraction(2 * live + 2 * bucket + 2 * prefetch),
        2 * min(parameters, live + largest) + 2 * bucket * OVERLAPPED + 2 * prefetch,
    )


def sample_bytes(
    shape: ModelShape, seq_len: int, checkpointing: bool, flash_attention: bool, assumptions: Assumptions
) -> Ends:
    """Activations of one sample, in bytes (16-bit, no tensor parallelism).

    One layer `s h (34 + 5 a s / h)` = `34 s h + 5 a s**2`, without the second term where flash attention keeps no
    scores; all layers of it, or with checkpointing one layer and the input of each, `2 s h L`. Logits and their loss
    `k s V` (k: `assumptions.logits_bytes`). High, with a gated MLP: `s h (36 + 8 f / h)` instead of 34 s h, what a
    plain implementation keeps of it: gate, up, their product and the activation (8 f), two norms computed in 32 bits
    (20 h), the rest of attention (16 h).
    """
    s, h = seq_len, shape.hidden
    scores = 0 if flash_attention else 5 * shape.heads * s * s
    usual = 34 * s * h
    most = max(usual, s * (36 * h + 8 * shape.ffn)) if shape.gated else usual
    logits = ends_of(assumptions.logits_bytes)
    held = 2 * s * h * shape.layers if checkpointing else 0
    layers = 1 if checkpointing else shape.layers
    own = zip((usual, usual, most), logits, strict=True)
    return Ends(*(held + layers * (layer + scores) + k * s * shape.vocab for layer, k in own))


def host_bytes_per_parameter(states: States) -> Ends:
    """Bytes of host RAM per parameter: the estimator's, down to what the states take without its factor 1.5.

    High: a tenth more [assumed]; the four figures measured for ChatGLM-6B are 1 to 3 % above the expected value.
    """
    held = states.host_per_parameter
    return Ends(held / BUFFER_FACTOR, held, held * Fraction(11, 10))


def host_bytes_per_card(states: States) -> Ends:
    """Bytes of host RAM that one process needs while it loads, likewise."""
    held = states.host_per_card
    return Ends(held / BUFFER_FACTOR, held, held * Fraction(11, 10))


HOST_GIB_PER_EXTRA_CARD = Ends(Fraction(0), Fraction(0), Fraction(5))
"""The estimator has none; ChatGLM-6B was measured at 5 GB a further card (docs/model.md, section 2)."""


def held_bytes(states: States, parameters: int, zero_stage: int, offload: Offload) -> tuple[Ends, Ends]:
    """Bytes of model states on every card, and shared by the cards.

    The estimator's. Low, where nothing is offloaded: what the ZeRO paper counts (arXiv 1910.02054, figure 1),
    16 P / n in stage 3 and 2 P + 14 P / n in stage 2; the estimator has 2 P more, in stage 2 on every card.
    """
    card, sharded = exactly(states.card), exactly(states.sharded)
    if offload == "none":
        sharded = sharded._replace(low=Fraction((16 if zero_stage == 3 else 14) * parameters))
        if zero_stage == 2:
            card = card._replace(low=Fraction(2 * parameters))
    return card, sharded
