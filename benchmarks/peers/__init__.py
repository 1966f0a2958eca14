"""Other products on the same work."""

from __future__ import annotations
