"""Secrets in everything the product leaves behind: markers in every secret field, then a search for them in every form.

Files of the workspace, what went to the terminal, what commands printed, arguments of processes: a marker is found in none of them,
neither as it is nor encoded. Only the sealed form exists.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from syncterm.engine.adapters import DESTINATIONS_GROUP, SOURCES_GROUP, adapter_class, adapter_types
from syncterm.engine.drafts import EndpointDraft, Saved
from syncterm.engine.engine import Engine
from syncterm.engine.model import Actor, CheckReport, EndpointKind
from syncterm.engine.operation_results import OperationResult
from syncterm.engine.secrets import FieldPath, secret_fields
from tests.process.engine_process import Console, Starter, store_rows, store_value, wait_completed, wait_for_lease, wait_until
from tests.process.terminal import KEYS, Terminal
from tests.servers.postgres import PostgresDatabase

PROGRAM = [sys.executable, "-m", "syncterm"]
GROUPS = {EndpointKind.SOURCE: SOURCES_GROUP, EndpointKind.DESTINATION: DESTINATIONS_GROUP}
FIELDS = [
    (kind, type_, path)
    for kind, group in GROUPS.items()
    for type_ in adapter_types(group)
    for path in sorted(secret_fields(adapter_class(group, type_).Config))
]
"""Every secret field of every adapter that is registered."""


# Looking for a marker -----------------------------------------------------------------------------------------------------------


def new_marker() -> str:
    """A secret that every encoding changes."""
    return f"mArKer/{secrets.token_hex(4)}+\"q'%&<{secrets.token_hex(4)}>=?~ä\\z"


def forms(marker: str) -> dict[str, bytes]:
    """How a marker may be written."""
    data = marker.encode()
    found = {
        "plain": data,
        "json": json.dumps(marker)[1:-1].encode(),
        "json without escapes": json.dumps(marker, ensure_ascii=False)[1:-1].encode(),
        "repr": repr(marker)[1:-1].encode(),
        "sql": marker.replace("'", "''").encode(),
        "html": html.escape(marker).encode(),
        "url": quote(data, safe="").encode(),
        "url path": quote(data).encode(),
        "form": quote_plus(data).encode(),
        "hex": data.hex().encode(),
        "capital hex": data.hex().upper().encode(),
        "utf-16-le": marker.encode("utf-16-le"),
        "utf-16-be": marker.encode("utf-16-be"),
        "core": re.findall(r"[0-9a-f]{8}", marker)[0].encode(),  # whatever was done to the rest
        "other core": re.findall(r"[0-9a-f]{8}", marker)[1].encode(),
    }
    for shift in range(3):  # of a longer text, base64 holds it at one of three alignments
        whole = base64.b64encode(b"\0" * shift + data).decode()
        found[f"base64 at {shift}"] = whole[(0, 2, 3)[shift] : -4].encode()
    found |= {
        f"{name}, url-safe": form.translate(bytes.maketrans(b"+/", b"-_")) for name, form in found.items() if "base64" in name
    }
    return found


def leaks(markers: Mapping[str, str], places: Mapping[str, bytes]) -> list[str]:
    """Which marker lies where, in which form."""
    return [
        f"{of} in {place} as {name}"
        for of, marker in markers.items()
        for name, form in forms(marker).items()
        for place, content in places.items()
        if form in content
    ]


@pytest.mark.parametrize("form", forms(new_marker()))
def test_each_form_is_found(form: str) -> None:
    marker = new_marker()
    assert any(leak.endswith(f" as {form}") for leak in leaks({"it": marker}, {"there": b"\0x" + forms(marker)[form] + b"y"}))
    assert not leaks({"it": marker}, {"there": forms(new_marker())[form]})


def test_markers_are_for_all_adapters_that_have_secrets() -> None:
    assert {(kind, type_) for kind, type_, _ in FIELDS} >= {
        (EndpointKind.SOURCE, "postgres"),
        (EndpointKind.SOURCE, "scripted"),
        (EndpointKind.DESTINATION, "postgres"),
    }


# A workspace full of markers ----------------------------------------------------------------------------------------------------


@dataclass
class Household:
    """A workspace, its markers, and what was seen of it from outside."""

    home: Path
    outside: Path
    """A folder that is not the product's."""
    markers: dict[str, str] = field(default_factory=dict)
    """What it is for → marker."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables with markers, for processes that resolve references."""
    seen: dict[str, bytes] = field(default_factory=dict)
    """Where → what was written there."""

    def marker(self, purpose: str) -> str:
        return self.markers.setdefault(purpose, new_marker())

    def ways(self, purpose: str) -> Iterator[tuple[str, str]]:
        """A secret's value by itself, through the environment, and through a file; each has a marker of its own."""
        yield "literal", self.marker(f"{purpose}, literal")
        variable = f"MARKER_{len(self.environment)}"
        self.environment[variable] = self.marker(f"{purpose}, environment")
        yield "environment", f"${{env:{variable}}}"
        path = self.outside / f"secret-{len(self.markers)}"
        path.write_text(self.marker(f"{purpose}, file"))
        yield "file", f"${{file:{path}}}"

    def run(self, *arguments: str, returns: tuple[int, ...] = (0,)) -> str:
        """What a command of the product prints."""
        done = subprocess.run(
            [*PROGRAM, "--home", str(self.home), *arguments],
            capture_output=True,
            env={**os.environ, **self.environment},
            check=False,
        )
        self.seen[f"syncterm {' '.join(arguments)}, {len(self.seen)}"] = done.stdout + done.stderr
        assert done.returncode in returns, done.stderr.decode()
        return done.stdout.decode()

    def look_at_processes(self) -> None:
        """Remember the arguments of every process there is, as `ps` shows them."""
        listed = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, check=True).stdout
        self.seen[f"ps, {len(self.seen)}"] = listed

    def check(self) -> None:
        """Nothing that was seen, and no file of the workspace, holds a marker in any form."""
        files = {str(path.relative_to(self.home)): path.read_bytes() for path in self.home.rglob("*") if path.is_file()}
        assert {"syncterm.db", "syncterm.log", "key"} <= files.keys()
        assert not leaks(self.markers, {**files, **self.seen})


