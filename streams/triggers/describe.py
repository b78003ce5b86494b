"""Describes triggers in words, one sentence each, for `segmenter check`."""

from __future__ import annotations

from collections.abc import Iterator

from rules.times import words
from streams.triggers.config import Again, Caps, Quiet, Trigger, TriggersFile

_WAYS = {"email": "an e-mail", "webhook": "a webhook", "console": "a line"}
_THEN = {"defer": "deferred", "drop": "dropped"}


def sentences(file: TriggersFile) -> Iterator[str]:
    """One sentence for each trigger, in the order of the file."""
    for key, trigger in file.triggers.items():
        config = file.channels[trigger.channel]
        after = "on" if not trigger.delay else f"{words(trigger.delay)} after"
        doing = "entering" if trigger.on == "entered" else "leaving"
        clauses = [f"{after} {doing} {trigger.segment}, {_WAYS[config.kind]} over {trigger.channel}"]
        clauses += _limits(trigger, config.caps, trigger.quiet or config.quiet)
        yield f"{key}: {', '.join(clauses)}"


def _limits(trigger: Trigger, caps: Caps, quiet: Quiet | None) -> Iterator[str]:
    if trigger.cool_down is not None:
        yield f"at most one in {words(trigger.cool_down)}"
    if trigger.reentry == "once":
        yield "once for ever"
    elif isinstance(trigger.reentry, Again):
        yield f"again after {words(trigger.reentry.after)}"
    for most, window in ((caps.per_day, "a day"), (caps.per_week, "a week")):
        if most is not None:
            yield f"at most {most} {window} over the channel"
    if quiet is not None:
        yield f"not from {quiet.from_:%H:%M} to {quiet.to:%H:%M} ({_THEN[quiet.then]})"
