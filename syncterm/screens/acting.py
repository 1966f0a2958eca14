"""A full screen whose keys act on connectors: on the marked ones, the one under the cursor, or the one it shows."""

from __future__ import annotations

from syncterm.actions import CONNECTOR_MENU
from syncterm.screens.menus import MenuScreen


class ActingScreen(MenuScreen):
    """Says which connectors; `ConnectorActions` does the rest."""

    MENU = CONNECTOR_MENU

    def _start(self, action: str) -> None:
        # The ids as they are at the key press; what happens meanwhile changes nothing.
        actions = self.dashboard.connector_actions
        actions.start(getattr(actions, action)(tuple(self.targets())))

    def action_sync_now(self) -> None:
        self._start("sync_now")

    def action_cancel(self) -> None:
        self._start("cancel")

    def action_toggle_pause(self) -> None:
        self._start("toggle_pause")

    def action_edit(self) -> None:
        self._start("edit")

    def action_edit_schedule(self) -> None:
        self._start("edit_schedule")

    def action_refresh_source(self) -> None:
        self._start("refresh_source")

    def action_approve_deletes(self) -> None:
        self._start("approve_deletes")

    def action_why(self) -> None:
        self._start("why")

    def action_historical_resync(self) -> None:
        self._start("historical_resync")

    def action_approve_schema(self) -> None:
        self._start("approve_schema")

    def action_delete(self) -> None:
        self._start("delete")
