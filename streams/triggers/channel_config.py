"""The channels of a triggers file: how messages go out, and the limits of each way.

See also: `streams.triggers.config`, the whole file, and `streams.triggers.channels`, which send.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from rules.times import DAY_MS, HOUR_MS, SECOND_MS
from streams.triggers import ssrf
from streams.triggers.file_values import TriggerDuration
from streams.triggers.request_parts import AnswerStatus, HeaderName, HeaderText, Model, OwnBody, Secret
from streams.triggers.send_times import Quiet, SendTimes


def _url(value: str) -> str:
    try:
        ssrf.parsed(value)
    except ssrf.NotAllowed as error:
        raise ValueError(f"is not {error}; write it as https://example.com/path") from None
    return value


class Caps(Model):
    """The most messages to one customer in any hour, any 24 hours, any 7 days and any 30 days."""

    per_hour: int | None = Field(None, ge=1, le=500)
    per_day: int | None = Field(None, ge=1, le=500)
    per_week: int | None = Field(None, ge=1, le=500)
    per_month: int | None = Field(None, ge=1, le=500)

    @property
    def limits(self) -> list[tuple[int, int, str]]:
        """The caps that are set, each as the most messages, the window (ms), and the window in words."""
        windows = (
            (self.per_hour, HOUR_MS, "an hour"), (self.per_day, DAY_MS, "a day"), (self.per_week, 7 * DAY_MS, "a week"),
            (self.per_month, 30 * DAY_MS, "in 30 days"),
        )  # fmt: skip
        return [(most, window, name) for most, window, name in windows if most is not None]


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
    send: SendTimes | None = None
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


class LinksConfig(Model):
    """Links of messages that lead to the gateway: its ``base`` address, and the secret which it shares."""

    base: Annotated[str, Field(pattern=r"^https?://[^/?#\s]+(/[^?#\s]*)?$")]
    secret: Secret
