"""The dashboard as a process on a real terminal: stalls, vanishing terminals, crashes, storms of resizes, hostile names."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from tests.process.engine_process import (
    Console,
    Starter,
    state_of,
    store_rows,
    store_value,
    wait_completed,
    wait_until,
)
from tests.process.hostile import STORABLE, Controls, judge
from tests.process.terminal import Terminal

TIDY = termios.ICANON | termios.ECHO
PROGRAM = [sys.executable, "-m", "syncterm"]
SLOW = "[{kind: slow, seconds: 0.1}]"


@contextmanager
def dashboard(
    home: Path, *, columns: int = 120, rows: int = 40, command: list[str] | None = None, cwd: Path | None = None, **env: str
) -> Iterator[Terminal]:
    """A dashboard on a workspace, in a terminal; its process is killed at the end."""
    environment = {"SYNCTERM_HOME": str(home), **env}
    with Terminal(command or PROGRAM, columns=columns, rows=rows, cwd=cwd, env=environment) as terminal:
        yield terminal


def document(
    home: Path, *, faults: str = "[]", schedule: str = "{kind: manual}", records: int = 1000, names: str = "orders"
) -> str:
    connectors = "".join(
        f"  {name}: {{source: events, destination: lake, collection: {name}, schedule: {schedule},"
        " streams: [{name: events, sync_mode: append}]}\n"
        for name in names.split()
    )
    return (
        f"version: 1\nsources: {{events: {{type: scripted, config: {{records: {records}, faults: {faults}}}}}}}\n"
        f"destinations: {{lake: {{type: sqlite, config: {{path: {home / 'lake.sqlite'}}}}}}}\n"
        f"connectors:\n{connectors}"
    )


def lake(home: Path, collection: str = "orders") -> int:
    """How many records lie in the destination."""
    with closing(sqlite3.connect(home / "lake.sqlite")) as connection:
        return int(connection.execute(f'select count(*) from "{collection}__events"').fetchone()[0])


def unread(terminal: Terminal) -> int:
    """Bytes that wait in the terminal to be read."""
    return int(struct.unpack("i", fcntl.ioctl(terminal.master, termios.FIONREAD, b"\0\0\0\0"))[0])


def stall(terminal: Terminal) -> None:
    """Make the program paint much more than the terminal's buffer holds, and read nothing of it."""
    terminal.send("?\x1b" * 40)
    wait_until(lambda: unread(terminal) > 2000, "the buffer is full")


def test_two_signals_end_a_dashboard_whose_terminal_nobody_reads(tmp_path: Path) -> None:
    with Console(tmp_path) as console:
        console.apply(document(tmp_path))
    with dashboard(tmp_path, columns=200, rows=60) as terminal:
        terminal.wait_for("orders")
        stall(terminal)
        terminal.process.send_signal(signal.SIGTERM)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(10) in (128 + signal.SIGTERM, 128 + signal.SIGINT)
        assert terminal.modes() & TIDY == TIDY


def test_a_terminal_that_nobody_reads_costs_the_picture_and_no_due_time(tmp_path: Path) -> None:
    with Console(tmp_path) as console:
        console.apply(document(tmp_path, records=10, schedule="{kind: interval, every: 1s}"))
    with dashboard(tmp_path, columns=200, rows=60) as terminal:
        terminal.wait_for("orders")
        wait_until(lambda: store_value(tmp_path, "select count(*) from syncs where state = 'completed'"), "the first due time ran")
        stall(terminal)
        begun = time.time()
        wait_until(lambda: time.time() > begun + 10, "ten seconds without a reader")
        assert unread(terminal) > 2000
        due = "select due_at, missed from syncs where due_at > ? order by due_at"
        ran = store_rows(tmp_path, due, int(begun * 1000))
        assert len(ran) >= 9
        assert {later - earlier for (earlier, _), (later, _) in pairwise(ran)} == {1000}, "every due time had its sync"
        assert not any(missed for _, missed in ran)
        terminal.wait_for("orders", timeout=60)
        assert terminal.process.poll() is None


