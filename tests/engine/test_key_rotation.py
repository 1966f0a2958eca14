"""Changing the key: everything sealed anew, whatever happens meanwhile, in the key file and in a keyring."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from syncterm.engine import key_store, redaction
from syncterm.engine.adapters import SOURCES_GROUP
from syncterm.engine.clock import SystemClock
from syncterm.engine.document_config import fields_of
from syncterm.engine.drafts import EndpointDraft
from syncterm.engine.endpoint_writing import write_endpoint
from syncterm.engine.errors import ConfigError, NotAllowedError
from syncterm.engine.failpoint import NAMES, VARIABLE
from syncterm.engine.key_rotation import PIECE
from syncterm.engine.key_store import load_keys, retire_keys, rotate_key
from syncterm.engine.model import Actor, EndpointKind, Role
from syncterm.engine.secrets import seal, sealed_with, unseal
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import destinations, source_versions, sources
from syncterm.engine.workspace import Workspace
from tests import private_keyring
from tests.engine.workbench import ADMINISTRATOR, Workbench, workbench

SOURCE, DESTINATION = EndpointKind.SOURCE, EndpointKind.DESTINATION
FIELDS = fields_of(SOURCES_GROUP, "postgres") or frozenset()
SOURCES = PIECE + 20
"""So that there are several pieces: each has a version of its own beside."""
PLACES = tuple(name for name in NAMES if name.startswith("rotation-"))


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has just begun: no key that is retired is known."""
    monkeypatch.setattr(key_store, "_held", {})
    monkeypatch.setattr(redaction, "_forms", {})


def config(number: int) -> dict[str, Any]:
    return {"host": "db.example.com", "database": "shop", "user": "u", "password": f"secret-number-{number}"}


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Database]:
    database = await Database.open(Workspace(home).store_path, clock=SystemClock())
    try:
        yield database
    finally:
        await database.close()


async def fill(home: Path) -> None:
    """Sources with a secret each, one of them with an older version, one deleted; a destination; one without secrets."""
    Workspace(home).create()
    now, key_path = SystemClock().now(), Workspace(home).key_path
    async with opened(home) as database, database.write() as connection:

        async def write(kind: EndpointKind, name: str, values: dict[str, Any], existing: Any = None) -> str:
            written = await write_endpoint(
                connection,
                kind,
                existing,
                name=name,
                type_="postgres",
                config=values,
                key_path=key_path,
                actor=ADMINISTRATOR,
                now=now,
            )
            return written.id

        ids = [await write(SOURCE, f"s{number}", config(number)) for number in range(SOURCES)]
        row = (await connection.execute(select(sources).where(sources.c.id == ids[0]))).one()
        await write(SOURCE, "s0", {**config(0), "host": "other.example.com", "password": "secret-of-version-2"}, row)
        await connection.execute(sources.update().where(sources.c.id == ids[1]).values(deleted_at=now))
        await write(DESTINATION, "d", config(-1))
        await write(DESTINATION, "open", {**config(0), "password": "${env:NAME}"})


async def secrets_of(home: Path) -> list[str]:
    """Every secret in the store, opened with the keys that lie there, and the identifiers of the keys in use."""
    keys = load_keys(Workspace(home).key_path)
    found = []
    async with opened(home) as database, database.read() as connection:
        for table, owner in ((sources, "id"), (destinations, "id"), (source_versions, "source_id")):
            for row in await connection.execute(select(table).order_by(*table.primary_key)):
                found.append(unseal(json.loads(row.config), FIELDS, getattr(row, owner), keys)["password"])
    return found


async def key_ids(home: Path) -> set[str]:
    """The identifiers of the keys that something in the store is sealed with."""
    found = set()
    async with opened(home) as database, database.read() as connection:
        for table in (sources, destinations, source_versions):
            for row in await connection.execute(select(table.c.config)):
                password = json.loads(row.config)["password"]
                if password.startswith("sealed:"):
                    found.add(password.split(":")[2])
    return found


