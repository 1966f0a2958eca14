"""Sources and destinations: saving, deleting, testing, and what their connectors use of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import audit, lifecycle
from syncterm.engine.adapter_factory import AdapterFactory
from syncterm.engine.adapters import Adapter
from syncterm.engine.authorisation import may_manage, operation
from syncterm.engine.clock import Clock
from syncterm.engine.config_check import ConfigCheck, changed_titles, check_config, title_of
from syncterm.engine.connection_test import TestedConfigs, note_result, test_endpoint
from syncterm.engine.connector_setup import Endpoint
from syncterm.engine.document_config import fields_of, load_adapter
from syncterm.engine.document_tree import LONGEST_NAME, check_nothing_hidden
from syncterm.engine.drafts import EndpointDraft, Saved
from syncterm.engine.endpoint_writing import (
    GROUPS,
    TABLES,
    USED_BY,
    WrittenEndpoint,
    open_what_opens,
    seal_config,
    tell_connectors,
    write_endpoint,
)
from syncterm.engine.errors import ConfigError, NotAllowedError, PermissionDeniedError
from syncterm.engine.events import EVERYTHING, Change
from syncterm.engine.identifiers import new_id
from syncterm.engine.model import Actor, CheckReport, CheckStep, EndpointKind, Role
from syncterm.engine.operation_results import OperationResult
from syncterm.engine.operations.base import OperationsBase
from syncterm.engine.paths import check_path
from syncterm.engine.source_versions import changed_account_fields, differing_paths, fill_masked, is_masked
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import LIVE_CONNECTOR, sources


class EndpointOperations(OperationsBase):
    """What a person does with sources and destinations."""

    def __init__(
        self, database: Database, clock: Clock, adapters: AdapterFactory, told: Callable[[Change], Awaitable[None]]
    ) -> None:
        super().__init__(database, clock, adapters, told)
        self._tested = TestedConfigs()

    @operation(Role.USER)
    async def save_endpoint(self, actor: Actor, draft: EndpointDraft) -> Saved:
        """Add a source or a destination, or change one. It may be unfinished: then nothing runs on it until it is complete.

        Connectors stay on the version of a source that they applied; changed secrets of the same account are used at once.

        Raises:
            ConfigError: a name that cannot be one or is taken, values that make no sense, or it was changed meanwhile.
            NotAllowedError: where it belongs to somebody else.
        """
        name = _checked_name(draft.name)
        seen = await self._require_owner(actor, "save_endpoint", draft)
        check = await self._check(draft, seen)
        reason = check.incomplete_reason
        async with self._database.write() as connection:
            existing = await self._existing(connection, draft)
            if existing is not None:
                _require_present(existing, draft, seen)
            await self._require_free(connection, draft.kind, name, draft.id)
            uses = await self._uses(connection, draft.kind, draft.id) if draft.id is not None else 0
            if reason is not None and existing is not None and existing.incomplete_reason is None and uses:
                raise ConfigError(
                    f"{reason}, and {_connectors(uses)} {'uses' if uses == 1 else 'use'} this {draft.kind}.",
                    remedy="Fill it in; what is in use cannot become unfinished.",
                )
            written = await write_endpoint(
                connection,
                draft.kind,
                existing,
                name=name,
                type_=draft.type,
                config=check.config,
                incomplete_reason=reason,
                key_path=self._adapters.key_path,
                actor=actor,
                now=self._clock.now(),
            )
            tested = self._tested.found(draft.kind, draft.type, check.config, self._clock.now())
            if tested is not None and (existing is None or written.new_version or written.new_secrets):
                await note_result(connection, draft.kind, written.id, *tested)
            before = {difference.field: difference.applied for difference in written.differences}
            after = {difference.field: difference.present for difference in written.differences}
            if existing is not None and existing.name != name:
                before["name"], after["name"] = existing.name, name
            await audit.record(
                connection,
                actor=actor,
                operation="save_endpoint",
                object_type=draft.kind,
                object_id=written.id,
                object_name=name,
                before=before if existing is not None else None,
                after={**after, "version": written.version, "incomplete": reason},
                now=self._clock.now(),
            )
        await self._told(EVERYTHING)
        return Saved(written.id, name, written.version, reason, _message(draft.kind, name, existing, written, reason, uses))

    @operation(Role.USER)
    async def test_endpoint(self, actor: Actor, draft: EndpointDraft, on_step: Callable[[CheckStep], None]) -> CheckReport:
        """Test a source or a destination before or after it is saved, step by step. Cancelling the call ends the test.

        The result is kept where the draft is what is stored.

        Args:
            draft: a secret that says `***` is the stored one.
            on_step: called on the engine's loop with each step as it ends.

        Raises:
            ConfigError: the draft is unfinished or makes no sense, so there is nothing to test.
            NotAllowedError: where it belongs to somebody else.
        """
        existing = await self._require_owner(actor, "test_endpoint", draft)
        check = await self._check(draft, existing)
        if check.incomplete_reason is not None:
            raise ConfigError(
                f"There is nothing to test yet: {check.incomplete_reason}.", remedy="Fill in what is missing, then test again."
            )
        endpoint_id = existing.id if existing is not None else new_id(self._clock.now())
        name = draft.name or (existing.name if existing is not None else f"new {draft.kind}")
        sealed = await asyncio.to_thread(seal_config, draft.kind, draft.type, check.config, endpoint_id, self._adapters.key_path)
        endpoint = Endpoint(endpoint_id, name, draft.type, sealed, existing.version if existing is not None else 1)
        try:
            found = await test_endpoint(self._adapters, draft.kind, endpoint, on_step)
        except asyncio.CancelledError:
            async with self._database.write() as connection:
                await self._record_test(connection, actor, draft, name, {"result": "cancelled"})
            raise
        now = self._clock.now()
        self._tested.remember(draft.kind, draft.type, check.config, found, now)
        async with self._database.write() as connection:
            present = await self._existing(connection, draft)
            stored, _ = open_what_opens(draft.kind, present, self._adapters.key_path) if present is not None else ({}, False)
            same = present is not None and not differing_paths(GROUPS[draft.kind], draft.type, stored, check.config)
            if same:
                await note_result(connection, draft.kind, endpoint_id, found, now)
                await tell_connectors(connection, draft.kind, endpoint_id)
            after = {"result": found.report.result, "cause": found.report.cause, "unsaved": not same}
            await self._record_test(connection, actor, draft, name, after)
        await self._told(EVERYTHING)
        return found.report

    @operation(Role.USER)
    async def refresh_source(self, actor: Actor, connector_ids: Sequence[str]) -> tuple[OperationResult, ...]:
        """Let connectors use the present version of their source from their next sync on."""

        async def one(connection: AsyncConnection, row: Any) -> str:
            source = (await connection.execute(select(sources).where(sources.c.id == row.source_id))).first()
            if source is None or source.deleted_at is not None:
                raise ConfigError("It has no source.", remedy="Choose one in its set-up.")
            if row.source_version == source.version:
                raise ConfigError(f"It is on the present version {source.version} of {source.name!r} already.")
            await lifecycle.touch(connection, row.id, {"source_version": source.version})
            return f"Uses version {source.version} of {source.name!r} from its next sync on."

        return await self._each(actor, "refresh_source", connector_ids, one)

    async def _record_test(
        self, connection: AsyncConnection, actor: Actor, draft: EndpointDraft, name: str, after: Mapping[str, Any]
    ) -> None:
        await audit.record(
            connection,
            actor=actor,
            operation="test_endpoint",
            object_type=draft.kind,
            object_id=draft.id,
            object_name=name,
            after=after,
            now=self._clock.now(),
        )

    # What these need --------------------------------------------------------------------------------------------------------

    async def _require_owner(self, actor: Actor, name: str, draft: EndpointDraft) -> Any | None:
        """The row that a draft is of; None for a new one.

        Raises:
            NotAllowedError: where it is somebody else's; recorded.
            ConfigError: where it is gone.
        """
        if draft.id is None:
            return None
        async with self._database.read() as connection:
            row = await self._row(connection, draft)
        if not may_manage(actor, row.created_by):
            async with self._database.write() as connection:
                await audit.record(
                    connection,
                    actor=actor,
                    operation=name,
                    object_type=draft.kind,
                    object_id=row.id,
                    object_name=row.name,
                    refused=True,
                    now=self._clock.now(),
                )
            raise NotAllowedError(f"The {draft.kind} {row.name!r} belongs to another user.", remedy="Ask an administrator.")
        return row

    async def _existing(self, connection: AsyncConnection, draft: EndpointDraft) -> Any | None:
        """The row that a draft is of; None for a new one. Raises: ConfigError: as `_row`."""
        return None if draft.id is None else await self._row(connection, draft)

    async def _row(self, connection: AsyncConnection, draft: EndpointDraft) -> Any:
        """Raises: ConfigError: where it is gone, or of another type."""
        table = TABLES[draft.kind]
        row = (await connection.execute(select(table).where(table.c.id == draft.id, table.c.deleted_at.is_(None)))).first()
        if row is None:
            raise ConfigError(f"The {draft.kind} {draft.name!r} does not exist any more.", remedy="It was deleted meanwhile.")
        if row.type != draft.type:
            raise ConfigError(
                f"The {draft.kind} {row.name!r} is of the type {row.type!r}, which cannot change.",
                remedy=f"Add another {draft.kind}.",
            )
        return row

    async def _require_free(self, connection: AsyncConnection, kind: EndpointKind, name: str, own_id: str | None) -> None:
        table = TABLES[kind]
        taken = await connection.execute(select(table.c.id).where(table.c.name == name, table.c.deleted_at.is_(None)))
        if any(row.id != own_id for row in taken):
            raise ConfigError(f"Name: there is a {kind} {name!r} already.", remedy="Choose another name.")

    async def _uses(self, connection: AsyncConnection, kind: EndpointKind, endpoint_id: str) -> int:
        statement = select(func.count()).where(LIVE_CONNECTOR, USED_BY[kind] == endpoint_id)
        return int((await connection.execute(statement)).scalar_one())

    async def _check(self, draft: EndpointDraft, existing: Any | None) -> ConfigCheck:
        """What a draft's configuration is worth, stored secrets filled in.

        Raises:
            ConfigError: it makes no sense, or a secret has to be entered.
        """

        def check() -> ConfigCheck:
            adapter = load_adapter(GROUPS[draft.kind], draft.type)
            stored, _ = open_what_opens(draft.kind, existing, self._adapters.key_path) if existing is not None else ({}, False)
            found = check_config(adapter, _with_stored_secrets(adapter, draft, stored))
            found.require_sense(adapter.title)
            path = found.config.get("path")
            if isinstance(path, str):
                with suppress(PermissionDeniedError):  # whether it can be reached is for the test to say
                    check_path(path, self._adapters.context)
            return found

        return await asyncio.to_thread(check)


def _with_stored_secrets(adapter: type[Adapter], draft: EndpointDraft, stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """Raises: ConfigError: where `***` stands for a secret that is not stored, or that is another account's."""
    group = GROUPS[draft.kind]
    fields = fields_of(group, draft.type) or frozenset()
    if not is_masked(draft.config, fields):
        return draft.config
    filled, lacking = fill_masked(draft.config, stored, fields)
    if lacking:
        location = tuple(int(part) if part.isdecimal() else part for part in lacking[0])
        raise ConfigError(f"{title_of(adapter.Config, location)}: no secret is stored for it.", remedy="Enter it.")
    moved = changed_account_fields(group, draft.type, stored, filled)
    if moved:
        titles = changed_titles(adapter.Config, moved)
        raise ConfigError(f"{titles} changed, so the stored secret would go to another account.", remedy="Enter the secret again.")
    return filled


