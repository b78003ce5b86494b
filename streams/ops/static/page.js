// The operations page: what is asked for again and again, and what a person may do.

import { repeat } from "./api.js";
import { $ } from "./dom.js";
import { drawFeed, follow, togglePause } from "./feed.js";
import { drawLetters } from "./letters.js";
import { drawLift } from "./lift.js";
import { lookUp } from "./lookup.js";
import { drawSegments } from "./segments.js";
import { drawStatus, noAnswer } from "./status.js";

const DRAW_EVERY_MS = 250;

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token-input").value);
  location.reload();
});
$("lookup-form").addEventListener("submit", lookUp);
$("feed-pause").addEventListener("click", togglePause);
setInterval(drawFeed, DRAW_EVERY_MS);
repeat("/api/status", 2000, drawStatus, noAnswer);
repeat("/api/segments", 5000, drawSegments);
repeat("/api/dead-letters", 5000, drawLetters);
repeat("/api/lift", 60000, drawLift);
follow();
