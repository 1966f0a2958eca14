"""The PostgreSQL source against a real server: every value exact or rejected with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import pytest

from syncterm.engine.errors import PermissionDeniedError, SchemaChangedError
from syncterm.engine.model import StreamConfig, SyncMode, Window
from syncterm.engine.postgres import quote_name
from syncterm.engine.schema import Catalog, Field, StreamSchema, parse_type
from syncterm.engine.sources.postgres import PostgresSource
from tests.engine.postgres_samples import load_type_edge, read, rows, source
from tests.servers.postgres import PostgresDatabase, PostgresServer

EDGE_REJECTED = {"4", "13", "14", "15", "16"}
"""Rows of `edge` that hold NaN in a numeric(p,s), an infinity, a year BC, or one beyond 9999."""


def found(catalog: Catalog, name: str) -> StreamSchema:
    stream = catalog.stream(name)
    assert stream is not None
    return stream


@pytest.fixture(scope="module")
def edge_database(postgres_server: PostgresServer) -> Iterator[PostgresDatabase]:
    """A database with the edge values, which no test changes."""
    database = postgres_server.create_database()
    load_type_edge(database)
    yield database
    postgres_server.drop_database(database)


@pytest.fixture
def edge(edge_database: PostgresDatabase) -> Iterator[PostgresSource]:
    adapter = source(edge_database, schema="type_edge")
    yield adapter
    adapter.close()


@pytest.fixture
def public(postgres_database: PostgresDatabase) -> Iterator[PostgresSource]:
    adapter = source(postgres_database)
    yield adapter
    adapter.close()


def test_discover_lists_every_relation_that_holds_rows(edge: PostgresSource) -> None:
    names = [stream.name for stream in edge.discover().streams]
    assert names == sorted(names)
    assert set(names) == {
        "ORDERS", "Orders", 'Weird.Table "name" [red]', "composite_pk", "cursor_ties", "edge", "mv_edge", "no_columns", "no_pk",
        "orders", "parent", "v_edge", "weird_63_" + "x" * 54, "wide_1600", "zero_rows",
    }  # fmt: skip


def test_discover_tells_keys_and_types(edge: PostgresSource) -> None:
    catalog = edge.discover()
    assert found(catalog, "composite_pk").primary_key == ("b", "a")
    assert found(catalog, "no_pk").primary_key == ()
    assert found(catalog, "no_columns").fields == ()
    assert found(catalog, "cursor_ties").cursor_candidates == ("updated_at", "id")
    described = {field.name: (str(field.type), field.native, field.nullable) for field in found(catalog, "edge").fields}
    assert "c_dropped" not in described
    assert described["id"] == ("int64", "bigint", False)
    assert described["c_num_38_10"] == ("decimal(38,10)", "numeric(38,10)", True)
    assert described["c_numeric"] == ("text", "numeric", True)
    assert described["c_num_neg_scale"] == ("text", "numeric(5,-2)", True)
    assert described["c_domain"] == ("int32", "integer", True)
    assert described["c_enum"] == ("text", "type_edge.mood", True)
    assert described["c_char"] == ("text", "character(5)", True)
    assert described["c_ts0"] == ("timestamp", "timestamp(0) without time zone", True)
    assert described["c_jsonb"] == ("json", "jsonb", True)
    assert described["c_gen"] == ("int32", "integer", True)
    assert described["tab\tcol"] == ("int32", "integer", True)


def test_estimated_rows_come_from_the_statistics(postgres_database: PostgresDatabase, public: PostgresSource) -> None:
    postgres_database.execute(
        "CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) i;"
        "CREATE TABLE p (k int) PARTITION BY LIST (k);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); INSERT INTO p VALUES (1), (1)"
    )
    assert {stream.estimated_rows for stream in public.discover().streams} == {None}
    postgres_database.execute("ANALYZE t; ANALYZE p1")
    catalog = public.discover()
    assert (found(catalog, "t").estimated_rows, found(catalog, "p").estimated_rows) == (1000, 2)


def test_every_edge_value_is_exact_or_its_row_is_rejected(edge_database: PostgresDatabase, edge: PostgresSource) -> None:
    """Value by value against the server's own text; 20 rows in, 20 accounted for."""
    stream = found(edge.discover(), "edge")
    batches = read(edge, stream)
    rejected = [fault for piece in batches for fault in piece.rejected]
    assert {fault.key for fault in rejected} == {f'{{"id": "{row}"}}' for row in EDGE_REJECTED}
    assert all(fault.code == "cast_failed" and "is not a valid" in fault.message for fault in rejected)
    records = [record for piece in batches for record in piece.records.to_pylist()]
    assert len(records) + len(rejected) == 20
    edge_database.execute(f"ALTER DATABASE {edge_database.database} SET timezone = 'UTC'")
    names = [quote_name(field.name) for field in stream.fields]
    columns = ", ".join(f"CASE num_nonnulls({name}) WHEN 1 THEN format('%s', {name}) END" for name in names)
    texts = {row[0]: row for row in edge_database.query(f"SELECT {columns} FROM type_edge.edge")}
    for record in records:
        for field, expected in zip(stream.fields, texts[str(record["id"])], strict=True):
            value = record[field.name]
            if expected is None or value is None:
                assert (value, expected) == (None, None), (record["id"], field.name)
            else:
                assert _as_text(value, field) == expected, (record["id"], field.name)


