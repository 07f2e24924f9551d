"""Estimates from a model's shape, held against published counts, DeepSpeed's own table, and common sense."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solver.domain.errors import InvalidProblem
from solver.domain.physics import fixed_vram_mib, host_ram_mib, rig_step_us, vram_used_mib
from solver.domain.shape import FIGURES, Assumptions, ModelShape
from solver.domain.workload import Workload
from solver.estimate import FILLED, completed, largest_layer_parameters, model_states, parameter_count, sample_bytes
from tests.builders import card as a_card
from tests.builders import platform as a_platform

LLAMA_7B = {"layers": 32, "hidden": 4096, "heads": 32, "ffn": 11008, "vocab": 32000}
CHATGLM_6B: dict[str, Any] = {
    "layers": 28,
    "hidden": 4096,
    "heads": 32,
    "ffn": 16384,
    "vocab": 130528,
    "gated": False,
    "tied_head": True,
    "biases": "all",
    "norm_bias": True,
}
PUBLISHED: list[tuple[str, dict[str, Any], int]] = [
    ("llama-7b", LLAMA_7B, 6_738_415_616),
    ("llama-13b", {"layers": 40, "hidden": 5120, "heads": 40, "ffn": 13824, "vocab": 32000}, 13_015_864_320),
    (
        "qwen2.5-7b",
        {"layers": 28, "hidden": 3584, "heads": 28, "kv_heads": 4, "ffn": 18944, "vocab": 152064, "biases": "qkv"},
        7_615_616_512,
    ),
    ("chatglm-6b", CHATGLM_6B, 6_173_286_400),
    (
        "gpt-j-6b",
        {
            "layers": 28,
            "hidden": 4096,
            "heads": 16,
            "ffn": 16384,
            "vocab": 50400,
            "gated": False,
            "biases": "mlp",
            "norms_per_layer": 1,
            "norm_bias": True,
            "head_bias": True,
        },
        6_050_882_784,
    ),
]


def fields(**changes: Any) -> dict[str, Any]:
    """A workload of LLaMA-7B's shape and no figure at all."""
    return {
        "id": "mine",
        "name": "Mine",
        "samples": 1000,
        "seq_len": 2048,
        "checkpointing": True,
        "model": LLAMA_7B,
    } | changes


def workload(**changes: Any) -> Workload:
    """The same with its figures."""
    return Workload.model_validate(completed(fields(**changes)))


@pytest.mark.parametrize(("name", "shape", "published"), PUBLISHED, ids=[name for name, _, _ in PUBLISHED])
def test_parameters_as_published(name: str, shape: dict[str, Any], published: int) -> None:
    """Tests that parameters are counted as their publishers count them: exactly, where 0.5 % was asked."""
    assert parameter_count(ModelShape.model_validate(shape)) == published


GIB = 2**30
T5_3B = [  # zero stage, offload, zero_init, GiB of the host, GiB of a card: DeepSpeed's documentation, 8 GPUs
    (3, "optimizer_and_parameters", True, 71.69, 0.12),
    (3, "optimizer_and_parameters", False, 127.45, 0.12),
    (3, "optimizer", True, 63.72, 0.78),
    (3, "optimizer", False, 127.45, 0.78),
    (3, "none", True, 1.43, 6.09),
    (3, "none", False, 127.45, 6.09),
    (2, "optimizer", True, 127.45, 5.31),
    (2, "none", True, 127.45, 15.93),
]


