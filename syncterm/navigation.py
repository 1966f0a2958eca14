"""Where a person is in the dashboard, and how to get elsewhere: the top areas as modes, each with its own stack of screens.

`1` … `3` choose an area, `-` goes to the view before this one and back, the palette goes anywhere by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from syncterm.actions import ACTIONS, Argument
from syncterm.engine.model import EndpointKind
from syncterm.screens.base import DashboardScreen
from syncterm.screens.connectors import ConnectorsScreen
from syncterm.screens.dashboard import Dashboard, Place
from syncterm.screens.table_screen import TableScreen

if TYPE_CHECKING:
    from textual.screen import Screen


def _endpoints(kind: EndpointKind) -> Screen[Any]:
    from syncterm.screens.endpoints import EndpointsScreen

    return EndpointsScreen(kind)


AREAS: Mapping[str, Callable[[], Screen[Any]]] = {
    "connectors": ConnectorsScreen,
    "sources": partial(_endpoints, EndpointKind.SOURCE),
    "destinations": partial(_endpoints, EndpointKind.DESTINATION),
}
"""The top areas: the mode's name, and what makes its table. The action `show_<name>` brings one."""


class Navigation(Dashboard, inherit_bindings=False):
    """The part of the app that moves between screens."""

    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = dict(AREAS)
    DEFAULT_MODE = "connectors"

    _here: tuple[str, Place] = (DEFAULT_MODE, Place())
    """The view in front: its area, and what it shows."""
    _before: tuple[str, Place] | None = None
    """The view before that one."""

    def get_default_screen(self) -> Screen[Any]:
        return AREAS[self.DEFAULT_MODE]()

    # --- Areas

    def show_area(self, name: str) -> None:
        """Bring an area with the screen it was left at; where it is in front already, its table."""
        if name != self.current_mode:
            self.switch_mode(name)
        else:
            self._pop_to(Place())
        self._note_arrival()

    def action_show_connectors(self) -> None:
        self.show_area("connectors")

    def action_show_sources(self) -> None:
        self.show_area("sources")

    def action_show_destinations(self) -> None:
        self.show_area("destinations")

    # --- Views

    def arrived(self, screen: DashboardScreen) -> None:
        if screen is self.screen:
            self._note_arrival()

    def _note_arrival(self) -> None:
        if isinstance(self.screen, DashboardScreen):
            here = (self.current_mode, self.screen.place)
            if here != self._here:
                self._before, self._here = self._here, here

    def action_last_view(self) -> None:
        if self._before is None:
            return
        area, place = self._before
        if area != self.current_mode:
            self.switch_mode(area)
        if not self._pop_to(place):
            self._open(place)
        self._note_arrival()

    def _pop_to(self, place: Place) -> bool:
        """Close what lies over the screen of that place; False where it is not open."""
        stack = self.screen_stack
        places = [screen.place if isinstance(screen, DashboardScreen) else None for screen in stack]
        if place not in places:
            return False
        depth = places.index(place)
        for _ in range(len(stack) - 1 - depth):
            self.pop_screen()
        return True

    def _open(self, place: Place) -> None:
        match place.kind:
            case "connector":
                self.open_connector(place.id)
            case "source" | "destination":
                self.open_endpoint(EndpointKind(place.kind), place.id)
            case "sync":
                self.open_sync(place.id)

    async def action_back(self) -> None:
        if isinstance(self.screen, DashboardScreen):
            self.screen.go_back()
        elif len(self.screen_stack) > 1:
            self.pop_screen()

    def open_connector(self, connector_id: str, *, tab: str = "schema") -> None:
        from syncterm.screens.connector import ConnectorScreen

        self.push_screen(ConnectorScreen(self.host, connector_id, tab=tab))
        self._note_arrival()

    def open_endpoint(self, kind: EndpointKind, endpoint_id: str) -> None:
        from syncterm.screens.endpoint import EndpointScreen

        self.push_screen(EndpointScreen(self.host, kind, endpoint_id))
        self._note_arrival()

    def open_sync(self, sync_id: str) -> None:
        from syncterm.screens.sync_detail import SyncDetailScreen

        self.push_screen(SyncDetailScreen(self.host, sync_id))
        self._note_arrival()

    # --- Commands of the palette

    def action_add_connector(self) -> None:
        self.connector_actions.start(self.connector_actions.add())

    def action_add_source(self) -> None:
        self.endpoint_actions.start(self.endpoint_actions.add(EndpointKind.SOURCE))

    def action_add_destination(self) -> None:
        self.endpoint_actions.start(self.endpoint_actions.add(EndpointKind.DESTINATION))

    async def run_command(self, action: str, argument: str) -> None:
        spec = ACTIONS[action]
        actions = self.connector_actions
        match spec.argument:
            case Argument.CONNECTOR if action in ("open", "logs"):
                self._go("connectors", Place("connector", argument))
                self.open_connector(argument, tab="logs" if action == "logs" else "schema")
            case Argument.CONNECTOR if action == "check":
                actions.start(actions.check(argument))
            case Argument.CONNECTOR:
                actions.start(getattr(actions, action)((argument,)))
            case Argument.SOURCE | Argument.DESTINATION:
                kind = EndpointKind(spec.argument.value)
                self._go(f"{kind}s", Place(kind, argument))
                self.open_endpoint(kind, argument)
            case Argument.THEME:
                self.set_theme_by_name(argument)
            case _:
                table = self.screen_stack[0]
                if isinstance(table, TableScreen):
                    self._pop_to(Place())
                    table.run_view_command(spec.argument, argument)

    def _go(self, area: str, place: Place) -> None:
        """Bring an area, to open a place in it; a screen of that place that is open already makes room."""
        if area != self.current_mode:
            self.switch_mode(area)
        if self._pop_to(place):
            self.pop_screen()
