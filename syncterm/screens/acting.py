"""A full screen whose keys act on connectors: on the marked ones, the one under the cursor, or the one it shows."""

from __future__ import annotations

from collections.abc import Sequence

from syncterm.actions import ACTIONS, CONNECTOR_MENU, keys_of
from syncterm.screens.base import DashboardScreen
from syncterm.screens.menu import Choice, Menu


class ActingScreen(DashboardScreen):
    """Says which connectors; `ConnectorActions` does the rest."""

    def targets(self) -> Sequence[str]:
        """The ids of the connectors that an action applies to now."""
        raise NotImplementedError

    def menu_title(self) -> str:
        """What the actions menu acts on."""
        raise NotImplementedError

    def wording(self, action: str) -> str:
        """What an action is called here and now."""
        return ACTIONS[action].title

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

    def action_historical_resync(self) -> None:
        self._start("historical_resync")

    def action_delete(self) -> None:
        self._start("delete")

    def action_menu(self) -> None:
        keymap = self.dashboard.settings.keymap
        choices = []
        for name in CONNECTOR_MENU:
            spec = ACTIONS[name]
            reason = "" if self.check_action(name, ()) else self.full_reason_against(spec) or "Not in a read-only dashboard."
            choices.append(Choice(name, self.wording(name), keys_of(spec, keymap)[0], reason=reason))

        async def chosen(name: str | None) -> None:
            if name is not None:
                await self.perform(name)

        self.app.push_screen(Menu(self.menu_title(), choices, self.dashboard.glyphs), chosen)
