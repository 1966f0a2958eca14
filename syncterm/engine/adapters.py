"""What sources and destinations share: the configuration model, the context they run in, and how they are found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from syncterm.engine.clock import Clock, SystemClock
from syncterm.engine.connection_url import UrlSettings
from syncterm.engine.errors import CancelledSyncError, ConfigError
from syncterm.engine.model import CheckStep

CONNECT_TIMEOUT = 10.0
"""Seconds until a connection attempt is given up."""
READ_TIMEOUT = 60.0
"""Seconds without a byte until a read is given up."""


class AdapterConfig(BaseModel):
    """Base of every adapter's configuration: it is the set-up form, its titles, help and defaults included."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=4096, hide_input_in_errors=True)

    account_fields: ClassVar[frozenset[str] | None] = None
    """Keys of the settings that say whose the secrets are, such as host, port and user: where these are the same, changed secrets
    are new credentials of the same account, which every version of a source uses. None: all settings that are no secrets."""
    url_schemes: ClassVar[tuple[str, ...]] = ()
    """Schemes of the URLs that `from_url` reads, without `://`; none where a URL makes no sense."""
    url_example: ClassVar[str] = ""
    """Such a URL, as a hint. Empty where the form needs no line of its own to paste one."""

    @classmethod
    def from_url(cls, url: str) -> UrlSettings:
        """The settings that a pasted URL names.

        Raises:
            ConfigError: it is of another scheme or makes no sense; never repeats the URL, which may hold a password.
        """
        raise ConfigError("This type takes no URL.", remedy="Fill the fields.")

    @classmethod
    def suggested_name(cls, settings: Mapping[str, Any]) -> str:
        """A name for a source or destination with these settings, which may be unfinished; empty where none comes to mind."""
        return ""


ConfigClass = type[AdapterConfig]


@dataclass(frozen=True, slots=True)
class AdapterContext:
    """What an adapter may know of the product around it."""

    clock: Clock = field(default_factory=SystemClock)
    forbidden_paths: tuple[Path, ...] = ()
    """Files that are never a source nor a destination: the product's own store and its keys."""
    base_folder: Path = field(default_factory=Path.cwd)
    """What relative paths in configurations are relative to."""


class Adapter:
    """What a source and a destination have in common.

    An adapter is made for one sync or one test, used from worker threads, and closed. Every method may block, except `interrupt`.
    """

    type: ClassVar[str]
    """Type id, in configurations and in the store."""
    title: ClassVar[str]
    """Name for people."""
    summary: ClassVar[str]
    """One line for the catalog."""
    Config: ClassVar[ConfigClass]

    def __init__(self, config: Any, context: AdapterContext) -> None:
        self.config = config
        self.context = context
        self.interrupted = False
        """Set by `interrupt`; every loop of an adapter polls it between pieces of work."""

    def check(self) -> Iterator[CheckStep]:
        """Test the connection; yields each step as it ends.

        Raises:
            AuthenticationError, PermissionDeniedError, ConnectionTimeoutError, ConfigError, SynctermError: what was found.
        """
        raise NotImplementedError

    def interrupt(self) -> None:
        """Make whatever this adapter is doing in another thread end soon, with `CancelledSyncError`. Thread-safe, never blocks."""
        self.interrupted = True

    def raise_if_interrupted(self) -> None:
        """Raises: CancelledSyncError: once `interrupt` has been called."""
        if self.interrupted:
            raise CancelledSyncError("The sync was cancelled.")

    def close(self) -> None:
        """Release connections and files; may be called more than once."""


SOURCES_GROUP = "syncterm.sources"
DESTINATIONS_GROUP = "syncterm.destinations"


@cache
def _entry_points(group: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}


def adapter_types(group: str) -> tuple[str, ...]:
    """The type ids that are registered in an entry point group, sorted."""
    return tuple(sorted(_entry_points(group)))


def adapter_package(group: str, type_: str) -> str:
    """The name of the distribution that registered a type; empty where none is known."""
    entry = _entry_points(group).get(type_)
    return entry.dist.name if entry is not None and entry.dist is not None else ""


def adapter_class(group: str, type_: str) -> type[Any]:
    """The adapter class of a type id.

    Raises:
        ConfigError: where no such type is registered; suggests the nearest one.
    """
    entry = _entry_points(group).get(type_)
    if entry is None:
        from difflib import get_close_matches

        kind = group.rpartition(".")[2].rstrip("s")
        known = adapter_types(group)
        near = get_close_matches(type_, known, n=1)
        remedy = f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(known)}."
        raise ConfigError(f"{type_!r} is not a {kind} type.", remedy=remedy)
    loaded: type[Any] = entry.load()
    return loaded


def parse_config(adapter: type[Adapter], document: dict[str, Any]) -> AdapterConfig:
    """The validated configuration of an adapter.

    Raises:
        ConfigError: naming each field that is wrong and what is allowed; values are not repeated, they may be secrets.
    """
    try:
        return adapter.Config.model_validate(document)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'configuration'}: {fault['msg']}" for fault in error.errors()
        )
        raise ConfigError(f"The {adapter.title} configuration is not valid: {faults}.") from None
