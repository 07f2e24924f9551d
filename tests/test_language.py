"""Chinese and English: every text translated, nothing for programs changed, the reader's locale heard."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from io import StringIO
from itertools import pairwise
from pathlib import Path
from string import Formatter

import pytest
from rich.cells import cell_len
from rich.console import Console

from solver.catalog import default_library
from solver.domain.language import LANGUAGES, language_of, say, say_many, speaking
from solver.domain.limits import LIMITS
from solver.domain.notices import AVAILABILITY
from solver.report.explained.inequalities import INEQUALITIES
from solver.report.prose import Prose, breaks
from solver.report.wording import yuan, yuan_in_full
from solver.sweep.file import parse
from solver.sweep.schema import TEMPLATE
from tests.conftest import RunCli
from tests.messages import LOCALE, catalogue, compiled, found, updated
from tests.pages import read_page

EXAMPLES = Path(__file__).parents[1] / "examples"
TRANSLATED = [language for language in LANGUAGES if language != "en"]


def _process(*arguments: object, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from solver.cli import main; main()", *map(str, arguments)]
    root = Path(__file__).parents[1]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=root)


def _forms(text: str | Sequence[str]) -> Sequence[str]:
    return (text,) if isinstance(text, str) else text


def _fields(text: str) -> list[tuple[str, str]]:
    return sorted((name, spec or "") for _, name, spec, _ in Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated(language: str) -> None:
    """Tests that the catalogue has exactly the texts of the code, all translated with the same fields."""
    held = catalogue(language)
    wanted = {(text.id, text.context) for text in found() if text.id}
    assert len(wanted) > 1000
    assert {(text.id, text.context) for text in held if text.id} == wanted, "run `make messages`"
    for text in held:
        if not text.id:
            continue
        assert text.string, f"not translated: {text.id!r}"
        assert not text.fuzzy, text.id
        forms = [_fields(each) for each in _forms(text.id)]
        for form in _forms(text.string):
            assert _fields(form) in forms, (text.id, form)


@pytest.mark.parametrize("language", TRANSLATED)
def test_what_the_program_reads_is_what_was_translated(language: str) -> None:
    """Tests that the .mo file was compiled from the .po file, and that `make messages` would change nothing."""
    assert (LOCALE / language / "LC_MESSAGES" / "solver.mo").read_bytes() == compiled(catalogue(language))
    assert compiled(updated(language)) == compiled(catalogue(language))


def test_texts_that_stand_elsewhere_are_marked() -> None:
    """Tests the lists of texts that no call shows: inequalities of limits, availability in the shipped catalogue."""
    assert set(INEQUALITIES) == {limit.inequality for limit in LIMITS}
    library = default_library()
    assert set(AVAILABILITY) == {card.availability for card in library.catalog.cards if card.availability}


def test_say() -> None:
    """Tests fields, counts and contexts in both languages."""
    for language, one, many, used, column in (
        ("en", "1 epoch", "2 epochs", "used", "used"),
        ("zh", "1 轮", "2 轮", "二手", "占用"),
    ):
        with speaking(language):
            assert say_many("{count} epoch", "{count} epochs", 1) == one
            assert say_many("{count} epoch", "{count} epochs", 2) == many
            assert say("used") == used
            assert say("column\x04used") == column
    with pytest.raises(ValueError, match="must be one of en, zh"), speaking("fr"):
        pass


def test_money_in_the_readers_habit() -> None:
    """Tests that tens of thousands are used where they are exact, and never round."""
    with speaking("zh"):
        assert yuan(103_500) == "10.35 万元"
        assert yuan_in_full(103_500) == "10.35 万元（103,500 元）"
        assert yuan(103_501) == "103,501 元"
        assert yuan(9_999) == "9,999 元"
    assert yuan(103_500) == "103,500 CNY"


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh"}, "zh"),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LC_MESSAGES": "zh_TW.UTF-8", "LANG": "C"}, "zh"),
        ({"LC_ALL": "", "LANG": "zh_CN.GB18030"}, "zh"),
        ({"LANG": "fr_FR.UTF-8"}, "en"),
        ({}, "en"),
    ],
)
def test_the_locale_is_heard(environment: dict[str, str], language: str) -> None:
    """Tests which language a locale stands for."""
    assert language_of(environment) == language


def test_a_locale_of_a_process() -> None:
    """Tests a whole process under a Chinese locale, and the option against it; also behind the command."""
    environment = {"LANG": "zh_CN.UTF-8", "PYTHONUTF8": "1"}
    for more, said in (([], "总批大小"), (["--lang", "en"], "total batch"), (["--lang=zh"], "总批大小")):
        ran = _process("optimize", "--budget", 300000, *more, environment=environment)
        assert said in ran.stdout


def test_a_language_nobody_speaks(run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests one clear line for an unknown language, by option and by variable."""
    ran = run_cli("optimize", "--lang", "fr")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == 'Error: --lang = "fr": must be one of en, zh\n'
    monkeypatch.setenv("SOLVER_CLI_LANG", "klingon")
    assert 'SOLVER_CLI_LANG = "klingon": must be one of en, zh' in run_cli("optimize").err


