"""`scripts/demo --shop`: a shop in the browser, decided live by real processes on this machine.

    the shop's page → gateway → Kafka → worker → segment-changes → gateway → the page's chat bubble
                                                                 → triggers → SMTP → the mailbox page

See also: `demos.shop_server` (the shop's own server) and `demos/shop_pages` (its pages and segments).
"""

import json
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from demos.shop_server import FOLDER, ShopKeys, ShopServer
from local.processes import Gateway, Ops, Triggers, Worker
from local.receivers import Mailbox
from local.server_process import free_port
from local.web_thread import WebThread
from streams.kafka import admin
from streams.settings import Settings
from streams.wire.topics import TRIGGERS, WORKERS

_EXAMPLES = FOLDER.parent.parent.parent / "docs" / "examples"


class ShopAddresses(NamedTuple):
    """Where the parts are: pages for a browser, and the gateway."""

    shop: str
    mailbox: str
    operations: str
    gateway: str


def cart_html(shop: str) -> str:
    """The finished mail of the examples, whose links count clicks and lead to this shop."""
    html = (_EXAMPLES / "mails" / "cart.html").read_text("utf-8")
    html = html.replace('href="{{ item.url }}"', 'href="{{ click(item.url) }}"')
    return html.replace("https://shop.example/cart", f"{{{{ click('{shop}/') }}}}")


def trigger_file(shop: str, gateway: str, smtp_port: int) -> dict[str, Any]:
    """The mail for an abandoned cart, some seconds after it was left."""
    return {
        "version": 1,
        "contact": {"email": "email", "name": "first_name"},
        "suppress": {"unsubscribed": True},
        "links": {"base": gateway, "secret": {"env": "LINK_SECRET"}},
        "channels": {
            "mail": {
                "kind": "email", "host": "127.0.0.1", "port": smtp_port, "tls": "none",
                "from": "Kettle & Leaf <shop@example.com>",
            },
        },
        "triggers": {
            "cart_mail": {
                "segment": "abandoned_cart", "channel": "mail", "delay": "4s", "expires": "1m",
                "template": {
                    "subject": "You left something in your cart",
                    "text": {"file": str(_EXAMPLES / "mails" / "cart.txt")},
                    "html": cart_html(shop),
                },
            },
        },
    }  # fmt: skip


def gateway_file(shop: str, browser_key: str) -> dict[str, Any]:
    """Pages speak for who has signed in alone, and the shop's server for all customers."""
    return {
        "version": 1,
        "keys": {
            "web": {"kind": "browser", "key": browser_key, "origins": [shop], "signed_ids": {"env": "ID_SECRET"}},
            "shop": {"kind": "server", "key": {"env": "SERVER_KEY"}},
        },
        "read_tokens": {"env": "READ_SECRET"},
        "links": {"secret": {"env": "LINK_SECRET"}},
        "bots": "write",  # a headless browser is one, and the demo is looked at by such, too
    }


@contextmanager
def running(parts: Mapping[str, Any], say: Callable[[str], None]) -> Iterator[ShopAddresses]:
    """Run all parts of the shop on this broker and Redis (settings); they end with the context."""
    keys = {name: secrets.token_urlsafe(32) for name in ("ID_SECRET", "READ_SECRET", "LINK_SECRET", "SERVER_KEY")}
    browser_key, ops_token = secrets.token_hex(8), secrets.token_hex(16)
    gateway_at, shop_port = f"http://127.0.0.1:{free_port()}", free_port()
    shop_at = f"http://127.0.0.1:{shop_port}"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="segmenter-shop-")))
        mailbox = stack.enter_context(Mailbox())
        files = {
            "gateway": gateway_file(shop_at, browser_key),
            "triggers": trigger_file(shop_at, gateway_at, mailbox.port),
        }
        paths = {name: folder / f"{name}.yaml" for name in files}
        for name, file in files.items():
            paths[name].write_text(json.dumps(file), "utf-8")
        settings: dict[str, Any] = {
            **parts, **paths, "definitions": FOLDER / "segments.yaml", "partitions": 4, "fetch_wait_ms": 20,
            "http": "127.0.0.1:0", "gateway_http": gateway_at.partition("//")[2], "ops_http": "127.0.0.1:0",
            "ops_token": ops_token,
        }  # fmt: skip
        admin.create(Settings(**settings), (*WORKERS, *TRIGGERS))
        processes = {name: kind(settings) for name, kind in (("worker", Worker), ("triggers", Triggers))}
        processes["gateway"] = Gateway(settings)
        for process in processes.values():
            process.environment |= keys
            stack.enter_context(process)
        for name, process in processes.items():
            process.wait_ready()
            say(f"{name:<10} pid {process.pid}, log {process.log}")
        ops = stack.enter_context(Ops({**settings, "ops_workers": processes["worker"].http}))
        ops.wait_ready()
        operations = f"http://{ops.http}/#token={ops_token}"
        server = ShopServer(
            ShopKeys(gateway_at, browser_key, keys["SERVER_KEY"], keys["ID_SECRET"], keys["READ_SECRET"]),
            operations, mailbox,
        )  # fmt: skip
        stack.enter_context(WebThread(server.app(), shop_port))
        yield ShopAddresses(shop_at, f"{shop_at}/mailbox.html", operations, gateway_at)


def show(parts: Mapping[str, Any], say: Callable[[str], None], say_command: Callable[[str], None]) -> None:
    """Run the shop until Ctrl-C. ``say_command`` prints a line which is never broken."""
    with running(parts, say) as addresses:
        say("\n[bold]a shop in your browser; Ctrl-C ends it[/]")
        for name, address in (
            ("the shop", addresses.shop), ("its mailbox", addresses.mailbox), ("why", addresses.operations),
        ):  # fmt: skip
            say_command(f"{name:<12} {address}")
        say(
            "Sign in, look at three products, put some into the cart and wait: the bubble speaks, and a mail comes.\n"
            "Then fill a cart again, and buy in a private window under the same address: no mail comes."
        )
        threading.Event().wait()
