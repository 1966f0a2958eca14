"""The real dashboard with 10,000 connectors, idle and while eight syncs run: keys, bytes, processor, memory.

    python -m benchmarks.dashboard [--connectors N] [--rounds N] [--keys N] [--folder FOLDER]

`python -m syncterm` runs in a pseudo-terminal of 120 × 40 cells on a seeded workspace; an emulator reads its screen. Beside it, in
every round: a Textual program of one label (the least a first paint takes) and Textual's DataTable with as many rows in memory.

The eight syncs are real and start again a second after they end: a million rows of CSV or SQLite each, to DuckDB or Parquet, flat
out. A key's time is from writing it to reading the output that moves the cursor (page down: to its rows, not to placeholders).
A live update is one connector's progress, written to the store by another process and noticed by the dashboard.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path

from benchmarks import lineitem, machine
from benchmarks import store as seeded_store
from benchmarks.key_to_paint import ROOT, cpu_seconds, memory_mb
from syncterm.engine.clock import SystemClock
from syncterm.engine.store.database import Database
from tests.process.terminal import Terminal

COLUMNS, LINES = 120, 40
LIVE = 8
"""Connectors that sync without pause."""
LEGS = ("csv-duckdb", "csv-parquet", "sqlite-duckdb", "csv-duckdb", "csv-parquet", "sqlite-duckdb", "csv-duckdb", "sqlite-parquet")
QUIET = 10.0
"""Seconds over which idleness is measured."""
UPDATES = 20
"""Live updates measured."""

Figures = dict[str, list[float]]
"""What is measured → the figure of each round, or of each key."""


# --- The workspace ----------------------------------------------------------------------------------------------------------------


def prepare(home: Path, connectors: int) -> None:
    """A store with that many connectors, idle and not due for hours, some thousand syncs behind them."""

    async def create() -> None:
        database = await Database.open(home / "syncterm.db", clock=SystemClock())
        await database.close()

    home.mkdir(parents=True, mode=0o700)
    asyncio.run(create())
    seeded_store.seed(home / "syncterm.db", connectors, 20_000, 1)
    now = int(time.time() * 1000)
    with closing(sqlite3.connect(home / "syncterm.db")) as connection, connection:
        connection.execute("DELETE FROM syncs WHERE state != 'completed'")
        connection.execute(
            "UPDATE connectors SET activity = 'idle', schedule_every_ms = 43200000, last_sync_at = ? - changed_at % 500 * 60000,"
            " created_at = ?, next_fire_at = ? + 21600000 + changed_at % 600 * 60000",
            (now, now - 90 * 86_400_000, now),
        )


def document(folder: Path, out: Path, *, run: bool) -> dict[str, object]:
    """Eight connectors that sync lineitem data: continuously, or not at all."""
    paths = {"csv": str(lineitem.csv(folder)), "sqlite": str(lineitem.sqlite(folder))}
    sources, destinations, connectors = {}, {}, {}
    for number, leg in enumerate(LEGS[:LIVE]):
        source, destination = leg.split("-")
        sources[f"live {source} {number}"] = {"type": "file" if source == "csv" else source, "config": {"path": paths[source]}}
        destinations[f"live {destination} {number}"] = (
            {"type": "duckdb", "config": {"path": str(out / f"{number}.duckdb")}}
            if destination == "duckdb"
            else {"type": "file", "config": {"path": str(out / f"parquet {number}"), "format": "parquet"}}
        )
        stream = Path(paths["csv"]).stem if source == "csv" else "lineitem"
        connectors[f"a live {leg} {number}"] = {
            "source": f"live {source} {number}",
            "destination": f"live {destination} {number}",
            "streams": [{"name": stream, "sync_mode": "replace", "table": "lineitem"}],
            "schedule": {"kind": "interval", "every": "1s"} if run else {"kind": "manual"},
        }
    return {"version": 1, "sources": sources, "destinations": destinations, "connectors": connectors}


def apply(home: Path, text: dict[str, object]) -> None:
    """Set the eight up, by the command line, beside a dashboard that may be running."""
    path = home / "document.json"
    path.write_text(json.dumps(text))
    command = [sys.executable, "-m", "syncterm", "--home", str(home), "apply", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        sys.exit(done.stderr or done.stdout)


def write_progress(home: Path, share: int) -> None:
    """As an engine in another process records the progress of a sync: one connector's cells change. Percent."""
    with closing(sqlite3.connect(home / "syncterm.db", timeout=10)) as connection, connection:
        connection.execute(
            "UPDATE connectors SET activity = 'running', progress_records = ?, progress_expected = 100,"
            " changed_at = (SELECT max(changed_at) + 1 FROM connectors) WHERE name LIKE 'a live%7'",
            (share,),
        )


