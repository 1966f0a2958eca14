"""The screens of the dashboard and their dialogs, one a file. They show what queries return and ask for what operations do."""

from __future__ import annotations
