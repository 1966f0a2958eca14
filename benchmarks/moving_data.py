"""Throughput of the data path beside dlt: the same million rows, interleaved; wall, CPU and peak memory of each process.

    python -m benchmarks.moving_data [--rows N] [--rounds N] [--dlt PYTHON] [LEG ...]

Ours goes through the product: `syncterm sync` on a workspace, with staging, cursor, counts and state. dlt runs in a virtual
environment of its own (made in the work folder where none is named). Every result's rows are counted in the destination.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks import lineitem, machine
from tests.servers.postgres import PostgresServer, start_server

DLT = "dlt[duckdb,postgres,sql_database,filesystem]==1.31.0"
LEGS = ("postgres-duckdb", "sqlite-duckdb", "csv-duckdb", "postgres-postgres")
BACKENDS = {"postgres-duckdb": "connectorx", "sqlite-duckdb": "pyarrow", "csv-duckdb": "-", "postgres-postgres": "pyarrow"}
LIMIT = 600  # seconds a leg may take


@dataclass(frozen=True)
class Measure:
    """One run of one leg."""

    wall: float
    cpu: float
    peak: int
    """Bytes."""
    rows: int


def run(command: list[str], environment: dict[str, str]) -> tuple[float, float, int]:
    """Run a process: wall and CPU seconds, peak memory in bytes."""
    started = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        output, errors = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return float("inf"), 0.0, 0
    wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{output[-2000:]}\n{errors[-4000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, after.ru_maxrss * 1024


def measured(command: list[str], environment: dict[str, str], count: Callable[[], int]) -> Measure:
    """As `run`, in a process between, so that the peak is this command's alone."""
    script = (
        "import json, os, sys; from benchmarks.moving_data import run;"
        "print(json.dumps(run(json.loads(sys.argv[1]), json.loads(sys.argv[2]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(command), json.dumps(environment)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    wall, cpu, peak = json.loads(done.stdout)
    return Measure(wall, cpu, peak, count() if wall != float("inf") else 0)


class Bench:
    """The sources, and how each side moves them."""

    def __init__(self, folder: Path, rows: int, dlt_python: Path) -> None:
        self.folder = folder
        self.rows = rows
        self.dlt_python = dlt_python
        self.server: PostgresServer = start_server()
        self.source = self.server.create_database()
        lineitem.postgres(self.source.url, folder, rows)

    def close(self) -> None:
        self.server.stop()

    def ours(self, leg: str) -> Measure:
        home = Path(tempfile.mkdtemp(dir=self.folder))
        source, destination = leg.split("-")
        parameters = self.source.parameters
        sources = {
            "postgres": {"type": "postgres", "config": parameters},
            "sqlite": {"type": "sqlite", "config": {"path": str(lineitem.sqlite(self.folder, self.rows))}},
            "csv": {"type": "file", "config": {"path": str(lineitem.csv(self.folder, self.rows))}},
        }
        target = self.server.create_database() if destination == "postgres" else None
        destinations = {
            "duckdb": {"type": "duckdb", "config": {"path": str(home / "out.duckdb")}},
            "postgres": {"type": "postgres", "config": target.parameters if target else {}},
        }
        stream = f"lineitem_{self.rows}" if source == "csv" else "lineitem"
        document = {
            "version": 1,
            "sources": {"s": sources[source]},
            "destinations": {"d": destinations[destination]},
            "connectors": {
                "c": {
                    "source": "s",
                    "destination": "d",
                    "streams": [{"name": stream, "sync_mode": "replace", "table": "lineitem"}],
                    "schedule": {"kind": "manual"},
                }
            },
        }
        path = home / "document.json"
        path.write_text(json.dumps(document))
        syncterm = [sys.executable, "-m", "syncterm", "--home", str(home / "home")]
        subprocess.run([*syncterm, "apply", str(path)], check=True, capture_output=True)

        def count() -> int:
            if target is not None:
                return int(target.query("SELECT count(*) FROM lineitem")[0][0])
            return count_duckdb(home / "out.duckdb", "lineitem")

        result = measured([*syncterm, "sync", "c"], {}, count)
        if target is not None:
            self.server.drop_database(target)
        shutil.rmtree(home)
        return result

    def dlt(self, leg: str) -> Measure:
        home = Path(tempfile.mkdtemp(dir=self.folder))
        kind, destination = leg.split("-")
        sources = {
            "postgres": self.source.url,
            "sqlite": str(lineitem.sqlite(self.folder, self.rows)),
            "csv": str(lineitem.csv(self.folder, self.rows)),
        }
        target = self.server.create_database() if destination == "postgres" else None
        out = target.url if target is not None else str(home / "out.duckdb")

        def count() -> int:
            if target is not None:
                return int(target.query("SELECT count(*) FROM bench.lineitem")[0][0])
            script = f"import duckdb; print(duckdb.connect({out!r}).sql('SELECT count(*) FROM bench.lineitem').fetchall()[0][0])"
            return int(subprocess.run([self.dlt_python, "-c", script], capture_output=True, text=True, check=True).stdout)

        peer = Path(__file__).parent / "peers" / "dlt_leg.py"
        result = measured(
            [str(self.dlt_python), str(peer), leg, sources[kind], out, BACKENDS[leg]], {"DLT_DIR": str(home / "dlt")}, count
        )
        if target is not None:
            self.server.drop_database(target)
        shutil.rmtree(home)
        return result


def count_duckdb(path: Path, table: str) -> int:
    import duckdb

    with closing(duckdb.connect(str(path), read_only=True)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])


def dlt_environment(folder: Path) -> Path:
    """The Python of a virtual environment with dlt; made once."""
    home = folder / "dlt-environment"
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", DLT, "sqlalchemy<2.1", "connectorx", "psycopg2-binary", "pandas"],
            check=True,
        )
    return python


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("legs", nargs="*", metavar="LEG", help=f"of {', '.join(LEGS)}; default: all")
    arguments.add_argument("--rows", type=int, default=lineitem.ROWS)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--dlt", type=Path, help="Python of an environment with dlt")
    arguments.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "syncterm-benchmarks")
    options = arguments.parse_args()
    machine.plain_environment()
    options.folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(options.folder, options.rows, options.dlt or dlt_environment(options.folder))
    try:
        print(f"{machine.describe()}\n\n{options.rows:,} rows, median of {options.rounds} interleaved rounds\n")
        print("| leg | syncterm s | CPU s | peak MB | dlt s | CPU s | peak MB | times faster |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for leg in options.legs or LEGS:
            rounds = [(bench.ours(leg), bench.dlt(leg)) for _ in range(options.rounds)]
            ours, dlt = zip(*rounds, strict=True)
            for name, runs in (("syncterm", ours), ("dlt", dlt)):
                wrong = {one.rows for one in runs} - {options.rows}
                if wrong:
                    print(f"{leg}: {name} left {wrong} rows instead of {options.rows}")
            print(f"| {leg} | {row(ours)} | {row(dlt)} | {median(dlt, 'wall') / median(ours, 'wall'):.1f} |", flush=True)
    finally:
        bench.close()


def median(runs: tuple[Measure, ...], name: str) -> float:
    return statistics.median(getattr(one, name) for one in runs)


def row(runs: tuple[Measure, ...]) -> str:
    return f"{median(runs, 'wall'):.1f} | {median(runs, 'cpu'):.1f} | {median(runs, 'peak') / 1e6:.0f}"


if __name__ == "__main__":
    main()
