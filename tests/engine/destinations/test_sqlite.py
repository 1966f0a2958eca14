"""SQLite: what is its own beside the contract."""

from __future__ import annotations

import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from syncterm.engine.destinations import sqlite
from syncterm.engine.destinations.sqlite_values import DECLARED_TYPES, affinity, declared_type, holds
from syncterm.engine.errors import CancelledSyncError, ConfigError, DestinationBusyError, SchemaChangedError
from syncterm.engine.model import SyncMode
from syncterm.engine.schema import parse_type
from tests.contracts.destination_harness import SQLiteHarness
from tests.contracts.loads import FIELDS, batch, fields, load, target

OLD = [(1, "one", 1), (2, "two", 2)]


@pytest.fixture
def harness(tmp_path: Path) -> SQLiteHarness:
    return SQLiteHarness(tmp_path)


def query(harness: SQLiteHarness, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(harness.path)) as connection:
        return connection.execute(sql).fetchall()


def test_the_file_is_its_owners_alone_and_nothing_lies_beside_it(harness: SQLiteHarness) -> None:
    load(harness.make(), target(), batch(OLD))
    assert stat.S_IMODE(harness.path.stat().st_mode) == 0o600
    assert list(harness.path.parent.iterdir()) == [harness.path]


def test_a_new_file_has_a_write_ahead_log_and_another_keeps_its_journal(harness: SQLiteHarness, tmp_path: Path) -> None:
    load(harness.make(), target(), batch(OLD))
    assert query(harness, "pragma journal_mode") == [("wal",)]
    theirs = SQLiteHarness(tmp_path / "theirs")
    theirs.path.parent.mkdir()
    theirs.make_foreign("users")
    load(theirs.make(), target(), batch(OLD))
    assert query(theirs, "pragma journal_mode") == [("delete",)]