@pytest.mark.parametrize(("stage", "offload", "zero_init", "host", "card"), T5_3B)
def test_t5_3b_table(stage: int, offload: Any, zero_init: bool, host: float, card: float) -> None:
    """Tests all eight rows of the table that DeepSpeed publishes for t5-3b, through the formulas that plans use too."""
    parameters, cards = 2_851_000_000, 8
    states = model_states(parameters, 32_000_000, stage, offload, zero_init)
    assert states.card + states.sharded / cards == pytest.approx(card * GIB, abs=0.005 * GIB)
    on_host = max(parameters * states.host_per_parameter, cards * states.host_per_card)
    assert float(on_host) == pytest.approx(host * GIB, abs=0.005 * GIB)

    made = workload(parameters=parameters, zero_stage=stage, offload=offload, zero_init=zero_init)
    largest = 4 * (largest_layer_parameters(ModelShape.model_validate(LLAMA_7B)) - 32_000_000)
    bare = fixed_vram_mib(made, cards) - fixed_vram_mib(
        made.model_validate({**dict(made), "weights_gb": Decimal(0), "sharded_gb": Decimal(0), "spreads": ()}), cards
    )
    assert bare == pytest.approx((card * GIB + (largest if stage == 3 else 0)) / 2**20, abs=8)
    if (offload, zero_init) != ("none", True) or stage == 2:
        assert host_ram_mib(made, cards) == pytest.approx(host * 1024, abs=8)


def test_chatglm_table() -> None:
    """Tests the estimator's output for ChatGLM-6B on 4 GPUs as a user printed it (zai-org/ChatGLM-6B issue 1442)."""
    shape = ModelShape.model_validate(CHATGLM_6B)
    parameters, largest = parameter_count(shape), largest_layer_parameters(shape)
    assert largest == pytest.approx(534e6, abs=1e6)
    for offload, zero_init, host, card in (
        ("optimizer_and_parameters", True, 155.23, 1.99),
        ("optimizer", False, 137.98, 4.87),
        ("none", True, 11.95, 27.86),
        ("none", False, 137.98, 27.86),
    ):
        states = model_states(parameters, largest, 3, offload, zero_init)  # type: ignore[arg-type]
        assert (states.card + states.sharded / 4) / GIB == pytest.approx(card, abs=0.006)
        on_host = max(parameters * states.host_per_parameter, 4 * states.host_per_card)
        assert float(on_host / GIB) == pytest.approx(host, abs=0.006)


def test_llama_7b_sample() -> None:
    """Tests the check value: LLaMA-7B, 4,096 tokens, flash attention and checkpointing, about 2.95e9 bytes a sample."""
    shape = ModelShape.model_validate(LLAMA_7B)
    ends = sample_bytes(shape, 4096, True, True, Assumptions())
    assert float(ends.expected) == pytest.approx(2.95e9, rel=0.005)
    assert ends.low < Fraction(2_870_000_000) < Fraction(3_010_000_000) < ends.high
    # Without checkpointing, s h (34 + 5 a s / h) L + k s V.
    s, h, a, layers, v = 2048, 4096, 32, 32, 32000
    plain = sample_bytes(shape, s, False, False, Assumptions()).expected
    assert plain == Fraction(s * h) * (34 + Fraction(5 * a * s, h)) * layers + 10 * s * v


def test_step_of_llama_7b() -> None:
    """Tests the time of a step by hand: 8 P s over 0.45 of the card's TFLOPS, 6 P over PCIe, 29 P over the host."""
    made = workload()
    p, s = 6_738_415_616, 2048
    assert float(made.per_sample_s) == pytest.approx(8 * p * s / (0.45 * 71.2e12), abs=0.001)
    assert float(made.fixed_s) == pytest.approx(6 * p / 22e9, abs=0.001)
    assert float(made.optimizer_s) == pytest.approx(29 * p / 11e9, abs=0.001)
    card, platform = a_card(bf16_dense_tflops=312, tdp_w=300), a_platform()
    twice = workload(gradient_accumulation=2)
    one, two = (rig_step_us(card, platform, w, 1, 300, 3) for w in (made, twice))
    compute = 3 * 8 * p * s / (0.45 * 312e12)
    assert one / 1e6 == pytest.approx(6 * p / 22e9 + compute + 29 * p / 11e9, rel=0.001)
    assert two / 1e6 == pytest.approx(2 * (6 * p / 22e9 + compute) + 29 * p / 11e9, rel=0.001)


