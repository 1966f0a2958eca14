"""Versions of a configuration: what is a secret in it and what is configuration, and which of both a connector uses.

A connector keeps the version of its source that it applied. A secret is not configuration: the present ones are used at once, also
with an older version, as long as that leads to the same account (`AdapterConfig.account_fields`).
Source: semantics, "Credentials and versions".
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.adapters import SOURCES_GROUP, AdapterConfig
from syncterm.engine.config_check import title_of
from syncterm.engine.document_config import complete_config, fields_of, load_adapter
from syncterm.engine.document_plan import flatten
from syncterm.engine.drafts import ConfigDifference
from syncterm.engine.errors import ConfigError
from syncterm.engine.redaction import MASK
from syncterm.engine.secrets import FieldPath, is_reference, is_secret
from syncterm.engine.store.tables import source_versions, sources

# Secrets beside configuration -----------------------------------------------------------------------------------------------


def without_secrets(value: Any, fields: Collection[FieldPath], path: FieldPath = ()) -> Any:
    """A configuration without its secrets, references to them included."""
    return {
        key: without_secrets(item, fields, (*path, key)) if isinstance(item, Mapping | list) else item
        for key, item in _entries(value)
        if not is_secret((*path, key), fields)
    }


def with_secrets_of(value: Any, present: Any, fields: Collection[FieldPath], path: FieldPath = ()) -> Any:
    """A configuration with the secrets of another one of the same account, sealed or open, and none besides."""
    own, other = dict(_entries(value)), dict(_entries(present))
    taken = [key for key in other if is_secret((*path, key), fields)]
    laid = {
        key: with_secrets_of(item, other[key], fields, (*path, key)) if _both_hold(item, other.get(key)) else item
        for key, item in own.items()
        if not is_secret((*path, key), fields)
    }
    laid |= {key: other[key] for key in taken}
    if isinstance(value, list):
        return [laid[key] for key in sorted(laid, key=int)]
    return {key: laid[key] for key in (*own, *taken) if key in laid}


def _both_hold(left: Any, right: Any) -> bool:
    return any(isinstance(left, kind) and isinstance(right, kind) for kind in (Mapping, list))


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        return ((str(index), item) for index, item in enumerate(value))
    return iter(value.items())


def fill_masked(
    config: Mapping[str, Any], stored: Mapping[str, Any], fields: Collection[FieldPath], path: FieldPath = ()
) -> tuple[dict[str, Any], list[FieldPath]]:
    """A configuration with the stored secret wherever a secret field says `***`; and the fields where none is stored.

    Both are open. What is filled in is filled by name, so that items of a list keep theirs by their place.
    """
    filled: dict[str, Any] = {}
    lacking: list[FieldPath] = []
    for key, value in config.items():
        filled[key], lacks = _filled(value, dict(_entries(stored)).get(key), fields, (*path, key))
        lacking += lacks
    return filled, lacking


def _filled(value: Any, stored: Any, fields: Collection[FieldPath], path: FieldPath) -> tuple[Any, list[FieldPath]]:
    if value == MASK and is_secret(path, fields):
        return (stored, []) if isinstance(stored, str) else (value, [path])
    if isinstance(value, Mapping):
        return fill_masked(value, stored if isinstance(stored, Mapping) else {}, fields, path)
    if isinstance(value, list):
        others = stored if isinstance(stored, list) else []
        pairs = [
            _filled(item, others[index] if index < len(others) else None, fields, (*path, str(index)))
            for index, item in enumerate(value)
        ]
        return [item for item, _ in pairs], [lack for _, lacks in pairs for lack in lacks]
    return value, []


def is_masked(config: Mapping[str, Any], fields: Collection[FieldPath]) -> bool:
    """Whether a secret field says `***`."""
    return any(value == MASK and is_secret(path, fields) for path, value in flatten(config, lists=True).items())


def changed_account_fields(group: str, type_: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """The top-level fields by which two configurations lead to different accounts; empty where it is the same one."""
    fields = fields_of(group, type_)
    if fields is None:
        return ("type",)
    model: type[AdapterConfig] = load_adapter(group, type_).Config
    left = without_secrets(complete_config(group, type_, before), fields)
    right = without_secrets(complete_config(group, type_, after), fields)
    names = model.account_fields if model.account_fields is not None else left.keys() | right.keys()
    return tuple(sorted(name for name in names if left.get(name) != right.get(name)))


# Differences ----------------------------------------------------------------------------------------------------------------


def differences(group: str, type_: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[ConfigDifference, ...]:
    """What differs between two open configurations, defaults included, in the order of the form; secrets masked."""
    fields = fields_of(group, type_)
    return tuple(
        ConfigDifference(".".join(path), _title(group, type_, path), _shown(left, path, fields), _shown(right, path, fields))
        for path, (left, right) in differing_paths(group, type_, before, after).items()
    )


def differing_paths(
    group: str, type_: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[FieldPath, tuple[Any, Any]]:
    """The values that differ between two open configurations, defaults included; None where one has no such value."""
    left = flatten(complete_config(group, type_, before), lists=True)
    right = flatten(complete_config(group, type_, after), lists=True)
    pairs = {path: (left.get(path), right.get(path)) for path in {**left, **right}}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def shown_values(group: str, type_: str, config: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Each setting with its title and its value for people, defaults included; secrets masked, where they are set."""
    fields = fields_of(group, type_)
    return tuple(
        (_title(group, type_, path), _shown(value, path, fields))
        for path, value in flatten(complete_config(group, type_, config)).items()
    )


