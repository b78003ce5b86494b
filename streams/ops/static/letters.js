// The dead letters, and the bytes of one.

import { fetchJson } from "./api.js";
import { $, body, figures, make, row } from "./dom.js";

function dump(bytes) {
  const lines = [];
  for (let index = 0; index < Math.min(bytes.length, 4096); index += 16) {
    const part = [...bytes.slice(index, index + 16)];
    const hex = part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    lines.push(`${index.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${part.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : ".")).join("")}`);
  }
  return lines.join("\n");
}

async function showBytes(letter) {
  const letterBytes = await fetchJson(`/api/dead-letters/${letter.where_partition}/${letter.where_offset}`);
  const bytes = Uint8Array.from(atob(letterBytes.base64), (character) => character.charCodeAt(0));
  const shown = $("letter-bytes");
  shown.textContent = `${letterBytes.reason}, key ${letterBytes.key ?? "none"}\n\n${new TextDecoder().decode(bytes).slice(0, 4096)}\n\n${dump(bytes)}`;
  shown.hidden = false;
  shown.focus();
}

function letterRow(letter) {
  const button = make("button", "Show", { type: "button", "aria-label": `show the bytes of ${letter.topic}-${letter.partition}, offset ${letter.offset}` });
  button.addEventListener("click", () => showBytes(letter));
  const reason = letter.field ? `${letter.reason}: ${letter.field}` : letter.reason;
  return row(letter.at, reason, `${letter.topic}-${letter.partition}, offset ${letter.offset}`, figures(letter.size), button);
}

export function drawLetters({ letters }) {
  const newest = letters.length ? `${letters[0].where_partition}/${letters[0].where_offset}/${letters.length}` : "";
  if ($("letters").dataset.newest === newest) return; // a button that has the focus keeps it
  $("letters").dataset.newest = newest;
  body("letters").replaceChildren(...letters.map(letterRow));
}
