"""Configuration as code: sources, destinations and connectors as a YAML or JSON document, read strictly and written back equal.

The full form:

    version: 1
    sources: {shop: {type: postgres, config: {host: …, password: "${env:SHOP_PASSWORD}"}}}
    destinations: {warehouse: {type: duckdb, config: {path: warehouse.duckdb}}}
    connectors:
      orders:
        source: shop
        destination: warehouse
        collection: raw
        schedule: {kind: cron, expression: 0 6 * * 1-5, timezone: Europe/Berlin}
        streams: [{name: orders, sync_mode: incremental, cursor_field: updated_at, primary_key: [id]}]

The form for one connector has `name` and the connector's keys at the top, and `source` and `destination` as mappings of `type` and
`config`; they become a source and a destination of the connector's own name.

`sync_mode` also knows `full_refresh` (replace) and `incremental` (incremental_upsert with a primary key, else incremental_append).
What is null or left out of `paused`, `schema_policy`, `catch_up` and `blackout` stays as it is. Exports write `***` for literal
secrets.
A connector with an empty list of streams is Incomplete: stored, shown, never run.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from typing import Any, TypeVar

from syncterm.engine.adapters import DESTINATIONS_GROUP, SOURCES_GROUP, AdapterContext
from syncterm.engine.cron import parse_cron
from syncterm.engine.document_config import masked_config, read_config
from syncterm.engine.document_json import parse_json
from syncterm.engine.document_tree import LARGEST, DocumentError, DocumentFault, Node
from syncterm.engine.document_yaml import dump_yaml, parse_yaml
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import MANUAL_SCHEDULE, BlackoutWindow, DeleteHandling, Schedule, SchemaPolicy, StreamConfig, SyncMode
from syncterm.engine.schedule import format_every, parse_every, parse_schedule, time_zone
from syncterm.engine.schema import parse_type

VERSION = 1
Parsed = TypeVar("Parsed")
LONGEST_STREAM = 1024
"""Characters of the name of a stream, a table or a column: more than any system allows, files aside."""
LONGEST_FILTER = 10_000
"""Characters of a row filter."""
LONGEST_COLLECTION = 255
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WALL_TIME = re.compile("([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
CATCH_UP = ("once", "skip")
"""What follows fire times missed while no engine ran."""

_CONNECTOR_KEYS = (
    "source",
    "destination",
    "collection",
    "schedule",
    "streams",
    "paused",
    "schema_policy",
    "catch_up",
    "blackout",
)
_STREAM_KEYS = (
    "name",
    "sync_mode",
    "primary_key",
    "cursor_field",
    "columns",
    "fields",
    "row_filter",
    "include_null_cursor",
    "look_back",
    "table",
    "delete_handling",
    "schema_policy",
    "schedule",
)
_MODES = (*(mode.value for mode in SyncMode), "full_refresh", "incremental")


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A source: its name, its type, and its configuration as the adapter's model accepts it, without defaults."""

    name: str
    type: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DestinationDocument:
    """A destination, as `SourceDocument`."""

    name: str
    type: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ConnectorDocument:
    """A connector; `source` and `destination` are names."""

    name: str
    source: str
    destination: str
    streams: tuple[StreamConfig, ...]
    schedule: Schedule = MANUAL_SCHEDULE
    collection: str = ""
    paused: bool | None = None
    """None: as it is."""
    schema_policy: SchemaPolicy | None = None
    """None: as it is."""
    catch_up: str | None = None
    """One of `CATCH_UP`; None: as it is."""
    blackout: tuple[BlackoutWindow, ...] | None = None
    """When no sync starts; None: as it is."""


@dataclass(frozen=True, slots=True)
class Document:
    """Sources, destinations and connectors by name."""

    sources: Mapping[str, SourceDocument] = field(default_factory=dict)
    destinations: Mapping[str, DestinationDocument] = field(default_factory=dict)
    connectors: Mapping[str, ConnectorDocument] = field(default_factory=dict)


EMPTY_DOCUMENT = Document()


def load_document(
    path_or_text: Path | str, *, current: Document = EMPTY_DOCUMENT, context: AdapterContext | None = None
) -> Document:
    """Read a document. Looks up no secret, opens no connection, runs nothing.

    Args:
        path_or_text: a file, or the text itself; JSON where the file's name ends so or the text begins with a brace or bracket.
        current: what exists already, which connectors may name.
        context: tells relative paths and the product's own files.

    Raises:
        DocumentError: naming line and path of the first mistake.
    """
    name, text = _read(path_or_text)
    as_json = name.endswith(".json") or text.lstrip()[:1] in ("{", "[")
    root = (parse_json if as_json and text.strip() else parse_yaml)(text, name).root()
    return _read_document(root, current, context or AdapterContext())


