"""A full screen whose keys act on rows: on the marked ones, the one under the cursor, or the one it shows; with their menu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from syncterm.actions import ACTIONS, keys_of
from syncterm.screens.base import DashboardScreen
from syncterm.screens.menu import Choice, Menu


class MenuScreen(DashboardScreen):
    """Says which rows, and what their menu offers."""

    MENU: ClassVar[tuple[str, ...]]
    """The actions of the menu, in order."""

    def targets(self) -> Sequence[str]:
        """The ids that an action applies to now."""
        raise NotImplementedError

    def menu_title(self) -> str:
        """What the actions menu acts on."""
        raise NotImplementedError

    def wording(self, action: str) -> str:
        """What an action is called here and now."""
        return ACTIONS[action].title

    def action_menu(self) -> None:
        keymap = self.dashboard.settings.keymap
        choices = []
        for name in self.MENU:
            spec = ACTIONS[name]
            reason = "" if self.check_action(name, ()) else self.full_reason_against(spec) or "Not in a read-only dashboard."
            choices.append(Choice(name, self.wording(name), keys_of(spec, keymap)[0], reason=reason))

        async def chosen(name: str | None) -> None:
            if name is not None:
                await self.perform(name)

        self.app.push_screen(Menu(self.menu_title(), choices, self.dashboard.glyphs), chosen)

    # --- Undo, of whatever was deleted last

    def reason_against_undo(self) -> str:
        """Why nothing can be brought back now; empty where something can."""
        now = self.dashboard.now()
        return "" if self.dashboard.last_deletion.can_be_undone(now) else "Nothing was deleted in the last ten minutes."

    def action_undo(self) -> None:
        actions = self.dashboard.connector_actions
        actions.start(actions.undo())
