"""Every damaged sample file: rows loaded + records rejected = rows in the file, or one typed error. Nothing else."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from syncterm.engine.errors import SourceDataError, SynctermError
from syncterm.engine.sources.file import FileSource
from tests.engine.sources.reading import make, read_stream
from tests.samples import SAMPLES

BAD_FILES = SAMPLES / "bad_files"

# file → rows loaded, codes of the rejected records, and their keys
READ: dict[str, tuple[int, dict[str, int], list[str]]] = {
    "c03_blank_lines.csv": (0, {}, []),
    "c06_latin1.csv": (0, {"invalid_utf8": 1}, ["row 2"]),
    "c07_bad_utf8_mid.csv": (10_000, {"invalid_utf8": 1}, ["row 5002"]),
    "c08_ragged_short.csv": (1, {"too_few_fields": 1}, ["row 2"]),
    "c09_ragged_long.csv": (1, {"too_many_fields": 1}, ["row 2"]),
    "c11_nul.csv": (1, {}, []),
    "c12_cr_only.csv": (2, {}, []),
    "c13_mixed_eol.csv": (3, {}, []),
    "c22_10k_columns.csv": (1, {}, []),
    "c24_leading_zero.csv": (2, {}, []),
    "c26_nulls.csv": (3, {}, []),
    "c27_hostile_header.csv": (1, {}, []),
    "c29_dates.csv": (5, {}, []),
    "c30_header_is_data.csv": (1, {}, []),
    "g03_not_gzip.csv.gz": (1, {}, []),
    "g04_bomb_20mb.csv.gz": (0, {"too_large": 1}, ["line 2"]),
    "g05_concat.csv.gz": (2, {}, []),
    "j02_truncated_last.jsonl": (1, {"truncated_record": 1}, ["line 2"]),
    "j09_nul_escape.jsonl": (1, {}, []),
    "j14_case_keys.jsonl": (1, {}, []),
    "j16_bad_utf8.jsonl": (1, {"invalid_utf8": 1}, ["line 1"]),
    "j19_missing_cursor.jsonl": (3, {}, []),
    "j21_cursor_mixed_tz.jsonl": (2, {}, []),
    "q10_zero_rows.parquet": (0, {}, []),
    "q11_zero_cols.parquet": (0, {}, []),
    "q16_int96.parquet": (1, {}, []),
    "q18_dup_names.parquet": (1, {}, []),
    "q20_2k_cols.parquet": (1, {}, []),
}

REFUSED = (
    "c31_binary.csv",
    "g01_truncated.csv.gz",
    "j04_array_file.jsonl",
    "q03_zero_bytes.parquet",
    "q04_bad_magic.parquet",
    "q05_footer_len.parquet",
    "q07_only_magic.parquet",
    "q08_is_csv.parquet",
)


def test_the_tables_cover_the_manifest() -> None:
    manifest = json.loads((BAD_FILES / "manifest.json").read_text())
    files = {case["file"] for case in manifest["cases"] if Path(case["file"]).suffix in (".csv", ".gz", ".jsonl", ".parquet")}
    assert files == {*READ, *REFUSED, "c21_huge_field.csv"}


@pytest.mark.parametrize("name", READ)
def test_readable_files_balance(name: str) -> None:
    loaded, codes, keys = READ[name]
    result = read_stream(make(FileSource, path=BAD_FILES / name))
    assert len(result.rows) == loaded
    assert Counter(record.code for record in result.rejected) == codes
    assert [record.key for record in result.rejected] == keys


@pytest.mark.parametrize("name", REFUSED)
def test_unreadable_files_are_refused(name: str) -> None:
    source = make(FileSource, path=BAD_FILES / name)
    with pytest.raises(SourceDataError) as caught:
        read_stream(source)
    assert name in str(caught.value)


def test_a_huge_field_is_exact(tmp_path: Path) -> None:
    path = tmp_path / "c21_huge_field.csv"
    path.write_text("id,v\n1," + "x" * 2_000_000 + "\n2,s\n")
    result = read_stream(make(FileSource, path=path))
    assert result.column("v") == ["x" * 2_000_000, "s"]


def test_nothing_is_lost_in_the_values() -> None:
    def rows(name: str) -> list[dict[str, object]]:
        return read_stream(make(FileSource, path=BAD_FILES / name)).rows

    assert rows("c11_nul.csv") == [{"a": 1, "b": "x\x00y"}]
    assert rows("c24_leading_zero.csv") == [{"zip": "00123"}, {"zip": "99999"}]
    assert rows("c26_nulls.csv") == [{"a": None, "b": ""}, {"a": "NULL", "b": "\\N"}, {"a": "null", "b": "NA"}]
    assert rows("c27_hostile_header.csv") == [{"id": 1, 'a"; DROP TABLE x; --': 2, "[red]x[/]": 3}]
    assert rows("j09_nul_escape.jsonl") == [{"id": 1, "v": "a\x00b"}]
    assert rows("j14_case_keys.jsonl") == [{"id": 1, "Name": "a", "name": "b", "NAME": "c"}]
    assert rows("q18_dup_names.parquet") == [{"id": 1, "id_2": 2}]


def test_configured_encoding_reads_latin1() -> None:
    result = read_stream(make(FileSource, path=BAD_FILES / "c06_latin1.csv", encoding="latin-1"))
    assert result.rows == [{"id": 1, "name": "é"}]


def test_invalid_dates_are_rejected_not_null() -> None:
    result = read_stream(make(FileSource, path=BAD_FILES / "c29_dates.csv"), casts={"d": "date"})
    assert [str(value) for value in result.column("d")] == ["9999-12-31"]
    assert len(result.rejected) == 4


def test_cursors_with_offsets_are_instants() -> None:
    result = read_stream(make(FileSource, path=BAD_FILES / "j21_cursor_mixed_tz.jsonl"))
    first, second = result.column("updated_at")
    assert first < second


def test_every_cut_of_a_file_is_read_or_refused(tmp_path: Path) -> None:
    """Truncated anywhere, no file crashes the reader or raises an untyped error."""
    for name in (
        "g05_concat.csv.gz",
        "j21_cursor_mixed_tz.jsonl",
        "q16_int96.parquet",
        "q18_dup_names.parquet",
        "c13_mixed_eol.csv",
    ):
        data = (BAD_FILES / name).read_bytes()
        for length in range(0, len(data), max(1, len(data) // 60)):
            path = tmp_path / name
            path.write_bytes(data[:length])
            try:
                read_stream(make(FileSource, path=path))
            except SynctermError:
                continue
