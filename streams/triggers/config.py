"""The triggers file: which change of which segment starts which message, and when it may be sent.

The one rule: nothing starts on a wrong file. Every error names the file, the path inside it and what would be right,
and all errors of a file are reported together.

See also: `streams.triggers.config_file` (reads it), and `streams.triggers.policy` (applies it).
"""

from __future__ import annotations

import re
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from rules.times import DAY_MS
from streams.triggers import variants
from streams.triggers.channel_config import Caps, ChannelConfig, LinksConfig
from streams.triggers.file_values import (
    KEY,
    Delay,
    GoalEvents,
    LocaleName,
    LookBackDuration,
    TestedTrait,
    TriggerDuration,
    Zone,
)
from streams.triggers.request_parts import Model
from streams.triggers.send_times import Quiet, SendTimes


class HoldOut(Model):
    """A stable share of the customers, chosen as by `sample` in segments, which is sent nothing."""

    percent: float = Field(gt=0, le=100)
    salt: str = Field(min_length=1)


def _text(value: object) -> object:
    if value is None or isinstance(value, str) or (isinstance(value, dict) and value.keys() == {"file"}):
        return value
    raise ValueError("expected a text, or {file: PATH}")


TemplateText: TypeAlias = Annotated[str | dict[Literal["file"], Path] | None, BeforeValidator(_text)]


class Template(Model):
    """The text of a message: Jinja templates, each written here or, as ``{file: …}``, in a file beside this one."""

    subject: str | None = None
    text: TemplateText = None
    html: TemplateText = None


class Where(Model):
    """Further conditions on a change: it starts a message only if it meets them all."""

    late: bool | None = None
    cause: tuple[Literal["event", "time", "definition", "merge", "erasure"], ...] | None = None
    also_in: tuple[str, ...] = ()  # segments that the customer is in after the change
    not_in: tuple[str, ...] = ()


class Again(Model):
    """The least time since the last message of this trigger to the customer."""

    after: LookBackDuration


def _reentry(value: object) -> object:
    if isinstance(value, dict) or value in ("always", "once"):
        return value
    raise ValueError(f"{value!r} is none; write always, once or {{after: 30d}}")


_MEMBERSHIP = re.compile(r"(not )?in ([a-z][a-z0-9_]{0,63})")
_MEMBERSHIP_SCHEMA = {"type": "string", "pattern": f"^{_MEMBERSHIP.pattern}$"}


class MembershipTest(Model):
    """A test of one segment at the last look: ``in KEY`` or ``not in KEY``."""

    segment: str
    is_in: bool

    def __str__(self) -> str:
        return f"in {self.segment}" if self.is_in else f"not in {self.segment}"


def _memberships(value: object) -> object:
    texts = value if isinstance(value, list) else [value]
    tests = [_MEMBERSHIP.fullmatch(text) if isinstance(text, str) else None for text in texts]
    if not texts or None in tests:
        raise ValueError("expected in SEGMENT, not in SEGMENT, or a list of them")
    return tuple(MembershipTest(segment=test[2], is_in=not test[1]) for test in tests if test is not None)


MembershipTests: TypeAlias = Annotated[
    tuple[MembershipTest, ...],
    BeforeValidator(_memberships),
    WithJsonSchema({
        "anyOf": [_MEMBERSHIP_SCHEMA, {"type": "array", "items": _MEMBERSHIP_SCHEMA, "minItems": 1}],
        "examples": ["in recently_purchased"],
    }),
]  # fmt: skip


class Variant(Model):
    """One of several messages of a trigger, each of which a stable share of the customers gets."""

    weight: int = Field(1, ge=1, le=1_000)
    template: Template = Template()


Variants: TypeAlias = Annotated[dict[Annotated[str, Field(pattern=KEY)], Variant], Field(max_length=16)]


