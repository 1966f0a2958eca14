"""Connection tests (A6) against real systems: each result, its cause in plain words, and what to do next."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from syncterm.engine import connection_test, postgres_session
from syncterm.engine.drafts import EndpointDraft
from syncterm.engine.model import CheckReport, CheckResult, CheckStep, CredentialsState, EndpointKind
from syncterm.engine.queries import EndpointRow
from syncterm.engine.status import SourceStatus
from tests.engine.workbench import ADMINISTRATOR, Workbench, until, workbench
from tests.servers.postgres import PostgresDatabase
from tests.unprivileged import run_unprivileged

SOURCE, DESTINATION = EndpointKind.SOURCE, EndpointKind.DESTINATION
ENDS = (SOURCE, DESTINATION)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    async with workbench(tmp_path / "home", execute=False) as bench:
        yield bench


async def check(bench: Workbench, draft: EndpointDraft, steps: list[CheckStep] | None = None) -> CheckReport:
    seen = steps if steps is not None else []
    report: CheckReport = await bench.engine.operations.test_endpoint(ADMINISTRATOR, draft, seen.append)
    assert tuple(seen) == report.steps
    return report


def draft_of(kind: EndpointKind, type_: str, **config: Any) -> EndpointDraft:
    return EndpointDraft(kind, type_, "e", config)


def postgres(kind: EndpointKind, server: PostgresDatabase, **changes: Any) -> EndpointDraft:
    return draft_of(kind, "postgres", **{**server.parameters, **changes})


def says(report: CheckReport, result: CheckResult, cause: str, remedy: str) -> None:
    """The report says that: one paragraph in words, and a sentence of what to do."""
    assert report.result is result, report
    assert cause in report.cause
    assert remedy in report.remedy
    for text in (report.cause, report.remedy):
        assert "Traceback" not in text
        assert "Error(" not in text
        assert text.endswith((".", "?"))


# PostgreSQL -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ENDS)
async def test_postgres_works_step_by_step(bench: Workbench, postgres_database: PostgresDatabase, kind: EndpointKind) -> None:
    postgres_database.execute("CREATE TABLE t (id int)")
    steps: list[CheckStep] = []
    report = await check(bench, postgres(kind, postgres_database), steps)
    assert report.result is CheckResult.WORKING
    assert [step.title for step in steps] == ["Initiate test", "Authentication check", "Connectivity test", "Permission check"]
    assert all(step.passed for step in steps)
    assert (report.cause, report.remedy) == ("", "")


@pytest.mark.parametrize("kind", ENDS)
async def test_a_wrong_password(bench: Workbench, postgres_database: PostgresDatabase, kind: EndpointKind) -> None:
    steps: list[CheckStep] = []
    report = await check(bench, postgres(kind, postgres_database, password="wrong-password"), steps)
    says(report, CheckResult.AUTHENTICATION_FAILED, "password authentication failed", "Check user and password")
    assert [step.title for step in steps] == ["Initiate test"]
    assert "wrong-password" not in f"{report}"


@pytest.mark.parametrize("kind", ENDS)
async def test_an_unknown_database(bench: Workbench, postgres_database: PostgresDatabase, kind: EndpointKind) -> None:
    report = await check(bench, postgres(kind, postgres_database, database="nowhere"))
    says(report, CheckResult.FAILED, 'database "nowhere" does not exist', "Correct the database's name.")


@pytest.mark.parametrize("kind", ENDS)
async def test_a_closed_port(bench: Workbench, postgres_database: PostgresDatabase, kind: EndpointKind) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        port = taken.getsockname()[1]
        report = await check(bench, postgres(kind, postgres_database, port=port))
    says(report, CheckResult.FAILED, f"Nothing accepts connections at 127.0.0.1:{port}", "whether the server runs")


@pytest.mark.parametrize("kind", ENDS)
async def test_an_unknown_host(bench: Workbench, postgres_database: PostgresDatabase, kind: EndpointKind) -> None:
    report = await check(bench, postgres(kind, postgres_database, host="no-such-host.invalid"))
    says(report, CheckResult.FAILED, "The host name 'no-such-host.invalid' could not be resolved", "Check the name and the DNS.")


class Silence:
    """An address that takes connections and never answers, as one behind a firewall that drops everything."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.open = 0
        """Connections that the client has not given up."""
        self.taken = threading.Event()
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            self.open += 1
            self.taken.set()
            threading.Thread(target=self._listen, args=(connection,), daemon=True).start()

    def _listen(self, connection: socket.socket) -> None:
        try:
            while connection.recv(4096):
                pass
        except OSError:
            self.open -= 1
            return
        self.open -= 1

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()


