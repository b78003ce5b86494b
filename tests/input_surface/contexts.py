"""What `context` tells of a visit."""

from collections.abc import Iterator
from typing import Any, Final

from tests.input_surface.model import ABSENT, Case, Event, event, label, make, without_absent
from tests.input_surface.truth import FILES, Condition, document

ATTRIBUTES: Final[tuple[tuple[str, tuple[str, ...], str, str], ...]] = (
    ("device", ("device", "type"), "mobile", "desktop"),
    ("source", ("campaign", "source"), "newsletter", "spring"),
    ("medium", ("campaign", "medium"), "email", "cpc"),
    ("campaign", ("campaign", "name"), "spring", "autumn"),
    ("country", ("location", "country"), "Iran", "France"),
    ("city", ("location", "city"), "تهران", "Paris"),
    ("locale", ("locale",), "fa-IR", "en-GB"),
    ("os", ("os", "name"), "iOS", "Android"),
    ("browser", ("browser", "name"), "Safari", "Chrome"),
    ("timezone", ("timezone",), "Asia/Tehran", "Europe/Berlin"),
    ("region", ("location", "region"), "Fars", "Bayern"),
)
CHANNELS: Final = ("search", "referral", "campaign", "direct")
NOTHING: Final[tuple[Any, ...]] = (ABSENT, None, "", {}, [], True, 5, {"type": "mobile"})
PARTNER: Final = "https://partner.example/list?x=1"
SEARCH: Final = "https://www.google.com/"
_SEGMENTS: Final[dict[str, Condition]] = {
    **{name: {"context": {name: value}} for name, _, value, _ in ATTRIBUTES},
    **{f"first_{name}": {"context": {name: value, "touch": "first"}} for name, _, value, _ in ATTRIBUTES},
    "partner": {"context": {"referrer": {"contains": "partner.example"}}},
    **{f"by_{channel}": {"context": {"channel": channel}} for channel in CHANNELS},
    **{f"first_by_{channel}": {"context": {"channel": channel, "touch": "first"}} for channel in CHANNELS},
}
FILES["contexts"] = document(_SEGMENTS)
FILES["hosts"] = document(_SEGMENTS, hosts=["shop.example", "pay.example"])
CHANNEL_KEYS: Final = {f"{touch}by_{channel}" for touch in ("", "first_") for channel in CHANNELS}


def both(key: str) -> set[str]:
    """The segment of the newest and the one of the first touch."""
    return {key, f"first_{key}"}


def page(message: str, minutes: float, context: Any) -> Event:
    """A page view with this context."""
    return event("page", message, minutes, context=context)


def nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The context that holds the value at the path."""
    inner: Any = value
    for name in reversed(path):
        inner = without_absent({name: inner})
    hit: dict[str, Any] = inner
    return hit


def attributes() -> Iterator[Case]:
    """Each attribute in each form, alone and after or before an event that carries it."""
    for name, path, value, other in ATTRIBUTES:
        shown = ".".join(path)
        for text in dict.fromkeys((value, value.upper(), f" {value}", f"{value} ", value.lower())):
            sent = page("m", 0, nested(path, text))
            rules = ("R38", "R34")
            yield make(f"{shown} {label(text)}", rules, "contexts", [sent], both(name), undecided=CHANNEL_KEYS)
        carrying = page("m1", 0, nested(path, value))
        newer = page("m2", 5, nested(path, other))
        right = {f"first_{name}"}
        yield make(f"{shown} changes", ("R38",), "contexts", [carrying, newer], right, undecided=CHANNEL_KEYS)
        yield make(f"{shown} changes, late", ("R38",), "contexts", [newer, carrying], right, undecided=CHANNEL_KEYS)
        forms: list[Any] = [nested(path, form) for form in NOTHING]
        parts: tuple[Any, ...] = (None, "", [], {}, value, 5, True)
        forms += [nested(path[:-1], part) for part in parts] if len(path) > 1 else []
        for index, form in enumerate(forms):  # each a whole context
            what = f"{shown} {index} {label(form)}"
            sent = page("m", 0, form)
            yield make(f"{what} carries nothing", ("R38", "R32"), "contexts", [sent], set(), undecided=CHANNEL_KEYS)
            events = [carrying, page("m2", 5, form)]
            yield make(f"{what} later", ("R38", "R32"), "contexts", events, both(name), undecided=CHANNEL_KEYS)
            events = [page("m0", -5, form), carrying]
            yield make(f"{what} before", ("R38", "R32"), "contexts", events, both(name), undecided=CHANNEL_KEYS)
    whole: tuple[Any, ...] = (None, "", [], {}, "mobile", 5, True)
    for form in whole:
        sent = page("m", 0, form)
        yield make(f"context {label(form)}", ("R38", "R32"), "contexts", [sent], set(), undecided=CHANNEL_KEYS)


def visit(page_referrer: Any, /, **more: Any) -> dict[str, Any]:
    """The context of a page view with this referrer, as analytics.js sends it."""
    return {"page": without_absent({"url": "https://shop.example/", "referrer": page_referrer}), **more}


def referrers() -> Iterator[Case]:
    """The place of the referrer, and the channel that follows."""
    partner = {"partner"} | both("by_referral")
    table: tuple[tuple[str, Any, set[str], set[str]], ...] = (
        ("partner", visit(PARTNER), partner, set()),
        ("partner in capitals", visit("HTTPS://PARTNER.EXAMPLE/"), partner, set()),
        ("search engine", visit(SEARCH), both("by_search"), set()),
        ("$direct", visit("$direct"), both("by_direct"), set()),
        ("empty", visit(""), both("by_direct"), set()),
        ("null", visit(None), both("by_direct"), set()),
        ("absent", visit(ABSENT), both("by_direct"), set()),
        ("number", visit(5), set(), CHANNEL_KEYS),
        ("object", visit({"url": PARTNER}), set(), CHANNEL_KEYS),
        ("list", visit([PARTNER]), set(), CHANNEL_KEYS | {"partner"}),
        ("true", visit(True), set(), CHANNEL_KEYS),
        ("long text", visit("x" * 5000), set(), CHANNEL_KEYS),
        ("own field first", visit(SEARCH, referrer={"url": PARTNER}), partner, set()),
        ("own field alone", {"referrer": {"url": PARTNER}}, partner, set()),
        ("own field with $direct", {"referrer": {"url": "$direct"}}, both("by_direct"), set()),
        ("campaign", visit("", campaign={"source": "newsletter"}), both("source") | both("by_campaign"), set()),
    )  # fmt: skip
    for name, context, right, undecided in table:
        yield make(f"referrer: {name}", ("R39",), "contexts", [page("m", 0, context)], right, undecided=undecided)
        yield make(
            f"referrer: {name}, with hosts", ("R39",), "hosts", [page("m", 0, context)], right, undecided=undecided
        )
    empty: tuple[Any, ...] = (None, "", [], {}, {"url": ""}, {"url": None}, {"type": "x"}, "x", 5, True)
    for value in empty:
        sent = page("m", 0, visit(PARTNER, referrer=value))
        name = f"context.referrer {label(value)} beside the page's"
        yield make(name, ("R39", "R32", "R38"), "contexts", [sent], partner)
    events = [page("m1", 0, visit("$direct")), page("m2", 5, visit(SEARCH))]
    yield make("$direct, then a search", ("R39",), "contexts", events, {"first_by_direct", "by_search"})
    events = [page("m1", 0, visit(SEARCH)), page("m2", 5, visit(PARTNER))]
    yield make("a search, then a partner", ("R39",), "contexts", events, {"first_by_search", "by_referral", "partner"})
    own = ("https://shop.example/", "https://shop.example/a?b=1", "http://SHOP.example", "https://pay.example/done")
    for url in own:
        undecided = {"by_direct", "first_by_direct"}
        sent = page("m", 0, visit(url))
        yield make(f"own host {url}", ("R39",), "hosts", [sent], set(), undecided=undecided)
        events = [page("m1", 0, visit(PARTNER)), page("m2", 5, visit(url))]
        right = {"partner", "first_by_referral"}
        name = f"a partner, then own host {url}"
        yield make(name, ("R39",), "hosts", events, right, undecided={"by_direct", "by_referral"})
    for url in ("https://notshop.example/", "https://shop.example.partner.example/"):
        right = both("by_referral") | ({"partner"} if "partner" in url else set())
        yield make(f"another host {url}", ("R39",), "hosts", [page("m", 0, visit(url))], right)


def cases() -> Iterator[Case]:
    """All of this module."""
    for part in (attributes, referrers):
        yield from part()
