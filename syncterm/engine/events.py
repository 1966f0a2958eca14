"""Events within one process. They carry no truth, only "look now": what is true is in the store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """Rows that may have changed."""

    connector_ids: frozenset[str] | None
    """None: any of them."""
    order_changed: bool
    """Whether rows were added, removed, or may sort differently."""

    def merge(self, other: Change) -> Change:
        """Both changes as one."""
        both = None if self.connector_ids is None or other.connector_ids is None else self.connector_ids | other.connector_ids
        return Change(both, self.order_changed or other.order_changed)


EVERYTHING = Change(None, True)


def changed(connector_ids: Iterable[str], *, order: bool = False) -> Change:
    """A change of those connectors."""
    return Change(frozenset(connector_ids), order)


class Subscription:
    """A callback's registration; `close` ends it."""

    def __init__(self, subscribers: dict[int, Callable[[Change], None]], key: int) -> None:
        self._subscribers = subscribers
        self._key = key

    def close(self) -> None:
        self._subscribers.pop(self._key, None)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Events:
    """Tells subscribers of changes. A failing subscriber is logged and does not disturb the others."""

    def __init__(self) -> None:
        self._subscribers: dict[int, Callable[[Change], None]] = {}
        self._next_key = 0

    def subscribe(self, callback: Callable[[Change], None]) -> Subscription:
        """Call `callback` with every change, in the thread that publishes it, until the subscription is closed."""
        self._next_key += 1
        self._subscribers[self._next_key] = callback
        return Subscription(self._subscribers, self._next_key)

    def publish(self, change: Change) -> None:
        for callback in tuple(self._subscribers.values()):
            try:
                callback(change)
            except Exception:
                logger.exception("A subscriber failed.")