def _title(group: str, type_: str, path: FieldPath) -> str:
    try:
        model = load_adapter(group, type_).Config
    except ConfigError:
        return ".".join(path)
    return title_of(model, tuple(int(part) if part.isdecimal() else part for part in path))


def _shown(value: Any, path: FieldPath, fields: Collection[FieldPath] | None) -> str:
    """A value as text; a secret that is set is `***`, and so is every text of an adapter that is not there to tell."""
    if value is None or value in ("", [], {}):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        hidden = fields is None or is_secret(path, fields)
        return MASK if hidden and not is_reference(value) else value
    if isinstance(value, list):
        items = [_shown(item, (*path, str(index)), fields) for index, item in enumerate(value)]
        return ", ".join(item if not isinstance(inner, Mapping) else f"({item})" for item, inner in zip(items, value, strict=True))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_shown(item, (*path, str(key)), fields)}" for key, item in value.items())
    return str(value)


# In the store ---------------------------------------------------------------------------------------------------------------


async def keep_version(
    connection: AsyncConnection, source_id: str, version: int, config: str, *, actor_name: str, now: datetime
) -> None:
    """Keep a source's configuration as one of its versions; the present one may change in place.

    Args:
        config: as `sources.config` holds it, secrets sealed.
    """
    this_one = (source_versions.c.source_id == source_id, source_versions.c.version == version)
    changed = await connection.execute(update(source_versions).where(*this_one).values(config=config))
    if not changed.rowcount:
        values = {"source_id": source_id, "version": version, "config": config, "created_at": now, "created_by": actor_name}
        await connection.execute(insert(source_versions).values(values))


async def leads_to_present_account(connection: AsyncConnection, source_id: str | None, version: int | None) -> bool:
    """Whether a version of a source has the account of the present one. True where there is nothing to compare."""
    row = (await connection.execute(select(sources).where(sources.c.id == source_id))).first()
    if row is None or version in (None, row.version):
        return True
    statement = select(source_versions.c.config).where(
        source_versions.c.source_id == source_id, source_versions.c.version == version
    )
    text = (await connection.execute(statement)).scalar()
    return text is None or not changed_account_fields(SOURCES_GROUP, row.type, json.loads(text), json.loads(row.config))


async def applied_config(connection: AsyncConnection, row: Any, version: int | None) -> tuple[dict[str, Any], int]:
    """The configuration that a connector uses which applied `version` of a source, and that version; secrets still sealed.

    Args:
        row: of `sources`.
        version: None for the present one.

    Raises:
        ConfigError: that version is not in the store.
    """
    present: dict[str, Any] = json.loads(row.config)
    if version is None or version == row.version:
        return present, row.version
    text = await _version_text(connection, row.id, version)
    if text is None:
        raise ConfigError(f"Version {version} of the source {row.name!r} is not in the store.", remedy="Refresh the connector.")
    config: dict[str, Any] = json.loads(text)
    fields = fields_of(SOURCES_GROUP, row.type)
    if not fields or changed_account_fields(SOURCES_GROUP, row.type, config, present):
        return config, version
    laid: dict[str, Any] = with_secrets_of(config, present, fields)
    return laid, version


async def _version_text(connection: AsyncConnection, source_id: str, version: int | None) -> str | None:
    this_one = (source_versions.c.source_id == source_id, source_versions.c.version == version)
    text: str | None = (await connection.execute(select(source_versions.c.config).where(*this_one))).scalar()
    return text
