"""`solver-cli workload from-model`: a workload from a config.json on disk, or from sizes given as options."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from solver.cli.params import OFFLOADS, FileName, GroupedCommand, GroupedOption, Number, Whole
from solver.cli.workload_parts import made_workload, option, save, tell_workload, written
from solver.domain.errors import InvalidProblem, Violation
from solver.domain.language import message, say

if TYPE_CHECKING:
    from solver.domain.workload import Workload


_SHAPE = {"layers": "--layers", "hidden": "--hidden", "heads": "--heads", "vocab": "--vocab", "ffn": "--ffn"}
_FLAGS = {
    **{f"model.{name}": flag for name, flag in _SHAPE.items()},
    "model.kv_heads": "--kv-heads",
    "parameters": "--params",
    "seq_len": "--seq",
    "zero_stage": "--zero",
    "gradient_accumulation": "--accumulation",
    "reserve_gb": "--reserve-gb",
    "reference_host_bandwidth_gb_s": "--host-bandwidth",
    "samples": "--samples",
    "epochs": "--epochs",
    "id": "--id",
    "name": "--name",
    "precision": "--precision",
}


@click.command(
    "from-model",
    cls=GroupedCommand,
    short_help=message("A workload from a config.json, or from sizes."),
    help=message(
        "Make a workload from a model's shape: a Hugging Face config.json on disk (llama, mistral, qwen2, "
        "chatglm, gptj, gpt2), or sizes given as options. Memory, host RAM and time follow from published "
        "formulas, each with a low and a high end (docs/model.md); measured steps make them better: workload "
        "calibrate. No network is used."
    ),
    epilog="Examples: solver-cli workload from-model config.json --seq 2048 --checkpointing --offload optimizer,param "
    "--samples 50000 -o my.yaml ; solver-cli workload from-model --params 13e9 --layers 40 --hidden 5120 --heads 40 "
    "--vocab 32000 --seq 1024 -o my.yaml",
)
@click.argument("config", metavar="[CONFIG.JSON]", required=False, type=FileName())
@option(
    "--params", message("Model"), Number("N"), message("Parameters, such as 13e9; counted from the shape unless given.")
)
@option("--layers", message("Model"), Whole("N"), message("Layers."))
@option("--hidden", message("Model"), Whole("N"), message("Width of the model."))
@option("--heads", message("Model"), Whole("N"), message("Attention heads."))
@option("--kv-heads", message("Model"), Whole("N"), message("Heads of keys and values.  [default: as many as heads]"))
@option(
    "--ffn", message("Model"), Whole("N"), message("Inner width of the MLP.  [default: what --params leaves for it]")
)
@option("--vocab", message("Model"), Whole("N"), message("Vocabulary."))
@click.option(
    "--gated/--plain-mlp",
    cls=GroupedOption,
    section=message("Model"),
    default=None,
    help=message("MLP of three matrices or of two.  [default: gated]"),
)
@click.option(
    "--tied-head/--own-head",
    cls=GroupedOption,
    section=message("Model"),
    default=None,
    help=message("Output head.  [default: own]"),
)
@option("--seq", message("Training"), Whole("N"), message("Tokens of a sample."), required=False)
@click.option(
    "--checkpointing/--no-checkpointing",
    cls=GroupedOption,
    section=message("Training"),
    default=False,
    help=message("Recompute activations.  [default: no]"),
)
@click.option(
    "--flash-attention/--no-flash-attention",
    cls=GroupedOption,
    section=message("Training"),
    default=True,
    help=message("Attention without the matrix of scores.  [default: with]"),
)
@option("--zero", message("Training"), Whole("N"), message("ZeRO stage, 2 or 3.  [default: 3]"))
@option(
    "--offload",
    message("Training"),
    str,
    message(
        "What is kept in host RAM: none, optimizer, or optimizer,param.  [default: optimizer,param; "
        "optimizer with --zero 2]"
    ),
    metavar="WHAT",
)
@option("--accumulation", message("Training"), Whole("N"), message("Micro-steps in an optimizer step.  [default: 1]"))
@option("--precision", message("Training"), str, message("bf16 or fp16.  [default: bf16]"), metavar="TYPE")
@option(
    "--samples", message("Training"), Whole("N"), message("Samples of an epoch.  [default: 25,000, as in guide-6b]")
)
@option("--epochs", message("Training"), Whole("N"), message("Epochs.  [default: 1]"))
@option(
    "--reserve-gb",
    message("Machine"),
    Number("GB"),
    message("Memory kept free per card.  [default: 1.5, between 1 and 2]"),
)
@option(
    "--host-bandwidth",
    message("Machine"),
    Number("GB/S"),
    message("Memory bandwidth of the host, where Adam uses all its cores.  [default: one core's, 11 GB/s]"),
)
@option("--id", message("Output"), str, message("Id of the workload.  [default: my-model]"), metavar="ID")
@option("--name", message("Output"), str, message("Its name."), metavar="TEXT")
@click.option(
    "-o",
    "--output",
    cls=GroupedOption,
    type=FileName(),
    metavar="FILE",
    help=message("Write it there.  [default: print it]"),
)
def command(config: str | None, output: str | None, **options: Any) -> int:
    """Make a workload from a shape."""
    work = _from_model(config, options)
    return _write(work, output)


def _from_model(config: str | None, options: dict[str, Any]) -> Workload:
    sizes = {name: options[name] for name in (*_SHAPE, "kv_heads", "gated", "tied_head") if options[name] is not None}
    parameters = _whole(options["params"], "--params")
    if config is not None:
        if sizes:
            given = next(iter(sizes))
            raise InvalidProblem.of("--" + given.replace("_", "-"), None, say("cannot be given beside a config.json"))
        from solver.catalog.model_config import read_model_config

        shape = read_model_config(Path(config)).model_dump(exclude_defaults=True)
        source = f"{Path(config).name} ({shape['family']})"
    else:
        shape, source = _shape(sizes, parameters), "sizes given as options"
    if options["seq"] is None:
        raise InvalidProblem.of("--seq", None, say("is required: the tokens of a sample"))
    stage = options["zero"]
    offload = options["offload"] or ("optimizer" if stage == 2 else "optimizer,param")
    if offload.replace(" ", "") not in OFFLOADS:
        raise InvalidProblem.of("--offload", offload, say("must be none, optimizer, or optimizer,param"))
    family = shape.get("family", "model")
    stated: dict[str, Any] = {
        "id": options["id"] or "my-" + (family if family != "generic" else "model"),
        "name": options["name"]
        or (f"Training a {family} model from {Path(config).name}" if config else "Training a model of given sizes"),
        "precision": options["precision"],
        "parameters": parameters,
        "samples": options["samples"] if options["samples"] is not None else 25_000,
        "epochs": options["epochs"],
        "zero_stage": stage,
        "offload": OFFLOADS[offload.replace(" ", "")],
        "gradient_accumulation": options["accumulation"],
        "model": shape,
        "seq_len": options["seq"],
        "checkpointing": options["checkpointing"],
        "flash_attention": options["flash_attention"],
        "reserve_gb": options["reserve_gb"],
        "reference_host_bandwidth_gb_s": options["host_bandwidth"],
    }
    stated = {name: value for name, value in stated.items() if value is not None}
    told = [name for name in stated if name not in ("id", "name", "model")]
    stated["provenance"] = [
        {"fields": ["model"], "source": source, "basis": "source"},
        {"fields": told, "source": "given to workload from-model, or its defaults", "basis": "assumed"},
    ]
    return made_workload(stated, _FLAGS)


def _shape(sizes: dict[str, Any], parameters: int | None) -> dict[str, Any]:
    """The shape of sizes given as options; the width of the MLP is what the parameters leave for it."""
    missing = [flag for name, flag in _SHAPE.items() if name not in sizes and name != "ffn"]
    if missing:
        raise InvalidProblem.of(missing[0], None, say("is required without a config.json"))
    if "ffn" not in sizes:
        if parameters is None:
            raise InvalidProblem.of("--ffn", None, say("is required without --params"))
        from pydantic import ValidationError

        from solver.domain.errors import from_validation_error
        from solver.domain.shape import ModelShape
        from solver.estimate import fitting_ffn

        try:
            sizes = {**sizes, "ffn": fitting_ffn(ModelShape.model_validate({**sizes, "ffn": 1}), parameters)}
        except ValidationError as error:
            found = from_validation_error(error, "model").violations
            raise InvalidProblem(Violation(_FLAGS.get(v.field, "--heads"), v.value, v.allowed) for v in found) from None
        except InvalidProblem as error:
            raise InvalidProblem(Violation("--params", v.value, v.allowed) for v in error.violations) from None
    return sizes


def _whole(number: Decimal | None, flag: str) -> int | None:
    if number is None:
        return None
    if number != number.to_integral_value() or not 1 <= number <= 10**13:
        raise InvalidProblem.of(flag, number, say("must be a whole number between 1 and {most:,}", most=10**13))
    return int(number)


def _write(work: Workload, output: str | None) -> int:
    """Print a workload as a file, or write it and show it."""
    from solver.catalog.workload_file import workload_text

    text = workload_text(work)
    if output is None:
        click.echo(text, nl=False)
        return 0
    save(text, output)
    from solver.catalog import default_library

    tell_workload(work, default_library(), "table")
    written(output)
    return 0
