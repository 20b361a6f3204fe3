"""Texts of strangers: what readers see is what is there."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spared_bench.leaderboard.text import score, visible

# Of DerivedCoreProperties.txt (Unicode 16.0), Default_Ignorable_Code_Point, by hand.
IGNORABLE = [
    *("00AD", "034F", "061C", "115F..1160", "17B4..17B5", "180B..180F", "200B..200F"),
    *("202A..202E", "2060..206F", "3164", "FE00..FE0F", "FEFF", "FFA0", "FFF0..FFF8"),
    *("1BCA0..1BCA3", "1D173..1D17A", "E0000..E0FFF"),
]


@pytest.mark.parametrize("span", IGNORABLE)
def test_what_unicode_lets_renderers_leave_out_is_shown(span):
    first, _, last = span.partition("..")
    for code in {int(first, 16), int(last or first, 16)}:
        assert visible(f"a{chr(code)}b") == "a\ufffdb"


def test_every_character_that_unicode_names_blank_filler_or_null_is_shown():
    words = (
        "BLANK",
        "HANGUL FILLER",
        "SEONG FILLER",
        "SCRIPT FILLER",
        "NULL NOTEHEAD",
        "ZERO WIDTH",
        "INVISIBLE",
        "VARIATION SELECTOR",
    )
    drawn = {"OPEN BOX", "BLANK SYMBOL", "SYMBOL FOR", "SQUARE"}  # pictures of a blank
    for code in range(0x110000):
        name = unicodedata.name(chr(code), "")
        if any(word in name for word in words) and not any(word in name for word in drawn):
            assert visible(chr(code)) in ("\ufffd", " "), name


@pytest.mark.parametrize(
    "text",
    [
        *("Größe", "Université de Liège", "Điện Biên", "ἀρχῇ", "מַחְשֵׁב", "ประเทศที่", "འབྲས་བུ"),
        *("日本語", "العربية", "한국어", "हिन्दी", "½ µm²", "“quoted” – dash", "e\u0323\u0302"),
    ],
)
def test_writing_of_any_language_is_left_as_it_is(text):
    assert visible(text) == text
    assert visible(unicodedata.normalize("NFD", text)) == unicodedata.normalize("NFD", text)


def test_marks_that_pile_up_are_cut_and_those_of_languages_are_not():
    assert visible("a" + "\u0301" * 40) == "a" + "\u0301" * 4 + "\ufffd" * 36
    assert visible("a\u0301\u0301b\u0301") == "a\u0301\u0301b\u0301"
    enclosed = "a" + "\u20dd" * 9
    assert visible(enclosed).count("\u20dd") == 4


@given(st.text(st.characters(codec="ascii"), max_size=12), st.integers(1, 6))
def test_of_ascii_all_is_left_but_controls_and_what_does_not_fit(text, limit):
    shown = re.sub(r"[\x00-\x1f\x7f]", "\ufffd", re.sub(r"[\t-\r\x1c-\x1f]", " ", text))
    assert visible(text, limit) == (shown if len(shown) <= limit else shown[: limit - 1] + "…")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (999.4, "999.400"),
        (1000.0, "1,000"),
        (-123_456.7, "-123,457"),
        (999_999.0, "999,999"),
        (1e6, "1e+06"),
        (0.0004, "0.0004"),
    ],
)
def test_a_score_in_thousands_is_a_number_that_people_read(value, shown):
    assert score(value) == shown
