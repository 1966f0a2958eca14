"""Changing the key that seals the store's secrets: a new one, everything sealed again in pieces, then the old ones retired.

Ended at any point, everything stays readable, and the next rotation finishes: the old keys go only in a transaction that has seen
that nothing is sealed with them any more. Whoever seals reads the keys inside its write transaction, so that the two cannot cross.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Table, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.failpoint import reach
from syncterm.engine.key_store import Keys, load_keys, retire_keys, rotate_key
from syncterm.engine.secrets import reseal, sealed_with
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import destinations, source_versions, sources

PIECE = 100
"""Configurations that are sealed again in one transaction."""
_SEALED: Sequence[tuple[Table, Column[Any]]] = (
    (sources, sources.c.id),
    (destinations, destinations.c.id),
    (source_versions, source_versions.c.source_id),
)
"""Tables with sealed configurations, deleted ones included, and the column of the owner that each value is bound to."""
_Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did."""

    active: str
    """Identifier of the new key."""
    configurations: int
    """That were sealed again."""
    lost: int
    """Secrets that no key opened, before or after; they stayed as they were."""


async def rotate(database: Database, key_path: Path, *, in_keyring: bool) -> Rotation:
    """Seal everything with a new key, and drop the old ones.

    Raises:
        ConfigError: the key file or the keyring cannot be used; every secret still opens with the old key.
        StoreError: the store cannot be written; as above.
    """
    keys = await asyncio.to_thread(lambda: rotate_key(key_path, in_keyring=in_keyring))
    reach("rotation-begun")
    resealed, lost, unopened = 0, 0, set[_Key]()
    while True:
        async with database.write() as connection:
            keys = await asyncio.to_thread(load_keys, key_path)
            left = await _sealed_with_old(connection, keys, unopened)
            if not left:
                await asyncio.to_thread(retire_keys, key_path)
                break
            for table, owner, row in left:
                config, failed = reseal(json.loads(row.config), getattr(row, owner.name), keys)
                if failed:
                    lost += failed
                    unopened.add(_key_of(table, row))
                else:
                    resealed += 1
                await connection.execute(update(table).where(_is(table, row)).values(config=json.dumps(config)))
        reach("rotation-piece-sealed")
    reach("rotation-ended")
    return Rotation(keys.active, resealed, lost)


async def _sealed_with_old(
    connection: AsyncConnection, keys: Keys, unopened: Collection[_Key]
) -> list[tuple[Table, Column[Any], Any]]:
    """A piece of the configurations that hold something sealed with another key than the active one."""
    found: list[tuple[Table, Column[Any], Any]] = []
    for table, owner in _SEALED:
        old = [table.c.config.contains(sealed_with(key_id), autoescape=True) for key_id in keys.by_id if key_id != keys.active]
        if not old:
            continue
        rows = await connection.execute(select(table.c.config, *table.primary_key).where(or_(*old)).limit(PIECE + len(unopened)))
        found += [(table, owner, row) for row in rows if _key_of(table, row) not in unopened]
    return found[:PIECE]


def _key_of(table: Table, row: Any) -> _Key:
    return (table.name, *(str(getattr(row, column.name)) for column in table.primary_key))


def _is(table: Table, row: Any) -> Any:
    return and_(*(column == getattr(row, column.name) for column in table.primary_key))
