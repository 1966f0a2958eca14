"""What is saved on the Schema tab is what the next sync does: a real SQLite source, a real DuckDB destination."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from syncterm.app import SyncTermApp
from syncterm.engine.document import load_document
from syncterm.engine.host import EngineHost
from syncterm.screens.connector import ConnectorScreen
from syncterm.screens.line_dialog import LineDialog
from syncterm.screens.menu import Menu
from syncterm.screens.schema_pane import SchemaPane
from syncterm.settings import Settings
from syncterm.widgets.confirm import Confirm
from tests.screens.conftest import ANA, Stage, picture, until


@pytest.fixture
def stage(empty_stage: Stage) -> Stage:
    return empty_stage


async def test_edits_that_are_saved_decide_what_the_next_sync_writes(stage: Stage, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.execute("create table orders (id integer primary key, secret text, total integer)")
        connection.executemany("insert into orders values (?, ?, ?)", [(number, "hidden", number * 10) for number in range(1, 11)])
    document = load_document(
        f"""
        version: 1
        sources: {{shop: {{type: sqlite, config: {{path: {tmp_path / "shop.db"}}}}}}}
        destinations: {{lake: {{type: duckdb, config: {{path: {tmp_path / "lake.duckdb"}}}}}}}
        connectors:
          shop: {{source: shop, destination: lake, collection: raw, streams: [{{name: orders, sync_mode: replace}}]}}
        """
    )
    host = EngineHost(stage.workspace, base_folder=tmp_path)
    stage.hosts.append(host)
    app = SyncTermApp(host, Settings(), actor=ANA)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, app.opened.is_set)
        await host.call(lambda engine: engine.operations.apply(ANA, document))
        detail = await host.call(lambda engine: engine.queries.connector("shop"))
        assert detail is not None
        app.open_connector(detail.row.id)
        await until(pilot, lambda: "not discovered" in "\n".join(picture(app)) or "orders" in "\n".join(picture(app)))
        await pilot.press("r")
        await until(pilot, lambda: "10 read = 10 written" in "\n".join(picture(app)))
        pane = app.screen.query_one(SchemaPane)
        tree = pane.stream_tree
        await until(pilot, lambda: pane.editor.editing is not None and pane.editor.editing.column_counts("orders") == (3, 3))
        if tree.row_count() == 1:
            await pilot.press("g", "right")
        await until(pilot, lambda: tree.row_count() == 4)
        await pilot.press("g", "down", "down", "space")  # leaves `secret` out, steps down to `total`
        assert tree.place() == ("orders", "total")
        await pilot.press("X")
        await until(pilot, lambda: isinstance(app.screen, Menu) and "text" in "\n".join(picture(app)))
        choices = [choice.id for choice in app.screen._choices]  # type: ignore[attr-defined]
        await pilot.press(*["down"] * choices.index("text"), "enter")
        await until(pilot, lambda: isinstance(app.screen, ConnectorScreen))
        await pilot.press("L")
        await until(pilot, lambda: isinstance(app.screen, LineDialog))
        await pilot.press(*"id > 7", "enter")
        await until(pilot, lambda: isinstance(app.screen, ConnectorScreen))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, ConnectorScreen) and not pane.unsaved)
        await pilot.press("r")
        await until(pilot, lambda: "10 read = 3 written" in "\n".join(picture(app)))
    with closing(duckdb.connect(str(tmp_path / "lake.duckdb"), read_only=True)) as lake:
        rows = lake.execute("select id, total from raw.orders order by id").fetchall()
        hidden = lake.execute("select count(secret) from raw.orders").fetchone()
    assert rows == [(8, "80"), (9, "90"), (10, "100")]
    assert hidden == (0,)  # the column stays, as no destination drops one, and is empty
