"""What the steps of the wizard share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar, cast

from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from syncterm.editing.connector_wizard import ConnectorWizard, Step
from syncterm.text import Glyphs
from syncterm.widgets.footer import FooterKey

if TYPE_CHECKING:
    from syncterm.engine.engine import Engine
    from syncterm.screens.dashboard import Dashboard

T = TypeVar("T")


class StepView(Vertical):
    """One step: shown while it is the present one, kept while another is."""

    DEFAULT_CSS = """
    StepView {
        height: 1fr;
        padding: 0 2;
    }
    """

    STEP: Step

    class Changed(Message):
        """Something was chosen: the strip, the keys and the problems may differ."""

    class Ready(Message):
        """The step is done; the person goes on."""

    class Wanted(Message):
        """The person asks for another step."""

        def __init__(self, step: Step) -> None:
            super().__init__()
            self.step = step

    def __init__(self, wizard: ConnectorWizard) -> None:
        super().__init__(id=f"step-{self.STEP}")
        self.wizard = wizard

    @property
    def dashboard(self) -> Dashboard:
        return cast("Dashboard", self.app)

    @property
    def glyphs(self) -> Glyphs:
        return self.dashboard.glyphs

    async def attempt(self, function: Callable[[Engine], Awaitable[T]]) -> T | None:
        """Call the engine; a failure is said, and None returned."""
        return await self.dashboard.attempt(function)

    def entered(self) -> None:
        """It becomes the present step."""

    def focus_first(self) -> None:
        """Put the focus where a person begins."""
        raise NotImplementedError

    def keys(self) -> tuple[FooterKey, ...]:
        """Keys of this step for the foot; the screen adds its own."""
        return ()

    def go_back(self) -> bool:
        """What esc does within the step, a search cleared for example; False where there is nothing to close."""
        return False

    def typing(self) -> bool:
        """Whether the focus is where letters are typed."""
        from textual.widgets import Input

        focused: Widget | None = self.screen.focused
        return isinstance(focused, Input)