def _read(path_or_text: Path | str) -> tuple[str, str]:
    if isinstance(path_or_text, str):
        name, data = "", path_or_text.encode("utf-8", "surrogatepass") if len(path_or_text) <= LARGEST else b" " * (LARGEST + 1)
    else:
        name, data = path_or_text.name, _read_file(path_or_text)
    if len(data) > LARGEST:
        raise DocumentError(f"It has more than {LARGEST:,} bytes.", fault=DocumentFault.LIMIT_ERROR, document=name)
    try:
        return name, data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DocumentError("It is not UTF-8 text.", fault=DocumentFault.PARSE_ERROR, document=name, line=line) from None


def _read_file(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO must not block
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name is not valid"
        raise DocumentError(f"The file {str(path)!r} cannot be read: {reason}.", fault=DocumentFault.PARSE_ERROR) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DocumentError(f"{str(path)!r} is not a regular file.", fault=DocumentFault.PARSE_ERROR)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(LARGEST + 1)
    finally:
        os.close(descriptor)


def _read_document(root: Node, current: Document, context: AdapterContext) -> Document:
    if root.value is None:
        raise root.error("The document is empty.")
    keys = root.mapping()
    sections = ("sources", "destinations", "connectors")
    single = not any(section in keys for section in sections)
    entries = root.mapping(
        ("version", "name", *_CONNECTOR_KEYS) if single else ("version", *sections), required=("version",) if not single else ()
    )
    if "version" not in entries:
        raise root.error("The key version is missing.", remedy=f"Add version: {VERSION}.")
    if entries["version"].value != VERSION or isinstance(entries["version"].value, bool | float):
        raise entries["version"].error(f"Only version {VERSION} of the document is known.")
    if single:
        root.mapping(required=("name", "source", "destination"))
        name = entries["name"].label()
        source = SourceDocument(name, *_endpoint(entries["source"], SOURCES_GROUP, context))
        destination = DestinationDocument(name, *_endpoint(entries["destination"], DESTINATIONS_GROUP, context))
        return Document({name: source}, {name: destination}, {name: _connector(name, root, name, name)})
    sources = {
        name: SourceDocument(name, *_endpoint(node, SOURCES_GROUP, context)) for name, node in _named(entries.get("sources"))
    }
    destinations = {
        name: DestinationDocument(name, *_endpoint(node, DESTINATIONS_GROUP, context))
        for name, node in _named(entries.get("destinations"))
    }
    known_sources, known_destinations = {*sources, *current.sources}, {*destinations, *current.destinations}
    connectors = {}
    for name, node in _named(entries.get("connectors")):
        ends = node.mapping(_CONNECTOR_KEYS, required=("source", "destination"))
        source_name, destination_name = ends["source"].choice(known_sources), ends["destination"].choice(known_destinations)
        connectors[name] = _connector(name, node, source_name, destination_name)
    return Document(sources, destinations, connectors)


def _named(section: Node | None) -> list[tuple[str, Node]]:
    if section is None:
        return []
    return [(node.check_label(name), node) for name, node in section.mapping().items()]


def _endpoint(node: Node, group: str, context: AdapterContext) -> tuple[str, dict[str, Any]]:
    entries = node.mapping(("type", "config"), required=("type",))
    config = entries.get("config", Node({}, (*node.path, "config"), node.tree))
    return entries["type"].text(), read_config(entries["type"], config, group, context)


def _connector(name: str, node: Node, source: str, destination: str) -> ConnectorDocument:
    entries = node.mapping(required=("streams",))
    streams: dict[str, StreamConfig] = {}
    targets: dict[str, str] = {}
    for item in entries["streams"].items():
        stream = _stream(item)
        if stream.name in streams:
            raise item.error(f"The stream {stream.name[:80]!r} is listed twice.")
        other = targets.setdefault(stream.target, stream.name)
        if other != stream.name:
            raise item.error(f"The streams {other[:80]!r} and {stream.name[:80]!r} have the same table.")
        streams[stream.name] = stream
    policy, catch_up, paused = entries.get("schema_policy"), entries.get("catch_up"), entries.get("paused")
    collection = entries.get("collection")
    return ConnectorDocument(
        name=name,
        source=source,
        destination=destination,
        streams=tuple(streams.values()),
        schedule=_schedule(entries["schedule"]) if "schedule" in entries else MANUAL_SCHEDULE,
        collection=collection.label(LONGEST_COLLECTION) if collection is not None and collection.value != "" else "",
        paused=paused.boolean() if paused is not None else None,
        schema_policy=_schema_policy(policy) if policy is not None else None,
        catch_up=catch_up.choice(CATCH_UP) if catch_up is not None else None,
        blackout=tuple(_window(item) for item in entries["blackout"].items()) if "blackout" in entries else None,
    )


def _schema_policy(node: Node) -> SchemaPolicy:
    return SchemaPolicy(node.choice([each.value for each in SchemaPolicy]))


def _window(node: Node) -> BlackoutWindow:
    keys = ("days", "start", "end", "timezone")
    entries = node.mapping(keys, required=keys[:3])
    days = frozenset(DAYS.index(item.choice(DAYS)) for item in entries["days"].items())
    if not days:
        raise entries["days"].error("A blackout window needs a day on which it begins.", remedy=f"Name some of {', '.join(DAYS)}.")
    zone = entries.get("timezone")
    return BlackoutWindow(
        days,
        _typed(entries["start"], _wall_time),
        _typed(entries["end"], _wall_time),
        _typed(zone, time_zone).key if zone is not None else MANUAL_SCHEDULE.timezone,
    )


def _wall_time(text: str) -> time:
    match = _WALL_TIME.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text[:64]!r} is not a time of day.", remedy='Write hours and minutes: "22:30".')
    return time(int(match[1]), int(match[2]))


