"""The schema tree: opening, searching, staying where it was, drawing no more than its window."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult

from syncterm.engine.model import SyncMode
from syncterm.text import GLYPHS_ASCII, GLYPHS_UNICODE, width
from syncterm.widgets.lines import plain
from syncterm.widgets.stream_tree import ColumnEntry, StreamEntry, StreamTree, describe_place


def stream(name: str, *columns: str, selected: bool = True) -> StreamEntry:
    return StreamEntry(
        name, selected, SyncMode.REPLACE, columns=tuple(ColumnEntry(column, "text", "varchar") for column in columns)
    )


class TreeApp(App[None]):
    ENABLE_COMMAND_PALETTE = False

    def compose(self) -> ComposeResult:
        yield StreamTree(GLYPHS_UNICODE)

    @property
    def stream_tree(self) -> StreamTree:
        return self.query_one(StreamTree)


STREAMS = (stream("alpha", "id", "name"), stream("beta", "id", "total"), stream("gamma", "note"))


async def test_what_was_open_stays_open_and_the_cursor_stays_with_its_column() -> None:
    app = TreeApp()
    async with app.run_test(size=(80, 12)) as pilot:
        tree = app.stream_tree
        tree.show_streams(STREAMS)
        tree.focus()
        await pilot.press("down", "enter", "down", "down")
        assert tree.place() == ("beta", "total")
        tree.show_streams((stream("aaa", "x"), *STREAMS))
        assert tree.place() == ("beta", "total")
        tree.show_streams(STREAMS[:1])
        assert tree.place() == ("alpha", None)
        tree.show_streams(())
        assert tree.place() is None
        await pilot.press("down", "enter", "left", "right", "n", "G", "asterisk")


async def test_search_goes_round_both_ways_and_opens_what_it_finds() -> None:
    app = TreeApp()
    async with app.run_test(size=(80, 12)) as pilot:
        tree = app.stream_tree
        tree.show_streams(STREAMS)
        tree.focus()
        assert tree.search("ID")
        assert tree.place() == ("alpha", "id")
        await pilot.press("n")
        assert tree.place() == ("beta", "id")
        await pilot.press("n")
        assert tree.place() == ("alpha", "id")
        await pilot.press("N")
        assert tree.place() == ("beta", "id")
        assert not tree.search("nowhere")
        assert tree.place() == ("beta", "id")


async def test_a_click_moves_the_cursor_and_a_second_one_opens() -> None:
    app = TreeApp()
    async with app.run_test(size=(80, 12)) as pilot:
        tree = app.stream_tree
        tree.show_streams(STREAMS)
        tree.focus()
        await pilot.click(StreamTree, offset=(6, 2))
        assert tree.place() == ("beta", None)
        assert tree.row_count() == 3
        await pilot.click(StreamTree, offset=(6, 2))
        assert tree.row_count() == 5


texts = st.text(max_size=60)
columns = st.builds(ColumnEntry, texts, texts, texts, selected=st.booleans(), nullable=st.booleans(), cast_from=texts)
streams = st.builds(
    StreamEntry,
    name=texts,
    selected=st.booleans(),
    sync_mode=st.sampled_from(SyncMode),
    primary_key=st.lists(texts, max_size=2).map(tuple),
    cursor_field=st.none() | texts,
    cursor_value=st.none() | texts,
    target=texts,
    row_filter=texts,
    note=texts,
    columns=st.lists(columns, max_size=3).map(tuple),
)


@given(streams, st.integers(51, 160))
def test_every_row_fits_whatever_it_holds(entry: StreamEntry, cells: int) -> None:
    tree = StreamTree(GLYPHS_ASCII)
    tree._streams = (entry,)
    tree._open = {entry.name}
    tree._lay_out()
    for index in range(tree.row_count()):
        line = plain(tree.row_line(index, cells))
        assert width(line) == cells
        assert line.isprintable()
        stream_entry, column = tree._at(index)
        foot = plain(describe_place(stream_entry, column, cells, GLYPHS_ASCII))
        assert width(foot) == cells
        assert foot.isprintable()
    assert width(plain(tree.heading(cells))) == cells