def finish_progress(home: Path) -> None:
    with closing(sqlite3.connect(home / "syncterm.db", timeout=10)) as connection, connection:
        connection.execute(
            "UPDATE connectors SET activity = 'idle', progress_records = NULL, progress_expected = NULL,"
            " changed_at = (SELECT max(changed_at) + 1 FROM connectors) WHERE name LIKE 'a live%7'"
        )


# --- What is read off the screen and the system --------------------------------------------------------------------------------


def header_line(terminal: Terminal) -> int:
    """The line with the table's column titles."""
    return next(y for y, line in enumerate(terminal.display) if "Last Sync" in line)


class CursorLine:
    """Finds the cursor by its ground, the same way in every program. Made while the cursor stands on the first row."""

    def __init__(self, terminal: Terminal) -> None:
        self._top = header_line(terminal) + 1
        self._ground = self._cell(terminal, self._top)
        if self._ground == self._cell(terminal, self._top + 1):
            raise RuntimeError("the first row does not look different: where is the cursor?")

    @staticmethod
    def _cell(terminal: Terminal, y: int) -> tuple[object, ...]:
        cell = terminal.screen.buffer[y][3]
        return (cell.bg, cell.reverse)

    def row(self, terminal: Terminal) -> tuple[int, str] | None:
        """The cursor's line and the name on it; None while there is none, or its row is not loaded."""
        for y in range(self._top, terminal.screen.lines):
            if self._cell(terminal, y) == self._ground:
                name = terminal.cells(y, 2, 24).strip()
                return (y, name) if len(name) > 2 else None
        return None


def press_all(terminal: Terminal, keys: Iterable[str], cursor: CursorLine) -> tuple[list[float], float]:
    """Milliseconds from each key to the cursor on its new row, and bytes a key. Keys come at random moments."""
    chance = random.Random(1)
    times: list[float] = []
    start = terminal.written
    for key in keys:
        before = cursor.row(terminal)
        pressed = time.perf_counter()
        terminal.press(key)

        def moved(now: Terminal, before: tuple[int, str] | None = before) -> bool:
            return (after := cursor.row(now)) is not None and after != before

        terminal.wait_for(moved, timeout=10)
        times.append((terminal.read_at - pressed) * 1000)
        watch(terminal, chance.uniform(0.02, 0.06))
    return times, (terminal.written - start) / len(times)


def watch(terminal: Terminal, seconds: float) -> int:
    """Read for that long; bytes that came."""
    start, until = terminal.written, time.perf_counter() + seconds
    while (rest := until - time.perf_counter()) > 0:
        terminal.pump(rest)
    return terminal.written - start


