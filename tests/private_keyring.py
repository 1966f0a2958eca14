"""A keyring for tests that several processes share: a JSON file, named by `$SYNCTERM_TEST_KEYRING`."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError

VARIABLE = "SYNCTERM_TEST_KEYRING"
NAME = f"{__name__}.PrivateKeyring"
"""For `$PYTHON_KEYRING_BACKEND`."""


class PrivateKeyring(KeyringBackend):
    priority = 1

    @property
    def _path(self) -> Path:
        return Path(os.environ[VARIABLE])

    def _entries(self) -> dict[str, str]:
        if not self._path.exists():
            return {}
        found: dict[str, str] = json.loads(self._path.read_text())
        if "locked" in found:
            raise KeyringLocked
        return found

    def get_password(self, service: str, username: str) -> str | None:
        return self._entries().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._path.write_text(json.dumps({**self._entries(), f"{service}/{username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        entries = self._entries()
        if entries.pop(f"{service}/{username}", None) is None:
            raise PasswordDeleteError
        self._path.write_text(json.dumps(entries))
