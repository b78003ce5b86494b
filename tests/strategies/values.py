"""What drawn events say and drawn rules ask: values and, beside them, tests that some of them meet.

Its one rule: both are fragments of one property, trait or attribute, `{}` where an event does not have it,
and what is asked lies on the values that are told, or just beside them.

Long because it is a table.
"""

from typing import NamedTuple

Event = dict[str, object]
Fragments = tuple[Event, ...]


class Palette(NamedTuple):
    """Fragments of events, and of rules about them."""

    values: Fragments
    tests: Fragments


# --- properties --------------------------------------------------------------------------------

PRODUCTS: Fragments = (
    {"product_id": "p1"}, {"product_id": "p1", "sku": "s1"}, {"product_id": 7}, {"product_id": "7"},
    {"product_id": "", "sku": "s1"}, {"sku": "s1"}, {"product_id": None, "name": "چای سبز"}, {},
)  # fmt: skip
QUANTITIES: Fragments = (
    {}, {}, {}, {}, {"quantity": 1}, {"quantity": 1}, {"quantity": "1.0"}, {"quantity": 2},
    {"quantity": "2"}, {"quantity": 0.5}, {"quantity": "1.5"}, {"quantity": 0}, {"quantity": 1e-06},
    {"quantity": "0.0000009"}, {"quantity": None},
)  # fmt: skip
PRICES: Fragments = (
    {}, {"price": 5}, {"price": 5}, {"price": "5.00"}, {"price": 10}, {"price": 2.5}, {"price": 0},
    {"price": None}, {"price": 0.1}, {"price": "0.2"},
)  # fmt: skip
ORDER_IDS: Fragments = (
    {"order_id": "o1"}, {"order_id": "o1"}, {"order_id": "o2"}, {"order_id": 3}, {"order_id": "3"},
    {"order_id": ""}, {},
)  # fmt: skip
MANY_ORDER_IDS: Fragments = tuple({"order_id": f"o{number}"} for number in range(1, 9))  # one taken back leaves others
VALUES: Fragments = (
    {"total": 100}, {"total": 100}, {"total": "100.00"}, {"revenue": 100.0}, {"total": None, "revenue": "100"},
    {"total": 100, "revenue": 40}, {"total": 0}, {},
)  # fmt: skip
REFUNDS: Fragments = (
    {"total": 40}, {"total": 40}, {"revenue": "60.0"}, {"revenue": 60}, {"total": 99.999999},
    {"total": "1e-6"}, {"total": 100}, {"total": 0}, {}, {"products": [{"product_id": "p1"}]},
)  # fmt: skip
CURRENCIES: Fragments = ({}, {}, {}, {"currency": "EUR"}, {"currency": "USD"}, {"currency": ""}, {"currency": None})