def test_every_figure_is_filled_and_tagged() -> None:
    """Tests that every figure has a spread and a tag, and is listed as estimated."""
    made = workload()
    assert set(made.estimated) == set(FILLED)
    assert {spread.field for spread in made.spreads} == set(FIGURES)
    assert made.tag_of("per_sample_gb") == "estimated"
    assert made.tag_of("reserve_gb") == "assumed"
    for name in FIGURES:
        assert made.figure(name, "low") <= made.figure(name) <= made.figure(name, "high")


def test_stated_figures_stay() -> None:
    """Tests that what somebody states stays, is not listed as estimated and gets no estimated spread."""
    made = workload(per_sample_gb=5, parameters=7_000_000_000, preparation_expected_h=3)
    assert made.per_sample_gb == 5
    assert made.parameters == 7_000_000_000
    assert {"per_sample_gb", "parameters", "preparation_expected_h"}.isdisjoint(made.estimated)
    assert not made.has_spread("per_sample_gb")
    assert made.preparation_high_h == 3
    assert float(made.optimizer_s) == pytest.approx(29 * 7e9 / 11e9, abs=0.001)


def test_stale_figures_follow_again() -> None:
    """Tests that a figure listed as estimated follows from the shape again, whatever value it has."""
    first = completed(fields())
    longer = completed({**first, "seq_len": 4096})
    assert longer == completed(fields(seq_len=4096))


def test_measured_spread_of_an_estimated_figure_stays() -> None:
    """Tests that a spread that somebody measured is not thrown away with the estimate."""
    spread = {"field": "fixed_s", "low": Decimal(1), "high": Decimal(9), "basis": "measured"}
    made = completed(fields(spreads=(spread,)))
    assert completed(made) == made
    assert Workload.model_validate(made).figure("fixed_s", "high") == 9


shapes = st.builds(
    lambda layers, per_head, heads, ffn, vocab, gated, tied, biases: {
        "layers": layers,
        "hidden": per_head * heads,
        "heads": heads,
        "ffn": ffn,
        "vocab": vocab,
        "gated": gated,
        "tied_head": tied,
        "biases": biases,
    },
    st.integers(1, 60),
    st.integers(1, 160),
    st.integers(1, 64),
    st.integers(1, 30_000),
    st.integers(1, 160_000),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["none", "qkv", "mlp", "all"]),
)
jobs = st.fixed_dictionaries(
    {
        "model": shapes,
        "seq_len": st.integers(1, 8192),
        "checkpointing": st.booleans(),
        "flash_attention": st.booleans(),
        "zero_init": st.booleans(),
        "gradient_accumulation": st.integers(1, 64),
        "reference_card_id": st.just("slow"),
        "reference_tflops": st.just(5000),
    }
)


def made_of(job: dict[str, Any], **changes: Any) -> Workload:
    """A workload of a drawn job."""
    return workload(**{**job, **changes})


@settings(max_examples=60, deadline=None)
@given(jobs, st.sampled_from([(2, "none"), (2, "optimizer"), (3, "none"), (3, "optimizer")]), st.integers(1, 8))
def test_memory_grows(job: dict[str, Any], kind: tuple[int, str], cards: int) -> None:
    """Tests that memory of a card grows with batch, sequence and layers, at every end, and that filling in is final."""
    stage, offload = kind
    once = completed(fields(**job, zero_stage=stage, offload=offload))
    assert completed(once) == once
    base = Workload.model_validate(once)
    longer = made_of(job, zero_stage=stage, offload=offload, seq_len=job["seq_len"] + 1)
    deeper = made_of(
        job, zero_stage=stage, offload=offload, model={**job["model"], "layers": job["model"]["layers"] + 1}
    )
    for end in ("low", "expected", "high"):
        here = vram_used_mib(base, cards, 3, end)
        assert vram_used_mib(base, cards, 4, end) > here
        assert longer.figure("per_sample_gb", end) >= base.figure("per_sample_gb", end)
        assert deeper.figure("per_sample_gb", end) >= base.figure("per_sample_gb", end)
        assert vram_used_mib(longer, cards, 3, end) >= here
        assert vram_used_mib(deeper, cards, 3, end) >= here
    assert (
        vram_used_mib(base, cards, 3, "low") <= vram_used_mib(base, cards, 3) <= vram_used_mib(base, cards, 3, "high")
    )


