"""Folder names made of any stream name: safe everywhere, readable where possible, and never the same for two names.

a–z 0–9 _ - .          as they are (a dot not at the ends)
A–Z                    `+` and the lower case letter, so that `orders` and `Orders` differ where the file system ignores case
all else               `%` and two hexadecimal digits for each byte of its UTF-8, so that neither normal forms nor slashes matter
longer than 200 bytes  cut, then `~` and the first 32 hexadecimal digits of the name's SHA-256
names of devices       (Windows') and of parts (`part-00000`): their first letter as `%` and digits
"""

from __future__ import annotations

import hashlib
import re

from syncterm.engine.errors import ConfigError

MAX_LENGTH = 200
"""Bytes of a folder name; common file systems allow 255."""
_DIGEST_LENGTH = 32
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?|part-[0-9].*")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")


def folder_name(name: str) -> str:
    """The folder name of a stream or a collection.

    Raises:
        ConfigError: the name is empty or not valid Unicode.
    """
    if not name:
        raise ConfigError("An empty name cannot be a folder.", remedy="Choose another table name.")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"The name {name!a} is not valid Unicode.", remedy="Choose another table name.") from None
    encoded = "".join(_encode(character, inner=0 < place < len(name) - 1) for place, character in enumerate(name))
    if _RESERVED.fullmatch(encoded):
        encoded = _escape(encoded[0]) + encoded[1:]
    if len(encoded) > MAX_LENGTH:
        digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_LENGTH]
        encoded = f"{encoded[: MAX_LENGTH - _DIGEST_LENGTH - 1]}~{digest}"
    return encoded


def _encode(character: str, *, inner: bool) -> str:
    if character in _PLAIN or (character == "." and inner):
        return character
    if "A" <= character <= "Z":
        return "+" + character.lower()
    return _escape(character)


def _escape(character: str) -> str:
    return "".join(f"%{byte:02x}" for byte in character.encode())
