"""The catalog: every type of source or destination that is installed, searched as one types, each with what it can do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from syncterm.engine.adapter_catalog import CatalogType, catalog_types
from syncterm.engine.adapters import DESTINATIONS_GROUP, SOURCES_GROUP
from syncterm.engine.model import EndpointKind
from syncterm.text import Glyphs, clean, clip, fit, width
from syncterm.widgets.clean_input import CleanInput

if TYPE_CHECKING:
    from syncterm.screens.dashboard import Dashboard

GROUPS = {EndpointKind.SOURCE: SOURCES_GROUP, EndpointKind.DESTINATION: DESTINATIONS_GROUP}
TITLE_CELLS = 22


def matching(types: Sequence[CatalogType], text: str) -> list[CatalogType]:
    """The types in which every word of a text occurs: in title, type, summary, package, or what they can do."""
    words = text.casefold().split()

    def described(each: CatalogType) -> str:
        able = [word for word, can in each.abilities if can]
        return " ".join((each.title, each.type, each.summary, each.package, *able)).casefold()

    found = [each for each in types if all(word in described(each) for word in words)]
    first = text.strip().casefold()
    return sorted(found, key=lambda each: (bool(each.problem), not each.title.casefold().startswith(first)))


def type_lines(each: CatalogType, cells: int, symbols: Glyphs) -> Content:
    """Two lines for a type: title and summary, and what it can do; dim with the reason where it cannot be used."""
    dim = "dim" if each.problem else ""
    title = fit(clean(each.title, limit=200), TITLE_CELLS, ellipsis=symbols.ellipsis)
    package = f"  from {clean(each.package, limit=100)}" if each.package else ""
    room = max(1, cells - TITLE_CELLS - 2 - width(package))
    summary = clip(clean(each.summary, limit=300), room, symbols.ellipsis)
    first = Content.assemble((title, dim or "bold"), ("  ", ""), (summary, dim), (clip(package, max(0, cells - 24), "."), "dim"))
    if each.problem:
        problem = clip(clean(each.problem, limit=400), max(1, cells - 4), symbols.ellipsis)
        return Content("\n").join([first, Content.assemble((f"  {symbols.cross} ", "$text-error"), (problem, "dim"))])
    pieces: list[tuple[str, str]] = [("  ", "")]
    for word, can in each.abilities:
        pieces += [(f"{symbols.check} " if can else f"{symbols.unchecked} ", "$text-success" if can else "dim")]
        pieces += [(f"{word}   ", "" if can else "dim")]
    return Content("\n").join([first, Content.assemble(*pieces)])


class TypeCatalog(ModalScreen[str | None]):
    """Choose a type; the result is its id, None when cancelled."""

    BINDING_GROUP_TITLE = "Catalog"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", show=False, id="catalog.cancel"),
        Binding("down,ctrl+n", "move(1)", "Down", show=False, id="catalog.down"),
        Binding("up", "move(-1)", "Up", show=False, id="catalog.up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="catalog.page_down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="catalog.page_up"),
    ]

    DEFAULT_CSS = """
    TypeCatalog {
        align: center middle;
    }
    TypeCatalog > Vertical {
        width: 92%;
        max-width: 100;
        height: auto;
        max-height: 92%;
        background: $surface;
        border: round $primary;
        border-title-style: bold;
        border-title-color: $primary;
        border-subtitle-color: $text-muted;
        padding: 0 1;
    }
    TypeCatalog Input, TypeCatalog Input:focus {
        background: $panel;
        background-tint: transparent;
        padding: 0 1;
        margin-bottom: 1;
    }
    TypeCatalog OptionList, TypeCatalog OptionList:focus {
        height: auto;
        max-height: 100%;
        background: $surface;
        background-tint: transparent;
        border: none;
        padding: 0;
        scrollbar-size-vertical: 1;
        text-wrap: nowrap;
        text-overflow: clip;
    }
    TypeCatalog #notice { display: none; color: $text-muted; height: 2; padding: 0 1; }
    TypeCatalog.-nothing #notice { display: block; }
    """

    def __init__(self, kind: EndpointKind) -> None:
        super().__init__()
        self.kind = kind
        self._types: tuple[CatalogType, ...] | None = None
        """None until they are loaded."""
        self._shown: list[CatalogType] = []
        self._searched = ""
        """What the list was searched for: keys may be faster than the list."""
        self._chosen_early = False
        """Enter was pressed before the types were loaded."""

    @property
    def _glyphs(self) -> Glyphs:
        return cast("Dashboard", self.app).glyphs

    @property
    def loaded(self) -> bool:
        return self._types is not None

    def compose(self) -> ComposeResult:
        with Vertical():
            yield CleanInput(placeholder="type to search: name, or what it can do", compact=True, select_on_focus=False)
            yield Static(Content("Looking for installed types."), id="notice")
            yield OptionList(compact=True)

    def on_mount(self) -> None:
        box = self.query_one(Vertical)
        box.border_title = Content(f"Add a {self.kind}")
        box.border_subtitle = Content("enter chooses, esc leaves")
        self.query_one(OptionList).can_focus = False
        self.query_one(Input).focus()
        self.add_class("-nothing")
        self.run_worker(self._load(), exit_on_error=False)

    async def _load(self) -> None:
        self._types = await asyncio.to_thread(catalog_types, GROUPS[self.kind])
        self._show()
        if self._chosen_early:
            self.action_choose()

    def on_resize(self) -> None:
        if self._types is not None:
            self._show()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._catch_up()

    def _show(self) -> None:
        assert self._types is not None
        text = self._searched = self.query_one(Input).value
        self._shown = matching(self._types, text)
        choices = self.query_one(OptionList)
        cells = min(100, self.app.size.width * 92 // 100) - 7
        choices.clear_options()
        choices.add_options([Option(type_lines(each, cells, self._glyphs)) for each in self._shown])
        self.set_class(not self._shown, "-nothing")
        if self._shown:
            choices.highlighted = 0
        else:
            self.query_one("#notice", Static).update(
                Content(f"No {self.kind} type matches. Types of other packages appear here once they are installed.")
            )

    # --- Actions. No binding has priority: enter must come after the letters that were pressed before it.

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_choose()

    def _catch_up(self) -> None:
        """Search for what is typed now."""
        if self._types is not None and self._searched != self.query_one(Input).value:
            self._show()

    def action_move(self, step: int) -> None:
        self._catch_up()
        choices = self.query_one(OptionList)
        (choices.action_cursor_down if step > 0 else choices.action_cursor_up)()

    def action_page(self, step: int) -> None:
        choices = self.query_one(OptionList)
        for _ in range(max(1, choices.size.height // 2 - 1)):
            self.action_move(step)

    def action_choose(self) -> None:
        if self._types is None:
            self._chosen_early = True
            return
        self._catch_up()
        index = self.query_one(OptionList).highlighted
        if index is None or index >= len(self._shown):
            return
        chosen = self._shown[index]
        if chosen.problem:
            self.notify(chosen.problem, title=chosen.title, severity="warning", markup=False)
        else:
            self.dismiss(chosen.type)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_choose()

    def action_cancel(self) -> None:
        self.dismiss(None)

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:
            self.action_cancel()
