"""A log of any length: only the lines in view are painted; follows the end, wraps, searches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from syncterm.text import clean, clip, glyphs, width

LIMIT = 50_000
"""Entries kept; the oldest go first, a tenth at a time."""

LONGEST_ENTRY = 64_000
"""Characters of one entry that are shown."""

MOST_LINES = 1_000
"""Lines of one entry that are shown."""

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
TIME_WIDTH = 20
LEVEL_WIDTH = 8
SCROLLBAR = 1
SIDE_STEP = 8
"""Cells one step to the side scrolls."""

LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One entry."""

    text: str
    """May hold line feeds; the lines after the first are set off, so that no entry can pass for two."""
    time: datetime | None = None
    """In the zone it is to be shown in."""
    level: str = "info"
    """One of LEVELS; others are shown as they are, without a colour."""


@dataclass(slots=True)
class _Shown:
    """One line on the screen: a piece of an entry."""

    entry: LogLine
    first: bool
    text: str


class LogView(ScrollView, can_focus=True):
    """Shows `LogLine` entries.

    ``LogView(lines=(), *, follow=True, wrap=False, timestamps=True, empty="…", ascii=False)``; `append(lines)`, `replace(lines)`,
    `search(text) -> int` (then n and N), attributes `following`, `wrapping`, `timestamps`, `entries`.
    """

    BINDING_GROUP_TITLE = "Log"
    ALLOW_SELECT = False

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "toggle_follow", "Follow", id="log.follow"),
        Binding("w", "toggle_wrap", "Wrap", id="log.wrap"),
        Binding("t", "toggle_timestamps", "Times", id="log.timestamps"),
        Binding("n", "next_match(1)", "Next match", show=False, id="log.next_match"),
        Binding("N", "next_match(-1)", "Previous match", show=False, id="log.previous_match"),
        Binding("up,k", "scroll_lines(-1)", "Up", show=False, id="log.up"),
        Binding("down,j", "scroll_lines(1)", "Down", show=False, id="log.down"),
        Binding("pageup,ctrl+b", "scroll_pages(-1)", "Page up", show=False, id="log.page_up"),
        Binding("pagedown,ctrl+f", "scroll_pages(1)", "Page down", show=False, id="log.page_down"),
        Binding("home,g", "first", "First line", show=False, id="log.first"),
        Binding("end,G", "last", "Last line", show=False, id="log.last"),
        Binding("left,h", "sideways(-1)", "Left", show=False, id="log.left"),
        Binding("right,l", "sideways(1)", "Right", show=False, id="log.right"),
    ]

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log-view--line",
        "log-view--time",
        "log-view--match",
        "log-view--current",
        *(f"log-view--{level}" for level in LEVELS),
    }

    DEFAULT_CSS = """
    LogView {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        background: $surface;

        & > .log-view--line { color: $foreground; background: $surface; }
        & > .log-view--time { color: $text-disabled; }
        & > .log-view--debug { color: $text-disabled; }
        & > .log-view--info { color: $text-primary; }
        & > .log-view--warning { color: $text-warning; }
        & > .log-view--error { color: $text-error; text-style: bold; }
        & > .log-view--match { text-style: underline; }
        & > .log-view--current { text-style: reverse; }
    }
    """

    def __init__(
        self,
        lines: Sequence[LogLine] = (),
        *,
        follow: bool = True,
        wrap: bool = False,
        timestamps: bool = True,
        empty: str = "No log lines yet.",
        ascii: bool = False,  # noqa: A002
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self.entries: list[LogLine] = list(lines)[-LIMIT:]
        """What is kept, oldest first."""
        self.following = follow
        """Whether new lines scroll into view."""
        self.wrapping = wrap
        self.timestamps = timestamps
        self._empty = clean(empty)
        self._glyphs = glyphs(ascii)
        self._shown: list[_Shown] = []
        self._side = 0
        self._pattern: re.Pattern[str] | None = None
        self._current: int | None = None
        """Index into the shown lines of the match that n and N stand on."""
        self._styles: dict[tuple[str, ...], Style] = {}

    # --- Contents ---------------------------------------------------------------------------------------------------------------

    def append(self, lines: Iterable[LogLine]) -> None:
        """Add entries at the end."""
        new = list(lines)
        if not new:
            return
        self.entries.extend(new)
        if len(self.entries) > LIMIT:
            before = len(self._shown)
            del self.entries[: len(self.entries) - LIMIT * 9 // 10]
            self._lay_out()
            self._scroll(self.scroll_offset.y - (before - len(self._shown)))
            return
        before = len(self._shown)
        for entry in new:
            self._shown.extend(self._pieces(entry))
        self.virtual_size = Size(0, len(self._shown))
        if self.following:
            self._scroll(len(self._shown))
        if before < self.scroll_offset.y + self.size.height:
            self.refresh()

    def replace(self, lines: Iterable[LogLine]) -> None:
        """Show these entries instead."""
        self.entries = list(lines)[-LIMIT:]
        self._current = None
        self._lay_out()
        if self.following:
            self._scroll(len(self._shown))

    def search(self, text: str) -> int:
        """Look for a text in any case, underline it, go to the next match from the line on top; how many lines match."""
        self._pattern = re.compile(re.escape(clean(text)), re.IGNORECASE) if text else None
        self._current = None
        self.refresh()
        matches = self._matches()
        if matches:
            top = self.scroll_offset.y
            self._go_to(next((index for index in matches if index >= top), matches[0]))
        return len(matches)

    def _matches(self) -> list[int]:
        pattern = self._pattern
        return [] if pattern is None else [index for index, shown in enumerate(self._shown) if pattern.search(shown.text)]

    def _go_to(self, index: int) -> None:
        self._current = index
        self.following = False
        top, height = self.scroll_offset.y, self.size.height
        if not top <= index < top + height:
            self._scroll(index - height // 2)
        self.refresh()

    # --- Layout -----------------------------------------------------------------------------------------------------------------

    @property
    def _gutter(self) -> int:
        return (TIME_WIDTH if self.timestamps else 0) + LEVEL_WIDTH

    def _lay_out(self) -> None:
        """Cut all entries into screen lines anew; the entry on top stays there."""
        top = self.scroll_offset.y
        anchor = self._shown[top].entry if top < len(self._shown) else None
        self._shown = [piece for entry in self.entries for piece in self._pieces(entry)]
        self._current = None
        self.virtual_size = Size(0, len(self._shown))
        if self.following:
            self._scroll(len(self._shown))
        elif anchor is not None:
            self._scroll(next((index for index, shown in enumerate(self._shown) if shown.entry is anchor), 0))
        self.refresh()

    def _pieces(self, entry: LogLine) -> Iterable[_Shown]:
        lines = clean(entry.text, newlines=True, limit=LONGEST_ENTRY).split("\n")
        if len(entry.text) > LONGEST_ENTRY or len(lines) > MOST_LINES:
            lines = [*lines[:MOST_LINES], f"{self._glyphs.ellipsis} cut: {len(entry.text):,} characters in all"]
        breadth = max(10, self.size.width - SCROLLBAR - self._gutter) if self.wrapping else 0
        first = True
        for line in lines:
            for piece in _wrapped(line, breadth) if breadth else (line,):
                yield _Shown(entry, first, piece)
                first = False

    def on_mount(self) -> None:
        self._lay_out()

    def on_resize(self, event: events.Resize) -> None:
        if self.wrapping:
            self._lay_out()
        elif self.following:
            self._scroll(len(self._shown))

    def notify_style_update(self) -> None:
        self._styles.clear()
        super().notify_style_update()

    # --- Actions ----------------------------------------------------------------------------------------------------------------

    def _scroll(self, top: int) -> None:
        top = max(0, min(top, len(self._shown) - self.size.height))
        self.scroll_target_y = self.scroll_y = float(top)

    def _scroll_by(self, lines: int) -> None:
        self._scroll(self.scroll_offset.y + lines)
        if lines < 0:
            self.following = False

    def action_scroll_lines(self, lines: int) -> None:
        self._scroll_by(lines)

    def action_scroll_pages(self, pages: int) -> None:
        self._scroll_by(pages * max(1, self.size.height - 1))

    def action_first(self) -> None:
        self._scroll_by(-len(self._shown))

    def action_last(self) -> None:
        self._scroll(len(self._shown))

    def action_sideways(self, step: int) -> None:
        if not self.wrapping:
            self._side = max(0, self._side + step * SIDE_STEP)
            self.refresh()

    def action_toggle_follow(self) -> None:
        self.following = not self.following
        if self.following:
            self._scroll(len(self._shown))

    def action_toggle_wrap(self) -> None:
        self.wrapping = not self.wrapping
        self._side = 0
        self._lay_out()

    def action_toggle_timestamps(self) -> None:
        self.timestamps = not self.timestamps
        self._lay_out()

    def action_next_match(self, step: int) -> None:
        matches = self._matches()
        if not matches:
            return
        here = self._current if self._current is not None else self.scroll_offset.y - (step > 0)
        if step > 0:
            self._go_to(next((index for index in matches if index > here), matches[0]))
        else:
            self._go_to(next((index for index in reversed(matches) if index < here), matches[-1]))

    def on_mouse_scroll_up(self) -> None:
        self.following = False

    # --- Painting ---------------------------------------------------------------------------------------------------------------

    def _style(self, *names: str) -> Style:
        style = self._styles.get(names)
        if style is None:
            style = self.get_component_rich_style("log-view--line")
            for name in names:
                if f"log-view--{name}" in self.COMPONENT_CLASSES:
                    style = self.get_component_rich_style(f"log-view--{name}")
            self._styles[names] = style
        return style

    def render_line(self, y: int) -> Strip:
        breadth, index = self.size.width, y + self.scroll_offset.y
        if index >= len(self._shown):
            text = f"  {self._empty}" if not self._shown and y == 0 else ""
            return Strip([Segment(text, self._style("time"))], width(text)).adjust_cell_length(breadth, self._style())
        shown = self._shown[index]
        segments: list[Segment] = []
        if self.timestamps:
            time = shown.entry.time
            stamp = time.strftime(TIME_FORMAT) if time is not None and shown.first else ""
            segments.append(Segment(stamp.ljust(TIME_WIDTH), self._style("time")))
        level = clip(clean(shown.entry.level), LEVEL_WIDTH - 1, self._glyphs.ellipsis)
        if shown.first:
            segments.append(Segment(level + " " * (LEVEL_WIDTH - width(level)), self._style(shown.entry.level)))
        else:
            segments.append(Segment(self._glyphs.vertical.rjust(LEVEL_WIDTH - 1) + " ", self._style("time")))
        text = shown.text
        # What is scrolled out at the left is cut by cells, then a wide character cut in half leaves a blank.
        side = Strip([Segment(text, None)], width(text)).crop(self._side) if self._side else None
        text = text if side is None else side.text
        text = clip(text, max(0, breadth - SCROLLBAR - self._gutter), self._glyphs.ellipsis)
        found = "current" if index == self._current else "match"
        at = 0
        for match in self._pattern.finditer(text) if self._pattern is not None else ():
            segments.append(Segment(text[at : match.start()], self._style()))
            segments.append(Segment(match[0], self._style(found)))
            at = match.end()
        segments.append(Segment(text[at:], self._style()))
        return Strip([segment for segment in segments if segment.text]).adjust_cell_length(breadth, self._style())


def _wrapped(line: str, breadth: int) -> Iterable[str]:
    """Cut a cleaned line into pieces of at most `breadth` cells."""
    if line.isascii():
        yield from (line[at : at + breadth] for at in range(0, len(line) or 1, breadth))
        return
    start = used = 0
    for at, character in enumerate(line):
        cells = width(character)
        if used + cells > breadth:
            yield line[start:at]
            start, used = at, 0
        used += cells
    yield line[start:]
