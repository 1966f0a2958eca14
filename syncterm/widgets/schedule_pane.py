"""When a connector is due, in three parts: its schedule, its blackout windows, and streams with schedules of their own.

`choice` is what a person has chosen, `problem` why it cannot be taken; `Edited` says that either changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from textwrap import wrap
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import ContentSwitcher, Input

from syncterm.editing.schedule_form import ScheduleChoice, Surroundings, find_streams, with_stream
from syncterm.engine.advice import Advice
from syncterm.engine.blackout import check_windows, describe_window
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import BlackoutWindow, Schedule
from syncterm.engine.schedule import describe
from syncterm.text import Glyphs, clean, clip, count, fit
from syncterm.widgets.clean_input import CleanInput
from syncterm.widgets.lines import Line, Lines
from syncterm.widgets.pick_list import PickList
from syncterm.widgets.schedule_dialogs import StreamScheduleDialog, WindowDialog
from syncterm.widgets.schedule_fields import ScheduleFields
from syncterm.widgets.tab_strip import TabStrip

TABS = (("schedule", "Schedule"), ("blackout", "Blackout windows"), ("streams", "Streams"))
CATCH_UP = {
    "once": "after downtime, what was missed runs once",
    "skip": "after downtime, what was missed is skipped",
}
SCHEDULE_CELLS = 30
ADVICE_LINES = 2


class SchedulePane(Vertical):
    """Edits a `ScheduleChoice`.

    Args:
        streams: the connector's streams, in their order.
        around: what fire times depend on, now, without blackout windows.
        advice: what its history advises.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "tab(-1)", "Previous part", show=False, id="schedule.previous", priority=True),
        Binding("right_square_bracket", "tab(1)", "Next part", show=False, id="schedule.next", priority=True),
        Binding("f3", "catch_up", "Catch up", show=False, id="schedule.catch_up", priority=True),
        Binding("f4", "take_advice", "Take the advice", show=False, id="schedule.advice", priority=True),
        Binding("a", "add", "Add", show=False, id="schedule.add"),
        Binding("D,delete,backspace", "remove", "Remove", show=False, id="schedule.remove"),
        Binding("slash", "search", "Search", show=False, id="schedule.search"),
    ]

    DEFAULT_CSS = """
    SchedulePane {
        height: 1fr;

        ContentSwitcher { height: 1fr; margin-top: 1; }
        ContentSwitcher > Vertical { height: 1fr; }
        #schedule-foot { height: auto; background: $surface; }
        #stream-search { margin-bottom: 1; }
        #stream-list, #window-list { height: 1fr; }
        #window-says { height: auto; background: $surface; margin-bottom: 1; }
    }
    """

    class Edited(Message):
        """What is chosen, or whether it can be taken, changed."""

    def __init__(
        self,
        choice: ScheduleChoice,
        streams: Sequence[str],
        around: Callable[[], Surroundings],
        glyphs: Glyphs,
        *,
        advice: Sequence[Advice] = (),
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self.choice = choice
        """What is chosen; its schedule is the last one that was valid."""
        self.problem = ""
        """Why the fields say no schedule; empty where they do."""
        self._streams = tuple(streams)
        self._found = list(self._streams)
        self._around_bare = around
        self._glyphs = glyphs
        self._advice = tuple(advice)

    def _around(self) -> Surroundings:
        return replace(self._around_bare(), blackout=self.choice.blackout)

    def compose(self) -> ComposeResult:
        self._strip = TabStrip(TABS, hint="[ ]", id="schedule-tabs")
        self._fields = ScheduleFields(self.choice.schedule, self._around, self._glyphs, id="schedule-fields")
        self._switcher = ContentSwitcher(initial="part-schedule")
        yield self._strip
        with self._switcher:
            with Vertical(id="part-schedule"):
                yield self._fields
                yield Lines(id="schedule-foot")
            with Vertical(id="part-blackout"):
                yield Lines((_WINDOWS_SAY,), id="window-says")
                yield PickList(self._window_line, len(self.choice.blackout), empty="None: a adds one.", id="window-list")
            with Vertical(id="part-streams"):
                yield CleanInput(compact=True, placeholder="/ search; enter sets a schedule, D clears it", id="stream-search")
                yield PickList(self._stream_line, len(self._found), empty="No stream.", id="stream-list")

    def on_mount(self) -> None:
        self._draw()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def focus_first(self) -> None:
        """Put the focus where a person begins."""
        self._fields.focus_first()

    # --- Parts

    @property
    def part(self) -> str:
        """The part in view: `schedule`, `blackout` or `streams`."""
        return self._strip.active

    def show_part(self, part: str) -> None:
        """Bring a part into view, with the focus in it."""
        self._strip.activate(part)
        self._switcher.current = f"part-{part}"
        if part == "schedule":
            self._fields.focus_first()
        else:
            self.query_one("#window-list" if part == "blackout" else "#stream-list", PickList).focus()
        self._draw()

    @on(TabStrip.Chosen)
    def _part_chosen(self, event: TabStrip.Chosen) -> None:
        event.stop()
        self.show_part(event.tab)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        typing = isinstance(self.screen.focused, Input)
        if action == "tab" and typing:
            return self.screen.focused is not None and self.screen.focused.id != "stream-search"
        if action == "add":
            return not typing and self.part == "blackout"
        if action == "remove":
            return not typing and self.part in ("blackout", "streams")
        if action == "search":
            return not typing and self.part == "streams"
        if action == "take_advice":
            return bool(self._advice)
        return True

    def action_tab(self, step: int) -> None:
        self.show_part(self._strip.neighbour(step))

    # --- The schedule

    @on(ScheduleFields.Edited, "#schedule-fields")
    def _schedule_edited(self, event: ScheduleFields.Edited) -> None:
        event.stop()
        try:
            schedule = self._fields.schedule
        except ConfigError as error:
            self.problem = error.message
        else:
            self.problem = ""
            if schedule is not None:
                self.choice = replace(self.choice, schedule=schedule)
        self._told()

    def action_catch_up(self) -> None:
        """Change what becomes of fire times that were missed."""
        self.choice = replace(self.choice, catch_up="skip" if self.choice.catch_up == "once" else "once")
        self._told()

    def action_take_advice(self) -> None:
        """Take what the history advises first."""
        advice = self._advice[0]
        if advice.schedule is not None:
            self._fields.take(advice.schedule)
            self.show_part("schedule")
        elif advice.blackout is not None and advice.blackout not in self.choice.blackout:
            self._take_windows((*self.choice.blackout, advice.blackout))
            self.show_part("blackout")

    # --- Blackout windows

    def _window_line(self, index: int, cells: int) -> Line:
        return ((f" {clip(clean(describe_window(self.choice.blackout[index])), cells - 2, self._glyphs.ellipsis)}", ""),)

    def action_add(self) -> None:
        self._edit_window(None)

    @on(PickList.Picked, "#window-list")
    def _window_picked(self, event: PickList.Picked) -> None:
        event.stop()
        self._edit_window(event.index)

    def _edit_window(self, index: int | None) -> None:
        present = self.choice.blackout[index] if index is not None else None
        others = tuple(window for number, window in enumerate(self.choice.blackout) if number != index)
        zone = present.timezone if present is not None else self._fields.form.timezone
        dialog = WindowDialog(present, others, zone, self._glyphs)

        def done(window: BlackoutWindow | None) -> None:
            if window is not None:
                at = len(others) if index is None else index
                self._take_windows((*others[:at], window, *others[at:]), at)

        self.app.push_screen(dialog, done)

    def _take_windows(self, windows: tuple[BlackoutWindow, ...], cursor: int | None = None) -> None:
        try:
            check_windows(windows)
        except ConfigError as error:
            self.notify(str(error), severity="warning")
            return
        self.choice = replace(self.choice, blackout=windows)
        self.query_one("#window-list", PickList).show_count(len(windows), cursor)
        self._fields.refresh_preview()
        self._told()

    def action_remove(self) -> None:
        """Remove a window; or let a stream go with its connector again."""
        if self.part == "blackout":
            index = self.query_one("#window-list", PickList).cursor
            self._take_windows(tuple(window for number, window in enumerate(self.choice.blackout) if number != index))
        elif self._found:
            self._take_stream(self._found[self.query_one("#stream-list", PickList).cursor], None)

    # --- Streams

    def _stream_line(self, index: int, cells: int) -> Line:
        name = self._found[index]
        own = self.choice.per_stream.get(name)
        room = max(8, cells - SCHEDULE_CELLS - 3)
        text = describe(own) if own is not None else "with its connector"
        shown = clip(clean(text), SCHEDULE_CELLS, self._glyphs.ellipsis)
        return (
            (f" {fit(clean(name, limit=500), room, ellipsis=self._glyphs.ellipsis)} ", ""),
            (fit(shown, SCHEDULE_CELLS), "bold" if own is not None else "dim"),
        )

    def action_search(self) -> None:
        self.query_one("#stream-search", Input).focus()

    @on(Input.Changed, "#stream-search")
    def _searched(self, event: Input.Changed) -> None:
        event.stop()
        self._found = find_streams(self._streams, event.value)
        self.query_one("#stream-list", PickList).show_count(len(self._found), 0)

    @on(Input.Submitted, "#stream-search")
    def _search_entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one("#stream-list", PickList).focus()

    @on(PickList.Picked, "#stream-list")
    def _stream_picked(self, event: PickList.Picked) -> None:
        event.stop()
        name = self._found[event.index]
        dialog = StreamScheduleDialog(name, self.choice.per_stream.get(name), self._around, self._glyphs)

        def done(taken: bool | None) -> None:
            if taken:
                self._take_stream(name, dialog.chosen)

        self.app.push_screen(dialog, done)

    def _take_stream(self, name: str, schedule: Schedule | None) -> None:
        self.choice = with_stream(self.choice, name, schedule)
        self.query_one("#stream-list", PickList).refresh()
        self._told()

    # --- Drawing

    def _told(self) -> None:
        self._draw()
        self.post_message(self.Edited())

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        own: Mapping[str, Schedule] = self.choice.own_schedules()
        self._strip.note("blackout", f"({len(self.choice.blackout)})" if self.choice.blackout else "")
        self._strip.note("streams", f"({count(len(own))} of {count(len(self._streams))})" if own else "")
        cells = max(20, self.size.width - 1)
        lines: list[Line] = [(("F3 ", "bold $primary"), (f"{CATCH_UP[self.choice.catch_up]}", ""))]
        if self._advice:
            first = self._advice[0]
            for number, text in enumerate(
                wrap(clean(f"{first.title}: {first.reason}", limit=600), max(20, cells - 3))[:ADVICE_LINES]
            ):
                lines.append((("   " if number else "F4 ", "bold $primary"), (text, "$text-accent")))
        self.query_one("#schedule-foot", Lines).show(lines)


_WINDOWS_SAY: Line = (
    ("Scheduled syncs wait for its end.  ", "dim"),
    ("a", "bold"),
    (" add  ", "dim"),
    ("enter", "bold"),
    (" edit  ", "dim"),
    ("D", "bold"),
    (" remove", "dim"),
)
