"""Where a visit comes from: search engines and social sites by a list, and the shop's own hosts."""

import json
from collections.abc import Sequence

import pytest

from lists.referrers import made_of
from rules import referrers
from rules.context import Context
from rules.definition_migration import history_gaps
from rules.definitions.segments_file import build
from rules.hosts import NO_HOSTS, host_of, is_host, is_within
from rules.referrers import channel_of

HOSTS = {
    "search": (
        "google.com", "www.google.co.uk", "google.com.au", "news.google.de", "yahoo.co.jp", "search.yahoo.co.jp",
        "fr.search.yahoo.com", "uk.yahoo.com", "m.baidu.com", "cn.bing.com", "yandex.com.tr", "html.duckduckgo.com",
        "www.ecosia.org", "www.startpage.com", "qwant.com", "search.naver.com", "search.seznam.cz", "uk.ask.com",
        "search.aol.com", "kagi.com", "zarebin.ir", "com.google.android.googlequicksearchbox",
    ),
    "social": (
        "facebook.com", "l.facebook.com", "m.facebook.com", "t.co", "x.com", "www.youtube.com", "l.instagram.com",
        "out.reddit.com", "t.me", "com.linkedin.android", "com.instagram.android",
    ),
    "referral": (
        "blog.example", "mail.google.com", "googleplex.com", "notfacebook.com", "facebook.com.blog.example",
        "google.blog.example", "login.live.com", "com.google.android.gm", "co", "m", "www", "m.search", "a." * 500_000,
    ),
}  # fmt: skip


@pytest.mark.parametrize("channel", HOSTS)
def test_the_channel_of_a_host(channel: str) -> None:
    assert {host: channel_of(host) for host in HOSTS[channel]} == dict.fromkeys(HOSTS[channel], channel)


def test_the_list_says_where_it_comes_from() -> None:
    listed = referrers.listed()
    assert (listed.license, len(listed.commit)) == ("CC0-1.0", 40)
    assert "matomo-org/searchengine-and-social-list" in listed.source
    assert len(listed.search) > 500
    assert len(listed.social) > 100


def test_the_list_is_made_of_two_files() -> None:
    """Hosts lose www, addresses with a path and countries within a host are left out, and a network is no engine."""
    engines = "A: [{urls: [www.a.example, 'a.{}', 'b.example/cse', 'images.{}.a.example']}]\nF: [{urls: [f.example]}]"
    listed = made_of(engines, "F: [f.example, l.f.example]\nL: [login.live.com]", ("0" * 40, "2026-07-15"))
    assert {"a.example", "a.{}"} <= listed.search
    assert not {"b.example", "images.{}.a.example", "f.example"} & listed.search
    assert "f.example" in listed.social
    assert not {"l.f.example", "login.live.com"} & listed.social


# --- hosts -------------------------------------------------------------------------------------


def test_hosts_of_addresses() -> None:
    assert host_of("HTTPS://user@Shop.Example.:443/a") == "shop.example"
    assert [host_of(text) for text in ("about:blank", "", "$direct", "//.")] == [None] * 4


def test_a_host_lies_within_its_domains() -> None:
    hosts = frozenset({"shop.example"})
    assert is_within("shop.example", hosts)
    assert is_within("a.b.shop.example", hosts)
    assert not any(is_within(host, hosts) for host in ("myshop.example", "shop.example.org", "example", "a." * 9_999))
    assert not is_within("shop.example", NO_HOSTS)
    assert is_host("xn--mller-kva.example")
    assert not is_host("-a.example")


def traffic(
    context: dict[str, object], own_hosts: Sequence[str] = (), *, of_page: bool = True
) -> tuple[str | None, str | None]:
    """The referrer and the channel of an event with this context."""
    raw, hosts = Context(json.dumps(context).encode(), of_page=of_page), frozenset(own_hosts)
    return raw.get("referrer", hosts), raw.get("channel", hosts)


def test_direct_is_no_referrer() -> None:
    """RudderStack and Jitsu write `$direct` where there is none; the first referrer of a visitor is not read."""
    assert traffic({"page": {"referrer": "$direct", "initial_referrer": "$direct"}}) == (None, "direct")
    assert traffic({"page": {"referrer": "", "initial_referrer": "https://blog.example/"}}) == (None, "direct")
    assert traffic({"page": {"referrer": "$direct"}}, of_page=False) == (None, None)
    blog = "https://blog.example/"
    assert traffic({"referrer": {"url": "$direct"}, "page": {"referrer": blog}}) == (blog, "referral")


def test_the_shops_own_hosts_are_no_referrers() -> None:
    """Going on from one host of the shop to another is no direct visit, and none from elsewhere."""
    own = ["shop.example", "pay.example"]
    for referrer in ("https://www.shop.example/a", "https://help.shop.example", "https://PAY.example:443/"):
        context: dict[str, object] = {"page": {"url": "https://www.shop.example/", "referrer": referrer}}
        assert traffic(context, own) == (None, None)
    elsewhere = "https://myshop.example/"
    assert traffic({"page": {"referrer": elsewhere}}, own) == (elsewhere, "referral")
    tagged: dict[str, object] = {"campaign": {"source": "receipt"}, "page": {"referrer": "https://pay.example/"}}
    assert traffic(tagged, own) == (None, "campaign")


# --- hosts of a segments file ------------------------------------------------------------------

WHEN = {
    "blog": {"title": "Blog", "when": {"context": {"channel": "referral"}}},
    "phone": {"title": "Phone", "when": {"context": {"device": "mobile"}}},
}


def test_hosts_are_part_of_a_files_fingerprint() -> None:
    """As with placeholders, a file without hosts is as it was; with some, only the file's fingerprint differs."""
    former = build({"version": 1, "segments": WHEN}, "former.yaml")
    nothing: tuple[object, ...] = (None, [])
    for hosts in nothing:
        assert build({"version": 1, "segments": WHEN, "hosts": hosts}, "f").fingerprint == former.fingerprint
    newer = build({"version": 1, "segments": WHEN, "hosts": ["Shop.example", "pay.example"]}, "newer.yaml")
    twice = build({"version": 1, "segments": WHEN, "hosts": ["pay.example", "shop.example", "shop.example"]}, "f")
    assert former.fingerprint != newer.fingerprint == twice.fingerprint
    assert [segment.fingerprint for segment in former.segments] == [segment.fingerprint for segment in newer.segments]
    assert build(newer.document, "again").fingerprint == newer.fingerprint
    assert newer.alone("blog").own_hosts == newer.own_hosts == {"shop.example", "pay.example"}


def test_other_hosts_leave_a_gap_in_the_history_of_channels() -> None:
    """What was read with other hosts is carried over, and `check --against` says so; other attributes do not depend."""
    former = build({"version": 1, "segments": WHEN}, "former.yaml")
    newer = build({"version": 1, "segments": WHEN, "hosts": ["shop.example"]}, "newer.yaml")
    assert [(gap.segment, gap.for_ms) for gap in history_gaps(former, newer)] == [("blog", None)]
    assert history_gaps(newer, newer) == []
