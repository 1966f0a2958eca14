"""What the screens may ask of the app that shows them. The app is one of these; no screen imports the app."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from textual.app import App
from textual.signal import Signal

from syncterm.engine.errors import SynctermError
from syncterm.engine.events import Change
from syncterm.engine.model import Actor, EndpointKind
from syncterm.settings import ScreenState, Settings
from syncterm.text import Glyphs
from syncterm.themes import Appearance
from syncterm.widgets.header import EngineSummary

if TYPE_CHECKING:
    from syncterm.editing.stream_editing import StreamEditing
    from syncterm.engine.engine import Engine
    from syncterm.engine.host import EngineHost
    from syncterm.screens.base import DashboardScreen
    from syncterm.screens.connector_actions import ConnectorActions
    from syncterm.screens.endpoint_actions import EndpointActions
    from syncterm.screens.row_actions import LastDeletion

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """What a screen shows, in words that outlive it."""

    kind: str = ""
    """`connector`, `source`, `destination` or `sync`; empty for the table of an area."""
    id: str = ""


class Dashboard(App[None], inherit_bindings=False):
    """The app as its screens know it."""

    host: EngineHost
    """The engine on its own thread."""
    settings: Settings
    state: ScreenState
    """What the screens remember between runs."""
    appearance: Appearance
    ascii: bool
    glyphs: Glyphs
    read_only: bool
    actor: Actor
    """Who is at the keyboard; a viewer where the dashboard is read-only."""
    opened: asyncio.Event
    """Set once the store is open."""
    store_error: SynctermError | None
    """Why the store could not be opened."""
    header_hidden: bool
    engine_summary: EngineSummary
    engine_changes: Signal[Change]
    """Published in the screens' loop when rows may have changed."""
    connector_actions: ConnectorActions
    endpoint_actions: EndpointActions
    last_deletion: LastDeletion
    unsaved_edits: dict[str, StreamEditing]
    """Connector → edits of its streams that are not saved: they outlive its screen."""

    def now(self) -> datetime:
        """The present instant by the engine's clock."""
        raise NotImplementedError

    def tick(self) -> None:
        """Show what the passing of time changes: the countdowns."""
        raise NotImplementedError

    async def attempt(self, function: Callable[[Engine], Awaitable[T]]) -> T | None:
        """Call the engine; a failure becomes a toast with its cause and remedy, and None is returned."""
        raise NotImplementedError

    def notify_error(self, error: SynctermError) -> None:
        """Say what failed, why, and what to do next."""
        raise NotImplementedError

    def report(self, error: BaseException | None) -> None:
        """Say what went wrong behind the screens: an error with its remedy, a defect also in the log."""
        raise NotImplementedError

    def remember(self, screen: str, **values: object) -> None:
        """Keep these values for the next start; a failure is said, not fatal."""
        raise NotImplementedError

    def open_connector(self, connector_id: str, *, tab: str = "schema") -> None:
        """Show the connector's own screen over the present one, at that tab."""
        raise NotImplementedError

    def open_endpoint(self, kind: EndpointKind, endpoint_id: str) -> None:
        """Show the screen of a source or a destination over the present one."""
        raise NotImplementedError

    def open_sync(self, sync_id: str) -> None:
        """Show the screen of a sync over the present one."""
        raise NotImplementedError

    def arrived(self, screen: DashboardScreen) -> None:
        """A screen came to the front: it is the present view."""
        raise NotImplementedError

    def set_theme_by_name(self, name: str) -> None:
        """Use a theme and remember it."""
        raise NotImplementedError

    async def run_command(self, action: str, argument: str) -> None:
        """Do what the palette asks for: an action with its argument (an id, a column, a status, a theme, a text)."""
        raise NotImplementedError
