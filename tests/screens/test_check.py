"""The connection test: steps as they happen, the four results in their words, cancelling, testing again."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from textual.pilot import Pilot

from syncterm.app import SyncTermApp
from syncterm.engine.model import CheckReport, CheckResult, CheckStep
from syncterm.engine.store import tables
from syncterm.engine.store.database import Database
from syncterm.engine.testing import READS
from syncterm.screens.check import CheckScreen
from syncterm.screens.connector import ConnectorScreen
from syncterm.text import GLYPHS_ASCII, GLYPHS_UNICODE, width
from syncterm.widgets.check_steps import EndProgress, Phase, check_lines
from syncterm.widgets.lines import plain
from tests.screens.conftest import Stage, picture, until
from tests.screens.connector_store import CONNECTOR_ID, add_connector, fill, opened, quiet


@pytest.fixture
def stage(empty_stage: Stage) -> Stage:
    return empty_stage


def set_up(stage: Stage, tmp_path: Path, source: dict[str, Any], *, source_type: str = "scripted") -> None:
    """A connector from that source into a folder of files."""
    folder = tmp_path / "out"
    folder.mkdir(exist_ok=True)

    async def write(database: Database) -> None:
        await add_connector(database)
        async with database.write() as connection:
            await connection.execute(update(tables.sources).values(type=source_type, config=json.dumps(source)))
            config = json.dumps({"path": str(tmp_path / "warehouse.duckdb")})
            await connection.execute(update(tables.destinations).values(type="duckdb", config=config))

    fill(stage, write)


def shown(pilot: Pilot[Any]) -> str:
    assert isinstance(pilot.app, SyncTermApp)
    return "\n".join(picture(pilot.app))


def check_screen(pilot: Pilot[Any]) -> CheckScreen:
    screen = pilot.app.screen
    assert isinstance(screen, CheckScreen)
    return screen


async def over(pilot: Pilot[Any]) -> None:
    await until(
        pilot, lambda: isinstance(pilot.app.screen, CheckScreen) and check_screen(pilot).phase is not Phase.RUNNING, "it is over"
    )
    await pilot.pause()


async def test_a_connection_that_works(stage: Stage, tmp_path: Path) -> None:
    set_up(stage, tmp_path, {"script": "check-works", "records": 7})
    async with opened(stage) as pilot:
        await pilot.press("c")
        await over(pilot)
        text = shown(pilot)
        for part in (
            "Test connection: billing-pg",
            "Source",
            "Destination",
            "✓ Initiate test",
            "✓ Authentication check",
            "✓ Connectivity test",
        ):
            assert part in text, part
        assert "✓ Connection is working" in text
        detail = await pilot.app.host.call(lambda engine: engine.queries.connector(CONNECTOR_ID))  # type: ignore[attr-defined]
        assert detail.check_result is CheckResult.WORKING
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen))


@pytest.mark.parametrize(
    ("kind", "result", "words"),
    [
        ("unauthorized", CheckResult.AUTHENTICATION_FAILED, ("refused the credentials (401)", "Enter them again.")),
        ("forbidden", CheckResult.PERMISSION_DENIED, ("refuses to read this stream (403)", "Ask for the right.")),
    ],
)
async def test_what_went_wrong_why_and_what_to_do(
    stage: Stage, tmp_path: Path, kind: str, result: CheckResult, words: tuple[str, ...]
) -> None:
    set_up(stage, tmp_path, {"script": f"check-{kind}", "faults": [{"kind": kind, "reads": 1}]})
    async with opened(stage) as pilot:
        READS.pop(f"check-{kind}", None)
        await pilot.press("c")
        await over(pilot)
        text = " ".join(shown(pilot).replace("│", " ").split())
        assert f"✗ {result}" in text
        for part in words:
            assert part in text, part
        assert "not tested" in text  # the destination
        await pilot.press("r")  # the fault happens once: testing again finds a connection that works
        await until(pilot, lambda: "✓ Connection is working" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen))


@contextmanager
def silent_server() -> Iterator[int]:
    """A server that takes connections and never says a word; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_a_test_that_hangs_is_cancelled_by_escape_and_says_when_it_gives_up(stage: Stage, tmp_path: Path) -> None:
    with silent_server() as port:
        config = {"host": "127.0.0.1", "port": port, "database": "billing", "user": "reader"}
        set_up(stage, tmp_path, config, source_type="postgres")
        async with opened(stage) as pilot:
            await pilot.press("c")
            await until(pilot, lambda: "working," in shown(pilot) and "gives up in 00:" in shown(pilot))
            assert "waits" in shown(pilot)
            await pilot.press("escape")
            await until(pilot, lambda: "The test was cancelled." in shown(pilot))
            assert check_screen(pilot).phase is Phase.CANCELLED
            await quiet(pilot)
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen))
            detail = await pilot.app.host.call(lambda engine: engine.queries.connector(CONNECTOR_ID))  # type: ignore[attr-defined]
            assert detail.check_result is None


