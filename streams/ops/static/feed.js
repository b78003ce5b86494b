// The feed of changes: however many come, only what stays to be seen is drawn.

import { ask } from "./api.js";
import { $, body, clock, foreign, make, number, row } from "./dom.js";

const FEED_ROWS = 200;

let waiting = [];
let dropped = 0;
let paused = false;

export function changeRow(change) {
  const name = make("span", `${change.change === "entered" ? "+" : "−"} ${change.segment}`, { class: change.change });
  const late = change.late ? "late: " : "";
  const by = change.cause.kind === "time" ? "by time: " : "";
  const sentence = (change.said ?? {})[$("lookup-lang").value] ?? (change.said ?? {}).en ?? "";
  const because = make("span", late + by);
  because.append(foreign(sentence));
  return row(clock(change.occurred_at), name, foreign(change.customer_id), { as: "because", of: because });
}

// However many come, the page draws four times a second, and only what stays to be seen.
export function drawFeed() {
  if (!paused && waiting.length) {
    const rows = body("feed");
    dropped += Math.max(0, waiting.length - FEED_ROWS);
    rows.prepend(...waiting.slice(-FEED_ROWS).reverse().map(changeRow));
    while (rows.rows.length > FEED_ROWS) rows.deleteRow(-1);
    waiting = [];
  }
  $("feed-dropped").textContent = dropped ? `${number(dropped)} went by too fast to be shown` : "";
}

function receive(kind, data) {
  if (kind === "dropped") dropped += data.count;
  else waiting.push(data);
  if (waiting.length > 10 * FEED_ROWS) dropped += waiting.splice(0, waiting.length - FEED_ROWS).length;
}

export async function follow() {
  try {
    const answer = await ask("/api/changes", {});
    if (!answer.ok) throw new Error(answer.status);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const events = (text + part.value).split("\n\n");
      text = events.pop();
      for (const event of events) {
        const kind = /^event: (.*)$/m.exec(event);
        const data = /^data: (.*)$/m.exec(event);
        if (kind && data) receive(kind[1], JSON.parse(data[1]));
      }
    }
  } catch { /* it is tried again, and the health line says when nothing answers */ }
  setTimeout(follow, 2000);
}

export function togglePause() {
  paused = !paused;
  $("feed-pause").setAttribute("aria-pressed", paused);
  $("feed-pause").textContent = paused ? "Go on" : "Pause";
}
