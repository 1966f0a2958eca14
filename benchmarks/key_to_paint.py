"""How long a key takes to reach the screen, and what it costs on the line: through a real pseudo-terminal and an emulator.

    python -m benchmarks.key_to_paint                       # the live table alone, 10,000 and 100,000 rows in memory
    python -m benchmarks.key_to_paint --command "syncterm demo" --ready Connectors

Measured from writing the key to reading the output that moves the cursor's glyph on the emulated screen. Keys come at random
moments, so that they do not fall in step with the 60 frames a second of the painter. Start-up is from starting the process to the
first row read. "down" is within the page, "scroll" at its lower edge, "page" is page down.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import machine
from tests.process.terminal import Terminal

CURSOR_GLYPHS = "▌"
ROOT = Path(__file__).parent.parent


@dataclass
class Figures:
    """What one run came to; times in milliseconds, sizes in bytes."""

    what: str
    first_paint: float
    first_paint_bytes: int
    down_p50: float
    down_p99: float
    down_bytes: float
    scroll_p50: float
    scroll_p99: float
    scroll_bytes: float
    page_p50: float
    page_p99: float
    page_bytes: float
    cell_bytes: float
    nothing_bytes: float
    idle_cpu_percent: float
    idle_bytes: int
    memory_mb: float


def cursor_row(terminal: Terminal) -> int | None:
    """The line that carries the cursor's glyph in its first cells."""
    for y in range(terminal.screen.lines):
        if any(terminal.cell(x, y) in CURSOR_GLYPHS for x in range(3) if terminal.cell(x, y)):
            return y
    return None


def first_cells(terminal: Terminal) -> str:
    """What identifies the row under the cursor and the page around it."""
    y = cursor_row(terminal)
    return f"{y}:{terminal.cells(y, 0, 40)}" if y is not None else ""


def time_keys(terminal: Terminal, keys: Iterable[str], state: Callable[[Terminal], object]) -> tuple[list[float], float]:
    """Milliseconds of each press until the state on the screen changes; bytes a press."""
    chance = random.Random(1)
    times: list[float] = []
    terminal.settle()
    start = terminal.written
    for key in keys:
        before = state(terminal)
        pressed = time.perf_counter()
        terminal.press(key)
        terminal.wait_for(lambda now, before=before: state(now) != before, timeout=5)  # type: ignore[misc]  # a default binds the value
        times.append((terminal.read_at - pressed) * 1000)
        until = time.perf_counter() + chance.uniform(0.02, 0.06)
        while (rest := until - time.perf_counter()) > 0:
            terminal.pump(rest)
    return times, (terminal.written - start) / len(times)


def bytes_of(terminal: Terminal, key: str, count: int) -> float:
    """Bytes that follow a key, on average."""
    terminal.settle()
    start = terminal.written
    for _ in range(count):
        terminal.press(key)
        terminal.settle(0.25)
    return (terminal.written - start) / count


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far; Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Resident memory of a process; Linux."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(what: str, command: Sequence[str], ready: str, *, keys: int, demo: bool, columns: int, rows: int) -> Figures:
    """One run of a program, from its start to its end."""
    started = time.perf_counter()
    with Terminal(command, columns=columns, rows=rows, cwd=ROOT) as terminal:
        terminal.wait_for(ready, timeout=60)
        first_paint = (terminal.read_at - started) * 1000
        terminal.settle()
        first_paint_bytes = terminal.written
        time_keys(terminal, "j" * 10, first_cells)
        down, down_bytes = time_keys(terminal, itertools.islice(itertools.cycle("jjjjjkkkkk"), keys), first_cells)
        time_keys(terminal, "j" * rows, first_cells)
        scroll, scroll_bytes = time_keys(terminal, "j" * keys, first_cells)
        pages, page_bytes = time_keys(terminal, ["pagedown"] * max(20, keys // 10), first_cells)
        terminal.press("g")
        cell = bytes_of(terminal, "1", 10) if demo else float("nan")
        nothing = bytes_of(terminal, "0", 5) if demo else float("nan")
        terminal.settle(0.5)
        cpu, written, moment = cpu_seconds(terminal.process.pid), terminal.written, time.perf_counter()
        while time.perf_counter() - moment < 5:
            terminal.pump(0.5)
        idle = (cpu_seconds(terminal.process.pid) - cpu) / (time.perf_counter() - moment) * 100
        return Figures(
            what,
            first_paint,
            first_paint_bytes,
            statistics.median(down),
            statistics.quantiles(down, n=100)[98],
            down_bytes,
            statistics.median(scroll),
            statistics.quantiles(scroll, n=100)[98],
            scroll_bytes,
            statistics.median(pages),
            statistics.quantiles(pages, n=100)[98],
            page_bytes,
            cell,
            nothing,
            idle,
            terminal.written - written,
            memory_mb(terminal.process.pid),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 100_000], help="lengths of the table alone")
    parser.add_argument("--command", help="measure this program instead; its start screen must show a live table")
    parser.add_argument("--ready", default="connector-000000", help="text that shows that the first row is there")
    parser.add_argument("--keys", type=int, default=300)
    parser.add_argument("--columns", type=int, default=120)
    parser.add_argument("--lines", type=int, default=40)
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    options = parser.parse_args()
    machine.plain_environment()
    runs = (
        [("command", shlex.split(options.command), False)]
        if options.command
        else [(f"{rows:,} rows", [sys.executable, "-m", "tests.widgets.demo_table", str(rows)], True) for rows in options.rows]
    )
    results = [
        measure(what, command, options.ready, keys=options.keys, demo=demo, columns=options.columns, rows=options.lines)
        for what, command, demo in runs
    ]
    if options.json:
        for figures in results:
            print(json.dumps(asdict(figures)))
        return
    for name in asdict(results[0]):
        values = [getattr(figures, name) for figures in results]
        print(f"{name:20}" + "".join(f"{value:>16}" if isinstance(value, str) else f"{value:>16.1f}" for value in values))


if __name__ == "__main__":
    main()
