r"""Text as a person sees it: foreign strings made harmless, clipped to terminal cells; durations, counts, sizes; glyph sets.

Every string from outside passes `clean` before it reaches a widget, a log or a terminal: switching markup off does not stop
terminal escapes.
`clean` is idempotent, so a string may pass it twice. An idempotent function cannot also tell every pair of inputs apart
(a real ESC and the four letters ``\x1b`` look alike), so wherever a choice hangs on it the id is shown beside the name.

Imports neither textual nor rich when loaded; the cell widths are rich's (those Textual's strips compute with), loaded on first use.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

MARKS_PER_CHARACTER = 4
"""Combining marks kept on one base character; the rest are shown as escapes. No living script needs more."""

SHORT_ESCAPES = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}

# Ranges that hold only visible base characters whose width all terminals agree on. Anything else is looked at one by one.
_PLAIN_RANGES = r" -~¡-¬®-˿Ͱ-ͷΆΈ-ΊΌΎ-ΡΣ-҂Ҋ-ԯא-תء-ي─-◿ぁ-ゖァ-ヺー㐀-䶿一-鿿가-힣！-～"
_UNUSUAL = re.compile(f"[^{_PLAIN_RANGES}]+")
_UNUSUAL_BUT_LINES = re.compile(f"[^{_PLAIN_RANGES}\n]+")

# Printable by category, yet blank, invisible, or of a width on which terminals (and width tables) disagree.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufffc"
    "\U00016fe4\U0001d159\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff\U000e0000-\U000e0fff]"
)
# Hangul vowels and finals that join the syllable before them: letters, of no width.
_JOINING = re.compile("[\u1160-\u11ff\ud7b0-\ud7ff]")


def clean(text: object, *, newlines: bool = False, limit: int | None = None) -> str:
    r"""Make a string from outside safe and visible: what cannot be seen is shown as an escape such as ``\x1b`` or ``\u202e``.

    Escaped: controls (C0, DEL, C1), bidi controls, zero-width and format characters, line and paragraph separators, spaces other
    than U+0020, lone surrogates, private-use, unassigned and tag characters, variation selectors, blank letters, regional
    indicators and skin tones (their width differs between terminals), combining marks with nothing to stand on or beyond four on
    one character.

    Args:
        text: Anything; bytes are read as UTF-8 with broken bytes shown as escapes, other objects through str().
        newlines: Keep line feeds (and read CR LF as one); otherwise they are escaped as well.
        limit: Look at no more than this many characters of the input, for callers who clip anyway.
    """
    if isinstance(text, (bytes, bytearray)):
        text = bytes(text if limit is None else text[: limit * 4]).decode("utf-8", "backslashreplace")
    elif type(text) is not str:
        text = str(text)
    if limit is not None and len(text) > limit:
        text = text[:limit]
    if text.isascii() and text.isprintable():
        return text
    if not newlines:
        return _UNUSUAL.sub(_escape_run, text)
    return _UNUSUAL_BUT_LINES.sub(_escape_run, text.replace("\r\n", "\n"))


def exact(text: object) -> str:
    r"""`clean`, with leading, trailing and doubled spaces shown as ``\x20`` too: for names in a confirmation."""
    shown = clean(text)
    return re.sub(r"^ +| +$|(?<= ) +", lambda spaces: r"\x20" * len(spaces[0]), shown)


def _escape_run(match: re.Match[str]) -> str:
    start = match.start()
    # A mark needs a base: at the start of a line there is none, and a terminal would put it on a neighbouring cell.
    marks = MARKS_PER_CHARACTER if start == 0 or match.string[start - 1] == "\n" else 0
    shown: list[str] = []
    for character in match[0]:
        if not character.isprintable() or _INVISIBLE.match(character):
            shown.append(_escape(character))
            marks = 0
        elif unicodedata.category(character) in {"Mn", "Me", "Mc"} or _JOINING.match(character):
            marks += 1
            shown.append(character if marks <= MARKS_PER_CHARACTER else _escape(character))
        else:
            shown.append(character)
            marks = 0
    return "".join(shown)


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return SHORT_ESCAPES.get(character) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def width(text: str) -> int:
    """Terminal cells of a cleaned string, as Textual counts them."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def clip(text: str, cells: int, ellipsis: str = "…") -> str:
    """Shorten a cleaned string to at most `cells` terminal cells; the ellipsis marks the cut, which never splits a character."""
    if cells <= 0:
        return ""
    if len(text) <= cells and text.isascii():
        return text
    if len(text) > cells * (MARKS_PER_CHARACTER + 1):
        text = text[: cells * (MARKS_PER_CHARACTER + 1) + 1]
    if width(text) <= cells:
        return text
    room = cells - width(ellipsis)
    if room < 0:
        return "." * cells
    if text.isascii():
        return text[:room] + ellipsis
    from rich.cells import get_character_cell_size

    used = 0
    for index, character in enumerate(text):
        used += get_character_cell_size(character)
        if used > room:
            return text[:index] + ellipsis
    return text + ellipsis


