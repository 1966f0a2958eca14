"""What saving edits of streams leads to, in plain words: what is read again, what stays in the destination, what cannot run."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from syncterm.editing.stream_editing import StreamEditing
from syncterm.engine.model import SyncMode
from syncterm.text import byte_size, count

_NAMED = 3


def consequences(
    editing: StreamEditing, cursors: Mapping[str, str], volumes: Mapping[str, tuple[int, int]] | None = None
) -> tuple[str, ...]:
    """One sentence for each kind of change, the heaviest first.

    Args:
        editing: the edits, against what is saved.
        cursors: stream → how far it has been read; those that have been.
        volumes: stream → records and bytes that it has at least, where that is known.
    """
    groups: dict[str, list[str]] = {sentence: [] for sentence in _SENTENCES}
    for entry in editing.entries:
        if entry.name in editing.changed:
            for sentence in _of_stream(editing, entry.name, entry.name in cursors):
                groups[sentence].append(entry.name)
    troubled = editing.troubled
    groups[_TROUBLED] = [entry.name for entry in editing.entries if entry.name in troubled]
    known = volumes or {}
    return tuple(
        f"{_listed(names)} {sentence}{_volume([known[name] for name in names if name in known]) if sentence in _WHOLE else ''}"
        for sentence, names in groups.items()
        if names
    )


def _volume(volumes: Collection[tuple[int, int]]) -> str:
    """How much is read at least; empty where nothing is known."""
    records, size = (sum(each) for each in zip(*volumes, strict=True)) if volumes else (0, 0)
    return f" At least {count(records)} {'record' if records == 1 else 'records'} ({byte_size(size)})." if records else ""


def _of_stream(editing: StreamEditing, name: str, synced: bool) -> list[str]:
    if not editing.selected(name):
        return [_LEFT_OUT]
    saved, config = editing.saved_config(name), editing.config(name)
    if saved is None:
        return [_NEW]
    found = []
    replaces = saved.sync_mode is SyncMode.REPLACE
    if (synced and saved.cursor_field != config.cursor_field) or (replaces and config.sync_mode is SyncMode.INCREMENTAL_APPEND):
        found.append(_AGAIN)
    full = config.sync_mode is SyncMode.REPLACE
    known = editing.schema(name)
    everything = [field.name for field in known.fields] if known is not None else []
    before, now = _chosen(saved.columns, everything), _chosen(config.columns, everything)
    if before - now:
        found.append(_FEWER)
    if now - before and not full:
        found.append(_MORE)
    if dict(saved.casts) != dict(config.casts) and not full:
        found.append(_CAST)
    if saved.target != config.target:
        found.append(_TABLE)
    if saved.row_filter != config.row_filter and not full:
        found.append(_FILTER)
    if saved.sync_mode != config.sync_mode and config.sync_mode is SyncMode.APPEND:
        found.append(_APPENDED)
    return found or [_QUIET]


def _chosen(columns: tuple[str, ...] | None, everything: list[str]) -> frozenset[str]:
    return frozenset(everything if columns is None else columns)


def _listed(names: Collection[str]) -> str:
    shown = list(names)[:_NAMED]
    more = len(names) - len(shown)
    return f"{', '.join(shown)} and {more:,} more:" if more else f"{', '.join(shown)}:"


_TROUBLED = "not synced as set up now; the connector cannot run until that is mended or left out."
_AGAIN = "read again from the beginning at the next sync."
_NEW = "new; everything is read at the next sync."
_LEFT_OUT = "no longer synced; what is in the destination stays."
_TABLE = "goes to another table; the earlier one stays as it is."
_FEWER = "columns left out; the destination keeps them, empty in new records."
_MORE = "columns added; empty in earlier records until a historical re-sync."
_CAST = "arrives in other types; where the destination's column cannot hold them, a historical re-sync replaces the table."
_FILTER = "filtered anew from now on; what is before the cursor, or in the destination, changes with a historical re-sync."
_APPENDED = "appended whole at each sync: the destination grows by all records each time."
_QUIET = "set up anew from the next sync on; nothing is read again."
_WHOLE = (_AGAIN, _APPENDED)
"""What reads everything there is."""
_SENTENCES = (_TROUBLED, _AGAIN, _NEW, _LEFT_OUT, _TABLE, _FEWER, _MORE, _CAST, _FILTER, _APPENDED, _QUIET)
