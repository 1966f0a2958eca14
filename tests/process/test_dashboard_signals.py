"""A dashboard in a real terminal leaves it tidy, whatever ends it."""

from __future__ import annotations

import os
import signal
import sys
import termios
from pathlib import Path

import pytest

from tests.process.terminal import Terminal

TIDY = termios.ICANON | termios.ECHO


def dashboard(home: Path) -> Terminal:
    return Terminal([sys.executable, "-m", "syncterm"], columns=100, rows=30, env={"SYNCTERM_HOME": str(home)})


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGQUIT, 131)])
def test_a_signal_ends_the_dashboard_and_gives_the_terminal_back(tmp_path: Path, number: signal.Signals, status: int) -> None:
    with dashboard(tmp_path / "home") as terminal:
        terminal.wait_for("No connectors yet.")
        assert terminal.modes() & TIDY != TIDY
        os.kill(terminal.process.pid, number)
        assert terminal.wait() == status
        assert terminal.modes() & TIDY == TIDY
        assert b"\x1b[?1049l" in terminal.raw
        assert b"\x1b[?1000l" in terminal.raw, "the mouse belongs to the terminal again"


def test_q_quits_and_gives_the_terminal_back(tmp_path: Path) -> None:
    with dashboard(tmp_path / "home") as terminal:
        terminal.wait_for("No connectors yet.")
        terminal.send("q")
        assert terminal.wait() == 0
        assert terminal.modes() & TIDY == TIDY


def test_a_hangup_ends_the_picture_and_the_process_goes_on_as_an_engine(tmp_path: Path) -> None:
    with dashboard(tmp_path / "home") as terminal:
        terminal.wait_for("No connectors yet.")
        os.kill(terminal.process.pid, signal.SIGHUP)
        terminal.wait_for(lambda _: b"\x1b[?1049l" in terminal.raw)
        assert terminal.process.poll() is None
        terminal.wait_for(lambda _: terminal.modes() & TIDY == TIDY)
        os.kill(terminal.process.pid, signal.SIGTERM)
        assert terminal.wait() in (143, -signal.SIGTERM)