@contextmanager
def silence() -> Iterator[Silence]:
    made = Silence()
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("kind", ENDS)
async def test_an_address_that_never_answers(
    bench: Workbench, postgres_database: PostgresDatabase, kind: EndpointKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_session, "CONNECT_TIMEOUT", 0.3)
    with silence() as address:
        report = await check(bench, postgres(kind, postgres_database, port=address.port))
    says(report, CheckResult.TIMEOUT, "did not answer", "Check host and port, the network and its firewalls")


@pytest.mark.parametrize("kind", ENDS)
async def test_the_deadline_of_a_whole_test(
    bench: Workbench, postgres_database: PostgresDatabase, kind: EndpointKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_test, "DEADLINE", 0.3)
    monkeypatch.setattr(postgres_session, "CONNECT_TIMEOUT", 3600.0)
    with silence() as address:
        report = await check(bench, postgres(kind, postgres_database, port=address.port))
    says(report, CheckResult.TIMEOUT, f"The {kind} did not answer within", "firewall")


@pytest.mark.parametrize("kind", ENDS)
async def test_a_test_is_cancelled(
    bench: Workbench, postgres_database: PostgresDatabase, kind: EndpointKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_session, "CONNECT_TIMEOUT", 3600.0)
    with silence() as address:
        running = asyncio.create_task(check(bench, postgres(kind, postgres_database, port=address.port)))
        assert await asyncio.to_thread(address.taken.wait, 30)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        async def given_up() -> bool:
            return address.open == 0

        await until(given_up, "the connection was given up")
    (entry,) = await bench.engine.queries.audit()
    assert (entry.operation, json.loads(entry.after or "")) == ("test_endpoint", {"result": "cancelled"})


async def test_no_right_to_read(bench: Workbench, postgres_database: PostgresDatabase) -> None:
    postgres_database.execute("CREATE TABLE t (id int); CREATE ROLE onlooker LOGIN PASSWORD 'onlooker-password'")
    report = await check(bench, postgres(SOURCE, postgres_database, user="onlooker", password="onlooker-password"))
    says(report, CheckResult.PERMISSION_DENIED, "may read none of the 1 tables of schema 'public': t.", "Grant SELECT")
    assert [step.title for step in report.steps] == ["Initiate test", "Authentication check", "Connectivity test"]


async def test_no_right_to_write(bench: Workbench, postgres_database: PostgresDatabase) -> None:
    postgres_database.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC; CREATE ROLE reader_only LOGIN PASSWORD 'reader-password'")
    report = await check(bench, postgres(DESTINATION, postgres_database, user="reader_only", password="reader-password"))
    says(report, CheckResult.PERMISSION_DENIED, "CREATE on schema 'public'", "Grant CREATE on schema 'public' to 'reader_only'.")


@pytest.mark.parametrize("kind", ENDS)
async def test_a_missing_reference(bench: Workbench, postgres_database: PostgresDatabase, kind: EndpointKind) -> None:
    report = await check(bench, postgres(kind, postgres_database, password="${env:SYNCTERM_TEST_IS_NOT_SET}"))
    says(report, CheckResult.FAILED, "${env:SYNCTERM_TEST_IS_NOT_SET} cannot be resolved", "Set it in the environment")


# Files ------------------------------------------------------------------------------------------------------------------------