@pytest.mark.parametrize(
    "command",
    [
        ("optimize", "--budget", 300000, "--goal", "epoch"),
        ("optimize", "--budget", 1000),
        ("explain", "--budget", 60000, "--min-batch", 24),
        ("check", "--card", "rtx-4090-blower", "--count", 4, "--power-limit", 450),
        ("catalog", "show", "rtx-a6000"),
        ("workload", "show", "llama-7b"),
    ],
)
def test_programs_are_spoken_to_in_one_language(run_cli: RunCli, command: tuple[object, ...]) -> None:
    """Tests that JSON has the same keys and values in both languages, but for the time it took."""

    def plain(text: str) -> object:
        return json.loads(re.sub(r'"(\w*_ms|wall_ms|elapsed_s)": [\d.]+', r'"\1": 0', text))

    english, chinese = (run_cli(*command, "--format", "json", "--lang", language) for language in ("en", "zh"))
    assert english.code == chinese.code
    assert plain(english.out) == plain(chinese.out)


_OURS = re.compile(
    r"""solver-cli(\ [-a-z]+)*|ZeRO|NVLink|PCIe|GDDR\d\w*|JSON\ Schema|Hugging\ Face|DeepSpeed|FlashAttention|CP-SAT
    |--?[a-z][-a-z0-9]*(\|[-a-z]+)*|[A-Z0-9]{2,}([|.,=_/-][A-Z0-9]+)*|https?://\S+|\S*[/_.=\[\]]\S*
    |\S+\.(csv|ya?ml|json)|[a-z0-9.]+(-[a-z0-9.]+)+""",
    re.VERBOSE,
)
_WORDS = """
    batch epoch value cost watts low expected high measured calibrated estimated assumed optimizer param none new
    used ms mm MiB bf fp inline local dask rig rtx own tied gated plain with without yes no sudo sh undo id fit range
    tcp tls source use store best optimise optimize check explain frontier catalog list show validate whatif run
    resume status diff replay prune init schema cancel workload calibrate verify report completion
    llama mistral qwen chatglm gptj gpt ulimit shell locale bearer token
    RTX Ada blower Radeon Pro Blackwell Max Adam Parquet Dask Excel Titanium Platinum Gold Ctrl Markdown
"""
"""Ids, codes and commands that people type, units, names of products."""
_KEPT = set(_WORDS.split())


