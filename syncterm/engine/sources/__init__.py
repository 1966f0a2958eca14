"""Sources: systems that data is read from. `base` holds the protocol; one module a system; `registry` finds them."""

from __future__ import annotations
