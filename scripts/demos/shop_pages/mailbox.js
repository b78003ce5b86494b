// The mails that this machine's SMTP server took, the newest first. A mail runs no script: its frame is a sandbox.
import { $, ask, element } from "./dom.js"

const EVERY_MS = 500
let count = 0

function mailItem(mail) {
  const frame = element("iframe", { title: mail.subject, srcdoc: `<base target="_blank">${mail.html}` })
  frame.setAttribute("sandbox", "allow-popups allow-popups-to-escape-sandbox")
  return element("li", {}, element("div", { className: "head" },
    element("b", { className: "subject", textContent: mail.subject }),
    element("span", { textContent: new Date(mail.at_ms).toLocaleTimeString() }),
    element("span", { textContent: `to ${mail.to}` })), frame)
}

async function look() {
  const mails = await ask(`/api/mails?from=${count}`)
  count += mails.length
  $("empty").hidden = count > 0
  for (const mail of mails) $("mails").prepend(mailItem(mail))
}

for (;;) {
  await look().catch(() => {})
  await new Promise((done) => setTimeout(done, EVERY_MS))
}
