"""Records of which much is made: large events under linked ids, profiles of megabytes, changes by the dozen.

The one rule: what a record becomes follows from how it was made. Where that depends on what the worker has read of
other ids before, the record says so (`Sent.may_count`).

Long because the scenes stand side by side.
"""

from __future__ import annotations

import json
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

from rules.times import format_instant
from streams.wire import identity_records
from tests.support import hostile_records
from tests.support.hostile_records import MIB, PARTITIONS, Sent, partition_of

# Segments which one event turns: by a trait, by a trait's value in a list of a thousand, by 256 values in a list.
TURNED, LISTED, WIDE = 40, 4, 5
TOTALS_EACH = 40  # of a segment of the last kind: 200 in all, so a profile of them is of 900 kB
# What a topic takes by default is 1,048,588 bytes, with less than 200 around a record's key and value.
_VALUE_MAX_BYTES = 1_048_000
# A path of 32 ids of 256 bytes fits into a record beside it.
_FORWARDED_ANYWHERE_MAX_BYTES = 1_030_000
_HOPS_MAX = 32

# Its records; `None` where the rest is of the next round.
Scene = Iterator[Sent | None]


def definitions() -> str:
    """The segments file, as JSON (which is YAML)."""
    values = [_listed(number) for number in range(999)]
    conditions: dict[str, Any] = {
        "sentinel": {"performed": {"event": "Sentinel", "within": "1s"}},
        "viewer": {"performed": {"event": "page", "within": "5s"}},
        "buyer": {"performed": {"event": "Order Completed", "count": {"at_least": 2}, "within": "20s"}},
        "leaver": {"cart": {"idle_for": "1s", "until": "1h"}},
        "large": {"last": {"event": "Looked", "where": {"text": {"exists": True}}, "ago": {"at_most": "10s"}}},
        "campaign": {"context": {"campaign": {"exists": True}}},
    }
    for number in range(TURNED):
        conditions[f"turned_{number}"] = {"trait": {"mode": "on", "text": {"not_in": [f"never {number}"]}}}
    for number in range(LISTED):
        conditions[f"listed_{number}"] = {"trait": {"plan": {"in": [*values, f"never {number}"]}}}
    for number in range(WIDE):
        total = {"agg": "distinct", "of": "tags", "event": "Collected", "at_least": 200}
        indexes = range(number * TOTALS_EACH, (number + 1) * TOTALS_EACH)
        conditions[f"wide_{number}"] = {
            "all": [{"total": {**total, "where": {"n": {"not_in": [index]}}}} for index in indexes]
        }
    segments = {key: {"title": key, "when": when} for key, when in conditions.items()}
    return json.dumps({"version": 1, "segments": segments})


def triggers(url: str) -> str:
    """The triggers file: a call for each change of segments that are turned often, or with a long reason."""
    webhook = {"kind": "webhook", "url": url, "secrets": [{"env": "BOT_SECRET"}], "allow_private": True}
    started = ("sentinel", "viewer", "large", "turned_0", "listed_0", "wide_0")
    return json.dumps({
        "version": 1,
        "channels": {"bot": {**webhook, "concurrency": 16}},
        "triggers": {segment: {"segment": segment, "channel": "bot"} for segment in started},
    })  # fmt: skip


def sentinel(partition: int, topic: str) -> str:
    """A customer of this partition with one event on this topic."""
    names = (f"sentinel-{topic}-{number}" for number in range(1_000))
    return next(name for name in names if partition_of(name) == partition)


def sentinels() -> list[Sent]:
    """An event of each sentinel: what comes of it says that its partition goes on."""
    now = format_instant(_now_ms())
    events = []
    for partition in range(PARTITIONS):
        for topic in hostile_records.TOPICS:
            customer = sentinel(partition, topic)
            value = {"type": "track", "event": "Sentinel", "messageId": "s", "userId": customer, "timestamp": now}
            events.append(Sent(topic, partition, customer.encode(), json.dumps(value).encode(), None))
    return events


