"""Picks a file or a folder: type or paste a path, or walk with the arrows. Lists in a thread, and draws only what is seen."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.screen import ModalScreen
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual
from textual.widgets import Static

from syncterm.folder_listing import Entry, Listing, list_folder, matching, split_path
from syncterm.text import Glyphs, clean, clip, count
from syncterm.widgets.form.exact_input import ExactInput

THIS_FOLDER = Entry(".", True)
"""Stands for the folder that is listed."""


class EntryList(ScrollView):
    """A list of entries with a cursor; draws the lines that are on the screen, however many there are."""

    DEFAULT_CSS = """
    EntryList {
        height: 1fr;
        background: $surface;
        scrollbar-size-vertical: 1;
        text-wrap: nowrap;
    }
    """

    ALLOW_SELECT = False
    can_focus = False

    class Clicked(Message):
        """An entry was clicked."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__()
        self._glyphs = glyphs
        self._entries: tuple[Entry, ...] = ()
        self.cursor = 0

    @property
    def entries(self) -> tuple[Entry, ...]:
        return self._entries

    @property
    def current(self) -> Entry | None:
        return self._entries[self.cursor] if self.cursor < len(self._entries) else None

    def show_entries(self, entries: tuple[Entry, ...], cursor: int = 0) -> None:
        """Show these entries instead."""
        self._entries = entries
        self.cursor = max(0, min(cursor, len(entries) - 1))
        self.virtual_size = Size(0, len(entries))
        self.scroll_to(y=max(0, self.cursor - self.size.height // 2), animate=False, force=True)
        self.refresh()

    def move(self, step: int) -> None:
        """Move the cursor by that many lines."""
        self.cursor = max(0, min(self.cursor + step, len(self._entries) - 1))
        self.scroll_to_region(Region(0, self.cursor, 1, 1), animate=False)
        self.refresh()

    def page(self, step: int) -> None:
        """Move the cursor by that many screens."""
        self.move(step * max(1, self.size.height - 1))

    def render_line(self, y: int) -> Strip:
        columns, index = self.size.width, self.scroll_offset.y + y
        if index >= len(self._entries) or columns <= 0:
            return Strip.blank(columns, self.rich_style)
        strips = Visual.to_strips(self, self._line(index, columns), columns, 1, self.visual_style, pad=True)
        return strips[0] if strips else Strip.blank(columns, self.rich_style)

    def _line(self, index: int, columns: int) -> Content:
        entry = self._entries[index]
        if entry is THIS_FOLDER:
            text, style = "this folder", "italic"
        else:
            text = clean(entry.name, limit=1000) + ("/" if entry.is_folder else "")
            style = "$primary" if entry.is_folder else ""
        text = clip(text, columns - 3, self._glyphs.ellipsis)
        chosen = index == self.cursor
        sign = f"{self._glyphs.cursor if chosen else ' '} "
        line = Content.assemble((sign, "$primary"), (text, style)).pad_right(max(0, columns - len(sign) - len(text)))
        return line.stylize("$block-cursor-foreground on $block-cursor-background $block-cursor-text-style") if chosen else line

    def on_click(self, event: events.Click) -> None:
        event.stop()
        index = self.scroll_offset.y + event.y
        if index < len(self._entries):
            self.post_message(self.Clicked(index))


class PathLine(ExactInput):
    """The line of the picker: backspace after a slash goes to the folder above."""

    def action_delete_left(self) -> None:
        before = self.value.rstrip("/")
        if self.cursor_at_end and self.value.endswith("/") and before:
            self.value = before.rpartition("/")[0] + "/"
            self.cursor_position = len(self.value)
        else:
            super().action_delete_left()


class FilePicker(ModalScreen[str | None]):
    """The result is a path as text, None when cancelled.

    The line holds a path. What follows its last slash narrows the list; enter opens a folder or takes a file; backspace after a
    slash goes to the folder above; tab completes the name; a path that is pasted is looked up at once.
    """

    BINDING_GROUP_TITLE = "File picker"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", show=False, id="picker.cancel"),
        Binding("down,ctrl+n", "move(1)", "Down", show=False, id="picker.down"),
        Binding("up", "move(-1)", "Up", show=False, id="picker.up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="picker.page_down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="picker.page_up"),
        Binding("tab", "complete", "Complete", show=False, id="picker.complete"),
        Binding("f4", "toggle_hidden", "Hidden files", show=False, id="picker.hidden"),
        Binding("f2,ctrl+s", "take", "Take what is typed", show=False, id="picker.take"),
    ]

    DEFAULT_CSS = """
    FilePicker {
        align: center middle;
    }
    FilePicker > Vertical {
        width: 92%;
        max-width: 90;
        height: 86%;
        max-height: 32;
        background: $surface;
        border: round $primary;
        border-title-style: bold;
        border-title-color: $primary;
        border-subtitle-color: $text-muted;
        padding: 0 1;
    }
    FilePicker ExactInput { margin-bottom: 1; }
    FilePicker #state { height: 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
    FilePicker #state.-problem { color: $text-error; }
    .-ascii FilePicker > Vertical { border: ascii $primary; }
    """

    def __init__(
        self, path: str, glyphs: Glyphs, *, title: str = "Path", folders: bool = False, files: bool = True, new: bool = False
    ) -> None:
        """Prepare the picker.

        Args:
            path: Where to begin; relative paths begin in the working folder.
            folders: Whether a folder may be taken.
            files: Whether a file may be taken.
            new: Whether what does not exist yet may be taken.
        """
        super().__init__()
        self._title = clean(title, limit=100)
        self._glyphs = glyphs
        self._folders, self._files, self._new = folders, files, new
        folder, name = split_path(path)
        inside = bool(path) and not name
        self._begin = os.path.join(folder, "" if inside else name) if path else os.path.join(str(Path.cwd()), "")  # noqa: PTH118
        self._listing = Listing("")
        self._listed: str | None = None
        """The line that the list is of: keys may be faster than folders."""
        self._hidden = False
        self._typed_once = False
        """Until something is typed, the name at the end of the first path narrows nothing: it is only gone to."""

    def compose(self) -> ComposeResult:
        with Vertical():
            yield PathLine(self._begin, ascii=self._glyphs.arrow.isascii())
            yield EntryList(self._glyphs)
            yield Static(id="state")

    def on_mount(self) -> None:
        box = self.query_one(Vertical)
        box.border_title = Content(self._title)
        hints = ["enter opens" if not self._files else "enter opens or takes", "f4 hidden", "esc"]
        if self._new or self._folders:
            hints.insert(1, "f2 takes the path")
        box.border_subtitle = Content(f" {self._glyphs.separator} ".join(hints))
        self.line.focus()
        self._look()

    @property
    def line(self) -> PathLine:
        return self.query_one(PathLine)

    @property
    def entries(self) -> EntryList:
        return self.query_one(EntryList)

    @property
    def settled(self) -> bool:
        """Whether the list is that of the line."""
        return not any(worker.is_running for worker in self.workers if worker.node is self)

    # --- Listing

    @on(ExactInput.Edited)
    def _edited(self, event: ExactInput.Edited) -> None:
        event.stop()
        if event.line.value != self._begin:
            self._typed_once = True
        self._look()

    def _look(self) -> None:
        self.run_worker(self._list(self.line.value), group="list", exclusive=True, exit_on_error=False)

    async def _list(self, text: str) -> None:
        folder, name = split_path(text)
        if self._listing.folder != folder:
            self._say("Reading the folder.")
            self._listing = await asyncio.to_thread(list_folder, folder)
        narrowed = name if self._typed_once else ""
        listing = self._listing
        found = await asyncio.to_thread(matching, listing.entries, narrowed, files=self._files, hidden=self._hidden)
        cursor = next((index for index, entry in enumerate(found) if entry.name == name), 0) if name else 0
        if self._folders and not narrowed and not listing.problem:
            found = (THIS_FOLDER, *found)
            cursor = cursor + 1 if name else min(1, len(found) - 1)
        self.entries.show_entries(found, cursor)
        self._listed = text
        if listing.problem:
            self._say(listing.problem, problem=True)
        elif not found:
            self._say("Nothing matches. F2 takes it as a new path." if self._new else "Nothing matches.")
        else:
            more = " The folder has more than are listed." if listing.cut else ""
            number = len(found) - (found[0] is THIS_FOLDER)
            self._say(f"{count(number)} {'entry' if number == 1 else 'entries'}.{more}")

    def _say(self, text: str, *, problem: bool = False) -> None:
        state = self.query_one("#state", Static)
        state.update(Content(text))
        state.set_class(problem, "-problem")

    # --- Actions. No binding has priority: enter must come after the letters that were pressed before it.

    @on(ExactInput.Entered)
    def _entered(self, event: ExactInput.Entered) -> None:
        event.stop()
        self.action_choose()

    def _write(self, path: str) -> None:
        self._typed_once = True
        self.line.value = path
        self.line.cursor_position = len(path)

    def action_move(self, step: int) -> None:
        self.entries.move(step)

    def action_page(self, step: int) -> None:
        self.entries.page(step)

    def action_choose(self) -> None:
        """Open the folder under the cursor, or take the file."""
        self.run_worker(self._when_listed(self._choose), group="take", exclusive=True, exit_on_error=False)

    async def _when_listed(self, action: Callable[[], None]) -> None:
        """Do it once the list is that of the line."""
        if self._listed != self.line.value:
            await self._list(self.line.value)
        action()

    def _choose(self) -> None:
        entry = self.entries.current
        folder, _ = split_path(self.line.value)
        if entry is None:
            self.call_later(self.action_take)
        elif entry is THIS_FOLDER:
            self.dismiss(folder)
        elif entry.is_folder:
            self._write(os.path.join(folder, entry.name, ""))  # noqa: PTH118 - the slash at the end
        else:
            self.dismiss(str(Path(folder) / entry.name))

    def action_take(self) -> None:
        """Take the path as it is typed."""
        self.run_worker(self._take(self.line.value), group="take", exclusive=True, exit_on_error=False)

    async def _take(self, text: str) -> None:
        folder, name = split_path(text)
        path = str(Path(folder) / name)
        exists, is_folder = await asyncio.to_thread(lambda: (os.path.exists(path), os.path.isdir(path)))  # noqa: PTH110, PTH112
        pattern = self._files and self._folders and any(sign in name for sign in "*?[")
        if not exists and not self._new and not pattern:
            self._say("There is no such file or folder.", problem=True)
        elif is_folder and not self._folders:
            self._say("This is a folder; a file is needed.", problem=True)
        elif exists and not is_folder and not self._files:
            self._say("This is a file; a folder is needed.", problem=True)
        else:
            self.dismiss(path)

    def action_complete(self) -> None:
        """Put the name under the cursor into the line."""
        self.run_worker(self._when_listed(self._complete), group="take", exclusive=True, exit_on_error=False)

    def _complete(self) -> None:
        entry = self.entries.current
        if entry is not None and entry is not THIS_FOLDER:
            folder, _ = split_path(self.line.value)
            path = str(Path(folder) / entry.name)
            self._write(f"{path}/" if entry.is_folder else path)

    def action_toggle_hidden(self) -> None:
        self._hidden = not self._hidden
        self._look()

    @on(EntryList.Clicked)
    def _clicked(self, event: EntryList.Clicked) -> None:
        event.stop()
        self.entries.cursor = event.index
        self._choose()

    def action_cancel(self) -> None:
        self.dismiss(None)

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:
            self.action_cancel()
