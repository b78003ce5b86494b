"""What can be wrong with a segments file: one row each, with where it is said and a part of what is said.

The rule: a row is a whole document that is wrong in one thing only.

Long because what is wrong in a file stands here as a whole, side by side.
"""

# ruff: noqa: E501 (a table reads best with one case a line)

from typing import Any

from rules.definitions.condition_parsing import DEPTH_MAX
from rules.forms.value_test_parsing import COUNT_MAX

Form = dict[str, Any]


def with_when(when: object, **more: object) -> Form:
    return {"version": 1, "segments": {"s": {"title": "S", "when": when, **more}}}


def performed(**form: object) -> Form:
    return with_when({"performed": {"event": "page", **form}})


def sessions(**form: object) -> Form:
    return with_when({"sessions": {"count": {"at_least": 2}, "within": "1d", **form}})


def nested(depth: int) -> Form:
    when: Form = {"cart": {}}
    for _ in range(depth):
        when = {"not": [when]}
    return when


WHEN = "segments.s.when"
KINDS = "one of all, any, not, performed, total, ratio, last, first, newest, overdue, score, sequence, cart, sessions, trait, context, in_segment"
COUNT = "write {at_least: 2}, {at_most: 5} or {exactly: 1}"
DURATION = "write a whole number and a unit: 90s, 30m, 24h, 30d, 2w"
EVENT = "write a name such as Order Completed, or a list of names"
PLACEHOLDERS = "expected at most 256 texts that are no ids"
CART: Form = {"cart": {}}
INCLUDE = "segments.s.include"
MANY = {f"s{n}": {"title": "S", "when": CART} for n in range(1_001)}
PERFORMED, PERFORMED_COUNT, SESSIONS = f"{WHEN}.performed", f"{WHEN}.performed.count", f"{WHEN}.sessions"

