"""Runs the dashboard or a headless engine as a process: terminal, signals, and what goes on when the terminal goes away."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
import threading
from types import FrameType

from syncterm import settings as settings_module
from syncterm.engine.host import EngineHost
from syncterm.engine.workspace import Workspace
from syncterm.log_file import start_logging
from syncterm.output import say

logger = logging.getLogger(__name__)

LEAVING_SIGNALS = (signal.SIGTERM, signal.SIGINT)
SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that computes in Python gives way to one that waits: a key never queues behind several syncs."""


def run_dashboard(
    workspace: Workspace,
    *,
    ascii: bool = False,  # noqa: A002
    read_only: bool = False,
    mouse: bool = True,
    host: EngineHost | None = None,
) -> int:
    """Open the dashboard; the exit code.

    When the terminal goes away, the process goes on as a headless engine, unless `on_disconnect = "stop"`.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        say("The dashboard needs a terminal. `syncterm status` prints the table, `syncterm engine` runs without a screen.")
        return 2
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.disable()  # what is imported and set up stays: the app looks for garbage from then on
    settings = settings_module.load()
    start_logging(workspace)
    from syncterm.app import ExitReason, SyncTermApp
    from syncterm.terminal_driver import TerminalDriver

    host = host or EngineHost(workspace)
    app = SyncTermApp(host, settings, ascii=ascii, read_only=read_only)
    app.driver_class = TerminalDriver
    app.run(mouse=mouse and settings.mouse)
    gc.enable()
    reason = app.exit_reason
    if reason is ExitReason.HANGUP:
        keep_running = settings.on_disconnect is settings_module.OnDisconnect.KEEP_RUNNING
        leaving = _Leaving() if keep_running else None
        _let_go_of_the_terminal()
        if leaving is not None:
            logger.info("The terminal went away; the engine goes on without a screen.")
            return leaving.wait(host)
    stopped = host.stop()
    if not stopped:
        logger.warning("The engine did not stop in time; its syncs resume at the next start.")
    if reason is ExitReason.DETACH:
        say(f"The engine goes on without a screen, as process {_start_engine(workspace)}. `syncterm` shows it again.")
    return app.return_code or 0


def run_engine(workspace: Workspace) -> int:
    """Run the engine without a screen until a signal ends it; the exit code."""
    start_logging(workspace, to_stderr=True)
    leaving = _Leaving()
    host = EngineHost(workspace)
    host.start()
    host.wait_ready()
    logger.info("The engine runs on %s, process %d.", workspace.store_path, os.getpid())
    return leaving.wait(host)


def _start_engine(workspace: Workspace) -> int:
    """Start a headless engine that outlives this process and its terminal; its process id."""
    process = subprocess.Popen(  # noqa: S603 - this program itself
        [sys.executable, "-m", "syncterm", "--home", str(workspace.folder), "engine"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return process.pid


def _let_go_of_the_terminal() -> None:
    """Point the standard streams at nothing: the terminal they belong to is gone."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)


class _Leaving:
    """Waits for the signal that ends a headless engine; from its making on, signals are noticed."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._received: list[int] = []
        for number in LEAVING_SIGNALS:
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def wait(self, host: EngineHost) -> int:
        """Run until a signal, then stop the engine; the exit code. A second signal does not wait for the syncs."""
        while not self._ended.wait(3600.0):  # bounded, so that a signal's handler runs on every platform
            pass
        logger.info("Signal %d: the engine stops.", self._received[0])
        host.stop()
        return 128 + self._received[0]

    def _end(self, number: int, _: FrameType | None) -> None:
        if self._received:
            os._exit(128 + number)
        self._received.append(number)
        self._ended.set()
