"""Templates: what an expression makes of little is bounded, and one that fails ends its own message alone."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from streams.triggers import channel_config, config
from streams.triggers.channels.console import Console
from streams.triggers.channels.smtp import Smtp
from streams.triggers.channels.webhook import Webhook
from streams.triggers.endpoint import BREAKS_AFTER, Endpoint
from streams.triggers.messages import AttemptResult, Channel, Message, Outcome
from streams.triggers.sandbox import STEPS_MAX, TEXT_MAX_CHARS, WIDTH_MAX
from streams.triggers.templates import EXAMPLE, MessageTemplates, TemplateFailed

TRAITS = frozenset({"email", "n", "text"})
WEBHOOK_SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PEAK_MAX_BYTES = 8 * 1024 * 1024


def words(template: str) -> MessageTemplates:
    return MessageTemplates(config.Template(subject="s", text=template), Path(), TRAITS)


def message(**contact: str) -> Message:
    contact = {"email": "ann@example.com", **contact}
    return Message("key", "t", "u1", msgspec.json.encode(EXAMPLE), contact, 0)


# --- what is wrong with the template itself


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{% for i in range(2000) %}{% for j in range(2000) %}{% endfor %}{% endfor %}", "the ranges"),
        ("{% for i in range(200000) %}x{% endfor %}", "the ranges"),
        ("{{ ('a' * 30000000)|length }}", "a product"),
        ("{{ (30000000 * 'a')|length }}", "a product"),
        ("{{ ([1] * 9000000)|length }}", "a product"),
        ("{{ (9 ** 99999) is number }}", "a power"),
        ("{{ 'a'.center(30000000)|length }}", "a width"),
        ("{{ 'a'.zfill(30000000)|length }}", "a width"),
        ("{{ ('a\t'.expandtabs(tabsize=30000000))|length }}", "a width"),
        ("{{ ('a'|attr('rjust'))(30000000)|length }}", "a width"),
        ("{{ 'a'|center(30000000)|length }}", "a width"),
        ("{{ 'a\n\nb'|indent(width=30000000)|length }}", "a width"),
        ("{{ ['a']|map('center', 30000000)|list }}", "a width"),
        ("{{ [1]|batch(30000000, 0)|list|length }}", "a width"),
        ("{{ [1]|slice(30000000)|list|length }}", "a width"),
        ("{{ '%20000000d'|format(1)|length }}", "a field"),
        ("{{ ('%20000000d' % 1)|length }}", "a field"),
        ("{{ ('%-*d' % (20000000, 1))|length }}", "a field"),
        ("{{ ('%.20000000f' % 1)|length }}", "a field"),
        ("{{ ('%(a)20000000d' % {'a': 1})|length }}", "a field"),
        ("{{ '{:>20000000}'.format('x')|length }}", "a field"),
        ("{{ '{:>{}}'.format('x', 20000000)|length }}", "a field"),
        ("{{ '{a:>20000000}'.format_map({'a': 1})|length }}", "a field"),
        ("{{ ('a' * 10000).replace('a', 'b' * 1000)|length }}", "a replacement"),
        ("{{ ('a' * 10000)|replace('a', 'b' * 1000)|length }}", "a replacement"),
        ("{{ ('a' * 10000)|replace(new='b' * 1000, old='a')|length }}", "a replacement"),
        ("{{ lipsum(n=3000) }}", "'lipsum' is undefined"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}", "maximum recursion depth exceeded"),
        ("{{ " + "(" * 900 + "1" + ")" * 900 + " }}", "maximum recursion depth exceeded"),
        ("{% for a in [1] %}" * 30 + "{% endfor %}" * 30, "too many statically nested blocks"),
    ],
)
def test_a_template_that_makes_too_much_is_a_problem_at_the_start(template: str, problem: str) -> None:
    """A template that makes too much is named by its part, at once and with little memory, on any Python."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f"text: {problem}"):
            words(template)
        assert tracemalloc.get_traced_memory()[1] < PEAK_MAX_BYTES
    finally:
        tracemalloc.stop()


def test_what_templates_are_for_is_left() -> None:
    """Templates may have repeats, widths, formats and loops of the sizes that messages have."""
    template = (
        "{{ '*' * 5 }} {{ 3 * 4 }} {{ 2 ** 8 }} {{ 7 % 4 }} {{ 'a'|center(5) }}| {{ 'x\ny'|indent(2) }} "
        "{{ '{:,.2f}'.format(1234.5) }} {{ '%.2f'|format(1.5) }} {{ '%05d' % 7 }} {{ 'a-b'|replace('-', new=' ') }} "
        "{{ 'a-b'.replace('-', '') }} {{ 'ab'.ljust(3) }}| {% for i in range(2) %}{{ loop.revindex }}{% endfor %} "
        "{{ range(2, 9, 3)|list }} {{ range(3)|length }} {% for row in [1, 2, 3]|batch(2, 0) %}{{ row }}{% endfor %}"
    )
    rendered, _ = words(template).say(message())
    assert rendered.text == ("***** 12 256 3   a  | x\n  y 1,234.50 1.50 00007 a b ab ab | 21 [2, 5, 8] 3 [1, 2][3, 0]")


