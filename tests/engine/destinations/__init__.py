"""Tests of single destinations, apart from the contract that all keep."""

from __future__ import annotations
