"""Follows syncs and logs from the command line: a progress bar on a terminal, plain lines in a pipe."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import click

from syncterm.engine.events import Change
from syncterm.engine.host import EngineHost
from syncterm.engine.model import Actor
from syncterm.engine.operation_results import IfRunning, OperationResult
from syncterm.output import json_text, plain, say
from syncterm.text import clean, count

if TYPE_CHECKING:
    from syncterm.engine.engine import Engine
    from syncterm.engine.queries import ConnectorRow, LogLine, SyncDetail

LOOK_INTERVAL = 1.0
"""Seconds between two looks at the store when nothing was announced."""


def queue(host: EngineHost, actor: Actor, connector_ids: Sequence[str], *, historical: bool) -> list[str]:
    """Ask for a sync of each connector; the ids of those that have one to follow: a new one, or the one that waits already."""

    async def ask(engine: Engine) -> tuple[Sequence[OperationResult], set[str]]:
        if historical:
            results = await engine.operations.historical_resync(actor, connector_ids)
        else:
            results = await engine.operations.sync_now(actor, connector_ids, if_running=IfRunning.QUEUE)
        rows = await engine.queries.connector_rows(connector_ids)
        return results, {row.id for row in rows.values() if row.active_sync_id is not None}

    results, busy = host.call_and_wait(ask)
    for result in results:
        if not result.done:
            say(f"{result.name}: {result.message}")
    return [result.connector_id for result in results if result.done or result.connector_id in busy]


def follow(host: EngineHost, actor: Actor, connector_ids: Sequence[str], *, quiet: bool = False) -> list[SyncDetail]:
    """Wait until the newest sync of each connector is completed; shows their progress on standard error meanwhile.

    Ctrl-C cancels them, and waits for that.
    """
    wanted = host.call_and_wait(lambda engine: _newest(engine, connector_ids))
    news = threading.Event()

    def notice(_: Change) -> None:
        news.set()

    def cancel(*_: object) -> None:
        # In the main thread, between two waits; the engine lives in another.
        host.call_and_wait(lambda engine: engine.operations.cancel(actor, connector_ids))

    with host.subscribe(notice), _on_interrupt(cancel):
        display: _Lines | _Bars = _Lines(quiet) if quiet or not sys.stderr.isatty() else _Bars()
        with display:
            while True:
                news.clear()
                found = host.call_and_wait(lambda engine: _details(engine, wanted.values()))
                rows = host.call_and_wait(lambda engine: engine.queries.connector_rows(list(wanted)))
                display.show(list(rows.values()))
                if all(str(detail.row.state) == "completed" for detail in found):
                    return found
                news.wait(LOOK_INTERVAL)


@contextmanager
def _on_interrupt(act: Callable[..., None]) -> Iterator[None]:
    """While the block runs, Ctrl-C calls `act`, once; a second one ends the process as usual."""
    before = signal.getsignal(signal.SIGINT)

    def once(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        say("Cancelling …")
        act()

    signal.signal(signal.SIGINT, once)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


async def _newest(engine: Engine, connector_ids: Sequence[str]) -> dict[str, str]:
    """Connector id → the id of its newest sync."""
    pages = {connector_id: await engine.queries.sync_page(connector_id, limit=1) for connector_id in connector_ids}
    return {connector_id: page[0].id for connector_id, page in pages.items() if page}


async def _details(engine: Engine, sync_ids: Iterable[str]) -> list[SyncDetail]:
    found = [await engine.queries.sync(sync_id) for sync_id in sync_ids]
    return [detail for detail in found if detail is not None]


class _Lines:
    """A line a connector and change of activity."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._told: dict[str, str] = {}

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, rows: Sequence[ConnectorRow]) -> None:
        for row in rows:
            line = f"{row.name}: {row.activity}" + (f" ({row.activity_reason})" if row.activity_reason else "")
            if self._told.get(row.id) != line and not self._quiet:
                say(line)
            self._told[row.id] = line


class _Bars:
    """A progress bar a connector."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[name]}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._tasks: dict[str, int] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, rows: Sequence[ConnectorRow]) -> None:
        from rich.progress import TaskID

        for row in rows:
            if row.id not in self._tasks:
                self._tasks[row.id] = self._progress.add_task("", total=None, name=clean(row.name), state="")
            state = f"{row.activity}, {count(row.progress_records)} records" if row.progress_records else str(row.activity)
            self._progress.update(
                TaskID(self._tasks[row.id]), total=row.progress_expected, completed=row.progress_records or 0, state=clean(state)
            )


def print_logs(
    host: EngineHost, connector_id: str | None, sync_id: str | None, *, limit: int, follow: bool, json_lines: bool
) -> None:
    """Print the newest log lines, oldest first, each with its connector's name; with `follow`, go on until interrupted."""
    names: dict[str, str] = {}
    news = threading.Event()
    with host.subscribe(lambda _: news.set()), suppress(KeyboardInterrupt):
        lines = host.call_and_wait(lambda engine: engine.queries.log_lines(connector_id, sync_id, before_id=1 << 62, limit=limit))
        last = 0
        while True:
            unknown = {line.connector_id for line in lines if line.connector_id} - names.keys()
            if unknown:
                found = host.call_and_wait(partial(_names, connector_ids=sorted(unknown)))
                names |= {identifier: found.get(identifier, identifier) for identifier in unknown}
            for line in sorted(lines, key=lambda line: line.id):
                last = line.id
                _print_log_line(line, names.get(line.connector_id or "", ""), json_lines)
            if not follow:
                return
            news.wait(LOOK_INTERVAL)
            news.clear()
            lines = host.call_and_wait(partial(_later_lines, connector_id=connector_id, sync_id=sync_id, after=last))


async def _later_lines(engine: Engine, *, connector_id: str | None, sync_id: str | None, after: int) -> list[LogLine]:
    return await engine.queries.log_lines(connector_id, sync_id, after_id=after)


async def _names(engine: Engine, *, connector_ids: Sequence[str]) -> dict[str, str]:
    rows = await engine.queries.connector_rows(connector_ids)
    return {identifier: row.name for identifier, row in rows.items()}


def _print_log_line(line: LogLine, connector: str, json_lines: bool) -> None:
    if json_lines:
        click.echo(json_text({"connector": connector, **plain(line)}))
        return
    when = f"{line.at:%Y-%m-%d %H:%M:%S} {str(line.level).upper():7}"
    click.echo(f"{when} {clean(connector)} {clean(line.sync_id or '')} {clean(line.message)}")
