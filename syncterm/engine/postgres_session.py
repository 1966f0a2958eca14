"""Connections to PostgreSQL for adapters that block: asyncpg on an event loop of its own.

Each adapter has one loop, in a thread of its own: the engine's and the screens' loops never wait for a database, and `interrupt`
works from any thread, whatever the server or the network does.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from syncterm.engine.adapters import CONNECT_TIMEOUT, READ_TIMEOUT
from syncterm.engine.errors import CancelledSyncError, SynctermError
from syncterm.engine.postgres import PostgresConfig, Side, explain, tls_context
from syncterm.engine.postgres_copy import begin_copy_in, begin_copy_out

if TYPE_CHECKING:
    from asyncpg import Connection

logger = logging.getLogger(__name__)

INTERRUPT_GRACE = 0.3
"""Seconds after an interrupt in which the server is asked to cancel, before the connection is cut."""
ROLLBACK_TIMEOUT = 1.0
"""Seconds for a rollback, before the connection is cut."""
CLOSE_TIMEOUT = 2.0
"""Seconds for a goodbye."""
# After these the server or the network closes a connection whose other end does not answer.
_KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPALIVE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 60_000}
"""Socket options, where the system has them: seconds, a count, milliseconds. A peer that vanished is noticed within a minute."""

_T = TypeVar("_T")


class _Loop(asyncio.SelectorEventLoop):
    """An event loop whose connections notice a vanished peer, and whose name lookups hold up nobody."""

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        transport, protocol = await super().create_connection(*args, **options)
        connected = transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEPALIVE.items():
                option = getattr(socket, name, None)
                if option is not None:
                    connected.setsockopt(socket.IPPROTO_TCP, option, value)
        return transport, protocol

    async def getaddrinfo(self, *args: Any, **options: Any) -> Any:
        """In a daemon thread, so that a resolver that hangs does not hold up the end of the process."""
        answer = self.create_future()

        def settle(result: Any, error: BaseException | None) -> None:
            if not answer.done():
                answer.set_exception(error) if error else answer.set_result(result)

        def resolve() -> None:
            result: Any = None
            failure: BaseException | None = None
            try:
                result = socket.getaddrinfo(*args, **options)
            except OSError as error:
                failure = error
            with suppress(RuntimeError):  # the loop has been closed in the meantime
                self.call_soon_threadsafe(settle, result, failure)

        threading.Thread(target=resolve, name="resolve host name", daemon=True).start()
        return await answer


class Session:
    """The connections of one adapter, on an event loop of its own.

    Every method may be called from any thread and blocks it, but for `interrupt` and `cut`.
    """

    def __init__(self, config: PostgresConfig, side: Side) -> None:
        self.config = config
        self.side = side
        self._lock = threading.Lock()
        self._loop: _Loop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._interrupted = False
        self._broken = False
        """Whether the interrupt has reached the loop."""
        self._open: set[Connection] = set()
        """Every connection; touched on the loop only."""
        self._idle: list[Connection] = []

    @contextmanager
    def typed_errors(self) -> Iterator[None]:
        """Turn errors of asyncpg, the network and TLS into ours. Raises: SynctermError."""
        import asyncpg

        try:
            yield
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            if self._interrupted:
                raise CancelledSyncError("The sync was cancelled.") from None
            raise explain(error, self.config, self.side) from None

    def run(self, coroutine: Coroutine[Any, Any, _T], timeout: float | None = None) -> _T:
        """Run a coroutine on the loop and wait for it, at most `timeout` seconds.

        Raises:
            CancelledSyncError: once `interrupt` has been called.
            TimeoutError: naming the seconds.
        """
        loop = self._started()
        if loop is None:
            coroutine.close()
            raise CancelledSyncError("The connection has been closed.")
        future = asyncio.run_coroutine_threadsafe(self._guard(coroutine, timeout), loop)
        try:
            return future.result()
        except CancelledError:
            coroutine.close()  # it may never have begun
            raise CancelledSyncError("The sync was cancelled.") from None

    async def _guard(self, coroutine: Coroutine[Any, Any, _T], timeout: float | None) -> _T:
        if self._interrupted:
            coroutine.close()
            raise asyncio.CancelledError
        try:
            async with asyncio.timeout(timeout):
                return await coroutine
        except TimeoutError as error:
            raise TimeoutError(str(error) or f"nothing came for {timeout or 0:g} s") from None

    def _started(self) -> _Loop | None:
        """The running loop; None once closed."""
        with self._lock:
            if self._loop is None and not self._closed:
                self._loop = _Loop()
                self._loop.set_exception_handler(_log_quietly)
                self._thread = threading.Thread(target=self._loop.run_forever, name="postgres", daemon=True)
                self._thread.start()
            return self._loop

    def acquire(self) -> Connection:
        """A connection for this caller alone; `release` it, or `cut` it.

        Raises:
            SynctermError: typed, as `explain` says.
        """
        with self.typed_errors():
            return self.run(self._acquire())

    async def _acquire(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                connection = await self._connect()
        except TimeoutError:
            raise TimeoutError(f"no connection within {CONNECT_TIMEOUT:g} s") from None
        self._open.add(connection)
        return connection

    async def _connect(self) -> Connection:
        """Everything is passed explicitly, so that neither the environment nor files of the home folder change what is reached."""
        import asyncpg

        config = self.config
        options = {
            "host": config.host,
            "port": config.port,
            "database": config.database,
            "user": config.user,
            "password": config.password.get_secret_value() if config.password else "",
            "direct_tls": False,
            "target_session_attrs": "any",
            "statement_cache_size": 0,  # prepared statements do not survive a pooler
            "server_settings": {"application_name": "syncterm"},
            "timeout": 2 * CONNECT_TIMEOUT,
        }
        context = None if config.host.startswith("/") else tls_context(config)
        try:
            return await asyncpg.connect(**options, ssl=context or False)
        except ConnectionError as error:
            if config.sslmode != "prefer" or "rejected SSL upgrade" not in str(error):
                raise
        return await asyncpg.connect(**options, ssl=False)

    def fetch(self, connection: Connection, sql: str, *arguments: Any, unlimited: bool = False) -> list[Any]:
        """The rows of a query; `unlimited` as in `execute`. Raises: SynctermError."""
        with self.typed_errors():
            rows: list[Any] = self.run(connection.fetch(sql, *arguments), None if unlimited else READ_TIMEOUT)
            return rows

    def execute(self, connection: Connection, sql: str, *, unlimited: bool = False) -> str:
        """Run statements without arguments, several in one go; the last one's tag.

        Args:
            unlimited: for statements whose time depends on the number of rows; else it ends after `READ_TIMEOUT` seconds.

        Raises:
            SynctermError: as `explain` says.
        """
        with self.typed_errors():
            tag: str = self.run(connection.execute(sql), None if unlimited else READ_TIMEOUT)
            return tag

    def copy_out(self, connection: Connection, query: str) -> Iterator[bytes]:
        """The rows of a query as CSV, in chunks of whole rows of about `CHUNK_BYTES`.

        Raises:
            SynctermError: ConnectionTimeoutError where no byte comes for `READ_TIMEOUT` seconds.
        """
        # The server sends one message a row, and asyncpg hands over whole messages, so a chunk never ends within a row.
        with self.typed_errors():
            chunks = self.run(begin_copy_out(connection, query))
            while (chunk := self.run(chunks.get())) is not None:
                if isinstance(chunk, BaseException):
                    raise chunk
                yield chunk

    def copy_in(self, connection: Connection, command: dict[str, Any], pieces: Iterator[bytes]) -> int:
        """Send CSV to a table; the count of rows that the server took.

        Args:
            connection: within a transaction.
            command: arguments of `asyncpg.Connection.copy_to_table`, without its source.
            pieces: its errors reach the caller as they are.

        Raises:
            SynctermError: as `explain` says.
        """
        with self.typed_errors():
            copy = self.run(begin_copy_in(connection, command))
            try:
                for piece in pieces:
                    self.run(copy.put(piece))
                return self.run(copy.finish())
            except BaseException:
                self.cut(connection)
                raise

    def release(self, connection: Connection) -> None:
        """Give a connection back for the next `acquire`, or cut it where it is not as it was."""

        async def put_back() -> None:
            if connection.is_closed() or connection.is_in_transaction():
                self._cut(connection)
            else:
                self._idle.append(connection)

        with suppress(CancelledSyncError):
            self.run(put_back())

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection for this block alone; cut where the block fails. Raises: SynctermError."""
        connection = self.acquire()
        try:
            yield connection
        except BaseException:
            self.cut(connection)
            raise
        self.release(connection)

    def roll_back(self, connection: Connection) -> None:
        """End a connection's transaction and the connection; never raises."""

        async def end() -> None:
            if not connection.is_closed() and connection.is_in_transaction():
                await connection.execute("ROLLBACK")

        with suppress(SynctermError), self.typed_errors():
            self.run(end(), ROLLBACK_TIMEOUT)
        self.cut(connection)

    def cut(self, connection: Connection) -> None:
        """End a connection at once, with whatever it is doing; never raises, never blocks.

        After an interrupt it lives for `INTERRUPT_GRACE` more, so that the server learns that it is to stop.
        """
        if not self._interrupted:
            self._post(self._cut, connection)

    def _cut(self, connection: Connection) -> None:
        self._open.discard(connection)
        connection.terminate()

    def interrupt(self) -> None:
        """End everything that this session does, now and later, with CancelledSyncError. Thread-safe, never blocks."""
        self._interrupted = True
        self._post(self._break)

    def _post(self, callback: Any, *arguments: Any) -> None:
        with self._lock, suppress(RuntimeError):  # closed already
            if self._loop is not None:
                self._loop.call_soon_threadsafe(callback, *arguments)

    def _break(self) -> None:
        """Cancel every task; asyncpg then asks the server to cancel, over a second connection. Cut what is left after a moment."""
        if self._broken:
            return  # the tasks under way now are the ones that ask the server
        self._broken = True
        loop = asyncio.get_running_loop()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.call_later(INTERRUPT_GRACE, self._cut_all)

    def _cut_all(self) -> None:
        for connection in tuple(self._open):
            self._cut(connection)

    def close(self) -> None:
        """End all connections and the loop; may be called more than once."""
        with self._lock:
            self._closed = True
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        self._interrupted = True
        ended = asyncio.run_coroutine_threadsafe(self._farewell(), loop)
        with suppress(TimeoutError):
            ended.result(2 * CLOSE_TIMEOUT)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSE_TIMEOUT)
        if not thread.is_alive():
            loop.close()

    async def _farewell(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in self._idle:
            with suppress(Exception):  # whatever is wrong with it, it is cut below
                async with asyncio.timeout(CLOSE_TIMEOUT / 2):
                    await connection.close()
        if others:
            _, asking = await asyncio.wait(others, timeout=INTERRUPT_GRACE)
            for task in asking:
                task.cancel()
            if asking:
                await asyncio.wait(asking, timeout=INTERRUPT_GRACE)
        self._cut_all()
        await asyncio.sleep(0)  # lets the transports close


def _log_quietly(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Nobody waits for a cancelled task's error any more, and nothing may be written to the terminal."""
    logger.debug("postgres loop: %s", context.get("message"), exc_info=context.get("exception"))
