"""A configuration that may be unfinished, read by its adapter's model: what is good, what is missing, what is wrong.

Missing is a required field without a value: a draft may be saved without it. Anything else that the model refuses is wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from syncterm.engine.adapters import Adapter
from syncterm.engine.document_config import plain
from syncterm.engine.document_tree import suggest
from syncterm.engine.errors import ConfigError, SynctermError
from syncterm.engine.redaction import redact
from syncterm.engine.secrets import check_references, register_literals, secret_fields

Location = tuple[str | int, ...]
_SHOWN_FAULTS = 10


@dataclass(frozen=True, slots=True)
class ConfigFault:
    """One field that is wrong."""

    location: Location
    """Keys and indexes from the configuration's top; empty where no single field is at fault."""
    title: str
    """The field's title in the form."""
    message: str
    """Why, in a few words, without the value."""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class ConfigCheck:
    """What a configuration is worth."""

    config: Mapping[str, Any]
    """As it is stored: plain JSON values under the model's keys, no defaults, no empty fields; secrets and references as given."""
    missing: tuple[str, ...]
    """Titles of required fields without a value."""
    faults: tuple[ConfigFault, ...]

    @property
    def incomplete_reason(self) -> str | None:
        """What it lacks, in words; None where it is complete."""
        if not self.missing:
            return None
        return f"{_listed(self.missing)} {'is' if len(self.missing) == 1 else 'are'} missing"

    def require_sense(self, title: str) -> None:
        """Raises: ConfigError: naming each field that is wrong, and why."""
        if not self.faults:
            return
        texts = [f"{fault.title}: {fault.message}" if fault.title else fault.message for fault in self.faults[:_SHOWN_FAULTS]]
        raise ConfigError(f"The {title} configuration is not valid. {'. '.join(texts)}.", remedy=self.faults[0].remedy)


def check_config(adapter: type[Adapter], config: Mapping[str, Any]) -> ConfigCheck:
    """Read a configuration as far as it goes. Looks nothing up; never raises for what a person wrote.

    Literal secrets become known to `redaction.redact`.
    """
    given = plain({key: value for key, value in config.items() if value is not None})
    register_literals(given, secret_fields(adapter.Config))
    try:
        check_references(given)
        model = adapter.Config.model_validate(given)
    except ValidationError as error:
        return _judge(adapter, given, error)
    except SynctermError as error:
        return ConfigCheck(given, (), (ConfigFault((), "", redact(error.message).rstrip("."), redact(error.remedy)),))
    stored = plain(model.model_dump(by_alias=True, exclude_unset=True))
    return ConfigCheck(stored, (), _switches(adapter, given, stored))


def _judge(adapter: type[Adapter], given: dict[str, Any], error: ValidationError) -> ConfigCheck:
    missing: dict[str, None] = {}
    faults: list[ConfigFault] = []
    empty: set[str] = set()
    for fault in error.errors(include_url=False, include_context=True):
        location, kind = tuple(fault["loc"]), fault["type"]
        title = title_of(adapter.Config, location)
        if kind == "missing" and len(location) == 1:
            missing[title] = None
        elif kind in ("string_too_short", "too_short") and not fault["input"] and len(location) == 1:
            missing[title] = None
            empty.add(str(location[0]))
        elif kind == "extra_forbidden":
            known = [field.alias or name for name, field in adapter.Config.model_fields.items()]
            faults.append(
                ConfigFault(location, str(location[-1])[:80], "there is no such setting", suggest(str(location[-1]), known))
            )
        else:
            faults.append(ConfigFault(location, title, redact(_words(fault["msg"]))))
    kept = {key: value for key, value in given.items() if key not in empty}
    return ConfigCheck(kept, tuple(missing), (*faults, *_switches(adapter, kept, {})))


def _switches(adapter: type[Adapter], given: Any, read: Any) -> tuple[ConfigFault, ...]:
    """pydantic takes true for the number 1; a person who says so is mistaken."""
    return tuple(
        ConfigFault((key,), title_of(adapter.Config, (key,)), "this must not be true or false")
        for key, value in given.items()
        if isinstance(value, bool) and key in read and not isinstance(read[key], bool)
    )


def _words(message: str) -> str:
    message = message.removeprefix("Value error, ").rstrip(".")
    return message[:1].lower() + message[1:]


def _listed(titles: Sequence[str]) -> str:
    return titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"


def title_of(model: type[BaseModel], location: Sequence[str | int]) -> str:
    """The title of the field at a place: `Password`; of an item deeper within, `Faults 1, Kind`."""
    parts: list[str] = []
    deeper: type[BaseModel] | None = model
    for part in location:
        if isinstance(part, int):
            parts[-1:] = [f"{parts[-1]} {part + 1}"] if parts else [str(part + 1)]
            continue
        field = None
        if deeper is not None:
            field = next((each for name, each in deeper.model_fields.items() if part in (name, each.alias)), None)
        parts.append((field.title or part) if field is not None else str(part)[:80])
        deeper = _model_in(field.annotation) if field is not None else None
    return ", ".join(parts)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The configuration model that a field's type holds, be it in a list or optional."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _model_in(argument)) is not None), None)


def changed_titles(model: type[BaseModel], fields: Collection[str]) -> str:
    """The titles of top-level fields, in the form's order, as a list in words."""
    titles = [field.title or name for name, field in model.model_fields.items() if {name, field.alias} & set(fields)]
    return _listed(titles) if titles else ""
