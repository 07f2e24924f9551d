"""The DeepSpeed configuration of a plan: its micro-batch, its gradient accumulation, ZeRO and offload as in the guide.

Every key stands in DeepSpeed's documentation: `DOCUMENTED` says under which heading, and a test holds the file against
it. Values that the plan does not decide are DeepSpeed's own defaults, written out, because the memory of the workload
(weights, buffers) was measured with them. No optimizer: its learning rate is the trainer's to choose.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from solver.domain.errors import InvalidProblem
from solver.domain.plan import Plan
from solver.domain.problem import Problem

SOURCE = "deepspeedai/DeepSpeed, docs/_pages/config-json.md at 00376da (2026); www.deepspeed.ai/docs/config-json"
_BATCH, _ZERO = "Batch Size Related Parameters", "ZeRO Optimizations for FP16 Training"
_FP16, _BF16 = "FP16 training options", "BFLOAT16 training options"
_PARAMETERS, _OPTIMIZER = "Parameter offloading", "Optimizer offloading"
DOCUMENTED: dict[str, str] = {
    "train_batch_size": _BATCH,
    "train_micro_batch_size_per_gpu": _BATCH,
    "gradient_accumulation_steps": _BATCH,
    "bf16": _BF16,
    "bf16.enabled": _BF16,
    "fp16": _FP16,
    "fp16.enabled": _FP16,
    "fp16.loss_scale": _FP16,
    "fp16.initial_scale_power": _FP16,
    "fp16.loss_scale_window": _FP16,
    "fp16.hysteresis": _FP16,
    "fp16.min_loss_scale": _FP16,
    "zero_optimization": _ZERO,
    "zero_optimization.stage": _ZERO,
    "zero_optimization.overlap_comm": _ZERO,
    "zero_optimization.contiguous_gradients": _ZERO,
    "zero_optimization.reduce_bucket_size": _ZERO,
    "zero_optimization.allgather_bucket_size": _ZERO,
    "zero_optimization.sub_group_size": _ZERO,
    "zero_optimization.stage3_prefetch_bucket_size": _ZERO,
    "zero_optimization.stage3_param_persistence_threshold": _ZERO,
    "zero_optimization.stage3_max_live_parameters": _ZERO,
    "zero_optimization.stage3_max_reuse_distance": _ZERO,
    "zero_optimization.stage3_gather_16bit_weights_on_model_save": _ZERO,
    "zero_optimization.offload_optimizer": _ZERO,
    "zero_optimization.offload_optimizer.device": _OPTIMIZER,
    "zero_optimization.offload_optimizer.pin_memory": _OPTIMIZER,
    "zero_optimization.offload_param": _ZERO,
    "zero_optimization.offload_param.device": _PARAMETERS,
    "zero_optimization.offload_param.pin_memory": _PARAMETERS,
}
"""Every key that is ever written, and the heading of DeepSpeed's page that documents it."""


class Training(NamedTuple):
    """How the workload is trained: ZeRO stage, what is offloaded, and its own gradient accumulation."""

    zero_stage: int
    offload: str
    gradient_accumulation: int


def training_of(problem: Problem) -> Training:
    """How the workload of a question is trained; the guide's way where the record does not say."""
    work = problem.workload
    return Training(
        zero_stage=getattr(work, "zero_stage", 3),
        offload=getattr(work, "offload", "optimizer_and_parameters"),
        gradient_accumulation=getattr(work, "gradient_accumulation", 1),
    )


def accumulation(problem: Problem, plan: Plan, global_batch: int | None) -> int:
    """Gradient accumulation steps for a wanted global batch; the workload's own where none is wanted.

    Raises:
        InvalidProblem: the wanted batch is no multiple of what all cards do at once; names the nearest that are.
    """
    if global_batch is None:
        return training_of(problem).gradient_accumulation
    each = plan.micro_batch * plan.card_count
    if global_batch >= each and global_batch % each == 0:
        return global_batch // each
    low = global_batch // each * each
    near = f"{low:,} and {low + each:,}" if low else f"{each:,}"
    raise InvalidProblem.of(
        "--global-batch",
        global_batch,
        f"must be a multiple of {each:,}, which the plan trains at once ({plan.card_count} cards x micro-batch "
        f"{plan.micro_batch}); nearest: {near}",
    )


def ds_config(problem: Problem, plan: Plan, global_batch: int | None) -> dict[str, Any]:
    """The configuration as DeepSpeed reads it.

    Raises:
        InvalidProblem: as `accumulation`.
    """
    steps = accumulation(problem, plan, global_batch)
    return {
        "train_batch_size": plan.micro_batch * steps * plan.card_count,
        "train_micro_batch_size_per_gpu": plan.micro_batch,
        "gradient_accumulation_steps": steps,
        **_precision(problem),
        "zero_optimization": _zero(training_of(problem)),
    }


def _precision(problem: Problem) -> dict[str, Any]:
    if problem.workload.precision == "bf16":
        return {"bf16": {"enabled": True}}
    scaling = {"loss_scale": 0, "initial_scale_power": 16, "loss_scale_window": 1000}
    return {"fp16": {"enabled": True, **scaling, "hysteresis": 2, "min_loss_scale": 1}}


def _zero(training: Training) -> dict[str, Any]:
    stage = training.zero_stage
    if stage == 0:
        return {"stage": 0}
    # Pinned gradients leave the card while the backward pass goes on only where communication may overlap.
    found: dict[str, Any] = {"stage": stage, "overlap_comm": True, "contiguous_gradients": True}
    found["reduce_bucket_size"] = 500_000_000
    if stage == 3:
        found |= {
            "sub_group_size": 1_000_000_000,
            "stage3_prefetch_bucket_size": 500_000_000,
            "stage3_param_persistence_threshold": 100_000,
            "stage3_max_live_parameters": 1_000_000_000,
            "stage3_max_reuse_distance": 1_000_000_000,
            "stage3_gather_16bit_weights_on_model_save": True,
        }
    else:
        found["allgather_bucket_size"] = 500_000_000
    if training.offload != "none":
        found["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
    if training.offload == "optimizer_and_parameters" and stage == 3:
        found["offload_param"] = {"device": "cpu", "pin_memory": True}
    return found
