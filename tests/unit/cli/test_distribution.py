"""Cut-offs from data, and the commands that show what a file's segments hold: `distribution` and `check`.

Suggestions are counted again here, value by value, and can be pasted into a file as they are.
"""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.definitions import yaml_text
from rules.definitions.segments_file import build
from streams.cli.distribution import lines as shown
from streams.offline import cutoffs
from tests.support import library_stories, live
from tests.support.commands import Done, event, lines, segmenter
from tests.support.recorded_orders import recorded

__all__ = ["recorded"]  # the fixture


MICRO = 10**6
BANDS = st.integers(2, 9)
SUGGESTION = re.compile(r"^(?:as many in each|natural breaks) +(from: \{.*\})   # ([\d, ]+) customers$", re.MULTILINE)


# As the command has them: whole millionths; small and large, of one size and of all sizes, many of them alike.
SIZES = st.sampled_from([1, 10, 1_000, MICRO, 100 * MICRO, 10**12, 10**17])
AMOUNTS = st.builds(lambda size, share: size * share / MICRO, SIZES, st.integers(1, 999))


VALUES = st.one_of(
    st.lists(AMOUNTS, min_size=1, max_size=60),
    st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=60),
    st.lists(st.sampled_from([-1e12, -1.0, -0.001, 0.0, 0.001, 1.0, 1e12]), min_size=1, max_size=12),
    st.builds(lambda value, count: [value] * count, AMOUNTS, st.integers(1, 20)),
)


def sizes(values: list[float], cuts: list[float]) -> list[int]:
    """How many values fall into each band: from its cut on, below the next."""
    edges = [float("-inf"), *cuts, float("inf")]
    return [sum(low <= value < high for value in values) for low, high in pairwise(edges)]


# --- where to cut ------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [cutoffs.quantile_cuts, cutoffs.natural_cuts])
@given(values=VALUES, bands=BANDS)
def test_bands_hold_somebody_and_ascend(cut: Any, values: list[float], bands: int) -> None:
    """There are at most as many bands as asked for, ascending and none empty, with cuts that a rule can write."""
    cuts = cut(values, bands)
    assert len(cuts) < bands
    assert all(low < high for low, high in pairwise(cuts))
    assert all(count > 0 for count in sizes(values, cuts))
    assert all(min(values) < bound <= max(values) for bound in cuts)
    assert all(round(bound, 6) == bound for bound in cuts)
    assert cut(values[::-1], bands) == cuts


def test_quantiles_by_hand() -> None:
    """A third of 1 … 9 ends at 3⅔ and 6⅓; half of what is mostly 1 is 1, which no band ends at."""
    assert cutoffs.quantile_cuts([9, 1, 8, 2, 7, 3, 6, 4, 5], 3) == [3.7, 6.3]
    assert sizes([1, 2, 3, 4, 5, 6, 7, 8, 9], [3.7, 6.3]) == [3, 3, 3]
    assert cutoffs.quantile_cuts([1, 1, 1, 1, 100], 2) == []
    assert cutoffs.quantile_cuts([-5, -4, 3, 10], 2) == [-0.5]


def test_natural_breaks_by_hand() -> None:
    """Breaks lie half way over the widest gaps, whatever the sizes of the groups."""
    assert cutoffs.natural_cuts([1, 2, 3, 51, 52, 53, 91, 92], 3) == [27, 72]
    assert cutoffs.natural_cuts([1, 1, 1, 1, 100], 2) == [50]
    assert cutoffs.natural_cuts([100, -100, -99, 99], 2) == [0]
    assert cutoffs.natural_cuts([7, 7, 7], 4) == []


@given(
    counted=st.dictionaries(st.integers(-1_000, 1_000), st.integers(1, 4), min_size=2, max_size=9),
    bands=st.integers(2, 5),
)
def test_natural_breaks_are_the_best_there_are(counted: dict[int, int], bands: int) -> None:
    """No other way to cut has a smaller sum of squared deviations, before any rounding."""
    cells = sorted(counted)
    weights = [counted[cell] for cell in cells]
    bands = min(bands, len(cells))
    starts = cutoffs._breaks(np.array(cells, dtype=np.float64), np.array(weights, dtype=np.float64), bands)
    best = min(deviation(cells, weights, list(starts)) for starts in combinations(range(1, len(cells)), bands - 1))
    assert deviation(cells, weights, starts) == pytest.approx(best, rel=1e-9, abs=1e-6)


def deviation(cells: list[int], weights: list[int], starts: list[int]) -> float:
    """The sum of squared deviations from each band's mean, value by value."""
    total = 0.0
    for begin, end in pairwise([0, *starts, len(cells)]):
        counted = zip(cells[begin:end], weights[begin:end], strict=True)
        values = [cell for cell, weight in counted for _ in range(weight)]
        mean = sum(values) / len(values)
        total += sum((value - mean) ** 2 for value in values)
    return total


