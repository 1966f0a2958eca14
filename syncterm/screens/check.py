"""The connection test in a dialog, step by step as it happens: of both ends of a connector, or of one source or destination."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen

from syncterm.engine.errors import ConfigError, SynctermError
from syncterm.engine.model import Actor, CheckReport, CheckResult, CheckStep, EndpointKind
from syncterm.screens.connector_summary import type_title
from syncterm.text import Glyphs, clean, clip, countdown
from syncterm.widgets.check_steps import TICK, CheckSteps, EndProgress, KeyLabel, Phase

if TYPE_CHECKING:
    from syncterm.engine.engine import Engine
    from syncterm.engine.host import EngineHost
    from syncterm.screens.dashboard import Dashboard

Told = Callable[[str, CheckStep], None]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is tested."""

    ends: tuple[str, ...]
    """`source`, `destination`: the ends, in the order in which they are tested."""
    describe: Callable[[Engine], Awaitable[tuple[str, tuple[tuple[str | None, str], ...]] | None]]
    """Its name, and type and name of each end."""
    test: Callable[[Engine, Told], Awaitable[CheckReport]]


def of_connector(actor: Actor, connector_id: str) -> Subject:
    """Both ends of a connector."""

    async def describe(engine: Engine) -> tuple[str, tuple[tuple[str | None, str], ...]] | None:
        detail = await engine.queries.connector(connector_id)
        if detail is None:
            return None
        row = detail.row
        return row.name, ((row.source_type, row.source_name or ""), (row.destination_type, row.destination_name or ""))

    async def test(engine: Engine, told: Told) -> CheckReport:
        return await engine.operations.test_connection(actor, connector_id, lambda end, step: told(str(end), step))

    return Subject(("source", "destination"), describe, test)


def of_endpoint(actor: Actor, kind: EndpointKind, endpoint_id: str) -> Subject:
    """One source or destination, as it is stored."""

    async def describe(engine: Engine) -> tuple[str, tuple[tuple[str | None, str], ...]] | None:
        draft = await engine.queries.endpoint_draft(kind, endpoint_id)
        return (draft.name, ((draft.type, draft.name),)) if draft is not None else None

    async def test(engine: Engine, told: Told) -> CheckReport:
        draft = await engine.queries.endpoint_draft(kind, endpoint_id)
        if draft is None:
            raise ConfigError(f"The {kind} does not exist any more.", remedy="It was deleted meanwhile.")
        return await engine.operations.test_endpoint(actor, draft, lambda step: told(str(kind), step))

    return Subject((str(kind),), describe, test)


class CheckScreen(ModalScreen[CheckReport | None]):
    """Tests and shows it; esc cancels a test that runs, and closes the screen once it is over.

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

    def __init__(self, host: EngineHost, actor: Actor, connector_id: str, *, subject: Subject | None = None) -> None:
        """Test a connector, or the subject where one is given."""
        super().__init__()
        self._host = host
        self._subject = subject or of_connector(actor, connector_id)
        self._ends = {end: EndProgress(end.capitalize()) for end in self._subject.ends}
        self._number = 0
        self._deadline = 0.0
        """Seconds after which an end is given up."""

    @classmethod
    def of_endpoint(cls, host: EngineHost, actor: Actor, kind: EndpointKind, endpoint_id: str) -> CheckScreen:
        """The test of one source or destination."""
        return cls(host, actor, "", subject=of_endpoint(actor, kind, endpoint_id))

    @property
    def _glyphs(self) -> Glyphs:
        return cast("Dashboard", self.app).glyphs

    @property
    def steps(self) -> CheckSteps:
        return self.query_one(CheckSteps)

    @property
    def phase(self) -> Phase:
        return self.steps.phase

    def compose(self) -> ComposeResult:
        with Vertical():
            yield CheckSteps(tuple(self._ends.values()), self._glyphs, id="steps")
            with Horizontal():
                yield KeyLabel("esc", "Cancel", "cancel_or_close")
                again = KeyLabel("r", "Test again", "again")
                again.id = "again"
                yield again

    def on_mount(self) -> None:
        from syncterm.engine.connection_test import DEADLINE

        self._deadline = DEADLINE
        self.query_one(Vertical).border_title = Content("Test connection")
        self.set_interval(TICK, self._say)
        self._begin()

    # --- The test

    def _begin(self) -> None:
        self._number += 1
        self.steps.begin()
        self._say()
        self._test(self._number)

    @work(group="test", exclusive=True, exit_on_error=False)
    async def _test(self, number: int) -> None:
        def told(end: str, step: CheckStep) -> None:
            self.post_message(self.StepEnded(number, end, step))

        try:
            await self._name_ends()
            report = await self._host.call(lambda engine: self._subject.test(engine, told))
        except SynctermError as error:
            report = CheckReport(CheckResult.FAILED, error.message, error.remedy, ())
        if number == self._number and self.steps.running:
            self._show_missed(report)
            self.steps.finish(report)
            self._say()

    def _show_missed(self, report: CheckReport) -> None:
        """Show steps of a lone end whose messages have not arrived yet: the report tells them all."""
        if len(self.steps.ends) == 1 and report.steps:
            self.steps.ends[0].steps[:] = report.steps

    async def _name_ends(self) -> None:
        found = await self._host.call(self._subject.describe)
        if found is None:
            return
        name, ends = found
        for (end, progress), (type_, end_name) in zip(self._ends.items(), ends, strict=True):
            progress.system, progress.name = type_title(end, type_), end_name
        title = f"Test connection: {clean(name, limit=500)}"
        self.query_one(Vertical).border_title = Content(clip(title, 80, self._glyphs.ellipsis))
        self.steps.draw()

    def on_check_screen_step_ended(self, event: StepEnded) -> None:
        if event.number == self._number and self.steps.running:
            self.steps.step_ended(self._ends[event.end], event.step)

    # --- Drawing

    def _say(self) -> None:
        """What the box says around the steps."""
        running = self.steps.running
        subtitle = f"gives up in {countdown(self._deadline - self.steps.waited)}" if running else ""
        box = self.query_one(Vertical)
        if str(box.border_subtitle or "") != subtitle:
            box.border_subtitle = Content(subtitle)
        if self.has_class("-over") == running:
            self.set_class(not running, "-over")
            self.query(KeyLabel).first().say("Cancel" if running else "Close")

    # --- Actions

    def action_cancel_or_close(self) -> None:
        if self.steps.running:
            self.steps.cancel()
            self.workers.cancel_group(self, "test")
            self._say()
        else:
            self.dismiss(self.steps.report)

    def action_close(self) -> None:
        if not self.steps.running:
            self.dismiss(self.steps.report)

    def action_again(self) -> None:
        if not self.steps.running:
            self._begin()

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:
            self.action_cancel_or_close()
