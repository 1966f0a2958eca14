"""PostgreSQL when something is wrong: passwords, ports, silent networks, broken connections, commits whose answer is lost."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from syncterm.engine import postgres_copy, postgres_session
from syncterm.engine.destinations.postgres import SIDE as DESTINATION_SIDE
from syncterm.engine.destinations.postgres import PostgresDestination
from syncterm.engine.errors import (
    AuthenticationError,
    CancelledSyncError,
    ConfigError,
    ConnectionTimeoutError,
    DestinationBusyError,
    DestinationError,
    DestinationUnavailableError,
    PermissionDeniedError,
    SchemaChangedError,
    SourceDataError,
    SourceUnavailableError,
    SynctermError,
)
from syncterm.engine.model import StreamConfig, SyncMode
from syncterm.engine.postgres import explain
from syncterm.engine.sources.postgres import SIDE as SOURCE_SIDE
from syncterm.engine.sources.postgres import PostgresSource
from tests.engine.postgres_samples import Background, batch, config, destination, endless, fields, load, source, target, wait_until
from tests.servers.postgres import PASSWORD, PostgresDatabase
from tests.servers.tcp_chaos import ChaosProxy, chaos_proxy

ITEM = fields(id="int64", name="text")
CANARY = "CANARY-7f3a"


@pytest.fixture
def proxy(postgres_database: PostgresDatabase) -> Iterator[ChaosProxy]:
    with chaos_proxy(postgres_database.host, postgres_database.port) as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs short enough for a test."""
    monkeypatch.setattr(postgres_session, "CONNECT_TIMEOUT", 1.0)
    monkeypatch.setattr(postgres_session, "READ_TIMEOUT", 1.0)
    monkeypatch.setattr(postgres_copy, "READ_TIMEOUT", 1.0)


