"""Bars over time: one bar a bucket, stacked series, a y axis, a cursor for keys and mouse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from syncterm.text import clean, clip, count, fit, glyphs, width

EIGHTHS = 8
"""Steps of height in one cell of block glyphs."""

WIDEST = 4
"""Cells a bucket takes at most, the gap after its bar included: few buckets look like few, and stand together."""

ASCII_SERIES = "#xo+"
PATTERN_SERIES = "█▒░▓"
"""Full cells of each series where colours cannot tell them apart."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One interval of time."""

    key: str
    """Identity, e.g. the start of the interval; the cursor stays with it when the data changes."""
    label: str
    """Short, for the axis."""
    values: tuple[float, ...]
    """One number of each series, from the bottom; negative counts as 0."""
    detail: str = ""
    """What the pointer shows: the breakdown and the change against the interval before. May have lines."""

    @property
    def total(self) -> float:
        return sum(max(0.0, value) for value in self.values)


class TrendChart(Widget, can_focus=True):
    """Draws buckets as stacked bars; choosing one posts `BucketSelected`.

    ``TrendChart(series, *, format=count, empty="…", ascii=False)`` with `series` a style name for each value from the bottom (good,
    bad, warning, accent); `set_buckets(buckets)`, `cursor` (index or None), `clear_cursor()`.
    """

    BINDING_GROUP_TITLE = "Chart"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", "Earlier", show=False, id="chart.earlier"),
        Binding("right,l", "move(1)", "Later", show=False, id="chart.later"),
        Binding("home,g", "move(-1000000)", "First", show=False, id="chart.first"),
        Binding("end,G", "move(1000000)", "Last", show=False, id="chart.last"),
        Binding("enter", "select", "Narrow to the bar", id="chart.select"),
    ]

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "trend-chart--axis",
        "trend-chart--cursor",
        "trend-chart--good",
        "trend-chart--bad",
        "trend-chart--warning",
        "trend-chart--accent",
    }

    DEFAULT_CSS = """
    TrendChart {
        height: 8;
        background: $surface;

        & > .trend-chart--axis { color: $text-disabled; }
        & > .trend-chart--cursor { color: $foreground; text-style: bold; }
        & > .trend-chart--good { color: $success; }
        & > .trend-chart--bad { color: $error; }
        & > .trend-chart--warning { color: $warning; }
        & > .trend-chart--accent { color: $primary; }
    }
    """

    @dataclass
    class BucketSelected(Message):
        """Enter, or a click on a bar."""

        chart: TrendChart
        index: int
        bucket: Bucket

        @property
        def control(self) -> TrendChart:
            return self.chart

    @dataclass
    class BucketHighlighted(Message):
        """The cursor came to another bar, or left."""

        chart: TrendChart
        index: int | None

        @property
        def control(self) -> TrendChart:
            return self.chart

    def __init__(
        self,
        series: Sequence[str] = ("accent",),
        *,
        format: Callable[[int], str] = count,  # noqa: A002
        empty: str = "No data in this period.",
        ascii: bool = False,  # noqa: A002
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self.series = tuple(series)
        self.buckets: tuple[Bucket, ...] = ()
        self.cursor: int | None = None
        """Which bucket the keys stand on."""
        self._format = format
        self._empty = clean(empty)
        self._ascii = ascii
        self._glyphs = glyphs(ascii)
        self._hovered: int | None = None

    # --- Data and cursor --------------------------------------------------------------------------------------------------------

    def set_buckets(self, buckets: Sequence[Bucket]) -> None:
        """Show these buckets, oldest first; only bars that differ are repainted while the scale holds."""
        new, old, scale = tuple(buckets), self.buckets, self._scale
        key = old[self.cursor].key if self.cursor is not None else None
        self.buckets = new
        cursor = next((index for index, bucket in enumerate(new) if bucket.key == key), None) if key is not None else None
        moved, self.cursor = cursor != self.cursor, cursor
        if len(new) != len(old) or moved or scale != self._scale:
            self.refresh()
        else:
            for index, (before, after) in enumerate(zip(old, new, strict=True)):
                if before != after and (place := self._place(index)) is not None:
                    self.refresh(Region(place[0], 0, place[1], self.size.height))
                    self._refresh_caption()

    def clear_cursor(self) -> None:
        if self.cursor is not None:
            self._move_to(None)

    def _move_to(self, index: int | None) -> None:
        before, self.cursor = self.cursor, index
        if before == index:
            return
        if self._window != self._window_for(before):
            self.refresh()
        else:
            for bar in (before, index):
                if bar is not None and (place := self._place(bar)) is not None:
                    self.refresh(Region(place[0], 0, place[1], self.size.height))
            self._refresh_caption()
        self.post_message(self.BucketHighlighted(self, index))

    def action_move(self, step: int) -> None:
        if self.buckets:
            last = len(self.buckets) - 1
            start = self.cursor if self.cursor is not None else (len(self.buckets) if step < 0 else last - 1 if step == 1 else 0)
            self._move_to(max(0, min(start + step, last)))

    def action_select(self) -> None:
        if self.cursor is not None:
            self.post_message(self.BucketSelected(self, self.cursor, self.buckets[self.cursor]))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        index = None if offset is None else self._bucket_at(offset.x)
        if index is not None:
            self._move_to(index)
            self.action_select()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        offset = event.get_content_offset(self)
        self._hover(None if offset is None else self._bucket_at(offset.x))

    def on_leave(self) -> None:
        self._hover(None)

    def _hover(self, index: int | None) -> None:
        if index != self._hovered:
            self._hovered = index
            self.tooltip = None if index is None else Content(self._detail(self.buckets[index], newlines=True))

    def _detail(self, bucket: Bucket, *, newlines: bool) -> str:
        detail = bucket.detail or ", ".join(self._format(round(value)) for value in bucket.values)
        text = f"{bucket.label}\n{detail}" if newlines else f"{bucket.label}  {detail}".replace("\n", f" {self._glyphs.separator} ")
        return clean(text, newlines=newlines, limit=2000)

    # --- Geometry ---------------------------------------------------------------------------------------------------------------

    @property
    def _scale(self) -> float:
        """What the full height stands for: the greatest total, rounded up to 1, 2 or 5 times a power of ten."""
        most = max((bucket.total for bucket in self.buckets), default=0.0)
        if most <= 0 or most == float("inf"):
            return 1.0
        power = 10.0 ** len(str(int(most))) / 10
        return next(step * power for step in (1, 2, 5, 10) if most <= step * power)

    @property
    def _axis_width(self) -> int:
        return max(width(self._format(round(self._scale))), width(self._format(0))) + 1

    @property
    def _window(self) -> tuple[int, int]:
        return self._window_for(self.cursor)

    def _window_for(self, cursor: int | None) -> tuple[int, int]:
        """The buckets that fit, from and to: the newest ones, or those up to the cursor where it lies before them."""
        room = max(1, self.size.width - self._axis_width)
        last = len(self.buckets)
        if last <= room:
            return 0, last
        first = last - room
        if cursor is not None and cursor < first:
            first = cursor
        return first, first + room

    @property
    def _bar_width(self) -> int:
        first, last = self._window
        return max(1, min(WIDEST, (self.size.width - self._axis_width) // max(1, last - first)))

    def _place(self, index: int) -> tuple[int, int] | None:
        """First cell and width of a bucket's bar; None out of view."""
        first, last = self._window
        if not first <= index < last:
            return None
        return self._axis_width + (index - first) * self._bar_width, self._bar_width

    def _bucket_at(self, x: int) -> int | None:
        first, last = self._window
        index = first + (x - self._axis_width) // self._bar_width
        return index if x >= self._axis_width and first <= index < last else None

    # --- Painting ---------------------------------------------------------------------------------------------------------------

    def _refresh_caption(self) -> None:
        self.refresh(Region(0, self.size.height - 1, self.size.width, 1))

    def _component(self, name: str) -> Style:
        known = f"trend-chart--{name}" in self.COMPONENT_CLASSES
        return self.get_component_rich_style(f"trend-chart--{name if known else 'accent'}")

    def render_line(self, y: int) -> Strip:
        breadth, plot = self.size.width, self.size.height - 1
        axis = self._component("axis")
        if not self.buckets:
            return Strip([Segment(fit(f"  {self._empty}" if y == 0 else "", breadth), axis)])
        if y >= plot:
            return Strip([Segment(self._caption(breadth), self._component("cursor") if self.cursor is not None else axis)])
        label = self._format(round(self._scale)) if y == 0 else self._format(0) if y == plot - 1 else ""
        segments = [Segment(fit(label, self._axis_width - 1, "right") + self._glyphs.vertical, axis)]
        first, last = self._window
        for index in range(first, last):
            segments.extend(self._bar_cell(index, plot - 1 - y, plot))
        return Strip(segments).adjust_cell_length(breadth, self.rich_style)

    def _bar_cell(self, index: int, row: int, rows: int) -> list[Segment]:
        """One bar's cells on one line; `row` counts from the bottom."""
        breadth = self._bar_width
        gap = 1 if breadth >= 3 else 0
        blank = self.rich_style
        base = row * EIGHTHS
        inside: list[tuple[int, int, int]] = []
        """Series that reach into this cell, lowest first: (series, from, to) in eighths of the cell."""
        below = 0
        for number, top in enumerate(self._tops(self.buckets[index], rows * EIGHTHS)):
            if top > base and below < base + EIGHTHS and top > below:
                inside.append((number, max(0, below - base), min(EIGHTHS, top - base)))
            below = top
        highlighted = index == self.cursor
        if not inside:
            text = (self._glyphs.separator if highlighted else " ") * (breadth - gap)
            return [Segment(text + " " * gap, self._component("axis") if highlighted else blank)]
        reach = inside[-1][2]
        largest = max(inside, key=lambda part: part[2] - part[1])[0]
        style = self._series_style(largest)
        if len(self.series) > 1 and (self._ascii or self.app.no_color):
            signs = ASCII_SERIES if self._ascii else PATTERN_SERIES
            character = signs[largest % len(signs)] if reach >= EIGHTHS // 2 or row == 0 else " "
        elif len(inside) == 2 and reach == EIGHTHS:
            # A boundary within a full cell: the lower series is drawn, the upper one is the ground.
            character = self._glyphs.blocks[inside[0][2]]
            style = Style(color=self._series_style(inside[0][0]).color, bgcolor=self._series_style(inside[1][0]).color)
        else:
            character = self._glyphs.blocks[reach]
        if highlighted:
            style += Style(bold=True, underline=row == 0)
        return [Segment(character * (breadth - gap), style), *([Segment(" " * gap, blank)] if gap else [])]

    def _series_style(self, number: int) -> Style:
        return self._component(self.series[min(number, len(self.series) - 1)])

    def _tops(self, bucket: Bucket, full: int) -> list[int]:
        """How high each series reaches, stacked, in eighths of a cell; whatever is above zero shows at least one."""
        tops: list[int] = []
        top, total = 0, 0.0
        for value in bucket.values:
            total += max(0.0, value)
            height = min(full, round(total / self._scale * full))
            top = min(full, max(top + 1, height)) if value > 0 else top
            tops.append(top)
        return tops

    def _caption(self, breadth: int) -> str:
        """The last line: the bucket under the cursor, else where the axis begins and ends."""
        if self.cursor is not None:
            sign = self._glyphs.up + " "
            return fit(
                sign + clip(self._detail(self.buckets[self.cursor], newlines=False), breadth - 2, self._glyphs.ellipsis), breadth
            )
        first, last = self._window
        begin, end = clean(self.buckets[first].label, limit=200), clean(self.buckets[last - 1].label, limit=200)
        room = breadth - self._axis_width
        left = clip(begin, room, self._glyphs.ellipsis)
        if last - first == 1 or width(left) + width(end) + 2 > room:
            return fit(" " * self._axis_width + left, breadth)
        bars = self._bar_width * (last - first)
        return fit(" " * self._axis_width + left + fit(end, max(width(end) + 2, bars - width(left)), "right"), breadth)
