"""The language of row filters: from text to a tree, without a database.

A row filter is one condition, written as in SQL's WHERE: comparisons, AND, OR, NOT, IN, BETWEEN, LIKE, IS NULL, CASE, arithmetic,
casts and function calls. This module knows the grammar only; columns, types and functions are `row_filter_sql`'s. What it does not
know (subqueries, statements, comments, parameters, …) it refuses with the place, so that nothing else can reach a database.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from syncterm.engine.errors import ConfigError

LONGEST_FILTER = 10_000
"""Characters of a row filter."""
DEEPEST_FILTER = 40
"""Levels of nesting."""

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<comment>--|/\*)
      | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?!\w))
      | (?P<string>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")*")
      | (?P<name>[^\W\d]\w*)
      | (?P<operator><>|!=|<=|>=|==|\|\||::|[=<>+\-*/%(),.])""",
    re.VERBOSE,
)
_STRAYS = {
    "'": "A text begins here and does not end; texts stand between single quotes, one within a text is written twice.",
    '"': "A column's name begins here and does not end; names stand between double quotes, one within a name is written twice.",
    ";": "A row filter is one condition; a semicolon cannot be part of it.",
    "`": "Names are quoted with double quotes, not with backticks.",
    "[": "Names are quoted with double quotes; lists stand in parentheses.",
    "?": "A row filter has no parameters; write the value itself.",
    "$": "A row filter has no parameters; write the value itself.",
    "~": "Patterns are matched with LIKE, or with regexp_matches(column, 'pattern').",
    "&": "Conditions are joined with AND.",
    "|": "Conditions are joined with OR.",
    "!": "Conditions are negated with NOT.",
    "\0": "A NUL character cannot be part of a row filter.",
}
RESERVED = frozenset(
    [
        "and",
        "or",
        "not",
        "is",
        "null",
        "true",
        "false",
        "in",
        "between",
        "like",
        "ilike",
        "escape",
        "case",
        "when",
        "then",
        "else",
        "end",
        "as",
        "from",
        "select",
        "exists",
        "over",
        "union",
    ]
)
"""Words that name a column only between double quotes."""
_COMPARISONS = {"=": "=", "==": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TYPED_LITERALS = ("date", "timestamp", "timestamptz", "time", "interval")


class RowFilterError(ConfigError):
    """A row filter that cannot be used.

    Args:
        position: where in its text, in characters from 0.
    """

    def __init__(self, message: str, position: int, *, remedy: str = "") -> None:
        super().__init__(f"Row filter, character {position + 1}: {message}", remedy=remedy)
        self.position = position


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a condition.

    `kind` is one of
        number, text, boolean, null, date, timestamp, timestamptz, time, interval   a constant: `value`
        column                                                              `value` its name, `quoted` as written
        call                                                                `value` the function in lower case
        and, or, not, negative, compare, arithmetic                         `value` the operator
        is_null, is_true, is_false, distinct, between, in, like, ilike      `negated` with NOT
        case        children: condition, value, …, and the ELSE where there is one more
        cast, try_cast                                                      `value` the type as written
    """

    kind: str
    position: int
    value: str = ""
    children: tuple[Node, ...] = ()
    negated: bool = False
    quoted: bool = False
    depth: int = field(init=False, default=1)

    def __post_init__(self) -> None:
        depth = 1 + max((child.depth for child in self.children), default=0)
        if depth > DEEPEST_FILTER:
            raise _too_deep(self.position)
        object.__setattr__(self, "depth", depth)


def _too_deep(position: int) -> RowFilterError:
    return RowFilterError(f"the condition is nested more than {DEEPEST_FILTER} levels deep.", position, remedy="Simplify it.")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def parse_condition(text: str) -> Node:
    """The tree of a condition.

    Raises:
        RowFilterError: naming the place and what is expected there.
    """
    if len(text) > LONGEST_FILTER:
        raise RowFilterError(f"a row filter has at most {LONGEST_FILTER:,} characters, this one {len(text):,}.", LONGEST_FILTER)
    return _Parser(_tokens(text), len(text.rstrip())).condition()


def _tokens(text: str) -> list[_Token]:
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        kind = match.lastgroup if match is not None else None
        if match is None or kind is None:
            stray = text[position]
            raise RowFilterError(_STRAYS.get(stray, f"{stray!a} is not expected here."), position)
        if kind == "comment":
            raise RowFilterError(
                "Comments cannot be part of a row filter.", position, remedy="Take it out; write - (-1) for two signs."
            )
        if "\0" in match.group():
            raise RowFilterError(_STRAYS["\0"], position + match.group().index("\0"))
        if kind != "space":
            tokens.append(_Token(kind, match.group(), position))
        position = match.end()
    return tokens


class _Parser:
    """Recursive descent, one method a level of precedence."""

    def __init__(self, tokens: list[_Token], end: int) -> None:
        self._tokens = tokens
        self._end = end
        self._index = 0
        self._nesting = 0

    def condition(self) -> Node:
        if not self._tokens:
            raise RowFilterError("the condition is empty.", 0, remedy="Write one, or leave the filter out to read all rows.")
        node = self._or()
        if self._index < len(self._tokens):
            raise self._unexpected("AND, OR or the end")
        return node

    # Words

    def _peek(self, ahead: int = 0) -> _Token:
        index = self._index + ahead
        return self._tokens[index] if index < len(self._tokens) else _Token("end", "", self._end)

    def _is(self, *words: str, ahead: int = 0) -> bool:
        token = self._peek(ahead)
        return (token.kind == "name" and token.text.lower() in words) or (token.kind == "operator" and token.text in words)

    def _take(self, *words: str) -> _Token | None:
        if not self._is(*words):
            return None
        token = self._peek()
        self._index += 1
        return token

    def _need(self, word: str) -> _Token:
        token = self._take(word)
        if token is None:
            raise self._unexpected(word.upper())
        return token

    def _unexpected(self, wanted: str) -> RowFilterError:
        token = self._peek()
        if token.kind == "end":
            return RowFilterError(f"the condition ends where {wanted} is expected.", token.position)
        if token.text.lower() in ("select", "exists", "union", "over"):
            return RowFilterError(
                f"{token.text!r} is not possible: a row filter looks at one record at a time.",
                token.position,
                remedy="Filter in a view of the source for more.",
            )
        quote = ""
        if token.kind == "name" and token.text.lower() in RESERVED:
            quote = f'Write "{token.text}" in double quotes where it is a column.'
        shown = token.text if len(token.text) <= 40 else f"{token.text[:39]}…"
        return RowFilterError(f"{shown!r} stands where {wanted} is expected.", token.position, remedy=quote)

    # Levels

    def _nested(self, level: Callable[[], Node]) -> Node:
        """Bounds the parser's own recursion, which is deeper than the tree's where there are only parentheses."""
        self._nesting += 1
        if self._nesting > DEEPEST_FILTER:
            raise _too_deep(self._peek().position)
        node = level()
        self._nesting -= 1
        return node

    def _chain(self, word: str, level: Callable[[], Node]) -> Node:
        position = self._peek().position
        nodes = [level()]
        while self._take(word):
            nodes.append(level())
        return nodes[0] if len(nodes) == 1 else Node(word, position, word, tuple(nodes))

    def _or(self) -> Node:
        return self._chain("or", self._and)

    def _and(self) -> Node:
        return self._chain("and", self._not)

    def _not(self) -> Node:
        token = self._take("not")
        if token is None:
            return self._predicate()
        return Node("not", token.position, "not", (self._nested(self._not),))

    def _predicate(self) -> Node:
        node = self._sum()
        while True:
            token = self._peek()
            if token.kind == "operator" and token.text in _COMPARISONS:
                self._index += 1
                node = Node("compare", token.position, _COMPARISONS[token.text], (node, self._sum()))
            elif self._take("is"):
                node = self._is_predicate(node, token.position)
            elif self._is("in", "between", "like", "ilike") or (
                self._is("not") and self._is("in", "between", "like", "ilike", ahead=1)
            ):
                node = self._word_predicate(node)
            else:
                return node

    def _is_predicate(self, node: Node, position: int) -> Node:
        negated = self._take("not") is not None
        if self._take("null"):
            return Node("is_null", position, children=(node,), negated=negated)
        for word in ("true", "false"):
            if self._take(word):
                return Node(f"is_{word}", position, children=(node,), negated=negated)
        if self._take("distinct"):
            self._need("from")
            return Node("distinct", position, children=(node, self._sum()), negated=negated)
        raise self._unexpected("NULL, TRUE, FALSE or DISTINCT FROM")

    def _word_predicate(self, node: Node) -> Node:
        position = self._peek().position
        negated = self._take("not") is not None
        word = self._peek().text.lower()
        self._index += 1
        if word == "between":
            low = self._sum()
            self._need("and")
            return Node("between", position, children=(node, low, self._sum()), negated=negated)
        if word == "in":
            return Node("in", position, children=(node, *self._list()), negated=negated)
        pattern = [node, self._sum()]
        if self._take("escape"):
            pattern.append(self._primary())
        return Node(word, position, children=tuple(pattern), negated=negated)

    def _list(self) -> tuple[Node, ...]:
        self._need("(")
        nodes = [self._nested(self._or)]
        while self._take(","):
            nodes.append(self._nested(self._or))
        self._need(")")
        return tuple(nodes)

    def _sum(self) -> Node:
        node = self._product()
        while token := self._take("+", "-", "||"):
            node = Node("arithmetic", token.position, token.text, (node, self._product()))
        return node

    def _product(self) -> Node:
        node = self._sign()
        while token := self._take("*", "/", "%"):
            node = Node("arithmetic", token.position, token.text, (node, self._sign()))
        return node

    def _sign(self) -> Node:
        token = self._take("-", "+")
        if token is None:
            return self._cast()
        node = self._nested(self._sign)
        return node if token.text == "+" else Node("negative", token.position, "-", (node,))

    def _cast(self) -> Node:
        node = self._primary()
        while token := self._take("::"):
            node = Node("cast", token.position, self._type(), (node,))
        return node

    def _type(self) -> str:
        token = self._peek()
        if token.kind != "name":
            raise self._unexpected("a type")
        self._index += 1
        if not self._is("("):
            return token.text
        parts = [part.text for part in map(self._peek, range(5))]
        if not (parts[1].isdigit() and (parts[2] == ")" or (parts[2] == "," and parts[3].isdigit() and parts[4] == ")"))):
            raise self._unexpected("the digits of a type, such as decimal(18,2),")
        length = 3 if parts[2] == ")" else 5
        self._index += length
        return token.text + "".join(parts[:length])

    def _primary(self) -> Node:
        token = self._peek()
        word = token.text.lower()
        if token.kind == "operator" and self._take("("):
            node = self._nested(self._or)
            self._need(")")
            return node
        if token.kind == "number":
            self._index += 1
            return Node("number", token.position, token.text)
        if token.kind == "string":
            self._index += 1
            return Node("text", token.position, token.text[1:-1].replace("''", "'"))
        if token.kind == "quoted":
            self._index += 1
            return self._column(token, token.text[1:-1].replace('""', '"'), quoted=True)
        if token.kind != "name":
            raise self._unexpected("a column or a value")
        if word == "null" or word in ("true", "false"):
            self._index += 1
            return Node("null" if word == "null" else "boolean", token.position, word)
        if word == "case":
            self._index += 1
            return self._case(token)
        if word in RESERVED:
            raise self._unexpected("a column or a value")
        self._index += 1
        if word in _TYPED_LITERALS and self._peek().kind == "string":
            value = self._peek().text[1:-1].replace("''", "'")
            self._index += 1
            return Node(word, token.position, value)
        if self._is("("):
            return self._call(token)
        return self._column(token, token.text, quoted=False)

    def _column(self, token: _Token, name: str, *, quoted: bool) -> Node:
        if self._is("."):
            parts = [name]
            while self._take(".") and self._peek().kind in ("name", "quoted"):
                parts.append(self._peek().text.strip('"'))
                self._index += 1
            whole = ".".join(parts)
            raise RowFilterError(
                f"{whole!r} is not a column: columns are named without their stream.",
                token.position,
                remedy=f'Write {parts[-1]!r}, or "{whole}" in double quotes where the dot is part of the name.',
            )
        return Node("column", token.position, name, quoted=quoted)

    def _case(self, token: _Token) -> Node:
        children: list[Node] = []
        if not self._is("when"):
            raise self._unexpected("WHEN")
        while self._take("when"):
            children.append(self._nested(self._or))
            self._need("then")
            children.append(self._nested(self._or))
        if self._take("else"):
            children.append(self._nested(self._or))
        self._need("end")
        return Node("case", token.position, children=tuple(children))

    def _call(self, token: _Token) -> Node:
        self._need("(")
        name = token.text.lower()
        if name in ("cast", "try_cast"):
            node = self._nested(self._or)
            self._need("as")
            type_ = self._type()
            self._need(")")
            return Node(name, token.position, type_, (node,))
        if name == "extract":
            part = self._peek()
            if part.kind not in ("name", "string"):
                raise self._unexpected("a part such as YEAR")
            self._index += 1
            self._need("from")
            children = (Node("text", part.position, part.text.strip("'").lower()), self._nested(self._or))
            self._need(")")
            return Node("call", token.position, "date_part", children)
        arguments: list[Node] = []
        if not self._is(")"):
            if self._is("distinct", "*"):
                raise RowFilterError(
                    f"{token.text}({self._peek().text}) looks at many records or columns; a row filter at one record at a time.",
                    token.position,
                )
            arguments.append(self._nested(self._or))
            while self._take(","):
                arguments.append(self._nested(self._or))
        self._need(")")
        if self._is("over", "filter"):
            raise RowFilterError(
                "window functions are not possible: a row filter looks at one record at a time.", self._peek().position
            )
        return Node("call", token.position, name, tuple(arguments))
