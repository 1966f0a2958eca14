"""What the PostgreSQL source and destination share: configuration, connections, quoting, and the meaning of errors.

The connections themselves are in `postgres_session`.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, SecretStr, field_validator
from pydantic import Field as ConfigField

from syncterm.engine.adapters import CONNECT_TIMEOUT, AdapterConfig
from syncterm.engine.connection_url import UrlSettings, parse_url
from syncterm.engine.errors import (
    AuthenticationError,
    ConfigError,
    ConnectionTimeoutError,
    PermissionDeniedError,
    SynctermError,
)

_URL_PARAMETERS = {
    "host": "host",
    "port": "port",
    "dbname": "database",
    "user": "user",
    "password": "password",
    "sslmode": "sslmode",
    "sslrootcert": "sslrootcert",
    "schema": "schema",
    "currentSchema": "schema",
}
"""Parameters of a URL, in libpq's and JDBC's names → settings."""
_SEARCH_PATH = re.compile(r"-c\s*search_path=([^,\s]+)")
MAX_NAME_BYTES = 63
"""Bytes of an identifier that PostgreSQL keeps (NAMEDATALEN - 1); it silently truncates longer ones."""
_MAX_WORDS = 2000
"""Characters of a server's message that are repeated."""


class PostgresConfig(AdapterConfig):
    """How to reach a PostgreSQL database."""

    model_config = ConfigDict(populate_by_name=True)

    account_fields: ClassVar[frozenset[str] | None] = frozenset({"host", "port", "user"})

    url_schemes: ClassVar[tuple[str, ...]] = ("postgres", "postgresql")
    url_example: ClassVar[str] = "postgres://user:password@host:5432/database"

    host: str = ConfigField(
        default="localhost",
        title="Host",
        description="A name, an address, or the folder of a Unix socket.",
        min_length=1,
        json_schema_extra={"group": "Connection"},
    )
    port: int = ConfigField(default=5432, title="Port", ge=1, le=65535, json_schema_extra={"group": "Connection"})
    database: str = ConfigField(
        title="Database", description="The database's name.", min_length=1, json_schema_extra={"group": "Connection"}
    )
    schema_name: str = ConfigField(
        default="public",
        alias="schema",
        title="Schema",
        description="As a source: its tables and views are the streams. As a destination: for connectors that name no collection.",
        min_length=1,
        json_schema_extra={"group": "Connection"},
    )
    user: str = ConfigField(
        title="User", description="The role that syncterm logs in as.", min_length=1, json_schema_extra={"group": "Credentials"}
    )
    password: SecretStr | None = ConfigField(
        default=None,
        title="Password",
        description="Empty where the server asks for none.",
        json_schema_extra={"group": "Credentials"},
    )
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = ConfigField(
        default="prefer",
        title="Mode",
        description="prefer and require encrypt, but trust any server; verify-full checks its certificate and its name.",
        json_schema_extra={
            "group": "TLS",
            "choices": {
                "disable": "never encrypted",
                "prefer": "encrypted where the server can",
                "require": "encrypted, any certificate",
                "verify-ca": "encrypted, certificate checked",
                "verify-full": "encrypted, certificate and host name checked",
            },
        },
    )
    sslrootcert: str | None = ConfigField(
        default=None,
        title="CA certificate",
        description="A PEM file; empty for the system's own certificates.",
        json_schema_extra={"group": "TLS", "path": "file", "shown_when": {"sslmode": ["verify-ca", "verify-full"]}},
    )

    @field_validator("host", "database", "schema_name", "user")
    @classmethod
    def _no_url(cls, value: str) -> str:
        """A URL holds a password, and these are shown."""
        if "://" in value:
            raise ValueError("is a connection URL; it belongs into Connection URL")
        return value

    @classmethod
    def from_url(cls, url: str) -> UrlSettings:
        """The settings in a libpq or SQLAlchemy URL. Source: PostgreSQL's documentation, "Connection URIs"."""
        parts = parse_url(url, cls.url_schemes)
        if "," in parts.host:
            raise ConfigError("The URL names several hosts.", remedy="A connection leads to one: leave the others out.")
        values: dict[str, Any] = {
            "host": parts.host,
            "port": parts.port,
            "database": parts.path,
            "user": parts.user,
            "password": parts.password,
        }
        unused = []
        for name, value in parts.query:
            if name in _URL_PARAMETERS:
                values[_URL_PARAMETERS[name]] = value
            elif name == "options" and (path := _SEARCH_PATH.search(value)):
                values["schema"] = path[1].strip('"')
            else:
                unused.append(name)
        if values.get("sslmode") == "allow":  # libpq's own between disable and prefer
            values["sslmode"] = "prefer"
        return UrlSettings({key: value for key, value in values.items() if value not in ("", None)}, tuple(unused))

    @classmethod
    def suggested_name(cls, settings: Mapping[str, Any]) -> str:
        database = settings.get("database")
        return f"{settings.get('host', 'localhost')}/{database}" if database else ""

    @property
    def place(self) -> str:
        """Where this leads to, for messages: all but the password."""
        return f"PostgreSQL at {self.host}:{self.port}, database {self.database!r}, user {self.user!r}"


