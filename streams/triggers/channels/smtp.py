"""E-mail over SMTP: one connection and one message for an attempt.

The one rule: an attempt is unknown, not failed, where the server has not answered after the whole message was sent. The
Message-ID is made of the action's key, so that a mail program can recognise two copies of one message. To get as far as
DATA may take seconds, so the customer's memberships are looked up once more right before it.

See also: `streams.triggers.channels.mime` (the bytes of a message), and `streams.triggers.dispatcher` (the order around
an attempt).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, getaddresses, parseaddr
from hashlib import sha256
from typing import NamedTuple

import aiosmtplib

from streams.triggers.channel_config import EmailWay
from streams.triggers.channels import mime
from streams.triggers.messages import AttemptResult, Message, Outcome
from streams.triggers.templates import MessageTemplates, NotAnAddress, TemplateFailed

_PERMANENT = 500  # RFC 5321, 4.2.1: from this status on a refusal is permanent


class OutgoingMail(NamedTuple):
    """A message with the two addresses of its SMTP envelope."""

    sender: str
    recipient: str
    content: bytes

    @property
    def needs_utf8(self) -> bool:
        """Whether an address is more than ASCII (RFC 6531); texts and bodies never are once they are written."""
        return not self.content.isascii()


class Smtp:
    """One mail server. ``words``: the templates by trigger."""

    def __init__(
        self,
        config: EmailWay,
        password: str | None,
        words: Mapping[str, MessageTemplates],
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """``ssl_context``: verifies the server's certificate; ``None``: by the system's authorities.

        Raises `ValueError` for an address of the channel that is none.
        """
        name, self._sender = parseaddr(config.from_)
        if not mime.is_address(self._sender):
            raise ValueError("from: expected an address such as Shop <shop@example.com>")
        self._from = mime.address_field("From", [(name, self._sender)])
        self._reply_to: list[mime.Field] = []
        if config.reply_to is not None:
            try:
                self._reply_to.append(mime.address_field("Reply-To", getaddresses([config.reply_to])))
            except ValueError as error:
                raise ValueError(f"reply_to: {error}") from None
        self._config = config
        self._password = password
        self._words = words
        self._ssl_context = ssl_context

    async def send(self, message: Message) -> AttemptResult:
        """Send one mail. See also `streams.triggers.messages.Channel`."""
        address = message.contact.get("email", "").strip()
        if not mime.is_address(address):
            return AttemptResult(Outcome.REFUSED, "no address")
        try:
            mail = self.compose(message, address)
        except (mime.NotAsMeant, NotAnAddress) as error:
            return AttemptResult(Outcome.REFUSED, str(error))
        except TemplateFailed as failure:
            return AttemptResult(Outcome.REFUSED, f"the template failed ({failure})")
        except ValueError as error:
            return AttemptResult(Outcome.REFUSED, f"the template gives no message ({type(error).__name__})")
        return await self._deliver(mail, message)

    async def close(self) -> None:
        """Do nothing: no connection stays open."""

    async def _deliver(self, mail: OutgoingMail, message: Message) -> AttemptResult:
        client, may_have_arrived = self._client(), False
        try:
            # The time limit of the whole attempt; the client's own is of each command.
            async with asyncio.timeout(self._config.timeout / 1000) as bound:
                options = await self._enter(client, mail)
                encoding = "utf-8" if options else "ascii"
                await client.mail(mail.sender, options=options, encoding=encoding)
                await client.rcpt(mail.recipient, encoding=encoding)
                against = await _look(message, bound)
                if against is not None:
                    return AttemptResult(Outcome.GIVEN_BACK, against)
                may_have_arrived = True  # from here on the server may have accepted it, whatever it answers
                await client.data(mail.content)
        except aiosmtplib.SMTPAuthenticationError as error:
            return AttemptResult(Outcome.FAILED, f"the server refuses the login ({error.code})")
        except aiosmtplib.SMTPResponseException as error:
            return AttemptResult(
                Outcome.REFUSED if error.code >= _PERMANENT else Outcome.FAILED, f"status {error.code}"
            )
        except aiosmtplib.SMTPNotSupported:
            return AttemptResult(Outcome.REFUSED, "the server cannot take such an address")
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
            return AttemptResult(Outcome.UNKNOWN if may_have_arrived else Outcome.FAILED, type(error).__name__)
        finally:
            client.close()
        return AttemptResult(Outcome.SENT)

    async def _enter(self, client: aiosmtplib.SMTP, mail: OutgoingMail) -> list[str]:
        """Connect and log in. Returns the options of MAIL that this mail's addresses need (RFC 6531)."""
        await client.connect()
        await client.ehlo()
        if self._config.user is not None and self._password is not None:
            await client.login(self._config.user, self._password)
        if not mail.needs_utf8:
            return []
        if not client.supports_extension("smtputf8"):
            raise aiosmtplib.SMTPNotSupported("SMTPUTF8")
        return ["SMTPUTF8"]

    def _client(self) -> aiosmtplib.SMTP:
        config = self._config
        return aiosmtplib.SMTP(
            hostname=config.host,
            port=config.port,
            use_tls=config.tls == "tls",
            start_tls=config.tls == "starttls",
            tls_context=self._ssl_context,
            timeout=config.timeout / 1000,
        )

    def compose(self, message: Message, address: str) -> OutgoingMail:
        """Write the message and read it back. Raises `mime.NotAsMeant`, `TemplateFailed` or `ValueError`."""
        rendered, unsubscribe = self._words[message.wording].say(message)
        # By the message's key, so that each attempt has the same Message-ID and a mail server can drop a repeat.
        digest = sha256(message.key.encode()).hexdigest()[:32]
        fields = [
            self._from,
            mime.address_field("To", [("", address)]),
            mime.text_field("Subject", rendered.subject or ""),
            mime.literal_field("Date", format_datetime(datetime.fromtimestamp(message.attempted_ms // 1000, UTC))),
            mime.literal_field("Message-ID", f"<{digest}@{self._sender.rpartition('@')[2]}>"),
            mime.literal_field("Auto-Submitted", "auto-generated"),
            *self._reply_to,
            *_unsubscribing(unsubscribe),
        ]
        parts = [mime.body("plain", rendered.text or "")]
        if rendered.html is not None:
            parts.append(mime.body("html", rendered.html))
        meant = mime.Mail(fields, parts, f"=_{digest}")
        content = mime.write(meant)
        mime.verify(content, meant)
        return OutgoingMail(self._sender, address, content)


async def _look(message: Message, bound: asyncio.Timeout) -> str | None:
    """Take the last look: why the message must not be sent now. The time limit of the mail server stands meanwhile."""
    now = asyncio.get_running_loop().time
    left = (bound.when() or now()) - now()
    bound.reschedule(None)
    against = await message.against()
    bound.reschedule(now() + left)
    return against


def _unsubscribing(address: str | None) -> list[mime.Field]:
    """The headers to unsubscribe: RFC 2369, and RFC 8058 (one click) for an https address."""
    if not address:
        return []
    try:
        fields = [mime.literal_field("List-Unsubscribe", f"<{address}>")]
    except ValueError as error:
        raise NotAnAddress(f"the address to unsubscribe at is {error}") from None
    if address.startswith("https://"):
        fields.append(mime.literal_field("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    return fields
