"""Destinations: systems that data is written to. `base` holds the protocol; one module a system; `registry` finds them."""

from __future__ import annotations
