"""Records that are gone in the source, from each source into each destination: kept, marked or removed, and never too many."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncterm.engine.control import Control
from syncterm.engine.deletes import GUARD_RECORDS, GUARD_SHARE, refusal
from syncterm.engine.errors import CancelledSyncError, ConfigError, SourceUnavailableError
from syncterm.engine.model import DeleteHandling, RejectedRecord, StreamConfig, SyncMode
from syncterm.engine.sources.base import Source, SourceBatch
from tests.contracts.destination_harness import DestinationHarness, DuckDBHarness, FileHarness, SQLiteHarness
from tests.contracts.loads import FIELDS, fields
from tests.contracts.source_harness import Record, SourceHarness, SQLiteSourceHarness
from tests.contracts.syncing import sync

UPSERT = SyncMode.INCREMENTAL_UPSERT
HANDLINGS = [DeleteHandling.MARK, DeleteHandling.REMOVE]
MARKED = (*FIELDS, *fields(_deleted_at="timestamptz"))
BEFORE: list[Record] = [(1, "one", 10), (2, "two", 20), (3, "three", 30), (4, "four", 40)]
AFTER: list[Record] = [(2, "two", 20), (3, "drei", 50), (5, "five", 50)]
RETURNED: list[Record] = [(1, "one again", 60), *AFTER]


def held(destination: DestinationHarness, handling: DeleteHandling) -> tuple[list[Record], list[Record]]:
    """The records that count, and those that are marked."""
    if handling is not DeleteHandling.MARK:
        return destination.rows("orders", FIELDS) or [], []
    rows = destination.rows("orders", MARKED) or []
    return [row[:3] for row in rows if row[3] is None], [row[:3] for row in rows if row[3] is not None]


@pytest.mark.parametrize("handling", HANDLINGS)
def test_what_is_gone_is_marked_or_removed_and_may_come_back(
    source: SourceHarness, destination: DestinationHarness, handling: DeleteHandling
) -> None:
    source.fill(BEFORE)
    if not destination.make().capabilities.deletes:
        with pytest.raises(ConfigError, match="This destination cannot"):
            sync(source, destination, UPSERT, delete_handling=handling)
        assert destination.everything() == {}
        return
    assert sync(source, destination, UPSERT, delete_handling=handling).counts.deleted == 0
    source.fill(AFTER)
    second = sync(source, destination, UPSERT, delete_handling=handling)
    assert second.counts.balanced
    assert second.counts.deleted == 2
    gone = [BEFORE[0], BEFORE[3]] if handling is DeleteHandling.MARK else []
    assert held(destination, handling) == (AFTER, gone)
    shown = MARKED if handling is DeleteHandling.MARK else FIELDS
    rows = destination.rows("orders", shown)
    third = sync(source, destination, UPSERT, delete_handling=handling)
    assert (third.counts.deleted, third.counts.written) == (0, 0)
    assert destination.rows("orders", shown) == rows  # the instant of a mark is that of its first notice
    source.fill(RETURNED)
    sync(source, destination, UPSERT, delete_handling=handling)
    assert held(destination, handling) == (RETURNED, gone[1:])
    sync(source, destination, UPSERT, delete_handling=handling, full=True)
    assert held(destination, handling) == (RETURNED, [])


def test_a_mark_is_taken_off_though_the_record_that_came_back_is_below_the_cursor(source: SourceHarness, tmp_path: Path) -> None:
    destination = DuckDBHarness(tmp_path)
    for rows in (BEFORE, BEFORE[1:], BEFORE):
        source.fill(rows)
        sync(source, destination, UPSERT, delete_handling=DeleteHandling.MARK)
    assert held(destination, DeleteHandling.MARK) == (BEFORE, [])


@pytest.fixture(params=["duckdb", "sqlite", "postgres"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> DestinationHarness:
    """Every destination that can delete."""
    from tests.contracts.destination_harness import PostgresHarness

    folder = tmp_path / "table"
    folder.mkdir()
    if request.param == "postgres":
        return PostgresHarness(request.getfixturevalue("postgres_database"))
    return DuckDBHarness(folder) if request.param == "duckdb" else SQLiteHarness(folder)


@pytest.fixture
def shop(tmp_path: Path) -> SQLiteSourceHarness:
    return SQLiteSourceHarness(tmp_path)


def numbered(first: int, last: int) -> list[Record]:
    return [(number, f"record {number}", number) for number in range(first, last + 1)]


@pytest.mark.parametrize("handling", HANDLINGS)
def test_many_deletes_wait_for_approval(shop: SQLiteSourceHarness, table: DestinationHarness, handling: DeleteHandling) -> None:
    everything = numbered(1, 1000)
    shop.fill(everything)
    sync(shop, table, UPSERT, delete_handling=handling)
    shop.fill(numbered(300, 1000))
    loaded = sync(shop, table, UPSERT, delete_handling=handling)
    assert (loaded.counts.deleted, loaded.withheld) == (0, 299)
    assert "299 of the 1,000 records" in loaded.warnings[0]
    assert held(table, handling) == (sorted(everything, key=repr), [])
    too_few = sync(shop, table, UPSERT, delete_handling=handling, approved_deletes=98)
    assert (too_few.counts.deleted, too_few.withheld) == (0, 299)
    approved = sync(shop, table, UPSERT, delete_handling=handling, approved_deletes=299)
    assert (approved.counts.deleted, approved.withheld, approved.warnings) == (299, 0, ())
    assert held(table, handling)[0] == sorted(numbered(300, 1000), key=repr)


def test_the_handling_may_change(shop: SQLiteSourceHarness, table: DestinationHarness) -> None:
    for first, handling, expected in (
        (1, DeleteHandling.KEEP, (numbered(1, 20), [])),
        (3, DeleteHandling.KEEP, (numbered(1, 20), [])),
        (5, DeleteHandling.MARK, (numbered(5, 20), numbered(1, 4))),
        (7, DeleteHandling.REMOVE, (numbered(7, 20), [])),
        (8, DeleteHandling.MARK, (numbered(8, 20), numbered(7, 7))),
    ):
        shop.fill(numbered(first, 20))
        sync(shop, table, UPSERT, delete_handling=handling)
        assert held(table, handling) == (sorted(expected[0], key=repr), sorted(expected[1], key=repr))


@pytest.mark.parametrize(
    ("before", "after", "deleted"),
    [
        (60, 10, GUARD_RECORDS),  # most of a small table: no more than 50 records
        (60, 9, 0),
        (60, 0, 0),
        (1000, 800, 1000 * GUARD_SHARE // 100),  # no more than 20 %
        (1000, 799, 0),
    ],
)
def test_the_guard_needs_both_the_share_and_the_number(
    shop: SQLiteSourceHarness, table: DestinationHarness, before: int, after: int, deleted: int
) -> None:
    shop.fill(numbered(1, before))
    sync(shop, table, UPSERT, delete_handling=DeleteHandling.REMOVE)
    shop.fill(numbered(1, after))
    loaded = sync(shop, table, UPSERT, delete_handling=DeleteHandling.REMOVE)
    assert loaded.counts.deleted == deleted
    assert loaded.withheld == (0 if deleted else before - after)
    assert len(table.rows("orders", FIELDS) or []) == before - deleted


def test_keys_of_several_columns_and_awkward_texts(tmp_path: Path, table: DestinationHarness) -> None:
    path = tmp_path / "awkward.sqlite"
    keys = ["", " ", "'", '"', "a,b", "line\nbreak", "ünï", "\\N", "NULL", "A", "a"]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table orders (id bigint, note text, seen bigint)")
        connection.executemany("insert into orders values (?, ?, 1)", [(number, key) for number in (1, 2) for key in keys])
    shop = SQLiteSourceHarness(tmp_path)
    shop.path = path
    sync(shop, table, UPSERT, primary_key=("note", "id"), delete_handling=DeleteHandling.REMOVE)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("delete from orders where id = 2 and note in ('A', 'line\nbreak', '')")
    loaded = sync(shop, table, UPSERT, primary_key=("note", "id"), delete_handling=DeleteHandling.REMOVE)
    assert loaded.counts.deleted == 3
    left = {(row[0], row[1]) for row in table.rows("orders", FIELDS) or []}
    assert left == {(1, key) for key in keys} | {(2, key) for key in keys if key not in ("A", "line\nbreak", "")}


def test_a_record_that_the_row_filter_leaves_out_by_now_is_gone(shop: SQLiteSourceHarness, table: DestinationHarness) -> None:
    shop.fill(BEFORE)
    settings_: dict[str, Any] = {
        "delete_handling": DeleteHandling.REMOVE,
        "row_filter": "note <> 'closed'",
        "columns": ("id", "seen"),
    }
    sync(shop, table, UPSERT, **settings_)
    shop.fill([BEFORE[0], (2, "closed", 50), *BEFORE[2:]])
    loaded = sync(shop, table, UPSERT, **settings_)
    assert (loaded.counts.filtered, loaded.counts.deleted) == (2 - 1, 1)
    assert [row[0] for row in table.rows("orders", FIELDS[:1]) or []] == [1, 3, 4]


def test_where_a_record_could_not_be_read_nothing_is_deleted(shop: SQLiteSourceHarness, table: DestinationHarness) -> None:
    shop.fill(BEFORE)
    sync(shop, table, UPSERT, delete_handling=DeleteHandling.REMOVE)
    shop.fill(AFTER)
    with closing(sqlite3.connect(shop.path)) as connection, connection:
        connection.execute("insert into orders values ('not a number', 'odd', 60)")
    rejected: list[RejectedRecord] = []
    loaded = sync(shop, table, UPSERT, delete_handling=DeleteHandling.REMOVE, rejected=rejected)
    assert len(rejected) == 1
    assert loaded.counts.deleted == 0
    assert "1 records of stream 'orders' could not be read, so nothing was deleted" in loaded.warnings[0]
    assert table.rows("orders", FIELDS) == sorted([*BEFORE[:2], *AFTER[1:], BEFORE[3]], key=repr)


class Between:
    """A source that lets something happen between the reading of the records and the listing of the keys."""

    def __init__(self, shop: SQLiteSourceHarness, act: Callable[[], object]) -> None:
        self._shop, self._act = shop, act
        self.stream = shop.stream

    def make(self) -> Source:
        made, reads, act = self._shop.make(), 0, self._act
        read = made.read

        def acting(*arguments: Any) -> Iterator[SourceBatch]:
            nonlocal reads
            reads += 1
            if reads == 2:
                act()
            return read(*arguments)

        made.read = acting  # type: ignore[method-assign,assignment]
        return made


def test_a_record_that_came_in_between_is_not_deleted_and_one_that_went_is(
    shop: SQLiteSourceHarness, table: DestinationHarness
) -> None:
    shop.fill(BEFORE)
    sync(shop, table, UPSERT, delete_handling=DeleteHandling.REMOVE)

    def change() -> None:
        shop.fill([*BEFORE[1:], (6, "six", 60)])

    between: Any = Between(shop, change)
    loaded = sync(between, table, UPSERT, delete_handling=DeleteHandling.REMOVE)
    assert loaded.counts.deleted == 1
    assert table.rows("orders", FIELDS) == BEFORE[1:]
    assert sync(shop, table, UPSERT, delete_handling=DeleteHandling.REMOVE).counts.written == 1
    assert table.rows("orders", FIELDS) == [*BEFORE[1:], (6, "six", 60)]


def test_a_listing_that_fails_commits_nothing(shop: SQLiteSourceHarness, table: DestinationHarness) -> None:
    shop.fill(BEFORE)
    sync(shop, table, UPSERT, delete_handling=DeleteHandling.REMOVE)
    shop.fill(AFTER)

    def fail() -> None:
        raise SourceUnavailableError("gone")

    between: Any = Between(shop, fail)
    with pytest.raises(SourceUnavailableError):
        sync(between, table, UPSERT, delete_handling=DeleteHandling.REMOVE)
    assert table.rows("orders", FIELDS) == BEFORE
    assert sync(shop, table, UPSERT, delete_handling=DeleteHandling.REMOVE).counts.deleted == 2
    assert table.rows("orders", FIELDS) == AFTER


def test_a_sync_that_is_cancelled_while_it_lists_keys_commits_nothing(shop: SQLiteSourceHarness, table: DestinationHarness) -> None:
    shop.fill(BEFORE)
    sync(shop, table, UPSERT, delete_handling=DeleteHandling.REMOVE)
    shop.fill(AFTER)
    control = Control()
    between: Any = Between(shop, lambda: control.stop(CancelledSyncError("enough")))
    with pytest.raises(CancelledSyncError, match=r"enough|cancelled"):
        sync(between, table, UPSERT, delete_handling=DeleteHandling.REMOVE, control=control)
    assert table.rows("orders", FIELDS) == BEFORE


def test_records_of_others_in_the_same_table_are_never_taken_for_deleted(
    shop: SQLiteSourceHarness, table: DestinationHarness
) -> None:
    table.make_foreign("orders")
    shop.fill(BEFORE)
    with pytest.raises(ConfigError, match="was not made by syncterm"):
        sync(shop, table, UPSERT, delete_handling=DeleteHandling.REMOVE, columns=("id", "note", "seen"))
    sync(shop, table, UPSERT, table="shared", connector="other")
    with pytest.raises(ConfigError, match="fills it, too"):
        sync(shop, table, UPSERT, table="shared", delete_handling=DeleteHandling.MARK)


def test_a_stream_with_a_column_of_the_marks_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "marked.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table orders (id bigint, seen bigint, _deleted_at text)")
        connection.execute("insert into orders values (1, 1, null)")
    shop = SQLiteSourceHarness(tmp_path)
    shop.path = path
    with pytest.raises(ConfigError, match="_deleted_at"):
        sync(shop, DuckDBHarness(tmp_path), UPSERT, delete_handling=DeleteHandling.MARK)


STREAM = StreamConfig("orders", UPSERT, primary_key=("id",), cursor_field="seen", delete_handling=DeleteHandling.MARK)


@pytest.mark.parametrize(
    ("stream", "listed", "deletable", "why"),
    [
        (STREAM, True, True, None),
        (replace(STREAM, delete_handling=DeleteHandling.KEEP, sync_mode=SyncMode.APPEND), False, False, None),
        (replace(STREAM, sync_mode=SyncMode.REPLACE), True, True, "no record left to mark"),
        (replace(STREAM, sync_mode=SyncMode.REPLACE, delete_handling=DeleteHandling.REMOVE), False, False, None),
        (replace(STREAM, sync_mode=SyncMode.APPEND), True, True, "Appended records"),
        (replace(STREAM, sync_mode=SyncMode.INCREMENTAL_APPEND), True, True, "Appended records"),
        (replace(STREAM, primary_key=()), True, True, "primary key"),
        (STREAM, False, True, "source cannot list"),
        (STREAM, True, False, "destination cannot"),
    ],
)
def test_where_deletes_cannot_be_told_the_reason_is_said(
    stream: StreamConfig, listed: bool, deletable: bool, why: str | None
) -> None:
    found = refusal(stream, listed=listed, deletable=deletable)
    assert (found is None) if why is None else (found is not None and why in found)


def test_files_refuse_with_a_reason(shop: SQLiteSourceHarness, tmp_path: Path) -> None:
    shop.fill(BEFORE)
    with pytest.raises(ConfigError, match="cannot remove deleted records: This destination cannot delete or mark single records"):
        sync(shop, FileHarness(tmp_path, "parquet"), UPSERT, delete_handling=DeleteHandling.REMOVE)


# Property ------------------------------------------------------------------------------------------------------------------

_STEPS = st.lists(
    st.lists(st.tuples(st.sampled_from(["put", "put", "delete"]), st.integers(1, 12)), max_size=8), min_size=2, max_size=5
)


@pytest.mark.parametrize("handling", HANDLINGS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(steps=_STEPS)
def test_after_every_sync_the_destination_holds_what_the_source_does(
    tmp_path_factory: pytest.TempPathFactory, handling: DeleteHandling, steps: list[list[tuple[str, int]]]
) -> None:
    folder = tmp_path_factory.mktemp("property")
    shop, destination = SQLiteSourceHarness(folder), DuckDBHarness(folder)
    rows: dict[int, Record] = {}
    ever: set[int] = set()
    change = 0
    for step in steps:
        for action, key in step:
            change += 1
            if action == "put":
                rows[key] = (key, f"change {change}", change)
            else:
                rows.pop(key, None)
        shop.fill(list(rows.values()))
        loaded = sync(shop, destination, UPSERT, delete_handling=handling)
        ever |= set(rows)
        assert loaded.counts.balanced
        live, marked = held(destination, handling)
        assert live == sorted(rows.values(), key=repr)
        if handling is DeleteHandling.MARK:
            assert {row[0] for row in marked} == ever - set(rows)