def _as_text(value: object, field: Field) -> str:
    """A value as PostgreSQL's output function writes it."""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, float):
        return _float_text(value, field.type.name == "float32")
    if isinstance(value, datetime | time | date):
        text = str(value)
        text = text.rstrip("0") if "." in text and "+" not in text else text
        return text.replace("+00:00", "+00")
    return str(value)


def _float_text(value: float, single: bool) -> str:
    import pyarrow as pa

    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    text = pa.scalar(value, pa.float32() if single else pa.float64()).cast(pa.string()).as_py()
    mantissa, mark, exponent = text.partition("e")
    mantissa = mantissa.removesuffix(".0")
    return f"{mantissa}e{int(exponent):+03d}" if mark else mantissa


def test_characters_keep_their_blanks(edge: PostgresSource) -> None:
    stream = found(edge.discover(), "edge")
    wanted = (stream.field("id"), stream.field("c_char"))
    assert (9, " " * 5) in rows(read(edge, stream, fields=wanted))


def test_null_and_empty_text_stay_apart_in_a_single_column(edge: PostgresSource) -> None:
    stream = found(edge.discover(), "no_pk")
    assert rows(read(edge, stream)) == [("a",), ("a",), (None,), (None,)]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("zero_rows", 0), ("no_columns", 0), ("parent", 2), ("v_edge", 20), ("mv_edge", 20), ("composite_pk", 4), ("wide_1600", 1),
        ('Weird.Table "name" [red]', 1), ("weird_63_" + "x" * 54, 0),
    ],
)  # fmt: skip
def test_every_shape_of_relation_is_read(edge: PostgresSource, name: str, count: int) -> None:
    stream = found(edge.discover(), name)
    batches = read(edge, stream)
    assert sum(piece.records.num_rows for piece in batches) == count
    assert all(piece.records.num_columns == len(stream.fields) and not piece.rejected for piece in batches)


def test_names_that_differ_only_in_case_are_different_tables(edge: PostgresSource) -> None:
    catalog = edge.discover()
    assert [rows(read(edge, found(catalog, name))) for name in ("orders", "Orders", "ORDERS")] == [[(1,)], [(2,)], [(3,)]]


def test_a_byte_order_mark_at_the_start_of_a_chunk_is_kept(postgres_database: PostgresDatabase, public: PostgresSource) -> None:
    postgres_database.execute("CREATE TABLE t (v text); INSERT INTO t VALUES (U&'\\FEFFx')")
    assert rows(read(public, found(public.discover(), "t"))) == [("\ufeffx",)]


def test_a_poison_row_in_one_chunk_of_many_costs_only_itself(postgres_database: PostgresDatabase, public: PostgresSource) -> None:
    postgres_database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamp, pad text);"
        "INSERT INTO t SELECT i, '2025-01-01', repeat('x', 1000) FROM generate_series(1, 12000) i;"
        "UPDATE t SET at = 'infinity' WHERE id = 7777"
    )
    batches = read(public, found(public.discover(), "t"))
    assert len(batches) > 1
    assert [fault.key for piece in batches for fault in piece.rejected] == ['{"id": "7777"}']
    assert sum(piece.records.num_rows for piece in batches) == 11_999


