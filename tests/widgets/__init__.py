"""Tests of the widgets, through Pilot and through a pseudo-terminal."""

from __future__ import annotations
