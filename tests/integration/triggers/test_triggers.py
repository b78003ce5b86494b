"""Triggers on real parts: Kafka, Redis, a worker, a worker of triggers, an SMTP server and an HTTP endpoint.

The tests judge the messages at the receivers and the records on ``trigger-decisions``.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from local.processes import Worker
from local.receivers import Hook, Mailbox, now_ms
from streams.triggers.decision_log import REACHED, Decision
from streams.triggers.intake import FIRST_NOT_SENT
from tests.support import live
from tests.support.patience import eventually
from tests.support.trigger_processes import (
    Sender,
    buy,
    decided,
    environment,
    leave_a_cart,
    read,
    write,
    write_series,
)

pytestmark = pytest.mark.kafka

# The messages of the webhook's series.
CALLS = ("call", "call-2")
# A text that is right on the example, and fails where the address has the length of u1's.
FAILS_FOR_U1 = "{{ 1 // (contact.email | length - 14) }}"


def test_a_message_is_previewed_without_being_sent(parts: dict[str, Any]) -> None:
    """The preview has the data of the customer, reads no secret, opens no address, and says what is against it."""
    with Hook() as hook, Mailbox() as mailbox:
        write_series(parts["triggers"], hook, mailbox, delay="30m", after="2s")
        with Worker(parts) as worker, environment(parts) as triggers:
            worker.wait_ready()
            triggers.wait_ready()
            to = Sender(parts)
            leave_a_cart(to, "u1", now_ms())
            to.flush()
            eventually(lambda: bool(_changes(parts)), 20, worker.tail(40))
            folder = parts["triggers"].parent / "out"
            without_secret = {name: text for name, text in triggers.environment.items() if name != "BOT_SECRET"}

            def previewed(*arguments: str) -> subprocess.CompletedProcess[str]:
                command = [sys.executable, "-m", "streams", "triggers", "preview", *arguments, "--to", str(folder)]
                return subprocess.run(command, env=without_secret, capture_output=True, text=True, check=False)

            mail = previewed("mail_cart-2", "--customer", "u1")
            assert mail.returncode == 0, mail.stderr
            assert mail.stdout.splitlines() == [str(folder / "preview-mail_cart-2.txt"), "would be sent now"]
            text = (folder / "preview-mail_cart-2.txt").read_text()
            assert text.startswith("Subject: سبد خرید شما\nTo: u1@example.com\n\nu1@example.com: ")
            call = previewed("call", "--customer", "u1")
            path = Path(call.stdout.splitlines()[0])
            assert json.loads(path.read_text())["data"]["variant"] in path.name
            assert previewed("call", "--customer", "u2").returncode == 1
            assert "there is no message cal in" in previewed("cal", "--customer", "u1").stderr
            file = json.loads(parts["triggers"].read_text())
            fails = {**file["triggers"]["mail_cart"], "template": {"subject": "s", "text": FAILS_FOR_U1}}
            parts["triggers"].write_text(json.dumps({**file, "triggers": {"mail_cart": fails | {"then": None}}}))
            failed = previewed("mail_cart", "--customer", "u1")
            assert "the message cannot be written for this customer (ZeroDivisionError)" in failed.stderr
            parts["triggers"].write_text(json.dumps(file))
            buy(to, "u1", now_ms())
            to.flush()
            eventually(lambda: len(_changes(parts)) == 2, 20, worker.tail(40))
            assert previewed("call", "--customer", "u1").stdout.endswith("would be skipped now: left meanwhile\n")
        assert (hook.calls, mailbox.mails) == ([], [])


def test_a_late_purchase_stops_the_message(parts: dict[str, Any]) -> None:
    """A purchase which arrives a second before the send time, and happened before the cart was abandoned, stops it."""
    with Hook() as hook, Mailbox() as mailbox:
        write(parts["triggers"], hook, mailbox, delay="6s")
        with Worker(parts) as worker, environment(parts) as triggers:
            worker.wait_ready()
            triggers.wait_ready()
            to, began = Sender(parts), now_ms()
            for customer in ("buyer", "بهار", "leaver"):
                leave_a_cart(to, customer, began)
            to.flush()
            send_at = began + 2_000 + 6_000
            time.sleep((send_at - 1_000 - now_ms()) / 1000)
            buy(to, "buyer", began + 1_000)
            to.flush()
            eventually(lambda: len(mailbox.mails) + len(hook.calls) >= 4, 20, triggers.tail(40))
            time.sleep(2)
        assert {mail["To"] for _, mail in mailbox.mails} == {"leaver@example.com", "bahar@example.com"}
        assert sorted(call.body["data"]["change"]["customer_id"] for call in hook.calls) == ["leaver", "بهار"]
        assert all(at >= send_at for at, _ in mailbox.mails)
        assert all(call.at_ms >= send_at for call in hook.calls)
        text = str(mailbox.mails[0][1].get_content())
        assert "example.com: " in text
        assert "سبد" in str(mailbox.mails[0][1]["Subject"])
    finals = {
        (decision.customer_id, decision.trigger): (decision.decision, decision.reason)
        for decision in decided(parts)
        if decision.is_final
    }
    assert finals["buyer", "call"] == finals["buyer", "mail_cart"] == ("skipped", "left meanwhile")
    assert finals["leaver", "call"] == finals["leaver", "mail_cart"] == ("sent", None)


def test_what_failed_is_tried_again(parts: dict[str, Any]) -> None:
    """A message refused by the endpoint is taken after `segmenter redeliver`, under the same id."""
    refuses = [True]
    with Hook(lambda _: (400 if refuses[0] else 200, 0.0)) as hook, Mailbox() as mailbox:
        write(parts["triggers"], hook, mailbox, delay="1s")
        with Worker(parts) as worker, environment(parts) as triggers:
            worker.wait_ready()
            triggers.wait_ready()
            to = Sender(parts)
            for customer in ("u1", "u2"):
                leave_a_cart(to, customer, now_ms())
            to.flush()
            eventually(lambda: len(read(parts, "trigger-dead-letters")) == 2, 30, triggers.tail(40))
            refuses[0] = False
            command = [sys.executable, "-m", "streams", "redeliver", "--trigger", "call"]
            done = subprocess.run(command, env=triggers.environment, capture_output=True, text=True, check=True)
            assert "2 messages handed to triggers" in done.stderr
            eventually(lambda: sum(call.status == 200 for call in hook.calls) == 2, 30, triggers.tail(40))
        assert {call.id for call in hook.calls if call.status == 200} == {call.id for call in hook.calls}
    outcomes = [decision.decision for decision in decided(parts) if decision.trigger == "call"]
    assert sorted(outcomes) == ["failed", "failed", "sent", "sent"]


@pytest.mark.slow
@pytest.mark.parametrize("deaths", [2, pytest.param(20, marks=pytest.mark.nightly)])
def test_deaths_and_an_endpoint_that_fails(parts: dict[str, Any], deaths: int) -> None:
    """Each due webhook of a series comes at least once, an e-mail at most once, neither to those who left in time."""
    seed = random.randrange(10_000)
    print(f"seed {seed}")  # noqa: T201
    chance = random.Random(seed)

    outage: list[float] = []  # until when it lasts: for three seconds from the twentieth call on

    def answer(count: int) -> tuple[int, float]:
        if count >= 20 and not outage:
            outage.append(time.monotonic() + 3.0)
        if outage and time.monotonic() < outage[0]:
            return 503, 0.0
        return chance.choice([(200, 0.0)] * 5 + [(200, 0.3), (429, 0.0), (200, 4.0)])

    with Hook(answer) as hook, Mailbox(lambda count: 0.4 * (count % 3)) as mailbox:
        write_series(parts["triggers"], hook, mailbox, delay="3s", after="2s")
        names, left = [f"c{number}" for number in range(12 * deaths)], set[str]()
        with Worker(parts) as worker:
            worker.wait_ready()
            to = Sender(parts)
            log = parts["triggers"].with_suffix(".log")
            for kill in range(deaths):
                for customer in names[kill * 12 : kill * 12 + 12]:
                    leave_a_cart(to, customer, now_ms())
                    if chance.random() < 0.25:
                        left.add(customer)
                to.flush()
                triggers = environment(parts)
                triggers.log = log.with_suffix(f".{kill}.log")
                with triggers:
                    # A process that dies while it joins keeps its group waiting for five minutes: Kafka gives a new
                    # member so long (NewMemberJoinTimeoutMs of its group coordinator).
                    triggers.wait_ready()
                    time.sleep(chance.uniform(1.0, 5.0))
                    for customer in left.intersection(names[kill * 12 : kill * 12 + 12]):
                        buy(to, customer, now_ms())  # within the delay of 3 s after 2 s, or not long after
                    to.flush()
                    triggers.kill()
            with environment(parts) as last:
                eventually(lambda: _all_final(parts, names), 150, last.tail(40))
    assert outage, "the endpoint failed for a while"
    _audit(parts, hook, mailbox)


def _finals(parts: dict[str, Any]) -> dict[tuple[str, str], list[Decision]]:
    decisions: dict[tuple[str, str], list[Decision]] = {}
    for decision in decided(parts):
        if decision.is_final:
            decisions.setdefault((decision.change_id, decision.trigger), []).append(decision)
    return decisions


def _changes(parts: dict[str, Any]) -> list[live.ReadChange]:
    return live.without_repeats(live.changes(parts["brokers"], parts["topic_prefix"]))


def _all_final(parts: dict[str, Any], names: list[str]) -> bool:
    entered = [change for change in _changes(parts) if change.change == "entered"]
    return {change.customer for change in entered} <= set(names) and len(_finals(parts)) == 4 * len(entered)


def _audit(parts: dict[str, Any], hook: Hook, mailbox: Mailbox) -> None:
    changes, finals = _changes(parts), _finals(parts)
    entered = {change.change_id: change for change in changes if change.change == "entered"}
    exited = {change.customer: change.occurred_at for change in changes if change.change == "exited"}
    assert hook.forged == 0
    assert all(len(decisions) == 1 for decisions in finals.values()), "one final decision per change and trigger"

    # Webhooks: at least once where due, under one id.
    answered = {call.id for call in hook.calls if call.status == 200}
    for (change_id, trigger), (final,) in finals.items():
        if trigger in CALLS and final.decision == "sent":
            assert f"{change_id}-{trigger}" in answered
        if trigger in CALLS:
            assert final.decision in ("sent", "skipped", "unknown, not sent"), final
        if final.decision == "skipped":
            assert final.reason in ("left meanwhile", FIRST_NOT_SENT)
            assert entered[change_id].customer in exited
    stayed = [change for change in entered.values() if change.customer not in exited]
    assert stayed
    assert all(finals[change.change_id, key][0].decision == "sent" for change in stayed for key in CALLS)
    assert {call.id for call in hook.calls} <= {f"{change_id}-{key}" for change_id in entered for key in CALLS}

    # A customer has one variant, and the second call comes two seconds after the first or later.
    variants, first = dict[str, set[str]](), dict[str, int]()
    for call in hook.calls:
        data = call.body["data"]
        variants.setdefault(data["change"]["customer_id"], set()).add(data["variant"])
        if data["trigger"] == "call":
            first.setdefault(call.id, call.at_ms)
        else:
            assert call.at_ms >= first[call.id.removesuffix("-2")] + 2_000
    assert all(len(names) == 1 for names in variants.values())
    assert {name for names in variants.values() for name in names} == {"plain", "bold"}

    # What was sent is an event of the customer.
    events = {json.loads(record.value)["messageId"] for record in read(parts, "visits")}
    ends = [final for (final,) in finals.values() if final.decision in (*REACHED, "failed")]
    assert events == {f"message-{final.decision_id}" for final in ends}

    # E-mails: at most once.
    ids = Counter(mail["Message-ID"] for _, mail in mailbox.mails)
    assert ids
    assert set(ids.values()) == {1}
    kinds = Counter(decisions[0].decision for (_, trigger), decisions in finals.items() if trigger not in CALLS)
    assert kinds["sent"] <= len(mailbox.mails) <= kinds["sent"] + kinds["unknown, not sent"]

    # No message goes to a customer that had left, with its exit on the topic, well before.
    for call in hook.calls:
        customer = call.body["data"]["change"]["customer_id"]
        assert customer not in exited or call.at_ms < exited[customer] + 3_000, "sent long after they had left"
    summary = f"{len(hook.calls)} calls, {len(mailbox.mails)} e-mails, {dict(kinds)}"
    print(summary)  # noqa: T201
