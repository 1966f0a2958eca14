"""DuckDB: what is its own beside the contract."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from syncterm.engine.adapters import AdapterContext, parse_config
from syncterm.engine.destinations.duckdb import DuckDBDestination
from syncterm.engine.destinations.duckdb_load import DuckDBLoad, holds
from syncterm.engine.errors import ConfigError, DestinationBusyError, SchemaChangedError
from syncterm.engine.model import SyncMode
from tests.contracts.destination_harness import DuckDBHarness
from tests.contracts.loads import FIELDS, batch, fields, load, target

OLD = [(1, "one", 1), (2, "two", 2)]


@pytest.fixture
def harness(tmp_path: Path) -> DuckDBHarness:
    return DuckDBHarness(tmp_path)


def test_the_file_is_its_owners_alone_and_nothing_lies_beside_it(harness: DuckDBHarness) -> None:
    load(harness.make(), target(), batch(OLD))
    assert stat.S_IMODE(harness.path.stat().st_mode) == 0o600
    assert list(harness.path.parent.iterdir()) == [harness.path]


def test_the_file_is_free_between_loads(harness: DuckDBHarness) -> None:
    destination = harness.make()
    load(destination, target(), batch(OLD))
    with duckdb.connect(str(harness.path), read_only=True) as connection:
        assert connection.execute("select count(*) from orders").fetchall() == [(2,)]
    destination.close()


def test_readers_in_the_same_process_see_the_old_rows_until_the_commit(harness: DuckDBHarness) -> None:
    load(harness.make(), target(), batch(OLD))
    with duckdb.connect(str(harness.path)) as reader:
        running = harness.make().open(target())
        running.write(iter([batch([(3, "three", 3)])]))
        assert reader.execute("select id from orders order by id").fetchall() == [(1,), (2,)]
        running.commit(None)
        assert reader.execute("select id from orders order by id").fetchall() == [(3,)]


def test_a_read_only_connection_of_the_same_process_is_said_to_be_in_the_way(harness: DuckDBHarness) -> None:
    load(harness.make(), target(), batch(OLD))
    with duckdb.connect(str(harness.path), read_only=True), pytest.raises(DestinationBusyError):
        harness.make().open(target())
    load(harness.make(), target(), batch(OLD))


def test_loads_of_two_streams_at_the_same_time(harness: DuckDBHarness) -> None:
    """Each waits, in the middle of its batches, until the other one is there too."""
    both = threading.Barrier(2, timeout=30)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        def batches() -> Iterator[pa.RecordBatch]:
            yield batch([(number, "first", 1)])
            both.wait()
            yield batch([(number + 10, "second", 2)])

        try:
            running = harness.make().open(target(stream=f"s{number}", table=f"t{number}"))
            running.write(batches())
            running.commit(None)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert harness.rows("t0", FIELDS) == [(0, "first", 1), (10, "second", 2)]
    assert harness.rows("t1", FIELDS) == [(1, "first", 1), (11, "second", 2)]
    assert set(harness.make().state("connector", "")) == {"s0", "s1"}


def test_loads_of_one_table_at_the_same_time_do_not_mix(harness: DuckDBHarness) -> None:
    load(harness.make(), target(), batch(OLD))
    first = harness.make().open(target())
    first.write(iter([batch([(3, "three", 3)])]))
    second = harness.make().open(target(SyncMode.APPEND, stream="other", connector_id="other"))
    second.write(iter([batch([(4, "four", 4)])]))
    first.commit(None)
    with pytest.raises(DestinationBusyError):
        second.commit(None)
    assert harness.rows("orders", FIELDS) == [(3, "three", 3)]
    assert harness.make().state("other", "") == {}


@pytest.mark.parametrize("content", [b"", b"no database at all" * 1000])
def test_what_is_no_database_is_refused_and_left_alone(harness: DuckDBHarness, content: bytes) -> None:
    harness.path.write_bytes(content)
    with pytest.raises(ConfigError, match="not a DuckDB database"):
        harness.make().open(target())
    assert harness.path.read_bytes() == content


def test_the_folder_must_exist(tmp_path: Path) -> None:
    harness = DuckDBHarness(tmp_path / "missing")
    with pytest.raises(ConfigError, match="does not exist"):
        list(harness.make().check())
    with pytest.raises(ConfigError, match="does not exist"):
        harness.make().open(target())


def test_the_products_own_files_are_never_a_target(harness: DuckDBHarness) -> None:
    context = AdapterContext(forbidden_paths=(harness.path,))
    destination = DuckDBDestination(parse_config(DuckDBDestination, harness.document()), context)
    with pytest.raises(ConfigError):
        destination.open(target())
    assert not harness.path.exists()


def test_a_load_reaches_no_other_file(harness: DuckDBHarness) -> None:
    running = harness.make().open(target())
    assert isinstance(running, DuckDBLoad)
    with pytest.raises(duckdb.PermissionException):
        running.connection.execute("select * from read_csv('/etc/passwd')")
    running.abort()


def test_append_to_a_table_of_others(harness: DuckDBHarness) -> None:
    """It is added to, where its columns can hold the values, but stays theirs."""
    harness.make_foreign("orders")
    load(harness.make(), target(SyncMode.APPEND), batch(OLD))
    assert harness.rows("orders", FIELDS) == [(1, "kept", None), *OLD]
    with pytest.raises(ConfigError, match="not made by syncterm"):
        harness.make().open(target())
    wrong = fields(id="text", note="text", seen="int64")
    with pytest.raises(SchemaChangedError, match="BIGINT"):
        harness.make().open(target(SyncMode.APPEND, fields=wrong))


@pytest.mark.parametrize(
    ("existing", "wanted", "expected"),
    [
        ("BIGINT", "BIGINT", True),
        ("BIGINT", "INTEGER", True),
        ("INTEGER", "BIGINT", False),
        ("HUGEINT", "UBIGINT", True),
        ("DOUBLE", "BIGINT", False),
        ("VARCHAR", "JSON", True),
        ("JSON", "VARCHAR", False),
        ("DECIMAL(18,2)", "DECIMAL(10,2)", True),
        ("DECIMAL(18,4)", "DECIMAL(16,2)", True),
        ("DECIMAL(18,4)", "DECIMAL(18,2)", False),
        ("DECIMAL(18,2)", "DECIMAL(18,3)", False),
        ("DECIMAL(18,2)", "BIGINT", False),
    ],
)
def test_which_column_holds_what(existing: str, wanted: str, expected: bool) -> None:
    assert holds(existing, wanted) is expected


def test_a_schema_named_like_the_file(tmp_path: Path) -> None:
    harness = DuckDBHarness(tmp_path)
    harness.path = tmp_path / "sales.duckdb"
    to = target(SyncMode.INCREMENTAL_UPSERT, collection="sales", table="sales")
    load(harness.make(), to, batch(OLD), cursor="2")
    load(harness.make(), to, batch([(2, "zwei", 3)]), cursor="3")
    with duckdb.connect(str(harness.path)) as connection:
        rows = connection.execute("select id, note from sales.sales.sales order by id").fetchall()
    assert rows == [(1, "one"), (2, "zwei")]
    assert harness.make().state("connector", "sales")["stream"].load == 2


def test_a_table_named_like_a_file_or_a_variable_is_not_looked_for_there(
    harness: DuckDBHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB reads files and Python's variables for names that it does not know."""
    monkeypatch.chdir(harness.path.parent)
    Path("theirs.csv").write_text("secret\n1\n")
    for table in ("theirs.csv", "harness", "OLD", "x\n.csv"):
        load(harness.make(), target(table=table, stream=table), batch(OLD))
        assert harness.rows(table, FIELDS) == OLD
