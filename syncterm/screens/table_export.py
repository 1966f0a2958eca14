"""Export of a table's rows as filtered and sorted: CSV that opens without formulas, or JSON; to a file of one's own, mode 0600."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from syncterm.settings import write_private

FORMULA_STARTS = "=+-@\t\r\n"
"""A text cell that begins with one of these is run as a formula by spreadsheets; so it gets an apostrophe in front."""


def safe_cell(value: Any) -> Any:
    """A value for a CSV cell: numbers as they are, texts never a formula (full-width signs included)."""
    if not isinstance(value, str):
        return value
    start = unicodedata.normalize("NFKC", value.lstrip(" ")[:1])[:1]
    return f"'{value}" if start and start in FORMULA_STARTS else value


def to_csv(rows: Sequence[Any], names: Sequence[str]) -> bytes:
    """The rows as CSV (RFC 4180, UTF-8, one line a row)."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([safe_cell(_one_cell(plain(getattr(row, name)))) for name in names])
    return buffer.getvalue().encode("utf-8", "backslashreplace")


def to_json(rows: Sequence[Any], names: Sequence[str]) -> bytes:
    """The rows as a JSON array of objects."""
    documents = [{name: plain(getattr(row, name)) for name in names} for row in rows]
    return (json.dumps(documents, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def plain(value: Any) -> Any:
    """Instants as ISO 8601 in UTC, durations in seconds, everything else as it is; None stays None (an empty cell)."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, str) else value


def _one_cell(value: Any) -> Any:
    """Several values in one cell of a CSV."""
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def write(rows: Sequence[Any], kind: type[Any], subject: str, folder: Path, now: datetime, file_format: str) -> Path:
    """Write the rows to a new file in the folder; its path.

    Args:
        kind: The dataclass that the rows are of: its fields are the columns.
        subject: What they are, for the file's name.
        file_format: `csv` or `json`.

    Raises:
        OSError: nothing was written.
    """
    names = [field.name for field in fields(kind)]
    content = to_csv(rows, names) if file_format == "csv" else to_json(rows, names)
    path = folder / f"{subject}-{now.astimezone():%Y%m%d-%H%M%S}.{file_format}"
    number = 1
    while path.exists():
        number += 1
        path = folder / f"{subject}-{now.astimezone():%Y%m%d-%H%M%S}-{number}.{file_format}"
    write_private(path, content)
    return path
