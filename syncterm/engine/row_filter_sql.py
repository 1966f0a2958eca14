"""From a row filter's tree to DuckDB's SQL: which columns, functions and comparisons there are, and what they are called there.

Nothing of the person's text is copied: columns are written by number, constants anew, functions from a table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches

from syncterm.engine.convert import MAX_QUOTED, clip
from syncterm.engine.errors import ConfigError
from syncterm.engine.row_filter_functions import AGGREGATES, FUNCTIONS, KIND_TITLES, KINDS, MOMENTS, PARTS, SQL_TYPES, TYPE_NAMES
from syncterm.engine.row_filter_syntax import Node, RowFilterError
from syncterm.engine.schema import LogicalType, parse_type

_INTERVAL = re.compile(r"\s*([0-9]{1,9})\s+(second|minute|hour|day|week|month|quarter|year)s?\s*", re.IGNORECASE)


class UnknownColumnError(RowFilterError):
    """A row filter names a column that the stream does not have."""


class ConditionWriter:
    """Writes a checked tree as DuckDB's SQL."""

    def __init__(self, types: Mapping[str, LogicalType | None]) -> None:
        self._types = types
        self._folded: dict[str, list[str]] = {}
        for name in types:
            self._folded.setdefault(name.casefold(), []).append(name)
        self.columns: list[str] = []

    def write(self, node: Node) -> tuple[str, str]:
        """SQL and kind of a node. Raises: RowFilterError."""
        written: tuple[str, str] = getattr(self, f"_{_METHODS[node.kind]}")(node)
        return written

    # Constants and columns

    def _number(self, node: Node) -> tuple[str, str]:
        return node.value, "number"

    def _text(self, node: Node) -> tuple[str, str]:
        return _quoted(node.value), "text"

    def _word(self, node: Node) -> tuple[str, str]:
        return node.value, "any" if node.kind == "null" else "boolean"

    def _instant(self, node: Node) -> tuple[str, str]:
        sql = _instant_sql(node.value)
        if sql is None:
            raise _no_value(node, f"{node.value!r} is not a {node.kind}", "'2025-01-31' or '2025-01-31 13:30:00+00:00'")
        return f"cast({sql} as {SQL_TYPES[node.kind]})", "instant"

    def _time_of_day(self, node: Node) -> tuple[str, str]:
        sql = _time_sql(node.value)
        if sql is None:
            raise _no_value(node, f"{node.value!r} is not a time of day", "'13:30:00'")
        return sql, "time"

    def _interval(self, node: Node) -> tuple[str, str]:
        match = _INTERVAL.fullmatch(node.value)
        if match is None:
            raise _no_value(node, f"{node.value!r} is not an interval", "'7 days'")
        return f"interval '{match[1]} {match[2].lower()}'", "interval"

    def _column(self, node: Node) -> tuple[str, str]:
        name = self._named(node)
        if name not in self.columns:
            self.columns.append(name)
        type_ = self._types[name]
        return f"c{self.columns.index(name)}", "any" if type_ is None else KINDS[type_.name]

    def _named(self, node: Node) -> str:
        """The column that a node means: that very name, else, where it is not quoted, the only one in other letter case."""
        if node.value in self._types:
            return node.value
        alike = self._folded.get(node.value.casefold(), [])
        if len(alike) == 1 and not node.quoted:
            return alike[0]
        shown = clip(node.value, MAX_QUOTED)
        if not node.quoted and node.value.lower() in MOMENTS:
            raise _moment(node)
        if alike:
            shown_alike = " or ".join(f'"{name}"' for name in alike)
            raise UnknownColumnError(f"there is no column {shown!r}.", node.position, remedy=f"Write {shown_alike}.")
        near = get_close_matches(node.value, self._types, n=1, cutoff=0.7) or [
            self._folded[name][0] for name in get_close_matches(node.value.casefold(), self._folded, n=1, cutoff=0.7)
        ]
        if near:
            remedy = f"Did you mean {_spelled(near[0])}?"
        elif node.quoted:
            remedy = f"Texts stand between single quotes: {_quoted(shown)}."
        else:
            known = ", ".join(_spelled(name) for name in list(self._types)[:10])
            remedy = f"The stream has {known}{', …' if len(self._types) > 10 else ''}." if known else "The stream has no columns."
        raise UnknownColumnError(f"there is no column {shown!r}.", node.position, remedy=remedy)

    # Conditions

    def _condition(self, node: Node) -> str:
        sql, kind = self.write(node)
        if kind not in ("boolean", "any"):
            raise RowFilterError(f"{KIND_TITLES[kind]} stands where a condition is expected.", node.position, remedy="Compare it.")
        return sql

    def _junction(self, node: Node) -> tuple[str, str]:
        return "(" + f" {node.kind} ".join(self._condition(child) for child in node.children) + ")", "boolean"

    def _not(self, node: Node) -> tuple[str, str]:
        return f"(not {self._condition(node.children[0])})", "boolean"

    def _compare(self, node: Node) -> tuple[str, str]:
        (left, right), _ = self._alike(node, node.children)
        return f"({left} {node.value} {right})", "boolean"

    def _distinct(self, node: Node) -> tuple[str, str]:
        (left, right), _ = self._alike(node, node.children)
        return f"({left} is {'not ' if node.negated else ''}distinct from {right})", "boolean"

    def _is_null(self, node: Node) -> tuple[str, str]:
        sql, _ = self.write(node.children[0])
        return f"({sql} is {'not ' if node.negated else ''}null)", "boolean"

    def _is_truth(self, node: Node) -> tuple[str, str]:
        word = "not distinct" if not node.negated else "distinct"
        return f"({self._condition(node.children[0])} is {word} from {node.kind.removeprefix('is_')})", "boolean"

    def _between(self, node: Node) -> tuple[str, str]:
        (value, low, high), _ = self._alike(node, node.children)
        return f"({value} {'not ' if node.negated else ''}between {low} and {high})", "boolean"

    def _in(self, node: Node) -> tuple[str, str]:
        (value, *others), _ = self._alike(node, node.children)
        return f"({value} {'not ' if node.negated else ''}in ({', '.join(others)}))", "boolean"

    def _like(self, node: Node) -> tuple[str, str]:
        parts = [self._of_kind(child, "text", node.kind.upper()) for child in node.children]
        escape = ""
        if len(parts) == 3:
            letter = node.children[2]
            if letter.kind != "text" or len(letter.value) != 1:
                raise RowFilterError("ESCAPE takes one character between single quotes.", letter.position)
            escape = f" escape {parts[2]}"
        return f"({parts[0]} {'not ' if node.negated else ''}{node.kind} {parts[1]}{escape})", "boolean"

    def _case(self, node: Node) -> tuple[str, str]:
        conditions = [self._condition(child) for child in node.children[:-1:2]]
        odd = len(node.children) % 2
        values, kind = self._alike(node, (*node.children[1::2], *(node.children[-1:] if odd else ())))
        steps = " ".join(f"when {condition} then {value}" for condition, value in zip(conditions, values, strict=False))
        return f"(case {steps}{f' else {values[-1]}' if odd else ''} end)", kind

    # Values

    def _negative(self, node: Node) -> tuple[str, str]:
        return f"(- {self._of_kind(node.children[0], 'number', 'the minus sign')})", "number"

    def _arithmetic(self, node: Node) -> tuple[str, str]:
        operator = node.value
        left, right = node.children
        if operator == "||":
            return f"({self._of_kind(left, 'text', '||')} || {self._of_kind(right, 'text', '||')})", "text"
        (left_sql, left_kind), (right_sql, right_kind) = self.write(left), self.write(right)
        if operator in "+-" and "instant" in (left_kind, right_kind):
            if left_kind == "instant" and right_kind in ("interval", "any"):
                return f"({left_sql} {operator} {right_sql})", "instant"
            if right_kind == "instant" and left_kind == "instant" and operator == "-":
                instant = SQL_TYPES["timestamptz"]
                return f"(cast({left_sql} as {instant}) - cast({right_sql} as {instant}))", "interval"
            if right_kind == "instant" and left_kind == "interval" and operator == "+":
                return f"({left_sql} + {right_sql})", "instant"
        for kind, child in ((left_kind, left), (right_kind, right)):
            if kind not in ("number", "any"):
                raise RowFilterError(
                    f"{KIND_TITLES[kind]} cannot be calculated with by {operator}.",
                    child.position,
                    remedy="Write cast(… as int64) for a text of digits, or interval '7 days' for a span of time.",
                )
        divisor = f"nullif({right_sql}, 0)" if operator in "/%" else right_sql
        return f"({left_sql} {operator} {divisor})", "number"

    def _cast(self, node: Node) -> tuple[str, str]:
        sql, _ = self.write(node.children[0])
        name = node.value.lower()
        numeric = re.fullmatch(r"(?:numeric|decimal|varchar|char)(\(.*\))", name)
        if numeric is not None:
            name = "text" if "char" in name else f"decimal{numeric[1] if ',' in numeric[1] else numeric[1][:-1] + ',0)'}"
        try:
            type_ = parse_type(TYPE_NAMES.get(name, name))
        except ConfigError as error:
            raise RowFilterError(error.message, node.position, remedy=error.remedy) from None
        sql_type = f"DECIMAL({type_.precision},{type_.scale})" if type_.name == "decimal" else SQL_TYPES.get(type_.name)
        if sql_type is None:
            raise RowFilterError(f"a value cannot be cast to {type_} in a row filter.", node.position, remedy="Cast it to text.")
        return f"{node.kind}({sql} as {sql_type})", KINDS[type_.name]

    def _call(self, node: Node) -> tuple[str, str]:
        function = FUNCTIONS.get(node.value)
        if function is None:
            raise _unknown_function(node)
        count = len(node.children)
        if count < function.required or (count > len(function.arguments) and not function.repeats):
            wanted = str(function.required) if function.required == len(function.arguments) else f"at least {function.required}"
            raise RowFilterError(f"{node.value} takes {wanted} arguments, not {count}.", node.position)
        if function.repeats or "same" in function.arguments:
            values, kind = self._alike(node, node.children)
            return function.sql.format(", ".join(values)), kind
        values = [self._argument(child, kind, node.value) for child, kind in zip(node.children, function.arguments, strict=False)]
        return function.sql.format(", ".join(values)), function.gives

    def _argument(self, node: Node, kind: str, function: str) -> str:
        """An argument of a kind; parts, patterns and paths must be constants, whose faults are then found here."""
        if kind not in ("part", "pattern", "path"):
            return self._of_kind(node, kind, function)
        if node.kind != "text":
            raise RowFilterError(f"{function} takes its {kind} as a text between single quotes.", node.position)
        if kind == "part" and node.value.lower() not in PARTS:
            raise RowFilterError(
                f"{node.value!r} is not a part of a date.", node.position, remedy=f"Use one of {', '.join(PARTS)}."
            )
        if kind == "path" and not node.value.startswith(("$", "/")):
            raise RowFilterError(f"{node.value!r} is not a JSON path.", node.position, remedy="Write it as '$.name'.")
        return _quoted(node.value)

    def _of_kind(self, node: Node, kind: str, where: str) -> str:
        if node.kind == "text" and kind not in ("text", "any"):
            return self._read_as(node, kind)
        sql, found = self.write(node)
        if found not in (kind, "any") and kind != "any":
            remedy = "Write cast(… as text) first." if kind == "text" else ""
            raise RowFilterError(
                f"{where} takes {KIND_TITLES[kind]}, and this is {KIND_TITLES[found]}.", node.position, remedy=remedy
            )
        return sql

    def _alike(self, whole: Node, nodes: Sequence[Node]) -> tuple[list[str], str]:
        """Several values that are compared with each other, and their kind; texts between quotes are read as the others' kind."""
        written = [self.write(node) if node.kind != "text" else ("", "text") for node in nodes]
        others = [(kind, node) for (_, kind), node in zip(written, nodes, strict=True) if node.kind != "text" and kind != "any"]
        kind = others[0][0] if others else ("text" if any(node.kind == "text" for node in nodes) else "any")
        unknown = not others and any(
            found == "any" and node.kind != "null" for (_, found), node in zip(written, nodes, strict=True)
        )
        for found, _ in others:
            if found != kind:
                remedy = "Write the number between single quotes, or cast(… as int64) around the text."
                raise RowFilterError(
                    f"{KIND_TITLES[kind]} cannot be compared with {KIND_TITLES[found]}.",
                    whole.position,
                    remedy=remedy if {kind, found} == {"number", "text"} else "Cast one of them.",
                )
        if unknown:
            kind = "any"
        return [
            sql if node.kind != "text" else self._read_as(node, kind) for (sql, _), node in zip(written, nodes, strict=True)
        ], kind

    def _read_as(self, node: Node, kind: str) -> str:
        """A constant between quotes, read as a value of a kind. Raises: RowFilterError: where it is none."""
        text, sql = node.value.strip(), None
        if kind in ("text", "any"):
            return _quoted(node.value)
        example = "true"
        if kind == "number":
            sql, example = _number_sql(text), "42"
        elif kind == "boolean" and text.lower() in ("true", "false"):
            sql = text.lower()
        elif kind == "instant":
            sql, example = _instant_sql(text), "'2025-01-31' or '2025-01-31 13:30:00+00:00'"
        elif kind == "time":
            sql, example = _time_sql(text), "'13:30:00'"
        elif kind == "interval":
            sql, example = (self._interval(node)[0] if _INTERVAL.fullmatch(text) else None), "interval '7 days'"
        elif kind == "binary":
            raise RowFilterError("bytes can only be compared with another column of bytes, or with NULL.", node.position)
        if sql is None:
            raise _no_value(node, f"{clip(repr(node.value), MAX_QUOTED)} is not {KIND_TITLES[kind]}", example)
        return sql


