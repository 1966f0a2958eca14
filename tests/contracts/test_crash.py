"""A process that dies between any two steps of a load leaves old rows and old state, or new rows and new state; nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncterm.engine.errors import DestinationBusyError, StaleEpochError
from syncterm.engine.model import SyncMode
from tests.contracts.crashing_load import ROWS
from tests.contracts.destination_harness import DestinationHarness, DuckDBHarness, FileHarness, SQLiteHarness
from tests.contracts.loads import FIELDS, batch, load, target

OLD = [(1, "one", 1), (2, "two", 2)]
Loader = Callable[[SyncMode, int, str], "subprocess.Popen[str]"]


@pytest.fixture(params=["duckdb", "sqlite", "parquet", "csv", "jsonl"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> DestinationHarness:
    if request.param == "duckdb":
        return DuckDBHarness(tmp_path)
    return SQLiteHarness(tmp_path) if request.param == "sqlite" else FileHarness(tmp_path, request.param)


@pytest.fixture
def loader(harness: DestinationHarness) -> Iterator[Loader]:
    """Starts processes that load, each returned when it has reached its step; kills what is left of them."""
    processes = []

    def start(mode: SyncMode, epoch: int, stop: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.contracts.crashing_load", harness.type_, json.dumps(harness.document())]
        process = subprocess.Popen(
            [*command, mode.value, str(epoch), stop],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == stop
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("stop", ["open", "write", "commit"])
@pytest.mark.parametrize("mode", [SyncMode.REPLACE, SyncMode.INCREMENTAL_APPEND, SyncMode.INCREMENTAL_UPSERT])
def test_killed(harness: DestinationHarness, loader: Loader, mode: SyncMode, stop: str) -> None:
    if mode is SyncMode.INCREMENTAL_UPSERT and not harness.make().capabilities.upsert:
        pytest.skip("this destination cannot upsert")
    load(harness.make(), target(mode), batch(OLD), cursor="2")
    process = loader(mode, 2, stop)
    process.kill()
    process.wait()
    new = {
        SyncMode.REPLACE: ROWS,
        SyncMode.INCREMENTAL_APPEND: sorted(OLD + ROWS, key=repr),
        SyncMode.INCREMENTAL_UPSERT: [OLD[0], *ROWS],
    }[mode]
    state = harness.make().state("connector", "")["stream"]
    committed = stop == "commit"
    assert harness.rows("orders", FIELDS) == (new if committed else OLD)
    assert (state.load, state.epoch) == ((2, 2) if committed else (1, 2))
    with pytest.raises(StaleEpochError):
        harness.make().open(target(mode, epoch=1))
    if not committed:  # the next attempt needs no manual step, and leaves nothing of the dead one
        load(harness.make(), target(mode, epoch=3), batch(ROWS), cursor="6")
        assert harness.rows("orders", FIELDS) == new
    assert leftovers(harness) == []


def leftovers(harness: DestinationHarness) -> list[str]:
    """Files that a finished load should have removed."""
    path: Path = harness.path  # type: ignore[attr-defined]  # all harnesses here have one
    folder = path if path.is_dir() else path.parent
    return [
        str(found)
        for found in folder.rglob("*")
        if "staging" in found.name or "syncterm-" in found.name or found.name.endswith(".new")
    ]


def test_another_process_that_has_claimed_wins(harness: DestinationHarness, loader: Loader) -> None:
    """A newer engine claims while an older one is between write and commit; where it is kept out, once the older one is dead."""
    load(harness.make(), target(), batch(OLD))
    process = loader(SyncMode.REPLACE, 2, "write")
    if isinstance(harness, DuckDBHarness):
        with pytest.raises(DestinationBusyError, match=f"PID {process.pid}"):
            harness.make().open(target(epoch=3))
        process.kill()
        process.wait()
        newer = harness.make().open(target(epoch=3))
    else:
        newer = harness.make().open(target(epoch=3))
        assert process.communicate("\n", timeout=60)[0].strip() == "StaleEpochError"
        assert harness.rows("orders", FIELDS) == OLD
    newer.write(iter([batch(ROWS)]))
    newer.commit(None)
    assert harness.rows("orders", FIELDS) == ROWS
    assert harness.make().state("connector", "")["stream"].epoch == 3


def test_readers_see_the_old_rows_until_the_commit(harness: DestinationHarness, loader: Loader) -> None:
    """Another process has written everything but not committed. (DuckDB keeps other processes out meanwhile.)"""
    load(harness.make(), target(), batch(OLD))
    process = loader(SyncMode.REPLACE, 2, "write")
    assert process.stdin is not None
    if not isinstance(harness, DuckDBHarness):
        assert harness.rows("orders", FIELDS) == OLD
    process.communicate("\n", timeout=60)
    assert harness.rows("orders", FIELDS) == ROWS
