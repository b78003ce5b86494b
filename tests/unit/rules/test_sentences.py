"""Sentences: what was seen beside what was asked, in English and in Persian, whatever others wrote."""

import json
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from rules.conditions.base import CustomerView
from rules.definitions.condition_parsing import EXAMPLES
from rules.definitions.segments_file import build
from rules.engine import Engine
from rules.languages.language import Language
from rules.reasons import Observed, Reason, StepAsked, TotalShown
from rules.sentences.complete_languages import ENGLISH, PERSIAN
from rules.sentences.phrase_cache import phrase
from rules.sentences.phrases import PHRASES
from rules.sentences.reason_sentence import LANGUAGES, embedded, sentence
from rules.times import format_instant, parse_duration
from rules.untrusted_texts import FSI, PDI, RLI
from streams.cli import explain, main, tail
from streams.cli.parser import EXIT_USAGE
from streams.offline import explain as explaining
from streams.offline.replay import Replay
from streams.wire import changes
from streams.wire.event_decoder import decode_line
from tests.strategies import histories
from tests.support.sentence_cases import CASES, QUIET, Case, T

SEEDS = range(300)
GROUPS = {"all", "any", "not"}


def event_of(at: str, body: Mapping[str, Any], number: int) -> bytes:
    """One event so long after T; its name stands under ``name``."""
    fields = {**body}
    name = fields.pop("name")
    kind = {"type": name} if name in ("page", "identify") else {"type": "track", "event": name}
    timestamp = format_instant(T + (parse_duration(at) or 0))
    return json.dumps({**kind, "userId": "u", "messageId": f"m{number:02}", "timestamp": timestamp, **fields}).encode()


def reason_of(case: Case) -> Reason:
    """The reason why the customer is in segment ``s`` or not, at the case's end."""
    segments = {"s": {"title": "S", "when": case.when}} | {
        key: {"title": key, "when": when} for key, when in case.others.items()
    }
    definitions = build({"version": 1, "currency": "EUR", "segments": segments}, "case.yaml")
    replay, until = Replay(Engine(definitions)), T + (parse_duration(case.at) or 0)
    events = [decode_line(event_of(at, body, number)) for number, (at, body) in enumerate(case.events)]
    for _ in replay.run(events, until):
        pass
    customer = replay.customers["u"]
    (explained,) = (segment for segment in definitions.segments if segment.key == "s")
    return explained.when.reason(CustomerView("u", customer.profile, customer.since), until)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_each_condition_says_what_was_seen_and_what_was_asked(case: Case) -> None:
    """The words are exact, in both languages, for a reason from real definitions and events."""
    reason = reason_of(case)
    assert reason.holds == case.holds
    assert sentence(reason) == sentence(reason, "en") == marked(case.en)
    assert sentence(reason, "fa") == marked(case.fa)


def marked(text: str) -> str:
    """The isolates of the table, which has brackets for them."""
    return text.replace("[", FSI).replace("]", PDI)


def test_the_cases_hold_and_fail_for_every_condition() -> None:
    """Each kind of condition and of group has a case that holds and one that does not."""
    tried = {(next(iter(case.when)), case.holds) for case in CASES}
    assert tried == {(kind, holds) for kind in EXAMPLES for holds in (True, False)}


# --- of random worlds --------------------------------------------------------------------------

ALLOWED_FORMAT = {FSI, PDI, "\u200c", "\u200d"}
ISOLATE = re.compile("\u2068[^\u2068\u2069]*\u2069")


def own_words(words: str) -> str:
    """The sentence with a star for what stands in isolates, quoted or not."""
    return re.sub("“[*]”|«[*]»", "*", ISOLATE.sub("*", words))


def problems(words: str, language: str) -> Iterator[str]:
    """Everything by which a sentence breaks what all of them promise."""
    for character in words:
        if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs") and character not in ALLOWED_FORMAT:
            yield f"raw U+{ord(character):04X}"
    own = own_words(words)
    if FSI in own or PDI in own:
        yield "isolates are not balanced"
    outside = re.sub("“[^”]*”", "", own)
    if outside.count("(") != outside.count(")"):
        yield "parentheses are not balanced"
    if language == "fa" and re.search("[0-9A-Za-z{}]", own):
        yield "foreign outside an isolate"
    if language == "en" and not own.replace("×", "").replace("“", "").replace("”", "").isascii():
        yield "foreign outside an isolate"
    if not own.strip() or re.search(r"None|  |\(\)|(?<![\d.])1 [a-z]+s\b|[(:] *[:,;)]|\bever ago\b", own):
        yield "a hole"


def nodes(reason: Reason) -> Iterator[Reason]:
    yield reason
    for member in (*(reason.all or ()), *(reason.any or ()), *(reason.not_ or ())):
        yield from nodes(member)


