"""Writing sources and destinations: the one place where a form and a document put their configurations into the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.adapters import DESTINATIONS_GROUP, SOURCES_GROUP
from syncterm.engine.document_config import complete_config, fields_of
from syncterm.engine.drafts import ConfigDifference
from syncterm.engine.identifiers import new_id
from syncterm.engine.key_store import load_keys
from syncterm.engine.model import Actor, CredentialsState, EndpointKind
from syncterm.engine.secrets import seal, unseal, unseal_what_opens
from syncterm.engine.source_versions import changed_account_fields, differences, keep_version, without_secrets
from syncterm.engine.store.tables import CHANGE_SEQUENCE, LIVE_CONNECTOR, connectors, destinations, sources

TABLES: Mapping[EndpointKind, Table] = {EndpointKind.SOURCE: sources, EndpointKind.DESTINATION: destinations}
GROUPS: Mapping[EndpointKind, str] = {EndpointKind.SOURCE: SOURCES_GROUP, EndpointKind.DESTINATION: DESTINATIONS_GROUP}
USED_BY = {EndpointKind.SOURCE: connectors.c.source_id, EndpointKind.DESTINATION: connectors.c.destination_id}
"""Kind → the column by which connectors name it."""
_UNTESTED = {
    "credentials": CredentialsState.NEVER_TESTED,
    "credentials_error_class": None,
    "credentials_message": None,
    "check_result": None,
    "check_message": None,
    "check_at": None,
}


@dataclass(frozen=True, slots=True)
class WrittenEndpoint:
    """What writing made of it."""

    id: str
    version: int
    new_version: bool
    """Whether configuration changed, beyond the secrets."""
    new_secrets: bool
    differences: tuple[ConfigDifference, ...]


def open_config(kind: EndpointKind, row: Any, key_path: Path) -> dict[str, Any]:
    """The configuration in a row of a source or destination, secrets opened.

    Raises:
        ConfigError: where a secret does not open.
    """
    config: dict[str, Any] = json.loads(row.config)
    fields = fields_of(GROUPS[kind], row.type)
    return unseal(config, fields, row.id, load_keys(key_path)) if fields else config


def open_what_opens(kind: EndpointKind, row: Any, key_path: Path) -> tuple[dict[str, Any], bool]:
    """As `open_config`, with None for a secret that does not open; and whether there is such a one: it has to be entered again."""
    config: dict[str, Any] = json.loads(row.config)
    fields = fields_of(GROUPS[kind], row.type)
    return unseal_what_opens(config, fields, row.id, load_keys(key_path)) if fields else (config, False)


def seal_config(kind: EndpointKind, type_: str, config: Mapping[str, Any], endpoint_id: str, key_path: Path) -> dict[str, Any]:
    """An open configuration as the store keeps it. Call it inside the write transaction: keys are retired in one."""
    fields = fields_of(GROUPS[kind], type_)
    return seal(config, fields, endpoint_id, load_keys(key_path)) if fields else dict(config)


async def write_endpoint(
    connection: AsyncConnection,
    kind: EndpointKind,
    existing: Any | None,
    *,
    name: str,
    type_: str,
    config: Mapping[str, Any],
    incomplete_reason: str | None = None,
    key_path: Path,
    actor: Actor,
    now: datetime,
) -> WrittenEndpoint:
    """Add a source or a destination, or change one. What is new in it counts as untested until it is tested.

    Changed configuration is a new version; changed secrets alone change the present one in place.

    Args:
        connection: a writing one.
        existing: its row; None for a new one.
        config: open, valid, without defaults.
    """
    table, group = TABLES[kind], GROUPS[kind]
    if existing is None:
        endpoint_id = new_id(now)
        text = json.dumps(seal_config(kind, type_, config, endpoint_id, key_path))
        await connection.execute(
            insert(table).values(
                id=endpoint_id,
                name=name,
                type=type_,
                config=text,
                version=1,
                credentials=CredentialsState.NEVER_TESTED,
                incomplete_reason=incomplete_reason,
                created_at=now,
                created_by=actor.name,
                updated_at=now,
            )
        )
        if kind is EndpointKind.SOURCE:
            await keep_version(connection, endpoint_id, 1, text, actor_name=actor.name, now=now)
        return WrittenEndpoint(endpoint_id, 1, True, False, differences(group, type_, {}, config))
    present, lost = open_what_opens(kind, existing, key_path)
    fields = fields_of(group, type_) or frozenset()
    before, after = complete_config(group, type_, present), complete_config(group, type_, config)
    new_version = without_secrets(before, fields) != without_secrets(after, fields)
    new_secrets = (before != after or lost) and not new_version
    version = existing.version + 1 if new_version else existing.version
    values: dict[str, Any] = {"name": name, "incomplete_reason": incomplete_reason, "updated_at": now, "version": version}
    if before != after or lost:
        text = json.dumps(seal_config(kind, type_, config, existing.id, key_path))
        values |= {"config": text, **_UNTESTED}
        if changed_account_fields(group, type_, present, config):
            values["credentials_ok_at"] = None
        if kind is EndpointKind.SOURCE:
            await keep_version(connection, existing.id, version, text, actor_name=actor.name, now=now)
    await connection.execute(update(table).where(table.c.id == existing.id).values(values))
    await tell_connectors(connection, kind, existing.id)
    return WrittenEndpoint(existing.id, version, new_version, new_secrets, differences(group, type_, present, config))


async def tell_connectors(connection: AsyncConnection, kind: EndpointKind, endpoint_id: str) -> None:
    """Mark its connectors as changed: what tables show of them depends on it."""
    await connection.execute(
        update(connectors).where(LIVE_CONNECTOR, USED_BY[kind] == endpoint_id).values(changed_at=CHANGE_SEQUENCE)
    )
