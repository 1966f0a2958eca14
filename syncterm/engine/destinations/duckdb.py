"""DuckDB: one file, one connection a load, everything in the transaction that carries the cursor.

How rows arrive:
    replace, append  straight into their table, within the transaction that the commit ends; readers see the old rows until then
    upsert           into a temporary table, then older versions of a key are left out, rows of the same keys deleted, and the rest
                     inserted; no primary key index, which costs twice the time and much more memory

The file is open only from `open` to the end of the load, so that other programs can query it in between. DuckDB lets one process
at a time open a file for writing: in another one this ends in `DestinationBusyError`. Within the process, other connections to the
file must have been opened with DuckDB's default configuration (not read-only), which is what this one uses.

Types are kept exactly: every logical type has a DuckDB type of the same range (see `SQL_TYPES`). A `uuid` comes back in its
canonical spelling, lower case with dashes.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict
from pydantic import Field as ConfigField

from syncterm.engine.destinations.base import STATE_TABLE, Destination, DestinationCapabilities, LoadTarget, StreamState
from syncterm.engine.destinations.rules import (
    STATE_COLUMNS,
    StateRow,
    check_epoch,
    check_name,
    check_target,
    disk_full,
    fold,
    quote,
)
from syncterm.engine.errors import (
    CancelledSyncError,
    ConfigError,
    DestinationBusyError,
    DestinationError,
    PermissionDeniedError,
    SynctermError,
)
from syncterm.engine.model import CheckStep
from syncterm.engine.paths import PathConfig, check_path

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from syncterm.engine.destinations.duckdb_load import DuckDBLoad

_HOLDER = re.compile(r"held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")
_STATE_DDL = (
    "(connector_id varchar not null, stream varchar not null, table_name varchar not null, epoch bigint not null,"
    ' sync_id varchar not null, "cursor" varchar, loads bigint not null, "rows" bigint not null, made_table boolean not null)'
)
_claiming = threading.Lock()
"""Claims of one process wait for each other, so that a stream never gets two state rows. Other processes are kept out by DuckDB."""


class DuckDBConfig(PathConfig):
    """Where the rows go."""

    model_config = ConfigDict(populate_by_name=True)

    url_schemes: ClassVar[tuple[str, ...]] = ("file", "duckdb")

    path: str = ConfigField(
        title="Database file",
        description="Made at the first sync where it does not exist.",
        min_length=1,
        json_schema_extra={"path": "new_file", "placeholder": "/data/warehouse.duckdb"},
    )
    schema_name: str = ConfigField(
        default="main", alias="schema", title="Schema", description="Used by connectors that name no collection.", min_length=1
    )


class DuckDBDestination(Destination):
    """A DuckDB database file."""

    type: ClassVar[str] = "duckdb"
    title: ClassVar[str] = "DuckDB"
    summary: ClassVar[str] = "Tables in a DuckDB database file"
    Config = DuckDBConfig
    capabilities: ClassVar[DestinationCapabilities] = DestinationCapabilities(
        transactions=True, upsert=True, deletes=True, parallel_loads=1
    )

    config: DuckDBConfig

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        self._connections: set[DuckDBPyConnection] = set()
        """What is open now; for `interrupt` and `close`."""

    def check(self) -> Iterator[CheckStep]:
        started = time.monotonic()
        path = self.path()
        exists = path.exists()
        if not path.parent.is_dir():
            raise ConfigError(f"The folder {path.parent} does not exist.", remedy="Create it, or correct the path.")
        if not os.access(path.parent, os.W_OK) or (exists and not os.access(path, os.R_OK | os.W_OK)):
            raise PermissionDeniedError(
                f"{path} cannot be written by this user (uid {os.getuid()}).", remedy="Change its permissions."
            )
        yield CheckStep("Initiate test", True, time.monotonic() - started, str(path))
        started = time.monotonic()
        if exists:
            with self.connection(self.connect(path)) as connection:
                version = connection.execute("select version()").fetchall()[0][0]
            detail = f"DuckDB {version}"
        else:
            detail = "The file does not exist yet; the first sync makes it."
        yield CheckStep("Connectivity test", True, time.monotonic() - started, detail)

    def state(self, connector_id: str, collection: str) -> dict[str, StreamState]:
        path = self.path()
        if not path.exists():
            return {}
        with self.connection(self.connect(path)) as connection, self.typed_errors():
            rows = read_state(connection, place(connection, self.schema(collection)))
        return {
            row.stream: StreamState(row.stream, row.epoch, row.sync_id, row.cursor, row.loads)
            for row in rows
            if row.connector_id == connector_id and row.loads
        }

    def open(self, target: LoadTarget) -> DuckDBLoad:
        from syncterm.engine.destinations.duckdb_load import DuckDBLoad

        check_target(target)
        schema = self.schema(target.collection)
        self.raise_if_interrupted()
        connection = self.connect(self.path())
        try:
            with self.typed_errors():
                within = place(connection, schema)
                load = DuckDBLoad(self, connection, within, target)
                self._claim(connection, within, target, load.made_table)
        except BaseException:
            self.disconnect(connection)
            raise
        return load

    def release(self, connector_id: str, collection: str) -> None:
        path = self.path()
        schema = self.schema(collection)
        if not path.exists():
            return
        with self.connection(self.connect(path)) as connection, self.typed_errors():
            within = place(connection, schema)
            if read_state(connection, within):
                connection.execute(f"delete from {within.state_table} where connector_id = ?", [connector_id])

    def interrupt(self) -> None:
        super().interrupt()
        import duckdb

        for connection in tuple(self._connections):
            with suppress(duckdb.Error):  # closed in the meantime
                connection.interrupt()

    def close(self) -> None:
        for connection in tuple(self._connections):
            self.disconnect(connection)

    def path(self) -> Path:
        """The database file. Raises: ConfigError: where it may not be written."""
        return check_path(self.config.path, self.context)

    def schema(self, collection: str) -> str:
        """The schema that a collection means. Raises: ConfigError: where it cannot be one."""
        name = collection or self.config.schema_name
        check_name("schema", name)
        return name

    def connect(self, path: Path) -> DuckDBPyConnection:
        """A connection that can reach no other file, nor variables of this program.

        Raises:
            DestinationBusyError: another process has the file open, or this one has it open in another way.
            ConfigError: the file is not a DuckDB database, or its folder does not exist.
        """
        import duckdb

        if not path.parent.is_dir():
            raise ConfigError(f"The folder {path.parent} does not exist.", remedy="Create it, or correct the path.")
        try:
            if not path.exists():
                _create(path)
            connection = duckdb.connect(str(path))
        except PermissionError as error:
            raise PermissionDeniedError(f"{path} cannot be written: {error.strerror}.", remedy="Change its permissions.") from None
        except duckdb.Error as error:
            raise _connect_error(path, error) from None
        self._connections.add(connection)
        try:
            connection.execute("set enable_external_access = false")
            connection.execute("set python_enable_replacements = false")
        except BaseException:
            self.disconnect(connection)
            raise
        return connection

    def disconnect(self, connection: DuckDBPyConnection) -> None:
        """Roll back what is open and close; never raises, may be called twice."""
        import duckdb

        self._connections.discard(connection)
        with suppress(duckdb.Error):  # whatever is wrong with the connection, it is gone afterwards
            connection.close()

    @contextmanager
    def connection(self, connection: DuckDBPyConnection) -> Iterator[DuckDBPyConnection]:
        """Close the connection at the end."""
        try:
            yield connection
        finally:
            self.disconnect(connection)

    @contextmanager
    def typed_errors(self) -> Iterator[None]:
        """Turn DuckDB's errors into ours.

        Raises:
            CancelledSyncError: where `interrupt` caused it.
            DestinationBusyError: two transactions changed the same thing.
            DestinationError: all else, with DuckDB's own words.
        """
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            if self.interrupted:
                raise CancelledSyncError("The sync was cancelled.") from None
            words = str(error).strip().split("\n\n")[0]
            if "No space left on device" in words:
                raise disk_full(self.config.path) from None
            if isinstance(error, duckdb.TransactionException):
                raise DestinationBusyError(
                    f"Another load changed the same table of {self.config.path} at the same time: {words}", remedy="Try again."
                ) from None
            raise DestinationError(f"DuckDB could not write to {self.config.path}: {words}") from None

    def _claim(self, connection: DuckDBPyConnection, within: Place, target: LoadTarget, made_table: bool) -> None:
        """Write the target's epoch into the stream's state row, durably, before any row is read.

        Raises:
            StaleEpochError: where a newer one is there.
        """
        key = [target.connector_id, target.stream]
        with _claiming:
            connection.begin()
            try:
                connection.execute(f"create schema if not exists {within.quoted}")
                connection.execute(f"create table if not exists {within.state_table} {_STATE_DDL}")
                epochs = connection.execute(
                    f"select epoch from {within.state_table} where connector_id = ? and stream = ?", key
                ).fetchall()
                if not epochs:
                    connection.execute(
                        f"insert into {within.state_table} values (?, ?, ?, ?, ?, null, 0, 0, ?)",
                        [*key, target.table, target.epoch, target.sync_id, made_table],
                    )
                else:
                    check_epoch(target, epochs[0][0])
                    if epochs[0][0] < target.epoch:
                        connection.execute(
                            f"update {within.state_table} set epoch = ? where connector_id = ? and stream = ?",
                            [target.epoch, *key],
                        )
                connection.commit()
            except BaseException:
                roll_back(connection)
                raise


@dataclass(frozen=True, slots=True)
class Place:
    """A schema with its database, without which a schema named like the file would be ambiguous."""

    database: str
    schema: str

    @property
    def quoted(self) -> str:
        return f"{quote(self.database)}.{quote(self.schema)}"

    def table(self, name: str) -> str:
        """The full, quoted name of a table."""
        return f"{self.quoted}.{quote(name)}"

    @property
    def state_table(self) -> str:
        return self.table(STATE_TABLE)

    def has(self, connection: DuckDBPyConnection, name: str) -> bool:
        """Whether it has a table or a view of that name. To ask for one that is missing makes DuckDB look for files of its name."""
        names = connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = $1"
            " union all select schema_name, view_name from duckdb_views() where database_name = $1",
            [self.database],
        ).fetchall()
        return any((fold(schema), fold(found)) == (fold(self.schema), fold(name)) for schema, found in names)


def place(connection: DuckDBPyConnection, schema: str) -> Place:
    """The schema of that name in the file."""
    return Place(connection.execute("select current_database()").fetchall()[0][0], schema)


def roll_back(connection: DuckDBPyConnection) -> None:
    """Roll back; nothing happens where no transaction is open any more."""
    import duckdb

    with suppress(duckdb.Error):
        connection.rollback()


def read_state(connection: DuckDBPyConnection, within: Place) -> list[StateRow]:
    """All state rows of a schema; none where it has no state table."""
    if not within.has(connection, STATE_TABLE):
        return []
    columns = ", ".join(quote(column) for column in STATE_COLUMNS.split(", "))
    return [StateRow(*row) for row in connection.execute(f"select {columns} from {within.state_table}").fetchall()]


def _create(path: Path) -> None:
    """Make an empty database that only its owner can read. DuckDB itself would make it readable by all.

    It is made in a private folder beside its place and moved there whole, so that nobody can open it in between.
    """
    import duckdb

    with tempfile.TemporaryDirectory(prefix=".syncterm-", dir=path.parent) as folder:
        made = Path(folder) / "new.duckdb"
        duckdb.connect(str(made)).close()
        made.chmod(0o600)
        with suppress(FileExistsError):  # another process was faster
            os.link(made, path)


def _connect_error(path: Path, error: Exception) -> SynctermError:
    words = str(error)
    holder = _HOLDER.search(words)
    if holder is not None:
        return DestinationBusyError(
            f"{path} is open in another process: {holder['program']}, PID {holder['pid']}.",
            remedy="DuckDB lets one process at a time write to a file. Close it there.",
        )
    if "Could not set lock" in words:
        return DestinationBusyError(f"{path} is open in another process.", remedy="Close it there.")
    if "different configuration" in words or "Unique file handle conflict" in words:
        return DestinationBusyError(
            f"{path} is open in this process in a way that does not go together with writing.",
            remedy="Try again when that has ended.",
        )
    if "not a valid DuckDB database" in words or "Is a directory" in words:
        return ConfigError(f"{path} is not a DuckDB database.", remedy="Correct the path; syncterm does not overwrite the file.")
    if "Permission denied" in words or "Read-only file system" in words:
        return PermissionDeniedError(f"{path} cannot be written: {words.splitlines()[0]}", remedy="Change its permissions.")
    return DestinationError(f"{path} could not be opened: {words.splitlines()[0]}")
