"""PostgreSQL as a destination: tables of one schema, every load in the one transaction that also moves the cursor.

How rows arrive, by COPY:
    replace  into a new table, which takes the old one's place and grants; where something depends on the old table (a view, a
             foreign key, an index, a policy, …) it stays, and its rows are exchanged
    append   straight into the table
    upsert   into a table of the transaction's own, and from there by INSERT … ON CONFLICT, the latest version of each key only

Readers see the old rows until the commit, and everything after it. The stream's state row is the last thing that a transaction
writes: it holds the epoch (an older engine is refused there) and the count of loads (so that a commit whose answer was lost is
noticed by the next attempt, and never repeated).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from syncterm.engine.destinations.base import STATE_TABLE, Destination, DestinationCapabilities, LoadTarget, StreamState
from syncterm.engine.destinations.rules import STATE_COLUMNS, StateRow, check_epoch, check_key
from syncterm.engine.errors import (
    ConfigError,
    DestinationBusyError,
    DestinationError,
    DestinationUnavailableError,
    PermissionDeniedError,
)
from syncterm.engine.model import CheckStep, SyncMode
from syncterm.engine.postgres import PostgresConfig, Side, check_name, quote_name, quote_text
from syncterm.engine.postgres_session import Session

if TYPE_CHECKING:
    from asyncpg import Connection

    from syncterm.engine.destinations.postgres_load import PostgresLoad

SIDE = Side(unavailable=DestinationUnavailableError, failed=DestinationError, missing=DestinationError, busy=DestinationBusyError)
RESERVED = "_syncterm_"
"""What syncterm's own tables, columns and indexes begin with."""
LOCK_TIMEOUT = 30
"""Seconds to wait for a lock."""
IDLE_TIMEOUT = 120
"""Seconds after which the server ends a transaction whose client has gone silent, so that its locks do not outlive it."""
BEGIN = (
    "BEGIN; SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres';"
    f" SET LOCAL lock_timeout = '{LOCK_TIMEOUT}s'; SET LOCAL idle_in_transaction_session_timeout = '{IDLE_TIMEOUT}s'"
)
"""One way to read every value, whatever the server, the database or the role are set to."""
_STATE_DDL = (
    "connector_id text NOT NULL, stream text NOT NULL, table_name text NOT NULL, epoch bigint NOT NULL, sync_id text NOT NULL,"
    " cursor text, loads bigint NOT NULL, rows bigint NOT NULL, made_table boolean NOT NULL, PRIMARY KEY (connector_id, stream)"
)
_MAKE_ATTEMPTS = 3