TEA, COFFEE, NONE = {"category": "tea"}, {"category": "coffee"}, {"product_id": "p1"}
PROPERTIES: dict[str, Palette] = {
    "color": Palette(
        values=(
            {"color": "red"}, {"color": "red"}, {"color": "red"}, {"color": "blue"}, {"color": "blue"},
            {"color": "Red"}, {"color": ""}, {"color": None}, {}, {}, {"color": 7}, {"color": "7"}, {"color": ["red"]},
            {"color": True},
        ),
        tests=(
            {"color": "red"}, {"color": "red"}, {"color": {"in": ["red", "blue"]}}, {"color": {"not_in": ["red"]}},
            {"color": {"exists": False}}, {"color": {"exists": True}}, {"color": {"contains": "re"}},
            {"color": {"exact": "red"}},
            {"color": {"matches": "^re"}}, {"color": {"matches": "^[0-9]$"}}, {"color": "7"}, {"color": 7},
            {"color": True}, {"color": {"in": ["blue", 7, True]}}, {"color": {"contains": "e", "not_in": ["blue"]}},
        ),
    ),
    "score": Palette(
        values=(
            {"score": 9}, {"score": 9}, {"score": "9"}, {"score": "9.0"}, {"score": 9.5}, {"score": 10}, {"score": 5},
            {"score": 5}, {"score": 0}, {"score": -3}, {"score": -0.5}, {"score": 8.999999}, {"score": "8.9999999"},
            {"score": "nine"}, {"score": "+9"}, {"score": "09"}, {"score": None}, {}, {"score": False}, {"score": True},
            {"score": [9, "5"]}, {"score": [9]}, {"score": 9_000_000_000_000}, {"score": 9_000_000_000_000},
        ),
        tests=(
            {"score": 9}, {"score": {"at_least": 9}}, {"score": {"above": 5}}, {"score": {"below": 9}},
            {"score": {"at_most": 5}}, {"score": {"at_least": 5, "below": 9}}, {"score": {"above": -3, "at_most": 9.5}},
            {"score": {"in": [5, 9]}}, {"score": {"not_in": [9, 10]}}, {"score": {"exists": True}}, {"score": "9"},
            {"score": {"below": 0}}, {"score": {"matches": "^9"}}, {"score": {"matches": "[05]$"}},
            {"score": {"at_least": 1}}, {"score": {"in": [1, "5"]}}, {"score": "5"},
            {"score": {"above": 9, "exists": True}},
        ),
    ),
    "tags": Palette(
        values=(
            {"tags": ["vip", "new"]}, {"tags": ["vip"]}, {"tags": ["new"]}, {"tags": []}, {"tags": "vip, new"}, {},
            {"tags": ["7"]}, {"tags": [7, True]}, {"tags": ["vip", None, ""]}, {"tags": None},
            {"tags": ["vips", "renew"]},
        ),
        tests=(
            {"tags": {"contains": "vip"}}, {"tags": {"contains": "vip"}}, {"tags": {"contains": "new"}},
            {"tags": {"exists": False}}, {"tags": {"exists": True}}, {"tags": {"contains": 7}},
            {"tags": {"contains": True}}, {"tags": {"not_in": ["vip"]}},
        ),
    ),
    "plan": Palette(
        values=(
            {"plan": {"tier": "gold", "seats": 3}}, {"plan": {"tier": "gold", "seats": "3"}},
            {"plan": {"tier": "silver", "seats": 2}}, {"plan": {"tier": "silver", "seats": 2.5}},
            {"plan": {"tier": "", "seats": -1}}, {"plan": {}}, {"plan": "gold"}, {"plan": None}, {},
        ),
        tests=(
            {"plan.tier": "gold"}, {"plan.tier": "gold"}, {"plan.tier": {"in": ["gold", "silver"]}},
            {"plan.tier": {"exists": False}}, {"plan.seats": 3}, {"plan.seats": {"at_least": 2.5}},
            {"plan.seats": {"below": 3}}, {"plan": {"exists": True}}, {"plan": "gold"},
        ),
    ),
    "category": Palette(
        values=(
            {"category": "tea"}, {"category": "tea"}, {"category": "tea/green"}, {"category": "coffee"},
            {"category": "چای"}, {"category": ""}, {},
        ),
        tests=(
            {"category": "tea"}, {"category": {"contains": "tea"}}, {"category": {"matches": "^tea(/|$)"}},
            {"category": {"in": ["coffee", "چای"]}}, {"category": {"not_in": ["tea"]}}, {"category": {"exists": False}},
            {"category": {"matches": "green|ffee$"}},
        ),
    ),
    "coupon": Palette(
        values=(
            {"coupon": "SPRING10"}, {"coupon": "SPRING10"}, {"coupon": "spring-5"}, {"coupon": 10}, {"coupon": ""},
            {"coupon": None}, {},
        ),
        tests=(
            {"coupon": {"exists": True}}, {"coupon": {"exists": False}}, {"coupon": {"matches": "(?i)^spring"}},
            {"coupon": {"contains": "10"}}, {"coupon": {"matches": "10$"}}, {"coupon": "SPRING10"}, {"coupon": 10},
        ),
    ),
    "price": Palette(
        values=PRICES,
        tests=(
            {"price": 5}, {"price": {"at_least": 5}}, {"price": {"above": 5}}, {"price": {"below": 5}},
            {"price": {"at_most": 5}}, {"price": {"exists": False}}, {"price": {"above": 0, "below": 10}},
        ),
    ),
    "products": Palette(
        values=(
            {"products": [TEA]}, {"products": [TEA]}, {"products": [TEA, COFFEE]}, {"products": [COFFEE, NONE]},
            {"products": [NONE]}, {"products": []}, {},
        ),
        tests=(
            {"products.category": {"contains": "tea"}}, {"products.category": {"contains": "tea"}},
            {"products.category": {"contains": "coffee"}}, {"products.category": {"exists": False}},
            {"products.category": {"exists": True}}, {"products": {"exists": True}},
        ),
    ),
}  # fmt: skip