def _checked_name(name: str) -> str:
    """Raises: ConfigError: where it cannot be a name."""
    hidden = check_nothing_hidden(name)
    if hidden:
        raise ConfigError(f"Name: it {hidden}.", remedy="Choose another name.")
    if not name.strip():
        raise ConfigError("Name: it is empty.", remedy="Enter a name.")
    if len(name) > LONGEST_NAME:
        raise ConfigError(f"Name: it has {len(name)} characters; {LONGEST_NAME} are allowed.", remedy="Shorten it.")
    return name


def _require_present(row: Any, draft: EndpointDraft, seen: Any) -> None:
    """Raises: ConfigError: where it was changed since the draft was made of it, or since it was looked at."""
    other_version = draft.version not in (None, row.version) or seen.version != row.version
    if other_version or draft.read_at not in (None, row.updated_at) or seen.updated_at != row.updated_at:
        raise ConfigError(
            f"The {draft.kind} {row.name!r} was changed meanwhile; it has version {row.version} now.",
            remedy="Open it again and repeat your change.",
        )


def _connectors(number: int) -> str:
    return "1 connector" if number == 1 else f"{number:,} connectors"


def _message(
    kind: EndpointKind, name: str, existing: Any | None, written: WrittenEndpoint, incomplete_reason: str | None, uses: int
) -> str:
    """What saving did, and what follows for whom."""
    what = f"{str(kind).capitalize()} {name!r}"
    if incomplete_reason is not None:
        return f"{what} is saved unfinished: {incomplete_reason}. Nothing runs on it until it is complete."
    if existing is None:
        return f"{what} is added."
    if uses and existing.incomplete_reason is not None:
        return f"{what} is complete; {_connectors(uses)} can use it now."
    if not uses or not (written.new_version or written.new_secrets):
        return f"{what} is saved."
    if written.new_secrets or kind is EndpointKind.DESTINATION:
        return f"{what} is saved; {_connectors(uses)} use{'s' if uses == 1 else ''} it from the next sync on."
    stay = "stays on its version" if uses == 1 else "stay on their version"
    return f"{what} is saved as version {written.version}; {_connectors(uses)} {stay} until refreshed."
