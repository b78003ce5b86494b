"""Applies published decisions that the store has lost to their customer. An example:

    topic       a message failed, by the change; it was sent, by a redelivery
    store       knows the change and its failure, and has lost the redelivery and its end
    recovery    the message counts as sent, and the redelivery, which will be read again, is noted to begin nothing

The one rule: an action with a final decision is not begun again, and a message that may have reached the customer
counts for caps and cool-downs.
"""

from __future__ import annotations

from collections.abc import Callable

from rules.times import parse_instant
from streams.triggers import decision_log
from streams.triggers.customer_state import Action, Person, SentMessage
from streams.triggers.decision_log import Decision

# This long after a read-back, everything that was on the inputs then counts as read: clocks of owners differ by less.
EXPECTED_MS = 10_000


# The message of a series that comes after an action's, if there is one, by when (ms) that was sent.
Following = Callable[[Action, int], Action | None]


def apply(person: Person, decision: Decision, following: Following, replays_read: int, now: int) -> bool:
    """Apply a final decision that is on the topic; whether it changed the customer.

    ``replays_read``: the next position to read in ``trigger-replays``.
    """
    is_news = _end(person, decision, following, replays_read, now)
    if (parse_instant(decision.occurred_at) or 0) <= person.erased:
        return is_news
    if decision.decision in decision_log.REACHED:
        if not is_news and person.was_sent(decision.key):
            return False
        sent_at = parse_instant(decision.at) or 0
        person.counts(SentMessage(sent_at, decision.trigger, decision.channel, decision.key))
        return True
    if is_news and decision.decision == "failed":
        person.fails(decision.key)
    return is_news


def _end(person: Person, decision: Decision, following: Following, replays_read: int, now: int) -> bool:
    """End the decision's action, or note that it begins nothing when it is read; whether the customer changed."""
    key = decision.round_key
    if _is_to_be_read(person, decision, replays_read):
        if key in person.awaited:
            return False
        person.expects(key, now + EXPECTED_MS)
        return True
    action = next((action for action in person.actions if action.round_key == key), None)
    if action is None:
        return False
    person.actions.remove(action)
    after = following(action, parse_instant(decision.at) or 0)
    if after is not None:
        if decision.decision not in decision_log.REACHED:
            # It was decided beside this one. It ends by that decision, or by one of its own if that was not published.
            after.is_void, after.next_at = True, now + EXPECTED_MS
        person.actions.append(after)
    return True


def _is_to_be_read(person: Person, decision: Decision, replays_read: int) -> bool:
    if decision.redelivery is not None:
        return decision.redelivery.offset >= replays_read
    return decision.sequence > person.sequence