class PostgresDestination(Destination):
    """Tables in a PostgreSQL database (12 or newer)."""

    type: ClassVar[str] = "postgres"
    title: ClassVar[str] = "PostgreSQL"
    summary: ClassVar[str] = "Tables in a PostgreSQL database"
    Config = PostgresConfig
    capabilities: ClassVar[DestinationCapabilities] = DestinationCapabilities(transactions=True, upsert=True, deletes=True)

    config: PostgresConfig

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        self.session = Session(config, SIDE)

    def check(self) -> Iterator[CheckStep]:
        started = time.monotonic()
        check_name("schema", self.config.schema_name)
        yield CheckStep("Initiate test", True, time.monotonic() - started, self.config.place)
        started = time.monotonic()
        with self.session.connection() as connection:
            yield CheckStep("Authentication check", True, time.monotonic() - started, f"as {self.config.user!r}")
            started = time.monotonic()
            version = self.session.fetch(connection, "SELECT current_setting('server_version') AS version")[0]["version"]
            yield CheckStep("Connectivity test", True, time.monotonic() - started, f"PostgreSQL {version}")
            started = time.monotonic()
            detail = self._check_permissions(connection)
            yield CheckStep("Permission check", True, time.monotonic() - started, detail)

    def _check_permissions(self, connection: Connection) -> str:
        schema, user = self.config.schema_name, self.config.user
        row = self.session.fetch(
            connection,
            "SELECT n.oid IS NOT NULL AS found, coalesce(has_schema_privilege(n.oid, 'USAGE'), false) AS usable,"
            " coalesce(has_schema_privilege(n.oid, 'CREATE'), false) AS creates,"
            " has_database_privilege(current_database(), 'CREATE') AS makes, pg_is_in_recovery() AS standby"
            " FROM (VALUES (1)) AS one (n) LEFT JOIN pg_namespace AS n ON n.nspname = $1",
            schema,
        )[0]
        if row["standby"]:
            raise ConfigError(f"{self.config.place}: the server is a standby, nothing can be written.", remedy="Use the primary.")
        if row["found"] and row["usable"] and row["creates"]:
            return f"can create tables in schema {schema!r}"
        if not row["found"] and row["makes"]:
            return f"schema {schema!r} does not exist yet; the first sync makes it"
        right = f"CREATE on schema {schema!r}" if row["found"] else f"CREATE on database {self.config.database!r}"
        raise PermissionDeniedError(
            f"{self.config.place}: the user lacks {right}, so no table can be made.", remedy=f"Grant {right} to {user!r}."
        )

    def state(self, connector_id: str, collection: str) -> dict[str, StreamState]:
        schema = self.schema(collection)
        with self.session.connection() as connection:
            if not self.has_state(connection, schema):
                return {}
            # A commit whose answer was lost may still be under way: it holds its row's lock until it has ended either way.
            self.session.execute(connection, BEGIN)
            rows = self.read_state(connection, schema, f"WHERE connector_id = {quote_text(connector_id)} FOR SHARE")
            self.session.execute(connection, "COMMIT")
        return {row.stream: StreamState(row.stream, row.epoch, row.sync_id, row.cursor, row.loads) for row in rows if row.loads}

    def open(self, target: LoadTarget) -> PostgresLoad:
        from syncterm.engine.destinations.postgres_load import PostgresLoad

        _check_target(target)
        schema = self.schema(target.collection)
        self.raise_if_interrupted()
        connection = self.session.acquire()
        try:
            load = PostgresLoad(self, connection, schema, target)
            load.expected_loads = self._claim(connection, schema, target, load)
            load.add_columns()
        except BaseException:
            self.session.cut(connection)
            raise
        return load

    def release(self, connector_id: str, collection: str) -> None:
        schema = self.schema(collection)
        with self.session.connection() as connection:
            if self.has_state(connection, schema):
                where = f"WHERE connector_id = {quote_text(connector_id)}"
                self.session.execute(connection, f"{BEGIN}; DELETE FROM {state_table(schema)} {where}; COMMIT")

    def interrupt(self) -> None:
        super().interrupt()
        self.session.interrupt()

    def close(self) -> None:
        self.session.close()

    def schema(self, collection: str) -> str:
        """The schema that a collection means. Raises: ConfigError: where it cannot be one."""
        name = collection or self.config.schema_name
        check_name("schema", name)
        return name

    def has_state(self, connection: Connection, schema: str) -> bool:
        """Whether the schema has a state table."""
        found = self.session.fetch(
            connection,
            "SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
            schema,
            STATE_TABLE,
        )
        return bool(found)

    def read_state(self, connection: Connection, schema: str, rest: str = "") -> list[StateRow]:
        """State rows of a schema that has a state table."""
        rows = self.session.fetch(connection, f"SELECT {STATE_COLUMNS} FROM {state_table(schema)} {rest}")
        return [StateRow(*row) for row in rows]

    def _claim(self, connection: Connection, schema: str, target: LoadTarget, load: PostgresLoad) -> int:
        """Write the target's epoch into the stream's state row, durably, before any row is read; how many loads it has seen.

        Raises:
            StaleEpochError: where a newer epoch is there.
        """
        if not load.has_state:
            self._make_state(connection, schema)
        row = ", ".join(quote_text(value) for value in (target.connector_id, target.stream, target.table))
        self.session.execute(connection, BEGIN)
        rows = self.session.fetch(
            connection,
            f"INSERT INTO {state_table(schema)} AS state VALUES ({row}, {target.epoch}, {quote_text(target.sync_id)}, NULL, 0, 0,"
            f" {load.made_table}) ON CONFLICT (connector_id, stream) DO UPDATE SET epoch = greatest(state.epoch, excluded.epoch)"
            " RETURNING epoch, loads",
        )
        self.session.execute(connection, "COMMIT")
        check_epoch(target, rows[0]["epoch"])
        loads: int = rows[0]["loads"]
        return loads

    def _make_state(self, connection: Connection, schema: str) -> None:
        """Make a state table, and its schema where it is missing.

        Others may do the same at the same time: who comes too late is told that it exists, and looks again.
        """
        for attempt in range(1, _MAKE_ATTEMPTS + 1):
            made = self.session.fetch(connection, "SELECT 1 FROM pg_namespace WHERE nspname = $1", schema)
            create = "" if made else f" CREATE SCHEMA {quote_name(schema)};"
            try:
                self.session.execute(connection, f"{BEGIN};{create} CREATE TABLE {state_table(schema)} ({_STATE_DDL}); COMMIT")
            except DestinationError:
                self.session.execute(connection, "ROLLBACK")
                if self.has_state(connection, schema):
                    return
                if attempt == _MAKE_ATTEMPTS:
                    raise
            else:
                return


def state_table(schema: str) -> str:
    """The quoted name of a schema's state table."""
    return f"{quote_name(schema)}.{quote_name(STATE_TABLE)}"


def _check_target(target: LoadTarget) -> None:
    """Refuse names that cannot be kept or are syncterm's own, and upserts without a key. Raises: ConfigError."""
    check_name("table", target.table)
    for field in target.fields:
        check_name("column", field.name)
    for kind, name in [("table", target.table), *(("column", field.name) for field in target.fields)]:
        if name.startswith(RESERVED):
            raise ConfigError(
                f"The {kind} name {name!r} begins with {RESERVED!r}, which syncterm keeps for itself.",
                remedy=f"Choose another {kind} name.",
            )
    if target.sync_mode is SyncMode.INCREMENTAL_UPSERT:
        check_key(target)
