"""The schema tree: opening, searching, staying where it was, drawing no more than its window."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from textual import on
from textual.app import App, ComposeResult

from syncterm.editing.stream_baseline import Baseline
from syncterm.editing.stream_editing import StreamEditing
from syncterm.engine.drafts import CatalogEntry
from syncterm.engine.model import DeleteHandling, StreamConfig, SyncMode
from syncterm.engine.schema import Field, LogicalType, StreamSchema
from syncterm.text import GLYPHS_ASCII, GLYPHS_UNICODE, width
from syncterm.widgets.lines import plain
from syncterm.widgets.stream_lines import StreamFacts, StreamLines
from syncterm.widgets.stream_tree import StreamTree

COLUMNS = {"alpha": ("id", "name"), "beta": ("id", "total"), "gamma": ("note",), "aaa": ("x",)}


def schema(name: str) -> StreamSchema:
    return StreamSchema(name, tuple(Field(column, LogicalType("text"), native="varchar") for column in COLUMNS.get(name, ("a",))))


def editing(*names: str, known: bool = True) -> StreamEditing:
    made = StreamEditing(
        Baseline([CatalogEntry(name, 2) for name in names], [StreamConfig(name, SyncMode.REPLACE) for name in names])
    )
    if known:
        made.learn(*map(schema, names))
    return made


class TreeApp(App[None]):
    """A tree that gets its columns when it asks for them."""

    ENABLE_COMMAND_PALETTE = False
    asked: list[str]

    def compose(self) -> ComposeResult:
        self.asked = []
        yield StreamTree(GLYPHS_UNICODE)

    @property
    def stream_tree(self) -> StreamTree:
        return self.query_one(StreamTree)

    @on(StreamTree.ColumnsWanted)
    def answer(self, event: StreamTree.ColumnsWanted) -> None:
        self.asked.append(event.stream)
        tree = self.stream_tree
        assert tree.editing is not None
        if event.stream == "broken":
            tree.columns_arrived("broken", "The store cannot be read.")
        else:
            tree.editing.learn(schema(event.stream))
            tree.columns_arrived(event.stream)

    def lines(self) -> list[str]:
        tree = self.stream_tree
        return [plain(tree.row_line(row, 78)) for row in range(tree.row_count())]


NAMES = ("alpha", "beta", "gamma")


async def test_what_was_open_stays_open_and_the_cursor_stays_with_its_column() -> None:
    app = TreeApp()
    async with app.run_test(size=(80, 12)) as pilot:
        tree = app.stream_tree
        tree.show(editing(*NAMES), StreamFacts())
        tree.focus()
        await pilot.press("down", "enter", "down", "down")
        assert tree.place() == ("beta", "total")
        tree.show(editing("aaa", *NAMES), StreamFacts())
        assert tree.place() == ("beta", "total")
        tree.show(editing("alpha"), StreamFacts())
        assert tree.place() == ("alpha", None)
        tree.show(editing(), StreamFacts())
        assert tree.place() is None
        await pilot.press("down", "enter", "left", "right", "n", "G")


async def test_columns_are_asked_for_when_a_stream_is_opened_and_once() -> None:
    app = TreeApp()
    async with app.run_test(size=(80, 12)) as pilot:
        tree = app.stream_tree
        tree.show(editing(*NAMES, "broken", known=False), StreamFacts())
        tree.focus()
        assert app.asked == []
        await pilot.press("enter")
        assert tree.row_count() == 6
        await pilot.press("left", "right", "right")
        assert app.asked == ["alpha"]
        assert tree.place() == ("alpha", "id")
        await pilot.press("G", "enter")
        assert "The store cannot be read." in app.lines()[-1]


async def test_a_line_stands_for_columns_that_are_being_read() -> None:
    app = TreeApp()
    async with app.run_test(size=(80, 12)) as pilot:
        tree = app.stream_tree
        with tree.prevent(StreamTree.ColumnsWanted):
            tree.show(editing("beta", known=False), StreamFacts())
        assert "Reading the columns…" in app.lines()[1]
        assert tree.editing is not None
        tree.editing.learn(StreamSchema("beta", ()))
        tree.columns_arrived("beta")
        assert "It has no columns." in app.lines()[1]
        await pilot.press("down", "enter")


async def test_search_goes_round_both_ways_and_opens_what_it_finds() -> None:
    app = TreeApp()
    async with app.run_test(size=(80, 12)) as pilot:
        tree = app.stream_tree
        tree.show(editing(*NAMES), StreamFacts())
        tree.focus()
        assert not tree.search("ID")
        assert tree.columns_match({"alpha", "beta"})
        assert tree.place() == ("alpha", "id")
        await pilot.press("n")
        assert tree.place() == ("beta", "id")
        await pilot.press("n")
        assert tree.place() == ("alpha", "id")
        await pilot.press("N")
        assert tree.place() == ("beta", "id")
        assert not tree.search("nowhere")
        assert not tree.columns_match(())
        assert tree.place() == ("beta", "id")


async def test_a_match_in_columns_that_have_yet_to_be_read_is_reached_when_they_arrive() -> None:
    app = TreeApp()
    async with app.run_test(size=(80, 12)) as pilot:
        tree = app.stream_tree
        tree.show(editing(*NAMES, known=False), StreamFacts())
        tree.focus()
        assert not tree.search("total")
        assert tree.columns_match({"beta"})
        await pilot.pause()
        assert tree.place() == ("beta", "total")
        assert app.asked == ["beta"]


async def test_a_click_moves_the_cursor_and_a_second_one_opens() -> None:
    app = TreeApp()
    async with app.run_test(size=(80, 12)) as pilot:
        tree = app.stream_tree
        tree.show(editing(*NAMES), StreamFacts())
        tree.focus()
        await pilot.click(StreamTree, offset=(6, 2))
        assert tree.place() == ("beta", None)
        assert tree.row_count() == 3
        await pilot.click(StreamTree, offset=(6, 2))
        assert tree.row_count() == 5


texts = st.text(max_size=60)
fields = st.builds(Field, texts, st.just(LogicalType("decimal", 38, 9)), st.booleans(), texts)
configs = st.builds(
    StreamConfig,
    name=texts,
    sync_mode=st.sampled_from(SyncMode),
    primary_key=st.lists(texts, max_size=2).map(tuple),
    cursor_field=st.none() | texts,
    columns=st.none() | st.lists(texts, max_size=3).map(tuple),
    casts=st.dictionaries(texts, texts, max_size=2),
    row_filter=st.none() | texts,
    look_back=st.none() | st.just(timedelta(minutes=5)),
    include_null_cursor=st.booleans(),
    table=st.none() | texts,
    delete_handling=st.sampled_from(DeleteHandling),
)


@given(configs, st.booleans(), st.lists(fields, max_size=3, unique_by=lambda field: field.name), texts, st.integers(51, 160))
@settings(deadline=None)
def test_every_row_fits_whatever_it_holds(
    config: StreamConfig, selected: bool, columns: list[Field], text: str, cells: int
) -> None:
    saved = [config] if selected else []
    edited = StreamEditing(Baseline([CatalogEntry(config.name, 3)], saved, unselected=[config]))
    edited.learn(StreamSchema(config.name, tuple(columns)))
    facts = StreamFacts({config.name: text}, {config.name: text})
    for needle in ("", text.casefold()):
        lines = StreamLines(GLYPHS_ASCII, needle)
        drawn = [
            lines.heading(cells),
            lines.stream(edited, config.name, facts, opened=True, cells=cells),
            lines.under(text, failed=True, cells=cells),
            lines.describe(edited, config.name, None, facts, cells),
            lines.warn([text, text], cells, blocking=True),
        ]
        for column in columns:
            drawn.append(lines.column(edited, config.name, column, cells=cells))
            drawn.append(lines.describe(edited, config.name, column, facts, cells))
        for line in map(plain, drawn):
            assert width(line) == cells
            assert line.isprintable()
