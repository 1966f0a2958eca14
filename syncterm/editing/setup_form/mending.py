"""Which field of a form to look at after something failed, as far as the words of the failure tell."""

from __future__ import annotations

import re
from collections.abc import Sequence

from syncterm.editing.setup_form.description import FieldKind, FormField
from syncterm.engine.model import CheckResult

_TIMEOUT_WORDS = ("host", "address", "url", "server", "endpoint")


def field_to_mend(fields: Sequence[FormField], result: CheckResult, cause: str, remedy: str) -> FormField | None:
    """The field to go to after a connection test; None where it cannot be told.

    Refused credentials: the first secret. Otherwise the field whose title the remedy names first, then the one that the cause does;
    after a timeout, a field for an address.
    """
    if result is CheckResult.WORKING:
        return None
    if result is CheckResult.AUTHENTICATION_FAILED:
        return next((field for field in fields if field.kind is FieldKind.SECRET), None) or _named(fields, remedy)
    named = _named(fields, remedy) or _named(fields, cause)
    if named is None and result is CheckResult.TIMEOUT:
        return next((field for field in fields if field.path[-1].casefold() in _TIMEOUT_WORDS), None)
    return named


def field_of_message(fields: Sequence[FormField], message: str) -> FormField | None:
    """The field that a refusal names: `Port: this must be at most 65,535.`, at its beginning or after a sentence."""
    for field in fields:
        for name in (field.title, ".".join(field.path)):
            if re.search(rf"(?:^|[.;:] ){re.escape(name)}(?:, [^:.]*)?: ", message, re.IGNORECASE):
                return field
    return None


def _named(fields: Sequence[FormField], text: str) -> FormField | None:
    """The field whose title or key stands first in a text."""
    found: list[tuple[int, int, int, FormField]] = []
    for field in fields:
        words = {field.title, *((field.path[-1],) if field.path[-1].isalpha() else ())}
        for word in words:
            match = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE)
            if match:
                found.append((match.start(), -len(word), len(found), field))
    return min(found)[3] if found else None