def test_a_crash_of_the_screens_gives_the_terminal_back_and_tells_no_secret(tmp_path: Path) -> None:
    program = (
        "import sys, syncterm.app, syncterm.cli\n"
        "def crash(self):\n"
        "    password = 'CANARY-' + 'in-a-local-variable'\n"
        "    raise RuntimeError('a defect')\n"
        "syncterm.app.SyncTermApp.action_help = crash\n"
        "sys.argv = ['syncterm']\n"
        "syncterm.cli.main()\n"
    )
    with dashboard(tmp_path, command=[sys.executable, "-c", program]) as terminal:
        terminal.wait_for("No connectors yet.")
        terminal.send("?")
        assert terminal.wait() == 1
        assert terminal.modes() & TIDY == TIDY
        assert b"\x1b[?1049l" in terminal.raw
        assert b"\x1b[?1000l" in terminal.raw
        assert b"RuntimeError: a defect" in terminal.raw
        assert b"CANARY-in" not in terminal.raw
    assert store_value(tmp_path, "select holder from lease") is None, "the engine was stopped and gave the lease back"


@pytest.mark.parametrize("ignored", [False, True], ids=["plain", "hangups-ignored"])
def test_when_the_terminal_goes_away_the_syncs_go_on(tmp_path: Path, ignored: bool) -> None:
    with Console(tmp_path) as console:
        console.apply(document(tmp_path, faults=SLOW))
        command = ["sh", "-c", f"trap '' HUP; exec {sys.executable} -m syncterm"] if ignored else PROGRAM
        terminal = Terminal(command, env={"SYNCTERM_HOME": str(tmp_path)})
        try:
            terminal.wait_for("orders")
            wait_until(lambda: store_value(tmp_path, "select pid from lease") == terminal.process.pid, "it executes")
            sync_id = console.sync("orders")
            running = "select activity = 'running' and progress_records > 0 from connectors"
            wait_until(lambda: store_value(tmp_path, running), "the sync runs")
            terminal.hang_up()
            wait_completed(tmp_path, sync_id)
            assert terminal.process.poll() is None
            assert store_rows(tmp_path, "select number, outcome from attempts") == [(1, "success")]
            assert lake(tmp_path) == 1000
            used, since = cpu_seconds(terminal.process.pid), time.monotonic()
            beats = int(store_value(tmp_path, "select beats from lease"))
            wait_until(lambda: int(store_value(tmp_path, "select beats from lease")) >= beats + 2, "the headless engine lives")
            assert cpu_seconds(terminal.process.pid) - used < 0.4 * (time.monotonic() - since), "it does not spin"
            with dashboard(tmp_path) as other:
                other.wait_for("orders")
                sync_id = console.sync("orders")
                wait_completed(tmp_path, sync_id)
                assert store_value(tmp_path, "select epoch from lease") == 1, "the headless engine executed it"
                terminal.process.send_signal(signal.SIGTERM)
                assert terminal.process.wait(20) == 128 + signal.SIGTERM
                wait_until(lambda: store_value(tmp_path, "select pid from lease") == other.process.pid, "the new one took over")
        finally:
            terminal.close()


