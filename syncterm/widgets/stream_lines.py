"""How a stream and a column look on one line of the schema tree, and all about the row under the cursor for its foot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from syncterm.editing.stream_editing import StreamEditing
from syncterm.engine.model import DeleteHandling, StreamConfig, SyncMode
from syncterm.engine.schema import Field
from syncterm.text import Glyphs, clean, count, duration, fit, width
from syncterm.widgets.lines import Line

NO_NAME = "(no name)"
TEXT_LIMIT = 500
"""Characters of an outside string that are looked at for one cell."""

MODE_NAMES = {
    SyncMode.REPLACE: "Full, replace",
    SyncMode.APPEND: "Full, append",
    SyncMode.INCREMENTAL_APPEND: "Incremental append",
    SyncMode.INCREMENTAL_UPSERT: "Incremental upsert",
}
DELETE_NAMES = {
    DeleteHandling.KEEP: "Keep them",
    DeleteHandling.MARK: "Mark them with the time",
    DeleteHandling.REMOVE: "Remove them",
}


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What is known about streams beside their set-up."""

    cursors: Mapping[str, str] = field(default_factory=dict)
    """Stream → where its next sync resumes: the source's own text."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Stream → what else is worth saying: a re-sync asked for, a schema change that waits."""


@dataclass(frozen=True, slots=True)
class Widths:
    """Cells of the parts of a row."""

    name: int
    type: int
    third: int
    last: int

    @classmethod
    def of(cls, cells: int) -> Widths:
        room = max(48, cells - 3)
        kind, third = (15, 19) if room < 100 else (18, 28)
        name = (room - kind - third) * 5 // 9
        return cls(name, kind, third, room - kind - third - name)


