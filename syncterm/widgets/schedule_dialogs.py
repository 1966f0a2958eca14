"""Two small dialogs of the schedule editor: a blackout window, and the schedule of one stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label

from syncterm.editing.schedule_form import Surroundings, find_zones, is_zone
from syncterm.engine.blackout import check_windows, describe_days, describe_window, parse_window
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import BlackoutWindow, Schedule
from syncterm.text import Glyphs, clean, clip
from syncterm.widgets.clean_input import CleanInput
from syncterm.widgets.lines import Line, Lines
from syncterm.widgets.schedule_fields import ScheduleFields

_BOX = """
    {name} {{
        align: center middle;

        & > Vertical {{
            width: {width};
            max-width: 96%;
            height: {height};
            max-height: 96%;
            background: $surface;
            border: round $primary;
            border-title-style: bold;
            border-title-color: $primary;
            border-subtitle-color: $text-muted;
            padding: 0 1;
        }}
        .-row {{ height: 1; }}
        .-row Label {{ width: 8; }}
        .-row Input {{ width: 1fr; }}
        #window-preview {{ height: 3; margin-top: 1; background: $surface; }}
    }}
"""


class WindowDialog(ModalScreen[BlackoutWindow | None]):
    """Asks for one blackout window; None where a person thought better of it.

    Args:
        others: the connector's other windows, together with which it must leave time.
    """

    BINDING_GROUP_TITLE = "Blackout window"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="window.cancel"),
        Binding("ctrl+s,f2", "take", "Take it", id="window.take", priority=True),
        Binding("up", "app.focus_previous", "Previous", show=False, id="window.previous"),
        Binding("down", "app.focus_next", "Next", show=False, id="window.next"),
    ]
    DEFAULT_CSS = _BOX.format(name="WindowDialog", width=62, height="auto")

    def __init__(self, window: BlackoutWindow | None, others: Sequence[BlackoutWindow], zone: str, glyphs: Glyphs) -> None:
        super().__init__()
        self._window = window
        self._others = tuple(others)
        self._zone = zone
        self._glyphs = glyphs

    def compose(self) -> ComposeResult:
        window = self._window
        values = (
            ("days", "Days", describe_days(window.days) if window is not None else "every day", "every day, Mon-Fri, Sun"),
            ("start", "From", f"{window.start:%H:%M}" if window is not None else "22:00", "22:00"),
            ("end", "To", f"{window.end:%H:%M}" if window is not None else "06:00", "06:00, 24:00 for midnight"),
            ("zone", "Zone", self._zone, "Europe/Berlin"),
        )
        with Vertical():
            for name, title, value, placeholder in values:
                with Horizontal(classes="-row"):
                    yield Label(title)
                    yield CleanInput(value, compact=True, id=f"window-{name}", placeholder=placeholder)
            yield Lines(id="window-preview")

    def on_mount(self) -> None:
        box = self.query_one(Vertical)
        box.border_title = Content("Blackout window")
        box.border_subtitle = Content("enter takes it, esc does not")
        self._read()

    def _read(self) -> tuple[BlackoutWindow | None, str]:
        texts = [self.query_one(f"#window-{name}", Input).value for name in ("days", "start", "end", "zone")]
        lines: list[Line]
        window: BlackoutWindow | None
        problem = ""
        try:
            window = parse_window(texts[0], texts[1], texts[2], texts[3].strip())
            check_windows((*self._others, window))
            lines = [((f"{self._glyphs.check} ", "$text-success"), (clean(describe_window(window)), ""))]
        except ConfigError as error:
            window, problem = None, str(error)
            ellipsis = self._glyphs.ellipsis
            lines = [
                ((f"{self._glyphs.cross} ", "$text-error"), (clip(clean(error.message), 54, ellipsis), "$text-error")),
                ((f"  {clip(clean(error.remedy), 54, ellipsis)}", "dim"),),
            ]
            zones = find_zones(texts[3], 3) if not is_zone(texts[3].strip()) else []
            if zones:
                lines[1:] = [(("  enter ", "bold"), (", ".join(zones), "dim"))]
        self.query_one("#window-preview", Lines).show(lines)
        return window, problem

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._read()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        found = find_zones(event.value, 1) if event.input.id == "window-zone" and not is_zone(event.value.strip()) else []
        if found:
            event.input.value = found[0]
            event.input.cursor_position = len(found[0])
        else:
            self.action_take()

    def action_take(self) -> None:
        window, problem = self._read()
        if window is None:
            self.notify(problem, severity="warning")
        else:
            self.dismiss(window)

    def action_cancel(self) -> None:
        self.dismiss(None)


class StreamScheduleDialog(ModalScreen[bool | None]):
    """Asks for the schedule of one stream; `chosen` is it once the result is True."""

    BINDING_GROUP_TITLE = "Stream's schedule"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="stream_schedule.cancel"),
        Binding("ctrl+s,f2", "take", "Take it", id="stream_schedule.take", priority=True),
    ]
    DEFAULT_CSS = _BOX.format(name="StreamScheduleDialog", width=82, height=19)

    def __init__(self, name: str, schedule: Schedule | None, around: Callable[[], Surroundings], glyphs: Glyphs) -> None:
        super().__init__()
        self.chosen = schedule
        self._name = name
        self._around = around
        self._glyphs = glyphs

    def compose(self) -> ComposeResult:
        with Vertical():
            yield ScheduleFields(self.chosen, lambda: replace(self._around(), of_stream=True), self._glyphs, of_stream=True)

    def on_mount(self) -> None:
        box = self.query_one(Vertical)
        box.border_title = Content(clip(f"Schedule of stream {clean(self._name, limit=500)}", 60, self._glyphs.ellipsis))
        box.border_subtitle = Content("F2 takes it, esc does not")
        self.query_one(ScheduleFields).focus_first()

    def action_take(self) -> None:
        try:
            self.chosen = self.query_one(ScheduleFields).schedule
        except ConfigError as error:
            self.notify(str(error), severity="warning")
            return
        self.dismiss(True)

    def action_cancel(self) -> None:
        self.dismiss(None)
