// Texts come from events and mails, so nothing here takes them for HTML.
export const $ = (id) => document.getElementById(id)

export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties)
  node.append(...children)
  return node
}

export const picture = (address) => element("img", { src: address, alt: "" })

export const money = (amount) => new Intl.NumberFormat("en-IE", { style: "currency", currency: "EUR" }).format(amount)

export async function ask(path, body) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }
  const answer = await fetch(path, body === undefined ? {} : options)
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  return answer.json()
}
