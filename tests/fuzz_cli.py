"""Fuzz the command line with question files, quotes and options: `python -m tests.fuzz_cli --examples 5000`.

Every run must end with exit 0, 2, 3 or 4 (never a traceback, never "internal"), within 2 s, and add less than 200 MB to
the process: a cold `optimize` stands at under 100, so that a command stays below 300. Thousands of runs share a process
here; what earlier ones left in it is not counted against the next. Exit 1 and the failing example on a violation.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from solver.cli import main
from solver.domain.catalog import Card, Offer, Platform
from solver.domain.problem import Limits, Site
from solver.domain.workload import Workload

MOST_SECONDS = 2.0
MOST_ADDED_MB = 200
CODES = (0, 2, 3, 4)


def _words(text: str) -> list[str]:
    return text.split()


NASTY_TEXT = st.sampled_from(
    [
        *(" ", "", "\x00", "\ud7ff", "\U0001f600", "9" * 30, "9" * 5000, "１２", "¥1", "=1+1"),
        *_words("NaN nan inf -inf 1e400 -1 0 1e-400 3e5 NO 1:30 0x1F 017 null ~ 1_000 30万 -30万 1.234 @x"),
        *_words("rtx-a6000 rtx-a600 guide-base rtx-4090-blower batch cost epoch value"),
        "A100 80G PCIe",
    ]
)
NUMBERS = st.one_of(
    st.integers(-5, 12),
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from((300000, 150000, 2.5, 10**12, 10**18, 0.1, 1e-9)),
)
SCALARS = st.one_of(NASTY_TEXT, NUMBERS, st.booleans(), st.none(), st.text(max_size=20))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NASTY_TEXT, inner, max_size=4)),
    max_leaves=8,
)


def fields_of(*records: Any) -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from([name for record in records for name in record.model_fields]), NASTY_TEXT)


def group(*records: Any) -> st.SearchStrategy[Any]:
    return st.one_of(st.dictionaries(fields_of(*records), VALUES, max_size=5), VALUES)


CARD = {"id": "my-card", "name": "My card", "vram_mib": 24576, "tdp_w": 300, "slot_width": 2, "cooling": "blower"} | {
    "bf16_dense_tflops": 100,
    "bf16_tensor_cores": True,
}
QUESTIONS = st.dictionaries(
    st.sampled_from(("goal", "limits", "site", "workload", "prices", "offers", "cards", "platforms", "limitz")),
    VALUES,
    max_size=4,
).flatmap(
    lambda rough: st.fixed_dictionaries(
        {},
        optional={
            "goal": SCALARS,
            "limits": group(Limits),
            "site": group(Site),
            "workload": st.one_of(SCALARS, group(Workload)),
            "prices": st.dictionaries(st.one_of(st.just("rtx-a6000"), NASTY_TEXT), NUMBERS, max_size=3),
            "offers": st.lists(group(Offer), max_size=3),
            "cards": st.lists(
                st.builds(lambda more: {**CARD, **(more if isinstance(more, dict) else {})}, group(Card)), max_size=2
            ),
            "platforms": st.lists(group(Platform), max_size=2),
        },
    ).map(lambda shaped: {**rough, **shaped})
)
MANGLES = st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=6)), max_size=4)


def mangled(data: bytes, changes: list[tuple[int, bytes]]) -> bytes:
    """The bytes with a few places overwritten."""
    made = bytearray(data)
    for at, put in changes:
        at %= len(made) + 1
        made[at : at + len(put)] = put
    return bytes(made)


HEADERS = st.sampled_from(
    _words(
        "card unit_price_cny condition stock min_quantity vendor quote_date valid_until tax_included lead_time_days "
        "型号 单价 单价(万元) 成色 库存 起订量 供应商 报价日期 有效期 含税 货期 备注 价格(USD)"
    )
)
CELLS = st.one_of(
    NASTY_TEXT,
    st.sampled_from(
        ("RTX A6000 48G", "27,500", "2.75万", "二手", "全新", "2023-07-01", "7天", "合计", "是", "5-9", "现货", "电询")
    ),
    st.text(max_size=12),
)
TABLES = st.tuples(
    st.lists(st.lists(CELLS, max_size=3), max_size=2),
    st.lists(HEADERS, min_size=1, max_size=8),
    st.lists(st.lists(CELLS, max_size=9), max_size=6),
).map(lambda parts: [*parts[0], ["型号", "单价", *parts[1]], *parts[2]])
OPTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(
                _words(
                    "--budget --price --goal --max-cards --power-limit --include --exclude --socket-amps --epochs "
                    "--socket-volts --derating --room-cooling-w --min-batch --max-epoch-days --samples --reserve-gb "
                    "--workload --catalog --problem --quotes --nonsense"
                )
            ),
            st.one_of(NASTY_TEXT, st.text(max_size=10), NUMBERS.map(str)),
        ),
        st.sampled_from((("--allow-used",), ("--require-nvlink",), ("--dump-problem",), ("--format", "markdown"))),
    ),
    max_size=4,
)


CONFIG_KEYS = _words(
    "model_type hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim "
    "vocab_size n_embd n_layer n_head n_inner n_positions num_layers inner_hidden_size ffn_hidden_size kv_channels "
    "padded_vocab_size tie_word_embeddings attention_bias mlp_bias multi_query_attention multi_query_group_num "
    "add_qkv_bias rmsnorm"
)
LLAMA = {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "vocab_size": 32000} | {
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
}
CONFIGS = st.dictionaries(
    st.sampled_from(CONFIG_KEYS),
    st.one_of(VALUES, st.sampled_from((1, 2, 64, 4096, True, False, "llama", "chatglm", "gptj", "gpt2", "qwen2"))),
    max_size=6,
).map(lambda changes: {**LLAMA, **changes})
LOG_CELLS = st.one_of(
    st.integers(1, 64).map(str),
    st.decimals(0, 100_000, places=2).map(str),
    st.sampled_from(("fit", "range", "no", "")),
    CELLS,
)
LOGS = st.tuples(
    st.lists(
        st.sampled_from(_words("micro_batch accumulation gpus seconds gpu_mib host_gb use source card loss")),
        min_size=2,
        max_size=8,
        unique=True,
    ),
    st.lists(st.lists(LOG_CELLS, max_size=8), max_size=8),
).map(lambda parts: [parts[0], *parts[1]])
BASES = ("guide-6b", "llama-7b", "nothing")


def as_csv(table: list[list[str]], separator: str, encoding: str) -> bytes:
    """A table as a sloppy program writes it."""
    lines = [
        separator.join('"' + cell.replace('"', '""') + '"' if separator in cell else cell for cell in row)
        for row in table
    ]
    return "\r\n".join(lines).encode(encoding, errors="replace")


def as_xlsx(table: list[list[str]]) -> bytes:
    """A table as a workbook; what no cell can hold is left out."""
    book = openpyxl.Workbook()
    sheet = book.create_sheet(index=0)
    for row in table:
        sheet.append(["".join(c for c in cell if c.isprintable())[:1000] for cell in row])
    packed = io.BytesIO()
    book.save(packed)
    return packed.getvalue()


def repacked(data: bytes, changes: list[tuple[int, bytes]]) -> bytes:
    """A workbook with the XML of its sheet mangled."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            content = old.read(entry)
            new.writestr(entry.filename, mangled(content, changes) if "sheet1" in entry.filename else content)
    return packed.getvalue()