# Tests of what is told oddly: of texts as they stand, of lists, of booleans, of one product, of an order's total.
ODD_TESTS: Fragments = (
    {"color": {"exact": "red"}}, {"color": {"exact": "Red"}}, {"category": {"exact": "tea"}}, {"color": "RED"},
    {"category": {"not_contains": "tea"}}, {"tags": {"not_contains": "vip"}}, {"tags": "vip"},
    {"tags": {"in": ["New"]}},
    {"color": {"not_in": ["RED", "other"]}}, {"score": True}, {"score": False},
    {"color": True}, {"coupon": True}, {"color": False}, {"category": "چاي"}, {"category": {"in": ["چای", "TEA"]}},
    {"coupon": {"contains": "Spring"}}, {"coupon": {"starts_with": "SPR"}}, {"category": {"ends_with": "EA"}},
    {"tags": {"starts_with": "n", "ends_with": "w"}},
    {"item": {"category": "tea", "price": {"at_least": 5}}}, {"item": {"category": "tea", "quantity": {"above": 1}}},
    {"item": {"sku": "L", "variant": "blue"}}, {"item": {"category": {"not_in": ["coffee"]}}},
    {"products.price": {"at_least": 5}}, {"products.price": {"below": 5}}, {"products.category": {"in": ["TEA"]}},
    {"products.category": {"not_in": ["tea"]}}, {"total": 100}, {"total": {"at_least": 100}}, {"total": {"below": 100}},
    {"total": {"exists": False}}, {"price": {"at_most": 5}}, {"price": 5}, {"quantity": {"at_least": 1}},
)  # fmt: skip

# Which properties of a palette are numbers, and what tells values apart.
SUMMED = {"score": "score", "plan": "plan.seats", "price": "price"}
APART = {
    "color": "color", "score": "score", "tags": "tags", "plan": "plan.tier", "category": "category",
    "coupon": "coupon", "price": "price", "products": "products.category",
}  # fmt: skip

# --- traits ------------------------------------------------------------------------------------

# The histories begin on 1 March 2026 and go on for some months: ages are reached in them, some dates lie in them.
REACHED = ("03-02", "03-02", "03-03", "03-31", "04-01", "04-30", "05-30", "06-29", "07-29", "08-28", "10-27", "12-26")
ODD_DATES = (
    "2008-02-29", "2008-03-02T01:00:00+03:30", "2008-03-01T23:59:59.999-05:00", "2026-03-01T12:00:00Z",
    "2026-05-30T12:00:00Z", "2008-02-30", "", 2008, None,
)  # fmt: skip
BIRTH_DATES: Fragments = tuple(
    {"birth_date": date}
    for date in (
        *(f"2008-{day}" for day in REACHED * 2),
        *(f"2001-{day}" for day in REACHED[::3]),
        *(f"2026-{day}" for day in REACHED),
        *ODD_DATES,
    )
)
AGES: tuple[Event, ...] = (
    {"at_least": 18}, {"at_least": 18}, {"at_least": 18}, {"below": 18}, {"at_most": 17}, {"above": 17},
    {"at_least": 18, "below": 25}, {"at_least": 0}, {"at_least": 18, "at_most": 24}, {"above": 17, "below": 25},
)  # fmt: skip

