"""The fields of one schedule: an interval, a cron expression in a zone, or by hand; what they mean is shown as one types."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Label

from syncterm.editing.schedule_form import (
    CRON,
    KINDS,
    OTHER_INTERVAL,
    WITH_CONNECTOR,
    Preview,
    ScheduleForm,
    Surroundings,
    find_zones,
    is_zone,
    preview,
)
from syncterm.engine.model import Schedule
from syncterm.text import Glyphs, clean
from syncterm.widgets.clean_input import CleanInput
from syncterm.widgets.lines import Line, Lines
from syncterm.widgets.pick_list import PickList
from syncterm.widgets.schedule_preview import preview_lines


class ScheduleInput(CleanInput):
    """A field in which no bracket is ever typed: [ and ] go through the parts of the editor here, too."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        return character not in ("[", "]") and super().check_consume_key(key, character)


class ScheduleFields(Horizontal):
    """Choose a schedule.

    Args:
        schedule: what they say at first; None: with its connector.
        around: what fire times depend on, now.
        of_stream: whether `WITH_CONNECTOR` is one of the choices.
    """

    DEFAULT_CSS = """
    ScheduleFields {
        height: 1fr;

        #schedule-kinds { width: 22; height: auto; max-height: 100%; margin-right: 1; }
        #schedule-right { width: 1fr; height: 1fr; }
        .-row { height: 1; margin-bottom: 1; }
        .-row Label { width: 9; }
        .-row Input { width: 1fr; }
        .-hidden { display: none; }
        #schedule-preview { height: auto; background: $surface; }
        #schedule-zones { height: auto; background: $surface; }
    }
    """

    class Edited(Message):
        """A field changed."""

        def __init__(self, fields: ScheduleFields) -> None:
            super().__init__()
            self.fields = fields

        @property
        def control(self) -> ScheduleFields:
            return self.fields

    def __init__(
        self,
        schedule: Schedule | None,
        around: Callable[[], Surroundings],
        glyphs: Glyphs,
        *,
        of_stream: bool = False,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self.form = ScheduleForm.of(schedule)
        """What is in the fields."""
        self.shown: Preview | None = None
        """What is shown of it; None while that is found out."""
        self._kinds = ((WITH_CONNECTOR,) if of_stream else ()) + KINDS
        self._around = around
        self._glyphs = glyphs

    def compose(self) -> ComposeResult:
        yield PickList(self._kind_line, len(self._kinds), id="schedule-kinds")
        with Vertical(id="schedule-right"):
            with Horizontal(classes="-row", id="every-row"):
                yield Label("Every")
                yield ScheduleInput(self.form.every, compact=True, id="schedule-every", placeholder="30s, 15m, 2h, 7d")
            with Horizontal(classes="-row", id="cron-row"):
                yield Label("Cron")
                yield ScheduleInput(self.form.expression, compact=True, id="schedule-cron", placeholder="0 6 * * 1-5")
            with Horizontal(classes="-row", id="zone-row"):
                yield Label("Zone")
                yield ScheduleInput(self.form.timezone, compact=True, id="schedule-zone", placeholder="Europe/Berlin")
            yield Lines(id="schedule-zones")
            yield Lines(id="schedule-preview")

    def on_mount(self) -> None:
        self.query_one("#schedule-kinds", PickList).show_count(len(self._kinds), self._kinds.index(self.form.kind))
        self._show_rows()
        self.refresh_preview()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    @property
    def schedule(self) -> Schedule | None:
        """What the fields say; None: with its connector.

        Raises:
            ConfigError: why they say no schedule.
        """
        return self.form.schedule()

    def take(self, schedule: Schedule | None) -> None:
        """Put a schedule into the fields."""
        self.form = ScheduleForm.of(schedule)
        for name, value in (("every", self.form.every), ("cron", self.form.expression), ("zone", self.form.timezone)):
            self.query_one(f"#schedule-{name}", Input).value = value
        self.query_one("#schedule-kinds", PickList).show_count(len(self._kinds), self._kinds.index(self.form.kind))
        self._changed()

    def focus_first(self) -> None:
        """Put the focus where a person begins."""
        self.query_one("#schedule-kinds", PickList).focus()

    # --- Fields

    def _kind_line(self, index: int, cells: int) -> Line:
        kind = self._kinds[index]
        chosen = kind == self.form.kind
        sign = self._glyphs.check if chosen else " "
        return ((f" {sign} ", "$text-success"), (kind, "bold" if chosen else ""))

    @on(PickList.Moved, "#schedule-kinds")
    def _kind_moved(self, event: PickList.Moved) -> None:
        event.stop()
        kind = self._kinds[event.index]
        if kind != self.form.kind:
            self.form = replace(self.form, kind=kind)
            self._changed()

    @on(PickList.Picked, "#schedule-kinds")
    def _kind_picked(self, event: PickList.Picked) -> None:
        self._kind_moved(event)
        wanted = {OTHER_INTERVAL: "#schedule-every", CRON: "#schedule-cron"}.get(self.form.kind)
        if wanted is not None:
            self.query_one(wanted, Input).focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        name = {"schedule-every": "every", "schedule-cron": "expression", "schedule-zone": "timezone"}.get(event.input.id or "")
        if name is not None and getattr(self.form, name) != event.value:
            self.form = replace(self.form, **{name: event.value.strip() if name == "timezone" else event.value})
            self._changed()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input.id == "schedule-zone":
            found = find_zones(event.value, 1)
            if found and not is_zone(event.value):
                event.input.value = found[0]
                event.input.cursor_position = len(found[0])
        elif event.input.id == "schedule-cron":
            self.query_one("#schedule-zone", Input).focus()

    def _changed(self) -> None:
        self._show_rows()
        self.query_one("#schedule-kinds", PickList).refresh()
        self.refresh_preview()
        self.post_message(self.Edited(self))

    def _show_rows(self) -> None:
        for row, kinds in (("every-row", (OTHER_INTERVAL,)), ("cron-row", (CRON,)), ("zone-row", (CRON,))):
            self.query_one(f"#{row}").set_class(self.form.kind not in kinds, "-hidden")
        zones: list[str] = []
        if self.form.kind == CRON and not is_zone(self.form.timezone):
            zones = find_zones(self.form.timezone)
        lines: list[Line] = [((f"{'enter' if not number else '':<9}", "bold"), (name, "")) for number, name in enumerate(zones)]
        self.query_one("#schedule-zones", Lines).show((*lines, ()) if lines else ())

    # --- What they mean

    @work(exclusive=True, group="preview", exit_on_error=False)
    async def refresh_preview(self) -> None:
        """Find out what the fields mean: off the loop, for the rarest of expressions take their time."""
        form, around = self.form, self._around()
        found = await asyncio.to_thread(preview, form, around)
        if form == self.form:
            self.shown = found
            self._draw()

    def _draw(self) -> None:
        if self.shown is None or not self.is_mounted:
            return
        lines = self.query_one("#schedule-preview", Lines)
        cells = lines.size.width or self.size.width - 23
        lines.show(preview_lines(self.shown, self.form, self._around(), max(20, cells), self._glyphs))
        lines.tooltip = Content(clean(self.shown.clock_change or self.shown.words, limit=600)) or None
