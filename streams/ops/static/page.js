// The operations page. One rule: what comes from outside is only ever set as text, never as markup.

const FEED_ROWS = 200;
const DRAW_EVERY_MS = 250;
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);
const body = (id) => $(id).tBodies[0];

// ---------------------------------------------------------------- asking

function token() {
  const drawn = new URLSearchParams(location.hash.slice(1)).get("token");
  if (drawn) {
    sessionStorage.setItem("token", drawn);
    history.replaceState(null, "", location.pathname); // it is not to stay in the address bar
  }
  return sessionStorage.getItem("token") ?? "";
}

async function ask(path, options = { signal: AbortSignal.timeout(5000) }) {
  const answer = await fetch(path, { ...options, headers: { Authorization: `Bearer ${token()}` } });
  $("token-form").hidden = ![401, 429].includes(answer.status); // 429: too many came without the right token
  return answer;
}

async function told(path) {
  const answer = await ask(path);
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer.json();
}

let answered = Date.now();

function repeat(path, everyMs, draw) {
  const once = async () => {
    try {
      draw(await told(path));
      if (path === "/api/status") answered = Date.now();
    } catch (error) {
      if (path === "/api/status") noAnswer(error);
    }
    setTimeout(once, everyMs);
  };
  once();
}

function noAnswer(error) {
  const seconds = Math.round((Date.now() - answered) / 1000);
  const why = error.name === "TypeError" || error.name === "TimeoutError" ? "" : ` (${error.message})`;
  health("red", `no answer for ${seconds} s${why}: what is shown is old`);
}

// ---------------------------------------------------------------- making

