"""The settings of one stream and one column, each chosen from a menu or typed on one line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from textual.app import App

from syncterm.editing.stream_editing import StreamEditing
from syncterm.editing.stream_problems import filter_problem
from syncterm.engine.casting import castable, suggested_decimal
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import DeleteHandling, SchemaPolicy, StreamConfig, SyncMode
from syncterm.engine.schema import Field, LogicalType, parse_type
from syncterm.screens.line_dialog import LineDialog
from syncterm.screens.menu import Choice, Menu, Ticks
from syncterm.text import Glyphs, duration
from syncterm.widgets.stream_lines import DELETE_NAMES, MODE_NAMES

POLICY_NAMES: Mapping[SchemaPolicy | None, str] = {
    None: "As the connector",
    SchemaPolicy.APPROVE: "Ask before any change",
    SchemaPolicy.APPLY_ADDITIONS: "Apply what is added",
    SchemaPolicy.APPLY_ALL: "Apply every change",
    SchemaPolicy.PAUSE: "Pause at a change",
}
_MODE_DETAILS = {
    SyncMode.REPLACE: "everything, each time, in the place of what was there",
    SyncMode.APPEND: "everything, each time, below what was there",
    SyncMode.INCREMENTAL_APPEND: "what is new by the cursor, below what was there",
    SyncMode.INCREMENTAL_UPSERT: "what is new by the cursor; the key finds what it replaces",
}
_MODE_KEYS = {
    SyncMode.REPLACE: "f",
    SyncMode.APPEND: "p",
    SyncMode.INCREMENTAL_APPEND: "a",
    SyncMode.INCREMENTAL_UPSERT: "u",
}
_DELETE_KEYS = {DeleteHandling.KEEP: "e", DeleteHandling.MARK: "m", DeleteHandling.REMOVE: "r"}
_DELETE_DETAILS = {
    DeleteHandling.KEEP: "the destination keeps records that are gone in the source",
    DeleteHandling.MARK: "their column _deleted_at says when that was noticed",
    DeleteHandling.REMOVE: "they are deleted in the destination, too",
}
LONGEST_TABLE = 255
"""Characters of a table's name that the store holds."""


