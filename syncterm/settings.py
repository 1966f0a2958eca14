"""What a person set: config.toml; and what the screens remember between runs: state.json.

`config.toml` lies in the platform's configuration folder, `state.json` in its state folder; both in `$SYNCTERM_HOME` where set.
The configuration is the person's own file and never written here. A theme picked in the dashboard goes into the state and wins over
the configured one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from platformdirs import user_config_path, user_state_path

from syncterm.engine.errors import ConfigError, StoreError

SIZE_LIMIT = 1_000_000  # bytes; neither file is ever near it
DEFAULT_DATE_FORMAT = "%Y-%m-%d %H:%M:%S"


class OnDisconnect(StrEnum):
    """What the engine in the dashboard's process does when the terminal goes away."""

    KEEP_RUNNING = "keep-running"
    STOP = "stop"


class KeyStore(StrEnum):
    """Where a new key that seals the store's secrets goes."""

    FILE = "file"
    KEYRING = "keyring"


class Dates(StrEnum):
    """How tables show instants."""

    RELATIVE = "relative"
    ABSOLUTE = "absolute"


@dataclass(frozen=True, slots=True)
class Settings:
    """The contents of config.toml, checked; each default is what an empty file means."""

    theme: str = ""
    """Name of a theme; empty for the product's own."""
    ascii: bool = False
    mouse: bool = True
    on_disconnect: OnDisconnect = OnDisconnect.KEEP_RUNNING
    dates: Dates = Dates.RELATIVE
    date_format: str = DEFAULT_DATE_FORMAT
    """strftime, for exact instants, shown in the local time zone."""
    key_store: KeyStore = KeyStore.FILE
    keymap: Mapping[str, str] = field(default_factory=dict)
    """Action id → keys, comma separated; replaces the action's own keys."""
    state_path: Path | None = None
    """Where the screens remember their settings; None keeps them in memory only."""


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where config.toml lies: $SYNCTERM_HOME, else the platform's configuration folder."""
    home = environ.get("SYNCTERM_HOME")
    return (Path(home) if home else user_config_path("syncterm", appauthor=False)) / "config.toml"


def state_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where state.json lies: $SYNCTERM_HOME, else the platform's state folder."""
    home = environ.get("SYNCTERM_HOME")
    return (Path(home) if home else user_state_path("syncterm", appauthor=False)) / "state.json"


def load(path: Path | None = None, *, state: Path | None = None) -> Settings:
    """Read config.toml; a missing file means the defaults.

    Raises:
        ConfigError: unreadable, too large, not TOML, an unknown key, or a value that does not fit; names the file and the line.
    """
    path = config_path() if path is None else path
    state = state_path() if state is None else state
    try:
        with path.open("rb") as file:
            raw = file.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        return Settings(state_path=state)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", remedy="Check the file's owner and mode.") from error
    if len(raw) > SIZE_LIMIT:
        raise ConfigError(
            f"{path} is larger than {SIZE_LIMIT:,} bytes.", remedy="It is not a syncterm configuration; move it away."
        )
    try:
        text = raw.decode("utf-8")
        document = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.", remedy="Mend that place, or move the file away.") from error
    return _settings(path, text, document, state)


def _settings(path: Path, text: str, document: Mapping[str, Any], state: Path) -> Settings:
    values: dict[str, Any] = {}
    for key, value in document.items():
        reader = _READERS.get(key)
        if reader is None:
            raise ConfigError(
                f"{path}, line {_line_of(text, key)}: {key!r} is not a setting.",
                remedy=f"Settings are: {', '.join(sorted(_READERS))}.",
            )
        try:
            values[key] = reader(value)
        except ValueError as error:
            raise ConfigError(f"{path}, line {_line_of(text, key)}: {key} {error}.") from error
    return Settings(**values, state_path=state)


def _line_of(text: str, key: str) -> int:
    pattern = re.compile(rf"^\s*\[*\s*[\"']?{re.escape(key)}[\"']?\s*[].=]")
    return next((number for number, line in enumerate(text.splitlines(), start=1) if pattern.match(line)), 1)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a text, not {value!r}")
    return value


def _theme(value: Any) -> str:
    from syncterm.themes import THEME_NAMES

    name = _text(value)
    if name and name not in THEME_NAMES:
        raise ValueError(f"{name!r} is not a theme; themes are {', '.join(THEME_NAMES)}")
    return name


def _choice(choices: type[StrEnum]) -> Callable[[Any], StrEnum]:
    def read(value: Any) -> StrEnum:
        try:
            return choices(value)
        except ValueError:
            raise ValueError(f"must be one of {', '.join(choices)}, not {value!r}") from None

    return read


def _date_format(value: Any) -> str:
    sample = datetime(2001, 2, 3, 4, 5, 6).astimezone().strftime(_text(value))
    if not sample or not sample.isprintable() or len(sample) > 40:
        raise ValueError(f"must print 1 to 40 visible characters, {value!r} prints {sample!r}")
    return str(value)


def _keymap(value: Any) -> dict[str, str]:
    from syncterm.actions import ACTIONS

    if not isinstance(value, dict):
        raise ValueError("must be a table of action = keys")
    for action, keys in value.items():
        if action not in ACTIONS:
            raise ValueError(f"names {action!r}, which is not an action; the help screen lists them")
        if not isinstance(keys, str) or not all(part.strip() for part in keys.split(",")):
            raise ValueError(f"of {action} must be a text such as 'r' or 'r,f5', not {keys!r}")
    return dict(value)


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "theme": _theme,
    "ascii": _boolean,
    "mouse": _boolean,
    "on_disconnect": _choice(OnDisconnect),
    "dates": _choice(Dates),
    "key_store": _choice(KeyStore),
    "date_format": _date_format,
    "keymap": _keymap,
}


class ScreenState:
    """What the screens remember: a JSON object a screen, read once, written at each change.

    It is a convenience: a file that cannot be read is replaced, and one that cannot be written is reported once, never fatal.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        """None keeps the state in memory."""
        self.problem = ""
        """Why the stored state was not used; empty where it was."""
        self._values: dict[str, dict[str, Any]] = {}
        if path is not None:
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            raw = path.read_bytes()
            if len(raw) > SIZE_LIMIT:
                raise ValueError("too large")
            document = json.loads(raw)
            if not isinstance(document, dict):
                raise ValueError("not an object")
        except FileNotFoundError:
            return
        except (OSError, ValueError, RecursionError) as error:
            self.problem = f"The saved view settings in {path} could not be read ({error}); the defaults are used."
            return
        self._values = {name: value for name, value in document.items() if isinstance(value, dict)}

    def get(self, screen: str) -> dict[str, Any]:
        """What that screen stored; empty where it stored nothing. Values come from a file: check each before use."""
        return dict(self._values.get(screen, {}))

    def put(self, screen: str, **values: Any) -> None:
        """Remember these values of a screen beside its others.

        Raises:
            StoreError: the file could not be written; the values hold for this run.
        """
        stored = self._values.setdefault(screen, {})
        if all(stored.get(name) == value for name, value in values.items()):
            return
        stored.update(values)
        if self.path is not None:
            try:
                write_private(self.path, json.dumps(self._values, indent=1, sort_keys=True).encode())
            except OSError as error:
                raise StoreError(
                    f"The view settings could not be saved to {self.path}: {error.strerror}.", remedy="They hold until you quit."
                ) from error


def write_private(path: Path, content: bytes) -> None:
    """Write a whole file atomically, readable by its owner only; missing folders are made with mode 0700.

    Raises:
        OSError: nothing was written, and what lay at `path` is as it was.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()
        raise
