"""The demo's messages: an e-mail for an abandoned cart and a chatbot's greeting, to a real SMTP server and endpoint.

The servers are real, on this machine, and print each message. The data set has no addresses, so each customer is given
one at example.com, which is reserved for examples (RFC 2606).
"""

import json
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.processes import Triggers
from local.receivers import SECRET, Call, Hook, Mailbox
from rules.times import format_instant
from streams.kafka import admin
from streams.settings import Settings
from streams.wire.topics import TRIGGERS

Say = Callable[[str], None]

# The data set knows a product's brand, category and price, and neither its name nor a picture.
ITEMS = (
    "{% for item in data.cart %}{{ item.quantity | number }} × {{ item.brand or 'no brand' }}"
    " {{ item.category or 'product' }} {{ item.product_id }}, {{ item.price | money('USD') }}\n{% endfor %}"
)


def cart_html() -> str:
    """The finished mail of the examples, for a data set which has neither names of products nor addresses."""
    path = Path(__file__).resolve().parent.parent.parent / "docs/examples/mails/cart.html"
    html = re.sub(r"<td[^>]*>{% if item.image_url %}.*?{% endif %}</td>", "", path.read_text("utf-8"))
    html = re.sub(r"{% if item.url %}.*?{% else %}(.*?){% endif %}", r"\1", html)
    html = html.replace(
        "item.name or item.product_id", "[item.brand, item.category, item.product_id] | select | join(' ')"
    )
    return html.replace("map(attribute='name')", "map(attribute='category')").replace(
        "price | money", "price | money('USD')"
    )


FILE: dict[str, Any] = {
    "version": 1,
    "contact": {"email": "email", "name": "first_name"},
    "channels": {
        "mail": {
            "kind": "email", "host": "127.0.0.1", "tls": "none", "from": "Shop <shop@example.com>",
            "list_unsubscribe": "https://example.com/stop?who={{ customer }}", "caps": {"per_day": 1},
        },
        "chatbot": {"kind": "webhook", "secrets": [{"env": "BOT_SECRET"}], "allow_private": True},
    },
    "triggers": {
        "cart_mail": {
            "segment": "abandoned_cart", "channel": "mail", "delay": "2s", "expires": "30s",
            "template": {
                "subject": "You left something in your cart",
                "text": f"{ITEMS}It is still there: {{{{ said.en }}}}.\n{{{{ said.fa }}}}\n",
                "html": cart_html(),
            },
        },
        "greeting": {
            "segment": "returning_visitor", "channel": "chatbot", "expires": "30s",
            "template": {"text": "Welcome back! {{ said.en }}."},
        },
    },
}  # fmt: skip


def identifies(events: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """An identify with an address for each customer, at its first event."""
    first = {event["userId"]: event["timestamp"] for event in reversed(events)}
    for customer, at in first.items():
        yield {
            "type": "identify", "messageId": f"address-{customer}", "userId": customer, "timestamp": at,
            "traits": {"email": f"shopper-{customer}@example.com"},
        }  # fmt: skip


class Messages:
    """Both receivers, and a thread that prints their messages."""

    def __init__(self, hook: Hook, mailbox: Mailbox, say: Say) -> None:
        self._hook = hook
        self._mailbox = mailbox
        self._say = say
        self._sent_counts = [0, 0]
        self.over = threading.Event()

    def watch(self) -> None:
        """Print messages until the end, and once more after it."""
        while not self.over.wait(0.1):
            self._tell()
        self._tell()

    def _tell(self) -> None:
        mails, calls = self._mailbox.mails[self._sent_counts[0] :], self._hook.calls[self._sent_counts[1] :]
        self._sent_counts = [self._sent_counts[0] + len(mails), self._sent_counts[1] + len(calls)]
        for at, mail in mails:
            part = mail.get_body(("plain",))
            text = "" if part is None else str(part.get_content()).splitlines()[0]
            self._say(f"{format_instant(at)[11:]}  [bold]✉[/] {mail['To']}  “{mail['Subject']}”  {text}")
        for call in calls:
            self._say(_call_line(call))

    def summary(self) -> str:
        """The numbers of messages, in a line."""
        return (
            f"messages           {self._sent_counts[0]} e-mails, {self._sent_counts[1]} calls of the chatbot "
            f"(all signatures verified, {self._hook.forged} forged)"
        )


def _call_line(call: Call) -> str:
    data = call.body["data"]
    return f"{format_instant(call.at_ms)[11:]}  [bold]☎[/] chatbot → {data['change']['customer_id']}  {data['message']}"


@contextmanager
def running(settings: Settings, say: Say) -> Iterator[Messages]:
    """Run the receivers and a process of triggers."""
    admin.create(settings, TRIGGERS)
    with Hook() as hook, Mailbox() as mailbox, tempfile.TemporaryDirectory(prefix="segmenter-demo-") as folder:
        file = json.loads(json.dumps(FILE))
        file["channels"]["mail"]["port"] = mailbox.port
        file["channels"]["chatbot"]["url"] = hook.url
        path = Path(folder) / "triggers.yaml"
        path.write_text(json.dumps(file), "utf-8")
        triggers = Triggers({**settings.model_dump(exclude_none=True), "triggers": path})
        triggers.environment["BOT_SECRET"] = SECRET
        messages = Messages(hook, mailbox, say)
        watching = threading.Thread(target=messages.watch)
        with triggers:
            triggers.wait_ready()
            say(f"triggers   pid {triggers.pid}, log {triggers.log}; SMTP 127.0.0.1:{mailbox.port}, chatbot {hook.url}")
            watching.start()
            try:
                yield messages
            finally:
                messages.over.set()
                watching.join()
