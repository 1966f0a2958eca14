"""What a newly selected stream starts with: the key and cursor that its source's catalog suggests, and a mode that fits them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from syncterm.engine.model import StreamConfig, SyncMode
from syncterm.engine.schema import StreamSchema

_CHANGE_WORDS = ("updated", "modified", "changed", "mtime", "last_update", "lastupdate", "system_modstamp")
_CREATION_WORDS = ("created", "inserted", "birth", "born")
_INSTANTS = ("timestamptz", "timestamp", "date")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What the catalog suggests for one stream."""

    primary_key: tuple[str, ...] = ()
    cursor_field: str | None = None


@dataclass(frozen=True, slots=True)
class EndAbilities:
    """What the two ends of a connector can do, as far as it decides how a stream may be set up."""

    incremental: bool = True
    """The source reads from a cursor on."""
    row_filter: bool = True
    """The source (or the engine for it) leaves records out."""
    deletes: bool = True
    """Records that are gone in the source can be noticed."""
    upsert: bool = True
    """The destination updates records by their key."""
    tables_differ_by_case: bool = False
    """The destination tells `Orders` from `orders`."""


ABLE = EndAbilities()
"""Ends of which nothing is known."""


def suggest(schema: StreamSchema) -> Suggestion:
    """The suggestion for a stream."""
    types = {field.name: field.type.name for field in schema.fields}
    return _suggestion(schema.primary_key, schema.cursor_candidates, types)


def suggest_from_document(document: Mapping[str, Any]) -> Suggestion:
    """The suggestion for a stream in the form of `StreamSchema.to_document`, without building its fields."""
    candidates = set(document["cursor_candidates"])
    types = {name: type_ for name, type_, *_ in document["fields"] if name in candidates}
    return _suggestion(document["primary_key"], document["cursor_candidates"], types)


def default_config(name: str, suggestion: Suggestion, abilities: EndAbilities) -> StreamConfig:
    """How a stream is synced unless a person says otherwise: upsert by key and cursor, append by cursor, else replace."""
    key, cursor = suggestion.primary_key, suggestion.cursor_field
    if cursor is None or not abilities.incremental:
        return StreamConfig(name, SyncMode.REPLACE, primary_key=key)
    mode = SyncMode.INCREMENTAL_UPSERT if key and abilities.upsert else SyncMode.INCREMENTAL_APPEND
    return StreamConfig(name, mode, primary_key=key, cursor_field=cursor)


def _suggestion(primary_key: Iterable[str], candidates: Iterable[str], types: Mapping[str, str]) -> Suggestion:
    """A column that says when a record changed, else another instant that is no part of the key.

    A number or a key is never suggested: it does not move when a record changes, so updates would be left out unseen.
    """
    key = tuple(primary_key)
    fitting = [name for name in candidates if name not in key and types.get(name) in _INSTANTS]
    return Suggestion(key, min(fitting, key=_rank, default=None))


def _rank(name: str) -> int:
    folded = name.casefold()
    if any(word in folded for word in _CHANGE_WORDS):
        return 0
    return 2 if any(word in folded for word in _CREATION_WORDS) else 1
