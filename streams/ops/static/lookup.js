// The look-up of one customer: its memberships now or at a past time, and why.

import { fetchJson } from "./api.js";
import { $, draw, foreign, make, row, table } from "./dom.js";
import { changeRow } from "./feed.js";

function memberRow(segment, language) {
  const state = segment.member ? `in since ${segment.since}${segment.held ? ", held for its minimum stay" : ""}` : "not in";
  const name = make("span", segment.segment, segment.member ? { class: "entered" } : {});
  const sentence = make("span", segment.said[language], { class: "foreign", lang: language, dir: language === "fa" ? "rtl" : "ltr" });
  return row(name, state, { as: "because", of: sentence }, segment.due_at);
}

// Each segment a line: from entry to exit, from the changes that are kept; what was entered before them, from since.
function spans(customer, now) {
  const open = new Map();
  const lines = new Map();
  const add = (segment, from, to) => lines.set(segment, [...(lines.get(segment) ?? []), [from, to]]);
  for (const change of customer.changes) {
    const at = Date.parse(change.occurred_at);
    if (change.change === "entered") open.set(change.segment, at);
    else { add(change.segment, open.get(change.segment) ?? null, at); open.delete(change.segment); }
  }
  for (const state of customer.segments) {
    if (state.member) add(state.segment, Date.parse(state.since), now);
    else if (state.due_at && !lines.has(state.segment)) lines.set(state.segment, []);
  }
  return lines;
}

function timeline(customer) {
  const now = Date.now();
  const lines = spans(customer, now);
  const dues = new Map(customer.segments.filter((state) => state.due_at).map((state) => [state.segment, Date.parse(state.due_at)]));
  const times = [...lines.values()].flat(2).filter((at) => at !== null);
  const began = Math.min(now - 60_000, ...times);
  const ends = Math.max(now + 60_000, ...[...dues.values()].filter((at) => at < now + 2 * (now - began)));
  const x = (at) => 170 + (620 * (at - began)) / (ends - began);
  const height = 20 * lines.size + 30;
  const picture = draw("svg", { class: "timeline", viewBox: `0 0 800 ${height}`, role: "img", "aria-label": "memberships over time, with due times" });
  [...lines].forEach(([segment, parts], index) => {
    const y = 20 * index + 4;
    picture.append(draw("text", { x: 4, y: y + 11 }, segment));
    for (const [from, to] of parts) {
      picture.append(draw("rect", { class: "in", x: x(from ?? began), y, width: Math.max(2, x(to) - x(from ?? began)), height: 13, rx: 2 }));
    }
    const due = dues.get(segment);
    if (due && due <= ends) picture.append(draw("line", { class: "due", x1: x(due), x2: x(due), y1: y - 2, y2: y + 15 }));
  });
  picture.append(draw("line", { class: "axis", x1: x(now), x2: x(now), y1: 0, y2: height - 20 }));
  picture.append(draw("text", { x: 170, y: height - 6 }, new Date(began).toISOString().slice(0, 19)));
  picture.append(draw("text", { x: x(now) - 12, y: height - 6 }, "now"));
  return picture;
}

function showCustomer(customer, language) {
  const head = make("p");
  head.append(foreign(customer.customer_id), `: decided ${customer.instant}, change number ${customer.sequence}, next due ${customer.next_due ?? "never"}`);
  if (customer.stale) head.append(make("strong", ` The partition is behind: this may be old.`, { class: "bad" }));
  const ordered = [...customer.segments].sort((a, b) => b.member - a.member);
  $("lookup-result").replaceChildren(
    head,
    timeline(customer),
    table(["Segment", "State", "Because", "May change at"], ordered.map((segment) => memberRow(segment, language))),
    make("h3", `Changes published since ${customer.changes_since}`),
    table(["At", "Change", "Customer", "Because"], [...customer.changes].reverse().map(changeRow)),
  );
}

function showPast(past) {
  const rest = past.complete ? "" : " (earlier changes are no longer on the topic)";
  $("lookup-result").replaceChildren(
    make("p", `At ${past.time}, after change ${past.sequence}${rest}:`),
    table(["Segment", "Since"], past.segments.map((entry) => row(entry.segment, entry.since))),
  );
}

export async function lookUp(event) {
  event.preventDefault();
  const id = encodeURIComponent($("lookup-id").value); // in the query: no path has the ids . and ..
  const time = $("lookup-time").value.trim();
  const language = $("lookup-lang").value;
  try {
    if (time) showPast(await fetchJson(`/api/customer/at?id=${id}&time=${encodeURIComponent(time)}`));
    else showCustomer(await fetchJson(`/api/customer?id=${id}&lang=${language}`), language);
  } catch (error) {
    $("lookup-result").replaceChildren(make("p", error.message, { class: "bad", dir: "auto" }));
  }
}
