"""The step that says when: the usual intervals at once, and everything else in the schedule editor."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from syncterm.editing.connector_wizard import Step
from syncterm.engine.blackout import describe_window, starts
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import MANUAL_SCHEDULE, Schedule, ScheduleKind
from syncterm.engine.schedule import INTERVALS, describe
from syncterm.screens.wizard.step import StepView
from syncterm.text import Glyphs, clean, count
from syncterm.widgets.footer import FooterKey
from syncterm.widgets.lines import Line, Lines
from syncterm.widgets.row_view import RowView

FIRES = 3
"""Next fire times that are shown."""

USUAL = (*(Schedule(ScheduleKind.INTERVAL, every=every) for every in INTERVALS), MANUAL_SCHEDULE)
"""What can be chosen with one key."""


class ScheduleList(RowView):
    """The usual schedules; the last row opens the editor."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "choose", "Choose", show=False, id="schedules.choose")]

    def __init__(self, symbols: Glyphs) -> None:
        super().__init__(id="schedules")
        self._glyphs = symbols
        self.present = MANUAL_SCHEDULE
        """The schedule that is set."""

    def show(self, present: Schedule) -> None:
        """Mark the one that is set, and put the cursor on it."""
        self.present = present
        self.cursor = USUAL.index(present) if present in USUAL else len(USUAL)
        self.rows_changed(everything=True)

    @property
    def at_cursor(self) -> Schedule | None:
        """The schedule under the cursor; None on the row that opens the editor."""
        return USUAL[self.cursor] if self.cursor < len(USUAL) else None

    def row_count(self) -> int:
        return len(USUAL) + 1

    def row_line(self, index: int, cells: int) -> Line:
        if index == len(USUAL):
            other = self.present not in USUAL
            tick = self._glyphs.check if other else " "
            text = clean(describe(self.present)) if other else f"At set times (CRON) {self._glyphs.ellipsis}"
            return ((f"  {tick} ", "bold $text-success"), (text, "bold" if other else ""))
        schedule = USUAL[index]
        chosen = schedule == self.present
        text = "Manual only: when somebody asks" if schedule == MANUAL_SCHEDULE else describe(schedule)
        return ((f"  {self._glyphs.check if chosen else ' '} ", "bold $text-success"), (text, "bold" if chosen else ""))


class ScheduleStep(StepView):
    """When the connector syncs by itself."""

    STEP = Step.SCHEDULE
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("C", "edit_schedule", "Schedule editor", show=False, id="wizard.edit_schedule"),
    ]

    DEFAULT_CSS = """
    ScheduleStep {
        .-guide { height: 1; color: $text-muted; margin-bottom: 1; }
        ScheduleList { height: 8; }
        #schedule-facts { height: auto; max-height: 8; background: $surface; margin-top: 1; }
    }
    """

    def compose(self) -> ComposeResult:
        yield Static(Content("How often does it sync by itself?"), classes="-guide")
        yield ScheduleList(self.glyphs)
        yield Lines(id="schedule-facts")

    @property
    def schedules(self) -> ScheduleList:
        return self.query_one(ScheduleList)

    def entered(self) -> None:
        self._show()

    def focus_first(self) -> None:
        self.schedules.focus()

    def keys(self) -> tuple[FooterKey, ...]:
        return (FooterKey("choose", "enter", "Choose"), FooterKey("edit_schedule", "C", "CRON, blackout, per stream"))

    def action_choose(self) -> None:
        self.schedules.action_choose()

    @on(ScheduleList.Chosen)
    def _chosen(self) -> None:
        schedule = self.schedules.at_cursor
        if schedule is None:
            self.action_edit_schedule()
            return
        self.wizard.choose_schedule(schedule)
        self._show()
        self.post_message(self.Ready())

    def action_edit_schedule(self) -> None:
        self.run_worker(self._edit(), group="schedule", exclusive=True, exit_on_error=False)

    async def _edit(self) -> None:
        from syncterm.screens.schedule_editor import edit_draft_schedule

        choice = await edit_draft_schedule(self.dashboard, self.wizard.draft())
        if choice is not None:
            self.wizard.choose_schedule(
                choice.schedule, catch_up=choice.catch_up, blackout=choice.blackout, per_stream=choice.per_stream
            )
            self._show()

    def _show(self) -> None:
        self.schedules.show(self.wizard.schedule)
        self.query_one("#schedule-facts", Lines).show(self.facts(self.dashboard.now()))
        self.post_message(self.Changed())

    def facts(self, now: datetime) -> list[Line]:
        """When the first syncs are, what holds them back, and which streams have a schedule of their own."""
        wizard, lines = self.wizard, list[Line]()
        if wizard.schedule.kind is ScheduleKind.INTERVAL and wizard.schedule.every is not None:
            lines.append((("Each connector has a minute of its own, so that not all start at once.", "dim"),))
        elif wizard.schedule.kind is ScheduleKind.CRON:
            try:
                following = starts(wizard.schedule, now, FIRES, wizard.blackout, anchor=now, offset=timedelta())
            except ConfigError as error:
                lines.append(((f"{self.glyphs.failed} {clean(str(error))}", "$text-error"),))
            else:
                times = ", ".join(f"{start.at:%a %Y-%m-%d %H:%M}" for start in following)
                lines.append((("Next: ", "dim"), (f"{times} UTC" if times else "never", "")))
        if wizard.blackout:
            windows = "; ".join(clean(describe_window(window)) for window in wizard.blackout)
            lines.append((("Nothing starts ", "dim"), (windows, "")))
        if own := len(wizard.stream_schedules):
            lines.append(((f"{count(own)} {'stream has' if own == 1 else 'streams have'} a schedule of their own.", "dim"),))
        if wizard.catch_up == "skip":
            lines.append((("What was missed while no engine ran is skipped.", "dim"),))
        return lines
