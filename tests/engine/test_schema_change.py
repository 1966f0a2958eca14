"""What changed in a schema, what a policy makes of it, and what a stream is read with."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncterm.engine.errors import ConfigError
from syncterm.engine.model import SchemaPolicy, StreamConfig, SyncMode
from syncterm.engine.schema import Field, LogicalType, StreamSchema
from syncterm.engine.schema_change import (
    accept,
    adapted,
    check_names,
    needs_decision,
    reading,
    reads_again,
    sentence,
    settle,
    standing_policy,
)
from syncterm.engine.schema_difference import ChangeClass, ChangeKind, Entry, difference

INT, SMALL, TEXT = LogicalType("int64"), LogicalType("int16"), LogicalType("text")
CONFIG = StreamConfig("orders", SyncMode.INCREMENTAL_UPSERT, primary_key=("id",), cursor_field="updated")
APPENDED = StreamConfig("orders", SyncMode.APPEND)
NARROW = replace(CONFIG, columns=("id", "updated"))
CAST = replace(CONFIG, casts={"note": "text"})
BEFORE = StreamSchema("orders", (Field("id", INT), Field("updated", INT), Field("note", TEXT)), ("id",))
ADDED = replace(BEFORE, fields=(*BEFORE.fields, Field("extra", TEXT)))
REMOVED = replace(BEFORE, fields=BEFORE.fields[:2])
RETYPED = replace(BEFORE, fields=(*BEFORE.fields[:2], Field("note", INT)))
NARROWER = replace(BEFORE, fields=(*BEFORE.fields[:2], Field("note", LogicalType("uuid"))))
REQUIRED = replace(BEFORE, fields=(*BEFORE.fields[:2], Field("note", TEXT, nullable=False)))
RENAMED = replace(BEFORE, fields=(*BEFORE.fields[:2], Field("remark", TEXT)))
KEY_GONE = replace(BEFORE, fields=BEFORE.fields[1:], primary_key=())
KEY_RETYPED = replace(BEFORE, fields=(Field("id", TEXT), *BEFORE.fields[1:]))
CURSOR_GONE = replace(BEFORE, fields=(BEFORE.fields[0], BEFORE.fields[2]))
CURSOR_RETYPED = replace(BEFORE, fields=(BEFORE.fields[0], Field("updated", TEXT), BEFORE.fields[2]))
OTHER_KEY = replace(BEFORE, primary_key=("id", "note"))

A, N, B = ChangeClass.ADDITIVE, ChangeClass.NARROWING, ChangeClass.BREAKING


@pytest.mark.parametrize(
    ("config", "found", "expected"),
    [
        (CONFIG, ADDED, [(A, "extra added (text)")]),
        (CONFIG, REMOVED, [(N, "note removed (text)")]),
        (NARROW, REMOVED, [(A, "note removed (text)")]),
        (replace(NARROW, columns=("id", "updated", "note")), REMOVED, [(B, "note removed (text)")]),
        (CAST, REMOVED, [(B, "note removed (text)")]),
        (CONFIG, RETYPED, [(N, "note: text → int64")]),
        (NARROW, RETYPED, [(A, "note: text → int64")]),
        (CAST, RETYPED, [(A, "note: text → int64")]),
        (CONFIG, NARROWER, [(A, "note: text → uuid")]),
        (CONFIG, REQUIRED, [(A, "note: may be NULL → never NULL")]),
        (CONFIG, RENAMED, [(N, "note removed (text)"), (A, "remark added (text)")]),
        (CONFIG, KEY_GONE, [(B, "id removed (int64)"), (B, "primary key: id → none")]),
        (APPENDED, KEY_GONE, [(N, "id removed (int64)"), (A, "primary key: id → none")]),
        (CONFIG, KEY_RETYPED, [(B, "id: int64 → text")]),
        (CONFIG, CURSOR_GONE, [(B, "updated removed (int64)")]),
        (CONFIG, CURSOR_RETYPED, [(B, "updated: int64 → text")]),
        (CONFIG, OTHER_KEY, [(B, "primary key: id → id, note")]),
        (replace(CONFIG, primary_key=("id", "note")), OTHER_KEY, [(A, "primary key: id → id, note")]),
        (CONFIG, None, [(B, "stream is gone")]),
        (CONFIG, BEFORE, []),
    ],
)
def test_each_change_has_its_class(config: StreamConfig, found: StreamSchema | None, expected: list[tuple[str, str]]) -> None:
    entries = difference(config, BEFORE, found)
    assert [(entry.change_class, entry.title) for entry in entries] == expected
    assert all(entry.effect for entry in entries)


def test_a_length_that_grows_does_not_fit_a_column_of_the_shorter_one() -> None:
    short, long = (
        replace(BEFORE, fields=(*BEFORE.fields[:2], Field("note", TEXT, native=f"character varying({n})"))) for n in (10, 20)
    )
    assert [entry.change_class for entry in difference(CONFIG, short, long)] == [N]
    assert [entry.change_class for entry in difference(CONFIG, long, short)] == [A]


APPLIED, WAITS, STOPS = "applied", "waits", "stops"
POLICIES = (SchemaPolicy.APPROVE, SchemaPolicy.APPLY_ADDITIONS, SchemaPolicy.APPLY_ALL, SchemaPolicy.PAUSE)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (ADDED, (WAITS, APPLIED, APPLIED, STOPS)),
        (REMOVED, (STOPS, STOPS, APPLIED, STOPS)),
        (RETYPED, (WAITS, WAITS, APPLIED, STOPS)),
        (NARROWER, (WAITS, APPLIED, APPLIED, STOPS)),
        (REQUIRED, (APPLIED, APPLIED, APPLIED, STOPS)),
        (RENAMED, (STOPS, STOPS, APPLIED, STOPS)),
        (KEY_GONE, (STOPS,) * 4),
        (KEY_RETYPED, (STOPS,) * 4),
        (CURSOR_GONE, (STOPS,) * 4),
        (CURSOR_RETYPED, (STOPS,) * 4),
        (OTHER_KEY, (STOPS,) * 4),
        (None, (STOPS,) * 4),
    ],
)
def test_what_each_policy_makes_of_it(found: StreamSchema | None, expected: tuple[str, ...]) -> None:
    for policy, wanted in zip(POLICIES, expected, strict=True):
        settled = settle(CONFIG, BEFORE, found, policy)
        got = STOPS if settled.blocking else WAITS if settled.waiting else APPLIED
        assert got == wanted, policy
        assert settled.schema == BEFORE if got != APPLIED else settled.schema == found
        assert bool(settled.applied) == (got == APPLIED)
        # A stream's own policy comes before its connector's.
        own = replace(CONFIG, schema_policy=policy)
        for other in POLICIES:
            assert settle(own, BEFORE, found, other) == settled


def test_what_is_applied_and_what_waits_are_told_apart() -> None:
    both = replace(ADDED, fields=(*ADDED.fields[:2], Field("note", INT), ADDED.fields[3]))
    settled = settle(CONFIG, BEFORE, both, SchemaPolicy.APPLY_ADDITIONS)
    assert [entry.column for entry in settled.applied] == ["extra"]
    assert [entry.column for entry in settled.waiting] == ["note"]
    assert settled.schema == ADDED
    read = reading(settled.schema, both, settled.kept, full=False)
    assert read.arriving == {"note": Field("note", TEXT)}
    assert read.schema == both


def test_what_is_rejected_is_not_asked_again_until_the_source_changes_further() -> None:
    first = settle(CONFIG, BEFORE, ADDED, SchemaPolicy.APPROVE)
    rejected = frozenset(entry.key for entry in first.waiting)
    again = settle(CONFIG, BEFORE, ADDED, SchemaPolicy.APPROVE, rejected=rejected)
    assert again.rejected
    assert again.schema == BEFORE
    assert not settle(CONFIG, BEFORE, ADDED, SchemaPolicy.PAUSE, rejected=rejected).blocking
    further = replace(ADDED, fields=(*ADDED.fields, Field("more", TEXT)))
    asked = settle(CONFIG, BEFORE, further, SchemaPolicy.APPROVE, rejected=rejected)
    assert not asked.rejected
    assert [entry.column for entry in asked.waiting] == ["extra", "more"]


@pytest.mark.parametrize("found", [REMOVED, KEY_GONE, CURSOR_RETYPED, None])
def test_rejecting_what_no_sync_can_do_without_goes_on_stopping_it(found: StreamSchema | None) -> None:
    rejected = frozenset(entry.key for entry in difference(CONFIG, BEFORE, found))
    settled = settle(CONFIG, BEFORE, found, SchemaPolicy.APPROVE, rejected=rejected)
    assert settled.rejected
    assert settled.blocking
    assert "rejected" in settled.blocking


def test_a_destination_keeps_its_type_until_its_table_is_made_anew() -> None:
    settled = settle(CONFIG, BEFORE, RETYPED, SchemaPolicy.APPLY_ALL)
    assert settled.schema == RETYPED
    assert settled.kept == {"note": Field("note", TEXT)}
    assert reading(settled.schema, RETYPED, settled.kept, full=False).arriving == {"note": Field("note", TEXT)}
    assert reading(settled.schema, RETYPED, settled.kept, full=True).arriving == {}
    # Back to what it was: nothing has to be cast.
    back = settle(CONFIG, settled.schema, BEFORE, SchemaPolicy.APPLY_ALL, settled.kept)
    assert reading(back.schema, BEFORE, back.kept, full=False).arriving == {}


def test_a_column_that_comes_back_in_another_type_arrives_in_the_destinations() -> None:
    gone = settle(CONFIG, BEFORE, REMOVED, SchemaPolicy.APPLY_ALL)
    back = settle(CONFIG, gone.schema, RETYPED, SchemaPolicy.APPLY_ALL, gone.kept)
    assert reading(back.schema, RETYPED, back.kept, full=False).arriving == {"note": Field("note", TEXT)}


def test_what_the_set_up_names_is_synced_without_asking() -> None:
    chosen = replace(CONFIG, columns=("id", "updated", "extra"))
    settled = settle(chosen, BEFORE, ADDED, SchemaPolicy.APPROVE)
    assert settled.schema == ADDED
    assert not settled.waiting


def test_approving_adapts_the_set_up() -> None:
    chosen = replace(CONFIG, columns=("id", "updated", "note"), casts={"note": "int64"})
    entries = difference(chosen, BEFORE, REMOVED)
    assert all(entry.approvable for entry in entries)
    smaller = adapted(chosen, entries)
    assert (smaller.columns, smaller.casts) == (("id", "updated"), {})
    assert not difference(smaller, accept(chosen, BEFORE, REMOVED, entries, {})[0], REMOVED)


@pytest.mark.parametrize(
    ("config", "found", "again"),
    [(CONFIG, KEY_RETYPED, True), (CONFIG, CURSOR_RETYPED, True), (CONFIG, RETYPED, False), (APPENDED, KEY_RETYPED, False)],
)
def test_a_key_or_cursor_of_another_type_reads_everything_again(config: StreamConfig, found: StreamSchema, again: bool) -> None:
    assert reads_again(config, difference(config, BEFORE, found)) is again


@pytest.mark.parametrize(
    ("config", "found"),
    [(CONFIG, KEY_GONE), (CONFIG, CURSOR_GONE), (replace(APPENDED, columns=("note",)), REMOVED)],
)
def test_what_leaves_nothing_to_sync_by_cannot_be_approved(config: StreamConfig, found: StreamSchema) -> None:
    unfit = [entry for entry in difference(config, BEFORE, found) if not entry.approvable]
    assert unfit
    assert "set-up" in unfit[0].effect


@pytest.mark.parametrize(
    ("found", "present", "policy"),
    [
        (ADDED, SchemaPolicy.APPROVE, SchemaPolicy.APPLY_ADDITIONS),
        (ADDED, SchemaPolicy.APPLY_ALL, SchemaPolicy.APPLY_ALL),
        (ADDED, SchemaPolicy.PAUSE, SchemaPolicy.APPLY_ADDITIONS),
        (REMOVED, SchemaPolicy.APPROVE, SchemaPolicy.APPLY_ALL),
        (RETYPED, SchemaPolicy.APPLY_ADDITIONS, SchemaPolicy.APPLY_ALL),
    ],
)
def test_always_is_the_policy_that_would_have_applied_it(found: StreamSchema, present: SchemaPolicy, policy: SchemaPolicy) -> None:
    entries = difference(CONFIG, BEFORE, found)
    assert standing_policy(entries, present) is policy
    assert not settle(CONFIG, BEFORE, found, policy).waiting


def test_the_first_sync_adopts_what_it_finds_or_says_what_there_is() -> None:
    assert settle(CONFIG, None, ADDED, SchemaPolicy.PAUSE).schema == ADDED
    check_names(CONFIG, BEFORE, list)
    with pytest.raises(ConfigError, match="has no column 'id'; it has 'updated', 'note'"):
        check_names(CONFIG, KEY_GONE, list)
    with pytest.raises(ConfigError, match="no stream 'orders'; it has 'order', 'events'"):
        check_names(CONFIG, None, lambda: ["events", "order"])


def test_a_long_difference_is_one_short_line() -> None:
    many = tuple(Entry(ChangeKind.COLUMN_ADDED, A, f"c{n}", after="text") for n in range(20))
    assert sentence(many).endswith("; and 12 more")
    assert Entry.from_document(many[0].to_document()) == many[0]


# Properties -----------------------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["id", "updated", "note", "total", "a b", "«", "x'y"])
TYPES = st.sampled_from([INT, SMALL, TEXT, LogicalType("timestamptz"), LogicalType("decimal", 10, 2), LogicalType("json")])
NATIVES = st.sampled_from(["", "integer", "character varying(10)", "character varying(20)", "jsonb"])
SCHEMAS = st.builds(
    lambda fields, key: StreamSchema(
        "orders", tuple(fields), tuple(name for name in key if name in {column.name for column in fields})
    ),
    st.lists(st.builds(Field, NAMES, TYPES, st.booleans(), NATIVES), unique_by=lambda column: column.name, max_size=6),
    st.lists(NAMES, unique=True, max_size=2),
)
CONFIGS = st.builds(
    StreamConfig,
    st.just("orders"),
    st.sampled_from(SyncMode),
    st.lists(NAMES, unique=True, max_size=2).map(tuple),
    st.none() | NAMES,
    st.none() | st.lists(NAMES, unique=True, min_size=1).map(tuple),
    st.dictionaries(NAMES, st.sampled_from(["text", "int64"]), max_size=2),
)


@given(CONFIGS, SCHEMAS, SCHEMAS)
def test_a_difference_is_the_same_seen_from_the_other_side(config: StreamConfig, one: StreamSchema, other: StreamSchema) -> None:
    there, back = difference(config, one, other), difference(config, other, one)
    opposite = {ChangeKind.COLUMN_ADDED: ChangeKind.COLUMN_REMOVED, ChangeKind.COLUMN_REMOVED: ChangeKind.COLUMN_ADDED}
    assert {(opposite.get(entry.kind, entry.kind), entry.column, entry.after, entry.before) for entry in there} == {
        entry.key for entry in back
    }
    assert not difference(config, one, one)


@given(CONFIGS, SCHEMAS, SCHEMAS)
def test_accepting_a_whole_difference_leaves_none(config: StreamConfig, approved: StreamSchema, found: StreamSchema) -> None:
    entries = difference(config, approved, found)
    schema, kept = accept(config, approved, found, entries, {})
    assert not difference(config, schema, found)
    assert accept(config, schema, found, entries, kept)[0] == schema  # twice is once
    held = {column.name for column in approved.fields}
    assert set(kept) <= held


@given(CONFIGS, SCHEMAS, SCHEMAS, st.sampled_from(SchemaPolicy))
def test_every_change_is_applied_or_waits_and_none_is_lost(
    config: StreamConfig, approved: StreamSchema, found: StreamSchema, policy: SchemaPolicy
) -> None:
    entries = difference(config, approved, found)
    settled = settle(config, approved, found, policy)
    if settled.blocking:
        assert settled.schema == approved
        assert set(settled.waiting) <= set(entries)
    else:
        assert sorted((*settled.applied, *settled.waiting), key=entries.index) == list(entries)
        assert not any(needs_decision(entry) for entry in settled.waiting)
        # Settling what was settled changes nothing more.
        again = settle(config, settled.schema, found, policy, settled.kept)
        assert (again.schema, again.applied) == (settled.schema, ())
        assert {entry.key for entry in again.waiting} == {entry.key for entry in settled.waiting}
        read = reading(settled.schema, found, settled.kept, full=False)
        assert {column.name for column in read.schema.fields} <= {column.name for column in settled.schema.fields}
        assert set(read.arriving) <= {column.name for column in read.schema.fields}