@settings(max_examples=60, deadline=None)
@given(jobs, st.integers(1, 8))
def test_memory_never_falls_with_less_offload(job: dict[str, Any], cards: int) -> None:
    """Tests that a card needs no less memory where less is offloaded."""
    order = ("optimizer_and_parameters", "optimizer", "none")
    for end in ("low", "expected", "high"):
        used = [fixed_vram_mib(made_of(job, offload=offload), cards, end) for offload in order]
        assert used == sorted(used)
        stage_2 = [fixed_vram_mib(made_of(job, zero_stage=2, offload=offload), cards, end) for offload in order[1:]]
        assert stage_2 == sorted(stage_2)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"seq_len": None}, "seq_len"),
        ({"seq_len": 0}, "seq_len"),
        ({"model": {**LLAMA_7B, "heads": 33}}, "model"),
        ({"model": {**LLAMA_7B, "heads": 32, "kv_heads": 5}}, "model"),
        ({"model": {**LLAMA_7B, "experts": 8}}, "model.experts"),
        ({"model": {"layers": 3}}, "model.hidden"),
        ({"model": 7}, "model"),
        ({"model": {**LLAMA_7B, "layers": 10_000, "hidden": 10_000_000, "heads": 1}}, "model"),
        ({"model": {**LLAMA_7B, "position_embeddings": 1024}}, "seq_len"),
        ({"estimated": ["model"]}, "estimated"),
        ({"estimated": 7}, "estimated"),
        ({"spreads": [{"field": "samples", "low": 1, "high": 2}]}, "spreads.0.field"),
        ({"reference_tflops": 312}, "reference_card_id"),
        ({"offload": "nvme"}, "offload"),
        ({"zero_stage": 1}, "zero_stage"),
        ({"seq_len": 5_000_000}, "per_sample_s"),
        ({"assumptions": {"pcie_gb_s": {"low": 5, "expected": 4, "high": 6}}}, "assumptions.pcie_gb_s"),
    ],
)
def test_faulty_shapes(changes: dict[str, Any], field: str) -> None:
    """Tests that a shape that cannot be is refused with the field's name."""
    with pytest.raises(InvalidProblem) as caught:
        completed(fields(**changes))
    assert field in [violation.field for violation in caught.value.violations]


def test_pcie_generation_and_host_bandwidth() -> None:
    """Tests that transfers follow the reference generation, and Adam the host's bandwidth where it is given."""
    assert workload(reference_pcie_gen=3).fixed_s == pytest.approx(2 * workload().fixed_s, abs=Decimal("0.002"))
    fast = workload(reference_host_bandwidth_gb_s=240)
    assert float(fast.optimizer_s) == pytest.approx(29 * 6_738_415_616 / (0.43 * 240e9), abs=0.001)
    stated = {"host_bandwidth_gb_s": {"low": 20, "expected": 40, "high": 60}}
    slow = workload(reference_host_bandwidth_gb_s=240, assumptions=stated)
    assert float(slow.optimizer_s) == pytest.approx(29 * 6_738_415_616 / 40e9, abs=0.001)


def test_nothing_offloaded_exchanges_between_cards() -> None:
    """Tests that one card alone exchanges nothing, and more of them (n - 1) / n of everything."""
    made = workload(offload="none")
    assert made.optimizer_s == 0
    assert made.card_scaling[:4] == tuple(map(Decimal, ("0", "0.5", "0.667", "0.75")))
