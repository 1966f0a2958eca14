"""The one registry of what a key can do: id, keys, title, help, role, danger, group.

Bindings, the footer, the help overlay, the command palette, the read-only mode and the keymap of config.toml all derive from it.
An action `sync_now` is the method `action_sync_now` of the screen (or the app) whose scope lists it, and a binding of the same id.
The table's own movements (j, k, space …) are bindings of the live table, because they mean the same wherever a table stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from syncterm.engine.model import Role

if TYPE_CHECKING:
    from textual.binding import Binding


class Scope(StrEnum):
    """Where an action lives."""

    APP = "app"
    CONNECTORS = "connectors"
    """The table of connectors."""
    CONNECTOR = "connector"
    """The detail screen of one connector."""
    SYNC = "sync"
    """The screen of one sync."""
    ENDPOINTS = "endpoints"
    """The table of sources, and that of destinations."""
    ENDPOINT = "endpoint"
    """The screen of one source or destination."""
    STREAMS = "streams"
    """The editor of streams and columns, on a connector's Schema tab and in the wizard."""


class Group(StrEnum):
    """Headings of the help overlay, in its order."""

    ACTION = "Actions"
    STREAMS = "Streams and columns"
    VIEW = "View"
    FIND = "Find and sort"
    COPY = "Copy and export"
    GENERAL = "General"


class Argument(StrEnum):
    """What the palette asks for after an action's word."""

    NONE = ""
    CONNECTOR = "connector"
    SOURCE = "source"
    DESTINATION = "destination"
    COLUMN = "column"
    STATUS = "status"
    THEME = "theme"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One thing a person can do by key, menu and palette."""

    id: str
    keys: str
    """Comma separated, in Textual's names; the first is the one shown. Empty: only in the palette."""
    title: str
    help: str
    group: Group
    scopes: frozenset[Scope]
    role: Role = Role.VIEWER
    """The least role that may do it; a read-only dashboard acts as a viewer."""
    dangerous: bool = False
    """Removes or rewrites something: always asks first, and is not bound in read-only mode."""
    footer: str = ""
    """Its word on the footer line; empty: not there."""
    word: str = ""
    """Its command in the palette, where that differs from the id."""
    argument: Argument = Argument.NONE

    @property
    def command(self) -> str:
        return self.word or self.id.replace("_", "-")


APP = frozenset({Scope.APP})
TABLE = frozenset({Scope.CONNECTORS, Scope.ENDPOINTS})
DETAIL = frozenset({Scope.CONNECTOR})
BOTH = frozenset({Scope.CONNECTORS, Scope.CONNECTOR})
ENDPOINT = frozenset({Scope.ENDPOINTS, Scope.ENDPOINT})
STREAMS = frozenset({Scope.STREAMS})
SYNCED = BOTH | {Scope.SYNC}
"""The screens of what syncs."""
EVERY_SCREEN = SYNCED | ENDPOINT

