"""References that stand in a form instead of a secret: what they mean, and whether they can be followed here."""

from __future__ import annotations

import os

from syncterm.engine.errors import ConfigError
from syncterm.engine.secrets import check_references, is_reference

__all__ = ["about_reference", "is_reference", "reference_fault"]


def reference_fault(text: str) -> str:
    """What is wrong with a reference to a secret; empty where it is none, or has the right form."""
    try:
        check_references({"": text})
    except ConfigError as error:
        return error.message.removeprefix(": ")
    return ""


def about_reference(text: str) -> str:
    """What a reference refers to, and whether it is there; nothing is read but names of environment variables."""
    kind, _, name = text[2:-1].partition(":")
    if reference_fault(text):
        return ""
    match kind:
        case "env":
            state = "it is set here" if name in os.environ else "it is not set in this process"
            return f"The environment variable {name}, looked up at each sync; {state}."
        case "file":
            return f"The content of the file {name}, read at each sync."
    service, _, entry = name.partition("/")
    return f"The entry {entry} of {service} in the keyring, asked for at each sync."
