"""What a form asks for: the fields of an adapter's pydantic model, with titles, help, choices, bounds and conditions.

Everything has a decent default, so that a model without any metadata gives a form too. An author says more with pydantic's own
words (title, description, default, ge, le, min_length, …) and with `json_schema_extra`:

    group        heading under which the field stands
    shown_when   {"other": [values]}: asked for only while those settings have one of these values; else neither checked nor saved
    path         "file", "folder", "new_file" or "any": a path, with a picker
    placeholder  shown in the empty field
    choices      {value: what it means}, for a Literal or an enum

Nested models become fields under a heading; unions of models that differ in one Literal become that choice and the fields of each.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

_DEEPEST = 6
"""Models within models; what lies deeper is asked for as JSON."""


class FieldKind(StrEnum):
    """How a value is asked for."""

    TEXT = "text"
    SECRET = "secret"  # noqa: S105
    CHOICE = "choice"
    SEVERAL = "several"
    """Any of some choices."""
    SWITCH = "switch"
    INTEGER = "integer"
    NUMBER = "number"
    LIST = "list"
    """Texts or numbers, separated by commas."""
    MAPPING = "mapping"
    """`key=value`, separated by commas."""
    RECORDS = "records"
    """Nested models; `key=value, key=value`, separated by semicolons."""
    DOCUMENT = "document"
    """Anything else, as JSON."""


class PathKind(StrEnum):
    """What a path leads to."""

    ANY = "any"
    FILE = "file"
    NEW_FILE = "new_file"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class Option:
    """One of the choices of a field."""

    value: Any
    """As the configuration holds it."""
    title: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """A field is asked for while another one has one of these values."""

    path: tuple[str, ...]
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class FormField:
    """One line of a form. Texts may be from another package: whoever shows them cleans them."""

    id: str
    """Unique in the form."""
    path: tuple[str, ...]
    """Keys from the configuration's top to the value, as documents write them."""
    title: str
    kind: FieldKind
    help: str = ""
    group: str = ""
    required: bool = False
    nullable: bool = False
    """Whether nothing (None) is a value."""
    default: Any = None
    """As a document would hold it; meaningless where the field is required."""
    options: tuple[Option, ...] = ()
    placeholder: str = ""
    bounds: str = ""
    """What numbers are allowed, in words; empty for any."""
    path_kind: PathKind | None = None
    presence: bool = False
    """A switch for whether a nested model is there at all."""
    composite: bool = False
    """A secret that is a list, a mapping or a model, and is typed as JSON."""
    conditions: tuple[Condition, ...] = ()
    locations: tuple[tuple[str | int, ...], ...] = ()
    """Where pydantic places this field's faults."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a model asks for."""

    model: type[BaseModel]
    fields: tuple[FormField, ...]
    groups: tuple[str, ...] = ()
    """In the order of their first field; the nameless one first."""
    by_path: Mapping[tuple[str, ...], tuple[FormField, ...]] = field(default_factory=dict)

    @property
    def url_example(self) -> str:
        """A URL that can be pasted to fill the form; empty where there is no line for one."""
        return str(getattr(self.model, "url_example", "") or "")

    @property
    def url_schemes(self) -> tuple[str, ...]:
        return tuple(getattr(self.model, "url_schemes", ()) or ())


def describe(model: type[BaseModel]) -> Form:
    """The form of a configuration model."""
    found = list(_model_fields(model, (), (), "", (), 0))
    groups = tuple(dict.fromkeys(sorted((each.group for each in found), key=lambda group: group != "")))
    fields = tuple(each for group in groups for each in found if each.group == group)
    by_path: dict[tuple[str, ...], tuple[FormField, ...]] = {}
    for each in fields:
        by_path[each.path] = (*by_path.get(each.path, ()), each)
    return Form(model, fields, groups, by_path)


def _model_fields(
    model: type[BaseModel],
    path: tuple[str, ...],
    location: tuple[str | int, ...],
    group: str,
    conditions: tuple[Condition, ...],
    depth: int,
) -> Iterator[FormField]:
    keys = {name: _key(name, info) for name, info in model.model_fields.items()}
    for name, info in model.model_fields.items():
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        where = (*path, keys[name])
        shown_when = extra.get("shown_when")
        own = tuple(
            Condition((*path, keys.get(other, other)), tuple(values) if isinstance(values, list | tuple) else (values,))
            for other, values in (shown_when.items() if isinstance(shown_when, Mapping) else ())
        )
        heading = extra.get("group")
        base = FormField(
            id=".".join(where) + "".join(f"@{value}" for condition in conditions for value in condition.values),
            path=where,
            title=info.title or _title(name),
            kind=FieldKind.TEXT,
            help=(info.description or "").strip(),
            group=heading if isinstance(heading, str) else group,
            required=info.is_required(),
            default=_default(info),
            placeholder=str(extra.get("placeholder") or _example(info)),
            bounds=_bounds(info),
            path_kind=_path_kind(extra.get("path")),
            conditions=(*conditions, *own),
            locations=((*location, keys[name]), (*location, name)),
        )
        meanings = extra.get("choices")
        titles = meanings if isinstance(meanings, Mapping) else {}
        yield from _fields_of(base, info.annotation, info, titles, depth)


