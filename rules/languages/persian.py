"""Persian: messages, units and names of days.

A message states only what its slots have. Spelling follows the Academy of Persian Language and Literature: prefixes and
suffixes are joined by a half-space (U+200C), the ``ه`` before a genitive carries its hamza.
"""

from __future__ import annotations

from rules.languages.language import Language, SentenceTemplate, Unit

_GROUPS: dict[str, SentenceTemplate] = {
    "merged": "این مشتری از این پس با شناسهٔ دیگری شناخته می‌شود",
    "removed": "این بخش دیگر تعریف نشده است",
    "erased": "همهٔ دانسته‌ها دربارهٔ این مشتری پاک شده است",
    "all": " و ",
    "any": " یا ",
    "none": "هیچ‌یک از این شرط‌ها برقرار نیست، همان‌طور که خواسته شده: {members}",
    "none_in_vain": "حداقل یکی از این شرط‌ها برقرار است، در حالی که هیچ‌یک نباید باشد: {members}",
    "not": "شرط برقرار نیست، همان‌طور که خواسته شده: {members}",
    "not_in_vain": "شرط برقرار است، در حالی که نباید باشد: {members}",
    "enclosed": "({words})",
    "shortened": "{words} (کوتاه‌شده)",
    "beside": "{observed} (شرط: {test})",
    "in_vain": "{observed} (شرط برقرار نیست: {test})",
    "comma": "، ",
    "ends": " و ",
    "semicolon": "؛ ",
    "and": " و ",
    "or": " یا ",
}

_TESTS: dict[str, SentenceTemplate] = {
    "at_least": "حداقل {number}",
    "at_most": "حداکثر {number}",
    "exactly": "دقیقاً {number}",
    "above": "بیشتر از {number}",
    "below": "کمتر از {number}",
    "more_than": "بیشتر از {number}",
    "less_than": "کمتر از {number}",
    "ago": "{time} پیش",
    "any_time": "در هر زمانی",
    "is": "{name} برابر {value} باشد",
    "is_not": "{name} برابر {value} نباشد",
    "is_in_range": "{name} {range} باشد",
    "in": "{name} یکی از {values} باشد",
    "not_in": "{name} هیچ‌یک از {values} نباشد",
    "and_more": "{values} و {count} مورد دیگر",
    "contains": "{name} شامل {value} باشد",
    "not_contains": "{name} شامل {value} نباشد",
    "starts_with": "{name} با {value} آغاز شود",
    "ends_with": "{name} با {value} پایان یابد",
    "matches": "{name} با الگوی {value} بخواند",
    "exact": "{name} عیناً {value} باشد",
    "exists": "{name} مقداری داشته باشد",
    "absent": "{name} مقداری نداشته باشد",
    "age": "سن بر پایهٔ {name} {age} باشد",
    "before": "{name} پیش از {date} باشد",
    "after": "{name} در {date} یا پس از آن باشد",
    "ahead": "{name} {range} دیگر باشد",
    "anniversary_today": "سالگرد {name} امروز باشد",
    "anniversary_within_next": "سالگرد {name} امروز باشد یا تا {time} دیگر آغاز شود",
    "anniversary_within_last": "سالگرد {name} کمتر از {time} پیش آغاز شده باشد",
    "in_zone": "{words}، به وقت {zone}",
    "name": "{text}",
    "event": "«{text}»",
    "quoted": "«{text}»",
    "where": "{event} (به شرطی که {tests})",
}

_TIMES: dict[str, SentenceTemplate] = {
    "duration": "{number} {unit}",
    "window": "در {number} {linked} گذشته",
    "between_ago": "از {first} پیش تا {last} پیش",
    "ever": "تاکنون",
    "so_far": "تاکنون",
    "too_new": "{observed}، کمتر از {time} پیش",
    "too_old": "{observed}، {time} پیش یا زودتر",
}

_DAYS: dict[str, SentenceTemplate] = {
    "month_day": "{day} {month}",
    "date": "{day} {year}",
    "weekday_date": "{weekday} {date}",
    "timed": "{event} ({times})",
    "on_day": "در {day}",
    "on_days": "از {day} تا {last}",
    "from_day": "از {day} به بعد",
    "until_day": "تا {day}",
    "on_the_weekdays": "در روز {days}",
    "at_hours": "بین ساعت {first} و {last}",
}

COMMON = Language(
    messages=_GROUPS | _TESTS | _TIMES | _DAYS,
    units={
        "ms": Unit("میلی‌ثانیه", "میلی‌ثانیه", "میلی‌ثانیهٔ"),
        "s": Unit("ثانیه", "ثانیه", "ثانیهٔ"),
        "m": Unit("دقیقه", "دقیقه", "دقیقهٔ"),
        "h": Unit("ساعت", "ساعت", "ساعت"),
        "d": Unit("روز", "روز", "روز"),
        "y": Unit("سال", "سال", "سال"),
    },
    months={
        "gregorian": (
            "ژانویه", "فوریه", "مارس", "آوریل", "مه", "ژوئن", "ژوئیه", "اوت", "سپتامبر", "اکتبر", "نوامبر", "دسامبر",
        ),
        "jalali": (
            "فروردین", "اردیبهشت", "خرداد", "تیر", "مرداد", "شهریور", "مهر", "آبان", "آذر", "دی", "بهمن", "اسفند",
        ),
    },
    weekdays=("دوشنبه", "سه‌شنبه", "چهارشنبه", "پنج‌شنبه", "جمعه", "شنبه", "یکشنبه"),
    attributes={
        "device": "دستگاه",
        "channel": "کانال",
        "source": "منبع",
        "medium": "رسانه",
        "campaign": "کمپین",
        "referrer": "نشانی ارجاع‌دهنده",
        "country": "کشور",
        "city": "شهر",
        "locale": "زبان دستگاه",
        "os": "سیستم‌عامل",
        "browser": "مرورگر",
        "timezone": "منطقهٔ زمانی",
        "region": "استان",
        "page": "مسیر صفحه",
    },
    quotes="«»",
    isolates=True,
    digits=str.maketrans("0123456789.-", "۰۱۲۳۴۵۶۷۸۹٫−"),
)  # fmt: skip
