"""Choosing and setting up streams: the tree with its keys, a search line, and at the foot all about the row under the cursor.

The Schema tab of a connector and the wizard use it. What is edited is a `StreamEditing`; nothing is written here.
"""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.worker import Worker, WorkerState

from syncterm.actions import Group, Scope, bindings
from syncterm.editing.stream_editing import StreamEditing
from syncterm.engine.errors import SynctermError
from syncterm.engine.model import StreamConfig
from syncterm.engine.schema import StreamSchema
from syncterm.engine.stream_defaults import Suggestion
from syncterm.screens.stream_settings import StreamSettings
from syncterm.text import Glyphs, clean, count
from syncterm.widgets.filter_bar import FilterBar
from syncterm.widgets.lines import Line, Lines
from syncterm.widgets.row_view import RowView
from syncterm.widgets.stream_lines import StreamFacts, StreamLines
from syncterm.widgets.stream_tree import StreamTree

if TYPE_CHECKING:
    from textual.widget import Widget


class StreamReader(Protocol):
    """Where the editor's knowledge comes from; each may raise SynctermError."""

    async def columns(self, stream: str) -> StreamSchema | None:
        """The columns of one stream; None where nobody knows them."""

    async def suggestions(self) -> Mapping[str, Suggestion]:
        """The keys and cursors that the catalog suggests."""

    async def streams_with_column(self, text: str) -> Collection[str]:
        """Streams that have a column whose name or type contains the text."""

    async def check_cursor(self, stream: StreamConfig) -> tuple[str, ...]:
        """What speaks against a stream's cursor."""