@pytest.mark.parametrize(
    ("column", "cast", "expected"),
    [
        ("true", "text", "true"),
        ("'\\x00ff'::bytea", "text", "\\x00ff"),
        ("'2025-01-01 10:00+02'::timestamptz", "text", "2025-01-01 08:00:00+00"),
        ("1.50::numeric(5,2)", "text", "1.50"),
        ("1.50::numeric", "decimal(5,2)", Decimal("1.50")),
        ("7::int", "int64", 7),
        ("'x'::char(3)", "text", "x  "),
        ("'12'::text", "int32", 12),
        ("5::bigint", "decimal(20,0)", Decimal(5)),
    ],
)
def test_casts(postgres_database: PostgresDatabase, public: PostgresSource, column: str, cast: str, expected: object) -> None:
    postgres_database.execute(f"CREATE TABLE t AS SELECT {column} AS v")
    stream = found(public.discover(), "t")
    assert rows(read(public, stream, fields=(Field("v", parse_type(cast)),), casts={"v": cast})) == [(expected,)]


def test_a_cast_that_does_not_fit_rejects_its_row(postgres_database: PostgresDatabase, public: PostgresSource) -> None:
    postgres_database.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, '1'), (2, 'two'), (3, '')")
    stream = found(public.discover(), "t")
    batches = read(public, stream, fields=(stream.field("id"), Field("v", parse_type("int32"))), casts={"v": "int32"})
    assert rows(batches) == [(1, 1)]
    assert [(fault.key, fault.code) for piece in batches for fault in piece.rejected] == [
        ('{"id": 2}', "cast_failed"), ('{"id": 3}', "cast_failed"),
    ]  # fmt: skip


# Incremental reads


def test_window_is_read_with_its_lower_edge_and_null_cursors(edge: PostgresSource) -> None:
    stream = found(edge.discover(), "cursor_ties")
    window = Window("2025-01-01 00:00:00+00", "2025-06-01 00:00:00+00")
    ids = {row[0] for row in rows(read(edge, stream, window=window, cursor_field="updated_at"))}
    assert ids == {*range(1, 5002), 5003}
    window = Window("2025-01-01 00:00:00.000001+00", None)
    batches = read(edge, stream, window=window, cursor_field="updated_at")
    assert {row[0] for row in rows(batches)} == {5001, 5003}
    assert [fault.key for piece in batches for fault in piece.rejected] == ['{"id": "5002"}']


def test_look_back_widens_the_window(edge: PostgresSource) -> None:
    stream = found(edge.discover(), "cursor_ties")
    window = Window("2025-01-02 00:00:00+00", "2025-06-01 00:00:00+00")
    assert len(rows(read(edge, stream, window=window, cursor_field="updated_at"))) == 1
    widened = read(edge, stream, window=window, cursor_field="updated_at", look_back=timedelta(days=1))
    assert len(rows(widened)) == 5002


@pytest.mark.parametrize(
    ("type_", "values", "low", "high", "expected"),
    [
        ("int", "(1), (2), (3), (NULL)", "2", "3", {2, 3, None}),
        ("text", "('a'), ('B'), ('b''\\x')", "a", "b'\\x", {"a", "b'\\x"}),
        ("date", "('2025-01-01'), ('2025-01-02')", "2025-01-02", "2025-01-03", {date(2025, 1, 2)}),
        ("numeric(5,2)", "(1.10), (1.20)", "1.15", "9", {Decimal("1.20")}),
        ("uuid", "('00000000-0000-0000-0000-00000000000a')", "0", "1", {"00000000-0000-0000-0000-00000000000a"}),
    ],
)
def test_windows_of_every_cursor_type(
    postgres_database: PostgresDatabase, public: PostgresSource, type_: str, values: str, low: str, high: str, expected: set[object]
) -> None:
    postgres_database.execute(f"CREATE TABLE t (v {type_}); INSERT INTO t VALUES {values}")
    stream = found(public.discover(), "t")
    assert {row[0] for row in rows(read(public, stream, window=Window(low, high), cursor_field="v"))} == expected


def test_hostile_cursor_text_is_only_a_value(postgres_database: PostgresDatabase, public: PostgresSource) -> None:
    postgres_database.execute("CREATE TABLE t (v text); INSERT INTO t VALUES ('a'); CREATE TABLE canary (x int)")
    stream = found(public.discover(), "t")
    for text in ("'; DROP TABLE canary; --", "\\'; DROP TABLE canary; --", "a') OR TRUE) TO STDOUT; --"):
        assert rows(read(public, stream, window=Window(text, text), cursor_field="v")) == []
    assert found(public.discover(), "canary").fields


