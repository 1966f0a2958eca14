"""A dry run on the screen: the first records of a stream as they would arrive, each column with its type; nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from syncterm.engine.drafts import ConnectorDraft, DryRun
from syncterm.engine.errors import SynctermError
from syncterm.text import Glyphs, clean, clip, count, fit, width
from syncterm.widgets.lines import Line, Lines
from syncterm.widgets.row_view import RowView

if TYPE_CHECKING:
    from syncterm.screens.dashboard import Dashboard

RECORDS = 20
WIDEST_COLUMN = 28
"""Cells of a column at most."""
VALUE_LIMIT = 200
REASONS_SHOWN = 3


class RecordTable(RowView):
    """Records as rows; h and l, or the arrows, move through the columns."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "columns(1)", "Columns to the right", show=False, id="records.right"),
        Binding("left,h", "columns(-1)", "Columns to the left", show=False, id="records.left"),
    ]

    def __init__(self, symbols: Glyphs) -> None:
        super().__init__(id="records")
        self._glyphs = symbols
        self._titles: tuple[str, ...] = ()
        self._cells_of: tuple[tuple[tuple[str, bool], ...], ...] = ()
        """Record → (text, whether it is NULL) of each column."""
        self._widths: tuple[int, ...] = ()
        self._first = 0
        """The leftmost column shown."""

    def show(self, found: DryRun) -> None:
        """Show what a dry run found."""
        self._titles = tuple(f"{clean(field.name, limit=VALUE_LIMIT)} {field.type}" for field in found.fields)
        self._cells_of = tuple(
            tuple(("NULL", True) if value is None else (clean(value, limit=VALUE_LIMIT), False) for value in record)
            for record in found.records
        )
        self._widths = tuple(
            min(WIDEST_COLUMN, max([width(title), *(width(record[index][0]) for record in self._cells_of)]))
            for index, title in enumerate(self._titles)
        )
        self.rows_changed(everything=True)

    def row_count(self) -> int:
        return len(self._cells_of)

    def empty_lines(self, cells: int) -> tuple[Line, ...]:
        return ((("  No record would arrive.", "dim"),),) if self._titles else ()

    def heading(self, cells: int) -> Line | None:
        if not self._titles:
            return None
        return self._line([(title, False) for title in self._titles], heading=True)

    def row_line(self, index: int, cells: int) -> Line:
        return self._line(self._cells_of[index])

    def _line(self, values: list[tuple[str, bool]] | tuple[tuple[str, bool], ...], *, heading: bool = False) -> Line:
        sign = self._glyphs.more_left if self._first and heading else " "
        pieces: list[tuple[str, str]] = [(sign, "")]
        for (text, null), cells in zip(values[self._first :], self._widths[self._first :], strict=True):
            pieces.append((fit(text, cells, ellipsis=self._glyphs.ellipsis), "dim italic" if null else ""))
            pieces.append(("  ", ""))
        return tuple(pieces)

    def action_columns(self, step: int) -> None:
        self._first = max(0, min(len(self._titles) - 1, self._first + step))
        self.rows_changed(everything=True)


class DryRunScreen(ModalScreen[None]):
    """Reads the first records, then shows them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,backspace", "close", "Close", show=False, id="dry_run.close"),
        Binding("r", "again", "Again", show=False, id="dry_run.again"),
    ]

    DEFAULT_CSS = """
    DryRunScreen {
        align: center middle;
        & > Vertical {
            width: 96%;
            height: 80%;
            background: $surface;
            border: round $primary;
            border-title-style: bold;
            border-title-color: $primary;
            border-subtitle-color: $text-muted;
            padding: 0 1;
        }
        #dry-run-state { height: auto; max-height: 8; background: $surface; margin-bottom: 1; }
        RecordTable { height: 1fr; }
    }
    .-ascii DryRunScreen > Vertical { border: ascii $primary; }
    """

    def __init__(self, dashboard: Dashboard, draft: ConnectorDraft, stream: str) -> None:
        super().__init__()
        self._dashboard = dashboard
        self._draft = draft
        self._stream = stream
        self.found: DryRun | None = None
        """What was found; None until it was."""

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Lines(id="dry-run-state")
            yield RecordTable(self._dashboard.glyphs)

    def on_mount(self) -> None:
        glyphs = self._dashboard.glyphs
        box = self.query_one(Vertical)
        box.border_title = Content(f"Dry run: {clip(clean(self._stream, limit=300), 60, glyphs.ellipsis)}")
        box.border_subtitle = Content("nothing is written   r again   esc closes")
        self.query_one(RecordTable).focus()
        self.action_again()

    def action_again(self) -> None:
        self.run_worker(self._run(), group="dry-run", exclusive=True, exit_on_error=False)

    async def _run(self) -> None:
        dashboard, state = self._dashboard, self.query_one("#dry-run-state", Lines)
        glyphs = dashboard.glyphs
        state.show([((f"Reading the first {RECORDS} records {glyphs.ellipsis}", "dim"),)])
        try:
            found = await dashboard.host.call(
                lambda engine: engine.operations.dry_run(dashboard.actor, self._draft, self._stream, RECORDS)
            )
        except SynctermError as error:
            state.show(
                [
                    ((f"{glyphs.failed} {clean(error.message)}", "$text-error"),),
                    ((f"  {clean(error.remedy)}", ""),),
                ]
            )
            return
        self.found = found
        state.show(_summary(found, glyphs))
        self.query_one(RecordTable).show(found)

    def action_close(self) -> None:
        self.dismiss(None)


def _summary(found: DryRun, glyphs: Glyphs) -> list[Line]:
    """How many records, and why others would fail."""
    number = len(found.records)
    parts = [f"The first {count(number)} records as they would arrive" if number != 1 else "The first record as it would arrive"]
    if found.filtered:
        parts.append(f"{count(found.filtered)} left out by the row filter")
    lines: list[Line] = [((f"{glyphs.check} ", "$text-success"), (f" {glyphs.separator} ".join(parts) + ".", ""))]
    if found.rejected:
        lines.append(((f"{glyphs.warning} {count(len(found.rejected))} would be failed records:", "$text-warning"),))
        lines += [((f"  {clean(reason, limit=300)}", "dim"),) for reason in found.rejected[:REASONS_SHOWN]]
        if (more := len(found.rejected) - REASONS_SHOWN) > 0:
            lines.append(((f"  and {count(more)} more", "dim"),))
    return lines
