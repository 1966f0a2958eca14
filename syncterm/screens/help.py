"""The help overlay: every key of the screen under it, and of the table it holds; one can filter it, and it scrolls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, Static

from syncterm.actions import ACTIONS, Group, key_label
from syncterm.text import fit
from syncterm.widgets.clean_input import CleanInput

if TYPE_CHECKING:
    from typing import Any

    from syncterm.screens.dashboard import Dashboard

KEYS_WIDTH = 14  # cells
TITLE_WIDTH = 20  # cells


@dataclass(frozen=True, slots=True)
class HelpEntry:
    """One line of the help."""

    group: str
    keys: str
    title: str
    text: str
    enabled: bool

    def matches(self, wanted: str) -> bool:
        """Whether a filter's text is in it, in any case."""
        return wanted.casefold() in f"{self.keys} {self.title} {self.text} {self.group}".casefold()


def entries(screen: Screen[Any], *, ascii: bool) -> list[HelpEntry]:  # noqa: A002
    """What the keys do on a screen, grouped: the registry's groups in their order, then those of the focused widget."""
    keys: dict[str, list[str]] = {}
    found: dict[str, tuple[str, str, str, bool]] = {}
    for key, active in screen.active_bindings.items():
        binding = active.binding
        if binding.system or not binding.description:
            continue
        spec = ACTIONS.get(binding.id or "")
        name = binding.id or binding.action
        keys.setdefault(name, []).append(key_label(key, ascii=ascii))
        group = spec.group.value if spec is not None else getattr(active.node, "BINDING_GROUP_TITLE", None) or "Other"
        title = spec.title if spec is not None else binding.description
        found.setdefault(name, (group, title, spec.help if spec is not None else binding.tooltip, active.enabled))
    order = [group.value for group in Group]
    result = [HelpEntry(group, " ".join(keys[name]), title, text, enabled) for name, (group, title, text, enabled) in found.items()]
    rank = {name: position for position, name in enumerate(ACTIONS)}
    positions = {entry.title: rank.get(name, len(rank)) for entry, name in zip(result, found, strict=True)}
    return sorted(
        result,
        key=lambda entry: (order.index(entry.group) if entry.group in order else len(order), entry.group, positions[entry.title]),
    )


def help_text(shown: Iterable[HelpEntry], columns: int) -> Content:
    """The help as text, wrapped under its own column."""
    lines: list[Content] = []
    group = ""
    indent = " " * (KEYS_WIDTH + TITLE_WIDTH)
    for entry in shown:
        if entry.group != group:
            if group:
                lines.append(Content(""))
            lines.append(Content(entry.group).stylize("bold $primary"))
            group = entry.group
        dim = "" if entry.enabled else "dim"
        first, *rest = wrap(entry.text, max(16, columns - len(indent))) or [""]
        lines.append(
            Content.assemble(
                (fit(entry.keys, KEYS_WIDTH - 1) + " ", dim or "bold"), (fit(entry.title, TITLE_WIDTH), dim), (first, "dim")
            )
        )
        lines += [Content.assemble(indent, (line, "dim")) for line in rest]
    return Content("\n").join(lines) if lines else Content("No key matches.").stylize("dim")


class HelpScreen(ModalScreen[None]):
    """The overlay. `/` or any typing filters, esc clears the filter and then closes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", show=False, id="help.close", priority=True),
        Binding("f1,question_mark", "close_now", "Close", show=False, id="help.close_now", priority=True),
        Binding("down", "scroll(1)", "Down", show=False, id="help.down", priority=True),
        Binding("up", "scroll(-1)", "Up", show=False, id="help.up", priority=True),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, id="help.page_down", priority=True),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, id="help.page_up", priority=True),
    ]

    DEFAULT_CSS = """
    HelpScreen {
        align: center middle;
    }
    HelpScreen > Vertical {
        width: 100;
        max-width: 96%;
        height: auto;
        max-height: 92%;
        background: $surface;
        border: round $primary;
        border-title-color: $primary;
        border-title-style: bold;
        border-subtitle-color: $text-muted;
        padding: 0 1;
    }
    HelpScreen Input {
        margin-bottom: 1;
        background: $surface;
    }
    HelpScreen VerticalScroll {
        height: auto;
        max-height: 100%;
        scrollbar-size-vertical: 1;
    }
    HelpScreen Static {
        width: 1fr;
        height: auto;
    }
    """

    def __init__(self, under: Screen[Any]) -> None:
        super().__init__()
        app = cast("Dashboard", under.app)
        self._entries = entries(under, ascii=app.ascii)

    def compose(self) -> ComposeResult:
        with Vertical():
            yield CleanInput(placeholder="type to filter", compact=True)
            with VerticalScroll(can_focus=False):
                yield Static(id="help-text")

    def on_mount(self) -> None:
        box = self.query_one(Vertical)
        box.border_title = Content("Keys")
        box.border_subtitle = Content("esc closes")
        self.query_one(Input).focus()
        self._show("")

    def _show(self, wanted: str) -> None:
        shown = [entry for entry in self._entries if entry.matches(wanted)]
        self.query_one("#help-text", Static).update(help_text(shown, min(100, int(self.size.width * 0.96)) - 5))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._show(event.value.strip())
        self.query_one(VerticalScroll).scroll_home(animate=False)

    def action_close(self) -> None:
        field = self.query_one(Input)
        if field.value:
            field.value = ""
        else:
            self.dismiss(None)

    def action_close_now(self) -> None:
        self.dismiss(None)

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        scroll = self.query_one(VerticalScroll)
        scroll.scroll_relative(y=pages * max(1, scroll.size.height - 1), animate=False)
