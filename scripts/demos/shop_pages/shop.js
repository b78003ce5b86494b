// The shop: what is done here becomes an event of analytics.js, and the bubble speaks when the segmenter says so.
import { WORDS, followChanges, show } from "./bubble.js"
import { $, ask, element, money, picture } from "./dom.js"

const { gateway, writeKey, operations } = window.shop
const analytics = AnalyticsNext.AnalyticsBrowser.load({ writeKey, cdnURL: gateway })
let visitor = null // who this is for the shop's server: cart, tokens, and the person who has signed in
let shown = null // the product whose dialog is open

// A user id counts only beside the token with which the shop's server vouches for it.
analytics.addSourceMiddleware(({ payload, next }) => {
  const token = visitor?.person?.user_token
  if (token) payload.obj.context = { ...payload.obj.context, user_token: token }
  next(payload)
})

const products = await ask("/products.json")
const byId = new Map(products.map((product) => [product.product_id, product]))
const pictureOf = (product) => `${location.origin}/pictures/${product.product_id}.svg`

function properties(product) {
  const { product_id, name, category, price } = product
  return { product_id, name, category, price, currency: "EUR", url: `${location.origin}/#${product_id}`, image_url: pictureOf(product) }
}

function look(product) {
  shown = product
  $("product-picture").src = pictureOf(product)
  $("product-category").textContent = product.category
  $("product-name").textContent = product.name
  $("product-note").textContent = product.note
  $("product-price").textContent = money(product.price)
  $("product").showModal()
  analytics.track("Product Viewed", properties(product))
}

function takeIn(answer) {
  visitor = answer
  const lines = answer.cart.lines
  $("cart-count").textContent = lines.reduce((sum, line) => sum + line.quantity, 0)
  $("total").textContent = money(answer.cart.total)
  $("buy").disabled = lines.length === 0
  $("lines").replaceChildren(...lines.map(cartLine))
  $("person").textContent = answer.person?.email ?? "Sign in"
  $("id").textContent = answer.person?.id ?? answer.anonymous_id
}

function cartLine(line) {
  const product = byId.get(line.product_id)
  const remove = element("button", { type: "button", textContent: "Remove", onclick: () => change(product, -line.quantity) })
  return element("li", {}, picture(pictureOf(product)), element("span", { textContent: `${product.name} × ${line.quantity}` }),
    element("span", { className: "price", textContent: money(product.price * line.quantity) }), remove)
}

async function change(product, quantity) {
  takeIn(await ask("/api/cart", { product_id: product.product_id, quantity }))
  const name = quantity > 0 ? "Product Added" : "Product Removed"
  analytics.track(name, { ...properties(product), quantity: Math.abs(quantity), cart_id: visitor.cart.id })
}

async function buy() {
  takeIn(await ask("/api/order", {}))
  $("cart").close()
  show({ text: WORDS.recently_purchased })
}

async function signIn() {
  takeIn(await ask("/api/sign-in", { email: $("email").value }))
  analytics.identify(visitor.person.id)
}

const renew = async () => {
  const anonymous_id = (await analytics.user()).anonymousId()
  takeIn(await ask("/api/visitor", { anonymous_id }))
  return visitor.read_token
}

$("products").append(...products.map((product) => element("li", {}, element("button", { type: "button", onclick: () => look(product) },
  picture(pictureOf(product)), element("div", { className: "words" },
    element("p", { className: "category", textContent: product.category }),
    element("span", { className: "name", textContent: product.name }),
    element("span", { className: "price", textContent: money(product.price) }))))))
$("add").onclick = () => { $("product").close(); change(shown, 1) }
$("cart-button").onclick = async () => {
  await renew() // another device may have changed the cart
  $("cart").showModal()
}
$("buy").onclick = buy
$("person").onclick = () => visitor.person || $("sign-in").showModal()
$("sign-in-form").onsubmit = signIn
$("operations").href = operations

const token = await renew()
analytics.page()
followChanges(gateway, token, renew)
const linked = byId.get(location.hash.slice(1)) // a mail leads to its product
if (linked) look(linked)
document.body.dataset.state = "ready"
