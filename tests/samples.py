"""Where the sample files lie: hostile strings, cron cases, broken files and configurations."""

from __future__ import annotations

from pathlib import Path

SAMPLES = Path(__file__).parent / "samples"
