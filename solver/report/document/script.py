"""What `--interactive` adds: words where one points, a filter over long tables, rigs picked out on maps.

Plain JavaScript without a library, admitted by its hash. It reads the record the page carries and asks nobody else;
text is set as text, never as markup.
"""

from __future__ import annotations

FILTER_FROM = 6
"""Tables of fewer rows need no filter."""

SCRIPT = """
(() => {
  "use strict";
  const record = JSON.parse(document.getElementById("record").textContent);
  const words = document.body.dataset;
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "status");
  document.body.append(tip);

  const show = (text, x, y) => {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - box.width - 4)) + "px";
    tip.style.top = (y + 18 + box.height > innerHeight ? y - box.height - 8 : y + 18) + "px";
  };
  const hide = () => { tip.hidden = true; };

  // Titles would show a second time, and late, where the tip already speaks.
  const told = new Map();
  for (const title of document.querySelectorAll("svg rect > title")) {
    told.set(title.parentNode, title.textContent);
    title.remove();
  }

  const cell = (svg, event) => {
    const map = record.maps[Number(svg.dataset.map)];
    const box = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / box.width;
    const at = (place, start, step) => Math.floor((place * scale - start) / step);
    const column = at(event.clientX - box.left, Number(svg.dataset.left), Number(svg.dataset.wide));
    const row = at(event.clientY - box.top, Number(svg.dataset.top), Number(svg.dataset.high));
    const held = map.cells[row] && map.cells[row][column];
    if (held === undefined) return null;
    const rig = held < 0 ? words.none : record.rigs[held];
    const down = map.down ? map.down + " " + map.rows[row] + ", " : "";
    return rig + ": " + down + map.across + " " + map.columns[column];
  };

  for (const svg of document.querySelectorAll("svg.chart")) {
    svg.addEventListener("pointermove", (event) => {
      const text = svg.dataset.map === undefined ? told.get(event.target) : cell(svg, event);
      if (text) show(text, event.clientX, event.clientY); else hide();
    });
    svg.addEventListener("pointerleave", hide);
    // One rig picked out: the others fade; once more, and all are back.
    svg.addEventListener("click", (event) => {
      const rig = event.target.dataset && event.target.dataset.rig;
      if (!rig) return;
      const again = event.target.dataset.picked === "1";
      for (const other of svg.querySelectorAll("[data-rig]")) {
        other.classList.toggle("dim", !again && other.dataset.rig !== rig);
        other.dataset.picked = !again && other.dataset.rig === rig ? "1" : "";
      }
    });
  }

  for (const table of document.querySelectorAll("table[data-filter]")) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    label.className = "filter";
    label.textContent = words.filter;
    input.type = "search";
    label.append(input);
    table.parentNode.insertBefore(label, table);
    const rows = [...table.tBodies[0].rows];
    input.addEventListener("input", () => {
      const wanted = input.value.toLowerCase().split(/\\s+/).filter(Boolean);
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.classList.toggle("gone", !wanted.every((word) => text.includes(word)));
      }
    });
  }
  document.documentElement.dataset.ready = "1";
})();
"""
