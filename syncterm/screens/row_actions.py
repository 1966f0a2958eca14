"""What the actions on rows share, whatever the rows are: asking first, calling the engine, telling the outcome, copy, export, undo.

Each action captures its ids when the key is pressed: a live refresh meanwhile never retargets it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from syncterm.screens.menu import Choice, Menu
from syncterm.screens.table_export import plain, write
from syncterm.text import clean, count
from syncterm.widgets.confirm import Confirm, Target

if TYPE_CHECKING:
    from syncterm.engine.engine import Engine
    from syncterm.engine.operation_results import Deletion, OperationResult
    from syncterm.screens.dashboard import Dashboard

CLIPBOARD_LIMIT = 75_000  # bytes; terminals and tmux drop longer OSC 52 sequences, some of them silently
REFUSALS_SHOWN = 4

T = TypeVar("T")


class Named(Protocol):
    """A row of any table."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...


@dataclass(slots=True)
class LastDeletion:
    """What `undo` would bring back: whatever was deleted last, on whichever screen."""

    token: str | None = None
    until: datetime | None = None

    def can_be_undone(self, now: datetime) -> bool:
        return self.until is not None and self.until > now


class RowActions:
    """The actions on rows."""

    def __init__(self, app: Dashboard) -> None:
        self._app = app

    def start(self, action: Coroutine[Any, Any, None]) -> None:
        """Run an action in a worker of the app, which says what goes wrong."""
        self._app.run_worker(action, group="connector-actions", exit_on_error=False)

    async def _call(self, function: Callable[[Engine], Awaitable[T]]) -> T:
        return await self._app.host.call(function)

    # --- Deleting

    def _deleted(self, deletion: Deletion, plural: str = "connectors") -> None:
        """Tell of a deletion, and remember how to undo it."""
        self._tell("Delete", deletion.results, plural)
        if any(result.done for result in deletion.results):
            self._app.last_deletion.token, self._app.last_deletion.until = deletion.token, deletion.until
            self._app.tick()

    async def undo(self) -> None:
        """Bring back what was deleted last."""
        last = self._app.last_deletion
        token, last.token, last.until = last.token, None, None
        if token is not None:
            self._tell("Undo", await self._call(lambda engine: engine.operations.undo(self._app.actor, token)), "rows")
            self._app.tick()

    # --- Copy

    async def _yank(self, row: Named, error: str, cells: Sequence[tuple[str, str]]) -> None:
        """Ask what to copy of a row (a dataclass), and copy it to the clipboard.

        Args:
            cells: Titles and texts of the row's cells, of which `c` copies one.
        """
        choices = [
            Choice("id", "Id", "y", row.id),
            Choice("name", "Name", "n", row.name),
            Choice("cell", "Cell", "c", "one of the row's cells", reason="" if cells else "There is no cell here."),
            Choice("error", "Error", "e", error.partition("\n")[0], reason="" if error else "There is no error."),
            Choice("json", "JSON", "j", "everything the table knows"),
        ]
        choice = await self._app.push_screen_wait(Menu("Copy", choices, self._app.glyphs))
        if choice is None:
            return
        if choice == "cell":
            titles = [Choice(str(index), title, detail=text.partition("\n")[0]) for index, (title, text) in enumerate(cells)]
            picked = await self._app.push_screen_wait(Menu("Copy cell", titles, self._app.glyphs))
            if picked is not None:
                title, text = cells[int(picked)]
                self.copy(title, clean(text, newlines=True))
            return
        values: Any = row
        texts = {
            "id": row.id,
            "name": clean(row.name),
            "error": clean(error, newlines=True),
            "json": json.dumps({field.name: plain(getattr(row, field.name)) for field in fields(values)}, indent=1),
        }
        self.copy(choice, texts[choice])

    def copy(self, what: str, text: str) -> None:
        """Put a text on the clipboard of the person's terminal, within the limit that terminals take."""
        size = len(text.encode("utf-8"))
        if size > CLIPBOARD_LIMIT:
            self._app.notify(
                f"{count(size)} bytes are more than terminals take ({count(CLIPBOARD_LIMIT)}). E exports to a file.",
                title="Not copied",
                severity="warning",
            )
            return
        self._app.copy_to_clipboard(text)
        first = text.partition("\n")[0]
        self._app.notify(
            f"{first[:60]}{self._app.glyphs.ellipsis if len(text) > len(first[:60]) else ''}",
            title=f"Copied {what} to the terminal's clipboard",
        )

    # --- Export

    async def _write(self, rows: Sequence[Any], kind: type[Any], plural: str, folder: Path, file_format: str) -> None:
        """Write rows to a new file in the folder; `file_format` is `csv` or `json`."""
        try:
            path = await asyncio.to_thread(write, rows, kind, plural, folder, self._app.now(), file_format)
        except OSError as error:
            self._app.notify(
                f"{folder}: {error.strerror}. Start syncterm in a folder you can write to.", title="Not exported", severity="error"
            )
            return
        self._app.notify(str(path), title=f"Exported {count(len(rows))} {plural}")

    # --- Asking and telling

    async def _confirm(
        self,
        verb: str,
        rows: Sequence[Named],
        consequences: Sequence[str],
        *,
        noun: str = "connector",
        plural: str = "connectors",
        dangerous: bool = True,
        must_type: bool = False,
    ) -> bool:
        targets = [Target(row.id, row.name) for row in rows]
        lines = [line for line in consequences if line]
        dialog = Confirm(
            verb,
            targets,
            noun=noun,
            plural=plural,
            consequences=lines,
            dangerous=dangerous,
            must_type=must_type,
            ascii=self._app.ascii,
        )
        return await self._app.push_screen_wait(dialog)

    def _say_gone(self, ids: Sequence[str], found: int) -> None:
        """Report rows that have gone since the key was pressed; none is replaced by another."""
        asked = len(set(ids))
        if gone := asked - found:
            self._app.notify(
                f"{count(gone)} of {count(asked)} {'does' if gone == 1 else 'do'} not exist any more.", severity="warning"
            )

    def _tell(self, title: str, results: Sequence[OperationResult], plural: str = "connectors") -> None:
        """Say what became of it: one line for one row, else how many, and why the others were refused."""
        done = [result for result in results if result.done]
        refused = [result for result in results if not result.done]
        if len(results) == 1:
            only = results[0]
            self._app.notify(f"{clean(only.name)}: {only.message}", title=title, severity="information" if only.done else "warning")
            return
        lines = [f"{count(len(done))} {plural}: done."] if done else []
        lines += [f"{clean(result.name)}: {result.message}" for result in refused[:REFUSALS_SHOWN]]
        if len(refused) > REFUSALS_SHOWN:
            lines.append(f"and {count(len(refused) - REFUSALS_SHOWN)} more were refused.")
        self._app.notify("\n".join(lines), title=title, severity="warning" if refused else "information")
