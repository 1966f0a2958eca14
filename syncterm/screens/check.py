"""The connection test of a connector, step by step as it happens, for both ends; then what was found, why, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from syncterm.engine.errors import SynctermError
from syncterm.engine.model import Actor, CheckReport, CheckResult, CheckStep
from syncterm.screens.connector_summary import type_title, wrapped
from syncterm.text import Glyphs, clean, clip, countdown, duration, fit, width
from syncterm.widgets.lines import Line, Lines

if TYPE_CHECKING:
    from syncterm.engine.engine import Engine
    from syncterm.engine.host import EngineHost
    from syncterm.screens.dashboard import Dashboard

TICK = 1.0
"""Seconds between two looks at the time that is left."""
DURATION_CELLS = 8
TITLE_CELLS = 24
REPORT_LINES = 6


class Phase(StrEnum):
    """Where a test is."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass(slots=True)
class EndProgress:
    """One end of the connector and the steps that have ended."""

    title: str
    """Source or Destination."""
    system: str = ""
    name: str = ""
    steps: list[CheckStep] = field(default_factory=list)


REMEDIES: Mapping[CheckResult, str] = {
    CheckResult.AUTHENTICATION_FAILED: "Correct the credentials, then test again (r).",
    CheckResult.TIMEOUT: "Check address, port and firewall, then test again (r).",
    CheckResult.PERMISSION_DENIED: "Grant the missing right, then test again (r).",
    CheckResult.FAILED: "Correct the set-up, then test again (r).",
}
"""What to do next where the adapter names nothing more precise."""


def check_lines(
    ends: Sequence[EndProgress], phase: Phase, report: CheckReport | None, waited: float, cells: int, symbols: Glyphs
) -> tuple[Line, ...]:
    """The steps of both ends and, once it is over, the result with its cause and its remedy."""
    lines: list[Line] = []
    present = len(ends) - 1 if ends and ends[-1].steps else 0
    for index, end in enumerate(ends):
        lines.append(_end_line(end, cells, symbols))
        lines.extend(_step_line(step, cells, symbols) for step in end.steps)
        if phase is Phase.RUNNING and index == present:
            lines.append(((f"   {symbols.running} ", "$text-accent"), (f"working, {waited:.0f} s", "$text-accent")))
        elif report is not None and report.cause.startswith(end.title):
            if not end.steps or end.steps[-1].passed:
                lines.append(((f"   {symbols.cross} {'went no further' if end.steps else 'could not begin'}", "$text-error"),))
        elif not end.steps:
            word = "waits" if phase is Phase.RUNNING else "not tested"
            lines.append(((f"   {symbols.waiting} {word}", "dim"),))
        lines.append(())
    return (*lines, *_result_lines(phase, report, cells, symbols))


def _end_line(end: EndProgress, cells: int, symbols: Glyphs) -> Line:
    name = fit(clean(end.name, limit=500), max(1, cells - 13 - width(clean(end.system)) - 2), ellipsis=symbols.ellipsis)
    return ((f" {fit(end.title, 12)}", "bold"), (f"{clean(end.system)}  ", "dim"), (name.rstrip(), "$primary bold"))


def _step_line(step: CheckStep, cells: int, symbols: Glyphs) -> Line:
    glyph, style = (symbols.check, "$text-success") if step.passed else (symbols.cross, "$text-error")
    room = max(1, cells - 5 - TITLE_CELLS - DURATION_CELLS - 2)
    return (
        (f"   {glyph} ", style),
        (fit(clean(step.title), TITLE_CELLS, ellipsis=symbols.ellipsis), "" if step.passed else style),
        (fit(duration(step.seconds), DURATION_CELLS, "right"), "dim"),
        (f"  {clip(clean(step.detail, limit=500), room, symbols.ellipsis)}", "dim"),
    )


def _result_lines(phase: Phase, report: CheckReport | None, cells: int, symbols: Glyphs) -> tuple[Line, ...]:
    if phase is Phase.CANCELLED:
        return (((f" {symbols.disabled} The test was cancelled.", "dim bold"),),)
    if report is None:
        return ()
    working = report.result is CheckResult.WORKING
    tone = "$text-success" if working else "$text-error"
    lines: list[Line] = [((f" {symbols.check if working else symbols.cross} {report.result}", f"{tone} bold"),)]
    for text, style in ((report.cause, ""), (report.remedy or REMEDIES.get(report.result, ""), "dim")):
        if text:
            lines.extend(((f"   {line}", style),) for line in wrapped(text, cells - 4, REPORT_LINES, symbols.ellipsis))
    return tuple(lines)


class KeyLabel(Static):
    """A key and what it does; a click does it."""

    DEFAULT_CSS = """
    KeyLabel {
        width: auto;
        height: 1;
        padding: 0 1;
        margin-right: 1;
        background: $panel;
        &:hover { background: $primary 30%; }
    }
    """

    def __init__(self, key: str, title: str, action: str) -> None:
        super().__init__(Content.assemble((key, "bold $primary"), f" {title}"))
        self._action = action

    async def on_click(self, event: events.Click) -> None:
        event.stop()
        await self.screen.run_action(self._action)


