"""What every destination decides alike: names, ownership of tables, epochs, and the words of the refusals.

Rules:
    - A name is refused where the destination could not keep it exactly; it is never changed silently.
    - A table that syncterm did not make is never replaced.
    - An older epoch never writes.
    - A column is never dropped, and its type is never changed under the feet of those who read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from syncterm.engine.destinations.base import STATE_TABLE, LoadTarget
from syncterm.engine.errors import ConfigError, DestinationError, SchemaChangedError, StaleEpochError
from syncterm.engine.model import SyncMode
from syncterm.engine.schema import LogicalType

_UPPER_TO_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def fold(name: str) -> str:
    """The name as DuckDB and SQLite compare it: the letters A to Z without their case, all else as it is."""
    return name.translate(_UPPER_TO_LOWER)


def quote(name: str) -> str:
    """A quoted SQL identifier; SQL's own rule, which DuckDB and SQLite follow. The name has passed `check_name`."""
    return '"' + name.replace('"', '""') + '"'


def check_name(kind: str, name: str) -> None:
    """Refuse a name that no SQL identifier can hold.

    Raises:
        ConfigError: empty, with a NUL character, or not valid Unicode.
    """
    fault = ""
    if not name:
        fault = "is empty"
    elif "\0" in name:
        fault = "holds a NUL character"
    elif any("\ud800" <= character <= "\udfff" for character in name):
        fault = "is not valid Unicode"
    if fault:
        raise ConfigError(f"The {kind} name {name!a} cannot be used: it {fault}.", remedy=f"Choose another {kind} name.")


def check_target(target: LoadTarget, same: Callable[[str], str] = fold) -> None:
    """Refuse names that cannot be kept, columns that the destination takes for the same one, and upserts without a key.

    Args:
        target: what is to be loaded.
        same: maps names that the destination takes for the same one to one text.

    Raises:
        ConfigError: naming what is refused.
    """
    check_name("table", target.table)
    if fold(target.table) == fold(STATE_TABLE):
        raise ConfigError(f"{STATE_TABLE} is the name of syncterm's own table.", remedy="Choose another table name.")
    if not target.fields:
        raise ConfigError(f"Stream {target.stream!r} has no columns selected.", remedy="Select at least one column.")
    seen: dict[str, str] = {}
    for field in target.fields:
        check_name("column", field.name)
        other = seen.setdefault(same(field.name), field.name)
        if other is not field.name:
            raise ConfigError(
                f"The columns {other!r} and {field.name!r} of stream {target.stream!r} differ only in letter case, which this"
                " destination does not tell apart.",
                remedy="Leave one of them out.",
            )
    if target.sync_mode is SyncMode.INCREMENTAL_UPSERT:
        check_key(target)


def check_key(target: LoadTarget) -> None:
    """Raises: ConfigError: where an upsert has no primary key, or one that is not among the columns."""
    if not target.primary_key:
        raise ConfigError(
            f"Stream {target.stream!r} cannot be upserted: it has no primary key.",
            remedy="Choose key columns, or the mode incremental append.",
        )
    names = {field.name for field in target.fields}
    missing = [name for name in target.primary_key if name not in names]
    if missing:
        raise ConfigError(
            f"The key columns {', '.join(map(repr, missing))} of stream {target.stream!r} are not among its columns.",
            remedy="Select them.",
        )


@dataclass(frozen=True, slots=True)
class StateRow:
    """A row of the state table of a destination."""

    connector_id: str
    stream: str
    table_name: str
    epoch: int
    sync_id: str
    cursor: str | None
    loads: int
    """How many loads have been committed; 0 where the stream has only been claimed."""
    rows: int
    """Rows that the last load wrote."""
    made_table: bool
    """Whether syncterm made the table, and so may replace it."""


STATE_COLUMNS = "connector_id, stream, table_name, epoch, sync_id, cursor, loads, rows, made_table"


def check_epoch(target: LoadTarget, epoch: int) -> None:
    """Raises: StaleEpochError: where `epoch`, the one that has claimed the stream, is newer than the target's."""
    if epoch > target.epoch:
        raise StaleEpochError(
            f"Stream {target.stream!r} has been claimed by a newer engine (epoch {epoch}; this one has {target.epoch}). Nothing was"
            " written.",
            remedy="The newer engine goes on with it.",
        )


