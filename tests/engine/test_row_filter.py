"""Row filters: what the language takes and refuses, and which records each condition keeps."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncterm.engine.errors import ConfigError, SchemaChangedError
from syncterm.engine.model import StreamConfig, SyncMode
from syncterm.engine.row_filter import (
    FILTER_FAILED,
    RowFilterRun,
    filtered_fields,
    mentioned_columns,
    parse_row_filter,
    stream_filter,
)
from syncterm.engine.row_filter_syntax import DEEPEST_FILTER, LONGEST_FILTER, RowFilterError
from syncterm.engine.schema import Field, StreamSchema, arrow_schema, parse_type

FIELDS = tuple(
    Field(name, parse_type(type_))
    for name, type_ in (
        ("id", "int64"),
        ("Name", "text"),
        ("at", "timestamptz"),
        ("local", "timestamp"),
        ("day", "date"),
        ("clock", "time"),
        ("amount", "decimal(18,2)"),
        ("share", "float64"),
        ("active", "boolean"),
        ("document", "json"),
        ("raw", "binary"),
        ("big", "uint64"),
        ("order", "int32"),
        ("a b", "text"),
        ('odd."name\nof two lines', "text"),
        ("größe", "int16"),
        ("twin", "int32"),
        ("TWIN", "int32"),
    )
)
ROWS: list[dict[str, Any]] = [
    {
        "id": 1,
        "Name": "anna",
        "at": datetime(2025, 1, 1, tzinfo=UTC),
        "local": datetime(2025, 1, 1),
        "day": date(2025, 1, 1),
        "clock": time(8, 30),
        "amount": Decimal("10.50"),
        "share": 0.1,
        "active": True,
        "document": '{"a": {"b": "x"}}',
        "raw": b"\0",
        "big": 18446744073709551615,
        "order": 1,
        "a b": "it's",
        'odd."name\nof two lines': "odd",
        "größe": 3,
        "twin": 1,
        "TWIN": 2,
    },
    {"id": 2, "Name": "Bert", "at": datetime(2025, 6, 30, 22, tzinfo=UTC), "active": False, "share": float("nan"), "order": 2},
    {"id": 3, "Name": "x%y", "day": date(2024, 2, 29), "amount": Decimal("-1.00"), "document": "null"},
    {"id": 4, "Name": ""},
    {"id": None},
]
BATCH = pa.RecordBatch.from_pylist(ROWS, schema=arrow_schema(FIELDS))


def kept(text: str) -> list[int | None]:
    """The ids of the records that a condition keeps."""
    found: list[int | None] = parse_row_filter(text, FIELDS).apply(BATCH).column("id").to_pylist()
    return found


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("id > 2", [3, 4]),
        ("id >= 2 and not id = 3", [2, 4]),
        ("id = '2'", [2]),
        ("id in (1, 3, null)", [1, 3]),
        ("id not in (1, 3)", [2, 4]),
        ("id between 2 and 3 or id is null", [2, 3, None]),
        ("id not between 2 and 3", [1, 4]),
        ("id % 2 = 0 and -id < +0", [2, 4]),
        ("id / 0 > 1", []),
        ("id <> 1 and id != 2 and id == 3", [3]),
        ("name = 'anna'", [1]),
        ("\"Name\" = 'anna'", [1]),
        ("NAME like '%nn%'", [1]),
        ("name like 'x!%y' escape '!'", [3]),
        ("name ilike 'B%' or name = ''", [2, 4]),
        ("name not like '%'", []),
        ("lower(name) = 'bert' and upper(left(name, 1)) = 'B'", [2]),
        ("length(trim(name)) = 0", [4]),
        ("substring(name, 2) = 'nna' or starts_with(name, 'x') or ends_with(name, 'rt')", [1, 2, 3]),
        ("contains(name, '%') and regexp_matches(name, '^x.y$')", [3]),
        ("name || '!' = 'anna!'", [1]),
        ("coalesce(name, 'none') = 'none'", [None]),
        ("nullif(name, '') is null", [4, None]),
        ("at >= '2025-02-01'", [2]),
        ("at = timestamptz '2025-07-01 00:00:00+02:00'", [2]),
        ("at = '2025-07-01T00:00:00+02:00'", [2]),
        ("at < date '2025-01-01' + interval '1 day'", [1]),
        ("at = local", [1]),
        ("local = day and local = '2025-01-01 00:00'", [1]),
        ("day = '2024-02-29'", [3]),
        ("day < '2025-01-01 12:00'", [1, 3]),
        ("extract(year from day) = 2024 and month(day) = 2", [3]),
        ("date_trunc('year', at) = '2025-01-01'", [1, 2]),
        ("at - timestamp '2025-01-01' > interval '7 days'", [2]),
        ("clock < '12:00' and clock > time '08:00:00'", [1]),
        ("amount = 10.5", [1]),
        ("abs(amount) = 1 and round(amount, 1) < 0", [3]),
        ("amount * 2 + 1 = 22", [1]),
        ("share = 0.1", [1]),
        ("share > 1e300", [2]),
        ("active", [1]),
        ("not active", [2]),
        ("active is not true", [2, 3, 4, None]),
        ("active is false", [2]),
        ("active is distinct from true", [2, 3, 4, None]),
        ("active = 'true'", [1]),
        ("json_extract_string(document, '$.a.b') = 'x'", [1]),
        ("raw is not null", [1]),
        ("big = 18446744073709551615", [1]),
        ("order = 1", [1]),
        ('"order" = 1', [1]),
        ("\"a b\" = 'it''s'", [1]),
        ('"odd.""name\nof two lines" = \'odd\'', [1]),
        ("größe = 3", [1]),
        ("GRÖSSE = 3", [1]),
        ('twin = 1 and "TWIN" = 2', [1]),
        ("case when id = 1 then 'one' when id = 2 then 'two' else name end in ('two', 'x%y')", [2, 3]),
        ("case when id = 1 then true end", [1]),
        ("cast(id as text) = '2'", [2]),
        ("try_cast(name as int64) is null", [1, 2, 3, 4, None]),
        ("id::numeric(10,2) = 2.00", [2]),
        ('greatest(id, "order", 2) = 2', [1, 2, None]),
        ("true", [1, 2, 3, 4, None]),
        ("null", []),
        ("'a' = 'a'", [1, 2, 3, 4, None]),
        (" id\n\t= 1 ", [1]),
        ("((((id)))) = 1", [1]),
        (" or ".join(["id = 1"] * 900), [1]),
    ],
)
def test_a_condition_keeps_the_records_it_is_true_for(text: str, ids: list[int | None]) -> None:
    assert kept(text) == ids


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("", 0, "the condition is empty"),
        ("  \n ", 0, "the condition is empty"),
        ("id >", 4, "ends where a column or a value"),
        ("id = 1 and", 10, "ends where"),
        ("id = 1) or (id = 2", 6, "AND, OR or the end"),
        ("(id = 1", 7, "ends where )"),
        ("id > 5 5", 7, "AND, OR or the end"),
        ("id = 1; drop table x", 6, "semicolon"),
        ("id = \u0661", 5, "is not expected here"),
        ("at > at - interval '\u0661 days'", 10, "is not an interval"),
        ("id = 1 -- and so on", 7, "Comments"),
        ("id = /* 1 */ 2", 5, "Comments"),
        ("name = 'x", 7, "does not end"),
        ('"name = 1', 0, "does not end"),
        ("`id` = 1", 0, "double quotes"),
        ("[id] = 1", 0, "double quotes"),
        ("id = ?", 5, "no parameters"),
        ("id = $1", 5, "no parameters"),
        ("id = 1 && id = 2", 7, "joined with AND"),
        ("id = 1 | 2", 7, "joined with OR"),
        ("id # 1", 3, "not expected"),
        ("name = 'a\0b'", 9, "NUL"),
        ("nam = 'x'", 0, "Did you mean Name?"),
        ("land = 'DE'", 0, "The stream has id, "),
        ('name = "DE"', 7, "Texts stand between single quotes: 'DE'"),
        ("\"NAME\" = 'x'", 0, 'Write "Name"'),
        ("Twin = 1", 0, 'Write "twin" or "TWIN"'),
        ("orders.id = 1", 0, "without their stream"),
        ("name = 5", 5, "text cannot be compared with a number"),
        ("id = 'five'", 5, "'five' is not a number"),
        ("at > '2025-13-01'", 5, "is not a date"),
        ("at > date 'yesterday'", 5, "is not a date"),
        ("clock > '25:00'", 8, "is not a time of day"),
        ("at > day + interval 'a while'", 11, "is not an interval"),
        ("active = 'maybe'", 9, "is not true or false"),
        ("raw = 'x'", 6, "bytes can only"),
        ("name + 1 = 2", 0, "cannot be calculated with"),
        ("id || 'x' = 'y'", 0, "takes text"),
        ("id like '1%'", 0, "LIKE takes text"),
        ("name", 0, "not true or false"),
        ("id and active", 0, "where a condition is expected"),
        ("case when id then true end", 10, "where a condition is expected"),
        ("coalesce(name, id) = 'x'", 0, "cannot be compared"),
        ("cast(id as blob) is null", 0, "is not a type"),
        ("cast(id as decimal(99,2)) = 1", 0, "is not a type"),
        ("lower() = 'x'", 0, "takes 1 arguments, not 0"),
        ("lower(name, name) = 'x'", 0, "takes 1 arguments, not 2"),
        ("lowr(name) = 'x'", 0, "Did you mean lower?"),
        ("date_part('fortnight', at) = 1", 10, "not a part of a date"),
        ("date_trunc(name, at) = at", 11, "between single quotes"),
        ("json_extract_string(document, 'a') = 'x'", 30, "not a JSON path"),
        ("name like 'x' escape '!!'", 21, "one character"),
        ("count(*) > 1", 0, "many records"),
        ("sum(id) > 1", 0, "many records"),
        ("sum(id) over () > 1", 8, "window functions"),
        ("exists (select 1)", 0, "one record at a time"),
        ("id in (select id from x)", 7, "one record at a time"),
        ("now() > at", 0, "another answer at every sync"),
        ("day < current_date", 6, "another answer at every sync"),
        ("random() < 0.5", 0, "another answer at every sync"),
        ("read_csv('/etc/passwd') = 'x'", 0, "there is no function 'read_csv'"),
        ("read_text('/etc/passwd') is not null", 0, "there is no function"),
        ("getenv('HOME') = 'x'", 0, "there is no function"),
        ("current_setting('threads') = '1'", 0, "there is no function"),
        ("repeat(name, 1000000000) = 'x'", 0, "there is no function"),
        ("replace(name, 'a', 'aaaa') = 'x'", 0, "there is no function"),
        ("nextval('x') = 1", 0, "there is no function"),
        ("columns(*) > 1", 0, "one record at a time"),
        ("* = 1", 0, "'*' stands where"),
        ("attach 'x.db' as y", 7, "AND, OR or the end"),
        ("copy records to 'x.csv'", 5, "AND, OR or the end"),
        ("pragma version", 7, "AND, OR or the end"),
        ("install httpfs", 8, "AND, OR or the end"),
        ("set threads = 1", 4, "AND, OR or the end"),
        ("id = 1 union select 1", 7, "one record at a time"),
        ("id = 1 order by id", 7, "AND, OR or the end"),
        ("id = 1 limit 1", 7, "AND, OR or the end"),
        ("end = 1", 0, 'Write "end" in double quotes'),
        ("(" * 200 + "id = 1" + ")" * 200, DEEPEST_FILTER + 1, "levels deep"),
        ("not " * 200 + "active", 4 * (DEEPEST_FILTER + 1), "levels deep"),
        ("- " * 200 + "1 = id", 2 * (DEEPEST_FILTER + 1), "levels deep"),
        ("id" + " + 1" * 200 + " = 1", 2 + 4 * (DEEPEST_FILTER - 1) + 1, "levels deep"),
        ("id = " + "1" * LONGEST_FILTER, LONGEST_FILTER, "at most 10,000 characters"),
        ("case " * 2000, 5, "WHEN is expected"),
    ],
)
def test_everything_else_is_refused_with_its_place(text: str, position: int, said: str) -> None:
    with pytest.raises(RowFilterError) as refused:
        parse_row_filter(text, FIELDS)
    assert said in str(refused.value)
    assert refused.value.position == position
    assert f"character {position + 1}:" in str(refused.value)


def test_a_pattern_that_is_none_is_found_before_anything_is_read() -> None:
    with RowFilterRun(parse_row_filter("regexp_matches(name, '(')", FIELDS)) as run, pytest.raises(ConfigError, match="missing"):
        run.check(FIELDS)


def test_a_filter_names_the_columns_that_it_needs() -> None:
    found = parse_row_filter("at > '2025-01-01' or NAME = 'x' or at is null", StreamSchema("s", FIELDS))
    assert found.columns == ("at", "Name")


def test_the_columns_that_a_filter_mentions_are_known_without_a_schema() -> None:
    assert mentioned_columns("b > 1 and (\"a b\" = 'c' or b is null or lower(d) in (e))") == ("b", "a b", "d", "e")


def test_without_types_only_names_and_the_grammar_are_checked() -> None:
    assert parse_row_filter("name = 5 and id > 'x'", ["id", "name"]).columns == ("name", "id")
    with pytest.raises(RowFilterError, match="there is no column"):
        parse_row_filter("nme = 5", ["id"])


def test_records_that_it_cannot_be_computed_for_fail_and_are_not_left_out_silently() -> None:
    fields = (Field("id", parse_type("int64")), Field("code", parse_type("text")))
    batch = pa.RecordBatch.from_pylist(
        [{"id": 1, "code": "7"}, {"id": 2, "code": "seven"}, {"id": 3, "code": None}, {"id": 4, "code": "1"}], arrow_schema(fields)
    )
    with RowFilterRun(parse_row_filter("cast(code as int64) > 5", fields)) as run:
        left, dropped, rejected = run.split(batch, stream="s", fields=fields, key=("id",))
    assert left.column("id").to_pylist() == [1]
    assert dropped.column("id").to_pylist() == [3, 4]
    assert [(record.code, record.key) for record in rejected] == [(FILTER_FAILED, '{"id": 2}')]
    assert "'seven'" in rejected[0].message
    assert rejected[0].payload == '{"id": 2, "code": "seven"}'


def test_a_stream_filter_sees_casts_and_columns_that_are_not_selected() -> None:
    schema = StreamSchema("s", (Field("id", parse_type("text")), Field("other", parse_type("int64"))))
    stream = StreamConfig("s", SyncMode.REPLACE, columns=("id",), casts={"id": "int64"}, row_filter="id > 5 and other = 1")
    found = stream_filter(stream, filtered_fields(stream, schema))
    assert found is not None
    assert found.columns == ("id", "other")
    as_approved = {"other": Field("other", parse_type("text"))}
    with pytest.raises(ConfigError, match=r"Stream 's'.*text cannot be compared with a number"):
        stream_filter(stream, filtered_fields(stream, schema, as_approved))
    with pytest.raises(SchemaChangedError, match=r"Stream 's'.*'other'"):
        stream_filter(stream, filtered_fields(stream, schema)[:1])
    assert stream_filter(StreamConfig("s", SyncMode.REPLACE), schema.fields) is None


def test_checking_a_filter_loads_no_database() -> None:
    code = (
        "import sys; from syncterm.engine.row_filter import parse_row_filter; parse_row_filter('a > 1', ['a']);"
        "sys.exit(bool({'duckdb', 'pyarrow', 'textual'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Properties ----------------------------------------------------------------------------------------------------------------

_WORDS = """id name active at ( ) and or not is null in between like case when then else end = <> < 'x' '' 1 2.5 "id" , + - * / ::
int64 cast as lower date '2025-01-01' interval distinct from ; -- " ' . é \0"""


