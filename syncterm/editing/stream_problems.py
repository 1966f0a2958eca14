"""What is wrong with a stream's set-up, in plain words: what keeps it from being synced, and what is only worth knowing."""

from __future__ import annotations

from dataclasses import dataclass

from syncterm.engine.casting import can_cast
from syncterm.engine.deletes import looks_for_deletes, refusal
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import StreamConfig, SyncMode
from syncterm.engine.schema import LogicalType, StreamSchema, parse_type
from syncterm.engine.stream_defaults import EndAbilities

_INSTANTS = ("date", "timestamp", "timestamptz")
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing about one stream."""

    field: str
    """The field of `StreamConfig` that it is about."""
    message: str
    blocking: bool = True
    """Whether the stream cannot be synced so; else it is a note."""


def fold_table(name: str, abilities: EndAbilities) -> str:
    """The name under which the destination keeps a table, so that two that are the same one are equal."""
    return name if abilities.tables_differ_by_case else name.casefold()


def stream_problems(
    config: StreamConfig,
    *,
    schema: StreamSchema | None = None,
    offered: bool = True,
    sharing: tuple[str, ...] = (),
    abilities: EndAbilities,
) -> tuple[Problem, ...]:
    """Everything about a selected stream, what blocks first.

    Args:
        config: its set-up.
        schema: its columns; None as long as they are not known.
        offered: whether the source has it.
        sharing: other selected streams that go to the same table.
        abilities: what the two ends can do.
    """
    found = [
        *([] if offered else [Problem("name", "The source does not offer this stream any more.")]),
        *_mode(config, abilities),
        *_columns(config, schema),
        *_filter(config, schema, abilities),
        *_deletes(config, abilities),
    ]
    if sharing:
        found.append(Problem("table", f"{_list(sharing)} goes to the same table {config.target!r}."))
    if config.look_back is not None and config.sync_mode is not SyncMode.INCREMENTAL_UPSERT:
        found.append(Problem("look_back", "A look-back goes with incremental upsert only: other modes would repeat records."))
    return tuple(sorted(found, key=lambda problem: not problem.blocking))


def _mode(config: StreamConfig, abilities: EndAbilities) -> list[Problem]:
    found = []
    if config.sync_mode.incremental:
        if not abilities.incremental:
            found.append(Problem("sync_mode", "This source cannot be read incrementally."))
        if not config.cursor_field:
            found.append(Problem("cursor_field", "An incremental mode needs a cursor column."))
    if config.sync_mode is SyncMode.INCREMENTAL_UPSERT:
        if not abilities.upsert:
            found.append(Problem("sync_mode", "This destination cannot upsert."))
        if not config.primary_key:
            found.append(Problem("primary_key", "Incremental upsert needs a primary key."))
    return found


def _columns(config: StreamConfig, schema: StreamSchema | None) -> list[Problem]:
    found = []
    if config.columns is not None:
        if not config.columns:
            found.append(Problem("columns", "No column is selected."))
        chosen = set(config.columns)
        for field, names, word in (
            ("primary_key", config.primary_key, "key"),
            ("cursor_field", (config.cursor_field,) if config.cursor_field else (), "cursor"),
        ):
            left_out = [name for name in names if name not in chosen]
            if left_out:
                message = f"{_list(left_out)} is not selected, and arrives all the same: it is the {word}."
                found.append(Problem(field, message, blocking=False))
    if schema is not None:
        found += _against(config, schema)
    return found


def _against(config: StreamConfig, schema: StreamSchema) -> list[Problem]:
    """What the set-up asks of columns that they are not."""
    from syncterm.engine.cursor import CURSOR_TYPES  # loads the adapters' models: not before the first paint

    found = []
    types = {field.name: field.type for field in schema.fields}
    named = (
        ("columns", config.columns or ()),
        ("primary_key", config.primary_key),
        ("cursor_field", (config.cursor_field,) if config.cursor_field else ()),
        ("casts", tuple(config.casts)),
    )
    for field, names in named:
        gone = [name for name in names if name not in types]
        if gone:
            found.append(Problem(field, f"The source has no column {_list(gone)}."))
    arriving = dict(types)
    for name, text in config.casts.items():
        type_ = _type(text)
        if type_ is None or (name in types and type_ != types[name] and not can_cast(types[name], type_)):
            found.append(Problem("casts", f"{name!r} has the type {types.get(name)}, which cannot be cast to {text}."))
        elif name in types:
            arriving[name] = type_
    cursor = config.cursor_field
    if config.sync_mode.incremental and cursor in arriving:
        kind = arriving[cursor].name
        if kind not in CURSOR_TYPES:
            found.append(Problem("cursor_field", f"{cursor!r} has the type {arriving[cursor]}, which no cursor can follow."))
        elif config.look_back is not None and kind not in _INSTANTS:
            found.append(Problem("look_back", f"A look-back needs a cursor that is a date or an instant; {cursor!r} is {kind}."))
    return found


def _type(text: str) -> LogicalType | None:
    try:
        return parse_type(text)
    except ConfigError:
        return None


def _filter(config: StreamConfig, schema: StreamSchema | None, abilities: EndAbilities) -> list[Problem]:
    if config.row_filter is None:
        return []
    if not abilities.row_filter:
        return [Problem("row_filter", "This source cannot apply a row filter.")]
    wrong = filter_problem(config, config.row_filter, schema)
    return [Problem("row_filter", wrong)] if wrong else []


def filter_problem(config: StreamConfig, text: str, schema: StreamSchema | None) -> str:
    """What is wrong with a text as the stream's row filter, with what mends it; empty where nothing is.

    Without the stream's columns only the language is checked.
    """
    from syncterm.engine.document import LONGEST_FILTER  # loads the document's models: not before the first paint
    from syncterm.engine.row_filter import filtered_fields, mentioned_columns, parse_row_filter

    if len(text) > LONGEST_FILTER:
        return f"A row filter has at most {LONGEST_FILTER:,} characters."
    try:
        parse_row_filter(text, mentioned_columns(text) if schema is None else filtered_fields(config, schema))
    except ConfigError as error:
        return f"{error.message} {error.remedy or ''}".strip()
    return ""


def _deletes(config: StreamConfig, abilities: EndAbilities) -> list[Problem]:
    why = refusal(config)
    if why is None and looks_for_deletes(config) and not abilities.deletes:
        why = "This source cannot list all of its records, or this destination cannot delete single ones."
    return [Problem("delete_handling", why)] if why is not None else []


def _list(names: tuple[str, ...] | list[str]) -> str:
    shown = ", ".join(map(repr, names[:_NAMED]))
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED:,} more"
