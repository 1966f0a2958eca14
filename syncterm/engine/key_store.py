"""The keys that seal a store's secrets: a file beside the store, mode 0600, and where a person wants it the system's keyring.

One key a line: its identifier, and the key in base64 or the word `keyring`, where the operating system's keyring holds it under
`SERVICE` and that identifier. The first one seals, all of them unseal. The file is the truth about which keys there are, so that
every process of a workspace agrees, whatever its own settings say.

Rotation adds a key, and retires the others only when nothing is sealed with them any more; in between all of them are there.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from syncterm.engine.errors import ConfigError

SERVICE = "syncterm key"
"""The name under which the keyring holds keys; the user name of an entry is the key's identifier."""
_IN_KEYRING = "keyring"
_KEY_BYTES = 32
_held: dict[Path, dict[str, bytes]] = {}
"""Keys that this process has read. One that is retired goes on opening what a running sync has read before."""


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The keys that seal the store's secrets."""

    by_id: Mapping[str, bytes]
    """Identifier → 32 bytes; the first one seals."""
    retired: Mapping[str, bytes] = field(default_factory=dict)
    """Keys that are no longer kept, which this process still knows."""

    @property
    def active(self) -> str:
        return next(iter(self.by_id))

    def find(self, key_id: str) -> bytes | None:
        """The key of an identifier; None where it is not known."""
        return self.by_id.get(key_id) or self.retired.get(key_id)

    def __repr__(self) -> str:
        return f"Keys({', '.join(self.by_id)})"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of the file."""

    key: bytes
    in_keyring: bool


def load_keys(path: Path, *, in_keyring: bool = False) -> Keys:
    """The keys of a workspace; the first call makes one.

    Args:
        path: the key file.
        in_keyring: whether a new key goes into the keyring.

    Raises:
        ConfigError: others may read the file, it cannot be read as keys, or the keyring does not give them.
    """
    if not path.exists():
        with _locked(path):
            if not path.exists():
                _add(path, {}, in_keyring)
    keys = {key_id: entry.key for key_id, entry in _read(path).items()}
    held = _held.setdefault(path, {})
    held |= keys
    return Keys(keys, {key_id: key for key_id, key in held.items() if key_id not in keys})


def rotate_key(path: Path, *, in_keyring: bool = False) -> Keys:
    """Add a new key that seals from now on; older ones go on unsealing. Then reseal every configuration, then `retire_keys`."""
    load_keys(path, in_keyring=in_keyring)
    with _locked(path):
        _add(path, _read(path), in_keyring)
    return load_keys(path)


def retire_keys(path: Path) -> Keys:
    """Drop all keys but the active one. Whatever is still sealed with them is lost."""
    with _locked(path):
        entries = _read(path)
        active = next(iter(entries))
        _write(path, {active: entries[active]})
        for key_id, entry in entries.items():
            if key_id != active and entry.in_keyring:
                _forget(key_id)
    return Keys({active: entries[active].key})


def _add(path: Path, older: Mapping[str, _Entry], in_keyring: bool) -> None:
    """Make a key the active one. A keyring gets it before the file names it, so that the file never names what is not there."""
    key_id, key = secrets.token_hex(8), secrets.token_bytes(_KEY_BYTES)
    if in_keyring:
        _put(key_id, key)
    _write(path, {key_id: _Entry(key, in_keyring), **older})


# The file -------------------------------------------------------------------------------------------------------------------


def _read(path: Path) -> dict[str, _Entry]:
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(
                f"The key file {path} may be read by others (mode {stat.S_IMODE(mode):o}).", remedy=f"chmod 600 {path}"
            )
        lines = [line.split() for line in path.read_text("ascii").splitlines() if line.strip()]
        held = _held.get(path, {})
        entries = {
            key_id: _Entry(held.get(key_id) or _get(key_id), in_keyring=True)
            if text == _IN_KEYRING
            else _Entry(base64.b64decode(text, validate=True), in_keyring=False)
            for key_id, text in lines
        }
    except OSError as error:
        raise ConfigError(f"The key file {path} cannot be read: {error.strerror}.") from None
    except (ValueError, binascii.Error):
        entries = {}
    if not entries or any(len(entry.key) != _KEY_BYTES for entry in entries.values()):
        raise ConfigError(
            f"The key file {path} is damaged.", remedy="Restore it from its backup; without it no stored secret opens."
        )
    return entries


def _write(path: Path, entries: Mapping[str, _Entry]) -> None:
    text = "".join(
        f"{key_id} {_IN_KEYRING if entry.in_keyring else base64.b64encode(entry.key).decode()}\n"
        for key_id, entry in entries.items()
    )
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time changes the key file: a key that another one overwrites would take its secrets with it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"The key file {path} cannot be written: {error.strerror}.") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


# The keyring ----------------------------------------------------------------------------------------------------------------


@contextmanager
def _keyring_in_words(action: str) -> Iterator[None]:
    from keyring.errors import KeyringError

    try:
        yield
    except (KeyringError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"The keyring of this system did not {action} the key of the store ({type(error).__name__}).",
            remedy='Unlock it; or set key_store = "file" in config.toml, where the key is not in the keyring yet.',
        ) from None


def _put(key_id: str, key: bytes) -> None:
    import keyring

    with _keyring_in_words("take"):
        keyring.set_password(SERVICE, key_id, base64.b64encode(key).decode())
        kept = keyring.get_password(SERVICE, key_id)
    if kept != base64.b64encode(key).decode():
        raise ConfigError("The keyring of this system does not keep what it is given.", remedy='Set key_store = "file".')


def _get(key_id: str) -> bytes:
    import keyring

    with _keyring_in_words("give"):
        text = keyring.get_password(SERVICE, key_id)
    if text is None:
        raise ConfigError(
            f"The keyring of this system has no entry {key_id!r} under {SERVICE!r}, the key of this store.",
            remedy="Unlock the keyring of the user that made it; without it no stored secret opens.",
        )
    return base64.b64decode(text, validate=True)


def _forget(key_id: str) -> None:
    import keyring

    with _keyring_in_words("remove"):
        keyring.delete_password(SERVICE, key_id)
