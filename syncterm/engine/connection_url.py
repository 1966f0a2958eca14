"""Connection URLs as people paste them, read into settings: percent-encoded or not, with sockets, IPv6, and odd passwords.

The form follows RFC 3986. Passwords are often pasted without percent-encoding; where the plain reading makes no sense, all up to
the last `@` is taken for user and password. No message of this module repeats any part of a URL but its scheme.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from syncterm.engine.errors import ConfigError

LONGEST_URL = 8192
"""Characters."""
_SCHEME = re.compile(r"(?:jdbc:)?([A-Za-z][A-Za-z0-9+.\-]*)://(.*)", re.DOTALL)
_HOST = r"\[[0-9A-Fa-f:.%\w\-]+\]|[^\s@/?#:\[\]]*"
_REST = re.compile(rf"(?P<host>{_HOST})(?::(?P<port>\d*))?(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?(?:#.*)?", re.DOTALL)
_HEX = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True, repr=False)
class ConnectionUrl:
    """The parts of a URL, decoded; empty where it does not name them."""

    scheme: str
    """Without a driver: `postgresql` of `postgresql+asyncpg`."""
    user: str = ""
    password: str = ""
    host: str = ""
    port: int | None = None
    path: str = ""
    """Without the slash before it."""
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class UrlSettings:
    """What a connection URL says of a configuration."""

    values: Mapping[str, Any]
    """Keys of the configuration, as its model reads them."""
    unused: tuple[str, ...] = ()
    """Names of parameters that this adapter has no setting for."""


def url_scheme(text: str) -> str:
    """The scheme of a text that looks like a URL, in small letters and without a driver; empty where it does not."""
    match = _SCHEME.fullmatch(text.strip())
    return match[1].partition("+")[0].lower() if match else ""


def parse_url(text: str, schemes: Collection[str]) -> ConnectionUrl:
    """The parts of a connection URL.

    Args:
        schemes: those that are understood, in small letters.

    Raises:
        ConfigError: it is none, is of another scheme, or names no host that could be one.
    """
    text = text.strip()
    match = _SCHEME.fullmatch(text)
    expected = ", ".join(f"{scheme}://" for scheme in schemes)
    if match is None or len(text) > LONGEST_URL:
        raise ConfigError("That is not a connection URL.", remedy=f"It begins with {expected}.")
    scheme = match[1].partition("+")[0].lower()
    if scheme not in schemes:
        raise ConfigError(f"A URL that begins with {match[1][:30]}:// is not for this type.", remedy=f"It takes {expected}.")
    user, rest = _split(match[2], scheme)
    port = int(rest["port"][:9]) if rest["port"] else None
    name, colon, password = user.partition(":")
    host = rest["host"]
    return ConnectionUrl(
        scheme,
        _decoded(name),
        _decoded(password) if colon else "",
        host[1:-1] if host.startswith("[") else _decoded(host),
        port,
        _decoded((rest["path"] or "")[1:]),
        tuple(_parameters(rest["query"] or "")),
    )


def _split(text: str, scheme: str) -> tuple[str, re.Match[str]]:
    """User and password as they are written, and what follows them."""
    end = min((position for position in (text.find(sign) for sign in "/?#") if position >= 0), default=len(text))
    at = text.rfind("@", 0, end)
    rest = _REST.fullmatch(text, at + 1)
    if rest is not None and "@" not in (rest["path"] or "") and (at >= 0 or "@" not in _last_part(text)):
        return text[: max(at, 0)], rest
    at = text.rfind("@")
    rest = _REST.fullmatch(text, at + 1)
    if at < 0 or rest is None:
        raise ConfigError(
            "The URL names no host that could be one.",
            remedy=f"It looks like {scheme}://user:password@host:port/database; in a password @ / ? # are %40 %2F %3F %23.",
        )
    return text[:at], rest


def _last_part(text: str) -> str:
    """What may hold an `@` that ends an unencoded password: everything but the values of parameters."""
    return re.sub(r"=[^&]*", "", text)


def _parameters(query: str) -> list[tuple[str, str]]:
    pairs = (part.partition("=") for part in query.split("&") if part)
    return [(_decoded(name), _decoded(value)) for name, _, value in pairs]


def _decoded(text: str) -> str:
    """Percent-decoded where that gives text; as it is where it was never encoded."""
    if "%" not in text or _HEX.search(text):
        return text
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def path_of_url(text: str, schemes: Collection[str]) -> str:
    """The path that a file's URL names; a text that is no URL is a path already.

    `file:///data/x` is absolute. In the other schemes (`sqlite:///x`) three slashes mean a relative path and four an absolute
    one, as SQLAlchemy writes it.

    Raises:
        ConfigError: a URL of another scheme, of another machine, or without a path.
    """
    text = text.strip()
    if not url_scheme(text):
        return text
    match = _SCHEME.fullmatch(text)
    scheme = url_scheme(text)
    if match is None or scheme not in schemes:
        expected = ", ".join(f"{scheme}://" for scheme in schemes)
        raise ConfigError(
            f"A URL that begins with {scheme[:30]}:// is not for this type.", remedy=f"It takes a path, or {expected}."
        )
    host, _, path = match[2].partition("/")
    if host not in ("", "localhost") or not path.strip("/"):
        raise ConfigError("The URL names no file of this machine.", remedy=f"It looks like {scheme}:///folder/file.")
    path = _decoded(path.partition("?")[0] if scheme != "file" else path)
    return "/" + path if scheme == "file" else path