# What is wrong, where, and what is said of it: a part of the sentence that tells the right form.
WRONG: list[tuple[str, object, str, str]] = [
    ("no mapping", [1], "", "expected a mapping with version: 1 and segments"),
    ("an empty file", "", "", "expected a mapping with version: 1 and segments"),
    ("no version", {"segments": {"s": {"title": "S", "when": CART}}}, "version", "expected 1"),
    ("another version", with_when(CART) | {"version": 2}, "version", "expected 1, here is 2"),
    ("a version in quotes", with_when(CART) | {"version": "1"}, "version", "expected 1, here is '1'"),
    ("a version that is no number", with_when(CART) | {"version": True}, "version", "expected 1, here is True"),
    ("an unknown key", with_when(CART) | {"segment": {}}, "segment", "known here: version, currency, library, placeholders, hosts, segments"),
    ("a placeholder that stands alone", with_when(CART) | {"placeholders": "visitor"}, "placeholders", "such as [visitor]"),
    ("a placeholder that is a number", with_when(CART) | {"placeholders": [0]}, "placeholders", PLACEHOLDERS),
    ("a placeholder of blanks", with_when(CART) | {"placeholders": ["visitor", " "]}, "placeholders", PLACEHOLDERS),
    ("a placeholder of 65", with_when(CART) | {"placeholders": ["a" * 65]}, "placeholders", "each of up to 64 characters"),
    ("very many placeholders", with_when(CART) | {"placeholders": [f"v{n}" for n in range(257)]}, "placeholders", PLACEHOLDERS),
    ("a host that stands alone", with_when(CART) | {"hosts": "shop.example"}, "hosts", "such as [shop.example]"),
    ("a host with a scheme", with_when(CART) | {"hosts": ["https://shop.example"]}, "hosts", "'https://shop.example' is not a host name"),
    ("a host with a port", with_when(CART) | {"hosts": ["shop.example:443"]}, "hosts", "without scheme, port and path"),
    ("a host with a star", with_when(CART) | {"hosts": ["*.shop.example"]}, "hosts", "such as shop.example"),
    ("a host with other letters", with_when(CART) | {"hosts": ["müller.example"]}, "hosts", "international names as xn--"),
    ("a host that is a number", with_when(CART) | {"hosts": [7]}, "hosts", "7 is not a host name"),
    ("a host of 254", with_when(CART) | {"hosts": ["a." * 126 + "aa"]}, "hosts", "is not a host name"),
    ("very many hosts", with_when(CART) | {"hosts": [f"h{n}.example" for n in range(257)]}, "hosts", "at most 256 host names"),
    ("no segments", {"version": 1}, "segments", "expected at least one, such as repeat_buyer"),
    ("an empty list of segments", {"version": 1, "segments": []}, "segments", "expected at least one"),
    ("a key in capitals", {"version": 1, "segments": {"VIP": {}}}, "segments.VIP", "lower-case letters, digits and _"),
    ("a key with a blank", {"version": 1, "segments": {"a b": {}}}, "segments.a b", "lower-case letters"),
    ("a key of 65", {"version": 1, "segments": {"a" * 65: {}}}, f"segments.{'a' * 65}", "lower-case letters"),
    ("a key that is a number", {"version": 1, "segments": {1: {}}}, "segments.1", "lower-case letters"),
    ("a segment that is none", {"version": 1, "segments": {"s": None}}, "segments.s", "expected {title: …, when: {…}}"),
    ("no title", {"version": 1, "segments": {"s": {"when": CART}}}, "segments.s.title", "expected {title: Rep"),
    ("a title that is no text", with_when(CART, title=5), "segments.s.title", "string"),
    ("an unknown key of a segment", with_when(CART, descr="x"), "segments.s.descr", "known here: title, about, kind, hold, when, bands"),
    ("no condition", {"version": 1, "segments": {"s": {"title": "S"}}}, WHEN, KINDS),
    ("a condition that is a list", with_when([CART]), WHEN, KINDS),
    ("two conditions without all", with_when(CART | {"sessions": {}}), WHEN, "exactly one key"),
    ("no kind", with_when({}), WHEN, "exactly one key"),
    ("an unknown kind", with_when({"bought": {}}), f"{WHEN}.bought", KINDS),
    ("a form that is text", with_when({"performed": "page"}), PERFORMED, "expected {event: Order Completed"),
    ("a cart that is null", with_when({"cart": None}), f"{WHEN}.cart", "expected {idle_for: 30m, until: 30d}"),
    ("no event", with_when({"performed": {"within": "1d"}}), f"{PERFORMED}.event", "expected {event: Order Comp"),
    ("an event that is no text", performed(event=5), f"{PERFORMED}.event", EVENT),
    ("an event that is blank", performed(event=" "), f"{PERFORMED}.event", EVENT),
    ("no events", performed(event=[]), f"{PERFORMED}.event", EVENT),
    ("one event of two", performed(event=["page", None]), f"{PERFORMED}.event", EVENT),
    ("a misspelt key", performed(witin="1d"), f"{PERFORMED}.witin", "known here: event, where, on, weekday, hours, timezone, count, within"),
    ("a number of days", performed(within=30), f"{PERFORMED}.within", DURATION),
    ("half a day", performed(within="0.5d"), f"{PERFORMED}.within", DURATION),
    ("no time at all", performed(within="0d"), f"{PERFORMED}.within", DURATION),
    ("Persian digits", performed(within="۳۰d"), f"{PERFORMED}.within", DURATION),
    ("a count that is text", performed(count="many"), PERFORMED_COUNT, COUNT),
    ("a count of yes", performed(count=True), PERFORMED_COUNT, COUNT),
    ("an empty count", performed(count={}), PERFORMED_COUNT, COUNT),
    ("an unknown count", performed(count={"more": 1}), PERFORMED_COUNT, "known here: at_least, at_m"),
    ("a count in quotes", performed(count={"at_least": "2"}), f"{PERFORMED_COUNT}.at_least", "is not a whole number from 0 to"),
    ("half a count", performed(count={"at_least": 1.5}), f"{PERFORMED_COUNT}.at_least", "is not a whole number from 0 to"),
    ("a count below 0", performed(count={"at_most": -1}), f"{PERFORMED_COUNT}.at_most", "is not a whole number from 0 to"),
    ("a count above all", performed(count={"exactly": COUNT_MAX + 1}), f"{PERFORMED_COUNT}.exactly", str(COUNT_MAX)),
    ("exactly and more", performed(count={"exactly": 1, "at_least": 1}), PERFORMED_COUNT, "exactly stands alone"),
    ("an empty range", performed(count={"at_least": 3, "at_most": 2}), PERFORMED_COUNT, "no count is at least 3"),
    ("every count", performed(count={"at_least": 0}), PERFORMED_COUNT, "write at_least: 1 or more"),
    ("64 orders", performed(event="Order Completed", count=64), PERFORMED_COUNT, "at_most and exactly up to 62"),
    ("an empty span", with_when({"cart": {"idle_for": "30m", "until": "30m"}}), f"{WHEN}.cart.until", "longer than"),
    ("a misspelt stage", with_when({"cart": {"stages": "checkout"}}), f"{WHEN}.cart.stages", "known here: idle_for, until"),
    ("sessions without a window", with_when({"sessions": {"count": 2}}), f"{SESSIONS}.within", "expected {count"),
    ("a gap that is none", sessions(gap="soon"), f"{SESSIONS}.gap", DURATION),
    ("512 sessions", sessions(count=512), f"{SESSIONS}.count", "sessions are counted up to"),
    ("all of nothing", with_when({"all": []}), f"{WHEN}.all", "expected a list of conditions, at least one"),
    ("any of one", with_when({"any": CART}), f"{WHEN}.any", "expected a list of conditions"),
    ("not nothing", with_when({"not": None}), f"{WHEN}.not", "expected a condition or a list of conditions"),
    ("wrong in a list", with_when({"all": [CART, {"cart": {"until": "x"}}]}), f"{WHEN}.all[1].cart.until", DURATION),
    ("wrong in one not", with_when({"not": {"cart": {"until": "x"}}}), f"{WHEN}.not.cart.until", DURATION),
    ("too deep", with_when(nested(DEPTH_MAX + 1)), WHEN + ".not[0]" * (DEPTH_MAX + 1), f"at most {DEPTH_MAX} deep"),
    ("too many", {"version": 1, "segments": MANY}, "segments", "at most 1,000, here are 1,001"),
]  # fmt: skip


