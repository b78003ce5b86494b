// The table of segments.

import { age, body, draw, figures, make, number, row } from "./dom.js";

function spark(counts) {
  const most = Math.max(1, ...counts);
  const points = counts.map((count, index) => `${(index * 118) / Math.max(1, counts.length - 1) + 1},${21 - (19 * count) / most}`);
  const picture = draw("svg", { class: "spark", viewBox: "0 0 120 22", role: "img", "aria-label": `changes per minute, at most ${most}` });
  picture.append(draw("polyline", { points: points.join(" "), fill: "none", stroke: "currentColor", "stroke-width": 1.5 }));
  return picture;
}

function segmentRow(segment) {
  const name = make("span", segment.segment);
  name.append(" ", make("small", segment.title));
  const last = make("span", segment.silent ? `silent, ${age(segment.last_change_at)}` : age(segment.last_change_at), segment.silent ? { class: "silent" } : {});
  const p99 = segment.p99_ms === null ? "–" : `${number(segment.p99_ms)} ms`;
  return row(name, figures(segment.members), figures(segment.entered_per_min, 1), figures(segment.exited_per_min, 1), { as: "number", of: p99 }, last, spark(segment.spark));
}

export const drawSegments = ({ segments }) => body("segments").replaceChildren(...segments.map(segmentRow));
