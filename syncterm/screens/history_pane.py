"""The Sync History tab: how long syncs took over time, the same errors grouped, and the table of syncs, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message

from syncterm.engine.model import Outcome
from syncterm.text import Glyphs, ago, clean, count, duration, fit, width
from syncterm.widgets.history_table import HistoryTable, Pages, history_row, started_text
from syncterm.widgets.lines import Line, Lines
from syncterm.widgets.live_table import LiveTable
from syncterm.widgets.table_model import Row
from syncterm.widgets.trend_chart import Bucket, TrendChart

if TYPE_CHECKING:
    from textual.widget import Widget

    from syncterm.engine.queries import FailureGroup, SyncRow, TrendPoint

PATTERNS_SHOWN = 3
"""Groups of the same error listed above the table; one where the screen is low."""
PATTERN_PERIOD = timedelta(days=60)
"""How far back they look: as long as the history is kept."""


def trend_buckets(points: Sequence[TrendPoint], now: datetime, zone: tzinfo | None) -> list[Bucket]:
    """A bar a sync: its seconds, in the series of its outcome (success, failed, cancelled)."""
    buckets = []
    before: float | None = None
    for point in points:
        seconds = point.duration
        # Series are whole numbers on the axis: what took less than a second still shows.
        values = tuple(max(seconds, 0.001) if point.outcome == outcome else 0.0 for outcome in Outcome)
        detail = f"{point.outcome.capitalize()}, took {duration(seconds)}{_change(seconds, before)}\n{count(point.records)} records"
        buckets.append(Bucket(point.sync_id, started_text(point.at, now, zone), values, detail))
        before = seconds
    return buckets


def _change(seconds: float, before: float | None) -> str:
    if not before:
        return ""
    change = round((seconds - before) / before * 100)
    return f" ({change:+,} %)" if change else " (as before)"


def pattern_lines(groups: Sequence[FailureGroup], most: int, now: datetime, cells: int, symbols: Glyphs) -> list[Line]:
    """The most frequent errors, one line each: how often, what, when last."""
    lines: list[Line] = []
    for group in groups[:most]:
        last = f"last {ago(group.last, now)}"
        often = fit(f"{count(group.count)}×" if not symbols.arrow.isascii() else f"{count(group.count)}x", 4, "right")
        room = max(8, cells - width(often) - width(last) - 7)
        lines.append(
            (
                (f" {symbols.cross} ", "$text-error"),
                (f"{often} ", "bold"),
                (fit(clean(group.message, limit=500), room, ellipsis=symbols.ellipsis), ""),
                (f"  {last}", "dim"),
            )
        )
    if len(groups) > most and lines:
        head = lines[0]
        more = f" +{len(groups) - most} more"
        text, style = head[-1]
        body, body_style = head[2]
        lines[0] = (
            *head[:2],
            (fit(body, max(4, width(body) - width(more)), ellipsis=symbols.ellipsis), body_style),
            (text + more, style),
        )
    return lines


class HistoryPane(Vertical):
    """Chart, patterns, table."""

    BINDING_GROUP_TITLE = "Sync history"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("f", "failures_only", "Failures only", id="history.failures_only")]

    DEFAULT_CSS = """
    HistoryPane TrendChart { height: 7; padding: 0 1; }
    HistoryPane #patterns { background: $surface; }
    HistoryPane.-low TrendChart { height: 4; }
    """

    class SyncOpened(Message):
        """A person chose a sync."""

        def __init__(self, sync_id: str) -> None:
            super().__init__()
            self.sync_id = sync_id

    class Narrowed(Message):
        """Other syncs are shown: failed ones only, or all."""

    def __init__(self, pages: Pages, symbols: Glyphs, *, ascii: bool, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._glyphs = symbols
        self._groups: Sequence[FailureGroup] = ()
        self._progress: tuple[int, int] | None = None
        self.now: datetime | None = None
        """The instant that durations of running syncs and ages count to."""
        self._trend = TrendChart(
            ("good", "bad", "warning"),
            format=_seconds,
            empty="How long syncs take shows here after the first.",
            ascii=ascii,
            id="trend",
        )
        self._patterns = Lines(id="patterns")
        self.table = HistoryTable(pages, self._draw, ascii=ascii, id="syncs")

    def compose(self) -> ComposeResult:
        yield self._trend
        yield self._patterns
        yield self.table

    @property
    def focus_target(self) -> Widget:
        return self.table

    @property
    def failures_only(self) -> bool:
        return self.table.outcome is Outcome.FAILED

    def show_history(self, points: Sequence[TrendPoint], groups: Sequence[FailureGroup], now: datetime) -> None:
        """Show the trend and the patterns, and have the table look for new syncs."""
        self.now, self._groups = now, groups
        self._trend.set_buckets(trend_buckets(points, now, None))
        self._show_patterns()
        self.table.refresh_keys()

    def show_progress(self, progress: tuple[int, int] | None, now: datetime) -> None:
        """Move what runs: (records, bytes) so far."""
        self._progress, self.now = progress, now
        self.table.update_running()

    def show_failures(self, only: bool) -> None:
        """Only failed syncs, or all."""
        self.table.show_outcome(Outcome.FAILED if only else None)
        self.post_message(self.Narrowed())

    def action_failures_only(self) -> None:
        self.show_failures(not self.failures_only)

    def _draw(self, row: SyncRow) -> Row:
        return history_row(row, self.now or row.created_at, None, self._glyphs, self._progress)

    def on_resize(self) -> None:
        self.set_class(self.size.height < 18, "-low")
        self._show_patterns()

    def _show_patterns(self) -> None:
        if self.now is not None and self.size.width:
            most = 1 if self.has_class("-low") else PATTERNS_SHOWN
            self._patterns.show(pattern_lines(self._groups, most, self.now, self.size.width, self._glyphs))

    @on(LiveTable.RowOpened)
    def _row_opened(self, event: LiveTable.RowOpened) -> None:
        event.stop()
        self.post_message(self.SyncOpened(event.key))

    @on(TrendChart.BucketSelected)
    def _bar_chosen(self, event: TrendChart.BucketSelected) -> None:
        event.stop()
        if self.table.move_to(event.bucket.key):
            self.table.focus()
        else:
            self.post_message(self.SyncOpened(event.bucket.key))


def _seconds(value: int) -> str:
    return duration(float(value))
