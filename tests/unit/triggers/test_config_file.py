"""The triggers file: what is right is read, and each mistake is told with its path and what would be right."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from doc_tools import triggers_schema
from rules.definitions.segments_file import DefinitionsError, built_in
from streams.triggers import describe
from streams.triggers.config_file import load

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "triggers.yaml"
DEFINITIONS = built_in()
ABSENT = object()


def right() -> dict[str, Any]:
    return {
        "version": 1,
        "contact": {"email": "email"},
        "channels": {
            "mail": {"kind": "email", "host": "mail.example.com", "from": "shop@example.com"},
            "bot": {"kind": "webhook", "url": "https://example.com/hook", "secrets": [{"env": "BOT"}]},
        },
        "triggers": {
            "cart": {"segment": "abandoned_cart", "channel": "mail", "template": {"subject": "s", "text": "t"}},
            "greet": {"segment": "returning_visitor", "channel": "bot"},
        },
    }


def changed(path: str, value: object) -> dict[str, Any]:
    document = right()
    at: Any = document
    *way, last = path.split(".")
    for name in way:
        at = at.setdefault(name, {})
    if value is ABSENT:
        del at[last]
    else:
        at[last] = value
    return document


def problems(document: object, folder: Path) -> list[str]:
    path = folder / "triggers.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True))
    try:
        load(path, DEFINITIONS)
    except DefinitionsError as error:
        return error.lines
    return []


WRONG: list[tuple[str, object, str]] = [
    ("version", 2, "version: expected one of 1"),
    ("version", ABSENT, "version: this key is missing"),
    ("colour", "red", "colour: unknown key; known here: version, timezone, locale, contact"),
    ("timezone", "Mars/Olympus", "timezone: 'Mars/Olympus' is not a time zone; write a name such as Asia/Tehran"),
    ("contact", ["email"], "contact: expected a mapping"),
    ("contact", {}, "channels.mail.kind: an e-mail needs contact: {email: NAME}"),
    ("caps.per_day", 0, "caps.per_day: input should be greater than or equal to 1"),
    ("caps.per_year", 1, "caps.per_year: unknown key; known here: per_hour, per_day, per_week, per_month"),
    ("window", "soon", "window: 'soon' is not a duration; write a whole number and a unit"),
    ("hold_out", {"percent": 200, "salt": "s"}, "hold_out.percent: input should be less than or equal to 100"),
    ("suppress", {"unsubscribed": None}, "suppress.unsubscribed: nothing stands here"),
    ("suppress", {"plan": {"matches": "("}}, "suppress.plan: '(' is not a regular expression"),
    ("consent", {"fax": {"yes": True}}, "consent.fax: there is no such channel; known are bot, mail"),
    ("channels", {}, "channels: dictionary should have at least 1 item"),
    ("triggers", ABSENT, "triggers: this key is missing"),
    ("channels.Mail!", {"kind": "console"}, "channels.Mail!"),
    ("channels.email", {"kind": "email", "from": "a@b.c"}, "channels.email.host: this key is missing"),
    ("channels.bot.url", "https://", "channels.bot.url: is not a URL with a host"),
    ("channels.bot.url", "http://[", "channels.bot.url: is not a URL with a host"),
    ("triggers.cart.template.text", {}, "triggers.cart.template.text: expected a text, or {file: PATH}"),
    ("triggers.cart.cool_down", "367d", "triggers.cart.cool_down: is longer than 366d"),
    ("triggers.cart.reentry", {"after": "9000d"}, "triggers.cart.reentry.after: is longer than 366d"),
    ("channels.mail.kind", "fax", "channels.mail: kind: expected one of email, webhook, console"),
    ("channels.mail.kind", ABSENT, "channels.mail: kind: expected one of email, webhook, console"),
    ("channels.mail.host", ABSENT, "channels.mail.host: this key is missing"),
    ("channels.mail.port", 99_999, "channels.mail.port: input should be less than or equal to 65535"),
    ("channels.mail.tls", "maybe", "channels.mail.tls: expected one of 'starttls', 'tls' or 'none'"),
    ("channels.mail.url", "x", "channels.mail.url: unknown key; known here: caps, quiet, send, concurrency"),
    ("channels.mail.user", "u", "channels.mail.user: user and password go together"),
    ("channels.mail.quiet", {"from": "22:00"}, "channels.mail.quiet.to: this key is missing"),
    ("channels.mail.quiet", {"from": "25:00", "to": "08:00"}, "channels.mail.quiet.from: '25:00' is not a time of day"),
    ("channels.mail.quiet", {"from": "08:00", "to": "08:00"}, "channels.mail.quiet: from and to are the same"),
    ("channels.mail.retry", {"first": "2h", "most": "1h"}, "channels.mail.retry.first: is longer than most"),
    ("channels.mail.concurrency", 0, "channels.mail.concurrency: input should be greater than or equal to 1"),
    ("channels.mail.after_crash", "pray", "channels.mail.after_crash: expected one of 'drop' or 'send'"),
    ("channels.bot.url", "ftp://example.com", "channels.bot.url: expected text of the form"),
    ("channels.bot.url", "http://example.com", "channels.bot.url: expected https://…, or allow_private: true"),
    ("channels.bot.secrets", [], "channels.bot.secrets: tuple should have at least 1 item"),
    (
        "channels.bot.secrets",
        [{"env": "A", "file": "b"}],
        "channels.bot.secrets[0]: expected {env: NAME} or {file: PATH}",
    ),
    ("channels.bot.body", "xml", "channels.bot.body: expected one of 'change' or 'audience'"),
    (
        "triggers.cart.segment",
        "abandoned_carts",
        "triggers.cart.segment: there is no segment 'abandoned_carts'; did you mean",
    ),
    ("triggers.cart.segment", ABSENT, "triggers.cart.segment: this key is missing"),
    ("triggers.cart.on", "leaving", "triggers.cart.on: expected one of 'entered' or 'exited'"),
    ("triggers.cart.channel", "mial", "triggers.cart.channel: there is no channel 'mial'; did you mean mail?"),
    ("triggers.cart.delay", "-1h", "triggers.cart.delay: '-1h' is not a duration"),
    ("triggers.cart.dealy", "1h", "triggers.cart.dealy: unknown key; known here: title, segment, on, channel"),
    ("triggers.cart.priority", "high", "triggers.cart.priority: input should be a valid integer"),
    ("triggers.cart.reentry", "never", "triggers.cart.reentry"),
    (
        "triggers.cart.where",
        {"also_in": ["vips"]},
        "triggers.cart.where.also_in: there is no segment 'vips'; did you mean vip?",
    ),
    ("triggers.cart.where", {"not_in": ["abandoned_cart"]}, "triggers.cart.where: no customer that has just entered"),
    ("triggers.cart.where", {"cause": ["magic"]}, "triggers.cart.where.cause[0]: expected one of 'event', 'time'"),
    ("triggers.cart.template", {"text": "t"}, "triggers.cart.template.subject: this key is missing; an e-mail has"),
    (
        "triggers.cart.template.text",
        "{{ nobody }}",
        "triggers.cart.template.text: 'nobody' is undefined; known are change",
    ),
    ("triggers.cart.template.text", "{% if %}", "triggers.cart.template.text: Expected an expression"),
    ("triggers.cart.template.html", {"file": "gone.html"}, "triggers.cart.template.html: the file cannot be read"),
    ("triggers.greet.template", {"html": "<p>"}, "triggers.greet.template.html: only an e-mail has one"),
    ("channels.mail.send", {}, "channels.mail.send: expected weekdays, from and to, or at"),
    ("channels.mail.send", {"weekdays": ["monday"]}, "channels.mail.send.weekdays[0]: expected one of 'mon', 'tue'"),
    ("channels.mail.send", {"weekdays": []}, "channels.mail.send.weekdays: tuple should have at least 1 item"),
    ("channels.mail.send", {"from": "09:00"}, "channels.mail.send: from and to go together"),
    ("channels.mail.send", {"from": "09:00", "to": "09:00"}, "channels.mail.send: from and to are the same"),
    ("channels.mail.send", {"at": "09:00", "then": "drop"}, "channels.mail.send: with at, a message always waits"),
    (
        "channels.mail.send",
        {"at": "09:00", "from": "08:00", "to": "10:00"},
        "channels.mail.send: at is one time of the day, and from and to are hours",
    ),
    ("triggers.cart.send", {"at": "nine"}, "triggers.cart.send.at: 'nine' is not a time of day"),
    (
        "channels.mail",
        {
            "kind": "email",
            "host": "h",
            "from": "a@b.c",
            "quiet": {"from": "20:00", "to": "10:00"},
            "send": {"at": "09:00"},
        },
        "triggers.cart.send: lies within the quiet hours, so nothing would ever be sent",
    ),
    ("triggers.cart.unless", "recently_purchased", "triggers.cart.unless: expected in SEGMENT, not in SEGMENT, or a"),
    ("triggers.cart.unless", [], "triggers.cart.unless: expected in SEGMENT"),
    ("triggers.cart.unless", "in vips", "triggers.cart.unless: there is no segment 'vips'; did you mean vip?"),
    (
        "triggers.cart.delay",
        "30d",
        "triggers.cart.delay: abandoned_cart ends by itself about 30 days after it began",
    ),
    (
        "triggers.greet",
        {"segment": "returning_visitor", "channel": "bot", "delay": "31d"},
        "triggers.greet.delay: returning_visitor ends by itself 30 days after it began, and this is 31 days",
    ),
    (
        "triggers.greet",
        {"segment": "abandoned_cart", "channel": "bot", "delay": "31d", "if_ended": "skip"},
        "triggers.greet.delay: abandoned_cart ends by itself about 30 days after it began",
    ),
    ("unless", "in vips", "unless: there is no segment 'vips'; did you mean vip?"),
    ("triggers.greet.unless", "in returning_visitor", "triggers.greet.unless: each customer that it is sent to is in"),
    ("triggers.greet.unless", ["in vip", "not in vip"], "triggers.greet.unless: each customer is in vip or not in it"),
    (
        "triggers.greet.goal",
        {"event": "Order Completed", "within": "7d"},
        "triggers.greet.goal: is measured against a hold-out; write hold_out: {percent: 10} beside it",
    ),
    ("triggers.greet.goal", {"within": "7d"}, "triggers.greet.goal.event: this key is missing"),
    ("triggers.greet.goal", {"event": [], "within": "7d"}, "triggers.greet.goal.event: [] is not an event; write"),
    ("triggers.greet.hold_out", {"salt": "s"}, "triggers.greet.hold_out.percent: this key is missing"),
    ("triggers.cart.then", {"after": "2d"}, "triggers.cart.then.template.subject: this key is missing; an e-mail has"),
    (
        "triggers.cart.then",
        {"after": "31d"},
        "triggers.cart.then.after: abandoned_cart ends by itself about 30 days after it began",
    ),
    ("triggers.cart.then", {"template": {"subject": "s"}}, "triggers.cart.then.after: this key is missing"),
    ("triggers.cart.then", {"after": "2d", "delay": "1h"}, "triggers.cart.then.delay: unknown key; known here: after"),
    (
        "triggers.greet.then",
        {"after": "2d", "channel": "bto"},
        "triggers.greet.then.channel: there is no channel 'bto'",
    ),
    ("triggers.greet.then", {"after": "2d", "unless": "in vips"}, "triggers.greet.then.unless: there is no segment"),
    ("triggers.greet.variants", {"a": {"weight": 0}}, "triggers.greet.variants.a.weight: input should be greater than"),
    ("triggers.greet.variants", {"A b": {}}, "triggers.greet.variants.A b"),
    (
        "triggers.cart.variants",
        {"a": {"template": {"text": "{{ nobody }}"}}, "b": {}},
        "triggers.cart.variants.a.template.text: 'nobody' is undefined",
    ),
    (
        "triggers.greet.then",
        {"after": "2d", "variants": {"a": {"template": {"html": "<p>"}}}},
        "triggers.greet.then.variants.a.template.html: only an e-mail has one",
    ),
    ("triggers.Greet!", {"segment": "guest", "channel": "bot"}, "triggers.Greet!"),
]


@pytest.mark.parametrize(
    "more",
    [
        {"delay": "31d", "if_ended": "skip"},
        {"delay": "31d", "if_ended": "send"},
        {"delay": "31d", "on": "exited"},
        {"unless": "in returning_visitor", "if_ended": "send"},
        {"goal": {"event": "Order Completed", "within": "7d"}, "hold_out": {"percent": 10}},
    ],
    ids=str,
)
def test_what_has_a_sense_is_taken(more: dict[str, Any], tmp_path: Path) -> None:
    """A stay that further events renew may last longer than a delay, and the file says that it is meant."""
    document = right()
    document["triggers"]["greet"] |= more
    assert problems(document, tmp_path) == []


def test_the_file_that_the_mistakes_are_made_in_is_right(tmp_path: Path) -> None:
    """The file without mistakes is right, or the tests of mistakes would prove nothing."""
    assert problems(right(), tmp_path) == []


@pytest.mark.parametrize(
    ("path", "value", "complaint"), WRONG, ids=[f"{path}={value!r:.20}" for path, value, _ in WRONG]
)
def test_each_mistake_is_told(path: str, value: object, complaint: str, tmp_path: Path) -> None:
    """The message is one line: where the mistake is, and what would be right."""
    complaints = problems(changed(path, value), tmp_path)
    assert len([line for line in complaints if line.startswith(complaint)]) == 1, complaints


def test_all_mistakes_of_a_kind_are_told_at_once(tmp_path: Path) -> None:
    """First come all mistakes of form, then all of what fits together."""
    document = right()
    document["channels"]["mail"]["port"] = "x"
    document["triggers"]["cart"]["delay"] = "x"
    document["nonsense"] = 1
    assert len(problems(document, tmp_path)) == 3
    document = right()
    document["triggers"]["cart"]["segment"] = "x"
    document["triggers"]["greet"]["segment"] = "y"
    document["channels"]["bot"]["url"] = "http://example.com"
    assert len(problems(document, tmp_path)) == 3


def test_no_secret_is_told(tmp_path: Path) -> None:
    """A secret in the wrong place does not reach the log."""
    document = changed("channels.bot.secrets", ["whsec_very-secret"])
    assert "very-secret" not in "".join(problems(document, tmp_path))


def test_the_example_is_right_and_said_in_words() -> None:
    """The words are those of `segmenter check --triggers` for docs/examples/triggers.yaml."""
    assert list(describe.sentences(load(EXAMPLE, DEFINITIONS))) == [
        (
            "cart_mail: 1 hour after entering abandoned_cart, an e-mail over mail, at most one in 7 days, "
            "not later than 1 day after its time, at most 1 a day over mail, not from 21:00 to 08:00 (deferred), "
            "only with consent (marketing: true)"
        ),
        "greeting: on entering returning_visitor, a webhook over chatbot, not later than 1 day after its time",
        "all messages: none to those with unsubscribed: true",
        "all messages: none to a hold-out of 10 %",
        "all messages: at most 2 a day to one customer",
        "all messages: at most 5 a week to one customer",
        "all messages: of those due within 10 minutes over one channel, the highest priority alone",
        (
            "all messages: times of day are the customer's, or those of Europe/Berlin where no time zone is stated; "
            "none to those whose time zone is unknown"
        ),
    ]


def test_a_series_and_its_variants_are_said_in_words(tmp_path: Path) -> None:
    """Each message has a sentence, which names what stops, delays or divides it."""
    document = changed(
        "triggers.greet.then",
        {"after": "2d", "unless": ["in recently_purchased", "not in guest"], "if_ended": "send", "channel": "bot"},
    )
    document["unless"] = "in vip"
    document["triggers"]["greet"] |= {
        "variants": {"plain": {"weight": 3}, "bold": {"template": {"text": "!"}}},
        "send": {"weekdays": ["mon", "fri"], "from": "09:00", "to": "18:00"},
    }
    document["channels"]["bot"]["caps"] = {"per_hour": 1, "per_month": 9}
    path = tmp_path / "triggers.yaml"
    path.write_text(yaml.safe_dump(document))
    every = list(describe.sentences(load(path, DEFINITIONS)))
    assert "all messages: none to those in vip" in every
    sentences = [line for line in every if line.startswith("greet")]
    rest = (
        "not later than 1 day after its time, at most 1 an hour over bot, at most 9 in 30 days over bot, "
        "only on mon, fri from 09:00 to 18:00 (deferred)"
    )
    assert sentences == [
        f"greet: on entering returning_visitor, a webhook over bot, as bold 25%, plain 75% by customer, {rest}",
        (
            "greet-2: 2 days after greet was sent, a webhook over bot, whether still in it or not, "
            f"not to those in recently_purchased or not in guest, {rest}"
        ),
    ]


def test_the_schema_takes_what_check_takes() -> None:
    """The schema accepts every file that `check` accepts, and refuses a file with a wrong form."""
    validator = jsonschema.Draft202012Validator(triggers_schema.triggers())
    validator.check_schema(triggers_schema.triggers())
    validator.validate(yaml.safe_load(EXAMPLE.read_text()))
    validator.validate(right())
    refused = [path for path, value, _ in WRONG if not validator.is_valid(_json(changed(path, value)))]
    assert len(refused) >= len(WRONG) * 2 // 5, refused


def _json(document: object) -> Any:
    return json.loads(json.dumps(copy.deepcopy(document)))


def test_a_missing_channel_hides_nothing_else(tmp_path: Path) -> None:
    """Both are reported: the channel, and what does not fit the segments."""
    document = changed("triggers.cart.channel", "fax")
    document["triggers"]["greet"]["segment"] = "nobody_knows"
    complaints = problems(document, tmp_path)
    assert [problem.split(":")[0] for problem in complaints] == ["triggers.cart.channel", "triggers.greet.segment"]
