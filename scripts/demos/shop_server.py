"""The server of the demo's shop: its pages, carts, sign-in and orders, and the mailbox page.

What a shop's server does for the segmenter: it vouches for who has signed in (a token for events, another one for
reading), says an address by `identify`, and reports orders, all with its own write key, which no page knows.

    POST /api/visitor  {anonymous_id}          who this is: cart, person, tokens
    POST /api/sign-in  {email}                 there is no password
    POST /api/cart     {product_id, quantity}  a negative quantity takes out
    POST /api/order    {}                      buys the cart
    GET  /api/mails?from=N                     the mails after the first N

See also: `demos/shop_pages` (the pages) and `demos.shop` (which starts all parts).
"""

import json
import re
import time
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import BasicAuth, ClientSession, web

from local.receivers import Mailbox
from streams.http.client_addresses import is_loopback_host
from streams.http.signed_tokens import signed

FOLDER = Path(__file__).parent / "shop_pages"
_COOKIE = "shop"
_TOKEN_S = 3_600
_SESSIONS_MAX = 1_000
_LINE_MAX = 20
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,64}")


class ShopKeys(NamedTuple):
    """Where the gateway is, the keys for it, and the secrets which it shares with the shop's server."""

    gateway: str
    browser_key: str
    server_key: str
    id_secret: str
    read_secret: str


