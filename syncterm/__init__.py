"""syncterm: a terminal dashboard that runs data connectors."""

from __future__ import annotations

__version__ = "0.1.0"
