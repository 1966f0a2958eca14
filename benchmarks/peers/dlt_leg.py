"""One leg with dlt, as a script for dlt's own virtual environment: python dlt_leg.py LEG SOURCE DESTINATION BACKEND.

SOURCE and DESTINATION are a URL or a path. The backend is the fastest that dlt has for the leg (pyarrow, connectorx).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    leg, source, destination, backend = sys.argv[1:5]
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
    import dlt

    if leg.startswith("csv"):
        from dlt.sources.filesystem import filesystem, read_csv_duckdb

        path = Path(source)
        found = filesystem(bucket_url=path.parent.as_uri(), file_glob=path.name) | read_csv_duckdb(
            chunk_size=100_000, use_pyarrow=True
        )
        resource = found.with_name("lineitem")
    else:
        from dlt.sources.sql_database import sql_table

        url = source if "://" in source else f"sqlite:///{source}"
        if backend != "connectorx":
            url = url.replace("postgresql://", "postgresql+psycopg2://")
        resource = sql_table(url, table="lineitem", backend=backend, chunk_size=100_000, reflection_level="full")
    target = dlt.destinations.duckdb(destination) if leg.endswith("duckdb") else dlt.destinations.postgres(destination)
    pipeline = dlt.pipeline("leg", destination=target, dataset_name="bench", pipelines_dir=os.environ["DLT_DIR"])
    pipeline.run(resource, write_disposition="replace")
    rows = pipeline.last_trace.last_normalize_info.row_counts["lineitem"]
    print(rows)


main()