function make(name, text, attributes = {}) {
  const element = document.createElement(name);
  if (text !== undefined && text !== null) element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function draw(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const foreign = (text) => make("bdi", text, { dir: "auto" });
const number = (value, digits = 0) => (value === null || value === undefined ? "–" : value.toLocaleString("en", { maximumFractionDigits: digits }));
const clock = (time) => (time ? time.slice(11, 23) : "–");

function row(...cells) {
  const line = make("tr");
  for (const cell of cells) {
    const td = make("td");
    if (cell instanceof Node) td.append(cell);
    else if (typeof cell === "object" && cell !== null) { td.className = cell.as; td.append(cell.of ?? "–"); }
    else td.textContent = cell ?? "–";
    line.append(td);
  }
  return line;
}

const figures = (value, digits) => ({ as: "number", of: number(value, digits) });

function age(time) {
  if (!time) return "–";
  const seconds = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  if (seconds < 120) return `${Math.round(seconds)} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}

// ---------------------------------------------------------------- status

function health(state, sentence) {
  const line = $("health");
  if (line.dataset.state === state && line.textContent === sentence) return; // read out only when it changes
  line.dataset.state = state;
  line.textContent = sentence;
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

function watchdog({ watchdog: name, near }) {
  const line = make("span", `${name} ${Math.round(100 * near)} % `);
  line.append(make("meter", null, { min: 0, max: 1, high: 0.5, value: near, "aria-label": `${name}: share used up` }));
  return line;
}

function workerRow(worker) {
  const dogs = make("span");
  worker.watchdogs.forEach((one) => dogs.append(watchdog(one), " "));
  const ready = make("span", worker.ready ? "yes" : `no: ${worker.because.join("; ")}`, worker.ready ? {} : { class: "bad" });
  const memory = worker.memory_bytes === null ? "–" : `${number(worker.memory_bytes / 1e6)} MB`;
  return row(worker.address, ready, { as: "number", of: memory }, dogs);
}

function lag(one) {
  if (!one.lag) return "–";
  const behind = Object.entries(one.lag).filter(([, records]) => records > 0);
  return behind.map(([topic, records]) => `${topic} ${number(records)}`).join(", ") || "0";
}

function drawStatus(status) {
  health(status.state, status.sentences.join("; "));
  drawCharts(status);
  body("partitions").replaceChildren(...status.partitions.map((one) =>
    row(one.partition, one.owner, clock(one.clock), { as: "number", of: `${number(one.behind_s, 1)} s` }, lag(one), figures(one.outbox))));
  body("workers").replaceChildren(...status.workers.map(workerRow));
}

// ---------------------------------------------------------------- segments

function spark(counts) {
  const most = Math.max(1, ...counts);
  const points = counts.map((count, at) => `${(at * 118) / Math.max(1, counts.length - 1) + 1},${21 - (19 * count) / most}`);
  const picture = draw("svg", { class: "spark", viewBox: "0 0 120 22", role: "img", "aria-label": `changes per minute, at most ${most}` });
  picture.append(draw("polyline", { points: points.join(" "), fill: "none", stroke: "currentColor", "stroke-width": 1.5 }));
  return picture;
}

function segmentRow(one) {
  const name = make("span", one.segment);
  name.append(" ", make("small", one.title));
  const last = make("span", one.silent ? `silent, ${age(one.last_change_at)}` : age(one.last_change_at), one.silent ? { class: "silent" } : {});
  const p99 = one.p99_ms === null ? "–" : `${number(one.p99_ms)} ms`;
  return row(name, figures(one.members), figures(one.entered_per_min, 1), figures(one.exited_per_min, 1), { as: "number", of: p99 }, last, spark(one.spark));
}

const drawSegments = ({ segments }) => body("segments").replaceChildren(...segments.map(segmentRow));

// ---------------------------------------------------------------- changes

let waiting = [];
let dropped = 0;
let paused = false;

function changeRow(change) {
  const what = make("span", `${change.change === "entered" ? "+" : "−"} ${change.segment}`, { class: change.change });
  const late = change.late ? "late: " : "";
  const by = change.cause.kind === "time" ? "by time: " : "";
  const said = (change.said ?? {})[$("lookup-lang").value] ?? (change.said ?? {}).en ?? "";
  const because = make("span", late + by);
  because.append(foreign(said));
  return row(clock(change.occurred_at), what, foreign(change.customer_id), { as: "because", of: because });
}

// However many come, the page draws four times a second, and only what stays to be seen.
function drawFeed() {
  if (!paused && waiting.length) {
    const rows = body("feed");
    dropped += Math.max(0, waiting.length - FEED_ROWS);
    rows.prepend(...waiting.slice(-FEED_ROWS).reverse().map(changeRow));
    while (rows.rows.length > FEED_ROWS) rows.deleteRow(-1);
    waiting = [];
  }
  $("feed-dropped").textContent = dropped ? `${number(dropped)} went by too fast to be shown` : "";
}

function heard(kind, data) {
  if (kind === "dropped") dropped += data.count;
  else waiting.push(data);
  if (waiting.length > 10 * FEED_ROWS) dropped += waiting.splice(0, waiting.length - FEED_ROWS).length;
}

async function follow() {
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
        if (kind && data) heard(kind[1], JSON.parse(data[1]));
      }
    }
  } catch { /* it is tried again, and the health line says when nothing answers */ }
  setTimeout(follow, 2000);
}

// ---------------------------------------------------------------- a customer

function memberRow(one, language) {
  const state = one.member ? `in since ${one.since}${one.held ? ", held for its minimum stay" : ""}` : "not in";
  const name = make("span", one.segment, one.member ? { class: "entered" } : {});
  const said = make("span", one.said[language], { class: "foreign", lang: language, dir: language === "fa" ? "rtl" : "ltr" });
  return row(name, state, { as: "because", of: said }, one.due_at);
}

function table(heads, rows) {
  const made = make("table");
  const line = made.createTHead().insertRow();
  heads.forEach((head) => line.append(make("th", head, { scope: "col" })));
  made.append(make("tbody"));
  made.tBodies[0].append(...rows);
  const wide = make("div", null, { class: "wide", tabindex: 0 });
  wide.append(made);
  return wide;
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
  for (const one of customer.segments) {
    if (one.member) add(one.segment, Date.parse(one.since), now);
    else if (one.due_at && !lines.has(one.segment)) lines.set(one.segment, []);
  }
  return lines;
}

function timeline(customer) {
  const now = Date.now();
  const lines = spans(customer, now);
  const dues = new Map(customer.segments.filter((one) => one.due_at).map((one) => [one.segment, Date.parse(one.due_at)]));
  const known = [...lines.values()].flat(2).filter((at) => at !== null);
  const began = Math.min(now - 60_000, ...known);
  const ends = Math.max(now + 60_000, ...[...dues.values()].filter((at) => at < now + 2 * (now - began)));
  const x = (at) => 170 + (620 * (at - began)) / (ends - began);
  const height = 20 * lines.size + 30;
  const picture = draw("svg", { class: "timeline", viewBox: `0 0 800 ${height}`, role: "img", "aria-label": "memberships over time, with due times" });
  [...lines].forEach(([segment, parts], at) => {
    const y = 20 * at + 4;
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
    table(["Segment", "State", "Because", "May change at"], ordered.map((one) => memberRow(one, language))),
    make("h3", `Changes published since ${customer.changes_since}`),
    table(["At", "Change", "Customer", "Because"], [...customer.changes].reverse().map(changeRow)),
  );
}

function showPast(past) {
  const rest = past.complete ? "" : " (earlier changes are no longer on the topic)";
  $("lookup-result").replaceChildren(
    make("p", `At ${past.time}, after change ${past.sequence}${rest}:`),
    table(["Segment", "Since"], past.segments.map((one) => row(one.segment, one.since))),
  );
}

async function lookUp(event) {
  event.preventDefault();
  const id = encodeURIComponent($("lookup-id").value); // in the query: no path has the ids . and ..
  const time = $("lookup-time").value.trim();
  const language = $("lookup-lang").value;
  try {
    if (time) showPast(await told(`/api/customer/at?id=${id}&time=${encodeURIComponent(time)}`));
    else showCustomer(await told(`/api/customer?id=${id}&lang=${language}`), language);
  } catch (error) {
    $("lookup-result").replaceChildren(make("p", error.message, { class: "bad", dir: "auto" }));
  }
}

// ---------------------------------------------------------------- dead letters

function dump(bytes) {
  const lines = [];
  for (let at = 0; at < Math.min(bytes.length, 4096); at += 16) {
    const part = [...bytes.slice(at, at + 16)];
    const hex = part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${part.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : ".")).join("")}`);
  }
  return lines.join("\n");
}

