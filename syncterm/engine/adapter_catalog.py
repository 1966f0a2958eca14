"""Every type of source and destination that is installed, for the catalog: other packages' too, and those that do not load."""

from __future__ import annotations

from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from pydantic import BaseModel

from syncterm.engine.adapters import SOURCES_GROUP, Adapter, adapter_class, adapter_package, adapter_types
from syncterm.engine.destinations.base import Destination, DestinationCapabilities
from syncterm.engine.redaction import redact
from syncterm.engine.sources.base import Source, SourceCapabilities

CAPABILITIES = {
    "incremental": "incremental",
    "deletes": "deletes",
    "real_time": "real time",
    "row_filter": "row filter",
    "upsert": "upsert",
    "transactions": "transactions",
}
"""What a type can do: the field of its capabilities → the word for people, in their order."""
OWN_PACKAGE = "syncterm"


@dataclass(frozen=True, slots=True)
class CatalogType:
    """A type as the catalog lists it. Its texts may be another package's."""

    type: str
    title: str
    summary: str
    abilities: tuple[tuple[str, bool], ...]
    """What it can do, and what it cannot."""
    package: str = ""
    """The distribution it comes from; empty for our own."""
    problem: str = ""
    """Why it cannot be used, in one sentence."""


def catalog_types(group: str) -> tuple[CatalogType, ...]:
    """Every type that is registered, those that work first, by title. Imports all of them: not for an event loop."""
    found = [_catalog_type(group, type_) for type_ in adapter_types(group)]
    return tuple(sorted(found, key=lambda each: (bool(each.problem), each.title.casefold(), each.type)))


def _catalog_type(group: str, type_: str) -> CatalogType:
    package = adapter_package(group, type_)
    package = "" if package == OWN_PACKAGE else package
    try:
        adapter = adapter_class(group, type_)
        problem = _misfit(group, adapter)
    except (Exception, SystemExit) as error:
        words = redact(str(error)).strip().partition("\n")[0][:300]
        adapter, problem = None, f"It cannot be loaded: {type(error).__name__}{': ' + words if words else ''}"
    if adapter is None or problem:
        return CatalogType(type_, type_, "", (), package, problem)
    capabilities = adapter.capabilities
    values = asdict(capabilities) if is_dataclass(capabilities) and not isinstance(capabilities, type) else {}
    abilities = tuple((word, bool(values[name])) for name, word in CAPABILITIES.items() if name in values)
    return CatalogType(type_, str(adapter.title), str(adapter.summary).rstrip("."), abilities, package)


def _misfit(group: str, adapter: Any) -> str:
    """Why a class is none of the adapters of a group; empty where it is one."""
    base: type[Adapter] = Source if group == SOURCES_GROUP else Destination
    if not (isinstance(adapter, type) and issubclass(adapter, base)):
        return f"It is registered as a {base.__name__.lower()}, but is none."
    if not (isinstance(getattr(adapter, "Config", None), type) and issubclass(adapter.Config, BaseModel)):
        return "It has no configuration model."
    lacking = [name for name in ("type", "title", "summary") if not isinstance(getattr(adapter, name, None), str)]
    if lacking:
        return f"It does not say its {' and '.join(lacking)}."
    capabilities = getattr(adapter, "capabilities", None)
    if not isinstance(capabilities, SourceCapabilities | DestinationCapabilities):
        return "It does not say what it can do."
    return ""