def memory_mb(kind: str, *, reset: bool = False) -> int:
    """A line of the process's status (Linux), MB; `reset` forgets the peak so far. 0 where there is no such file."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(kind)) // 1024


def run(arguments: list[str]) -> None:
    """Run the command line here and hold it to what the module's docstring promises."""
    out, err = io.StringIO(), io.StringIO()
    before = memory_mb("VmRSS", reset=True)
    started = time.perf_counter()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as ended:
            code = ended.code
    took = time.perf_counter() - started
    added = memory_mb("VmHWM") - before
    said = err.getvalue()
    assert code in CODES, (code, arguments, said)
    assert took <= MOST_SECONDS, (took, arguments)
    assert added <= MOST_ADDED_MB, (added, arguments)
    assert "Traceback" not in said + out.getvalue(), (arguments, said)
    if code == 2:
        assert [line for line in said.splitlines() if line.startswith("Error: ")] == said.splitlines()[-1:], said


def everything(folder: Path, examples: int) -> None:
    """Fuzz each kind of input with that many examples."""
    common = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=examples <= 500,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    file = folder / "question.yaml"

    @common
    @given(QUESTIONS, OPTIONS)
    def questions(question: dict[str, Any], options: list[tuple[str, ...]]) -> None:
        file.write_text(yaml.safe_dump(question, allow_unicode=True), encoding="utf-8", errors="replace")
        run(["optimize", "--problem", str(file), *(part for option in options for part in option)])

    @common
    @given(
        st.one_of(
            st.binary(max_size=300), st.text(alphabet="{}[]:,-&*!|>'\"%@#? \n\tab1.e", max_size=200).map(str.encode)
        )
    )
    def rubbish(data: bytes) -> None:
        file.write_bytes(data)
        run(["optimize", "--problem", str(file)])

    @common
    @given(OPTIONS)
    def options_only(options: list[tuple[str, ...]]) -> None:
        run(["optimize", *(part for option in options for part in option)])

    @common
    @given(TABLES, st.sampled_from(",;\t"), st.sampled_from(("utf-8", "utf-8-sig", "gb18030", "utf-16")), MANGLES)
    def csv_quotes(table: list[list[str]], separator: str, encoding: str, changes: list[tuple[int, bytes]]) -> None:
        quotes = folder / "quotes.csv"
        quotes.write_bytes(mangled(as_csv(table, separator, encoding), changes))
        run(["optimize", "--quotes", str(quotes)])

    few = settings(common, max_examples=max(20, examples // 3))

    @few
    @given(TABLES, MANGLES, st.booleans())
    def xlsx_quotes(table: list[list[str]], changes: list[tuple[int, bytes]], inside: bool) -> None:
        quotes = folder / "quotes.xlsx"
        good = as_xlsx(table)
        quotes.write_bytes(repacked(good, changes) if inside else mangled(good, changes))
        run(["optimize", "--quotes", str(quotes)])

    @few
    @given(
        st.dictionaries(
            st.sampled_from(("cards", "platforms", "offers", "workloads", "card")),
            st.lists(group(Card, Offer), max_size=3),
            max_size=3,
        )
    )
    def folders(document: dict[str, Any]) -> None:
        own = folder / "own"
        own.mkdir(exist_ok=True)
        (own / "entries.yaml").write_text(
            yaml.safe_dump(document, allow_unicode=True), encoding="utf-8", errors="replace"
        )
        run(["catalog", "validate", str(own)])
        run(["optimize", "--catalog", str(own), "--budget", "30万"])

    @few
    @given(CONFIGS, MANGLES, st.sampled_from(("1", "2048", "x", "99999999")))
    def model_configs(config: dict[str, Any], changes: list[tuple[int, bytes]], tokens: str) -> None:
        model = folder / "config.json"
        model.write_bytes(mangled(json.dumps(config).encode(), changes))
        run(["workload", "from-model", str(model), "--seq", tokens, "-o", str(folder / "made.yaml")])

    @few
    @given(LOGS, st.sampled_from(",;\t"), st.sampled_from(("utf-8", "utf-16")), MANGLES, st.sampled_from(BASES))
    def step_logs(
        table: list[list[str]], separator: str, encoding: str, changes: list[tuple[int, bytes]], base: str
    ) -> None:
        log = folder / "steps.csv"
        log.write_bytes(mangled(as_csv(table, separator, encoding), changes))
        made = folder / "made.yaml"
        made.unlink(missing_ok=True)
        run(["workload", "calibrate", str(log), "--base", base, "-o", str(made)])
        if made.exists():  # what is written is read back
            run(["workload", "show", str(made)])

    for check in (questions, rubbish, options_only, csv_quotes, xlsx_quotes, folders, model_configs, step_logs):
        started = time.perf_counter()
        check()
        print(f"{check.__name__}: ok, {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=2000)
    with tempfile.TemporaryDirectory() as scratch:
        everything(Path(scratch), parser.parse_args().examples)
    sys.exit(0)
