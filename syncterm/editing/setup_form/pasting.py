"""Connection URLs that are pasted into a form."""

from __future__ import annotations

from typing import Any

from syncterm.editing.setup_form.description import FieldKind
from syncterm.editing.setup_form.values import FormValues
from syncterm.engine.connection_url import UrlSettings, url_scheme
from syncterm.engine.errors import SynctermError
from syncterm.engine.redaction import register_secret


class UrlError(ValueError):
    """A URL that cannot be used; the message says why, and repeats nothing of it but its scheme."""


def looks_like_url(text: str) -> bool:
    """Whether a text is a URL of any scheme."""
    return bool(url_scheme(text))


def fill_from_url(values: FormValues, text: str) -> tuple[str, ...]:
    """Fill a form from a URL; the names of the parameters that it has no field for.

    Raises:
        UrlError: the adapter does not take it.
    """
    reader: Any = getattr(values.form.model, "from_url", None)
    if reader is None:
        raise UrlError("This type takes no URL. Fill the fields.")
    try:
        settings: UrlSettings = reader(text)
    except SynctermError as error:
        raise UrlError(str(error)) from None
    except Exception as error:
        raise UrlError(f"The URL cannot be read ({type(error).__name__}).") from None
    for id_ in values.fill(settings.values):
        field = next(field for field in values.form.fields if field.id == id_)
        if field.kind is FieldKind.SECRET:
            register_secret(str(values.get(id_)))
    return settings.unused
