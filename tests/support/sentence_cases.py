"""Cases of sentences: conditions, a customer's events, and the sentences in English and in Persian.

Its one rule: a change of wording is a change of this table, to be read in both languages.

Long because it is a table. Brackets stand for the isolates; events are told by how long after
2026-03-01T12:00:00Z they were.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from rules.reasons import Observed, Reason
from rules.times import format_instant, parse_instant

Events = tuple[tuple[str, Mapping[str, Any]], ...]


class Case(NamedTuple):
    """Segment ``s`` with this condition, `at` so long after the beginning; ``others``: conditions of other segments."""

    name: str
    holds: bool
    at: str
    when: Mapping[str, Any]
    events: Events
    en: str
    fa: str
    others: Mapping[str, Any] = {}


PAGE: dict[str, Any] = {"name": "page"}
VIEW: dict[str, Any] = {"name": "Product Viewed", "properties": {"product_id": "p1", "category": "tea", "price": 5}}
ADD: dict[str, Any] = {
    "name": "Product Added",
    "properties": {"product_id": "p1", "quantity": 2, "price": 42.25, "category": "tea"},
}
PERFORMED: dict[str, Any] = {"performed": {"event": "page"}}
RETURNING: dict[str, Any] = {"sessions": {"count": {"at_least": 2}, "within": "30d"}}
ABANDONED: dict[str, Any] = {"cart": {"idle_for": "30m", "until": "30d"}}
VIEWED_THEN_ADDED: dict[str, Any] = {
    "sequence": {
        "steps": [{"event": "Product Viewed", "where": {"category": "tea"}}, {"event": "Product Added"}],
        "within": "1h",
        "same": "product_id",
    }
}
ORDERS: Events = (
    ("1ms", {"name": "Order Completed", "properties": {"order_id": "o1", "total": 50, "currency": "EUR"}}),
    ("1h", {"name": "Order Completed", "properties": {"order_id": "o2", "total": 34.5, "currency": "EUR"}}),
)

CASES = [
    Case(
        "performed",
        True,
        "1d",
        {"performed": {"event": "Order Completed", "count": {"at_least": 2}, "within": "365d"}},
        ORDERS,
        "2 × Order Completed within 365 days (asked: at least 2)",
        "رویداد «[Order Completed]» در ۳۶۵ روز گذشته ۲ بار رخ داده است (شرط: حداقل ۲ بار)",
    ),
    Case(
        "performed, none in the window",
        False,
        "2h",
        {"performed": {"event": "page", "within": "10m"}},
        (("1ms", PAGE),),
        "0 × page within 10 minutes (asked: at least 1)",
        "رویداد «[page]» در ۱۰ دقیقهٔ گذشته رخ نداده است (شرط: حداقل ۱ بار)",
    ),
    Case(
        "performed, several events with a where",
        True,
        "2h",
        {
            "performed": {
                "event": ["Product Added", "Product Viewed"],
                "where": {"category": {"in": ["tea", "چای"]}, "price": {"above": 1, "below": 50}},
                "count": {"at_least": 1, "at_most": 3},
            }
        },
        (("1ms", VIEW), ("2ms", ADD)),
        (
            "2 × Product Added or Product Viewed (where category is one of “tea”, “[چای]” and price is above 1 "
            "and below 50) ever (asked: at least 1, at most 3)"
        ),
        (
            "رویداد «[Product Added]» یا «[Product Viewed]» (به شرطی که [category] یکی از «[tea]»، «[چای]» باشد"
            " و [price] بیشتر از ۱ و کمتر از ۵۰ باشد) تاکنون ۲ بار رخ داده است (شرط: حداقل ۱ و حداکثر ۳ بار)"
        ),
    ),
    Case(
        "performed, or more",
        True,
        "2h",
        PERFORMED,
        (("1m", PAGE), ("2m", PAGE), ("3m", PAGE)),
        "2 or more × page ever (asked: at least 1)",
        "رویداد «[page]» تاکنون ۲ بار یا بیشتر رخ داده است (شرط: حداقل ۱ بار)",
    ),
    Case(
        "performed exactly",
        False,
        "2h",
        {"performed": {"event": "page", "count": 2, "within": "1d"}},
        (("1m", PAGE),),
        "1 × page within 1 day (asked: exactly 2)",
        "رویداد «[page]» در ۱ روز گذشته ۱ بار رخ داده است (شرط: دقیقاً ۲ بار)",
    ),
    Case(
        "total of money",
        False,
        "1d",
        {"total": {"agg": "sum", "of": "total", "event": "Order Completed", "within": "365d", "at_least": 100}},
        ORDERS,
        "the sum of total over Order Completed within 365 days is 84.50 (asked: at least 100)",
        "مجموع [total] رویدادهای «[Order Completed]» در ۳۶۵ روز گذشته ۸۴٫۵۰ است (شرط: حداقل ۱۰۰)",
    ),
    Case(
        "total average",
        True,
        "1d",
        {
            "total": {
                "agg": "avg",
                "of": "score",
                "event": "NPS Submitted",
                "where": {"channel": "app"},
                "at_least": 7,
                "below": 9,
            }
        },
        (
            ("1m", {"name": "NPS Submitted", "properties": {"score": 8, "channel": "app"}}),
            ("2m", {"name": "NPS Submitted", "properties": {"score": 7, "channel": "app"}}),
        ),
        "the average score over NPS Submitted (where channel is “app”) so far is 7.5 (asked: at least 7, below 9)",
        (
            "میانگین [score] رویدادهای «[NPS Submitted]» (به شرطی که [channel] برابر «[app]» باشد) تاکنون ۷٫۵ "
            "است (شرط: حداقل ۷ و کمتر از ۹)"
        ),
    ),
    Case(
        "total of nothing",
        False,
        "1d",
        {"total": {"agg": "max", "of": "price", "event": "Product Viewed", "within": "30d", "above": 100}},
        (("1m", PAGE),),
        "no price over Product Viewed within 30 days, so no highest price (asked: above 100)",
        (
            "رویدادهای «[Product Viewed]» در ۳۰ روز گذشته [price] نداشته‌اند، پس بیشترین [price] هم در کار نیست"
            " (شرط: بیشتر از ۱۰۰)"
        ),
    ),
    Case(
        "total of nothing below zero",
        True,
        "1d",
        {"total": {"agg": "min", "of": "score", "event": "NPS Submitted", "at_most": -1}},
        (("1m", {"name": "NPS Submitted", "properties": {"score": -3}}),),
        "the lowest score over NPS Submitted so far is -3 (asked: at most -1)",
        "کمترین [score] رویدادهای «[NPS Submitted]» تاکنون [−۳] است (شرط: حداکثر [−۱])",
    ),
    Case(
        "total of different values",
        True,
        "1d",
        {"total": {"agg": "distinct", "of": "product_id", "event": "Product Viewed", "within": "30d", "at_least": 1}},
        (("1m", VIEW),),
        "1 different value of product_id over Product Viewed within 30 days (asked: at least 1)",
        "[product_id] در رویدادهای «[Product Viewed]» در ۳۰ روز گذشته ۱ مقدار متفاوت داشته است (شرط: حداقل ۱)",
    ),
    Case(
        "last",
        True,
        "60d",
        {"last": {"event": "Order Completed", "ago": {"at_least": "30d", "at_most": "90d"}}},
        ORDERS,
        (
            "the last Order Completed was at 2026-03-01T13:00:00.000Z (asked: at least 30 days and less than 90"
            " days ago)"
        ),
        (
            "آخرین رویداد «[Order Completed]» در [2026-03-01T13:00:00.000Z] بوده است (شرط: حداقل ۳۰ روز و کمتر "
            "از ۹۰ روز پیش)"
        ),
    ),
    Case(
        "performed, in a window that does not end now",
        True,
        "40d",
        {"performed": {"event": "Product Viewed", "between": ["60d", "30d"]}},
        (("1m", VIEW),),
        "1 × Product Viewed between 60 days and 30 days ago (asked: at least 1)",
        "رویداد «[Product Viewed]» از ۶۰ روز پیش تا ۳۰ روز پیش ۱ بار رخ داده است (شرط: حداقل ۱ بار)",
    ),
    Case(
        "performed, on some days",
        False,
        "1d",
        {"performed": {"event": "page", "on": ["2026-11-27", "2026-12-01"], "timezone": "Asia/Tehran"}},
        (("1m", {"name": "page"}),),
        "0 × page (from 27 November 2026 to 1 December 2026 in Asia/Tehran) ever (asked: at least 1)",
        (
            "رویداد «[page]» (از ۲۷ نوامبر ۲۰۲۶ تا ۱ دسامبر ۲۰۲۶، به وقت [Asia/Tehran]) تاکنون رخ نداده است (شرط: "
            "حداقل ۱ بار)"
        ),
    ),
    Case(
        "performed, on a day and later",
        True,
        "1d",
        {"performed": {"event": "page", "where": {"path": {"exists": False}}, "on": {"from": "2026-01-01"}}},
        (("1m", {"name": "page"}),),
        "1 × page (since 1 January 2026) (where path is absent) ever (asked: at least 1)",
        (
            "رویداد «[page]» (از ۱ ژانویه ۲۰۲۶ به بعد) (به شرطی که [path] مقداری نداشته باشد) تاکنون ۱ بار رخ داده "
            "است (شرط: حداقل ۱ بار)"
        ),
    ),
    Case(
        "last, at the weekend and in the evening",
        False,
        "1d",
        {
            "last": {
                "event": "page",
                "weekday": ["sat", "sun"],
                "hours": {"from": "18:00", "to": "24:00"},
                "on": {"until": "2026-12-31"},
            }
        },
        (("1m", {"name": "page"}),),
        "no page (up to 31 December 2026, on Saturday or Sunday, between 18:00 and 24:00) ever (asked: at any time)",
        (
            "رویداد «[page]» (تا ۳۱ دسامبر ۲۰۲۶، در روز شنبه یا یکشنبه، بین ساعت ۱۸:۰۰ و ۲۴:۰۰) تاکنون رخ نداده است "
            "(شرط: در هر زمانی)"
        ),
    ),
    Case(
        "ratio",
        True,
        "1d",
        {
            "ratio": {
                "of": {"agg": "sum", "of": "score", "event": "NPS Submitted", "within": "30d"},
                "to": {"agg": "distinct", "of": "product_id", "event": "Product Viewed"},
                "above": 0.5,
            }
        },
        (("1m", VIEW), ("2m", {"name": "NPS Submitted", "properties": {"score": 7}})),
        (
            "the sum of score over NPS Submitted within 30 days is 7; 1 different value of product_id over Product "
            "Viewed so far; the ratio is 7 (asked: a ratio of above 0.5)"
        ),
        (
            "مجموع [score] رویدادهای «[NPS Submitted]» در ۳۰ روز گذشته ۷ است؛ [product_id] در رویدادهای «[Product "
            "Viewed]» تاکنون ۱ مقدار متفاوت داشته است؛ نسبت ۷ است (شرط: نسبت بیشتر از ۰٫۵)"
        ),
    ),
    Case(
        "ratio to nothing",
        False,
        "1d",
        {
            "ratio": {
                "of": {"agg": "sum", "of": "score", "event": "NPS Submitted"},
                "to": {"agg": "avg", "of": "score", "event": "Product Viewed"},
                "at_most": 2,
            }
        },
        (("2m", {"name": "NPS Submitted", "properties": {"score": 7}}),),
        (
            "the sum of score over NPS Submitted so far is 7; no score over Product Viewed so far, so no average "
            "score (asked, not met: a ratio of at most 2)"
        ),
        (
            "مجموع [score] رویدادهای «[NPS Submitted]» تاکنون ۷ است؛ رویدادهای «[Product Viewed]» تاکنون [score] "
            "نداشته‌اند، پس میانگین [score] هم در کار نیست (شرط برقرار نیست: نسبت حداکثر ۲)"
        ),
    ),
    Case(
        "cart with a product",
        True,
        "1d",
        {"cart": {"has": {"product_id": {"in": ["tea-1", "tea-2"]}, "quantity": {"at_least": 2}}}},
        (("1m", {"name": "Product Added", "properties": {"product_id": "tea-1", "quantity": 2}}),),
        (
            "the cart holds 2 items, among them 2 of “tea-1”, touched at 2026-03-01T12:01:00.000Z (asked: a product in "
            "it whose product_id is one of “tea-1”, “tea-2” and quantity is at least 2)"
        ),
        (
            "سبد ۲ کالا دارد که ۲ تای آن «[tea-1]» است، آخرین فعالیت در [2026-03-01T12:01:00.000Z] (شرط: کالایی در "
            "آن که [product_id] یکی از «[tea-1]»، «[tea-2]» باشد و [quantity] حداقل ۲ باشد)"
        ),
    ),
    Case(
        "cart without a product",
        False,
        "1d",
        {"cart": {"has": {"product_id": "tea-1"}}},
        (("1m", {"name": "Product Added", "properties": {"product_id": "tea-3", "quantity": 2}}),),
        (
            "the cart holds 2 items, touched at 2026-03-01T12:01:00.000Z (asked, not met: a product in it whose "
            "product_id is “tea-1”)"
        ),
        (
            "سبد ۲ کالا دارد، آخرین فعالیت در [2026-03-01T12:01:00.000Z] (شرط برقرار نیست: کالایی در آن که "
            "[product_id] برابر «[tea-1]» باشد)"
        ),
    ),
    Case(
        "overdue",
        True,
        "40d",
        {"overdue": {"event": "page", "times": 1.5}},
        (("1d", {"name": "page"}), ("4d", {"name": "page"}), ("8d", {"name": "page"})),
        (
            "3 × page, every 3.5 days on average, the newest at 2026-03-09T12:00:00.000Z (asked: nothing for 1.5 × the "
            "average, of at least 3)"
        ),
        (
            "رویداد «[page]» ۳ بار و به‌طور میانگین هر ۳٫۵ روز رخ داده است، تازه‌ترین در [2026-03-09T12:00:00.000Z] "
            "(شرط: ۱٫۵ برابر میانگین بدون رویداد، از حداقل ۳ رویداد)"
        ),
    ),
    Case(
        "overdue, one",
        False,
        "40d",
        {"overdue": {"event": "Product Viewed", "times": 2, "count": {"at_least": 2}}},
        (("1m", VIEW),),
        "1 × Product Viewed, which is no rhythm (asked, not met: nothing for 2 × the average, of at least 2)",
        (
            "رویداد «[Product Viewed]» ۱ بار رخ داده است که آهنگی ندارد (شرط برقرار نیست: ۲ برابر میانگین بدون "
            "رویداد، از حداقل ۲ رویداد)"
        ),
    ),
    Case(
        "score",
        True,
        "1d",
        {"score": {"events": {"Product Viewed": 1, "page": 0.5}, "half_life": "1d", "at_least": 0.5}},
        (("1m", VIEW), ("1m", {"name": "page"})),
        (
            "the score of 2 events is now 0.75036 (asked: at least 0.5, with 1 for each Product Viewed, 0.5 for each "
            "page, halved every 1 day)"
        ),
        (
            "امتیاز ۲ رویداد اکنون ۰٫۷۵۰۳۶ است "
            "(شرط: حداقل ۰٫۵، با ۱ امتیاز برای هر «[Product Viewed]»، ۰٫۵ امتیاز برای هر «[page]»، "
            "که هر ۱ روز نصف می‌شود)"
        ),
    ),
    Case(
        "score of nothing",
        False,
        "1d",
        {"score": {"events": {"Product Added": 3}, "half_life": "7d", "at_least": 10}},
        (("1m", VIEW),),
        ("the score of 0 events is now 0 (asked: at least 10, with 3 for each Product Added, halved every 7 days)"),
        ("امتیاز ۰ رویداد اکنون ۰ است (شرط: حداقل ۱۰، با ۳ امتیاز برای هر «[Product Added]»، که هر ۷ روز نصف می‌شود)"),
    ),
    Case(
        "newest",
        True,
        "1d",
        {"newest": {"event": "Product Viewed", "has": {"product_id": {"exists": True}}}},
        (("1m", VIEW),),
        "the newest Product Viewed was at 2026-03-01T12:01:00.000Z (asked: product_id is present)",
        (
            "تازه‌ترین رویداد «[Product Viewed]» در [2026-03-01T12:01:00.000Z] بوده است "
            "(شرط: [product_id] مقداری داشته باشد)"
        ),
    ),
    Case(
        "newest, another",
        False,
        "1d",
        {"newest": {"event": "Order Completed", "has": {"total": {"at_least": 1_000}}}},
        ORDERS,
        "the newest Order Completed was at 2026-03-01T13:00:00.000Z (asked, not met: total is at least 1000)",
        (
            "تازه‌ترین رویداد «[Order Completed]» در [2026-03-01T13:00:00.000Z] بوده است "
            "(شرط برقرار نیست: [total] حداقل ۱۰۰۰ باشد)"
        ),
    ),
    Case(
        "newest, none",
        False,
        "1d",
        {"newest": {"event": "Order Completed", "where": {"total": {"above": 5}}, "has": {"total": 7}}},
        (("1m", VIEW),),
        "no Order Completed (where total is above 5) so far (asked, not met: total is 7)",
        (
            "رویداد «[Order Completed]» (به شرطی که [total] بیشتر از ۵ باشد) تا این لحظه رخ نداده است "
            "(شرط برقرار نیست: [total] برابر ۷ باشد)"
        ),
    ),
    Case(
        "last, too new",
        False,
        "20d",
        {"last": {"event": "Order Completed", "ago": {"at_least": "30d"}}},
        ORDERS,
        (
            "the last Order Completed was at 2026-03-01T13:00:00.000Z, less than 30 days ago (asked: at least "
            "30 days ago)"
        ),
        (
            "آخرین رویداد «[Order Completed]» در [2026-03-01T13:00:00.000Z] بوده است، کمتر از ۳۰ روز پیش (شرط: "
            "حداقل ۳۰ روز پیش)"
        ),
    ),
    Case(
        "last, too old",
        False,
        "100d",
        {"last": {"event": "Order Completed", "ago": {"at_most": "90d"}}},
        ORDERS,
        (
            "the last Order Completed was at 2026-03-01T13:00:00.000Z, 90 days ago or longer (asked: less than "
            "90 days ago)"
        ),
        (
            "آخرین رویداد «[Order Completed]» در [2026-03-01T13:00:00.000Z] بوده است، ۹۰ روز پیش یا زودتر (شرط:"
            " کمتر از ۹۰ روز پیش)"
        ),
    ),
    Case(
        "last, never",
        False,
        "1d",
        {"last": {"event": "Order Completed", "ago": {"at_most": "90d"}}},
        (("1ms", PAGE),),
        "no Order Completed ever (asked: less than 90 days ago)",
        "رویداد «[Order Completed]» تاکنون رخ نداده است (شرط: کمتر از ۹۰ روز پیش)",
    ),
    Case(
        "first",
        True,
        "1d",
        {"first": {"event": ["page", "Product Viewed"], "where": {"category": {"exists": True}}}},
        (("1m", VIEW),),
        (
            "the first Product Viewed or page (where category is present) was at 2026-03-01T12:01:00.000Z "
            "(asked: at any time)"
        ),
        (
            "نخستین رویداد «[Product Viewed]» یا «[page]» (به شرطی که [category] مقداری داشته باشد) در "
            "[2026-03-01T12:01:00.000Z] بوده است (شرط: در هر زمانی)"
        ),
    ),
    Case(
        "first, never",
        False,
        "1d",
        {"first": {"event": "Signed Up", "where": {"category": {"exists": False}}}},
        (("1m", VIEW),),
        "no Signed Up (where category is absent) ever (asked: at any time)",
        "رویداد «[Signed Up]» (به شرطی که [category] مقداری نداشته باشد) تاکنون رخ نداده است (شرط: در هر زمانی)",
    ),
    Case(
        "sequence",
        True,
        "10m",
        VIEWED_THEN_ADDED,
        (("1m", VIEW), ("2m", ADD)),
        (
            "Product Viewed (where category is “tea”), then Product Added, of the same product_id: last begun "
            "at 2026-03-01T12:01:00.000Z (asked: all within 1 hour)"
        ),
        (
            "«[Product Viewed]» (به شرطی که [category] برابر «[tea]» باشد)، سپس «[Product Added]»، با "
            "[product_id] یکسان: آخرین بار در [2026-03-01T12:01:00.000Z] آغاز شده است (شرط: همه در ۱ ساعت "
            "گذشته)"
        ),
    ),
    Case(
        "sequence, over",
        False,
        "2h",
        VIEWED_THEN_ADDED,
        (("1m", VIEW), ("2m", ADD)),
        (
            "Product Viewed (where category is “tea”), then Product Added, of the same product_id: last begun "
            "at 2026-03-01T12:01:00.000Z, 1 hour ago or longer (asked: all within 1 hour)"
        ),
        (
            "«[Product Viewed]» (به شرطی که [category] برابر «[tea]» باشد)، سپس «[Product Added]»، با "
            "[product_id] یکسان: آخرین بار در [2026-03-01T12:01:00.000Z] آغاز شده است، ۱ ساعت پیش یا زودتر "
            "(شرط: همه در ۱ ساعت گذشته)"
        ),
    ),
    Case(
        "sequence, never",
        False,
        "2h",
        {"sequence": {"steps": [{"event": "Product Viewed"}, {"event": ["Product Added", "page"]}]}},
        (("1m", VIEW),),
        "Product Viewed, then Product Added or page: not seen in this order (asked: at any time)",
        "«[Product Viewed]»، سپس «[Product Added]» یا «[page]»: به این ترتیب دیده نشده است (شرط: در هر زمانی)",
    ),
    Case(
        "cart",
        True,
        "40m",
        ABANDONED,
        (("1m", ADD),),
        "no cart activity since 2026-03-01T12:01:00.000Z, for 30 minutes; the cart holds 2 items",
        "۳۰ دقیقه است که سبد خرید دست نخورده (از [2026-03-01T12:01:00.000Z])؛ سبد ۲ کالا دارد",
    ),
    Case(
        "cart with its contents",
        True,
        "40m",
        {
            "cart": {
                "idle_for": "30m",
                "value": {"at_least": 50.5},
                "items": {"at_least": 1, "at_most": 3},
                "stage": "checkout",
            }
        },
        (("1m", ADD), ("2m", {"name": "Checkout Started", "properties": {}})),
        (
            "no cart activity since 2026-03-01T12:02:00.000Z, for 30 minutes; the cart holds 2 items worth "
            "84.50, at checkout (asked: at least 1 and at most 3 in it, worth at least 50.50, at checkout)"
        ),
        (
            "۳۰ دقیقه است که سبد خرید دست نخورده (از [2026-03-01T12:02:00.000Z])؛ سبد ۲ کالا به ارزش ۸۴٫۵۰ "
            "دارد، در مرحلهٔ پرداخت (شرط: حداقل ۱ و حداکثر ۳ کالا، به ارزش حداقل ۵۰٫۵۰، در مرحلهٔ پرداخت)"
        ),
    ),
    Case(
        "cart at any time",
        True,
        "5m",
        {"cart": {"stage": "cart"}},
        (("1m", ADD),),
        "the cart holds 2 items, before checkout, touched at 2026-03-01T12:01:00.000Z (asked: before checkout)",
        ("سبد ۲ کالا دارد، پیش از مرحلهٔ پرداخت، آخرین فعالیت در [2026-03-01T12:01:00.000Z] (شرط: پیش از مرحلهٔ پرداخت)"),
    ),
    Case(
        "cart, busy",
        False,
        "5m",
        ABANDONED,
        (("1m", ADD),),
        "the cart holds 2 items, touched at 2026-03-01T12:01:00.000Z, less than 30 minutes ago",
        "سبد ۲ کالا دارد، آخرین فعالیت در [2026-03-01T12:01:00.000Z]، کمتر از ۳۰ دقیقه پیش",
    ),
    Case(
        "cart, forgotten",
        False,
        "40d",
        ABANDONED,
        (("1m", ADD),),
        "no cart activity since 2026-03-01T12:01:00.000Z, for 30 days or longer; the cart holds 2 items",
        "۳۰ روز یا بیشتر است که سبد خرید دست نخورده (از [2026-03-01T12:01:00.000Z])؛ سبد ۲ کالا دارد",
    ),
    Case(
        "cart, empty",
        False,
        "40m",
        ABANDONED,
        (
            ("1m", {"name": "Product Added", "properties": {"product_id": "p1"}}),
            ("2m", {"name": "Product Removed", "properties": {"product_id": "p1"}}),
        ),
        "the cart is empty (asked: untouched for 30 minutes, touched less than 30 days ago)",
        "سبد خرید خالی است (شرط: ۳۰ دقیقه بدون فعالیت، آخرین فعالیت کمتر از ۳۰ روز پیش)",
    ),
    Case(
        "cart, none",
        False,
        "40m",
        {"cart": {"until": "30d", "items": 2}},
        (("1m", PAGE),),
        "no open cart (asked: touched less than 30 days ago, exactly 2 in it)",
        "سبد خریدی وجود ندارد (شرط: آخرین فعالیت کمتر از ۳۰ روز پیش، دقیقاً ۲ کالا)",
    ),
    Case(
        "cart, too little",
        False,
        "40m",
        {"cart": {"idle_for": "30m", "value": {"above": 100}}},
        (("1m", ADD),),
        (
            "the cart holds 2 items worth 84.50, touched at 2026-03-01T12:01:00.000Z (asked, not met: untouched"
            " for 30 minutes, worth above 100)"
        ),
        (
            "سبد ۲ کالا به ارزش ۸۴٫۵۰ دارد، آخرین فعالیت در [2026-03-01T12:01:00.000Z] (شرط برقرار نیست: ۳۰ "
            "دقیقه بدون فعالیت، به ارزش بیشتر از ۱۰۰)"
        ),
    ),
    Case(
        "sessions",
        True,
        "1d",
        RETURNING,
        (("1m", PAGE), ("1h", PAGE)),
        "2 sessions within 30 days (asked: at least 2)",
        "در ۳۰ روز گذشته ۲ نشست ثبت شده است (شرط: حداقل ۲)",
    ),
    Case(
        "sessions with a gap",
        False,
        "1d",
        {"sessions": {"count": {"at_least": 3}, "within": "30d", "gap": "15m"}},
        (("1m", PAGE),),
        "1 session within 30 days (asked: at least 3, 15 minutes apart)",
        "در ۳۰ روز گذشته ۱ نشست ثبت شده است (شرط: حداقل ۳، با فاصلهٔ ۱۵ دقیقه)",
    ),
    Case(
        "sessions, none",
        True,
        "1d",
        {"sessions": {"count": {"at_most": 1}, "within": "1h"}},
        (("1m", PAGE),),
        "0 sessions within 1 hour (asked: at most 1)",
        "در ۱ ساعت گذشته نشستی ثبت نشده است (شرط: حداکثر ۱)",
    ),
    Case(
        "trait",
        True,
        "1d",
        {"trait": {"plan": "pro"}},
        (("1m", {"name": "identify", "traits": {"plan": "pro"}}),),
        "plan is “pro” (asked: plan is “pro”)",
        "[plan] برابر «[pro]» است (شرط: [plan] برابر «[pro]» باشد)",
    ),
    Case(
        "trait, its beginning and its end",
        True,
        "1d",
        {"trait": {"email": {"starts_with": "kim", "ends_with": "@example.com"}}},
        (("1m", {"name": "identify", "traits": {"email": "Kim@Example.com"}}),),
        ("email is “Kim@Example.com” (asked: email starts with “kim” and email ends with “@example.com”)"),
        (
            "[email] برابر «[Kim@Example.com]» است (شرط: [email] با «[kim]» آغاز شود و [email] با «[@example.com]» "
            "پایان یابد)"
        ),
    ),
    Case(
        "trait, several",
        False,
        "1d",
        {"trait": {"plan": {"not_in": ["free"]}, "opt_in": True, "seats": 5, "tags": {"contains": "vip"}}},
        (("1m", {"name": "identify", "traits": {"plan": "رایگان", "opt_in": True, "seats": 5}}),),
        (
            "opt_in is “true”; plan is “[رایگان]”; seats is “5”; tags is not known (asked, not met: opt_in is "
            "true and plan is not “free” and seats is 5 and tags contains “vip”)"
        ),
        (
            "[opt_in] برابر «[true]» است؛ [plan] برابر «[رایگان]» است؛ [seats] برابر «[5]» است؛ [tags] نامعلوم "
            "است (شرط برقرار نیست: [opt_in] برابر [true] باشد و [plan] برابر «[free]» نباشد و [seats] برابر ۵ "
            "باشد و [tags] شامل «[vip]» باشد)"
        ),
    ),
    Case(
        "trait, a text that is nearly a truth",
        False,
        "1d",
        {"trait": {"opt_in": True}},
        (("1m", {"name": "identify", "traits": {"opt_in": "\0true"}}),),
        "opt_in is “<U+0000>true” (asked, not met: opt_in is true)",
        "[opt_in] برابر «[<U+0000>true]» است (شرط برقرار نیست: [opt_in] برابر [true] باشد)",
    ),
    Case(
        "trait, every test",
        True,
        "1d",
        {"trait": {"city": {"matches": "^Te", "not_in": ["Ta", "To"]}, "phone": {"exists": False}}},
        (("1m", {"name": "identify", "traits": {"city": "Tehran"}}),),
        (
            "city is “Tehran”; phone is not known (asked: city is none of “Ta”, “To” and city matches “^Te” and"
            " phone is absent)"
        ),
        (
            "[city] برابر «[Tehran]» است؛ [phone] نامعلوم است (شرط: [city] هیچ‌یک از «[Ta]»، «[To]» نباشد و "
            "[city] با الگوی «[^Te]» بخواند و [phone] مقداری نداشته باشد)"
        ),
    ),
    Case(
        "trait, age in years",
        True,
        "1h",
        {"trait": {"birthday": {"age": {"at_least": 18, "at_most": 24}}}},
        (("1m", {"name": "identify", "traits": {"birthday": "2001-03-02"}}),),
        "birthday is “2001-03-02” (asked: the age by birthday is at least 18 years and at most 24 years)",
        "[birthday] برابر «[2001-03-02]» است (شرط: سن بر پایهٔ [birthday] حداقل ۱۸ سال و حداکثر ۲۴ سال باشد)",
    ),
    Case(
        "trait, age as durations",
        False,
        "40d",
        {"trait": {"joined": {"age": {"at_least": "7d", "at_most": "30d"}}}},
        (("1m", {"name": "identify", "traits": {"joined": "2026-03-01"}}),),
        "joined is “2026-03-01” (asked, not met: the age by joined is at least 7 days and less than 30 days)",
        ("[joined] برابر «[2026-03-01]» است (شرط برقرار نیست: سن بر پایهٔ [joined] حداقل ۷ روز و کمتر از ۳۰ روز باشد)"),
    ),
    Case(
        "trait, a date that lies ahead",
        True,
        "1h",
        {"trait": {"renews_at": {"ahead": {"at_least": "1d", "at_most": "14d"}, "after": "2026-01-01"}}},
        (("1m", {"name": "identify", "traits": {"renews_at": "2026-03-08"}}),),
        (
            "renews_at is “2026-03-08” (asked: renews_at is 2026-01-01 or later and renews_at lies more than 1 day "
            "and at most 14 days ahead)"
        ),
        (
            "[renews_at] برابر «[2026-03-08]» است (شرط: [renews_at] در [2026-01-01] یا پس از آن باشد و [renews_at] "
            "بیشتر از ۱ روز و حداکثر ۱۴ روز دیگر باشد)"
        ),
    ),
    Case(
        "trait, an anniversary to come",
        True,
        "1h",
        {"trait": {"birthday": {"anniversary": {"within_next": "7d", "timezone": "Asia/Tehran"}}}},
        (("1m", {"name": "identify", "traits": {"birthday": "2001-03-02"}}),),
        "birthday is “2001-03-02” (asked: the anniversary of birthday is today or begins within 7 days in Asia/Tehran)",
        (
            "[birthday] برابر «[2001-03-02]» است (شرط: سالگرد [birthday] امروز باشد یا تا ۷ روز دیگر آغاز شود، به "
            "وقت [Asia/Tehran])"
        ),
    ),
    Case(
        "trait, an anniversary that was",
        False,
        "1h",
        {"trait": {"joined": {"anniversary": {"within_last": "3d"}}, "born": {"anniversary": "today"}}},
        (("1m", {"name": "identify", "traits": {"joined": "2025-03-01", "born": "2001-03-02"}}),),
        (
            "born is “2001-03-02”; joined is “2025-03-01” (asked, not met: the anniversary of born is today and the "
            "anniversary of joined began less than 3 days ago)"
        ),
        (
            "[born] برابر «[2001-03-02]» است؛ [joined] برابر «[2025-03-01]» است (شرط برقرار نیست: سالگرد [born] "
            "امروز باشد و سالگرد [joined] کمتر از ۳ روز پیش آغاز شده باشد)"
        ),
    ),
    Case(
        "context",
        True,
        "1d",
        {"context": {"device": "mobile", "touch": "first"}},
        (
            ("1m", {"name": "page", "context": {"device": {"type": "mobile"}}}),
            ("2m", {"name": "page", "context": {"device": {"type": "desktop"}}}),
        ),
        "the first device is “mobile” (asked: device is “mobile”)",
        "نخستین دستگاه برابر «[mobile]» است (شرط: دستگاه برابر «[mobile]» باشد)",
    ),
    Case(
        "context: software",
        True,
        "1d",
        {"context": {"os": "ios", "timezone": {"exists": False}, "page": {"starts_with": "/sale"}}},
        (("1m", {"name": "page", "context": {"os": {"name": "iPadOS"}, "page": {"path": "/sale/tea"}}}),),
        (
            "the last operating system is “iPadOS”; the last time zone is not known; the last page is “/sale/tea” "
            "(asked: operating system is “ios” and time zone is absent and page starts with “/sale”)"
        ),
        (
            "آخرین سیستم‌عامل برابر «[iPadOS]» است؛ آخرین منطقهٔ زمانی نامعلوم است؛ آخرین مسیر صفحه برابر "
            "«[/sale/tea]» است (شرط: سیستم‌عامل برابر «[ios]» باشد و منطقهٔ زمانی مقداری نداشته باشد و مسیر صفحه "
            "با «[/sale]» آغاز شود)"
        ),
    ),
    Case(
        "context, not",
        False,
        "1d",
        {"context": {"channel": {"in": ["search", "campaign"]}, "city": {"exists": True}}},
        (("1m", PAGE),),
        (
            "the last channel is “direct”; the last city is not known (asked, not met: channel is one of "
            "“search”, “campaign” and city is present)"
        ),
        (
            "آخرین کانال برابر «[direct]» است؛ آخرین شهر نامعلوم است (شرط برقرار نیست: کانال یکی از «[search]»،"
            " «[campaign]» باشد و شهر مقداری داشته باشد)"
        ),
    ),
    Case(
        "in_segment",
        True,
        "1d",
        {"in_segment": "buyers"},
        (("1m", {"name": "Order Completed", "properties": {"order_id": "o1", "total": 5, "currency": "EUR"}}),),
        "in segment buyers since 2026-03-01T12:01:00.000Z",
        "از [2026-03-01T12:01:00.000Z] عضو بخش [buyers] است",
        {"buyers": {"performed": {"event": "Order Completed"}}},
    ),
    Case(
        "in_segment, not",
        False,
        "1d",
        {"in_segment": "buyers"},
        (("1m", PAGE),),
        "not in segment buyers (asked: in it)",
        "عضو بخش [buyers] نیست (شرط: عضو آن باشد)",
        {"buyers": {"performed": {"event": "Order Completed"}}},
    ),
    Case(
        "calendar",
        True,
        "1s",
        {"calendar": {"between": ["02-20", "03-05"], "weekday": ["sat", "sun"]}},
        (("1ms", PAGE),),
        "the day is Sunday 1 March 2026 in UTC (asked: from 20 February to 5 March, on Saturday or Sunday)",
        "روز یکشنبه ۱ مارس ۲۰۲۶ است، به وقت [UTC] (شرط: از ۲۰ فوریه تا ۵ مارس، روز شنبه یا یکشنبه)",
    ),
    Case(
        "calendar, Jalali",
        False,
        "1s",
        {"calendar": {"between": ["12-29", "01-13"], "calendar": "jalali", "timezone": "Asia/Tehran"}},
        (("1ms", PAGE),),
        "the day is 10 Esfand 1404 in Asia/Tehran (asked, not met: from 29 Esfand to 13 Farvardin)",
        "روز ۱۰ اسفند ۱۴۰۴ است، به وقت [Asia/Tehran] (شرط برقرار نیست: از ۲۹ اسفند تا ۱۳ فروردین)",
    ),
    Case(
        "sample",
        True,
        "1s",
        {"sample": {"percent": 100}},
        (("1ms", PAGE),),
        "inside the sample of 100%",
        "در نمونهٔ ۱۰۰ درصدی است",
    ),
    Case(
        "sample, not",
        False,
        "1s",
        {"sample": {"percent": 12.5, "salt": "hold-out"}},
        (("1ms", PAGE),),
        "outside the sample of 12.5% by “hold-out” (asked: inside)",
        "بیرون از نمونهٔ ۱۲٫۵ درصدی با کلید «[hold-out]» است (شرط: در آن باشد)",
    ),
    Case(
        "all",
        True,
        "40m",
        {"all": [PERFORMED, ABANDONED]},
        (("1ms", PAGE), ("1m", ADD)),
        (
            "1 × page ever (asked: at least 1) and (no cart activity since 2026-03-01T12:01:00.000Z, for 30 "
            "minutes; the cart holds 2 items)"
        ),
        (
            "رویداد «[page]» تاکنون ۱ بار رخ داده است (شرط: حداقل ۱ بار) و (۳۰ دقیقه است که سبد خرید دست نخورده"
            " (از [2026-03-01T12:01:00.000Z])؛ سبد ۲ کالا دارد)"
        ),
    ),
    Case(
        "all, not",
        False,
        "40m",
        {"all": [PERFORMED, RETURNING]},
        (("1ms", PAGE),),
        "1 × page ever (asked: at least 1) and 1 session within 30 days (asked: at least 2)",
        (
            "رویداد «[page]» تاکنون ۱ بار رخ داده است (شرط: حداقل ۱ بار) و در ۳۰ روز گذشته ۱ نشست ثبت شده است "
            "(شرط: حداقل ۲)"
        ),
    ),
    Case(
        "any",
        True,
        "40m",
        {"any": [PERFORMED, {"all": [RETURNING, {"cart": {}}]}]},
        (("1ms", PAGE),),
        "1 × page ever (asked: at least 1) or (1 session within 30 days (asked: at least 2) and no open cart)",
        (
            "رویداد «[page]» تاکنون ۱ بار رخ داده است (شرط: حداقل ۱ بار) یا (در ۳۰ روز گذشته ۱ نشست ثبت شده است"
            " (شرط: حداقل ۲) و سبد خریدی وجود ندارد)"
        ),
    ),
    Case(
        "trait, one year",
        True,
        "1h",
        {"trait": {"birthday": {"age": {"at_least": 1, "at_most": 1}}}},
        (("1m", {"name": "identify", "traits": {"birthday": "2024-12-31"}}),),
        "birthday is “2024-12-31” (asked: the age by birthday is exactly 1 year)",
        "[birthday] برابر «[2024-12-31]» است (شرط: سن بر پایهٔ [birthday] دقیقاً ۱ سال باشد)",
    ),
    Case(
        "any, none",
        False,
        "40m",
        {"any": [RETURNING, {"not": PERFORMED}]},
        (("1ms", PAGE),),
        (
            "1 session within 30 days (asked: at least 2) or (met, though it must not be: 1 × page ever (asked:"
            " at least 1))"
        ),
        (
            "در ۳۰ روز گذشته ۱ نشست ثبت شده است (شرط: حداقل ۲) یا (شرط برقرار است، در حالی که نباید باشد: "
            "رویداد «[page]» تاکنون ۱ بار رخ داده است (شرط: حداقل ۱ بار))"
        ),
    ),
    Case(
        "not",
        True,
        "40m",
        {"not": RETURNING},
        (("1ms", PAGE),),
        "not met, as asked: 1 session within 30 days (asked: at least 2)",
        "شرط برقرار نیست، همان‌طور که خواسته شده: در ۳۰ روز گذشته ۱ نشست ثبت شده است (شرط: حداقل ۲)",
    ),
    Case(
        "not, one met",
        False,
        "40m",
        {"not": PERFORMED},
        (("1ms", PAGE),),
        "met, though it must not be: 1 × page ever (asked: at least 1)",
        "شرط برقرار است، در حالی که نباید باشد: رویداد «[page]» تاکنون ۱ بار رخ داده است (شرط: حداقل ۱ بار)",
    ),
    Case(
        "none",
        True,
        "40m",
        {"not": [RETURNING, ABANDONED]},
        (("1ms", PAGE),),
        (
            "none of these met, as asked: 1 session within 30 days (asked: at least 2); no open cart (asked: "
            "untouched for 30 minutes, touched less than 30 days ago)"
        ),
        (
            "هیچ‌یک از این شرط‌ها برقرار نیست، همان‌طور که خواسته شده: در ۳۰ روز گذشته ۱ نشست ثبت شده است (شرط:"
            " حداقل ۲)؛ سبد خریدی وجود ندارد (شرط: ۳۰ دقیقه بدون فعالیت، آخرین فعالیت کمتر از ۳۰ روز پیش)"
        ),
    ),
    Case(
        "none, one met",
        False,
        "40m",
        {"not": [PERFORMED, ABANDONED]},
        (("1ms", PAGE), ("1m", ADD)),
        (
            "at least one of these met, though none may be: 1 × page ever (asked: at least 1); (no cart "
            "activity since 2026-03-01T12:01:00.000Z, for 30 minutes; the cart holds 2 items)"
        ),
        (
            "حداقل یکی از این شرط‌ها برقرار است، در حالی که هیچ‌یک نباید باشد: رویداد «[page]» تاکنون ۱ بار رخ "
            "داده است (شرط: حداقل ۱ بار)؛ (۳۰ دقیقه است که سبد خرید دست نخورده (از [2026-03-01T12:01:00.000Z])؛"
            " سبد ۲ کالا دارد)"
        ),
    ),
]


T = parse_instant("2026-03-01T12:00:00Z") or 0  # a Sunday, 10 Esfand 1404
QUIET = Reason(True, "cart", Observed(items=2, last_at=format_instant(T)), {"idle_for": "30m"})
