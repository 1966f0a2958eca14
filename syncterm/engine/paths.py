"""Which files a connector may name: never the product's own, never the system's, and only regular files and folders.

`check_path_text` needs no file system and serves configuration models; `check_path` is called where a file is about to be used;
`open_file` opens one for reading and looks again at what was opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from pydantic import Field as ConfigField
from pydantic import field_validator

from syncterm.engine.adapters import AdapterConfig, AdapterContext
from syncterm.engine.connection_url import UrlSettings, path_of_url
from syncterm.engine.errors import ConfigError, PermissionDeniedError, SourceUnavailableError

SYSTEM_FOLDERS = (Path("/proc"), Path("/sys"), Path("/dev"), Path("/etc"), Path("/boot"))
"""What lies below is the operating system's: devices, kernel interfaces, passwords, host keys."""
_ORDINARY = Path("/dev/shm")  # noqa: S108 - an ordinary folder, in memory; nothing is written there

MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 4096


class PathConfig(AdapterConfig):
    """What the configurations of adapters of files and folders share; they give `path` its own title and help."""

    url_schemes: ClassVar[tuple[str, ...]] = ("file",)

    path: str = ConfigField(min_length=1)

    @field_validator("path")
    @classmethod
    def _possible_path(cls, value: str) -> str:
        try:
            return check_path_text(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None

    @classmethod
    def from_url(cls, url: str) -> UrlSettings:
        return UrlSettings({"path": path_of_url(url, cls.url_schemes)})

    @classmethod
    def suggested_name(cls, settings: Mapping[str, Any]) -> str:
        return Path(str(settings.get("path") or "")).name


def check_path_text(text: str) -> str:
    """The path, known to be possible. Looks at the text only.

    Raises:
        ConfigError: where it is empty, too long, holds a NUL, names a URL or a system folder.
    """
    if not text.strip():
        raise ConfigError("The path is empty.", remedy="Name a file or a folder.")
    if "\x00" in text:
        raise ConfigError(f"The path {text!r} contains a NUL character.", remedy="Remove it.")
    if "://" in text:
        raise ConfigError(f"{text!r} is a URL, not a path.", remedy="Name a file or a folder of this machine.")
    encoded = os.fsencode(text)
    if len(encoded) > MAX_PATH_BYTES or any(len(part) > MAX_NAME_BYTES for part in encoded.split(b"/")):
        raise ConfigError(f"The path {text[:80]!r}… is too long.", remedy=f"At most {MAX_NAME_BYTES} bytes a name.")
    normal = os.path.normpath(text).replace("//", "/", 1)
    _refuse_system_folder(Path(normal), text)
    return text


def check_path(path: str | Path, context: AdapterContext) -> Path:
    """The path, absolute and without symbolic links; it need not exist.

    Args:
        path: `~` is the user's home; relative paths are relative to `context.base_folder`.
        context: names the files that are never a source nor a destination.

    Raises:
        ConfigError: it is one of those files (whatever link leads there), lies in a system folder, or is neither a regular file
            nor a folder.
        PermissionDeniedError: a folder on the way may not be entered.
    """
    text = check_path_text(str(path))
    try:
        named = context.base_folder / Path(text).expanduser()
        resolved = named.resolve()
        found = resolved.stat() if resolved.exists() else None
    except PermissionError as error:
        raise PermissionDeniedError(f"{text} cannot be reached: {error.strerror}.", remedy="Change its permissions.") from None
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"The path {text!r} cannot be resolved: {error}.", remedy="Correct the path.") from None
    _refuse_system_folder(resolved, text)
    _refuse_own(resolved, found, context)
    if found is not None:
        _refuse_special(resolved, found)
    return resolved


def open_file(path: Path, context: AdapterContext) -> BinaryIO:
    """A regular file, opened for reading, unbuffered. What was opened is checked again, so that a swap in between does no harm.

    Raises:
        ConfigError: as `check_path`, or there is no such file, or it is a folder.
        PermissionDeniedError: it may not be read.
        SourceUnavailableError: the system could not open it now.
    """
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist.", remedy="Correct the path, or put the file there.") from None
    except PermissionError as error:
        raise PermissionDeniedError(
            f"{path} cannot be read by uid {os.getuid()}: {error.strerror}.", remedy="Change its permissions."
        ) from None
    except OSError as error:
        raise SourceUnavailableError(f"{path} cannot be opened: {error.strerror}.") from None
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise ConfigError(f"{path} is a folder.", remedy="Name a file.")
        _refuse_special(path, found)
        _refuse_own(path, found, context)
        return os.fdopen(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


def _refuse_system_folder(path: Path, text: str) -> None:
    for folder in SYSTEM_FOLDERS:
        if path.is_relative_to(folder) and not path.is_relative_to(_ORDINARY):
            raise ConfigError(f"{text!r} lies in {folder}, which is the operating system's.", remedy="Name another file or folder.")


def _refuse_own(path: Path, found: os.stat_result | None, context: AdapterContext) -> None:
    for own in context.forbidden_paths:
        same = path == own.resolve()
        if not same and found is not None and own.exists():
            same = os.path.samestat(found, own.stat())
        if same:
            raise ConfigError(f"{path} belongs to syncterm itself and is never read or written by a connector.")


def _refuse_special(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"{path} is a pipe, a socket or a device.", remedy="Name a regular file or a folder.")
