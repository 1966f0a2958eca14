"""Textual's driver, made to survive what happens to terminals: one that goes away, and a process that is stopped and continued."""

from __future__ import annotations

import os
import termios
from collections.abc import Callable
from typing import IO, Any

from textual.drivers.linux_driver import LinuxDriver


class LossyFile:
    """The terminal as a file; what cannot be written any more is dropped, so that nobody waits for a terminal that is gone."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.lost = False

    def write(self, text: str) -> None:
        if not self.lost:
            self._unless_lost(lambda: self._file.write(text))

    def flush(self) -> None:
        if not self.lost:
            self._unless_lost(self._file.flush)

    def fileno(self) -> int:
        return self._file.fileno()

    def _unless_lost(self, function: Callable[[], object]) -> None:
        try:
            function()
        except OSError:
            self.lost = True


class TerminalDriver(LinuxDriver):
    """The driver of the dashboard. Its app has a method `terminal_lost`, which may be called from any thread."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._file: Any = LossyFile(self._file)

    def give_back(self) -> None:
        """Restore the terminal's modes without waiting for anything."""
        if self.attrs_before is not None and self._connected():
            termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)

    def _connected(self) -> bool:
        try:
            termios.tcgetattr(self.fileno)
        except termios.error:
            return False
        return True

    def _sigcont_application(self, *arguments: Any) -> None:
        if not self._connected():
            return  # a terminal that goes away sends SIGHUP and SIGCONT
        if not self._must_signal_resume:  # stopped by SIGSTOP, which cannot be noticed: end what still runs from before
            self.suspend_application_mode()
            self._must_signal_resume = True
        super()._sigcont_application(*arguments)

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except OSError:
            self._app.terminal_lost()  # type: ignore[attr-defined]  # see the class


def end_at_once(driver: object, status: int) -> None:
    """End this process now, whatever its threads wait for."""
    if isinstance(driver, TerminalDriver):
        driver.give_back()
    os._exit(status)
