"""A program in a real pseudo-terminal, with a terminal emulator reading what it paints.

::

    with Terminal([sys.executable, "-m", "syncterm"], columns=120, rows=40) as terminal:
        terminal.wait_for("Connectors")           # text on the screen, or a function of the terminal
        terminal.send("j")                        # bytes as a keyboard sends them; KEYS has the longer ones
        before = terminal.written
        terminal.settle()                         # until nothing has come for a while
        assert terminal.written - before < 800    # bytes down the line
        assert "..." in terminal.line(3)

Everything the program ever wrote is in `terminal.raw`. Nothing runs in the background: output is read while one waits. As a modern
terminal it has synchronised output (mode 2026): a frame is looked at whole or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pyte
from wcwidth import wcwidth

KEYS = {
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    "delete": "\x1b[3~",
    "shift+up": "\x1b[1;2A",
    "shift+down": "\x1b[1;2B",
    "f1": "\x1bOP",
    "space": " ",
    "ctrl+a": "\x01",
    "ctrl+backslash": "\x1c",
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "backspace": "\x7f",
}
"""What a keyboard sends for the keys that are no characters."""

# Sequences the emulator does not know and would print: keyboard protocols (CSI < = >) and device control strings.
_UNKNOWN = re.compile(rb"\x1b\[[<=>][0-9;:]*[ -/]*[@-~]|\x1bP[^\x1b]*\x1b\\")
_FRAME_QUERY, _FRAME_ANSWER = b"\x1b[?2026$p", b"\x1b[?2026;2$y"
_FRAME_BEGIN, _FRAME_END = b"\x1b[?2026h", b"\x1b[?2026l"
_UNFINISHED = re.compile(rb"\x1b(\[[<=>?0-9;:]*[ -/]*|P[^\x1b]*\x1b?|[()]?)?$")


class _Screen(pyte.Screen):
    """pyte's screen; it drops the rest of a text at a character of no width that is not a combining one by class (Thai vowels)."""

    def draw(self, data: str) -> None:
        if data.isascii():
            super().draw(data)
            return
        run: list[str] = []
        for character in data:
            if wcwidth(character) == 0 and not unicodedata.combining(character):
                super().draw("".join(run))
                run.clear()
                if self.cursor.x:
                    line = self.buffer[self.cursor.y]
                    before = self.cursor.x - 1
                    while before and not line[before].data:
                        before -= 1
                    line[before] = line[before]._replace(data=line[before].data + character)
            else:
                run.append(character)
        super().draw("".join(run))


class TerminalTimeoutError(AssertionError):
    """What was waited for did not come; the message shows the screen."""