def _listed(number: int) -> str:
    return f"plan {number} ".ljust(30, "x")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Scenes:
    """Draws scenes: short sequences of records which belong together, of persons with several ids each.

    Records come in rounds, so that each may be read before the next: a scene goes on in the next round where what it
    needs (a link) must have come to another partition.
    """

    def __init__(self, rng: random.Random, persons: int) -> None:
        self._rng = rng
        self._persons = persons
        self._number = 0
        self._lengths = cycle((_HOPS_MAX + 6, 3, 8, 20, _HOPS_MAX - 1))
        # Of each kind of scene one comes first.
        self._running: deque[Scene] = deque(scene(self) for scene, _ in _SCENES)
        self._paused: list[Scene] = []

    def round(self, count: int) -> Iterator[Sent]:
        """Draw so many records: those of scenes that go on, then new ones."""
        self._running.extend(self._paused)
        self._paused.clear()
        for _ in range(count):
            yield self._record()

    def _record(self) -> Sent:
        scenes = [scene for scene, _ in _SCENES]
        weights = [weight for _, weight in _SCENES]
        while True:
            if not self._running:
                self._running.extend(scene(self) for scene in self._rng.choices(scenes, weights, k=100))
            try:
                record = next(self._running[0])
            except StopIteration:
                self._running.popleft()
                continue
            if record is not None:
                return record
            self._paused.append(self._running.popleft())

    # --- what scenes are made of -----------------------------------------------------------------

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _user(self) -> str:
        return f"p-{hostile_records.name(self._rng.randrange(self._persons))[:200]}"

    def _device(self) -> str:
        return f"d{self._rng.randrange(self._persons)}-{self._rng.randrange(3)}".ljust(
            self._rng.choice((1, 1, 1, 256)), "d"
        )

    def _event(self, kind: str = "track", /, *, key: str = "", topic: str = "", **fields: Any) -> Sent:
        """An event of now, or now and then of some seconds before; without ``key``: that of its customer."""
        is_late = self._rng.random() < 0.03
        time_ms = _now_ms() - (self._rng.randrange(20_000) if is_late else 0)
        number = self._next()
        message_id = f"m{number}".ljust(self._rng.choice((1, 1, 1, 1, 1, 255, 256, 257, 2_000)), "m")
        body = {"type": kind, "messageId": message_id, "timestamp": format_instant(time_ms), **fields}
        key = key or body.get("userId") or body["anonymousId"]
        value = json.dumps(body, ensure_ascii=self._rng.random() < 0.5).encode()
        return Sent(topic or self._rng.choice(hostile_records.TOPICS), partition_of(key), key.encode(), value, None)

    def _filled(self, size: int, /, *, may_count: bool, reason: str | None = None, **fields: Any) -> Sent:
        """An event whose value has this size."""
        event = self._event(event="Looked", properties={"text": ""}, **fields)
        assert event.value is not None
        filler = b'"text": "' + self._rng.choice((b"x", b" ", b"\xd9\x85")) * size
        filler = filler[: len(b'"text": "') + (size - len(event.value)) // 2 * 2]
        value = event.value.replace(b'"text": "', filler)
        return event._replace(value=value, reason=reason, may_count=may_count)

    def _alias(self, user: str, former: str, topic: str = "profiles") -> Sent:
        return self._event("alias", topic=topic, userId=user, previousId=former)

    # --- scenes ----------------------------------------------------------------------------------

    def event(self) -> Scene:
        """An event of a shop, whose texts stand in reasons."""
        rng = self._rng
        text = rng.choice(("x", "\u202e", "م", "{{ x }}", "\n", "<b>", '"', "😀")) * rng.choice((1, 10, 80, 300))
        name = rng.choice(("Looked", "Order Completed", "Order Completed", "Product Added", "page"))
        properties = {
            "Looked": {"text": text, "deep": json.loads("[" * 80 + "]" * 80)},
            "Order Completed": {"order_id": f"{text}-{rng.randrange(5)}", "total": rng.randrange(10**6)},
            "Product Added": {"product_id": text, "name": text, "price": 1, "quantity": 2},
            "page": {"url": text},
        }[name]
        context = {"campaign": {"name": text}} if rng.random() < 0.1 else {}
        kind = {"kind": "page"} if name == "page" else {"kind": "track", "event": name}
        yield self._event(kind.pop("kind"), userId=self._user(), properties=properties, context=context, **kind)

    def of_a_device(self) -> Scene:
        """An event that goes on to the user to which the device is linked."""
        yield self._event("page", anonymousId=self._device())

    def link(self) -> Scene:
        """A link of a device to a user, as a browser sends it."""
        yield self._event("page", userId=self._user(), anonymousId=self._device())

    def under_another_key(self) -> Scene:
        """An event whose key is the device, or a placeholder."""
        device, placeholder = self._device(), self._rng.choice(("undefined", " NULL ", "[object Object]"))
        user, key = self._rng.choice(((self._user(), device), (placeholder, device), (placeholder, placeholder)))
        yield self._event("page", key=key, userId=user, anonymousId=device)

    def alias(self) -> Scene:
        """An alias of any two ids: chains, rings and refusals come of it."""
        ids = (self._user, self._device)
        yield self._alias(self._user(), self._rng.choice(ids)(), self._rng.choice(hostile_records.TOPICS))

    def erasure(self) -> Scene:
        yield self._event("erase", topic="profiles", userId=self._rng.choice((self._user, self._device))())

    def unlink(self) -> Scene:
        user, other = self._user(), self._device()
        yield self._event("unlink", topic="profiles", userId=user, previousId=other)

    def bad(self) -> Scene:
        """A dead letter of any kind."""
        yield hostile_records.bad_record(self._rng, self._next(), format_instant(_now_ms()))

    def large_bad(self) -> Scene:
        """A dead letter of any size."""
        size = self._rng.choice((64 * 1024, 64 * 1024 + 1, self._rng.randrange(64 * 1024, _VALUE_MAX_BYTES)))
        customer = self._user()
        value = b"{" + b"\xff" * (size - 1)
        yield Sent("carts", partition_of(customer), customer.encode(), value, "not_json")

    def too_large(self) -> Scene:
        """A dead letter that is larger than is read."""
        yield hostile_records.too_large(self._user(), format_instant(_now_ms()))

    def turns(self) -> Scene:
        """One event turns many segments, and another one turns them back."""
        user, text = self._user(), self._rng.choice(("x", "م", "\u202e<b>")) * self._rng.choice((1, 80, 2_000))
        for mode in ("on", "off"):
            yield self._event("identify", userId=user, topic="profiles", traits={"mode": mode, "text": text})

    def listed(self) -> Scene:
        """A value of lists of a thousand, and one of none."""
        user = self._user()
        for plan in (_listed(self._rng.randrange(999)), "x" * self._rng.choice((1, 10_000))):
            yield self._event("identify", userId=user, traits={"plan": plan})

    def large_under_a_linked_id(self) -> Scene:
        """An event that goes on whole to the person, by one id or a few; hardly a byte less than what fits, or more."""
        user, device = f"big-{self._next()}", f"bigdevice-{self._next()}"
        yield self._alias(user, device)
        yield None
        for _ in range(self._rng.randrange(1, 3)):
            size = self._rng.randrange(MIB // 2, _FORWARDED_ANYWHERE_MAX_BYTES)
            yield self._filled(size, may_count=False, anonymousId=device, topic="visits")
        if self._rng.random() < 0.3:
            size = self._rng.randrange(identity_records.RECORD_MAX_BYTES - 600, _VALUE_MAX_BYTES)
            yield self._filled(size, may_count=True, reason="too_large_to_forward", anonymousId=device, topic="visits")

    def large_under_another_key(self) -> Scene:
        """An event that does not fit into a record, whatever the ids are linked to."""
        device, user = self._device(), self._user()
        size = _VALUE_MAX_BYTES - len(device.encode()) + 50
        yield self._filled(
            size, may_count=False, reason="too_large_to_forward", key=device, anonymousId=device, userId=user
        )

    def chain(self) -> Scene:
        """A chain of aliases, in any order, some beyond what is followed; then events of its first id."""
        number = self._next()
        length = next(self._lengths)
        ids = [f"chain-{number}-{index}".ljust(self._rng.choice((1, 256)), "c") for index in range(length)]
        links = list(zip(ids[1:], ids, strict=False))
        self._rng.shuffle(links)
        for user, former in links:
            yield self._alias(user, former)
        yield None
        for _ in range(3):
            yield self._event("page", anonymousId=ids[0])
        if length < 10:
            size = self._rng.randrange(MIB // 2, _FORWARDED_ANYWHERE_MAX_BYTES)
            yield self._filled(size, may_count=False, anonymousId=ids[0], topic="visits")

    def ring(self) -> Scene:
        """A ring of aliases, with events of each id before and after."""
        number = self._next()
        ids = [f"ring-{number}-{index}" for index in range(self._rng.randrange(2, 7))]
        for former, user in zip(ids, [*ids[1:], ids[0]], strict=True):
            yield self._event("page", anonymousId=former)
            yield self._alias(user, former)
        yield None
        for former in ids:
            yield self._event("page", anonymousId=former)

    def wide_profile(self) -> Scene:
        """A profile of more than a record holds, which moves twice; an erasure or an unlink may come between."""
        number = self._next()
        ids = [f"wide-{number}-{index}" for index in range(3)]
        tags = [f"{number}-{index}-".ljust(64, "t") for index in range(256)]
        yield self._event(event="Collected", anonymousId=ids[0], properties={"tags": tags, "n": 1_000})
        yield None
        yield self._alias(ids[1], ids[0])
        yield None
        between = self._rng.choice(("erase", "unlink", ""))
        if between == "erase":
            yield self._event("erase", topic="profiles", userId=ids[1])
        elif between:
            yield self._event("unlink", topic="profiles", userId=ids[1], previousId=ids[0])
        yield self._alias(ids[2], ids[1])
        yield None
        yield self._event("page", anonymousId=ids[0])


# How often each is drawn among about a hundred thousand.
_SCENES: tuple[tuple[Callable[[Scenes], Scene], int], ...] = (
    (Scenes.wide_profile, 25),
    (Scenes.large_under_a_linked_id, 60),
    (Scenes.large_under_another_key, 10),
    (Scenes.chain, 40),
    (Scenes.ring, 100),
    (Scenes.turns, 400),
    (Scenes.listed, 100),
    (Scenes.large_bad, 40),
    (Scenes.too_large, 5),
    (Scenes.bad, 7_000),
    (Scenes.erasure, 500),
    (Scenes.unlink, 500),
    (Scenes.alias, 1_500),
    (Scenes.under_another_key, 3_000),
    (Scenes.link, 9_000),
    (Scenes.of_a_device, 9_000),
    (Scenes.event, 70_000),
)
