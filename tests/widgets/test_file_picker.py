"""The file picker: walking, typing, pasting, folders that cannot be read, and very many files."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot

from syncterm.folder_listing import Entry, list_folder, matching, split_path
from syncterm.text import GLYPHS_UNICODE
from syncterm.themes import DARK, own_themes
from syncterm.widgets.file_picker import THIS_FOLDER, FilePicker
from tests.widgets.waiting import until


class PickerApp(App[None]):
    """Nothing but the picker."""

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__()
        self.picker = FilePicker(path, GLYPHS_UNICODE, **options)
        self.picked: list[str | None] = []
        for theme in own_themes():
            self.register_theme(theme)
        self.theme = DARK

    def on_mount(self) -> None:
        self.push_screen(self.picker, self.picked.append)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b_folder", "A_folder", ".hidden_folder"):
        (tmp_path / name).mkdir()
    for name in ("orders.csv", "Customers.csv", ".secret", "[red]x\x1b[31m.csv"):
        (tmp_path / name).write_text("x")
    (tmp_path / "A_folder" / "inner.csv").write_text("x")
    return tmp_path


@asynccontextmanager
async def opened(path: str, **options: Any) -> AsyncIterator[tuple[Pilot[None], FilePicker]]:
    app = PickerApp(path, **options)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot, app.picker)
        yield pilot, app.picker


async def settled(pilot: Pilot[None], picker: FilePicker) -> None:
    await pilot.pause()
    await until(pilot, lambda: not picker.is_attached or picker.settled)
    await pilot.pause()


async def press(pilot: Pilot[None], picker: FilePicker, *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settled(pilot, picker)


def names(picker: FilePicker) -> list[str]:
    return [entry.name for entry in picker.entries.entries]


def picked(pilot: Pilot[None]) -> list[str | None]:
    assert isinstance(pilot.app, PickerApp)
    return pilot.app.picked


async def test_folders_come_first_and_hidden_names_only_when_asked_for(folder: Path) -> None:
    async with opened(f"{folder}/") as (pilot, picker):
        assert names(picker) == ["A_folder", "b_folder", "[red]x\x1b[31m.csv", "Customers.csv", "orders.csv"]
        await press(pilot, picker, "f4")
        assert ".secret" in names(picker)
        await press(pilot, picker, "f4", "full_stop")
        assert names(picker)[0].startswith(".")


async def test_walking_into_a_folder_back_and_to_a_file(folder: Path) -> None:
    async with opened(f"{folder}/") as (pilot, picker):
        await press(pilot, picker, "enter")
        assert names(picker) == ["inner.csv"]
        await press(pilot, picker, "backspace")
        assert picker.line.value == f"{folder}/"
        await press(pilot, picker, *"ord")
        assert names(picker) == ["orders.csv"]
        await press(pilot, picker, "tab")
        assert picker.line.value == f"{folder}/orders.csv"
        await press(pilot, picker, "enter")
        assert picked(pilot) == [str(folder / "orders.csv")]


async def test_a_whole_path_is_pasted(folder: Path) -> None:
    async with opened("/") as (pilot, picker):
        await press(pilot, picker, "ctrl+u")
        picker.line.paste_text(str(folder / "A_folder" / "inner.csv"))
        await settled(pilot, picker)
        await press(pilot, picker, "enter")
        assert picked(pilot) == [str(folder / "A_folder" / "inner.csv")]


async def test_it_begins_at_the_present_path(folder: Path) -> None:
    async with opened(str(folder / "Customers.csv")) as (_, picker):
        assert len(names(picker)) == 5
        assert picker.entries.current == Entry("Customers.csv", False)


async def test_a_folder_can_be_taken_where_one_is_asked_for(folder: Path) -> None:
    async with opened(f"{folder}/", folders=True, files=False, new=True) as (pilot, picker):
        assert names(picker) == [".", "A_folder", "b_folder"]
        assert picker.entries.entries[0] is THIS_FOLDER
        await press(pilot, picker, "up", "enter")
        assert picked(pilot) == [str(folder)]


@pytest.mark.parametrize(("new", "taken"), [(True, True), (False, False)])
async def test_what_does_not_exist_yet(folder: Path, new: bool, taken: bool) -> None:
    async with opened(f"{folder}/new.db", new=new) as (pilot, picker):
        await press(pilot, picker, "f2")
        if taken:
            assert picked(pilot) == [str(folder / "new.db")]
        else:
            assert picked(pilot) == []
            assert picker.query_one("#state").has_class("-problem")


async def test_escape_takes_nothing(folder: Path) -> None:
    async with opened(f"{folder}/") as (pilot, _):
        await pilot.press("escape")
        await pilot.pause()
        assert picked(pilot) == [None]


async def test_a_hundred_thousand_files(tmp_path: Path) -> None:
    entries = tuple(Entry(f"file_{number:06}.csv", False) for number in range(100_000))
    async with opened(f"{tmp_path}/") as (pilot, picker):
        picker.entries.show_entries(entries)
        await pilot.pause()
        await pilot.press("pagedown", "down")
        assert picker.entries.cursor > 1
        picker.entries.move(99_999)
        await pilot.pause()
        assert picker.entries.current == entries[-1]
        assert picker.entries.scroll_offset.y > 99_000


# Listing, without a screen


@pytest.mark.parametrize(
    ("name", "problem"),
    [("missing", "There is no such folder."), ("file", "This is a file, not a folder."), ("a\0b", "cannot be read")],
)
def test_a_folder_that_cannot_be_listed_says_why(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "file").write_text("")
    assert problem in list_folder(f"{tmp_path}/{name}").problem


def test_a_folder_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    assert "may not read this folder" in list_folder(str(tmp_path)).problem


def test_a_link_that_leads_nowhere_is_listed_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    assert [entry.is_folder for entry in list_folder(str(tmp_path)).entries] == [False, False]


def test_names_that_begin_with_the_text_come_first() -> None:
    entries = (Entry("my_orders", False), Entry("orders", False), Entry(".orders", False), Entry("x", True))
    assert [entry.name for entry in matching(entries, "ord", files=True, hidden=False)] == ["orders", "my_orders"]
    assert [entry.name for entry in matching(entries, "", files=False, hidden=False)] == ["x"]
    assert len(matching(entries, "", files=True, hidden=True)) == 4


def test_where_a_path_leads() -> None:
    assert split_path("/data/x.csv") == ("/data", "x.csv")
    assert split_path("/data/") == ("/data", "")
    assert split_path("~/x") == (str(Path.home()), "x")
    assert split_path("x") == (str(Path.cwd()), "x")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_picture(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch, snap_compare: Callable[..., bool]) -> None:
    monkeypatch.setattr("syncterm.widgets.file_picker.list_folder", lambda folder: listing(folder))

    async def prepare(pilot: Pilot[None]) -> None:
        assert isinstance(pilot.app, PickerApp)
        await settled(pilot, pilot.app.picker)
        await press(pilot, pilot.app.picker, "down")

    assert snap_compare(PickerApp("/data/", folders=True, new=True), terminal_size=size, run_before=prepare)


def listing(folder: str) -> Any:
    from syncterm.folder_listing import Listing

    entries = [Entry(name, True) for name in ("archive", "lake", "[red]odd[/]\x1b[31m")]
    return Listing(folder, (*entries, *(Entry(f"orders-2025-{month:02}.csv", False) for month in range(1, 13))))
