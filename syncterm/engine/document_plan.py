"""What applying a document would change, before anything is changed. Pure.

Applying is idempotent: a document that was exported from what exists plans nothing. Objects that the document does not hold are
left alone, or deleted where the document is said to be all there is (`prune`). What the document leaves out of an object goes back
to its default, but `paused`, `schema_policy`, `catch_up` and `blackout`, which stay.

`***` stands for the secret that is stored. It is accepted where nothing else in that configuration changes, and refused otherwise:
a changed host would get a password that the document's author need not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from syncterm.engine.adapters import DESTINATIONS_GROUP, SOURCES_GROUP
from syncterm.engine.document import ConnectorDocument, DestinationDocument, Document, SourceDocument, connector_values
from syncterm.engine.document_config import complete_config, fields_of
from syncterm.engine.document_tree import DocumentError, DocumentFault, show_path
from syncterm.engine.redaction import MASK
from syncterm.engine.secrets import FieldPath, is_reference, is_secret

Endpoint = SourceDocument | DestinationDocument
FlatPath = tuple[str, ...]


class ChangeKind(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    DELETE = "delete"


class ObjectKind(StrEnum):
    SOURCE = "source"
    DESTINATION = "destination"
    CONNECTOR = "connector"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs. Secrets are `***` on both sides; None where a side has no such field."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """What becomes of one object."""

    kind: ChangeKind
    object: ObjectKind
    name: str
    fields: tuple[FieldChange, ...] = ()
    """For an update, and for what a creation sets."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes, in the order in which they can be applied: what others need first, what others use last."""

    changes: tuple[ObjectChange, ...]

    @property
    def empty(self) -> bool:
        return all(change.kind is ChangeKind.UNCHANGED for change in self.changes)

    def of(self, kind: ChangeKind) -> tuple[ObjectChange, ...]:
        """The changes of a kind."""
        return tuple(change for change in self.changes if change.kind is kind)


def plan(document: Document, current: Document, *, prune: bool = False) -> Plan:
    """What applying `document` to `current` would change.

    Args:
        document: as loaded.
        current: what exists, secrets unsealed.
        prune: delete what the document does not hold.

    Raises:
        DocumentError: `***` for a secret that is not stored, a changed type, or a connector without its source or destination.
    """
    changes: list[ObjectChange] = []
    for kind, section, group, wanted, existing in (
        (ObjectKind.SOURCE, "sources", SOURCES_GROUP, document.sources, current.sources),
        (ObjectKind.DESTINATION, "destinations", DESTINATIONS_GROUP, document.destinations, current.destinations),
    ):
        changes += [_endpoint_change(kind, section, group, each, existing.get(name)) for name, each in wanted.items()]
    for name, connector in document.connectors.items():
        _check_ends(connector, document, current, prune)
        changes.append(_connector_change(connector, current.connectors.get(name)))
    if prune:
        for kind, names in (
            (ObjectKind.CONNECTOR, current.connectors.keys() - document.connectors.keys()),
            (ObjectKind.DESTINATION, current.destinations.keys() - document.destinations.keys()),
            (ObjectKind.SOURCE, current.sources.keys() - document.sources.keys()),
        ):
            changes += [ObjectChange(ChangeKind.DELETE, kind, name) for name in sorted(names)]
    return Plan(tuple(changes))


def _endpoint_change(kind: ObjectKind, section: str, group: str, wanted: Endpoint, existing: Endpoint | None) -> ObjectChange:
    place = (section, wanted.name)
    if existing is not None and existing.type != wanted.type:
        raise _error(
            (*place, "type"), f"The {kind} exists with the type {existing.type!r}, which cannot change.", "Choose another name."
        )
    after = flatten(complete_config(group, wanted.type, wanted.config), lists=True)
    before = flatten(complete_config(group, existing.type, existing.config), lists=True) if existing is not None else {}
    secrets = fields_of(group, wanted.type)
    left_out = [path for path, value in after.items() if value == MASK and is_secret(path, secrets or ())]
    differing = [path for path in {**before, **after} if before.get(path) != after.get(path) and path not in left_out]
    for path in left_out:
        if path not in before or differing:
            reason = "another field changes" if path in before else "none is stored"
            raise _error(
                (*place, "config", *path),
                f"{MASK} stands for the stored secret, but {reason}.",
                "Write the secret, or a reference such as ${env:NAME}.",
            )
    fields = tuple(
        FieldChange(show_path(("config", *path)), _shown(path, before, secrets), _shown(path, after, secrets)) for path in differing
    )
    return _change(kind, wanted.name, existing is not None, fields)


def _shown(path: FlatPath, values: Mapping[FlatPath, Any], secrets: frozenset[FieldPath] | None) -> Any:
    """A value for people; where the adapter is not there to tell its secrets, every text may be one."""
    value = values.get(path)
    if isinstance(value, str) and not is_reference(value) and (secrets is None or is_secret(path, secrets)):
        return MASK
    return value


def _connector_change(wanted: ConnectorDocument, existing: ConnectorDocument | None) -> ObjectChange:
    after = flatten(_comparable(wanted))
    before = flatten(_comparable(existing)) if existing is not None else {}
    for key in ("paused", "schema_policy", "catch_up", "blackout"):  # left out: stays as it is
        if (key,) not in after:
            before.pop((key,), None)
    fields = tuple(
        FieldChange(show_path(path), before.get(path), after.get(path))
        for path in {**before, **after}
        if before.get(path) != after.get(path)
    )
    return _change(ObjectKind.CONNECTOR, wanted.name, existing is not None, fields)


def _change(kind: ObjectKind, name: str, exists: bool, fields: tuple[FieldChange, ...]) -> ObjectChange:
    change = ChangeKind.CREATE if not exists else ChangeKind.UPDATE if fields else ChangeKind.UNCHANGED
    return ObjectChange(change, kind, name, fields)


def _comparable(connector: ConnectorDocument) -> dict[str, Any]:
    """A connector's values with streams by name: their order in a document means nothing."""
    values = connector_values(connector)
    streams = {stream["name"]: {key: item for key, item in stream.items() if key != "name"} for stream in values["streams"]}
    return {**values, "streams": streams}


def _check_ends(connector: ConnectorDocument, document: Document, current: Document, prune: bool) -> None:
    for key, name, wanted, existing in (
        ("source", connector.source, document.sources, current.sources),
        ("destination", connector.destination, document.destinations, current.destinations),
    ):
        if name not in wanted and (prune or name not in existing):
            reason = "the document does not hold it, so it would be deleted" if name in existing else "there is none of that name"
            raise _error(
                ("connectors", connector.name, key), f"The {key} {name[:80]!r} cannot be used: {reason}.", f"Add the {key}."
            )


def _error(path: tuple[str, ...], message: str, remedy: str) -> DocumentError:
    return DocumentError(message, fault=DocumentFault.SCHEMA_ERROR, path=path, remedy=remedy)


def flatten(values: Mapping[str, Any], path: FlatPath = (), *, lists: bool = False) -> dict[FlatPath, Any]:
    """Every value that is no mapping, by its path; items of lists too where `lists`. What is empty is a value."""
    flat: dict[FlatPath, Any] = {}
    for key, value in values.items():
        entries = {str(index): item for index, item in enumerate(value)} if lists and isinstance(value, list) else value
        if isinstance(entries, Mapping) and entries:
            flat |= flatten(entries, (*path, key), lists=lists)
        else:
            flat[(*path, key)] = value
    return flat
