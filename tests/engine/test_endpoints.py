"""Saving, reading, deleting and restoring sources and destinations."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from syncterm.engine import key_store
from syncterm.engine.drafts import EndpointDraft
from syncterm.engine.errors import ConfigError, NotAllowedError
from syncterm.engine.key_store import load_keys
from syncterm.engine.model import Actor, EndpointKind, Role
from syncterm.engine.queries import EndpointRow
from syncterm.engine.redaction import MASK
from syncterm.engine.secrets import unseal
from syncterm.engine.status import ConnectorStatus, SourceStatus
from syncterm.engine.store.tables import sources
from tests.engine.workbench import ADMINISTRATOR, Workbench, workbench

SOURCE, DESTINATION = EndpointKind.SOURCE, EndpointKind.DESTINATION
ADA, BOB = Actor("ada", Role.USER), Actor("bob", Role.USER)
SECRET = "correct-horse-battery"
POSTGRES = {"host": "db.example.com", "port": 5433, "database": "shop", "user": "reader", "password": SECRET}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    async with workbench(tmp_path / "home", execute=False) as bench:
        yield bench


def postgres(**config: Any) -> EndpointDraft:
    return EndpointDraft(SOURCE, "postgres", "shop", {**POSTGRES, **config})


async def save(bench: Workbench, draft: EndpointDraft, actor: Actor = ADA) -> Any:
    return await bench.engine.operations.save_endpoint(actor, draft)


async def read_draft(bench: Workbench, endpoint_id: str, kind: EndpointKind = SOURCE) -> EndpointDraft:
    draft = await bench.engine.queries.endpoint_draft(kind, endpoint_id)
    assert draft is not None
    return draft


async def shown(bench: Workbench, endpoint_id: str, kind: EndpointKind = SOURCE) -> EndpointRow:
    detail = await bench.engine.queries.endpoint_detail(kind, endpoint_id)
    assert detail is not None
    return detail.row


async def stored(bench: Workbench, endpoint_id: str) -> dict[str, Any]:
    async with bench.engine.database.read() as connection:
        text = (await connection.execute(select(sources.c.config).where(sources.c.id == endpoint_id))).scalar_one()
    found: dict[str, Any] = json.loads(text)
    return found


async def test_a_saved_source_is_there_with_its_secret_sealed_and_masked(bench: Workbench) -> None:
    saved = await save(bench, postgres())
    assert (saved.name, saved.version, saved.incomplete_reason) == ("shop", 1, None)
    assert (await stored(bench, saved.id))["password"].startswith("sealed:1:")
    draft = await read_draft(bench, saved.id)
    assert dict(draft.config) == {**POSTGRES, "password": MASK}
    assert (draft.id, draft.version, draft.type, draft.name) == (saved.id, 1, "postgres", "shop")
    row = await shown(bench, saved.id)
    assert (row.type_title, row.status, row.incomplete_reason, row.check_result) == ("PostgreSQL", SourceStatus.SETUP, None, None)
    detail = await bench.engine.queries.endpoint_detail(SOURCE, saved.id)
    assert detail is not None
    assert ("Password", MASK) in detail.config
    assert ("Port", "5433") in detail.config
    assert [(version.version, version.created_by, version.used_by) for version in detail.versions] == [(1, "ada", 0)]


async def test_a_masked_secret_stays_and_a_new_one_replaces_it(bench: Workbench) -> None:
    saved = await save(bench, postgres())
    draft = await read_draft(bench, saved.id)
    again = await save(bench, replace(draft, config={**draft.config, "schema": "sales"}))
    assert again.version == 2
    document = await bench.engine.operations.export(ADMINISTRATOR)
    assert document.sources["shop"].config == {**POSTGRES, "schema": "sales"}
    draft = await read_draft(bench, saved.id)
    rotated = await save(bench, replace(draft, config={**draft.config, "password": "another-secret"}))
    assert rotated.version == 2
    document = await bench.engine.operations.export(ADMINISTRATOR)
    assert document.sources["shop"].config["password"] == "another-secret"


async def test_a_secret_whose_key_is_lost_can_be_entered_again(bench: Workbench) -> None:
    saved = await save(bench, postgres())
    bench.engine.workspace.key_path.unlink()
    key_store._held.clear()  # a process that begins now
    draft = await read_draft(bench, saved.id)
    with pytest.raises(ConfigError, match="Password: no secret is stored for it"):
        await save(bench, draft)
    await save(bench, replace(draft, config={**draft.config, "password": "entered-again"}))
    draft = await read_draft(bench, saved.id)
    await save(bench, replace(draft, name="opens"))
    assert draft.version == 1
    before = await stored(bench, saved.id)
    assert (
        unseal(before, frozenset({("password",)}), saved.id, load_keys(bench.engine.workspace.key_path))["password"]
        == "entered-again"
    )


async def test_references_are_kept_and_shown(bench: Workbench) -> None:
    saved = await save(bench, postgres(password="${env:SHOP_PASSWORD}"))
    assert (await stored(bench, saved.id))["password"] == "${env:SHOP_PASSWORD}"
    assert (await read_draft(bench, saved.id)).config["password"] == "${env:SHOP_PASSWORD}"


async def test_a_stored_secret_never_goes_to_another_account(bench: Workbench) -> None:
    saved = await save(bench, postgres())
    draft = await read_draft(bench, saved.id)
    moved = replace(draft, config={**draft.config, "host": "evil.example.com"})
    with pytest.raises(ConfigError, match=r"^Host changed.* Enter the secret again\.$"):
        await save(bench, moved)
    with pytest.raises(ConfigError, match=r"^Host changed"):
        await bench.engine.operations.test_endpoint(ADA, moved, lambda step: None)


async def test_a_mask_where_nothing_is_stored_is_refused(bench: Workbench) -> None:
    with pytest.raises(ConfigError, match=r"^Password: no secret is stored for it"):
        await save(bench, postgres(password=MASK))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"port": "many"}, "Port: input should be a valid integer"),
        ({"port": 70_000}, "Port: input should be less than or equal to 65535"),
        ({"port": True}, "Port: this must not be true or false"),
        ({"hots": "x"}, "hots: there is no such setting. Did you mean host"),
        ({"sslmode": "sometimes"}, "Mode: input should be"),
        ({"password": "${enf:X}"}, "password: ${enf:X} is not a reference to a secret"),
    ],
)
async def test_nonsense_is_refused_by_the_field_s_title(bench: Workbench, config: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await save(bench, postgres(**config))
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)
    assert await bench.engine.queries.sources() == []


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201, "\x1b[2J", "\ud800"])
async def test_a_name_must_be_one(bench: Workbench, name: str) -> None:
    with pytest.raises(ConfigError, match=r"^Name: it "):
        await save(bench, replace(postgres(), name=name))


async def test_a_name_is_taken_once_a_kind(bench: Workbench) -> None:
    saved = await save(bench, postgres())
    with pytest.raises(ConfigError, match=r"^Name: there is a source 'shop' already"):
        await save(bench, postgres())
    other = await save(bench, replace(postgres(), kind=DESTINATION))
    assert other.id != saved.id
    draft = await read_draft(bench, saved.id)
    assert (await save(bench, replace(draft, name="store"))).version == 1
    await save(bench, postgres())


async def test_unfinished_ones_are_drafts_that_say_what_is_missing(bench: Workbench) -> None:
    saved = await save(bench, EndpointDraft(SOURCE, "postgres", "shop", {"host": "db", "database": "", "password": SECRET}))
    assert saved.incomplete_reason == "Database and User are missing"
    assert "unfinished" in saved.message
    row = await shown(bench, saved.id)
    assert (row.status, row.incomplete_reason) == (SourceStatus.SETUP, "Database and User are missing")
    draft = await read_draft(bench, saved.id)
    assert draft.config == {"host": "db", "password": MASK}
    with pytest.raises(ConfigError, match="nothing to test yet: Database and User are missing"):
        await bench.engine.operations.test_endpoint(ADA, draft, lambda step: None)
    done = await save(bench, replace(draft, config={"host": "db", "database": "d", "user": "u", "password": SECRET}))
    assert done.incomplete_reason is None
    assert (await shown(bench, saved.id)).incomplete_reason is None


async def test_somebody_else_s_is_refused_and_recorded(bench: Workbench) -> None:
    saved = await save(bench, postgres())
    draft = await read_draft(bench, saved.id)
    with pytest.raises(NotAllowedError, match="belongs to another user"):
        await save(bench, draft, BOB)
    with pytest.raises(NotAllowedError, match="belongs to another user"):
        await bench.engine.operations.test_endpoint(BOB, draft, lambda step: None)
    with pytest.raises(NotAllowedError, match="needs user"):
        await save(bench, draft, Actor("eve", Role.VIEWER))
    assert (await save(bench, draft, ADMINISTRATOR)).id == saved.id
    trail = await bench.engine.queries.audit(saved.id)
    assert [(row.actor, row.operation, row.refused) for row in trail] == [
        ("tester", "save_endpoint", False),
        ("bob", "test_endpoint", True),
        ("bob", "save_endpoint", True),
        ("ada", "save_endpoint", False),
    ]


async def test_the_trail_tells_what_changed_without_secrets(bench: Workbench) -> None:
    saved = await save(bench, postgres())
    draft = await read_draft(bench, saved.id)
    await save(bench, replace(draft, name="store", config={**draft.config, "port": 5434, "password": "another-secret"}))
    newest, first = await bench.engine.queries.audit(saved.id)
    assert json.loads(newest.before or "") == {"name": "shop", "password": MASK, "port": "5433"}
    assert json.loads(newest.after or "") == {
        "name": "store",
        "password": MASK,
        "port": "5434",
        "version": 2,
        "incomplete": None,
    }
    assert first.before is None
    assert json.loads(first.after or "")["host"] == "db.example.com"
    assert not any(secret in f"{newest}{first}" for secret in (SECRET, "another-secret"))


@pytest.mark.parametrize("change", [{"config": {"schema": "other"}}, {"config": {"password": "other-secret"}}, {"name": "other"}])
async def test_nobody_s_work_is_lost_unseen(bench: Workbench, change: dict[str, Any]) -> None:
    saved = await save(bench, postgres())
    mine = await read_draft(bench, saved.id)
    theirs = replace(mine, name=change.get("name", mine.name), config={**mine.config, **change.get("config", {})})
    await save(bench, theirs)
    with pytest.raises(ConfigError, match="was changed meanwhile"):
        await save(bench, replace(mine, config={**mine.config, "schema": "mine"}))


async def test_the_product_s_own_files_are_no_source(bench: Workbench) -> None:
    with pytest.raises((ConfigError, NotAllowedError), match=r"syncterm\.db|own"):
        await save(bench, EndpointDraft(SOURCE, "sqlite", "own", {"path": str(bench.engine.workspace.store_path)}))


async def test_an_unknown_type_is_refused(bench: Workbench) -> None:
    with pytest.raises(ConfigError, match=r"is not a source type.*Did you mean postgres"):
        await save(bench, EndpointDraft(SOURCE, "postgers", "x", {}))


async def test_an_unfinished_end_makes_its_connectors_incomplete_and_refuses_their_syncs(bench: Workbench, tmp_path: Path) -> None:
    await bench.apply(f"""