def test_bounds_are_met_exactly() -> None:
    """A text of the greatest allowed size is rendered."""
    for template in (
        f"{{{{ 'a' * {TEXT_MAX_CHARS} }}}}",
        f"{{{{ 'a'|center({WIDTH_MAX}) }}}}",
        f"{{% for i in range({STEPS_MAX}) %}}{{% endfor %}}",
        f"{{{{ ('a' * 256).replace('a', 'b' * {TEXT_MAX_CHARS // 256}) }}}}",
    ):
        words(template)


# --- what a customer sends

# Each is right with the example, and fails with what these customers send.
FAILING: Mapping[str, tuple[str, Mapping[str, str], str]] = {
    "division": ("{{ 100 / contact.n|int(1) }}", {"n": "0"}, "ZeroDivisionError"),
    "product": ("{{ '*' * contact.n|int }}", {"n": "99999999"}, "SecurityError"),
    "range": ("{% for i in range(contact.n|int) %}*{% endfor %}", {"n": "20000000"}, "SecurityError"),
    "two ranges": (
        "{% for i in range(contact.n|int) %}{% for i in range(contact.n|int) %}{% endfor %}{% endfor %}",
        {"n": "2000"},
        "SecurityError",
    ),
    "width": ("{{ contact.text.center(contact.n|int) }}", {"n": "20000000", "text": "a"}, "SecurityError"),
    "format": ("{{ (contact.text + '%s')|format(1) }}", {"text": "%20000000d"}, "SecurityError"),
    "fields": ("{{ contact.text.format(1) }}", {"text": "{:>20000000}"}, "SecurityError"),
    "attribute": ("{{ (contact.text or none).upper() }}", {"text": ""}, "UndefinedError"),
    "recursion": (
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(contact.n|int) }}",
        {"n": "100000"},
        "RecursionError",
    ),
}


@pytest.mark.parametrize("name", FAILING)
def test_what_a_customer_sends_does_not_choose_the_size(name: str) -> None:
    """The template fails with little memory; the next customer's message is rendered."""
    template, contact, kind = FAILING[name]
    rendering = words(template)
    tracemalloc.start()
    try:
        with pytest.raises(TemplateFailed, match=kind):
            rendering.say(message(**contact))
        assert tracemalloc.get_traced_memory()[1] < PEAK_MAX_BYTES
    finally:
        tracemalloc.stop()
    rendering.say(message(n="1", text="a"))


def channels(template: str) -> dict[str, tuple[channel_config.ChannelConfig, Channel]]:
    """A channel of each kind, towards a port where no server listens."""
    by_trigger = {"t": words(template)}
    mail = channel_config.EmailWay.model_validate(
        {"kind": "email", "host": "127.0.0.1", "port": 9, "tls": "none", "from": "shop@example.com"}
    )
    hook = channel_config.WebhookWay.model_validate(
        {"kind": "webhook", "url": "http://127.0.0.1:9/", "secrets": [{"env": "A"}], "allow_private": True}
    )
    console = channel_config.ConsoleWay.model_validate({"kind": "console"})
    return {
        "email": (mail, Smtp(mail, None, by_trigger)),
        "webhook": (hook, Webhook(hook, [WEBHOOK_SECRET], by_trigger)),
        "console": (console, Console(by_trigger, io.StringIO())),
    }


@pytest.mark.parametrize("kind", ["email", "webhook", "console"])
@pytest.mark.parametrize("name", ["division", "recursion", "product"])
async def test_a_customer_does_not_close_a_channel(kind: str, name: str) -> None:
    """Each message that its traits make fail is refused, and the endpoint takes the next one."""
    template, contact, error = FAILING[name]
    way, channel = channels(template)[kind]
    endpoint = Endpoint(way, channel)
    for _ in range(BREAKS_AFTER + 1):
        assert endpoint.take(0) == 0
        result = await endpoint.send(message(**contact), lambda: 0)
        endpoint.give_back()
        assert result == AttemptResult(Outcome.REFUSED, f"the template failed ({error})")
    await endpoint.close()
