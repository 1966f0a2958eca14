"""Stopping a sync, and the gate that every commit passes."""

from __future__ import annotations

import threading

import pytest

from syncterm.engine.control import Control
from syncterm.engine.errors import CancelledSyncError, InterruptedSyncError, StalledError


def test_stop_reaches_every_interrupter_once_and_tells_why() -> None:
    control = Control()
    called: list[str] = []
    with control.interrupter(lambda: called.append("source")), control.interrupter(lambda: called.append("destination")):
        assert control.stop(StalledError("No progress."))
        assert not control.stop(CancelledSyncError("Too late."))
    assert called == ["source", "destination"]
    with pytest.raises(StalledError, match="No progress"):
        control.raise_if_stopped()


def test_an_interrupter_that_comes_after_the_stop_is_called_at_once() -> None:
    control = Control()
    control.stop(CancelledSyncError("Cancelled."))
    called: list[int] = []
    with control.interrupter(lambda: called.append(1)):
        assert called == [1]


def test_an_interrupter_is_forgotten_after_its_block() -> None:
    control = Control()
    called: list[int] = []
    with control.interrupter(lambda: called.append(1)):
        pass
    control.stop(CancelledSyncError("Cancelled."))
    assert called == []


def test_nothing_commits_after_a_stop() -> None:
    control = Control()
    control.stop(CancelledSyncError("Cancelled."))
    with pytest.raises(CancelledSyncError), control.commit_gate(lambda: True):
        pytest.fail("the gate was open")


def test_nothing_commits_without_the_lease() -> None:
    with pytest.raises(InterruptedSyncError, match="lease"), Control().commit_gate(lambda: False):
        pytest.fail("the gate was open")


def test_a_commit_under_way_runs_to_its_end_and_the_stop_follows() -> None:
    control = Control()
    inside, leave = threading.Event(), threading.Event()

    def commit() -> None:
        with control.commit_gate(lambda: True):
            inside.set()
            leave.wait()

    thread = threading.Thread(target=commit)
    thread.start()
    inside.wait()
    assert not control.stop(CancelledSyncError("Cancelled."))
    assert not control.stop(StalledError("No progress."))
    assert not control.stopped
    leave.set()
    thread.join()
    assert control.stopped
    with pytest.raises(CancelledSyncError):
        control.raise_if_stopped()


def test_the_beat_changes_with_bytes_and_records_only() -> None:
    progress = Control().progress
    first = progress.beat
    progress.expected = 10
    assert progress.beat == first
    progress.records += 1
    assert progress.beat != first