# --- the rest of the language ------------------------------------------------------------------


def total(**form: object) -> Form:
    whole: Form = {"agg": "sum", "of": "score", "event": "NPS Submitted", "at_least": 1} | form
    return with_when({"total": {key: value for key, value in whole.items() if value is not None}})


def where(**tests: object) -> Form:
    return performed(where=tests)


def leaf(kind: str, **form: object) -> Form:
    return with_when({kind: form})


def bands(**form: object) -> Form:
    bands_form: Form = {"total": {"agg": "sum", "of": "score", "event": "page"}, "from": {"low": 0, "high": 9}} | form
    return {"version": 1, "segments": {"s": {"title": "S", "bands": bands_form}}}


def two(**whens: object) -> Form:
    return {"version": 1, "segments": {key: {"title": key, "when": when} for key, when in whens.items()}}


def counted(**form: object) -> Form:
    of_count: Form = {"performed": {"event": "page", "between": ["2d", "1d"]}, "from": {"few": 1, "many": 9}} | form
    return {"version": 1, "segments": {"s": {"title": "S", "bands": of_count}}}


TOTAL, WHERE, BANDS = f"{WHEN}.total", f"{PERFORMED}.where", "segments.s.bands"
PARTS: dict[str, Form] = {name: {"agg": "sum", "of": "score", "event": "page"} for name in ("of", "to")}


def score(**fields: object) -> Form:
    return leaf("score", **{"events": {"page": 1}, "half_life": "7d", **fields})