def test_every_reason_of_every_change_can_be_told() -> None:
    """Each language has a sentence without holes, in its own letters and digits, steered by isolates alone."""
    counts: Counter[str] = Counter()
    for seed in SEEDS:
        sent, definitions = histories.world(random.Random(seed))
        replay = Replay(Engine(build(definitions, "world.yaml")))
        for change in replay.run(decode_line(json.dumps(event).encode()) for event in sent):
            counts.update({node.condition for node in nodes(change.reason) if node.condition is not None})
            for language in LANGUAGES:
                words = sentence(change.reason, language)
                assert list(problems(words, language)) == [], f"seed {seed}: {words!r}"
    assert set(counts) == set(EXAMPLES) - GROUPS
    assert min(counts.values()) > 20, counts


# --- of hostile values -------------------------------------------------------------------------

HOSTILE = [
    "\u202egnp.exe", "\u2066\u2066", "\u2069\u2069 x", "a\nb\r\nc", "\x1b[2J\x1b[31m", "\x9b31m", "\u2029 x", "\u2028",
    "\u200f\u200e\u061c", "\x00", "\ud800", "\u0085", "\ufeff\u200b", "\U000e0041", "{event} %s",
    "x” (asked: plan is “x", "x» (شرط: «x", "x\u2069» و «\u2068x",
]  # fmt: skip


def carrying(text: str) -> list[Reason]:
    """A reason of each kind, with a text of others in every place where one may stand."""
    event, where = (text, text), {text: {"in": [text, text], "contains": text, "matches": text}}
    observed, total = Observed(values={text: text, "b": text}), TotalShown("sum", text, text, where)
    return [
        Reason(True, "performed", Observed(count=2), {"at_least": 1}, event=event, where=where),
        Reason(True, "total", Observed(value=2), {"at_least": 1}, event=text, where={text: text}, agg="sum", of=text),
        Reason(True, "ratio", Observed(value=2, of=4, to=2), {"above": 1}, totals=[total] * 2),
        Reason(True, "last", Observed(last_at=text), {"ago": {"at_least": text}}, event=text),
        Reason(True, "overdue", Observed(count=2, first_at=text, last_at=text), {"times": 2}, event=text),
        Reason(True, "score", Observed(count=2, value=4), {"above": 1, "half_life": "1h", "events": {text: 1, "b": 2}}),
        Reason(True, "newest", Observed(last_at=text, met_at=text), {text: text}, event=text),
        Reason(True, "sequence", Observed(first_at=text), {}, steps=[StepAsked(text, where)], same=text, within=text),
        Reason(True, "cart", Observed(items=1, last_at=text), {"idle_for": text}),
        Reason(False, "trait", observed, {text: text, "b": {"not_in": [text, 1]}, "c": {"age": {"at_least": text}}}),
        Reason(False, "context", Observed(values={"city": text}), {"city": text}, touch="last"),
        Reason(True, "in_segment", Observed(since=text), {}, segment=text),
        Reason(False, "in_segment", Observed(), {}, segment=text),
        Reason(False, "calendar", Observed(date=text), {"timezone": text, "weekday": ["fri"]}),
        Reason(True, "sample", Observed(), {"percent": 5, "salt": text}),
    ]


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_a_hostile_text_stays_in_its_place(hostile: str) -> None:
    """A hostile text steers nothing, and the words around it are those around a harmless text."""
    assert {reason.condition for reason in carrying("")} | {"first", "sessions"} == set(EXAMPLES) - GROUPS
    for language in LANGUAGES:
        for reason in carrying(hostile):
            assert list(problems(sentence(reason, language), language)) == []
        for reason, harmless in zip(carrying("چ" + hostile), carrying("چای"), strict=True):
            words = sentence(reason, language)
            assert own_words(words) == own_words(sentence(harmless, language))
            assert words.encode()


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_a_hostile_customer_does_not_speak_for_us(hostile: str) -> None:
    """The texts are in a trait and a campaign, as events bring them."""
    text = hostile.replace("\ud800", "x")  # no JSON text has half a pair
    campaign = {"name": "page", "context": {"campaign": {"name": text}}}
    events = (("1ms", {"name": "identify", "traits": {"plan": text}}), ("2ms", campaign))
    when = {"all": [{"trait": {"plan": "pro"}}, {"context": {"campaign": "spring"}}]}
    for language in LANGUAGES:
        words = sentence(reason_of(Case("hostile", False, "1s", when, events, "", "")), language)
        assert list(problems(words, language)) == []
        assert words.count("“" if language == "en" else "«") == 4
        assert words.count("”" if language == "en" else "»") == 4


def test_joiners_belong_to_the_spelling() -> None:
    """Half-spaces of Persian and the joiners of emoji are not escaped."""
    reason = Reason(True, "in_segment", Observed(since="x"), {}, segment="می\u200cخرد👩\u200d💻")
    for language in LANGUAGES:
        assert "می\u200cخرد👩\u200d💻" in sentence(reason, language)


# --- numbers, and what the languages have in common --------------------------------------------


@pytest.mark.parametrize(
    ("number", "en", "fa"),
    [
        (0, "0", "۰"),
        (2, "2", "۲"),
        (9_007_199_254_740_993, "9007199254740993", "۹۰۰۷۱۹۹۲۵۴۷۴۰۹۹۳"),
        (1.5, "1.5", "۱٫۵"),
        (0.000001, "0.000001", "۰٫۰۰۰۰۰۱"),
        (-3, "-3", f"{FSI}−۳{PDI}"),
    ],
)
def test_numbers(number: float, en: str, fa: str) -> None:
    """Every digit is written; Persian has its own digits and decimal mark, and a minus that keeps its side."""
    assert (ENGLISH.number(number), PERSIAN.number(number)) == (en, fa)