@pytest.mark.parametrize(
    ("type_", "values", "expected"),
    [
        ("int", "(1), (30), (4)", "30"),
        ("text", "('a'), ('B'), ('b')", "b"),
        ("timestamptz", "('2025-01-01 12:00+02'), ('2024-01-01')", "2025-01-01 10:00:00+00"),
        ("timestamp", "('2025-01-01 12:00:00.5'), ('-infinity')", "2025-01-01 12:00:00.5"),
        ("timestamp", "('-infinity')", None),
        ("float8", "(1), ('NaN'), ('Infinity')", "1"),
        ("numeric(5,2)", "(1.5), ('NaN')", "1.50"),
        ("uuid", "('00000000-0000-0000-0000-00000000000a')", "00000000-0000-0000-0000-00000000000a"),
        ("date", "(NULL)", None),
    ],
)
def test_high_is_the_highest_value_as_the_server_writes_it(
    postgres_database: PostgresDatabase, public: PostgresSource, type_: str, values: str, expected: str | None
) -> None:
    postgres_database.execute(f"CREATE TABLE t (v {type_}); INSERT INTO t VALUES {values}")
    stream = found(public.discover(), "t")
    assert public.high(StreamConfig("t", SyncMode.INCREMENTAL_APPEND, cursor_field="v"), stream) == expected


@pytest.mark.parametrize(("name", "now"), [("timestamptz", "now()"), ("timestamp", "localtimestamp"), ("date", "current_date")])
def test_high_is_the_highest_value_that_is_not_in_the_future(
    postgres_database: PostgresDatabase, public: PostgresSource, name: str, now: str
) -> None:
    """A value set by mistake far in the future must not carry the cursor past rows to come.

    Without a zone it is the server's wall clock that counts; here it is far from UTC.
    """
    postgres_database.execute(f"CREATE TABLE t (v {name}); INSERT INTO t VALUES ('infinity'), ('9999-12-31')")
    setup = StreamConfig("t", SyncMode.INCREMENTAL_APPEND, cursor_field="v")
    stream = found(public.discover(), "t")
    assert public.high(setup, stream) is None
    postgres_database.execute(f"INSERT INTO t VALUES ({now}), ('2020-01-01')")
    ((expected,),) = postgres_database.query(
        "SELECT CASE pg_typeof(v)::text WHEN 'timestamp with time zone'"
        " THEN (v::timestamptz AT TIME ZONE 'UTC')::text || '+00' ELSE v::text END"
        " FROM t WHERE v < '9999-12-31' ORDER BY v DESC LIMIT 1"
    )
    assert public.high(setup, stream) == expected


# Changes between discovery and reading


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER TABLE t DROP COLUMN v", "no column 'v' any more"),
        ("ALTER TABLE t ALTER v TYPE text", "has become text; it was integer"),
        ("DROP TABLE t", "no table 't' any more"),
    ],
)
def test_a_changed_table_is_not_read(postgres_database: PostgresDatabase, public: PostgresSource, change: str, words: str) -> None:
    postgres_database.execute("CREATE TABLE t (id int, v int)")
    stream = found(public.discover(), "t")
    postgres_database.execute(change)
    with pytest.raises(SchemaChangedError, match=words):
        read(public, stream)


def test_a_column_that_was_added_changes_nothing(postgres_database: PostgresDatabase, public: PostgresSource) -> None:
    postgres_database.execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
    stream = found(public.discover(), "t")
    postgres_database.execute("ALTER TABLE t ADD COLUMN more text DEFAULT 'x'")
    assert rows(read(public, stream)) == [(1,)]


def test_a_stream_is_one_snapshot(postgres_database: PostgresDatabase, public: PostgresSource) -> None:
    postgres_database.execute("CREATE TABLE t AS SELECT i AS id, repeat('x', 1000) AS v FROM generate_series(1, 20000) i")
    stream = found(public.discover(), "t")
    pieces = public.read(StreamConfig("t", SyncMode.REPLACE), stream, stream.fields, None)
    first = next(pieces)
    postgres_database.execute("DELETE FROM t")
    assert first.records.num_rows + sum(piece.records.num_rows for piece in pieces) == 20_000


def test_columns_may_be_granted_one_by_one(postgres_database: PostgresDatabase) -> None:
    role = f"reader_{postgres_database.database}"
    postgres_database.execute(
        "CREATE TABLE t (id int, secret text); INSERT INTO t VALUES (1, 'x');"
        f"CREATE ROLE {role} LOGIN PASSWORD 'p'; GRANT SELECT (id) ON t TO {role}"
    )
    adapter = source(postgres_database, user=role, password="p")
    try:
        stream = found(adapter.discover(), "t")
        assert rows(read(adapter, stream, fields=(stream.field("id"),))) == [(1,)]
        with pytest.raises(PermissionDeniedError, match="permission denied"):
            read(adapter, stream)
    finally:
        adapter.close()
        postgres_database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
