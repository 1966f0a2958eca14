"""Schemas: logical types, fields and streams, and how they map to Arrow.

A logical type is what the product shows and stores (`int64`, `decimal(18,2)`, `timestamptz`, `json`, …). Each maps to exactly one
Arrow type; adapters map to and from their system's native types. A field keeps the source's native type name, so that a
destination of the same system can keep it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from syncterm.engine.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

MAX_DECIMAL_PRECISION = 38
"""Digits of Arrow's decimal128."""

SIMPLE_TYPES = (
    "boolean",
    "int16",
    "int32",
    "int64",
    "uint64",
    "float32",
    "float64",
    "text",
    "binary",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "json",
    "uuid",
)
"""Logical types without parameters. `timestamp` has no zone; `timestamptz` is an instant; both to the microsecond."""

_DECIMAL = re.compile(r"decimal\((\d{1,2}),(\d{1,2})\)")
NATIVE_KEY = b"syncterm.native"
LOGICAL_KEY = b"syncterm.logical"


@dataclass(frozen=True, slots=True)
class LogicalType:
    """A logical type: a name of `SIMPLE_TYPES`, or `decimal` with precision and scale."""

    name: str
    precision: int | None = None
    scale: int | None = None

    def __str__(self) -> str:
        return self.name if self.precision is None else f"decimal({self.precision},{self.scale})"


def parse_type(text: str) -> LogicalType:
    """The logical type that `text` names.

    Raises:
        ConfigError: where it names none.
    """
    compact = text.strip().lower().replace(" ", "")
    if compact in SIMPLE_TYPES:
        return LogicalType(compact)
    match = _DECIMAL.fullmatch(compact)
    if match:
        precision, scale = int(match[1]), int(match[2])
        if 1 <= precision <= MAX_DECIMAL_PRECISION and scale <= precision:
            return LogicalType("decimal", precision, scale)
    raise ConfigError(
        f"{text!r} is not a type.",
        remedy=f"Use decimal(p,s) with p up to {MAX_DECIMAL_PRECISION}, or one of {', '.join(SIMPLE_TYPES)}.",
    )


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a stream."""

    name: str
    type: LogicalType
    nullable: bool = True
    native: str = ""
    """The source's own name of the type, e.g. `character varying(10)`; empty where it has none."""


@dataclass(frozen=True, slots=True)
class StreamSchema:
    """One stream of a source as discovered."""

    name: str
    fields: tuple[Field, ...]
    primary_key: tuple[str, ...] = ()
    cursor_candidates: tuple[str, ...] = ()
    estimated_rows: int | None = None

    def to_text(self) -> str:
        """The stream as JSON, the same text for the same stream."""
        return json.dumps(self.to_document(), separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> StreamSchema:
        """What `to_text` wrote."""
        return cls.from_document(json.loads(text))

    def to_document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "name": self.name,
            "primary_key": self.primary_key,
            "cursor_candidates": self.cursor_candidates,
            "estimated_rows": self.estimated_rows,
            "fields": [[f.name, str(f.type), f.nullable, f.native] for f in self.fields],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> StreamSchema:
        """What `to_document` made."""
        return cls(
            name=document["name"],
            fields=tuple(Field(name, parse_type(type_), nullable, native) for name, type_, nullable, native in document["fields"]),
            primary_key=tuple(document["primary_key"]),
            cursor_candidates=tuple(document["cursor_candidates"]),
            estimated_rows=document["estimated_rows"],
        )

    def field(self, name: str) -> Field:
        """The field of that name.

        Raises:
            KeyError: where there is none.
        """
        for candidate in self.fields:
            if candidate.name == name:
                return candidate
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Catalog:
    """All streams of a source."""

    streams: tuple[StreamSchema, ...]

    def stream(self, name: str) -> StreamSchema | None:
        return next((stream for stream in self.streams if stream.name == name), None)


def fingerprint(stream: StreamSchema) -> str:
    """A hash of the parts of a stream whose change matters: names, types, nullability, key. 16 hexadecimal digits."""
    parts = [stream.name, list(stream.primary_key), [[f.name, str(f.type), f.nullable, f.native] for f in stream.fields]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def arrow_type(logical: LogicalType) -> pa.DataType:
    """The Arrow type that carries a logical type."""
    import pyarrow as pa

    if logical.name == "decimal":
        return pa.decimal128(logical.precision, logical.scale)
    types: Mapping[str, pa.DataType] = {
        "boolean": pa.bool_(),
        "int16": pa.int16(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "uint64": pa.uint64(),
        "float32": pa.float32(),
        "float64": pa.float64(),
        "text": pa.string(),
        "binary": pa.binary(),
        "date": pa.date32(),
        "time": pa.time64("us"),
        "timestamp": pa.timestamp("us"),
        "timestamptz": pa.timestamp("us", tz="UTC"),
        "json": pa.string(),
        "uuid": pa.string(),
    }
    return types[logical.name]


def arrow_field(field: Field) -> pa.Field:
    """The Arrow field of a field; its metadata carries the logical and the native type."""
    import pyarrow as pa

    metadata = {LOGICAL_KEY: str(field.type).encode(), NATIVE_KEY: field.native.encode()}
    return pa.field(field.name, arrow_type(field.type), nullable=True, metadata=metadata)


def arrow_schema(fields: Iterable[Field]) -> pa.Schema:
    """The Arrow schema of the fields, in their order."""
    import pyarrow as pa

    return pa.schema([arrow_field(field) for field in fields])