def make_files(folder: Path) -> None:
    """`good.*`, and `bad.*`, which are not what their names say."""
    with closing(sqlite3.connect(folder / "good.db")) as connection:
        connection.execute("CREATE TABLE t (id INTEGER)")
    with closing(duckdb.connect(str(folder / "good.duckdb"))) as database:
        database.execute("CREATE TABLE t (id INTEGER)")
    (folder / "good.csv").write_text("id\n1\n")
    for name in ("bad.db", "bad.duckdb", "bad.parquet"):
        (folder / name).write_bytes(b"no such thing\n" * 400)


FILES: list[tuple[EndpointKind, str, str, CheckResult, str, str]] = [
    (SOURCE, "sqlite", "good.db", CheckResult.WORKING, "", ""),
    (SOURCE, "duckdb", "good.duckdb", CheckResult.WORKING, "", ""),
    (SOURCE, "file", "good.csv", CheckResult.WORKING, "", ""),
    (DESTINATION, "sqlite", "good.db", CheckResult.WORKING, "", ""),
    (DESTINATION, "duckdb", "good.duckdb", CheckResult.WORKING, "", ""),
    (DESTINATION, "sqlite", "new.db", CheckResult.WORKING, "", ""),
    (DESTINATION, "duckdb", "new.duckdb", CheckResult.WORKING, "", ""),
    (DESTINATION, "file", "new", CheckResult.WORKING, "", ""),
    (SOURCE, "sqlite", "missing.db", CheckResult.FAILED, "missing.db does not exist", "path"),
    (SOURCE, "duckdb", "missing.duckdb", CheckResult.FAILED, "missing.duckdb does not exist", "path"),
    (SOURCE, "file", "missing.csv", CheckResult.FAILED, "missing.csv", "path"),
    (DESTINATION, "sqlite", "missing/x.db", CheckResult.FAILED, "missing does not exist", "Create it, or correct the path."),
    (DESTINATION, "duckdb", "missing/x.duckdb", CheckResult.FAILED, "missing does not exist", "Create it, or correct the path."),
    (DESTINATION, "file", "missing/x", CheckResult.FAILED, "missing does not exist", "Create it, or correct the path."),
    (DESTINATION, "file", "good.csv", CheckResult.FAILED, "good.csv is not a folder", "Correct the path."),
    (SOURCE, "sqlite", "bad.db", CheckResult.FAILED, "bad.db", "Check the file."),
    (SOURCE, "duckdb", "bad.duckdb", CheckResult.FAILED, "bad.duckdb", "Correct the path."),
    (SOURCE, "file", "bad.parquet", CheckResult.FAILED, "bad.parquet", "Fetch or write the file again."),
    (DESTINATION, "sqlite", "bad.db", CheckResult.FAILED, "bad.db", "Correct the path; syncterm does not overwrite the file."),
    (DESTINATION, "duckdb", "bad.duckdb", CheckResult.FAILED, "bad.duckdb", "syncterm does not overwrite the file."),
]


@pytest.mark.parametrize(
    ("kind", "type_", "path", "result", "cause", "remedy"), FILES, ids=[f"{case[0]}-{case[2]}" for case in FILES]
)
async def test_files(
    bench: Workbench, tmp_path: Path, kind: EndpointKind, type_: str, path: str, result: CheckResult, cause: str, remedy: str
) -> None:
    make_files(tmp_path)
    report = await check(bench, draft_of(kind, type_, path=str(tmp_path / path)))
    if result is CheckResult.WORKING:
        assert (report.result, report.cause, report.remedy) == (result, "", "")
        assert report.steps[0].title == "Initiate test"
    else:
        says(report, result, cause, remedy)


_UNREADABLE = """
import asyncio, json, sys
from pathlib import Path
from syncterm.engine.drafts import EndpointDraft
from syncterm.engine.model import EndpointKind
from tests.engine.workbench import ADMINISTRATOR, workbench

async def main(folder, drafts):
    async with workbench(folder / "home", execute=False) as bench:
        for kind, type_, path in drafts:
            draft = EndpointDraft(EndpointKind(kind), type_, "e", {"path": str(folder / path)})
            report = await bench.engine.operations.test_endpoint(ADMINISTRATOR, draft, lambda step: None)
            print(json.dumps([report.result, report.cause, report.remedy]))

asyncio.run(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
"""


