"""Texts as they are compared: spellings that people take for text text are equal, and no others."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.text_equality import fold

EQUAL = [
    ("Tea", "tea"), ("TEA", "tea"), ("  Tea\t\n", "tea"), ("Green Tea", "green tea"), ("\u00a0tea\u3000", "tea"),
    ("café", "cafe\u0301"), ("CAFÉ", "cafe\u0301"), ("Ñandú", "ñandú"), ("Straße", "STRASSE"), ("ΣΑΣ", "σας"),
    ("علي", "علی"), ("علىٰ", "علیٰ"), ("كتاب", "کتاب"), ("كيك", "کیک"), ("تهــران", "تهران"), ("می\u200cروم", "میروم"),
    ("چای ۱۲", "چای 12"), ("شاي ١٢", "شای 12"), ("٠١٢٣٤٥٦٧٨٩", "0123456789"), ("۰۱۲۳۴۵۶۷۸۹", "0123456789"),
    (" \u200c تهران \u200c ", "تهران"), ("\u0640tea", "TEA"), ("", "   "), ("\u200c", ""),
    ("ÅNGSTRÖM", "a\u030angstro\u0308m"),
]  # fmt: skip
DIFFERENT = [
    ("tea", "te a"), ("green tea", "greentea"), ("green tea", "green  tea"), ("cafe", "café"), ("tea", "teas"),
    ("12", "1.2"), ("۱۲", "21"), ("تهران", "طهران"), ("ه", "ة"), ("ا", "آ"), ("a-b", "a_b"), ("٪", "%"),
    ("٫", "."), ("½", "1/2"), ("²", "2"), ("ﬁ", "f\u200di"), ("１", "1"), ("و", "ؤ"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "other"), EQUAL)
def test_texts_that_are_equal(text: str, other: str) -> None:
    """Case, spaces around, composition, and variants of Arabic and Persian letters and digits do not count."""
    assert fold(text) == fold(other)


@pytest.mark.parametrize(("text", "other"), DIFFERENT)
def test_texts_that_are_different(text: str, other: str) -> None:
    """What stands inside a text counts: spaces, marks, other letters and other forms of digits."""
    assert fold(text) != fold(other)


def test_long_texts_are_folded_as_short_ones() -> None:
    """The length of a text changes nothing."""
    long = "ی" * 500
    for text, other in EQUAL:
        if (text, other) == (text.strip(), other.strip()):
            assert fold(long + text + long) == fold(long + other + long)
    assert fold("ي" * 10_000) == "ی" * 10_000


DROPPED = "\u0640\u200c"
LETTERS = st.sampled_from("aAéE\u0301كيىی ۱٢ßΣİı\t\u00a0آا\u0653")
TEXTS = st.text(LETTERS, max_size=12) | st.text(st.characters(exclude_characters=DROPPED), max_size=12)


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(TEXTS)
def test_a_folded_text_is_folded(text: str) -> None:
    """Folding twice is folding once, and neither composition, spaces around nor what is dropped changes the result."""
    folded = fold(text)
    assert fold(folded) == folded
    assert fold(f" {text}\n") == folded
    assert fold(f"{DROPPED}{text}{DROPPED}") == folded
    assert fold(unicodedata.normalize("NFD", text)) == folded
    assert fold(unicodedata.normalize("NFC", text)) == folded
