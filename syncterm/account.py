"""Who runs this process."""

from __future__ import annotations

import os
import pwd


def account_name() -> str:
    """Who runs this process, by its real user id, and for whom where sudo says so; the environment's USER proves nothing."""
    own = _name(os.getuid())
    sudo = os.environ.get("SUDO_UID", "")
    return f"{own} (sudo: {_name(int(sudo))})" if sudo.isdigit() and os.getuid() == 0 else own


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
