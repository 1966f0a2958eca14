"""Text from outside is harmless, visible and of a known width; quantities read well at their edges."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from wcwidth import wcwidth

from syncterm import text as text_module
from syncterm.text import (
    GLYPHS_ASCII,
    GLYPHS_UNICODE,
    MARKS_PER_CHARACTER,
    ago,
    byte_size,
    clean,
    clip,
    count,
    countdown,
    duration,
    exact,
    fit,
    glyphs,
    latency,
    until,
    width,
)
from tests.samples import SAMPLES

HOSTILE = [case["s"] for case in json.loads((SAMPLES / "hostile_names.json").read_text("utf-8"))["cases"] if case["s"] is not None]
ANY_TEXT = st.text(st.characters(), max_size=60) | st.sampled_from(HOSTILE)
NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)


def test_loads_neither_textual_nor_rich() -> None:
    code = "import sys, syncterm.text; sys.exit(any(name.split('.')[0] in ('rich', 'textual') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("orders", "orders"),
        ("", ""),
        ("\x1b]52;c;?\x1b\\", r"\x1b]52;c;?\x1b" + "\\"),
        ("\x9b6n", r"\x9b6n"),
        ("a\x7fb", r"a\x7fb"),
        ("a\tb\r\nc", r"a\tb\r\nc"),
        ("invoice\u202efdp.exe", r"invoice\u202efdp.exe"),
        ("ord\u200bers", r"ord\u200bers"),
        ("a\u2028b", r"a\u2028b"),
        ("a\xa0b", r"a\xa0b"),
        ("\u2800", r"\u2800"),
        ("orders\ufe0f", r"orders\ufe0f"),
        ("orders\u034f", r"orders\u034f"),
        ("x\U000e0041", r"x\U000e0041"),
        ("a\udc9bb", r"a\udc9bb"),
        ("\ufffe", r"\ufffe"),
        ("\U0001f1e9\U0001f1ea", r"\U0001f1e9\U0001f1ea"),
        ("\U0001f44d\U0001f3ff", "\U0001f44d" + r"\U0001f3ff"),
        ("\u0301lead", r"\u0301lead"),
        ("Z" + "\u0300" * 6, "Z" + "\u0300" * 4 + r"\u0300\u0300"),
        ("الطلبات", "الطلبات"),
        ("订单", "订单"),
        ("ｶﾞ", "ｶﾞ"),
        ("naïve façade", "naïve façade"),
        ("हिन्दी", "हिन्दी"),
        ("int[]", "int[]"),
        ("[@click=app.quit]x[/]", "[@click=app.quit]x[/]"),
        (b"\xff\xfeA\x00", r"\xff\xfeA\x00"),
        (12, "12"),
        (None, "None"),
    ],
)
def test_clean(raw: object, shown: str) -> None:
    assert clean(raw) == shown


def test_clean_keeps_line_feeds_on_request() -> None:
    assert clean("a\r\nb\nc\td\re", newlines=True) == "a\nb\nc" + r"\td\re"
    assert clean("a\n\u0301b", newlines=True) == "a\n" + r"\u0301b"


@pytest.mark.parametrize("raw", ["x" * 10_000_000, "\x1b" * 10_000_000, b"\xff" * 10_000_000])
def test_clean_looks_no_further_than_its_limit(raw: str | bytes) -> None:
    assert len(clean(raw, limit=100)) <= 100 * len(r"\xff")


@given(ANY_TEXT)
@example("\x1b\u0301\u0301\u0301\u0301\u0301\u0301")
@example("\u0300" * 9)
def test_clean_is_idempotent_and_leaves_nothing_dangerous(raw: str) -> None:
    shown = clean(raw)
    assert clean(shown) == shown
    assert exact(exact(raw)) == exact(raw)
    for character in shown + exact(raw) + clean(raw, newlines=True).replace("\n", ""):
        assert character.isprintable()
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        assert unicodedata.bidirectional(character) not in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def test_widths_are_those_of_the_terminal_for_every_character() -> None:
    for code in range(0x110000):
        character = chr(code)
        shown = clean("a" + character)
        if len(shown) == 2:
            assert cell_len(character) == wcwidth(character), hex(code)
        assert width(shown) == cell_len(shown)


def test_the_ranges_taken_as_plain_hold_only_visible_characters() -> None:
    for code in range(0x110000):
        if text_module._UNUSUAL.match(chr(code)) is None:
            assert chr(code).isprintable(), hex(code)
            assert not unicodedata.category(chr(code)).startswith("M"), hex(code)
            assert cell_len(chr(code)) > 0, hex(code)


@given(ANY_TEXT)
def test_marks_are_capped(raw: str) -> None:
    run = 0
    for index, character in enumerate(clean(raw)):
        run = run + 1 if unicodedata.category(character).startswith("M") else 0
        assert run <= MARKS_PER_CHARACTER
        assert index or not run


@given(ANY_TEXT, st.integers(0, 30), st.sampled_from(["left", "right", "center"]), st.sampled_from(["…", "~"]))
def test_clip_and_fit_keep_to_the_cells(raw: str, cells: int, align: str, ellipsis: str) -> None:
    shown = clean(raw)
    clipped = clip(shown, cells, ellipsis)
    assert cell_len(clipped) <= cells
    assert (clipped == shown) == (cell_len(shown) <= cells)
    assert cell_len(fit(shown, cells, align, ellipsis)) == cells
    if clipped != shown and cells:
        assert clipped.endswith(ellipsis)
        assert shown.startswith(clipped.removesuffix(ellipsis))


@given(ANY_TEXT, st.integers(1, 30))
def test_text_cut_before_it_is_cleaned_looks_the_same(raw: str, cells: int) -> None:
    assert clip(clean(raw, limit=5 * cells + 10), cells) == clip(clean(raw), cells)


def test_names_that_differ_in_spaces_look_different() -> None:
    names = ["orders", "orders ", " orders", "or  ders", "or ders", "orders\xa0", "orders\u3000", "orders\t", "orders\u200b"]
    assert len({exact(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"),
        (float("nan"), "-"),
        (float("inf"), "-"),
        (-3, "0 s"),
        (0, "0 s"),
        (0.0001, "1 ms"),
        (0.34, "340 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1m 00s"),
        (245, "4m 05s"),
        (3599.6, "1h 00m"),
        (3725, "1h 02m"),
        (86399, "23h 59m"),
        (86400, "1d 00h"),
        (3 * 86400 + 4 * 3600, "3d 04h"),
    ],
)
def test_duration(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-"), (0, "00:00:00.000"), (62.3454, "00:01:02.345"), (59.9996, "00:01:00.000"), (360000, "100:00:00.000")],
)
def test_latency(seconds: float | None, shown: str) -> None:
    assert latency(seconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (None, "-"),
        (0, "0"),
        (-5, "-5"),
        (12345, "12,345"),
        (999_999, "999,999"),
        (1_000_000, "1.0M"),
        (1_249_999, "1.2M"),
        (999_949_999, "999.9M"),
        (999_960_000, "1.0B"),
        (-2_500_000_000, "-2.5B"),
        (10**15, "1,000.0T"),
    ],
)
def test_count(number: int | None, shown: str) -> None:
    assert count(number) == shown


@pytest.mark.parametrize(
    ("number", "shown"), [(None, "-"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (20_000_000, "20.0 MB")]
)
def test_byte_size(number: int | None, shown: str) -> None:
    assert byte_size(number) == shown


@pytest.mark.parametrize(
    ("seconds", "past", "future"),
    [
        (0, "just now", "due"),
        (1, "just now", "in 1 s"),
        (12.3, "12 s ago", "in 12 s"),
        (59.9, "59 s ago", "in 59 s"),
        (60, "1 min ago", "in 1 min"),
        (3599, "59 min ago", "in 59 min"),
        (3600, "1 h ago", "in 1 h"),
        (48 * 3600, "2 d ago", "in 2 d"),
        (61 * 86400, "2025-04-01", "2025-08-01"),
    ],
)
def test_ago_and_until(seconds: float, past: str, future: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == past
    assert until(NOW + timedelta(seconds=seconds), NOW) == future


def test_ago_and_until_at_the_ends() -> None:
    assert ago(None, NOW) == "never"
    assert until(None, NOW) == "-"
    assert until(NOW - timedelta(days=1), NOW) == "due"
    assert ago(NOW + timedelta(minutes=5), NOW) == "in 5 min"


@pytest.mark.parametrize(("seconds", "shown"), [(-5, "00:00"), (41.2, "00:42"), (725, "12:05"), (3729, "1:02:09")])
def test_countdown(seconds: float, shown: str) -> None:
    assert countdown(seconds) == shown


def test_glyph_sets() -> None:
    assert glyphs() is GLYPHS_UNICODE
    assert glyphs(True) is GLYPHS_ASCII
    for field in fields(GLYPHS_ASCII):
        ascii_glyphs, unicode_glyphs = getattr(GLYPHS_ASCII, field.name), getattr(GLYPHS_UNICODE, field.name)
        assert ascii_glyphs.isascii()
        assert ascii_glyphs.isprintable()
        assert all(cell_len(glyph) == wcwidth(glyph) == 1 for glyph in ascii_glyphs + unicode_glyphs)
        assert clean(unicode_glyphs) == unicode_glyphs
    assert len(GLYPHS_ASCII.blocks) == len(GLYPHS_UNICODE.blocks) == 9
