// What messages brought about: each difference with the interval that holds the truth in 95 of 100 cases.

import { $, age, body, draw, foreign, make, number, row } from "./dom.js";

const WIDTH = 240;
const MIDDLE = WIDTH / 2;

// A dot for the difference, a line for its interval, on one scale for all rows of a column; the axis is no difference.
function interval(of, most, unit, digits) {
  const at = (value) => MIDDLE + (value / most) * (MIDDLE - 6);
  const text = `${signed(of.difference, digits)}${unit} (${signed(of.low, digits)} to ${signed(of.high, digits)})`;
  const verdict = of.low > 0 ? "more" : of.high < 0 ? "less" : "no difference beyond chance";
  const cell = make("span", null, { class: "interval" });
  const picture = draw("svg", { class: "interval", viewBox: `0 0 ${WIDTH} 18`, role: "img", "aria-label": `${text}: ${verdict}` });
  picture.dataset.verdict = verdict;
  picture.append(
    draw("line", { class: "axis", x1: MIDDLE, x2: MIDDLE, y1: 0, y2: 18 }),
    draw("line", { x1: at(of.low), x2: at(of.high), y1: 9, y2: 9, stroke: "currentColor", "stroke-width": 3 }),
    draw("circle", { cx: at(of.difference), cy: 9, r: 5, fill: "currentColor" }),
  );
  cell.append(picture, make("small", text), make("small", verdict));
  return cell;
}

const signed = (value, digits) => (value > 0 ? "+" : "") + number(value, digits);

const points = (of) => of && { difference: 100 * of.difference, low: 100 * of.low, high: 100 * of.high };

const reach = (intervals) => Math.max(1e-9, ...intervals.filter(Boolean).flatMap((of) => [Math.abs(of.low), Math.abs(of.high)]));

function arm(figures) {
  const share = figures.customers ? figures.conversions / figures.customers : 0;
  return { as: "number", of: `${number(figures.conversions)} of ${number(figures.customers)} (${number(100 * share, 2)} %)` };
}

function name(lift, variant) {
  const label = make("span");
  label.append(foreign(variant === null ? lift.trigger : `${lift.trigger}, ${variant}`));
  if (variant === null) label.append(" ", make("small", lift.goal));
  return label;
}

export function drawLift({ problem, lifts }) {
  $("lift-section").hidden = !problem && lifts.length === 0;
  $("lift-problem").textContent = problem ?? "";
  const rows = lifts.flatMap((lift) => [[lift, null, lift.all], ...Object.entries(lift.variants).map(([variant, of]) => [lift, variant, of])]);
  const [mostPoints, mostMoney] = [reach(rows.map(([, , of]) => points(of.conversions))), reach(rows.map(([, , of]) => of.revenue))];
  const unknown = () => make("small", "not enough customers yet");
  body("lift").replaceChildren(...rows.map(([lift, variant, of]) => row(
    name(lift, variant), arm(of.treated), variant === null ? arm(of.control) : "",
    { as: "number", of: number(of.treated.clicked) },
    of.conversions ? interval(points(of.conversions), mostPoints, " points", 2) : unknown(),
    of.revenue ? interval(of.revenue, mostMoney, "", 2) : unknown(),
  )));
  $("lift-time").textContent = lifts.length ? `computed ${age(lifts[0].as_of)}; the lines are 95 % intervals` : "";
}
