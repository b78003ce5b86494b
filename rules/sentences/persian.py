"""Persian: messages, units and names of days.

The one rule: a message says nothing that its slots do not carry. Spelling follows the Academy of
Persian Language and Literature: prefixes and suffixes are joined by a half-space (U+200C), the
``ه`` before a genitive carries its hamza.
"""

from __future__ import annotations

from rules.sentences.language import Language, Message, Unit

_GROUPS: dict[str, Message] = {
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
    "beside": "{seen} (شرط: {asked})",
    "in_vain": "{seen} (شرط برقرار نیست: {asked})",
    "comma": "، ",
    "ends": " و ",
    "semicolon": "؛ ",
    "and": " و ",
    "or": " یا ",
}

_ASKED: dict[str, Message] = {
    "at_least": "حداقل {number}",
    "at_most": "حداکثر {number}",
    "exactly": "دقیقاً {number}",
    "above": "بیشتر از {number}",
    "below": "کمتر از {number}",
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
    "matches": "{name} با الگوی {value} بخواند",
    "exists": "{name} مقداری داشته باشد",
    "absent": "{name} مقداری نداشته باشد",
    "age": "سن بر پایهٔ {name} {age} باشد",
    "name": "{text}",
    "event": "«{text}»",
    "quoted": "«{text}»",
    "where": "{event} (به شرطی که {tests})",
}

_HAPPENED: dict[str, Message] = {
    "duration": "{number} {unit}",
    "window": "در {number} {linked} گذشته",
    "ever": "تاکنون",
    "so_far": "تاکنون",
    "performed": "رویداد {event} {window} {count} رخ داده است",
    "not_performed": "رویداد {event} {window} رخ نداده است",
    "count": "{count} بار",
    "or_more": "{count} بار یا بیشتر",
    "times": "{range} بار",
    "sessions": "{window} {count} نشست ثبت شده است",
    "no_sessions": "{window} نشستی ثبت نشده است",
    "apart": "{range}، با فاصلهٔ {gap}",
    "total": "{agg} رویدادهای {event} {window} {value} است",
    "total_of_nothing": "رویدادهای {event} {window} {of} نداشته‌اند، پس {agg} هم در کار نیست",
    "distinct_values": "{of} در رویدادهای {event} {window} {value} مقدار متفاوت داشته است",
    "sum": "مجموع {of}",
    "avg": "میانگین {of}",
    "min": "کمترین {of}",
    "max": "بیشترین {of}",
    "first": "نخستین رویداد {event} در {at} بوده است",
    "last": "آخرین رویداد {event} در {at} بوده است",
    "never": "رویداد {event} تاکنون رخ نداده است",
    "too_new": "{seen}، کمتر از {time} پیش",
    "too_old": "{seen}، {time} پیش یا زودتر",
    "then": "، سپس ",
    "same": "{steps}، با {of} یکسان",
    "not_in_order": "{steps}: به این ترتیب دیده نشده است",
    "begun": "{steps}: آخرین بار در {at} آغاز شده است",
    "all_within": "همه در {number} {linked} گذشته",
}

_CART: dict[str, Message] = {
    "no_cart": "سبد خریدی وجود ندارد",
    "empty_cart": "سبد خرید خالی است",
    "quiet_cart": "{time} است که سبد خرید دست نخورده (از {at})؛ {holds}",
    "forgotten_cart": "{time} یا بیشتر است که سبد خرید دست نخورده (از {at})؛ {holds}",
    "busy_cart": "{holds}، آخرین فعالیت در {at}، کمتر از {time} پیش",
    "touched_cart": "{holds}، آخرین فعالیت در {at}",
    "items": "{count} کالا",
    "worth": "{items} به ارزش {value}",
    "holds": "سبد {items} دارد",
    "holds_at_cart": "{holds}، پیش از مرحلهٔ پرداخت",
    "holds_at_checkout": "{holds}، در مرحلهٔ پرداخت",
    "idle_for": "{time} بدون فعالیت",
    "until": "آخرین فعالیت کمتر از {time} پیش",
    "items_asked": "{range} کالا",
    "worth_asked": "به ارزش {range}",
    "at_cart": "پیش از مرحلهٔ پرداخت",
    "at_checkout": "در مرحلهٔ پرداخت",
}

_PEOPLE: dict[str, Message] = {
    "trait": "{name}",
    "first_touch": "نخستین {name}",
    "last_touch": "آخرین {name}",
    "known": "{name} برابر {value} است",
    "not_known": "{name} نامعلوم است",
    "in_segment": "از {since} عضو بخش {segment} است",
    "not_in_segment": "عضو بخش {segment} نیست",
    "in_it": "عضو آن باشد",
    "sample": "نمونهٔ {percent} درصدی",
    "salted": "{sample} با کلید {salt}",
    "inside": "در {sample} است",
    "outside": "بیرون از {sample} است",
    "inside_asked": "در آن باشد",
    "calendar": "روز {day} است، به وقت {timezone}",
    "month_day": "{day} {month}",
    "date": "{day} {year}",
    "weekday_date": "{weekday} {date}",
    "between": "از {first} تا {last}",
    "on_weekdays": "روز {days}",
}

PERSIAN = Language(
    messages=_GROUPS | _ASKED | _HAPPENED | _CART | _PEOPLE,
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
    },
    quotes="«»",
    isolates=True,
    digits=str.maketrans("0123456789.-", "۰۱۲۳۴۵۶۷۸۹٫−"),
)  # fmt: skip