_SPECS = (
    # --- What is done with rows
    ActionSpec(
        "open",
        "enter",
        "Open",
        "Its own screen: a connector's flow, schema, history and logs; what a source offers, and who uses it.",
        Group.ACTION,
        TABLE,
        footer="Open",
        word="connector",
        argument=Argument.CONNECTOR,
    ),
    ActionSpec(
        "add",
        "a",
        "Add",
        "Add another one: a connector step by step; a source or a destination by its type and form.",
        Group.ACTION,
        TABLE,
        role=Role.USER,
        footer="Add",
    ),
    ActionSpec(
        "sync_now",
        "r",
        "Sync now",
        "Start a sync of the marked connectors, or of the one under the cursor.",
        Group.ACTION,
        BOTH | {Scope.ENDPOINTS},
        role=Role.USER,
        footer="Sync",
        word="sync",
        argument=Argument.CONNECTOR,
    ),
    ActionSpec(
        "cancel",
        "x",
        "Cancel sync",
        "Stop running and queued syncs at the next batch; what was committed stays.",
        Group.ACTION,
        SYNCED,
        role=Role.USER,
        footer="Cancel",
        argument=Argument.CONNECTOR,
    ),
    ActionSpec(
        "toggle_pause",
        "t",
        "Pause or resume",
        "Stop or resume the schedule; no configuration and no state is lost.",
        Group.ACTION,
        BOTH,
        role=Role.USER,
        footer="Pause",
        word="pause",
        argument=Argument.CONNECTOR,
    ),
    ActionSpec(
        "check",
        "c",
        "Test connection",
        "Test the connection step by step, with the cause and the remedy; of a connector both ends.",
        Group.ACTION,
        BOTH | ENDPOINT,
        role=Role.USER,
        footer="Test",
        word="test",
        argument=Argument.CONNECTOR,
    ),
    ActionSpec(
        "edit",
        "e",
        "Edit setup",
        "Change the set-up: a connector's section by section, a source's or destination's in its form.",
        Group.ACTION,
        BOTH | ENDPOINT,
        role=Role.USER,
    ),
    ActionSpec(
        "edit_schedule",
        "C",
        "Edit schedule",
        "When it is due: an interval, a cron expression or by hand; blackout windows; streams with schedules of their own.",
        Group.ACTION,
        BOTH,
        role=Role.USER,
        word="schedule",
        argument=Argument.CONNECTOR,
    ),
    ActionSpec(
        "why",
        "W",
        "Why",
        "What is wrong with the connector, why, and the actions that mend it, each one key away.",
        Group.ACTION,
        BOTH,
        argument=Argument.CONNECTOR,
    ),
    ActionSpec(
        "approve_deletes",
        "",
        "Approve deletes",
        "Let the next sync delete the records that are gone from the source, where they were too many to do so unasked.",
        Group.ACTION,
        BOTH,
        role=Role.USER,
        argument=Argument.CONNECTOR,
    ),
    ActionSpec(
        "refresh_source",
        "V",
        "Refresh source",
        "Let connectors use the present version of their source, after showing what differs; of a source all its connectors.",
        Group.ACTION,
        BOTH | {Scope.ENDPOINT},
        role=Role.USER,
        argument=Argument.CONNECTOR,
    ),
    ActionSpec(
        "historical_resync",
        "H",
        "Historical re-sync",
        "Read everything again from the beginning; readers see the old data until the end.",
        Group.ACTION,
        BOTH,
        role=Role.USER,
        dangerous=True,
        word="resync",
        argument=Argument.CONNECTOR,
    ),
    ActionSpec(
        "approve_schema",
        "A",
        "Schema changes",
        "Review what changed in the source's schema: approve it, reject it, or look at earlier changes.",
        Group.ACTION,
        BOTH,
        word="approve",
        argument=Argument.CONNECTOR,
    ),
    ActionSpec(
        "delete",
        "D,delete",
        "Delete",
        "Delete; data in destinations stays, and what connectors use is kept. Can be undone for a short while.",
        Group.ACTION,
        BOTH | ENDPOINT,
        role=Role.USER,
        dangerous=True,
        argument=Argument.CONNECTOR,
    ),
    ActionSpec(
        "undo",
        "U",
        "Undo delete",
        "Bring back what was deleted last, within its grace period.",
        Group.ACTION,
        TABLE | {Scope.ENDPOINT},
        role=Role.USER,
    ),
    ActionSpec(
        "menu",
        "m",
        "Actions menu",
        "What can be done with this row, each with its key; also by right click.",
        Group.ACTION,
        BOTH | ENDPOINT,
        footer="Menu",
    ),
    ActionSpec(
        "logs",
        "l",
        "Logs",
        "The log lines of the connector, or of the sync.",
        Group.ACTION,
        SYNCED,
        footer="Logs",
        argument=Argument.CONNECTOR,
    ),
    ActionSpec(
        "details",
        "d",
        "Details",
        "Show or hide the pane with everything known about the row.",
        Group.ACTION,
        TABLE,
        footer="Details",
    ),
    # --- Streams and columns
    ActionSpec(
        "choose_row",
        "space",
        "Select or leave out",
        "Take the stream or column under the cursor into the connector, or leave it out.",
        Group.STREAMS,
        STREAMS,
        role=Role.USER,
        footer="Select",
        word="select",
    ),
    ActionSpec(
        "set_up_stream",
        "i",
        "Set up",
        "Everything about the stream or column: mode, key, cursor, cast, row filter, deleted records, look-back, table, policy.",
        Group.STREAMS,
        STREAMS,
        role=Role.USER,
        footer="Set up",
        word="set-up",
    ),
    ActionSpec(
        "save_streams",
        "ctrl+s,f2",
        "Save",
        "Save the edits, after a look at what follows from them.",
        Group.STREAMS,
        STREAMS,
        role=Role.USER,
        footer="Save",
        word="save",
    ),
    ActionSpec(
        "undo_edit",
        "u",
        "Undo edit",
        "Take the last edit back; again for the one before.",
        Group.STREAMS,
        STREAMS,
        role=Role.USER,
        footer="Undo",
    ),
    ActionSpec("redo_edit", "Y,ctrl+y", "Redo edit", "Do again what was undone.", Group.STREAMS, STREAMS, role=Role.USER),
    ActionSpec(
        "search_streams",
        "slash",
        "Search",
        "Streams, columns and types that contain the text; n and N go from one to the next.",
        Group.STREAMS,
        STREAMS,
        footer="Search",
        word="search",
    ),
    ActionSpec(
        "toggle_all",
        "asterisk,ctrl+a",
        "Select all",
        "All streams that match the search, or all columns of the one under the cursor; where all are selected, none.",
        Group.STREAMS,
        STREAMS,
        role=Role.USER,
        word="select-all",
    ),
    ActionSpec(
        "sync_mode",
        "M",
        "Sync mode",
        "How the stream's records arrive: all or what is new, replaced, appended or upserted.",
        Group.STREAMS,
        STREAMS,
        role=Role.USER,
    ),
    ActionSpec(
        "primary_key",
        "K",
        "Primary key",
        "On a column: into the key or out of it; on a stream: choose the key's columns.",
        Group.STREAMS,
        STREAMS,
        role=Role.USER,
    ),
    ActionSpec(
        "cursor_field",
        "I",
        "Cursor",
        "The column that says how far an incremental mode has read.",
        Group.STREAMS,
        STREAMS,
        role=Role.USER,
        word="cursor",
    ),
    ActionSpec("cast", "X", "Cast", "The type that the column arrives in.", Group.STREAMS, STREAMS, role=Role.USER),
    ActionSpec(
        "row_filter",
        "L",
        "Row filter",
        "Limit the records: the condition that those must meet that are synced.",
        Group.STREAMS,
        STREAMS,
        role=Role.USER,
    ),
    # --- View
    ActionSpec("columns", "o", "Columns", "Choose which columns are shown.", Group.VIEW, TABLE),
    ActionSpec(
        "wide", "w", "Wide", "Show columns at full width and scroll sideways, or fit them to the screen.", Group.VIEW, TABLE
    ),
    ActionSpec(
        "pause_display", "p", "Pause display", "Freeze the picture; syncs go on. Again to go on.", Group.VIEW, TABLE, word="freeze"
    ),
    ActionSpec("zoom", "z,plus", "Zoom", "Give the whole screen to the tab, and back.", Group.VIEW, DETAIL | {Scope.ENDPOINT}),
    ActionSpec(
        "refresh",
        "R,ctrl+r",
        "Refresh",
        "Read everything shown again; on a source's screen and on the Schema tab also what the source offers.",
        Group.VIEW,
        EVERY_SCREEN,
    ),
    ActionSpec("previous_tab", "left_square_bracket", "Previous tab", "The tab to the left.", Group.VIEW, EVERY_SCREEN),
    ActionSpec("next_tab", "right_square_bracket", "Next tab", "The tab to the right.", Group.VIEW, EVERY_SCREEN),
    ActionSpec(
        "hide_header",
        "ctrl+e",
        "Hide header",
        "Give the header's line to the table, or show it again.",
        Group.VIEW,
        APP,
        word="header",
    ),
    ActionSpec(
        "choose_theme",
        "T",
        "Theme",
        "Pick the colours; kept for the next start.",
        Group.VIEW,
        APP,
        word="theme",
        argument=Argument.THEME,
    ),
    # --- Find and sort
    ActionSpec(
        "filter",
        "slash",
        "Filter",
        "Keep rows that contain the text; !text keeps the others, source:pg looks at one field.",
        Group.FIND,
        TABLE,
        footer="Filter",
        argument=Argument.TEXT,
    ),
    ActionSpec(
        "filter_status",
        "F",
        "Status filter",
        "Keep rows of the chosen statuses.",
        Group.FIND,
        TABLE,
        word="status",
        argument=Argument.STATUS,
    ),
    ActionSpec(
        "failures_only",
        "f",
        "Failures only",
        "Keep what fails: Broken connectors, also paused ones; ends in Error or refused.",
        Group.FIND,
        TABLE,
        word="failures",
    ),
    ActionSpec(
        "sort",
        "s",
        "Sort",
        "Pick the column to sort by; all columns, also hidden ones.",
        Group.FIND,
        TABLE,
        footer="Sort",
        argument=Argument.COLUMN,
    ),
    ActionSpec("reverse_sort", "S", "Reverse sort", "Turn the order round.", Group.FIND, TABLE, word="reverse"),
    # --- Copy and export
    ActionSpec(
        "yank",
        "y",
        "Copy",
        "Copy the id, the name, the cell, the error or all as JSON to the clipboard; of a sync its Sync ID.",
        Group.COPY,
        EVERY_SCREEN,
        word="copy",
    ),
    ActionSpec(
        "export",
        "ctrl+s,E",
        "Export view",
        "Write the rows of this view, as filtered and sorted, to a CSV or JSON file.",
        Group.COPY,
        TABLE,
    ),
    # --- General
    ActionSpec("help", "question_mark,f1", "Help", "Every key of this screen.", Group.GENERAL, APP, footer="Help"),
    ActionSpec(
        "palette", "colon,ctrl+p", "Commands", "Type a command, with an argument by name.", Group.GENERAL, APP, footer="Command"
    ),
    ActionSpec("show_connectors", "1", "Connectors", "The table of connectors.", Group.GENERAL, APP, word="connectors"),
    ActionSpec(
        "show_sources",
        "2",
        "Sources",
        "The table of sources; with a name in the palette, that source.",
        Group.GENERAL,
        APP,
        word="source",
        argument=Argument.SOURCE,
    ),
    ActionSpec(
        "show_destinations",
        "3",
        "Destinations",
        "The table of destinations; with a name in the palette, that destination.",
        Group.GENERAL,
        APP,
        word="destination",
        argument=Argument.DESTINATION,
    ),
    ActionSpec(
        "add_connector",
        "",
        "Add connector",
        "Source, streams, destination and schedule, step by step.",
        Group.GENERAL,
        APP,
        role=Role.USER,
    ),
    ActionSpec("add_source", "", "Add source", "Choose its type, then fill in its form.", Group.GENERAL, APP, role=Role.USER),
    ActionSpec(
        "add_destination", "", "Add destination", "Choose its type, then fill in its form.", Group.GENERAL, APP, role=Role.USER
    ),
    ActionSpec("last_view", "minus", "Last view", "Back to the view before this one, and back again.", Group.GENERAL, APP),
    ActionSpec(
        "back",
        "escape,backspace",
        "Back",
        "Close, clear the filter, clear the marks, or go back: the first that applies.",
        Group.GENERAL,
        APP,
    ),
    ActionSpec("suspend", "ctrl+z", "Suspend", "To the shell; fg comes back. Syncs stop with it until then.", Group.GENERAL, APP),
    ActionSpec("quit", "q,ctrl+q", "Quit", "Leave the dashboard; asks only while syncs run.", Group.GENERAL, APP, footer="Quit"),
    ActionSpec("copy_or_hint", "ctrl+c", "Copy selection", "Copy the selected text.", Group.GENERAL, APP, word="copy-selection"),
)