version: 1
sources: {{made-up: {{type: sqlite, config: {{path: {tmp_path}/a.db}}}}}}
destinations: {{out: {{type: sqlite, config: {{path: {tmp_path}/b.db}}}}}}
connectors:
  c: {{source: made-up, destination: out, streams: [{{name: t, sync_mode: replace}}]}}
""")
    source_id = (await bench.engine.queries.sources())[0].id
    assert (await bench.row("c")).status is ConnectorStatus.ACTIVE
    draft = await read_draft(bench, source_id)
    with pytest.raises(ConfigError, match="Database file is missing, and 1 connector uses this source"):
        await save(bench, replace(draft, config={}), ADMINISTRATOR)
    async with bench.engine.database.write() as connection:  # as an import of an unfinished source leaves it
        await connection.execute(sources.update().values(incomplete_reason="Database file is missing"))
    row = await bench.row("c")
    assert row.status is ConnectorStatus.INCOMPLETE
    assert "Database file is missing" in row.status_reason
    (result,) = await bench.engine.operations.sync_now(ADMINISTRATOR, [row.id])
    assert not result.done
    assert "Database file is missing" in result.message
    detail = await bench.engine.queries.connector("c")
    assert detail is not None
    assert "Database file is missing" in detail.why


async def connected(bench: Workbench, folder: Path) -> tuple[str, str]:
    """A connector "c" on a source and a destination; the ids of these."""
    await bench.apply(f"""
