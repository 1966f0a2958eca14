"""The editable Schema tab: every key, thousands of streams, hostile names, undo, what follows from saving, leaving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update
from textual.pilot import Pilot

from syncterm.actions import Group, Scope, in_scope
from syncterm.app import SyncTermApp
from syncterm.editing.stream_editing import StreamEditing
from syncterm.engine import source_catalog
from syncterm.engine.model import DeleteHandling, SchemaPolicy, StreamConfig, SyncMode
from syncterm.engine.schema import Catalog, Field, LogicalType, StreamSchema
from syncterm.engine.store import tables
from syncterm.engine.store.database import Database
from syncterm.screens.connector import ConnectorScreen
from syncterm.screens.connectors import ConnectorsScreen
from syncterm.screens.help import entries
from syncterm.screens.line_dialog import LineDialog
from syncterm.screens.menu import Menu, Ticks
from syncterm.screens.schema_pane import SchemaPane
from syncterm.widgets.confirm import Confirm
from syncterm.widgets.lines import Lines, plain
from syncterm.widgets.stream_tree import StreamTree
from tests.screens.conftest import ANA, NOW, Stage, picture, toasts, until
from tests.screens.connector_store import CONNECTOR_ID, SeedStream, add_connector, fill, opened, quiet, standard

SOURCE_ID = "0ksource000000000000"


@pytest.fixture
def stage(empty_stage: Stage) -> Stage:
    return empty_stage


def application(pilot: Pilot[Any]) -> SyncTermApp:
    assert isinstance(pilot.app, SyncTermApp)
    return pilot.app


def shown(pilot: Pilot[Any]) -> str:
    return "\n".join(picture(application(pilot)))


def pane(pilot: Pilot[Any]) -> SchemaPane:
    screen = next(screen for screen in pilot.app.screen_stack if isinstance(screen, ConnectorScreen))
    return screen.query_one(SchemaPane)


def tree_of(pilot: Pilot[Any]) -> StreamTree:
    return pane(pilot).stream_tree


def editing(pilot: Pilot[Any]) -> StreamEditing:
    found = pane(pilot).editor.editing
    assert found is not None
    return found


def foot(pilot: Pilot[Any]) -> str:
    return "\n".join(plain(line) for line in pane(pilot).query_one("#stream-foot", Lines).lines)


async def go(pilot: Pilot[Any], stream: str, column: str | None = None) -> None:
    """Bring the cursor to a stream or to one of its columns."""
    tree = tree_of(pilot)
    await pilot.press("g")
    while (place := tree.place()) is not None and place[0] != stream:
        await pilot.press("down")
    if column is not None:
        await pilot.press("right")
        await until(pilot, lambda: editing(pilot).schema(stream) is not None, "the columns are there")
        while (place := tree.place()) is not None and place != (stream, column):
            assert place[0] == stream
            await pilot.press("down")


async def menu(pilot: Pilot[Any], *keys: str) -> None:
    """Wait for a menu, press keys in it, wait until it is gone."""
    await until(pilot, lambda: isinstance(pilot.app.screen, Menu | Ticks), "a menu is open")
    await pilot.press(*keys)
    await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen), "the menu is closed")
    await quiet(pilot)


async def line(pilot: Pilot[Any], text: str) -> None:
    """Wait for the line, type a text over what stands there, take it."""
    await until(pilot, lambda: isinstance(pilot.app.screen, LineDialog), "the line is open")
    await pilot.press("end", "ctrl+u", *text)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen), "the line is closed")
    await quiet(pilot)


async def saved_streams(pilot: Pilot[Any]) -> dict[str, StreamConfig]:
    draft = await application(pilot).host.call(lambda engine: engine.queries.connector_draft(CONNECTOR_ID))
    assert draft is not None
    return {config.name: config for config in draft.streams}


async def save(pilot: Pilot[Any]) -> None:
    await pilot.press("ctrl+s")
    await until(pilot, lambda: isinstance(pilot.app.screen, Confirm), "it asks")
    await pilot.press("y")
    await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen) and not pane(pilot).unsaved, "it is saved")
    await quiet(pilot)


# --- Choosing


async def test_streams_and_columns_are_selected_undone_and_redone(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, size=(120, 40)) as pilot:
        await go(pilot, "countries")
        await pilot.press("space")
        await until(pilot, lambda: not editing(pilot).selected("countries"))
        await until(pilot, lambda: "1 UNSAVED CHANGE" in shown(pilot))
        await go(pilot, "orders", "state")
        await pilot.press("space")
        await until(pilot, lambda: not editing(pilot).column_selected("orders", "state"))
        assert "2 UNSAVED CHANGES" in shown(pilot)
        assert tree_of(pilot).place() == ("orders", "total")
        await pilot.press("u", "u")
        await pilot.pause()
        assert editing(pilot).selected("countries")
        assert "UNSAVED" not in shown(pilot)
        assert any("Undone: Deselected countries" in toast for toast in toasts(application(pilot)))
        await pilot.press("Y", "ctrl+y")
        await pilot.pause()
        assert not editing(pilot).column_selected("orders", "state")
        await pilot.press("Y")
        assert any("There is nothing to redo." in toast for toast in toasts(application(pilot)))


async def test_all_that_match_the_search_are_selected(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, size=(120, 40)) as pilot:
        await pilot.press("asterisk")
        await until(pilot, lambda: editing(pilot).selected_count == 4)
        await pilot.press("asterisk")
        await until(pilot, lambda: editing(pilot).selected_count == 0)
        await pilot.press("slash", *"co", "enter")
        await until(pilot, lambda: tree_of(pilot).needle == "co")
        await go(pilot, "countries")
        await pilot.press("asterisk")
        await until(pilot, lambda: editing(pilot).selected("countries"))
        assert editing(pilot).selected_count == 1
        await pilot.press("u", "u", "u")
        assert editing(pilot).selected_count == 3


async def test_the_columns_that_match_are_left_out_together(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, size=(120, 40)) as pilot:
        await pilot.press("slash", *"_at", "enter")
        await until(pilot, lambda: tree_of(pilot).place() == ("orders", "placed_at"))
        await pilot.press("asterisk")
        await until(pilot, lambda: editing(pilot).config("orders").columns == ("id", "customer_id", "state", "total"))


# --- Setting up


async def test_the_sync_mode_is_chosen(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, size=(120, 40)) as pilot:
        await go(pilot, "countries")
        await pilot.press("M")
        await menu(pilot, "p")
        assert editing(pilot).config("countries").sync_mode is SyncMode.APPEND
        await pilot.press("i")
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu))
        await pilot.press("M")
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu) and "Full, replace" in shown(pilot))
        await menu(pilot, "a")
        assert editing(pilot).config("countries").sync_mode is SyncMode.INCREMENTAL_APPEND
        assert "An incremental mode needs a cursor column." in foot(pilot)
        assert "countries" in editing(pilot).troubled


async def test_keys_and_cursors_are_toggled_on_columns_and_chosen_on_streams(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, size=(120, 40)) as pilot:
        await go(pilot, "orders", "customer_id")
        await pilot.press("K")
        await until(pilot, lambda: editing(pilot).config("orders").primary_key == ("id", "customer_id"))
        await quiet(pilot)
        await pilot.press("I")
        await until(pilot, lambda: editing(pilot).config("orders").cursor_field == "customer_id")
        await until(
            pilot, lambda: "The cursor could not be checked" in foot(pilot), "a source that is not there cannot be looked at"
        )
        await pilot.press("I")
        await until(pilot, lambda: editing(pilot).config("orders").cursor_field is None)
        await go(pilot, "orders")
        await pilot.press("K")
        await menu(pilot, "space", "enter")
        assert editing(pilot).config("orders").primary_key == ("customer_id",)
        await pilot.press("I")
        await menu(pilot, "G", "enter")
        assert editing(pilot).config("orders").cursor_field == "updated_at"


async def test_casts_are_those_that_exist(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, size=(120, 40)) as pilot:
        await go(pilot, "orders", "customer_id")
        await pilot.press("X")
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu))
        text = shown(pilot)
        assert "as discovered" in text
        assert "timestamp" not in text.split("Cast customer_id")[1].split("╰")[0]
        assert "uuid" not in text
        await pilot.press("G", "enter")
        await line(pilot, "12,0")
        assert editing(pilot).config("orders").casts["customer_id"] == "decimal(12,0)"
        assert "discovered as int64 · native bigint · arrives as decimal(12,0), a cast" in foot(pilot)
        await pilot.press("X")
        await menu(pilot, "g", "enter")
        assert "customer_id" not in editing(pilot).config("orders").casts
        await go(pilot, "orders")
        await pilot.press("X")
        await until(pilot, lambda: any("Move to a column first" in toast for toast in toasts(application(pilot))))


async def test_a_row_filter_is_checked_as_it_is_typed(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, size=(120, 40)) as pilot:
        await go(pilot, "orders")
        await pilot.press("L")
        await until(pilot, lambda: isinstance(pilot.app.screen, LineDialog))
        await pilot.press(*"total >")
        await until(pilot, lambda: "✗" in shown(pilot))
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, LineDialog)
        await pilot.press(*" 100")
        await until(pilot, lambda: "✗" not in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: editing(pilot).config("orders").row_filter == "total > 100")
        assert "filter total > 100" in foot(pilot)
        await pilot.press("L")
        await until(pilot, lambda: isinstance(pilot.app.screen, LineDialog))
        await pilot.press("x", "escape")
        await quiet(pilot)
        assert editing(pilot).config("orders").row_filter == "total > 100"


@pytest.mark.parametrize(
    ("keys", "typed", "field", "value"),
    [
        (("d", "m"), None, "delete_handling", DeleteHandling.MARK),
        (("0",), None, "include_null_cursor", True),
        (("s", "G", "enter"), None, "schema_policy", SchemaPolicy.PAUSE),
        (("t",), "orders_2", "table", "orders_2"),
    ],
)
async def test_the_rest_is_in_the_menu(stage: Stage, keys: tuple[str, ...], typed: str | None, field: str, value: Any) -> None:
    standard(stage)
    async with opened(stage, size=(80, 24)) as pilot:
        await go(pilot, "orders")
        await pilot.press("i")
        for key in keys:
            await until(pilot, lambda: isinstance(pilot.app.screen, Menu))
            await pilot.press(key)
            await pilot.pause()
        if typed is not None:
            await line(pilot, typed)
        await until(pilot, lambda: getattr(editing(pilot).config("orders"), field) == value)


async def test_a_look_back_is_an_interval(stage: Stage) -> None:
    standard(stage)
    async with opened(stage) as pilot:
        await go(pilot, "orders")
        await pilot.press("i")
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu))
        await pilot.press("l")
        await until(pilot, lambda: isinstance(pilot.app.screen, LineDialog))
        await pilot.press(*"soon", "enter")
        assert isinstance(pilot.app.screen, LineDialog)
        await line(pilot, "2h")
        look_back = editing(pilot).config("orders").look_back
        assert look_back is not None
        assert look_back.total_seconds() == 7200


async def test_a_stream_that_is_not_selected_is_selected_before_it_is_set_up(stage: Stage) -> None:
    standard(stage)
    async with opened(stage) as pilot:
        await go(pilot, "audit_log")
        await pilot.press("M")
        await until(pilot, lambda: any("Select the stream first" in toast for toast in toasts(application(pilot))))
        assert isinstance(pilot.app.screen, ConnectorScreen)


async def test_a_new_stream_starts_with_what_the_catalog_suggests(stage: Stage) -> None:
    columns = (Field("id", LogicalType("int64")), Field("changed_at", LogicalType("timestamptz")))
    catalog = Catalog((StreamSchema("payments", columns, ("id",), ("changed_at",)),))

    async def write(database: Database) -> None:
        await add_connector(database)
        await source_catalog.keep(database, SOURCE_ID, source_catalog.catalog_rows(catalog), NOW)

    fill(stage, write)
    async with opened(stage) as pilot:
        assert tree_of(pilot).place() == ("payments", None)
        await pilot.press("space")
        await until(pilot, lambda: editing(pilot).selected("payments"))
        assert editing(pilot).config("payments") == StreamConfig(
            "payments", SyncMode.INCREMENTAL_UPSERT, primary_key=("id",), cursor_field="changed_at"
        )
        await save(pilot)
        assert (await saved_streams(pilot))["payments"].cursor_field == "changed_at"


# --- Finding what the keys do


async def test_the_keys_stand_in_the_help_under_a_heading_of_their_own_and_in_the_footer(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, size=(80, 24)) as pilot:
        found = entries(pilot.app.screen, ascii=False)
        mine = {entry.title for entry in found if entry.group == Group.STREAMS}
        assert mine >= {spec.title for spec in in_scope(Scope.STREAMS)} | {"Open", "Close", "Next match"}
        assert "space Select  i Set up  ctrl+s Save  u Undo" in picture(application(pilot))[-1]
        await pilot.press("right_square_bracket")
        await quiet(pilot)
        assert "Set up" not in picture(application(pilot))[-1]


async def test_the_palette_does_what_the_keys_do(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, size=(120, 40)) as pilot:
        await go(pilot, "countries")
        await pilot.press("colon", *"sync-mode")
        await until(pilot, lambda: "Sync mode" in shown(pilot))
        await pilot.press("enter")
        await menu(pilot, "p")
        assert editing(pilot).config("countries").sync_mode is SyncMode.APPEND
        await pilot.press("colon", *"undo-edit")
        await until(pilot, lambda: "Undo edit" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: editing(pilot).config("countries").sync_mode is SyncMode.REPLACE)


# --- Saving and leaving


async def test_saving_writes_exactly_what_was_edited(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, size=(120, 40)) as pilot:
        before = await saved_streams(pilot)
        await go(pilot, "countries")
        await pilot.press("space")
        await go(pilot, "orders", "state")
        await pilot.press("space")
        await until(pilot, lambda: len(editing(pilot).changed) == 2)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        text = shown(pilot)
        assert "Save the changes of 2 streams?" in text
        assert "countries: no longer synced; what is in the destination stays." in text
        assert "orders: columns left out; the destination keeps them, empty in new" in text
        await pilot.press("escape")
        assert await saved_streams(pilot) == before
        await save(pilot)
        after = await saved_streams(pilot)
        assert set(after) == {"orders", "customers"}
        assert after["customers"] == before["customers"]
        assert after["orders"].columns == ("id", "customer_id", "total", "placed_at", "updated_at")
        assert "UNSAVED" not in shown(pilot)
        await pilot.press("u")
        await until(pilot, lambda: "1 UNSAVED CHANGE" in shown(pilot))
        await save(pilot)
        assert (await saved_streams(pilot))["orders"] == before["orders"]


async def test_what_somebody_else_saved_meanwhile_is_not_overwritten_and_edits_stay(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, size=(120, 40)) as pilot:
        await go(pilot, "orders", "state")
        await pilot.press("space")
        await until(pilot, lambda: pane(pilot).unsaved == 1)

        async def change(engine: Any) -> None:
            async with engine.database.write() as connection:
                await connection.execute(
                    update(tables.streams).where(tables.streams.c.name == "countries").values(sync_mode="append")
                )
                await connection.execute(update(tables.connectors).values(version=tables.connectors.c.version + 1))

        await application(pilot).host.call(change)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: any("was changed meanwhile" in toast for toast in toasts(application(pilot))))
        await until(pilot, lambda: editing(pilot).config("countries").sync_mode is SyncMode.APPEND)
        assert set(editing(pilot).changed) == {"orders"}
        await save(pilot)
        after = await saved_streams(pilot)
        assert after["countries"].sync_mode is SyncMode.APPEND
        assert after["orders"].columns == ("id", "customer_id", "total", "placed_at", "updated_at")


async def test_what_somebody_else_saves_is_shown_at_once_beneath_the_edits(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, size=(120, 40)) as pilot:
        await go(pilot, "countries")
        await pilot.press("space")
        await go(pilot, "orders", "state")
        await pilot.press("space")
        await until(pilot, lambda: pane(pilot).unsaved == 2)
        draft = await application(pilot).host.call(lambda engine: engine.queries.connector_draft(CONNECTOR_ID))
        assert draft is not None
        theirs = tuple(
            replace(config, table="theirs", columns=("id", "total", "placed_at"), row_filter="total > 1")
            if config.name == "orders"
            else replace(config, table="customers_2")
            if config.name == "customers"
            else config
            for config in draft.streams
        )
        await application(pilot).host.call(
            lambda engine: engine.operations.save_connector(ANA, replace(draft, streams=theirs, destination_id=None))
        )
        await until(pilot, lambda: editing(pilot).config("customers").table == "customers_2", "what was saved is taken over")
        orders = editing(pilot).config("orders")
        assert (orders.table, orders.row_filter) == ("theirs", "total > 1")
        assert orders.columns == ("id", "customer_id", "total", "placed_at", "updated_at")
        assert set(editing(pilot).changed) == {"orders", "countries"}
        said = "\n".join(toasts(application(pilot)))
        assert "Your edits of 2 streams stay" in said
        assert "Both changed orders (columns): yours counts once you save." in said


async def test_the_review_names_how_much_is_read_again(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, size=(120, 40)) as pilot:
        await go(pilot, "orders", "customer_id")
        await pilot.press("I")
        await until(pilot, lambda: editing(pilot).config("orders").cursor_field == "customer_id")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        assert "orders: read again from the beginning at the next sync. At least" in " ".join(
            shown(pilot).replace("│", " ").split()
        )


async def test_leaving_with_unsaved_edits_asks(stage: Stage) -> None:
    standard(stage)
    async with opened(stage) as pilot:
        await go(pilot, "countries")
        await pilot.press("space")
        await until(pilot, lambda: pane(pilot).unsaved == 1)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu))
        assert "1 stream has edits that are not saved" in shown(pilot)
        await menu(pilot, "s")
        assert pane(pilot).unsaved == 1
        await pilot.press("q")
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu))
        assert "1 connector has edits that are not saved" in shown(pilot)
        await menu(pilot, "n")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorsScreen))
        assert not application(pilot).unsaved_edits
        assert "countries" in await saved_streams(pilot)


async def test_edits_outlive_the_screen_when_another_way_leads_out(stage: Stage) -> None:
    standard(stage)
    async with opened(stage) as pilot:
        await go(pilot, "countries")
        await pilot.press("space")
        await until(pilot, lambda: pane(pilot).unsaved == 1)
        pilot.app.pop_screen()
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorsScreen))
        application(pilot).open_connector(CONNECTOR_ID)
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen) and "1 UNSAVED CHANGE" in shown(pilot))
        await quiet(pilot)
        await pilot.press("u")
        assert not pane(pilot).unsaved


async def test_viewers_and_read_only_dashboards_look_only(stage: Stage) -> None:
    standard(stage)
    async with opened(stage, read_only=True) as pilot:
        await go(pilot, "orders", "state")
        for key in ("space", "asterisk", "i", "M", "K", "I", "X", "L", "u", "Y", "ctrl+s"):
            await pilot.press(key)
        await quiet(pilot)
        assert isinstance(pilot.app.screen, ConnectorScreen)
        assert not pane(pilot).unsaved
        assert any("This dashboard is read-only." in toast for toast in toasts(application(pilot)))
        await pilot.press("slash", *"email", "enter")
        await until(pilot, lambda: tree_of(pilot).place() == ("customers", "email"))


# --- Much, and hostile


async def test_five_thousand_streams_are_selected_searched_and_saved(stage: Stage) -> None:
    columns = tuple(Field(f"column_{number:02}", LogicalType("int64")) for number in range(24))
    columns += (Field("changed_at", LogicalType("timestamptz")),)
    streams = tuple(StreamSchema(f"table_{number:04}", columns, ("column_00",), ("changed_at",)) for number in range(5_000))

    async def write(database: Database) -> None:
        await add_connector(database, streams=[SeedStream("table_0000")])
        await source_catalog.keep(database, SOURCE_ID, source_catalog.catalog_rows(Catalog(streams)), NOW)

    fill(stage, write)
    async with opened(stage) as pilot:
        assert tree_of(pilot).row_count() == 5_000 or tree_of(pilot).row_count() == 5_002
        await pilot.press("asterisk")
        await until(pilot, lambda: editing(pilot).selected_count == 5_000)
        assert editing(pilot).config("table_4999").sync_mode is SyncMode.INCREMENTAL_UPSERT
        await pilot.press("slash", *"table_2500", "enter")
        await until(pilot, lambda: tree_of(pilot).place() == ("table_2500", None))
        await pilot.press("asterisk")
        await until(pilot, lambda: editing(pilot).selected_count == 4_999)
        await save(pilot)
        saved = await saved_streams(pilot)
        assert len(saved) == 4_999
        assert saved["table_4999"].primary_key == ("column_00",)


async def test_ten_thousand_columns_are_read_once_and_drawn_in_the_window(stage: Stage) -> None:
    wide = SeedStream("wide", fields=[(f"column_{number:05}", "int64", "bigint") for number in range(10_000)], cursor_field=None)

    async def write(database: Database) -> None:
        await add_connector(database, streams=[wide, SeedStream("b"), SeedStream("c")])

    fill(stage, write)
    async with opened(stage) as pilot:
        tree = tree_of(pilot)
        await pilot.press("g", "enter")
        await until(pilot, lambda: tree.row_count() == 10_003)
        drawn: list[int] = []
        row_line = tree.row_line

        def counted(index: int, cells: int) -> Any:
            drawn.append(index)
            return row_line(index, cells)

        tree.row_line = counted  # type: ignore[method-assign]
        await pilot.press("down", *["pagedown"] * 5, "space")
        await until(pilot, lambda: len(editing(pilot).config("wide").columns or ()) == 9_999)
        assert len(drawn) < 40 * tree.window_height
        await pilot.press("asterisk")
        await until(pilot, lambda: editing(pilot).config("wide").columns is None)


HOSTILE = ("\x1b[31mred\x07", "[bold]markup[/]", "a\nb\tc", "‮gnirts", "x" * 2_000, " ", "дата", "👩‍👩‍👧 family")


async def test_hostile_names_are_shown_searched_and_edited(stage: Stage) -> None:
    streams = [
        SeedStream(name[:255], fields=[(column, "text", column[:100]) for column in HOSTILE], primary_key=(), cursor_field=None)
        for name in HOSTILE
    ]

    async def write(database: Database) -> None:
        await add_connector(database, streams=streams)

    fill(stage, write)
    async with opened(stage, size=(80, 40)) as pilot:
        for name in HOSTILE:
            tree_of(pilot).cursor = 0
            await go(pilot, name[:255], HOSTILE[0])
            for _ in HOSTILE:
                await pilot.press("space")
            await pilot.press("up", "K")
            await quiet(pilot)
            assert all(character.isprintable() for row in picture(application(pilot)) for character in row)
            await pilot.press("i")
            await until(pilot, lambda: isinstance(pilot.app.screen, Menu))
            assert all(character.isprintable() for row in picture(application(pilot)) for character in row)
            await menu(pilot, "escape")
            await pilot.press("left", "left")
        assert len(editing(pilot).changed) == len(HOSTILE)
        await pilot.press("slash", *"[bold]", "enter")
        await until(pilot, lambda: tree_of(pilot).place() == ("[bold]markup[/]", None))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        assert all(character.isprintable() for row in picture(application(pilot)) for character in row)


# --- Pictures


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_picture_while_it_is_edited(stage: Stage, snap_compare: Callable[..., bool], size: tuple[int, int]) -> None:
    standard(stage)

    async def prepare(pilot: Pilot[Any]) -> None:
        from tests.screens.connector_store import show

        await show(pilot)
        await go(pilot, "countries")
        await pilot.press("space")
        await go(pilot, "customers")
        await pilot.press("M")
        await menu(pilot, "f")
        await go(pilot, "orders", "state")
        await pilot.press("space")
        await pilot.press("up")
        await until(pilot, lambda: pane(pilot).unsaved == 3)
        application(pilot).clear_notifications()
        await quiet(pilot)

    assert snap_compare(stage.app(), terminal_size=size, run_before=prepare)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_picture_of_the_settings(stage: Stage, snap_compare: Callable[..., bool], size: tuple[int, int]) -> None:
    standard(stage)

    async def prepare(pilot: Pilot[Any]) -> None:
        from tests.screens.connector_store import show

        await show(pilot)
        await go(pilot, "orders", "total")
        await pilot.press("i")
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu) and "Row filter" in shown(pilot))
        await pilot.pause()

    assert snap_compare(stage.app(), terminal_size=size, run_before=prepare)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_picture_of_a_row_filter_that_is_wrong(stage: Stage, snap_compare: Callable[..., bool], size: tuple[int, int]) -> None:
    standard(stage)

    async def prepare(pilot: Pilot[Any]) -> None:
        from tests.screens.connector_store import show

        await show(pilot)
        await go(pilot, "orders")
        await pilot.press("L")
        await until(pilot, lambda: isinstance(pilot.app.screen, LineDialog))
        await pilot.press(*"totals > 100")
        await until(pilot, lambda: "✗" in shown(pilot))
        await pilot.pause()

    assert snap_compare(stage.app(), terminal_size=size, run_before=prepare)
