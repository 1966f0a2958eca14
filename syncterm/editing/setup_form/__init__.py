"""Set-up forms: what an adapter's configuration model asks for, and what was typed into it. Knows no screen."""

from __future__ import annotations

from syncterm.editing.setup_form.description import FieldKind, Form, FormField, Option, describe
from syncterm.editing.setup_form.values import FormValues

__all__ = ["FieldKind", "Form", "FormField", "FormValues", "Option", "describe"]
