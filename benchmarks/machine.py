"""The machine and the versions behind a figure, and an environment like a user's."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("textual", "sqlalchemy", "pyarrow", "duckdb", "asyncpg")


def plain_environment() -> None:
    """Undo what a build machine may set and what no user has: programs that are compiled anew at every start, unbuffered output."""
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONDEVMODE"):
        os.environ.pop(name, None)


def load() -> str:
    """Processes that want to run, as the system averages them over the last minute; 0 on a quiet machine."""
    return f"{os.getloadavg()[0]:.1f}"


def describe() -> str:
    """Processors, memory, system, Python and the libraries that do the work."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = next(
        (line.partition(":")[2].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{os.cpu_count()} × {model}, {memory:.0f} GiB, {platform.system()} {platform.release()}; "
        f"Python {platform.python_version()}, {packages}; load before {load()}"
    )


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
