"""A connection test as it happens: the steps of each end with their times, then what was found, why, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic

from textual.content import Content
from textual.events import Click
from textual.widgets import Static

from syncterm.engine.model import CheckReport, CheckResult, CheckStep
from syncterm.text import Glyphs, clean, clip, duration, fit, width
from syncterm.widgets.lines import Line, Lines, wrapped

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
    CheckResult.AUTHENTICATION_FAILED: "Correct the credentials, then test again",
    CheckResult.TIMEOUT: "Check address, port and firewall, then test again",
    CheckResult.PERMISSION_DENIED: "Grant the missing right, then test again",
    CheckResult.FAILED: "Correct the set-up, then test again",
}
"""What to do next where the adapter names nothing more precise."""


def check_lines(
    ends: Sequence[EndProgress],
    phase: Phase,
    report: CheckReport | None,
    waited: float,
    cells: int,
    symbols: Glyphs,
    *,
    again: str = "r",
) -> tuple[Line, ...]:
    """The steps of the ends and, once it is over, the result with its cause and its remedy.

    Args:
        waited: seconds since the present end was begun.
        again: the key that tests again.
    """
    lines: list[Line] = []
    present = len(ends) - 1 if ends and ends[-1].steps else 0
    for index, end in enumerate(ends):
        lines.append(_end_line(end, cells, symbols))
        lines.extend(_step_line(step, cells, symbols) for step in end.steps)
        if phase is Phase.RUNNING and index == present:
            lines.append(((f"   {symbols.running} ", "$text-accent"), (f"working, {waited:.0f} s", "$text-accent")))
        elif report is not None and _ended_at(end, ends, report):
            if not end.steps or end.steps[-1].passed:
                lines.append(((f"   {symbols.cross} {'went no further' if end.steps else 'could not begin'}", "$text-error"),))
        elif not end.steps:
            word = "waits" if phase is Phase.RUNNING else "not tested"
            lines.append(((f"   {symbols.waiting} {word}", "dim"),))
        lines.append(())
    return (*lines, *_result_lines(phase, report, cells, symbols, again))


def _ended_at(end: EndProgress, ends: Sequence[EndProgress], report: CheckReport) -> bool:
    """Whether the test failed at that end; of two, the cause begins with its title."""
    if report.result is CheckResult.WORKING:
        return False
    return len(ends) == 1 or report.cause.startswith(end.title)


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


def _result_lines(phase: Phase, report: CheckReport | None, cells: int, symbols: Glyphs, again: str) -> tuple[Line, ...]:
    if phase is Phase.CANCELLED:
        return (((f" {symbols.disabled} The test was cancelled.", "dim bold"),),)
    if report is None:
        return ()
    working = report.result is CheckResult.WORKING
    tone = "$text-success" if working else "$text-error"
    lines: list[Line] = [((f" {symbols.check if working else symbols.cross} {report.result}", f"{tone} bold"),)]
    remedy = REMEDIES.get(report.result, "")
    for text, style in ((report.cause, ""), (report.remedy or (f"{remedy} ({again})." if remedy else ""), "dim")):
        if text:
            lines.extend(((f"   {line}", style),) for line in wrapped(text, cells - 4, REPORT_LINES, symbols.ellipsis))
    return tuple(lines)


class CheckSteps(Lines):
    """Shows one test; its owner says when it begins, what ends, and what was found. The time counts by itself."""

    DEFAULT_CSS = """
    CheckSteps { background: $surface; }
    """

    def __init__(
        self,
        ends: Sequence[EndProgress],
        glyphs: Glyphs,
        *,
        again: str = "r",
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self.ends = tuple(ends)
        self.phase = Phase.DONE
        self.report: CheckReport | None = None
        self._glyphs = glyphs
        self._again = again
        self._started = 0.0
        """When the present end was begun, in seconds of the monotonic clock."""

    def on_mount(self) -> None:
        self.set_interval(TICK, self._tick)

    def on_resize(self) -> None:
        self.draw()

    @property
    def running(self) -> bool:
        return self.phase is Phase.RUNNING

    @property
    def waited(self) -> float:
        """Seconds since the present end was begun."""
        return max(0.0, monotonic() - self._started)

    def begin(self) -> None:
        """Forget what was, and count from now."""
        self.phase, self.report = Phase.RUNNING, None
        self._started = monotonic()
        for end in self.ends:
            end.steps.clear()
        self.draw()

    def step_ended(self, end: EndProgress, step: CheckStep) -> None:
        """Show a step that ended; the clock of an end begins at its first."""
        if not end.steps:
            self._started = monotonic()
        end.steps.append(step)
        self.draw()

    def finish(self, report: CheckReport) -> None:
        """Show what was found."""
        self.report, self.phase = report, Phase.DONE
        self.draw()

    def cancel(self) -> None:
        """Say that nothing was found."""
        self.phase = Phase.CANCELLED
        self.draw()

    def _tick(self) -> None:
        if self.running:
            self.draw()

    def draw(self) -> None:
        """Show everything as it is now."""
        if self.is_mounted and self.size.width:
            self.show(
                check_lines(self.ends, self.phase, self.report, self.waited, self.size.width, self._glyphs, again=self._again)
            )


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
        super().__init__()
        self._key = key
        self._action = action
        self.say(title)

    def say(self, title: str) -> None:
        """Name what the key does."""
        self.update(Content.assemble((self._key, "bold $primary"), f" {title}"))

    async def on_click(self, event: Click) -> None:
        event.stop()
        await self.screen.run_action(self._action)