def cpu_seconds(pid: int) -> float:
    """Seconds of processor time that a process has used; whole seconds where the system has no finer ones."""
    status = Path(f"/proc/{pid}/stat")
    if status.exists():
        fields = status.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    spent = subprocess.run(["ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout.strip()
    return sum(float(part) * 60.0**place for place, part in enumerate(reversed(spent.split(":"))))


def test_on_disconnect_stop_ends_the_process(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('on_disconnect = "stop"\n')
    with dashboard(tmp_path) as terminal:
        terminal.wait_for("No connectors yet.")
        terminal.hang_up()
        assert terminal.process.wait(20) == 128 + signal.SIGHUP
    assert store_value(tmp_path, "select holder from lease") is None


def test_a_second_sigterm_does_not_wait_for_a_commit(tmp_path: Path, start: Starter) -> None:
    with Console(tmp_path) as console:
        console.apply(document(tmp_path, faults=SLOW))
        engine = start(tmp_path)
        sync_id = console.sync("orders")
        wait_until(lambda: store_value(tmp_path, "select progress_records > 0 from connectors"), "the destination is open")
        with closing(sqlite3.connect(tmp_path / "lake.sqlite", isolation_level=None)) as connection:
            connection.execute("begin immediate")
            wait_until(lambda: store_value(tmp_path, "select records_read from sync_streams"), "the commit waits for the lock")
            engine.send(signal.SIGTERM)
            wait_until(lambda: engine.said("the engine stops"), "the first signal arrived")
            engine.send(signal.SIGTERM)
            assert engine.ended(5) == 128 + signal.SIGTERM
        start(tmp_path)
        wait_completed(tmp_path, sync_id)
        assert lake(tmp_path) == 1000


def test_a_stop_that_meets_a_commit_begins_nothing_after_it(tmp_path: Path, start: Starter) -> None:
    """The stream that commits is done; the sync is left to the next engine, which goes on behind that stream."""
    with Console(tmp_path) as console:
        console.apply(document(tmp_path, faults=SLOW))
        engine = start(tmp_path)
        sync_id = console.sync("orders")
        wait_until(lambda: store_value(tmp_path, "select progress_records > 0 from connectors"), "the destination is open")
        with closing(sqlite3.connect(tmp_path / "lake.sqlite", isolation_level=None)) as connection:
            connection.execute("begin immediate")
            wait_until(lambda: store_value(tmp_path, "select records_read from sync_streams"), "the commit waits for the lock")
            engine.send(signal.SIGTERM)
            wait_until(lambda: engine.said("the engine stops"), "the signal arrived")
            connection.execute("rollback")
        assert engine.ended() == 128 + signal.SIGTERM
        assert lake(tmp_path) == 1000
        start(tmp_path)
        wait_completed(tmp_path, sync_id)
        assert lake(tmp_path) == 1000


def test_kill_9_and_the_next_dashboard_resumes(tmp_path: Path) -> None:
    with Console(tmp_path) as console:
        console.apply(document(tmp_path, faults=SLOW))
        with dashboard(tmp_path) as terminal:
            terminal.wait_for("orders")
            sync_id = console.sync("orders")
            running = "select activity = 'running' and progress_records > 0 from connectors"
            wait_until(lambda: store_value(tmp_path, running), "the sync runs")
            terminal.process.kill()
            terminal.process.wait()
        with dashboard(tmp_path) as terminal:
            terminal.wait_for("orders")
            wait_completed(tmp_path, sync_id)
            attempts = "select outcome, error_class from attempts order by number"
            assert store_rows(tmp_path, attempts) == [("failed", "interrupted"), ("success", None)]
            assert lake(tmp_path) == 1000
            terminal.wait_for(lambda _: "0 running" in terminal.line(0) and any("1,000" in line for line in terminal.display))
            terminal.send("q")
            assert terminal.wait() == 0
            assert terminal.modes() & TIDY == TIDY


def test_a_storm_of_resizes_leaves_a_right_picture(tmp_path: Path) -> None:
    with Console(tmp_path) as console:
        console.apply(document(tmp_path))
    with dashboard(tmp_path) as terminal:
        terminal.wait_for("orders")
        for number in range(200):
            terminal.resize(20 + number * 37 % 180, 3 + number * 11 % 57)
            terminal.pump(0)
        terminal.resize(120, 40)
        terminal.settle()
        terminal.wait_for("orders")
        assert terminal.process.poll() is None
        leave_through_help(terminal)


def leave_through_help(terminal: Terminal) -> None:
    """Open the help, close it, quit."""
    terminal.send("?")
    terminal.wait_for("esc closes")
    terminal.send("\x1b")
    terminal.wait_for(lambda _: not any("esc closes" in line for line in terminal.display))
    terminal.send("q")
    assert terminal.wait() == 0


@pytest.mark.parametrize("stop", [signal.SIGTSTP, signal.SIGSTOP])
def test_a_stopped_dashboard_paints_and_listens_again(tmp_path: Path, stop: signal.Signals) -> None:
    with Console(tmp_path) as console:
        console.apply(document(tmp_path))
    with dashboard(tmp_path) as terminal:
        terminal.wait_for("orders")
        terminal.settle()
        for _ in range(2):
            os.kill(terminal.process.pid, stop)
            wait_until(lambda: state_of(terminal.process.pid) == "T", "it is stopped")
            while terminal.pump(0):
                pass
            assert stop == signal.SIGSTOP or terminal.modes() & TIDY == TIDY
            terminal.screen.reset()
            os.kill(terminal.process.pid, signal.SIGCONT)
            terminal.wait_for("orders")
        leave_through_help(terminal)
        assert terminal.modes() & TIDY == TIDY


def test_no_color_means_no_color(tmp_path: Path) -> None:
    with Console(tmp_path) as console:
        console.apply(document(tmp_path))
    with dashboard(tmp_path, NO_COLOR="1") as terminal:
        terminal.wait_for("orders")
        terminal.send("\r")
        terminal.wait_for("Connectors ›")
        terminal.send("\x1b")
        terminal.wait_for(lambda _: not any("Connectors ›" in line for line in terminal.display))
        leave_through_help(terminal)
    for found in re.finditer(rb"\x1b\[([0-9;:]*)m", terminal.raw):
        codes = [int(code or 0) for code in re.split(rb"[;:]", found[1])]
        assert not [code for code in codes if (30 <= code <= 49 and code not in (39, 49)) or 90 <= code <= 107], found[0]


def fill_with_hostile_names(home: Path, parts: int, part: int) -> list[str]:
    """Give connectors, sources and collections hostile names, past every check that a person's input meets; the names."""
    names = STORABLE[part::parts]
    clones = " ".join(f"clone{number}" for number in range(len(names)))
    with Console(home) as console:
        console.apply(document(home, names=clones))
    with closing(sqlite3.connect(home / "syncterm.db")) as connection, connection:
        columns = [name for _, name, *_ in connection.execute("pragma table_info(sources)") if name not in ("id", "name")]
        for number, name in enumerate(names):
            connection.execute(
                f"insert into sources (id, name, {', '.join(columns)}) select ?, ?, {', '.join(columns)} from sources"
                " where name = 'events'",
                (f"source{number}", name),
            )
            connection.execute(
                "update connectors set name = ?, collection = ?, source_id = ? where name = ?",
                (name, name, f"source{number}", f"clone{number}"),
            )
    return names


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Controls:
    """What the dashboard writes when every name is harmless."""
    home = tmp_path_factory.mktemp("usual")
    with Console(home) as console:
        console.apply(document(home, names="orders invoices"))
    with dashboard(home) as terminal:
        terminal.wait_for("orders")
        visit(terminal, 2)
        return Controls.of(bytes(terminal.raw))


def visit(terminal: Terminal, connectors: int) -> None:
    """Click on every row of the Connectors screen, open every connector's own screen, then quit."""
    for y in range(terminal.screen.lines):
        if "Incomplete" in terminal.line(y) or "Active" in terminal.line(y):
            terminal.click(4, y)
            terminal.settle(quiet=0.05)
    terminal.send("g")
    for _ in range(connectors):
        terminal.send("\r")
        terminal.wait_for("Sync History")
        terminal.settle(quiet=0.05)
        terminal.send("\x1b")
        terminal.wait_for(lambda _: not any("Sync History" in line for line in terminal.display))
        terminal.send("j")
    terminal.send("q")
    assert terminal.wait() == 0, "no action ran that was not asked for"


PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_hostile_names_stay_text(part: int, tmp_path: Path, usual: Controls) -> None:
    home = tmp_path / "home"
    names = fill_with_hostile_names(home, PARTS, part)
    with dashboard(home, cwd=tmp_path) as terminal:
        terminal.wait_for(lambda terminal: sum("Active" in line for line in terminal.display) > 20)
        terminal.settle()
        check_columns(terminal)
        terminal.send("G")
        terminal.settle()
        check_columns(terminal)
        terminal.send("g")
        terminal.settle()
        visit(terminal, len(names))
    judge(bytes(terminal.raw), names, usual)
    assert not list(tmp_path.rglob("*.svg")), "no screenshot was planted"


def check_columns(terminal: Terminal) -> None:
    """Every row of the table has its status in the same column."""
    rows = [cells for cells in rows_by_cell(terminal)[2:] if "Active" in cells]
    assert len(rows) > 20
    assert len({cells.index("Active") for cells in rows}) == 1, "\n".join(terminal.display)


def rows_by_cell(terminal: Terminal) -> list[str]:
    """The lines of the screen with one character a cell: of a cluster only the first, nothing as a blank."""
    return ["".join(terminal.cell(x, y)[:1] or " " for x in range(terminal.screen.columns)) for y in range(terminal.screen.lines)]
