"""The "why" panel: what is wrong, why, and what mends it, by one key."""

from __future__ import annotations

import json
from typing import Any

import pytest
from textual.pilot import Pilot

from syncterm.engine.model import Actor, Role
from syncterm.engine.troubleshooting import Finding
from syncterm.screens.check import CheckScreen
from syncterm.screens.menu import Menu
from syncterm.screens.why import why_text
from syncterm.text import GLYPHS_UNICODE
from tests.samples import SAMPLES
from tests.screens.conftest import Stage, failed, picture, seed, settle, toasts, until

HOSTILE = [case["s"] for case in json.loads((SAMPLES / "hostile_names.json").read_text("utf-8"))["cases"] if case["s"]]


async def open_panel(pilot: Pilot[Any], row: int) -> list[str]:
    """Press W on a row of the standard connectors; what is shown then."""
    await pilot.press(*"j" * row, "W")
    await until(pilot, lambda: isinstance(pilot.app.screen, Menu), "the panel is there")
    await pilot.pause()
    return picture(pilot.app)  # type: ignore[arg-type]  # the app of the stage


BROKEN, INCOMPLETE, BACKING_OFF, PAUSED_BY_ENGINE, WELL = 3, 5, 6, 10, 1
"""Rows of the standard connectors."""


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (BROKEN, ("Authentication failed", 'Password authentication failed for user "etl".', "Test connection")),
        (INCOMPLETE, ("The set-up is not finished", "No stream is selected.", "Edit setup")),
        (BACKING_OFF, ("Backing off until 12:04:10 UTC", "429 Too Many Requests.", "Edit schedule")),
        (PAUSED_BY_ENGINE, ("The source's data cannot be read", "Paused by the engine", "30 failures in a row.", "Resume")),
        (WELL, ("Nothing is wrong.", "Close")),
    ],
)
async def test_each_says_why(stage: Stage, row: int, said: tuple[str, ...]) -> None:
    async with stage.open() as pilot:
        shown = "\n".join(await open_panel(pilot, row))
        for text in said:
            assert text in shown


async def test_the_mending_action_is_one_key_away(stage: Stage) -> None:
    async with stage.open() as pilot:
        await open_panel(pilot, BROKEN)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, CheckScreen), "the test began")


async def test_resuming_from_the_panel(stage: Stage) -> None:
    async with stage.open() as pilot:
        await open_panel(pilot, PAUSED_BY_ENGINE)
        await pilot.press("t")
        await until(pilot, lambda: any("Resumed" in toast for toast in toasts(pilot.app)), "it is resumed")  # type: ignore[arg-type]


async def test_a_viewer_is_told_but_may_not_mend(stage: Stage) -> None:
    async with stage.open(actor=Actor("guest", Role.VIEWER)) as pilot:
        await open_panel(pilot, PAUSED_BY_ENGINE)
        await pilot.press("t")
        await until(pilot, lambda: any("needs" in toast for toast in toasts(pilot.app)), "the operation refused")  # type: ignore[arg-type]


async def test_one_at_a_time(stage: Stage) -> None:
    async with stage.open() as pilot:
        await pilot.press("space", "space", "W")
        await until(pilot, lambda: any("One at a time" in toast for toast in toasts(pilot.app)), "it is said")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_systems_say_is_cleaned(text: str) -> None:
    shown = why_text([Finding("Nothing answered in time", text, "Test.")], GLYPHS_UNICODE).plain
    assert "Nothing answered in time\n" in shown
    assert shown.count("\n") == 2
    assert not any(ord(character) < 32 and character != "\n" for character in shown)


async def test_what_systems_say_is_text(empty_stage: Stage) -> None:
    markup = "[bold]x[/] [@click=app.quit()]here[/] [$error"
    empty_stage.seed(seed("a [red]b", **failed("timeout", markup)))
    async with empty_stage.open(size=(80, 24)) as pilot:
        assert markup in "\n".join(await open_panel(pilot, 0))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, Menu), "it closed")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_picture(stage: Stage, snap_compare: Any, size: tuple[int, int]) -> None:
    async def panel(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await open_panel(pilot, PAUSED_BY_ENGINE)

    assert snap_compare(stage.app(), terminal_size=size, run_before=panel)
