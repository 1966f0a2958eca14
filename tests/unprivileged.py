"""A process that file permissions bind, whoever runs the tests.

The superuser reads and writes whatever it wants by two capabilities of Linux (capabilities(7)): CAP_DAC_OVERRIDE and
CAP_DAC_READ_SEARCH. A process without them in its bounding set is refused what its files' modes say, as uid 0 too.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_DROP = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    if libc.prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
"""


def run_unprivileged(code: str, *arguments: str) -> str:
    """What a Python program prints that may not override permissions; skips the test where that cannot be had."""
    if os.getuid() == 0 and sys.platform != "linux":
        pytest.skip("the superuser may read and write everything here")
    program = [code, *arguments]
    command = [sys.executable, "-c", _DROP, *program] if os.getuid() == 0 else [sys.executable, "-c", *program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
