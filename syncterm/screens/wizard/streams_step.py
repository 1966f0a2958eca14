"""The step that chooses streams: reading what the source offers, with the fault and its remedy where that fails, then the list."""

from __future__ import annotations

from enum import StrEnum
from time import monotonic
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from syncterm.connector_wizard import ConnectorWizard, Step
from syncterm.engine.cursor import CURSOR_TYPES
from syncterm.engine.errors import SynctermError
from syncterm.engine.model import StreamConfig, SyncMode
from syncterm.engine.schema import StreamSchema
from syncterm.screens.menu import Choice, Menu, Ticks
from syncterm.screens.wizard.end_step import SearchLine
from syncterm.screens.wizard.step import StepView
from syncterm.screens.wizard.stream_list import StreamList
from syncterm.text import clean, clip, count
from syncterm.widgets.footer import FooterKey
from syncterm.widgets.lines import Line, Lines
from syncterm.widgets.stream_tree import MODE_NAMES

TICK = 0.2
"""Seconds between two frames of the activity sign."""
PATIENCE = 2.0
"""Seconds after which the time it takes is shown."""


class Phase(StrEnum):
    """What is known of the source's catalog."""

    NOTHING = "nothing"
    READING = "reading"
    FAILED = "failed"
    CANCELLED = "cancelled"
    READ = "read"


