"""What a stream is read with after its source's schema changed, by policy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncterm.engine.model import SchemaPolicy, StreamConfig, SyncMode
from syncterm.engine.schema import Field, LogicalType, StreamSchema
from syncterm.engine.schema_change import SchemaChange, compare

INT, TEXT = LogicalType("int64"), LogicalType("text")
CONFIG = StreamConfig("orders", SyncMode.INCREMENTAL_UPSERT, primary_key=("id",), cursor_field="updated")
BEFORE = StreamSchema("orders", (Field("id", INT), Field("updated", INT), Field("note", TEXT)), ("id",))
ADDED = replace(BEFORE, fields=(*BEFORE.fields, Field("extra", TEXT)))
REMOVED = replace(BEFORE, fields=BEFORE.fields[:2])
RETYPED = replace(BEFORE, fields=(*BEFORE.fields[:2], Field("note", INT)))
KEY_GONE = replace(BEFORE, fields=BEFORE.fields[1:])
CURSOR_RETYPED = replace(BEFORE, fields=(BEFORE.fields[0], Field("updated", TEXT), BEFORE.fields[2]))


def names(change: SchemaChange) -> list[str]:
    return [field.name for field in change.schema.fields]


def test_the_first_sync_adopts_what_it_finds() -> None:
    assert compare(CONFIG, None, BEFORE, SchemaPolicy.APPROVE) == SchemaChange("orders", BEFORE)


@pytest.mark.parametrize("policy", SchemaPolicy)
def test_no_change_is_no_difference(policy: SchemaPolicy) -> None:
    assert compare(CONFIG, BEFORE, BEFORE, policy) == SchemaChange("orders", BEFORE)


@pytest.mark.parametrize("found", [None, KEY_GONE, CURSOR_RETYPED], ids=["stream gone", "key gone", "cursor retyped"])
@pytest.mark.parametrize("policy", SchemaPolicy)
def test_a_breaking_change_always_waits_for_a_person(found: StreamSchema | None, policy: SchemaPolicy) -> None:
    assert compare(CONFIG, BEFORE, found, policy).blocking


def test_approve_goes_on_with_the_approved_columns() -> None:
    change = compare(CONFIG, BEFORE, ADDED, SchemaPolicy.APPROVE)
    assert names(change) == ["id", "updated", "note"]
    assert change.added == ("extra",)
    assert change.notes
    assert compare(CONFIG, BEFORE, RETYPED, SchemaPolicy.APPROVE).schema.field("note").type == TEXT


@pytest.mark.parametrize("policy", [SchemaPolicy.APPLY_ADDITIONS, SchemaPolicy.APPLY_ALL])
def test_additions_are_applied(policy: SchemaPolicy) -> None:
    assert names(compare(CONFIG, BEFORE, ADDED, policy)) == ["id", "updated", "note", "extra"]


def test_a_removed_column_blocks_unless_all_is_applied_or_it_was_not_selected() -> None:
    assert compare(CONFIG, BEFORE, REMOVED, SchemaPolicy.APPROVE).blocking
    assert not compare(CONFIG, BEFORE, REMOVED, SchemaPolicy.APPLY_ALL).blocking
    narrow = replace(CONFIG, columns=("id", "updated"))
    assert not compare(narrow, BEFORE, REMOVED, SchemaPolicy.APPROVE).blocking


def test_pause_blocks_on_any_change() -> None:
    assert compare(CONFIG, BEFORE, ADDED, SchemaPolicy.PAUSE).blocking