_METHODS = {
    **{
        kind: kind
        for kind in ("number", "text", "column", "not", "compare", "distinct", "between", "in", "case", "negative", "call")
    },
    **{kind: kind for kind in ("arithmetic", "cast", "interval", "is_null")},
    **dict.fromkeys(("null", "boolean"), "word"),
    **dict.fromkeys(("date", "timestamp", "timestamptz"), "instant"),
    "time": "time_of_day",
    **dict.fromkeys(("and", "or"), "junction"),
    **dict.fromkeys(("is_true", "is_false"), "is_truth"),
    **dict.fromkeys(("like", "ilike"), "like"),
    "try_cast": "cast",
}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _spelled(name: str) -> str:
    """A column as it is written in a filter."""
    shown = clip(name, MAX_QUOTED)
    return shown if re.fullmatch(r"[^\W\d]\w*", shown) else '"' + shown.replace('"', '""') + '"'


def _number_sql(text: str) -> str | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return str(number) if number.is_finite() and re.fullmatch(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?", text) else None


def _instant_sql(text: str) -> str | None:
    """A date, or an instant in UTC where it names an offset, as SQL; None where the text is neither."""
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return f"date '{date.fromisoformat(text).isoformat()}'"
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    if instant.tzinfo is None:
        return f"timestamp '{instant.isoformat(sep=' ')}'"
    try:
        return f"timestamptz '{instant.astimezone(UTC).isoformat(sep=' ')}'"
    except OverflowError:
        return None


def _time_sql(text: str) -> str | None:
    try:
        moment = time.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is not None else f"time '{moment.isoformat()}'"


def _no_value(node: Node, what: str, example: str) -> RowFilterError:
    return RowFilterError(f"{what}.", node.position, remedy=f"Write for example {example}.")


def _moment(node: Node) -> RowFilterError:
    return RowFilterError(
        f"{node.value} gives another answer at every sync, which a row filter must not.",
        node.position,
        remedy="Write a fixed date, or filter in a view of the source.",
    )


def _unknown_function(node: Node) -> RowFilterError:
    if node.value in MOMENTS:
        return _moment(node)
    if node.value in AGGREGATES:
        return RowFilterError(f"{node.value} looks at many records; a row filter at one record at a time.", node.position)
    near = get_close_matches(node.value, FUNCTIONS, n=1)
    remedy = f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(FUNCTIONS))}."
    return RowFilterError(f"there is no function {clip(node.value, MAX_QUOTED)!r} in row filters.", node.position, remedy=remedy)
