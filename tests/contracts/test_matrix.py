"""Each source into each destination in each mode, through the pipeline: what arrives, what is counted, where the cursor stands."""

from __future__ import annotations

import pytest

from syncterm.engine.errors import ConfigError
from syncterm.engine.model import Cursor, SyncMode
from tests.contracts.destination_harness import DestinationHarness
from tests.contracts.loads import FIELDS
from tests.contracts.source_harness import Record, SourceHarness
from tests.contracts.syncing import sync

BEFORE: list[Record] = [(1, "one", 10), (2, "two", 20), (3, "three", 30)]
AFTER: list[Record] = [(1, "one", 10), (2, "zwei", 40), (3, "three", 30), (4, "vier", 50), (5, "fünf", 50)]
CHANGED: list[Record] = [(2, "zwei", 40), (4, "vier", 50), (5, "fünf", 50)]
ARRIVED: dict[SyncMode, list[Record]] = {
    SyncMode.REPLACE: AFTER,
    SyncMode.APPEND: BEFORE + AFTER,
    SyncMode.INCREMENTAL_APPEND: BEFORE + CHANGED,
    SyncMode.INCREMENTAL_UPSERT: AFTER,
}


@pytest.mark.parametrize("mode", list(SyncMode), ids=lambda mode: mode.value)
def test_two_syncs_and_a_historical_one(source: SourceHarness, destination: DestinationHarness, mode: SyncMode) -> None:
    source.fill(BEFORE)
    if mode is SyncMode.INCREMENTAL_UPSERT and not destination.make().capabilities.upsert:
        with pytest.raises(ConfigError):
            sync(source, destination, mode)
        assert destination.everything() == {}
        return
    first = sync(source, destination, mode)
    assert (first.counts.read, first.counts.written) == (3, 3)
    assert destination.rows("orders", FIELDS) == BEFORE

    source.fill(AFTER)
    second = sync(source, destination, mode)
    assert destination.rows("orders", FIELDS) == sorted(ARRIVED[mode], key=repr)
    assert second.counts.balanced
    assert second.counts.written == (len(CHANGED) if mode.incremental else len(AFTER))
    assert (None if second.cursor is None else Cursor.from_text(second.cursor).value) == ("50" if mode.incremental else None)

    third = sync(source, destination, mode)
    if mode.incremental:  # nothing is new: nothing is written, and the cursor stays
        assert third.counts.written == 0
        assert third.cursor == second.cursor
        assert destination.rows("orders", FIELDS) == sorted(ARRIVED[mode], key=repr)

    sync(source, destination, mode, full=True)
    assert destination.rows("orders", FIELDS) == AFTER