def tree(pid: int) -> list[int]:
    """A process and what it started; Linux."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that ended meanwhile
            for child in (task / "children").read_text().split():
                found += tree(int(child))
    return found


def quiet(terminal: Terminal, seconds: float) -> tuple[float, float]:
    """Percent of a processor and bytes a second while no key is pressed."""
    pid = terminal.process.pid
    cpu, started = cpu_seconds(pid), time.perf_counter()
    written = watch(terminal, seconds)
    passed = time.perf_counter() - started
    return (cpu_seconds(pid) - cpu) / passed * 100, written / passed


def key_figures(figures: Figures, name: str, terminal: Terminal, cursor: CursorLine, keys: int) -> None:
    """Cursor down within the page and page down, from the first row."""
    terminal.press("home")
    watch(terminal, 0.5)
    down, down_bytes = press_all(terminal, itertools.islice(itertools.cycle("jjjjjkkkkk"), keys), cursor)
    page, page_bytes = press_all(terminal, ["pagedown"] * (keys // 4), cursor)
    terminal.press("home")
    figures[f"{name}: cursor down, ms"] += down
    figures[f"{name}: page down, ms"] += page
    figures[f"{name}: cursor down, bytes"].append(down_bytes)
    figures[f"{name}: page down, bytes"].append(page_bytes)


# --- One round of each program --------------------------------------------------------------------------------------------------


def start(figures: Figures, name: str, command: list[str], painted: str, rows: str, environment: dict[str, str]) -> Terminal:
    """Start a program; when its first sign of life and its first row stood on the screen."""
    started = time.perf_counter()
    terminal = Terminal(command, columns=COLUMNS, rows=LINES, cwd=ROOT, env=environment)
    terminal.wait_for(painted, timeout=60)
    figures[f"{name}: first paint, ms"].append((terminal.read_at - started) * 1000)
    if rows:
        terminal.wait_for(rows, timeout=60)
        figures[f"{name}: first rows, ms"].append((terminal.read_at - started) * 1000)
    return terminal


def label(figures: Figures) -> None:
    with start(figures, "one label", [sys.executable, "-m", "benchmarks.peers.label"], "Painted", "", {}) as terminal:
        terminal.settle()
        figures["one label: memory, MB"].append(memory_mb(terminal.process.pid))


def data_table(figures: Figures, rows: int, keys: int) -> None:
    name = "DataTable"
    command = [sys.executable, "-m", "benchmarks.peers.data_table", str(rows)]
    with start(figures, name, command, "Last Sync", "orders 00000", {}) as terminal:
        terminal.settle(1)
        cursor = CursorLine(terminal)
        key_figures(figures, name, terminal, cursor, keys)
        terminal.settle(0.5)
        written = terminal.written
        for _ in range(UPDATES):
            terminal.press("1")
            terminal.settle(0.2)
        figures[f"{name}: a live update, bytes"].append((terminal.written - written) / UPDATES)
        cpu, written_ = quiet(terminal, QUIET)
        figures[f"{name}: idle, % CPU"].append(cpu)
        figures[f"{name}: idle, bytes/s"].append(written_)
        figures[f"{name}: memory, MB"].append(memory_mb(terminal.process.pid))
        terminal.press("8")
        key_figures(figures, f"{name}, 8 cells every 0.5 s", terminal, cursor, keys)


def syncterm(figures: Figures, home: Path, folder: Path, keys: int) -> None:
    """The dashboard on this workspace: idle, one connector changing, eight syncs running."""
    name = "syncterm"
    out = home / "out"
    out.mkdir(exist_ok=True)
    environment = {"SYNCTERM_HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "XDG_STATE_HOME": str(home / "state")}
    apply(home, document(folder, out, run=False))
    with start(figures, name, [sys.executable, "-m", "syncterm"], "Last Sync", "a live", environment) as terminal:
        watch(terminal, 2.0)
        pid = terminal.process.pid
        cursor = CursorLine(terminal)
        figures[f"{name}: memory, MB"].append(memory_mb(pid))
        cpu, written = quiet(terminal, QUIET)
        figures[f"{name}: idle, % CPU"].append(cpu)
        figures[f"{name}: idle, bytes/s"].append(written)
        key_figures(figures, name, terminal, cursor, keys)
        live_updates(figures, name, terminal, home)
        under_load(figures, f"{name}, 8 syncs", terminal, home, cursor, folder, keys)


def live_updates(figures: Figures, name: str, terminal: Terminal, home: Path) -> None:
    """One connector's progress, noticed from another process."""
    write_progress(home, 1)
    terminal.wait_for(" 1%")
    watch(terminal, 1.5)
    start_bytes = terminal.written
    for number in range(UPDATES):
        share = 10 + 4 * number
        write_progress(home, share)
        terminal.wait_for(f" {share}%")
    figures[f"{name}: a live update, bytes"].append((terminal.written - start_bytes) / UPDATES)
    finish_progress(home)


