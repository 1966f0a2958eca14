"""Secrets: which fields are secret, references, sealing, masking, and their removal from every text."""

from __future__ import annotations

import base64
import io
import json
import logging
import multiprocessing
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, quote_plus

import keyring
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked
from pydantic import BaseModel, Field, SecretStr

from syncterm.engine import redaction
from syncterm.engine.errors import ConfigError
from syncterm.engine.key_store import Keys, load_keys, retire_keys, rotate_key
from syncterm.engine.redaction import MASK, RedactingFilter, redact, register_secret
from syncterm.engine.secrets import (
    check_references,
    is_reference,
    mask,
    reseal,
    resolve,
    seal,
    secret_fields,
    unseal,
)

CANARY = "s3cr3t-CANARY/ü+'\"\\7f3a"


@pytest.fixture(autouse=True)
def _no_known_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_forms", {})


class Inner(BaseModel):
    token: Annotated[SecretStr | None, Field(title="Token")] = None


class Config(BaseModel):
    host: str
    password: SecretStr
    inner: Inner | None = None
    headers: dict[str, SecretStr] = {}
    keys: list[Inner] = []
    alias: SecretStr = Field(SecretStr(""), alias="private-key")


FIELDS = secret_fields(Config)
DOCUMENT = {
    "host": "example.com",
    "password": CANARY,
    "inner": {"token": CANARY + "2"},
    "headers": {"X-A": CANARY + "3"},
    "keys": [{"token": CANARY + "4"}, {"token": None}],
    "private-key": CANARY + "5",
}


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return load_keys(tmp_path / "key")


def test_secret_fields_come_from_the_model() -> None:
    assert {".".join(path) for path in FIELDS} == {"password", "inner.token", "headers.*", "keys.*.token", "alias", "private-key"}


# References -----------------------------------------------------------------------------------------------------------------


def test_references_are_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCTERM_TEST_SECRET", CANARY)
    (tmp_path / "secret").write_text(CANARY + "\n")
    config = {"host": "example.com", "password": "${env:SYNCTERM_TEST_SECRET}", "inner": {"token": f"${{file:{tmp_path}/secret}}"}}
    assert resolve(config, FIELDS) == {"host": "example.com", "password": CANARY, "inner": {"token": CANARY}}
    assert CANARY not in redact(f"could not connect with {CANARY}")


def test_literal_secrets_become_known_other_fields_do_not() -> None:
    resolve({"host": "example.com", "password": CANARY}, FIELDS)
    assert redact(f"{CANARY}@example.com") == f"{MASK}@example.com"


