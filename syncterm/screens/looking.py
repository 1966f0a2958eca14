"""How a screen reads the store: one look at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from textual.css.query import NoMatches

if TYPE_CHECKING:
    from textual.screen import Screen


class Looking:
    """Looks at the store when asked; what is asked for during a look costs one more, however often.

    Args:
        screen: in whose workers it looks; a look that fails is a failed worker of the screen.
        read: reads what the screen shows, and shows it.
    """

    def __init__(self, screen: Screen[Any], read: Callable[[], Awaitable[None]]) -> None:
        self._screen = screen
        self._read = read
        self._looks = False
        self._again = False

    def soon(self) -> None:
        """Look now, or again after the present look."""
        self._again = True
        if not self._looks:
            self._looks = True
            self._screen.run_worker(self._look(), group="look", exit_on_error=False)

    async def _look(self) -> None:
        try:
            while self._again:
                self._again = False
                await self._read()
        except NoMatches:
            return  # the screen was taken down while the store answered
        finally:
            self._looks = False
