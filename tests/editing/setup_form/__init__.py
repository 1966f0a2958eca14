"""Tests of the set-up forms that know no screen."""

from __future__ import annotations
