"""What a person does with sources and destinations, the same from the tables, the detail screen, the menu and the palette."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from syncterm.engine.model import EndpointKind
from syncterm.screens.row_actions import RowActions
from syncterm.text import clean, count

if TYPE_CHECKING:
    from syncterm.engine.queries import EndpointRow

NAMES_SHOWN = 3


class EndpointActions(RowActions):
    """The actions on sources and destinations, by kind and id."""

    async def add(self, kind: EndpointKind) -> None:
        """Choose a type and fill in its form; what was saved is shown."""
        from syncterm.screens.adding import add_endpoint

        saved = await add_endpoint(self._app, kind)
        if saved is not None:
            self._app.notify(saved.message, title=f"{kind.title()} {clean(saved.name)}")
            self._app.open_endpoint(kind, saved.id)

    async def edit(self, kind: EndpointKind, endpoint_id: str) -> None:
        """Change the set-up in its form."""
        from syncterm.screens.adding import edit_endpoint

        saved = await edit_endpoint(self._app, kind, endpoint_id)
        if saved is not None:
            self._app.notify(saved.message, title=f"{kind.title()} {clean(saved.name)}")

    async def check(self, kind: EndpointKind, endpoint_id: str) -> None:
        """Test the connection, step by step, in a dialog."""
        from syncterm.screens.check import CheckScreen

        self._app.push_screen(CheckScreen.of_endpoint(self._app.host, self._app.actor, kind, endpoint_id))

    async def delete(self, kind: EndpointKind, ids: Sequence[str]) -> None:
        """Delete what no connector uses, after showing which; can be undone for a while."""
        rows = await self._rows(kind, ids)
        used = [row for row in rows if row.connectors]
        free = [row for row in rows if not row.connectors]
        if used and not free:
            detail = await self._call(lambda engine: engine.queries.endpoint_detail(kind, used[0].id))
            names = [] if detail is None else [clean(use.name) for use in detail.uses]
            shown = ", ".join(names[:NAMES_SHOWN]) + (
                f" and {count(len(names) - NAMES_SHOWN)} more" if len(names) > NAMES_SHOWN else ""
            )
            what = f"{clean(used[0].name)} is in use by {shown}." if len(used) == 1 else f"All {count(len(used))} are in use."
            self._app.notify(
                f"{what} Give its connectors another {kind}, or delete them first.", title="Not deleted", severity="warning"
            )
            return
        if not free:
            return
        consequences = [
            "Nothing is deleted in the system itself. The history is kept.",
            f"In use and therefore kept: {', '.join(clean(row.name) for row in used[:NAMES_SHOWN])}." if used else "",
            "U brings it back within ten minutes." if len(free) == 1 else "U brings them back within ten minutes.",
        ]
        if await self._confirm("Delete", free, consequences, noun=kind.value, plural=f"{kind}s"):
            targets = [row.id for row in free]
            self._deleted(
                await self._call(lambda engine: engine.operations.delete_endpoints(self._app.actor, kind, targets)), f"{kind}s"
            )

    async def yank(self, kind: EndpointKind, endpoint_id: str, cells: Sequence[tuple[str, str]] = ()) -> None:
        """Ask what to copy, and copy it to the clipboard."""
        for row in await self._rows(kind, [endpoint_id]):
            await self._yank(row, row.last_error or row.status_reason, cells)

    async def export(self, kind: EndpointKind, rows: Sequence[EndpointRow], folder: Path, file_format: str) -> None:
        """Write rows to a new file in the folder; `file_format` is `csv` or `json`."""
        from syncterm.engine.queries import EndpointRow

        await self._write(rows, EndpointRow, f"{kind}s", folder, file_format)

    async def _rows(self, kind: EndpointKind, ids: Sequence[str]) -> list[EndpointRow]:
        """The rows of those as they are now; the ones that have gone are reported, not replaced."""
        source = kind is EndpointKind.SOURCE
        every = await self._call(lambda engine: engine.queries.sources() if source else engine.queries.destinations())
        found = {row.id: row for row in every if row.id in ids}
        self._say_gone(ids, len(found))
        return [found[endpoint_id] for endpoint_id in dict.fromkeys(ids) if endpoint_id in found]
