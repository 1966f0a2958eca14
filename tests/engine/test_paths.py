"""Paths: a connector reads and writes regular files and folders that are nobody's secret, whatever link or spelling leads there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from syncterm.engine.adapters import AdapterContext
from syncterm.engine.errors import ConfigError, PermissionDeniedError
from syncterm.engine.paths import check_path, check_path_text, open_file


@pytest.fixture
def context(tmp_path: Path) -> AdapterContext:
    own = tmp_path / "own" / "syncterm.db"
    own.parent.mkdir()
    own.write_text("store")
    return AdapterContext(base_folder=tmp_path, forbidden_paths=(own, own.with_name("key")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "a\x00b",
        "/proc/self/environ",
        "/proc",
        "//dev/null",
        "/tmp/../sys/kernel",
        "s3://bucket/key",
        "x" * 256,
        "a/" * 3000,
    ],
)
def test_impossible_paths_need_no_file_system(text: str) -> None:
    with pytest.raises(ConfigError):
        check_path_text(text)


@pytest.mark.parametrize("text", ["orders.csv", "/data/processes/x", "~/x", "../x", "a b/ü.csv", "/devices/x", "[red].csv"])
def test_ordinary_paths_pass(text: str) -> None:
    assert check_path_text(text) == text


def test_relative_paths_belong_to_the_base_folder(context: AdapterContext) -> None:
    assert check_path("new/file.csv", context) == context.base_folder.resolve() / "new/file.csv"


def test_the_products_own_files_are_never_named(context: AdapterContext, tmp_path: Path) -> None:
    own = context.forbidden_paths[0]
    (tmp_path / "link").symlink_to(own)
    (tmp_path / "folder").symlink_to(own.parent)
    os.link(own, tmp_path / "hard")
    for path in (own, "own/syncterm.db", "own/../own/syncterm.db", "link", "folder/syncterm.db", "hard", "own/key"):
        with pytest.raises(ConfigError, match="belongs to syncterm"):
            check_path(path, context)


def test_special_files_are_refused(context: AdapterContext, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("pipe", "null", "loop"):
        with pytest.raises(ConfigError):
            check_path(name, context)


def test_what_is_opened_is_checked_again(context: AdapterContext, tmp_path: Path) -> None:
    """Between the check and the opening the path may have become something else."""
    os.mkfifo(tmp_path / "pipe")
    os.link(context.forbidden_paths[0], tmp_path / "hard")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "hard", tmp_path / "absent"):
        with pytest.raises(ConfigError):
            open_file(path, context)


def test_an_ordinary_file_opens(context: AdapterContext, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a")
    with open_file(check_path("x.csv", context), context) as file:
        assert file.read() == b"a"


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser may read everything")
def test_unreadable_files_are_a_matter_of_permission(context: AdapterContext, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a")
    path.chmod(0)
    with pytest.raises(PermissionDeniedError):
        open_file(path, context)
