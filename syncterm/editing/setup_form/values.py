"""What a person has entered into a form, and what of it goes into the configuration.

Texts are kept exactly as they were typed. A value that was not touched goes back exactly as it came, so that looking at a set-up
changes nothing. A stored secret is never known here: it came as `redaction.MASK` and goes back as that, unless something is typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from syncterm.editing.setup_form.description import Condition, FieldKind, Form, FormField
from syncterm.editing.setup_form.faults import sentence, words
from syncterm.editing.setup_form.references import is_reference, reference_fault
from syncterm.editing.setup_form.texts import TextError, text_of, value_of
from syncterm.engine.errors import SynctermError
from syncterm.engine.redaction import MASK, SHORTEST, redact

CHOSEN = (FieldKind.CHOICE, FieldKind.SEVERAL, FieldKind.SWITCH)
"""Kinds whose values are chosen, not typed."""
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with what was entered."""

    fields: Mapping[str, str] = field(default_factory=dict)
    """Field id → a sentence."""
    whole: tuple[str, ...] = ()
    """What is wrong with no field in particular."""

    def __bool__(self) -> bool:
        return bool(self.fields or self.whole)


class FormValues:
    """The values of one form: texts for what is typed, values for what is chosen (None: nothing)."""

    def __init__(self, form: Form, config: Mapping[str, Any] | None = None) -> None:
        """Begin with a configuration, its stored secrets masked; with the defaults where there is none."""
        self.form = form
        self._fields = {each.id: each for each in form.fields}
        self._config: Mapping[str, Any] = config or {}
        self._begin: dict[str, Any] = {each.id: self._beginning(each) for each in form.fields}
        self._now = dict(self._begin)
        self.stored = frozenset(
            each.id for each in form.fields if each.kind is FieldKind.SECRET and self._is_stored(self._original(each))
        )
        """Secrets that the store holds."""
        self.touched: set[str] = set()
        """Fields that were changed at least once."""

    # --- Values

    def get(self, id_: str) -> Any:
        """The text or the chosen value of a field."""
        return self._now[id_]

    def set(self, id_: str, value: Any) -> None:
        """Enter a text or choose a value."""
        if value != self._now[id_]:
            self._now[id_] = value
            self.touched.add(id_)

    def fill(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Enter settings, as a pasted URL names them; the ids of the fields that were filled."""
        filled = []
        for key, value in settings.items():
            for each in self.form.by_path.get((key,), ()):
                self.set(each.id, value if each.kind in CHOSEN else text_of(each, value))
                filled.append(each.id)
        return tuple(filled)

    def is_changed(self, id_: str) -> bool:
        """Whether a field differs from what the form began with."""
        return bool(self._now[id_] != self._begin[id_])

    @property
    def changed(self) -> bool:
        return self._now != self._begin

    def visible(self) -> tuple[FormField, ...]:
        """The fields that apply with these values, in order."""
        return tuple(each for each in self.form.fields if self.is_visible(each))

    def is_visible(self, each: FormField) -> bool:
        return all(self._holds(condition) for condition in each.conditions)

    def _holds(self, condition: Condition) -> bool:
        for other in self.form.by_path.get(condition.path, ()):
            if self.is_visible(other):
                try:
                    value = self._now[other.id] if other.kind in CHOSEN else self._entered(other)
                except TextError:
                    return False
                value = other.default if value is _ABSENT else value
                return any(value == wanted and isinstance(value, bool) == isinstance(wanted, bool) for wanted in condition.values)
        return False

    # --- The configuration

    def config(self) -> dict[str, Any]:
        """The configuration that was entered: without hidden fields, defaults only where they stood there before.

        Raises:
            TextError: a text has not the form that its field is written in.
        """
        document: dict[str, Any] = {}
        if self.form.model.model_config.get("extra") == "allow":
            known = {each.path[0] for each in self.form.fields} | set(self.form.model.model_fields)
            document.update((key, value) for key, value in self._config.items() if key not in known)
        for each in self.visible():
            value = self._entered(each)
            if value is not _ABSENT:
                _put(document, each.path, value)
        return document

    def draft(self) -> dict[str, Any]:
        """The configuration as far as it can be read; what cannot is left out."""
        document: dict[str, Any] = {}
        for each in self.visible():
            try:
                value = self._entered(each)
            except TextError:
                continue
            if value is not _ABSENT:
                _put(document, each.path, value)
        return document

    def _entered(self, each: FormField) -> Any:
        """The value for the configuration; `_ABSENT` where the model's default serves."""
        value, original = self._now[each.id], self._original(each)
        if each.presence:
            if not value:
                return None if each.default or original is not _ABSENT else _ABSENT
            return {} if not each.default or self.is_changed(each.id) else _ABSENT
        if not self.is_changed(each.id):
            return original
        if each.kind in CHOSEN:
            return value if value is not None or original is not _ABSENT or each.default is not None else _ABSENT
        if value == "":
            return self._emptied(each)
        return value_of(each, value)

    def _emptied(self, each: FormField) -> Any:
        """What an emptied field means: nothing or an empty text or list where that is a value, else the default."""
        if each.kind is FieldKind.SECRET:
            return None if each.nullable and self._original(each) is not _ABSENT else _ABSENT
        if each.nullable:
            return None if each.default is not None or self._original(each) is not _ABSENT else _ABSENT
        if each.kind in (FieldKind.LIST, FieldKind.RECORDS, FieldKind.MAPPING):
            return {} if each.kind is FieldKind.MAPPING else []
        if each.kind is FieldKind.TEXT and isinstance(each.default, str) and not _needs_text(self.form, each):
            return ""
        return _ABSENT

    # --- What is wrong

    def faults(self) -> Faults:
        """Check everything that is visible, by the adapter's own model."""
        fields: dict[str, str] = {}
        whole: list[str] = []
        for each in self.visible():
            try:
                value = self._entered(each)
            except TextError as fault:
                fields[each.id] = str(fault)
                continue
            if isinstance(value, str) and (problem := reference_fault(value)):
                fields[each.id] = problem
        for found in self._model_faults(whole):
            where = tuple(found["loc"])
            owner = self._at(where)
            text = words({**found, "msg": self._hidden(str(found["msg"]))}, owner)
            if owner is not None:
                if self.is_visible(owner):
                    fields.setdefault(owner.id, text)
            elif not self._is_hidden(where):
                place = ".".join(map(str, where))
                whole.append(f"{place}: {text}" if place else text)
        return Faults(fields, tuple(whole))

    def _model_faults(self, whole: list[str]) -> list[Mapping[str, Any]]:
        try:
            self.form.model.model_validate(self.draft())
        except ValidationError as error:
            return [dict(fault) for fault in error.errors(include_url=False, include_input=False)]
        except SynctermError as error:
            whole.append(sentence(self._hidden(error.message)))
        except Exception as error:
            whole.append(f"The set-up could not be checked: its type failed ({type(error).__name__}).")
        return []

    def _at(self, where: tuple[Any, ...]) -> FormField | None:
        """The field that a fault is about: the longest of its places that the fault's begins with, a visible one first."""
        found = [
            (len(place), self.is_visible(each), each)
            for each in self.form.fields
            for place in each.locations
            if where[: len(place)] == place
        ]
        return max(found, key=lambda entry: entry[:2])[2] if found else None

    def _is_hidden(self, where: tuple[Any, ...]) -> bool:
        """Whether all fields at or below a place are hidden: then a fault there is nobody's concern."""
        below = [each for each in self.form.fields if any(place[: len(where)] == where for place in each.locations)]
        return bool(where) and bool(below) and not any(map(self.is_visible, below))

    def _hidden(self, text: str) -> str:
        """A message without any secret that was typed."""
        for each in self.form.fields:
            value = self._now[each.id]
            if each.kind is FieldKind.SECRET and len(value) >= SHORTEST and not is_reference(value):
                text = text.replace(value, MASK)
        return redact(text)

    # --- What the form began with

    def _original(self, each: FormField) -> Any:
        """What the configuration held; `_ABSENT` where it held nothing."""
        value: Any = self._config
        for depth, key in enumerate(each.path):
            if not isinstance(value, Mapping):
                return _ABSENT
            names = {key, each.locations[-1][-1]} if depth == len(each.path) - 1 and each.locations else {key}
            name = next((name for name in names if name in value), None)
            if name is None:
                return _ABSENT
            value = value[name]
        return value

    def _beginning(self, each: FormField) -> Any:
        original = self._original(each)
        if each.presence:
            return original is not None if original is not _ABSENT else bool(each.default)
        if each.kind is FieldKind.SECRET:
            return original if isinstance(original, str) and is_reference(original) else ""
        value = each.default if original is _ABSENT else original
        if each.kind is FieldKind.SWITCH:
            return value if isinstance(value, bool) else bool(value)
        if each.kind is FieldKind.SEVERAL:
            return tuple(value) if isinstance(value, list | tuple) else ()
        return value if each.kind is FieldKind.CHOICE else text_of(each, value)

    @staticmethod
    def _is_stored(original: Any) -> bool:
        if original is _ABSENT or original is None or original == "":
            return False
        return not (isinstance(original, str) and is_reference(original))


def _needs_text(form: Form, each: FormField) -> bool:
    """Whether the empty text is refused by the model, so that an emptied field means the default."""
    if len(each.path) > 1:
        return False
    info = next((info for name, info in form.model.model_fields.items() if name == each.locations[-1][-1]), None)
    return info is not None and any(getattr(limit, "min_length", 0) for limit in info.metadata)


def _put(document: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        below = document.get(key)
        if not isinstance(below, dict):
            below = document[key] = {}
        document = below
    if value == {} and isinstance(document.get(path[-1]), dict):
        return  # the switch of a model whose fields are there already
    document[path[-1]] = list(value) if isinstance(value, tuple) else value
