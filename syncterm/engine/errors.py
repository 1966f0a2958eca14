"""What can go wrong, as one tree; each class carries the error class that the store keeps.

    SynctermError
    ├── ConfigError                 config            a value in a configuration is missing or wrong
    ├── AuthenticationError         auth              credentials were refused
    ├── PermissionDeniedError       permission        credentials hold, but not for this
    ├── ConnectionTimeoutError      timeout           nothing answered in time
    ├── RateLimitedError            rate_limited      asked to slow down; carries retry_after
    ├── SourceUnavailableError      source_transient  the source failed in a way that may pass
    ├── SourceDataError             source_data       the source's data cannot be read
    ├── SchemaChangedError          schema            the source's schema no longer fits the connector
    ├── DestinationError            destination       the destination refused or failed
    │   ├── DestinationUnavailableError  destination  a dropped connection, a restart; may pass
    │   ├── DestinationBusyError    destination       in use by another process; may pass
    │   └── StaleEpochError         destination       another engine has taken over: nothing may be written
    ├── InterruptedSyncError        interrupted       the process died or was told to stop
    ├── StalledError                timeout           no bytes and no rows within the stall limit
    ├── UnbalancedError             internal          read ≠ written + unchanged + filtered + rejected
    ├── TooManyRejectsError         source_data       more failed records than the connector allows
    ├── StoreError                  internal          the product's own store
    │   └── StoreTooNewError        internal          written by a newer version; left unchanged
    ├── NotAllowedError             permission        this person's role does not include that operation
    └── CancelledSyncError          –                 a person cancelled; not a failure

Source of the classes: the product's semantics ("Error classes").
"""

from __future__ import annotations

from enum import StrEnum


class ErrorClass(StrEnum):
    """The classes of error that the store keeps and the screens show."""

    CONFIG = "config"
    AUTH = "auth"
    PERMISSION = "permission"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    SOURCE_TRANSIENT = "source_transient"
    SOURCE_DATA = "source_data"
    SCHEMA = "schema"
    DESTINATION = "destination"
    INTERNAL = "internal"
    INTERRUPTED = "interrupted"


class SynctermError(Exception):
    """Base of every error that syncterm raises on purpose.

    Args:
        message: what failed, with which name and value, and why; one paragraph, no secrets.
        remedy: what to do next, as a sentence; empty where the message says it all.
    """

    error_class: ErrorClass = ErrorClass.INTERNAL
    transient: bool = False
    """Whether a retry without any change can succeed."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.end: str | None = None
        """`source` or `destination`, where it is known which end of a connector raised it."""

    def __str__(self) -> str:
        stop = "." if self.remedy and self.message and self.message[-1] not in ".!?:" else ""
        return f"{self.message}{stop} {self.remedy}".strip()


class ConfigError(SynctermError):
    error_class = ErrorClass.CONFIG


class AuthenticationError(SynctermError):
    error_class = ErrorClass.AUTH


class PermissionDeniedError(SynctermError):
    error_class = ErrorClass.PERMISSION


class ConnectionTimeoutError(SynctermError):
    error_class = ErrorClass.TIMEOUT
    transient = True


class RateLimitedError(SynctermError):
    error_class = ErrorClass.RATE_LIMITED
    transient = True

    def __init__(self, message: str, *, retry_after: float | None = None, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after
        """Seconds the source asked for; None where it named none."""


class SourceUnavailableError(SynctermError):
    error_class = ErrorClass.SOURCE_TRANSIENT
    transient = True


class SourceDataError(SynctermError):
    error_class = ErrorClass.SOURCE_DATA


class SchemaChangedError(SynctermError):
    error_class = ErrorClass.SCHEMA


class DestinationError(SynctermError):
    error_class = ErrorClass.DESTINATION


class DestinationUnavailableError(DestinationError):
    """The destination failed in a way that may pass: a dropped connection, a server that restarts."""

    transient = True


class DestinationBusyError(DestinationError):
    transient = True


class StaleEpochError(DestinationError):
    pass


class InterruptedSyncError(SynctermError):
    error_class = ErrorClass.INTERRUPTED
    transient = True


class StalledError(SynctermError):
    error_class = ErrorClass.TIMEOUT
    transient = True


class UnbalancedError(SynctermError):
    pass


class TooManyRejectsError(SynctermError):
    error_class = ErrorClass.SOURCE_DATA


class StoreError(SynctermError):
    """Transient: a store that is locked, or whose disk is full, lets a sync go on where it was when that is over."""

    transient = True


class StoreTooNewError(StoreError):
    transient = False


class NotAllowedError(SynctermError):
    error_class = ErrorClass.PERMISSION


class CancelledSyncError(SynctermError):
    pass
