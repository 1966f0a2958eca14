"""A row filter means the same on every source, in every mode."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncterm.engine.errors import ConfigError, SchemaChangedError
from syncterm.engine.model import Cursor, RejectedRecord, SyncMode
from tests.contracts.destination_harness import DuckDBHarness
from tests.contracts.loads import FIELDS
from tests.contracts.source_harness import Record, SourceHarness
from tests.contracts.syncing import sync

RECORDS: list[Record] = [(1, "one", 10), (2, "two", 20), (3, "three", 30), (4, "vier", 40)]
KEPT: list[Record] = [(1, "one", 10), (2, "two", 20)]
CONDITION = "id < 3 and (note like '%o%' or note is null)"


@pytest.mark.parametrize("mode", list(SyncMode), ids=lambda mode: mode.value)
def test_only_the_records_that_it_is_true_for_arrive(source: SourceHarness, tmp_path: Path, mode: SyncMode) -> None:
    source.fill(RECORDS)
    destination = DuckDBHarness(tmp_path)
    loaded = sync(source, destination, mode, row_filter=CONDITION)
    assert destination.rows("orders", FIELDS) == KEPT
    assert (loaded.counts.read, loaded.counts.written, loaded.counts.filtered) == (4, 2, 2)
    if not mode.incremental:
        return
    assert loaded.cursor is not None
    assert Cursor.from_text(loaded.cursor).value == "40"  # past the records that were left out
    source.fill([*RECORDS, (0, "no", 50)])
    again = sync(source, destination, mode, row_filter=CONDITION)
    assert again.counts.balanced
    assert destination.rows("orders", FIELDS) == [(0, "no", 50), *KEPT]


def test_a_column_that_is_not_selected_can_be_filtered_by_and_is_not_written(source: SourceHarness, tmp_path: Path) -> None:
    source.fill(RECORDS)
    destination = DuckDBHarness(tmp_path)
    loaded = sync(source, destination, SyncMode.REPLACE, columns=("id",), row_filter="NOTE in ('two', 'vier') and seen > 20")
    assert loaded.counts.written == 1
    assert destination.everything() == {"main.orders": "[(4,)]"}


def test_a_cast_column_is_filtered_in_the_type_that_it_is_cast_to(source: SourceHarness, tmp_path: Path) -> None:
    source.fill(RECORDS)
    destination = DuckDBHarness(tmp_path)
    loaded = sync(source, destination, SyncMode.REPLACE, casts={"seen": "text"}, row_filter="seen like '3%'")
    assert loaded.counts.written == 1
    with pytest.raises(ConfigError, match=r"Stream .* text cannot be compared with a number"):
        sync(source, destination, SyncMode.REPLACE, casts={"seen": "text"}, row_filter="seen > 30")


def test_a_record_that_it_cannot_be_computed_for_is_a_failed_one(source: SourceHarness, tmp_path: Path) -> None:
    source.fill([*RECORDS, (5, "5", 50)])
    destination = DuckDBHarness(tmp_path)
    rejected: list[RejectedRecord] = []
    loaded = sync(source, destination, SyncMode.REPLACE, row_filter="cast(note as int64) = id", rejected=rejected)
    assert (loaded.counts.written, loaded.counts.rejected) == (1, 4)
    assert [(record.code, record.key) for record in rejected] == [
        ("filter_failed", f'{{"id": {number}}}') for number in range(1, 5)
    ]
    assert "'one'" in rejected[0].message


@pytest.mark.parametrize(
    ("condition", "error"),
    [("nte = 'x'", SchemaChangedError), ("id > 'x'", ConfigError), ("regexp_matches(note, '(')", ConfigError)],
)
def test_a_filter_that_cannot_be_applied_ends_the_sync_before_anything_is_read(
    source: SourceHarness, tmp_path: Path, condition: str, error: type[Exception]
) -> None:
    source.fill(RECORDS)
    destination = DuckDBHarness(tmp_path)
    with pytest.raises(error):
        sync(source, destination, SyncMode.REPLACE, row_filter=condition)
    assert destination.everything() == {}
