"""`syncterm demo`: the dashboard on a workspace of its own, with real data, and one of everything that can be wrong."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from textwrap import dedent

from syncterm.account import account_name
from syncterm.demo_data import Changes, build
from syncterm.engine.errors import ConfigError
from syncterm.engine.host import EngineHost
from syncterm.engine.model import Actor, Role
from syncterm.engine.workspace import Workspace
from syncterm.output import say

BROKEN, INCOMPLETE, PAUSED = "legacy-orders", "crm-contacts", "weather-archive"
"""Connectors of the demo that are not meant to succeed: a path that is not there, no streams, paused."""

MARK = ".syncterm-demo"
"""The file that says a folder is the demo's own: only such a folder is ever emptied."""

DOCUMENT = """\
version: 1
sources:
  flights-db:
    type: sqlite
    config: {path: data/flights.sqlite}
  reference-files:
    type: file
    config: {path: data/reference, format: csv}
  weather-station:
    type: file
    config: {path: data/weather.parquet}
  legacy-erp:
    type: sqlite
    config: {path: data/legacy-erp.sqlite}
destinations:
  warehouse:
    type: duckdb
    config: {path: warehouse.duckdb}
  lake:
    type: file
    config: {path: lake, format: parquet}
connectors:
  flights-live:
    source: flights-db
    destination: warehouse
    schedule: {kind: interval, every: 1m}
    streams:
      - {name: flights, sync_mode: incremental_upsert, primary_key: [id], cursor_field: updated_at}
  flights-history:
    source: flights-db
    destination: lake
    collection: history
    schedule: {kind: interval, every: 5m}
    streams:
      - {name: flights, sync_mode: incremental_append, cursor_field: id}
  airports:
    source: reference-files
    destination: warehouse
    collection: reference
    schedule: {kind: cron, expression: "0 6 * * 1-5", timezone: America/New_York}
    streams:
      - {name: airports, sync_mode: replace}
      - {name: airlines, sync_mode: replace}
  planes-by-year:
    source: reference-files
    destination: warehouse
    collection: fleet
    schedule: {kind: interval, every: 15m}
    streams:
      - name: planes
        sync_mode: replace
        fields: {year: {cast: int32}}
  weather:
    source: weather-station
    destination: lake
    collection: weather
    schedule: {kind: manual}
    streams:
      - {name: weather, sync_mode: append}
  weather-hourly:
    source: weather-station
    destination: warehouse
    collection: weather
    schedule: {kind: interval, every: 1h}
    streams:
      - {name: weather, sync_mode: incremental_append, cursor_field: time_hour}
  weather-archive:
    source: weather-station
    destination: lake
    collection: archive
    paused: true
    schedule: {kind: cron, expression: "30 2 * * *", timezone: Europe/Berlin}
    streams:
      - {name: weather, sync_mode: replace}
  legacy-orders:
    source: legacy-erp
    destination: warehouse
    collection: legacy
    schedule: {kind: interval, every: 6h}
    streams:
      - {name: orders, sync_mode: replace}
  crm-contacts:
    source: reference-files
    destination: lake
    collection: crm
    schedule: {kind: interval, every: 24h}
    streams: []
"""


def run_demo(folder: Path | None, *, headless: bool, fresh: bool) -> int:
    """Prepare the demo where it is new, then open the dashboard on it, or sync everything once; the exit code.

    Args:
        folder: where the demo lies; None for a folder of its own beside the default workspace.
        headless: sync once and print the table.
        fresh: begin again with new data.

    Raises:
        ConfigError: the folder holds something else, or the demo's data is not installed.
    """
    folder = (folder or Workspace.default().folder / "demo").expanduser().absolute()
    workspace = Workspace(folder)
    _claim(workspace, fresh=fresh)
    new = not workspace.store_path.exists()
    if new:
        say(f"Preparing the demo in {folder} (336,776 flights; a few seconds) …")
    build(folder / "data")
    changes = Changes(folder / "data")
    if headless:
        return _run_once(workspace, changes)
    from syncterm.dashboard import run_dashboard

    host = EngineHost(workspace)
    if new:
        _set_up(workspace)
    changes.start()
    try:
        return run_dashboard(workspace, host=host)
    finally:
        changes.stop()


def _claim(workspace: Workspace, *, fresh: bool) -> None:
    """Make the folder the demo's own, empty with `fresh`.

    Raises:
        ConfigError: it holds something that no demo put there; nothing was touched.
    """
    folder, mark = workspace.folder, workspace.folder / MARK
    if folder.exists() and not mark.exists() and not (folder.is_dir() and next(folder.iterdir(), None) is None):
        raise ConfigError(f"{folder} is there already, and is not the demo's.", remedy="Give --folder a new or an empty folder.")
    if fresh and mark.exists():
        shutil.rmtree(folder)
    workspace.create()
    mark.touch(0o600)


def _actor() -> Actor:
    return Actor(account_name(), Role.ADMINISTRATOR)


def _set_up(workspace: Workspace) -> list[str]:
    """Apply the demo's document and queue a first sync of what can run; the ids of those connectors."""
    from syncterm.cli import all_connectors
    from syncterm.engine.document import load_document

    host = EngineHost(workspace, execute=False)
    host.start()
    try:
        document = load_document(dedent(DOCUMENT))
        host.call_and_wait(lambda engine: engine.operations.apply(_actor(), document))
        ids = [row.id for row in all_connectors(host) if str(row.status) not in ("Incomplete", "Paused")]
        host.call_and_wait(lambda engine: engine.operations.sync_now(_actor(), ids))
        return ids
    finally:
        host.stop()


def _run_once(workspace: Workspace, changes: Changes) -> int:
    """Sync everything that can run once, change the source, sync what is incremental again; print the table and the counts."""
    from syncterm.cli import all_connectors, print_connectors
    from syncterm.engine.engine import EngineSettings
    from syncterm.follow import follow, queue

    _set_up(workspace)
    host = EngineHost(workspace, settings=EngineSettings(schedule=False))
    host.start()
    try:
        host.wait_ready()
        rows = [row for row in all_connectors(host) if str(row.status) not in ("Incomplete", "Paused")]
        follow(host, _actor(), [row.id for row in rows])
        changes.change()
        again = [row.id for row in rows if row.name.startswith("flights")]
        queue(host, _actor(), again, historical=False)
        follow(host, _actor(), again)
        rows = all_connectors(host)
        print_connectors(host, rows)
    finally:
        host.stop()
    wrong = [row.name for row in rows if (row.last_outcome == "success") != (row.name not in (BROKEN, INCOMPLETE, PAUSED))]
    records = sum(row.last_records or 0 for row in rows)
    rejected = sum(row.last_rejected or 0 for row in rows)
    say(f"{len(rows)} connectors; the last syncs wrote {records:,} records and set {rejected:,} aside. Data: {workspace.folder}")
    if wrong:
        say(f"Not as expected: {', '.join(wrong)}.")
    sys.stdout.flush()
    return 1 if wrong else 0