def _typed(node: Node, parse: Callable[[str], Parsed]) -> Parsed:
    """What a text means; the parser's complaint gets path and line."""
    text = node.text()
    try:
        return parse(text)
    except ConfigError as error:
        raise node.error(error.message, remedy=error.remedy) from None


def _schedule(node: Node) -> Schedule:
    entries = node.mapping(("kind", "every", "expression", "timezone"))
    parsers: tuple[tuple[str, Callable[[str], object]], ...] = (
        ("every", parse_every),
        ("expression", parse_cron),
        ("timezone", time_zone),
    )
    kind = entries.get("kind")
    if kind is not None:
        kind.text()
    for key, parse in parsers:
        if key in entries:
            _typed(entries[key], parse)
    try:
        return parse_schedule({key: entry.value for key, entry in entries.items()})
    except ConfigError as error:
        raise (kind or node).error(error.message, remedy=error.remedy) from None


def _stream(node: Node) -> StreamConfig:
    entries = node.mapping(_STREAM_KEYS, required=("name", "sync_mode"))
    primary_key = entries["primary_key"].labels(LONGEST_STREAM) if "primary_key" in entries else ()
    mode = _sync_mode(entries["sync_mode"], primary_key)
    cursor = entries["cursor_field"].label(LONGEST_STREAM) if "cursor_field" in entries else None
    if mode.incremental and cursor is None:
        raise node.error(f"The sync mode {mode} needs cursor_field.", remedy="Name the column that grows with every change.")
    if mode is SyncMode.INCREMENTAL_UPSERT and not primary_key:
        raise node.error(f"The sync mode {mode} needs primary_key.", remedy="Name the columns that tell rows apart.")
    columns = entries["columns"].labels(LONGEST_STREAM) if "columns" in entries else None
    if columns == ():
        raise entries["columns"].error("No column is selected.", remedy="Leave the key out to select all.")
    look_back = entries.get("look_back")
    if look_back is not None and mode is not SyncMode.INCREMENTAL_UPSERT:
        raise look_back.error(f"The sync mode {mode} has no look-back: it would repeat rows.")
    row_filter = entries.get("row_filter")
    return StreamConfig(
        name=entries["name"].label(LONGEST_STREAM),
        sync_mode=mode,
        primary_key=primary_key,
        cursor_field=cursor,
        columns=columns,
        casts=_casts(entries["fields"], columns) if "fields" in entries else {},
        row_filter=_row_filter(row_filter) if row_filter is not None else None,
        include_null_cursor=entries["include_null_cursor"].boolean() if "include_null_cursor" in entries else False,
        look_back=_typed(look_back, parse_every) if look_back is not None else None,
        table=entries["table"].label(LONGEST_STREAM) if "table" in entries else None,
        delete_handling=DeleteHandling(entries["delete_handling"].choice([each.value for each in DeleteHandling]))
        if "delete_handling" in entries
        else DeleteHandling.KEEP,
        schema_policy=_schema_policy(entries["schema_policy"]) if "schema_policy" in entries else None,
        schedule=_schedule(entries["schedule"]) if "schedule" in entries else None,
    )