async def test_the_mouse_can_do_it_too(stage: Stage, tmp_path: Path) -> None:
    set_up(stage, tmp_path, {"script": "check-mouse"})
    async with opened(stage) as pilot:
        await pilot.press("c")
        await over(pilot)
        first = check_screen(pilot)._number
        await pilot.click("#again")
        await until(pilot, lambda: check_screen(pilot)._number == first + 1)
        await over(pilot)
        await pilot.click("KeyLabel")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen))


STEPS = [
    CheckStep("Initiate test", True, 0.004),
    CheckStep("Authentication check", True, 0.0312, "SCRAM"),
    CheckStep("Connectivity test", True, 1.2),
]


def ends(*steps: CheckStep, destination: tuple[CheckStep, ...] = ()) -> tuple[EndProgress, EndProgress]:
    return EndProgress("Source", "PostgreSQL", "billing", list(steps)), EndProgress(
        "Destination", "DuckDB", "warehouse", list(destination)
    )


@pytest.mark.parametrize(
    ("progress", "phase", "report", "parts"),
    [
        (ends(), Phase.RUNNING, None, ("▶ working, 3 s", "◌ waits")),
        (ends(*STEPS), Phase.RUNNING, None, ("✓ Initiate test", "4 ms", "SCRAM", "1.2 s")),
        (ends(*STEPS, destination=(STEPS[0],)), Phase.RUNNING, None, ("▶ working, 3 s",)),
        (ends(*STEPS[:1]), Phase.CANCELLED, None, ("○ The test was cancelled.", "◌ not tested")),
        (
            ends(*STEPS),
            Phase.DONE,
            CheckReport(CheckResult.FAILED, "Destination: The path is a folder.", "", ()),
            ("✗ could not begin", "✗ Connection failed", "The path is a folder.", "Correct the set-up"),
        ),
        (
            ends(STEPS[0], CheckStep("Authentication check", False, 0.1)),
            Phase.DONE,
            CheckReport(CheckResult.AUTHENTICATION_FAILED, "Source: refused.", "Renew the password.", ()),
            ("✗ Authentication check", "✗ Authentication failed", "Renew the password.", "◌ not tested"),
        ),
    ],
)
@pytest.mark.parametrize("cells", [60, 90])
def test_what_the_screen_says(
    progress: tuple[EndProgress, ...], phase: Phase, report: CheckReport | None, parts: tuple[str, ...], cells: int
) -> None:
    lines = [plain(line) for line in check_lines(progress, phase, report, 3.2, cells, GLYPHS_UNICODE)]
    for part in parts:
        assert any(part in line for line in lines), (part, lines)
    assert max(map(width, lines)) <= cells
    assert "".join(plain(line) for line in check_lines(progress, phase, report, 3.2, cells, GLYPHS_ASCII)).isascii()


def test_picture(stage: Stage, tmp_path: Path, snap_compare: Callable[..., bool]) -> None:
    set_up(stage, tmp_path, {"script": "check-picture", "faults": [{"kind": "unauthorized"}]})

    async def prepare(pilot: Pilot[Any]) -> None:
        from tests.screens.conftest import settle
        from tests.screens.connector_store import show

        await settle(pilot)
        await show(pilot)
        await pilot.press("c")
        await over(pilot)

    assert snap_compare(stage.app(), terminal_size=(80, 24), run_before=prepare)
