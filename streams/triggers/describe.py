"""Describes triggers in words, one sentence for each message, for `segmenter check`.

The one rule: whatever may stop, delay or divide a message is in its sentence, also what the file says for all.
"""

from __future__ import annotations

from collections.abc import Iterator

from rules.times import words
from streams.triggers.channel_config import Caps
from streams.triggers.config import Again, Step, TriggersFile
from streams.triggers.send_times import WEEKDAYS, Quiet, SendTimes
from streams.triggers.trait_tests import PersonTest

_WAYS = {"email": "an e-mail", "webhook": "a webhook", "console": "a line"}
_THEN = {"defer": "deferred", "drop": "dropped"}


def sentences(file: TriggersFile) -> Iterator[str]:
    """One sentence for each message, in the order of the file, then one for each rule that holds for all messages."""
    for key, step in file.steps.items():
        yield f"{key}: {', '.join(_clauses(file, key, step))}"
    for sentence in _for_all(file):
        yield f"all messages: {sentence}"


def _clauses(file: TriggersFile, key: str, step: Step) -> Iterator[str]:
    config = file.channels[step.channel]
    after = "on" if not step.delay else f"{words(step.delay)} after"
    doing = "entering" if step.on == "entered" else "leaving"
    begins = f"{doing} {step.segment}" if key == step.of else f"{step.of} was sent"
    yield f"{after} {begins}, {_WAYS[config.kind]} over {step.channel}"
    if key != step.of:
        stay = "in it" if step.on == "entered" else "out of it"
        yield f"if still {stay}" if step.if_ended != "send" else f"whether still {stay} or not"
    own = step.unless[len(file.unless) :]
    if own:
        yield f"not to those {' or '.join(map(str, own))}"
    if step.variants:
        whole = sum(variant.weight for variant in step.variants.values())
        shares = [f"{name} {variant.weight / whole:.0%}" for name, variant in step.variants.items()]
        yield f"as {', '.join(shares)} by customer"
    yield from _limits(step)
    yield from _caps(config.caps, f"over {step.channel}")
    yield from _hours(step.quiet, step.send)
    for name, test in file.consent.get(step.channel, {}).items():
        yield f"only with consent ({name}: {_shown(test)})"


def _limits(step: Step) -> Iterator[str]:
    if step.cool_down is not None:
        yield f"at most one in {words(step.cool_down)}"
    if step.reentry == "once":
        yield "once for ever"
    elif isinstance(step.reentry, Again):
        yield f"again after {words(step.reentry.after)}"
    yield f"not later than {words(step.expires)} after its time"


def _caps(caps: Caps, over: str) -> Iterator[str]:
    for most, _, window in caps.limits:
        yield f"at most {most} {window} {over}"


def _hours(quiet: Quiet | None, send: SendTimes | None) -> Iterator[str]:
    if quiet is not None:
        yield f"not from {quiet.from_:%H:%M} to {quiet.to:%H:%M} ({_THEN[quiet.then]})"
    if send is None:
        return
    parts = [] if len(set(send.weekdays)) == len(WEEKDAYS) else [f"on {', '.join(send.weekdays)}"]
    if send.at is not None:
        parts.append(f"at {send.at:%H:%M}")
    if send.from_ is not None and send.to is not None:
        parts.append(f"from {send.from_:%H:%M} to {send.to:%H:%M}")
    yield f"only {' '.join(parts)} ({_THEN[send.then]})"


def _for_all(file: TriggersFile) -> Iterator[str]:
    for name, test in file.suppress.items():
        yield f"none to those with {name}: {_shown(test)}"
    for membership in file.unless:
        yield f"none to those {membership}"
    if file.hold_out is not None:
        yield f"none to a hold-out of {file.hold_out.percent:g} %"
    yield from _caps(file.caps, "to one customer")
    if file.window:
        yield f"of those due within {words(file.window)} over one channel, the highest priority alone"
    if file.asks_for_hour:
        zone = f"times of day are the customer's, or those of {file.timezone} where no time zone is stated"
        yield f"{zone}; none to those whose time zone is unknown"


def _shown(test: PersonTest) -> str:
    shown = test.shown
    return str(shown).lower() if isinstance(shown, bool) else str(shown)