DATE_TESTS: Fragments = (
    {"before": "2026-03-02"}, {"after": "2008-03-31"}, {"after": "2001-01-01", "before": "2008-10-27T12:00:00+03:30"},
    {"anniversary": "today"}, {"anniversary": {"within_next": "30d"}}, {"anniversary": {"within_next": "1d"}},
    {"anniversary": {"today": True, "timezone": "Asia/Tehran"}}, {"anniversary": {"within_last": "30d"}},
    {"anniversary": {"within_last": "300d", "timezone": "America/New_York"}}, {"anniversary": {"within_next": "365d"}},
)  # fmt: skip

TRAITS: dict[str, Palette] = {
    "plan": Palette(
        values=({"plan": "pro"}, {"plan": "pro"}, {"plan": "free"}, {"plan": "free"}, {"plan": None}, {"plan": ""}, {}),
        tests=(
            {"plan": "pro"}, {"plan": "pro"}, {"plan": {"in": ["pro", "team"]}}, {"plan": {"not_in": ["free"]}},
            {"plan": {"exists": False}}, {"plan": {"exists": True}}, {"plan": {"matches": "^(pro|free)$"}},
        ),
    ),
    "city": Palette(
        values=(
            {"city": "تهران"}, {"city": "تهران"}, {"city": "شیراز"}, {"city": "القاهرة"}, {"city": "Berlin"},
            {"city": None},
        ),
        tests=(
            {"city": "تهران"}, {"city": {"in": ["تهران", "شیراز"]}}, {"city": {"not_in": ["القاهرة"]}},
            {"city": {"contains": "را"}}, {"city": {"matches": "^[A-Z]"}}, {"city": {"exists": True}},
        ),
    ),
    "birth_date": Palette(
        values=BIRTH_DATES,
        tests=tuple({"birth_date": test} for test in (*({"age": age} for age in AGES), *DATE_TESTS)),
    ),
    "tags": Palette(
        values=(
            {"tags": ["vip", "b2b"]}, {"tags": ["vip"]}, {"tags": ["b2b"]}, {"tags": []}, {"tags": None},
            {"tags": "vip"},
        ),
        tests=(
            {"tags": {"contains": "vip"}}, {"tags": {"contains": "vip"}}, {"tags": {"contains": "b2b"}},
            {"tags": {"exists": True}}, {"tags": "vip"},
        ),
    ),
    "address": Palette(
        values=(
            {"address": {"city": "شیراز", "zip": 10115}}, {"address": {"city": "شیراز", "zip": "10115"}},
            {"address": {"city": "Berlin"}}, {"address": {"zip": "010"}}, {"address": None}, {"address": "Berlin"}, {},
        ),
        tests=(
            {"address.city": "شیراز"}, {"address.city": {"exists": True}}, {"address.zip": "10115"},
            {"address.zip": {"at_least": 10115}}, {"address.zip": {"matches": "^0"}}, {"address": {"exists": True}},
            {"address.city": {"exists": False}},
        ),
    ),
    "visits": Palette(
        values=(
            {"visits": 3}, {"visits": "3"}, {"visits": 2}, {"visits": 2.999999}, {"visits": -1}, {"visits": "many"}, {},
        ),
        tests=(
            {"visits": 3}, {"visits": {"at_least": 3}}, {"visits": {"below": 3}}, {"visits": {"not_in": [3]}},
            {"visits": {"above": 2, "at_most": 3}},
        ),
    ),
}  # fmt: skip

# --- context -----------------------------------------------------------------------------------

