"""Makes channels from the triggers file: a new kind is a file of its own and a line here.

An error in a channel or a template is reported at the start, with its path in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from rules.definitions.segments_file import Definitions, DefinitionsError
from rules.forms.problems import Problem
from streams.http.message_links import MessageLinks
from streams.http.signed_tokens import SECRET_MIN_CHARS
from streams.triggers.channel_config import ChannelConfig, EmailWay, WebhookWay
from streams.triggers.channels.console import Console
from streams.triggers.channels.smtp import Smtp
from streams.triggers.channels.webhook import Webhook
from streams.triggers.config import TriggersFile
from streams.triggers.messages import Channel, wording
from streams.triggers.request_parts import HeaderSecret, OwnBody, Secret, is_header_text
from streams.triggers.secrets import opened
from streams.triggers.templates import MessageSubject, MessageTemplates


def channels(
    file: TriggersFile, path: Path, definitions: Definitions, environment: Mapping[str, str], stream: TextIO
) -> dict[str, Channel]:
    """The channels by key. ``path``: of the file; paths in it are relative to it. Raises `DefinitionsError`."""
    links, problems = _links(file, environment, path.parent)
    templates_of, of_words = words(file, path, definitions, links)
    problems += of_words
    channels_by_key: dict[str, Channel] = {}
    for key, config in file.channels.items():
        try:
            channels_by_key[key] = _channel(config, templates_of, environment, path.parent, stream)
        except ValueError as error:
            problems.append(Problem(f"channels.{key}", str(error)))
    if problems:
        raise DefinitionsError(str(path), problems)
    return channels_by_key


def _links(
    file: TriggersFile, environment: Mapping[str, str], folder: Path
) -> tuple[MessageLinks | None, list[Problem]]:
    """What makes the links of messages, and what is wrong with its secret."""
    if file.links is None:
        return None, []
    try:
        secret = opened(file.links.secret, environment, folder)
    except ValueError as error:
        return None, [Problem("links.secret", str(error))]
    if len(secret) < SECRET_MIN_CHARS:
        return None, [Problem("links.secret", f"write at least {SECRET_MIN_CHARS} characters")]
    return MessageLinks(file.links.base, secret), []


def words(
    file: TriggersFile, path: Path, definitions: Definitions, links: MessageLinks | None = None
) -> tuple[dict[str, MessageTemplates], list[Problem]]:
    """The templates of each trigger, tried out, and the problems with any of them.

    ``links``: without them, those of a file that has links show what a link looks like, and are not valid.
    """
    if links is None and file.links is not None:
        links = MessageLinks(file.links.base, "0" * 32)
    names = frozenset(file.contact)
    includes = {segment.key: segment.include for segment in definitions.segments}
    problems: list[Problem] = []
    templates_of: dict[str, MessageTemplates] = {}
    messages = [(key, step, variant) for key, step in file.steps.items() for variant in step.wordings]
    for key, step, variant in messages:
        config = file.channels.get(step.channel)  # a missing channel is reported by `config_file`
        unsubscribe = config.list_unsubscribe if isinstance(config, EmailWay) else None
        if isinstance(config, EmailWay) and unsubscribe is None and file.links is not None:
            unsubscribe = "{{ unsubscribe_url }}"
        own = config.body if isinstance(config, WebhookWay) and isinstance(config.body, OwnBody) else None
        about = MessageSubject(includes.get(step.segment), file.locale, definitions.currency, file.timezone, own, links)
        try:
            template = step.wordings[variant]
            templates_of[wording(key, variant)] = MessageTemplates(template, path.parent, names, unsubscribe, about)
        except ValueError as error:
            part, _, text = str(error).partition(": ")
            of_channel = part in ("body", "list_unsubscribe")
            place = f"channels.{step.channel}.{part}" if of_channel else step.place_of(part, variant)
            problems.append(Problem(place, text))
    return templates_of, problems


def _header(value: str | HeaderSecret, environment: Mapping[str, str], folder: Path) -> str:
    """The text of a header. Raises `ValueError`, which names the variable or the file and never its content."""
    if isinstance(value, str):
        return value
    text = value.before + opened(value, environment, folder)
    if not is_header_text(text):
        raise ValueError(f"{value.env or value.file} is no line of printable ASCII, as a header is")
    return text


def _channel(
    config: ChannelConfig,
    templates_of: Mapping[str, MessageTemplates],
    environment: Mapping[str, str],
    folder: Path,
    stream: TextIO,
) -> Channel:
    if isinstance(config, EmailWay):
        password = None if config.password is None else opened(config.password, environment, folder)
        return Smtp(config, password, templates_of)
    if isinstance(config, WebhookWay):
        return Webhook(
            config,
            [opened(secret, environment, folder) for secret in config.secrets or ()],
            templates_of,
            url=opened(config.url, environment, folder) if isinstance(config.url, Secret) else None,
            headers={name: _header(value, environment, folder) for name, value in config.headers.items()},
        )
    return Console(templates_of, stream)
