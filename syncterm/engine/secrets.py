"""Secrets of configurations: references to where they lie, encryption of those that lie in the store, masking for people.

A secret is a field whose type in the adapter's configuration model is pydantic's `SecretStr`. Its value is a literal, which the
store keeps sealed, or a reference, which the store keeps as it is and which is looked up only when an adapter is made:

    ${env:NAME}                 an environment variable of the engine's process
    ${file:/path}               a file's content, without one line end
    ${keyring:service/name}     an entry of the operating system's keyring

Sealing is AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce a value; owner and field are authenticated with it, so that a
sealed value that is copied to another row or field is refused. The keys are in `key_store`: the active one seals, all unseal.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import stat
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr

from syncterm.engine.errors import ConfigError
from syncterm.engine.key_store import Keys
from syncterm.engine.redaction import MASK, register_secret

FieldPath = tuple[str, ...]
"""Keys from the configuration's top to a field; `*` stands for any key or index."""

LONGEST_SECRET = 64 * 1024
"""Bytes that are read of a secret's file."""
_NONCE_BYTES = 12
_SEALED = "sealed:1:"
_REFERENCE = re.compile(r"\$\{([A-Za-z]+):([^{}]*)\}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_DEEPEST_MODEL = 8


# Which fields are secret ----------------------------------------------------------------------------------------------------


def secret_fields(model: type[BaseModel]) -> frozenset[FieldPath]:
    """The secret fields of a configuration model, those of nested models, lists and mappings included."""
    return frozenset(_secret_paths(model, ()))


def _secret_paths(annotation: Any, path: FieldPath) -> Iterator[FieldPath]:
    if len(path) > _DEEPEST_MODEL:
        return
    if isinstance(annotation, type) and issubclass(annotation, SecretStr | SecretBytes):
        yield path
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            aliases = {alias for alias in (field.alias, field.validation_alias) if isinstance(alias, str)}
            for key in {name, *aliases}:
                yield from _secret_paths(field.annotation, (*path, key))
    else:
        one_deeper = get_origin(annotation) not in (None, Union, types.UnionType) and not hasattr(annotation, "__metadata__")
        for argument in get_args(annotation):
            yield from _secret_paths(argument, (*path, "*") if one_deeper else path)


def is_secret(path: FieldPath, fields: Collection[FieldPath]) -> bool:
    """Whether the field at a path is one of the secret fields."""
    return any(
        len(field) == len(path) and all(part in ("*", key) for part, key in zip(field, path, strict=True)) for field in fields
    )


Change = Callable[[FieldPath, str], str | None]


def _map_text(value: Any, change: Change, path: FieldPath = ()) -> Any:
    """A copy of a document with every text changed."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, str):
        return change(path, value)
    if isinstance(value, Mapping):
        return {key: _map_text(item, change, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_map_text(item, change, (*path, str(index))) for index, item in enumerate(value)]
    return value


def _map_secrets(config: Mapping[str, Any], fields: Collection[FieldPath], change: Change) -> dict[str, Any]:
    changed: dict[str, Any] = _map_text(config, lambda path, text: change(path, text) if is_secret(path, fields) else text)
    return changed


# References -----------------------------------------------------------------------------------------------------------------


def is_reference(text: str) -> bool:
    """Whether a value says where it lies instead of being it."""
    return _REFERENCE.fullmatch(text) is not None


def resolve(
    config: Mapping[str, Any], fields: Collection[FieldPath] = (), *, forbidden_paths: Collection[Path] = ()
) -> dict[str, Any]:
    """A configuration with every reference replaced by what it names; to be validated again, and never stored.

    What was looked up, and the literals of the secret fields, become known to `redaction.redact`.

    Args:
        config: an adapter's configuration, unsealed.
        fields: its secret fields.
        forbidden_paths: files that `${file:…}` must not name: the product's own.

    Raises:
        ConfigError: naming the field and the reference that cannot be resolved; never a value.
    """

    def change(path: FieldPath, text: str) -> str:
        match = _REFERENCE.fullmatch(text)
        if match is not None:
            text = _look_up(match[1], match[2], ".".join(path), forbidden_paths)
            register_secret(text)
        elif is_secret(path, fields):
            register_secret(text)
        return text

    resolved: dict[str, Any] = _map_text(config, change)
    return resolved


def register_literals(config: Mapping[str, Any], fields: Collection[FieldPath]) -> None:
    """Make the literal secrets of a configuration known to `redaction.redact`. Looks nothing up."""

    def register(path: FieldPath, text: str) -> str:
        if not is_reference(text):
            register_secret(text)
        return text

    _map_secrets(config, fields, register)


def check_references(config: Mapping[str, Any]) -> None:
    """Raises: ConfigError: where a reference is malformed. Looks nothing up."""

    def check(path: FieldPath, text: str) -> str:
        match = _REFERENCE.fullmatch(text)
        if match is not None:
            _parse_reference(match[1], match[2], ".".join(path))
        return text

    _map_text(config, check)


def _parse_reference(scheme: str, name: str, field: str) -> None:
    faults = {
        "env": "" if _VARIABLE.fullmatch(name) else "that is not a name of an environment variable",
        "file": "" if name.startswith("/") and "\0" not in name else "a path must be absolute",
        "keyring": "" if all(name.partition("/")) else "write ${keyring:service/name}",
    }
    fault = faults.get(scheme, "use ${env:NAME}, ${file:/path} or ${keyring:service/name}")
    if fault:
        raise ConfigError(f"{field}: ${{{scheme}:{name}}} is not a reference to a secret: {fault}.")


def _look_up(scheme: str, name: str, field: str, forbidden_paths: Collection[Path]) -> str:
    _parse_reference(scheme, name, field)
    subject = f"{field}: ${{{scheme}:{name}}}"
    if scheme == "env":
        value = os.environ.get(name)
        if value is None:
            raise ConfigError(
                f"{subject} cannot be resolved: the environment variable is not set.",
                remedy="Set it in the environment of the engine and start it again.",
            )
    elif scheme == "file":
        value = _read_file(Path(name), subject, forbidden_paths)
    else:
        value = _ask_keyring(name, subject)
    if not value:
        raise ConfigError(f"{subject} cannot be resolved: it is empty.")
    return value


def _read_file(path: Path, subject: str, forbidden_paths: Collection[Path]) -> str:
    if path.resolve() in {forbidden.resolve() for forbidden in forbidden_paths}:
        raise ConfigError(f"{subject} cannot be resolved: that file is syncterm's own.")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO must not block
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigError(f"{subject} cannot be resolved: it is not a regular file.")
            data = b""
            while len(data) <= LONGEST_SECRET and (piece := os.read(descriptor, LONGEST_SECRET + 1 - len(data))):
                data += piece
        finally:
            os.close(descriptor)
        value = data.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{subject} cannot be resolved: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{subject} cannot be resolved: the file is not UTF-8 text.") from None
    if len(data) > LONGEST_SECRET:
        raise ConfigError(f"{subject} cannot be resolved: the file has more than {LONGEST_SECRET:,} bytes.")
    return value.removesuffix("\n").removesuffix("\r")


def _ask_keyring(name: str, subject: str) -> str | None:
    import keyring
    from keyring.errors import KeyringError

    service, _, entry = name.partition("/")
    try:
        value = keyring.get_password(service, entry)
    except (KeyringError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"{subject} cannot be resolved: the keyring refused ({type(error).__name__}).", remedy="Is a keyring unlocked here?"
        ) from None
    if value is None:
        raise ConfigError(
            f"{subject} cannot be resolved: the keyring has no such entry.", remedy=f"Add it: keyring set {service} {entry}"
        )
    return value


# Sealing --------------------------------------------------------------------------------------------------------------------


def sealed_with(key_id: str) -> str:
    """How what a key sealed begins."""
    return f"{_SEALED}{key_id}:"


def seal(config: Mapping[str, Any], fields: Collection[FieldPath], owner: str, keys: Keys) -> dict[str, Any]:
    """A configuration as the store keeps it: the literals of its secret fields encrypted, references as they are.

    Args:
        owner: identifier of the source or destination that the configuration belongs to; a sealed value opens for no other.
    """
    return _map_secrets(config, fields, lambda path, text: text if is_reference(text) else _close(text, path, owner, keys))


def unseal(config: Mapping[str, Any], fields: Collection[FieldPath], owner: str, keys: Keys) -> dict[str, Any]:
    """The configuration that was sealed; its secrets become known to `redaction.redact`.

    Raises:
        ConfigError: where a value was sealed with a key that is not there, belongs to another owner or field, or was changed.
    """

    return _map_secrets(config, fields, lambda path, text: _unseal_text(path, text, owner, keys))


def _unseal_text(path: FieldPath, text: str, owner: str, keys: Keys) -> str:
    if not text.startswith(_SEALED):
        return text
    value = _open(text, path, owner, keys)
    register_secret(value)
    return value


def unseal_what_opens(
    config: Mapping[str, Any], fields: Collection[FieldPath], owner: str, keys: Keys
) -> tuple[dict[str, Any], bool]:
    """As `unseal`, with None for what does not open, so that it can be entered again; and whether there is such a secret."""
    lost = False

    def change(path: FieldPath, text: str) -> str | None:
        nonlocal lost
        try:
            return _unseal_text(path, text, owner, keys)
        except ConfigError:
            lost = True
            return None

    opened = _map_secrets(config, fields, change)
    return opened, lost


def reseal(config: Mapping[str, Any], owner: str, keys: Keys) -> tuple[dict[str, Any], int]:
    """A stored configuration sealed again with the active key, wherever it is sealed with another; and how much does not open.

    Needs no adapter: what is sealed says so. What does not open stays as it is.
    """
    lost = 0

    def change(path: FieldPath, text: str) -> str:
        nonlocal lost
        if not text.startswith(_SEALED) or text.startswith(f"{_SEALED}{keys.active}:"):
            return text
        try:
            plain = _open(text, path, owner, keys)
        except ConfigError:
            lost += 1
            return text
        return _close(plain, path, owner, keys)

    resealed: dict[str, Any] = _map_text(config, change)
    return resealed, lost


def mask(config: Mapping[str, Any], fields: Collection[FieldPath]) -> dict[str, Any]:
    """A configuration for people and exports: `***` for every secret; references stay, they are none."""
    return _map_secrets(config, fields, lambda _, text: text if is_reference(text) else MASK)


def _close(text: str, path: FieldPath, owner: str, keys: Keys) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE_BYTES)
    data = text.encode("utf-8", "surrogatepass")
    sealed = AESGCM(keys.by_id[keys.active]).encrypt(nonce, data, _bound_to(owner, path))
    return f"{_SEALED}{keys.active}:{base64.urlsafe_b64encode(nonce + sealed).decode()}"


def _open(text: str, path: FieldPath, owner: str, keys: Keys) -> str:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    field = ".".join(path)
    key_id, _, payload = text.removeprefix(_SEALED).partition(":")
    key = keys.find(key_id)
    if key is None:
        raise ConfigError(
            f"{field}: the stored secret was sealed with the key {key_id[:32]!r}, which is not in the key file.",
            remedy="Restore the key file from its backup, or enter the secret again.",
        )
    try:
        data = base64.b64decode(payload, altchars=b"-_", validate=True)
        plain = AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], _bound_to(owner, path))
        return plain.decode("utf-8", "surrogatepass")
    except (InvalidTag, ValueError):
        raise ConfigError(
            f"{field}: the stored secret does not open: it was changed, or belongs to another field.", remedy="Enter it again."
        ) from None


def _bound_to(owner: str, path: FieldPath) -> bytes:
    return json.dumps([owner, *path]).encode()
