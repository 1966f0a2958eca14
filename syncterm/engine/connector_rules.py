"""What a connector may be, whoever sets it up: names, schedules and mappings that hold together, and what it lacks to run. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from syncterm.engine.blackout import check_windows
from syncterm.engine.deletes import looks_for_deletes, refusal
from syncterm.engine.document import CATCH_UP, LONGEST_COLLECTION, LONGEST_FILTER, LONGEST_STREAM
from syncterm.engine.document_tree import LONGEST_NAME, check_nothing_hidden
from syncterm.engine.drafts import ConnectorDraft
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import StreamConfig, SyncMode
from syncterm.engine.row_filter import mentioned_columns, parse_row_filter
from syncterm.engine.schedule import validate
from syncterm.engine.schema import parse_type
from syncterm.engine.stream_defaults import ABLE, EndAbilities

_SHOWN = 80
"""Characters of a name that messages repeat."""


def check_name(name: str, what: str = "The name", longest: int = LONGEST_NAME) -> None:
    """Raises: ConfigError: where `name` cannot be one."""
    hidden = check_nothing_hidden(name)
    if hidden:
        raise ConfigError(f"{what} {hidden}.", remedy="Choose another name.")
    if not name.strip():
        raise ConfigError(f"{what} is empty.", remedy="Type one.")
    if len(name) > longest:
        raise ConfigError(f"{what} has {len(name):,} characters; {longest:,} are allowed.", remedy="Choose a shorter one.")


def check_collection(collection: str) -> None:
    """Raises: ConfigError: where it cannot be one. Empty is the destination's default."""
    if collection:
        check_name(collection, "The collection", LONGEST_COLLECTION)


def check(draft: ConnectorDraft) -> None:
    """Refuse what no connector can be, however unfinished. Takes a while for thousands of streams: call it in a thread then.

    Raises:
        ConfigError: naming what is wrong.
    """
    check_name(draft.name)
    check_collection(draft.collection)
    validate(draft.schedule)
    if draft.catch_up not in CATCH_UP:
        raise ConfigError(f"{draft.catch_up[:_SHOWN]!r} is no way to catch up.", remedy=f"Use one of {', '.join(CATCH_UP)}.")
    check_windows(draft.blackout)
    names: set[str] = set()
    targets: dict[str, str] = {}
    for stream in draft.streams:
        if stream.name in names:
            raise ConfigError(f"The stream {_short(stream.name)} is listed twice.", remedy="Leave one out.")
        names.add(stream.name)
        other = targets.setdefault(stream.target, stream.name)
        if other != stream.name:
            raise ConfigError(
                f"The streams {_short(other)} and {_short(stream.name)} have the same table.",
                remedy="Give one of them another table.",
            )
        check_stream(stream)


def check_stream(stream: StreamConfig) -> None:
    """Raises: ConfigError: where the set-up of a stream contradicts itself."""
    place = f"Stream {_short(stream.name)}: "
    check_name(stream.name, "The name of a stream", LONGEST_STREAM)
    for what, names in (("a key column", stream.primary_key), ("a column", stream.columns or ()), ("a cast", stream.casts)):
        for name in names:
            check_name(name, f"{place}the name of {what}", LONGEST_STREAM)
        if len(set(names)) < len(names):
            raise ConfigError(f"{place}{what} is named twice.", remedy="Leave one out.")
    if stream.columns == ():
        raise ConfigError(f"{place}no column is selected.", remedy="Select one, or leave the stream out.")
    if stream.cursor_field is not None:
        check_name(stream.cursor_field, f"{place}the cursor's name", LONGEST_STREAM)
    if stream.table is not None:
        check_name(stream.table, f"{place}the table's name", LONGEST_STREAM)
    for column, type_ in stream.casts.items():
        parse_type(type_)
        if stream.columns is not None and column not in (*stream.columns, *stream.primary_key, stream.cursor_field):
            raise ConfigError(f"{place}the column {_short(column)} is cast and not selected.", remedy="Select it.")
    if stream.look_back is not None and stream.sync_mode is not SyncMode.INCREMENTAL_UPSERT:
        raise ConfigError(f"{place}the sync mode {stream.sync_mode} has no look-back: it would repeat rows.", remedy="Take it out.")
    if stream.row_filter is not None and not 0 < len(stream.row_filter.strip()) <= LONGEST_FILTER:
        raise ConfigError(f"{place}a row filter has 1 to {LONGEST_FILTER:,} characters.", remedy="Take it out to read all rows.")
    if stream.row_filter is not None:
        _check_row_filter(stream.row_filter, place)
    if stream.schedule is not None:
        validate(stream.schedule)


def _check_row_filter(text: str, place: str) -> None:
    """Its language only: which columns there are is known when it runs, and where it is typed in."""
    try:
        parse_row_filter(text, mentioned_columns(text))
    except ConfigError as error:
        raise ConfigError(f"{place}{error.message}", remedy=error.remedy) from None


def incompleteness(draft: ConnectorDraft, able: EndAbilities = ABLE) -> str | None:
    """What a connector lacks before it can run, in a few words; None where it is complete.

    Args:
        able: what its ends can do.
    """
    if draft.source_id is None:
        return "no source is chosen"
    if draft.destination_id is None:
        return "no destination is chosen"
    return stream_incompleteness(draft.streams, able)


def stream_incompleteness(streams: Iterable[StreamConfig], able: EndAbilities = ABLE) -> str | None:
    """What the streams lack before they can be read; None where they lack nothing."""
    stream = None
    for stream in streams:
        lack = stream_lack(stream, able)
        if lack:
            return f"stream {stream.name} {lack}"
    return None if stream is not None else "no stream is selected"


def stream_lack(stream: StreamConfig, able: EndAbilities = ABLE) -> str:
    """What one stream lacks, as the end of a sentence about it; empty where it lacks nothing."""
    if stream.sync_mode.incremental and not stream.cursor_field:
        return "is incremental and has no cursor column"
    if stream.sync_mode is SyncMode.INCREMENTAL_UPSERT:
        if not stream.primary_key:
            return "is upserted and has no primary key"
        if not able.upsert:
            return "is upserted, which its destination cannot do"
        if looks_for_deletes(stream) and not able.deletes:
            return f"is to {stream.delete_handling} deleted records, which its source or its destination cannot do"
    why = refusal(stream)
    return f"is to {stream.delete_handling} deleted records: {why[0].lower()}{why[1:].rstrip('.')}" if why is not None else ""


def _short(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…")
