"""Configurations of adapters in documents: validated by the adapter's own model, completed to compare, masked for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError
from pydantic_core import to_jsonable_python

from syncterm.engine.adapters import Adapter, AdapterContext, adapter_class
from syncterm.engine.document_tree import DocumentError, DocumentFault, Node, show_path, suggest
from syncterm.engine.errors import ConfigError, PermissionDeniedError, SynctermError
from syncterm.engine.paths import check_path
from syncterm.engine.redaction import MASK, redact
from syncterm.engine.secrets import FieldPath, check_references, mask, register_literals, secret_fields

_PATH_KEY = "path"
"""The key under which adapters take the file or folder that they read or write."""


def read_config(type_node: Node, node: Node, group: str, context: AdapterContext) -> dict[str, Any]:
    """The configuration of an adapter as it is stored: validated, without defaults, secrets and references as they were written.

    Raises:
        DocumentError: an unknown type, or each field that is wrong, with its path.
    """
    type_ = type_node.text()
    try:
        adapter = load_adapter(group, type_)
    except ConfigError as error:
        raise type_node.error(error.message, remedy=error.remedy) from None
    node.mapping()
    config: dict[str, Any] = dict(node.value)
    register_literals(config, secret_fields(adapter.Config))
    try:
        check_references(config)
        validated = _plain_config(adapter, config, defaults=False)
    except ValidationError as error:
        raise _config_error(error, adapter, node) from None
    except SynctermError as error:  # a rule of the adapter's own
        raise node.error(redact(error.message), remedy=redact(error.remedy)) from None
    _refuse_switches(node, config, validated)
    path = validated.get(_PATH_KEY)
    if isinstance(path, str):
        try:
            check_path(path, context)
        except (ConfigError, PermissionDeniedError) as error:
            place = Node(path, (*node.path, _PATH_KEY), node.tree)
            raise place.error(error.message, remedy=error.remedy, fault=DocumentFault.REFUSED_PATH) from None
    return validated


def _refuse_switches(node: Node, written: Any, read: Any) -> None:
    """pydantic takes true for the number 1; a document that says so is mistaken."""
    if isinstance(written, bool) and not isinstance(read, bool):
        raise node.error("This must not be true or false.", remedy="Put text in quotes.")
    if isinstance(written, Mapping) and isinstance(read, Mapping):
        for key in written.keys() & read.keys():
            _refuse_switches(Node(None, (*node.path, key), node.tree), written[key], read[key])


def complete_config(group: str, type_: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with every default, for comparison; as it is where its adapter does not accept it or is not there."""
    try:
        return _plain_config(load_adapter(group, type_), config, defaults=True)
    except (ValidationError, SynctermError):
        return dict(config)


def masked_config(group: str, type_: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration for people and exports: `***` for secrets, and for every text where the adapter is not there to tell."""
    fields = fields_of(group, type_)
    if fields is None:
        return {key: MASK if isinstance(value, str | list | dict) else value for key, value in config.items()}
    return mask(config, fields)


def fields_of(group: str, type_: str) -> frozenset[FieldPath] | None:
    """The secret fields of an adapter; None where there is no such adapter."""
    try:
        return secret_fields(load_adapter(group, type_).Config)
    except ConfigError:
        return None


def load_adapter(group: str, type_: str) -> type[Adapter]:
    """The adapter of a type. Raises: ConfigError: there is none, or it cannot be loaded."""
    try:
        adapter: type[Adapter] = adapter_class(group, type_)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"The adapter {type_!r} cannot be loaded ({type(error).__name__}).", remedy="Install it again.") from None
    return adapter


def _plain_config(adapter: type[Adapter], config: Mapping[str, Any], *, defaults: bool) -> dict[str, Any]:
    model = adapter.Config.model_validate(dict(config))
    dumped: dict[str, Any] = plain(model.model_dump(by_alias=True, exclude_unset=not defaults))
    return dumped


def plain(value: Any) -> Any:
    """A configuration's values as JSON knows them, secrets opened."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, SecretBytes):
        return value.get_secret_value().decode()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return to_jsonable_python(value)


def _config_error(error: ValidationError, adapter: type[Adapter], node: Node) -> DocumentError:
    """The faults that pydantic found, the first one with its line."""
    faults = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        message, place = redact(fault["msg"]).rstrip("."), Node(None, (*node.path, *fault["loc"]), node.tree)
        remedy = ""
        if fault["type"] == "extra_forbidden":
            message, remedy = "There is no such key here", suggest(str(fault["loc"][-1]), _keys(adapter.Config))
        refused = fault["loc"] == (_PATH_KEY,) and fault["type"] == "value_error"
        faults.append((place, message.removeprefix("Value error, "), remedy, refused))
    first, message, remedy, refused = faults[0]
    others = "".join(f" {show_path(place.path)}: {text}." for place, text, *_ in faults[1:10])
    kind = DocumentFault.REFUSED_PATH if refused else DocumentFault.SCHEMA_ERROR
    return first.error(f"{message}.{others}", remedy=remedy, fault=kind)


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]
