"""Real servers that tests run against: started on 127.0.0.1, private to the test run, gone at its end."""

from __future__ import annotations