def connections(database: PostgresDatabase) -> int:
    """How many of syncterm's connections the server still has."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'syncterm' AND datname = current_database()"
    count: int = database.query(sql)[0][0]
    return count


def big_table(database: PostgresDatabase) -> None:
    """About 60 MB: more than all the buffers between server and reader."""
    database.execute("CREATE TABLE big AS SELECT i AS id, repeat('x', 1000) AS name FROM generate_series(1, 60000) AS i")


def read_all(adapter: PostgresSource, name: str) -> int:
    stream = adapter.discover().stream(name)
    assert stream is not None
    pieces = adapter.read(StreamConfig(name, SyncMode.REPLACE), stream, stream.fields, None)
    return sum(piece.records.num_rows for piece in pieces)


# What a connection test finds


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize("make", [source, destination])
@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"password": CANARY}, AuthenticationError, "password authentication failed"),
        ({"password": None}, AuthenticationError, "password"),
        ({"user": "nobody_of_that_name", "password": CANARY}, AuthenticationError, "nobody_of_that_name"),
        ({"database": "nowhere"}, ConfigError, "nowhere"),
        ({"sslmode": "require"}, ConfigError, "offers no TLS"),
        ({"sslmode": "verify-full", "sslrootcert": "/nowhere/ca.pem"}, ConfigError, "/nowhere/ca.pem"),
    ],
)
def test_check_names_the_fault(
    postgres_database: PostgresDatabase, make: Any, changes: dict[str, Any], error: type[SynctermError], words: str
) -> None:
    adapter = make(postgres_database, **changes)
    with pytest.raises(error, match=words) as caught:
        list(adapter.check())
    adapter.close()
    assert CANARY not in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(("make", "error"), [(source, SourceUnavailableError), (destination, DestinationUnavailableError)])
def test_a_closed_port_is_named_with_its_remedy(postgres_database: PostgresDatabase, make: Any, error: type[SynctermError]) -> None:
    port = closed_port()
    adapter = make(postgres_database, port=port)
    with pytest.raises(error, match=f"127.0.0.1:{port}.*test_.*postgres") as caught:
        list(adapter.check())
    adapter.close()
    assert "listens" in caught.value.remedy
    assert caught.value.transient


@pytest.mark.parametrize("host", ["does-not-exist.invalid", "/nowhere"])
def test_an_unknown_host_is_named(postgres_database: PostgresDatabase, host: str) -> None:
    adapter = source(postgres_database, host=host)
    with pytest.raises(SourceUnavailableError, match=host):
        list(adapter.check())
    adapter.close()


def test_a_unix_socket_works(postgres_database: PostgresDatabase) -> None:
    adapter = source(postgres_database, host=str(postgres_database.socket_folder), password=None)
    assert len(list(adapter.check())) == 4
    adapter.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("make", [source, destination])
def test_a_silent_address_times_out(postgres_database: PostgresDatabase, proxy: ChaosProxy, make: Any) -> None:
    proxy.silent = True
    adapter = make(postgres_database, port=proxy.port)
    with pytest.raises(ConnectionTimeoutError, match=rf"127.0.0.1:{proxy.port}.*no connection within 1 s"):
        list(adapter.check())
    adapter.close()


def test_the_environment_changes_nothing(postgres_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGHOST": "x", "PGPASSWORD": PASSWORD, "PGSSLMODE": "verify-full", "PGDATABASE": "x"}.items():
        monkeypatch.setenv(name, value)
    adapter = source(postgres_database)
    assert len(list(adapter.check())) == 4
    adapter.close()
    adapter = source(postgres_database, password=None)
    with pytest.raises(AuthenticationError):
        list(adapter.check())
    adapter.close()


def test_missing_rights_are_named(postgres_database: PostgresDatabase) -> None:
    role = f"reader_{postgres_database.database}"
    postgres_database.execute(
        f"CREATE TABLE a (id int); CREATE TABLE b (id int); CREATE ROLE {role} LOGIN PASSWORD 'p'; CREATE SCHEMA closed"
    )
    try:
        adapter = source(postgres_database, user=role, password="p")
        with pytest.raises(PermissionDeniedError, match="none of the 2 tables of schema 'public': a, b"):
            list(adapter.check())
        with pytest.raises(PermissionDeniedError, match="permission denied for table a"):
            read_all(adapter, "a")
        postgres_database.execute(f"GRANT SELECT ON a TO {role}; ALTER TABLE a ENABLE ROW LEVEL SECURITY")
        detail = list(adapter.check())[-1].detail
        assert "1 of 2 tables can be read" in detail
        assert "no right to read b" in detail
        assert "row-level security hides rows of a" in detail
        adapter.close()
        for schema, error in (("closed", PermissionDeniedError), ("missing", ConfigError)):
            adapter = source(postgres_database, user=role, password="p", schema=schema)
            with pytest.raises(error, match=schema):
                list(adapter.check())
            adapter.close()
    finally:
        postgres_database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


# Interrupts: another thread ends what hangs


@pytest.mark.parametrize("make", [source, destination])
def test_interrupt_ends_a_connection_attempt(postgres_database: PostgresDatabase, proxy: ChaosProxy, make: Any) -> None:
    proxy.silent = True
    adapter = make(postgres_database, port=proxy.port)
    checking = Background(lambda: list(adapter.check()))
    assert proxy.accepted.wait(20)
    adapter.interrupt()
    assert isinstance(checking.wait(), CancelledSyncError)
    adapter.close()


def test_interrupt_ends_a_read_from_a_network_gone_silent(postgres_database: PostgresDatabase, proxy: ChaosProxy) -> None:
    big_table(postgres_database)
    proxy.stall_after = 10_000_000
    adapter = source(postgres_database, port=proxy.port)
    reading = Background(lambda: read_all(adapter, "big"))
    assert proxy.stalled.wait(20)
    adapter.interrupt()
    assert isinstance(reading.wait(), CancelledSyncError)
    adapter.close()
    proxy.close()
    wait_until(lambda: connections(postgres_database) == 0)


def test_interrupt_cancels_the_query_on_the_server(postgres_database: PostgresDatabase) -> None:
    postgres_database.execute("CREATE VIEW slow AS SELECT 1 AS id FROM (SELECT pg_sleep(600)) AS pause")
    adapter = source(postgres_database)
    reading = Background(lambda: read_all(adapter, "slow"))
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    wait_until(lambda: postgres_database.query(sleeping) == [(1,)])
    adapter.interrupt()
    assert isinstance(reading.wait(), CancelledSyncError)
    wait_until(lambda: postgres_database.query(sleeping) == [(0,)])
    adapter.close()


def test_interrupt_before_the_first_call(postgres_database: PostgresDatabase) -> None:
    adapter = source(postgres_database)
    adapter.interrupt()
    with pytest.raises(CancelledSyncError):
        adapter.discover()
    adapter.close()
    adapter.close()


def test_a_read_that_is_given_up_leaves_no_connection(postgres_database: PostgresDatabase) -> None:
    big_table(postgres_database)
    adapter = source(postgres_database)
    stream = adapter.discover().stream("big")
    assert stream is not None
    pieces = adapter.read(StreamConfig("big", SyncMode.REPLACE), stream, stream.fields, None)
    next(pieces)
    assert connections(postgres_database) == 1
    pieces.close()  # type: ignore[attr-defined]
    wait_until(lambda: connections(postgres_database) == 0)
    adapter.close()


def test_interrupt_ends_a_write(postgres_database: PostgresDatabase) -> None:
    adapter = destination(postgres_database)
    loading = adapter.open(target(ITEM))
    writing = Background(lambda: loading.write(endless(batch(ITEM, *((number, "x" * 500) for number in range(1000))))))
    copying = "SELECT count(*) FROM pg_stat_progress_copy WHERE tuples_processed > 1000"
    wait_until(lambda: postgres_database.query(copying) == [(1,)])
    adapter.interrupt()
    assert isinstance(writing.wait(), CancelledSyncError)
    loading.abort()
    adapter.close()
    wait_until(lambda: connections(postgres_database) == 0)
    assert postgres_database.query(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'out'::regnamespace AND relkind = 'r'"
    ) == [("_syncterm_state",)]


def test_interrupt_ends_a_write_to_a_network_gone_silent(postgres_database: PostgresDatabase, proxy: ChaosProxy) -> None:
    adapter = destination(postgres_database, port=proxy.port)
    loading = adapter.open(target(ITEM))
    item = batch(ITEM, *((number, "x" * 500) for number in range(10_000)))

    def stalling() -> Iterator[Any]:
        yield item
        proxy.stall_after = 0
        yield from endless(item)

    writing = Background(lambda: loading.write(stalling()))
    wait_until(lambda: proxy.stall_after == 0)
    adapter.interrupt()
    assert isinstance(writing.wait(), CancelledSyncError)
    loading.abort()
    adapter.close()


# Time-outs and broken connections


@pytest.mark.usefixtures("impatient")
def test_a_server_that_sends_nothing_more_times_out(postgres_database: PostgresDatabase, proxy: ChaosProxy) -> None:
    big_table(postgres_database)
    proxy.stall_after = 10_000_000
    adapter = source(postgres_database, port=proxy.port)
    with pytest.raises(ConnectionTimeoutError, match=r"no byte came for 1 s"):
        read_all(adapter, "big")
    adapter.close()


@pytest.mark.usefixtures("impatient")
def test_a_slow_reader_is_not_a_silent_server(postgres_database: PostgresDatabase) -> None:
    """The limit counts while the server is waited for, not while the destination is."""
    big_table(postgres_database)
    adapter = source(postgres_database)
    stream = adapter.discover().stream("big")
    assert stream is not None
    pieces = adapter.read(StreamConfig("big", SyncMode.REPLACE), stream, stream.fields, None)
    count = next(pieces).records.num_rows
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event = 'ClientWrite' AND now() - state_change > '1.5 s'"
    )
    wait_until(lambda: postgres_database.query(waiting) == [(1,)])
    assert count + sum(piece.records.num_rows for piece in pieces) == 60_000
    adapter.close()


@pytest.mark.usefixtures("impatient")
def test_a_server_that_takes_nothing_more_times_out(postgres_database: PostgresDatabase, proxy: ChaosProxy) -> None:
    adapter = destination(postgres_database, port=proxy.port)
    loading = adapter.open(target(ITEM))
    proxy.stall_after = 0
    with pytest.raises(ConnectionTimeoutError):
        loading.write(endless(batch(ITEM, *((number, "x" * 500) for number in range(10_000)))))
    loading.abort()
    adapter.close()


@pytest.mark.parametrize("size", [5_000, 100_000, 5_000_000, 20_000_000])
def test_a_connection_that_breaks_while_reading_is_worth_another_try(
    postgres_database: PostgresDatabase, proxy: ChaosProxy, size: int
) -> None:
    big_table(postgres_database)
    proxy.reset_after = size
    adapter = source(postgres_database, port=proxy.port)
    with pytest.raises(SourceUnavailableError, match=f"127.0.0.1:{proxy.port}") as caught:
        read_all(adapter, "big")
    assert caught.value.transient
    proxy.reset_after = None
    assert read_all(adapter, "big") == 60_000
    adapter.close()


def test_a_server_that_ends_the_session_is_worth_another_try(postgres_database: PostgresDatabase) -> None:
    big_table(postgres_database)
    adapter = source(postgres_database)
    stream = adapter.discover().stream("big")
    assert stream is not None
    pieces = adapter.read(StreamConfig("big", SyncMode.REPLACE), stream, stream.fields, None)
    next(pieces)
    postgres_database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'syncterm'")
    with pytest.raises(SourceUnavailableError):
        list(pieces)
    adapter.close()


# The answer to COMMIT is lost


def lossy(postgres_database: PostgresDatabase, proxy: ChaosProxy) -> tuple[PostgresDestination, Any]:
    adapter = destination(postgres_database, port=proxy.port)
    load(adapter, target(ITEM, SyncMode.INCREMENTAL_APPEND, sync_id="s1"), (1, "a"), cursor="1")
    loading = adapter.open(target(ITEM, SyncMode.INCREMENTAL_APPEND, sync_id="s2"))
    loading.write(iter([batch(ITEM, (2, "b"))]))
    return adapter, loading


def test_a_commit_whose_answer_is_lost_is_found_in_the_state(postgres_database: PostgresDatabase, proxy: ChaosProxy) -> None:
    adapter, loading = lossy(postgres_database, proxy)
    proxy.lose_answer_to = b"COMMIT"
    with pytest.raises(DestinationUnavailableError, match="answer to COMMIT was lost"):
        loading.commit("2")
    adapter.close()
    again = destination(postgres_database)
    state = again.state("c1", "out")["items"]
    again.close()
    assert (state.sync_id, state.cursor, state.load) == ("s2", "2", 2)
    assert sorted(postgres_database.query("SELECT id FROM out.items")) == [(1,), (2,)]


def test_a_commit_that_never_arrived_is_not(postgres_database: PostgresDatabase, proxy: ChaosProxy) -> None:
    adapter, loading = lossy(postgres_database, proxy)
    proxy.lose_message = b"COMMIT"
    with pytest.raises(DestinationUnavailableError, match="answer to COMMIT was lost"):
        loading.commit("2")
    adapter.close()
    again = destination(postgres_database)
    state = again.state("c1", "out")["items"]
    again.close()
    assert (state.sync_id, state.cursor, state.load) == ("s1", "1", 1)
    assert postgres_database.query("SELECT id FROM out.items") == [(1,)]


def test_state_waits_for_a_commit_that_is_under_way(postgres_database: PostgresDatabase) -> None:
    """Neither answer would be safe: the load may still be committed or not."""
    adapter = destination(postgres_database)
    load(adapter, target(ITEM, sync_id="s1"), (1, "a"))
    loading = adapter.open(target(ITEM, sync_id="s2"))
    loading.write(iter([]))
    asking: list[Background] = []
    end = loading._end_transaction

    def ask_and_end() -> None:
        asking.append(Background(lambda: adapter.state("c1", "out")))
        blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR SHARE%'"
        wait_until(lambda: postgres_database.query(blocked) == [(1,)])
        end()

    loading._end_transaction = ask_and_end  # type: ignore[method-assign]
    loading.commit(None)
    assert asking[0].wait() is None
    assert asking[0].result["items"].sync_id == "s2"
    adapter.close()


# What a SQLSTATE means


@pytest.mark.parametrize(
    ("error", "at_source", "at_destination"),
    [
        (asyncpg.DeadlockDetectedError, SourceUnavailableError, DestinationUnavailableError),
        (asyncpg.SerializationError, SourceUnavailableError, DestinationUnavailableError),
        (asyncpg.TooManyConnectionsError, SourceUnavailableError, DestinationUnavailableError),
        (asyncpg.CannotConnectNowError, SourceUnavailableError, DestinationUnavailableError),
        (asyncpg.AdminShutdownError, SourceUnavailableError, DestinationUnavailableError),
        (asyncpg.QueryCanceledError, SourceUnavailableError, DestinationUnavailableError),
        (asyncpg.LockNotAvailableError, SourceUnavailableError, DestinationBusyError),
        (asyncpg.DiskFullError, SourceDataError, DestinationError),
        (asyncpg.UndefinedTableError, SchemaChangedError, DestinationError),
        (asyncpg.DivisionByZeroError, SourceDataError, DestinationError),
        (asyncpg.InsufficientPrivilegeError, PermissionDeniedError, PermissionDeniedError),
        (asyncpg.InvalidAuthorizationSpecificationError, AuthenticationError, AuthenticationError),
    ],
)
def test_explain(
    postgres_database: PostgresDatabase,
    error: type[asyncpg.PostgresError],
    at_source: type[SynctermError],
    at_destination: type[SynctermError],
) -> None:
    settings = config(postgres_database)
    for side, expected in ((SOURCE_SIDE, at_source), (DESTINATION_SIDE, at_destination)):
        found = explain(error("the server's words"), settings, side)
        assert type(found) is expected
        assert "the server's words" in found.message
        assert settings.place in found.message
