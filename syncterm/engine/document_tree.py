"""Documents of configuration: plain values that know their line, the limits, and the error that names path and line."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

from syncterm.engine.errors import ConfigError

LARGEST = 1_000_000
"""Bytes of a document."""
DEEPEST = 50
"""Levels of nesting, those that aliases bring included."""
MOST_ALIASES = 50
MOST_VALUES = 100_000
"""Values in a document, those that aliases repeat included."""
_LONGEST_SHOWN = 80
"""Characters of a key that messages repeat."""
LONGEST_NAME = 200
"""Characters of the name of a source, destination or connector: what the store holds."""

Path = tuple[str | int, ...]


class DocumentFault(StrEnum):
    """What kind of mistake a document holds."""

    PARSE_ERROR = "parse_error"
    """Not readable as YAML or JSON."""
    LIMIT_ERROR = "limit_error"
    """Larger or deeper than is allowed."""
    UNSAFE_TAG = "unsafe_tag"
    DUPLICATE_KEY = "duplicate_key"
    SCHEMA_ERROR = "schema_error"
    """Readable, but not what is allowed there."""
    REFUSED_PATH = "refuse_path"
    """A file that no connector may read or write."""


class DocumentError(ConfigError):
    """A document that cannot be used; the message begins with its name, the line and the path of the mistake."""

    def __init__(
        self, message: str, *, fault: DocumentFault, document: str = "", line: int | None = None, path: Path = (), remedy: str = ""
    ) -> None:
        place = [document if document.isprintable() else ascii(document)] if document else []
        if line is not None:
            place.append(f"line {line}")
        if path:
            place.append(show_path(path))
        super().__init__(": ".join([", ".join(place), message] if place else [message]), remedy=remedy)
        self.fault = fault
        self.line = line
        """Counted from 1; None where no line can be told."""
        self.path = path


def show_path(path: Path) -> str:
    """A path for people: `connectors.orders.streams[0].sync_mode`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            word = len(part) <= _LONGEST_SHOWN and part.replace("-", "_").isidentifier()
            shown = part if word else ascii(part if len(part) <= _LONGEST_SHOWN else f"{part[:_LONGEST_SHOWN]}...")
            text += f".{shown}" if text else shown
    return text


def check_nothing_hidden(text: str) -> str:
    """What makes a text unfit to be shown and compared as it is; empty where it is fit. Direction marks and the like are kept."""
    for character in text:
        category = unicodedata.category(character)
        if category in ("Cc", "Zl", "Zp"):
            return f"holds the control character U+{ord(character):04X}"
        if category == "Cs":
            return "is not valid Unicode"
    return ""


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (str, "text"),
    (int, "a number"),
    (float, "a number"),
    (list, "a list"),
    (dict, "a mapping"),
)


def _kind(value: object) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "nothing")


@dataclass(frozen=True, slots=True)
class Tree:
    """A document as parsed."""

    value: Any
    """None, booleans, numbers, text, lists, and dictionaries with text keys."""
    lines: Mapping[Path, int] = field(default_factory=dict)
    """Path → line, counted from 1. Values that an alias repeats have the line of the alias."""
    name: str = ""
    """Of the file, for messages."""

    def line(self, path: Path) -> int | None:
        """The line of a value, or of what holds it."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path)

    def root(self) -> Node:
        return Node(self.value, (), self)


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a document; reads it as one type or says, with path and line, why it cannot be."""

    value: Any
    path: Path
    tree: Tree

    def error(self, message: str, *, remedy: str = "", fault: DocumentFault = DocumentFault.SCHEMA_ERROR) -> DocumentError:
        return DocumentError(
            message, fault=fault, document=self.tree.name, line=self.tree.line(self.path), path=self.path, remedy=remedy
        )

    def _expect(self, kind: type, example: str = "") -> Any:
        if not isinstance(self.value, kind) or (kind is not bool and isinstance(self.value, bool)):
            wanted = dict(_KINDS)[kind]
            remedy = "Put it in quotes." if kind is str and isinstance(self.value, bool | int | float) else example
            raise self.error(f"This must be {wanted}, not {_kind(self.value)}.", remedy=remedy)
        return self.value

    def mapping(self, known: Collection[str] | None = None, *, required: Collection[str] = ()) -> dict[str, Node]:
        """The entries of a mapping; those that are null count as absent.

        Raises:
            DocumentError: not a mapping, a key that is not known, or one that is missing.
        """
        value: dict[str, Any] = self._expect(dict)
        entries = {key: Node(item, (*self.path, key), self.tree) for key, item in value.items()}
        for key, node in entries.items():
            if known is not None and key not in known:
                raise node.error("There is no such key here.", remedy=suggest(key, known))
        entries = {key: node for key, node in entries.items() if node.value is not None}
        for key in required:
            if key not in entries:
                raise self.error(f"The key {key} is missing.")
        return entries

    def items(self) -> Iterator[Node]:
        """The items of a list."""
        value: list[Any] = self._expect(list)
        return (Node(item, (*self.path, index), self.tree) for index, item in enumerate(value))

    def text(self) -> str:
        """A text without control characters."""
        value: str = self._expect(str)
        hidden = check_nothing_hidden(value)
        if hidden:
            raise self.error(f"This text {hidden}.", remedy="Remove it.")
        return value

    def label(self, longest: int = LONGEST_NAME) -> str:
        """A text that is neither blank nor too long: a name."""
        return self.check_label(self.text(), longest)

    def check_label(self, name: str, longest: int = LONGEST_NAME) -> str:
        """Raises: DocumentError: where `name` cannot be one."""
        hidden = check_nothing_hidden(name)
        if hidden:
            raise self.error(f"The name {hidden}.", remedy="Choose another name.")
        if not name.strip():
            raise self.error("The name is empty.")
        if len(name) > longest:
            raise self.error(f"The name has {len(name)} characters; {longest} are allowed.")
        return name

    def labels(self, longest: int) -> tuple[str, ...]:
        """A list of different names."""
        names: list[str] = []
        for item in self.items():
            name = item.label(longest)
            if name in names:
                raise item.error(f"{name[:80]!r} is listed twice.")
            names.append(name)
        return tuple(names)

    def choice(self, known: Collection[str]) -> str:
        """One of the known words."""
        word = self.text()
        if word not in known:
            raise self.error(f"{word[:80]!r} is not known here.", remedy=suggest(word, known))
        return word

    def boolean(self) -> bool:
        value: bool = self._expect(bool, "Write true or false.")
        return value


def suggest(word: str, known: Collection[str]) -> str:
    """A sentence that helps with a word that is not one of the known ones."""
    near = get_close_matches(word[:80], known, n=1)
    return f"Did you mean {near[0]}?" if near else f"Use {', '.join(known)}."
