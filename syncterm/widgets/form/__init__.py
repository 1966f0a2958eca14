"""The widgets of set-up forms."""

from __future__ import annotations
