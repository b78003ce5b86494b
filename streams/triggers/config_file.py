"""Reads the triggers file: YAML to `streams.triggers.config.TriggersFile`, checked against the segments.

The one rule: every problem is reported at once, as with segments files, each with its path inside the file and what
would be right. A value that may be a secret is never repeated.

See also: `rules.definitions.segments_file`, which does the same for segments.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rules.definitions import yaml_text
from rules.definitions.segments_file import Definitions, DefinitionsError
from rules.forms.problems import Problem, unknown_key
from streams.definitions_file import text_of
from streams.triggers import config
from streams.triggers.channels import factory
from streams.triggers.config import EmailWay, Trigger, TriggersFile, WebhookWay

_MISSING = "this key is missing"
_KINDS = ("email", "webhook", "console")
# Tags that pydantic puts into the path of an error in a union; they are no keys of the file.
_TAGS = frozenset(
    {
        *_KINDS,
        "str",
        "Again",
        "literal['always','once']",
        "literal['change','audience']",
        "OwnBody",
        "Secret",
        "HeaderSecret",
        "tuple",
    }
)


def load(path: Path, definitions: Definitions) -> TriggersFile:
    """Load a triggers file and check it against these segments. Raises `DefinitionsError`."""
    try:
        document = yaml_text.read(text_of(path))
    except OSError as error:
        raise DefinitionsError(str(path), [Problem("", f"cannot be read ({error})")]) from None
    except yaml_text.NotYaml as error:
        raise DefinitionsError(str(path), [Problem("", str(error))]) from None
    file = _validated(document, str(path))
    problems = [*_unknown_channels(file), *misfits(file, definitions), *factory.words(file, path, definitions)[1]]
    if problems:
        raise DefinitionsError(str(path), problems)
    return file


def parsed(document: object, name: str) -> TriggersFile:
    """Parse a triggers file without comparing it with segments. Raises `DefinitionsError`."""
    file = _validated(document, name)
    if unknown := _unknown_channels(file):
        raise DefinitionsError(name, unknown)
    return file


def _validated(document: object, name: str) -> TriggersFile:
    if not isinstance(document, dict):
        raise DefinitionsError(name, [Problem("", "expected a mapping with version: 1, channels and triggers")])
    try:
        return TriggersFile.model_validate(document)
    except ValidationError as error:
        problems = dict.fromkeys(_problem(details, document) for details in error.errors(include_url=False))
        raise DefinitionsError(name, list(problems)) from None


def _unknown_channels(file: TriggersFile) -> list[Problem]:
    return [
        Problem(
            f"triggers.{key}.channel",
            f"there is no channel {trigger.channel!r}",
            _nearest(file.channels, trigger.channel),
        )
        for key, trigger in file.triggers.items()
        if trigger.channel not in file.channels
    ]


def _problem(details: ErrorDetails, document: Mapping[str, Any]) -> Problem:
    """A problem that pydantic reports, at its path in the file."""
    parts = _written(details["loc"], document)
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")
    return Problem(path, *_explanation(details))


def _written(loc: tuple[int | str, ...], document: object) -> Iterator[int | str]:
    """The path in the file, without pydantic's tags: a part is a tag where the document has no such key."""
    node: Any = document
    for part in loc:
        is_item = isinstance(node, list) and isinstance(part, int) and part < len(node)
        if is_item or (isinstance(node, dict) and part in node):
            node = node[part]
        elif part in _TAGS or "[" in str(part):
            continue
        yield part