@pytest.mark.parametrize(
    "command",
    [
        (name, *rest, "--help")
        for name, *rest in (
            ["optimize"], ["check"], ["explain"], ["frontier"], ["catalog"], ["catalog", "list"],
            ["catalog", "validate"],
            ["whatif"], ["whatif", "run"], ["whatif", "resume"], ["whatif", "show"], ["whatif", "diff"],
            ["whatif", "replay"], ["whatif", "prune"], ["workload"], ["workload", "from-model"],
            ["workload", "calibrate"], ["verify"], ["report"],
        )
    ]
    + [
        ("--help",),
        ("optimize", "--budget", "30x"),
        ("optimize", "--budget", 1000),
        ("optimize", "--goal", "best"),
        ("optimise",),
        ("optimize", "--budget"),
        ("explain", "--budget", 60000, "--min-batch", 24),
        ("frontier", "--budget", 300000),
        ("check", "--card", "rtx-a6000", "--count", 4, "--budget", 100000),
        ("catalog", "show", "rtx-a600"),
        ("whatif", "status", "x", "--store", "/nowhere/at/all.sqlite"),
        ("verify", "/nowhere/at/all"),
    ],
    ids=lambda command: " ".join(str(word) for word in command),
)  # fmt: skip
def test_no_english_is_left(command: tuple[object, ...]) -> None:
    """Tests that what is printed in Chinese has no English word but ids, codes, units and names of products."""
    # In a process of its own: Click keeps the help option in the language in which it was first asked for.
    ran = _process("--lang", "zh", *command)
    text = printed = ran.stdout + ran.stderr
    # Examples are commands; names and sources of the catalogue are in the language they were written in.
    text = re.sub(r"(?ms)^示例：?:?\n.*", "", text).replace("Guide base system, 2 kW Platinum", "")
    text = re.sub(r"(?m)^(用法：|  solver-cli).*$|^.*(the guide \(no vendor|named\)).*$", "", text)
    words = re.findall(r"[A-Za-z]{2,}", _OURS.sub(" ", text))
    left = sorted({word for word in words if word not in _KEPT})
    assert re.search(r"[\u4e00-\u9fff]", printed)
    assert not left, (left, text)


