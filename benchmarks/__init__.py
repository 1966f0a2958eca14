"""What is fast, and how it is measured against peers."""

from __future__ import annotations