def command(home: Path, *arguments: str, failpoint: str = "", keyring: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    if failpoint:
        environment[VARIABLE] = failpoint
    if keyring is not None:
        environment |= {private_keyring.VARIABLE: str(keyring), "PYTHON_KEYRING_BACKEND": private_keyring.NAME}
    return subprocess.run(
        [sys.executable, "-m", "syncterm", "--home", str(home), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


@pytest.mark.parametrize("failpoint", ["", *PLACES, "rotation-piece-sealed:2", "rotation-piece-sealed:3"])
async def test_killed_anywhere_everything_stays_readable_and_the_next_rotation_finishes(tmp_path: Path, failpoint: str) -> None:
    await fill(tmp_path)
    before, first_key = await secrets_of(tmp_path), load_keys(Workspace(tmp_path).key_path).active
    assert len(before) == 2 * SOURCES + 3
    done = command(tmp_path, "rotate-key", failpoint=failpoint)
    assert done.returncode == (-signal.SIGKILL if failpoint else 0), done.stderr
    key_store._held.clear()
    assert await secrets_of(tmp_path) == before
    if failpoint:
        again = command(tmp_path, "rotate-key")
        assert again.returncode == 0, again.stderr
        key_store._held.clear()
        assert await secrets_of(tmp_path) == before
    last = load_keys(Workspace(tmp_path).key_path)
    assert list(last.by_id) == [last.active]
    assert last.active != first_key
    assert await key_ids(tmp_path) == {last.active}
    assert first_key not in Workspace(tmp_path).key_path.read_text()


def test_every_step_of_a_rotation_is_a_place_to_die_at() -> None:
    assert PLACES == ("rotation-begun", "rotation-piece-sealed", "rotation-ended")


async def test_what_is_saved_meanwhile_opens_afterwards(tmp_path: Path) -> None:
    await fill(tmp_path)
    async with workbench(tmp_path, execute=False) as one, workbench(tmp_path, execute=False) as other:
        stop = asyncio.Event()
        saved: list[str] = []

        async def keep_saving(bench: Workbench, name: str) -> None:
            while not stop.is_set():
                draft = EndpointDraft(SOURCE, "postgres", f"{name}{len(saved)}", config(1000 + len(saved)))
                saved.append((await bench.engine.operations.save_endpoint(ADMINISTRATOR, draft)).name)

        savers = [asyncio.create_task(keep_saving(other, "other")), asyncio.create_task(keep_saving(one, "one"))]
        for _ in range(3):
            await asyncio.gather(*(bench.engine.operations.rotate_key(ADMINISTRATOR) for bench in (one, other)))
        stop.set()
        await asyncio.gather(*savers)
    assert saved
    key_store._held.clear()
    found = await secrets_of(tmp_path)
    assert sum(len(secret) == len("secret-number-1000") for secret in found) == 2 * len(saved)
    assert await key_ids(tmp_path) <= set(load_keys(Workspace(tmp_path).key_path).by_id)


async def test_what_a_running_sync_has_read_still_opens(tmp_path: Path) -> None:
    path = tmp_path / "key"
    sealed = seal({"password": "read-before"}, FIELDS, "o", load_keys(path))
    rotate_key(path)
    retire_keys(path)
    assert unseal(sealed, FIELDS, "o", load_keys(path)) == {"password": "read-before"}
    key_store._held.clear()  # a process that begins now
    with pytest.raises(ConfigError, match="not in the key file"):
        unseal(sealed, FIELDS, "o", load_keys(path))


async def test_what_does_not_open_is_left_and_counted(tmp_path: Path) -> None:
    await fill(tmp_path)
    async with opened(tmp_path) as database, database.write() as connection:
        first, second = (await connection.execute(select(sources.c.id, sources.c.config).order_by(sources.c.id).limit(2))).all()
        await connection.execute(sources.update().where(sources.c.id == first.id).values(config=second.config))  # another owner's
    done = command(tmp_path, "rotate-key")
    assert done.returncode == 0, done.stderr
    assert "1 secret did not open and was left as it is; enter it again." in done.stdout
    assert len(load_keys(Workspace(tmp_path).key_path).by_id) == 1


async def test_only_an_administrator_rotates_and_it_is_recorded(tmp_path: Path) -> None:
    async with workbench(tmp_path, execute=False) as bench:
        with pytest.raises(NotAllowedError):
            await bench.engine.operations.rotate_key(Actor("ada", Role.USER))
        said = await bench.engine.operations.rotate_key(ADMINISTRATOR)
        active = load_keys(bench.engine.workspace.key_path).active
        assert said == f"The new key {active} is in the key file; 0 configurations are sealed with it, the old key is gone."
        done, refused = await bench.engine.queries.audit()
    assert (done.operation, done.object_type, done.refused) == ("rotate_key", "workspace", False)
    assert (refused.operation, refused.refused) == ("rotate_key", True)


async def test_the_key_moves_into_the_keyring_and_back(tmp_path: Path) -> None:
    home, keyring = tmp_path / "home", tmp_path / "keyring.json"
    await fill(home)
    before = await secrets_of(home)
    (home / "config.toml").write_text('key_store = "keyring"\n')
    done = command(home, "rotate-key", keyring=keyring)
    assert done.returncode == 0, done.stderr
    assert "is in the keyring of this system" in done.stdout
    (line,) = Workspace(home).key_path.read_text().splitlines()
    key_id, place = line.split()
    assert place == "keyring"
    assert list(json.loads(keyring.read_text())) == [f"{key_store.SERVICE}/{key_id}"]
    assert await key_ids(home) == {key_id}
    exported = command(home, "export", keyring=keyring)
    assert (exported.returncode, "secret-number" in exported.stdout) == (0, False)
    locked = command(home, "rotate-key", keyring=tmp_path / "empty.json")
    assert locked.returncode == 2
    assert "The keyring of this system has no entry" in locked.stderr
    again = command(home, "rotate-key", keyring=keyring)
    assert again.returncode == 0, again.stderr
    assert len(json.loads(keyring.read_text())) == 1  # the older one was removed there
    (home / "config.toml").write_text('key_store = "file"\n')
    back = command(home, "rotate-key", keyring=keyring)
    assert back.returncode == 0, back.stderr
    assert json.loads(keyring.read_text()) == {}
    key_store._held.clear()
    assert await secrets_of(home) == before


def test_a_new_workspace_puts_its_first_key_where_the_setting_says(tmp_path: Path) -> None:
    home, keyring = tmp_path / "home", tmp_path / "keyring.json"
    home.mkdir()
    (home / "config.toml").write_text('key_store = "keyring"\n')
    assert command(home, "status", keyring=keyring).returncode == 0
    assert Workspace(home).key_path.read_text().split()[1] == "keyring"
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.toml").write_text('key_store = "keyring"\n')
    keyring.write_text('{"locked": ""}')
    refused = command(other, "status", keyring=keyring)
    assert refused.returncode == 2
    assert "did not take the key of the store (KeyringLocked)" in refused.stderr
    assert not Workspace(other).key_path.exists()


def test_what_a_key_sealed_is_told_by_its_beginning(tmp_path: Path) -> None:
    keys = load_keys(tmp_path / "key")
    assert seal({"password": "p"}, FIELDS, "o", keys)["password"].startswith(sealed_with(keys.active))
    assert replace(keys, by_id={}).find(keys.active) is None