class StreamsStep(StepView):
    """Which streams are synced, and how."""

    STEP = Step.STREAMS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", show=False, id="wizard.search_streams"),
        Binding("R,ctrl+r", "read_again", "Read again", show=False, id="wizard.read_again"),
        Binding("e", "edit_source", "Edit the source", show=False, id="wizard.edit_source"),
    ]

    DEFAULT_CSS = """
    StreamsStep {
        #catalog-state { height: auto; background: $surface; margin-bottom: 1; }
        #stream-search { height: 1; background: $panel; display: none; }
        #stream-search.-shown { display: block; }
        StreamList { height: 1fr; display: none; }
        &.-read StreamList { display: block; }
    }
    """

    def __init__(self, wizard: ConnectorWizard) -> None:
        super().__init__(wizard)
        self._phase = Phase.NOTHING
        self._read_of: str | None = None
        """Source whose catalog is shown or read."""
        self._fault: SynctermError | None = None
        self._started = 0.0
        self._frame = 0

    def compose(self) -> ComposeResult:
        yield Lines(id="catalog-state")
        yield SearchLine(compact=True, placeholder="search streams by name", id="stream-search")
        yield StreamList(self.glyphs, id="streams")

    def on_mount(self) -> None:
        self.set_interval(TICK, self._tick)

    @property
    def streams(self) -> StreamList:
        return self.query_one(StreamList)

    def entered(self) -> None:
        source = self.wizard.source
        if source is None:
            return
        if source.id != self._read_of or self._phase in (Phase.FAILED, Phase.CANCELLED):
            self._begin(again=self._read_of == source.id)
        else:
            self._show()

    def focus_first(self) -> None:
        if self._phase is Phase.READ:
            self.streams.focus()
        else:
            self.screen.set_focus(None)

    def keys(self) -> tuple[FooterKey, ...]:
        if self.typing():
            return ()
        if self._phase is Phase.READING:
            return (FooterKey("cancel_reading", "esc", "Cancel"),)
        if self._phase is not Phase.READ:
            return (FooterKey("read_again", "R", "Try again"), FooterKey("edit_source", "e", "Edit the source"))
        return (
            FooterKey("tick", "space", "Select"),
            FooterKey("tick_all", "*", "All"),
            FooterKey("settings", "enter", "Settings"),
            FooterKey("search", "/", "Search"),
            FooterKey("read_again", "R", "Read again"),
        )

    def go_back(self) -> bool:
        line = self.query_one(SearchLine)
        if self._phase is Phase.READING:
            self.action_cancel_reading()
            return True
        if line.has_class("-shown"):
            line.value = ""
            line.remove_class("-shown")
            self.streams.focus()
            return True
        return False

    # --- Reading the catalog

    def _begin(self, *, again: bool = False) -> None:
        source = self.wizard.source
        if source is None:
            return
        self._read_of, self._fault = source.id, None
        self._phase, self._started = Phase.READING, monotonic()
        self.run_worker(self._read(source.id, again=again), group="catalog", exclusive=True, exit_on_error=False)
        self._show()

    async def _read(self, source_id: str, *, again: bool) -> None:
        dashboard = self.dashboard
        actor = dashboard.actor
        destination = self.wizard.destination
        try:
            entries = () if again else await dashboard.host.call(lambda engine: engine.queries.source_streams(source_id))
            if not entries:
                await dashboard.host.call(lambda engine: engine.operations.discover(actor, source_id))
                entries = await dashboard.host.call(lambda engine: engine.queries.source_streams(source_id))
            abilities = await dashboard.host.call(
                lambda engine: engine.operations.abilities(actor, source_id, destination.id if destination is not None else None)
            )
            suggestions = await dashboard.host.call(lambda engine: engine.queries.stream_suggestions(source_id))
        except SynctermError as error:
            if self.wizard.source is not None and self.wizard.source.id == source_id:
                self._fault, self._phase = error, Phase.FAILED
                self.wizard.discovery_fault = str(error)
                self._show()
            return
        if self.wizard.source is None or self.wizard.source.id != source_id:
            return
        first = self.wizard.streams is None
        editing = self.wizard.take_catalog(entries, abilities)
        editing.learn_suggestions(suggestions)
        if first and len(entries) == 1 and not self.wizard.editing_saved:
            editing.select([entries[0].name])
        self._phase = Phase.READ
        self._show()
        if self.screen.focused is None and self.display:
            self.streams.focus()

    def _tick(self) -> None:
        if self._phase is Phase.READING and self.display:
            self._frame += 1
            self._show_state()

    def _show(self) -> None:
        self.set_class(self._phase is Phase.READ, "-read")
        self.streams.show(self.wizard.streams if self._phase is Phase.READ else None)
        self._show_state()
        self.post_message(self.Changed())

    def _show_state(self) -> None:
        self.query_one("#catalog-state", Lines).show(self.state_lines())

    def state_lines(self) -> tuple[Line, ...]:
        """One line about the catalog, or the fault with its remedy."""
        source, glyphs = self.wizard.source, self.glyphs
        if source is None:
            return ((("Choose a source first.", "dim"),),)
        name = (clip(clean(source.name, limit=300), 40, glyphs.ellipsis), "bold")
        match self._phase:
            case Phase.READING:
                sign = glyphs.spinner[self._frame % len(glyphs.spinner)]
                waited = monotonic() - self._started
                took = f"  {waited:.0f} s" if waited >= PATIENCE else ""
                return (((f"{sign} ", "$text-accent"), ("Reading what ", ""), name, (f" offers {glyphs.ellipsis}{took}", "")),)
            case Phase.FAILED if self._fault is not None:
                remedy = clean(self._fault.remedy) or "Look at the source's set-up, then try again."
                return (
                    ((f"{glyphs.failed} ", "$text-error"), ("What ", ""), name, (" offers could not be read.", "")),
                    ((f"  {clean(self._fault.message)}", "$text-error"),),
                    ((f"  {remedy}", ""),),
                    (
                        ("  ", ""),
                        ("R", "bold $primary"),
                        (" tries again, ", "dim"),
                        ("e", "bold $primary"),
                        (" edits the source.", "dim"),
                    ),
                )
            case Phase.CANCELLED:
                return (
                    ((f"{glyphs.waiting} ", "$text-warning"), ("Reading what ", ""), name, (" offers was cancelled.", "")),
                    (("  ", ""), ("R", "bold $primary"), (" reads it again.", "dim")),
                )
        editing = self.wizard.streams
        if editing is None:
            return (((" ", ""),),)
        offered = len(editing.entries)
        chosen = editing.selected_count
        return (
            (
                name,
                (f" offers {count(offered)} {'stream' if offered == 1 else 'streams'}, ", "dim"),
                (f"{count(chosen)} selected" if chosen else "none selected yet", "bold" if chosen else "$text-warning"),
                (".", "dim"),
            ),
        )

    # --- Actions

    def action_read_again(self) -> None:
        if self._phase is not Phase.READING:
            self._begin(again=True)

    def action_cancel_reading(self) -> None:
        if self._phase is Phase.READING:
            self.workers.cancel_group(self, "catalog")
            self._phase = Phase.READ if self.wizard.streams is not None else Phase.CANCELLED
            self._show()

    def action_search(self) -> None:
        if self._phase is Phase.READ:
            line = self.query_one(SearchLine)
            line.add_class("-shown")
            line.focus()

    def action_tick(self) -> None:
        self.streams.action_tick()

    def action_tick_all(self) -> None:
        self.streams.action_tick_all()

    def action_settings(self) -> None:
        self.streams.action_choose()

    def action_edit_source(self) -> None:
        self.run_worker(self._edit_source(), group="edit-source", exclusive=True, exit_on_error=False)

    async def _edit_source(self) -> None:
        from syncterm.engine.model import EndpointKind
        from syncterm.screens.adding import edit_endpoint

        source = self.wizard.source
        if source is not None and await edit_endpoint(self.dashboard, EndpointKind.SOURCE, source.id) is not None:
            self._begin(again=True)

    @on(Input.Changed)
    def _searched(self, event: Input.Changed) -> None:
        event.stop()
        self.streams.search(event.value)

    @on(StreamList.Edited)
    def _edited(self) -> None:
        self._show_state()
        self.post_message(self.Changed())

    @on(StreamList.Chosen)
    def _settings_wanted(self) -> None:
        name = self.streams.name_at_cursor
        if name is not None:
            self.run_worker(self._settings(name), group="settings", exclusive=True, exit_on_error=False)

    # --- One stream's settings

    async def _settings(self, name: str) -> None:
        """A menu of what is set for a stream, again and again until the person leaves it."""
        editing, source = self.wizard.streams, self.wizard.source
        if editing is None or source is None:
            return
        if editing.schema(name) is None:
            schema = await self.attempt(lambda engine: engine.queries.source_stream(source.id, name))
            if schema is None:
                return
            editing.learn(schema)
        if not editing.selected(name):
            editing.select([name])
            self.streams.rows_changed()
            self._edited()
        while True:
            choice = await self.app.push_screen_wait(self._settings_menu(name, editing.config(name)))
            schema = editing.schema(name)
            if choice is None or schema is None:
                return
            await self._change(choice, name, schema)
            self.streams.rows_changed()
            self._edited()

    def _settings_menu(self, name: str, config: StreamConfig) -> Menu:
        editing = self.wizard.streams
        chosen, total = editing.column_counts(name) if editing is not None else (0, 0)
        columns = "all" if chosen == total else f"{count(chosen)} of {count(total)}"
        cursor = config.cursor_field or "none"
        problems = editing.problems(name) if editing is not None else ()
        return Menu(
            f"Stream {name}",
            [
                Choice("mode", "Sync mode", "s", MODE_NAMES[config.sync_mode]),
                Choice("key", "Primary key", "i", ", ".join(config.primary_key) or "none"),
                Choice("cursor", "Cursor", "c", cursor),
                Choice("columns", "Columns", "o", columns),
                Choice(
                    "check",
                    "Check the cursor",
                    "v",
                    "what speaks against it",
                    reason="" if config.cursor_field else "It has no cursor column.",
                ),
                Choice("dry_run", "Dry run", "f", "the first records, as they would arrive"),
            ],
            self.glyphs,
            text="\n".join(problem.message for problem in problems),
            hint="esc goes back to the list",
        )

    async def _change(self, what: str, name: str, schema: StreamSchema) -> None:
        editing = self.wizard.streams
        if editing is None:
            return
        config = editing.config(name)
        match what:
            case "mode":
                mode = await self._ask("Sync mode", [(mode.value, MODE_NAMES[mode], "") for mode in SyncMode], config.sync_mode)
                if mode is not None:
                    editing.set_sync_mode([name], SyncMode(mode))
            case "cursor":
                columns = [(f.name, f.name, str(f.type)) for f in schema.fields if f.type.name in CURSOR_TYPES]
                cursor = await self._ask("Cursor column", columns, config.cursor_field or "")
                if cursor is not None:
                    editing.set_cursor(name, cursor)
            case "key":
                key = await self._ask_several("Primary key", schema, config.primary_key)
                if key is not None:
                    editing.set_primary_key(name, key)
            case "columns":
                wanted = await self._ask_several("Columns", schema, config.columns or tuple(f.name for f in schema.fields))
                if wanted is not None:
                    every = [field.name for field in schema.fields]
                    editing.select_columns(name, [column for column in every if column not in wanted], False)
                    editing.select_columns(name, wanted)
            case "check":
                await self._check_cursor(name, config)
            case "dry_run":
                await self.dry_run(name)

    async def _ask(self, title: str, choices: list[tuple[str, str, str]], present: str) -> str | None:
        ids = {str(number): value for number, (value, _, _) in enumerate(choices)}
        lines = [
            Choice(str(number), shown, detail=detail, checked=value == present)
            for number, (value, shown, detail) in enumerate(choices)
        ]
        picked = await self.app.push_screen_wait(Menu(title, lines, self.glyphs))
        return None if picked is None else ids[picked]

    async def _ask_several(self, title: str, schema: StreamSchema, present: tuple[str, ...]) -> tuple[str, ...] | None:
        columns = [field.name for field in schema.fields]
        lines = [
            Choice(str(number), field.name, detail=str(field.type), checked=field.name in present)
            for number, field in enumerate(schema.fields)
        ]
        picked = await self.app.push_screen_wait(Ticks(title, lines, self.glyphs, hint="space ticks, enter applies"))
        return None if picked is None else tuple(columns[int(number)] for number in picked)

    async def _check_cursor(self, name: str, config: StreamConfig) -> None:
        source = self.wizard.source
        if source is None:
            return
        self.notify(f"Looking at {clean(config.cursor_field or '')} {self.glyphs.ellipsis}", timeout=2)
        warnings = await self.attempt(lambda engine: engine.operations.check_cursor(self.dashboard.actor, source.id, config))
        if warnings is not None:
            lines = "\n\n".join(warnings) or "Nothing speaks against it."
            close = [Choice("close", "Close", "enter")]
            title = f"Cursor {config.cursor_field} of {name}"
            await self.app.push_screen_wait(Menu(title, close, self.glyphs, text=lines))

    async def dry_run(self, name: str) -> None:
        """Show the first records of a stream as they would arrive."""
        from syncterm.screens.wizard.dry_run import DryRunScreen

        await self.app.push_screen_wait(DryRunScreen(self.dashboard, self.wizard.draft(), name))
