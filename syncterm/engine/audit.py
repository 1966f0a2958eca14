"""The audit trail: who did what to which object, refused calls included; append-only, each row chained to the one before.

A row's hash covers its number, its content and the hash of the row before, so that editing, inserting or removing a row in the
middle breaks the chain from there on. Removing the newest rows leaves a whole chain: compare `newest` with a copy kept elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.model import Actor
from syncterm.engine.redaction import redact
from syncterm.engine.store.tables import EPOCH, audit_events

_MILLISECOND = EPOCH.resolution * 1000
_PAGE = 1000
_SHORT = 200  # characters of a name; the rest adds nothing to who and what
_HASHED = ("id", "actor", "role", "operation", "object_type", "object_id", "object_name", "refused", "before", "after")


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """What checking the chain found."""

    rows: int
    """Rows that were looked at."""
    broken_id: int | None
    """The first row that is not what was written, or that follows a missing one; None where the chain is whole."""
    newest: str
    """The hash of the newest row: it stands for the whole trail. Empty where there is none."""


async def record(
    connection: AsyncConnection,
    *,
    actor: Actor,
    operation: str,
    object_type: str,
    object_id: str | None = None,
    object_name: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    refused: bool = False,
    now: datetime,
) -> None:
    """Append a row, in the transaction of what it tells of.

    Args:
        connection: a writing one; the store's single writer keeps the chain in order.
        before, after: what changed, as JSON documents; known secrets are masked here as well.
    """
    last = (
        await connection.execute(select(audit_events.c.id, audit_events.c.hash).order_by(audit_events.c.id.desc()).limit(1))
    ).first()
    number, previous = (last.id + 1, last.hash) if last is not None else (1, "")
    row = {
        "id": number,
        "at": now,
        "actor": actor.name[:_SHORT],
        "role": str(actor.role),
        "operation": operation,
        "object_type": object_type,
        "object_id": object_id,
        "object_name": object_name[:_SHORT] if object_name is not None else None,
        "refused": refused,
        "before": _document(before),
        "after": _document(after),
    }
    await connection.execute(insert(audit_events).values(**row, hash=_hash(row, previous)))


async def verify(connection: AsyncConnection) -> AuditCheck:
    """Recompute the chain from its first row."""
    number, previous = 0, ""
    while True:
        rows = (
            await connection.execute(
                select(audit_events).where(audit_events.c.id > number).order_by(audit_events.c.id).limit(_PAGE)
            )
        ).all()
        for row in rows:
            if row.id != number + 1 or row.hash != _hash(row._asdict(), previous):
                return AuditCheck(number, row.id, previous)
            number, previous = row.id, row.hash
        if len(rows) < _PAGE:
            return AuditCheck(number, None, previous)


def _document(document: Mapping[str, Any] | None) -> str | None:
    return None if document is None else redact(json.dumps(document, sort_keys=True, ensure_ascii=False, default=str))


def _hash(row: Mapping[str, Any], previous: str) -> str:
    parts = [previous, (row["at"] - EPOCH) // _MILLISECOND, *(row[name] for name in _HASHED)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