@given(st.lists(st.sampled_from(_WORDS.split()), max_size=14).map(" ".join) | st.text(max_size=40))
def test_any_text_is_refused_in_words_or_computed(text: str) -> None:
    fields = FIELDS[:3] + FIELDS[8:9]
    try:
        found = parse_row_filter(text, fields)
        with RowFilterRun(found) as run:
            run.check(fields)
    except ConfigError:
        return
    assert found.apply(BATCH).num_rows <= BATCH.num_rows


Condition = tuple[str, Any]
_COMPARISON = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["=", "<>", "<", ">="]), st.integers(0, 3))
_CONDITIONS: st.SearchStrategy[Any] = st.recursive(
    _COMPARISON | st.tuples(st.just("null"), st.sampled_from(["a", "b"])),
    lambda inner: (
        st.tuples(st.just("not"), inner) | st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3))
    ),
    max_leaves=8,
)


def _written(condition: Any) -> str:
    match condition:
        case ("not", inner):
            return f"not ({_written(inner)})"
        case ("null", column):
            return f"{column} is null"
        case ("and" | "or" as word, inner):
            return "(" + f" {word} ".join(map(_written, inner)) + ")"
        case (column, operator, value):
            return f"{column} {operator} {value}"
    raise AssertionError(condition)


def _truth(condition: Any, row: dict[str, int | None]) -> bool | None:
    """SQL's three values."""
    match condition:
        case ("not", inner):
            value = _truth(inner, row)
            return None if value is None else not value
        case ("null", column):
            return row[column] is None
        case ("and" | "or" as word, inner):
            values = [_truth(each, row) for each in inner]
            decisive = word == "or"
            return decisive if decisive in values else None if None in values else not decisive
        case (column, operator, value):
            found = row[column]
            if found is None:
                return None
            outcomes: dict[str, bool] = {"=": found == value, "<>": found != value, "<": found < value, ">=": found >= value}
            return outcomes[operator]
    raise AssertionError(condition)


@given(_CONDITIONS, st.lists(st.tuples(*[st.none() | st.integers(0, 3)] * 2), min_size=1, max_size=6))
def test_conditions_have_the_three_truth_values_of_sql(condition: Any, rows: list[tuple[int | None, int | None]]) -> None:
    fields = (Field("a", parse_type("int64")), Field("b", parse_type("int64")))
    records = [{"a": a, "b": b} for a, b in rows]
    batch = pa.RecordBatch.from_pylist(records, schema=arrow_schema(fields))
    found = parse_row_filter(_written(condition), fields).apply(batch)
    assert found.to_pylist() == [row for row in records if _truth(condition, row) is True]