class StreamLines:
    """Draws rows.

    Args:
        symbols: the drawn symbols.
        needle: what is searched for, case folded; empty for nothing.
    """

    def __init__(self, symbols: Glyphs, needle: str = "") -> None:
        self._glyphs = symbols
        self._needle = needle

    def heading(self, cells: int) -> Line:
        widths = Widths.of(cells)
        titles = (("     Stream / column", widths.name), ("Type", widths.type), ("Sync mode / native", widths.third))
        return (*((fit(title, space) + " ", "") for title, space in titles), (fit("Key and cursor", widths.last), ""))

    def stream(self, editing: StreamEditing, name: str, facts: StreamFacts, *, opened: bool, cells: int) -> Line:
        symbols, widths = self._glyphs, Widths.of(cells)
        selected, config = editing.selected(name), editing.config(name)
        chosen, total = editing.column_counts(name)
        columns = "not discovered" if not total else f"{count(total)} columns" if chosen == total else f"{chosen} of {count(total)}"
        style = "bold" if selected else "dim"
        blocking = next((problem.message for problem in editing.problems(name)), "") if editing.blocked(name) else ""
        note = blocking or (facts.notes.get(name, "") if selected else editing.barred(name))
        return (
            self._changed(name in editing.changed),
            (f"{symbols.sort_down if opened else symbols.running} ", "$primary"),
            self._tick(selected),
            (" ", ""),
            *self._searched(name or NO_NAME, widths.name - 5, style),
            (" ", ""),
            self._cell(columns, widths.type, "dim"),
            (" ", ""),
            self._cell(MODE_NAMES[config.sync_mode] if selected else "not selected", widths.third, "" if selected else "dim"),
            (" ", ""),
            self._cell(
                note or self._key_and_cursor(config, facts.cursors.get(name), selected),
                widths.last,
                "$text-error" if blocking else "$text-warning" if note else "dim",
            ),
        )

    def column(self, editing: StreamEditing, name: str, column: Field, *, cells: int) -> Line:
        widths, config = Widths.of(cells), editing.config(name)
        selected = editing.column_selected(name, column.name)
        stream_selected = editing.selected(name)
        roles = []
        if column.name in config.primary_key:
            roles.append("primary key")
        if column.name == config.cursor_field:
            roles.append("cursor")
        used = stream_selected and (selected or bool(roles))
        cast = config.casts.get(column.name)
        if cast is not None:
            roles.append(f"cast from {column.type}")
        if not selected:
            roles.append("not selected")
        elif not column.nullable and not roles:
            roles.append("required")
        muted = "" if used else "dim"
        return (
            self._changed(editing.column_changed(name, column.name)),
            ("    ", ""),
            self._tick(selected and stream_selected),
            (" ", ""),
            *self._searched(column.name, widths.name - 7, muted),
            (" ", ""),
            self._cell(cast or str(column.type), widths.type, "$text-accent" if used else "dim"),
            (" ", ""),
            self._cell(column.native, widths.third, "dim"),
            (" ", ""),
            self._cell(", ".join(roles), widths.last, "" if used and roles else "dim"),
        )

    def under(self, text: str, *, failed: bool, cells: int) -> Line:
        """A line in the place of columns that are not there (yet)."""
        return (("       ", ""), self._cell(text, max(1, cells - 7), "$text-error" if failed else "dim italic"))

    def _changed(self, changed: bool) -> tuple[str, str]:
        return (self._glyphs.cursor if changed else " ", "$text-warning" if changed else "")

    def _tick(self, on: bool) -> tuple[str, str]:
        return (self._glyphs.check, "$text-success") if on else (self._glyphs.unchecked, "dim")

    def _cell(self, text: str, cells: int, style: str = "") -> tuple[str, str]:
        return fit(clean(text, limit=TEXT_LIMIT), cells, ellipsis=self._glyphs.ellipsis), style

    def _searched(self, text: str, cells: int, style: str) -> Line:
        """A name, with what is searched for reversed."""
        shown = self._cell(text, cells)[0]
        at = shown.casefold().find(self._needle) if self._needle else -1
        if at < 0 or len(shown.casefold()) != len(shown):
            return ((shown, style),)
        end = at + len(self._needle)
        return ((shown[:at], style), (shown[at:end], f"{style} reverse".strip()), (shown[end:], style))

    @staticmethod
    def _key_and_cursor(config: StreamConfig, cursor: str | None, selected: bool) -> str:
        if not selected:
            return ""
        if cursor is not None and config.sync_mode.incremental:
            return f"at {cursor}"
        if config.cursor_field and config.sync_mode.incremental:
            return f"from the beginning by {config.cursor_field}"
        return f"key {', '.join(config.primary_key)}" if config.primary_key else ""

    # --- The foot

    def describe(self, editing: StreamEditing, name: str, column: Field | None, facts: StreamFacts, cells: int) -> Line:
        """Everything about the row under the cursor on one line."""
        parts = self._column_parts(editing, name, column) if column is not None else self._stream_parts(editing, name, facts)
        return self._foot(parts, cells, "dim")

    def warn(self, messages: Sequence[str], cells: int, *, blocking: bool) -> Line:
        """What is wrong with the row under the cursor, or worth knowing."""
        return self._foot([f"{self._glyphs.warning} {clean(' '.join(messages), limit=2000)}"], cells, _WARN[blocking])

    def _foot(self, parts: Sequence[str], cells: int, style: str) -> Line:
        text = " " + f" {self._glyphs.separator} ".join(parts)
        return ((fit(text, max(cells, width(self._glyphs.ellipsis)), ellipsis=self._glyphs.ellipsis), style),)

    def _stream_parts(self, editing: StreamEditing, name: str, facts: StreamFacts) -> list[str]:
        config = editing.config(name)
        shown, target = self._clean(name or NO_NAME), self._clean(config.target or NO_NAME)
        parts = [shown if target == shown else f"{shown} {self._glyphs.arrow} {target}"]
        if config.primary_key:
            parts.append(f"key {self._clean(', '.join(config.primary_key))}")
        if config.cursor_field:
            parts.append(f"cursor {self._clean(config.cursor_field)} at {self._clean(facts.cursors.get(name, 'none yet'))}")
        if config.look_back is not None:
            parts.append(f"looks back {duration(config.look_back.total_seconds())}")
        if config.include_null_cursor:
            parts.append("records without cursor, too")
        if config.delete_handling is not DeleteHandling.KEEP:
            parts.append(f"deleted records: {config.delete_handling}")
        if config.row_filter:
            parts.append(f"filter {self._clean(config.row_filter)}")
        if name in facts.notes:
            parts.append(self._clean(facts.notes[name]))
        if editing.barred(name):
            parts.append(editing.barred(name))
        return parts

    def _column_parts(self, editing: StreamEditing, name: str, column: Field) -> list[str]:
        cast = editing.config(name).casts.get(column.name)
        parts = [self._clean(column.name), f"discovered as {column.type}"]
        if column.native:
            parts.append(f"native {self._clean(column.native)}")
        config = editing.config(name)
        if editing.column_selected(name, column.name) or column.name in (*config.primary_key, config.cursor_field):
            parts.append(f"arrives as {self._clean(cast)}, a cast" if cast is not None else f"arrives as {column.type}")
        else:
            parts.append("left out")
        parts.append("may be empty" if column.nullable else "never empty")
        return parts

    @staticmethod
    def _clean(text: str) -> str:
        return clean(text, limit=TEXT_LIMIT)


_WARN = {True: "$text-error", False: "$text-warning"}