def _fields_of(
    base: FormField, annotation: Any, info: FieldInfo | None, titles: Mapping[str, Any], depth: int
) -> Iterator[FormField]:
    """The line (or, for a nested model, the lines) of one annotation."""
    annotation, nullable = _without_none(annotation)
    base = replace(base, nullable=nullable)
    variants = [each for each in (_without_none(each)[0] for each in _union(annotation)) if _is_model(each)]
    tag = _tag(variants, info) if len(variants) > 1 and len(variants) == len(_union(annotation)) else None
    if tag is not None and depth < _DEEPEST:
        yield from _variants(base, variants, tag, depth)
    elif _is_model(annotation) and depth < _DEEPEST:
        yield from _nested(base, annotation, depth)
    elif _holds_secret(annotation, 0):
        simple = isinstance(annotation, type) and issubclass(annotation, SecretStr | SecretBytes)
        yield replace(base, kind=FieldKind.SECRET, composite=not simple, default=None)
    else:
        yield _simple(base, annotation, titles)


def _nested(base: FormField, model: type[BaseModel], depth: int) -> Iterator[FormField]:
    conditions = base.conditions
    if base.nullable:  # a model that need not be there: a switch, and its fields while the switch is on
        there = base.default is not None
        yield replace(base, kind=FieldKind.SWITCH, default=there, nullable=False, required=False, presence=True)
        conditions = (*conditions, Condition(base.path, (True,)))
    group = base.title if not base.group or base.nullable else base.group
    for nested in _model_fields(model, base.path, base.locations[0], group, conditions, depth + 1):
        yield _inherit(nested, base)


def _variants(base: FormField, variants: Sequence[type[BaseModel]], tag: str, depth: int) -> Iterator[FormField]:
    key = _key(tag, variants[0].model_fields[tag])
    options = []
    for variant in variants:
        info = variant.model_fields[tag]
        values = get_args(info.annotation)
        title = variant.model_config.get("title") or str(values[0])
        options += [Option(_plain(value), title if len(values) == 1 else str(_plain(value))) for value in values]
    where = (*base.path, key)
    default = base.default.get(key) if isinstance(base.default, Mapping) else None
    yield replace(
        base,
        id=".".join(where),
        path=where,
        kind=FieldKind.CHOICE,
        options=tuple(options),
        required=base.required,
        default=default if default is not None or base.nullable else options[0].value,
        locations=tuple((*place, name) for place in base.locations for name in {key, tag}) + base.locations,
    )
    for variant in variants:
        values = tuple(_plain(value) for value in get_args(variant.model_fields[tag].annotation))
        conditions = (*base.conditions, Condition(where, values))
        location = (*base.locations[0], str(values[0]))
        for nested in _model_fields(variant, base.path, location, base.group or base.title, conditions, depth + 1):
            if nested.path != where:
                yield _inherit(nested, base)


def _inherit(nested: FormField, outer: FormField) -> FormField:
    """A field of a nested model whose whole has a default takes it from there."""
    if not isinstance(outer.default, Mapping) or len(nested.path) != len(outer.path) + 1 or nested.path[-1] not in outer.default:
        return nested
    return replace(nested, default=outer.default[nested.path[-1]], required=False)


