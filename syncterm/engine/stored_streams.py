"""Set-ups of streams that are made of stored rows when one asks for them: of thousands that are listed few are ever looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from syncterm.engine.model import StreamConfig


class StoredStreams(Mapping[str, StreamConfig]):
    """Stream → its set-up, in the order of the rows. Two are equal where all set-ups are, which is seen on the rows.

    Args:
        rows: stream → its row, with what the set-up is made of in the first places.
        make: makes a set-up of a row.
        places: how many places of a row the set-up is made of.
    """

    def __init__(
        self,
        rows: Mapping[str, Sequence[Any]] | None = None,
        make: Callable[[Any], StreamConfig] | None = None,
        places: int = 0,
    ) -> None:
        self._rows = rows or {}
        self._make = make
        self._places = places
        self._made: dict[str, StreamConfig] = {}

    def __getitem__(self, name: str) -> StreamConfig:
        made = self._made.get(name)
        if made is None:
            row = self._rows[name]
            assert self._make is not None
            made = self._made[name] = self._make(row)
        return made

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StoredStreams):
            return NotImplemented
        places = self._places
        return list(self._rows) == list(other._rows) and all(
            mine is theirs or mine[:places] == theirs[:places]
            for mine, theirs in zip(self._rows.values(), other._rows.values(), strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    def tables(self) -> dict[str, str]:
        """The tables of those streams that do not go to one of their own name."""
        return {name: row.target_table for name, row in self._rows.items() if row.target_table is not None}  # type: ignore[attr-defined]