class CheckScreen(ModalScreen[CheckReport | None]):
    """Tests both ends and shows it; esc cancels a test that runs, and closes the screen once it is over.

    The result is the last report, None where no test came to its end.
    """

    BINDING_GROUP_TITLE = "Connection test"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "cancel_or_close", "Cancel or close", id="check.close"),
        Binding("q", "cancel_or_close", "Close", show=False, id="check.quit"),
        Binding("enter", "close", "Close when done", show=False, id="check.accept"),
        Binding("r,c", "again", "Test again", id="check.again"),
    ]

    DEFAULT_CSS = """
    CheckScreen {
        align: center middle;
    }
    CheckScreen > Vertical {
        width: 92%;
        max-width: 96;
        height: auto;
        max-height: 96%;
        background: $surface;
        border: round $primary;
        border-title-style: bold;
        border-title-color: $primary;
        border-subtitle-color: $text-muted;
        padding: 1 1 0 1;
    }
    CheckScreen Horizontal {
        height: auto;
        margin: 1 0 0 1;
    }
    CheckScreen Lines { background: $surface; }
    CheckScreen #again { display: none; }
    CheckScreen.-over #again { display: block; }
    """

    class StepEnded(Message):
        """A step of the test has ended; posted from the engine's thread."""

        def __init__(self, number: int, end: str, step: CheckStep) -> None:
            super().__init__()
            self.number = number
            """Which run of the test it belongs to."""
            self.end = end
            self.step = step

    def __init__(self, host: EngineHost, actor: Actor, connector_id: str) -> None:
        super().__init__()
        self._host = host
        self._actor = actor
        self._connector_id = connector_id
        self._ends = {"source": EndProgress("Source"), "destination": EndProgress("Destination")}
        self._phase = Phase.RUNNING
        self._report: CheckReport | None = None
        self._number = 0
        self._started = 0.0
        """When the present end was begun, in seconds of the monotonic clock."""
        self._deadline = 0.0
        """Seconds after which an end is given up."""

    @property
    def _glyphs(self) -> Glyphs:
        return cast("Dashboard", self.app).glyphs

    @property
    def phase(self) -> Phase:
        return self._phase

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Lines(id="steps")
            with Horizontal():
                yield KeyLabel("esc", "Cancel", "cancel_or_close")
                again = KeyLabel("r", "Test again", "again")
                again.id = "again"
                yield again

    def on_mount(self) -> None:
        from syncterm.engine.connection_test import DEADLINE

        self._deadline = DEADLINE
        self.query_one(Vertical).border_title = Content("Test connection")
        self.set_interval(TICK, self._draw)
        self._begin()

    def on_resize(self) -> None:
        self._draw()

    # --- The test

    def _begin(self) -> None:
        self._number += 1
        self._phase, self._report = Phase.RUNNING, None
        self._started = monotonic()
        for end in self._ends.values():
            end.steps.clear()
        self._draw()
        self._test(self._number)

    @work(group="test", exclusive=True, exit_on_error=False)
    async def _test(self, number: int) -> None:
        def step_ended(end: str, step: CheckStep) -> None:
            self.post_message(self.StepEnded(number, str(end), step))

        async def test(engine: Engine) -> CheckReport:
            return await engine.operations.test_connection(self._actor, self._connector_id, step_ended)

        try:
            await self._name_ends()
            report = await self._host.call(test)
        except SynctermError as error:
            report = CheckReport(CheckResult.FAILED, error.message, error.remedy, ())
        if number == self._number and self._phase is Phase.RUNNING:
            self._report, self._phase = report, Phase.DONE
            self._draw()

    async def _name_ends(self) -> None:
        detail = await self._host.call(lambda engine: engine.queries.connector(self._connector_id))
        if detail is None:
            return
        row = detail.row
        source, destination = self._ends["source"], self._ends["destination"]
        source.system, source.name = type_title("source", row.source_type), row.source_name or ""
        destination.system, destination.name = type_title("destination", row.destination_type), row.destination_name or ""
        title = f"Test connection: {clean(row.name, limit=500)}"
        self.query_one(Vertical).border_title = Content(clip(title, 80, self._glyphs.ellipsis))
        self._draw()

    def on_check_screen_step_ended(self, event: StepEnded) -> None:
        if event.number != self._number or self._phase is not Phase.RUNNING:
            return
        end = self._ends[event.end]
        if not end.steps:
            self._started = monotonic()
        end.steps.append(event.step)
        self._draw()

    # --- Drawing

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        lines = self.query_one("#steps", Lines)
        waited = max(0.0, monotonic() - self._started)
        running = self._phase is Phase.RUNNING
        cells = lines.size.width or min(92, self.app.size.width * 92 // 100 - 4)
        lines.show(check_lines(tuple(self._ends.values()), self._phase, self._report, waited, cells, self._glyphs))
        subtitle = f"gives up in {countdown(self._deadline - waited)}" if running else ""
        box = self.query_one(Vertical)
        if str(box.border_subtitle or "") != subtitle:
            box.border_subtitle = Content(subtitle)
        if self.has_class("-over") == running:
            self.set_class(not running, "-over")
            closing = self.query(KeyLabel).first()
            closing.update(Content.assemble(("esc", "bold $primary"), " Cancel" if running else " Close"))

    # --- Actions

    def action_cancel_or_close(self) -> None:
        if self._phase is Phase.RUNNING:
            self._phase = Phase.CANCELLED
            self.workers.cancel_group(self, "test")
            self._draw()
        else:
            self.dismiss(self._report)

    def action_close(self) -> None:
        if self._phase is not Phase.RUNNING:
            self.dismiss(self._report)

    def action_again(self) -> None:
        if self._phase is not Phase.RUNNING:
            self._begin()

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:
            self.action_cancel_or_close()
