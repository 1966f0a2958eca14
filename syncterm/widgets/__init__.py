"""The widgets of the dashboard; each stands alone and knows no screen."""

from __future__ import annotations
