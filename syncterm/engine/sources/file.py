"""Files: CSV, JSON Lines and Parquet, one by one, as a folder or as a pattern.

Streams:
    a file      one stream, named after it
    a folder    one stream for each file in it (not in folders below), named after the file
    a pattern   (`logs/2025-*.csv`, `**/*.parquet`) one stream over all files that match, with a column `_file` for where each
                record came from; a column that a file does not have is NULL

Symbolic links that lead out of the folder are not followed; hidden files, pipes and devices are left out.
"""

from __future__ import annotations

import codecs
import glob
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field as ConfigField
from pydantic import field_validator
from pydantic.config import JsonDict

from syncterm.engine.errors import ConfigError, PermissionDeniedError, SchemaChangedError
from syncterm.engine.model import CheckStep, StreamConfig, Window
from syncterm.engine.paths import PathConfig, check_path, open_file
from syncterm.engine.schema import Catalog, Field, LogicalType, StreamSchema
from syncterm.engine.sources.base import Source, SourceBatch, SourceCapabilities
from syncterm.engine.sources.inference import infer, merge, unique_names

if TYPE_CHECKING:
    from syncterm.engine.sources.delimited import DelimitedFormat
    from syncterm.engine.sources.file_bytes import FileBytes
    from syncterm.engine.sources.parquet import ParquetReader

Format = Literal["csv", "jsonl", "parquet"]
FILE_COLUMN = "_file"
FORMAT_OF_SUFFIX: Mapping[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
COMPRESSION_SUFFIXES = (".gz", ".zst")
MAX_FILES = 10_000
"""Files of one folder or pattern; more are refused."""
SAMPLED_FILES = 20
"""Files of a pattern that are looked into for its columns: the first, the last, and others in between."""


_CSV: JsonDict = {"group": "Text files", "shown_when": {"format": ["auto", "csv"]}}


class FileConfig(PathConfig):
    """Which files, and how they are read."""

    path: str = ConfigField(
        title="Path",
        description="A file, a folder, or a pattern such as logs/2025-*.csv or **/*.parquet.",
        min_length=1,
        json_schema_extra={"path": "any", "placeholder": "/data/orders.csv"},
    )
    format: Literal["auto", "csv", "jsonl", "parquet"] = ConfigField(
        default="auto",
        title="Format",
        description="auto: by the name of each file. Gzip and zstd are recognised.",
        json_schema_extra={
            "choices": {"auto": "by the name of each file", "csv": "CSV", "jsonl": "JSON Lines", "parquet": "Parquet"}
        },
    )
    delimiter: str = ConfigField(
        default="auto",
        title="Delimiter",
        description="CSV: the character between two values; auto: comma, semicolon, tab or |, whichever fits.",
        json_schema_extra=_CSV,
    )
    quote: str = ConfigField(
        default='"',
        title="Quote",
        description="CSV: the character around values; empty where there is none.",
        max_length=1,
        json_schema_extra=_CSV,
    )
    header: bool = ConfigField(
        default=True, title="Header", description="CSV: the first row names the columns.", json_schema_extra=_CSV
    )
    encoding: str = ConfigField(
        default="utf-8",
        title="Encoding",
        description="Of text: utf-8, latin-1, cp1252, utf-16, … A byte order mark wins over it.",
        json_schema_extra={"group": "Text files", "shown_when": {"format": ["auto", "csv", "jsonl"]}},
    )
    null_values: tuple[str, ...] = ConfigField(
        default=("",),
        title="NULL values",
        description="CSV: unquoted values that mean NULL. By default the empty value; the quoted empty value is the empty text.",
        json_schema_extra=_CSV,
    )

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str) -> str:
        value = {"tab": "\t", "\\t": "\t"}.get(value, value)
        if value != "auto" and (len(value.encode()) != 1 or value in '\r\n"\x00'):
            raise ValueError("must be auto or one ASCII character, not a quote or a line end")
        return value

    @field_validator("quote")
    @classmethod
    def _ascii_quote(cls, value: str) -> str:
        if value and (not value.isascii() or value in "\r\n\x00"):
            raise ValueError("must be one ASCII character or empty")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "".encode(value)
            codecs.getincrementaldecoder(value)
        except LookupError:
            raise ValueError("is not the name of a text encoding") from None
        return value


@dataclass(frozen=True, slots=True)
class _FileStream:
    name: str
    paths: tuple[Path, ...]
    pattern: bool = False


