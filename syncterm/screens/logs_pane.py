"""The Logs tab: the life of the newest sync, the upcoming fire times, and the log lines, live."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from syncterm.text import Glyphs
from syncterm.widgets import log_view
from syncterm.widgets.filter_bar import FilterBar
from syncterm.widgets.lines import Line, Lines
from syncterm.widgets.log_view import LogView

if TYPE_CHECKING:
    from textual.widget import Widget

    from syncterm.engine.queries import LogLine

PAGE = 500
"""Log lines fetched at a time."""

Fetch = Callable[[int, int], Awaitable[Sequence["LogLine"]]]
"""(after this id, how many) → log lines, oldest first; after 0: the newest."""


class LogsPane(Vertical):
    """Log lines, with a filter on text and levels."""

    BINDING_GROUP_TITLE = "Logs"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("slash", "filter", "Filter", id="logs.filter")]

    DEFAULT_CSS = """
    LogsPane #life { padding: 0 0; }
    """

    def __init__(self, fetch: Fetch, symbols: Glyphs, *, ascii: bool, empty: str, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._fetch = fetch
        self._glyphs = symbols
        self._ascii = ascii
        self._empty = empty
        self._last_id = 0
        self._entries: list[log_view.LogLine] = []
        self._fetching = False
        self._again = False

    def compose(self) -> ComposeResult:
        yield Lines(id="life")
        yield LogView(empty=self._empty, ascii=self._ascii, id="log")
        yield FilterBar(("level",), placeholder="text   !text   level:error", id="log-filter")

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)

    @property
    def focus_target(self) -> Widget:
        return self.view

    def show_life(self, lines: Sequence[Line]) -> None:
        """The life of the newest sync and the upcoming fire times."""
        self.query_one("#life", Lines).show(lines)

    async def fetch_lines(self) -> None:
        """Append what was logged since the last time."""
        if self._fetching:
            self._again = True
            return
        self._fetching = True
        try:
            while True:
                self._again = False
                lines = await self._fetch(self._last_id, PAGE)
                if lines:
                    self._last_id = lines[-1].id
                    new = [_entry(line) for line in lines]
                    self._entries = [*self._entries, *new][-log_view.LIMIT :]
                    self.view.append(self._kept(new))
                if len(lines) < PAGE and not self._again:
                    break
        finally:
            self._fetching = False

    def clear_filter(self) -> bool:
        """Close the filter line; False where it was closed."""
        bar = self.query_one(FilterBar)
        if not bar.value and not bar.has_class("-shown"):
            return False
        bar.close()
        return True

    def action_filter(self) -> None:
        self.query_one(FilterBar).open()

    @on(FilterBar.FilterChanged)
    def _filtered(self, event: FilterBar.FilterChanged) -> None:
        event.stop()
        self.view.replace(self._kept(self._entries))

    def _kept(self, entries: Sequence[log_view.LogLine]) -> list[log_view.LogLine]:
        conditions = self.query_one(FilterBar).filter
        return [entry for entry in entries if conditions.matches({"text": entry.text, "level": entry.level})]


def _entry(line: LogLine) -> log_view.LogLine:
    return log_view.LogLine(line.message, line.at.astimezone(), str(line.level))