ACTIONS: Mapping[str, ActionSpec] = {spec.id: spec for spec in _SPECS}
"""Every action by its id, in the order of the help overlay."""

CONNECTOR_MENU = ("toggle_pause", "sync_now", "edit", "historical_resync", "check", "approve_schema", "delete")
"""The six actions of a connector's menu (A2), in its order, and the review of schema changes."""

ENDPOINT_MENU = ("edit", "check", "delete")
"""The actions of a source's or a destination's menu, in its order."""

_RANKS = (Role.VIEWER, Role.USER, Role.ADMINISTRATOR)


def allowed(spec: ActionSpec, role: Role) -> bool:
    """Whether that role may do it. The operations check again: this is only what is offered."""
    return _RANKS.index(role) >= _RANKS.index(spec.role)


def in_scope(scope: Scope) -> tuple[ActionSpec, ...]:
    """The actions of a screen (or of the app), in order."""
    return tuple(spec for spec in _SPECS if scope in spec.scopes)


def bindings(scope: Scope) -> list[Binding]:
    """Bindings for the class variable `BINDINGS` of the screen of that scope, or of the app; each carries its action's id."""
    from textual.binding import Binding

    return [
        Binding(
            spec.keys,
            spec.id,
            spec.title,
            id=spec.id,
            tooltip=spec.help,
            show=bool(spec.footer),
        )
        for spec in in_scope(scope)
        if spec.keys
    ]


