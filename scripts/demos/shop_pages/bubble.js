// The chat bubble: follows the segments of this visitor by server-sent events, and speaks when one is entered.
import { $, element, picture } from "./dom.js"

const AGAIN_MS = 1000
export const WORDS = {
  comparing: "Not sure which one? Ask me, I have tasted them all.",
  abandoned_cart: "Your cart is still here, whenever you are ready.",
  recently_purchased: "Thank you. It is on its way.",
}

export function show({ text, items = [], why = "", segment = "" }) {
  $("bubble-text").textContent = text
  $("bubble-items").replaceChildren(...items.map((item) =>
    element("li", {}, ...(item.image_url ? [picture(item.image_url)] : []), element("span", { textContent: item.name ?? item.product_id }))))
  $("bubble-why").textContent = why && `Why: ${why}.`
  $("bubble").dataset.segment = segment
  $("bubble").hidden = false
}

function hide() {
  $("bubble").hidden = true
  $("bubble").dataset.segment = ""
}

function takeChange(change) {
  const items = change.data?.cart ?? (change.data?.last ? [change.data.last] : [])
  if (change.change === "entered" && WORDS[change.segment]) {
    show({ text: WORDS[change.segment], items, why: change.said?.en, segment: change.segment })
  } else if (change.change === "exited" && $("bubble").dataset.segment === change.segment) {
    hide()
  }
}

// What is said as the stream begins is the membership of now: it takes back what no longer holds.
function takeSegments(standing) {
  const spoken = $("bubble").dataset.segment
  if (spoken && !standing.segments.some((each) => each.segment === spoken)) hide()
  document.body.dataset.segments = standing.segments.map((each) => each.segment).join(" ")
}

/** Follow for ever. `token`: one that the shop's server has signed for this visitor; `renew` gives the next one. */
export async function followChanges(gateway, token, renew) {
  $("bubble").querySelector(".close").onclick = hide
  for (;; token = await renew().catch(() => token)) {
    await new Promise((ended) => {
      const stream = new EventSource(`${gateway}/v1/customers/me/changes?token=${encodeURIComponent(token)}`)
      stream.addEventListener("segments", (event) => takeSegments(JSON.parse(event.data)))
      stream.addEventListener("change", (event) => takeChange(JSON.parse(event.data)))
      stream.onopen = () => { document.body.dataset.stream = "open" }
      stream.onerror = () => { stream.close(); document.body.dataset.stream = "closed"; ended() }
    })
    await new Promise((done) => setTimeout(done, AGAIN_MS))
  }
}
