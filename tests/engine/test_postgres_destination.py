"""The PostgreSQL destination against a real server: modes, ownership, fencing, and what readers see."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncterm.engine.destinations.base import STATE_TABLE
from syncterm.engine.destinations.postgres import PostgresDestination
from syncterm.engine.errors import (
    ConfigError,
    DestinationError,
    DestinationUnavailableError,
    PermissionDeniedError,
    SchemaChangedError,
    StaleEpochError,
)
from syncterm.engine.model import RejectedRecord, StreamConfig, SyncMode
from syncterm.engine.schema import Field, parse_type
from tests.engine.postgres_samples import Background, batch, destination, fields, load, load_type_edge, read, source, target
from tests.servers.postgres import PostgresDatabase, in_thread

ITEM = fields(id="int64", name="text")
UPSERT = SyncMode.INCREMENTAL_UPSERT
APPEND = SyncMode.INCREMENTAL_APPEND


@pytest.fixture
def out(postgres_database: PostgresDatabase) -> Iterator[PostgresDestination]:
    adapter = destination(postgres_database)
    yield adapter
    adapter.close()


def items(database: PostgresDatabase, columns: str = "id, name", table: str = "out.items") -> list[tuple[Any, ...]]:
    return sorted(database.query(f"SELECT {columns} FROM {table}"), key=str)


def tables(database: PostgresDatabase) -> set[str]:
    return {
        name for (name,) in database.query("SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace('out')::oid")
    }


# Modes


def test_replace_puts_the_new_rows_in_place_of_the_old(postgres_database: PostgresDatabase, out: PostgresDestination) -> None:
    assert load(out, target(ITEM), (1, "a"), (2, None)).written == 2
    assert load(out, target(ITEM), (3, "")).written == 1
    assert items(postgres_database) == [(3, "")]
    assert tables(postgres_database) == {"items", STATE_TABLE, f"{STATE_TABLE}_pkey"}


@pytest.mark.parametrize("mode", [SyncMode.APPEND, APPEND])
def test_append_adds(postgres_database: PostgresDatabase, out: PostgresDestination, mode: SyncMode) -> None:
    load(out, target(ITEM, mode), (1, "a"))
    load(out, target(ITEM, mode), (1, "a"), (2, "b"))
    assert items(postgres_database) == [(1, "a"), (1, "a"), (2, "b")]


def test_full_append_replaces(postgres_database: PostgresDatabase, out: PostgresDestination) -> None:
    load(out, target(ITEM, APPEND), (1, "a"))
    load(out, target(ITEM, APPEND, full=True), (2, "b"))
    assert items(postgres_database) == [(2, "b")]


@pytest.mark.parametrize("full", [False, True])
def test_upsert_keeps_the_latest_version_of_each_key(
    postgres_database: PostgresDatabase, out: PostgresDestination, full: bool
) -> None:
    """The highest cursor wins, NULL is the lowest; among equals the row read last."""
    versions = fields(id="int64", at="int64", name="text")
    first = target(versions, UPSERT, cursor_field="at")
    load(out, first, (1, 1, "old"), (2, 1, "kept"))
    records = [(1, 5, "a"), (1, 9, "highest"), (1, 9, "last"), (1, None, "null"), (3, 2, "x"), (3, 1, "late")]
    result = load(out, target(versions, UPSERT, cursor_field="at", full=full), *records)
    assert (result.written, result.superseded) == (2, 4)
    kept = [] if full else [(2, 1, "kept")]
    assert items(postgres_database, "id, at, name") == [(1, 9, "last"), *kept, (3, 2, "x")]
    load(out, first, (3, 3, "again"))
    assert items(postgres_database, "id, at, name") == [(1, 9, "last"), *kept, (3, 3, "again")]


def test_upsert_of_keys_alone(postgres_database: PostgresDatabase, out: PostgresDestination) -> None:
    keys = fields(a="int64", b="text")
    where = target(keys, UPSERT, primary_key=("b", "a"))
    assert load(out, where, (1, "x"), (1, "x"), (2, "x")).written == 2
    assert load(out, where, (1, "x"), (3, "x")).written == 2
    assert items(postgres_database, "a, b") == [(1, "x"), (2, "x"), (3, "x")]


def test_the_last_of_many_rows_with_one_key_wins(postgres_database: PostgresDatabase, out: PostgresDestination) -> None:
    loading = out.open(target(ITEM, UPSERT))
    loading.write(batch(ITEM, *((1, f"{number}-{index}" + "x" * (index % 500)) for index in range(2000))) for number in range(5))
    assert loading.commit(None).superseded == 9999
    assert items(postgres_database, "left(name, 6)") == [("4-1999",)]


def test_an_empty_load_makes_the_table(postgres_database: PostgresDatabase, out: PostgresDestination) -> None:
    for mode in (SyncMode.REPLACE, SyncMode.APPEND, UPSERT):
        loading = out.open(target(ITEM, mode, table=mode.value, stream=mode.value))
        loading.write(iter([]))
        assert loading.commit(None).written == 0
        assert items(postgres_database, table=f"out.{mode.value}") == []


def test_a_stream_without_columns_makes_an_empty_table(postgres_database: PostgresDatabase, out: PostgresDestination) -> None:
    loading = out.open(target(()))
    loading.write(iter([]))
    assert loading.commit(None).written == 0
    assert postgres_database.query("SELECT count(*) FROM out.items") == [(0,)]


# Values

VALUES = fields(
    boolean="boolean", small="int16", whole="int32", big="int64", unsigned="uint64", single="float32", double="float64",
    words="text", octets="binary", day="date", clock="time", moment="timestamp", instant="timestamptz", document="json",
    identity="uuid", amount="decimal(38,10)",
)  # fmt: skip

_text = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
_moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31))
_record = st.tuples(
    *(
        st.none() | strategy
        for strategy in (
            st.booleans(),
            st.integers(-(2**15), 2**15 - 1),
            st.integers(-(2**31), 2**31 - 1),
            st.integers(-(2**63), 2**63 - 1),
            st.integers(0, 2**64 - 1),
            st.floats(width=32, allow_nan=False),
            st.floats(allow_nan=False),
            _text | st.sampled_from(["", "\\N", "\\.", '"', "\r\n", "NULL", "\ufeff", "a,b"]),
            st.binary(max_size=20),
            st.dates(date(1, 1, 1), date(9999, 12, 31)),
            st.times(),
            _moments,
            _moments.map(lambda moment: moment.isoformat() + "Z"),
            st.sampled_from(["null", "[]", '{"a": "\\u0000"}', " 1e400 "]),
            st.uuids().map(str),
            st.decimals(-(10**27), 10**27, places=10),
        )
    )
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(_record, max_size=8), mode=st.sampled_from([SyncMode.REPLACE, SyncMode.APPEND]))
def test_every_value_comes_back(
    postgres_database: PostgresDatabase, out: PostgresDestination, records: list[tuple[Any, ...]], mode: SyncMode
) -> None:
    """Arrow → PostgreSQL → Arrow."""
    import pyarrow as pa

    instant = VALUES.index(next(field for field in VALUES if field.name == "instant"))
    typed = [
        tuple(datetime.fromisoformat(value) if index == instant and value else value for index, value in enumerate(record))
        for record in records
    ]
    handed = batch(VALUES, *typed)
    postgres_database.execute("DROP SCHEMA IF EXISTS out CASCADE")
    loading = out.open(target(VALUES, mode))
    loading.write(iter([handed.slice(0, 3), handed.slice(3)]))
    loading.commit(None)
    reader = source(postgres_database, schema="out")
    try:
        stream = reader.discover().stream("items")
        assert stream is not None
        batches = read(reader, stream, fields=VALUES, casts={"unsigned": "uint64"})
    finally:
        reader.close()
    assert not [fault for piece in batches for fault in piece.rejected]
    back = pa.Table.from_batches([piece.records for piece in batches], handed.schema)
    assert back.equals(pa.Table.from_batches([handed]))


def test_type_edge_lands_exactly_or_is_rejected(postgres_database: PostgresDatabase, out: PostgresDestination) -> None:
    """PostgreSQL → PostgreSQL: the same types, and the same text of every row that could be carried."""
    load_type_edge(postgres_database)
    reader = source(postgres_database, schema="type_edge")
    try:
        for stream in reader.discover().streams:
            where = target(stream.fields, table=stream.name, stream=stream.name)
            loading = out.open(where)
            rejected: list[RejectedRecord] = []
            handed = 0
            pieces = []
            for piece in reader.read(StreamConfig(stream.name, SyncMode.REPLACE), stream, stream.fields, None):
                records, refused = loading.accept(piece.records)
                assert not refused
                rejected += piece.rejected
                handed += records.num_rows
                pieces.append(records)
            loading.write(iter(pieces))
            assert loading.commit(None).written == handed
            if stream.name == "edge":
                assert handed + len(rejected) == 20
    finally:
        reader.close()
    ours = dict(postgres_database.query("SELECT id, edge::text FROM out.edge"))
    theirs = dict(postgres_database.query("SELECT id, edge::text FROM type_edge.edge"))
    assert ours == {row: theirs[row] for row in set(theirs) - {4, 13, 14, 15, 16}}
    types = (
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = '{}.edge'::regclass AND attnum > 0"
    )
    kept, original = (dict(postgres_database.query(types.format(schema))) for schema in ("out", "type_edge"))
    changed = {name for name, type_ in kept.items() if type_ != original[name]}
    assert changed == {"c_money", "c_enum", "c_domain", "c_comp", "c_enum_arr", "c_frange", "c_regclass"}
    assert {kept[name] for name in changed} == {"text", "integer"}
    names = ("orders", '"Orders"', '"ORDERS"', '"Weird.Table ""name"" [red]"')
    assert [items(postgres_database, "id", f"out.{name}") for name in names] == [[(1,)], [(2,)], [(3,)], [(1,)]]
    assert postgres_database.query("SELECT c1, c2, c1600 FROM out.wide_1600") == [(1, None, 2)]


def test_what_postgresql_cannot_store_is_split_off(out: PostgresDestination) -> None:
    columns = (
        Field("id", parse_type("int64")),
        Field("short", parse_type("text"), native="character varying(3)"),
        Field("document", parse_type("json")),
    )
    loading = out.open(target(columns, UPSERT))
    records = batch(
        columns, (1, "abc", "{}"), (2, "a\0c", "{}"), (3, "abcd", "{}"), (None, "", "1"), (5, None, "{"), (6, "ééé", "NaN")
    )
    kept, rejected = loading.accept(records)
    assert kept.column("id").to_pylist() == [1]
    assert [(fault.key, fault.code) for fault in rejected] == [
        ('{"id": 2}', "nul_character"),
        ('{"id": 3}', "too_long"),
        ('{"id": null}', "null_key"),
        ('{"id": 5}', "not_json"),
        ('{"id": 6}', "not_json"),
    ]
    loading.abort()


# What readers see


def test_readers_see_the_old_rows_until_the_commit(postgres_database: PostgresDatabase, out: PostgresDestination) -> None:
    load(out, target(ITEM), (1, "old"))
    loading = out.open(target(ITEM))
    loading.write(iter([batch(ITEM, (2, "new"))]))
    assert items(postgres_database) == [(1, "old")]
    loading.commit(None)
    assert items(postgres_database) == [(2, "new")]


@pytest.mark.parametrize(
    ("dependent", "proof"),
    [
        ("CREATE VIEW out.v AS SELECT id FROM out.items", "SELECT id FROM out.v"),
        ("CREATE MATERIALIZED VIEW out.m AS SELECT id FROM out.items", "REFRESH MATERIALIZED VIEW out.m; SELECT id FROM out.m"),
        ("CREATE INDEX by_name ON out.items (name)", "SELECT 2::bigint FROM pg_indexes WHERE indexname = 'by_name'"),
        ("COMMENT ON TABLE out.items IS 'ours'", "SELECT 2::bigint WHERE obj_description('out.items'::regclass) = 'ours'"),
        (
            "ALTER TABLE out.items ENABLE ROW LEVEL SECURITY",
            "SELECT 2::bigint FROM pg_class WHERE relname = 'items' AND relrowsecurity",
        ),
        ("CREATE FUNCTION out.f(\"out\".items) RETURNS bigint LANGUAGE sql AS 'SELECT $1.id'", "SELECT out.f(i) FROM out.items i"),
        ("GRANT SELECT ON out.items TO PUBLIC", "SELECT 2::bigint WHERE has_table_privilege('pg_monitor', 'out.items', 'SELECT')"),
    ],
)
@pytest.mark.parametrize("mode", [SyncMode.REPLACE, UPSERT])
def test_what_depends_on_a_table_outlives_its_replacement(
    postgres_database: PostgresDatabase, out: PostgresDestination, dependent: str, proof: str, mode: SyncMode
) -> None:
    load(out, target(ITEM, mode, full=True), (1, "old"))
    postgres_database.execute(dependent)
    more = fields(id="int64", name="text", extra="int64")
    load(out, target(more, mode, full=True), (2, "new", 5))
    assert items(postgres_database, "id, name, extra") == [(2, "new", 5)]
    *before, last = proof.split("; ")
    for statement in before:
        postgres_database.execute(statement)
    assert postgres_database.query(last) == [(2,)]
    if mode is UPSERT:
        load(out, target(more, mode), (2, "newer", 6))
        assert items(postgres_database, "id, name, extra") == [(2, "newer", 6)]


def test_a_replacement_that_others_depend_on_must_fit(postgres_database: PostgresDatabase, out: PostgresDestination) -> None:
    load(out, target(ITEM), (1, "old"))
    postgres_database.execute("CREATE VIEW out.v AS SELECT id FROM out.items")
    with pytest.raises(SchemaChangedError, match="other objects depend on it"):
        load(out, target(fields(id="text", name="text")), ("x", "new"))
    assert items(postgres_database) == [(1, "old")]


def test_a_failed_write_leaves_nothing(postgres_database: PostgresDatabase, out: PostgresDestination) -> None:
    load(out, target(ITEM), (1, "old"))
    before = tables(postgres_database)

    def failing() -> Iterator[Any]:
        yield batch(ITEM, (2, "new"))
        raise LookupError("the source went away")

    for mode in (SyncMode.REPLACE, SyncMode.APPEND, UPSERT):
        loading = out.open(target(ITEM, mode))
        with pytest.raises(LookupError, match="the source went away"):
            loading.write(failing())
        loading.abort()
        loading.abort()
    assert items(postgres_database) == [(1, "old")]
    assert tables(postgres_database) == before


@pytest.mark.parametrize("mode", [SyncMode.REPLACE, SyncMode.APPEND, UPSERT])
def test_a_crash_between_stage_and_commit_leaves_nothing(postgres_database: PostgresDatabase, mode: SyncMode) -> None:
    crashing = destination(postgres_database)
    load(crashing, target(ITEM, mode), (1, "old"), cursor="before")
    before = tables(postgres_database)
    loading = crashing.open(target(ITEM, mode, sync_id="s2"))
    loading.write(iter([batch(ITEM, (1, "new"), (2, "new"))]))
    postgres_database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'syncterm'")
    with pytest.raises(DestinationUnavailableError):
        loading.commit("after")
    loading.abort()
    crashing.close()
    survivor = destination(postgres_database)
    state = survivor.state("c1", "out")["items"]
    survivor.close()
    assert (state.sync_id, state.cursor, state.load) == ("s1", "before", 1)
    assert items(postgres_database) == [(1, "old")]
    assert tables(postgres_database) == before


# State and fencing


def test_state_is_what_was_committed(postgres_database: PostgresDatabase, out: PostgresDestination) -> None:
    assert out.state("c1", "out") == {}
    assert postgres_database.query("SELECT to_regnamespace('out')::text") == [(None,)]
    loading = out.open(target(ITEM, epoch=3))
    assert out.state("c1", "out") == {}
    loading.write(iter([]))
    loading.commit('{"value": "a\'b\\\\c"}')
    load(out, target(ITEM, stream="other", table="other"), cursor=None)
    load(out, target(ITEM, stream="other", table="other2", connector_id="c2"), cursor=None)
    state = out.state("c1", "out")
    assert set(state) == {"items", "other"}
    assert (state["items"].epoch, state["items"].sync_id, state["items"].load) == (3, "s1", 1)
    assert state["items"].cursor == '{"value": "a\'b\\\\c"}'
    assert state["other"].cursor is None
    out.release("c1", "out")
    assert out.state("c1", "out") == {}
    assert set(out.state("c2", "out")) == {"other"}


def test_release_of_nothing_makes_nothing(postgres_database: PostgresDatabase, out: PostgresDestination) -> None:
    out.release("c1", "nowhere")
    assert postgres_database.query("SELECT to_regnamespace('nowhere')::text") == [(None,)]


def test_an_older_engine_can_neither_open_nor_commit(postgres_database: PostgresDatabase, out: PostgresDestination) -> None:
    load(out, target(ITEM), (1, "old"))
    frozen = out.open(target(ITEM, epoch=1))
    frozen.write(iter([batch(ITEM, (2, "frozen"))]))
    newer = out.open(target(ITEM, epoch=2, sync_id="s2"))
    with pytest.raises(StaleEpochError, match="epoch 2"):
        frozen.commit("stale")
    with pytest.raises(StaleEpochError):
        out.open(target(ITEM, epoch=1))
    assert items(postgres_database) == [(1, "old")]
    newer.write(iter([batch(ITEM, (3, "newer"))]))
    newer.commit("good")
    assert items(postgres_database) == [(3, "newer")]
    assert out.state("c1", "out")["items"].cursor == "good"


def test_of_two_loads_that_overlap_one_is_committed(postgres_database: PostgresDatabase, out: PostgresDestination) -> None:
    load(out, target(ITEM, APPEND))
    first, second = out.open(target(ITEM, APPEND, sync_id="first")), out.open(target(ITEM, APPEND, sync_id="second"))
    for loading in (first, second):
        loading.write(iter([batch(ITEM, (1, "a"))]))
    first.commit("1")
    with pytest.raises(DestinationUnavailableError, match="sync first"):
        second.commit("2")
    assert items(postgres_database) == [(1, "a")]
    assert out.state("c1", "out")["items"].cursor == "1"


def test_a_connector_that_is_deleted_meanwhile_commits_nothing(
    postgres_database: PostgresDatabase, out: PostgresDestination
) -> None:
    loading = out.open(target(ITEM))
    loading.write(iter([batch(ITEM, (1, "a"))]))
    out.release("c1", "out")
    with pytest.raises(ConfigError, match="removed while it was loaded"):
        loading.commit(None)
    assert "items" not in tables(postgres_database)


# Tables that exist


@pytest.mark.parametrize("mode", [SyncMode.REPLACE, UPSERT])
def test_a_table_of_somebody_else_is_not_replaced(
    postgres_database: PostgresDatabase, out: PostgresDestination, mode: SyncMode
) -> None:
    postgres_database.execute(
        "CREATE SCHEMA out; CREATE TABLE out.items (id bigint, name text); INSERT INTO out.items VALUES (1, 'x')"
    )
    with pytest.raises(ConfigError, match="not made by syncterm"):
        out.open(target(ITEM, mode, full=True))
    assert items(postgres_database) == [(1, "x")]


def test_a_table_of_somebody_else_is_added_to(postgres_database: PostgresDatabase, out: PostgresDestination) -> None:
    postgres_database.execute("CREATE SCHEMA out; CREATE TABLE out.items (name text, id bigint, own int DEFAULT 7)")
    load(out, target(ITEM, APPEND), (1, "a"))
    load(out, target(ITEM, UPSERT, stream="keyed"), (1, "b"), (2, "b"))
    assert items(postgres_database, "id, name, own") == [(1, "b", 7), (2, "b", 7)]


def test_rows_with_equal_keys_cannot_be_upserted(postgres_database: PostgresDatabase, out: PostgresDestination) -> None:
    load(out, target(ITEM, APPEND), (1, "a"), (1, "b"))
    with pytest.raises(ConfigError, match="equal keys"):
        load(out, target(ITEM, UPSERT), (1, "c"))
    assert items(postgres_database) == [(1, "a"), (1, "b")]


def test_views_are_no_tables(postgres_database: PostgresDatabase, out: PostgresDestination) -> None:
    postgres_database.execute("CREATE SCHEMA out; CREATE VIEW out.items AS SELECT 1 AS id")
    with pytest.raises(ConfigError, match="not a table"):
        out.open(target(ITEM, APPEND))


@pytest.mark.parametrize("mode", [APPEND, UPSERT])
def test_new_columns_are_added_and_none_is_dropped(
    postgres_database: PostgresDatabase, out: PostgresDestination, mode: SyncMode
) -> None:
    load(out, target(ITEM, mode), (1, "a"))
    load(out, target(fields(id="int64", more="decimal(5,2)"), mode), (2, Decimal("1.50")))
    assert items(postgres_database, "id, name, more") == [(1, "a", None), (2, None, Decimal("1.50"))]


def test_a_type_that_does_not_fit_is_refused(postgres_database: PostgresDatabase, out: PostgresDestination) -> None:
    load(out, target(ITEM, APPEND), (1, "a"))
    with pytest.raises(SchemaChangedError, match=r"'id'.*bigint"):
        out.open(target(fields(id="text", name="text"), APPEND))
    load(out, target(fields(id="int32", name="uuid"), APPEND), (2, "00000000-0000-0000-0000-000000000000"))
    assert len(items(postgres_database)) == 2


def test_a_row_that_breaks_a_constraint_fails_the_load_and_names_it(
    postgres_database: PostgresDatabase, out: PostgresDestination
) -> None:
    load(out, target(ITEM, APPEND), (1, "a"))
    postgres_database.execute("ALTER TABLE out.items ADD CONSTRAINT short CHECK (length(name) < 3)")
    with pytest.raises(DestinationError, match='"short"'):
        load(out, target(ITEM, APPEND), (2, "b"), (3, "long"))
    assert items(postgres_database) == [(1, "a")]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"table": "x" * 64}, "64 bytes"),
        ({"collection": "é" * 32}, "64 bytes"),
        ({"fields": fields(**{"x" * 64: "text"})}, "64 bytes"),
        ({"table": STATE_TABLE}, "keeps for itself"),
        ({"fields": fields(_syncterm_ordinal="int64")}, "keeps for itself"),
        ({"table": ""}, "empty"),
        ({"sync_mode": UPSERT, "primary_key": ()}, "no primary key"),
    ],
)
def test_what_cannot_be_kept_is_refused(out: PostgresDestination, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        out.open(target(ITEM, **changes) if "fields" not in changes else target(changes["fields"]))


@pytest.mark.parametrize(
    "name", ['a"; DROP TABLE canary; --', "[red]x[/]", "tab\tnew\nline", "Ünï", "select", "ORDERS", "orders", "a.b"]
)
def test_hostile_names_are_only_names(postgres_database: PostgresDatabase, out: PostgresDestination, name: str) -> None:
    postgres_database.execute("CREATE TABLE canary (x int)")
    where = target((Field(name, parse_type("int64")),), UPSERT, table=name, stream=name, collection=name, primary_key=(name,))
    load(out, where, (1,), cursor=name)
    load(out, where, (1,), (2,), cursor=name)
    assert out.state("c1", name)[name].cursor == name
    quoted = '"' + name.replace('"', '""') + '"'
    assert items(postgres_database, quoted, f"{quoted}.{quoted}") == [(1,), (2,)]
    assert postgres_database.query("SELECT count(*) FROM canary") == [(0,)]


def test_two_first_loads_at_the_same_time(postgres_database: PostgresDatabase) -> None:
    """Neither the schema nor the state table exists: both adapters make them."""
    adapters = [destination(postgres_database) for _ in range(4)]
    targets = [target(ITEM, table=f"t{number}", stream=f"t{number}") for number in range(4)]
    loads = [Background(partial(load, adapter, where, (1, "a"))) for adapter, where in zip(adapters, targets, strict=True)]
    assert [loading.wait() for loading in loads] == [None] * 4
    assert set(adapters[0].state("c1", "out")) == {"t0", "t1", "t2", "t3"}
    for adapter in adapters:
        adapter.close()


def test_a_user_without_create_is_told_so(postgres_database: PostgresDatabase) -> None:
    role = f"writer_{postgres_database.database}"
    postgres_database.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'p'; CREATE SCHEMA closed; GRANT USAGE ON SCHEMA closed TO {role}"
    )
    try:
        for schema, words in (("closed", "CREATE on schema 'closed'"), ("missing", "CREATE on database")):
            adapter = destination(postgres_database, user=role, password="p", schema=schema)
            with pytest.raises(PermissionDeniedError, match=words):
                list(adapter.check())
            with pytest.raises(PermissionDeniedError, match="permission denied"):
                adapter.open(target(ITEM, collection=""))
            adapter.close()
    finally:
        postgres_database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_check_says_where_tables_will_be(out: PostgresDestination) -> None:
    steps = list(out.check())
    assert [step.title for step in steps] == ["Initiate test", "Authentication check", "Connectivity test", "Permission check"]
    assert all(step.passed for step in steps)
    assert "can create tables in schema 'public'" in steps[-1].detail


def test_a_reader_that_holds_the_table_delays_its_replacement_only_so_long(
    postgres_database: PostgresDatabase, out: PostgresDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    from syncterm.engine.destinations import postgres_load
    from syncterm.engine.errors import DestinationBusyError

    load(out, target(ITEM), (1, "old"))
    monkeypatch.setattr(postgres_load, "BEGIN", "BEGIN; SET LOCAL lock_timeout = '100ms'")

    async def replace_while_reading() -> None:
        import asyncio

        reader = await asyncpg.connect(**postgres_database.parameters)
        try:
            async with reader.transaction():
                await reader.fetch("SELECT * FROM out.items")
                await asyncio.to_thread(load, out, target(ITEM), (2, "new"))
        finally:
            await reader.close()

    with pytest.raises(DestinationBusyError):
        in_thread(replace_while_reading())
    assert items(postgres_database) == [(1, "old")]
