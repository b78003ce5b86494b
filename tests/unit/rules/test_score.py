"""The score of a customer: what each event is worth, to the millionth, and the minute at which the sum comes down."""

import random
from decimal import Decimal, localcontext

from rules.conditions.score import HALF_LIVES, CurrentScore, faded
from rules.times import DAY_MS, HOUR_MS, MINUTE_MS

HALF_LIVES_DRAWN = (MINUTE_MS, 90_000, HOUR_MS, 7 * DAY_MS, 365 * DAY_MS)


def drawn_score(rng: random.Random, half_life: int) -> CurrentScore:
    """A score of some events, many of them whole half-lives apart, so that what they are worth is close to a whole."""
    ages = [rng.choice((rng.randrange(10**5), rng.randrange(9) * half_life // MINUTE_MS)) for _ in range(20)]
    added = [(rng.choice((1, 500_000, 3_000_000, 10**9)), age) for age in [0, *ages]]
    worth = [points * 2.0 ** -(age * MINUTE_MS / half_life) for points, age in added]
    return CurrentScore(1, half_life, [(*each, about) for each, about in zip(added, worth, strict=True)])


def test_the_quick_sum_is_that_of_decimals() -> None:
    """Floats are used only where they tell the whole part: the sum is that of 28 digits, at any age."""
    rng = random.Random(7)
    for _ in range(300):
        score = drawn_score(rng, rng.choice(HALF_LIVES_DRAWN))
        minutes = rng.choice((0, 1, rng.randrange(10**5), score.half_life // MINUTE_MS))
        exact = sum(faded(points, score.half_life, age + minutes) for points, age, _ in score.added)
        assert score.after(minutes) == exact


def test_what_an_event_is_worth() -> None:
    """Whole half-lives halve; what is less than a millionth is nothing, which is so after 30 of them."""
    assert [faded(3_000_000, HOUR_MS, minutes) for minutes in (0, 60, 120)] == [3_000_000, 1_500_000, 750_000]
    with localcontext(prec=28):
        assert faded(1_000_000, HOUR_MS, 7) == int(1_000_000 * Decimal(2) ** (Decimal(-7) / 60))
    assert faded(10**9, MINUTE_MS, HALF_LIVES - 1) == 1
    assert faded(10**9, MINUTE_MS, HALF_LIVES) == 0


def test_the_minute_at_which_a_score_is_no_longer_above_a_level() -> None:
    """The search finds the first such minute, for any level below the score."""
    rng = random.Random(8)
    for _ in range(300):
        score = drawn_score(rng, rng.choice(HALF_LIVES_DRAWN))
        elapsed = rng.choice((0, rng.randrange(1_000)))
        now = score.after(elapsed)
        if not now:
            continue
        level = rng.choice((0, now - 1, rng.randrange(now)))
        minute = score.first_at_most(level, elapsed, now)
        assert score.after(minute - 1) > level >= score.after(minute)
