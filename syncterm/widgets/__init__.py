"""Widgets of the dashboard: built on Textual, knowing nothing of the engine."""

from __future__ import annotations
