"""Files, folders and patterns: which streams they are, what changes under the reader, and how a read ends early."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syncterm.engine.adapters import AdapterContext
from syncterm.engine.errors import CancelledSyncError, ConfigError, SchemaChangedError, SourceDataError, SourceUnavailableError
from syncterm.engine.model import StreamConfig, SyncMode
from syncterm.engine.sources.file import FileSource
from tests.engine.sources.reading import make, read_stream


def names(path: Path | str, **config: Any) -> list[str]:
    return [stream.name for stream in make(FileSource, path=path, **config).discover().streams]


def test_a_folder_is_a_stream_a_file(tmp_path: Path) -> None:
    for name in ("orders.csv", "people.jsonl.gz", "people.csv", ".hidden.csv", "notes.md"):
        (tmp_path / name).write_text('{"a":1}\n' if "jsonl" in name else "a\n1\n")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "deep.csv").write_text("a\n1\n")
    assert names(tmp_path) == ["orders", "people.csv", "people.jsonl.gz"]
    assert read_stream(make(FileSource, path=tmp_path), "people.jsonl.gz").rows == [{"a": 1}]


def test_a_pattern_is_one_stream_over_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "2025-01").mkdir()
    (tmp_path / "2025-01" / "log.csv").write_text("id,a\n1,x\n")
    (tmp_path / "2025-02").mkdir()
    (tmp_path / "2025-02" / "log.csv").write_text("b,id\n2.5,2\n3,3,3\n")
    (tmp_path / "2025-02" / "log.jsonl").write_text('{"id": "x", "c": [1]}\n')
    result = read_stream(make(FileSource, path=tmp_path / "2025-*" / "log.*"))
    assert result.schema.name == "log"
    assert result.types == {"id": "text", "a": "text", "b": "float64", "c": "json", "_file": "text"}
    assert result.rows == [
        {"id": "1", "a": "x", "b": None, "c": None, "_file": "2025-01/log.csv"},
        {"id": "2", "a": None, "b": 2.5, "c": None, "_file": "2025-02/log.csv"},
        {"id": "x", "a": None, "b": None, "c": "[1]", "_file": "2025-02/log.jsonl"},
    ]
    assert [record.key for record in result.rejected] == ["2025-02/log.csv row 3"]


def test_a_name_with_pattern_characters_is_a_name_where_it_exists(tmp_path: Path) -> None:
    (tmp_path / "[red].csv").write_text("a\n1\n")
    assert names(tmp_path / "[red].csv") == ["[red]"]


def test_links_are_not_followed_out_of_the_folder(tmp_path: Path) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("secret\n1\n")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "own.csv").write_text("a\n1\n")
    (folder / "link.csv").symlink_to(outside)
    (folder / "way").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.csv")
    assert names(folder) == ["own"]
    assert read_stream(make(FileSource, path=folder / "**" / "*.csv")).schema.fields[0].name == "a"
    with pytest.raises(ConfigError, match="leads out"):
        names(folder / "*" / ".." / ".." / "*.csv")


def test_the_products_own_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "store.csv").write_text("secret\n1\n")
    (tmp_path / "own.csv").write_text("a\n1\n")
    os.link(tmp_path / "store.csv", tmp_path / "hard.csv")
    context = AdapterContext(base_folder=tmp_path, forbidden_paths=(tmp_path / "store.csv",))
    assert [stream.name for stream in make(FileSource, context, path=".").discover().streams] == ["own"]
    with pytest.raises(ConfigError, match="belongs to syncterm"):
        make(FileSource, context, path="hard.csv").discover()


@pytest.mark.parametrize("path", ["absent.csv", "absent/*.csv", "*.csv", "."])
def test_nothing_there_is_a_matter_of_configuration(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError):
        make(FileSource, AdapterContext(base_folder=tmp_path), path=path).discover()


def test_the_connection_test_names_its_steps(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")
    steps = list(make(FileSource, path=tmp_path).check())
    assert [step.title for step in steps] == ["Initiate test", "Authentication check", "Connectivity test"]
    (tmp_path / "x.csv").write_bytes(b"\x00\x01")
    with pytest.raises(SourceDataError):
        list(make(FileSource, path=tmp_path).check())


def test_a_stream_whose_file_is_gone_has_changed(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")
    (tmp_path / "y.csv").write_text("a\n1\n")
    source = make(FileSource, path=tmp_path)
    schema = source.discover().stream("x")
    (tmp_path / "x.csv").unlink()
    with pytest.raises(SchemaChangedError):
        read_stream(source, schema=schema)


def _lines(count: int) -> str:
    return "id,v\n" + "".join(f"{number},{'x' * 100}\n" for number in range(count))


def _while_reading(path: Path, change: Callable[[], object]) -> list[int]:
    """The ids that arrive when the file is changed after the first batch."""
    source = make(FileSource, path=path)
    schema = source.discover().streams[0]
    arrived: list[int] = []
    batches = source.read(StreamConfig(schema.name, SyncMode.REPLACE), schema, schema.fields, None)
    arrived += next(batches).records.column("id").to_pylist()
    change()
    for batch in batches:
        arrived += batch.records.column("id").to_pylist()
    return arrived


def _append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


ROWS = 60_000


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that little has been read when the first batch arrives."""
    for module in ("file_bytes", "delimited"):
        monkeypatch.setattr(f"syncterm.engine.sources.{module}.BLOCK_BYTES", 64 * 1024)


