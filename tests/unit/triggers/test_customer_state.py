"""A customer as triggers know it, without a store: what an erasure takes and what it leaves."""

from __future__ import annotations

from streams.triggers.customer_state import Action, Person, SentMessage
from streams.triggers.traits import Trait


def action(trigger: str, occurred_at: int, *, is_under_way: bool = False) -> Action:
    """An action of a change at this time."""
    made = Action(trigger, f"change-{occurred_at}", occurred_at, occurred_at, b"{}", send_at=30, next_at=30)
    made.attempting = is_under_way
    return made


def test_an_erasure_leaves_what_is_later() -> None:
    """Redis was emptied: what was sent after the erasure is read back before the erasure is read again."""
    person = Person(
        traits={"city": Trait(5, "a", "Qom"), "plan": Trait(15, "b", "pro")},
        actions=[action("first", 5), action("second", 15), action("third", 6, is_under_way=True)],
        sent=[SentMessage(8, "first", "mail", "k1"), SentMessage(18, "second", "mail", "k2")],
        acted=["first", "second"],
    )
    assert [ended.trigger for ended in person.forget(10)] == ["first"]
    assert person.traits.keys() == {"plan"}
    assert [sent.key for sent in person.sent] == ["k2"]
    assert person.acted == ["second"]
    assert [left.trigger for left in person.actions] == ["second", "third"]
    assert person.was_sent("k2"), "so that a redelivery does not send it again"


def test_an_erasure_takes_everything_before_it() -> None:
    """Nothing is left but the time of the erasure."""
    person = Person(
        traits={"city": Trait(5, "a", "Qom")},
        actions=[action("first", 5)],
        sent=[SentMessage(8, "first", "mail", "k1")],
        acted=["first"],
    )
    person.forget(10)
    assert person.is_erased
