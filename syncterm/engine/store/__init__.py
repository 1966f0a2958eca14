"""The store: one database that is the queue and the truth. Facts are stored; statuses are derived (`engine.status`)."""

from __future__ import annotations
