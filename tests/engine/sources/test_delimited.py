"""CSV: what is written comes back, and every row that cannot be read is one rejected record."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncterm.engine.adapters import AdapterContext
from syncterm.engine.errors import ConfigError, SourceDataError
from syncterm.engine.schema import Field, parse_type
from syncterm.engine.sources import file_bytes
from syncterm.engine.sources.delimited import DelimitedFormat, DelimitedReader
from syncterm.engine.sources.file import FileSource
from tests.engine.sources.reading import ReadStream, make, read_stream

CELL = st.one_of(
    st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.sampled_from(['"', "\r\n", ",", "a\nb", "\ufeff"])
)


def read_text(path: Path, data: str | bytes, **config: object) -> ReadStream:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_stream(make(FileSource, path=path, **config))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.integers(2, 5).flatmap(lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=8)))
def test_values_come_back_as_written(tmp_path: Path, rows: list[list[str | None]]) -> None:
    """NULL is an unquoted nothing, the empty text a quoted one; quotes protect everything else."""
    lines = [",".join(f"c{index}" for index in range(len(rows[0])))]
    lines += [",".join("" if cell is None else '"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    path = tmp_path / "values.csv"
    path.write_bytes(("\n".join(lines) + "\n").encode())
    source = make(FileSource, path=path, delimiter=",")
    schema = source.discover().streams[0]
    result = read_stream(source, schema=schema, casts={field.name: "text" for field in schema.fields})
    assert not result.rejected
    assert [list(row.values()) for row in result.rows] == rows


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("final", [True, False])
def test_line_ends(tmp_path: Path, end: str, final: bool) -> None:
    text = end.join(["a,b", '1,"x' + end + 'y"', "2,z"]) + (end if final else "")
    assert read_text(tmp_path / "x.csv", text).rows == [{"a": 1, "b": f"x{end}y"}, {"a": 2, "b": "z"}]


@pytest.mark.parametrize(
    ("encoding", "config"),
    [
        ("utf-8-sig", {}),
        ("utf-16", {}),
        ("utf-32", {}),
        ("cp1252", {"encoding": "cp1252"}),
        ("utf-16-le", {"encoding": "utf-16-le"}),
    ],
)
def test_encodings(tmp_path: Path, encoding: str, config: dict[str, str]) -> None:
    assert read_text(tmp_path / "x.csv", "a,b\né,€\n".encode(encoding), **config).rows == [{"a": "é", "b": "€"}]


def test_bytes_that_an_encoding_does_not_know_reject_their_row(tmp_path: Path) -> None:
    result = read_text(tmp_path / "x.csv", b"a,b\n1,\x81\n2,\xe9\n", encoding="cp1252")
    assert result.rows == [{"a": 2, "b": "é"}]
    assert [(record.code, json.loads(record.payload)["b"]) for record in result.rejected] == [("invalid_utf8", "\\x81")]


def test_ragged_rows_with_bytes_that_are_not_text(tmp_path: Path) -> None:
    result = read_text(tmp_path / "x.csv", b"a,b\n\xff\n1,2\n\xfe,1,2\n3,\xfd\n")
    assert result.rows == [{"a": 1, "b": "2"}]
    assert sorted((record.key, record.code, record.payload) for record in result.rejected) == [
        ("row 2", "too_few_fields", "\\xff"),
        ("row 4", "too_many_fields", "\\xfe,1,2"),
        ("row 5", "invalid_utf8", '{"a": "3", "b": "\\\\xfd"}'),
    ]


def test_row_numbers_count_rejected_rows(tmp_path: Path) -> None:
    text = "a,b\n" + "".join("1\n" if number % 3 == 0 else f"{'x' if number % 5 == 0 else 1},2\n" for number in range(2, 40))
    source_path = tmp_path / "x.csv"
    source_path.write_text(text)
    result = read_stream(make(FileSource, path=source_path), casts={"a": "int64"})
    keys = {record.code: set() for record in result.rejected}  # type: dict[str, set[str | None]]
    for record in result.rejected:
        keys[record.code].add(record.key)
    assert keys["too_few_fields"] == {f"row {number}" for number in range(2, 40) if number % 3 == 0}
    assert keys["cast_failed"] == {f"row {number}" for number in range(2, 40) if number % 5 == 0 and number % 3}


@pytest.mark.parametrize("text", ['a,b\n1,"x\n2,y\n', 'a,b\n1,"x', 'a\n"', 'a,b\n1,2\n"'])
def test_a_quote_that_is_never_closed_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(SourceDataError, match="never closed"):
        read_text(tmp_path / "x.csv", text, delimiter=",")


def test_a_quote_within_a_value_is_a_character(tmp_path: Path) -> None:
    assert read_text(tmp_path / "x.csv", 'a,b\n1,5" pipe\n2,x\n').column("b") == ['5" pipe', "x"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("id,,id,\n1,2,3,4\n", ["id", "column_2", "id_2", "column_4"]),
        ("a;b\n1,5;2\n", ["a", "b"]),
        ("a\tb\n1\t2\n", ["a", "b"]),
        ("only\n1\n", ["only"]),
        ("id_2,id,id\n1,2,3\n", ["id_2", "id", "id_3"]),
        ('"[red]x[/]","\x1b[31m"\n1,2\n', ["[red]x[/]", "\x1b[31m"]),
    ],
)
def test_names(tmp_path: Path, text: str, names: list[str]) -> None:
    result = read_text(tmp_path / "x.csv", text)
    assert list(result.types) == names
    assert len(result.rows) == 1


def test_without_a_header_columns_are_numbered(tmp_path: Path) -> None:
    assert read_text(tmp_path / "x.csv", "1,a\n2,b\n", header=False).rows == [
        {"column_1": 1, "column_2": "a"},
        {"column_1": 2, "column_2": "b"},
    ]


def test_null_values_count_unquoted_only(tmp_path: Path) -> None:
    result = read_text(tmp_path / "x.csv", 'a,b\nNULL,"NULL"\n,""\n', null_values=["", "NULL"])
    assert result.rows == [{"a": None, "b": "NULL"}, {"a": None, "b": ""}]


TYPES = [
    (["1", "-20", "0"], "int64"),
    (["1", "2.5", "1e3"], "float64"),
    (["9223372036854775808"], "decimal(38,0)"),
    (["0.1234567890123456789"], "text"),
    (["00123", "1"], "text"),
    (["+1"], "text"),
    (["-0"], "float64"),
    (["true", "False"], "boolean"),
    (["2025-01-31"], "date"),
    (["2025-02-30"], "text"),
    (["2025-01-31 01:02:03.5"], "timestamp"),
    (["2025-01-31T01:02:03Z", "2025-01-31 01:02:03+02:00"], "timestamptz"),
    (["2025-01-31T01:02:03Z", "2025-01-31 01:02:03"], "text"),
    (["1", "x"], "text"),
    (["nan"], "text"),
    (["", ""], "text"),
]


@pytest.mark.parametrize(("values", "expected"), TYPES)
def test_types_are_inferred_conservatively(tmp_path: Path, values: list[str], expected: str) -> None:
    result = read_text(tmp_path / "x.csv", "k,v\n" + "".join(f"k,{value}\n" for value in values))
    assert result.types["v"] == expected
    assert not result.rejected


def test_a_value_beyond_the_sample_is_rejected(tmp_path: Path) -> None:
    text = "id,v\n" + "".join(f"{number},{'y' * 100}\n" for number in range(20_000)) + "x,last\n"
    result = read_text(tmp_path / "x.csv", text)
    assert len(result.rows) == 20_000
    assert [(record.key, record.code) for record in result.rejected] == [("row 20002", "cast_failed")]


def test_rows_longer_than_a_block_and_lines_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits are lowered, so that the second pass with larger blocks and the omission of a line both happen."""
    for module in ("file_bytes", "delimited"):
        monkeypatch.setattr(f"syncterm.engine.sources.{module}.BLOCK_BYTES", 1000)
        monkeypatch.setattr(f"syncterm.engine.sources.{module}.MAX_LINE_BYTES", 5000)
    lines = [
        "id,v",
        *(f"{number},short" for number in range(300)),
        "300," + "m" * 3000,
        "301," + "x" * 9000,
        '302,"' + "q" * 9000 + '"',
        "x",
    ]
    lines += [f"{number},short" for number in range(303, 600)]
    result = read_text(tmp_path / "x.csv", "\n".join(lines))
    assert result.column("id") == [number for number in range(600) if number not in (301, 302)]
    assert len(result.column("v")[300]) == 3000
    assert sorted((record.code, record.key) for record in result.rejected) == [
        ("too_few_fields", "row 303"),
        ("too_large", "line 303"),
        ("too_large", "line 304"),
    ]