def test_answers_in_chinese(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests a whole way in Chinese: the answer, saved, verified, reported; a run of what-ifs."""
    folder = tmp_path / "方案"
    ran = run_cli("optimize", "--budget", 300000, "--save", folder, "--lang", "zh")
    assert ran.code == 0, ran.err
    assert "23.2 万元（232,000 元）" in ran.out
    assert "在中国没有合法的全新销售" in ran.out
    assert run_cli("verify", folder, "--lang", "zh").code == 0
    assert run_cli("verify", folder, "--lang", "en").code == 0, "what was saved in one language holds in the other"
    page = tmp_path / "r.html"
    assert run_cli("report", folder, "-o", page, "--lang", "zh").code == 0
    html = page.read_text(encoding="utf-8")
    assert 'lang="zh' in html
    assert "A100 80GB PCIe" in html
    assert "最大总批" in html
    assert re.search(r"<h[1-3][^>]*>[A-Za-z ]+</h[1-3]>", html) is None
    plan = folder / "plan.json"
    plan.write_text(plan.read_text(encoding="utf-8").replace("232000", "232001", 1), encoding="utf-8")
    off = run_cli("verify", folder, "--lang", "zh")
    assert off.code == 3
    assert "应得" in off.out
    english = run_cli("verify", folder, "--lang", "en")
    assert "follows" in english.out, "the verdict is in the language of who asks, not of who saved"
    assert "应得" not in english.out
    verdicts = [run_cli("verify", folder, "--format", "json", "--lang", language).out for language in ("en", "zh")]
    assert verdicts[0] == verdicts[1]
    assert "232,001" in off.out or "232001" in off.out
    store = tmp_path / "s.sqlite"
    told = run_cli("whatif", "run", EXAMPLES / "guide-budgets.yaml", "--store", store, "--lang", "zh")
    assert told.code == 0
    assert "情景" in told.out
    assert "cost CNY" not in told.out


FAULTY = """
scenarios:
  - {name: good, set: {limits.budget_cny: 300000}}
  - {name: bad value, set: {limits.budget_cny: -5}}
  - {name: bad path, set: {limits.budgt_cny: 5}}
"""


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_runs_are_stored_in_one_language(run_cli: RunCli, tmp_path: Path, executor: str) -> None:
    """Tests that JSON of a run is the same to the byte in both languages, faults of scenarios included."""
    file, told = tmp_path / "faulty.yaml", []
    file.write_text(FAULTY, encoding="utf-8")
    for language in ("en", "zh"):
        store = tmp_path / f"{language}.sqlite"
        options = ["--store", store, "--run-id", "r", "--executor", executor, "--format", "json", "--lang", language]
        ran = run_cli("whatif", "run", file, *options)
        assert ran.code == 6
        told.append(ran.out)
    assert told[0] == told[1]
    assert "no such path" in told[1]


def test_an_answer_worded_otherwise_still_holds(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that a version that words the texts of a saved answer otherwise finds no fault; another figure is one."""
    folder = tmp_path / "saved"
    assert run_cli("optimize", "--budget", 300000, "--save", folder, "--lang", "zh").code == 0
    manifest = json.loads((folder / "saved.json").read_text(encoding="utf-8"))

    def put(name: str, old: str, new: str) -> None:
        data = (folder / name).read_bytes().replace(old.encode(), new.encode(), 1)
        (folder / name).write_bytes(data)
        manifest["files"][name] = hashlib.sha256(data).hexdigest()
        (folder / "saved.json").write_text(json.dumps(manifest), encoding="utf-8")

    put("README.txt", "本说明", "此说明")
    put("order.csv", "单价", "每件价格")
    ran = run_cli("verify", folder, "--lang", "zh")
    assert (ran.code, ran.out[:4]) == (0, "核对无误"), ran.out
    put("README.txt", "232,000", "232,001")
    assert run_cli("verify", folder).code == 3
    put("README.txt", "232,001", "232,000")
    put("order.csv", "207000", "207001")
    assert run_cli("verify", folder).code == 3


def test_reports_of_runs_name_cards(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that a report of a run has names, not ids, of cards and platforms: in text, table, chart and map."""
    file, store, page = tmp_path / "sweep.yaml", tmp_path / "s.sqlite", tmp_path / "r.html"
    grid = "limits.budget_cny: [100000, 200000, 300000], site.socket_amps: [4, 10]"
    file.write_text(f"sweeps: [{{grid: {{{grid}}}}}]", encoding="utf-8")
    assert run_cli("whatif", "run", file, "--store", store, "--run-id", "r", "--executor", "inline").code == 0
    assert run_cli("report", "r", "--store", store, "-o", page, "--lang", "zh").code == 0
    shown = read_page(page.read_text(encoding="utf-8"))
    assert shown.language == "zh-CN"
    assert re.search(r"\dx RTX A6000", shown.text)
    assert not re.search(r"\dx [a-z]", shown.text)
    assert "guide-base" not in shown.text


def test_lines_break_as_chinese_does() -> None:
    """Tests that no line is wider than its room, none begins with a comma, and words of Latin letters stay whole."""
    line = "  没有价格、不会被选中的显卡：a40、a800-80gb-pcie、h100-nvl-94gb（两槽），rtx-pro-6000-blackwell-max-q。"
    for width in range(30, 80):
        at = [0, *breaks(line, width), len(line)]
        parts = [line[a:b].rstrip() for a, b in pairwise(at)]
        assert "".join(parts).replace(" ", "") == line.replace(" ", "")
        assert all(cell_len(part) <= width for part in parts)
        assert not any(part.startswith(tuple("、：，。）")) for part in parts)
        assert not any(part.endswith("（") for part in parts)
        assert sum("a800-80gb-pcie" in part for part in parts) == 1
    assert breaks("rtx-pro-6000", 5) == [5, 10]
    shown = StringIO()
    Console(file=shown, width=40, color_system=None).print(Prose(line))
    assert shown.getvalue().startswith("  没有价格")
    assert breaks("one two", 100) == []


def test_the_example_is_the_same_in_both_languages() -> None:
    """Tests that translating the comments of the example file has changed nothing else."""
    files = []
    for language in LANGUAGES:
        with speaking(language):
            files.append(parse(say(TEMPLATE).encode(), "t.yaml"))
    one, two = files
    assert (one.question, one.total, one.paths) == (two.question, two.total, two.paths)
    assert [entry.changes for entry in one.entries] == [entry.changes for entry in two.entries]
    assert [sweep.grid for sweep in one.sweeps] != []
