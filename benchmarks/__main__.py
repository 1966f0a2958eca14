"""Every benchmark, one after the other: python -m benchmarks. The machine should do nothing else meanwhile; about half an hour.

The first run makes the data and, for the comparison, a virtual environment with dlt (`--dlt PYTHON` names one that is there).
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks import machine

PARTS = ("dashboard", "key_to_paint", "store", "moving_data")


def main() -> None:
    machine.plain_environment()
    print(machine.describe())
    for part in PARTS:
        print(f"\n## {part}\n", flush=True)
        options = sys.argv[1:] if part == "moving_data" else []
        subprocess.run([sys.executable, "-m", f"benchmarks.{part}", *options], check=True)


if __name__ == "__main__":
    main()