SHOP = "https://shop.example/tea"
CAMPAIGNS: Fragments = tuple(
    {"campaign": campaign}
    for campaign in (
        {"source": "google", "medium": "cpc", "name": "spring"}, {"source": "newsletter", "medium": "email"},
        {"source": "newsletter"}, {"medium": "email"}, {"name": "spring"}, {"source": ""}, {},
    )
)  # fmt: skip
REFERRERS: Fragments = tuple(
    {"referrer": {"url": url}}
    for url in (
        "https://www.google.com/", "https://www.Google.co.uk/search?q=tea", "https://fr.search.yahoo.com/x",
        "https://mail.google.com/", "https://blog.example/post", "https://WWW.shop.example:443/cart",
        "https://shop.example/", "about:blank", "", None, "$direct", "https://l.facebook.com/", "https://t.co/x",
    )
)  # fmt: skip
PAGES: Fragments = tuple(
    {"page": page}
    for page in (
        {"url": SHOP}, {"url": SHOP}, {}, {"url": SHOP, "referrer": "https://m.bing.com/"},
        {"url": SHOP, "referrer": "https://www.shop.example/"}, {"url": SHOP, "referrer": "https://blog.example"},
        {"url": "https://www.google.com/maps", "referrer": "https://google.com"}, {"referrer": "https://duckduckgo.com/"},
        {"url": SHOP, "referrer": "$direct"}, {"url": SHOP, "referrer": "https://www.instagram.com/"},
        {"url": SHOP, "path": "/sale"}, {"path": "/sale"}, {"url": "https://shop.example?utm_source=x", "path": ""},
    )
)  # fmt: skip
DEVICES: Fragments = (
    {"device": {"type": "mobile"}}, {"device": {"type": "desktop"}}, {"device": {"type": ""}}, {"device": {}},
    {"device": {"type": "iOS", "model": "iPhone15,4"}}, {"device": {"type": "ios", "model": "iPad13,4"}},
    {"device": {"type": "Android"}}, {"device": {"type": "kiosk"}},
    {"userAgentData": {"mobile": True, "platform": "Android"}},
    {"userAgentData": {"mobile": False, "platform": "macOS"}},
    {"userAgentData": {"mobile": False, "platform": "Android"}},
    {"userAgent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"},
    {"userAgent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36"},
    {"userAgent": "Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36"},
    {"userAgent": "curl/8.5.0"},
)  # fmt: skip
LOCATIONS: Fragments = tuple(
    {"location": location}
    for location in (
        {"country": "IR", "city": "تهران"}, {"country": "DE"}, {"city": "Berlin"}, {"country": None},
        {"country": "DE", "region": "Bayern"}, {"region": "BE"}, {"region": ["BE"]},
    )
)  # fmt: skip
AGENT = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) {}"
SOFTWARE: Fragments = (
    {"os": {"name": "iPhone OS"}}, {"os": {"name": "Ubuntu"}, "browser": {"name": "Mobile Safari"}},
    {"os": {"name": "Fuchsia"}, "browser": {"name": "chrome"}}, {"os": {"name": ""}}, {"os": 5, "browser": "Safari"},
    {"userAgentData": {"mobile": False, "platform": "macOS"}, "browser": {"name": "Netscape"}},
    {"userAgent": AGENT.format("Windows NT 10.0; Win64; x64", "Chrome/126.0.0.0 Safari/537.36 Edg/126.0")},
    {"userAgent": AGENT.format("Macintosh; Intel Mac OS X 10_15_7", "Version/17.5 Safari/605.1.15")},
    {"userAgent": AGENT.format("Linux; Android 10; K", "Chrome/126.0.0.0 Mobile Safari/537.36")},
    {"userAgent": AGENT.format("iPhone; CPU iPhone OS 17_5 like Mac OS X", "CriOS/126.0 Mobile/15E148 Safari/604.1")},
    {"userAgent": "curl/8.5.0"},
)  # fmt: skip
TIMEZONES: Fragments = (
    {"timezone": "Asia/Tehran"}, {"timezone": "Europe/Berlin"}, {"timezone": ""}, {"timezone": 3},
)  # fmt: skip
LOCALES: Fragments = ({"locale": "fa-IR"}, {"locale": "fa-IR"}, {"locale": "en-US"}, {"locale": ""})

