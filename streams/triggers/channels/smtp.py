"""E-mail over SMTP: one connection and one message for an attempt.

The one rule: what the server has not answered after the whole message was said is unknown, not failed; the
Message-ID is made of the action's key, so that two copies of one message are known for one.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import formatdate, parseaddr
from hashlib import sha256

import aiosmtplib
from jinja2 import TemplateError

from streams.triggers.channels.base import Message, Outcome, Result
from streams.triggers.config import EmailWay
from streams.triggers.templates import TooLong, Words

_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[^\s@<>,;:\"()\[\]\\]{1,255}")
_PERMANENT = 500  # RFC 5321, 4.2.1: from here on it is no for good


class Smtp:
    """One mail server. ``words``: by trigger, what is written."""

    def __init__(
        self,
        way: EmailWay,
        password: str | None,
        words: Mapping[str, Words],
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """``ssl_context``: of the server's certificate; none: the system's authorities. Raises `ValueError`."""
        name, address = parseaddr(way.from_)
        if not _ADDRESS.fullmatch(address):
            raise ValueError("from: expected an address such as Shop <shop@example.com>")
        self._from = Address(name, addr_spec=address)
        self._way = way
        self._password = password
        self._words = words
        self._ssl_context = ssl_context

    async def send(self, message: Message) -> Result:
        """As `streams.triggers.channels.base.Channel`."""
        address = message.contact.get("email", "").strip()
        if not _ADDRESS.fullmatch(address):
            return Result(Outcome.REFUSED, "no address")
        try:
            mail = self.compose(message, address)
        except (TemplateError, TooLong, TypeError, ValueError) as error:
            return Result(Outcome.REFUSED, f"the template failed ({type(error).__name__})")
        return await self._deliver(mail)

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _deliver(self, mail: EmailMessage) -> Result:
        client, said = self._client(), False
        try:
            async with asyncio.timeout(self._way.timeout / 1000):  # of all of it; the client's is of each command
                options = await self._enter(client, mail)
                await client.mail(mail["From"].addresses[0].addr_spec, options=options)
                await client.rcpt(mail["To"].addresses[0].addr_spec)
                said = True  # from here on the server may have taken it, whatever is heard of it
                await client.data(mail.as_bytes(policy=SMTPUTF8 if options else SMTP))
        except aiosmtplib.SMTPAuthenticationError as error:
            return Result(Outcome.FAILED, f"the server does not let us in ({error.code})")
        except aiosmtplib.SMTPResponseException as error:
            return Result(Outcome.REFUSED if error.code >= _PERMANENT else Outcome.FAILED, f"status {error.code}")
        except aiosmtplib.SMTPNotSupported:
            return Result(Outcome.REFUSED, "the server cannot take such an address")
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
            return Result(Outcome.UNKNOWN if said else Outcome.FAILED, type(error).__name__)
        finally:
            client.close()
        return Result(Outcome.SENT)

    async def _enter(self, client: aiosmtplib.SMTP, mail: EmailMessage) -> list[str]:
        """Connect, and say who we are; what such addresses need (RFC 6531)."""
        await client.connect()
        await client.ehlo()
        if self._way.user is not None and self._password is not None:
            await client.login(self._way.user, self._password)
        if str(mail["To"]).isascii():
            return []
        if not client.supports_extension("smtputf8"):
            raise aiosmtplib.SMTPNotSupported("SMTPUTF8")
        return ["SMTPUTF8"]

    def _client(self) -> aiosmtplib.SMTP:
        way = self._way
        return aiosmtplib.SMTP(
            hostname=way.host,
            port=way.port,
            use_tls=way.tls == "tls",
            start_tls=way.tls == "starttls",
            tls_context=self._ssl_context,
            timeout=way.timeout / 1000,
        )

    def compose(self, message: Message, address: str) -> EmailMessage:
        """The mail. Raises `ValueError` for a header of several lines, and what templates raise."""
        said, unsubscribe = self._words[message.trigger].say(message)
        mail = EmailMessage()
        mail["From"] = self._from
        mail["To"] = Address(addr_spec=address)
        mail["Subject"] = said.subject or ""
        mail["Date"] = formatdate(message.attempted_ms / 1000, usegmt=True)
        mail["Message-ID"] = f"<{sha256(message.key.encode()).hexdigest()[:32]}@{self._from.domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        if self._way.reply_to is not None:
            mail["Reply-To"] = self._way.reply_to
        if unsubscribe:
            _unsubscribing(mail, unsubscribe)
        mail.set_content(said.text or "")
        if said.html is not None:
            mail.add_alternative(said.html, subtype="html")
        return mail


def _unsubscribing(mail: EmailMessage, address: str) -> None:
    """RFC 2369, and RFC 8058 where one click is enough."""
    if any(sign in address for sign in "\r\n<>"):
        raise ValueError("an address of one line")
    mail["List-Unsubscribe"] = f"<{address}>"
    if address.startswith("https://"):
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
