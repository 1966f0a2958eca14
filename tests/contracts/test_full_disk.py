"""A disk that runs full within a load: it is named, nothing is half-visible, and the next load needs no manual step."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncterm.engine.errors import DestinationError
from syncterm.engine.model import SyncMode
from tests.contracts.destination_harness import DestinationHarness, DuckDBHarness, FileHarness, SQLiteHarness
from tests.contracts.loads import FIELDS, batch, load, target

OLD = [(1, "one", 1), (2, "two", 2)]
NEW = [(3, "three", 3)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB; only root can make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("mounting a small disk needs root on Linux")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("mode", [SyncMode.REPLACE, SyncMode.INCREMENTAL_UPSERT])
@pytest.mark.parametrize("name", ["duckdb", "sqlite", "parquet", "csv", "jsonl"])
def test_full(small_disk: Path, name: str, mode: SyncMode) -> None:
    harness: DestinationHarness
    if name == "duckdb":
        harness = DuckDBHarness(small_disk)
    else:
        harness = SQLiteHarness(small_disk) if name == "sqlite" else FileHarness(small_disk, name)
    if mode is SyncMode.INCREMENTAL_UPSERT and not harness.make().capabilities.upsert:
        pytest.skip("this destination cannot upsert")
    load(harness.make(), target(mode), batch(OLD), cursor="2")
    before = harness.everything(), harness.make().state("connector", "")
    large = [
        batch([(number, os.urandom(40).hex(), number) for number in range(start, start + 4000)]) for start in range(0, 80_000, 4000)
    ]
    with pytest.raises(DestinationError, match="disk is full") as caught:
        load(harness.make(), target(mode), *large, cursor="80000")
    assert str(small_disk) in str(caught.value)
    assert (harness.everything(), harness.make().state("connector", "")) == before
    load(harness.make(), target(mode), batch(NEW), cursor="3")
    assert harness.rows("orders", FIELDS) == (NEW if mode is SyncMode.REPLACE else OLD + NEW)
    harness.close_all()
