"""The Schema tab of a connector of 5,000 streams with 25 columns each: what opening, scrolling, searching and editing cost.

    python -m benchmarks.schema_tab [--streams N] [--columns N] [--rounds N]

In one process, on a real store: the reads that the tab makes, and what its model and its tree do on the screens' loop. Medians.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import insert

from syncterm.editing.stream_baseline import Baseline
from syncterm.editing.stream_editing import StreamEditing
from syncterm.engine import source_catalog
from syncterm.engine.clock import SystemClock
from syncterm.engine.model import SyncMode
from syncterm.engine.queries import Queries
from syncterm.engine.schema import Catalog, Field, LogicalType, StreamSchema
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import connectors, sources, streams
from syncterm.text import GLYPHS_UNICODE
from syncterm.widgets.stream_lines import StreamFacts, StreamLines

NOW = datetime(2026, 3, 4, tzinfo=UTC)
WINDOW = 40
"""Rows that a terminal shows."""


async def seed(database: Database, number: int, width: int) -> None:
    """A connector with all streams of a source selected and synced before."""
    columns = tuple(Field(f"column_{each:02}", LogicalType("int64"), native="bigint") for each in range(width - 1))
    columns += (Field("updated_at", LogicalType("timestamptz"), native="timestamp with time zone"),)
    found = [StreamSchema(f"public.table_{each:05}", columns, ("column_00",), ("updated_at",)) for each in range(number)]
    made = {"created_at": NOW, "created_by": "ana", "updated_at": NOW}
    async with database.write() as connection:
        await connection.execute(insert(sources).values(id="s", name="s", type="postgres", config="{}", version=1, **made))
        await connection.execute(insert(connectors).values(id="c", name="c", source_id="s", **made))
        await connection.execute(
            insert(streams),
            [
                {"connector_id": "c", "name": schema.name, "position": position, "sync_mode": SyncMode.INCREMENTAL_UPSERT}
                | {"primary_key": '["column_00"]', "cursor_field": "updated_at", "schema": schema.to_text()}
                for position, schema in enumerate(found)
            ],
        )
    await source_catalog.keep(database, "s", source_catalog.catalog_rows(Catalog(tuple(found))), NOW)


async def measure(number: int, width: int, rounds: int) -> dict[str, list[float]]:
    """What is measured → milliseconds of each round."""
    figures: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        database = await Database.open(Path(folder) / "syncterm.db", clock=SystemClock())
        await seed(database, number, width)
        queries = Queries(database, SystemClock())
        started = time.perf_counter()

        def lap(what: str) -> None:
            nonlocal started
            figures[what].append((time.perf_counter() - started) * 1000)
            started = time.perf_counter()

        for _ in range(rounds):
            started = time.perf_counter()
            await queries.connector("c")
            lap("read: the connector")
            found = await queries.connector_streams("c")
            lap("read: its list of streams")
            await queries.streams_with_column("c", "updated")
            lap("read: a search in all columns")
            schema = await queries.stream_schema("c", "public.table_02500")
            assert found is not None
            assert schema is not None
            lap("read: the columns of one stream")
            editing = StreamEditing(Baseline(found.entries, found.saved))
            lap("model: made")
            editing.learn(schema)
            names = editing.matching("table_025")
            lap("model: a search in all names")
            editing.set_sync_mode(names[:1], SyncMode.REPLACE)
            lap("model: one edit")
            editing.select([entry.name for entry in editing.entries], False)
            lap("model: everything left out")
            assert len(editing.changed) == number
            lap("model: what changed")
            editing.undo()
            lap("model: that undone")
            editing.rebase(Baseline(found.entries, found.saved))
            lap("model: saved anew by somebody else")
            assert not editing.troubled
            lap("model: what is wrong, in a thread")
            lines = StreamLines(GLYPHS_UNICODE, "table")
            for entry in editing.entries[:WINDOW]:
                lines.stream(editing, entry.name, StreamFacts(), opened=False, cells=120)
            lap(f"tree: {WINDOW} rows drawn")
        await database.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=5_000)
    parser.add_argument("--columns", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    figures = asyncio.run(measure(options.streams, options.columns, options.rounds))
    print(f"{options.streams:,} streams of {options.columns} columns, milliseconds (median of {options.rounds})")
    for what, values in figures.items():
        print(f"  {what:36} {statistics.median(values):8.1f}")


if __name__ == "__main__":
    main()
