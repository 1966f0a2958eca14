"""The command palette: a command's word, and where it takes one an argument by name: `connector billing`, `sort duration`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from syncterm.actions import ACTIONS, ActionSpec, Argument, Scope, allowed, key_label, keys_of
from syncterm.engine.errors import SynctermError
from syncterm.screens.base import DashboardScreen
from syncterm.screens.table_screen import TableScreen
from syncterm.screens.table_view import ALL, TableView
from syncterm.text import clean, clip, fit
from syncterm.widgets.clean_input import CleanInput

if TYPE_CHECKING:
    from textual.widget import Widget

    from syncterm.screens.dashboard import Dashboard

NAMES_SHOWN = 30
SEARCHED_FROM = 3
"""Characters from which on the help texts are searched too; fewer occur in all of them."""
NAME_LIMIT = 48  # cells

NO_PALETTE = frozenset({"palette", "back", "copy_or_hint"})
"""Actions that make no sense as a typed command."""


@dataclass(frozen=True, slots=True)
class Command:
    """A line of the palette: an action, with its argument where it has one."""

    spec: ActionSpec
    title: str
    detail: str = ""
    argument: str = ""
    reason: str = ""
    """Why it does nothing now."""
    completes: str = ""
    """What choosing it writes into the line instead of running it."""


def matching(specs: Sequence[ActionSpec], text: str) -> list[ActionSpec]:
    """The actions a text means, best first: its word is that, begins so, a word of its title begins so, it occurs somewhere."""
    wanted = text.strip().casefold()

    def rank(spec: ActionSpec) -> int | None:
        if spec.command.startswith(wanted):
            return 0 if spec.command != wanted else -1
        if any(word.casefold().startswith(wanted) for word in (spec.title, *spec.title.split())):
            return 1
        if len(wanted) >= SEARCHED_FROM and wanted in f"{spec.command} {spec.title} {spec.help}".casefold():
            return 2
        return None

    ranked = [(rank(spec), position, spec) for position, spec in enumerate(specs)]
    return [spec for _, _, spec in sorted((entry for entry in ranked if entry[0] is not None), key=lambda entry: entry[:2])]


def split(specs: Sequence[ActionSpec], text: str) -> tuple[ActionSpec | None, str]:
    """The action whose argument is being typed, and that argument; no action while its word is typed."""
    word, space, argument = text.lstrip().partition(" ")
    spec = next((spec for spec in specs if spec.command == word.casefold() and spec.argument is not Argument.NONE), None)
    return (spec, argument.strip()) if space and spec is not None else (None, "")


class PaletteScreen(ModalScreen[None]):
    """The palette over a screen: enter runs the highlighted command, tab completes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", show=False, id="palette.close", priority=True),
        Binding("down,ctrl+n", "move(1)", "Down", show=False, id="palette.down", priority=True),
        Binding("up", "move(-1)", "Up", show=False, id="palette.up", priority=True),
        Binding("tab", "complete", "Complete", show=False, id="palette.complete", priority=True),
    ]

    DEFAULT_CSS = """
    PaletteScreen {
        align: center top;
    }
    PaletteScreen > Vertical {
        margin-top: 2;
        width: 84;
        max-width: 96%;
        height: auto;
        max-height: 80%;
        background: $surface;
        border: round $primary;
        border-title-color: $primary;
        border-title-style: bold;
        border-subtitle-color: $text-muted;
        padding: 0 1;
    }
    PaletteScreen Input {
        background: $surface;
        margin-bottom: 1;
    }
    PaletteScreen OptionList {
        height: auto;
        max-height: 100%;
        background: $surface;
        border: none;
        padding: 0;
        scrollbar-size-vertical: 1;
    }
    """

    def __init__(self, under: Screen[Any], text: str = "") -> None:
        super().__init__()
        self._under = under
        self._text = text
        self._commands: list[Command] = []
        self._found_for: str | None = None
        """The text that the commands were found for."""
        self._specs = [
            spec
            for spec in ACTIONS.values()
            if spec.id not in NO_PALETTE and (self._here(spec) or spec.argument is not Argument.NONE)
        ]

    @property
    def dashboard(self) -> Dashboard:
        return cast("Dashboard", self.app)

    def _here(self, spec: ActionSpec) -> bool:
        scope = getattr(self._under, "SCOPE", None)
        return Scope.APP in spec.scopes or scope in spec.scopes or self._inner(spec) is not None

    def _inner(self, spec: ActionSpec) -> Widget | None:
        """The widget of the screen below that does it; None where it is no widget's."""
        inner = self._under.inner() if isinstance(self._under, DashboardScreen) else None
        return inner[1] if inner is not None and inner[0] in spec.scopes else None

    def compose(self) -> ComposeResult:
        with Vertical():
            yield CleanInput(self._text, placeholder="command, or command and name", compact=True, select_on_focus=False)
            yield OptionList(compact=True)

    def on_mount(self) -> None:
        box = self.query_one(Vertical)
        box.border_title = Content("Command")
        box.border_subtitle = Content("tab completes, enter runs")
        self.query_one(OptionList).can_focus = False
        self.query_one(Input).focus()
        self._look(self._text)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._look(event.value)

    def _look(self, text: str) -> None:
        self.run_worker(self._find(text), group="palette", exclusive=True, exit_on_error=False)

    async def _find(self, text: str) -> None:
        typed = text
        spec, argument = split(self._specs, text)
        if spec is not None and self._role_reason(spec):
            text, spec = spec.command, None
        self._commands = await self._arguments(spec, argument) if spec is not None else self._actions(text)
        self._found_for = typed
        choices = self.query_one(OptionList)
        choices.clear_options()
        choices.add_options([Option(self._line(command)) for command in self._commands])
        if self._commands:
            choices.highlighted = 0

    def _actions(self, text: str) -> list[Command]:
        commands = []
        for spec in matching(self._specs, text):
            here = self._here(spec)
            barred = self._role_reason(spec)
            reason = barred or (self._reason(spec) if here else "")
            completes = (
                f"{spec.command} "
                if not barred and spec.argument is not Argument.NONE and (reason or not here or spec.id in ("open", "filter"))
                else ""
            )
            word = f"{spec.command} {spec.argument.value.upper()}" if spec.argument is not Argument.NONE else spec.command
            commands.append(Command(spec, word, spec.title, reason="" if completes else reason, completes=completes))
        return commands

    def _role_reason(self, spec: ActionSpec) -> str:
        if allowed(spec, self.dashboard.actor.role):
            return ""
        return "This dashboard is read-only." if self.dashboard.read_only else f"Needs the role {spec.role}."

    def _reason(self, spec: ActionSpec) -> str:
        if self._inner(spec) is not None:
            return ""
        node = self._under if Scope.APP not in spec.scopes else self.app
        if node.check_action(spec.id, ()):
            return ""
        explain = getattr(self._under, "full_reason_against", None)
        return (explain(spec) if explain is not None and node is self._under else "") or "Not possible here."

    async def _arguments(self, spec: ActionSpec, argument: str) -> list[Command]:
        wanted = argument.casefold()
        match spec.argument:
            case Argument.CONNECTOR:
                return await self._connectors(spec, argument)
            case Argument.SOURCE | Argument.DESTINATION:
                return await self._endpoints(spec, argument)
            case Argument.COLUMN:
                sorts = self._view.sorts if self._view is not None else {}
                found = [(sort, title) for sort, title in sorts.items() if wanted in title.casefold() or wanted in sort]
            case Argument.STATUS:
                statuses = self._view.statuses_known if self._view is not None else ()
                found = [(status, status) for status in (*statuses, ALL) if wanted in status.casefold()]
            case Argument.THEME:
                found = [(name, name) for name in self.dashboard.appearance.choices if wanted in name]
            case _:
                found = [(argument, argument)] if argument else []
        return [Command(spec, f"{spec.command} {title}", spec.title, argument=value) for value, title in found]

    @property
    def _view(self) -> TableView | None:
        """What the table of the present area can show."""
        table = self.app.screen_stack[0]
        return table.view if isinstance(table, TableScreen) else None

    async def _endpoints(self, spec: ActionSpec, name: str) -> list[Command]:
        source = spec.argument is Argument.SOURCE
        rows = await self.dashboard.attempt(lambda engine: engine.queries.sources() if source else engine.queries.destinations())
        wanted = name.casefold()
        found = [row for row in rows or () if wanted in row.name.casefold()]
        found.sort(key=lambda row: not row.name.casefold().startswith(wanted))
        return [Command(spec, f"{spec.command} {clean(row.name)}", str(row.status), argument=row.id) for row in found[:NAMES_SHOWN]]

    async def _connectors(self, spec: ActionSpec, name: str) -> list[Command]:
        from syncterm.engine.queries import ConnectorQuery

        host = self.dashboard.host
        try:
            keys = await host.call(lambda engine: engine.queries.connector_keys(ConnectorQuery(text=name)))
            first = keys[:NAMES_SHOWN]
            rows = await host.call(lambda engine: engine.queries.connector_rows(first))
        except SynctermError as error:
            self.dashboard.notify_error(error)
            return []
        found = [rows[key] for key in first if key in rows]
        # A name that begins with what was typed comes before one that merely contains it.
        found.sort(key=lambda row: not row.name.casefold().startswith(name.casefold()))
        return [Command(spec, f"{spec.command} {clean(row.name)}", str(row.status), argument=row.id) for row in found]

    def _line(self, command: Command) -> Content:
        dim = "dim" if command.reason else ""
        keymap = self.dashboard.settings.keymap
        keys = key_label(keys_of(command.spec, keymap)[0], ascii=self.dashboard.ascii) if not command.argument else ""
        ellipsis = self.dashboard.glyphs.ellipsis
        return Content.assemble(
            (fit(clean(command.title), NAME_LIMIT, ellipsis=ellipsis), dim),
            " ",
            (fit(clip(command.reason or command.detail, 20, ellipsis), 20), dim or "dim"),
            " ",
            (keys, dim or "bold $primary"),
        )

    def action_move(self, step: int) -> None:
        choices = self.query_one(OptionList)
        (choices.action_cursor_down if step > 0 else choices.action_cursor_up)()

    def _highlighted(self) -> Command | None:
        index = self.query_one(OptionList).highlighted
        return self._commands[index] if index is not None and index < len(self._commands) else None

    def action_complete(self) -> None:
        command = self._highlighted()
        if command is not None:
            self._write(command.title if command.argument else f"{command.spec.command} ")

    def _write(self, text: str) -> None:
        field = self.query_one(Input)
        field.value = text
        field.cursor_position = len(text)

    @on(Input.Submitted)
    async def _submitted(self, event: Input.Submitted) -> None:
        if self._found_for != event.value:  # typed faster than it is looked up
            self.workers.cancel_group(self, "palette")
            await self._find(event.value)
        self._run_highlighted()

    def _run_highlighted(self) -> None:
        command = self._highlighted()
        if command is None:
            self.notify("No command and no name matches.", severity="warning")
            return
        if command.completes:
            self._write(command.completes)
        elif command.reason:
            self.notify(command.reason, severity="warning")
        else:
            self.app.call_next(self._run, command)  # this screen cannot wait for its own end

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self._run_highlighted()

    async def _run(self, command: Command) -> None:
        app = self.dashboard
        await self.dismiss(None)
        if command.argument:
            await app.run_command(command.spec.id, command.argument)
        elif Scope.APP in command.spec.scopes:
            await app.run_action(command.spec.id, app)
        else:
            await app.run_action(command.spec.id, self._inner(command.spec) or self._under)

    def action_close(self) -> None:
        self.dismiss(None)
