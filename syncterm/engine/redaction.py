"""Known secrets, and their removal from any text on its way to a log, a message, a history row or an export.

Whatever resolves or unseals a secret registers it here, for the life of the process; `redact` then replaces it in every form in
which systems tend to echo it. The cost of `redact` grows with the text, not with the number of secrets.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import threading
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

MASK = "***"
"""What stands for a secret."""
SHORTEST = 4
"""Characters: a shorter value is not looked for, it would blacken half of every text."""
_SHORTEST_LINE = 16
"""Characters: lines of a key file that are looked for by themselves."""

_forms: dict[str, tuple[str, ...]] = {}
"""First four characters → the forms that begin with them, the longest first."""
_lock = threading.Lock()


def register_secret(value: str) -> None:
    """Make a secret known. Thread-safe; values shorter than four characters are ignored."""
    if len(value) < SHORTEST:
        return
    with _lock:
        if value in _forms.get(value[:SHORTEST], ()):
            return
        for form in _echoes(value):
            start = form[:SHORTEST]
            _forms[start] = tuple(sorted({*_forms.get(start, ()), form}, key=len, reverse=True))


def redact(text: str) -> str:
    """The text with `***` for every known secret: plain, URL-encoded, in base64, or escaped for JSON, Python, SQL or HTML."""
    if not _forms:
        return text
    pieces: list[str] = []
    shown = 0
    """Where the text not yet copied begins."""
    hidden = 0
    """Where the secrets found so far end; they may overlap."""
    for position in range(len(text) - SHORTEST + 1):
        for form in _forms.get(text[position : position + SHORTEST], ()):
            if text.startswith(form, position):
                if position >= hidden:
                    pieces += text[shown:position], MASK
                shown = hidden = max(hidden, position + len(form))
                break
    pieces.append(text[shown:])
    return "".join(pieces)


def _echoes(value: str) -> Iterator[str]:
    """Every form of a secret that is looked for, each at least four characters long."""
    data = value.encode("utf-8", "surrogatepass")
    candidates = {
        value,
        value.strip(),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        value.replace("'", "''"),
        html.escape(value),
    }
    for encoded in (quote(data, safe=""), quote(data), quote_plus(data)):
        candidates |= {encoded, encoded.replace("%", "%25"), _lower_escapes(encoded)}
    for shift in range(3):  # base64 of a longer text, such as user:password, holds the secret at one of three alignments
        whole = base64.b64encode(b"\0" * shift + data).decode()
        start = (0, 2, 3)[shift]
        end = len(whole) if (len(data) + shift) % 3 == 0 else len(whole.rstrip("=")) - 1
        core = whole[start:end]
        candidates |= {core, core.replace("+", "-").replace("/", "_")}
    if "\n" in value:
        candidates |= {line.strip() for line in value.splitlines() if len(line.strip()) >= _SHORTEST_LINE and "-----" not in line}
    return (candidate for candidate in candidates if len(candidate) >= SHORTEST)


def _lower_escapes(text: str) -> str:
    head, *rest = text.split("%")
    return head + "".join(f"%{part[:2].lower()}{part[2:]}" for part in rest)


_STANDARD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({})))


class RedactingFilter(logging.Filter):
    """Removes known secrets from log records: message, traceback, stack and extra fields. Attach it to every handler.

    On a handler it sees every record that the handler writes; on a logger it would miss those of the loggers below.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # arguments that do not fit: the record is worth more than its form
            message = f"{record.msg} {record.args}"
        record.msg, record.args = redact(message), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        record.exc_info = None
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        for name, value in list(vars(record).items()):
            if name not in _STANDARD_ATTRIBUTES and isinstance(value, str):
                setattr(record, name, redact(value))
        return True
