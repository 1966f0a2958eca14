"""JSON in, strictly RFC 8259: no NaN, no infinite number, no duplicate key, and every value knows its line."""

from __future__ import annotations

import math
import re
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NoReturn

from syncterm.engine.document_tree import DEEPEST, MOST_VALUES, DocumentError, DocumentFault, Path, Tree

_SPACE = re.compile(r"[ \t\n\r]*", re.ASCII)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)
_WORD = re.compile(r"[A-Za-z_]+|-Infinity", re.ASCII)
_WORDS = {"null": None, "true": True, "false": False}
_LONGEST_NUMBER = 40


def parse_json(text: str, name: str = "") -> Tree:
    """Parse a JSON document.

    Raises:
        DocumentError: with line and column, or path, of what is wrong.
    """
    reader = _Reader(text, name)
    value = reader.value((), reader.skip(0))
    return Tree(value[0], reader.lines, name)


class _Reader:
    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name
        self.lines: dict[Path, int] = {}
        self._line, self._line_end = 1, 0
        """The line that holds the offset `_line_end`; offsets only grow."""

    def line(self, offset: int) -> int:
        self._line += self.text.count("\n", self._line_end, offset)
        self._line_end = offset
        return self._line

    def skip(self, offset: int) -> int:
        match = _SPACE.match(self.text, offset)
        return match.end() if match else offset

    def value(self, path: Path, offset: int) -> tuple[Any, int]:
        """The value at an offset, and the offset of what follows it."""
        value: Any
        self.lines[path] = self.line(offset)
        if len(self.lines) > MOST_VALUES:
            self.fail(offset, path, f"There are more than {MOST_VALUES:,} values.", DocumentFault.LIMIT_ERROR)
        following = self.text[offset : offset + 1]
        if following in ("{", "["):
            if len(path) + 1 > DEEPEST:
                rest = self.text[offset:]
                closed = rest.count("]") + rest.count("}") > len(path)
                fault = DocumentFault.LIMIT_ERROR if closed else DocumentFault.PARSE_ERROR
                fact = "" if closed else " and never closed"
                self.fail(offset, path[:3], f"This is nested deeper than {DEEPEST} levels{fact}.", fault)
            value, offset = self.mapping(path, offset) if following == "{" else self.sequence(path, offset)
        elif following == '"':
            value, offset = self.string(path, offset)
        else:
            value, offset = self.word_or_number(path, offset)
        offset = self.skip(offset)
        if not path and offset < len(self.text):
            self.fail(offset, path, "Something follows the end of the document.")
        return value, offset

    def mapping(self, path: Path, offset: int) -> tuple[dict[str, Any], int]:
        entries: dict[str, Any] = {}
        offset = self.skip(offset + 1)
        if self.text.startswith("}", offset):
            return entries, offset + 1
        while True:
            if not self.text.startswith('"', offset):
                self.fail(offset, path, "A key in double quotes is expected.")
            key, end = self.string(path, offset)
            if key in entries:
                self.fail(offset, (*path, key), "This key stands here twice.", DocumentFault.DUPLICATE_KEY)
            end = self.skip(end)
            if not self.text.startswith(":", end):
                self.fail(end, path, "A colon is expected.")
            entries[key], offset = self.value((*path, key), self.skip(end + 1))
            if self.text.startswith("}", offset):
                return entries, offset + 1
            offset = self.comma(path, offset)

    def sequence(self, path: Path, offset: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        offset = self.skip(offset + 1)
        if self.text.startswith("]", offset):
            return items, offset + 1
        while True:
            item, offset = self.value((*path, len(items)), offset)
            items.append(item)
            if self.text.startswith("]", offset):
                return items, offset + 1
            offset = self.comma(path, offset)

    def comma(self, path: Path, offset: int) -> int:
        if not self.text.startswith(",", offset):
            self.fail(offset, path, "A comma or the end of the list or mapping is expected.")
        return self.skip(offset + 1)

    def string(self, path: Path, offset: int) -> tuple[str, int]:
        try:
            text, end = scanstring(self.text, offset + 1, True)
        except JSONDecodeError:
            self.fail(offset, path, "This text has no end, or holds a control character or an unknown escape.")
        if any("\ud800" <= character <= "\udfff" for character in text):
            self.fail(offset, path, "This text is not valid Unicode.")
        return text, end

    def word_or_number(self, path: Path, offset: int) -> tuple[Any, int]:
        word = _WORD.match(self.text, offset)
        if word is not None and word[0] in _WORDS:
            return _WORDS[word[0]], word.end()
        number = None if word else _NUMBER.match(self.text, offset)
        if number is None:
            fact = (
                "NaN and infinite numbers are not JSON."
                if word and word[0].strip("-") in ("NaN", "Infinity")
                else "A value is expected."
            )
            self.fail(offset, path, fact)
        value = float(number[0]) if number[2] or number[3] else int(number[0]) if len(number[0]) <= _LONGEST_NUMBER else math.inf
        if not math.isfinite(value):
            self.fail(offset, path, "This is not a finite number of a usable size.", DocumentFault.SCHEMA_ERROR)
        return value, number.end()

    def fail(self, offset: int, path: Path, message: str, fault: DocumentFault = DocumentFault.PARSE_ERROR) -> NoReturn:
        line = self.text.count("\n", 0, offset) + 1
        column = offset - self.text.rfind("\n", 0, offset)
        raise DocumentError(f"column {column}: {message}", fault=fault, document=self.name, line=line, path=path)
