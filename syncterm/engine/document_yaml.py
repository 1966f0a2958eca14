"""YAML in and out, the safe part of it: limits hold while it is read, and nothing is read in two ways.

Read from the parser's events, never by PyYAML's constructors. Refused: tags, duplicate keys, keys that are not text, several
documents, infinite and undefined numbers. Words and numbers follow the core schema of YAML 1.2, not YAML 1.1: `NO`, `on`,
`12:30:00` and `2001-01-01` are texts, and so are numbers with leading zeros. Messages never repeat values, only keys and tags.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from syncterm.engine.document_tree import DEEPEST, MOST_ALIASES, MOST_VALUES, DocumentError, DocumentFault, Path, Tree

_WORDS: dict[str, bool | None] = {
    spelling: value
    for words, value in (("~ null Null NULL", None), ("true True TRUE", True), ("false False FALSE", False))
    for spelling in words.split(" ")
} | {"": None}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)
_LONGEST_NUMBER = 40
"""Characters; int() of thousands of digits takes quadratic time."""
_STANDARD_TAG = "tag:yaml.org,2002:"
_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML has it: fifty times as fast


def resolve_plain(text: str) -> str | int | float | bool | None:
    """What an unquoted scalar means. Infinite numbers come back as such, for the caller to refuse."""
    if text in _WORDS:
        return _WORDS[text]
    if _NOT_FINITE.fullmatch(text):
        return math.inf
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) <= _LONGEST_NUMBER else math.inf
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def parse_yaml(text: str, name: str = "") -> Tree:
    """Parse one YAML document.

    Raises:
        DocumentError: with line and column, or path, of what is wrong.
    """
    builder = _Builder(name)
    try:
        return Tree(builder.document(yaml.parse(text, Loader=_PARSER), text), builder.lines, name)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = re.sub(r"'.*'", "…", error.problem or "this is not YAML", flags=re.DOTALL)
        raise DocumentError(
            f"column {mark.column + 1}: {problem}." if mark else f"{problem}.",
            fault=DocumentFault.PARSE_ERROR,
            document=name,
            line=mark.line + 1 if mark else None,
            remedy="Indent with spaces, never with tabs." if "cannot start any token" in problem else "",
        ) from None
    except (yaml.YAMLError, UnicodeError):
        raise DocumentError(
            "It holds characters that YAML does not allow.", fault=DocumentFault.PARSE_ERROR, document=name, line=_bad_line(text)
        ) from None


def _bad_line(text: str) -> int:
    bad = re.search("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
    return text.count("\n", 0, bad.start() if bad else 0) + 1


def _mark(event: yaml.Event) -> yaml.Mark:
    mark: yaml.Mark = event.start_mark  # type: ignore[assignment]  # every event of a parser has one
    return mark


@dataclass(slots=True)
class _Anchored:
    """What an anchor names, with what it costs to repeat it."""

    value: Any = None
    values: int = 0
    height: int = 0
    complete: bool = False


@dataclass(slots=True)
class _Builder:
    name: str
    lines: dict[Path, int] = field(default_factory=dict)
    anchors: dict[str, _Anchored] = field(default_factory=dict)
    values: int = 0
    aliases: int = 0
    highest: int = 0
    """The deepest level reached since it was last reset: what makes an anchored value's height."""
    text: str = ""

    def document(self, events: Iterator[yaml.Event], text: str) -> Any:
        self.text = text
        value, documents = None, 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.fail(event, (), "A second document begins here; one is allowed.", "Put it in a file of its own.")
            elif isinstance(event, yaml.NodeEvent):
                value = self.node(event, events, ())
        return value

    def node(self, event: yaml.Event, events: Iterator[yaml.Event], path: Path) -> Any:
        self.lines[path] = _mark(event).line + 1
        self.count(event, path, 1)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, path)
        if not isinstance(event, yaml.NodeEvent):
            raise TypeError(f"no node can begin with {type(event).__name__}")
        self.refuse_tag(event, path)
        if event.anchor is None:
            return self.content(event, events, path)
        anchored = self.anchors[event.anchor] = _Anchored()
        before, outer_highest, self.highest = self.values, self.highest, len(path)
        anchored.value = self.content(event, events, path)
        anchored.values, anchored.height, anchored.complete = self.values - before, self.highest - len(path), True
        self.highest = max(self.highest, outer_highest)
        return anchored.value

    def content(self, event: yaml.NodeEvent, events: Iterator[yaml.Event], path: Path) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event, path)
        self.descend(event, path, len(path) + 1)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(following := next(events), yaml.SequenceEndEvent):
                items.append(self.node(following, events, (*path, len(items))))
            return items
        entries: dict[str, Any] = {}
        while not isinstance(key_event := next(events), yaml.MappingEndEvent):
            key = self.key(key_event, path)
            if key in entries:
                self.fail(key_event, (*path, key), "This key stands here twice.", fault=DocumentFault.DUPLICATE_KEY)
            entries[key] = self.node(next(events), events, (*path, key))
            self.lines[(*path, key)] = _mark(key_event).line + 1
        return entries

    def scalar(self, event: yaml.ScalarEvent, path: Path) -> Any:
        value = resolve_plain(event.value) if event.implicit[0] else event.value
        if isinstance(value, float) and not math.isfinite(value):
            self.fail(event, path, "This is not a finite number of a usable size.", "Put it in quotes if it is text.")
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            self.fail(event, path, "This text is not valid Unicode.", fault=DocumentFault.PARSE_ERROR)
        return value

    def key(self, event: yaml.Event, path: Path) -> str:
        if isinstance(event, yaml.NodeEvent):
            self.refuse_tag(event, path)
        key = self.scalar(event, path) if isinstance(event, yaml.ScalarEvent) else None
        if not isinstance(key, str):
            shown = f" {event.value[:20]}" if isinstance(event, yaml.ScalarEvent) and event.value.isalnum() else ""
            self.fail(event, path, f"The key{shown} is not text.", "Put keys that look like something else in quotes.")
        if isinstance(event, yaml.ScalarEvent) and event.anchor is not None:
            self.fail(event, path, "A key must not have an anchor.")
        return key

    def alias(self, event: yaml.AliasEvent, path: Path) -> Any:
        self.aliases += 1
        if self.aliases > MOST_ALIASES:
            self.fail(event, path, f"There are more than {MOST_ALIASES} aliases.", fault=DocumentFault.LIMIT_ERROR)
        anchored = self.anchors.get(event.anchor or "")
        if anchored is None:
            self.fail(
                event,
                path,
                "This alias names no anchor.",
                "Put text that begins with * in quotes.",
                fault=DocumentFault.PARSE_ERROR,
            )
        if not anchored.complete:
            self.fail(event, path, "This alias stands within what it repeats.", fault=DocumentFault.PARSE_ERROR)
        self.count(event, path, anchored.values)
        self.descend(event, path, len(path) + anchored.height)
        return anchored.value

    def count(self, event: yaml.Event, path: Path, values: int) -> None:
        self.values += values
        if self.values > MOST_VALUES:
            self.fail(event, path, f"There are more than {MOST_VALUES:,} values.", fault=DocumentFault.LIMIT_ERROR)

    def descend(self, event: yaml.Event, path: Path, depth: int) -> None:
        self.highest = max(self.highest, depth)
        if depth <= DEEPEST:
            return
        rest = self.text[_mark(event).index :] if isinstance(event, yaml.CollectionStartEvent) and event.flow_style else None
        if rest is not None and rest.count("]") + rest.count("}") < depth:
            fault, fact = DocumentFault.PARSE_ERROR, "and never closed"
        else:
            fault, fact = DocumentFault.LIMIT_ERROR, ""
        self.fail(event, path[:3], f"This is nested deeper than {DEEPEST} levels {fact}".rstrip() + ".", fault=fault)

    def refuse_tag(self, event: yaml.NodeEvent, path: Path) -> None:
        tag = getattr(event, "tag", None)
        if tag is None:
            return
        shown = f"The tag !!{tag.removeprefix(_STANDARD_TAG)[:80]}" if tag.startswith(_STANDARD_TAG) else f"The tag {tag[:80]}"
        if not tag.startswith(_STANDARD_TAG) and "config" in path and not getattr(event, "value", "-"):
            shown = "A tag"  # may be an unquoted secret that begins with an exclamation mark
        self.fail(
            event,
            path,
            f"{shown} is refused: tags are not allowed.",
            "Put text that begins with ! in quotes.",
            fault=DocumentFault.UNSAFE_TAG,
        )

    def fail(
        self,
        event: yaml.Event,
        path: Path,
        message: str,
        remedy: str = "",
        fault: DocumentFault = DocumentFault.SCHEMA_ERROR,
    ) -> NoReturn:
        mark = _mark(event)
        raise DocumentError(
            f"column {mark.column + 1}: {message}", fault=fault, document=self.name, line=mark.line + 1, path=path, remedy=remedy
        )


class _Dumper(yaml.SafeDumper):
    """Quotes every text that `parse_yaml` would read as something else."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    quoted = not isinstance(resolve_plain(text), str) or not text.isprintable()
    return dumper.represent_scalar(f"{_STANDARD_TAG}str", text, style='"' if quoted else None)


_Dumper.add_representer(str, _represent_text)


def dump_yaml(value: object) -> str:
    """Plain values as YAML that `parse_yaml` reads back equal; what cannot be seen (bidi, zero-width characters) is escaped."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)
    return "".join(character if character.isprintable() or character == "\n" else _escape(character) for character in text)


def _escape(character: str) -> str:
    """As YAML writes it between double quotes, where every text with such a character stands."""
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
