"""The Logs tab: the life of the newest sync, the upcoming fire times, and the log lines, live."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from syncterm.widgets import log_view
from syncterm.widgets.filter_bar import FilterBar
from syncterm.widgets.lines import Line, Lines
from syncterm.widgets.log_view import LogView

if TYPE_CHECKING:
    from textual.widget import Widget

    from syncterm.engine.queries import LogLine

PAGE = 500
"""Log lines fetched at a time."""

Fetch = Callable[[int, int | None, int], Awaitable[Sequence["LogLine"]]]
"""(after this id, or 0; before this id, or None; how many) → log lines, oldest first. Neither: the newest."""


class LogsPane(Vertical):
    """Log lines, with a filter on text and levels."""

    BINDING_GROUP_TITLE = "Logs"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("slash", "filter", "Filter", id="logs.filter")]

    DEFAULT_CSS = """
    LogsPane #life { background: $surface; }
    LogsPane LogView { padding: 0 0 0 1; }
    """

    def __init__(self, fetch: Fetch, *, ascii: bool, empty: str, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._fetch = fetch
        self._life = Lines(id="life")
        self.view = LogView(empty=empty, ascii=ascii, id="log")
        self._filter = FilterBar(("level",), placeholder="text   !text   level:error", id="log-filter")
        self._first_id = 0
        self._last_id = 0
        self._complete = False
        """Whether the oldest line has been fetched."""
        self._entries: list[log_view.LogLine] = []
        self._fetching = False
        self._again = False

    def compose(self) -> ComposeResult:
        yield self._life
        yield self.view
        yield self._filter

    @property
    def focus_target(self) -> Widget:
        return self.view

    def show_life(self, lines: Sequence[Line]) -> None:
        """The life of the newest sync and the upcoming fire times."""
        self._life.show(lines)

    async def fetch_lines(self) -> None:
        """Append what was logged since the last time."""
        if self._fetching:
            self._again = True
            return
        self._fetching = True
        try:
            while True:
                self._again = False
                lines = await self._fetch(self._last_id, None, PAGE)
                if lines:
                    self._first_id = self._first_id or lines[0].id
                    self._last_id = lines[-1].id
                    new = [_entry(line) for line in lines]
                    self._entries = [*self._entries, *new][-log_view.LIMIT :]
                    self.view.append(self._kept(new))
                if len(lines) < PAGE and not self._again:
                    break
        finally:
            self._fetching = False

    async def fetch_older(self) -> None:
        """Put the lines before the first one on top; what is in view stays in view."""
        if self._fetching or self._complete or not self._first_id:
            return
        self._fetching = True
        try:
            lines = await self._fetch(0, self._first_id, PAGE)
            self._complete = len(lines) < PAGE
            if lines:
                self._first_id = lines[0].id
                self._entries = [*map(_entry, lines), *self._entries]
                self.view.replace(self._kept(self._entries))
        finally:
            self._fetching = False
        if self._again:
            await self.fetch_lines()

    def on_mount(self) -> None:
        self.watch(self.view, "scroll_y", self._scrolled, init=False)

    def _scrolled(self, y: float) -> None:
        if y < 1:
            self.screen.run_worker(self.fetch_older(), group="older", exit_on_error=False)

    def clear_filter(self) -> bool:
        """Close the filter line; False where it was closed."""
        if not self._filter.value and not self._filter.has_class("-shown"):
            return False
        self._filter.close()
        return True

    def action_filter(self) -> None:
        self._filter.open()

    @on(FilterBar.FilterChanged)
    def _filtered(self, event: FilterBar.FilterChanged) -> None:
        event.stop()
        self.view.replace(self._kept(self._entries))

    def _kept(self, entries: Sequence[log_view.LogLine]) -> list[log_view.LogLine]:
        conditions = self._filter.filter
        return [entry for entry in entries if conditions.matches({"text": entry.text, "level": entry.level})]


def _entry(line: LogLine) -> log_view.LogLine:
    return log_view.LogLine(line.message, line.at.astimezone(), str(line.level))