@dataclass
class BrowserCart:
    """An open cart: quantities by product."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    lines: dict[str, int] = field(default_factory=dict)


@dataclass
class Session:
    """A browser: its anonymous id, and who has signed in there."""

    anonymous_id: str = ""
    email: str = ""
    cart: BrowserCart = field(default_factory=BrowserCart)


class ShopServer:
    """The handlers, and all state of the shop, which ends with the process."""

    def __init__(self, keys: ShopKeys, operations: str, mailbox: Mailbox) -> None:
        """``operations``: the address of the operations page, with its token."""
        self._keys = keys
        self._operations = operations
        self._mailbox = mailbox
        self._products = {each["product_id"]: each for each in json.loads((FOLDER / "products.json").read_text())}
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._persons: dict[str, str] = {}
        self._carts: dict[str, BrowserCart] = {}

    def app(self) -> web.Application:
        """The application, with its pages."""
        app = web.Application(middlewares=[_only_here], client_max_size=64 * 1024)
        app.router.add_get("/", self._page)
        app.router.add_get("/config.js", self._config)
        app.router.add_get("/api/mails", self._mails)
        for path, handle in (
            ("visitor", self._visitor), ("sign-in", self._sign_in), ("cart", self._change_cart), ("order", self._order),
        ):  # fmt: skip
            app.router.add_post(f"/api/{path}", self._of_session(handle))
        app.router.add_static("/", FOLDER)
        return app

    async def _page(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(FOLDER / "index.html")

    async def _config(self, _: web.Request) -> web.Response:
        shop = {"gateway": self._keys.gateway, "writeKey": self._keys.browser_key, "operations": self._operations}
        # The SDK takes `_cdn` for the address from which it loads its settings.
        text = f"window.shop = {json.dumps(shop)}\nwindow.analytics = {{ _cdn: window.shop.gateway }}\n"
        return web.Response(text=text, content_type="text/javascript")

    async def _mails(self, request: web.Request) -> web.Response:
        start = request.query.get("from", "0")
        mails = self._mailbox.mails[int(start) if start.isdecimal() else 0 :]
        return web.json_response([_shown_mail(at_ms, mail) for at_ms, mail in mails])

    def _of_session(
        self, handle: Callable[[Session, dict[str, Any]], Awaitable[None]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            body = await request.json() if request.content_type == "application/json" else None
            if not isinstance(body, dict):
                raise web.HTTPBadRequest(text="the body is a JSON object")
            name = request.cookies.get(_COOKIE, "")
            if name not in self._sessions:
                name = str(uuid.uuid4())
                self._sessions[name] = Session()
                if len(self._sessions) > _SESSIONS_MAX:
                    self._sessions.popitem(last=False)
            session = self._sessions[name]
            await handle(session, body)
            response = web.json_response(self._shown(session))
            response.set_cookie(_COOKIE, name, httponly=True, samesite="Strict")
            return response

        return answer

    async def _visitor(self, session: Session, body: dict[str, Any]) -> None:
        anonymous_id = body.get("anonymous_id")
        # Who knows a drawn id is its browser; any other text could be another customer's id.
        if not isinstance(anonymous_id, str) or not _UUID.fullmatch(anonymous_id):
            raise web.HTTPBadRequest(text="anonymous_id is a UUID")
        session.anonymous_id = anonymous_id

    async def _sign_in(self, session: Session, body: dict[str, Any]) -> None:
        email = body.get("email")
        if not isinstance(email, str) or not _EMAIL.fullmatch(email):
            raise web.HTTPBadRequest(text="email is an address")
        person = self._persons.setdefault(email, f"person-{len(self._persons) + 1}")
        cart = self._carts.setdefault(email, session.cart)
        if cart is not session.cart:
            for product, quantity in session.cart.lines.items():
                cart.lines[product] = cart.lines.get(product, 0) + quantity
        session.email, session.cart = email, cart
        traits = {"email": email, "first_name": email.partition("@")[0].title()}
        await self._send("identify", {"userId": person, "traits": traits})

    async def _change_cart(self, session: Session, body: dict[str, Any]) -> None:
        product, quantity = body.get("product_id"), body.get("quantity")
        if not isinstance(product, str) or product not in self._products or not isinstance(quantity, int):
            raise web.HTTPBadRequest(text="product_id is one of the shop's, quantity an integer")
        left = min(session.cart.lines.pop(product, 0) + quantity, _LINE_MAX)
        if left > 0:
            session.cart.lines[product] = left

    async def _order(self, session: Session, _: dict[str, Any]) -> None:
        cart = session.cart
        if not cart.lines:
            raise web.HTTPBadRequest(text="the cart is empty")
        ids = {"userId": self._persons[session.email]} if session.email else {"anonymousId": session.anonymous_id}
        bought = [{**self._products[product], "quantity": quantity} for product, quantity in cart.lines.items()]
        properties = {
            "order_id": str(uuid.uuid4()), "cart_id": cart.id, "total": self._total(cart), "currency": "EUR",
            "products": bought,
        }  # fmt: skip
        await self._send("track", {**ids, "event": "Order Completed", "properties": properties})
        cart.id, cart.lines = str(uuid.uuid4()), {}

    async def _send(self, kind: str, event: dict[str, Any]) -> None:
        """Send an event with the server's key. Raises `web.HTTPException` when the gateway does not take it."""
        message = {**event, "messageId": str(uuid.uuid4())}
        auth = BasicAuth(self._keys.server_key)
        async with (
            ClientSession(auth=auth) as client,
            client.post(f"{self._keys.gateway}/v1/{kind}", json=message) as answer,
        ):
            if answer.status != 200:
                raise web.HTTPServiceUnavailable(text=f"the gateway answered {answer.status}")

    def _total(self, cart: BrowserCart) -> float:
        cents: int = sum(round(self._products[product]["price"] * 100) * count for product, count in cart.lines.items())
        return cents / 100

    def _shown(self, session: Session) -> dict[str, Any]:
        person = self._persons.get(session.email, "")
        until = int(time.time()) + _TOKEN_S
        read_token = signed(person or session.anonymous_id, self._keys.read_secret, until)
        shown_person = {"id": person, "email": session.email, "user_token": signed(person, self._keys.id_secret, until)}
        lines = [{"product_id": product, "quantity": quantity} for product, quantity in session.cart.lines.items()]
        return {
            "anonymous_id": session.anonymous_id, "person": shown_person if person else None, "read_token": read_token,
            "cart": {"id": session.cart.id, "lines": lines, "total": self._total(session.cart)},
        }  # fmt: skip


def _shown_mail(at_ms: int, mail: Any) -> dict[str, Any]:
    body = mail.get_body(("html",))
    html = "" if body is None else str(body.get_content())
    return {"at_ms": at_ms, "to": str(mail["To"]), "subject": str(mail["Subject"]), "html": html}


@web.middleware
async def _only_here(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse other host names, by which a page of elsewhere could reach this server (DNS rebinding)."""
    if not is_loopback_host(request.headers.get("Host")):
        raise web.HTTPForbidden(text="this shop is for 127.0.0.1 alone")
    return await handler(request)