class StreamSettings:
    """Asks for one setting after another's fashion: `choose` answers whether something was changed.

    Args:
        app: on which the menus are shown; called in one of its workers.
        editing: what is edited.
        stream: a selected stream.
        column: the column under the cursor; None on the stream itself.
        symbols: the drawn symbols.
    """

    def __init__(self, app: App[Any], editing: StreamEditing, stream: str, column: Field | None, symbols: Glyphs) -> None:
        self._app = app
        self._editing = editing
        self._stream = stream
        self._column = column
        self._glyphs = symbols
        schema = editing.schema(stream)
        self._fields: tuple[Field, ...] = schema.fields if schema is not None else ()

    @property
    def _config(self) -> StreamConfig:
        return self._editing.config(self._stream)

    async def choose(self, setting: str) -> bool:
        """Ask for one setting; without one, first which. Whether something was changed."""
        steps: dict[str, Callable[[], Awaitable[int]]] = {
            "sync_mode": self._sync_mode,
            "primary_key": self._primary_key,
            "cursor_field": self._cursor,
            "cast": self._cast,
            "row_filter": self._row_filter,
            "delete_handling": self._delete_handling,
            "look_back": self._look_back,
            "include_null_cursor": self._include_null_cursor,
            "table": self._table,
            "schema_policy": self._schema_policy,
        }
        if not setting:
            title = self._stream if self._column is None else f"{self._column.name} of {self._stream}"
            chosen = await self._app.push_screen_wait(Menu(title, self._menu(), self._glyphs, hint="enter sets it · esc closes"))
            if chosen is None:
                return False
            setting = chosen
        return bool(await steps[setting]())

    def _menu(self) -> list[Choice]:
        config, column = self._config, self._column
        key = ", ".join(config.primary_key) or "none"
        cursor = config.cursor_field or "none"
        look_back = duration(config.look_back.total_seconds()) if config.look_back is not None else "none"
        no_cast = "" if column is not None else "Move to a column first: enter opens the stream."
        null_cursor = "read at every sync" if config.include_null_cursor else "set aside as failed records"
        upsert = config.sync_mode is SyncMode.INCREMENTAL_UPSERT
        return [
            Choice("sync_mode", "Sync mode", "M", MODE_NAMES[config.sync_mode]),
            Choice("primary_key", "Primary key", "K", key),
            Choice("cursor_field", "Cursor", "I", cursor),
            Choice("cast", "Cast", "X", self._cast_text(column) if column is not None else "", reason=no_cast),
            Choice("row_filter", "Row filter", "L", config.row_filter or "none"),
            Choice("delete_handling", "Deleted records", "d", DELETE_NAMES[config.delete_handling]),
            Choice("look_back", "Look-back", "l", look_back, reason="" if upsert else "Only incremental upsert looks back."),
            Choice("include_null_cursor", "Records without cursor", "0", null_cursor),
            Choice("table", "Table in the destination", "t", config.target),
            Choice("schema_policy", "When its schema changes", "s", POLICY_NAMES[config.schema_policy]),
        ]

    def _cast_text(self, column: Field) -> str:
        return self._config.casts.get(column.name) or f"none: {column.type}"

    async def _ask(self, title: str, choices: list[Choice], text: str = "") -> str | None:
        return await self._app.push_screen_wait(Menu(title, choices, self._glyphs, text=text))

    # --- The settings

    async def _sync_mode(self) -> int:
        abilities, present = self._editing.abilities, self._config.sync_mode
        choices = []
        for mode in SyncMode:
            reason = "This source cannot be read incrementally." if mode.incremental and not abilities.incremental else ""
            if mode is SyncMode.INCREMENTAL_UPSERT and not abilities.upsert:
                reason = "This destination cannot upsert."
            choices.append(Choice(mode, MODE_NAMES[mode], _MODE_KEYS[mode], _MODE_DETAILS[mode], reason, checked=mode is present))
        chosen = await self._ask(f"Sync mode of {self._stream}", choices)
        return self._editing.set_sync_mode([self._stream], SyncMode(chosen)) if chosen is not None else 0

    async def _primary_key(self) -> int:
        """On a column: toggle it. On the stream: tick the columns, in the order of the key."""
        if self._column is not None:
            return self._editing.toggle_key(self._stream, self._column.name)
        if not self._fields:
            return self._not_known()
        key = self._config.primary_key
        order = {name: number for number, name in enumerate(key)}
        fields = sorted(self._fields, key=lambda field: order.get(field.name, len(order)))
        choices = [
            Choice(str(number), field.name, detail=str(field.type), checked=field.name in order)
            for number, field in enumerate(fields)
        ]
        chosen = await self._app.push_screen_wait(
            Ticks(
                f"Primary key of {self._stream}", choices, self._glyphs, hint="space ticks · J K move · enter applies", ordered=True
            )
        )
        if chosen is None:
            return 0
        return self._editing.set_primary_key(self._stream, [fields[int(number)].name for number in chosen])

    async def _cursor(self) -> int:
        """On a column: make it the cursor, or no more. On the stream: choose one."""
        from syncterm.engine.cursor import CURSOR_TYPES

        present = self._config.cursor_field
        if self._column is not None:
            name = self._column.name
            if name == present:
                return self._editing.set_cursor(self._stream, None)
            if self._arriving(self._column).name not in CURSOR_TYPES:
                self._app.notify(f"No cursor can follow a column of type {self._arriving(self._column)}.", severity="warning")
                return 0
            return self._editing.set_cursor(self._stream, name)
        if not self._fields:
            return self._not_known()
        fitting = [field for field in self._fields if self._arriving(field).name in CURSOR_TYPES]
        choices = [Choice("", "None", detail="read everything, each time", checked=present is None)]
        choices += [
            Choice(str(number), field.name, detail=str(self._arriving(field)), checked=field.name == present)
            for number, field in enumerate(fitting)
        ]
        chosen = await self._ask(f"Cursor of {self._stream}", choices, "Its value says how far the stream has been read.")
        if chosen is None:
            return 0
        return self._editing.set_cursor(self._stream, fitting[int(chosen)].name if chosen else None)

    def _arriving(self, field: Field) -> LogicalType:
        text = self._config.casts.get(field.name)
        try:
            return parse_type(text) if text is not None else field.type
        except ConfigError:
            return field.type

    async def _cast(self) -> int:
        column = self._column
        if column is None:
            self._app.notify("Move to a column first: enter opens the stream.", severity="warning")
            return 0
        present = self._config.casts.get(column.name)
        choices = [Choice("", f"{column.type}", detail="as discovered", checked=present is None)]
        types = castable(column.type)
        choices += [Choice(str(type_), str(type_), checked=str(type_) == present) for type_ in types if type_.name != "decimal"]
        if any(type_.name == "decimal" for type_ in types):
            shown = present if present is not None and present.startswith("decimal") else ""
            detail = shown or "any precision and scale"
            choices.append(Choice("decimal", f"decimal(p,s){self._glyphs.ellipsis}", detail=detail, checked=bool(shown)))
        chosen = await self._ask(
            f"Cast {column.name} to", choices, "Every value arrives exactly so, or its record is set aside as failed."
        )
        if chosen is None:
            return 0
        if chosen == "decimal":
            return await self._decimal(column, present)
        return self._editing.set_cast(self._stream, column.name, parse_type(chosen) if chosen else None)

    async def _decimal(self, column: Field, present: str | None) -> int:
        def check(text: str) -> str:
            try:
                type_ = parse_type(f"decimal({text})")
            except ConfigError:
                return "Write the precision (1 to 38 digits in all) and the scale (digits after the point), as 18,2."
            return "" if type_ != column.type else f"{type_} is the type that was discovered."

        first = parse_type(present) if present is not None and present.startswith("decimal") else suggested_decimal(column.type)
        text = await self._line(
            f"Cast {column.name} to decimal",
            f"{first.precision},{first.scale}",
            "Digits in all, and digits after the point.",
            check,
        )
        return self._editing.set_cast(self._stream, column.name, parse_type(f"decimal({text})")) if text is not None else 0

    async def _row_filter(self) -> int:
        schema = self._editing.schema(self._stream)
        config = self._config

        def check(text: str) -> str:
            return filter_problem(config, text, schema) if text else ""

        text = await self._line(
            f"Row filter of {self._stream}",
            config.row_filter or "",
            "Only records that this condition is true for are synced. Empty: all of them.",
            check,
            placeholder="state = 'paid' and total > 100",
        )
        return self._editing.set_row_filter([self._stream], text) if text is not None else 0

    async def _delete_handling(self) -> int:
        present = self._config.delete_handling
        choices = [
            Choice(each, DELETE_NAMES[each], _DELETE_KEYS[each], _DELETE_DETAILS[each], checked=each is present)
            for each in DeleteHandling
        ]
        chosen = await self._ask(f"Records of {self._stream} that are gone in the source", choices)
        return self._editing.set_delete_handling([self._stream], DeleteHandling(chosen)) if chosen is not None else 0

    async def _look_back(self) -> int:
        from syncterm.engine.schedule import format_every, parse_every

        def check(text: str) -> str:
            if not text:
                return ""
            try:
                parse_every(text)
            except ConfigError as error:
                return f"{error.message} {error.remedy or ''}".strip()
            return ""

        if self._config.sync_mode is not SyncMode.INCREMENTAL_UPSERT:
            self._app.notify("Only incremental upsert looks back: other modes would repeat records.", severity="warning")
            return 0
        present = self._config.look_back
        text = await self._line(
            f"Look-back of {self._stream}",
            format_every(present) if present is not None else "",
            "How far below the cursor each sync reads again, for records that arrive late: 30s, 15m, 1h, 7d. Empty: not at all.",
            check,
        )
        if text is None:
            return 0
        look_back: timedelta | None = parse_every(text) if text else None
        return self._editing.set_look_back([self._stream], look_back)

    async def _include_null_cursor(self) -> int:
        return self._editing.set_include_null_cursor([self._stream], not self._config.include_null_cursor)

    async def _table(self) -> int:
        def check(text: str) -> str:
            from syncterm.engine.connector_rules import check_name

            try:
                if text:
                    check_name(text, "The table's name", LONGEST_TABLE)
            except ConfigError as error:
                return error.message
            return ""

        text = await self._line(
            f"Table of {self._stream}",
            self._config.table or "",
            "The stream's name in the destination. Empty: its own. Another name begins another table.",
            check,
            placeholder=self._stream,
        )
        return self._editing.set_table(self._stream, text) if text is not None else 0

    async def _schema_policy(self) -> int:
        present = self._config.schema_policy
        choices = [Choice(policy or "", title, checked=policy is present) for policy, title in POLICY_NAMES.items()]
        chosen = await self._ask(f"When the schema of {self._stream} changes", choices)
        if chosen is None:
            return 0
        return self._editing.set_schema_policy([self._stream], SchemaPolicy(chosen) if chosen else None)

    async def _line(self, title: str, value: str, text: str, check: Callable[[str], str], placeholder: str = "") -> str | None:
        dialog = partial(LineDialog, title, value, self._glyphs)
        return await self._app.push_screen_wait(dialog(text=text, check=check, placeholder=placeholder))

    def _not_known(self) -> int:
        self._app.notify("The columns of this stream are not known yet.", severity="warning")
        return 0
