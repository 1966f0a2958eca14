"""The process's own log: a file in the workspace, 0600, rotated, one event a line, secrets left out."""

from __future__ import annotations

import logging
import os
import sys
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler

from syncterm.engine.redaction import RedactingFilter
from syncterm.engine.workspace import Workspace
from syncterm.text import clean

SIZE = 5_000_000
"""Bytes of one file."""
KEPT = 3
"""Older files kept."""


class _OneLine(logging.Formatter):
    """Line breaks and control characters in a message become visible escapes, so that nobody can forge a line."""

    def format(self, record: logging.LogRecord) -> str:
        return clean(super().format(record))


class _PrivateFileHandler(RotatingFileHandler):
    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return open(descriptor, "a", encoding="utf-8")  # noqa: PTH123 - the handler closes it


def start_logging(workspace: Workspace, *, to_stderr: bool = False) -> None:
    """Send the log to the workspace's file; warnings of a headless engine go to the standard error stream as well."""
    workspace.create()
    formatter = _OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handlers: list[logging.Handler] = [_PrivateFileHandler(workspace.log_path, maxBytes=SIZE, backupCount=KEPT, delay=True)]
    if to_stderr:
        handlers.append(logging.StreamHandler(sys.stderr))
    root = logging.getLogger("syncterm")
    root.setLevel(logging.INFO)
    for handler in handlers:
        handler.setFormatter(formatter)
        handler.addFilter(RedactingFilter())
        root.addHandler(handler)
    root.propagate = False
    logging.raiseExceptions = False  # a full disk must not stop the engine, nor write into the dashboard
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
