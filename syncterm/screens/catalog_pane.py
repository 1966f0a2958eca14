"""The Streams tab of a source: what it offers, a search line, and at the foot how many there are and how old that knowledge is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from syncterm.text import Glyphs, count
from syncterm.widgets.catalog_tree import CatalogColumn, CatalogStream, CatalogTree
from syncterm.widgets.filter_bar import FilterBar
from syncterm.widgets.lines import Line, Lines

if TYPE_CHECKING:
    from textual.widget import Widget

    from syncterm.engine.drafts import CatalogEntry
    from syncterm.engine.schema import StreamSchema

NOT_DISCOVERED: tuple[Line, ...] = (
    ((" Nobody has looked yet what this source offers.", "bold"),),
    ((" Press ", "dim"), ("R", "bold $primary"), (" to discover its streams.", "dim")),
)
NOTHING_OFFERED: tuple[Line, ...] = (
    ((" The source offers no stream.", "bold"),),
    ((" What the account may not read is not listed. Press ", "dim"), ("R", "bold $primary"), (" to look again.", "dim")),
)


class CatalogPane(Vertical):
    """Streams of a source; read-only."""

    BINDING_GROUP_TITLE = "Streams"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("slash", "search", "Search", id="catalog.search")]

    DEFAULT_CSS = """
    CatalogPane #catalog-foot { background: $panel; }
    """

    def __init__(self, symbols: Glyphs, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._glyphs = symbols
        self.tree_of_streams = CatalogTree(symbols, id="catalog")
        self._search = FilterBar(placeholder="part of a stream's name", id="catalog-search")
        self._foot = Lines(id="catalog-foot")
        self._age = ""

    def compose(self) -> ComposeResult:
        yield self.tree_of_streams
        yield self._search
        yield self._foot

    @property
    def focus_target(self) -> Widget:
        return self.tree_of_streams

    def show_streams(self, streams: Sequence[CatalogEntry], *, discovered: bool) -> None:
        """Show these streams; `discovered` says whether anybody has ever looked."""
        self.tree_of_streams.empty = NOTHING_OFFERED if discovered else NOT_DISCOVERED
        self.tree_of_streams.show_streams([CatalogStream(entry.name, entry.column_count) for entry in streams])
        self._show_foot()

    def show_columns(self, stream: str, schema: StreamSchema | None) -> None:
        """The columns of a stream; none where the source does not offer it any more."""
        fields = () if schema is None else schema.fields
        key = () if schema is None else schema.primary_key
        self.tree_of_streams.show_columns(
            stream,
            [CatalogColumn(field.name, str(field.type), field.native, field.nullable, field.name in key) for field in fields],
        )

    def show_age(self, text: str) -> None:
        """Say at the foot how old the knowledge is, or what is being done about it."""
        self._age = text
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
        self.tree_of_streams.search(event.text.strip())
        self._show_foot()

    def _show_foot(self) -> None:
        tree = self.tree_of_streams
        shown, total = len(tree.streams), tree.total
        number = (
            f"{count(total)} stream{'' if total == 1 else 's'}" if shown == total else f"{count(shown)} of {count(total)} streams"
        )
        self._foot.show((((f" {number}", "bold"), (f" {self._glyphs.separator} {self._age}" if self._age else "", "dim")),))
