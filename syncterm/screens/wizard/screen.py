"""The wizard's screen: the strip of steps, the present step, its keys; leaving asks, finishing saves.

It covers everything, and no key of the dashboard reaches past it, so that nothing typed is lost by going elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input
from textual.worker import Worker, WorkerState

from syncterm.actions import key_label
from syncterm.editing.connector_wizard import STEPS, ConnectorWizard, Step, StepState, neighbour
from syncterm.engine.drafts import Saved
from syncterm.engine.errors import ConfigError, SynctermError
from syncterm.engine.model import EndpointKind
from syncterm.screens.menu import Choice, Menu
from syncterm.screens.wizard.end_step import DestinationStep, SourceStep, end_of
from syncterm.screens.wizard.review_step import DRAFT, SAVE, SYNC, ReviewStep
from syncterm.screens.wizard.schedule_step import ScheduleStep
from syncterm.screens.wizard.step import StepView
from syncterm.screens.wizard.streams_step import StreamsStep
from syncterm.screens.wizard.strip import StepStrip
from syncterm.text import clean, clip
from syncterm.widgets.footer import Footer, FooterKey, KeyLine
from syncterm.widgets.lines import Lines
from syncterm.widgets.status_line import StatusLine

if TYPE_CHECKING:
    from syncterm.screens.dashboard import Dashboard

VIEWS: dict[Step, type[StepView]] = {
    Step.SOURCE: SourceStep,
    Step.STREAMS: StreamsStep,
    Step.DESTINATION: DestinationStep,
    Step.SCHEDULE: ScheduleStep,
    Step.REVIEW: ReviewStep,
}
_LACKS = {
    Step.SOURCE: "Choose a source first.",
    Step.STREAMS: "No stream is selected yet: space selects one, * all.",
    Step.DESTINATION: "Choose a destination first.",
}


class WizardScreen(ModalScreen[Saved | None]):
    """Sets up one connector; dismissed with what was saved.

    Args:
        wizard: an empty one adds a connector; one with a draft changes it, and begins at the review.
        source_id: chosen from the start.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+n,right_square_bracket", "next", "Next step", show=False, id="wizard.next"),
        Binding("left_square_bracket", "previous", "Previous step", show=False, id="wizard.previous"),
        Binding("escape", "back", "Back", show=False, id="wizard.back", priority=True),
        Binding("ctrl+s,f2", "save", "Save", show=False, id="wizard.save"),
        Binding("q,ctrl+q", "leave", "Leave", show=False, id="wizard.leave"),
    ]

    DEFAULT_CSS = """
    WizardScreen {
        background: $surface;
        color: $foreground;
        layout: vertical;
        #wizard-title { background: $panel; color: $foreground; }
        #wizard-body { height: 1fr; padding: 1 0 0 0; }
        #wizard-note { height: auto; max-height: 3; padding: 0 2; background: $surface; }
    }
    """

    def __init__(self, dashboard: Dashboard, wizard: ConnectorWizard, *, source_id: str | None = None) -> None:
        super().__init__()
        self._dashboard = dashboard
        self._source_id = source_id
        self.wizard = wizard
        self.step = Step.REVIEW if wizard.editing_saved else Step.SOURCE
        """The present step."""
        self.synced = False
        """Whether a sync was asked for with the saving."""
        self._saving = False
        self._views: dict[Step, StepView] = {}

    def compose(self) -> ComposeResult:
        yield StatusLine(id="wizard-title")
        yield StepStrip(self._dashboard.glyphs)
        with Vertical(id="wizard-body"):
            for step in STEPS:
                view = VIEWS[step](self.wizard)
                view.display = step is self.step
                self._views[step] = view
                yield view
        yield Lines(id="wizard-note")
        yield Footer()

    @property
    def shown_name(self) -> str:
        """The connector's name, fit for a title."""
        return clip(clean(self.wizard.name, limit=500), 46, self._dashboard.glyphs.ellipsis)

    @property
    def views_ready(self) -> bool:
        """Whether the steps can be used."""
        return bool(self._views) and all(view.is_mounted for view in self._views.values())

    @property
    def view(self) -> StepView:
        """The present step's view."""
        return self._views[self.step]

    def on_mount(self) -> None:
        self.watch(self, "focused", self._focus_moved, init=False)
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        if self._source_id is not None:
            self.run_worker(self._choose_source(self._source_id), group="first", exit_on_error=False)
        elif self.wizard.editing_saved:
            self.run_worker(self._load_ends(), group="first", exit_on_error=False)
        self.go(self.step)

    async def _choose_source(self, source_id: str) -> None:
        rows = await self._dashboard.attempt(lambda engine: engine.queries.sources())
        row = next((row for row in rows or () if row.id == source_id), None)
        if row is not None and self.wizard.source is None:
            self.wizard.choose_source(end_of(EndpointKind.SOURCE, row))
            self.go(Step.STREAMS)

    async def _load_ends(self) -> None:
        """The ends and the streams of the connector that is changed, so that the review is whole."""
        wizard, saved = self.wizard, self.wizard.saved
        sources = await self._dashboard.attempt(lambda engine: engine.queries.sources())
        destinations = await self._dashboard.attempt(lambda engine: engine.queries.destinations())
        source = next((row for row in sources or () if row.id == saved.source_id), None)
        destination = next((row for row in destinations or () if row.id == saved.destination_id), None)
        if source is not None and (wizard.source is None or wizard.streams is None):
            wizard.choose_source(end_of(EndpointKind.SOURCE, source))
            entries = await self._dashboard.attempt(lambda engine: engine.queries.source_streams(source.id))
            abilities = await self._dashboard.attempt(
                lambda engine: engine.operations.abilities(self._dashboard.actor, source.id, saved.destination_id)
            )
            if entries and abilities is not None:
                wizard.take_catalog(entries, abilities)
        if destination is not None and wizard.destination is None:
            wizard.choose_destination(end_of(EndpointKind.DESTINATION, destination))
        self._show()
        self.view.entered()

    # --- Steps

    def go(self, step: Step) -> None:
        """Show a step; its focus is where a person begins."""
        if step is not self.step:
            self.wizard.visited.add(self.step)
        if step is Step.REVIEW:
            self.wizard.visited.update(STEPS)
            self.run_worker(self._propose_name(), group="name", exclusive=True, exit_on_error=False)
        self.step = step
        for each, view in self._views.items():
            view.display = each is step
        self.view.entered()
        self.view.focus_first()
        self._show()

    async def _propose_name(self) -> None:
        """A name that nobody has, where the person has not typed one."""
        wizard = self.wizard
        taken: list[str] = []
        while not wizard.name_typed:
            name = wizard.propose_name(taken)
            if not name or not await self._is_taken(name):
                break
            taken.append(name)
        if self.step is Step.REVIEW:
            self.view.entered()
            self._show()

    async def _is_taken(self, name: str) -> bool:
        found = await self._dashboard.attempt(lambda engine: engine.queries.connector(name))
        return found is not None and found.row.name == name

    def action_next(self) -> None:
        following = neighbour(self.step, 1)
        if following is None:
            return
        lacks = self._lack()
        if lacks:
            self.notify(lacks, severity="warning")
        else:
            self.go(Step.REVIEW if self.wizard.editing_saved else following)

    def _lack(self) -> str:
        """Why there is no going on from here yet."""
        wizard = self.wizard
        missing = {
            Step.SOURCE: wizard.source is None,
            Step.STREAMS: wizard.streams is not None and not wizard.streams.selected_count,
            Step.DESTINATION: wizard.destination is None,
        }
        return _LACKS[self.step] if missing.get(self.step) else ""

    def action_previous(self) -> None:
        before = neighbour(self.step, -1)
        if before is not None:
            self.go(before)

    async def action_back(self) -> None:
        """Close what is open in the step, then a step back; from the first (when changing a connector: the review), leave."""
        if self.view.go_back():
            self._show()
        elif isinstance(self.focused, Input) and not isinstance(self.view, (SourceStep, StreamsStep)):
            self.view.focus_first()
        elif self.wizard.editing_saved and self.step is not Step.REVIEW:
            self.go(Step.REVIEW)
        elif self.wizard.editing_saved or self.step is Step.SOURCE:
            self.action_leave()
        else:
            self.action_previous()

    @on(StepView.Ready)
    def _step_ready(self) -> None:
        self.action_next()

    @on(StepView.Wanted)
    def _step_wanted(self, event: StepView.Wanted) -> None:
        self.go(event.step)

    @on(StepStrip.Pressed)
    def _strip_pressed(self, event: StepStrip.Pressed) -> None:
        self.go(event.step)

    @on(StepView.Changed)
    def _step_changed(self) -> None:
        self._show()

    def _focus_moved(self) -> None:
        if self.is_mounted and self._views:
            self._show()

    # --- Picture

    def _show(self) -> None:
        """The title, the strip, what is wrong here, the keys."""
        if not self.is_mounted:
            return
        wizard, glyphs = self.wizard, self._dashboard.glyphs
        name = clip(clean(wizard.saved.name, limit=500), 40, glyphs.ellipsis)
        title = f"  Edit {name}" if wizard.editing_saved else "  New connector"
        states = {step: wizard.state_of(step) for step in STEPS}
        done = sum(state is StepState.DONE for state in states.values())
        self.query_one("#wizard-title", StatusLine).show(
            [
                (f"{title}  ", "bold $primary"),
                ("" if wizard.editing_saved else f"{done} of {len(STEPS) - 1} steps done", "dim"),
            ]
        )
        self.query_one(StepStrip).show_steps(self.step, states)
        self.query_one(Footer).set_keys(self._keys())

    def _keys(self) -> list[FooterKey]:
        ascii_only = self._dashboard.ascii
        last = self.step is Step.REVIEW
        keys = list(self.view.keys())
        if not last:
            word = "Review" if self.wizard.editing_saved else "Next"
            keys.append(FooterKey("next", "ctrl+n", word, enabled=not self._lack(), pinned=True))
        word = "Leave" if self.step is (Step.REVIEW if self.wizard.editing_saved else Step.SOURCE) else "Back"
        keys.append(FooterKey("back", key_label("escape", ascii=ascii_only), word, pinned=True))
        if self.wizard.editing_saved:
            keys.append(FooterKey("save", "ctrl+s", "Save", enabled=self.wizard.complete, pinned=True))
        return keys

    @on(KeyLine.Pressed)
    async def _key_pressed(self, event: KeyLine.Pressed) -> None:
        event.stop()
        target = self if hasattr(self, f"action_{event.action}") else self.view
        await self.app.run_action(event.action, target)

    def on_resize(self, event: events.Resize) -> None:
        self._show()

    # --- Finishing

    def action_save(self) -> None:
        """Save as it is, where it could run; else show what is missing."""
        if self.wizard.editing_saved or self.wizard.complete:
            self._finish(SAVE)
        else:
            self.go(Step.REVIEW)
            self.notify("Mend what is marked first, or press w to save it as a draft.", severity="warning")

    @on(ReviewStep.Finished)
    def _finished(self, event: ReviewStep.Finished) -> None:
        self._finish(event.how)

    def _finish(self, how: str) -> None:
        if not self._saving:
            self._saving = True
            self.run_worker(self._save(how), group="save", exit_on_error=False)

    async def _save(self, how: str) -> None:
        dashboard, wizard = self._dashboard, self.wizard
        if how == DRAFT and not wizard.name.strip():
            wizard.name = "Draft"
        draft = wizard.draft()
        try:
            saved = await dashboard.host.call(
                lambda engine: engine.operations.save_connector(dashboard.actor, draft, sync_now=how == SYNC)
            )
            if how == DRAFT and saved.incomplete_reason is None:  # nothing else would keep it from syncing
                await dashboard.host.call(
                    lambda engine: engine.operations.pause(dashboard.actor, [saved.id], "A draft: resume it to let it sync.")
                )
        except ConfigError as error:
            dashboard.notify_error(error)
        except SynctermError as error:
            dashboard.notify_error(error)
        else:
            self.synced = how == SYNC
            self.dismiss(saved)
        finally:
            self._saving = False

    def action_leave(self) -> None:
        self.run_worker(self._leave(), group="leave", exclusive=True, exit_on_error=False)

    async def _leave(self) -> None:
        wizard = self.wizard
        if not wizard.changed:
            self.dismiss(None)
            return
        glyphs = self._dashboard.glyphs
        if wizard.editing_saved:
            choices = [
                Choice("stay", "Go on", "g", "nothing is lost"),
                Choice(SAVE, "Save and leave", "s"),
                Choice("discard", "Leave without saving", "d", "the connector stays as it was"),
            ]
        else:
            choices = [
                Choice("stay", "Go on", "g", "nothing is lost"),
                Choice(DRAFT, "Save as draft", "s", "go on with it later"),
                Choice("discard", "Discard it", "d", "sources and destinations that were added stay"),
            ]
        picked = await self.app.push_screen_wait(Menu("Leave with changes?", choices, glyphs))
        if picked == "discard":
            self.dismiss(None)
        elif picked == DRAFT:
            await self._propose_name()
            self._finish(DRAFT)
        elif picked == SAVE:
            self._finish(SAVE)

    # --- What goes wrong behind the screen is said

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            event.stop()
            self._dashboard.report(event.worker.error)