def keys_only(target: LoadTarget) -> LoadTarget:
    """The target with nothing but its key's columns, in the key's order."""
    by_name = {field.name: field for field in target.fields}
    return replace(target, fields=tuple(by_name[name] for name in target.primary_key))


def replaces(target: LoadTarget) -> bool:
    """Whether a load puts its rows in the place of all that is there."""
    return target.full or target.sync_mode is SyncMode.REPLACE


def check_ownership(
    target: LoadTarget, rows: Iterable[StateRow], exists: bool, described: str, same: Callable[[str], str] = fold
) -> bool:
    """Whether the table was made by syncterm (or will be); and refuse to destroy what was not.

    Args:
        rows: the state rows of the target's collection, of all connectors.
        exists: whether a table (or a view) of the target's name exists.
        described: the table's full name, for people.
        same: maps names that the destination takes for the same one to one text.

    Raises:
        ConfigError: a load would replace a table that no load of syncterm made, or that another stream of the connector fills;
            or would go on from a cursor though its table is gone, or is another one than the rows before the cursor went to.
    """
    rows = [row for row in rows if row.loads]
    mine = next((row for row in rows if (row.connector_id, row.stream) == (target.connector_id, target.stream)), None)
    named = [row for row in rows if same(row.table_name) == same(target.table)]
    made = not exists or any(row.made_table for row in named)
    if target.deletes is not None:
        _check_alone(target, [row for row in named if row is not mine], made, described)
    if replaces(target):
        if not made:
            raise ConfigError(
                f"{described} exists and was not made by syncterm, so it is not replaced.",
                remedy="Choose another table name, choose an append mode, or drop or rename the table first.",
            )
        other = next((row for row in named if row.connector_id == target.connector_id and row.stream != target.stream), None)
        if other is not None and exists:
            raise ConfigError(
                f"{described} is filled by stream {other.stream!r} of the same connector; stream {target.stream!r} would"
                " replace it.",
                remedy="Give one of the streams another table name.",
            )
    elif mine is not None and mine.cursor is not None and target.sync_mode.incremental:
        if exists and same(mine.table_name) == same(target.table):
            return made
        if exists:
            raise ConfigError(
                f"{described} is not {mine.table_name!r}, which stream {target.stream!r} was loaded into so far; going on from the"
                " cursor would leave out older rows.",
                remedy="Run a historical re-sync, or choose the earlier table name.",
            )
        raise ConfigError(
            f"{described} is gone, though {mine.loads} loads were committed to it; going on from the"
            " cursor would leave out older rows.",
            remedy="Run a historical re-sync, or restore the table.",
        )
    return made


def _check_alone(target: LoadTarget, others: list[StateRow], made: bool, described: str) -> None:
    """Raises: ConfigError: where records of others may be in the table, which would be taken for deleted ones."""
    if made and not others:
        return
    why = f"stream {others[0].stream!r} fills it, too" if others else "it was not made by syncterm"
    raise ConfigError(
        f"Deleted records of stream {target.stream!r} cannot be told from others in {described}: {why}.",
        remedy="Give the stream a table of its own, or keep deleted records.",
    )


def schema_changed(target: LoadTarget, column: str, wanted: str, existing: str, described: str) -> SchemaChangedError:
    """The refusal of a column whose type does not fit the column that exists."""
    return SchemaChangedError(
        f"Column {column!r} of {described} has the type {existing}; stream {target.stream!r} now delivers {wanted}, which it cannot"
        " hold without loss.",
        remedy=f"Cast {column!r} in the stream's mapping, or run a historical re-sync to replace the table.",
    )


_WIDER = {
    "int32": {"int16"},
    "int64": {"int16", "int32"},
    "float64": {"float32", "int16", "int32"},
    "text": {"json", "uuid"},
}
"""Logical type → those that it holds without loss, apart from itself."""


def holds(existing: LogicalType, wanted: LogicalType) -> bool:
    """Whether every value of one logical type is one of another."""
    if existing == wanted or wanted.name in _WIDER.get(existing.name, ()):
        return True
    if existing.scale is None or existing.precision is None or wanted.scale is None or wanted.precision is None:
        return False
    more = existing.scale - wanted.scale
    return more >= 0 and existing.precision - wanted.precision >= more


def disk_full(path: object) -> DestinationError:
    """The error of a full disk."""
    return DestinationError(f"The disk is full: {path} could not be written.", remedy="Free some space and sync again.")
