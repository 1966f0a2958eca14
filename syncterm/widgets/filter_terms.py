"""What a person types to narrow a view: words, ``!word`` for its inverse, ``field:value``, quotes around spaces."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

_TERM = re.compile(r'(!?)(?:([A-Za-z_][\w-]*):)?(?:"([^"]*)"?|(\S+))')


@dataclass(frozen=True, slots=True)
class Term:
    """One condition."""

    text: str
    """Must be contained, in any case; never empty."""
    field: str = ""
    """Lower case; empty: in any field."""
    inverse: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that must all hold. An empty one lets everything through."""

    terms: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    @classmethod
    def parse(cls, text: str, fields: Collection[str] = ()) -> Filter:
        """Read what was typed; nothing is ever refused.

        ``name:value`` is a field's condition only for a name in `fields` (in any case), so that ``http://x`` stays a word. A
        field, a ``!`` or a quote without anything after it is no condition yet.
        """
        known = {field.lower() for field in fields}
        terms = []
        for match in _TERM.finditer(text):
            sign, field, quoted, word = match.groups()
            value = quoted if quoted is not None else word
            if field is not None and field.lower() not in known:
                field, value = None, match[0][len(sign) :].replace('"', "")
            if field is None and value.endswith(":") and value[:-1].lower() in known:
                continue
            if value and value != "!":
                terms.append(Term(value, (field or "").lower(), bool(sign)))
        return cls(tuple(terms))

    def matches(self, row: Mapping[str, str]) -> bool:
        """Whether a row (field → text) passes."""
        return all(self._holds(term, row) != term.inverse for term in self.terms)

    @staticmethod
    def _holds(term: Term, row: Mapping[str, str]) -> bool:
        wanted = term.text.casefold()
        values = row.values() if not term.field else (text for field, text in row.items() if field.lower() == term.field)
        return any(wanted in value.casefold() for value in values)