def test_natural_breaks_of_very_many_values() -> None:
    """Three groups are still three groups when 400 quantiles stand for all values."""
    groups = [(0, 900), (5_000, 700), (20_000, 1_100)]
    values = [float(start + number) for start, count in groups for number in range(count)]
    low, high = cutoffs.natural_cuts(values, 3)
    assert 899 < low <= 5_000
    assert 5_699 < high <= 20_000


# --- how values are spread ---------------------------------------------------------------------


@given(values=VALUES)
def test_every_value_is_in_one_bar(values: list[float]) -> None:
    """All values are counted, none twice; edges and deciles ascend from the least to the greatest."""
    spread = cutoffs.spread(values)
    assert (spread.count, spread.least, spread.greatest) == (len(values), min(values), max(values))
    assert sum(spread.bars) == len(values)
    assert len(spread.edges) == len(spread.bars) + 1 == cutoffs.BARS + 1
    assert spread.edges == sorted(spread.edges)
    assert spread.edges[0] == spread.least
    assert spread.edges[-1] >= spread.greatest
    assert spread.deciles == sorted(spread.deciles)
    assert spread.mean == pytest.approx(sum(values) / len(values), abs=1e-9 * max(map(abs, values)))
    for low, high, count in list(zip(spread.edges, spread.edges[1:], spread.bars, strict=False))[:-1]:
        assert count == sum(low <= value < high for value in values)


def test_bars_over_many_powers_of_ten_grow_with_the_values() -> None:
    """With bars of one width all but the largest values would stand in the first bar."""
    narrow, wide = cutoffs.spread([1, 10, 1_000]), cutoffs.spread([1, 10, 100, 1_000, 10_000])
    assert narrow.bars == [2, *[0] * 10, 1]
    assert [count for count in wide.bars if count] == [1, 1, 1, 1, 1]
    assert cutoffs.spread([0, 10, 10_000]).bars == [2, *[0] * 10, 1]


# --- what is printed ---------------------------------------------------------------------------


def suggested(out: str) -> list[tuple[dict[str, float], list[int]]]:
    """The two suggestions of a printed distribution, and the sizes printed with each."""
    matches = SUGGESTION.findall(out)
    assert len(matches) == 2, out
    suggestions = []
    for text, counts in matches:
        pasted = yaml_text.read(text)
        assert isinstance(pasted, dict)
        suggestions.append((pasted["from"], [int(count.replace(",", "")) for count in counts.split(", ")]))
    return suggestions


def pasted(values: list[float], bands: int = 3) -> list[list[str]]:
    """The segments of a file into which each suggestion was pasted."""
    total = {"agg": "sum", "of": "total", "event": "Order Completed"}
    segment_keys = []
    for lows, _ in suggested("\n".join(shown(values, bands))):
        segments = {"value": {"title": "Value", "bands": {"total": total, "from": lows}}}
        built = build({"version": 1, "currency": "IRR", "segments": segments}, "pasted.yaml")
        segment_keys.append([segment.key for segment in built.segments])
    return segment_keys


@pytest.mark.parametrize(
    ("values", "bands"),
    [
        ([10.0, 20.0, 30.0, 1_000.0, 2_000.0, 30_000.0], 3),
        ([5.0, 5.0, 5.0], 3),
        ([-5.0, -4.0, 3.0, 10.0], 3),
        ([float(number) for number in range(1, 100)], 9),
        ([1.0, 999_999.0], 2),
    ],
)
def test_a_suggestion_can_be_pasted(values: list[float], bands: int) -> None:
    """`from` is what `bands` takes: the first band has room for the least, the sizes add up to all."""
    for lows, counts in suggested("\n".join(shown(values, bands))):
        assert list(lows.values()) == sorted(lows.values())
        first, *cuts = lows.values()
        assert first <= min(values)
        assert counts == sizes(values, cuts)
        assert sum(counts) == len(values)
    for keys in pasted(values, bands):
        assert keys


def test_a_suggestion_of_a_million_can_be_pasted() -> None:
    """Amounts in rials go into the millions."""
    assert pasted([5e5, 1e6, 2.5e6, 4e6])


def test_the_first_band_begins_below_the_least() -> None:
    for lows, _ in suggested("\n".join(shown([0.001, 0.005, 0.009], 3))):
        assert list(lows.values()) == sorted(lows.values())
        assert min(lows.values()) <= 0.001


def test_values_that_lie_close_together_are_cut_too() -> None:
    assert cutoffs.natural_cuts([101, 102, 108, 109], 2)


