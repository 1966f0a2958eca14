"""The engine's timer: work is never cut off, never doubled, and a fault does not end it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from syncterm.engine.clockwork import Clockwork


async def test_stop_waits_for_what_runs_and_begins_nothing_more() -> None:
    clockwork = Clockwork()
    clockwork.start()
    begun, go_on = asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    async def work() -> None:
        begun.set()
        await go_on.wait()
        ended.append("whole")

    clockwork.after(timedelta(), work, "work")
    await begun.wait()
    stopping = asyncio.create_task(clockwork.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    go_on.set()
    await stopping
    assert ended == ["whole"]


async def test_work_that_still_runs_is_not_begun_again() -> None:
    clockwork = Clockwork()
    clockwork.start()
    begun = 0
    first, again, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        nonlocal begun
        begun += 1
        first.set()
        await go_on.wait()

    async def probe() -> None:
        again.set()

    clockwork.every(0.01, slow, "slow")
    await first.wait()
    clockwork.after(timedelta(seconds=0.05), probe, "probe")
    await again.wait()
    assert begun == 1
    go_on.set()
    await clockwork.stop()


async def test_a_fault_is_logged_and_the_work_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    clockwork = Clockwork()
    clockwork.start()
    twice = asyncio.Event()
    runs = 0

    async def faulty() -> None:
        nonlocal runs
        runs += 1
        if runs == 2:
            twice.set()
        raise ZeroDivisionError("planted")

    clockwork.every(0.01, faulty, "faulty")
    await twice.wait()
    await clockwork.stop()
    assert "planted" in caplog.text


async def test_forgotten_work_is_not_done() -> None:
    clockwork = Clockwork()
    clockwork.start()
    done: list[str] = []
    probed = asyncio.Event()

    async def work() -> None:
        done.append("done")

    async def probe() -> None:
        probed.set()

    clockwork.after(timedelta(seconds=0.02), work, "work")
    clockwork.forget("work")
    clockwork.after(timedelta(seconds=0.05), probe, "probe")
    await probed.wait()
    assert done == []
    await clockwork.stop()
    await clockwork.stop()