class TriggerHoldOut(Model):
    """A stable share of the customers which gets no message of this trigger; ``salt``: the trigger's key by default."""

    percent: float = Field(gt=0, le=100)
    salt: str | None = Field(None, min_length=1)


class Goal(Model):
    """What a message is to bring about: an event ``within`` some time after the message was due.

    ``of``: the property of the event that is worth money; by default an order's total.
    """

    event: GoalEvents
    within: LookBackDuration
    of: str = Field("total", min_length=1)


class NextMessage(Model):
    """The second message of a series, ``after`` the first was sent, or may have been; other keys as in the first.

    ``if_ended``: whether it is sent although the stay (or absence) that the change began has ended.
    """

    after: TriggerDuration
    unless: MembershipTests = ()
    if_ended: Literal["skip", "send"] | None = None
    channel: Annotated[str, Field(pattern=KEY)] | None = None
    template: Template = Template()
    variants: Variants = Field({})


class Trigger(Model):
    """One change of one segment, and the message that it starts.

    If messages of one channel to one customer are due within the file's ``window`` of one another, those of the
    highest ``priority`` are sent. ``expires``: a message that is later than this after its time is not sent.
    ``hold_out``: who gets no message, and is compared with the others by ``goal``.
    ``unless``: it is not sent if one of these holds at the last look; ``if_ended``: see `NextMessage`. Of ``variants``,
    each has the texts of ``template`` that it does not write itself.
    """

    title: str | None = None
    segment: str = Field(pattern=KEY)
    on: Literal["entered", "exited"] = "entered"
    channel: str = Field(pattern=KEY)
    delay: Delay = 0
    where: Where = Where()
    unless: MembershipTests = ()
    if_ended: Literal["skip", "send"] | None = None
    backfill: bool = False
    template: Template = Template()
    variants: Variants = Field({})
    expires: TriggerDuration = DAY_MS
    priority: int = Field(0, ge=-1_000, le=1_000)
    cool_down: LookBackDuration | None = None
    quiet: Quiet | None = None
    send: SendTimes | None = None
    reentry: Annotated[Literal["always", "once"] | Again, BeforeValidator(_reentry)] = "always"
    then: NextMessage | None = None
    hold_out: TriggerHoldOut | None = None
    goal: Goal | None = None


class Step(Trigger):
    """One message of a trigger: its only one, or one of its series. ``delay``: since the change, or the first message.

    ``of``: the key of the trigger. ``hold_outs``: the file's and the trigger's own. ``quiet`` and ``send``: the
    trigger's own, else those of its channel.
    ``next_step``: that of the step after it, if there is one.
    """

    of: str
    hold_outs: tuple[HoldOut, ...] = ()
    is_second: bool = False
    next_step: str | None = None

    @cached_property
    def divided_by(self) -> str | None:
        """An identity of the hold-outs, which changes with their shares and salts; ``None``: there is none."""
        texts = [f"{hold_out.percent!r} {hold_out.salt}" for hold_out in self.hold_outs]
        return sha256("\0".join(texts).encode()).hexdigest()[:12] if texts else None

    @cached_property
    def wordings(self) -> dict[str, Template]:
        """The templates of each variant, those of the message below its own; of the key "" where there are none."""
        own = {key: variant.template.model_dump(exclude_none=True) for key, variant in self.variants.items()}
        return {key: self.template.model_copy(update=parts) for key, parts in (own or {"": {}}).items()}

    @property
    def place(self) -> str:
        """The path in the file at which the message stands."""
        return f"triggers.{self.of}.then" if self.is_second else f"triggers.{self.of}"

    def place_of(self, part: str, variant: str) -> str:
        """The path in the file at which a part of a template stands, or should."""
        is_own = variant and getattr(self.variants[variant].template, part) is not None
        return f"{self.place}.variants.{variant}.template.{part}" if is_own else f"{self.place}.template.{part}"

    def variant_of(self, customer: str) -> str:
        """The key of the variant that a customer gets; "": the message has none.

        Drawn by the key of the trigger, so that a customer has the same variant in both messages of a series.
        """
        return variants.drawn({key: variant.weight for key, variant in self.variants.items()}, self.of, customer)


