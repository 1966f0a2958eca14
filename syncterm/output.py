"""What the commands print: tables and lines for people, JSON for scripts.

Data goes to the standard output stream, everything else to the standard error stream.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import click

from syncterm.engine.errors import ErrorClass, SynctermError
from syncterm.text import clean, width

EXIT_FAILED = 1
"""What was asked for was tried and failed."""
EXIT_REFUSED = 2
"""The command or a configuration is wrong; nothing was changed."""
EXIT_NOT_FOUND = 3


def plain(value: Any) -> Any:
    """A value as JSON can carry it: instants in ISO 8601, durations in seconds, dataclasses as objects."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Enum):
        return value.value
    return value


def json_text(value: Any, *, indent: int | None = None) -> str:
    """A value as JSON; what cannot be seen (controls, bidi and zero-width characters) is escaped, and so reads back as it was."""
    text = json.dumps(plain(value), ensure_ascii=False, indent=indent)
    return "".join(character if character.isprintable() or character == "\n" else json.dumps(character)[1:-1] for character in text)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json_text(value, indent=2))


def print_line(text: str) -> None:
    """A line of data on standard output, control characters visible."""
    click.echo(clean(text))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns, two spaces apart; every cell on one line, control characters visible."""
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [max(width(row[index]) for row in [list(headers), *cells]) for index in range(len(headers))]
    for row in [list(headers), *cells]:
        line = "  ".join(cell + " " * (size - width(cell)) for cell, size in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def say(message: str) -> None:
    """A line for people, on standard error."""
    click.echo(clean(message), err=True)


def fail(error: SynctermError) -> None:
    """Print an error with its remedy and exit."""
    say(f"Error: {error.message}")
    if error.remedy:
        say(error.remedy)
    sys.exit(EXIT_REFUSED if error.error_class in (ErrorClass.CONFIG, ErrorClass.PERMISSION) else EXIT_FAILED)
