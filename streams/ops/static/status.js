// The state of everything: the health line, the charts, partitions and workers.

import { $, body, clock, figures, make, number, row } from "./dom.js";

let answered = Date.now();

function health(state, sentence) {
  const line = $("health");
  if (line.dataset.state === state && line.textContent === sentence) return; // read out only when it changes
  line.dataset.state = state;
  line.textContent = sentence;
}

export function noAnswer(error) {
  const seconds = Math.round((Date.now() - answered) / 1000);
  const why = error.name === "TypeError" || error.name === "TimeoutError" ? "" : ` (${error.message})`;
  health("red", `no answer for ${seconds} s${why}: what is shown is old`);
}

const CHARTS = [
  ["events", "events/s", "events_per_s"],
  ["changes", "changes/s", "changes_per_s"],
  ["p99_ms", "event → change, p99 ms", "p99_ms"],
  ["late_p99_ms", "due time → change, p99 ms", "late_p99_ms"],
];
const plots = new Map();

function plot(key, label) {
  const figure = make("figure");
  const caption = make("figcaption", label + " ");
  const now = make("b");
  caption.append(now);
  figure.append(caption);
  $("charts").append(figure);
  const ink = getComputedStyle(document.body);
  const axis = { stroke: ink.getPropertyValue("--quiet"), grid: { stroke: ink.getPropertyValue("--line"), width: 1 } };
  const chart = new uPlot({
    width: figure.clientWidth - 16, height: 130, legend: { show: false }, cursor: { show: false },
    scales: { y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } },
    axes: [axis, { ...axis, size: 55 }],
    series: [{}, { stroke: ink.getPropertyValue("--accent"), width: 2, spanGaps: false }],
  }, [[], []], figure);
  new ResizeObserver(() => chart.setSize({ width: figure.clientWidth - 16, height: 130 })).observe(figure);
  return { chart, now, figure };
}

function drawCharts(status) {
  for (const [key, label, rate] of CHARTS) {
    if (!plots.has(key)) plots.set(key, plot(key, label));
    const { chart, now, figure } = plots.get(key);
    chart.setData([status.series.at, status.series[key]]);
    now.textContent = number(status.rates[rate], 1);
    figure.setAttribute("aria-label", `${label}: ${now.textContent}`);
    figure.dataset.points = status.series.at.length;
  }
}

function watchdogMeter({ watchdog: name, near }) {
  const line = make("span", `${name} ${Math.round(100 * near)} % `);
  line.append(make("meter", null, { min: 0, max: 1, high: 0.5, value: near, "aria-label": `${name}: share used up` }));
  return line;
}

function workerRow(worker) {
  const dogs = make("span");
  worker.watchdogs.forEach((watchdog) => dogs.append(watchdogMeter(watchdog), " "));
  const ready = make("span", worker.ready ? "yes" : `no: ${worker.because.join("; ")}`, worker.ready ? {} : { class: "bad" });
  const memory = worker.memory_bytes === null ? "–" : `${number(worker.memory_bytes / 1e6)} MB`;
  return row(worker.address, ready, { as: "number", of: memory }, dogs);
}

function lag(partition) {
  if (!partition.lag) return "–";
  const behind = Object.entries(partition.lag).filter(([, records]) => records > 0);
  return behind.map(([topic, records]) => `${topic} ${number(records)}`).join(", ") || "0";
}

function partitionRow(partition) {
  const behind = { as: "number", of: `${number(partition.behind_s, 1)} s` };
  return row(partition.partition, partition.owner, clock(partition.clock), behind, lag(partition), figures(partition.outbox));
}

export function drawStatus(status) {
  health(status.state, status.sentences.join("; "));
  drawCharts(status);
  body("partitions").replaceChildren(...status.partitions.map(partitionRow));
  body("workers").replaceChildren(...status.workers.map(workerRow));
  answered = Date.now();
}
