"""PostgreSQL's types and ours, as tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncterm.engine.errors import ConfigError
from syncterm.engine.postgres import check_name, quote_name, quote_text
from syncterm.engine.postgres_types import column_sql, holds, logical_sql, logical_type, max_length
from syncterm.engine.schema import SIMPLE_TYPES, Field, LogicalType, parse_type


def _modifier(precision: int, scale: int) -> int:
    return (precision << 16 | scale & 0x7FF) + 4


@pytest.mark.parametrize(
    ("name", "modifier", "expected"),
    [
        ("int2", -1, "int16"),
        ("bytea", -1, "binary"),
        ("timestamp", 0, "timestamp"),
        ("jsonb", -1, "json"),
        ("numeric", -1, "text"),
        ("numeric", _modifier(38, 10), "decimal(38,10)"),
        ("numeric", _modifier(5, 5), "decimal(5,5)"),
        ("numeric", _modifier(39, 0), "text"),
        ("numeric", _modifier(5, -2), "text"),
        ("numeric", _modifier(3, 5), "text"),
        ("timetz", -1, "text"),
        ("interval", -1, "text"),
        ("", -1, "text"),
    ],
)
def test_logical_type(name: str, modifier: int, expected: str) -> None:
    assert str(logical_type(name, modifier)) == expected


@pytest.mark.parametrize(
    ("logical", "native", "expected"),
    [
        ("text", "character varying(10)", "character varying(10)"),
        ("text", "interval", "interval"),
        ("text", "int4range", "int4range"),
        ("text", "text[]", "text[]"),
        ("text", "numeric", "numeric"),
        ("text", "numeric(5,-2)", "numeric(5,-2)"),
        ("text", "numeric(50,3)[]", "numeric(50,3)[]"),
        ("text", "time with time zone", "time with time zone"),
        ("timestamp", "timestamp(0) without time zone", "timestamp(0) without time zone"),
        ("json", "jsonb", "jsonb"),
        ("decimal(5,2)", "numeric(5,2)", "numeric(5,2)"),
        ("text", "money", "text"),
        ("text", "regclass", "text"),
        ("text", "public.mood", "text"),
        ("text", "type_edge.mood[]", "text"),
        ("text", "integer", "text"),
        ("int64", "integer", "bigint"),
        ("text", "INTERVAL", "text"),
        ("text", "text; DROP TABLE x", "text"),
        ("text", "text[]\n", "text"),
        ("int64", "", "bigint"),
        ("uint64", "", "numeric(20,0)"),
        ("binary", "BLOB", "bytea"),
    ],
)
def test_column_sql(logical: str, native: str, expected: str) -> None:
    assert column_sql(Field("x", parse_type(logical), native=native)) == expected


@pytest.mark.parametrize("name", SIMPLE_TYPES)
def test_every_logical_type_has_a_column_that_holds_it(name: str) -> None:
    sql = logical_sql(LogicalType(name))
    assert holds(sql, sql)


@pytest.mark.parametrize(
    ("existing", "wanted", "expected"),
    [
        ("bigint", "integer", True),
        ("integer", "bigint", False),
        ("numeric", "bigint", True),
        ("numeric", "numeric(38,10)", True),
        ("numeric(10,0)", "integer", True),
        ("numeric(9,0)", "integer", False),
        ("numeric(10,2)", "numeric(8,2)", True),
        ("numeric(10,2)", "numeric(10,3)", False),
        ("numeric(10,2)", "numeric(10,1)", False),
        ("numeric(10,2)", "text", False),
        ("double precision", "real", True),
        ("double precision", "bigint", False),
        ("text", "character varying(10)", True),
        ("text", "inet", True),
        ("text", "uuid", True),
        ("text", "integer", False),
        ("character varying(10)", "character varying(5)", True),
        ("character varying(5)", "character varying(10)", False),
        ("timestamp with time zone", "timestamp without time zone", False),
        ("jsonb", "json", False),
    ],
)
def test_holds(existing: str, wanted: str, expected: bool) -> None:
    assert holds(existing, wanted) is expected


def test_max_length() -> None:
    assert [max_length(native) for native in ("character(5)", "character varying(7)", "text", "bit(8)")] == [5, 7, None, None]


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8")))
def test_quoting_leaves_no_way_out(text: str) -> None:
    assert quote_name(text)[1:-1].replace('""', "").count('"') == 0
    literal = quote_text(text)
    inside = literal.removeprefix("E")[1:-1]
    assert inside.replace("''", "").count("'") == 0
    if literal.startswith("E"):
        assert inside.replace("\\\\", "").count("\\") == 0
    else:
        assert "\\" not in inside


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", "x" * 64, "é" * 32])
def test_names_that_postgresql_would_change_are_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        check_name("table", name)


def test_a_name_of_63_bytes_is_fine() -> None:
    check_name("table", "x" * 63)


def test_nul_in_a_literal_is_refused() -> None:
    with pytest.raises(ConfigError, match="NUL"):
        quote_text("a\0b")
