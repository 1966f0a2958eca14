"""A full screen whose keys act on sources or destinations of one kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncterm.actions import ENDPOINT_MENU
from syncterm.screens.menus import MenuScreen

if TYPE_CHECKING:
    from syncterm.engine.model import EndpointKind


class EndpointActingScreen(MenuScreen):
    """Says which; `EndpointActions` does the rest."""

    MENU = ENDPOINT_MENU
    kind: EndpointKind

    def action_edit(self) -> None:
        actions = self.dashboard.endpoint_actions
        actions.start(actions.edit(self.kind, self.targets()[0]))

    def action_check(self) -> None:
        actions = self.dashboard.endpoint_actions
        actions.start(actions.check(self.kind, self.targets()[0]))

    def action_delete(self) -> None:
        actions = self.dashboard.endpoint_actions
        actions.start(actions.delete(self.kind, tuple(self.targets())))
