"""The schedule editor: when a connector is due, what follows downtime, when it must rest, which streams go their own way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from syncterm.editing.schedule_form import ScheduleChoice, Surroundings
from syncterm.engine.advice import Advice
from syncterm.text import Glyphs, clean, clip
from syncterm.widgets.check_steps import KeyLabel
from syncterm.widgets.confirm import Confirm
from syncterm.widgets.schedule_pane import SchedulePane

if TYPE_CHECKING:
    from syncterm.engine.drafts import ConnectorDraft
    from syncterm.engine.queries import ConnectorDetail
    from syncterm.screens.dashboard import Dashboard

__all__ = ["ScheduleChoice", "ScheduleEditor", "edit_draft_schedule", "edit_schedule"]


class ScheduleEditor(ModalScreen[ScheduleChoice | None]):
    """Edits a `ScheduleChoice`; None where nothing is to change.

    Args:
        streams: the connector's streams, in their order.
        around: what fire times depend on, now.
        name: the connector's.
        advice: what its history advises, the most important first.
    """

    BINDING_GROUP_TITLE = "Schedule"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,f2", "save", "Save", id="schedule.save", priority=True),
        Binding("escape", "leave", "Leave", id="schedule.leave"),
    ]

    DEFAULT_CSS = """
    ScheduleEditor {
        align: center middle;

        #schedule-box {
            width: 96;
            max-width: 100%;
            height: 28;
            max-height: 100%;
            background: $surface;
            border: round $primary;
            border-title-style: bold;
            border-title-color: $primary;
            padding: 0 1;
        }
        #schedule-keys { height: 1; }
    }
    """

    def __init__(
        self,
        choice: ScheduleChoice,
        streams: Sequence[str],
        around: Callable[[], Surroundings],
        glyphs: Glyphs,
        *,
        name: str = "",
        advice: Sequence[Advice] = (),
    ) -> None:
        super().__init__()
        self._before = choice
        self._title = f"Schedule of {clean(name, limit=500)}" if name else "Schedule"
        self._glyphs = glyphs
        self.pane = SchedulePane(choice, streams, around, glyphs, advice=advice)

    def compose(self) -> ComposeResult:
        with Vertical(id="schedule-box"):
            yield self.pane
            with Horizontal(id="schedule-keys"):
                yield KeyLabel("F2", "Save", "save")
                yield KeyLabel("[ ]", "Next part", "next_part")
                yield KeyLabel("tab", "Next field", "app.focus_next")
                yield KeyLabel("esc", "Leave", "leave")

    def on_mount(self) -> None:
        self.query_one("#schedule-box").border_title = Content(clip(self._title, 70, self._glyphs.ellipsis))
        self.pane.focus_first()

    @property
    def changed(self) -> bool:
        """Whether anything was changed, be it into nonsense."""
        return bool(self.pane.problem) or self.pane.choice.differs(self._before)

    @on(SchedulePane.Edited)
    def _edited(self) -> None:
        box = self.query_one("#schedule-box")
        box.border_subtitle = Content("changed" if self.changed else "")

    def action_next_part(self) -> None:
        self.pane.action_tab(1)

    def action_save(self) -> None:
        """Take what is chosen, or say why it cannot be."""
        if self.pane.problem:
            self.pane.show_part("schedule")
            self.notify(self.pane.problem, title="Not saved", severity="warning")
        else:
            self.dismiss(self.pane.choice if self.changed else None)

    def action_leave(self) -> None:
        """Go, after asking where something would be lost; out of the search of streams first."""
        focused = self.focused
        if isinstance(focused, Input) and focused.id == "stream-search" and focused.value:
            focused.value = ""
            return
        if not self.changed:
            self.dismiss(None)
            return
        question = Confirm(
            "Discard",
            title="Discard the changes?",
            consequences=["The schedule stays as it was."],
            ascii=self._glyphs.arrow.isascii(),
        )

        def answered(yes: bool | None) -> None:
            if yes:
                self.dismiss(None)

        self.app.push_screen(question, answered)


def surroundings(dashboard: Dashboard, detail: ConnectorDetail | None) -> Surroundings:
    """What the fire times of a connector depend on now; None: of a new one."""
    if detail is None:
        return Surroundings(dashboard.now())
    return Surroundings(
        dashboard.now(),
        present=detail.schedule,
        anchor=detail.anchor_at,
        offset=detail.offset,
        identity=detail.row.id,
        blackout=detail.blackout,
    )


async def edit_draft_schedule(dashboard: Dashboard, draft: ConnectorDraft) -> ScheduleChoice | None:
    """Let a person change when a connector that is being set up or changed is due; None where nothing is to change."""
    detail: ConnectorDetail | None = None
    advice: Sequence[Advice] = ()
    if draft.id is not None:
        connector_id = draft.id
        detail = await dashboard.attempt(lambda engine: engine.queries.connector(connector_id))
        advice = await dashboard.attempt(lambda engine: engine.queries.schedule_advice(connector_id)) or ()
    own = {stream.name: stream.schedule for stream in draft.streams if stream.schedule is not None}
    editor = ScheduleEditor(
        ScheduleChoice(draft.schedule, draft.catch_up, draft.blackout, own),
        [stream.name for stream in draft.streams],
        lambda: surroundings(dashboard, detail),
        dashboard.glyphs,
        name=draft.name,
        advice=advice,
    )
    return await dashboard.push_screen_wait(editor)


async def edit_schedule(dashboard: Dashboard, connector_id: str) -> None:
    """Let a person change when a connector is due, and save it."""
    draft = await dashboard.attempt(lambda engine: engine.queries.connector_draft(connector_id))
    if draft is None:
        dashboard.notify("It does not exist any more.", title="Edit schedule", severity="warning")
        return
    chosen = await edit_draft_schedule(dashboard, draft)
    if chosen is None:
        return
    wanted = chosen.own_schedules()
    changed = replace(
        draft,
        schedule=chosen.schedule,
        catch_up=chosen.catch_up,
        blackout=chosen.blackout,
        streams=tuple(replace(stream, schedule=wanted.get(stream.name)) for stream in draft.streams),
    )
    saved = await dashboard.attempt(lambda engine: engine.operations.save_connector(dashboard.actor, changed))
    if saved is not None:
        dashboard.notify(saved.message, title=f"Schedule of {clean(saved.name)}")