def fit(text: str, cells: int, align: str = "left", ellipsis: str = "…") -> str:
    """Clip and pad a cleaned string to exactly `cells` terminal cells; `align` is left, right or center."""
    shown = clip(text, cells, ellipsis)
    space = cells - width(shown)
    if align == "right":
        return " " * space + shown
    if align == "center":
        return " " * (space // 2) + shown + " " * (space - space // 2)
    return shown + " " * space


# --- Quantities ---------------------------------------------------------------------------------------------------------------

NOTHING = "-"
"""Shown where there is no value."""


def duration(seconds: float | None) -> str:
    """A length of time in two units at most: 340 ms, 12.3 s, 4m 05s, 1h 02m, 3d 04h; a dash without one."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    seconds = max(0.0, seconds)
    if seconds == 0:
        return "0 s"
    if seconds < 0.9995:
        return f"{max(1, round(seconds * 1000))} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    minutes = whole // 60
    if minutes < 24 * 60:
        return f"{minutes // 60}h {minutes % 60:02}m"
    return f"{minutes // 1440}d {minutes % 1440 // 60:02}h"


def latency(seconds: float | None) -> str:
    """A length of time as hh:mm:ss.ms, e.g. 00:01:02.345; a dash without one."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    milliseconds = round(max(0.0, seconds) * 1000)
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{rest:03}"


def count(number: int | None) -> str:
    """A number of things: exact with separators below a million (12,345), then 1.2M, 3.4B, 5.6T; a dash without one."""
    if number is None:
        return NOTHING
    if abs(number) < 1_000_000:
        return f"{number:,}"
    return _scaled(number, 1_000_000, ("M", "B", "T"))


def byte_size(number: int | None) -> str:
    """A number of bytes in decimal units: 512 B, 1.5 kB, 20.0 MB; a dash without one."""
    if number is None:
        return NOTHING
    if abs(number) < 1000:
        return f"{number} B"
    return _scaled(number, 1000, (" kB", " MB", " GB", " TB", " PB"))


def _scaled(number: int, unit: int, suffixes: tuple[str, ...]) -> str:
    for suffix in suffixes:
        # Tenths, rounded in integers: floats would turn 999,960,000 into "1000.0M".
        tenths = (abs(number) * 10 + unit // 2) // unit
        if tenths < 10_000 or suffix == suffixes[-1]:
            break
        unit *= 1000
    return f"{'-' if number < 0 else ''}{tenths // 10:,}.{tenths % 10}{suffix}"


def ago(then: datetime | None, now: datetime) -> str:
    """How long before `now` (both aware): 12 s ago, 4 min ago, 3 h ago, 2 d ago, then the date; "never" without one."""
    if then is None:
        return "never"
    seconds = (now - then).total_seconds()
    if seconds <= -1:
        return until(then, now)
    return "just now" if seconds < 2 else _distance(seconds, then) + ("" if seconds >= 60 * 86400 else " ago")


def until(then: datetime | None, now: datetime) -> str:
    """How long after `now` (both aware): in 42 s, in 4 min; "due" once it is past, a dash without one."""
    if then is None:
        return NOTHING
    seconds = (then - now).total_seconds()
    if seconds <= 0:
        return "due"
    return ("" if seconds >= 60 * 86400 else "in ") + _distance(seconds, then)


def _distance(seconds: float, then: datetime) -> str:
    if seconds < 60:
        return f"{min(59, max(1, round(seconds)))} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    if seconds < 48 * 3600:
        return f"{int(seconds // 3600)} h"
    if seconds < 60 * 86400:
        return f"{int(seconds // 86400)} d"
    return then.strftime("%Y-%m-%d")


def countdown(seconds: float) -> str:
    """A ticking remainder: 00:42, 12:05, 1:02:09, never below 00:00."""
    whole = max(0, math.ceil(seconds))
    if whole < 3600:
        return f"{whole // 60:02}:{whole % 60:02}"
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


# --- Glyphs -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Every drawn symbol, one cell wide each; chosen once, by `glyphs`."""

    ok: str
    failed: str
    warning: str
    running: str
    waiting: str
    paused: str
    incomplete: str
    disabled: str
    arrow: str
    back: str
    up: str
    down: str
    sort_up: str
    sort_down: str
    check: str
    cross: str
    unchecked: str
    mark: str
    cursor: str
    more_left: str
    more_right: str
    bullet: str
    separator: str
    ellipsis: str
    placeholder: str
    crumb: str
    horizontal: str
    vertical: str
    corners: str
    """Top left, top right, bottom left, bottom right."""
    blocks: str
    """Nine heights of a bar, from empty to full."""
    shade: str
    spinner: str
    """The frames of an activity sign."""


GLYPHS_UNICODE = Glyphs(
    ok="●",
    failed="✗",
    warning="▲",
    running="▶",
    waiting="◌",
    paused="‖",
    incomplete="◐",
    disabled="○",
    arrow="→",
    back="←",
    up="↑",
    down="↓",
    sort_up="▲",
    sort_down="▼",
    check="✓",
    cross="✗",
    unchecked="·",
    mark="✓",
    cursor="▌",
    more_left="‹",
    more_right="›",
    bullet="•",
    separator="·",
    ellipsis="…",
    placeholder="░",
    crumb="›",
    horizontal="─",
    vertical="│",
    corners="╭╮╰╯",
    blocks=" ▁▂▃▄▅▆▇█",
    shade="░",
    spinner="⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏",
)

GLYPHS_ASCII = Glyphs(
    ok="*",
    failed="x",
    warning="!",
    running=">",
    waiting="~",
    paused="=",
    incomplete="%",
    disabled="o",
    arrow=">",
    back="<",
    up="^",
    down="v",
    sort_up="^",
    sort_down="v",
    check="+",
    cross="x",
    unchecked=".",
    mark="+",
    cursor=">",
    more_left="<",
    more_right=">",
    bullet="*",
    separator="-",
    ellipsis="~",
    placeholder=".",
    crumb=">",
    horizontal="-",
    vertical="|",
    corners="++++",
    blocks=" ..::==##",
    shade=".",
    spinner="|/-\\",
)


@lru_cache(maxsize=2)
def glyphs(ascii: bool = False) -> Glyphs:  # noqa: A002
    """The glyph set of a terminal: plain ASCII, or Unicode."""
    return GLYPHS_ASCII if ascii else GLYPHS_UNICODE