def _steps_of(key: str, trigger: Trigger, file: TriggersFile) -> dict[str, Step]:
    """The steps of a trigger by their keys: the first has that of the trigger, which no other trigger can have."""
    parts = {name: getattr(trigger, name) for name in Trigger.model_fields} | {"unless": file.unless + trigger.unless}
    own = trigger.hold_out
    hold_outs = [file.hold_out, None if own is None else HoldOut(percent=own.percent, salt=own.salt or key)]
    parts |= {"of": key, "hold_outs": tuple(hold_out for hold_out in hold_outs if hold_out is not None)}
    second = trigger.then
    if second is None:
        return {key: _step(parts, file)}
    second_key = f"{key}-2"
    of_second = {
        "delay": second.after, "unless": file.unless + second.unless, "channel": second.channel or trigger.channel,
        "template": second.template, "variants": second.variants, "then": None, "if_ended": second.if_ended,
        "is_second": True,
    }  # fmt: skip
    return {key: _step({**parts, "next_step": second_key}, file), second_key: _step({**parts, **of_second}, file)}


def _step(parts: dict[str, Any], file: TriggersFile) -> Step:
    channel = file.channels.get(parts["channel"])  # a missing channel is reported by `config_file`
    if channel is not None:
        parts |= {"quiet": parts["quiet"] or channel.quiet, "send": parts["send"] or channel.send}
    return Step.model_construct(**parts)


class TriggersFile(Model):
    """The whole file. ``contact``: names for messages, and the trait that each is taken from.

    ``email`` and ``timezone`` among them are used by the channels and the quiet hours. ``locale``: how amounts and
    dates in messages are written, where a template does not say. ``suppress``: a
    customer with a trait that meets its test is sent nothing. ``consent``: by channel, tests of traits
    all of which must be met. ``unless``: a customer who is in one of these segments, or not in it, is sent nothing.
    ``events``: what was sent, or failed for good, becomes an event of the customer on
    ``visits``, so that segments can ask for it. ``links``: gives templates ``unsubscribe_url`` and ``click(address)``.
    """

    version: Literal[1]
    timezone: Zone = "UTC"
    locale: LocaleName = "en"
    contact: dict[Annotated[str, Field(pattern=KEY)], Annotated[str, Field(min_length=1)]] = Field({})
    suppress: dict[str, TestedTrait] = Field({})
    consent: dict[str, dict[str, TestedTrait]] = Field({})
    unless: MembershipTests = ()
    hold_out: HoldOut | None = None
    caps: Caps = Caps()
    window: Delay = 0
    events: bool = False
    links: LinksConfig | None = None
    channels: dict[Annotated[str, Field(pattern=KEY)], ChannelConfig] = Field(min_length=1)
    triggers: dict[Annotated[str, Field(pattern=KEY)], Trigger] = Field(min_length=1)

    @cached_property
    def steps(self) -> dict[str, Step]:
        """The messages of all triggers by the keys that decisions have: ``KEY``, and ``KEY-2`` of a second one."""
        return {
            key: step for of, trigger in self.triggers.items() for key, step in _steps_of(of, trigger, self).items()
        }

    @cached_property
    def asks_for_hour(self) -> bool:
        """Whether some message is sent by the time of the customer's day, for which the time zone is needed."""
        return any(way.quiet or way.send for way in (*self.channels.values(), *self.triggers.values()))

    @property
    def traits(self) -> frozenset[str]:
        """The traits of identify that triggers store. Of a dotted name, which reaches into objects, it is the first."""
        tested = [name for tests in self.consent.values() for name in tests]
        return frozenset(name.split(".")[0] for name in (*self.contact.values(), *self.suppress, *tested))
