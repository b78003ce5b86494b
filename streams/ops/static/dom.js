// Elements, and values as texts. One rule: what comes from outside is only ever set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
export const $ = (id) => document.getElementById(id);
export const body = (id) => $(id).tBodies[0];

export function make(name, text, attributes = {}) {
  const element = document.createElement(name);
  if (text !== undefined && text !== null) element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

export function draw(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

export const foreign = (text) => make("bdi", text, { dir: "auto" });
export const number = (value, digits = 0) => (value === null || value === undefined ? "–" : value.toLocaleString("en", { maximumFractionDigits: digits }));
export const clock = (time) => (time ? time.slice(11, 23) : "–");

export function row(...cells) {
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

export const figures = (value, digits) => ({ as: "number", of: number(value, digits) });

export function age(time) {
  if (!time) return "–";
  const seconds = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  if (seconds < 120) return `${Math.round(seconds)} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}

export function table(heads, rows) {
  const grid = make("table");
  const line = grid.createTHead().insertRow();
  heads.forEach((head) => line.append(make("th", head, { scope: "col" })));
  grid.append(make("tbody"));
  grid.tBodies[0].append(...rows);
  const wide = make("div", null, { class: "wide", tabindex: 0 });
  wide.append(grid);
  return wide;
}