@pytest.fixture
def household(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Household:
    home, outside = tmp_path / "home", tmp_path / "outside"
    home.mkdir(mode=0o700)
    outside.mkdir()
    return Household(home, outside)


def config_with(path: FieldPath, secret: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with a secret at a place in them."""
    value: Any = secret
    for key in reversed(path[1:]):
        value = [value] if key == "*" else {key: value}
    return {**settings, path[0]: value}


async def save(draft: EndpointDraft, engine: Engine, actor: Actor) -> Saved:
    return await engine.operations.save_endpoint(actor, draft)


async def report_of(draft: EndpointDraft, engine: Engine, actor: Actor) -> CheckReport:
    return await engine.operations.test_endpoint(actor, draft, lambda step: None)


async def cancel(sync_id: str, engine: Engine, actor: Actor) -> OperationResult:
    return await engine.operations.cancel_sync(actor, sync_id)


def save_all(household: Household, console: Console, database: PostgresDatabase) -> dict[str, EndpointDraft]:
    """A source or destination for each way of giving each secret field; name → draft."""
    drafts = {}
    usual = {"postgres": {"host": database.host, "port": database.port, "database": database.database, "user": "nobody_here"}}
    for kind, type_, path in FIELDS:
        purpose = f"{kind} {type_} {'.'.join(path)}"
        for way, secret in household.ways(purpose):
            name = f"{kind}-{type_}-{'-'.join(path)}-{way}"
            draft = EndpointDraft(kind, type_, name, config_with(path, secret, usual.get(type_, {})))
            saved = console.call(partial(save, draft))
            assert saved.incomplete_reason is None
            drafts[name] = draft
    return drafts


def connectors(household: Household, database: PostgresDatabase) -> tuple[str, ...]:
    """Connectors whose syncs succeed, and ones whose syncs fail, each in another way; a document, and their names."""
    good = household.marker("a password that works")
    database.execute(f"CREATE ROLE marked LOGIN PASSWORD {quoted(good)}; GRANT ALL ON SCHEMA public TO marked")
    database.execute("CREATE TABLE orders (id bigint PRIMARY KEY, note text); ALTER TABLE orders OWNER TO marked")
    database.execute("INSERT INTO orders SELECT i, 'note ' || i FROM generate_series(1, 50) AS i")
    household.environment["GOOD_PASSWORD"] = good
    (household.outside / "good").write_text(good + "\n")
    place = {"host": database.host, "port": database.port, "database": database.database, "user": "marked"}
    wrong = {**place, "password": household.marker("a password that is refused")}
    refusing, crashing, bad = (
        {"script": kind, "records": 30, "token": household.marker(f"token, {kind}"), "faults": [{"kind": kind}]}
        for kind in ("unauthorized", "crash", "bad_rows")
    )
    document = {
        "version": 1,
        "sources": {
            "right": {"type": "postgres", "config": {**place, "password": good}},
            "right-by-file": {"type": "postgres", "config": {**place, "password": f"${{file:{household.outside}/good}}"}},
            "refused": {"type": "postgres", "config": wrong},
            "closed": {"type": "postgres", "config": {**wrong, "port": 1}},
            "refusing": {"type": "scripted", "config": refusing},
            "crashing": {"type": "scripted", "config": crashing},
            "bad": {"type": "scripted", "config": bad},
        },
        "destinations": {
            "lake": {"type": "postgres", "config": {**place, "password": "${env:GOOD_PASSWORD}"}},
            "files": {"type": "file", "config": {"path": str(household.outside / "files"), "format": "jsonl"}},
            "no-lake": {"type": "postgres", "config": wrong},
        },
        "connectors": {
            f"{source}-to-{destination}": {
                "source": source,
                "destination": destination,
                "collection": "",
                "streams": [{"name": "orders" if source in PLAIN else "events", "sync_mode": "replace", "table": f"t_{number}"}],
            }
            for number, (source, destination) in enumerate(PAIRS)
        },
    }
    (household.outside / "set-up.json").write_text(json.dumps(document))
    return tuple(document["connectors"])  # type: ignore[arg-type]


PLAIN = ("right", "right-by-file", "refused", "closed")
PAIRS = (
    ("right", "files"),
    ("right-by-file", "lake"),
    ("refused", "files"),
    ("closed", "lake"),
    ("right", "no-lake"),
    ("refusing", "files"),
    ("crashing", "files"),
    ("bad", "lake"),
)
RETRYING = "closed-to-lake"
"""Its fault may pass, so that it is tried again until somebody cancels it."""
ATTEMPT_FAILED = "select 1 from attempts where sync_id = ? and error_message is not null"
SUCCEEDING = {"right-to-files", "right-by-file-to-lake"}


def quoted(text: str) -> str:
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


class Visitor:
    """Somebody at a dashboard, whose every picture is kept."""

    def __init__(self, terminal: Terminal, household: Household) -> None:
        self._terminal = terminal
        self._household = household

    def press(self, *keys: str) -> None:
        for key in keys:
            self._terminal.press(key) if key in KEYS else self._terminal.send(key)
            self._terminal.settle(0.1)
            picture = "\n".join(self._terminal.display)
            self._household.seen[f"picture {len(self._household.seen)}"] = picture.encode()

    def look_around(self) -> None:
        """Connectors with their tabs, tests and logs, sources and destinations with their forms, the help."""
        for _ in range(4):
            self.press("down", "enter", "tab", "right", "right", "right", "c", "escape", "escape", "escape", "escape")
        for mode in ("2", "3"):
            self.press(mode, "enter", "c", "escape", "e", "tab", "tab", "escape", "escape", "escape")
        self.press("1", "?", "escape")


CRASH = """
import sys, syncterm.app, syncterm.cli
def crash(self):
    raise RuntimeError("a defect")
syncterm.app.SyncTermApp.action_help = crash
sys.argv = ["syncterm"]
syncterm.cli.main()
"""


def test_no_secret_is_left_behind(household: Household, postgres_database: PostgresDatabase, start: Starter) -> None:
    home = household.home
    names = connectors(household, postgres_database)
    household.run("apply", str(household.outside / "set-up.json"))
    with Console(home) as console:
        drafts = save_all(household, console, postgres_database)
        for draft in drafts.values():
            household.seen[f"test of {draft.name}"] = repr(console.call(partial(report_of, draft))).encode()
    environment = {"SYNCTERM_HOME": str(home), **household.environment}
    with Terminal(PROGRAM, env=environment) as terminal:
        terminal.wait_for("right-to-files")
        with Console(home) as console:
            for name in names:
                sync_id = console.sync(name)
                if name == RETRYING:
                    wait_until(partial(store_value, home, ATTEMPT_FAILED, sync_id), "an attempt failed")
                    console.call(partial(cancel, sync_id))
                wait_completed(home, sync_id)
        household.look_at_processes()
        Visitor(terminal, household).look_around()
        household.look_at_processes()
        terminal.process.send_signal(signal.SIGTERM)
        terminal.wait()
        household.seen["the terminal"] = bytes(terminal.raw)
    outcomes = dict(store_rows(home, "select name, last_outcome from connectors"))
    assert {name for name, outcome in outcomes.items() if outcome == "success"} >= SUCCEEDING
    assert set(outcomes.values()) == {"success", "failed", "cancelled"}
    household.check()

    engine = start(home)
    wait_for_lease(home, engine)
    household.look_at_processes()
    with Console(home) as console:
        wait_completed(home, console.sync("refusing-to-files"))
    assert "Bearer ***" in str(store_value(home, "select last_error_message from connectors where name = 'refusing-to-files'"))
    engine.process.send_signal(signal.SIGTERM)
    wait_until(lambda: engine.process.poll() is not None, "the engine ended")

    for arguments in (("export",), ("status",), ("status", "--json"), ("logs",), ("logs", "--json"), ("doctor",), ("rotate-key",)):
        household.run(*arguments)
    for name in ("right-by-file-to-lake", "right-to-no-lake", "refusing-to-files"):
        for command in ("test", "sync", "status"):
            household.run(command, name, returns=(0, 1))
    exported = household.run("export")
    assert "***" in exported
    with Terminal([sys.executable, "-c", CRASH], env=environment) as terminal:
        terminal.wait_for("right-to-files")
        terminal.send("?")
        assert terminal.wait() == 1
        assert b"a defect" in terminal.raw
        household.seen["the terminal of a crash"] = bytes(terminal.raw)
    household.check()
    sealed = store_value(home, "select count(*) from sources where config like '%\"sealed:1:%'")
    assert sealed == 6 + sum(draft.kind is EndpointKind.SOURCE and draft.name.endswith("literal") for draft in drafts.values())
