"""`python -m syncterm` is `syncterm`."""

from __future__ import annotations

from syncterm.cli import main

if __name__ == "__main__":
    main()
