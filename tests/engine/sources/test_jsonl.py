"""JSON Lines: the fast path and the line by line path give the same, exact records."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncterm.engine.sources import jsonl
from syncterm.engine.sources.file import FileSource
from tests.engine.sources.reading import ReadStream, make, read_stream

VALUE = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**30), 10**30),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=4,
)


def read_lines(path: Path, data: bytes, **options: Any) -> ReadStream:
    path.write_bytes(data)
    return read_stream(make(FileSource, path=path), **options)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "B", "é"]), VALUE, max_size=4), min_size=1, max_size=6))
def test_every_value_arrives_as_its_text(tmp_path: Path, objects: list[dict[str, Any]]) -> None:
    objects = [{"always": 1, **each} for each in objects]
    result = read_lines(tmp_path / "x.jsonl", "".join(json.dumps(each) + "\n" for each in objects).encode())
    assert not result.rejected
    for given_, row in zip(objects, result.rows, strict=True):
        for name, value in row.items():
            _assert_same(given_.get(name), value)


def _assert_same(given_: Any, arrived: Any) -> None:
    if arrived is None or given_ is None:
        assert given_ is None
        assert arrived is None
    elif isinstance(given_, str) and isinstance(arrived, str):
        assert arrived in (given_, json.dumps(given_))
    elif isinstance(arrived, str):
        assert json.loads(arrived) == given_
    elif isinstance(arrived, Decimal):
        assert arrived == given_
    else:
        assert (arrived, type(arrived)) in ((given_, type(given_)), (float(given_), float))


def test_numbers_keep_their_digits_and_nested_values_their_text(tmp_path: Path) -> None:
    line = '{"big": 123456789012345678901234567890, "nested": {"b":  1.10, "a":[1,2 ]}, "d": 1.10}\n'
    result = read_lines(tmp_path / "x.jsonl", line.encode(), casts={"d": "decimal(10,2)"})
    assert result.types == {"big": "decimal(38,0)", "nested": "json", "d": "decimal(10,2)"}
    assert result.rows == [
        {"big": Decimal("123456789012345678901234567890"), "nested": '{"b":  1.10, "a":[1,2 ]}', "d": Decimal("1.10")}
    ]


BAD_LINES = [
    (b"null", "not_an_object"),
    (b"5", "not_an_object"),
    (b"[1]", "not_an_object"),
    (b'{"id":1,"id":2}', "duplicate_key"),
    (b'{"id":NaN}', "parse_error"),
    (b'{"id":-Infinity}', "parse_error"),
    (b'{"id":1,}', "parse_error"),
    (b'{"id":01}', "parse_error"),
    (b'{"id":1} null', "parse_error"),
    (b'{"id":1}{"id":2}', "parse_error"),
    (b"{'id':1}", "parse_error"),
    (b'{"id" 1}', "parse_error"),
    (b'{"id":1', "truncated_record"),
    (b'{"id":', "truncated_record"),
    (b"{", "truncated_record"),
    (b'{"v":"ab', "truncated_record"),
    (b'{"v":"\xff"}', "invalid_utf8"),
    (b'{"v":"\\ud800"}', "invalid_utf8"),
    (b'{"\\ud800":1}', "invalid_utf8"),
    (b'{"id":"x"}', "cast_failed"),
    (b'{"id":9223372036854775808}', "out_of_range"),
    (b'{"id":1.5}', "cast_failed"),
    (b'{"v":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "parse_error"),
    (b'{"v":"a\tb"}', "parse_error"),
]


@pytest.mark.parametrize(("line", "code"), BAD_LINES)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_bad_line_is_one_rejected_record(tmp_path: Path, line: bytes, code: str, position: int) -> None:
    (tmp_path / "sample.jsonl").write_text('{"id":1,"v":"x"}\n')
    schema = make(FileSource, path=tmp_path / "sample.jsonl").discover().streams[0]
    lines = [b'{"id":1,"v":"x"}', b'{"id":2}']
    lines.insert(position, line)
    (tmp_path / "sample.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    result = read_stream(make(FileSource, path=tmp_path / "sample.jsonl"), schema=schema)
    assert result.rows == [{"id": 1, "v": "x"}, {"id": 2, "v": None}]
    assert [(record.code, record.key) for record in result.rejected] == [(code, f"line {position + 1}")]


@pytest.mark.parametrize(
    "data",
    [b'{"id":1}\n\n{"id":2}\n', b'\xef\xbb\xbf{"id":1}\r\n{"id":2}\r\n', b' {"id":1}\n{"id" : 2 }', b'{"id":1}\n  \n{"id":2}'],
)
def test_spacing_does_not_matter(tmp_path: Path, data: bytes) -> None:
    assert read_lines(tmp_path / "x.jsonl", data).rows == [{"id": 1}, {"id": 2}]


TYPES = [
    (["1", "2"], "int64"),
    (["1", "2.5"], "float64"),
    (['"1"'], "text"),
    (["1", '"1"'], "text"),
    (["true"], "boolean"),
    (["true", "1"], "text"),
    (["{}"], "json"),
    (["[1]", "5"], "json"),
    (["null"], "text"),
    (['"2025-01-01"'], "date"),
    (['"2025-01-01T00:00:00Z"'], "timestamptz"),
    (["0.12345678901234567"], "text"),
]


@pytest.mark.parametrize(("values", "expected"), TYPES)
def test_types_are_inferred_conservatively(tmp_path: Path, values: list[str], expected: str) -> None:
    result = read_lines(tmp_path / "x.jsonl", "".join(f'{{"v":{value}}}\n' for value in values).encode())
    assert result.types == {"v": expected}
    assert not result.rejected
    assert len(result.rows) == len(values)


def test_the_fast_path_is_taken_and_agrees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"id": number, "f": number / 8, "t": f"té\n{number}\x00", "b": number % 2 == 0, "skip": {"x": [None]}}
        for number in range(5000)
    ]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = ["id", "f", "t", "b"]
    slow = read_stream(make(FileSource, path=path), columns=[*columns, "skip"])
    monkeypatch.setattr(jsonl, "parse_line", None)  # nothing is parsed line by line
    schema = slow.schema
    fast = read_stream(make(FileSource, path=path), schema=schema, columns=columns)
    assert fast.rows == [{name: row[name] for name in columns} for row in slow.rows]
    assert [row["id"] for row in fast.rows] == list(range(5000))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(['{"id":1}', "null", "{}", "}", "{", '{"id":', "\n", " ", "[", "]", '"', ","]), st.text(max_size=4)
        ),
        max_size=12,
    )
)
def test_arrow_never_sees_what_it_cannot_bear(tmp_path: Path, pieces: list[str]) -> None:
    """Arrow's parser crashes on a document that begins with null: whatever the lines, each is read or rejected."""
    (tmp_path / "x.jsonl").write_text('{"id":1}\n')
    schema = make(FileSource, path=tmp_path / "x.jsonl").discover().streams[0]
    data = "".join(pieces).encode("utf-8", "replace")
    (tmp_path / "x.jsonl").write_bytes(data)
    result = read_stream(make(FileSource, path=tmp_path / "x.jsonl"), schema=schema)
    assert result.read == sum(1 for line in re.split(b"\n", data.removeprefix(b"\xef\xbb\xbf")) if line.strip())


def test_a_line_too_long_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncterm.engine.sources.file_bytes.BLOCK_BYTES", 1000)
    monkeypatch.setattr("syncterm.engine.sources.file_bytes.MAX_LINE_BYTES", 3000)
    lines = ['{"id":1}', '{"id":2,"v":"' + "x" * 9000 + '"}', '{"id":3}', "nonsense", '{"id":5}', "x" * 5000]
    result = read_lines(tmp_path / "x.jsonl", "\n".join(lines).encode())
    assert result.column("id") == [1, 3, 5]
    assert sorted((record.code, record.key) for record in result.rejected) == [
        ("not_an_object", "line 4"),
        ("too_large", "line 2"),
        ("too_large", "line 6"),
    ]