version: 1
sources: {{made-up: {{type: sqlite, config: {{path: {folder}/a.db}}}}}}
destinations: {{out: {{type: sqlite, config: {{path: {folder}/b.db}}}}}}
connectors:
  c: {{source: made-up, destination: out, streams: [{{name: t, sync_mode: replace}}]}}
""")
    return (await bench.engine.queries.sources())[0].id, (await bench.engine.queries.destinations())[0].id


async def test_what_a_connector_uses_cannot_be_deleted(bench: Workbench, tmp_path: Path) -> None:
    source_id, destination_id = await connected(bench, tmp_path)
    for kind, endpoint_id in ((SOURCE, source_id), (DESTINATION, destination_id)):
        deletion = await bench.engine.operations.delete_endpoints(ADMINISTRATOR, kind, [endpoint_id])
        (result,) = deletion.results
        assert not result.done
        assert result.message.startswith("1 connector uses it: 'c'.")
        assert await bench.engine.queries.endpoint_draft(kind, endpoint_id) is not None


async def test_deletions_of_all_kinds_are_undone_by_the_same_operation(bench: Workbench, tmp_path: Path) -> None:
    source_id, destination_id = await connected(bench, tmp_path)
    operations, queries = bench.engine.operations, bench.engine.queries
    connector_id = await bench.id_of("c")
    deletions = [
        await operations.delete(ADMINISTRATOR, [connector_id]),
        await operations.delete_endpoints(ADMINISTRATOR, SOURCE, [source_id]),
        await operations.delete_endpoints(ADMINISTRATOR, DESTINATION, [destination_id]),
    ]
    assert all(result.done for deletion in deletions for result in deletion.results)
    assert (await queries.sources(), await queries.destinations()) == ([], [])
    for deletion in reversed(deletions):
        (result,) = await operations.undo(ADMINISTRATOR, deletion.token)
        assert (result.done, result.message) == (True, "Restored.")
    assert [row.name for row in (*await queries.sources(), *await queries.destinations())] == ["made-up", "out"]
    assert (await bench.row("c")).source_name == "made-up"
    with pytest.raises(ConfigError, match="cannot be undone any more"):
        await operations.undo(ADMINISTRATOR, deletions[0].token)
    trail = await queries.audit(source_id)
    assert [row.operation for row in trail] == ["undo", "delete_endpoints", "apply: create"]


async def test_what_stands_in_the_way_of_an_undo_is_named_and_it_can_be_tried_again(bench: Workbench, tmp_path: Path) -> None:
    source_id, _ = await connected(bench, tmp_path)
    operations = bench.engine.operations
    connector = await operations.delete(ADMINISTRATOR, [await bench.id_of("c")])
    source = await operations.delete_endpoints(ADMINISTRATOR, SOURCE, [source_id])
    (refused,) = await operations.undo(ADMINISTRATOR, connector.token)
    assert not refused.done
    assert "Its source 'made-up' was deleted meanwhile." in refused.message
    other = await save(bench, EndpointDraft(SOURCE, "sqlite", "made-up", {"path": f"{tmp_path}/c.db"}), ADMINISTRATOR)
    (refused,) = await operations.undo(ADMINISTRATOR, source.token)
    assert "Rename the other source first." in refused.message
    await operations.delete_endpoints(ADMINISTRATOR, SOURCE, [other.id])
    for deletion in (source, connector):
        (result,) = await operations.undo(ADMINISTRATOR, deletion.token)
        assert result.done, result.message


async def test_somebody_else_s_is_not_deleted(bench: Workbench) -> None:
    saved = await save(bench, postgres())
    (result,) = (await bench.engine.operations.delete_endpoints(BOB, SOURCE, [saved.id, saved.id])).results
    assert (result.done, result.message) == (False, "It belongs to another user.")
    assert await bench.engine.queries.endpoint_draft(SOURCE, saved.id) is not None