class FileSource(Source):
    """Files on this machine."""

    type: ClassVar[str] = "file"
    title: ClassVar[str] = "Files"
    summary: ClassVar[str] = "CSV, JSON Lines and Parquet files: one, a folder of them, or all that match a pattern."
    Config = FileConfig
    capabilities = SourceCapabilities(incremental=True, deletes=True)

    config: FileConfig

    def check(self) -> Iterator[CheckStep]:
        started = time.monotonic()
        streams = self._streams()
        yield CheckStep("Initiate test", True, time.monotonic() - started, f"{sum(len(s.paths) for s in streams)} files.")
        started = time.monotonic()
        for stream in streams:
            for path in stream.paths[:SAMPLED_FILES]:
                self.raise_if_interrupted()
                with open_file(path, self.context):
                    pass
        yield CheckStep("Authentication check", True, time.monotonic() - started, f"Readable by uid {os.getuid()}.")
        started = time.monotonic()
        if streams:
            self._describe(streams[0])
        yield CheckStep("Connectivity test", True, time.monotonic() - started, f"{len(streams)} streams.")

    def discover(self) -> Catalog:
        """Columns come from the beginning of each file (of a pattern: of some of its files); Parquet files say them themselves.

        Raises:
            SynctermError: no file, not readable, or none of the formats.
        """
        described = []
        for stream in self._streams():
            self.raise_if_interrupted()
            described.append(self._describe(stream))
        return Catalog(tuple(described))

    def read(
        self, stream: StreamConfig, schema: StreamSchema, fields: tuple[Field, ...], window: Window | None
    ) -> Iterator[SourceBatch]:
        """All records; files have no index to find a window by, so the pipeline's filter does."""
        found = next((candidate for candidate in self._streams() if candidate.name == stream.name), None)
        if found is None:
            raise SchemaChangedError(
                f"There is no file for stream {stream.name!r} in {self.config.path} any more.",
                remedy="Put it back, or take the stream out of the connector.",
            )
        known = {field.name: field.type for field in schema.fields if not (found.pattern and field.name == FILE_COLUMN)}
        for path in found.paths:
            self.raise_if_interrupted()
            where = self._relative(path) if found.pattern else ""
            constants = {FILE_COLUMN: where} if found.pattern else {}
            for batch in self._read_file(path, stream.name, fields, known, constants, where):
                self.raise_if_interrupted()
                yield batch

    # Which files

    def _streams(self) -> tuple[_FileStream, ...]:
        text = self.config.path
        if glob.has_magic(text) and not (self.context.base_folder / Path(text).expanduser()).exists():
            return (self._pattern_stream(text),)
        path = check_path(text, self.context)
        if path.is_dir():
            return self._folder_streams(path)
        if not path.exists():
            raise ConfigError(f"{path} does not exist.", remedy="Correct the path, or put the file there.")
        return (_FileStream(_stem(path), (path,)),)

    def _folder_streams(self, folder: Path) -> tuple[_FileStream, ...]:
        with _permissions(folder):
            entries = sorted(entry for entry in folder.iterdir() if self.config.format != "auto" or _format_of(entry))
        paths = self._admitted(folder, entries)
        if not paths:
            raise ConfigError(f"{folder} holds no file that can be read.", remedy=f"Files end in {', '.join(FORMAT_OF_SUFFIX)}.")
        stems = [_stem(path) for path in paths]
        names = [path.name if stems.count(stem) > 1 else stem for path, stem in zip(paths, stems, strict=True)]
        return tuple(_FileStream(name, (path,)) for name, path in zip(unique_names(names), paths, strict=True))

    def _pattern_stream(self, pattern: str) -> _FileStream:
        parts = Path(pattern).expanduser().parts
        fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
        root = check_path(Path(*parts[:fixed]) if fixed else Path(), self.context)
        if ".." in parts[fixed:]:
            raise ConfigError(f"The pattern {pattern!r} leads out of {root}.", remedy="Use .. only before the first * or ?.")
        with _permissions(root):
            found = []
            for name in root.glob(str(Path(*parts[fixed:]))):
                self.raise_if_interrupted()
                found.append(name)
        paths = self._admitted(root, sorted(set(found)))
        if not paths:
            raise ConfigError(f"No file matches {pattern!r}.", remedy="Correct the pattern, or put the files there.")
        words = re.sub(r"[*?\[\]!]+", " ", _stem(Path(parts[-1]))).split()
        return _FileStream("_".join(words).strip("-_. ") or root.name or "files", paths, pattern=True)

    def _admitted(self, root: Path, entries: list[Path]) -> tuple[Path, ...]:
        """Those entries that are regular files within the root, links resolved, and not the product's own."""
        admitted: dict[Path, None] = {}
        for entry in entries:
            try:
                path = check_path(entry, self.context)
            except ConfigError:
                continue
            inside = path.is_relative_to(root)
            if inside and not entry.name.startswith(".") and path.exists() and stat.S_ISREG(path.stat().st_mode):
                admitted[path] = None
        if len(admitted) > MAX_FILES:
            raise ConfigError(
                f"{root} holds {len(admitted)} files; at most {MAX_FILES} are read.",
                remedy="Use a narrower pattern or more sources.",
            )
        return tuple(admitted)

    def _relative(self, path: Path) -> str:
        parts = Path(self.config.path).expanduser().parts
        fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
        root = check_path(Path(*parts[:fixed]) if fixed else Path(), self.context)
        return str(path.relative_to(root))

    # What is in them

    def _format(self, path: Path) -> Format:
        if self.config.format != "auto":
            return self.config.format
        found = _format_of(path)
        if found is None:
            raise ConfigError(
                f"The format of {path} cannot be told from its name.",
                remedy="Choose csv, jsonl or parquet in the source's settings.",
            )
        return found

    def _text(self, path: Path) -> FileBytes:
        from syncterm.engine.sources.file_bytes import FileBytes

        return FileBytes(path, self.context, encoding=self.config.encoding, poll=self.raise_if_interrupted)

    @contextmanager
    def _parquet(self, path: Path) -> Iterator[ParquetReader]:
        from syncterm.engine.sources.parquet import ParquetReader

        with open_file(path, self.context) as file:
            yield ParquetReader(file, path, self.raise_if_interrupted)

    def _delimited_format(self) -> DelimitedFormat:
        from syncterm.engine.sources.delimited import DelimitedFormat

        delimiter = None if self.config.delimiter == "auto" else self.config.delimiter
        return DelimitedFormat(delimiter, self.config.quote or None, self.config.header, self.config.null_values)

    def _describe(self, stream: _FileStream) -> StreamSchema:
        if not stream.pattern:
            return self._describe_file(stream.paths[0], stream.name)
        step = max(1, -(-len(stream.paths) // SAMPLED_FILES))
        sampled = dict.fromkeys([*stream.paths[::step], stream.paths[-1]])
        merged: dict[str, Field] = {}
        for path in sampled:
            self.raise_if_interrupted()
            for field in self._describe_file(path, stream.name).fields:
                before = merged.get(field.name)
                merged[field.name] = replace(before, type=merge(before.type, field.type), native="") if before else field
        merged.pop(FILE_COLUMN, None)
        return StreamSchema(stream.name, (*merged.values(), Field(FILE_COLUMN, LogicalType("text"), nullable=False)))

    def _describe_file(self, path: Path, name: str) -> StreamSchema:
        if self._format(path) == "parquet":
            with self._parquet(path) as parquet:
                return _with_cursors(parquet.describe(name))
        types: dict[str, LogicalType]
        with self._text(path) as file:
            if self._format(path) == "csv":
                from syncterm.engine.sources.delimited import layout

                found = layout(file, self._delimited_format())
                types = {column: infer(sample) for column, sample in zip(found.names, found.sample, strict=True)}
                row_bytes = found.row_bytes
            else:
                from syncterm.engine.sources.jsonl import sample

                types, row_bytes = sample(file)
            whole = file.position >= file.size
            rows = round(file.size / row_bytes) if row_bytes and not whole and not _compressed(path) else None
        return _with_cursors(StreamSchema(name, tuple(Field(*column) for column in types.items()), estimated_rows=rows))

    def _read_file(
        self,
        path: Path,
        stream: str,
        fields: tuple[Field, ...],
        known: Mapping[str, LogicalType],
        constants: Mapping[str, str],
        where: str,
    ) -> Iterator[SourceBatch]:
        format_ = self._format(path)
        if format_ == "parquet":
            with self._parquet(path) as parquet:
                yield from parquet.read(fields, constants, stream, where)
            return
        with self._text(path) as file:
            if format_ == "csv":
                from syncterm.engine.sources.delimited import DelimitedReader

                yield from DelimitedReader(file, self._delimited_format(), stream, where).read(fields, constants)
            else:
                from syncterm.engine.sources.jsonl import JsonLinesReader

                yield from JsonLinesReader(file, stream, known, where).read(fields, constants)


def _with_cursors(schema: StreamSchema) -> StreamSchema:
    """The schema with its instants and dates as cursor candidates."""
    instants = [field.name for field in schema.fields if field.type.name in ("timestamptz", "timestamp", "date")]
    return replace(schema, cursor_candidates=tuple(instants))


def _compressed(path: Path) -> bool:
    return path.suffix.lower() in COMPRESSION_SUFFIXES


def _plain_name(path: Path) -> Path:
    return path.with_suffix("") if _compressed(path) and path.stem else path


def _format_of(path: Path) -> Format | None:
    return FORMAT_OF_SUFFIX.get(_plain_name(path).suffix.lower())


def _stem(path: Path) -> str:
    """`orders` for `orders.csv.gz`."""
    plain = _plain_name(path)
    return plain.stem if plain.suffix.lower() in FORMAT_OF_SUFFIX else plain.name


@contextmanager
def _permissions(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise PermissionDeniedError(
            f"{error.filename or path} cannot be read by uid {os.getuid()}: {error.strerror}.", remedy="Change its permissions."
        ) from None
    except OSError as error:
        raise ConfigError(f"{error.filename or path} cannot be listed: {error.strerror}.") from None