# --- the command -------------------------------------------------------------------------------


SUMS = [25, 20, 30.5, 1_000, 1_500.25, 6_000, 7_000]


def test_a_distribution_of_recorded_events(recorded: str) -> None:
    """Customers without a value are left out; the figures are those of the sums."""
    done = segmenter("distribution", "--of", "customer_value", "--events", recorded)
    assert (done.code, done.err) == (0, "")
    head, customers, deciles, *rest = done.out.splitlines()
    assert head == "sum of total, as in customer_value"
    assert customers == "customers  7, from 20.00 to 7,000.00, mean 2,225.11"
    assert deciles.split()[5] == "1,000.00"  # the median
    bars = [int(text.split()[-1]) for text in rest if "…" in text]
    assert (len(bars), sum(bars)) == (12, 7)
    (even, even_counts), (natural, natural_counts) = suggested(done.out)
    assert list(even) == list(natural) == ["low", "medium", "high"]
    assert even_counts == sizes(SUMS, [even["medium"], even["high"]]) == [2, 2, 3]
    assert natural_counts == sizes(SUMS, [natural["medium"], natural["high"]]) == [3, 2, 2]


@pytest.mark.parametrize(
    ("wish", "head"),
    [
        ("customer_value_high", "sum of total, as in customer_value_high"),
        ("high_spender", "sum of total, as in high_spender"),
        ("win_back", "sum of total, as in win_back"),
        ("{agg: sum, of: total, event: Order Completed, within: 365d}", "sum of total"),
    ],
)
def test_the_same_total_however_it_is_named(wish: str, head: str, recorded: str) -> None:
    """The total is named by a band, by a segment with a test, inside other conditions, or written out."""
    named = segmenter("distribution", "--of", "customer_value", "--events", recorded)
    done = segmenter("distribution", "--of", wish, "--events", recorded)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == head
    assert done.out.splitlines()[1:] == named.out.splitlines()[1:]


def test_so_many_bands(recorded: str) -> None:
    """Up to five bands have names, more have numbers; no band is empty."""
    done = segmenter("distribution", "--of", "customer_value", "--events", recorded, "--bands", "5")
    for lows, counts in suggested(done.out):
        assert list(lows) == ["low", "medium", "high", "higher", "top"][: len(lows)]
        assert len(counts) == len(lows) > 2
        assert 0 not in counts
    done = segmenter("distribution", "--of", "customer_value", "--events", recorded, "--bands", "9")
    assert all(0 not in counts and sum(counts) == 7 for _, counts in suggested(done.out))


@pytest.mark.parametrize(
    ("wish", "code", "message"),
    [
        ("nobody", 1, "segmenter distribution: nobody is neither a segment with a total, nor a total in braces"),
        ("abandoned_cart", 1, "abandoned_cart is neither a segment with a total"),
        ("{agg: sum, event: Order Completed}", 1, "--of: segments.total.when.total.of: is missing"),
        ("{agg: most, of: total, event: Order Completed}", 1, "--of: segments.total.when.total.agg: "),
        ("{agg: sum", 1, "--of: line 1"),
        ("{}", 1, "--of: segments.total.when.total"),
        ("comparing", 1, "segmenter distribution: no customer has a value"),
    ],
)
def test_a_wrong_total(wish: str, code: int, message: str, recorded: str) -> None:
    """A wrong total is named on stderr, and nothing is shown."""
    done = segmenter("distribution", "--of", wish, "--events", recorded)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert "Traceback" not in done.err


def test_wrong_arguments_of_distribution(tmp_path: Path) -> None:
    for words in ("", "--of x --bands 1", "--of x --bands 10", "--of x --bands many"):
        done = segmenter("distribution", *words.split())
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("segmenter distribution: ")
    missing = segmenter("distribution", "--of", "customer_value", "--events", str(tmp_path / "none"))
    assert (missing.code, missing.out) == (1, "")
    assert str(tmp_path / "none") in missing.err


def test_zero_is_a_score() -> None:
    """A customer with the score 0 is counted: it is the one to look at."""
    events = [event(f"u{score}", 1, "NPS Submitted", 1, score=score) for score in (0, 3, 9)]
    done = segmenter("distribution", "--of", "dissatisfied", "--events", "-", stdin=lines(*events))
    assert "customers  3, from 0.00 to 9.00" in done.out


def test_a_part_of_a_key_is_no_key(recorded: str) -> None:
    """`high` is not high_spender."""
    assert segmenter("distribution", "--of", "high", "--events", recorded).code == 1


# --- check, with all it can tell ---------------------------------------------------------------