def test_what_may_not_be_read_or_written(tmp_path: Path) -> None:
    make_files(tmp_path)
    closed, sealed = tmp_path / "closed", tmp_path / "sealed"
    for folder in (closed, sealed):
        folder.mkdir()
        make_files(folder)
        (folder / "out").mkdir()
    for path in sealed.iterdir():
        path.chmod(0o000)
    closed.chmod(0o000)
    drafts = [
        (kind, type_, f"{folder}/{path}")
        for folder in ("closed", "sealed")
        for kind, type_, path in (
            (SOURCE, "sqlite", "good.db"),
            (SOURCE, "duckdb", "good.duckdb"),
            (SOURCE, "file", "good.csv"),
            (DESTINATION, "sqlite", "good.db"),
            (DESTINATION, "duckdb", "good.duckdb"),
            (DESTINATION, "file", "out"),
        )
    ]
    try:
        lines = run_unprivileged(_UNREADABLE, str(tmp_path), json.dumps(drafts)).splitlines()
    finally:
        closed.chmod(0o700)
    assert len(lines) == len(drafts)
    for draft, line in zip(drafts, lines, strict=True):
        result, cause, remedy = json.loads(line)
        assert result == CheckResult.PERMISSION_DENIED, (draft, cause)
        assert draft[2].rpartition("/")[2] in cause
        assert remedy == "Change its permissions."


# What is kept -----------------------------------------------------------------------------------------------------------------


async def shown(bench: Workbench) -> EndpointRow:
    (row,) = await bench.engine.queries.sources()
    return row


async def test_the_result_of_what_is_stored_is_kept(bench: Workbench, postgres_database: PostgresDatabase) -> None:
    operations = bench.engine.operations
    saved = await operations.save_endpoint(ADMINISTRATOR, postgres(SOURCE, postgres_database))
    draft = await bench.engine.queries.endpoint_draft(SOURCE, saved.id)
    assert draft is not None
    await check(bench, draft)
    row = await shown(bench)
    assert (row.check_result, row.check_message) == (CheckResult.WORKING, None)
    assert (row.credentials, row.status) == (CredentialsState.OK, SourceStatus.AUTHENTICATED)
    await check(bench, replace(draft, config={**draft.config, "password": "wrong-password"}))  # not what is stored
    assert (await shown(bench)).credentials is CredentialsState.OK
    postgres_database.execute("CREATE ROLE fickle LOGIN PASSWORD 'first-password' SUPERUSER")
    await operations.save_endpoint(
        ADMINISTRATOR, replace(draft, config={**draft.config, "user": "fickle", "password": "first-password"})
    )
    assert (await shown(bench)).status is SourceStatus.SETUP
    draft = await bench.engine.queries.endpoint_draft(SOURCE, saved.id)
    assert draft is not None
    await check(bench, draft)
    postgres_database.execute("ALTER ROLE fickle PASSWORD 'second-password'")
    report = await check(bench, draft)
    row = await shown(bench)
    assert (row.check_result, row.check_message) == (CheckResult.AUTHENTICATION_FAILED, report.cause)
    assert (row.status, row.last_error) == (SourceStatus.REAUTH_REQUIRED, report.cause)
    await operations.save_endpoint(ADMINISTRATOR, replace(draft, config={**draft.config, "password": "second-password"}))
    assert (await shown(bench)).status is SourceStatus.AUTHENTICATED  # accepted once, not tested since


async def test_what_was_tested_before_it_was_saved_need_not_be_tested_again(
    bench: Workbench, postgres_database: PostgresDatabase
) -> None:
    draft = postgres(SOURCE, postgres_database)
    await check(bench, draft)
    assert await bench.engine.queries.sources() == []
    await bench.engine.operations.save_endpoint(ADMINISTRATOR, draft)
    row = await shown(bench)
    assert (row.check_result, row.status) == (CheckResult.WORKING, SourceStatus.AUTHENTICATED)
    other = replace(draft, name="other", config={**draft.config, "schema": "elsewhere"})
    await bench.engine.operations.save_endpoint(ADMINISTRATOR, other)
    assert (await bench.engine.queries.sources())[1].check_result is None