class StreamEditor(Vertical):
    """The tree, with its search line and foot."""

    BINDING_GROUP_TITLE = Group.STREAMS.value
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.STREAMS)]

    DEFAULT_CSS = """
    StreamEditor #stream-foot { background: $panel; }
    """

    class Edited(Message):
        """The set-up of streams was edited, undone or redone."""

    class SaveWanted(Message):
        """A person wants the edits saved."""

    def __init__(
        self,
        reader: StreamReader,
        symbols: Glyphs,
        *,
        savable: bool = False,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._savable = savable
        self._reader = reader
        self._glyphs = symbols
        self.tree_view = StreamTree(symbols, id="streams")
        self._search = FilterBar(placeholder="stream, column or type", id="stream-search")
        self._foot = Lines(id="stream-foot")
        self._lines = StreamLines(symbols)
        self.locked = ""
        """Why nothing can be edited; empty where it can."""
        self._reading: set[str] = set()
        self._suggested = False
        self._warnings: dict[str, tuple[str | None, tuple[str, ...]]] = {}
        """Stream → the cursor column that was looked at, and what speaks against it."""

    def compose(self) -> ComposeResult:
        yield self.tree_view
        yield self._search
        yield self._foot

    @property
    def focus_target(self) -> Widget:
        return self.tree_view

    @property
    def editing(self) -> StreamEditing | None:
        return self.tree_view.editing

    def show(self, editing: StreamEditing, facts: StreamFacts) -> None:
        """Show these streams, or the same ones as they are now."""
        first = editing is not self.editing
        self.tree_view.show(editing, facts)
        self.show_foot()
        if first:
            self._suggested = False

    # --- What is read when it is needed

    def _work(self, work: Coroutine[Any, Any, None], group: str, *, exclusive: bool = False) -> None:
        self.run_worker(work, group=group, exclusive=exclusive, exit_on_error=False)

    @on(StreamTree.ColumnsWanted)
    def _columns_wanted(self, event: StreamTree.ColumnsWanted) -> None:
        event.stop()
        if event.stream not in self._reading:
            self._work(self._read_columns(event.stream), "stream-columns")

    async def _read_columns(self, stream: str) -> None:
        failure = ""
        self._reading.add(stream)
        try:
            schema = await self._reader.columns(stream)
        except SynctermError as error:
            failure = f"The columns could not be read: {error.message}"
        else:
            if schema is None:
                failure = "The columns are not known yet: R reads them from the source."
            elif self.editing is not None:
                self.editing.learn(schema)
        finally:
            self._reading.discard(stream)
        self.tree_view.columns_arrived(stream, failure)
        self.show_foot()

    def read_again(self) -> None:
        """What is known of columns may be out of date: read it anew where it is in view, the rest when it is needed."""
        self._suggested = False
        if self.editing is not None:
            self.editing.forget_schemas(keep=self.tree_view.opened)
        for stream in self.tree_view.opened:
            self._work(self._read_columns(stream), "stream-columns")

    async def _know(self, streams: Collection[str]) -> None:
        """Bring in what the defaults of new streams depend on."""
        editing = self.editing
        if editing is None or self._suggested or not editing.unknown(streams):
            return
        try:
            editing.learn_suggestions(await self._reader.suggestions())
        except SynctermError as error:
            self.notify(clean(error.message), title="Keys and cursors are not known", severity="warning")
        self._suggested = True

    # --- Editing

    def refused(self) -> bool:
        """Whether nothing can be edited now, having said why."""
        if self.locked:
            self.notify(self.locked, severity="warning")
        return bool(self.locked) or self.editing is None

    def edited(self) -> None:
        """An edit was made: show it, and tell."""
        self.tree_view.edited()
        self.show_foot()
        self.post_message(self.Edited())

    def action_choose_row(self) -> None:
        place = self.tree_view.place()
        if self.refused() or place is None or self.editing is None:
            return
        stream, column = place
        barred = self.editing.barred(stream)
        if barred:
            self.notify(f"This stream cannot be synced. {barred}", severity="warning")
        elif column is None:
            self._work(self._select([stream], not self.editing.selected(stream)), "stream-select")
        else:
            on_now = self.editing.selected(stream) and self.editing.column_selected(stream, column)
            self._work(self._select_columns(stream, [column], not on_now), "stream-select")
        self.tree_view.action_move(1)

    def action_toggle_all(self) -> None:
        """Select all that match the search (without one: all), streams or the columns of one; where all are, leave them out."""
        place, editing, needle = self.tree_view.place(), self.editing, self.tree_view.needle
        if self.refused() or place is None or editing is None:
            return
        stream, column = place
        if column is None:
            names = editing.matching(needle)
            self._work(self._select(names, not editing.all_selected(names)), "stream-select")
        else:
            schema = editing.schema(stream)
            columns = [field.name for field in schema.fields if needle in field.name.casefold()] if schema is not None else []
            everything = editing.selected(stream) and all(editing.column_selected(stream, each) for each in columns)
            self._work(self._select_columns(stream, columns, not everything), "stream-select")

    async def _select(self, streams: Collection[str], selected: bool) -> None:
        await self._know(streams if selected else ())
        if self.editing is None:
            return
        changed = self.editing.select(streams, selected)
        if len(streams) > 1:
            word = "selected" if selected else "left out"
            left = sum(bool(self.editing.barred(stream)) for stream in streams) if selected else 0
            barred = f" {count(left)} cannot be: no connector can name {'it' if left == 1 else 'them'}." if left else ""
            self.notify(f"{count(changed)} {'stream' if changed == 1 else 'streams'} {word}; u undoes it.{barred}")
        self.edited()

    async def _select_columns(self, stream: str, columns: Collection[str], selected: bool) -> None:
        await self._know([stream])
        if self.editing is not None:
            self.editing.select_columns(stream, columns, selected)
            self.edited()

    def action_undo_edit(self) -> None:
        if not self.refused() and self.editing is not None:
            self._say_step(self.editing.undo(), "Undone", "There is nothing to undo.")

    def action_redo_edit(self) -> None:
        if not self.refused() and self.editing is not None:
            self._say_step(self.editing.redo(), "Redone", "There is nothing to redo.")

    def _say_step(self, title: str | None, done: str, nothing: str) -> None:
        if title is None:
            self.notify(nothing, severity="warning")
        else:
            self.notify(f"{done}: {clean(title, limit=200)}.")
            self.edited()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self._savable if action == "save_streams" else super().check_action(action, parameters)

    def action_save_streams(self) -> None:
        self.post_message(self.SaveWanted())

    def action_set_up_stream(self) -> None:
        self._settings("")

    def action_sync_mode(self) -> None:
        self._settings("sync_mode")

    def action_primary_key(self) -> None:
        self._settings("primary_key")

    def action_cursor_field(self) -> None:
        self._settings("cursor_field")

    def action_cast(self) -> None:
        self._settings("cast")

    def action_row_filter(self) -> None:
        self._settings("row_filter")

    def _settings(self, setting: str) -> None:
        place, editing = self.tree_view.place(), self.editing
        if self.refused() or place is None or editing is None:
            return
        if not editing.selected(place[0]):
            self.notify("Select the stream first: space.", severity="warning")
            return
        self._work(self._set(editing, place[0], setting), "stream-settings", exclusive=True)

    async def _set(self, editing: StreamEditing, stream: str, setting: str) -> None:
        await self._know([stream])
        if editing.schema(stream) is None and stream not in self._reading:
            await self._read_columns(stream)
        place = self.tree_view.place()
        column = self.tree_view.column_at_cursor() if place is not None and place[0] == stream else None
        cursor = editing.config(stream).cursor_field
        if not await StreamSettings(self.app, editing, stream, column, self._glyphs).choose(setting):
            return
        self.edited()
        config = editing.config(stream)
        if config.cursor_field is not None and config.sync_mode.incremental and config.cursor_field != cursor:
            self._work(self._check_cursor(config), "stream-cursor", exclusive=True)

    async def _check_cursor(self, config: StreamConfig) -> None:
        """See in the source what speaks against a cursor that was just chosen; the answer stands at the foot."""
        self._warnings[config.name] = config.cursor_field, (f"Looking at the cursor in the source{self._glyphs.ellipsis}",)
        self.show_foot()
        try:
            warnings = await self._reader.check_cursor(config)
        except SynctermError as error:
            warnings = (f"The cursor could not be checked: {error.message}",)
        self._warnings[config.name] = config.cursor_field, warnings
        self.show_foot()

    # --- Searching

    def action_search_streams(self) -> None:
        self._search.open()

    def clear_search(self) -> bool:
        """Close the search line; False where it was closed."""
        if not self._search.value and not self._search.has_class("-shown"):
            return False
        self._search.close()
        return True

    @on(FilterBar.FilterChanged)
    def _searched(self, event: FilterBar.FilterChanged) -> None:
        event.stop()
        text = event.text.strip()
        found = self.tree_view.search(text)
        if text:
            self._work(self._search_columns(text, found), "stream-search", exclusive=True)

    async def _search_columns(self, text: str, found: bool) -> None:
        try:
            streams = await self._reader.streams_with_column(text)
        except SynctermError as error:
            self.notify(clean(error.message), title="Columns were not searched", severity="warning")
            return
        if not self.tree_view.columns_match(streams) and not found:
            self.notify("No stream and no column matches.", severity="warning")

    # --- Foot

    @on(RowView.Highlighted)
    def _cursor_moved(self, event: RowView.Highlighted) -> None:
        event.stop()
        self.show_foot()

    def on_resize(self) -> None:
        self.show_foot()

    def show_foot(self) -> None:
        """All about the row under the cursor; below it what is wrong with it."""
        place, editing, cells = self.tree_view.place(), self.editing, self.size.width
        if place is None or editing is None or not cells:
            self._foot.show(())
            return
        stream, _ = place
        lines: list[Line] = [self.tree_view.foot_line(cells)]
        problems = editing.problems(stream)
        column, warnings = self._warnings.get(stream, (None, ()))
        messages = [problem.message for problem in problems]
        if editing.selected(stream) and column == editing.config(stream).cursor_field:
            messages += warnings
        if messages:
            lines.append(self._lines.warn(messages, cells, blocking=any(problem.blocking for problem in problems)))
        self._foot.show(lines)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            event.stop()
            report = getattr(self.app, "report", None)
            if report is not None:
                report(event.worker.error)
