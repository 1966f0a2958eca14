"""Which engine executes: one row in the store, kept alive by heartbeats, with an increasing epoch as the fencing token.

No decision depends on the wall clock, which may jump. A holder is taken for dead when its heartbeat count has not moved for
`LEASE_DURATION` seconds of the watcher's monotonic clock, or at once where its process is gone from this machine. A holder
trusts its own lease for `LEASE_DURATION` seconds after the *start* of its last heartbeat, so it always stops before another one
can start; a holder that was frozen finds this out from its monotonic clock, and the destination refuses its epoch besides.
"""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.clock import Clock
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import lease

HEARTBEAT_INTERVAL = 2.0
"""Seconds between two heartbeats."""
LEASE_DURATION = 8.0
"""Seconds without a heartbeat after which a holder has lost."""
_BUSY_LIMIT = 4.0  # seconds a heartbeat waits for a locked store; the next one tries again

_ROW = lease.c.id == 1


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """The engine that executes."""

    holder: str
    epoch: int
    pid: int
    host: str
    user: str
    acquired_at: datetime
    heartbeat_at: datetime
    alive: bool
    """Whether it still counts: its process is there as far as this machine can tell, and it has not gone silent."""


class Lease:
    """One engine's claim on a store.

    Args:
        holder: identifies this engine, unique among all that ever opened the store.
        pid, host, user, scope: where it runs; this process by default. Pids are compared only within the same scope.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        holder: str,
        pid: int | None = None,
        host: str | None = None,
        user: str | None = None,
        scope: str | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._holder = holder
        self._pid = os.getpid() if pid is None else pid
        self._host = socket.gethostname() if host is None else host
        self._user = process_user() if user is None else user
        self._scope = process_scope() if scope is None else scope
        self._renewed = 0.0
        self._seen: tuple[int, int] | None = None
        self._seen_since = 0.0
        self.epoch: int | None = None
        """The fencing token while this engine holds the lease, as far as it knows; None otherwise."""

    async def acquire(self) -> bool:
        """Take the lease where it is free, released, or its holder is dead; call it again every few seconds until it is True.

        Raises:
            StoreError: the store is locked or cannot be written.
        """
        async with self._database.read() as connection:
            row = await _row(connection)
        if not self._takeable(row):
            return False
        started = self._clock.monotonic()
        async with self._database.write(busy_limit=_BUSY_LIMIT) as connection:
            found = await _row(connection)
            if _beat(found) != _beat(row):
                return False
            if found is None:
                await connection.execute(insert(lease).values(id=1, epoch=0))
            epoch = 1 if found is None else found.epoch + 1
            now = self._clock.now()
            values = {
                "epoch": epoch,
                "holder": self._holder,
                "scope": self._scope,
                "pid": self._pid,
                "host": self._host,
                "user_name": self._user,
                "acquired_at": now,
                "beats": lease.c.beats + 1,
                "heartbeat_at": now,
                "expires_at": now + timedelta(seconds=LEASE_DURATION),
            }
            await connection.execute(update(lease).where(_ROW).values(values))
        self.epoch, self._renewed = epoch, started
        return True

    async def heartbeat(self) -> bool:
        """Tell the others that this engine lives. False: another one has taken over, and this one must stop.

        A holder that was silent for too long, but whom nobody has replaced, goes on with the same epoch.

        Raises:
            StoreError: the store is locked or cannot be written; the lease goes on until it runs out.
        """
        if self.epoch is None:
            return False
        started = self._clock.monotonic()
        now = self._clock.now()
        async with self._database.write(durable=False, busy_limit=_BUSY_LIMIT) as connection:
            result = await connection.execute(
                update(lease)
                .where(_ROW, lease.c.epoch == self.epoch, lease.c.holder == self._holder)
                .values(beats=lease.c.beats + 1, heartbeat_at=now, expires_at=now + timedelta(seconds=LEASE_DURATION))
            )
        if not result.rowcount:
            self.epoch = None
            return False
        self._renewed = started
        return True

    def valid(self) -> bool:
        """Whether this engine may still commit, by its monotonic clock and without a look at the store."""
        return self.epoch is not None and self._clock.monotonic() - self._renewed < LEASE_DURATION

    async def release(self) -> None:
        """Let others take over at once; does nothing where the lease is not held.

        Raises:
            StoreError: the store is locked or cannot be written; the lease then runs out by itself.
        """
        if self.epoch is None:
            return
        epoch, self.epoch = self.epoch, None
        async with self._database.write(busy_limit=_BUSY_LIMIT) as connection:
            await connection.execute(
                update(lease)
                .where(_ROW, lease.c.epoch == epoch, lease.c.holder == self._holder)
                .values(holder=None, beats=lease.c.beats + 1, expires_at=self._clock.now())
            )

    async def holder(self) -> LeaseHolder | None:
        """The engine that holds the lease, this one or another; None where it is free."""
        async with self._database.read() as connection:
            return self.describe(await _row(connection))

    def describe(self, row: Any | None) -> LeaseHolder | None:
        """The holder that a row of the lease table names; None where it is free."""
        if row is None or row.holder is None:
            return None
        alive = self.valid() if row.holder == self._holder else not self._takeable(row)
        return LeaseHolder(row.holder, row.epoch, row.pid, row.host, row.user_name, row.acquired_at, row.heartbeat_at, alive)

    def _takeable(self, row: Any | None) -> bool:
        """Whether nobody lives behind that row; remembers how long its heartbeat has not moved."""
        if row is None or row.holder is None:
            return True
        if row.scope == self._scope and not process_exists(row.pid):
            return True
        beat, now = _beat(row), self._clock.monotonic()
        if beat != self._seen:
            self._seen, self._seen_since = beat, now
        return now - self._seen_since >= LEASE_DURATION


def process_exists(pid: int) -> bool:
    """Whether a process of that id runs on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@cache
def process_scope() -> str:
    """What has one set of process ids: this host, and on Linux this boot and this container. 16 hexadecimal digits."""
    parts = [socket.gethostname()]
    for name, read in (("/proc/sys/kernel/random/boot_id", Path.read_text), ("/proc/self/ns/pid", os.readlink)):
        try:
            parts.append(str(read(Path(name))).strip())
        except OSError:
            parts.append("")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def process_user() -> str:
    """The name of the user this process runs as, from its real user id, not from the environment."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _beat(row: Any | None) -> tuple[int, int] | None:
    return None if row is None else (row.epoch, row.beats)


async def _row(connection: AsyncConnection) -> Any | None:
    return (await connection.execute(select(lease).where(_ROW))).first()
