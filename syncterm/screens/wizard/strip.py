"""The steps of the wizard in one line: done, present, to come; a click goes to one."""

from __future__ import annotations

from collections.abc import Mapping

from textual import events
from textual.message import Message

from syncterm.editing.connector_wizard import STEPS, TITLES, Step, StepState
from syncterm.screens.wizard.review_list import step_sign
from syncterm.text import Glyphs, width
from syncterm.widgets.status_line import MARGIN, Piece, StatusLine


class StepStrip(StatusLine):
    """The steps, each with its sign."""

    DEFAULT_CSS = """
    StepStrip { background: $panel; color: $foreground; }
    """

    class Pressed(Message):
        """A step was clicked."""

        def __init__(self, step: Step) -> None:
            super().__init__()
            self.step = step

    def __init__(self, symbols: Glyphs) -> None:
        super().__init__(id="wizard-steps")
        self._glyphs = symbols
        self._spans: list[tuple[int, int, Step]] = []
        self._state: tuple[Step, Mapping[Step, StepState]] | None = None

    def show_steps(self, present: Step, states: Mapping[Step, StepState]) -> None:
        """Show how far each step is."""
        self._state = (present, states)
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        self._draw()

    def _draw(self) -> None:
        if self._state is None or self.size.width <= 0:
            return
        present, states = self._state
        pieces: list[Piece] = [(" " * (MARGIN - 1), "")]
        column, self._spans = MARGIN - 1, []
        gap = "   " if self.size.width >= 100 else " "
        for number, step in enumerate(STEPS, start=1):
            sign, style = step_sign(states[step], self._glyphs)
            if states[step] is StepState.TO_COME:
                sign = str(number)
            label = f" {sign} {TITLES[step]} "
            self._spans.append((column, column + width(label), step))
            if step is present:
                pieces.append((label, "bold $primary reverse"))
            else:
                pieces += [(f" {sign}", style), (f" {TITLES[step]} ", "dim" if states[step] is StepState.TO_COME else "")]
            column += width(label)
            if step is not STEPS[-1]:
                pieces.append((f"{gap}{self._glyphs.crumb}{gap}", "dim"))
                column += 2 * len(gap) + 1
        self.show(pieces)

    def on_click(self, event: events.Click) -> None:
        for start, end, step in self._spans:
            if start <= event.x < end:
                event.stop()
                self.post_message(self.Pressed(step))
                return