class MemoryKeyring(KeyringBackend):
    """A keyring of the process, in place of the operating system's."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def get_password(self, service: str, username: str) -> str | None:
        if service == "locked":
            raise KeyringLocked
        return CANARY if (service, username) == ("syncterm", "pg/main") else None


@pytest.fixture
def _memory_keyring() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(MemoryKeyring())
    yield
    keyring.set_keyring(before)


@pytest.mark.usefixtures("_memory_keyring")
def test_keyring_references() -> None:
    assert resolve({"password": "${keyring:syncterm/pg/main}"}, FIELDS)["password"] == CANARY
    with pytest.raises(ConfigError, match="no such entry"):
        resolve({"password": "${keyring:syncterm/other}"}, FIELDS)
    with pytest.raises(ConfigError, match="KeyringLocked"):
        resolve({"password": "${keyring:locked/x}"}, FIELDS)


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("${env:SYNCTERM_TEST_UNSET}", "not set"),
        ("${env:SYNCTERM_TEST_EMPTY}", "empty"),
        ("${env:1X}", "not a name"),
        ("${env:}", "not a name"),
        ("${file:relative/path}", "must be absolute"),
        ("${file:FOLDER/missing}", "No such file"),
        ("${file:FOLDER}", "regular file"),
        ("${file:FOLDER/fifo}", "regular file"),
        ("${file:/dev/zero}", "regular file"),
        ("${file:FOLDER/huge}", "more than"),
        ("${file:FOLDER/binary}", "not UTF-8"),
        ("${file:FOLDER/empty}", "empty"),
        ("${file:FOLDER/../FOLDERNAME/key}", "syncterm's own"),
        ("${file:FOLDER/link}", "syncterm's own"),
        ("${vault:x}", "use \\$\\{env"),
        ("${keyring:noname}", "service/name"),
    ],
)
def test_references_that_cannot_be_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, reason: str) -> None:
    monkeypatch.setenv("SYNCTERM_TEST_EMPTY", "")
    monkeypatch.delenv("SYNCTERM_TEST_UNSET", raising=False)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "huge").write_bytes(CANARY.encode() * 10_000)
    (tmp_path / "binary").write_bytes(b"CANARY\xff")
    (tmp_path / "empty").write_bytes(b"\n")
    (tmp_path / "key").write_text(CANARY)
    (tmp_path / "link").symlink_to(tmp_path / "key")
    reference = reference.replace("FOLDERNAME", tmp_path.name).replace("FOLDER", str(tmp_path))
    with pytest.raises(ConfigError, match=reason) as caught:
        resolve({"password": reference}, FIELDS, forbidden_paths=[tmp_path / "key"])
    assert "CANARY" not in str(caught.value)
    assert f"password: {reference}" in str(caught.value)


def test_malformed_references_are_found_without_looking_anything_up() -> None:
    check_references({"password": "${env:SYNCTERM_TEST_UNSET}", "host": "plain ${text}"})
    with pytest.raises(ConfigError, match=r"inner\.token"):
        check_references({"inner": {"token": "${vault:x}"}})


# Sealing --------------------------------------------------------------------------------------------------------------------


def test_sealed_configurations_hold_no_secret_and_open_again(keys: Keys) -> None:
    sealed = seal(DOCUMENT, FIELDS, "source-1", keys)
    assert sealed["host"] == "example.com"
    assert "CANARY" not in json.dumps(sealed)
    assert unseal(sealed, FIELDS, "source-1", keys) == DOCUMENT


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text())
def test_any_text_can_be_sealed(keys: Keys, value: str) -> None:
    config = {"password": value}
    if not is_reference(value):
        sealed = seal(config, FIELDS, "o", keys)
        assert sealed != config
        assert sealed != seal(config, FIELDS, "o", keys)  # a nonce each
        assert unseal(sealed, FIELDS, "o", keys) == config


def test_references_are_not_sealed(keys: Keys) -> None:
    config = {"password": "${env:X}"}
    assert seal(config, FIELDS, "o", keys) == config == unseal(config, FIELDS, "o", keys)


def test_unsealing_makes_a_secret_known(keys: Keys) -> None:
    unseal(seal({"password": CANARY}, FIELDS, "o", keys), FIELDS, "o", keys)
    assert redact(CANARY) == MASK


def test_a_sealed_value_opens_for_its_owner_and_field_only(keys: Keys) -> None:
    sealed = seal({"password": CANARY, "inner": {"token": "other"}}, FIELDS, "source-1", keys)
    with pytest.raises(ConfigError, match="does not open"):
        unseal(sealed, FIELDS, "source-2", keys)
    with pytest.raises(ConfigError, match="does not open"):
        unseal({"inner": {"token": sealed["password"]}}, FIELDS, "source-1", keys)


@pytest.mark.parametrize(
    "change", [lambda t: t[:-4], lambda t: t[:-6] + "AAAA" + t[-2:], lambda t: t + "!", lambda t: "sealed:1:x"]
)
def test_changed_values_are_refused(keys: Keys, change: object) -> None:
    assert callable(change)
    sealed = seal({"password": CANARY}, FIELDS, "o", keys)
    with pytest.raises(ConfigError, match="password: the stored secret"):
        unseal({"password": change(sealed["password"])}, FIELDS, "o", keys)


def test_another_stores_key_is_a_typed_error(keys: Keys, tmp_path: Path) -> None:
    sealed = seal({"password": CANARY}, FIELDS, "o", keys)
    with pytest.raises(ConfigError, match="not in the key file"):
        unseal(sealed, FIELDS, "o", load_keys(tmp_path / "other" / "key"))


def test_rotation(tmp_path: Path) -> None:
    path = tmp_path / "key"
    old = load_keys(path)
    sealed = seal({"password": CANARY}, FIELDS, "o", old)
    new = rotate_key(path)
    assert new.active != old.active
    assert unseal(sealed, FIELDS, "o", new) == {"password": CANARY}
    again, lost = reseal(sealed, "o", new)
    assert lost == 0
    last = retire_keys(path)
    assert list(last.by_id) == [new.active]
    assert unseal(again, FIELDS, "o", last) == {"password": CANARY}
    with pytest.raises(ConfigError, match="not in the key file"):
        unseal(sealed, FIELDS, "o", last)


def test_the_key_file_is_private_and_stable(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        keys = load_keys(tmp_path / "new" / "key")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "new" / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert load_keys(tmp_path / "new" / "key").by_id == keys.by_id
    assert base64.b64encode(keys.by_id[keys.active]).decode() not in repr(keys)


def _active_key(path: str) -> str:
    return load_keys(Path(path)).active


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert len(set(pool.map(_active_key, [str(tmp_path / "key")] * 12))) == 1


@pytest.mark.parametrize("content", ["", "garbage", "id not-base64!", "id AAAA", "\xff" * 40, "a b c"])
def test_a_damaged_key_file_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key"
    path.write_text(content, "latin-1")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="damaged"):
        load_keys(path)
    assert path.read_text("latin-1") == content


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    load_keys(tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_keys(tmp_path / "key")


# Masking and redaction ------------------------------------------------------------------------------------------------------


def test_mask_hides_literals_and_shows_references() -> None:
    masked = mask({**DOCUMENT, "password": "${env:X}"}, FIELDS)
    assert "CANARY" not in json.dumps(masked)
    assert masked["password"] == "${env:X}"
    assert masked["host"] == "example.com"
    assert masked["inner"] == {"token": MASK}


ECHOES = {
    "plain": lambda secret: secret,
    "url": lambda secret: quote(secret, safe=""),
    "url path": quote,
    "form": quote_plus,
    "twice in a url": lambda secret: quote(quote(secret, safe=""), safe=""),
    "json": json.dumps,
    "json unicode": lambda secret: json.dumps(secret, ensure_ascii=False),
    "repr": repr,
    "sql": lambda secret: "'" + secret.replace("'", "''") + "'",
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "basic 1": lambda secret: base64.b64encode(b"user:" + secret.encode()).decode(),
    "basic 2": lambda secret: base64.b64encode(b"user1:" + secret.encode() + b"x").decode(),
    "basic 3": lambda secret: base64.urlsafe_b64encode(b"user22:" + secret.encode() + b"xy").decode(),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
@pytest.mark.parametrize("secret", [CANARY, "hunter22", "pass", "äöü€𝄞-password", "a b&c=d/e?f"])
def test_every_echo_of_a_secret_is_removed(echo: object, secret: str) -> None:
    assert callable(echo)
    register_secret(secret)
    text = f"before {echo(secret)} after"
    redacted = redact(text)
    assert MASK in redacted
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")
    shown = redacted.removeprefix("before ").removesuffix(" after")
    assert len(shown) <= len(MASK) + 18  # the neighbours of the secret within base64, quotes


def test_lines_of_a_private_key_are_secrets_too() -> None:
    lines = ["-----BEGIN KEY-----", base64.b64encode(b"0" * 30).decode(), base64.b64encode(b"1" * 30).decode(), "-----END KEY-----"]
    register_secret("\n".join(lines))
    assert redact(f"bad line 2: {lines[1]}") == f"bad line 2: {MASK}"
    assert redact(lines[0]) == lines[0]


def test_short_values_are_not_looked_for() -> None:
    register_secret("app")
    assert redact("the application") == "the application"


def test_overlapping_secrets_leave_no_rest() -> None:
    register_secret("xxab")
    register_secret("abcdefgh")
    assert redact("1 xxabcdefgh 2") == f"1 {MASK} 2"


@given(st.lists(st.text(min_size=4, max_size=12), min_size=1, max_size=4), st.text(max_size=60), st.text(max_size=60))
def test_no_known_secret_survives(secrets: list[str], before: str, after: str) -> None:
    for secret in secrets:
        register_secret(secret)
    for secret in secrets:
        redacted = redact(before + secret + after)
        assert len(redacted) <= len(before) + len(after) + len(MASK) * (len(before) + len(after) + 1)
        assert secret not in redacted.replace(MASK, "\0") or secret in MASK


def test_log_records_are_redacted_wherever_the_secret_hides() -> None:
    register_secret(CANARY)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s|%(extra)s"))
    handler.addFilter(RedactingFilter())
    logger = logging.getLogger("syncterm.test.redaction")
    logger.propagate = False
    logger.addHandler(handler)
    try:
        try:
            raise ValueError(f"connect to postgres://u:{quote(CANARY, safe='')}@h")
        except ValueError:
            logger.exception("failed with %s", CANARY, extra={"extra": f"x {CANARY}"}, stack_info=True)
        logger.error("does not %d fit", CANARY, extra={"extra": ""})
    finally:
        logger.removeHandler(handler)
    text = stream.getvalue()
    assert "s3cr3t" not in text
    assert f"failed with {MASK}|x {MASK}" in text
    assert f"postgres://u:{MASK}@h" in text
    assert "does not %d fit" in text
