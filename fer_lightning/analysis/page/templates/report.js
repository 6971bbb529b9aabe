"use strict";

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const find = (id) => document.getElementById(id);

/* Theme: the system's until the button is pressed. */

const themes = read("themes");
const root = document.documentElement;
const isDark = () => (root.style.colorScheme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

function repaint() {
  for (const place of document.querySelectorAll(".js-plotly-plot")) draw(place, place.data, place.layout);
}

find("theme").addEventListener("click", () => {
  root.style.colorScheme = isDark() ? "light" : "dark";
  repaint();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);

/* Charts. A finger scrolls the page; only a mouse zooms. */

const settings = {
  responsive: true,
  displaylogo: false,
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  showSendToCloud: false, // plotly would offer to upload the chart, with its data
  plotlyServerURL: "",
};
const dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom";

function draw(place, data, layout) {
  const toImageButtonOptions = { format: "svg", filename: place.id };
  const template = themes[isDark() ? "dark" : "light"];
  return Plotly.react(place, data, { ...layout, dragmode, template }, { ...settings, toImageButtonOptions });
}

async function drawAll() {
  for (const place of document.querySelectorAll("[data-figure]")) {
    const figure = read(place.dataset.figure);
    await draw(place, figure.data, figure.layout);
    await new Promise(requestAnimationFrame); // the page answers between two charts
  }
  if (find("curve-data")) startCurves();
  if (find("confusion-data")) startConfusion();
  document.body.dataset.ready = "yes";
}

function choose(select, values) {
  select.replaceChildren(...values.map(([value, text]) => new Option(text, value)));
}

/* Learning curves. */

function startCurves() {
  const all = read("curve-data");
  const highlighted = new Set();
  const [score, filter, log, chips] = ["curve-score", "curve-filter", "curve-log", "curve-cells"].map(find);
  const longest = Math.max(...all.runs.map((run) => run.epochs.at(-1)));
  choose(score, all.scores.map((name) => [name, name]));

  function update() {
    const words = filter.value.toLowerCase();
    const runs = all.runs.filter((run) => run.name.toLowerCase().includes(words) && run.scores[score.value]);
    const cells = [...new Set(runs.map((run) => run.cell))].sort((a, b) => a - b);
    const coloured = new Set([...cells.slice(0, all.most), ...highlighted]);
    const isBright = (cell) => (highlighted.size ? highlighted : coloured).has(cell);
    // Training beside validation, on the same scale, if it has the score too.
    const beside = score.value.replace("val/", "train/");
    const both = beside !== score.value && runs.some((run) => run.scores[beside]);
    find("curve-beside").hidden = !both;
    const range = both ? { range: rangeOf(runs, [score.value, beside]) } : {};
    const marks = phaseMarks(runs);
    for (const [id, name] of [["curve-chart", score.value], ...(both ? [["curve-beside", beside]] : [])]) {
      const share = /accuracy|f1|top2/.test(name);
      draw(find(id), lines(runs, name, isBright), {
        height: 420,
        showlegend: false,
        xaxis: { title: { text: "epoch" }, dtick: longest > 10 ? undefined : 1 },
        yaxis: { title: { text: name }, type: log.checked ? "log" : "linear", tickformat: share && !log.checked ? ".0%" : "", ...range },
        ...marks,
      });
    }
    find("curve-count").textContent = `${runs.length} of ${all.runs.length} runs`;
    drawChips([...coloured].filter((cell) => cells.includes(cell)), cells.length);
  }

  /* One trace a cell, and one for all that are grey: a line ends where a null stands. */
  function lines(runs, name, isBright) {
    const traces = new Map();
    for (const run of runs.filter((run) => run.scores[name])) {
      const key = isBright(run.cell) ? run.cell : -1;
      if (!traces.has(key)) traces.set(key, trace(key));
      const line = traces.get(key);
      line.x.push(...run.epochs, null);
      line.y.push(...run.scores[name], null);
      line.text.push(...Array(run.epochs.length + 1).fill(literal(run.name)));
    }
    return [...traces.entries()].sort(([a], [b]) => a - b).map(([, line]) => line);
  }

  function rangeOf(runs, names) {
    let [low, high] = [Infinity, -Infinity];
    for (const run of runs)
      for (const name of names)
        for (const value of run.scores[name] ?? [])
          if (value !== null && !(log.checked && value <= 0)) [low, high] = [Math.min(low, value), Math.max(high, value)];
    if (log.checked) [low, high] = [Math.log10(low), Math.log10(high)];
    const margin = 0.04 * (high - low || 1);
    return [low - margin, high + margin];
  }

  /* A vertical line where a phase of some run begins, with the name of the phase. */
  function phaseMarks(runs) {
    const begun = new Map(runs.flatMap((run) => Object.entries(run.phases ?? {}).map(([name, x]) => [`${name} ${x}`, [name, x]])));
    const places = [...begun.values()];
    const line = { color: "#8b929a", width: 1, dash: "dot" };
    return {
      shapes: places.map(([, x]) => ({ type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", line })),
      annotations: places.map(([name, x]) => ({ text: literal(name), x, y: 1, yref: "paper", xanchor: "left", yanchor: "top", showarrow: false })),
    };
  }

  function trace(cell) {
    const [color, dash] = cell < 0 ? ["#8b929a", "solid"] : all.looks[cell % all.looks.length];
    const line = { color, dash, width: cell < 0 ? 0.7 : 1.6 };
    const hovertemplate = "%{text}<br>epoch %{x}: %{y}<extra></extra>";
    return { x: [], y: [], text: [], mode: "lines", line, opacity: cell < 0 ? 0.5 : 0.9, hovertemplate };
  }

  function drawChips(cells, count) {
    chips.replaceChildren(
      ...cells.map((cell) => {
        const [color, , dashes] = all.looks[cell % all.looks.length];
        const chip = document.createElement("button");
        chip.type = "button";
        chip.setAttribute("aria-pressed", highlighted.has(cell));
        chip.innerHTML = `<svg width="22" height="8" aria-hidden="true"><path d="M0 4h22" stroke="${color}" stroke-width="3" stroke-dasharray="${dashes}"/></svg><span></span>`;
        chip.lastChild.textContent = all.cells[cell];
        chip.addEventListener("click", () => {
          if (!highlighted.delete(cell)) highlighted.add(cell);
          update();
        });
        return chip;
      }),
      ...(count > cells.length ? [document.createTextNode(`and ${count - cells.length} more cells in grey`)] : []),
    );
  }

  for (const control of [score, filter, log]) control.addEventListener("input", update);
  update();
}

/* Plotly reads tags in its texts, and TeX between dollar signs. */
function literal(text) {
  return text.replace(/[&<>$]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

/* Confusion matrices: a cell, the average over all, or the difference of two. */

function startConfusion() {
  const { cells, counts } = read("confusion-data");
  const [cell, other, unit] = ["confusion-cell", "confusion-other", "confusion-unit"].map(find);
  const options = [...cells.map((name, place) => [place, name]), ["all", "average of all cells"]];
  choose(cell, options);
  choose(other, [["none", "nothing"], ...options]);
  const place = find("chart-confusion");

  function matrix(choice) {
    const chosen = choice === "all" ? counts : [counts[choice]];
    const parts = unit.value === "share" ? chosen.map(shares) : chosen;
    return parts[0].map((row, i) => row.map((_, j) => parts.reduce((sum, part) => sum + part[i][j], 0) / parts.length));
  }

  function shares(table) {
    return table.map((row) => row.map((value) => (100 * value) / Math.max(1e-9, row.reduce((a, b) => a + b))));
  }

  function update() {
    const differs = other.value !== "none";
    const minus = differs ? matrix(other.value) : null;
    const z = matrix(cell.value).map((row, i) => row.map((value, j) => (differs ? value - minus[i][j] : value)));
    const most = Math.max(1e-9, ...z.flat().map(Math.abs));
    const end = !differs && unit.value === "share" ? 100 : most;
    const text = z.map((row) => row.map((value) => (differs && value > 0 ? "+" : "") + value.toFixed(unit.value === "share" && !differs ? 0 : 1)));
    const heat = { ...place.data[0], z, text, texttemplate: "%{text}", zmin: differs ? -end : 0, zmax: end, colorscale: differs ? "RdBu" : "Cividis" };
    draw(place, [heat], place.layout);
    const called = (select) => select.selectedOptions[0].text;
    place.closest("figure").querySelector("strong").textContent = called(cell) + (differs ? ` minus ${called(other)}` : "");
  }

  for (const control of [cell, other, unit]) control.addEventListener("input", update);
}

/* Tables: sort, filter, CSV. */

function numberIn(text) {
  const match = text.replace(/,/g, "").match(/^[-+]?\d*\.?\d+(e[-+]?\d+)?/i);
  return match ? Number(match[0]) : NaN;
}

function sortRows(table, column, descending) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [row, row.cells[column].textContent.trim()]);
  const numeric = rows.every(([, text]) => text === "" || !Number.isNaN(numberIn(text)));
  const order = numeric ? (a, b) => numberIn(a) - numberIn(b) : (a, b) => a.localeCompare(b, "en", { numeric: true });
  rows.sort(([, a], [, b]) => (a === "") - (b === "") || (a === "" ? 0 : (descending ? -1 : 1) * order(a, b)));
  body.append(...rows.map(([row]) => row));
}

function toCsv(table) {
  const content = (cell) => cell.querySelector("[data-copy]")?.dataset.copy ?? cell.textContent.trim();
  // Spreadsheets run what begins like a formula; the numbers among it stay what they are.
  const harmless = (text) => (/^[=+@\t\r-]/.test(text) && !/^[-+]?[\d.]+(e[-+]?\d+)?( |$)/.test(text) ? `'${text}` : text);
  const quote = (text) => (/[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
  const rows = [...table.rows].filter((row) => !row.hidden);
  return rows.map((row) => [...row.cells].map((cell) => quote(harmless(content(cell)))).join(",")).join("\n") + "\n";
}

for (const block of document.querySelectorAll(".table")) {
  const table = block.querySelector("table");
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) =>
    head.querySelector("button")?.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortRows(table, column, descending);
    }),
  );
  block.querySelector("input")?.addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase();
    const rows = [...table.tBodies[0].rows];
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(words);
    block.querySelector(".count").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  });
  block.querySelector(".csv").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([toCsv(table)], { type: "text/csv" }));
    link.download = `${block.dataset.name}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

/* Commands. */

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    prompt("Copy this:", button.dataset.copy); // the browser keeps its clipboard to itself
    return;
  }
  button.textContent = "copied";
  setTimeout(() => (button.textContent = "copy"), 1500);
});

drawAll();