def _explanation(details: ErrorDetails) -> tuple[str, str]:
    """The two sentences on an error: what is wrong, and what would be right."""
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown_key(_keys_at(details["loc"]))
    if kind == "missing":
        return _MISSING, ""
    if kind == "literal_error":
        return f"expected one of {context['expected']}", ""
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return f"kind: expected one of {', '.join(_KINDS)}", ""
    if kind == "string_pattern_mismatch":
        return f"expected text of the form {context['pattern']}", ""
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return "expected a mapping", ""
    message = details["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:], ""


def _keys_at(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that the model at that place in the file has."""
    model: type[BaseModel] = TriggersFile
    models: dict[str, type[BaseModel]] = {
        "hold_out": config.HoldOut, "caps": config.Caps, "quiet": config.Quiet, "retry": config.Retry,
        "where": config.Where, "template": config.Template, "password": config.Secret, "secrets": config.Secret,
        "email": EmailWay, "webhook": WebhookWay, "console": config.ConsoleWay, "reentry": config.Again,
    }  # fmt: skip
    if len(loc) > 1 and loc[0] == "triggers":
        model = Trigger
    for part in loc[:-1]:
        model = models.get(str(part), model)
    return [field.alias or name for name, field in model.model_fields.items()]


def misfits(file: TriggersFile, definitions: Definitions) -> Iterator[Problem]:
    """Problems between parts of the file, and between the file and the segments."""
    for channel in file.consent:
        if channel not in file.channels:
            yield Problem(f"consent.{channel}", "there is no such channel", _nearest(file.channels, channel))
    for key, channel_config in file.channels.items():
        yield from (problem.under(f"channels.{key}") for problem in _of_channel(channel_config, file))
    keys = [segment.key for segment in definitions.segments]
    for key, trigger in file.triggers.items():
        yield from (problem.under(f"triggers.{key}") for problem in _of_trigger(trigger, file, keys))


def _of_channel(channel: config.ChannelConfig, file: TriggersFile) -> Iterator[Problem]:
    if channel.retry.first > channel.retry.most:
        yield Problem("retry.first", "is longer than most", "write a shorter one")
    if isinstance(channel, EmailWay):
        if "email" not in file.contact:
            yield Problem("kind", "an e-mail needs contact: {email: NAME}, the trait that holds the address")
        if (channel.user is None) != (channel.password is None):
            yield Problem("user", "user and password go together", "give both, or none")
        if channel.user is not None and channel.tls == "none":
            yield Problem("tls", "a password would go over the network as it is", "write starttls or tls")
    if isinstance(channel, WebhookWay) and not channel.allow_private and str(channel.url).startswith("http:"):
        yield Problem("url", "expected https://…, or allow_private: true")


def _of_trigger(trigger: Trigger, file: TriggersFile, segments: list[str]) -> Iterator[Problem]:
    if trigger.segment not in segments:
        yield Problem("segment", f"there is no segment {trigger.segment!r}", _nearest(segments, trigger.segment))
    for name in ("also_in", "not_in"):
        for other in getattr(trigger.where, name):
            if other not in segments:
                yield Problem(f"where.{name}", f"there is no segment {other!r}", _nearest(segments, other))
    is_in = trigger.on == "entered"
    if trigger.segment in (trigger.where.not_in if is_in else trigger.where.also_in):
        never = "not in it" if is_in else "in it"
        yield Problem("where", f"no customer that has just {trigger.on} {trigger.segment} is {never}", "leave it out")
    if trigger.channel in file.channels:
        yield from _of_template(trigger, file.channels[trigger.channel])


def _of_template(trigger: Trigger, channel: config.ChannelConfig) -> Iterator[Problem]:
    template = trigger.template
    if isinstance(channel, EmailWay):
        for part in ("subject", "text"):
            if getattr(template, part) is None:
                yield Problem(f"template.{part}", _MISSING, "an e-mail has a subject and a text")
    elif template.html is not None:
        yield Problem("template.html", "only an e-mail has one", f"{trigger.channel} takes text")
    if isinstance(channel, WebhookWay) and template.subject is not None:
        yield Problem("template.subject", "only an e-mail has one", f"{trigger.channel} takes text")


def _nearest(keys: Iterable[str], wrong: str) -> str:
    """A suggestion for a key that does not exist: the nearest one, or those that exist."""
    near = difflib.get_close_matches(wrong, list(keys), 1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(keys)[:20])}"
