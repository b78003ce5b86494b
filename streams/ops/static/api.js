// Requests to the API of the page, with the token.

import { $ } from "./dom.js";

function token() {
  const drawn = new URLSearchParams(location.hash.slice(1)).get("token");
  if (drawn) {
    sessionStorage.setItem("token", drawn);
    history.replaceState(null, "", location.pathname); // it is not to stay in the address bar
  }
  return sessionStorage.getItem("token") ?? "";
}

export async function ask(path, options = { signal: AbortSignal.timeout(5000) }) {
  const answer = await fetch(path, { ...options, headers: { Authorization: `Bearer ${token()}` } });
  $("token-form").hidden = ![401, 429].includes(answer.status); // 429: too many came without the right token
  return answer;
}

export async function fetchJson(path) {
  const answer = await ask(path);
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer.json();
}

// Ask for a path again and again, and draw each answer; a failure is passed to `failed`.
export function repeat(path, everyMs, draw, failed = () => {}) {
  const once = async () => {
    try {
      draw(await fetchJson(path));
    } catch (error) {
      failed(error);
    }
    setTimeout(once, everyMs);
  };
  once();
}
