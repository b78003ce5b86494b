"""Triggers on real parts: their settings and file, carts that are left, and the decisions."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from local.processes import Triggers
from local.receivers import SECRET, Hook, Mailbox
from local.servers import Kafka, Redis
from rules.times import format_instant
from streams.kafka import admin
from streams.settings import Settings
from streams.triggers import decision_log
from streams.triggers.decision_log import Decision
from streams.wire.topics import TRIGGERS, WORKERS
from tests.support import live

SEGMENTS = """
version: 1
segments:
  abandoned_cart: {title: Abandoned cart, when: {cart: {idle_for: 2s, until: 1h}}}
"""
_names = (f"triggers{number}" for number in itertools.count())


def settings_of(kafka: Kafka, redis: Redis, folder: Path, name: str) -> dict[str, Any]:
    """Settings with topics that are there; ``folder``: the place of the files."""
    segments = folder / "segments.yaml"
    segments.write_text(SEGMENTS)
    settings: dict[str, Any] = {
        "brokers": kafka.address, "redis": redis.url, "partitions": live.PARTITIONS, "session_timeout_s": 3,
        "topic_prefix": f"{name}-", "group": name, "redis_prefix": f"{name}:",
        "definitions": segments, "triggers": folder / "triggers.yaml",
    }  # fmt: skip
    admin.create(Settings(**settings), (*WORKERS, *TRIGGERS))
    return settings


# A body of one's own, which says what the receiver needs to judge a call.
OWN_BODY = {
    "json": {
        "data": {"change": {"customer_id": "{{ customer }}"}, "trigger": "{{ trigger }}", "variant": "{{ variant }}"}
    }
}


def write_series(path: Path, hook: Hook, mailbox: Mailbox, delay: str, after: str) -> None:
    """Write a triggers file as `write` does: with a second message each, and webhooks of two variants and own body."""
    write(path, hook, mailbox, delay)
    file = json.loads(path.read_text())
    triggers, variants = file["triggers"], {"plain": {}, "bold": {"weight": 2}}
    triggers["mail_cart"]["then"] = {"after": after, "template": triggers["mail_cart"]["template"]}
    triggers["call"] |= {"variants": variants, "then": {"after": after, "variants": variants}}
    file["events"] = True
    file["channels"]["bot"] |= {"body": OWN_BODY, "idempotency": "Idempotency-Key"}
    path.write_text(json.dumps(file))


def write(path: Path, hook: Hook, mailbox: Mailbox, delay: str, timeout: str = "2s") -> None:
    """Write a triggers file: an e-mail and a webhook for each abandoned cart."""
    trigger = {"segment": "abandoned_cart", "delay": delay}
    text = {"subject": "سبد خرید شما", "text": "{{ contact.email }}: {{ said.fa }}"}
    retry = {"attempts": 50, "first": "500ms", "most": "2s"}
    file = {
        "version": 1,
        "contact": {"email": "email"},
        "channels": {
            "mail": {
                "kind": "email", "host": "127.0.0.1", "port": mailbox.port, "tls": "none", "from": "shop@example.com",
                "retry": retry, "timeout": timeout,
            },
            "bot": {
                "kind": "webhook", "url": hook.url, "secrets": [{"env": "BOT_SECRET"}], "allow_private": True,
                "retry": retry, "timeout": timeout, "concurrency": 16,
            },
        },
        "triggers": {
            "mail_cart": {**trigger, "channel": "mail", "template": text},
            "call": {**trigger, "channel": "bot"},
        },
    }  # fmt: skip
    path.write_text(json.dumps(file))


class Sender:
    """A producer to the topics of these settings."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._prefix = settings["topic_prefix"]
        self._producer: Any = KafkaProducer(bootstrap_servers=settings["brokers"], linger_ms=5)

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        self._producer.send(self._prefix + topic, key=key, value=value)

    def flush(self) -> None:
        self._producer.flush()


def say(to: Sender, customer_id: str, event: str, at_ms: int, **more: Any) -> None:
    """An event of a customer, at that time."""
    kind = "identify" if event == "identify" else "track"
    body = {
        "type": kind, "event": event, "messageId": f"{customer_id}-{event}-{at_ms}", "userId": customer_id,
        "timestamp": format_instant(at_ms), **more,
    }  # fmt: skip
    topic = {"identify": "profiles", "Product Added": "carts", "Order Completed": "purchases"}.get(event, "visits")
    to.send(topic, key=customer_id.encode(), value=json.dumps(body).encode())


def leave_a_cart(to: Sender, customer_id: str, at_ms: int) -> None:
    address = customer_id if customer_id.isascii() else "bahar"
    say(to, customer_id, "identify", at_ms, traits={"email": f"{address}@example.com"})
    say(to, customer_id, "Product Added", at_ms, properties={"product_id": "p1"})


def buy(to: Sender, customer_id: str, at_ms: int) -> None:
    say(to, customer_id, "Order Completed", at_ms, properties={"order_id": customer_id, "total": 10})


def read(settings: dict[str, Any], topic: str) -> list[Any]:
    return live.read_topic(settings["brokers"], settings["topic_prefix"] + topic)


def decided(settings: dict[str, Any]) -> list[Decision]:
    """The decisions on the topic; repeats are dropped by their id."""
    decisions = [decision_log.decode(record.value) for record in read(settings, "trigger-decisions")]
    return list({decision.decision_id: decision for decision in decisions}.values())


def environment(parts: dict[str, Any]) -> Triggers:
    triggers = Triggers(parts)
    triggers.environment["BOT_SECRET"] = SECRET
    return triggers
