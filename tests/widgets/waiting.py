"""Waiting for what a widget is to do, never for a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot

PATIENCE = 20.0
"""Seconds after which waiting has failed."""


async def until(pilot: Pilot[Any], condition: Callable[[], object]) -> None:
    """Let the app work until a condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await pilot.pause()
            await asyncio.sleep(0)
    await pilot.pause()


def screen_lines(pilot: Pilot[Any]) -> list[str]:
    """The text on the screen, line by line, as painted."""
    return ["".join(segment.text for segment in strip) for strip in pilot.app.screen._compositor.render_strips()]
