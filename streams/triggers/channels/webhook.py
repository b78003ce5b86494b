"""Webhooks: a signed POST per Standard Webhooks 1.0 (https://www.standardwebhooks.com), to one endpoint.

The one rule: the id is the action's key, the same for each attempt, so that the receiver can drop repeats.
Redirects are not followed: an endpoint that moved is a refusal.

See also: `streams.triggers.retries` (when an attempt is made again), `streams.triggers.endpoint` (the breaker).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec
from standardwebhooks.webhooks import Webhook as Signer

from rules.times import DAY_MS, format_instant
from streams.triggers import ssrf
from streams.triggers.channel_config import WebhookWay
from streams.triggers.messages import AttemptResult, Message, Outcome
from streams.triggers.request_parts import JSON_TYPE, OwnBody
from streams.triggers.templates import MessageTemplates, TemplateFailed

BODY_MAX_BYTES = 256 * 1024
ANSWER_MAX_BYTES = 64 * 1024
_AGAIN = frozenset({408, 409, 425, 429})
_NAMES = {"entered": "Audience Entered", "exited": "Audience Exited"}


class _Kind(msgspec.Struct):
    change: str


_kind = msgspec.json.Decoder(_Kind)


class Webhook:
    """One endpoint. ``words``: the templates by trigger, whose text goes along as ``message``."""

    def __init__(
        self,
        config: WebhookWay,
        secrets: Sequence[str],
        words: Mapping[str, MessageTemplates],
        *,
        url: str | None = None,
        headers: Mapping[str, str] | None = None,
        **connector: Any,
    ) -> None:
        """``url``: where the file names a secret for it; ``headers``: with their secrets.

        Raises `ValueError` for an invalid secret, or a URL that may not be called.
        """
        self._config = config
        content_type = config.body.content_type if isinstance(config.body, OwnBody) else JSON_TYPE
        self._set_headers = {"Content-Type": content_type, **(headers or {})}
        self._signers = [_signer(secret) for secret in secrets]
        self._words = words
        self._options = connector
        self._session: aiohttp.ClientSession | None = None
        try:
            given = url if url is not None else config.url
            assert isinstance(given, str), "the caller opens the secret"
            self._url = ssrf.check_url(given, allow_private=config.allow_private)
        except ssrf.NotAllowed as error:
            raise ValueError(f"url: expected {error}") from None

    async def send(self, message: Message) -> AttemptResult:
        """Make one request. See also `streams.triggers.messages.Channel`."""
        try:
            body = self._body(message)
        except TemplateFailed as failure:
            return AttemptResult(Outcome.REFUSED, f"the template failed ({failure})")
        except ValueError as error:
            return AttemptResult(Outcome.REFUSED, f"the template gives no message ({type(error).__name__})")
        if len(body) > BODY_MAX_BYTES:
            return AttemptResult(Outcome.REFUSED, f"longer than {BODY_MAX_BYTES} bytes")
        try:
            return await self._post(body, self._headers(message, body))
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, ssrf.NotAllowed):
                return AttemptResult(Outcome.REFUSED, "the address is not allowed")
            return AttemptResult(Outcome.FAILED, "no connection")
        except aiohttp.ConnectionTimeoutError:
            return AttemptResult(Outcome.FAILED, "no connection in time")
        except TimeoutError:
            return AttemptResult(Outcome.UNKNOWN, "no answer in time")
        except (aiohttp.ClientError, OSError) as error:  # after a connection, the request may have arrived
            return AttemptResult(Outcome.UNKNOWN, type(error).__name__)

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> AttemptResult:
        request = self._open().request(
            self._config.method, self._url, data=body, headers=headers, allow_redirects=False
        )
        async with request as answer:
            left = ANSWER_MAX_BYTES
            async for part in answer.content.iter_chunked(4_096):  # read, so that the connection can be used again
                left -= len(part)
                if left < 0:
                    answer.close()
                    break
            return judged(answer.status, answer.headers.get("Retry-After"), self._config)

    def _open(self) -> aiohttp.ClientSession:
        """The session, made at first use, as it belongs to the event loop that runs then."""
        if self._session is None:
            limit_s = self._config.timeout / 1000
            self._session = aiohttp.ClientSession(
                connector=ssrf.connector(
                    allow_private=self._config.allow_private, limit=self._config.concurrency, **self._options
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "segmenter"},
                timeout=aiohttp.ClientTimeout(total=limit_s, sock_connect=limit_s / 2),
                trust_env=False,
                auto_decompress=False,  # the answer is thrown away, and a small one could decompress to a large one
            )
        return self._session

    def _headers(self, message: Message, body: bytes) -> dict[str, str]:
        headers = dict(self._set_headers)
        if self._config.idempotency is not None:
            headers[self._config.idempotency] = message.key
        if not self._signers:
            return headers
        at = datetime.fromtimestamp(message.attempted_ms / 1000, UTC)
        signed = " ".join(signer.sign(message.key, at, body.decode()) for signer in self._signers)
        return headers | {
            "webhook-id": message.key,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signed,
        }

    def _body(self, message: Message) -> bytes:
        rendering, _ = self._words[message.wording].say(message)
        if isinstance(self._config.body, OwnBody):
            assert rendering.body is not None, "the templates of the channel's triggers have its body"
            return rendering.body
        rendered = rendering.text
        audience = self._config.body == "audience"
        body = audience_of(message, rendered) if audience else change_of(message, rendered)
        return msgspec.json.encode(body)

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()


def _signer(secret: str) -> Signer:
    try:
        signer = Signer(secret)
        signer.sign("id", datetime.now(UTC), "try")
    except Exception as error:  # noqa: BLE001  # the library lets several kinds through
        raise ValueError(f"a secret is no whsec_… key of Standard Webhooks ({type(error).__name__})") from None
    return signer


def change_of(message: Message, rendered: str | None) -> dict[str, Any]:
    """The default body: the segment change as it was published; ``current``: what its data would be now."""
    extra: dict[str, object] = {} if rendered is None else {"message": rendered}
    if message.variant:
        extra["variant"] = message.variant
    if message.data:
        extra["current"] = message.data
    raw = msgspec.Raw(message.raw)
    return {
        "type": f"segment.{_kind.decode(raw).change}",
        "timestamp": format_instant(message.attempted_ms),
        "data": {"trigger": message.trigger, "change": raw, **extra},
    }


def audience_of(message: Message, rendered: str | None) -> dict[str, Any]:
    """The body in the form of Segment's audience events, for receivers of ``Audience Entered``.

    https://segment.com/docs/engage/using-engage-data/
    """
    change = message.change
    segment, entered = change["segment"], change["change"] == "entered"
    extra = {} if rendered is None else {"message": rendered}
    return {
        "type": "track",
        "event": _NAMES[change["change"]],
        "userId": message.customer,
        "messageId": message.key,
        "timestamp": change["occurred_at"],
        "properties": {"audience_key": segment, "audience_name": segment, segment: entered, **extra},
        "context": {"personas": {"computation_class": "audience", "computation_key": segment}},
    }


def judged(status: int, retry_after: str | None, config: WebhookWay) -> AttemptResult:
    """The result that an HTTP status means; see RFC 9110 for Retry-After."""
    detail = f"status {status}"
    if status in config.success if config.success else 200 <= status < 300:
        return AttemptResult(Outcome.SENT)
    if status == 410 and status not in config.again:
        return AttemptResult(Outcome.GONE, detail)
    if status in _AGAIN or status >= 500 or status in config.again:
        return AttemptResult(Outcome.FAILED, detail, waited(retry_after))
    return AttemptResult(Outcome.REFUSED, detail)


def waited(retry_after: str | None) -> int | None:
    """Retry-After in ms from now, at most a day; ``None``: there is none that can be read."""
    if retry_after is None:
        return None
    written = retry_after.strip()
    if written.isascii() and written.isdigit():
        return min(int(written.lstrip("0")[:9] or "0") * 1000, DAY_MS)
    try:
        at = parsedate_to_datetime(written)
    except Exception:  # noqa: BLE001  # the text is foreign, and the library lets several kinds through
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0, min(int((at - datetime.now(UTC)).total_seconds() * 1000), DAY_MS))