def under_load(figures: Figures, name: str, terminal: Terminal, home: Path, cursor: CursorLine, folder: Path, keys: int) -> None:
    terminal.press("home")
    apply(home, document(folder, home / "out", run=True))
    terminal.wait_for(lambda now: sum("▶" in line for line in now.display) >= LIVE - 1, timeout=60)
    before = finished(home)
    started = time.perf_counter()
    cpu, written = quiet(terminal, QUIET)
    figures[f"{name}: % CPU"].append(cpu)
    figures[f"{name}: bytes/s"].append(written)
    key_figures(figures, name, terminal, cursor, keys)
    passed = time.perf_counter() - started
    count, records = (after - then for after, then in zip(finished(home), before, strict=True))
    figures[f"{name}: memory, MB"].append(memory_mb(terminal.process.pid))
    figures[f"{name}: memory with its processes, MB"].append(sum(memory_mb(pid) for pid in tree(terminal.process.pid)))
    figures[f"{name}: finished a minute"].append(count / passed * 60)
    figures[f"{name}: records a second"].append(records / passed)


def finished(home: Path) -> tuple[int, int]:
    """Syncs of the eight that succeeded, and their records."""
    with closing(sqlite3.connect(home / "syncterm.db")) as connection:
        found = connection.execute(
            "SELECT count(*), coalesce(sum(records_written), 0) FROM syncs JOIN connectors ON connectors.id = connector_id"
            " WHERE name LIKE 'a live%' AND outcome = 'success'"
        ).fetchone()
        failed = connection.execute(
            "SELECT error_message FROM syncs JOIN connectors ON connectors.id = connector_id"
            " WHERE name LIKE 'a live%' AND outcome = 'failed' LIMIT 1"
        ).fetchone()
    if failed:
        raise RuntimeError(f"a sync failed: {failed[0]}")
    return int(found[0]), int(found[1])


# --- The table ------------------------------------------------------------------------------------------------------------------

SUMMARIES: dict[str, Callable[[list[float]], float]] = {
    "median": statistics.median,
    "p99": lambda values: sorted(values)[math.ceil(len(values) * 0.99) - 1],
    "worst": max,
}


def print_table(figures: Figures) -> None:
    print("| what | median | p99 | worst |\n| --- | ---: | ---: | ---: |")
    print(f"| load while it ran | {machine.load()} | | |")
    for what, values in figures.items():
        cells = [f"{values and function(values):,.1f}" if len(values) > 1 else "" for function in SUMMARIES.values()]
        if len(values) == 1:
            cells[0] = f"{values[0]:,.1f}"
        if len(values) < 30:
            cells[1] = ""
        print(f"| {what} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connectors", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keys", type=int, default=200, help="keys a round; a quarter as many pages")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "syncterm-benchmarks")
    parser.add_argument("--json", type=Path, help="also write every figure to this file")
    options = parser.parse_args()
    machine.plain_environment()
    options.folder.mkdir(parents=True, exist_ok=True)
    lineitem.csv(options.folder)
    lineitem.sqlite(options.folder)
    figures: Figures = defaultdict(list)
    print(f"{machine.describe()}\n\n{options.connectors:,} connectors, {options.rounds} interleaved rounds\n", flush=True)
    home = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        prepare(home / "seeded", options.connectors)
        for number in range(options.rounds):
            round_home = home / f"round {number}"
            shutil.copytree(home / "seeded", round_home)
            label(figures)
            data_table(figures, options.connectors, options.keys)
            syncterm(figures, round_home, options.folder, options.keys)
            shutil.rmtree(round_home)
    finally:
        shutil.rmtree(home)
    print_table(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
