"""From text and loose types to the types a stream was promised: the one place where a value can fail to fit.

Both the files and the databases that hand over text use it. A whole column is cast at once; only where that fails are the
offending rows looked for, and each becomes a rejected record.
"""

from __future__ import annotations
