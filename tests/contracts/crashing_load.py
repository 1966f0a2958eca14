"""A process that loads, says how far it has come on its standard output, and waits there to be killed or told to go on.

    python -m tests.contracts.crashing_load <type> <configuration as JSON> <mode> <epoch> <stop>

`stop` is `open`, `write` or `commit`: after which step it waits for a line on its standard input. After `commit` it ends.
"""

from __future__ import annotations

import json
import sys

from syncterm.engine.adapters import AdapterContext, parse_config
from syncterm.engine.destinations.base import destination_class
from syncterm.engine.errors import SynctermError
from syncterm.engine.model import SyncMode
from tests.contracts.loads import batch, target

ROWS = [(2, "zwei", 5), (3, "drei", 6)]


def main(type_: str, document: str, mode: str, epoch: str, stop: str) -> None:
    adapter = destination_class(type_)
    destination = adapter(parse_config(adapter, json.loads(document)), AdapterContext())

    def reached(step: str) -> None:
        if step == stop:
            print(step, flush=True)
            sys.stdin.readline()

    try:
        load = destination.open(target(SyncMode(mode), epoch=int(epoch)))
        reached("open")
        load.write(iter([batch(ROWS[:1]), batch(ROWS[1:])]))
        reached("write")
        load.commit("6")
        reached("commit")
    except SynctermError as error:
        print(type(error).__name__, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
