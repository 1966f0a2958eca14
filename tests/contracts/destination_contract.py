"""What every destination promises. Subclass `DestinationContract` with a fixture `harness` to try one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from syncterm.engine.deletes import DELETED_AT, DeletePlan
from syncterm.engine.destinations.base import STATE_TABLE, Load, LoadTarget
from syncterm.engine.errors import CancelledSyncError, ConfigError, SchemaChangedError, StaleEpochError, SynctermError
from syncterm.engine.model import Action, DeleteHandling, SyncMode
from tests.contracts.destination_harness import DestinationHarness, comparable
from tests.contracts.loads import FIELDS, batch, fields, load, target
from tests.samples import SAMPLES

OLD = [(1, "one", 1), (2, "two", 2)]
NEW = [(2, "zwei", 5), (3, "drei", 6)]
HOSTILE = [case["s"] for case in json.loads((SAMPLES / "hostile_names.json").read_text("utf-8"))["cases"] if case["s"] is not None]
MODES = [pytest.param(mode, id=mode.value) for mode in SyncMode]


NOTICED_AT = datetime(2025, 3, 4, 5, 6, 7, 89, tzinfo=UTC)


def _deleting(handling: DeleteHandling, **changes: Any) -> LoadTarget:
    """An upsert that deletes."""
    columns = {"fields": (*FIELDS, DELETED_AT)} if handling is DeleteHandling.MARK else {}
    return target(SyncMode.INCREMENTAL_UPSERT, deletes=DeletePlan(handling, NOTICED_AT), **{**columns, **changes})


def _rows(rows: list[tuple[Any, ...]], to: LoadTarget) -> pa.RecordBatch:
    """Rows of FIELDS as the target has them: not marked."""
    return batch([(*row, *[None] * (len(to.fields) - len(FIELDS))) for row in rows], to.fields)


class DestinationContract:
    """The contract of `destinations/base.py`, as tests."""

    @pytest.fixture
    def harness(self) -> DestinationHarness:
        """The destination under test, empty."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _close_adapters(self, harness: DestinationHarness) -> Iterator[None]:
        yield
        harness.close_all()

    @pytest.fixture(params=MODES)
    def mode(self, request: pytest.FixtureRequest, harness: DestinationHarness) -> SyncMode:
        """Each mode that the destination can do."""
        if request.param is SyncMode.INCREMENTAL_UPSERT and not harness.make().capabilities.upsert:
            pytest.skip("this destination cannot upsert; see test_upsert_is_possible_or_refused")
        chosen: SyncMode = request.param
        return chosen

    # connection

    def test_the_connection_test_passes_and_makes_nothing(self, harness: DestinationHarness) -> None:
        before = harness.everything()
        steps = list(harness.make().check())
        assert steps
        assert all(step.passed for step in steps)
        assert harness.everything() == before

    def test_nothing_is_known_of_a_new_connector(self, harness: DestinationHarness) -> None:
        assert harness.make().state("connector", "") == {}
        assert harness.everything() == {}

    def test_close_may_be_called_twice(self, harness: DestinationHarness) -> None:
        destination = harness.make()
        load(destination, target(), batch(OLD))
        destination.close()
        destination.close()

    # modes

    def test_replace_puts_the_new_rows_in_the_place_of_the_old(self, harness: DestinationHarness) -> None:
        assert load(harness.make(), target(), batch(OLD)).written == 2
        result = load(harness.make(), target(), batch(NEW[:1]), batch(NEW[1:]))
        assert (result.written, result.superseded) == (2, 0)
        assert harness.rows("orders", FIELDS) == NEW

    @pytest.mark.parametrize("mode", [SyncMode.APPEND, SyncMode.INCREMENTAL_APPEND])
    def test_append_adds(self, harness: DestinationHarness, mode: SyncMode) -> None:
        load(harness.make(), target(mode), batch(OLD), cursor="2")
        assert load(harness.make(), target(mode), batch(NEW), cursor="6").written == 2
        assert harness.rows("orders", FIELDS) == sorted(OLD + NEW, key=repr)

    def test_upsert_is_possible_or_refused(self, harness: DestinationHarness) -> None:
        destination = harness.make()
        if not destination.capabilities.upsert:
            with pytest.raises(ConfigError):
                destination.open(target(SyncMode.INCREMENTAL_UPSERT))
            assert harness.everything() == {}
            return
        load(destination, target(SyncMode.INCREMENTAL_UPSERT), batch(OLD), cursor="2")
        load(destination, target(SyncMode.INCREMENTAL_UPSERT), batch(NEW), cursor="6")
        assert harness.rows("orders", FIELDS) == [OLD[0], *NEW]

    def test_a_full_load_replaces_in_every_mode(self, harness: DestinationHarness, mode: SyncMode) -> None:
        load(harness.make(), target(mode), batch(OLD), cursor="2")
        load(harness.make(), target(mode, full=True), batch(NEW), cursor="6")
        assert harness.rows("orders", FIELDS) == NEW

    def test_no_batches_make_an_empty_table(self, harness: DestinationHarness, mode: SyncMode) -> None:
        assert load(harness.make(), target(mode)).written == 0
        assert harness.rows("orders", FIELDS) == []

    def test_no_batches_replace_what_is_there_and_add_nothing_elsewhere(self, harness: DestinationHarness, mode: SyncMode) -> None:
        load(harness.make(), target(mode), batch(OLD), cursor="2")
        load(harness.make(), target(mode), batch([]), cursor="2")
        assert harness.rows("orders", FIELDS) == ([] if mode is SyncMode.REPLACE else OLD)

    def test_upsert_keeps_the_highest_cursor_then_the_last_read(self, harness: DestinationHarness) -> None:
        destination = harness.make()
        if not destination.capabilities.upsert:
            pytest.skip("this destination cannot upsert")
        versions = [
            (1, "old", 3),
            (1, "newest", 9),
            (1, "middle", 5),
            (2, "first", 4),
            (2, "last", 4),
            (3, "none", None),
            (3, "some", 1),
        ]
        result = load(destination, target(SyncMode.INCREMENTAL_UPSERT), batch(versions[:3]), batch(versions[3:]), cursor="9")
        assert (result.written, result.superseded) == (3, 4)
        assert harness.rows("orders", FIELDS) == [(1, "newest", 9), (2, "last", 4), (3, "some", 1)]
        result = load(destination, target(SyncMode.INCREMENTAL_UPSERT), batch([(2, "a", 7), (2, "b", 8), (4, "c", 9)]), cursor="9")
        assert (result.written, result.superseded) == (2, 1)
        assert harness.rows("orders", FIELDS) == [(1, "newest", 9), (2, "b", 8), (3, "some", 1), (4, "c", 9)]

    @pytest.mark.parametrize(
        ("type_", "versions"),
        [
            ("decimal(9,2)", ["9.00", "10.00", "-11.00"]),
            ("text", ["a", "b", "B"]),
            ("timestamptz", ["2024-01-01T00:00:00.500000+00:00", "2024-01-01T00:00:01+00:00", "2024-01-01T00:00:00+00:00"]),
            ("float64", [9.0, 10.0, -11.0]),
        ],
    )
    def test_cursors_are_compared_in_their_type(self, harness: DestinationHarness, type_: str, versions: list[Any]) -> None:
        destination = harness.make()
        if not destination.capabilities.upsert:
            pytest.skip("this destination cannot upsert")
        columns = fields(id="int64", note="text", seen=type_)
        values = pa.array(versions).cast(pa.string()).cast(batch([], columns).schema.field("seen").type)
        piece = pa.RecordBatch.from_arrays(
            [pa.array([1, 1, 1]), pa.array(["low", "high", "lowest"]), values], schema=batch([], columns).schema
        )
        load(destination, target(SyncMode.INCREMENTAL_UPSERT, fields=columns), piece, cursor="x")
        rows = harness.rows("orders", columns)
        assert rows is not None
        assert [row[1] for row in rows] == ["high"]

    def test_a_key_of_several_columns(self, harness: DestinationHarness) -> None:
        destination = harness.make()
        if not destination.capabilities.upsert:
            pytest.skip("this destination cannot upsert")
        to = target(SyncMode.INCREMENTAL_UPSERT, primary_key=("note", "id"))
        load(destination, to, batch([(1, "a", 1), (1, "b", 1), (2, "a", 1)]), cursor="1")
        load(destination, to, batch([(1, "b", 2), (2, "b", 2)]), cursor="2")
        assert harness.rows("orders", FIELDS) == [(1, "a", 1), (1, "b", 2), (2, "a", 1), (2, "b", 2)]

    def test_a_null_in_the_key_is_a_rejected_record(self, harness: DestinationHarness) -> None:
        destination = harness.make()
        if not destination.capabilities.upsert:
            pytest.skip("this destination cannot upsert")
        running = destination.open(target(SyncMode.INCREMENTAL_UPSERT))
        kept, rejected = running.accept(batch([(1, "a", 1), (None, "b", 2)]))
        running.abort()
        assert kept.to_pylist() == [{"id": 1, "note": "a", "seen": 1}]
        assert [(record.code, record.action, record.stream) for record in rejected] == [("null_key", Action.UPSERT, "stream")]
        assert "'id'" in rejected[0].message
        assert json.loads(rejected[0].payload) == {"id": None, "note": "b", "seen": 2}

    def test_upsert_without_a_key_is_refused(self, harness: DestinationHarness) -> None:
        with pytest.raises(ConfigError):
            harness.make().open(target(SyncMode.INCREMENTAL_UPSERT, primary_key=()))

    # state

    def test_state_is_what_was_committed(self, harness: DestinationHarness, mode: SyncMode) -> None:
        load(harness.make(), target(mode, sync_id="first"), batch(OLD), cursor="2")
        load(harness.make(), target(mode, sync_id="second", stream="other", table="others"), batch(OLD), cursor="7")
        load(harness.make(), target(mode, sync_id="third"), batch(NEW), cursor="6")
        state = harness.make().state("connector", "")
        cursor = {"stream": "6", "other": "7"} if mode.incremental else {"stream": None, "other": None}
        assert {name: one.cursor for name, one in state.items()} == cursor
        assert {name: (one.load, one.sync_id, one.epoch) for name, one in state.items()} == {
            "stream": (2, "third", 1),
            "other": (1, "second", 1),
        }
        assert harness.make().state("another", "") == {}

    def test_collections_are_apart(self, harness: DestinationHarness) -> None:
        load(harness.make(), target(SyncMode.INCREMENTAL_APPEND, collection="sales"), batch(OLD), cursor="1")
        load(harness.make(), target(SyncMode.INCREMENTAL_APPEND), batch(NEW), cursor="2")
        assert harness.rows("orders", FIELDS, "sales") == OLD
        assert harness.rows("orders", FIELDS) == NEW
        assert harness.make().state("connector", "sales")["stream"].cursor == "1"
        assert harness.make().state("connector", "")["stream"].cursor == "2"

    def test_release_forgets_the_state_and_keeps_the_data(self, harness: DestinationHarness) -> None:
        load(harness.make(), target(SyncMode.INCREMENTAL_APPEND), batch(OLD), cursor="2")
        load(harness.make(), target(connector_id="other", stream="s", table="t"), batch(OLD))
        harness.make().release("connector", "")
        assert harness.make().state("connector", "") == {}
        assert set(harness.make().state("other", "")) == {"s"}
        assert harness.rows("orders", FIELDS) == OLD

    def test_release_of_what_never_was(self, harness: DestinationHarness) -> None:
        harness.make().release("connector", "")
        assert harness.everything() == {}

    def test_going_on_without_the_table_is_refused(self, harness: DestinationHarness) -> None:
        load(harness.make(), target(SyncMode.INCREMENTAL_APPEND), batch(OLD), cursor="2")
        with pytest.raises(SynctermError, match="re-sync"):
            harness.make().open(target(SyncMode.INCREMENTAL_APPEND, table="elsewhere"))

    # nothing half-done

    def test_abort_leaves_nothing(self, harness: DestinationHarness, mode: SyncMode) -> None:
        running = harness.make().open(target(mode))
        running.write(iter([batch(OLD)]))
        running.abort()
        running.abort()
        assert harness.rows("orders", FIELDS) is None
        assert harness.everything() == {}
        assert harness.make().state("connector", "") == {}

    def test_abort_before_write(self, harness: DestinationHarness, mode: SyncMode) -> None:
        harness.make().open(target(mode)).abort()
        assert harness.everything() == {}

    def test_abort_leaves_the_old_rows(self, harness: DestinationHarness, mode: SyncMode) -> None:
        load(harness.make(), target(mode), batch(OLD), cursor="2")
        before = harness.everything(), harness.make().state("connector", "")
        running = harness.make().open(target(mode))
        running.write(iter([batch(NEW)]))
        running.abort()
        assert (harness.everything(), harness.make().state("connector", "")) == before
        load(harness.make(), target(mode), batch(NEW), cursor="6")

    def test_abort_after_commit_changes_nothing(self, harness: DestinationHarness) -> None:
        running = harness.make().open(target())
        running.write(iter([batch(OLD)]))
        running.commit(None)
        running.abort()
        assert harness.rows("orders", FIELDS) == OLD

    @pytest.mark.parametrize("delivered", [0, 1])
    def test_what_the_iterator_raises_comes_back_and_leaves_nothing(
        self, harness: DestinationHarness, mode: SyncMode, delivered: int
    ) -> None:
        load(harness.make(), target(mode), batch(OLD), cursor="2")
        before = harness.everything(), harness.make().state("connector", "")
        error = CancelledSyncError("enough")

        def batches() -> Iterator[pa.RecordBatch]:
            for _ in range(delivered):
                yield batch(NEW)
            raise error

        running = harness.make().open(target(mode))
        with pytest.raises(CancelledSyncError) as caught:
            running.write(batches())
        running.abort()
        assert caught.value is error
        assert (harness.everything(), harness.make().state("connector", "")) == before

    def test_interrupt_ends_a_write_that_never_ends(self, harness: DestinationHarness, mode: SyncMode) -> None:
        destination = harness.make()
        pulled = threading.Event()

        def endless() -> Iterator[pa.RecordBatch]:
            number = 0
            while True:
                number += 1
                if number > 2:
                    pulled.set()
                yield batch([(number, "more", number)])

        outcome: list[BaseException] = []
        running = destination.open(target(mode))

        def write() -> None:
            try:
                running.write(endless())
            except BaseException as error:
                outcome.append(error)
            running.abort()

        thread = threading.Thread(target=write)
        thread.start()
        assert pulled.wait(30)
        destination.interrupt()
        thread.join(30)
        assert not thread.is_alive()
        assert [type(error) for error in outcome] == [CancelledSyncError]
        destination.close()
        assert harness.everything() == {}

    def test_an_interrupted_destination_opens_nothing(self, harness: DestinationHarness) -> None:
        destination = harness.make()
        destination.interrupt()
        with pytest.raises(CancelledSyncError):
            destination.open(target())
        assert harness.everything() == {}

    # epochs

    def test_an_older_epoch_cannot_open(self, harness: DestinationHarness, mode: SyncMode) -> None:
        load(harness.make(), target(mode, epoch=7), batch(OLD), cursor="2")
        before = harness.everything()
        with pytest.raises(StaleEpochError):
            harness.make().open(target(mode, epoch=6))
        assert harness.everything() == before

    def test_a_claim_holds_without_a_commit(self, harness: DestinationHarness) -> None:
        harness.make().open(target(epoch=7)).abort()
        with pytest.raises(StaleEpochError):
            harness.make().open(target(epoch=6))

    def test_an_older_epoch_cannot_commit(self, harness: DestinationHarness, mode: SyncMode) -> None:
        load(harness.make(), target(mode), batch(OLD), cursor="2")
        before = harness.everything()
        old = harness.make().open(target(mode, epoch=1))
        old.write(iter([batch(NEW)]))
        self.claim(harness, mode)
        with pytest.raises(StaleEpochError):
            old.commit("6")
        old.abort()
        assert harness.everything() == before
        state = harness.make().state("connector", "")["stream"]
        assert (state.load, state.cursor) == (1, "2" if mode.incremental else None)
        load(harness.make(), target(mode, epoch=2), batch(NEW), cursor="6")

    def claim(self, harness: DestinationHarness, mode: SyncMode) -> None:
        """Claim the stream for epoch 2, as another engine would."""
        newer: Load = harness.make().open(target(mode, epoch=2))
        newer.abort()

    # schemas

    def test_new_columns_are_added_and_none_dropped(self, harness: DestinationHarness, mode: SyncMode) -> None:
        more = fields(id="int64", seen="int64", extra="text")
        every = (*FIELDS, more[2])
        load(harness.make(), target(mode), batch(OLD), cursor="2")
        load(harness.make(), target(mode, fields=more), batch([(3, 9, "new")], more), cursor="9")
        old = [] if mode is SyncMode.REPLACE else [(*row, None) for row in OLD]
        assert harness.rows("orders", every) == [*old, (3, None, 9, "new")]

    def test_an_upsert_keeps_the_values_of_columns_it_does_not_have(self, harness: DestinationHarness) -> None:
        destination = harness.make()
        if not destination.capabilities.upsert:
            pytest.skip("this destination cannot upsert")
        less = fields(id="int64", seen="int64")
        load(destination, target(SyncMode.INCREMENTAL_UPSERT), batch(OLD), cursor="2")
        load(destination, target(SyncMode.INCREMENTAL_UPSERT, fields=less), batch([(2, 9), (3, 9)], less), cursor="9")
        assert harness.rows("orders", FIELDS) == [(1, "one", 1), (2, "two", 9), (3, None, 9)]

    def test_a_type_that_does_not_fit_is_refused(self, harness: DestinationHarness) -> None:
        load(harness.make(), target(SyncMode.APPEND), batch(OLD))
        before = harness.everything()
        other = fields(id="int64", note="binary", seen="int64")
        with pytest.raises(SchemaChangedError) as caught:
            load(harness.make(), target(SyncMode.APPEND, fields=other), batch([(3, b"x", 3)], other))
        assert "note" in str(caught.value)
        assert harness.everything() == before

    def test_a_narrower_type_fits(self, harness: DestinationHarness) -> None:
        load(harness.make(), target(SyncMode.APPEND), batch(OLD))
        narrow = fields(id="int32", note="text", seen="int16")
        load(harness.make(), target(SyncMode.APPEND, fields=narrow), batch([(3, "drei", 6)], narrow))
        assert harness.rows("orders", FIELDS) == [*OLD, (3, "drei", 6)]

    def test_replace_may_change_types(self, harness: DestinationHarness) -> None:
        load(harness.make(), target(), batch(OLD))
        other = fields(id="text", note="int64", seen="boolean")
        load(harness.make(), target(fields=other), batch([("a", 1, True)], other))
        assert harness.rows("orders", other) == [("a", 1, True)]

    # other people's things

    def test_what_others_made_is_not_replaced(self, harness: DestinationHarness) -> None:
        harness.make_foreign("orders")
        before = harness.everything()
        for to in (target(), target(SyncMode.APPEND, full=True)):
            with pytest.raises(ConfigError) as caught:
                harness.make().open(to)
            assert caught.value.remedy
        assert harness.everything() == before

    def test_a_state_table_is_nobodys_target(self, harness: DestinationHarness) -> None:
        load(harness.make(), target(SyncMode.INCREMENTAL_APPEND), batch(OLD), cursor="2")
        with pytest.raises(ConfigError):
            harness.make().open(target(table=STATE_TABLE, stream="other"))
        assert harness.make().state("connector", "")["stream"].cursor == "2"

    def test_a_stream_cannot_replace_another_one_of_its_connector(self, harness: DestinationHarness) -> None:
        load(harness.make(), target(), batch(OLD))
        with pytest.raises(ConfigError):
            harness.make().open(target(stream="other"))
        assert harness.rows("orders", FIELDS) == OLD

    def test_hostile_table_names(self, harness: DestinationHarness) -> None:
        """A table arrives under exactly its name, or is refused with a typed error; nothing else is touched."""
        harness.make_foreign("users")
        canary = harness.everything()
        accepted: dict[str, int] = {}
        for number, text in enumerate(HOSTILE):
            harness.close_all()
            to = target(SyncMode.APPEND, table=text, stream=f"stream {number}")
            try:
                load(harness.make(), to, batch([(number, "x", 1)]))
            except ConfigError:
                continue
            accepted[text] = number
        assert len(accepted) > len(HOSTILE) / 2
        for text, number in accepted.items():
            assert harness.rows(text, FIELDS) == [(number, "x", 1)], ascii(text)
        after = harness.everything()
        assert {name: after.get(name) for name in canary} == canary
        assert len(after) == len(canary) + len(accepted)

    # deletes

    @pytest.fixture
    def deleting(self, harness: DestinationHarness) -> DestinationHarness:
        """The destination, where it can delete single records."""
        if not harness.make().capabilities.deletes:
            pytest.skip("this destination cannot delete single records")
        return harness

    @pytest.mark.parametrize("table", ["orders", "keys", "target", "rows", "records"])
    @pytest.mark.parametrize("handling", [DeleteHandling.MARK, DeleteHandling.REMOVE])
    def test_records_whose_keys_are_not_listed_are_deleted(
        self, deleting: DestinationHarness, handling: DeleteHandling, table: str
    ) -> None:
        to = _deleting(handling, table=table)
        everything = [(number, f"row {number}", number) for number in range(1, 6)]
        load(deleting.make(), to, _rows(everything, to))
        running = deleting.make().open(to)
        running.write(iter([_rows([(6, "six", 6)], to)]))
        running.write_keys(iter([batch([(3,), (1,)], FIELDS[:1]), batch([(3,), (6,), (99,)], FIELDS[:1])]))
        assert deleting.rows(table, FIELDS) == everything  # readers see nothing before the commit
        result = running.commit("6")
        assert (result.written, result.deleted, result.withheld) == (1, 3, 0)
        listed = [everything[0], everything[2], (6, "six", 6)]
        if handling is DeleteHandling.REMOVE:
            assert deleting.rows(table, FIELDS) == listed
            return
        rows = deleting.rows(table, to.fields) or []
        assert [row[:3] for row in rows if row[3] is None] == listed
        assert {row[3] for row in rows} == {None, *comparable(batch([(NOTICED_AT,)], (DELETED_AT,)).column(0))}

    def test_nothing_is_deleted_without_a_commit_or_a_whole_listing(self, deleting: DestinationHarness) -> None:
        to = _deleting(DeleteHandling.REMOVE)
        load(deleting.make(), to, batch(OLD))
        aborted = deleting.make().open(to)
        aborted.write(iter([batch(NEW)]))
        aborted.write_keys(iter([batch([(3,)], FIELDS[:1])]))
        aborted.abort()
        assert deleting.rows("orders", FIELDS) == OLD
        partly = deleting.make().open(to)
        partly.write(iter([batch(NEW)]))
        partly.write_keys(iter([batch([(3,)], FIELDS[:1])]))
        partly.forget_keys()
        assert partly.commit("6").deleted == 0
        assert deleting.rows("orders", FIELDS) == [OLD[0], *NEW]

    def test_an_older_engine_deletes_nothing(self, deleting: DestinationHarness) -> None:
        to = _deleting(DeleteHandling.REMOVE)
        load(deleting.make(), to, batch(OLD))
        older = deleting.make().open(to)
        older.write(iter([batch(NEW[:0])]))
        older.write_keys(iter([batch([], FIELDS[:1])]))
        deleting.make().open(_deleting(DeleteHandling.REMOVE, epoch=2)).abort()
        with pytest.raises(StaleEpochError):
            older.commit("6")
        assert deleting.rows("orders", FIELDS) == OLD

    def test_hostile_keys_are_told_apart(self, deleting: DestinationHarness) -> None:
        columns = fields(**{'a "key".\n;--': "text"}, seen="int64")
        to = _deleting(DeleteHandling.REMOVE, fields=columns, primary_key=(columns[0].name,), cursor_field="seen")
        texts = [text for text in dict.fromkeys(HOSTILE) if text.encode("utf-8", "ignore").decode() == text]
        load(deleting.make(), to, batch([(text, 1) for text in texts], columns))
        stored = {row[0] for row in deleting.rows("orders", columns) or []}
        assert len(stored) > len(texts) / 2
        kept = set(texts[::2])
        running = deleting.make().open(replace(to, deletes=DeletePlan(DeleteHandling.REMOVE, NOTICED_AT, len(texts))))
        running.write(iter([batch([], columns)]))
        running.write_keys(iter([batch([(text,) for text in texts[::2]], columns[:1])]))
        running.commit("1")
        assert {row[0] for row in deleting.rows("orders", columns) or []} == stored & kept

    def test_hostile_column_names(self, harness: DestinationHarness) -> None:
        """As for tables; all that is there afterwards are the tables that were asked for."""
        harness.make_foreign("users")
        canary = harness.everything()
        accepted = 0
        for number, text in enumerate(HOSTILE):
            harness.close_all()
            columns = (*fields(key="int64"), *fields(**{text: "text"}))
            to = target(
                table=f"table_{number}", stream=f"stream {number}", fields=columns, primary_key=("key",), cursor_field="key"
            )
            try:
                harness.make().open(to).abort()
            except ConfigError:
                continue
            load(harness.make(), to, batch([(number, text)], columns))
            accepted += 1
            assert harness.rows(f"table_{number}", columns) == [(number, text)], ascii(text)
        assert accepted > len(HOSTILE) / 2
        after = harness.everything()
        assert {name: after.get(name) for name in canary} == canary
        assert len(after) == len(canary) + accepted