def _simple(base: FormField, annotation: Any, titles: Mapping[str, Any]) -> FormField:
    origin = get_origin(annotation)
    options = _options(annotation, titles)
    if annotation is bool:
        if base.nullable:
            return replace(base, kind=FieldKind.CHOICE, options=(Option(True, "yes"), Option(False, "no")))
        return replace(base, kind=FieldKind.SWITCH)
    if options:
        return replace(base, kind=FieldKind.CHOICE, options=options)
    if annotation is int:
        return replace(base, kind=FieldKind.INTEGER)
    if annotation is float:
        return replace(base, kind=FieldKind.NUMBER)
    if origin in (list, tuple, set, frozenset) or (isinstance(origin, type) and issubclass(origin, Sequence)):
        items = [_without_none(item)[0] for item in get_args(annotation) if item is not Ellipsis]
        choices = _options(items[0], {}) if len(items) == 1 else ()
        if choices:
            return replace(base, kind=FieldKind.SEVERAL, options=choices)
        if len(items) == 1 and _is_model(items[0]):
            return replace(base, kind=FieldKind.RECORDS, placeholder=base.placeholder or _record_example(items[0]))
        simple = all(isinstance(item, type) and not get_origin(item) for item in items)
        return replace(base, kind=FieldKind.LIST if simple else FieldKind.DOCUMENT)
    if origin is dict or (isinstance(origin, type) and issubclass(origin, Mapping)):
        simple = all(isinstance(item, type) and not _is_model(item) and not get_origin(item) for item in get_args(annotation))
        return replace(base, kind=FieldKind.MAPPING if simple else FieldKind.DOCUMENT)
    if _is_model(annotation) or annotation in (Any, dict, list, object) or _union(annotation) != (annotation,):
        union = _union(annotation)
        text = len(union) > 1 and not any(_is_model(item) or get_origin(item) for item in union)
        return replace(base, kind=FieldKind.TEXT if text else FieldKind.DOCUMENT)
    if annotation in (list, tuple, set, frozenset):
        return replace(base, kind=FieldKind.LIST)
    if isinstance(annotation, type) and issubclass(annotation, Path) and base.path_kind is None:
        return replace(base, path_kind=PathKind.ANY)
    return base


# Reading annotations --------------------------------------------------------------------------------------------------------


def _union(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Annotated:
        return _union(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(part for argument in get_args(annotation) for part in _union(argument))
    return (annotation,)


def _without_none(annotation: Any) -> tuple[Any, bool]:
    parts = _union(annotation)
    rest = [part for part in parts if part is not type(None)]
    if len(rest) == 1:
        return rest[0], len(parts) > 1
    return (Union[tuple(rest)] if rest else annotation), len(rest) < len(parts)  # noqa: UP007


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _holds_secret(annotation: Any, depth: int) -> bool:
    if depth > _DEEPEST:
        return False
    if isinstance(annotation, type) and issubclass(annotation, SecretStr | SecretBytes):
        return True
    if _is_model(annotation):
        return any(_holds_secret(info.annotation, depth + 1) for info in annotation.model_fields.values())
    return any(_holds_secret(argument, depth + 1) for argument in get_args(annotation))


def _tag(variants: Sequence[type[BaseModel]], info: FieldInfo | None) -> str | None:
    """The field of Literals that tells the models of a union apart."""
    named = info.discriminator if info is not None else None
    candidates = [named] if isinstance(named, str) else list(variants[0].model_fields)
    for name in candidates:
        if all(
            name in variant.model_fields and get_origin(variant.model_fields[name].annotation) is Literal for variant in variants
        ):
            return name
    return None


def _options(annotation: Any, titles: Mapping[str, Any]) -> tuple[Option, ...]:
    if get_origin(annotation) is Literal:
        values = get_args(annotation)
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        values = tuple(annotation)
    else:
        return ()
    plain = [_plain(value) for value in values if value is not None]
    return tuple(Option(value, str(value), str(titles.get(str(value), ""))) for value in plain)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _key(name: str, info: FieldInfo) -> str:
    return next((alias for alias in (info.alias, info.validation_alias) if isinstance(alias, str)), name)


def _title(name: str) -> str:
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _default(info: FieldInfo) -> Any:
    if info.is_required():
        return None
    try:
        value = info.get_default(call_default_factory=True, validated_data={})
    except Exception:
        return None
    if value is PydanticUndefined or isinstance(value, SecretStr | SecretBytes):
        return None
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    try:
        return to_jsonable_python(value)
    except ValueError:  # PydanticSerializationError: nothing that a form could show
        return None


def _example(info: FieldInfo) -> str:
    return str(info.examples[0]) if info.examples else ""


def _record_example(model: type[BaseModel]) -> str:
    return ", ".join(f"{_key(name, info)}=" for name, info in list(model.model_fields.items())[:3])


def _bounds(info: FieldInfo) -> str:
    low = high = ""
    for each in info.metadata:
        match each:
            case Ge():
                low = f"{each.ge:,}" if isinstance(each.ge, int) else f"{each.ge}"
            case Gt():
                low = f"more than {each.gt}"
            case Le():
                high = f"{each.le:,}" if isinstance(each.le, int) else f"{each.le}"
            case Lt():
                high = f"less than {each.lt}"
    if low and high:
        return f"{low} to {high}"
    return f"at least {low}" if low and not low.startswith("more") else low or (f"at most {high}" if high[:1].isdigit() else high)


def _path_kind(value: Any) -> PathKind | None:
    return PathKind(value) if value in tuple(PathKind) else None
