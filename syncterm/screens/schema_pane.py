"""The Schema tab: the tree of streams and columns, a search line, and at the foot all about the row under the cursor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from syncterm.text import Glyphs, clean, fit
from syncterm.widgets.filter_bar import FilterBar
from syncterm.widgets.lines import Line, Lines
from syncterm.widgets.row_view import RowView
from syncterm.widgets.stream_tree import StreamEntry, StreamTree, describe_place

if TYPE_CHECKING:
    from textual.widget import Widget

    from syncterm.engine.queries import ConnectorDetail, StreamRow


class SchemaPane(Vertical):
    """Read-only."""

    BINDING_GROUP_TITLE = "Schema"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("slash", "search", "Search", id="schema.search")]

    DEFAULT_CSS = """
    SchemaPane #schema-change { color: $text-warning; }
    SchemaPane #schema-foot { background: $panel; }
    """

    def __init__(self, symbols: Glyphs, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._glyphs = symbols
        self.stream_tree = StreamTree(symbols, id="streams")
        self._change = Lines(id="schema-change")
        self._search = FilterBar(placeholder="stream, column or type", id="schema-search")
        self._foot = Lines(id="schema-foot")

    def compose(self) -> ComposeResult:
        yield self._change
        yield self.stream_tree
        yield self._search
        yield self._foot

    @property
    def focus_target(self) -> Widget:
        return self.stream_tree

    def show_schema(self, streams: Sequence[StreamEntry], change: Sequence[Line]) -> None:
        """Show these streams, and above them what waits for approval."""
        self._change.show(change)
        self.stream_tree.show_streams(streams)
        self._show_foot()

    def clear_search(self) -> bool:
        """Close the search line; False where it was closed."""
        if not self._search.value and not self._search.has_class("-shown"):
            return False
        self._search.close()
        return True

    def action_search(self) -> None:
        self._search.open()

    @on(FilterBar.FilterChanged)
    def _searched(self, event: FilterBar.FilterChanged) -> None:
        event.stop()
        if not self.stream_tree.search(event.text.strip()):
            self.notify("No stream and no column matches.", severity="warning")

    @on(RowView.Highlighted)
    def _cursor_moved(self, event: RowView.Highlighted) -> None:
        event.stop()
        self._show_foot()

    def on_resize(self) -> None:
        self._show_foot()

    def _show_foot(self) -> None:
        place = self.stream_tree.stream_at_cursor()
        self._foot.show(() if place is None else (describe_place(*place, self.size.width, self._glyphs),))


def stream_entries(detail: ConnectorDetail) -> tuple[StreamEntry, ...]:
    """The streams of a connector as the schema tree shows them."""
    return tuple(map(_stream_entry, detail.streams))


def _stream_entry(stream: StreamRow) -> StreamEntry:
    config = stream.config
    return StreamEntry(
        name=config.name,
        selected=stream.selected,
        sync_mode=config.sync_mode,
        primary_key=config.primary_key,
        cursor_field=config.cursor_field,
        cursor_value=stream.cursor,
        target=config.target,
        row_filter=config.row_filter or "",
        note="re-sync asked for" if stream.resync_requested else "",
    )


def change_lines(detail: ConnectorDetail, cells: int, symbols: Glyphs) -> tuple[Line, ...]:
    """The schema change that waits for a person; nothing where none does."""
    if detail.schema_change is None:
        return ()
    change = json.loads(detail.schema_change)
    parts = [
        f"{sign} {', '.join(change[kind])}"
        for kind, sign in (("added", "+"), ("removed", "-"), ("retyped", "~"))
        if change.get(kind)
    ]
    texts = (
        f" {symbols.warning} {change['stream']} changed in the source: {'  '.join(parts) or change.get('blocking') or ''}",
        f"   {change.get('blocking') or ''} A approves it.",
    )
    return tuple(
        ((fit(clean(text), cells, ellipsis=symbols.ellipsis), style),) for text, style in zip(texts, ("bold", ""), strict=True)
    )
