"""The page of figures, benchmarks/README.md, and its charts, from the raw figures of a day.

`python -m benchmarks.page benchmarks/results/<date>.json` writes it again without measuring. What stands in it by hand
is intro.md and, under a bench, the file of its name; everything else comes from the figures.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.timing import shown

FOLDER = Path(__file__).parent
COLOURS = ("#0b6e4f", "#58b09c", "#c1121f", "#e07a1f", "#7b2d8b", "#3a6ea5")
"""Of a chart's lines: green is ours; all keep a contrast of 3 to 1 on white."""


def write(data: Mapping[str, Any], folder: Path = FOLDER) -> Path:
    """Write the page and its charts from the figures of a run; returns the page."""
    benches: Mapping[str, Mapping[str, Any]] = data["benches"]
    parts = [(folder / "intro.md").read_text(encoding="utf-8").strip(), _machine(data), _verdicts(benches)]
    for name, bench in benches.items():
        parts.append(_bench(name, bench, folder))
    page = folder / "README.md"
    page.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    return page


def _machine(data: Mapping[str, Any]) -> str:
    about = data["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    busy = ", ".join(f"{load:.1f}" for load in about["load"])
    return (
        f"Measured on {data['date']}: {about['cores']} cores of {about['cpu']}, Python {about['python']}, {versions}. "
        f"Load at the start: {busy}."
    )


def _verdicts(benches: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [
            f"{aim['what']} ([{name}](#{name}))",
            f"{shown(aim['figure'])} {aim['unit']}",
            f"{shown(aim['at_most'])} {aim['unit']}",
            "met" if aim["verdict"] == "met" else f"**missed**{': ' + aim['reason'] if aim['reason'] else ''}",
        ]
        for name, bench in benches.items()
        for aim in bench["aims"]
    ]
    missed = sum(row[3] != "met" for row in rows)
    head = f"## Aims\n\n{len(rows) - missed} of {len(rows)} met."
    return f"{head}\n\n{table(('figure', 'measured', 'aim, at most', ''), rows, right=(1, 2))}"


def _bench(name: str, bench: Mapping[str, Any], folder: Path) -> str:
    parts = [f'<a id="{name}"></a>\n\n## {bench["title"][0].upper()}{bench["title"][1:]}', f"`{name}`"]
    if bench["rows"]:
        parts.append(_timings(bench["rows"]))
    for each in bench["tables"]:
        parts.append(f"{each['title']}:\n\n{table(each['head'], each['rows'], right=range(1, len(each['head'])))}")
    for chart in bench["charts"]:
        path = folder / "charts" / f"{chart['name']}.svg"
        path.parent.mkdir(exist_ok=True)
        draw(chart, path)
        parts.append(f"![{chart['title']}, by {chart['size']}; both axes logarithmic](charts/{path.name})")
        parts.append("Growth exponents (time ~ size to that power), of what was not stopped: " + _exponents(chart))
    if bench["notes"]:
        parts.append("\n".join(f"- {note}" for note in bench["notes"]))
    written = folder / f"{name}.md"
    if written.exists():
        parts.append(written.read_text(encoding="utf-8").strip())
    return "\n\n".join(parts)


def _exponents(chart: Mapping[str, Any]) -> str:
    known = [f"{s['name']} {s['exponent']:.2f}" for s in chart["series"] if s["exponent"] is not None]
    return "; ".join(known) + "."


def _timings(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row["figures"]))
    head = ("case", "contender", "median ms", "range", "repeats", *names)
    body = []
    for row in rows:
        ms = row["ms"]
        median = shown(statistics.median(ms))
        spread = f"{shown(min(ms))} to {shown(max(ms))}" if len(ms) > 1 else ""
        figures = [_figure(row["figures"].get(name)) for name in names]
        if row["at_least"]:  # a ratio to a lower bound is a bound itself
            median = f"> {median}"
            figures = [
                f"> {each}" if name.startswith("it /") and each else each
                for name, each in zip(names, figures, strict=True)
            ]
        body.append([row["case"], row["contender"], median, spread, str(len(ms)), *figures])
    return table(head, body, right=range(2, len(head)))


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{shown(value)}x"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int]) -> str:
    """A Markdown table; the columns `right` are aligned to the right."""
    rule = ["---:" if at in set(right) else "---" for at in range(len(head))]
    lines = [head, rule, *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def draw(chart: Mapping[str, Any], path: Path) -> None:
    """Draw a growth curve as SVG; hollow marks are lower bounds. The same figures give the same bytes."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams |= {"svg.hashsalt": chart["name"], "svg.fonttype": "none", "font.family": "sans-serif"}
    figure, axes = pyplot.subplots(figsize=(8, 4.8), layout="constrained")
    for at, (series, colour) in enumerate(zip(chart["series"], COLOURS, strict=False)):
        known = [(x, y) for x, y, at_least in series["points"] if not at_least]
        bounds = [(x, y) for x, y, at_least in series["points"] if at_least]
        hollow = {"fillstyle": "none", "markersize": 5 + 2.5 * at}  # of a size of its own: many stop at one cap
        slope = f", exponent {series['exponent']:.2f}" if series["exponent"] is not None else ""
        for points, mark, named in ((known, "o-", f"{series['name']}{slope}"), (bounds, "^", None)):
            columns = zip(*points, strict=True) if points else ([], [])
            axes.plot(*columns, mark, color=colour, label=named, **({} if named else hollow))
    axes.set(xscale="log", yscale="log", xlabel=chart["size"], ylabel="milliseconds, median", title=chart["title"])
    axes.grid(visible=True, which="major", color="#dddddd")
    axes.spines[["top", "right"]].set_visible(False)
    axes.plot([], [], "^", color="#555555", fillstyle="none", label="stopped there: a lower bound")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.set_size_inches(10, 4.8)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


if __name__ == "__main__":
    print(write(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
