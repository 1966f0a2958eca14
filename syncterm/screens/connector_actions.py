"""What a person does with connectors, the same from the table, the detail screen, the menu and the palette.

Each action captures its ids when the key is pressed: a live refresh meanwhile never retargets it. It asks where it must, calls the
operation on the engine's loop, and says what became of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from syncterm.engine.model import Activity
from syncterm.engine.operation_results import IfRunning, OperationResult
from syncterm.screens.connector_export import plain, write
from syncterm.screens.menu import Choice, Menu
from syncterm.text import NOTHING, clean, count, duration
from syncterm.widgets.confirm import Confirm, Target

if TYPE_CHECKING:
    from syncterm.engine.engine import Engine
    from syncterm.engine.queries import ConnectorQuery, ConnectorRow
    from syncterm.screens.dashboard import Dashboard

CLIPBOARD_LIMIT = 75_000  # bytes; terminals and tmux drop longer OSC 52 sequences, some of them silently
REFUSALS_SHOWN = 4
ROWS_AT_ONCE = 500

T = TypeVar("T")


class ConnectorActions:
    """The actions on connectors, by id."""

    def __init__(self, app: Dashboard) -> None:
        self._app = app
        self.undo_token: str | None = None
        """Of the last deletion, while it can be undone."""
        self.undo_until: datetime | None = None

    def start(self, action: Coroutine[Any, Any, None]) -> None:
        """Run an action in a worker of the app, which says what goes wrong."""
        self._app.run_worker(action, group="connector-actions", exit_on_error=False)

    # --- The six of the menu, and cancel

    async def sync_now(self, ids: Sequence[str]) -> None:
        """Queue syncs; asks where some are running already."""
        rows = await self._rows(ids)
        busy = [row for row in rows if row.activity != Activity.IDLE]
        if_running = IfRunning.LEAVE
        if busy:
            choice = await self._app.push_screen_wait(
                Menu(
                    f"{self._subject(busy)} {'is' if len(busy) == 1 else 'are'} syncing already",
                    [
                        Choice(IfRunning.LEAVE, "Leave it" if len(busy) == 1 else "Leave them", "l", "do nothing with it"),
                        Choice(IfRunning.QUEUE, "Queue one", "q", "another sync follows the running one"),
                        Choice(IfRunning.RESTART, "Restart", "r", "cancel the running sync, then sync anew"),
                    ],
                    self._app.glyphs,
                )
            )
            if choice is None:
                return
            if_running = IfRunning(choice)
            if if_running is IfRunning.LEAVE:
                ids = [row.id for row in rows if row.activity == Activity.IDLE]
                if not ids:
                    return
        self._tell(
            "Sync now", await self._call(lambda engine: engine.operations.sync_now(self._app.actor, ids, if_running=if_running))
        )

    async def cancel(self, ids: Sequence[str]) -> None:
        """Cancel running and queued syncs; asks where more than one would end."""
        rows = [row for row in await self._rows(ids) if row.activity != Activity.IDLE]
        if not rows:
            self._app.notify("No sync runs or waits there.", severity="warning")
            return
        consequences = ["They stop at the next batch.", "What was committed stays; the next sync resumes there."]
        if len(rows) > 1 and not await self._confirm("Stop", rows, consequences, dangerous=False):
            return
        targets = [row.id for row in rows]
        self._tell("Cancel", await self._call(lambda engine: engine.operations.cancel(self._app.actor, targets)))

    async def toggle_pause(self, ids: Sequence[str]) -> None:
        """Pause connectors; where all of them are paused, resume them."""
        rows = await self._rows(ids)
        resume = bool(rows) and all(row.status == "Paused" for row in rows)
        targets = [row.id for row in rows if resume or row.status != "Paused"]
        if not targets:
            return
        if resume:
            self._tell("Resume", await self._call(lambda engine: engine.operations.resume(self._app.actor, targets)))
        else:
            self._tell("Pause", await self._call(lambda engine: engine.operations.pause(self._app.actor, targets)))

    async def check(self, connector_id: str) -> None:
        """Test both ends, step by step, in a dialog."""
        from syncterm.screens.check import CheckScreen

        self._app.push_screen(CheckScreen(self._app.host, self._app.actor, connector_id))

    async def historical_resync(self, ids: Sequence[str]) -> None:
        """Read everything again, after showing what that touches."""
        rows = await self._rows(ids)
        if not rows:
            return
        preview = await self._call(lambda engine: engine.operations.preview(self._app.actor, [row.id for row in rows]))
        took = duration(preview.last_duration.total_seconds()) if preview.last_duration is not None else NOTHING
        consequences = [
            "Everything is read again from the beginning and replaces what is there: rows that the source no longer has disappear.",
            f"The last syncs wrote {count(preview.records)} records; the longest took {took}.",
            "Readers of the destination see the old data until the new is complete.",
            self._sharing(preview.sharing),
        ]
        if not await self._confirm("Re-sync", rows, consequences):
            return
        targets = [row.id for row in rows]
        results = await self._call(lambda engine: engine.operations.historical_resync(self._app.actor, targets))
        self._tell("Historical re-sync", results)

    async def delete(self, ids: Sequence[str]) -> None:
        """Delete connectors, after showing which and what becomes of their data; can be undone for a while."""
        rows = await self._rows(ids)
        if not rows:
            return
        preview = await self._call(lambda engine: engine.operations.preview(self._app.actor, [row.id for row in rows]))
        consequences = [
            "Schedules stop. What was synced stays in the destination; the history is kept.",
            f"Syncing now, will be cancelled: {count(len(preview.running))}." if preview.running else "",
            self._sharing(preview.sharing),
            "U brings them back within ten minutes.",
        ]
        if not await self._confirm("Delete", rows, consequences, must_type=bool(preview.running)):
            return
        targets = [row.id for row in rows]
        deletion = await self._call(lambda engine: engine.operations.delete(self._app.actor, targets))
        self._tell("Delete", deletion.results)
        if any(result.done for result in deletion.results):
            self.undo_token, self.undo_until = deletion.token, deletion.until
            self._app.tick()

    async def undo(self) -> None:
        """Bring back what was deleted last."""
        token = self.undo_token
        if token is None:
            return
        self.undo_token = self.undo_until = None
        self._tell("Undo", await self._call(lambda engine: engine.operations.undo(self._app.actor, token)))
        self._app.tick()

    # --- Copy

    async def yank(self, connector_id: str, cells: Sequence[tuple[str, str]] = ()) -> None:
        """Ask what to copy, and copy it to the clipboard.

        Args:
            cells: Titles and texts of the row's cells, of which `c` copies one.
        """
        rows = await self._rows([connector_id])
        if not rows:
            return
        row = rows[0]
        error = row.last_error_message or ""
        choices = [
            Choice("id", "Id", "y", row.id),
            Choice("name", "Name", "n", row.name),
            Choice("cell", "Cell", "c", "one of the row's cells", reason="" if cells else "There is no cell here."),
            Choice("error", "Error", "e", error.partition("\n")[0], reason="" if error else "The last sync left no error."),
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
        texts = {
            "id": row.id,
            "name": clean(row.name),
            "error": clean(error, newlines=True),
            "json": json.dumps({field.name: plain(getattr(row, field.name)) for field in fields(row)}, indent=1),
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

    async def export(self, wanted: ConnectorQuery, folder: Path, file_format: str) -> None:
        """Write all rows of a query to a new file in the folder; `file_format` is `csv` or `json`."""
        keys = await self._call(lambda engine: engine.queries.connector_keys(wanted))
        found = await self._found(keys)
        rows = [found[key] for key in keys if key in found]
        try:
            path = await asyncio.to_thread(write, rows, folder, self._app.now(), file_format)
        except OSError as error:
            self._app.notify(
                f"{folder}: {error.strerror}. Start syncterm in a folder you can write to.", title="Not exported", severity="error"
            )
            return
        self._app.notify(str(path), title=f"Exported {count(len(rows))} connectors")

    # --- Shared

    async def _call(self, function: Callable[[Engine], Awaitable[T]]) -> T:
        return await self._app.host.call(function)

    async def _rows(self, ids: Sequence[str]) -> list[ConnectorRow]:
        """The rows of those connectors as they are now; the ones that have gone are reported, not replaced."""
        found = await self._found(ids)
        gone = len(set(ids)) - len(found)
        if gone:
            self._app.notify(
                f"{count(gone)} of {count(len(set(ids)))} {'does' if gone == 1 else 'do'} not exist any more.", severity="warning"
            )
        return [found[connector_id] for connector_id in dict.fromkeys(ids) if connector_id in found]

    async def _found(self, ids: Sequence[str]) -> dict[str, ConnectorRow]:
        """The rows of those connectors that exist, by id; asked for in parts, so that others have their turn in between."""
        found: dict[str, ConnectorRow] = {}
        for start in range(0, len(ids), ROWS_AT_ONCE):
            found |= await self._call(partial(_connector_rows, ids=list(ids[start : start + ROWS_AT_ONCE])))
        return found

    async def _confirm(
        self,
        verb: str,
        rows: Sequence[ConnectorRow],
        consequences: Sequence[str],
        *,
        dangerous: bool = True,
        must_type: bool = False,
    ) -> bool:
        targets = [Target(row.id, row.name) for row in rows]
        lines = [line for line in consequences if line]
        dialog = Confirm(verb, targets, consequences=lines, dangerous=dangerous, must_type=must_type, ascii=self._app.ascii)
        return await self._app.push_screen_wait(dialog)

    @staticmethod
    def _sharing(names: Sequence[str]) -> str:
        if not names:
            return ""
        shown = ", ".join(clean(name) for name in names[:3])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return (
            f"{'Another connector writes' if len(names) == 1 else 'Other connectors write'} to the same collection: {shown}{more}."
        )

    @staticmethod
    def _subject(rows: Sequence[ConnectorRow]) -> str:
        return clean(rows[0].name) if len(rows) == 1 else f"{count(len(rows))} connectors"

    def _tell(self, title: str, results: Sequence[OperationResult]) -> None:
        """Say what became of it: one line for one connector, else how many, and why the others were refused."""
        done = [result for result in results if result.done]
        refused = [result for result in results if not result.done]
        if len(results) == 1:
            only = results[0]
            self._app.notify(f"{clean(only.name)}: {only.message}", title=title, severity="information" if only.done else "warning")
            return
        lines = [f"{count(len(done))} connectors: done."] if done else []
        lines += [f"{clean(result.name)}: {result.message}" for result in refused[:REFUSALS_SHOWN]]
        if len(refused) > REFUSALS_SHOWN:
            lines.append(f"and {count(len(refused) - REFUSALS_SHOWN)} more were refused.")
        self._app.notify("\n".join(lines), title=title, severity="warning" if refused else "information")


async def _connector_rows(engine: Engine, ids: Sequence[str]) -> Mapping[str, ConnectorRow]:
    return await engine.queries.connector_rows(ids)
