"""The question before anything that cannot be undone: what, how many, which, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from syncterm.text import clean, clip, exact, glyphs, width
from syncterm.widgets.clean_input import CleanInput

NAMES_SHOWN = 8
"""Names listed before "… and N more"."""

TYPING_FROM = 10
"""From so many rows on, a key is not enough: the phrase has to be typed."""

INNER_WIDTH = 68
"""Cells between the borders of the dialog on a terminal of 80 columns or more."""

MARGIN = 6
"""Cells of border and padding on both sides."""

NAME_WIDTH = 30
"""Cells for a name; the id follows it, so that names that look alike can be told apart."""


@dataclass(frozen=True, slots=True)
class Target:
    """A thing the action applies to, captured when the question is asked."""

    id: str
    name: str


def listed(targets: Sequence[Target], breadth: int = INNER_WIDTH, *, ellipsis: str = "…", bullet: str = "•") -> list[str]:
    """The lines that name the targets: at most `NAMES_SHOWN`, then how many more; cleaned, each at most `breadth` cells.

    The id stands beside every name that differs from it. A name alone cannot be trusted to tell things apart: Cyrillic letters,
    names given twice, a real escape character and its escaped look.
    """
    lines = []
    room = min(NAME_WIDTH, max(4, breadth // 2 - 2))
    for target in targets[:NAMES_SHOWN]:
        line = f"{bullet} {clip(exact(target.name) or '(no name)', room, ellipsis)}"
        if target.id != target.name:
            line += "  " + clip(exact(target.id), breadth - width(line) - 2, ellipsis)
        lines.append(line)
    if len(targets) > NAMES_SHOWN:
        lines.append(f"{ellipsis} and {len(targets) - NAMES_SHOWN:,} more")
    return lines


class Confirm(ModalScreen[bool]):
    """Asks; True for yes, False for no. Push it with ``push_screen_wait(Confirm("Delete", targets, noun="connector", …))``.

    The focus is on Cancel, `y` confirms, `n` and escape do not. From `TYPING_FROM` targets on, or with `must_type`, the focus is in
    a field instead, where the phrase (``delete 12``) has to be typed. The caller acts on `targets`, which never change meanwhile.
    """

    BINDING_GROUP_TITLE = "Confirmation"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", id="confirm.yes"),
        Binding("n,escape", "answer(False)", "Cancel", id="confirm.no"),
        Binding("left,up", "app.focus_previous", "Previous", show=False, id="confirm.previous"),
        Binding("right,down", "app.focus_next", "Next", show=False, id="confirm.next"),
    ]

    DEFAULT_CSS = """
    Confirm {
        align: center middle;

        #confirm-dialog {
            width: 74;
            max-width: 100%;
            height: auto;
            max-height: 100%;
            padding: 1 2;
            background: $surface;
            border: round $primary;
        }
        &.-dangerous #confirm-dialog { border: round $error; }
        #confirm-title { text-style: bold; width: 1fr; }
        #confirm-body { height: auto; margin: 1 0; }
        #confirm-names { width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
        #confirm-consequences { width: 1fr; margin-top: 1; }
        #confirm-ask { width: 1fr; }
        #confirm-typed { margin-bottom: 1; }
        #confirm-buttons { height: auto; align-horizontal: right; }
        #confirm-buttons Button { margin-left: 2; }
    }
    """

    def __init__(
        self,
        verb: str,
        targets: Sequence[Target] = (),
        *,
        noun: str = "connector",
        plural: str = "",
        title: str = "",
        consequences: Sequence[str] = (),
        dangerous: bool = True,
        must_type: bool = False,
        ascii: bool = False,  # noqa: A002
    ) -> None:
        """Prepare the question.

        Args:
            verb: What is done, capitalised: "Delete". It names the button, and with noun and count the title.
            targets: What it is done to.
            noun: What one target is; `plural` where adding an s is wrong.
            title: A title of its own, for questions without targets.
            consequences: One sentence a line: what stops, what stays.
            dangerous: Draw it as a warning.
            must_type: Ask for the phrase whatever the count.
            ascii: Draw with plain ASCII.
        """
        super().__init__(classes="-dangerous" if dangerous else "")
        self.targets = tuple(targets)
        """What the answer is about."""
        count = len(self.targets)
        self._verb = clean(verb)
        self._title = clean(title) or f"{self._verb} {count:,} {noun if count == 1 else plural or noun + 's'}?"
        self._consequences = [clean(line) for line in consequences]
        self.phrase = f"{self._verb.lower()} {count or ''}".strip() if must_type or count >= TYPING_FROM else ""
        """What has to be typed; empty when a key will do."""
        self._glyphs = glyphs(ascii)

    def compose(self) -> ComposeResult:
        with Vertical(id="confirm-dialog"):
            yield Static(Content(self._title), id="confirm-title")
            with VerticalScroll(id="confirm-body", can_focus=False):
                if self.targets:
                    yield Static(self._names(INNER_WIDTH), id="confirm-names")
                if self._consequences:
                    yield Static(Content("\n".join(self._consequences)), id="confirm-consequences")
            if self.phrase:
                yield Static(Content(f"Type  {self.phrase}  and press enter."), id="confirm-ask")
                yield CleanInput(id="confirm-typed", compact=True, placeholder=self.phrase)
            with Horizontal(id="confirm-buttons"):
                yield Button(Content("Cancel"), id="confirm-cancel", compact=True)
                yield Button(
                    Content(self._verb if self.phrase else f"{self._verb} (y)"),
                    id="confirm-yes",
                    compact=True,
                    disabled=bool(self.phrase),
                    variant="error" if self.has_class("-dangerous") else "primary",
                )

    def _names(self, breadth: int) -> Content:
        return Content("\n".join(listed(self.targets, breadth, ellipsis=self._glyphs.ellipsis, bullet=self._glyphs.bullet)))

    def on_resize(self, event: events.Resize) -> None:
        """Keep the buttons on the screen and the ids on their lines, however small the terminal."""
        self.query_one("#confirm-body").styles.max_height = max(1, event.size.height - (11 if self.phrase else 8))
        if self.targets:
            self.query_one("#confirm-names", Static).update(self._names(min(INNER_WIDTH, event.size.width - MARGIN)))

    def on_mount(self) -> None:
        self.query_one("#confirm-typed" if self.phrase else "#confirm-cancel").focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A single key never confirms where the phrase is asked for."""
        if action == "answer" and parameters == (True,) and self.phrase:
            return None
        return True

    @property
    def _typed(self) -> bool:
        return not self.phrase or self.query_one("#confirm-typed", Input).value.strip().lower() == self.phrase

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)

    @on(Input.Changed, "#confirm-typed")
    def _typing(self) -> None:
        self.query_one("#confirm-yes", Button).disabled = not self._typed

    @on(Input.Submitted, "#confirm-typed")
    def _submitted(self) -> None:
        if self._typed:
            self.dismiss(True)

    @on(Button.Pressed, "#confirm-cancel")
    def _cancelled(self) -> None:
        self.dismiss(False)

    @on(Button.Pressed, "#confirm-yes")
    def _confirmed(self) -> None:
        if self._typed:
            self.dismiss(True)
