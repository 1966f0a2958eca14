"""What a person does with connectors, the same from the table, the detail screen, the menu and the palette.

Each action captures its ids when the key is pressed: a live refresh meanwhile never retargets it. It asks where it must, calls the
operation on the engine's loop, and says what became of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from syncterm.engine.model import Activity
from syncterm.engine.operation_results import IfRunning
from syncterm.screens.menu import Choice, Menu
from syncterm.screens.row_actions import RowActions
from syncterm.text import NOTHING, Glyphs, clean, count, duration

if TYPE_CHECKING:
    from syncterm.engine.drafts import ConfigDifference
    from syncterm.engine.engine import Engine
    from syncterm.engine.queries import ConnectorQuery, ConnectorRow
    from syncterm.engine.queries.troubleshooting import Troubles

ROWS_AT_ONCE = 500
DIFFERENCES_SHOWN = 8
"""Settings of a source that a question lists."""


class ConnectorActions(RowActions):
    """The actions on connectors, by id."""

    # --- Setting up

    async def add(self, source_id: str | None = None) -> None:
        """Set up another connector, step by step; its own screen opens."""
        from syncterm.screens.wizard import add_connector

        await add_connector(self._app, source_id)

    async def edit(self, ids: Sequence[str]) -> None:
        """Change the set-up of one connector, section by section."""
        from syncterm.screens.wizard import edit_connector

        row = await self._only(ids)
        if row is not None:
            await edit_connector(self._app, row.id)

    async def edit_schedule(self, ids: Sequence[str]) -> None:
        """Change when one connector is due."""
        from syncterm.screens.schedule_editor import edit_schedule

        row = await self._only(ids)
        if row is not None:
            await edit_schedule(self._app, row.id)

    async def why(self, ids: Sequence[str]) -> None:
        """Say what is wrong with one connector, and offer what mends it."""
        from syncterm.screens.why import show_why

        row = await self._only(ids)
        if row is not None:
            await show_why(self._app, row.id)

    async def approve_deletes(self, ids: Sequence[str]) -> None:
        """Let the next sync delete what the last one withheld, after saying how much that is."""
        rows = await self._rows(ids)
        waiting: dict[str, int] = {}
        for row in rows:
            troubles = await self._call(partial(_troubles, connector_id=row.id))
            if troubles is not None and troubles.deletes_withheld:
                waiting[row.id] = troubles.deletes_withheld
        rows = [row for row in rows if row.id in waiting]
        if not rows:
            self._app.notify("No deletes wait for approval.")
            return
        consequences = [
            f"{count(sum(waiting.values()))} records are gone from the source: the next sync deletes or marks them.",
            "Deleted records come back only by a historical re-sync of a source that has them again.",
        ]
        if await self._confirm("Approve deletes of", rows, consequences):
            targets = [row.id for row in rows]
            results = await self._call(lambda engine: engine.operations.approve_deletes(self._app.actor, targets))
            self._tell("Approve deletes", results)

    async def refresh_source(self, ids: Sequence[str]) -> None:
        """Let connectors use the present version of their source, after showing what differs."""
        differing: dict[str, tuple[ConfigDifference, ...]] = {}
        rows = await self._rows(ids)
        for row in rows:
            found = await self._call(partial(_version_difference, connector_id=row.id))
            if found:
                differing[row.id] = found
        behind = [row for row in rows if row.id in differing]
        if not behind:
            which = "It is" if len(rows) == 1 else "They are all"
            self._app.notify(f"{which} on the present version of the source already.")
            return
        lines = list(dict.fromkeys(difference_text(one, self._app.glyphs) for found in differing.values() for one in found))
        more = [f"and {count(len(lines) - DIFFERENCES_SHOWN)} more differences"] if len(lines) > DIFFERENCES_SHOWN else []
        consequences = [*lines[:DIFFERENCES_SHOWN], *more, "Used from the next sync on."]
        if await self._confirm("Refresh", behind, consequences, dangerous=False):
            targets = [row.id for row in behind]
            results = await self._call(lambda engine: engine.operations.refresh_source(self._app.actor, targets))
            self._tell("Refresh source", results)

    async def _only(self, ids: Sequence[str]) -> ConnectorRow | None:
        """The one connector that is meant; None, and a word about it, where there are several or it is gone."""
        if len(set(ids)) > 1:
            self._app.notify("One at a time: ctrl+\\ clears the marks.", severity="warning")
        rows = await self._rows(ids) if len(set(ids)) == 1 else []
        return rows[0] if rows else None

    # --- The six of the menu, and cancel

    async def sync_now(self, ids: Sequence[str]) -> None:
        """Queue syncs; asks where some are running already."""
        rows = await self._rows(ids)
        busy = [row for row in rows if row.activity != Activity.IDLE and not _is_held(row)]
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
                ids = [row.id for row in rows if row not in busy]
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

    async def approve_schema(self, ids: Sequence[str]) -> None:
        """Review the schema changes of one connector."""
        from syncterm.screens.schema_changes import review_schema

        if len(ids) > 1:
            self._app.notify("Schema changes are reviewed one connector at a time: take the marks off.", severity="warning")
        elif ids:
            await review_schema(self._app, ids[0])

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
        self._deleted(deletion)

    # --- Copy and export

    async def yank(self, connector_id: str, cells: Sequence[tuple[str, str]] = ()) -> None:
        """Ask what to copy, and copy it to the clipboard.

        Args:
            cells: Titles and texts of the row's cells, of which `c` copies one.
        """
        rows = await self._rows([connector_id])
        if not rows:
            return
        await self._yank(rows[0], rows[0].last_error_message or "", cells)

    async def export(self, wanted: ConnectorQuery, folder: Path, file_format: str) -> None:
        """Write all rows of a query to a new file in the folder; `file_format` is `csv` or `json`."""
        from syncterm.engine.queries import ConnectorRow

        keys = await self._call(lambda engine: engine.queries.connector_keys(wanted))
        found = await self._found(keys)
        rows = [found[key] for key in keys if key in found]
        await self._write(rows, ConnectorRow, "connectors", folder, file_format)

    # --- Shared

    async def _rows(self, ids: Sequence[str]) -> list[ConnectorRow]:
        """The rows of those connectors as they are now; the ones that have gone are reported, not replaced."""
        found = await self._found(ids)
        self._say_gone(ids, len(found))
        return [found[connector_id] for connector_id in dict.fromkeys(ids) if connector_id in found]

    async def _found(self, ids: Sequence[str]) -> dict[str, ConnectorRow]:
        """The rows of those connectors that exist, by id; asked for in parts, so that others have their turn in between."""
        found: dict[str, ConnectorRow] = {}
        for start in range(0, len(ids), ROWS_AT_ONCE):
            found |= await self._call(partial(_connector_rows, ids=list(ids[start : start + ROWS_AT_ONCE])))
        return found

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


def _is_held(row: ConnectorRow) -> bool:
    """Whether its queued sync waits for the end of a blackout window: asking for a sync starts that one."""
    from syncterm.engine.blackout import BLACKOUT_REASON

    return row.activity == Activity.QUEUED and (row.activity_reason or "").startswith(BLACKOUT_REASON)


def difference_text(difference: ConfigDifference, symbols: Glyphs) -> str:
    """One setting of the source: what the connector applied, and what it is now."""
    return clean(f"{difference.title}: {difference.applied} {symbols.arrow} {difference.present}", limit=200)


async def _troubles(engine: Engine, connector_id: str) -> Troubles | None:
    return await engine.queries.troubles(connector_id)


async def _version_difference(engine: Engine, connector_id: str) -> tuple[ConfigDifference, ...]:
    return await engine.queries.version_difference(connector_id)


async def _connector_rows(engine: Engine, ids: Sequence[str]) -> Mapping[str, ConnectorRow]:
    return await engine.queries.connector_rows(ids)