@pytest.mark.parametrize(
    ("amount", "en", "fa"),
    [(84.5, "84.50", "۸۴٫۵۰"), (84, "84", "۸۴"), (0.125, "0.125", "۰٫۱۲۵"), (19.99, "19.99", "۱۹٫۹۹")],
)
def test_amounts(amount: float, en: str, fa: str) -> None:
    """Money has cents or none, and finer parts where there are some."""
    assert (ENGLISH.amount(amount), PERSIAN.amount(amount)) == (en, fa)


@pytest.mark.parametrize(
    ("text", "en", "fa"),
    [
        ("1500ms", "1500 milliseconds", "۱۵۰۰ میلی‌ثانیه"),
        ("90s", "90 seconds", "۹۰ ثانیه"),
        ("60s", "1 minute", "۱ دقیقه"),
        ("36h", "36 hours", "۳۶ ساعت"),
        ("24h", "1 day", "۱ روز"),
    ],
)
def test_durations(text: str, en: str, fa: str) -> None:
    """A duration is in the largest exact unit, with singular and plural where the language has them."""
    assert (ENGLISH.duration(text), PERSIAN.duration(text)) == (en, fa)


def test_a_long_list_is_cut() -> None:
    """A rule may list a thousand values; a reader gets five and how many more."""
    test = {"city": {"in": [f"c{number}" for number in range(1000)]}}
    reason = Reason(False, "trait", Observed(values={"city": None}), test)
    assert sentence(reason) == (
        "city is not known (asked, not met: city is one of “c0”, “c1”, “c2”, “c3”, “c4” and 995 more)"
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name if hasattr(case, "name") else None)
def test_what_is_remembered_is_what_would_be_said(case: Case) -> None:
    """The first sentence of a case is made, those at other moments come from memory."""
    reason = reason_of(case)
    for lang in (ENGLISH, PERSIAN):
        for moment in (None, "2026-03-01T12:00:00.000Z", "1999-12-31T23:59:59.999Z", "?", "(, \u202e"):
            for leaf in leaves(reason):
                observed = replace(leaf.observed or Observed(), last_at=moment)
                dated = replace(leaf, observed=observed, until=moment)
                assert phrase(lang, dated) == PHRASES[leaf.condition or ""](lang, dated)


def leaves(reason: Reason) -> Iterator[Reason]:
    """The conditions at the leaves of a tree."""
    members = reason.all or reason.any or reason.not_
    if members is None:
        yield reason
    else:
        for member in members:
            yield from leaves(member)


def test_the_languages_say_the_same_things() -> None:
    """Each message stands in both, and takes nothing that the other does not know."""
    assert set(ENGLISH.messages) == set(PERSIAN.messages)
    assert set(ENGLISH.units) == set(PERSIAN.units)
    assert set(ENGLISH.attributes) == set(PERSIAN.attributes)
    for key in ENGLISH.messages:
        assert slots(ENGLISH, key) == slots(PERSIAN, key), key


# What one language says of nothing with a number, and how a number is joined to what follows.
LOOSE = {"linked", "unit", "count"}


def slots(language: Language, key: str) -> set[str]:
    message = language.messages[key]
    texts = [message] if isinstance(message, str) else [*message]
    return {name for text in texts for name in re.findall(r"{(\w+)}", text)} - LOOSE


# --- commands ----------------------------------------------------------------------------------


def test_tail_tells_in_the_language_that_is_asked_for() -> None:
    """A Persian sentence stands in an isolate of its own, so that the line around it keeps its order."""
    change = changes.SegmentChange(
        "c", "u1", "abandoned_cart", "entered", format_instant(T), 1, ("abandoned_cart",), changes.Cause("time"),
        QUIET, "d",
    )  # fmt: skip
    assert tail.line(change).plain.endswith(f"u1  by time: {sentence(QUIET)}")
    assert tail.line(change, "fa").plain.endswith(f"u1  by time: {RLI}{sentence(QUIET, 'fa')}{PDI}")


def test_explain_tells_in_the_language_that_is_asked_for() -> None:
    """The sentence under each segment is in that language."""
    explained = explaining.SegmentExplanation("abandoned_cart", "Abandoned cart", True, QUIET)
    explanation = explaining.Explanation("u1", 0, format_instant(T), 1, format_instant(T), None, [explained])
    for language in LANGUAGES:
        assert explain.lines(explanation, language)[-1] == f"  because {embedded(QUIET, language)}"


@pytest.mark.parametrize("command", ["tail", "explain u1"])
def test_a_language_that_is_not_there(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown language is a wrong argument: one line names the languages that there are."""
    with pytest.raises(SystemExit) as stopped:
        main.run([*command.split(), "--lang", "de"])
    assert stopped.value.code == EXIT_USAGE
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert all(language in message for language in LANGUAGES)