class Terminal:
    """A child process on a pseudo-terminal of a given size."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 120,
        rows: int = 40,
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
    ) -> None:
        """Start the program.

        Args:
            command: Program and arguments.
            columns: Width in cells.
            rows: Height in cells.
            env: Variables on top of this process's environment; TERM and COLORTERM are those of a modern terminal.
            cwd: Where it runs.
        """
        self.screen = _Screen(columns, rows)
        """The emulator's screen: `buffer[y][x]` has data, fg, bg, bold, reverse …"""
        self._stream = pyte.ByteStream(self.screen)
        self.raw = bytearray()
        """Everything the program wrote."""
        self._pending = b""
        self._ended = self._hung_up = False
        self.read_at = 0.0
        """When the last output was read: time.perf_counter()."""
        self.master, slave = os.openpty()
        self._set_size(columns, rows)
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", **(env or {})}
        for name in ("NO_COLOR", "TEXTUAL", "COLUMNS", "LINES"):
            if name not in (env or {}):
                environment.pop(name, None)
        self.process = subprocess.Popen(
            list(command),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        os.set_blocking(self.master, False)

    # --- In ---------------------------------------------------------------------------------------------------------------------

    def send(self, keys: str | bytes) -> None:
        """Type characters as they are."""
        data = keys.encode() if isinstance(keys, str) else keys
        while data:
            _, writable, _ = select.select([], [self.master], [], 10)
            if not writable:
                raise TerminalTimeoutError("the program does not read its keyboard")
            data = data[os.write(self.master, data) :]

    def press(self, *keys: str) -> None:
        """Press keys by name (KEYS) or character."""
        for key in keys:
            if key not in KEYS and len(key) != 1:
                raise KeyError(key)
            self.send(KEYS.get(key, key))

    def click(self, x: int, y: int, button: int = 0) -> None:
        """Press and release a mouse button on a cell (from 0); buttons: 0 left, 1 middle, 2 right; + 4 shift, + 16 ctrl."""
        self.send(f"\x1b[<{button};{x + 1};{y + 1}M\x1b[<{button};{x + 1};{y + 1}m")

    def hover(self, x: int, y: int) -> None:
        """Move the mouse to a cell."""
        self.send(f"\x1b[<35;{x + 1};{y + 1}M")

    def resize(self, columns: int, rows: int) -> None:
        """Change the window's size, as a window manager does."""
        self.screen.resize(rows, columns)
        self._set_size(columns, rows)
        os.kill(self.process.pid, signal.SIGWINCH)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    # --- Out --------------------------------------------------------------------------------------------------------------------

    @property
    def written(self) -> int:
        """Bytes the program has written so far."""
        return len(self.raw)

    def pump(self, timeout: float) -> bool:
        """Read what there is, waiting at most `timeout` seconds; False when nothing came."""
        if self._ended:
            return False
        readable, _, _ = select.select([self.master], [], [], timeout)
        if not readable:
            return False
        try:
            data = os.read(self.master, 1 << 16)
        except BlockingIOError:
            return False
        except OSError:
            # Linux reports the closed other side as an input/output error.
            data = b""
        if not data:
            self._ended = True
            return False
        self.read_at = time.perf_counter()
        if _FRAME_QUERY in self.raw[-len(_FRAME_QUERY) :] + data and not self._hung_up:
            self.send(_FRAME_ANSWER)
        self.raw += data
        data = self._pending + data
        self._pending = b""
        if (match := _UNFINISHED.search(data)) is not None and len(data) - match.start() < 4096:
            data, self._pending = data[: match.start()], data[match.start() :]
        self._stream.feed(_UNKNOWN.sub(b"", data))
        return True

    def wait_for(self, wanted: str | Callable[[Terminal], object], timeout: float = 20) -> None:
        """Read until a text stands on the screen, or a condition holds.

        Raises:
            TerminalTimeoutError: It did not come in `timeout` seconds, or the program ended without it.
        """
        holds = (lambda terminal: any(wanted in line for line in terminal.display)) if isinstance(wanted, str) else wanted
        deadline = time.monotonic() + timeout
        while self._painting or not holds(self):
            if not self.pump(0.05) and (self._ended or time.monotonic() > deadline):
                if holds(self):
                    return
                shown = "\n".join(line.rstrip() for line in self.display)
                raise TerminalTimeoutError(f"{wanted!r} did not come; the screen:\n{shown}")

    @property
    def _painting(self) -> bool:
        """Whether the program is in the middle of a frame."""
        return not self._ended and self.raw.rfind(_FRAME_BEGIN) > self.raw.rfind(_FRAME_END)

    def settle(self, quiet: float = 0.3, timeout: float = 20) -> None:
        """Read until nothing has come for `quiet` seconds."""
        deadline = time.monotonic() + timeout
        while self.pump(quiet) or self._painting:
            if time.monotonic() > deadline:
                raise TerminalTimeoutError(f"the program never falls silent for {quiet} s")

    @property
    def display(self) -> list[str]:
        """The lines on the screen. A wide character stands in one place and leaves nothing in the next: see `cell`."""
        return ["".join(self.screen.buffer[y][x].data for x in range(self.screen.columns)) for y in range(self.screen.lines)]

    def line(self, y: int) -> str:
        """One line of the screen."""
        return self.display[y]

    def cell(self, x: int, y: int) -> str:
        """What stands in one cell; empty behind a wide character."""
        return str(self.screen.buffer[y][x].data)

    def cells(self, y: int, start: int, end: int) -> str:
        """What stands in the cells from `start` to before `end`."""
        return "".join(self.cell(x, y) for x in range(start, end))

    # --- The process ------------------------------------------------------------------------------------------------------------

    def modes(self) -> int:
        """The terminal's local flags (termios c_lflag): ICANON and ECHO are set where it was left tidy."""
        return int(termios.tcgetattr(self.master)[3])

    def wait(self, timeout: float = 20) -> int:
        """Read until the program ends; its exit status, negative for a signal."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            self.pump(0.05)
            if time.monotonic() > deadline:
                raise TerminalTimeoutError(f"the program did not end within {timeout} s")
        while self.pump(0.05):
            pass
        return self.process.returncode

    def hang_up(self) -> None:
        """Close the window while the program runs, as a lost connection does; nothing can be read or typed any more."""
        os.close(self.master)
        self._ended = self._hung_up = True

    def close(self) -> None:
        """End the program and all of its group at once, and close the window."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if not self._hung_up:
            os.close(self.master)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