def _sync_mode(node: Node, primary_key: tuple[str, ...]) -> SyncMode:
    word = node.choice(_MODES)
    if word == "full_refresh":
        return SyncMode.REPLACE
    if word == "incremental":
        return SyncMode.INCREMENTAL_UPSERT if primary_key else SyncMode.INCREMENTAL_APPEND
    return SyncMode(word)


def _casts(node: Node, columns: tuple[str, ...] | None) -> dict[str, str]:
    casts: dict[str, str] = {}
    for column, entry in node.mapping().items():
        entry.check_label(column, LONGEST_STREAM)
        if columns is not None and column not in columns:
            raise entry.error("This column is not among the selected ones.", remedy="Add it to columns, or remove it here.")
        settings = entry.mapping(("cast",))
        if "cast" in settings:
            casts[column] = str(_typed(settings["cast"], parse_type))
    return casts


def _row_filter(node: Node) -> str:
    text = node.value if isinstance(node.value, str) else node.text()
    Node(text.replace("\n", " ").replace("\t", " "), node.path, node.tree).text()  # a condition may have lines
    if not text.strip() or len(text) > LONGEST_FILTER:
        raise node.error(f"A row filter has 1 to {LONGEST_FILTER:,} characters.", remedy="Leave the key out to read all rows.")
    return text


# Writing --------------------------------------------------------------------------------------------------------------------


def export(document: Document) -> str:
    """A document as YAML that `load_document` reads back equal, but for literal secrets, which become `***`."""
    values: dict[str, Any] = {"version": VERSION}
    for section, group, endpoints in (
        ("sources", SOURCES_GROUP, document.sources),
        ("destinations", DESTINATIONS_GROUP, document.destinations),
    ):
        values[section] = {
            name: {"type": each.type, "config": masked_config(group, each.type, each.config)} for name, each in endpoints.items()
        }
    values["connectors"] = {name: connector_values(connector) for name, connector in document.connectors.items()}
    return dump_yaml(values)


def connector_values(connector: ConnectorDocument) -> dict[str, Any]:
    """A connector as plain values, in the order and with the keys of a document; what says nothing is left out."""
    values: dict[str, Any] = {"source": connector.source, "destination": connector.destination}
    if connector.collection:
        values["collection"] = connector.collection
    values["schedule"] = _schedule_values(connector.schedule)
    for key, setting in (
        ("paused", connector.paused),
        ("schema_policy", connector.schema_policy.value if connector.schema_policy else None),
        ("catch_up", connector.catch_up),
    ):
        if setting is not None:
            values[key] = setting
    if connector.blackout is not None:
        values["blackout"] = [_window_values(window) for window in connector.blackout]
    values["streams"] = [_stream_values(stream) for stream in connector.streams]
    return values


def _schedule_values(schedule: Schedule) -> dict[str, Any]:
    values: dict[str, Any] = {"kind": schedule.kind.value}
    if schedule.every is not None:
        values["every"] = format_every(schedule.every)
    if schedule.expression is not None:
        values["expression"] = schedule.expression
    if schedule.timezone != MANUAL_SCHEDULE.timezone:
        values["timezone"] = schedule.timezone
    return values


def _window_values(window: BlackoutWindow) -> dict[str, Any]:
    values: dict[str, Any] = {
        "days": [DAYS[day] for day in sorted(window.days)],
        "start": f"{window.start:%H:%M}",
        "end": f"{window.end:%H:%M}",
    }
    if window.timezone != MANUAL_SCHEDULE.timezone:
        values["timezone"] = window.timezone
    return values


def _stream_values(stream: StreamConfig) -> dict[str, Any]:
    values: dict[str, Any] = {"name": stream.name, "sync_mode": stream.sync_mode.value}
    if stream.primary_key:
        values["primary_key"] = list(stream.primary_key)
    if stream.cursor_field is not None:
        values["cursor_field"] = stream.cursor_field
    if stream.columns is not None:
        values["columns"] = list(stream.columns)
    if stream.casts:
        values["fields"] = {column: {"cast": type_} for column, type_ in stream.casts.items()}
    if stream.row_filter is not None:
        values["row_filter"] = stream.row_filter
    if stream.include_null_cursor:
        values["include_null_cursor"] = True
    if stream.look_back is not None:
        values["look_back"] = format_every(stream.look_back)
    if stream.table is not None:
        values["table"] = stream.table
    if stream.delete_handling is not DeleteHandling.KEEP:
        values["delete_handling"] = stream.delete_handling.value
    if stream.schema_policy is not None:
        values["schema_policy"] = stream.schema_policy.value
    if stream.schedule is not None:
        values["schedule"] = _schedule_values(stream.schedule)
    return values
