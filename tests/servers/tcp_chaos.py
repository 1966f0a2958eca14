"""A TCP proxy that misbehaves on demand: it stalls, resets, or swallows the answer to a chosen message."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PIECE = 64 * 1024


class ChaosProxy:
    """Forwards connections from a free port of 127.0.0.1 to a server; use `chaos_proxy`.

    The attributes may be set at any time; they hold for bytes that pass from then on.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.silent = False
        """Accept connections, and then do nothing at all with them."""
        self.stall_after: int | None = None
        """Bytes of a connection's answers after which nothing passes any more, either way; the connection stays."""
        self.reset_after: int | None = None
        """Bytes of a connection's answers after which it is reset."""
        self.lose_answer_to: bytes | None = None
        """A message that is still delivered; its answer is not, the client's connection is reset instead."""
        self.lose_message: bytes | None = None
        """A message at whose sight both connections are reset, undelivered."""
        self.accepted = threading.Event()
        """A connection has come in."""
        self.stalled = threading.Event()
        """A connection has been stalled."""
        self._closed = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Cut everything."""
        with self._lock:
            self._closed.set()
            kept = {*self._sockets, self._listener}
        for open_socket in kept:
            _cut(open_socket)

    def _keep(self, open_socket: socket.socket) -> None:
        """Remember a socket for `close`; one that comes too late for that is cut at once."""
        with self._lock:
            self._sockets.add(open_socket)
            late = self._closed.is_set()
        if late:
            _cut(open_socket)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._keep(client)
            self.accepted.set()
            if self.silent:
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                _reset(client)
                continue
            self._keep(server)
            halted = threading.Event()
            threading.Thread(target=self._ask, args=(client, server, halted), daemon=True).start()
            threading.Thread(target=self._answer, args=(client, server, halted), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket, halted: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(_PIECE):
                if halted.is_set():
                    self._closed.wait()
                if self.lose_message is not None and self.lose_message in data:
                    _reset(client)
                    _reset(server)
                    return
                lost = self.lose_answer_to is not None and self.lose_answer_to in data
                server.sendall(data)
                if lost:
                    halted.set()
                    server.recv(1, socket.MSG_PEEK)  # the answer is there, so the server is done
                    _reset(client)
                    return
            server.shutdown(socket.SHUT_WR)

    def _answer(self, client: socket.socket, server: socket.socket, halted: threading.Event) -> None:
        passed = 0
        with suppress(OSError):
            while server.recv(1, socket.MSG_PEEK):
                if halted.is_set():
                    self._closed.wait()
                if self.stall_after is not None and passed >= self.stall_after:
                    halted.set()
                    self.stalled.set()
                    self._closed.wait()
                if self.reset_after is not None and passed >= self.reset_after:
                    _reset(client)
                    _reset(server)
                    return
                data = server.recv(_PIECE)
                passed += len(data)
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)


def _cut(open_socket: socket.socket) -> None:
    with suppress(OSError):
        open_socket.shutdown(socket.SHUT_RDWR)
    open_socket.close()


def _reset(open_socket: socket.socket) -> None:
    """Close with RST instead of FIN."""
    with suppress(OSError):
        open_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        open_socket.shutdown(socket.SHUT_RD)
    open_socket.close()


@contextmanager
def chaos_proxy(host: str, port: int) -> Iterator[ChaosProxy]:
    """A proxy in front of a server, gone at the end of the block."""
    proxy = ChaosProxy(host, port)
    try:
        yield proxy
    finally:
        proxy.close()