async function showBytes(letter) {
  const found = await told(`/api/dead-letters/${letter.where_partition}/${letter.where_offset}`);
  const bytes = Uint8Array.from(atob(found.base64), (character) => character.charCodeAt(0));
  const shown = $("letter-bytes");
  shown.textContent = `${found.reason}, key ${found.key ?? "none"}\n\n${new TextDecoder().decode(bytes).slice(0, 4096)}\n\n${dump(bytes)}`;
  shown.hidden = false;
  shown.focus();
}

function letterRow(letter) {
  const button = make("button", "Show", { type: "button", "aria-label": `show the bytes of ${letter.topic}-${letter.partition}, offset ${letter.offset}` });
  button.addEventListener("click", () => showBytes(letter));
  return row(letter.at, letter.reason, `${letter.topic}-${letter.partition}, offset ${letter.offset}`, figures(letter.size), button);
}

function drawLetters({ letters }) {
  const newest = letters.length ? `${letters[0].where_partition}/${letters[0].where_offset}/${letters.length}` : "";
  if ($("letters").dataset.newest === newest) return; // a button that has the focus keeps it
  $("letters").dataset.newest = newest;
  body("letters").replaceChildren(...letters.map(letterRow));
}

// ---------------------------------------------------------------- begin

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token-input").value);
  location.reload();
});
$("lookup-form").addEventListener("submit", lookUp);
$("feed-pause").addEventListener("click", () => {
  paused = !paused;
  $("feed-pause").setAttribute("aria-pressed", paused);
  $("feed-pause").textContent = paused ? "Go on" : "Pause";
});
setInterval(drawFeed, DRAW_EVERY_MS);
repeat("/api/status", 2000, drawStatus);
repeat("/api/segments", 5000, drawSegments);
repeat("/api/dead-letters", 5000, drawLetters);
follow();