# When an event was. Histories begin on 1 March 2026, a Sunday.
EVENT_TIMES: Fragments = (
    {"on": "2026-03-01"}, {"on": {"from": "2026-03-03"}},
    {"on": ["2026-03-02", "2026-06-30"], "timezone": "Asia/Tehran"},
    {"on": {"until": "2026-03-31"}, "timezone": "America/New_York"}, {"weekday": ["sat", "sun"]},
    {"weekday": "mon", "timezone": "Asia/Tehran"}, {"hours": {"from": "00:00", "to": "12:00"}},
    {"hours": {"from": "22:00", "to": "06:00"}, "timezone": "Europe/Berlin"},
    {"hours": {"from": "00:30", "to": "24:00"}},
    {"weekday": ["sun", "mon"], "hours": {"from": "00:00", "to": "00:10"}, "on": {"until": "2026-09-01"}},
)  # fmt: skip
# Of the context of the event itself, as properties are asked.
CONTEXT_TESTS: Fragments = (
    {"context.campaign.source": "google"}, {"context.campaign": {"exists": False}}, {"context.locale": "FA-ir"},
    {"context.page.url": {"starts_with": "https://shop."}}, {"context.location.country": {"not_in": ["IR"]}},
    {"context.device.type": {"exists": True}}, {"context": {"exists": False}},
)  # fmt: skip
NOT_CAMPAIGN: Event = {"channel": {"not_in": ["campaign"]}}
CONTEXTS: dict[str, Palette] = {
    "campaign": Palette(
        values=CAMPAIGNS,
        tests=(
            {"source": "google"}, {"source": "newsletter"}, {"medium": "email"}, {"campaign": "spring"},
            {"source": {"exists": False}}, {"medium": {"in": ["cpc", "email"]}}, {"campaign": {"not_in": ["spring"]}},
            {"source": "newsletter", "medium": "email"}, {"channel": "campaign"}, NOT_CAMPAIGN,
        ),
    ),
    "referrer": Palette(
        values=REFERRERS,
        tests=(
            {"channel": "search"}, {"channel": "referral"}, {"channel": "direct"}, NOT_CAMPAIGN, {"channel": "social"},
            {"channel": {"in": ["search", "direct"]}}, {"channel": {"exists": False}}, {"referrer": {"exists": False}},
            {"referrer": {"contains": "google"}}, {"referrer": {"matches": "^https://(www\\.)?google\\."}},
        ),
    ),
    "page": Palette(
        values=PAGES,
        tests=(
            {"channel": "search"}, {"channel": "referral"}, {"channel": "direct"}, {"referrer": {"contains": "bing"}},
            {"channel": {"in": ["social", "search"]}}, {"page": "/tea"}, {"page": {"in": ["/", "/sale"]}},
            {"page": {"starts_with": "/s"}},
            {"referrer": {"exists": True}}, {"channel": {"exists": False}}, {"channel": {"in": ["referral", "direct"]}},
        ),
    ),
    "device": Palette(
        values=DEVICES,
        tests=(
            {"device": "mobile"}, {"device": "desktop"}, {"device": {"exists": False}}, {"device": "tablet"},
            {"device": {"in": ["ios", "kiosk"]}}, {"device": {"not_in": ["mobile", "Android"]}},
            {"device": {"contains": "o"}},
        ),
    ),
    "location": Palette(
        values=LOCATIONS,
        tests=({"country": "IR"}, {"country": {"in": ["DE", "AT"]}}, {"city": "تهران"}, {"city": {"exists": False}},
               {"region": "bayern"}, {"region": {"exists": True}}),
    ),
    "software": Palette(
        values=SOFTWARE,
        tests=(
            {"os": "ios"}, {"os": {"in": ["Windows", "macos"]}}, {"os": {"not_in": ["linux"]}}, {"os": "Android"},
            {"os": {"exists": False}}, {"browser": "chrome"}, {"browser": {"in": ["safari", "edge"]}},
            {"browser": {"not_in": ["Mobile Safari"]}}, {"browser": {"exists": True}}, {"os": "fuchsia"},
        ),
    ),
    "timezone": Palette(
        values=TIMEZONES,
        tests=({"timezone": "asia/tehran"}, {"timezone": {"starts_with": "Europe/"}}, {"timezone": {"exists": False}}),
    ),
    "locale": Palette(
        values=LOCALES,
        tests=({"locale": "fa-IR"}, {"locale": {"matches": "^fa"}}, {"locale": {"contains": "US"}}),
    ),
}  # fmt: skip