def keys_of(spec: ActionSpec, keymap: Mapping[str, str]) -> tuple[str, ...]:
    """The keys that do it now, the configured ones where there are any, in Textual's names; "" for none."""
    return tuple(key.strip() for key in keymap.get(spec.id, spec.keys).split(","))


def clashes(keymap: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(key, action that gets it, action that loses it): keys that a keymap takes away without anybody having said so."""
    found: dict[tuple[str, str], str] = {}
    for scope in (scope for scope in Scope if scope is not Scope.APP):
        specs = (*in_scope(scope), *in_scope(Scope.APP))
        for winner in (spec for spec in specs if spec.id in keymap):
            for loser in (spec for spec in specs if spec is not winner):
                for key in (set(keys_of(winner, keymap)) & set(keys_of(loser, keymap))) - {""}:
                    if (key, loser.id) not in found and (key, winner.id) not in found:
                        found[key, loser.id] = winner.id
    return [(key, winner, loser) for (key, loser), winner in found.items()]


_KEY_NAMES = {
    "slash": "/",
    "question_mark": "?",
    "colon": ":",
    "minus": "-",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "escape": "esc",
    "delete": "del",
    "backspace": "⌫",
    "asterisk": "*",
    "space": "space",
    "plus": "+",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "backslash": "\\",
}
_ASCII_KEY_NAMES = {"⌫": "bksp", "↑": "up", "↓": "down", "←": "left", "→": "right"}


def key_label(key: str, *, ascii: bool = False) -> str:  # noqa: A002
    """A key as people write it: `/`, `ctrl+s`, `esc`; capitals stand for shift."""
    *modifiers, name = key.split("+") if key != "+" else ["+"]
    label = _KEY_NAMES.get(name, name)
    if ascii:
        label = _ASCII_KEY_NAMES.get(label, label)
    return "+".join((*modifiers, label))
