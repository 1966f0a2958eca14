"""The schedule editor by keyboard: every kind of schedule, reasons as one types, blackout windows, streams, leaving, saving."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input

from syncterm.editing.schedule_form import ScheduleChoice, Surroundings
from syncterm.engine.advice import Advice, AdviceKind
from syncterm.engine.blackout import parse_window
from syncterm.engine.model import MANUAL_SCHEDULE, Schedule, ScheduleKind
from syncterm.screens.schedule_editor import ScheduleEditor
from syncterm.text import glyphs
from syncterm.widgets.confirm import Confirm
from syncterm.widgets.lines import Lines, plain
from syncterm.widgets.schedule_dialogs import StreamScheduleDialog, WindowDialog
from syncterm.widgets.schedule_fields import ScheduleFields
from tests.screens.conftest import until

NOW = datetime(2026, 3, 24, 12, 30, tzinfo=UTC)
"""A Tuesday; on Sunday the clocks of Europe go forward."""
HOURLY = Schedule(ScheduleKind.INTERVAL, every=timedelta(hours=1))
NIGHT = parse_window("every day", "22:00", "06:00", "UTC")
ADVICE = Advice(
    AdviceKind.MOSTLY_EMPTY,
    "Every 6 hours",
    "14 of 60 syncs moved anything; every 6 hours would have delivered the same rows at most 5 h later.",
    schedule=Schedule(ScheduleKind.INTERVAL, every=timedelta(hours=6)),
)


class EditorApp(App[None]):
    """Nothing but the editor."""

    def __init__(self, editor: ScheduleEditor) -> None:
        super().__init__()
        self.editor = editor
        self.answers: list[ScheduleChoice | None] = []

    def on_mount(self) -> None:
        self.animation_level = "none"
        self.push_screen(self.editor, self.answers.append)


@dataclass
class Opened:
    """An editor that a person works with."""

    pilot: Pilot[None]
    app: EditorApp
    answers: list[ScheduleChoice | None] = field(default_factory=list)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def write(self, selector: str, text: str) -> None:
        """Type a text into a field in place of what it holds."""
        found = self.app.screen.query_one(selector, Input)
        found.focus()
        found.value = ""
        await self.press(*text)

    async def says(self, text: str) -> None:
        """Wait until the preview says something."""
        await until(self.pilot, lambda: text in self.preview, f"{text!r} in {self.preview!r}")

    @property
    def preview(self) -> str:
        lines = self.app.screen.query_one("#schedule-preview", Lines).lines
        return "\n".join(map(plain, lines))

    async def kind(self, title: str) -> None:
        """Choose a line of the kinds by keys."""
        fields = self.app.screen.query_one(ScheduleFields)
        fields.focus_first()
        await self.press("home")
        while fields.form.kind != title:
            before = fields.form.kind
            await self.press("down")
            assert fields.form.kind != before, f"there is no {title!r}"


@asynccontextmanager
async def opened(
    choice: ScheduleChoice,
    streams: Sequence[str] = ("devices", "events", "software"),
    *,
    size: tuple[int, int] = (80, 24),
    advice: Sequence[Advice] = (),
    anchor: datetime | None = None,
) -> AsyncIterator[Opened]:
    def around() -> Surroundings:
        return Surroundings(NOW, UTC, present=choice.schedule, anchor=anchor, identity="c1")

    app = EditorApp(ScheduleEditor(choice, streams, around, glyphs(False), name="orders", advice=advice))
    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.pause()
        await until(pilot, lambda: app.editor.pane._fields.shown is not None, "the preview is there")
        yield Opened(pilot, app, app.answers)


@pytest.mark.parametrize(
    ("title", "every"),
    [
        ("Every minute", timedelta(minutes=1)),
        ("Every 5 minutes", timedelta(minutes=5)),
        ("Every 15 minutes", timedelta(minutes=15)),
        ("Every 6 hours", timedelta(hours=6)),
        ("Every day", timedelta(hours=24)),
    ],
)
async def test_each_interval_is_a_few_keys_away(title: str, every: timedelta) -> None:
    async with opened(ScheduleChoice(HOURLY)) as editor:
        await editor.kind(title)
        await editor.says(title)
        await editor.press("f2")
        assert editor.answers == [ScheduleChoice(Schedule(ScheduleKind.INTERVAL, every=every))]


async def test_another_interval_is_typed_and_refused_with_the_reason() -> None:
    async with opened(ScheduleChoice(HOURLY)) as editor:
        await editor.kind("Another interval")
        await editor.press("enter")
        await editor.write("#schedule-every", "90")
        await editor.says("The interval '90' has no unit.")
        await editor.press("f2")
        assert editor.answers == []
        await editor.write("#schedule-every", "90m")
        await editor.says("Every 90 minutes")
        await editor.says("14:0")
        await editor.press("ctrl+s")
        assert editor.answers == [ScheduleChoice(Schedule(ScheduleKind.INTERVAL, every=timedelta(minutes=90)))]


async def test_a_cron_expression_says_what_it_means_when_it_fires_and_why_it_is_refused() -> None:
    async with opened(ScheduleChoice(HOURLY)) as editor:
        await editor.kind("Cron expression")
        await editor.press("enter")
        await editor.write("#schedule-cron", "30 2 * *")
        await editor.says("has 4 fields")
        await editor.press("space", "asterisk")
        await editor.says("At 02:30 every day")
        await editor.press("enter")
        await editor.write("#schedule-zone", "berl")
        await editor.says("'berl' is not a time zone.")
        assert plain(editor.app.screen.query_one("#schedule-zones", Lines).lines[0]).split() == ["enter", "Europe/Berlin"]
        await editor.press("enter")
        await editor.says("Wed 25 Mar 02:30 Europe/Berlin  01:30 UTC")
        await editor.says("Sun 29 Mar 03:00 Europe/Berlin  01:00 UTC")
        await editor.says("The clock of Europe/Berlin goes from")
        await editor.press("f2")
        expected = Schedule(ScheduleKind.CRON, expression="30 2 * * *", timezone="Europe/Berlin")
        assert editor.answers == [ScheduleChoice(expected)]


async def test_the_saved_schedule_counts_from_its_anchor_and_a_changed_one_from_now() -> None:
    async with opened(ScheduleChoice(HOURLY), anchor=datetime(2026, 3, 1, 0, 10, tzinfo=UTC)) as editor:
        await editor.says("Tue 24 Mar 13:10 UTC")
        await editor.kind("Every 6 hours")
        await editor.says("Tue 24 Mar 18:3")
        await editor.kind("Every hour")
        await editor.says("Tue 24 Mar 13:10 UTC")


async def test_the_parts_are_a_key_away_also_from_within_a_field() -> None:
    async with opened(ScheduleChoice(HOURLY)) as editor:
        await editor.kind("Cron expression")
        await editor.press("enter", "right_square_bracket")
        assert editor.app.editor.pane.part == "blackout"
        await editor.press("left_square_bracket", "left_square_bracket", "slash", "right_square_bracket")
        assert editor.app.editor.pane.part == "streams", "a search may look for a bracket"
        assert editor.app.screen.query_one("#stream-search", Input).value == "]"


async def test_what_comes_after_downtime_is_one_key_away() -> None:
    async with opened(ScheduleChoice(HOURLY)) as editor:
        await editor.press("f3", "f2")
        assert editor.answers == [ScheduleChoice(HOURLY, catch_up="skip")]


async def test_the_advice_is_shown_with_its_figures_and_taken_by_a_key() -> None:
    async with opened(ScheduleChoice(HOURLY), advice=[ADVICE]) as editor:
        foot = "\n".join(map(plain, editor.app.screen.query_one("#schedule-foot", Lines).lines))
        assert "F4 Every 6 hours: 14 of 60 syncs moved anything" in foot
        assert foot.endswith("at most 5 h later.")
        await editor.press("f4")
        await editor.says("Every 6 hours")
        await editor.press("f2")
        assert editor.answers == [ScheduleChoice(ADVICE.schedule or MANUAL_SCHEDULE)]


async def test_blackout_windows_are_added_changed_and_removed() -> None:
    async with opened(ScheduleChoice(HOURLY)) as editor:
        await editor.press("right_square_bracket", "a")
        assert isinstance(editor.app.screen, WindowDialog)
        await editor.write("#window-days", "mon-fri")
        await editor.write("#window-start", "25")
        await editor.press("enter")
        assert isinstance(editor.app.screen, WindowDialog), "what is no time is not taken"
        await editor.write("#window-start", "12:00")
        await editor.write("#window-end", "18:00")
        await editor.write("#window-zone", "new york")
        await editor.press("enter")
        assert editor.app.screen.query_one("#window-zone", Input).value == "America/New_York"
        await editor.press("enter")
        window = parse_window("mon-fri", "12:00", "18:00", "America/New_York")
        assert editor.app.editor.pane.choice.blackout == (window,)
        await editor.press("a", "f2")
        assert len(editor.app.editor.pane.choice.blackout) == 2
        await editor.press("home", "enter")
        await editor.write("#window-end", "19:00")
        await editor.press("f2")
        changed = parse_window("mon-fri", "12:00", "19:00", "America/New_York")
        assert editor.app.editor.pane.choice.blackout[0] == changed
        await editor.press("end", "D")
        await editor.press("f2")
        assert editor.answers == [ScheduleChoice(HOURLY, blackout=(changed,))]


async def test_windows_that_leave_no_time_are_refused() -> None:
    async with opened(ScheduleChoice(HOURLY, blackout=(NIGHT,))) as editor:
        await editor.press("right_square_bracket", "a")
        await editor.write("#window-start", "06:00")
        await editor.write("#window-end", "22:00")
        await editor.press("f2")
        assert isinstance(editor.app.screen, WindowDialog)
        assert "leave no time" in plain(editor.app.screen.query_one("#window-preview", Lines).lines[0])


async def test_fire_times_inside_a_blackout_say_that_they_are_held() -> None:
    every_two_hours = Schedule(ScheduleKind.CRON, expression="0 */2 * * *")
    async with opened(ScheduleChoice(every_two_hours, blackout=(NIGHT,))) as editor:
        await editor.says("Wed 25 Mar 06:00 UTC  due 22:00, held")


async def test_a_stream_gets_a_schedule_of_its_own_and_loses_it() -> None:
    async with opened(ScheduleChoice(HOURLY)) as editor:
        await editor.press("left_square_bracket", "slash", *"soft", "enter", "enter")
        assert isinstance(editor.app.screen, StreamScheduleDialog)
        await editor.kind("Every day")
        await editor.press("f2")
        daily = Schedule(ScheduleKind.INTERVAL, every=timedelta(hours=24))
        assert editor.app.editor.pane.choice.own_schedules() == {"software": daily}
        await editor.press("D")
        assert editor.app.editor.pane.choice.own_schedules() == {}
        await editor.press("escape")
        assert editor.answers == [None], "nothing differs: nothing is asked"


async def test_thousands_of_streams_are_searched_and_only_those_in_view_are_made() -> None:
    names = [f"stream_{number:05}" for number in range(5000)]
    async with opened(ScheduleChoice(HOURLY, per_stream={"stream_04999": MANUAL_SCHEDULE}), names) as editor:
        await editor.press("left_square_bracket", "end")
        await editor.press("enter")
        assert isinstance(editor.app.screen, StreamScheduleDialog)
        assert editor.app.screen.query_one(ScheduleFields).form.kind == "Manual"
        await editor.press("escape", "slash", *"00_nothing")
        assert editor.app.editor.pane._found == []
        await editor.press("escape")
        assert len(editor.app.editor.pane._found) == 5000, "esc clears the search first"


async def test_leaving_with_changes_asks_and_without_does_not() -> None:
    async with opened(ScheduleChoice(HOURLY)) as editor:
        await editor.press("f3", "escape")
        assert isinstance(editor.app.screen, Confirm)
        await editor.press("n", "f3", "escape")
        assert editor.answers == [None], "changed there and back: nothing is lost"


async def test_a_field_with_nonsense_counts_as_a_change() -> None:
    async with opened(ScheduleChoice(HOURLY)) as editor:
        await editor.kind("Another interval")
        await editor.press("enter")
        await editor.write("#schedule-every", "x")
        await editor.press("escape")
        assert isinstance(editor.app.screen, Confirm)
        await editor.press("y")
        assert editor.answers == [None]


async def test_hostile_names_are_shown_as_text() -> None:
    names = ["[red]x[/red]", "a\x1b[31mb", "\u202eevil", "n" * 500]
    async with opened(ScheduleChoice(HOURLY), names) as editor:
        await editor.press("left_square_bracket", "enter")
        assert isinstance(editor.app.screen, StreamScheduleDialog)
        await editor.press("escape", "down", "enter", "escape", "end", "enter")
        assert isinstance(editor.app.screen, StreamScheduleDialog)
