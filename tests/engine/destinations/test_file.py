"""Files: what is their own beside the contract."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncterm.engine.adapters import parse_config
from syncterm.engine.destinations.file import FileDestination
from syncterm.engine.destinations.folder_names import MAX_LENGTH, folder_name
from syncterm.engine.destinations.manifest import MANIFEST_NAME, TableFolder
from syncterm.engine.errors import ConfigError, DestinationBusyError, DestinationError
from syncterm.engine.model import SyncMode
from tests.contracts.destination_harness import FileHarness
from tests.contracts.loads import FIELDS, batch, fields, load, target

OLD = [(1, "one", 1), (2, "two", 2)]
NEW = [(3, "three", 3)]


@pytest.fixture
def harness(tmp_path: Path) -> FileHarness:
    return FileHarness(tmp_path, "parquet")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_is_its_owners_alone(harness: FileHarness) -> None:
    load(harness.make(), target(collection="sales"), batch(OLD))
    found = [harness.path, *harness.path.rglob("*")]
    assert len(found) == 6
    for path in found:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_replace_and_upsert_leave_one_part_and_append_adds_one(harness: FileHarness) -> None:
    def parts() -> list[str]:
        return [path.name for path in harness.parts("orders")]

    for _ in range(3):
        load(harness.make(), target(SyncMode.APPEND), batch(OLD))
    assert parts() == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    load(harness.make(), target(), batch(OLD))
    assert parts() == ["part-00000.parquet"]
    load(harness.make(), target(SyncMode.APPEND), batch(NEW))
    assert parts() == ["part-00000.parquet", "part-00001.parquet"]
    load(harness.make(), target(SyncMode.INCREMENTAL_UPSERT), batch([(1, "uno", 9)]), cursor="9")
    assert parts() == ["part-00000.parquet"]
    assert harness.rows("orders", FIELDS) == [(1, "uno", 9), OLD[1], *NEW]
    assert names(harness.path / "orders") == [".syncterm.json", ".syncterm.lock", "part-00000.parquet"]


def test_a_parquet_part_says_its_types(harness: FileHarness) -> None:
    columns = fields(id="int64", d="decimal(9,2)", t="timestamptz", u="uuid")
    load(harness.make(), target(fields=columns), batch([], columns))
    schema = pq.read_schema(harness.parts("orders")[0])
    assert [str(kind) for kind in schema.types] == ["int64", "decimal128(9, 2)", "timestamp[us, tz=UTC]", "string"]
    assert schema.field("u").metadata[b"syncterm.logical"] == b"uuid"


@pytest.mark.parametrize("mode", [SyncMode.REPLACE, SyncMode.APPEND, SyncMode.INCREMENTAL_UPSERT])
def test_what_a_manifest_promises_is_done_at_the_next_opening(
    harness: FileHarness, monkeypatch: pytest.MonkeyPatch, mode: SyncMode
) -> None:
    """The process dies (here: the disk fails) right after the rename of the manifest."""
    load(harness.make(), target(SyncMode.APPEND), batch(OLD[:1]))
    load(harness.make(), target(SyncMode.APPEND), batch(OLD[1:]))
    settle = TableFolder.settle
    running = harness.make().open(target(mode))
    running.write(iter([batch(NEW)]))

    def dies_after_publishing(self: TableFolder, manifest: object) -> object:
        if getattr(manifest, "pending", None) is not None:
            raise OSError(errno.EIO, "broken")
        return settle(self, manifest)  # type: ignore[arg-type]  # as it was given

    with monkeypatch.context() as patched:
        patched.setattr(TableFolder, "settle", dies_after_publishing)
        assert running.commit("3" if mode.incremental else None).written == 1
    assert harness.make().state("connector", "")["stream"].load == 3
    assert harness.rows("orders", FIELDS) == OLD
    harness.make().open(target(mode)).abort()
    assert harness.rows("orders", FIELDS) == (NEW if mode is SyncMode.REPLACE else OLD + NEW)
    assert not [name for name in names(harness.path / "orders") if "staging" in name]


def test_the_rows_of_a_living_load_are_not_swept_away(harness: FileHarness) -> None:
    first = harness.make().open(target(SyncMode.APPEND))
    first.write(iter([batch(OLD)]))
    load(harness.make(), target(SyncMode.APPEND, stream="other"), batch(NEW))
    first.commit(None)
    assert harness.rows("orders", FIELDS) == OLD + NEW


def test_a_writer_that_does_not_let_go_is_busy(harness: FileHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    load(harness.make(), target(), batch(OLD))
    monkeypatch.setattr("syncterm.engine.destinations.manifest.LOCK_WAIT", 0.0)
    with TableFolder(harness.path / "orders").locked(lambda: None), pytest.raises(DestinationBusyError):
        harness.make().open(target())


def test_files_of_others_in_a_table_are_left_alone(harness: FileHarness) -> None:
    load(harness.make(), target(), batch(OLD))
    theirs = harness.path / "orders" / "readme.txt"
    theirs.write_text("theirs")
    load(harness.make(), target(), batch(NEW))
    assert theirs.read_text() == "theirs"
    harness.make_foreign("others")
    for mode in (SyncMode.REPLACE, SyncMode.APPEND):
        with pytest.raises(ConfigError, match=r"theirs\.parquet"):
            harness.make().open(target(mode, table="others"))


def test_links_are_not_followed(harness: FileHarness, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    harness.path.mkdir()
    (harness.path / "orders").symlink_to(outside)
    with pytest.raises(ConfigError):
        harness.make().open(target())
    assert list(outside.iterdir()) == []


def test_a_damaged_manifest_is_never_overwritten(harness: FileHarness) -> None:
    load(harness.make(), target(), batch(OLD))
    manifest = harness.path / "orders" / MANIFEST_NAME
    for text in ("{", json.dumps({**json.loads(manifest.read_text()), "version": 99})):
        manifest.write_text(text)
        with pytest.raises(DestinationError, match="cannot be read"):
            harness.make().open(target())
        assert manifest.read_text() == text


def test_another_format_needs_a_new_generation(harness: FileHarness, tmp_path: Path) -> None:
    load(harness.make(), target(SyncMode.APPEND), batch(OLD))
    load(harness.make(), target(SyncMode.APPEND), batch(OLD))
    csv = FileHarness(tmp_path, "csv", "gzip")
    with pytest.raises(ConfigError, match="files"):
        csv.make().open(target(SyncMode.APPEND))
    load(csv.make(), target(), batch(NEW))
    assert names(harness.path / "orders") == [".syncterm.json", ".syncterm.lock", "part-00000.csv.gz"]
    assert csv.rows("orders", FIELDS) == NEW


def test_csv_tells_null_from_empty_and_leaves_formulas_alone(tmp_path: Path) -> None:
    harness = FileHarness(tmp_path, "csv")
    load(harness.make(), target(), batch([(1, None, 1), (2, "", 2), (3, '=1+1,"\n', None)]))
    assert harness.parts("orders")[0].read_bytes() == b'"id","note","seen"\n1,,1\n2,"",2\n3,"=1+1,""\n",\n'


def test_json_lines_hold_numbers_with_all_their_digits(tmp_path: Path) -> None:
    harness = FileHarness(tmp_path, "jsonl")
    columns = fields(id="int64", note="json")
    load(harness.make(), target(fields=columns), batch([(2**53 + 1, '{"n":\r\n 1.10}')], columns))
    assert harness.parts("orders")[0].read_text() == '{"id": 9007199254740993, "note": {"n":   1.10}}\n'


def test_a_compression_must_fit_the_format() -> None:
    for document in ({"format": "csv", "compression": "snappy"}, {"format": "jsonl", "compression": "snappy"}):
        with pytest.raises(ConfigError, match="compressions"):
            parse_config(FileDestination, {"path": "folder", **document})


@pytest.mark.parametrize("failing", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_and_leaves_nothing(harness: FileHarness, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    load(harness.make(), target(), batch(OLD))
    before = harness.everything()
    running = harness.make().open(target())
    running.write(iter([batch(NEW)]))

    def full(descriptor: int) -> None:
        raise OSError(failing, os.strerror(failing))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(DestinationError, match=r"disk is full: .*orders"):
            running.commit(None)
    assert harness.everything() == before
    assert harness.make().state("connector", "")["stream"].load == 1
    load(harness.make(), target(), batch(NEW))
    assert harness.rows("orders", FIELDS) == NEW


SAFE = set("abcdefghijklmnopqrstuvwxyz0123456789_-.+%~")


@given(st.text(min_size=1, max_size=300))
def test_folder_names_are_safe(name: str) -> None:
    made = folder_name(name)
    assert 0 < len(made) <= MAX_LENGTH
    assert set(made) <= SAFE
    assert not made.startswith(".")
    assert not made.endswith(".")


@given(
    st.text(st.sampled_from("aAbB.~+%_/é\u0301e"), min_size=1, max_size=6),
    st.text(st.sampled_from("aAbB.~+%_/é\u0301e"), min_size=1, max_size=6),
)
def test_folder_names_differ_as_their_names_do(one: str, other: str) -> None:
    assert (folder_name(one) == folder_name(other)) == (one == other)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("orders", "orders"),
        ("Orders", "+orders"),
        ("sales.orders_2024-01", "sales.orders_2024-01"),
        ("..", "%2e%2e"),
        ("../../etc/passwd", "%2e.%2f..%2fetc%2fpasswd"),
        (".hidden", "%2ehidden"),
        ("con", "%63on"),
        ("aux.txt", "%61ux.txt"),
        ("part-00000.parquet", "%70art-00000.parquet"),
        ("ü", "%c3%bc"),
        ("a~b", "a%7eb"),
    ],
)
def test_folder_names(name: str, expected: str) -> None:
    assert folder_name(name) == expected


def test_long_folder_names_are_cut_and_stay_apart() -> None:
    one, other = folder_name("x" * 500), folder_name("x" * 501)
    assert len(one) == len(other) == MAX_LENGTH
    assert one != other


@pytest.mark.parametrize("name", ["", "\ud800"])
def test_names_that_cannot_be_folders(name: str) -> None:
    with pytest.raises(ConfigError):
        folder_name(name)