def test_a_locked_file_is_waited_for_and_then_busy(harness: SQLiteHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    load(harness.make(), target(), batch(OLD))
    running = harness.make().open(target())
    running.write(iter([batch([(3, "three", 3)])]))
    monkeypatch.setattr(sqlite, "LOCK_WAIT", 0.0)
    with closing(sqlite3.connect(harness.path, isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(DestinationBusyError):
            running.commit(None)
        with pytest.raises(DestinationBusyError):
            harness.make().open(target())
    assert harness.rows("orders", FIELDS) == OLD


def test_the_wait_for_a_lock_can_be_interrupted(harness: SQLiteHarness) -> None:
    load(harness.make(), target(), batch(OLD))
    destination = harness.make()
    outcome: list[BaseException] = []

    def wait() -> None:
        try:
            destination.open(target())
        except BaseException as error:
            outcome.append(error)

    with closing(sqlite3.connect(harness.path, isolation_level=None)) as other:
        other.execute("begin immediate")
        thread = threading.Thread(target=wait)
        thread.start()
        destination.interrupt()
        thread.join(sqlite.LOCK_WAIT / 2)
        assert not thread.is_alive()
    assert [type(error) for error in outcome] == [CancelledSyncError]


def test_other_writers_are_not_kept_out_while_rows_arrive(harness: SQLiteHarness) -> None:
    load(harness.make(), target(), batch(OLD))
    running = harness.make().open(target(SyncMode.APPEND, stream="other", connector_id="other"))
    running.write(iter([batch([(3, "three", 3)])]))
    with closing(sqlite3.connect(harness.path, timeout=0)) as other, other:
        other.execute("update orders set note = 'changed' where id = 1")
    running.commit(None)
    assert harness.rows("orders", FIELDS) == [(1, "changed", 1), OLD[1], (3, "three", 3)]


def test_replace_keeps_the_indexes_of_others(harness: SQLiteHarness) -> None:
    load(harness.make(), target(), batch(OLD))
    query(harness, "create index theirs on orders (note)")
    load(harness.make(), target(), batch(OLD))
    assert query(harness, "select name from sqlite_schema where type = 'index' and name = 'theirs'") == [("theirs",)]


def test_the_key_index_follows_the_mode_and_the_key(harness: SQLiteHarness) -> None:
    def columns() -> list[tuple[object, ...]]:
        return query(harness, "select name from pragma_index_info('_syncterm_key_orders')")

    load(harness.make(), target(SyncMode.INCREMENTAL_UPSERT), batch(OLD), cursor="2")
    assert columns() == [("id",)]
    load(harness.make(), target(SyncMode.INCREMENTAL_UPSERT, primary_key=("note", "id")), batch(OLD), cursor="2")
    assert columns() == [("note",), ("id",)]
    load(harness.make(), target(SyncMode.APPEND), batch(OLD))
    assert columns() == []
    with pytest.raises(ConfigError, match="more than once"):
        load(harness.make(), target(SyncMode.INCREMENTAL_UPSERT), batch([(3, "three", 3)]), cursor="3")
    assert harness.rows("orders", FIELDS) == sorted(OLD + OLD, key=repr)


def test_two_collections_that_come_to_one_name_are_refused(harness: SQLiteHarness) -> None:
    load(harness.make(), target(collection="a", table="b__c"), batch(OLD))
    with pytest.raises(ConfigError, match="already used"):
        harness.make().open(target(SyncMode.APPEND, collection="a__b", table="c", connector_id="other"))


def test_names_that_sqlite_keeps_for_itself(harness: SQLiteHarness) -> None:
    with pytest.raises(ConfigError, match="sqlite_"):
        harness.make().open(target(table="SQLite_sequence"))


@pytest.mark.parametrize("content", [b"no database at all" * 1000])
def test_what_is_no_database_is_refused_and_left_alone(harness: SQLiteHarness, content: bytes) -> None:
    harness.path.write_bytes(content)
    with pytest.raises(ConfigError, match="not a SQLite database"):
        harness.make().open(target())
    assert harness.path.read_bytes() == content


def test_append_to_a_table_of_others(harness: SQLiteHarness) -> None:
    harness.make_foreign("orders")
    load(harness.make(), target(SyncMode.APPEND), batch(OLD))
    assert harness.rows("orders", FIELDS) == [(1, "kept", None), *OLD]
    with pytest.raises(ConfigError, match="not made by syncterm"):
        harness.make().open(target())
    wrong = fields(id="text", note="text", seen="int64")
    with pytest.raises(SchemaChangedError, match="bigint"):
        harness.make().open(target(SyncMode.APPEND, fields=wrong))


@pytest.mark.parametrize("name", [*DECLARED_TYPES, "decimal(18,2)"])
def test_no_declared_type_converts_its_values(name: str) -> None:
    logical = parse_type(name)
    expected = {"boolean": "NUMERIC", "binary": "BLOB"}
    if name.startswith(("int", "uint")):
        assert affinity(declared_type(logical)) == "INTEGER"
    elif name.startswith("float"):
        assert affinity(declared_type(logical)) == "REAL"
    else:
        assert affinity(declared_type(logical)) == expected.get(name, "TEXT")
    assert holds(declared_type(logical), logical)


@pytest.mark.parametrize(
    ("declared", "wanted", "expected"),
    [
        ("BIGINT", "int32", True),
        ("SMALLINT", "int64", False),
        ("bigint", "int64", True),
        ("varchar(10)", "text", True),
        ("varchar(10)", "decimal(9,2)", True),
        ("numeric", "int64", True),
        ("numeric", "text", False),
        ("", "text", True),
        ("real", "float64", True),
        ("real", "int64", False),
        ("JSON_TEXT", "text", False),
        ("TEXT", "json", True),
        ("DECIMAL_TEXT(18,2)", "decimal(10,2)", True),
        ("DECIMAL_TEXT(10,2)", "decimal(18,2)", False),
        ("DECIMAL_TEXT(99,2)", "text", True),
    ],
)
def test_which_column_holds_what(declared: str, wanted: str, expected: bool) -> None:
    assert holds(declared, parse_type(wanted)) is expected
