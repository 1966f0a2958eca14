"""The confirmation: every way to answer, and what it shows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Button, Input

from syncterm.text import width
from syncterm.widgets.confirm import INNER_WIDTH, NAMES_SHOWN, TYPING_FROM, Confirm, Target, listed
from tests.samples import SAMPLES
from tests.widgets.waiting import screen_lines, until

HOSTILE = [case["s"] for case in json.loads((SAMPLES / "hostile_names.json").read_text("utf-8"))["cases"] if case["s"] is not None]


@asynccontextmanager
async def asked(
    targets: Sequence[Target], *, size: tuple[int, int] = (80, 24), **options: Any
) -> AsyncIterator[tuple[list[bool | None], Confirm, Pilot[Any]]]:
    app: App[None] = App()
    answers: list[bool | None] = []
    async with app.run_test(size=size) as pilot:
        confirm = Confirm("Delete", targets, **options)
        await app.push_screen(confirm, answers.append)
        await pilot.pause()
        yield answers, confirm, pilot


def some(count: int) -> list[Target]:
    return [Target(f"id-{number}", f"orders-{number}") for number in range(count)]


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        ("y", True),
        ("n", False),
        ("escape", False),
        ("enter", False),
        ("tab enter", True),
        ("right enter", True),
        ("right left enter", False),
        ("tab escape", False),
    ],
)
async def test_keys_answer(keys: str, answer: bool) -> None:
    async with asked(some(2)) as (answers, confirm, pilot):
        assert confirm.focused is confirm.query_one("#confirm-cancel")
        await pilot.press(*keys.split())
        await until(pilot, lambda: answers)
        assert answers == [answer]


@pytest.mark.parametrize(("button", "answer"), [("#confirm-yes", True), ("#confirm-cancel", False)])
async def test_clicks_answer(button: str, answer: bool) -> None:
    async with asked(some(2)) as (answers, _, pilot):
        await pilot.click(button)
        await until(pilot, lambda: answers)
        assert answers == [answer]


async def test_many_rows_need_the_phrase() -> None:
    async with asked(some(TYPING_FROM + 2), consequences=["Future syncs stop."]) as (answers, confirm, pilot):
        lines = "\n".join(screen_lines(pilot))
        assert "Delete 12 connectors?" in lines
        assert f"orders-{NAMES_SHOWN - 1}" in lines
        assert f"orders-{NAMES_SHOWN} " not in lines
        assert "… and 4 more" in lines
        assert "Future syncs stop." in lines
        typed, yes = confirm.query_one(Input), confirm.query_one("#confirm-yes", Button)
        await pilot.press("y", "enter")
        assert yes.disabled
        await pilot.press("backspace", *"delete", "space", *"11", "enter")
        await pilot.click("#confirm-yes")
        assert not answers
        await pilot.press("backspace", "2")
        await until(pilot, lambda: typed.value == "delete 12" and not yes.disabled)
        await pilot.press("enter")
        await until(pilot, lambda: answers)
        assert answers == [True]


@pytest.mark.parametrize("keys", ["escape", "tab enter"])
async def test_the_phrase_can_be_declined(keys: str) -> None:
    async with asked(some(1), must_type=True) as (answers, confirm, pilot):
        assert confirm.phrase == "delete 1"
        await pilot.press(*keys.split())
        await until(pilot, lambda: answers)
        assert answers == [False]


async def test_control_characters_cannot_be_pasted_into_the_phrase() -> None:
    async with asked(some(1), must_type=True) as (_, confirm, pilot):
        confirm.query_one(Input).insert("a\x1b]52;c;x\x07b", 0)
        await pilot.pause()
        assert confirm.query_one(Input).value == r"a\x1b]52;c;x\x07b"


async def test_titles() -> None:
    async with asked(some(1), noun="sync", plural="syncs") as (_, _, pilot):
        assert any("Delete 1 sync?" in line for line in screen_lines(pilot))
    async with asked((), title="Quit while 2 syncs run?") as (_, _, pilot):
        assert any("Quit while 2 syncs run?" in line for line in screen_lines(pilot))


@pytest.mark.parametrize("size", [(80, 24), (40, 12), (200, 60)])
async def test_the_buttons_are_on_the_screen_whatever_its_size(size: tuple[int, int]) -> None:
    async with asked(some(12), size=size, consequences=["One.", "Two."]) as (_, confirm, pilot):
        assert confirm.region.contains_region(confirm.query_one("#confirm-cancel").region)
        assert confirm.query_one("#confirm-cancel").region.height == 1
        assert any("id-0" in line for line in screen_lines(pilot))


def test_names_that_look_alike_can_be_told_apart() -> None:
    names = [
        "orders",
        "orders ",
        "\u043erders",
        "orders\u200b",
        "orders",
        "or\x1bders",
        r"or\x1bders",
        "x" * 100,
        "x" * 100 + "y",
        "",
    ]
    targets = [Target(f"id-{number}", name) for number, name in enumerate(names[:NAMES_SHOWN])]
    lines = listed(targets)
    assert len(set(lines)) == len(targets)
    assert all(f"id-{number}" in line for number, line in enumerate(lines))


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_take_one_line(name: str) -> None:
    (line,) = listed([Target("id-1", name)])
    assert line.isprintable()
    assert width(line) <= INNER_WIDTH
    assert line.endswith("  id-1") or name == "id-1"
