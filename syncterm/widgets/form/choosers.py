"""Fields whose values are chosen: one of some, several of some, or yes and no. Each is one line high."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from syncterm.editing.setup_form import Option
from syncterm.text import Glyphs, clean, clip, width


class Chooser(Static):
    """What they share: one focusable line that says what is chosen."""

    DEFAULT_CSS = """
    Chooser {
        height: 1;
        padding: 0 1;
        background: $panel;
        text-wrap: nowrap;
        text-overflow: ellipsis;

        &:focus { background: $primary 18%; }
        &:hover { background: $primary 12%; }
    }
    .-mono Chooser:focus { text-style: reverse; }
    """

    ALLOW_SELECT = False
    can_focus = True

    class Chosen(Message):
        """Another value was chosen."""

        def __init__(self, chooser: Chooser) -> None:
            super().__init__()
            self.chooser = chooser

        @property
        def control(self) -> Chooser:
            return self.chooser

    class Opened(Chosen):
        """A person wants to see all the choices."""

    def __init__(self, glyphs: Glyphs, value: Any, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._glyphs = glyphs
        self.value = value

    def on_mount(self) -> None:
        self.draw()

    def on_resize(self) -> None:
        self.draw()

    def choose(self, value: Any) -> None:
        """Choose a value, and say so where it is another one."""
        if value != self.value:
            self.value = value
            self.draw()
            self.post_message(self.Chosen(self))

    def draw(self) -> None:
        """Show what is chosen."""
        self.update(self.line(max(1, self.size.width - 2)))

    def line(self, cells: int) -> Content:
        """What is shown in so many cells."""
        raise NotImplementedError


class SwitchBox(Chooser):
    """Yes or no: space or enter changes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,enter", "change", "Change", show=False, id="form.toggle"),
        Binding("left,n", "no", "No", show=False, id="form.no"),
        Binding("right,y", "yes", "Yes", show=False, id="form.yes"),
    ]

    def line(self, cells: int) -> Content:
        sign = self._glyphs.check if self.value else self._glyphs.unchecked
        return Content.assemble((f"{sign} ", "bold $success" if self.value else "dim"), "yes" if self.value else "no")

    def action_change(self) -> None:
        self.choose(not self.value)

    def action_yes(self) -> None:
        self.choose(True)

    def action_no(self) -> None:
        self.choose(False)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.action_change()


class ChoiceBox(Chooser):
    """One of some: enter or space shows them all, left and right go through them, a letter goes to the next that begins with it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "open", "Choices", show=False, id="form.open"),
        Binding("left", "step(-1)", "Previous", show=False, id="form.previous_choice"),
        Binding("right", "step(1)", "Next", show=False, id="form.next_choice"),
    ]

    def __init__(
        self,
        glyphs: Glyphs,
        value: Any,
        options: Sequence[Option],
        *,
        empty: str = "",
        id: str | None = None,  # noqa: A002
    ) -> None:
        """Prepare the line.

        Args:
            empty: what is said where nothing is chosen.
        """
        super().__init__(glyphs, value, id=id)
        self.options = tuple(options)
        self._empty = empty

    def line(self, cells: int) -> Content:
        sign = self._glyphs.down
        option = next((option for option in self.options if option.value == self.value), None)
        if option is not None:
            title, detail = clean(option.title, limit=200), clean(option.detail, limit=200)
        else:
            title, detail = (
                (clean(self.value, limit=200), "not one of the choices") if self.value is not None else ("", self._empty)
            )
        room = max(1, cells - 2)
        title = clip(title, room, self._glyphs.ellipsis)
        detail = clip(f"{'  ' if title else ''}{detail}", max(0, room - width(title)), self._glyphs.ellipsis) if detail else ""
        space = " " * max(1, cells - width(title) - width(detail) - 1)
        return Content.assemble(title, (detail, "dim"), space, (sign, "$primary"))

    def action_open(self) -> None:
        self.post_message(self.Opened(self))

    def action_step(self, step: int) -> None:
        values = [option.value for option in self.options]
        if values:
            index = values.index(self.value) + step if self.value in values else (0 if step > 0 else len(values) - 1)
            self.choose(values[max(0, min(index, len(values) - 1))])

    def on_key(self, event: events.Key) -> None:
        if event.character is None or not event.character.isalnum():
            return
        event.stop()
        values = [option.value for option in self.options]
        begin = values.index(self.value) + 1 if self.value in values else 0
        for option in (*self.options[begin:], *self.options[:begin]):
            if option.title.casefold().startswith(event.character.casefold()):
                self.choose(option.value)
                return

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.focus()
        self.action_open()


class SeveralBox(ChoiceBox):
    """Several of some: enter or space shows them all."""

    def line(self, cells: int) -> Content:
        titles = [clean(option.title, limit=100) for option in self.options if option.value in self.value]
        text = clip(", ".join(titles) or "none", max(1, cells - 2), self._glyphs.ellipsis)
        space = " " * max(1, cells - width(text) - 1)
        return Content.assemble((text, "" if titles else "dim"), space, (self._glyphs.down, "$primary"))

    def action_step(self, step: int) -> None:
        """Nothing: there is no one value to step from."""

    def on_key(self, event: events.Key) -> None:
        """Letters choose nothing here."""