def test_an_endless_quote_in_a_long_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("file_bytes", "delimited"):
        monkeypatch.setattr(f"syncterm.engine.sources.{module}.BLOCK_BYTES", 1000)
        monkeypatch.setattr(f"syncterm.engine.sources.{module}.MAX_LINE_BYTES", 2000)
    with pytest.raises(SourceDataError, match="never"):
        read_text(tmp_path / "x.csv", 'id,v\n1,"' + "line\n" * 4000, delimiter=",")


def test_random_files_balance(tmp_path: Path) -> None:
    """Written by another program, compressed, in many blocks: the number of rows and every value are kept."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["id", "text", "number"])
    rows = [[number, f'va"l,ue\n{number}', number / 8] for number in range(30_000)]
    writer.writerows(rows)
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(buffer.getvalue().encode()))
    result = read_stream(make(FileSource, path=path))
    assert [list(row.values()) for row in result.rows] == rows
    assert result.bytes == path.stat().st_size


@pytest.mark.parametrize("damage", [slice(0, 30), slice(0, -1)])
def test_damaged_gzip_is_an_error(tmp_path: Path, damage: slice) -> None:
    data = gzip.compress(b"a,b\n" + b"1,2\n" * 5000)
    with pytest.raises(SourceDataError, match="damaged or incomplete"):
        read_text(tmp_path / "x.csv.gz", data[damage])


def test_marks_are_taken_back() -> None:
    data = b"a\xff\xfe,\xc3"
    marked = data.decode("utf-8", "syncterm.mark").encode()
    assert file_bytes.is_utf8(marked)
    assert file_bytes.unmark(marked) == data


@pytest.mark.parametrize(
    "config", [{"delimiter": ",,"}, {"delimiter": "\n"}, {"encoding": "hex"}, {"encoding": "nope"}, {"quote": "é"}]
)
def test_impossible_settings_are_refused(config: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        make(FileSource, path="x.csv", **config)


def test_zstd_is_read_and_its_damage_seen(tmp_path: Path) -> None:
    data = bytes(pa.compress(b"a,b\n" + b"1,2\n" * 5000, codec="zstd", asbytes=True))
    assert len(read_text(tmp_path / "x.csv.zst", data).rows) == 5000
    with pytest.raises(SourceDataError, match="damaged or incomplete"):
        read_text(tmp_path / "x.csv.zst", data[:-5])


def test_a_reader_that_is_left_reads_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow's read-ahead must not go on in a file that is read again from its beginning."""
    for module in ("file_bytes", "delimited"):
        monkeypatch.setattr(f"syncterm.engine.sources.{module}.BLOCK_BYTES", 1000)
    path = tmp_path / "x.csv"
    path.write_text("id,v\n" + "".join(f"{number},x\n" for number in range(20_000)))
    context = AdapterContext(base_folder=tmp_path)
    fields = (Field("id", parse_type("int64")),)
    with file_bytes.FileBytes(path, context, poll=lambda: None) as file:
        for _ in range(20):
            left = DelimitedReader(file, DelimitedFormat(), "x").read(fields, {})
            next(left)
            left.close()
            position = file.position
            file.rewind()
            assert position > 0
            batches = DelimitedReader(file, DelimitedFormat(), "x").read(fields, {})
            assert sum(batch.records.num_rows for batch in batches) == 20_000
