"""Values as people type them, and back: lists with commas, mappings and records with `key=value`, anything else as JSON.

An item stands in double quotes where it is empty, has spaces at its ends, or holds a sign with a meaning; a quote in it is doubled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from syncterm.editing.setup_form.description import FieldKind, FormField

_SIGNS = ',;="\n'


class TextError(ValueError):
    """What was typed cannot be read; the message says why, and repeats nothing of it."""


def text_of(field: FormField, value: Any) -> str:
    """A value of a configuration as it is edited."""
    if value is None:
        return ""
    match field.kind:
        case FieldKind.LIST if isinstance(value, Sequence) and not isinstance(value, str) and not any(map(_is_nested, value)):
            return ", ".join(_quoted(_scalar(item)) for item in value)
        case FieldKind.MAPPING if isinstance(value, Mapping) and not any(map(_is_nested, value.values())):
            return _pairs(value)
        case FieldKind.RECORDS if _are_flat_records(value):
            return "; ".join(_pairs(record) for record in value)
    return value if isinstance(value, str) and field.kind is not FieldKind.DOCUMENT else json.dumps(value, ensure_ascii=False)


def value_of(field: FormField, text: str) -> Any:
    """What was typed, as the configuration holds it; the model converts numbers and checks everything.

    Raises:
        TextError: it has not the form that this kind of field is written in.
    """
    if field.kind in (FieldKind.DOCUMENT, FieldKind.RECORDS, FieldKind.MAPPING) or field.composite:
        stripped = text.strip()
        if field.kind is FieldKind.DOCUMENT or field.composite or stripped[:1] in ("[", "{"):
            return _json(stripped)
    match field.kind:
        case FieldKind.LIST:
            return [item for item, _ in _split(text, ",\n")] if text.strip() else []
        case FieldKind.MAPPING:
            return _mapping(text)
        case FieldKind.RECORDS:
            return [_mapping(record) for record, _ in _split(text, ";\n", keep_quotes=True) if record.strip()]
        case FieldKind.INTEGER | FieldKind.NUMBER:
            return _number(text)
    return text


def _number(text: str) -> Any:
    """A number; grouping signs are taken out, what is no number is left for the model to refuse."""
    plain = text.strip().replace("_", "").replace(" ", "")
    for convert in (int, float):
        try:
            return convert(plain) if len(plain) <= 400 else plain
        except ValueError:
            continue
    return plain


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        place = f", character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        raise TextError(f'This must be JSON, such as {{"key": "value"}}{place}.') from None
    except RecursionError:
        raise TextError("This is nested too deeply.") from None


def _mapping(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair, _ in _split(text, ",\n", keep_quotes=True):
        if not pair.strip():
            continue
        parts = _split(pair, "=", most=1)
        if len(parts) != 2 or not parts[0][0]:
            raise TextError("Write key=value, with commas between.")
        found[parts[0][0]] = parts[1][0]
    return found


def _split(text: str, separators: str, *, keep_quotes: bool = False, most: int = -1) -> list[tuple[str, bool]]:
    """The parts between separators that stand outside quotes, and whether each was quoted.

    Raises:
        TextError: a quote is not closed.
    """
    parts: list[tuple[str, bool]] = []
    part: list[str] = []
    quoted = inside = False
    position = 0
    while position < len(text):
        sign = text[position]
        if inside and sign == '"' and text[position + 1 : position + 2] == '"':
            part.append('""' if keep_quotes else '"')
            position += 1
        elif sign == '"' and (inside or not "".join(part).strip() or keep_quotes):
            if not inside and not keep_quotes:
                part.clear()
            inside, quoted = not inside, True
            if keep_quotes:
                part.append(sign)
        elif not inside and sign in separators and most != 0:
            parts.append((_trimmed(part, quoted), quoted))
            part, quoted = [], False
            most -= 1
        elif inside or not (quoted and not keep_quotes and sign.isspace()):
            part.append(sign)
        position += 1
    if inside:
        raise TextError('A quote (") is not closed.')
    parts.append((_trimmed(part, quoted), quoted))
    if len(parts) > 1 and parts[-1] == ("", False):
        parts.pop()  # a separator at the end
    return parts


def _trimmed(part: list[str], quoted: bool) -> str:
    text = "".join(part)
    return text if quoted else text.strip(" \t")


def _quoted(text: str) -> str:
    if text and text == text.strip() and text[0] not in "[{" and not any(sign in text for sign in _SIGNS):
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _pairs(record: Mapping[str, Any]) -> str:
    return ", ".join(f"{_quoted(str(key))}={_quoted(_scalar(value))}" for key, value in record.items() if value is not None)


def _scalar(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple) or value is None


def _are_flat_records(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and all(isinstance(record, Mapping) for record in value)
        and not any(_is_nested(item) for record in value for item in record.values())
    )