@pytest.mark.usefixtures("small_blocks")
def test_a_file_replaced_while_it_is_read_is_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(_lines(ROWS))
    new = tmp_path / "new"
    new.write_text("id,v\n-1,new\n")
    assert _while_reading(path, lambda: new.replace(path)) == list(range(ROWS))


@pytest.mark.usefixtures("small_blocks")
def test_a_file_that_grows_is_read_up_to_its_size_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(_lines(ROWS))
    assert _while_reading(path, lambda: _append(path, "-1,new\n")) == list(range(ROWS))


@pytest.mark.parametrize("ending", ["999999,cut", '999999,"cu'])
@pytest.mark.usefixtures("small_blocks")
def test_a_file_that_was_being_written_is_an_error(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(_lines(ROWS) + ending)
    with pytest.raises(SourceUnavailableError, match="was changed"):
        _while_reading(path, lambda: _append(path, "off\n"))


@pytest.mark.parametrize("size", [0, 4_000_000])
@pytest.mark.usefixtures("small_blocks")
def test_a_file_cut_short_while_it_is_read_is_an_error(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.csv"
    path.write_text(_lines(ROWS))
    with pytest.raises(SourceUnavailableError, match="cut short"):
        _while_reading(path, lambda: os.truncate(path, size))


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl"])
@pytest.mark.usefixtures("small_blocks")
def test_a_read_ends_when_it_is_interrupted(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(_lines(ROWS) if name == "x.csv" else "".join(f'{{"id":{n},"v":{{"x":1}}}}\n' for n in range(ROWS)))
    source = make(FileSource, path=path)
    schema = source.discover().streams[0]
    batches = source.read(StreamConfig(schema.name, SyncMode.REPLACE), schema, schema.fields, None)
    next(batches)
    threading.Thread(target=source.interrupt).start()
    with pytest.raises(CancelledSyncError):
        _exhaust(batches, source)


def _exhaust(batches: Iterator[object], source: FileSource) -> None:
    while True:
        next(batches)
        if source.interrupted:
            next(batches)


# Parquet


def write_parquet(path: Path, table: pa.Table, **options: Any) -> FileSource:
    pq.write_table(table, path, **options)
    return make(FileSource, path=path)


def test_parquet_types_arrive_without_loss(tmp_path: Path) -> None:
    table = pa.table(
        {
            "u8": pa.array([255], pa.uint8()),
            "u32": pa.array([2**32 - 1], pa.uint32()),
            "u64": pa.array([2**64 - 1], pa.uint64()),
            "half": pa.array([1.5], pa.float16()),
            "wide": pa.array([Decimal(10) ** 49], pa.decimal256(50, 0)),
            "money": pa.array([Decimal("1.10")], pa.decimal128(10, 2)),
            "ns": pa.array([1_000], pa.timestamp("ns")),
            "zone": pa.array([0], pa.timestamp("ms", "Europe/Berlin")),
            "list": pa.array([[1, None]]),
            "struct": pa.array([{"x": 1.5, "y": "é"}]),
            "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            "word": pa.array(["a"]).dictionary_encode(),
            "fixed": pa.array([b"ab"], pa.binary(2)),
            "nothing": pa.nulls(1),
            "a.b": [1],
        }
    )
    result = read_stream(write_parquet(tmp_path / "x.parquet", table))
    assert result.types == {
        "u8": "int16",
        "u32": "int64",
        "u64": "uint64",
        "half": "float32",
        "wide": "text",
        "money": "decimal(10,2)",
        "ns": "timestamp",
        "zone": "timestamptz",
        "list": "json",
        "struct": "json",
        "map": "json",
        "word": "text",
        "fixed": "binary",
        "nothing": "text",
        "a.b": "int64",
    }
    assert result.rows == [
        {
            "u8": 255,
            "u32": 2**32 - 1,
            "u64": 2**64 - 1,
            "half": 1.5,
            "wide": "1" + "0" * 49,
            "money": Decimal("1.10"),
            "ns": datetime(1970, 1, 1, 0, 0, 0, 1),
            "zone": datetime(1970, 1, 1, tzinfo=UTC),
            "list": "[1,null]",
            "struct": '{"x":1.5,"y":"é"}',
            "map": '[["k",1]]',
            "word": "a",
            "fixed": b"ab",
            "nothing": None,
            "a.b": 1,
        }
    ]
    assert result.schema.estimated_rows == 1


def test_int96_is_exact_or_rejected(tmp_path: Path) -> None:
    instants = pa.array([0, 1_000, 1_001, None, -(10**18) - 7], pa.timestamp("ns"))
    source = write_parquet(tmp_path / "x.parquet", pa.table({"t": instants, "id": range(5)}), use_deprecated_int96_timestamps=True)
    result = read_stream(source)
    assert result.column("id") == [0, 1, 3]
    assert [record.key for record in result.rejected] == ["row 3", "row 5"]
    assert "1970-01-01 00:00:00.000001001" in result.rejected[0].message


def test_chosen_columns_arrive_in_their_order(tmp_path: Path) -> None:
    source = write_parquet(tmp_path / "x.parquet", pa.table({"a": [1], "b": [{"c": 2}], "b.c": [3]}))
    assert read_stream(source, columns=["b.c", "a"]).rows == [{"b.c": 3, "a": 1}]


def test_parquet_in_pieces_keeps_every_row(tmp_path: Path) -> None:
    table = pa.table({"id": range(200_000), "v": ["x" * 50] * 200_000})
    source = write_parquet(tmp_path / "x.parquet", table, row_group_size=70_000)
    result = read_stream(source)
    assert result.column("id") == list(range(200_000))


@pytest.mark.parametrize("seed", range(40))
def test_damaged_parquet_is_refused_or_read(tmp_path: Path, seed: int) -> None:
    """One byte changed, in the footer or in the data, never ends in an untyped error."""
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": range(100), "v": ["abc"] * 100}), path, compression="none")
    data = bytearray(path.read_bytes())
    data[seed * len(data) // 40] ^= 0xFF
    path.write_bytes(data)
    with suppress(SourceDataError):
        read_stream(make(FileSource, path=path))
