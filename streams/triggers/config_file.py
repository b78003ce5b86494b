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
from rules.definitions.longest_stay import longest_stay
from rules.definitions.segments_file import Definitions, DefinitionsError
from rules.forms.problems import Problem, unknown_key
from rules.times import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, words
from streams.settings.definitions_file import text_of
from streams.triggers import channel_config, config
from streams.triggers.channel_config import EmailWay, WebhookWay
from streams.triggers.channels import factory
from streams.triggers.config import Step, Template, Trigger, TriggersFile
from streams.triggers.request_parts import Secret
from streams.triggers.send_times import Quiet, SendTimes

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
            f"{step.place}.channel",
            f"there is no channel {step.channel!r}",
            _nearest(file.channels, step.channel),
        )
        for step in file.steps.values()
        if step.channel not in file.channels and (not step.is_second or step.channel != file.triggers[step.of].channel)
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
        "hold_out": config.HoldOut, "caps": channel_config.Caps, "quiet": Quiet, "retry": channel_config.Retry,
        "where": config.Where, "template": config.Template, "password": Secret, "secrets": Secret,
        "send": SendTimes, "variants": config.Variant, "then": config.NextMessage, "goal": config.Goal,
        "links": channel_config.LinksConfig,
        "email": EmailWay, "webhook": WebhookWay, "console": channel_config.ConsoleWay, "reentry": config.Again,
    }  # fmt: skip
    if len(loc) > 1 and loc[0] == "triggers":
        model = Trigger
        models["hold_out"] = config.TriggerHoldOut
    for part in loc[:-1]:
        model = models.get(str(part), model)
    return [field.alias or name for name, field in model.model_fields.items()]


def misfits(file: TriggersFile, definitions: Definitions) -> Iterator[Problem]:
    """Problems between parts of the file, and between the file and the segments."""
    for channel in file.consent:
        if channel not in file.channels:
            yield Problem(f"consent.{channel}", "there is no such channel", _nearest(file.channels, channel))
    for key, way in file.channels.items():
        yield from (problem.under(f"channels.{key}") for problem in _of_channel(way, file))
    keys = [segment.key for segment in definitions.segments]
    yield from (problem.under("unless") for problem in _of_tests(file.unless, keys))
    for key, trigger in file.triggers.items():
        yield from (problem.under(f"triggers.{key}") for problem in _of_trigger(trigger, keys))
    for step in file.steps.values():
        yield from _of_step(step, file, definitions)
        yield from _contradictions(step, f"{step.place}.unless" if len(step.unless) > len(file.unless) else "unless")
    for key, trigger in file.triggers.items():
        if trigger.goal is not None and file.hold_out is None and trigger.hold_out is None:
            yield Problem(
                f"triggers.{key}.goal", "is measured against a hold-out", "write hold_out: {percent: 10} beside it"
            )


def _of_channel(channel: channel_config.ChannelConfig, file: TriggersFile) -> Iterator[Problem]:
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


def _of_trigger(trigger: Trigger, segments: list[str]) -> Iterator[Problem]:
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


def _of_step(step: Step, file: TriggersFile, definitions: Definitions) -> Iterator[Problem]:
    """Problems of one message, by their whole path."""
    segments = [segment.key for segment in definitions.segments]
    own = step.unless[len(file.unless) :]
    yield from (problem.under(f"{step.place}.unless") for problem in _of_tests(own, segments))
    yield from _of_delay(step, file, definitions)
    channel = file.channels.get(step.channel)
    if channel is None:
        return
    for variant, template in step.wordings.items():
        yield from dict.fromkeys(_of_template(step, variant, template, channel))
    if step.quiet is not None and step.send is not None and step.send.minutes <= step.quiet.minutes:
        yield Problem(f"{step.place}.send", "lies within the quiet hours, so nothing would ever be sent")


def _of_tests(tests: Iterable[config.MembershipTest], segments: list[str]) -> Iterator[Problem]:
    for test in tests:
        if test.segment not in segments:
            yield Problem("", f"there is no segment {test.segment!r}", _nearest(segments, test.segment))


def _contradictions(step: Step, place: str) -> Iterator[Problem]:
    """Tests of the last look that no customer passes, which stand at this place of the file."""
    is_in = step.on == "entered"
    excluded = {(test.segment, test.is_in) for test in step.unless}
    if step.if_ended != "send" and (step.segment, is_in) in excluded:
        yield Problem(place, f"each customer that it is sent to is {'in' if is_in else 'not in'} {step.segment}")
    for segment in {segment for segment, tested in excluded if (segment, not tested) in excluded}:
        yield Problem(place, f"each customer is in {segment} or not in it, so nothing would ever be sent")


def _of_delay(step: Step, file: TriggersFile, definitions: Definitions) -> Iterator[Problem]:
    """A message to those who are still in a segment cannot wait for longer than anyone stays there."""
    if step.on == "exited" or step.if_ended == "send" or definitions.segment(step.segment) is None:
        return
    stay = longest_stay(definitions, step.segment)
    # Where a further event renews a stay, a longer delay has a sense: for those who stay on. The file says so.
    longest = stay.ever if step.if_ended == "skip" else stay.alone
    delay = step.delay + (file.triggers[step.of].delay if step.is_second else 0)
    if longest is not None and delay >= longest:
        place = "after" if step.is_second else "delay"
        instead = "a shorter one, or if_ended: send"
        if stay.ever is None or delay < stay.ever:
            instead += ", or if_ended: skip for those who stay on by further events"
        stays = f"{step.segment} ends by itself {_about(longest)} after it began"
        yield Problem(f"{step.place}.{place}", f"{stays}, and this is {words(delay)} after it", f"write {instead}")


def _about(duration: int) -> str:
    """A duration (ms) in words, rounded to the largest unit of which it has more than one."""
    unit = next((unit for unit in (DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS) if duration > unit), 1)
    rounded = round(duration / unit) * unit
    return words(duration) if rounded == duration else f"about {words(rounded)}"


def _of_template(
    step: Step, variant: str, template: Template, channel: channel_config.ChannelConfig
) -> Iterator[Problem]:
    if isinstance(channel, EmailWay):
        for part in ("subject", "text"):
            if getattr(template, part) is None:
                yield Problem(step.place_of(part, variant), _MISSING, "an e-mail has a subject and a text")
    elif template.html is not None:
        yield Problem(step.place_of("html", variant), "only an e-mail has one", f"{step.channel} takes text")
    if isinstance(channel, WebhookWay) and template.subject is not None:
        yield Problem(step.place_of("subject", variant), "only an e-mail has one", f"{step.channel} takes text")


def _nearest(keys: Iterable[str], wrong: str) -> str:
    """A suggestion for a key that does not exist: the nearest one, or those that exist."""
    near = difflib.get_close_matches(wrong, list(keys), 1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(keys)[:20])}"
