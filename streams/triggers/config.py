"""The triggers file: which change of which segment starts which message, and when it may be sent.

The one rule: nothing starts on a wrong file. Every error names the file, the path inside it and what would be right,
and all errors of a file are reported together.

See also: `streams.triggers.config_file` (reads it), and `streams.triggers.policy` (applies it).
"""

from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from rules.forms import value_test_parsing
from rules.times import DAY_MS, DURATION_FORM, HOUR_MS, SECOND_MS
from rules.value_tests import ValueTest
from streams.triggers import locales, ssrf
from streams.triggers.request_parts import AnswerStatus, HeaderName, HeaderSecret, HeaderText, Model, OwnBody, Secret

KEY = r"^[a-z][a-z0-9_]{0,63}$"
WEEK_MS = 7 * DAY_MS
# Former messages of a customer are stored for this long, so no cap and no cool-down can be longer.
LOOK_BACK_MAX_MS = 366 * DAY_MS


def _zone(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected the name of a time zone such as Asia/Tehran")  # noqa: TRY004 (pydantic reports it)
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{value!r} is not a time zone; write a name such as Asia/Tehran") from None
    return value


def _delay(value: object) -> int:
    return 0 if value == 0 and not isinstance(value, bool) else value_test_parsing.duration(value)


def _within_look_back(value: int) -> int:
    if value > LOOK_BACK_MAX_MS:
        raise ValueError(f"is longer than {LOOK_BACK_MAX_MS // DAY_MS}d, which is how long former messages are kept")
    return value


def _url(value: str) -> str:
    try:
        ssrf.parsed(value)
    except ssrf.NotAllowed as error:
        raise ValueError(f"is not {error}; write it as https://example.com/path") from None
    return value


def _clock_time(value: object) -> time:
    # YAML 1.1 reads 22:00 without quotes as a number in base 60.
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
        return time(value // 60, value % 60)
    if isinstance(value, str) and len(value) == 5 and value[2] == ":":
        try:
            return time.fromisoformat(value)
        except ValueError:
            pass
    raise ValueError(f"{value!r} is not a time of day; write it as '22:00'")


# Types of the file's values: each is written as text (`WithJsonSchema`) and read into milliseconds, a time or a test.
TriggerDuration = Annotated[
    int,
    BeforeValidator(value_test_parsing.duration),
    WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,8}(ms|s|m|h|d)$", "description": DURATION_FORM}),
]
# A duration that is compared with former messages.
LookBackDuration = Annotated[TriggerDuration, AfterValidator(_within_look_back)]
Delay = Annotated[
    int,
    BeforeValidator(_delay),
    WithJsonSchema({"anyOf": [{"const": 0}, {"type": "string", "pattern": "^[1-9][0-9]{0,8}(ms|s|m|h|d)$"}]}),
]
Zone = Annotated[str, BeforeValidator(_zone), WithJsonSchema({"type": "string", "examples": ["Asia/Tehran"]})]
LocaleName = Annotated[
    str, BeforeValidator(locales.name), WithJsonSchema({"type": "string", "examples": ["de_DE", "fa_IR"]})
]
ClockTime = Annotated[
    time,
    BeforeValidator(_clock_time),
    WithJsonSchema({"type": ["string", "integer"], "pattern": "^[0-2][0-9]:[0-5][0-9]$", "examples": ["22:00"]}),
]
Test = Annotated[
    Any,
    BeforeValidator(value_test_parsing.value_test),
    WithJsonSchema({"type": ["string", "number", "boolean", "object"], "description": "as a test in segments"}),
]


class Caps(Model):
    """The most messages to one customer in any 24 hours and in any 7 days."""

    per_day: int | None = Field(None, ge=1, le=500)
    per_week: int | None = Field(None, ge=1, le=500)


class Quiet(Model):
    """Hours in the customer's time zone in which nothing is sent; over midnight where ``from`` is later than ``to``."""

    from_: ClockTime = Field(alias="from")
    to: ClockTime
    then: Literal["defer", "drop"] = "defer"

    @model_validator(mode="after")
    def _is_part_of_a_day(self) -> Quiet:
        if self.from_ == self.to:
            raise ValueError("from and to are the same; quiet hours are a part of the day")
        return self


class HoldOut(Model):
    """A stable share of the customers, chosen as by `sample` in segments, which is sent nothing."""

    percent: float = Field(gt=0, le=100)
    salt: str = Field(min_length=1)


class Retry(Model):
    """How often and for how long failed attempts are repeated: after ``first``, then twice as long, up to ``most``."""

    attempts: int = Field(10, ge=1, le=100)
    first: TriggerDuration = 5 * SECOND_MS
    most: TriggerDuration = HOUR_MS
    budget: TriggerDuration = DAY_MS


class _ChannelKeys(Model):
    """The keys that all kinds of channels have.

    ``concurrency``: attempts at one time, ``rate``: attempts a second, both per worker.
    """

    caps: Caps = Caps()
    quiet: Quiet | None = None
    concurrency: int = Field(8, ge=1, le=256)
    rate: float | None = Field(None, gt=0, le=10_000)
    timeout: TriggerDuration = 15 * SECOND_MS
    retry: Retry = Retry()


class EmailWay(_ChannelKeys):
    """E-mail over SMTP. ``after_crash``: what becomes of an attempt whose outcome is unknown."""

    kind: Literal["email"]
    host: str = Field(min_length=1)
    port: int = Field(587, ge=1, le=65_535)
    tls: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password: Secret | None = None
    from_: str = Field(alias="from", min_length=3)
    reply_to: str | None = None
    list_unsubscribe: str | None = Field(
        None, description="an https or mailto address; a template in which each {{ }} is url-encoded"
    )
    after_crash: Literal["drop", "send"] = "drop"


class WebhookWay(_ChannelKeys):
    """A call over HTTPS. With ``allow_private``, http and private addresses are allowed, too.

    It is signed with ``secrets``, which are needed unless the body is one of another product's API. ``success``: the
    statuses that accept a message, by default all of 200 to 299; ``again``: further ones after which it is tried again.
    ``idempotency``: the header that has the key of the message, the same for each attempt.
    """

    kind: Literal["webhook"]
    url: Annotated[str, Field(pattern=r"^https?://"), AfterValidator(_url)] | Secret
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    headers: dict[HeaderName, HeaderText] = Field({}, max_length=32)
    secrets: tuple[Secret, ...] | None = Field(None, min_length=1, max_length=4)
    body: Literal["change", "audience"] | OwnBody = "change"
    success: tuple[AnswerStatus, ...] | None = Field(None, min_length=1)
    again: tuple[AnswerStatus, ...] = ()
    idempotency: HeaderName | None = None
    allow_private: bool = False
    after_crash: Literal["drop", "send"] = "send"

    @model_validator(mode="after")
    def _is_signed(self) -> WebhookWay:
        if self.secrets is None and not isinstance(self.body, OwnBody):
            raise ValueError("secrets: this key is missing; the receiver verifies a change by its signature")
        return self


class ConsoleWay(_ChannelKeys):
    """A line on standard output, for trying out."""

    kind: Literal["console"]
    after_crash: Literal["drop", "send"] = "send"


# The classes are called ways, as their names are titles of the published schema.
ChannelConfig: TypeAlias = Annotated[EmailWay | WebhookWay | ConsoleWay, Field(discriminator="kind")]


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


class Trigger(Model):
    """One change of one segment, and the message that it starts.

    If messages of one channel to one customer are due within the file's ``window`` of one another, those of the
    highest ``priority`` are sent. ``expires``: a message that is later than this after its time is not sent.
    """

    title: str | None = None
    segment: str = Field(pattern=KEY)
    on: Literal["entered", "exited"] = "entered"
    channel: str = Field(pattern=KEY)
    delay: Delay = 0
    where: Where = Where()
    backfill: bool = False
    template: Template = Template()
    expires: TriggerDuration = DAY_MS
    priority: int = Field(0, ge=-1_000, le=1_000)
    cool_down: LookBackDuration | None = None
    quiet: Quiet | None = None
    reentry: Annotated[Literal["always", "once"] | Again, BeforeValidator(_reentry)] = "always"


class TriggersFile(Model):
    """The whole file. ``contact``: names for messages, and the trait that each is taken from.

    ``email`` and ``timezone`` among them are used by the channels and the quiet hours. ``locale``: how amounts and
    dates in messages are written, where a template does not say. ``suppress``: a
    customer with a trait that meets its test is sent nothing. ``consent``: by channel, tests of traits
    all of which must be met.
    """

    version: Literal[1]
    timezone: Zone = "UTC"
    locale: LocaleName = "en"
    contact: dict[Annotated[str, Field(pattern=KEY)], Annotated[str, Field(min_length=1)]] = Field({})
    suppress: dict[str, Test] = Field({})
    consent: dict[str, dict[str, Test]] = Field({})
    hold_out: HoldOut | None = None
    caps: Caps = Caps()
    window: Delay = 0
    channels: dict[Annotated[str, Field(pattern=KEY)], ChannelConfig] = Field(min_length=1)
    triggers: dict[Annotated[str, Field(pattern=KEY)], Trigger] = Field(min_length=1)

    @property
    def traits(self) -> frozenset[str]:
        """The traits of identify that triggers store. Of a dotted name, which reaches into objects, it is the first."""
        tested = [name for tests in self.consent.values() for name in tests]
        return frozenset(name.split(".")[0] for name in (*self.contact.values(), *self.suppress, *tested))


__all__ = [
    "Again", "Caps", "ConsoleWay", "EmailWay", "HeaderSecret", "HoldOut", "OwnBody", "Quiet", "Retry", "Secret",
    "Template", "Trigger", "TriggersFile", "ValueTest", "WebhookWay", "Where",
]  # fmt: skip
