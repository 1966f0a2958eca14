"""Identifiers that sort by the time they were made.

Layout after RFC 9562, UUID version 7: 48 bits of milliseconds, then random bits; written in Crockford's base 32, 20 characters.
"""

from __future__ import annotations

import secrets
from datetime import datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS = 52


def new_id(now: datetime) -> str:
    """A new identifier: 20 lowercase characters; later instants (to the millisecond) sort later."""
    number = (int(now.timestamp() * 1000) << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(95, -1, -5))