def paragraphs(done: Done) -> dict[str, list[str]]:
    """The lines under each segment in the output of `check --explain`."""
    by_segment: dict[str, list[str]] = {}
    for text in done.out.splitlines()[1:]:
        if text.startswith(" " * 8):  # the line before was too long
            by_segment[list(by_segment)[-1]][-1] += f" {text.strip()}"
        elif text.startswith("      "):
            by_segment[list(by_segment)[-1]].append(text.strip())
        else:
            by_segment[text.split()[0]] = []
    return by_segment


def test_check_explains_every_segment() -> None:
    """Each has a sentence (that of docs/reference/library.md), its events, its windows and what it keeps."""
    done = segmenter("check", "--explain")
    assert (done.code, done.err) == (0, "")
    by_segment = paragraphs(done)
    assert list(by_segment) == sorted(story.segment for story in library_stories.stories())
    page = (live.FOUR.parent.parent.parent / "docs" / "reference" / "library.md").read_text("utf-8")
    for key, (sentence, events, windows, keeps) in by_segment.items():
        assert sentence in page.partition(f"\n## {key}\n")[2].partition("\n## ")[0]
        assert re.fullmatch(r"events: \S.*", events)
        assert re.fullmatch(r"windows: (none|\d+(ms|[smhd])(, \d+(ms|[smhd]))*)", windows), windows
        assert re.fullmatch(r"keeps of a customer: at most about [\d,]+ bytes", keeps)
    assert by_segment["recently_purchased"][:3] == [
        "At least 1 × Order Completed within 30 days.",
        "events: Order Cancelled, Order Completed, Order Refunded, Order Updated",
        "windows: 30d",
    ]
    assert by_segment["vip"][0] == "In segment loyal_customer; and in segment customer_value_high."
    assert by_segment["hold_out"][1:3] == ["events: none: time or chance alone", "windows: none"]


def test_check_without_explain_says_none_of_it() -> None:
    assert all(texts == [] for texts in paragraphs(segmenter("check", str(live.FOUR))).values())


def test_check_counts_whom_each_segment_would_hold(recorded: str) -> None:
    """Counts are those at the end of the recorded events; fewer than asked for is a warning, no error."""
    done = segmenter("check", str(live.FOUR), "--events", recorded, "--minimum", "3")
    assert done.code == 0
    assert f"of 10 customers at the end of {recorded}:" in done.out
    counts = re.findall(r"^ +([\d,]+)  (\w+)$", done.out, re.MULTILINE)
    assert counts == [
        ("0", "abandoned_cart"), ("8", "recently_purchased"), ("2", "repeat_buyer"), ("0", "returning_visitor"),
    ]  # fmt: skip
    assert done.err.splitlines() == [
        "warning: abandoned_cart would hold 0 customers, fewer than 3",
        "warning: repeat_buyer would hold 2 customers, fewer than 3",
        "warning: returning_visitor would hold 0 customers, fewer than 3",
    ]


def test_check_warns_of_empty_segments_alone_unless_told(recorded: str) -> None:
    done = segmenter("check", str(live.FOUR), "--events", recorded)
    assert re.findall(r"warning: (\w+) would hold 0 customers, fewer than 1", done.err) == [
        "abandoned_cart", "returning_visitor",
    ]  # fmt: skip
    again = segmenter("check", str(live.FOUR), "--events", "-", stdin=Path(recorded).read_bytes())
    assert (again.code, again.err) == (0, done.err)


def test_check_counts_by_the_whole_library() -> None:
    """One customer leaves a cart, another comes when it is quiet; at the end time advances for both."""
    events = [event("u1", 1, "page", 0), event("u1", 2, "Product Added", 1, product_id="p1", price=250)]
    events.append(event("u2", 1, "page", 40))
    done = segmenter("check", "--events", "-", stdin=lines(*events))
    counts = dict(reversed(pair) for pair in re.findall(r"^ +([\d,]+)  (\w+)$", done.out, re.MULTILINE))
    inside = {key: int(count) for key, count in counts.items() if count != "0"}
    both = ("direct_visitor", "engagement_low", "first_time_visitor", "guest", "light_user")
    assert inside == {"abandoned_cart": 1, "valuable_cart": 1} | dict.fromkeys(both, 2)


def test_check_names_bad_lines_of_the_recorded_events() -> None:
    """Bad lines are named as by a replay, and the rest is counted."""
    content = b"{\n" + lines(event("u1", 1, "Order Completed", 0, order_id="o1"))
    done = segmenter("check", str(live.FOUR), "--events", "-", stdin=content)
    assert "line 1: not_json: {" in done.err
    assert "of 1 customers" in done.out


@pytest.mark.parametrize("words", ["--minimum 0", "--minimum many", "--events"])
def test_wrong_arguments_of_check(words: str) -> None:
    done = segmenter("check", *words.split())
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("segmenter check: ")
