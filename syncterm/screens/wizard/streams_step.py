"""The step that chooses streams: reading what the source offers, with the fault and its remedy where that fails, then the list."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from syncterm.editing.connector_wizard import ConnectorWizard, Step
from syncterm.engine.errors import SynctermError
from syncterm.engine.model import EndpointKind, StreamConfig
from syncterm.engine.schema import StreamSchema
from syncterm.engine.stream_defaults import Suggestion
from syncterm.screens.stream_editor import StreamEditor
from syncterm.screens.wizard.step import StepView
from syncterm.text import clean, clip, count
from syncterm.widgets.footer import FooterKey
from syncterm.widgets.lines import Line, Lines
from syncterm.widgets.stream_lines import StreamFacts

if TYPE_CHECKING:
    from syncterm.screens.dashboard import Dashboard

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


class SourceReader:
    """What the stream editor asks about a source; each may raise SynctermError."""

    def __init__(self, dashboard: Dashboard, wizard: ConnectorWizard) -> None:
        self._dashboard = dashboard
        self._wizard = wizard

    @property
    def _source_id(self) -> str:
        return self._wizard.source.id if self._wizard.source is not None else ""

    async def columns(self, stream: str) -> StreamSchema | None:
        source_id = self._source_id
        return await self._dashboard.host.call(lambda engine: engine.queries.source_stream(source_id, stream))

    async def suggestions(self) -> Mapping[str, Suggestion]:
        source_id = self._source_id
        return await self._dashboard.host.call(lambda engine: engine.queries.stream_suggestions(source_id))

    async def streams_with_column(self, text: str) -> Collection[str]:
        source_id = self._source_id
        return await self._dashboard.host.call(lambda engine: engine.queries.source_streams_with_column(source_id, text))

    async def check_cursor(self, stream: StreamConfig) -> tuple[str, ...]:
        source_id, actor = self._source_id, self._dashboard.actor
        return await self._dashboard.host.call(lambda engine: engine.operations.check_cursor(actor, source_id, stream))


class StreamsStep(StepView):
    """Which streams are synced, and how."""

    STEP = Step.STREAMS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("R,ctrl+r", "read_again", "Read again", show=False, id="wizard.read_again"),
        Binding("e", "edit_source", "Edit the source", show=False, id="wizard.edit_source"),
    ]

    DEFAULT_CSS = """
    StreamsStep {
        #catalog-state { height: auto; background: $surface; margin-bottom: 1; }
        StreamEditor { height: 1fr; display: none; }
        &.-read StreamEditor { display: block; }
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
        self._editor = StreamEditor(SourceReader(self.dashboard, self.wizard), self.glyphs, id="stream-editor")
        yield self._editor

    def on_mount(self) -> None:
        self.set_interval(TICK, self._tick)

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
            self._editor.focus_target.focus()
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
            FooterKey("select_stream", "space", "Select"),
            FooterKey("select_all", "*", "All"),
            FooterKey("settings", "i", "Set up"),
            FooterKey("search", "/", "Search"),
            FooterKey("undo", "u", "Undo"),
            FooterKey("read_again", "R", "Read again"),
        )

    def go_back(self) -> bool:
        if self._phase is Phase.READING:
            self.action_cancel_reading()
            return True
        return self._phase is Phase.READ and self._editor.clear_search()

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
            self.focus_first()

    def _tick(self) -> None:
        if self._phase is Phase.READING and self.display:
            self._frame += 1
            self._show_state()

    def _show(self) -> None:
        self.set_class(self._phase is Phase.READ, "-read")
        if self._phase is Phase.READ and self.wizard.streams is not None:
            self._editor.show(self.wizard.streams, StreamFacts())
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

    def action_select_stream(self) -> None:
        self._editor.action_choose_row()

    def action_select_all(self) -> None:
        self._editor.action_toggle_all()

    def action_settings(self) -> None:
        self._editor.action_set_up_stream()

    def action_search(self) -> None:
        self._editor.action_search_streams()

    def action_undo(self) -> None:
        self._editor.action_undo_edit()

    def action_edit_source(self) -> None:
        self.run_worker(self._edit_source(), group="edit-source", exclusive=True, exit_on_error=False)

    async def _edit_source(self) -> None:
        from syncterm.screens.adding import edit_endpoint

        source = self.wizard.source
        if source is not None and await edit_endpoint(self.dashboard, EndpointKind.SOURCE, source.id) is not None:
            self._begin(again=True)

    @on(StreamEditor.Edited)
    def _edited(self) -> None:
        self._show_state()
        self.post_message(self.Changed())