def quote_name(name: str) -> str:
    """A quoted identifier, as PostgreSQL's `quote_ident` makes it (but always quoted)."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """A string literal, as PostgreSQL's `quote_literal` makes it: safe whatever `standard_conforming_strings` says.

    Raises:
        ConfigError: where it holds a NUL character, which no PostgreSQL text can.
    """
    if "\0" in text:
        raise ConfigError(f"The value {text!a} holds a NUL character, which PostgreSQL cannot take.")
    escaped = text.replace("'", "''")
    return "E'" + escaped.replace("\\", "\\\\") + "'" if "\\" in escaped else f"'{escaped}'"


def check_name(kind: str, name: str) -> None:
    """Refuse an identifier that PostgreSQL could not keep exactly.

    Raises:
        ConfigError: empty, with a NUL character, not valid Unicode, or longer than 63 bytes.
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ConfigError(f"The {kind} name {name!a} is not valid Unicode.", remedy=f"Choose another {kind} name.") from None
    if not name or "\0" in name:
        raise ConfigError(f"The {kind} name {name!a} is empty or holds a NUL character.", remedy=f"Choose another {kind} name.")
    if size > MAX_NAME_BYTES:
        raise ConfigError(
            f"The {kind} name {name!r} has {size} bytes; PostgreSQL keeps {MAX_NAME_BYTES} and would cut off the rest.",
            remedy=f"Choose a shorter {kind} name.",
        )


@dataclass(frozen=True, slots=True)
class Side:
    """Which errors an adapter raises: the same fault means another thing at a source than at a destination."""

    unavailable: type[SynctermError]
    """May pass without any change."""
    failed: type[SynctermError]
    """Will not."""
    missing: type[SynctermError]
    """A table or column that was expected is not there."""
    busy: type[SynctermError]
    """A lock was not to be had in time."""


def explain(error: BaseException, config: PostgresConfig, side: Side) -> SynctermError:
    """What an error of asyncpg, of the network or of TLS means, in words that name the place and never the password."""
    import asyncpg

    place = config.place
    if isinstance(error, asyncpg.PostgresError):
        return _explain_server(error, config, side)
    if isinstance(error, TimeoutError):
        return ConnectionTimeoutError(
            f"{place} did not answer in time: {error}" if str(error) else f"{place} did not answer within {CONNECT_TIMEOUT:g} s.",
            remedy="Check host and port, the network and its firewalls, and whether the server is overloaded.",
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConfigError(
            f"The certificate of {config.host}:{config.port} is not trusted: {error.verify_message}.",
            remedy="Name the CA certificate, correct the host, or lower the TLS mode.",
        )
    if isinstance(error, ssl.SSLError):
        return ConfigError(f"{place}: TLS failed: {error.reason or error}.", remedy="Check the TLS mode and the certificates.")
    if isinstance(error, socket.gaierror):
        return side.unavailable(
            f"The host name {config.host!r} could not be resolved: {error.strerror}.", remedy="Check the name and the DNS."
        )
    if isinstance(error, ConnectionError) and "rejected SSL upgrade" in str(error):
        return ConfigError(
            f"{config.host}:{config.port} offers no TLS, but the TLS mode is {config.sslmode}.",
            remedy="Switch TLS on at the server, or set the TLS mode to prefer or disable.",
        )
    if isinstance(error, ConnectionRefusedError) or (isinstance(error, OSError) and "Connect call failed" in str(error)):
        return side.unavailable(
            f"Nothing accepts connections at {config.host}:{config.port} (database {config.database!r}, user {config.user!r}).",
            remedy="Check host and port, and whether the server runs and listens on that address.",
        )
    if isinstance(error, OSError):
        return side.unavailable(f"The connection to {place} failed: {error.strerror or error}.", remedy="Try again later.")
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        # The latter is what asyncpg raises where the server's goodbye has arrived, but nobody has looked at it yet.
        return side.unavailable(f"The connection to {place} was lost: {error}.", remedy="Try again later.")
    return side.failed(f"{place}: {type(error).__name__}: {error}")


def _explain_server(error: Any, config: PostgresConfig, side: Side) -> SynctermError:
    """The meaning of a SQLSTATE. Source: PostgreSQL's Appendix A, "PostgreSQL Error Codes"."""
    state: str = error.sqlstate or ""
    words = str(error)[:_MAX_WORDS]
    detail = f" {error.detail}" if getattr(error, "detail", None) else ""
    answer = f"{config.place} answers: {words}{detail[:_MAX_WORDS]}"
    if state.startswith("28"):
        return AuthenticationError(answer, remedy="Check user and password, and the server's pg_hba.conf.")
    if state == "3D000":
        return ConfigError(answer, remedy="Correct the database's name.")
    if state == "42501":
        return PermissionDeniedError(answer, remedy=f"Grant the user {config.user!r} what is missing.")
    if state == "55P03":
        return side.busy(answer, remedy="Somebody holds a lock on the table. Try again.")
    if state == "53100":
        return side.failed(answer, remedy="Free some space on the server and sync again.")
    if state in ("42P01", "42703", "3F000"):
        return side.missing(answer, remedy="Refresh the schema, and change the connector where it needs what is gone.")
    passing = ("08", "53", "57", "58", "40")
    if state.startswith(passing) or state in ("25P02", "25P03", "25P04"):
        return side.unavailable(answer, remedy="This may pass. Try again.")
    return side.failed(f"{answer} (SQLSTATE {state})")


def tls_context(config: PostgresConfig) -> ssl.SSLContext | None:
    """The TLS settings of a mode. Source of the modes: libpq's documentation, "SSL Mode Descriptions".

    Raises:
        ConfigError: where the CA certificate cannot be read.
    """
    if config.sslmode == "disable":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.sslmode in ("prefer", "require"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context.check_hostname = config.sslmode == "verify-full"
    try:
        context.load_verify_locations(cafile=config.sslrootcert) if config.sslrootcert else context.load_default_certs()
    except OSError as error:
        raise ConfigError(
            f"The CA certificate {config.sslrootcert!r} cannot be read: {error.strerror or error}.", remedy="Correct the path."
        ) from None
    return context
