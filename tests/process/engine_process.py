"""Real `syncterm engine` processes, and the store as an outsider reads it."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from syncterm.engine.document import load_document
from syncterm.engine.engine import Engine
from syncterm.engine.failpoint import VARIABLE
from syncterm.engine.host import EngineHost
from syncterm.engine.model import Actor, Role
from syncterm.engine.operation_results import IfRunning
from syncterm.engine.workspace import Workspace

T = TypeVar("T")

PATIENCE = 40.0
"""Seconds until a condition is given up."""
TESTER = Actor("tester", Role.ADMINISTRATOR)
_LOOK = 0.02
_numbers = itertools.count(1)


def wait_until(condition: Callable[[], T], what: str | Callable[[], str], timeout: float = PATIENCE) -> T:
    """Wait until `condition` gives something true; that something. `what` names it, where it does not come."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:.0f} s: {what() if callable(what) else what}")
        time.sleep(_LOOK)
    return found


class EngineProcess:
    """`syncterm engine` on a workspace.

    Args:
        failpoint: where it ends or freezes itself; see `syncterm.engine.failpoint`.
    """

    def __init__(self, folder: Path, *, failpoint: str | None = None) -> None:
        environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
        if failpoint is not None:
            environment[VARIABLE] = failpoint
        self.errors_path = folder / f"engine-{next(_numbers)}.stderr"
        with self.errors_path.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "syncterm", "--home", str(folder), "engine"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def said(self, text: str) -> bool:
        """Whether it has written a text to its standard error stream."""
        return text in self.errors_path.read_text()

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.process.kill()
        self.process.wait()

    def ended(self, timeout: float = PATIENCE) -> int:
        """Wait for the end; the exit status, negative for a signal."""
        return self.process.wait(timeout)


Starter = Callable[..., EngineProcess]
"""`start(folder, failpoint=None)`; see the fixture `start`."""


@contextmanager
def engine_processes() -> Iterator[Starter]:
    """Starts engines; whatever is left of them at the end is killed."""
    started: list[EngineProcess] = []

    def start(folder: Path, *, failpoint: str | None = None) -> EngineProcess:
        started.append(EngineProcess(folder, failpoint=failpoint))
        return started[-1]

    try:
        yield start
    finally:
        for engine in started:
            if engine.process.poll() is None:
                engine.kill()


def state_of(pid: int) -> str:
    """The state of a process as `ps` tells it: T where it is frozen."""
    return subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout.strip()[:1]


def store_rows(folder: Path, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """Rows of a query on a workspace's store, read by plain SQLite beside the engines."""
    with closing(sqlite3.connect(f"file:{Workspace(folder).store_path}?mode=ro", uri=True, timeout=30)) as connection:
        return connection.execute(sql, arguments).fetchall()


def store_value(folder: Path, sql: str, *arguments: Any) -> Any:
    """The first column of the first row; None where there is no row."""
    rows = store_rows(folder, sql, *arguments)
    return rows[0][0] if rows else None


class Console:
    """Somebody who gives commands, in a process of their own, on a store that other processes' engines work on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._host = EngineHost(Workspace(folder), execute=False)
        self._host.start()
        self._host.wait_ready()

    def apply(self, text: str) -> None:
        self._host.call_and_wait(lambda engine: engine.operations.apply(TESTER, load_document(text)))

    def call(self, function: Callable[[Engine, Actor], Awaitable[T]]) -> T:
        """What an operation of the engine gives."""
        return self._host.call_and_wait(lambda engine: function(engine, TESTER))

    def connector_id(self, name: str) -> str:
        return str(store_value(self.folder, "select id from connectors where name = ? and deleted_at is null", name))

    def sync(self, name: str) -> str:
        """Ask for a sync; its id."""
        connector_id = self.connector_id(name)
        (result,) = self._host.call_and_wait(
            lambda engine: engine.operations.sync_now(TESTER, [connector_id], if_running=IfRunning.QUEUE)
        )
        assert result.done, result.message
        return str(store_value(self.folder, "select id from syncs where connector_id = ? order by rowid desc", connector_id))

    def close(self) -> None:
        assert self._host.stop()

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def wait_for_lease(folder: Path, engine: EngineProcess, timeout: float = PATIENCE) -> None:
    """Wait until an engine executes."""
    wait_until(lambda: store_value(folder, "select pid from lease") == engine.pid, "the engine holds the lease", timeout)


def make_due(folder: Path) -> int:
    """Make every connector due a second ago; that instant, in milliseconds since 1970."""
    due = int((time.time() - 1) * 1000)
    with closing(sqlite3.connect(Workspace(folder).store_path, timeout=30)) as connection, connection:
        connection.execute("update connectors set next_fire_at = ?", (due,))
    return due


def wait_completed(folder: Path, sync_id: str, timeout: float = PATIENCE) -> None:
    """Wait until a sync is completed."""

    def completed() -> bool:
        return bool(store_value(folder, "select state = 'completed' from syncs where id = ?", sync_id))

    def found() -> str:
        tables = {"syncs": "id", "attempts": "sync_id", "log_lines": "sync_id"}
        return f"sync completed; {[store_rows(folder, f'select * from {t} where {c} = ?', sync_id) for t, c in tables.items()]}"

    wait_until(completed, found, timeout)
