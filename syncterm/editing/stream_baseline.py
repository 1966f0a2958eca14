"""What edits of streams stand on: what the source offers, and what is saved of a connector's streams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from syncterm.engine.drafts import CatalogEntry
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import StreamConfig
from syncterm.engine.stored_streams import StoredStreams

FIELDS = tuple(field for field in StreamConfig.__slots__ if field != "name")


class Baseline:
    """Immutable. Of thousands of streams it takes a few milliseconds to make: make it in a thread.

    Args:
        entries: what the source offers, in its order.
        saved: the selected streams as saved, in their order.
        unselected: set-ups of streams that are not selected; they come back when one is.
        applied: streams with a set-up that the source does not offer, with as many columns as were last synced.
    """

    def __init__(
        self,
        entries: Iterable[CatalogEntry] = (),
        saved: Mapping[str, StreamConfig] | Iterable[StreamConfig] = (),
        *,
        unselected: Mapping[str, StreamConfig] | Iterable[StreamConfig] = (),
        applied: Iterable[CatalogEntry] = (),
    ) -> None:
        self.offered: Mapping[str, CatalogEntry] = {entry.name: entry for entry in entries}
        self.saved = _by_name(saved)
        self.unselected = _by_name(unselected)
        self.selected = frozenset(self.saved)
        known = {entry.name: entry for entry in applied}
        missing = {
            name: known.get(name) or CatalogEntry(name, 0)
            for configs in (self.saved, self.unselected)
            for name in configs
            if name not in self.offered
        }
        self.entries: Mapping[str, CatalogEntry] = {**self.offered, **missing}
        """Every stream: those that the source offers, then those that only the connector knows."""
        self.folded = tuple((name, name.casefold()) for name in self.entries)
        self.barred = _barred(self.entries)
        """Streams that no connector can name → why."""
        self.tables: Mapping[str, str] = {**_tables(self.unselected), **_tables(self.saved)}
        """The tables of those streams that do not go to one of their own name."""

    def config(self, name: str) -> StreamConfig | None:
        """The set-up that is kept of a stream, selected or not; None where there is none."""
        return self.saved.get(name) or self.unselected.get(name)


def _barred(names: Iterable[str]) -> Mapping[str, str]:
    doubtful = [name for name in names if not (name.isascii() and name.isprintable() and name.strip() and len(name) <= _SHORT)]
    return {name: why for name in doubtful if (why := _why_barred(name))}


def _why_barred(name: str) -> str:
    # These load the document's models: not before the first paint.
    from syncterm.engine.connector_rules import check_name
    from syncterm.engine.document import LONGEST_STREAM

    try:
        check_name(name, "Its name", LONGEST_STREAM)
    except ConfigError as error:
        return error.message
    return ""


_SHORT = 100  # characters that need no closer look


def _by_name(configs: Mapping[str, StreamConfig] | Iterable[StreamConfig]) -> Mapping[str, StreamConfig]:
    return configs if isinstance(configs, Mapping) else {config.name: config for config in configs}


def _tables(configs: Mapping[str, StreamConfig]) -> dict[str, str]:
    if isinstance(configs, StoredStreams):
        return configs.tables()
    return {name: config.table for name, config in configs.items() if config.table is not None}


def merged(old: StreamConfig, new: StreamConfig, onto: StreamConfig) -> StreamConfig:
    """What differs between `old` and `new`, done to a third set-up of the same stream."""
    if onto is old or onto == old:
        return new
    return replace(onto, **{field: getattr(new, field) for field in differing(old, new)})


def differing(one: StreamConfig, other: StreamConfig) -> tuple[str, ...]:
    """The fields in which two set-ups differ."""
    return tuple(field for field in FIELDS if getattr(one, field) != getattr(other, field))
