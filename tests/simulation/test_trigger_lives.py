"""Random lives of triggers: one final decision for a change, no message after a payment, a reason for each wait."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from rules.times import format_instant, parse_instant
from streams.cli.redeliver import newest
from streams.triggers.decision_log import FINAL, REACHED, Decision
from streams.triggers.inputs import replayed
from streams.triggers.messages import Outcome
from streams.wire import changes
from streams.wire.topics import CHANGES, TRIGGER_DEAD_LETTERS, TRIGGER_REPLAYS
from tests.support.in_memory_triggers import START
from tests.support.trigger_lives import FILE, FRESH_MS, TriggerLives
from tests.support.trigger_segmenter import Happening, Segmenter

LINKED = frozenset({"ann", "bea"})
NAMES = ("ann", "bea", "carl", "dora", "eve")
HAPPENS_MS = 40_000
ENDS_MS = 8_000_000
# Of what is decided, with the time that it takes to send.
OLD_MS = FRESH_MS + 5_000
# Of a decision, where the process does not end meanwhile and nothing says for what it waited. Here attempts take turns.
LATE_MS = 20_000


def happenings(rng: random.Random) -> list[list[Happening]]:
    """Carts that are left and bought, of some customers on a linked device."""
    by_place: list[list[Happening]] = [[], []]
    for name in NAMES:
        time = START
        for _ in range(rng.randrange(1, 4)):
            time += rng.randrange(500, 12_000)
            by_place[0].append(Happening(time, name, "cart"))
            if rng.random() < 0.7:
                time += rng.randrange(100, 6_000)
                place = 1 if name in LINKED and rng.random() < 0.6 else 0
                by_place[place].append(Happening(time, name, "order"))
    return [sorted(drawn) for drawn in by_place]


def loses(lives: TriggerLives) -> None:
    """Redis forgets its last second, of the segmenter and of triggers; the worker needs a while to come back."""
    lost = lives.rng.randrange(100, 1_000)
    lives.store.lose_since(lives.wall - lost)
    lives.segmenter.lose(lives.wall, lost, lives.rng.choice((500, 3_000, 20_000)))


def empties(lives: TriggerLives) -> None:
    """Redis forgets all."""
    lives.store.empty()
    lives.segmenter.empty(lives.wall, lives.rng.choice((1_000, 5_000, 30_000)))


def stands_still(lives: TriggerLives) -> None:
    """The worker is away for an hour, and nothing is lost."""
    lives.segmenter.away(lives.wall, 3_600_000)


def lags(lives: TriggerLives) -> None:
    """The worker is away for a while, and its partition of linked ids comes back long after the other."""
    lives.segmenter.away(lives.wall, lives.rng.choice((0, 0, 20_000, 600_000)), lives.rng.choice((60_000, 1_800_000)))


# In these Redis forgets what triggers have written.
FORGETTING = (loses, empties)


def redelivers(lives: TriggerLives) -> None:
    """An operator runs `segmenter redeliver`, once or twice."""
    for _ in range(lives.rng.choice((1, 1, 2))):
        letters: list[Any] = [
            SimpleNamespace(offset=offset, key=letter.key, value=letter.value, headers=letter.headers)
            for offset, letter in enumerate(lives.topics.records[TRIGGER_DEAD_LETTERS])
        ]
        last = newest(letters)
        for letter in (letter for letter in letters if letter.offset in last):
            trigger = dict(letter.headers)["trigger"].decode()
            lives.append(TRIGGER_REPLAYS, letter.key.decode(), replayed(trigger, letter.value))


def erases(lives: TriggerLives) -> None:
    """A customer is erased: by the segmenter, which says so with its exit, and by triggers."""
    name = lives.rng.choice(NAMES)
    event = {"type": "erase", "userId": name, "messageId": "e", "timestamp": format_instant(lives.wall)}
    lives.append("profiles", name, json.dumps(event).encode())
    lives.segmenter.happenings[0].append(Happening(lives.wall, name, "erase"))
    lives.segmenter.happenings[0].sort()


def requests(rng: random.Random) -> Iterator[tuple[int, Callable[[TriggerLives], None]]]:
    for request in (redelivers, redelivers, redelivers, erases):
        if rng.random() < 0.6:
            yield START + rng.randrange(2_000, 60_000), request


async def lived(
    seed: int, delay_ms: int, losses: Sequence[Callable[[TriggerLives], None]], deaths: int
) -> TriggerLives:
    rng = random.Random(seed)
    sent = happenings(rng)
    lives = TriggerLives(rng, FILE, Segmenter(rng, sent, LINKED), delay_ms, losses, list(requests(rng)))
    until = START + HAPPENS_MS + 40_000
    for _ in range(deaths):
        await lives.live(until, lives.wall + rng.randrange(1_000, 30_000))
    for _ in range(20):
        if await lives.live(until, START + ENDS_MS):
            return lives
    raise AssertionError("it never comes to rest")


def audit(lives: TriggerLives, *, lost: bool) -> None:
    """``lost``: Redis has forgotten what triggers had written."""
    decisions = lives.topics.decisions()
    ended = Counter(decision.round_key for decision in decisions if decision.decision in FINAL)
    assert max(ended.values(), default=1) == 1, "no change and no redelivery ends in two decisions"
    finals = Counter(decision.key for decision in decisions if decision.decision in FINAL and not decision.redelivery)
    read = [changes.decode(record.value or b"") for record in lives.segmenter.records]
    expected = Counter(
        f"{change.change_id}-{key}"
        for change in read
        for key, step in FILE.steps.items()
        if (step.segment, step.on) == (change.segment, change.change)
    )
    assert finals == expected, "each change ends in exactly one decision for each message of a trigger"
    due_of = {(decision.change_id, decision.trigger): _due(decision, decisions) for decision in decisions}

    orders = {
        name: [happening.time for place in (0, 1) for happening in happened(lives, place, name)] for name in NAMES
    }
    for attempt in lives.attempts:
        message = attempt.message
        before = [decision.decision for decision in decisions[: attempt.published] if decision.key == message.key]
        assert not REACHED.intersection(before), "what the topic says was sent is not sent again"
        occurred = parse_instant(message.change["occurred_at"]) or 0
        assert all(
            occurred > record.timestamp or record.offset >= attempt.read["profiles"]
            for record in lives.inputs["profiles"]
            if record.key == message.customer.encode()
        ), "nor is who was erased sent anything"
        if message.change["change"] == "exited":
            continue
        entered = parse_instant(message.change["occurred_at"]) or 0
        due = due_of[message.change["change_id"], message.trigger]
        assert attempt.time >= due, "no message goes out before its time"
        paid = min((time for time in orders[message.customer] if time > entered), default=None)
        if paid is None:
            continue
        assert paid > due, "who has paid by the send time is not written to, under whatever id"
        left = [record for time, record in lives.segmenter.exits[message.customer] if time > entered]
        stays = lives.segmenter.stays(message.customer, attempt.decided)
        assert lost or stays[-1:] == [("entered", entered)], "nor who has left as Redis holds"
        assert all(record.offset >= attempt.read[CHANGES] for record in left), "nor who has left as triggers have read"
        assert all(record.timestamp > attempt.time - OLD_MS for record in left), "nor who has left long since"
        steps = 1 if message.customer in LINKED else 0
        assert paid > attempt.time - OLD_MS - steps * FRESH_MS, "nor by a segmenter that stands still, or a part of it"

    variants: dict[tuple[str, str], set[str | None]] = {}
    for decision in decisions:
        variants.setdefault((decision.trigger.removesuffix("-2"), decision.customer_id), set()).add(decision.variant)
    for attempt in lives.attempts:
        message = attempt.message
        variants[message.trigger.removesuffix("-2"), message.customer].add(message.variant or None)
    assert all(len(names) == 1 for names in variants.values()), "a customer has one variant in both messages"

    times = Counter(
        attempt.message.key
        for attempt in lives.attempts
        if attempt.outcome in (Outcome.SENT, Outcome.UNKNOWN)
        and attempt.message.trigger in ("remind", "remind-2", "nudge")
    )
    assert lost or max(times.values(), default=0) <= 1, "an e-mail goes out once"

    published = {changes.decode(record.value or b"").change_id: record.timestamp for record in lives.segmenter.records}
    explained = {decision.key for decision in decisions if decision.decision not in FINAL}
    for decision in decisions:
        due = due_of[decision.change_id, decision.trigger]
        late = (parse_instant(decision.at) or 0) - max(due, published[decision.change_id])
        if decision.redelivery is not None:
            late = (parse_instant(decision.at) or 0) - (parse_instant(decision.redelivery.at) or 0)
        if decision.decision in FINAL and late > LATE_MS + 60 * lives.delay_ms and decision.key not in explained:
            waits = lives.counts.waits
            explains = lives.generation > 1 or waits["segmenter",] or waits["linked_id",] or waits["endpoint",]
            assert explains, f"nothing says why this is late: {decision}"


def _due(decision: Decision, decisions: Sequence[Decision]) -> int:
    """When (ms) a message was due: the second of a series after the first was sent, or with its end if it was not."""
    step = FILE.steps[decision.trigger]
    if not step.is_second:
        return (parse_instant(decision.occurred_at) or 0) + step.delay
    ends = [first for first in decisions if first.is_final and first.key == decision.key.removesuffix("-2")]
    reached = [parse_instant(first.at) or 0 for first in ends if first.decision in REACHED]
    return min(reached) + step.delay if reached else min(parse_instant(first.at) or 0 for first in ends)


def happened(lives: TriggerLives, place: int, name: str) -> list[Happening]:
    return [
        happening
        for happening in lives.segmenter.happenings[place]
        if happening.customer == name and happening.kind == "order"
    ]


@pytest.mark.parametrize("count", [8, pytest.param(1_000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(
    ("delay_ms", "losses"),
    [
        (5, ()),
        (50, ()),
        (200, ()),
        (5, (loses,)),
        (5, (empties,)),
        (50, (loses, empties, loses)),
        (5, (stands_still,)),
        (5, (lags,)),
    ],
    ids=[
        "5 ms away",
        "50 ms away",
        "200 ms away",
        "a lost second",
        "emptied",
        "all of it",
        "stands still",
        "a partition of linked ids lags",
    ],
)
async def test_drawn_lives(delay_ms: int, losses: Sequence[Callable[[TriggerLives], None]], count: int) -> None:
    """The audit finds nothing, whatever becomes of Redis, and whenever the process ends."""
    outcomes = Counter[str]()
    for seed in range(count):
        lives = await lived(seed, delay_ms, losses, deaths=seed % 3)
        try:
            audit(lives, lost=bool(set(losses) & set(FORGETTING)))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        outcomes.update(decision.decision for decision in lives.topics.decisions())
        outcomes["given back"] += sum(lives.counts.given_back.values())
        outcomes["redelivered"] += sum(decision.redelivery is not None for decision in lives.topics.decisions())
    print(dict(outcomes))  # noqa: T201
    assert outcomes["sent"] > count
    assert outcomes["skipped"] > count
    assert outcomes["redelivered"] > count // 10
