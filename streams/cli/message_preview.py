"""``segmenter triggers preview``: writes a trigger's message to a customer into files, as it would be sent now.

The one rule: nothing is sent, no secret is read and no address is opened. The templates, the data and the reasons
against the message are the real ones.

See also: `streams.triggers.templates` (writes the message), and `streams.triggers.policy` (says what is against it).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from rules.conditions.base import CustomerView
from rules.customer import Customer
from rules.definitions.segments_file import Definitions
from rules.sentences.reason_sentence import LANGUAGES, embedded
from rules.times import format_instant
from streams.cli.input_files import visible
from streams.offline.customer_records import everywhere
from streams.settings import Settings, definitions_file, of_triggers
from streams.state.readonly_store import stored
from streams.stop import Stop
from streams.triggers import config_file, policy
from streams.triggers.action_decisions import not_any_more
from streams.triggers.channel_config import WebhookWay
from streams.triggers.channels import factory
from streams.triggers.channels.webhook import audience_of, change_of
from streams.triggers.config import Step, TriggersFile
from streams.triggers.customer_state import Action, Person
from streams.triggers.former_persons import joined
from streams.triggers.intake import contact
from streams.triggers.linked_ids import IDS_MAX, former_ids
from streams.triggers.membership_lookup import MembershipAnswer, Waiting
from streams.triggers.messages import Message
from streams.triggers.templates import NotAnAddress, RenderedMessage, TemplateFailed


def run(settings: Settings, file: Path, key: str, customer_id: str, folder: Path) -> int:
    """Write the files, and print their paths; exit code 1 if the customer is not stored. Raises `Stop`."""
    definitions = definitions_file.load(settings.definitions)
    triggers = config_file.load(file, definitions)
    step = triggers.steps.get(key)
    if step is None:
        raise Stop(f"there is no message {key} in {file}; it has {', '.join(triggers.steps)}")
    customer, person = asyncio.run(_stored(settings, definitions, customer_id))
    if customer is None:
        print(f"segmenter triggers preview: no customer {visible(customer_id)}", file=sys.stderr)
        return 1
    today = MessageToday(triggers, definitions, key, step, customer_id, customer, person, int(time.time() * 1000))
    message = today.message()
    templates_of, _ = factory.words(triggers, file, definitions)
    try:
        rendered, unsubscribe = templates_of[message.wording].say(message)
    except (TemplateFailed, NotAnAddress) as error:
        raise Stop(f"the message cannot be written for this customer ({error})") from None
    folder.mkdir(parents=True, exist_ok=True)
    variant = f"-{message.variant}" if message.variant else ""
    for suffix, text in _texts(triggers, step, message, rendered, unsubscribe):
        path = folder / f"preview-{key}{variant}.{suffix}"
        path.write_bytes(text)
        print(path)
    print(today.outlook())
    return 0


async def _stored(settings: Settings, definitions: Definitions, customer_id: str) -> tuple[Customer | None, Person]:
    """The customer as the segmenter and as triggers store it, with what triggers know of its former ids."""
    async with stored(settings) as (_, first):
        if first["definitions"] != definitions.fingerprint:
            raise Stop("Redis was written under other definitions; name their file in SEGMENTER_DEFINITIONS")
        count = int(first["partitions"])
    ids, customers = [customer_id], dict[str, Customer | None]()
    for name in ids:  # also those that were merged into a former id
        parts = await everywhere(settings, name, count)
        entry = customers[name] = next((part.customer for part in parts if part.customer is not None), None)
        further = frozenset() if entry is None else former_ids(entry).difference(ids)
        ids += sorted(further)[: IDS_MAX - len(ids)]
    own, *former = [
        next((part.person for part in await everywhere(of_triggers(settings), name, count) if part.person), None)
        for name in ids
    ]
    return customers[customer_id], joined(own or Person(), [person for person in former if person is not None])


class MessageToday(msgspec.Struct, frozen=True):
    """A message of a triggers file, and all that is known of the customer at this moment, ``now`` (ms)."""

    triggers: TriggersFile
    definitions: Definitions
    key: str
    step: Step
    customer_id: str
    customer: Customer
    person: Person
    now: int

    @property
    def since(self) -> dict[str, int]:
        """The segments of the customer, and when each was entered."""
        keys = [segment.key for segment in self.definitions.segments]
        return {keys[index]: entered for index, entered in self.customer.since.items()}

    def message(self) -> Message:
        """The message of an attempt at this moment, for a change that says what is true of the customer now."""
        segment = self.definitions.segment(self.step.segment)
        assert segment is not None, "the triggers file was checked against these definitions"
        customer = self.customer
        view = CustomerView(self.customer_id, customer.profile, customer.since)
        reason = segment.when.reason(view, customer.instant)
        change = {
            "change_id": "0" * 32,
            "customer_id": self.customer_id,
            "segment": segment.key,
            "change": self.step.on,
            "occurred_at": format_instant(self.since.get(segment.key, customer.instant)),
            "sequence": max(customer.sequence, 1),
            "segments": sorted(self.since),
            "cause": {"kind": "event", "event_id": "preview"},
            "reason": reason,
            "definition": self.definitions.fingerprint,
            "said": {language: embedded(reason, language) for language in LANGUAGES},
        }
        return Message(
            key=f"{change['change_id']}-{self.key}",
            trigger=self.key,
            customer=self.customer_id,
            raw=msgspec.json.encode(change),
            contact=contact(self.triggers, self.person),
            attempted_ms=self.now,
            data={} if segment.include is None else segment.include.data(view, customer.instant),
            variant=self.step.variant_of(self.customer_id),
        )

    def outlook(self) -> str:
        """What would become of the message if it were due now."""
        action = Action(self.key, "0" * 32, 1, self.now, b"{}", self.now, self.now)
        gone = not_any_more(self.step, action, MembershipAnswer(self.since, customer=self.customer))
        if gone is not None:
            return f"would be skipped now: {gone}"
        match policy.decide(self.triggers, self.customer_id, self.person, action, self.now):
            case policy.Skip(reason):
                return f"would be skipped now: {reason}"
            case policy.Defer(until, reason):
                return f"would be sent at {format_instant(until)}: {reason}"
            case policy.Behind(reason=reason):
                return f"would wait now: {reason}"
            case policy.Occupied():
                return f"would wait now: {Waiting.ATTEMPT.value}"
            case policy.Go():
                return "would be sent now"


def _texts(
    triggers: TriggersFile, step: Step, message: Message, rendered: RenderedMessage, unsubscribe: str | None
) -> Iterator[tuple[str, bytes]]:
    """The contents of the files, by the ends of their names."""
    config = triggers.channels[step.channel]
    if isinstance(config, WebhookWay):
        audience = config.body == "audience"
        body = audience_of(message, rendered.text) if audience else change_of(message, rendered.text)
        yield "json", rendered.body or msgspec.json.format(msgspec.json.encode(body), indent=2)
        return
    heads = [f"Subject: {rendered.subject}"] if rendered.subject is not None else []
    heads += [f"To: {message.contact['email']}"] if "email" in message.contact else []
    heads += [f"List-Unsubscribe: {unsubscribe}"] if unsubscribe else []
    yield "txt", "\n".join([*heads, "", rendered.text or ""]).encode()
    if rendered.html is not None:
        yield "html", rendered.html.encode()
