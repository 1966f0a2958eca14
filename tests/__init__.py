"""The tests mirror the package; engine tests import no textual."""

from __future__ import annotations