PAGES: Form = {"steps": [{"event": "page"}, {"event": "page"}]}
OF_LANGUAGE: list[tuple[str, object, str, str]] = [
    ("an empty where", performed(where={}), WHERE, "such as {category: shoes}, at least one"),
    ("where is a list", performed(where=["color"]), WHERE, "expected {property: test}"),
    ("a test that is null", where(color=None), f"{WHERE}.color", "exists: false for what is absent"),
    ("a test that is a list", where(color=["red"]), f"{WHERE}.color", "write {in: […]}"),
    ("a test of empty text", where(color=""), f"{WHERE}.color", "write exists: false"),
    ("an empty test", where(color={}), f"{WHERE}.color", "one of in, not_in, at_least"),
    ("an unknown test", where(color={"is": "red"}), f"{WHERE}.color", "known here: in, not_in, at_least"),
    ("in a value", where(color={"in": "red"}), f"{WHERE}.color.in", "expected a list of 1 to 1000 values"),
    ("in nothing", where(color={"in": []}), f"{WHERE}.color.in", "expected a list of 1 to 1000 values"),
    ("exists of text", where(color={"exists": "no"}), f"{WHERE}.color.exists", "neither true nor false"),
    ("absent and more", where(color={"exists": False, "in": ["a"]}), f"{WHERE}.color", "exists: false stands alone"),
    ("a pattern that is none", where(url={"matches": "(a"}), f"{WHERE}.url.matches", "is not a regular expression (RE2)"),
    ("a look-ahead", where(url={"matches": "(?=a)"}), f"{WHERE}.url.matches", "is not a regular expression (RE2)"),
    ("a number that is text", where(score={"at_least": "9"}), f"{WHERE}.score.at_least", "'9' is not a number"),
    ("seven digits", where(score=0.1234567), f"{WHERE}.score", "more than six digits"),
    ("a number too large", where(id=10**13), f"{WHERE}.id", "an id is written in quotes"),
    ("two lower ends", where(n={"at_least": 1, "above": 1}), f"{WHERE}.n", "both lower ends; keep one"),
    ("two upper ends", where(n={"at_most": 1, "below": 1}), f"{WHERE}.n", "both upper ends; keep one"),
    ("no number", where(n={"above": 1, "below": 1}), f"{WHERE}.n", "no number is above 1 and below 1"),
    ("a path with a hole", performed(where={"a..b": 1}), f"{WHERE}.a..b", "a dotted one such as address.city"),
    ("what has no effect", performed(event="alias"), f"{PERFORMED}.event", "alias is accepted without effect"),
    ("no aggregate", total(agg=None), f"{TOTAL}.agg", "is missing; expected {agg: sum"),
    ("an unknown aggregate", total(agg="median"), f"{TOTAL}.agg", "'sum', 'avg', 'min', 'max' or 'distinct'"),
    ("a total without a test", total(at_least=None), TOTAL, "write at_least, at_most, above or below"),
    ("a total of text", total(at_least="10"), f"{TOTAL}.at_least", "'10' is not a number"),
    ("a total between nothing", total(at_least=2, below=2), TOTAL, "no number is at_least 2 and below 2"),
    ("money of no currency", total(of="total", event="Order Completed"), f"{TOTAL}.of", "write currency: EUR"),
    ("256 different values", total(agg="distinct", at_least=256), TOTAL, "counted up to 255"),
    ("between two counts", total(agg="distinct", above=1, below=2, at_least=None), TOTAL, "no number of values"),
    ("an ago that is a duration", leaf("last", event="page", ago="7d"), f"{WHEN}.last.ago", "{at_least: 7d, at_most: 14d}"),
    ("an ago of a number", leaf("last", event="page", ago={"at_least": 7}), f"{WHEN}.last.ago.at_least", DURATION),
    ("an ago of nothing", leaf("first", event="page", ago={"at_least": "7d", "below": "7d"}), f"{WHEN}.first.ago", "longer"),
    ("an ago with above", leaf("last", event="page", ago={"above": "7d"}), f"{WHEN}.last.ago", "at_least, at_most, below"),
    ("one step", leaf("sequence", steps=PAGES["steps"][:1]), f"{WHEN}.sequence.steps", "at least 2 items"),
    ("eleven steps", leaf("sequence", steps=PAGES["steps"][:1] * 11), f"{WHEN}.sequence.steps", "at most 10 items"),
    ("a step that is a name", leaf("sequence", steps=["page", {"event": "page"}]), f"{WHEN}.sequence.steps[0]", "expected {"),
    ("a step without event", leaf("sequence", steps=[{}, {"event": "page"}]), f"{WHEN}.sequence.steps[0].event", "is missing"),
    ("same of a number", leaf("sequence", **PAGES, same=5), f"{WHEN}.sequence.same", "is not a property"),
    ("an unknown stage", leaf("cart", stage="paid"), f"{WHEN}.cart.stage", "'cart' or 'checkout'"),
    ("a value of text", leaf("cart", value="100"), f"{WHEN}.cart.value", "is not a number"),
    ("a product of no id", leaf("cart", has={"quantity": 1}), f"{WHEN}.cart.has.product_id", "is missing"),
    ("a product by another name", leaf("cart", has={"product_id": 7, "sku": "s1"}), f"{WHEN}.cart.has.sku", "known here: product_id, quantity"),
    ("a product that stands alone", leaf("cart", has="tea-1"), f"{WHEN}.cart.has", "expected {product_id: tea-1}"),
    ("a product that does not exist", leaf("cart", has={"product_id": {"exists": False}}), f"{WHEN}.cart.has.product_id", "every product of a cart exists"),
    ("a product of over 64 bytes", leaf("cart", has={"product_id": "چ" * 33}), f"{WHEN}.cart.has.product_id", "up to 64 bytes"),
    ("an unknown end", leaf("cart", items={"more": 1}), f"{WHEN}.cart.items", "known here: at_least, at_most, above, below"),
    ("no trait", leaf("trait"), f"{WHEN}.trait", "expected {plan: pro}"),
    ("an age of text", leaf("trait", born={"age": "18"}), f"{WHEN}.trait.born.age", "{at_least: 18, below: 25} in years"),
    ("half a year", leaf("trait", born={"age": {"at_least": 0.5}}), f"{WHEN}.trait.born.age.at_least", "whole number of years"),
    ("of no age", leaf("trait", born={"age": {"above": 4, "below": 5}}), f"{WHEN}.trait.born.age", "no age lies in this range"),
    ("years and days", leaf("trait", born={"age": {"at_least": 1, "below": "9d"}}), f"{WHEN}.trait.born.age.at_least", DURATION),
    ("a day that is no date", performed(on="2026-02-30"), f"{PERFORMED}.on", "is not a day; write a day such as"),
    ("a day in another form", performed(on="20261127"), f"{PERFORMED}.on", "is not a day; write a day such as"),
    ("days the wrong way round", performed(on=["2026-12-01", "2026-11-27"]), f"{PERFORMED}.on", "is before 2026-12-01"),
    ("days after", performed(on={"after": "2026-12-01"}), f"{PERFORMED}.on", "known here: from, until"),
    ("an hour past midnight", performed(hours={"from": "18:00", "to": "25:00"}), f"{PERFORMED}.hours.to", "is not a time of the day"),
    ("hours without an end", performed(hours={"from": "18:00"}), f"{PERFORMED}.hours", "expected {from: '18:00', to: '23:00'}"),
    ("no hour at all", performed(hours={"from": "18:00", "to": "18:00"}), f"{PERFORMED}.hours", "no time of the day lies between"),
    ("an event on a holiday", performed(weekday="holiday"), f"{PERFORMED}.weekday", "is not a weekday"),
    ("an event nowhere", performed(weekday="sat", timezone="Mars"), f"{PERFORMED}.timezone", "is not a time zone"),
    ("a time zone of nothing", performed(timezone="UTC"), PERFORMED, "write on, weekday or hours beside it"),
    ("a date in words", leaf("trait", born={"before": "May"}), f"{WHEN}.trait.born.before", "is not a date; write one such as"),
    ("a date of a number", leaf("trait", born={"after": 2025}), f"{WHEN}.trait.born.after", "is not a date; write one such as"),
    ("nothing ahead", leaf("trait", ends={"ahead": {}}), f"{WHEN}.trait.ends.ahead", "expected {at_most: 14d}"),
    ("ahead below", leaf("trait", ends={"ahead": {"below": "1d"}}), f"{WHEN}.trait.ends.ahead", "known here: at_least, at_most"),
    ("ahead of nothing", leaf("trait", ends={"ahead": {"at_least": "2d", "at_most": "2d"}}), f"{WHEN}.trait.ends.ahead", "must be longer"),
    ("ahead in words", leaf("trait", ends={"ahead": {"at_most": "soon"}}), f"{WHEN}.trait.ends.ahead.at_most", DURATION),
    ("an anniversary tomorrow", leaf("trait", born={"anniversary": "tomorrow"}), f"{WHEN}.trait.born.anniversary", "{within_next: 7d}"),
    ("two anniversaries", leaf("trait", born={"anniversary": {"today": True, "within_next": "1d"}}), f"{WHEN}.trait.born.anniversary", "expected today"),
    ("an anniversary of hours", leaf("trait", born={"anniversary": {"within_next": "23h"}}), f"{WHEN}.trait.born.anniversary.within_next", "from 1d to 365d"),
    ("an anniversary nowhere", leaf("trait", born={"anniversary": {"today": True, "timezone": "Mars"}}), f"{WHEN}.trait.born.anniversary.timezone", "not a time zone"),
    ("an unknown attribute", leaf("context", weather="x"), f"{WHEN}.context", "known here: device, channel, source"),
    ("touch alone", leaf("context", touch="first"), f"{WHEN}.context", "no attribute is asked for"),
    ("an unknown touch", leaf("context", device="x", touch="any"), f"{WHEN}.context.touch", "neither first nor last"),
    ("Norway unquoted", leaf("context", country=False), f"{WHEN}.context.country", "quote it"),
    ("an unknown channel", leaf("context", channel="email"), f"{WHEN}.context.channel", "campaign, search, social, referral, direct"),
    ("in two segments", with_when({"in_segment": ["a", "b"]}), f"{WHEN}.in_segment", "another segment's key"),
    ("an unknown segment", with_when({"in_segment": "vip"}), f"{WHEN}.in_segment", "there is no segment vip; segments here are s"),
    ("itself", with_when({"in_segment": "s"}), WHEN, "a cycle decides nothing"),
    ("no day", leaf("calendar", timezone="UTC"), f"{WHEN}.calendar", "{weekday: [fri]}"),
    ("one day", leaf("calendar", between=["01-01"]), f"{WHEN}.calendar.between", "two month-days in quotes"),
    ("a day in words", leaf("calendar", between=["1 Jan", "2 Jan"]), f"{WHEN}.calendar.between", "two month-days in quotes"),
    ("a day that is none", leaf("calendar", between=["02-30", "03-01"]), f"{WHEN}.calendar.between", "gregorian calendar has no 02-30"),
    ("a Jalali day that is none", leaf("calendar", between=["07-31", "08-01"], calendar="jalali"), f"{WHEN}.calendar.between", "jalali"),
    ("an unknown calendar", leaf("calendar", weekday="fri", calendar="hijri"), f"{WHEN}.calendar.calendar", "'gregorian' or 'jalali'"),
    ("an unknown weekday", leaf("calendar", weekday="friday"), f"{WHEN}.calendar.weekday", "mon, tue, wed"),
    ("an unknown time zone", leaf("calendar", weekday="fri", timezone="Tehran"), f"{WHEN}.calendar.timezone", "such as Asia/Tehran"),
    ("a path for a time zone", leaf("calendar", weekday="fri", timezone="../x"), f"{WHEN}.calendar.timezone", "such as Asia/Tehran"),
    ("no share", leaf("sample", salt="x"), f"{WHEN}.sample.percent", "is missing"),
    ("nobody", leaf("sample", percent=0), f"{WHEN}.sample.percent", "not above 0 and at most 100"),
    ("more than all", leaf("sample", percent=101), f"{WHEN}.sample.percent", "not above 0 and at most 100"),
    ("a share in words", leaf("sample", percent="10 %"), f"{WHEN}.sample.percent", "is not a number"),
    ("a hold that is a number", with_when(CART, hold=5), "segments.s.hold", DURATION),
    ("nothing to include", with_when(CART, include={}), INCLUDE, "nothing is included"),
    ("an unknown part to include", with_when(CART, include={"orders": ["total"]}), f"{INCLUDE}.orders", "known here: cart, last, traits, totals"),
    ("the same to include twice", with_when(CART, include={"cart": ["name", "name"]}), f"{INCLUDE}.cart", "different names"),
    ("thirteen to include", with_when(CART, include={"traits": [f"t{n}" for n in range(13)]}), f"{INCLUDE}.traits", "1 to 12 different names"),
    ("a long name to include", with_when(CART, include={"traits": ["t" * 65]}), f"{INCLUDE}.traits", "longer than 64 characters"),
    ("an address to include without hosts", with_when(CART, include={"cart": ["name", "image_url"]}), INCLUDE, "write hosts: [shop.example]"),
    ("properties of an identify to include", with_when(CART, include={"last": {"event": "identify", "of": ["a"]}}), f"{INCLUDE}.last.event", "use traits"),
    ("a tested total to include", with_when(CART, include={"totals": {"n": {"agg": "sum", "of": "a", "event": "page", "at_least": 1}}}), f"{INCLUDE}.totals.n.at_least", "leave the test out"),
    ("money of no currency to include", with_when(CART, include={"totals": {"n": {"agg": "sum", "of": "total", "event": "Order Completed"}}}), f"{INCLUDE}.totals.n.of", "write currency: EUR"),
    ("bands and when", {"version": 1, "segments": {"s": {"title": "S", "when": CART, "bands": {}}}}, "segments.s", "keep one"),
    ("bands of nothing", bands(**{"from": {}}), f"{BANDS}.from", "expected 1 to 20 bands"),
    ("bands without a total", bands(total=5), f"{BANDS}.total", "valid dictionary"),
    ("bands of two numbers", bands(sessions={"within": "30d"}), BANDS, "one of total, ratio, score, performed, sessions"),
    ("bands of a count that is tested", counted(performed={"event": "page", "count": 2}), f"{BANDS}.performed", "leave out count"),
    ("a band of half a count", counted(**{"from": {"a": 0.5}}), f"{BANDS}.from.a", "not a whole number from 0 on"),
    ("bands above what is counted", counted(**{"from": {"a": 1, "b": 300}}), f"{BANDS}.performed.count", "no count goes above 254"),
    ("a total with a test", bands(total={"agg": "sum", "of": "a", "event": "page", "at_least": 1}), f"{BANDS}.total", "leave out"),
    ("two equal bands", bands(**{"from": {"a": 1, "b": 1}}), f"{BANDS}.from", "two bands begin at the same number"),
    ("a band of text", bands(**{"from": {"a": "low"}}), f"{BANDS}.from.a", "is not a number"),
    ("a total in bands that is wrong", bands(total={"agg": "sum", "of": "a", "event": 1}), f"{BANDS}.total.event", EVENT),
    ("an empty window", performed(within=None), f"{PERFORMED}.within", "nothing stands here"),
    ("an empty end", where(n={"at_least": None}), f"{WHERE}.n.at_least", "nothing stands here"),
    ("an empty end of a total", leaf("total", agg="sum", of="a", event="page", at_least=None), f"{TOTAL}.at_least", "nothing stands here"),
    ("bands without a title", {"version": 1, "segments": {"s": {"bands": bands()["segments"]["s"]["bands"]}}}, "segments.s.title", "is missing"),
    ("an unknown key beside bands", {"version": 1, "segments": {"s": {"title": "S", "foo": 1, "bands": bands()["segments"]["s"]["bands"]}}}, "segments.s.foo", "unknown key"),
    ("bands that meet", {"version": 1, "segments": {key: {"title": "S", "bands": {"total": {"agg": "sum", "of": "a", "event": "page"}, "from": {name: 1}}} for key, name in (("a", "b_c"), ("a_b", "c"))}}, "segments.a_b.bands.from.c", "there is a segment a_b_c already"),
    ("nothing but nothing of the library", {"version": 1, "library": {"only": []}}, "library.only", "at least 1 item"),
    ("a part that asks about another", {"version": 1, "library": {"only": ["at_risk"]}}, "library", "at_risk asks about repeat_buyer"),
    ("sixty-one ways to look at orders", two(**{f"s{n}": {"performed": {"event": "Order Completed", "where": {"n": n}}} for n in range(61)}), "segments.s60.when", "at most 60 different ways"),
    ("a beginning that is a number", leaf("trait", plan={"starts_with": 5}), f"{WHEN}.trait.plan.starts_with", "expected a part of a text, in quotes where it looks like a number"),
    ("an end of blanks", leaf("trait", plan={"ends_with": " "}), f"{WHEN}.trait.plan.ends_with", "expected a part of a text"),
    ("two windows", performed(within="1d", between=["2d", "1d"]), PERFORMED, "within and between are both windows; keep one"),
    ("a window that ends before it begins", performed(between=["1d", "24h"]), f"{PERFORMED}.between", "the longer one is first"),
    ("a window of one duration", performed(between=["1d"]), f"{PERFORMED}.between", "such as [60d, 30d]"),
    ("a window of no duration", performed(between=["1d", "x"]), f"{PERFORMED}.between[1]", DURATION),
    ("a count above what is stored", performed(between=["2d", "1d"], count={"at_least": 300}), f"{PERFORMED}.count", "no count goes above 254"),
    ("a ratio without a test", leaf("ratio", **PARTS), f"{WHEN}.ratio", "above or below beside of and to"),
    ("a ratio to nothing", leaf("ratio", of=PARTS["of"], above=1), f"{WHEN}.ratio.to", "is missing"),
    ("a ratio of a tested total", leaf("ratio", of={**PARTS["of"], "above": 1}, to=PARTS["to"], above=1), f"{WHEN}.ratio.of.above", "leave the test out"),
    ("a ratio to a count", leaf("ratio", of=PARTS["of"], to=5, above=1), f"{WHEN}.ratio.to", "expected a total without its test"),
    ("a ratio of no aggregate", leaf("ratio", of={"agg": "count", "of": "x", "event": "page"}, to=PARTS["to"], above=1), f"{WHEN}.ratio.of.agg", "'sum'"),
    ("a rhythm of one", leaf("overdue", event="page", times=2, count={"at_least": 1}), f"{WHEN}.overdue.count", "from 2 to 64"),
    ("a rhythm without a factor", leaf("overdue", event="page", times=0), f"{WHEN}.overdue.times", "above 0 and up to 100"),
    ("a score without a test", score(), f"{WHEN}.score", "above or below beside events"),
    ("a score of no event", score(events={}, above=1), f"{WHEN}.score.events", "of 1 to 16 events"),
    ("a score of a list of events", score(events=["page"], above=1), f"{WHEN}.score.events", "expected {event: points}"),
    ("an event without points", score(events={"page": 0}, above=1), f"{WHEN}.score.events.page", "above 0 and up to 1000"),
    ("points that are text", score(events={"page": "1"}, above=1), f"{WHEN}.score.events.page", "'1' is not a number"),
    ("points of one event twice", score(events={"Viewed Product": 1, "Product Viewed": 2}, above=1), f"{WHEN}.score.events", "has points already"),
    ("a half-life of seconds", score(half_life="10s", above=1), f"{WHEN}.score.half_life", "from 1m to 365d"),
    ("a score that nobody has", score(above=256), f"{WHEN}.score", "the newest 256 of each event count"),
    ("newest without a test", leaf("newest", event="page"), f"{WHEN}.newest.has", "is missing"),
    ("items of two products", leaf("newest", event="page", where={"item": {"a": 1}}, has={"item": {"b": 1}}), f"{WHEN}.newest", "ask it in one of them"),
    ("a month", leaf("performed", event="page", within="3mo"), f"{PERFORMED}.within", DURATION),
    ("a channel that contains", leaf("context", channel={"contains": "serach"}), f"{WHEN}.context.channel", "campaign, search, social, referral, direct"),
    ("nothing of the library", {"version": 1, "library": {"without": ["vips"]}}, "library.without", "there is no vips"),
    ("two wishes", {"version": 1, "library": {"without": ["vip"], "only": ["hold_out"]}}, "library", "keep one"),
]  # fmt: skip
WRONG += OF_LANGUAGE
